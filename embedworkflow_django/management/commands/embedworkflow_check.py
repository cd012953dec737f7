"""``embedworkflow_check``: asks the API whether the keys work and the triggers' workflows are on.

Exit codes: 0 when nothing failed; 1 when something did, or there is no such account; 2 when
the command line cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from ... import conf, connections, probes, triggers
from ...exceptions import APIError
from .. import printing


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A line of the answer.

    Args:
        account: The account's alias.
        subject: What was asked about: the key, or a trigger.
        workflow: The trigger's workflow.
        verdict: ``ok``, ``FAILED`` or ``skipped``.
        detail: Why.
    """

    account: str
    subject: str
    workflow: str = ""
    verdict: str = "ok"
    detail: str = ""


class Command(BaseCommand):
    """Ask the API about the configuration."""

    help = (
        "Ask the API whether each account's secret key works, and whether each trigger's workflow "
        "exists and is on. It calls the network and reads only. Exit code: 0, or 1 when anything "
        "failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--account",
            action="append",
            metavar="ALIAS",
            help="Account to check; repeatable. Default: all, and every trigger.",
        )

    def handle(self, *, account: list[str] | None, **_options: Any) -> None:
        """Ask the API; see the class's ``help``.

        Args:
            account: The accounts' aliases.

        Raises:
            CommandError: Something failed, or there is no such account.
        """
        try:
            known = conf.settings.accounts
        except conf.ConfigurationError as error:
            raise CommandError(str(error)) from None
        for alias in account or []:
            if alias not in known:
                raise CommandError(
                    f"There is no account {alias!r}. {conf.did_you_mean(alias, known)}"
                )
        findings = []
        for finding in _findings(account or known, everything=not account):
            findings.append(finding)
            self.stdout.write(printing.shown(_line(finding), self.stdout))
        failed = sum(finding.verdict == "FAILED" for finding in findings)
        if failed:
            raise CommandError(f"{failed} of {len(findings)} failed.")


def _findings(aliases: list[str], *, everything: bool) -> Iterator[Finding]:
    working = set()
    for alias in aliases:
        finding = _key(alias)
        yield finding
        if finding.verdict == "ok":
            working.add(alias)
    for trigger in triggers.registry.values():
        if trigger.account in working:
            yield _workflow(trigger)
        elif everything or trigger.account in aliases:
            yield Finding(
                account=trigger.account,
                subject=trigger.name,
                workflow=_title(trigger),
                verdict="skipped",
                detail="the account cannot be used",
            )


def _key(alias: str) -> Finding:
    try:
        # The cheapest call that needs a key; that it exists is known from the vendor's SDK.
        next(iter(connections.client(alias).list_workflows(limit=1)), None)
    except (APIError, conf.ConfigurationError) as error:
        return Finding(account=alias, subject="secret key", verdict="FAILED", detail=str(error))
    return Finding(account=alias, subject="secret key")


def _workflow(trigger: triggers.Trigger) -> Finding:
    verdict, words = probes.probe(trigger)
    said = {
        probes.Verdict.ON: ("ok", words),
        probes.Verdict.OFF: ("FAILED", f"the workflow is off ({trigger.defined_at})"),
        probes.Verdict.FAILED: ("FAILED", f"{words} ({trigger.defined_at})"),
        probes.Verdict.OPEN: ("skipped", "depends on the instance"),
    }
    return Finding(
        account=trigger.account,
        subject=trigger.name,
        workflow=_title(trigger),
        verdict=said[verdict][0],
        detail=said[verdict][1],
    )


def _title(trigger: triggers.Trigger) -> str:
    return "(a callable)" if callable(trigger.workflow) else trigger.workflow


def _line(finding: Finding) -> str:
    line = (
        f"{finding.verdict:<8} {finding.account:<12} {finding.subject:<40} {finding.workflow:<24}"
    )
    return f"{line} {finding.detail}".rstrip()
