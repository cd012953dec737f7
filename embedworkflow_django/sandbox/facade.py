"""Gathers engine, application, server and adapter in one object: the sandbox that people use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import application, authoring, events, examples, messages, nodes, outgoing, records, server
from . import clock as clocks
from . import engine as engines

if TYPE_CHECKING:
    from . import adapter as adapters

#: Base URL while no server runs: only the adapter answers there; nothing listens on port 1.
UNSERVED_URL = f"http://127.0.0.1:1{messages.BASE_PATH}"


class Sandbox:
    """The hosted API, imitated: over HTTP, in process, or without HTTP at all.

    Args:
        secret_key: Key of the first account; its publishable key differs in the prefix only.
        clock: Tells the time; the machine's clock when omitted.
        frozen: Whether time stands still until `advance` is called (in place of *clock*); e-mails
            and webhooks then go out during `advance` and `finish` only, in the caller's thread.
        time_scale: How many seconds of a workflow pass in one second of the clock, more than 0.
        deliver: Called with every e-mail that a workflow sends, from a thread of the sandbox's
            while the clock runs.
        allow_hosts: Hosts beyond loopback that webhooks may call; `*` is any.
        webhook_timeout: Seconds that a called server may take.
        webhook_url: Where the example workflows report to.
        idempotency_header: Name of the header that carries the idempotency key.
        calls_kept: How many received calls are remembered.
        seed: Makes ids and rates of faults repeatable.
        host: Address that `start` listens on.
        port: Port that `start` listens on; 0 takes a free one.
        certificate: PEM file with a certificate and its private key, for `start` to serve over TLS.
        base_url: What `base_url` says while no server runs.
    """

    def __init__(
        self,
        *,
        secret_key: str = engines.DEFAULT_SECRET_KEY,
        clock: clocks.Clock | None = None,
        frozen: bool = False,
        time_scale: float = 1.0,
        deliver: Callable[[nodes.Email], object] | None = None,
        allow_hosts: Collection[str] = (),
        webhook_timeout: float = outgoing.DEFAULT_TIMEOUT,
        webhook_url: str = "",
        idempotency_header: str = application.IDEMPOTENCY_HEADER,
        calls_kept: int = application.CALLS_KEPT,
        seed: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: str | None = None,
        base_url: str = UNSERVED_URL,
    ) -> None:
        self.engine = engines.Engine(
            clock=clock or (clocks.ManualClock() if frozen else None),
            time_scale=time_scale,
            deliver=deliver,
            allow_hosts=allow_hosts,
            webhook_timeout=webhook_timeout,
            seed=seed,
        )
        self.app = application.Application(
            self.engine, idempotency_header=idempotency_header, calls_kept=calls_kept
        )
        self.faults = self.app.faults
        self.account = self.engine.add_account(secret_key=secret_key)
        self._address = (host, port, certificate)
        self._unserved_url = base_url
        self._server: server.Server | None = None
        if webhook_url:
            self.account.data["webhook_url"] = webhook_url

    def __repr__(self) -> str:
        return f"<Sandbox {self.base_url}>"

    # Serving

    @property
    def base_url(self) -> str:
        """Return the URL below which the API is found."""
        return self._server.base_url if self._server else self._unserved_url

    @property
    def secret_key(self) -> str:
        """Return the first account's secret key."""
        return self.account.secret_key

    @property
    def publishable_key(self) -> str:
        """Return the first account's publishable key."""
        return self.account.publishable_key

    def start(self) -> Self:
        """Serve over HTTP from threads of this process, until `stop`."""
        if self._server is None:
            self._server = server.Server(self.app, *self._address)
            serve = threading.Thread(
                target=self._server.serve_forever, args=(0.05,), name="sandbox", daemon=True
            )
            serve.start()
        self.engine.runner.run_in_background()
        return self

    def stop(self) -> None:
        """Stop serving and end all threads; what is remembered stays."""
        served, self._server = self._server, None
        if served is not None:
            served.stop()
        self.engine.runner.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def adapter(self) -> adapters.SandboxAdapter:
        """Return a transport adapter for `requests` that answers in process.

        Unless the clock stands still, executions move on in the background until `stop`.
        """
        from . import adapter as adapters  # noqa: PLC0415  # all else runs without requests

        self.engine.runner.run_in_background()
        return adapters.SandboxAdapter(self.app)

    # Furnishing

    def add_account(self, name: str, secret_key: str) -> records.Account:
        """Add another account with keys and contents of its own."""
        return self.engine.add_account(name, secret_key)

    def add_user(self, key: str, **fields: Any) -> records.User:
        """Add or change a user of the first account (`name`, `email`, `data`, …)."""
        return self.engine.upsert_user(self.account, key, fields)

    def add_workflow(
        self,
        key: str,
        template: Mapping[str, Any] | None = None,
        *,
        nodes: list[dict[str, Any]] | None = None,
        edges: list[str] | None = None,
        name: str | None = None,
        on: bool = True,
        user_key: str = records.MAIN_USER,
        event: str | None = None,
        conditions: list[dict[str, Any]] | None = None,
        match: str = "all",
        stop_event: str | None = None,
        account: records.Account | None = None,
    ) -> records.Workflow:
        """Add a published workflow.

        Args:
            key: Its key; "order-fulfilment" and such.
            template: `nodes` and `edges`, as in the API; or give them as arguments.
            nodes: The template's nodes; without any, executions complete at once.
            edges: The template's edges, `from-to`.
            name: Its name; made from the key when omitted.
            on: Whether events start it.
            user_key: Its owner, made if need be.
            event: The event that starts it.
            conditions: What must hold for the event to start it.
            match: Whether `all` or `any` of them must.
            stop_event: The event that stops its executions.
            account: Its account; the first one when omitted.

        Raises:
            authoring.InvalidWorkflowError: The template is no graph, or the key is taken.
        """
        account = account or self.account
        given = {"nodes": nodes or [], "edges": edges or []} if template is None else template
        workflow = authoring.create(
            self.engine,
            account,
            account.user(user_key) or self.engine.upsert_user(account, user_key, {}),
            {
                "name": name or key.replace("-", " ").replace("_", " ").capitalize(),
                "key": key,
                "on": on,
                "template_draft": dict(given),
                "event_trigger_draft": event,
                "match_conditions_draft": match if conditions else None,
                "trigger_conditions_draft": {"conditions": conditions} if conditions else {},
                "stop_event": stop_event,
            },
        )
        return authoring.publish(self.engine, workflow)

    def add_examples(self) -> list[records.Workflow]:
        """Add the shop's workflows of `examples`."""
        return [self.add_workflow(k, template, name=n) for k, n, template in examples.WORKFLOWS]

    def add_trigger(self, event: str, **fields: Any) -> records.Trigger:
        """Register an event of the first account (`title`, `data_input_schema`, …)."""
        return events.add_trigger(self.engine, self.account, event, **fields)

    # Looking

    @property
    def requests(self) -> list[application.ReceivedCall]:
        """Return the received calls, the oldest first; at most `calls_kept` of them."""
        return list(self.app.calls)

    @property
    def executions(self) -> list[records.Execution]:
        """Return all executions of all accounts as they stand by now, the oldest first."""
        with self.engine.lock:
            found = [e for account in self.engine.accounts.values() for e in account.executions]
            for execution in found:
                self.engine.runner.catch_up(execution)
            return sorted(found, key=lambda execution: execution.id)

    @property
    def emails(self) -> list[nodes.Email]:
        """Return the e-mails that workflows have sent."""
        return list(self.engine.emails)

    def execution(self, execution_id: str) -> records.Execution:
        """Return one execution of any account as it stands by now.

        Raises:
            LookupError: There is none.
        """
        for account in self.engine.accounts.values():
            if account.executions.get(execution_id) is not None:
                return self.engine.find_execution(account, execution_id)
        raise engines.NotFoundError(f"execution {execution_id}")

    # Acting

    def execute(
        self,
        key: str,
        data: Mapping[str, Any] | None = None,
        *,
        user_key: str = records.MAIN_USER,
        starts_in: float = 0.0,
    ) -> records.Execution:
        """Start a workflow of the first account by its key, without HTTP."""
        workflow = self.engine.find_workflow(self.account, key, id_type="key", user_key=user_key)
        return self.engine.execute(self.account, workflow, data, starts_in=starts_in)

    def advance(self, seconds: float = 0.0) -> None:
        """Put the clock forward and let all happen that is due by then, webhooks included."""
        self.engine.advance(seconds)

    def finish(self) -> None:
        """Put the clock forward until every execution has ended."""
        self.engine.finish()

    def set_status(self, execution_id: str, status: str) -> None:
        """Force an execution's status, to any word; it does not move on any more."""
        with self.engine.lock:
            execution = self.execution(execution_id)
            self.engine.runner.halt(execution, status)
            execution.is_held = True

    def reset(self) -> None:
        """Forget calls, executions, e-mails, idempotency keys and faults; all else stays."""
        self.engine.forget_runs()
        self.app.ledger.clear()
        self.app.calls.clear()
        self.faults.clear()
