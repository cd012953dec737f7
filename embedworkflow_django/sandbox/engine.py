"""Imitates the hosted service without HTTP: its accounts, users, executions, and its time.

Every public method takes the engine's lock itself, so all of them may be called from any thread.
"""

from __future__ import annotations

import hmac
import random
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

from . import (
    authoring,
    identifiers,
    nodes,
    outgoing,
    records,
    runner,
)
from . import clock as clocks

DEFAULT_ACCOUNT = "default"
DEFAULT_SECRET_KEY = "sk_test_sandbox"  # noqa: S105  # opens nothing but a sandbox
DEFAULT_TIME_ZONE = "America/New_York"
EMAILS_KEPT = 10_000


class NotFoundError(LookupError):
    """There is no such thing in this account, or it belongs to another user."""


class Engine:
    """All that the sandbox knows and does.

    Args:
        clock: Tells the time; the machine's when omitted.
        time_scale: How many seconds of a workflow pass in one second of the clock.
        deliver: Called with every `nodes.Email`, outside the lock.
        allow_hosts: Hosts beyond loopback that webhooks may call; `*` is any.
        webhook_timeout: Seconds that a called server may take.
        seed: Makes everything random repeatable.
    """

    def __init__(
        self,
        *,
        clock: clocks.Clock | None = None,
        time_scale: float = 1.0,
        deliver: Callable[[nodes.Email], object] | None = None,
        allow_hosts: Collection[str] = (),
        webhook_timeout: float = outgoing.DEFAULT_TIMEOUT,
        seed: int | None = None,
    ) -> None:
        self.clock: clocks.Clock = clock or clocks.SystemClock()
        self.rng = random.Random(seed)  # noqa: S311  # ids and faults, no secrets
        self.lock = threading.RLock()
        self.new_id = identifiers.Uuid7Maker(self.clock, self.rng)
        self.new_hashid = identifiers.HashidMaker()
        self.accounts: dict[str, records.Account] = {}
        self.emails: deque[nodes.Email] = deque(maxlen=EMAILS_KEPT)
        self._deliver = deliver
        self.runner = runner.Runner(
            clock=self.clock,
            lock=self.lock,
            world=nodes.World(self._send, outgoing.Caller(allow_hosts, webhook_timeout)),
            make_action=self._make_action,
            time_scale=time_scale,
        )

    # Accounts and users

    def add_account(
        self,
        name: str = DEFAULT_ACCOUNT,
        secret_key: str = DEFAULT_SECRET_KEY,
        publishable_key: str | None = None,
        time_zone: str = DEFAULT_TIME_ZONE,
    ) -> records.Account:
        """Add an account with its own keys and its user `main`."""
        with self.lock:
            account = records.Account(
                id=self.new_id(),
                name=name,
                secret_key=secret_key,
                publishable_key=publishable_key or "pk_" + secret_key.removeprefix("sk_"),
                settings={**authoring.account_defaults(), "time_zone": time_zone},
            )
            self.accounts[name] = account
            self.upsert_user(account, records.MAIN_USER, {})
            return account

    def account_by_key(self, secret_key: str) -> records.Account | None:
        """Return the account that *secret_key* opens, or None."""
        given = secret_key.encode()
        found = None
        for account in list(self.accounts.values()):
            if hmac.compare_digest(account.secret_key.encode(), given):
                found = account
        return found

    def upsert_user(
        self, account: records.Account, key: str, changes: Mapping[str, Any]
    ) -> records.User:
        """Make or change a user; *changes* not given stay, `data` is merged (assumed)."""
        with self.lock:
            user = account.user(key)
            is_new = user is None
            if user is None:
                user = records.User(
                    id=self.new_id(),
                    key=key,
                    created_at=self.clock.now(),
                    time_zone=account.time_zone,
                    groups=None if key == records.MAIN_USER else [],
                    email=f"no-reply+{self.rng.getrandbits(76):019x}@embedworkflow.com",
                )
                account.add_user(user)
            for name in ("name", "email", "groups", "time_zone"):
                if name in changes:
                    setattr(user, name, changes[name])
            user.data = {**user.data, **(changes.get("data") or {})}
            if is_new:
                authoring.clone_for_new_user(self, account, user)
            return user

    def find_user(self, account: records.Account, key: object) -> records.User:
        """Return the user with this key.

        Raises:
            NotFoundError: There is none.
        """
        user = account.user(str(key))
        if user is None:
            raise NotFoundError(f"user {key}")
        return user

    def delete_user(self, account: records.Account, user: records.User) -> None:
        """Delete *user* and archive what belongs to it."""
        with self.lock:
            for workflow in [found for found in account.workflows if found.user is user]:
                authoring.archive(self, account, workflow)
            account.remove_user(user)

    # Executions

    def find_workflow(
        self,
        account: records.Account,
        identifier: str,
        *,
        id_type: str = "id",
        user_key: str | None = records.MAIN_USER,
    ) -> records.Workflow:
        """Return the workflow with this id, key or hashid; *user_key* None looks at all users'.

        Raises:
            NotFoundError: There is none, or it is another user's (assumed).
        """
        with self.lock:
            user = None if user_key is None else self.find_user(account, user_key)
            if id_type == "id":
                candidates = [account.workflows.get(identifier)]
            else:
                candidates = [w for w in account.workflows if getattr(w, id_type) == identifier]
            for workflow in candidates:
                if workflow is not None and user in (None, workflow.user):
                    return workflow
            raise NotFoundError(f"workflow {identifier}")

    def execute(
        self,
        account: records.Account,
        workflow: records.Workflow,
        data: Any = None,
        *,
        starts_in: float = 0.0,
    ) -> records.Execution:
        """Start *workflow*: the published template, also of one that is off (assumed).

        Args:
            account: Whose workflow it is.
            workflow: What to run.
            data: The execution's data.
            starts_in: Seconds of the workflow until it starts; it is `upcoming` until then.
        """
        with self.lock:
            now = self.clock.now()
            execution = records.Execution(
                id=self.new_id(),
                hashid=self.new_hashid(),
                account=account,
                workflow=workflow,
                layout=workflow.published.template,
                created_at=now,
                execution_data={} if data is None else data,
                status=records.UPCOMING if starts_in else records.RUNNING,
            )
            workflow.executions_count += 1
            account.executions.add(execution)
            self.runner.start(execution, now + starts_in / self.runner.time_scale)
            return execution

    def find_execution(self, account: records.Account, execution_id: str) -> records.Execution:
        """Return an execution as it stands by now.

        Raises:
            NotFoundError: There is none.
        """
        with self.lock:
            execution = account.executions.get(execution_id)
            if execution is None:
                raise NotFoundError(f"execution {execution_id}")
            self.runner.catch_up(execution)
            return execution

    def stop(self, execution: records.Execution) -> records.Execution:
        """Stop *execution* with all its unfinished actions; a final one stays as it is."""
        with self.lock:
            self.runner.catch_up(execution)
            if not execution.is_final:
                self.runner.halt(execution, records.STOPPED)
            return execution

    def stop_by_event(
        self,
        account: records.Account,
        stop_event: str,
        *,
        user_key: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> list[records.Execution]:
        """Stop the executions whose workflow listens to *stop_event* and whose data match."""
        with self.lock:
            return [
                self.stop(execution)
                for execution in account.executions
                if execution.workflow.stop_event == stop_event
                and user_key in (None, execution.workflow.user.key)
                and _matches(execution.execution_data, filters or {})
                and not self._caught_up(execution).is_final
            ]

    # Time

    def advance(self, seconds: float) -> None:
        """Put the clock forward and let happen what is due by then, calls and e-mails included.

        Time passes in steps, from one due moment to the next, so that what a call answers has its
        effect at the moment of the call.
        """
        end = self.clock.now() + seconds
        while self._step(end):
            pass
        self._move_to(end)
        self.runner.settle()

    def finish(self) -> None:
        """Put the clock forward until nothing is planned any more."""
        while self._step(float("inf")):
            pass

    def forget_runs(self) -> None:
        """Forget all executions and e-mails; accounts, users and workflows stay."""
        with self.lock:
            self.runner.forget()
            self.emails.clear()
            for account in self.accounts.values():
                account.executions.clear()
                account.actions.clear()
                for workflow in account.workflows:
                    workflow.executions_count = 0

    def _step(self, end: float) -> bool:
        """Settle, then put the clock forward to what is due next; tell whether that is by *end*."""
        self.runner.settle()
        with self.lock:
            due = self.runner.next_due()
        if due is None or due > end:
            return False
        self._move_to(due)
        return True

    def _move_to(self, moment: float) -> None:
        self.clock.advance(max(0.0, moment - self.clock.now()))
        self.runner.wake()

    def _caught_up(self, execution: records.Execution) -> records.Execution:
        self.runner.catch_up(execution)
        return execution

    def _make_action(self, execution: records.Execution, node: dict[str, Any]) -> records.Action:
        action = records.Action(
            id=self.new_id(), hashid=self.new_hashid(), execution=execution, node=node
        )
        return execution.account.actions.add(action)

    def _send(self, email: nodes.Email) -> None:
        self.emails.append(email)
        if self._deliver is not None:
            self._deliver(email)


def _matches(data: Any, filters: Mapping[str, Any]) -> bool:
    return all(
        isinstance(data, dict) and name in data and data[name] == value
        for name, value in filters.items()
    )
