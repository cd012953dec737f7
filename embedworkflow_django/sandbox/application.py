"""Answers calls as the hosted API does, with authentication, idempotency, faults and a log."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from . import authoring, endpoints, faults, idempotency, messages, records
from . import engine as engines

IDEMPOTENCY_HEADER = "Idempotency-Key"
CALLS_KEPT = 10_000


@dataclass(slots=True, kw_only=True)
class ReceivedCall:
    """One line of the log: what came in, and what was answered.

    `status` is the answer's status, or None when no answer was meant to arrive. `faults` names what
    went wrong on demand, `replayed` tells whether the answer came from the idempotency ledger.
    """

    at: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    account: str | None
    idempotency_key: str | None
    request_id: str
    status: int | None = None
    execution_id: str | None = None
    replayed: bool = False
    faults: tuple[str, ...] = field(default=())


class Application:
    """The API over an engine: ask it with `answer`, or serve it as a WSGI application.

    Args:
        engine: What it fronts.
        idempotency_header: Name of the header that carries the key; the real one is not known.
        calls_kept: How many calls the log keeps.
    """

    def __init__(
        self,
        engine: engines.Engine,
        *,
        idempotency_header: str = IDEMPOTENCY_HEADER,
        calls_kept: int = CALLS_KEPT,
    ) -> None:
        self.engine = engine
        self.faults = faults.Faults(engine.rng)
        self.ledger = idempotency.Ledger(engine.clock)
        self.calls: deque[ReceivedCall] = deque(maxlen=calls_kept)
        self._header = idempotency_header.lower()

    def answer(self, call: messages.Call) -> messages.Answer:
        """Answer one call; what goes wrong on the wire is left to whoever carries the answer."""
        account = self._account(call)
        received = self._received(call, account)
        path = call.path.removeprefix(messages.BASE_PATH)
        met = self.faults.meet(call.method, path, received.account or "")
        received.faults = tuple(fault.kind for fault in met)
        exchange = _Exchange(call, account, received)
        answer = self._faulty(exchange, met) if met else self._work(exchange)
        answer.headers.append(("X-Request-Id", received.request_id))
        received.status = answer.status if answer.wire in ("", "truncated") else None
        return answer

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Serve as WSGI; of the faults on the wire, every one breaks the connection off."""
        answer = self.answer(_call(environ))
        if answer.wire:
            raise ConnectionAbortedError(f"Fault on demand: {answer.wire}")
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
        ]
        start_response(f"{answer.status} {phrase(answer.status)}", headers)
        return [answer.body]

    def _account(self, call: messages.Call) -> records.Account | None:
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.engine.account_by_key(key.strip())

    def _received(self, call: messages.Call, account: records.Account | None) -> ReceivedCall:
        received = ReceivedCall(
            at=self.engine.clock.now(),
            method=call.method,
            path=call.path,
            query=call.query,
            headers=messages.without_key(call.headers),
            body=call.body,
            account=account.name if account else None,
            idempotency_key=call.headers.get(self._header),
            request_id=str(uuid.uuid4()),
        )
        self.calls.append(received)
        return received

    def _faulty(self, exchange: _Exchange, met: list[faults.Fault]) -> messages.Answer:
        """Answer a call that meets faults: wait, work, and spoil the answer, as they say."""
        ending = next((fault for fault in met if not fault.delays), None)
        delays = [fault for fault in met if fault.delays]
        patience = exchange.call.patience
        # Someone who will have hung up by then is told so at once, and nobody sleeps.
        gone = patience is not None and sum(fault.waits for fault in delays) > patience
        if gone:
            delays = []
        exchange.slow = [fault for fault in delays if fault.kind == "slow"]
        latency = [fault for fault in delays if fault.kind == "latency"]
        self._wait(exchange, [fault for fault in latency if not fault.after])
        answer = None
        if ending is None or ending.is_after_work:
            answer = self._work(exchange)
        self._wait(exchange, [fault for fault in latency if fault.after])
        if ending is not None:
            answer = ending.answer(answer)
        assert answer is not None  # noqa: S101  # no ending fault means that work was done
        if gone:
            answer.wire = "lost"
        return answer

    def _wait(self, exchange: _Exchange, met: list[faults.Fault]) -> None:
        """Really wait, unless time stands still and the caller is in this very process."""
        for fault in met:
            if fault.until is not None:
                fault.until.wait(fault.seconds)
            elif not (exchange.call.in_process and self.engine.clock.frozen):
                time.sleep(fault.seconds)

    def _work(self, exchange: _Exchange) -> messages.Answer:
        call, received = exchange.call, exchange.received
        try:
            received.body = messages.read_body(call)
            route, request = self._request(exchange)
            key = received.idempotency_key
            if not key or call.method not in idempotency.METHODS:
                return self._view(exchange, route, request)
            scope = (request.account.id, call.path, key)
            kept = self.ledger.claim(scope)
            if kept is not None:
                return _replay(kept, received)
            return self._view_once(scope, exchange, route, request)
        except messages.ApiError as problem:
            return messages.Answer.of(problem.status, problem.document)

    def _request(self, exchange: _Exchange) -> tuple[endpoints.Route, endpoints.Request]:
        call, account = exchange.call, exchange.account
        found = endpoints.find(call.method, call.segments or [])
        if account is None and found is not None and found[0].path == "hooks/*/catch":
            # Whether the hook needs the key is unknown: it is taken with and without one.
            account = next(iter(self.engine.accounts.values()))
        if account is None:
            raise messages.ApiError.unauthorized()
        if found is None:
            raise messages.ApiError.not_found()
        route, params = found
        query = messages.read_form(call.query) if call.query else {}
        body = exchange.received.body
        return route, endpoints.Request(self.engine, account, params, query, body)

    def _view_once(
        self,
        scope: idempotency.Scope,
        exchange: _Exchange,
        route: endpoints.Route,
        request: endpoints.Request,
    ) -> messages.Answer:
        """Work under a key just claimed, and keep what is answered for the next one."""
        answer = None
        try:
            answer = self._view(exchange, route, request)
        finally:
            if answer is None:
                self.ledger.release(scope)
            else:
                kept = messages.Answer(answer.status, answer.body)
                self.ledger.keep(scope, kept, request.execution_id)
        return answer

    def _view(
        self, exchange: _Exchange, route: endpoints.Route, request: endpoints.Request
    ) -> messages.Answer:
        self._wait(exchange, exchange.slow)
        try:
            with self.engine.lock:
                status, document = route.view(request)
        except engines.NotFoundError:
            problem = messages.ApiError.not_found()
        except authoring.InvalidWorkflowError as error:
            problem = messages.ApiError.invalid(**{error.field: error.sentence})
        except messages.ApiError as error:
            problem = error
        else:
            exchange.received.execution_id = request.execution_id
            return messages.Answer.of(status, document)
        return messages.Answer.of(problem.status, problem.document)


@dataclass(slots=True)
class _Exchange:
    """A call on its way through the application."""

    call: messages.Call
    account: records.Account | None
    received: ReceivedCall
    slow: list[faults.Fault] = field(default_factory=list)


def _replay(kept: idempotency.Kept, received: ReceivedCall) -> messages.Answer:
    if kept.answer is None:
        raise messages.ApiError(409, {"error": "the first call is still running"})
    received.replayed = True
    received.execution_id = kept.execution_id
    return messages.Answer(kept.answer.status, kept.answer.body)


def phrase(status: int) -> str:
    """Return the words that belong to a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _call(environ: dict[str, Any]) -> messages.Call:
    length = environ.get("CONTENT_LENGTH") or "0"
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    return messages.Call(
        method=environ["REQUEST_METHOD"],
        path=quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), safe="/"),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=environ["wsgi.input"].read(int(length)),
    )
