"""Testing: what a project puts into its own tests, from a sandbox in process to the worker's turns.

No port is opened, nothing is sent over a network, and no thread looks at the test's database. All
of it works inside ``TestCase``, whose transaction never commits, and inside
``TransactionTestCase``; ``pytest_plugin`` offers `sandbox` and `captured` as the fixtures
``sandbox`` and ``executions``::

    from embedworkflow_django import testing

    class OrderTests(TestCase):
        def test_an_order_is_fulfilled(self):
            with testing.sandbox() as sandbox:
                sandbox.add_workflow("order-fulfilment")
                order = Order.objects.create(email="ada@example.com")
                testing.finish(sandbox)
            order.refresh_from_db()
            self.assertTrue(order.fulfilled)
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, overload

from django import db
from django.db.models import Q
from django.test import override_settings
from django.utils import timezone

from . import conf, connections
from . import sandbox as sandboxes
from .models import FINAL, Execution, ExecutionQuerySet, Status
from .worker import Worker

__all__ = ["captured", "deliver", "finish", "sandbox", "sync"]

KEY = "sk_test_of_no_account"
ROUNDS = 20
_numbers = itertools.count(1)


@contextmanager
def sandbox(
    *, settings: Mapping[str, Any] | None = None, frozen: bool = True, **options: Any
) -> Iterator[sandboxes.Sandbox]:
    """Have an imitation of the hosted API answer every account, in process.

    Keys, base URLs and the dispatcher of the settings are replaced: no commit wakes anybody, so
    that the test says with `deliver`, `sync` and `finish` when something happens. Afterwards all
    is as it was. Blocks may be nested; the inner one answers. A webhook that a workflow posts is a
    real request, to this machine only. ::

        with testing.sandbox(settings={"ON_LOST_ANSWER": "hold"}) as sandbox:
            sandbox.add_workflow("order-fulfilment")
            sandbox.faults.add("lost")
            execution = execute("order-fulfilment", {"order_id": 1})
            testing.deliver()
            execution.refresh_from_db()
            assert execution.status == "unconfirmed"

    Args:
        settings: Keys of ``EMBEDWORKFLOW`` to override on top; of ``ACCOUNTS``, too, the keys and
            base URLs are replaced.
        frozen: Whether the sandbox's time stands still until its ``advance`` is called.
        **options: Further arguments of ``Sandbox``, such as ``deliver`` for its e-mails.

    Yields:
        The sandbox, without any workflow: ``add_workflow`` adds one, ``faults.add`` lets the next
        calls go wrong, ``advance`` puts its clock forward, and ``requests``, ``executions`` and
        ``emails`` tell what it has seen. Each account of the settings has one of the same name in
        ``engine.accounts``.

    Raises:
        ConfigurationError: One of ``settings`` does not exist; no check sees those of a test.
    """
    number, settings = next(_numbers), settings or {}
    for name in settings.keys() - conf.DEFAULTS.keys():
        raise conf.ConfigurationError(
            f"There is no setting {name!r}. {conf.did_you_mean(str(name), conf.DEFAULTS)}"
        )
    # First as they are asked for, for the sandbox answers the accounts of these.
    with override_settings(**{conf.SETTING: {**conf.settings.given, **settings}}):
        header = settings.get("IDEMPOTENCY_HEADER", conf.account().idempotency_header)
        imitation = sandboxes.Sandbox(
            frozen=frozen,
            # A name that resolves nowhere: what comes after the block reaches nobody.
            base_url=f"https://sandbox-{number}.invalid/api/v1",
            idempotency_header=header,
            **options,
        )
        given = {**_answered(imitation), "IDEMPOTENCY_HEADER": header}
    own = {name: value for name, value in settings.items() if name != "ACCOUNTS"}
    try:
        with (
            override_settings(**{conf.SETTING: {**given, **own}}),
            connections.mounted(imitation.base_url, imitation.adapter()),
        ):
            yield imitation
    finally:
        imitation.stop()


def _answered(imitation: sandboxes.Sandbox) -> dict[str, Any]:
    """Return the settings with every account at the sandbox, which gets those it has not yet."""
    given = {**conf.settings.given, **_account(imitation, "default"), "DISPATCHER": "worker"}
    given["ACCOUNTS"] = {
        alias: {**_own(alias), **_account(imitation, alias)} for alias in _entries(given)
    }
    return given


def _entries(given: Mapping[str, Any]) -> list[str]:
    """Return the aliases that have an entry in ``ACCOUNTS``; ``default`` may be one of them."""
    return [alias for alias in conf.settings.accounts if alias in given.get("ACCOUNTS", {})]


def _own(alias: str) -> dict[str, Any]:
    own = conf.settings.given["ACCOUNTS"][alias]
    # The sandbox knows one name of the header for all.
    return {name: value for name, value in own.items() if name != "IDEMPOTENCY_HEADER"}


def _account(imitation: sandboxes.Sandbox, alias: str) -> dict[str, Any]:
    """Return how to reach an account of the sandbox, made if need be."""
    account = imitation.engine.accounts.get(alias)
    if account is None:
        key = f"{imitation.secret_key}_{len(imitation.engine.accounts)}"
        account = imitation.add_account(alias, key)
    return {
        "SECRET_KEY": account.secret_key,
        "PUBLISHABLE_KEY": account.publishable_key,
        "BASE_URL": imitation.base_url,
    }


class Captured(Sequence[Execution]):
    """The executions queued since it was made, the oldest first, as they are in the database now.

    Args:
        using: The database's alias.
    """

    def __init__(self, using: str) -> None:
        self._rows: ExecutionQuerySet = Execution.objects.using(using).order_by("pk")
        self._rows = self._rows.exclude(pk__in=list(self._rows.values_list("pk", flat=True)))

    def close(self) -> None:
        """Take no further executions in."""
        broken = db.connections[self._rows.db].needs_rollback
        rows = [] if broken else list(self._rows.values_list("pk", flat=True))
        self._rows = Execution.objects.using(self._rows.db).filter(pk__in=rows).order_by("pk")

    @overload
    def __getitem__(self, index: int) -> Execution: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Execution]: ...

    def __getitem__(self, index: int | slice) -> Execution | Sequence[Execution]:
        return list(self._rows.all())[index]

    def __len__(self) -> int:
        return self._rows.count()

    def __repr__(self) -> str:
        return f"<Captured {[str(execution) for execution in self]}>"


@contextmanager
def captured(using: str | None = None) -> Iterator[Captured]:
    """Collect the executions that are queued inside the block; none of them is sent.

    It works where nothing ever commits, and needs no secret key in the settings. What it yields
    is a sequence, as ``mail.outbox`` is, read from the database whenever it is looked at: what
    was rolled back is not in it. ::

        with testing.captured() as executions:
            Order.objects.create(email="ada@example.com")
        assert [e.workflow for e in executions] == ["order-fulfilment"]
        assert executions[0].execution_data["email"] == "ada@example.com"

    Args:
        using: The database's alias; by default the one that the routers name for executions.

    Yields:
        The executions, the oldest first. After the block nothing is added any more.
    """
    given = conf.settings.given
    key = given.get("SECRET_KEY") or KEY
    changed = {**given, "SECRET_KEY": key, "DISPATCHER": "worker"}
    owns = {alias: given["ACCOUNTS"][alias] for alias in _entries(given)}
    changed["ACCOUNTS"] = {
        alias: {**own, "SECRET_KEY": own.get("SECRET_KEY") or key} for alias, own in owns.items()
    }
    with override_settings(**{conf.SETTING: changed}):
        executions = Captured(_alias(using))
        yield executions
        executions.close()


def deliver(using: str | None = None) -> int:
    """Send every queued execution now, on the test's own connection.

    It is what a worker does: claim, POST, record, and run the receivers. Neither a back-off nor
    ``Retry-After`` is waited for, so that each call is one more try; what is scheduled with
    ``run_at`` for later stays queued. ::

        sandbox.faults.add("503")
        testing.deliver()  # refused: the execution is queued again
        testing.deliver()  # accepted

    Args:
        using: The database's alias; by default the one that the routers name for executions.

    Returns:
        How many executions were worked on.

    Raises:
        RuntimeError: There is no sandbox: the API itself would be called.
    """
    return _take_turns(Q(status=Status.QUEUED), _alias(using))


def sync(using: str | None = None) -> int:
    """Ask after every running execution now, on the test's own connection.

    It is what a worker does once the time has come: GET, record, and run the receivers. Put the
    sandbox's clock forward first, if the workflow waits for something. ::

        sandbox.advance(3600)
        testing.sync()
        execution.refresh_from_db()
        assert execution.progress == 0.5

    Args:
        using: The database's alias; by default the one that the routers name for executions.

    Returns:
        How many executions were worked on.

    Raises:
        RuntimeError: There is no sandbox: the API itself would be called.
    """
    return _take_turns(~Q(status=Status.QUEUED), _alias(using))


def finish(sandbox: sandboxes.Sandbox, using: str | None = None) -> None:
    """Deliver and sync, and put the sandbox's clock forward, until every execution has ended.

    What receivers start on the way is run to its end as well. What is scheduled with ``run_at``
    for later stays queued. ::

        order = Order.objects.create(email="ada@example.com")
        testing.finish(sandbox)
        order.refresh_from_db()
        assert order.fulfilled

    Args:
        sandbox: What answers.
        using: The database's alias; by default the one that the routers name for executions.

    Raises:
        AssertionError: Some executions do not end; the message names one and its last error.
        RuntimeError: There is no sandbox: the API itself would be called.
    """
    alias = _alias(using)
    for _ in range(ROUNDS):
        deliver(alias)
        sandbox.finish()
        sync(alias)
        left = list(_waiting(alias))
        if not left:
            return
    raise AssertionError(
        f"{len(left)} executions have not ended after {ROUNDS} rounds; the first is {left[0]}, "
        f"which is {left[0].status}. {left[0].last_error or 'Its workflow waits for something.'}"
    )


def _require_sandbox(alias: str) -> None:
    url = conf.account(alias).base_url
    # Whoever has set another URL has a server of the test's own there.
    if url == conf.DEFAULTS["BASE_URL"] and not connections.is_mounted(alias):
        raise RuntimeError(
            f"This test would call {url} itself: there is no "
            "testing.sandbox() around it, or settings that were changed inside took its place. "
            "Give those to it: testing.sandbox(settings={…})."
        )


def _alias(using: str | None) -> str:
    return using or db.router.db_for_write(Execution)


def _waiting(using: str) -> ExecutionQuerySet:
    """Return what waits for a worker: not what is at rest, in other hands, or for later."""
    now = timezone.now()
    return Execution.objects.using(using).filter(
        Q(claim="") | Q(due_at__lte=now),
        Q(run_at=None) | Q(run_at__lte=now),
        due_at__isnull=False,
    )


def _take_turns(which: Q, using: str) -> int:
    rows = _waiting(using).filter(which).order_by("pk")
    ids: Collection[Any] = list(rows.values_list("pk", flat=True))
    # What has ended is only announced.
    called = rows.exclude(status__in=sorted(FINAL)).values_list("account", flat=True)
    for alias in {*called}.intersection(conf.settings.accounts):
        _require_sandbox(alias)
    rows.update(due_at=timezone.now())
    worker = Worker(aliases=[using])
    # One at a time, so that receivers see them in order.
    return sum(worker.run_inline(using, [pk]) for pk in ids)
