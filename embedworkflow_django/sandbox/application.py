"""Answers calls as the hosted API does: authentication, idempotency, faults, and a log of it all."""

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
        """Answer one call; what shall go wrong on the wire is left to whoever carries the answer."""
        account = self._account(call)
        received = self._received(call, account)
        path = call.path.removeprefix(messages.BASE_PATH)
        met = self.faults.meet(call.method, path, received.account or "")
        received.faults = tuple(fault.kind for fault in met)
        answer = self._faulty(call, account, received, met) if met else self._work(
            call, account, received, None
        )
        answer.headers.append(("X-Request-Id", received.request_id))
        received.status = None if answer.wire else answer.status
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

    def _faulty(
        self,
        call: messages.Call,
        account: records.Account | None,
        received: ReceivedCall,
        met: list[faults.Fault],
    ) -> messages.Answer:
        """Answer a call that meets faults: wait, work, and spoil the answer, as they say."""
        ending = next((fault for fault in met if not fault.delays), None)
        delays = [fault for fault in met if fault.delays]
        # Someone who will have hung up by then is told so at once, and nobody sleeps.
        gone = call.patience is not None and sum(f.seconds for f in delays) > call.patience
        if gone:
            delays = []
        slow = next((fault for fault in delays if fault.kind == "slow"), None)
        latency = [fault for fault in delays if fault is not slow]
        self._wait(call, [fault for fault in latency if not fault.after])
        answer = None
        if ending is None or ending.is_after_work:
            answer = self._work(call, account, received, slow)
        self._wait(call, [fault for fault in latency if fault.after])
        if ending is not None:
            answer = ending.answer(answer)
        assert answer is not None  # noqa: S101  # no ending fault means that work was done
        if gone:
            answer.wire = "lost"
        return answer

    def _wait(self, call: messages.Call, met: list[faults.Fault]) -> None:
        """Really wait, unless time stands still and the caller is in this very process."""
        for fault in met:
            if fault.until is not None:
                fault.until.wait(fault.seconds)
            elif not (call.in_process and self.engine.clock.frozen):
                time.sleep(fault.seconds)

    def _work(
        self,
        call: messages.Call,
        account: records.Account | None,
        received: ReceivedCall,
        slow: faults.Fault | None,
    ) -> messages.Answer:
        try:
            body = received.body = messages.read_body(call)
            route, request = self._request(call, account, body)
            key = received.idempotency_key
            if not key or call.method not in idempotency.METHODS:
                return self._answer(call, route, request, received, slow)
            scope = (request.account.id, call.path, key)
            return self._once(scope, call, route, request, received, slow)
        except messages.Problem as problem:
            return messages.Answer.of(problem.status, problem.document)

    def _request(
        self, call: messages.Call, account: records.Account | None, body: dict[str, Any]
    ) -> tuple[endpoints.Route, endpoints.Request]:
        found = endpoints.find(call.method, call.segments or [])
        if account is None and found is not None and found[0].path == "hooks/*/catch":
            # Whether the hook needs the key is unknown: it is taken with and without one.
            account = next(iter(self.engine.accounts.values()), None)
        if account is None:
            raise messages.Problem.unauthorized()
        if found is None:
            raise messages.Problem.not_found()
        route, params = found
        query = messages.read_form(call.query) if call.query else {}
        return route, endpoints.Request(self.engine, account, params, query, body)

    def _once(
        self,
        scope: idempotency.Scope,
        call: messages.Call,
        route: endpoints.Route,
        request: endpoints.Request,
        received: ReceivedCall,
        slow: faults.Fault | None,
    ) -> messages.Answer:
        """Work unless the key is taken; replay what was answered then."""
        kept = self.ledger.claim(scope)
        if kept is not None:
            received.replayed = True
            if kept.answer is None:
                raise messages.Problem(409, {"error": "the first call is still running"})
            received.execution_id = kept.execution_id
            return messages.Answer(kept.answer.status, kept.answer.body)
        try:
            answer = self._answer(call, route, request, received, slow)
        except BaseException:
            self.ledger.release(scope)
            raise
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.ledger.release(scope)
        else:
            kept_answer = messages.Answer(answer.status, answer.body)
            self.ledger.keep(scope, kept_answer, request.execution_id)
        return answer

    def _answer(
        self,
        call: messages.Call,
        route: endpoints.Route,
        request: endpoints.Request,
        received: ReceivedCall,
        slow: faults.Fault | None,
    ) -> messages.Answer:
        if slow is not None:
            self._wait(call, [slow])
        try:
            with self.engine.lock:
                status, document = route.view(request)
        except engines.NotFound:
            problem = messages.Problem.not_found()
            return messages.Answer.of(problem.status, problem.document)
        except authoring.Invalid as error:
            problem = messages.Problem.invalid(**{error.field: error.sentence})
            return messages.Answer.of(problem.status, problem.document)
        except messages.Problem as problem:
            return messages.Answer.of(problem.status, problem.document)
        received.execution_id = request.execution_id
        return messages.Answer.of(status, document)


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
