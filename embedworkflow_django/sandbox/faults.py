"""Makes chosen calls go wrong, on demand or at a rate, before or after their work was done.

What a fault can be::

    latency        the answer comes `seconds` later (with `after`, once the work is done)
    slow           the work itself takes `seconds`: a second call under one key meets 409 meanwhile
    100 … 599      this status, with `retry_after`: seconds, `date:<seconds>`, or any text
    lost           the work is done, the answer never comes: the caller's read times out
    reset          the connection is reset before the work; with `after`, once it is done
    refused        no connection comes about (in process; a server resets instead)
    connect_timeout  likewise, and the caller waits in vain
    truncated      the answer breaks off in the middle of its body
    html           an HTML page in place of JSON
    empty          no body
    non_object     JSON, but a list
    garbage        no JSON at all
    oversized      a body of `size` bytes
    unknown_status the execution's status is a word never heard
    wrong_id       the answer carries somebody else's id
    redirect       302 to `location`
"""

from __future__ import annotations

import dataclasses
import email.utils
import fnmatch
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import messages

DELAYS = frozenset({"latency", "slow"})
WIRE = frozenset({"lost", "reset", "refused", "connect_timeout", "truncated"})
#: These come about although, or because, the work was done.
AFTER_WORK = frozenset({"lost", "truncated"})
FIRST_STATUS, LAST_STATUS = 100, 599
MOST = 10**9
UNHEARD_STATUS = "marinating"
HTML_PAGE = b"<!doctype html><title>502</title><h1>Something went wrong</h1>"
STRANGER = "01980228-0000-7000-8000-000000000000"


class UnknownFaultError(ValueError):
    """There is no fault of this kind, or it does not take this option."""


@dataclass(eq=False, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: See the module's list.
        method: Which method it meets; `*` is any.
        path: Pattern of the path below the base, `*` stands for anything.
        account: Name of the account it meets; empty is any.
        times: How many calls it meets before it is over; None is all of them.
        rate: Which share of the matching calls it meets, 0 to 1; None is every one.
        skip: How many matching calls it lets pass first.
        after: Whether the work is done although the call fails.
        seconds: Of latency, of slow work, or that a lost answer keeps the connection open.
        retry_after: `Retry-After`: seconds, `date:<seconds from now>`, or any text.
        status: Status of an answer whose body is replaced; the real one when omitted.
        location: Where a redirect points to.
        size: Bytes of an oversized body.
        until: Event that ends slow work early.
        met: Set once the fault has met a call.
        hits: How many calls it has met.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    account: str = ""
    times: int | None = None
    rate: float | None = None
    skip: int = 0
    after: bool = False
    seconds: float = 0.0
    retry_after: str = ""
    status: int | None = None
    location: str = "https://elsewhere.invalid/"
    size: int = 20_000_000
    until: threading.Event | None = None
    met: threading.Event = field(default_factory=threading.Event)
    hits: int = 0

    @property
    def delays(self) -> bool:
        """Tell whether it only makes the caller wait."""
        return self.kind in DELAYS

    @property
    def waits(self) -> float:
        """Return how many seconds it certainly takes."""
        return 0.0 if self.until is not None else self.seconds

    @property
    def is_after_work(self) -> bool:
        """Tell whether the work is done before things go wrong."""
        return self.after or self.kind in AFTER_WORK or self.kind in SPOILED

    def matches(self, method: str, path: str, account: str) -> bool:
        """Tell whether it could meet this call."""
        return (
            self.method.upper() in ("*", method)
            and self.account in ("", account)
            and fnmatch.fnmatchcase(path, self.path)
        )

    def answer(self, real: messages.Answer | None) -> messages.Answer:
        """Return what is answered in place of the *real* answer, which is None before the work."""
        if self.kind in WIRE:
            answer = real or messages.Answer(503)
            return dataclasses.replace(answer, wire=self.kind, hold=self.seconds)
        spoil = SPOILED.get(self.kind)
        if spoil is not None and real is not None:
            spoiled = spoil(self, real)
            return dataclasses.replace(spoiled, status=self.status or spoiled.status)
        if self.kind == "redirect":
            return messages.Answer(self.status or 302, headers=[("Location", self.location)])
        return self._refusal()

    def _refusal(self) -> messages.Answer:
        status = int(self.kind)
        document = REFUSALS.get(status, {"error": f"status {status} on demand"})
        answer = messages.Answer.of(status, document)
        if self.retry_after:
            answer.headers.append(("Retry-After", _retry_after(self.retry_after)))
        return answer


class Faults:
    """The faults in force; they meet calls in the order in which they were added.

    Args:
        rng: Decides about rates.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._faults))

    def add(self, kind: str | int, **options: Any) -> Fault:
        """Let calls go wrong: the next matching one, unless `times` or `rate` says otherwise.

        Args:
            kind: A status, or a word of this module's list.
            **options: Attributes of `Fault`.

        Raises:
            UnknownFaultError: The kind or an option is not known.
        """
        kind = str(kind)
        if not is_known(kind):
            known = ", ".join(sorted([*DELAYS, *WIRE, *SPOILED, "redirect"]))
            raise UnknownFaultError(
                f'"{kind}" is no fault. Use a status from 100 to 599, or {known}.'
            )
        unknown = set(options) - OPTIONS
        if unknown:
            raise UnknownFaultError(
                f'A fault has no option "{unknown.pop()}". Use {", ".join(sorted(OPTIONS))}.'
            )
        if "times" not in options and "rate" not in options:
            options["times"] = 1
        options["retry_after"] = str(options.get("retry_after", ""))
        fault = Fault(kind=kind, **options)
        with self._lock:
            self._faults.append(fault)
        return fault

    def add_spec(self, spec: str) -> Fault:
        """Add a fault written as `kind,option=value,…`, as on the command line.

        `times=all` meets every call.

        Raises:
            UnknownFaultError: It cannot be read.
        """
        kind, *parts = [part.strip() for part in spec.split(",")]
        options: dict[str, Any] = {}
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals or name not in READERS:
                raise UnknownFaultError(
                    f'"{part}" in "{spec}" is no option. Write option=value, with one of '
                    f"{', '.join(sorted(READERS))}."
                )
            read, what = READERS[name]
            try:
                options[name] = read(value)
            except ValueError:
                raise UnknownFaultError(
                    f'"{value}" in "{spec}" is no value for {name}. Write {what}.'
                ) from None
        return self.add(kind, **options)

    def remove(self, fault: Fault) -> None:
        """Take a fault out of force; it may be over already."""
        with self._lock:
            self._faults = [kept for kept in self._faults if kept is not fault]

    def clear(self) -> None:
        """Take all faults out of force."""
        with self._lock:
            self._faults.clear()

    def meet(self, method: str, path: str, account: str) -> list[Fault]:
        """Return what this call meets: any delays, and at most one fault that ends it."""
        if not self._faults:
            return []
        with self._lock:
            met: list[Fault] = []
            for fault in self._faults:
                if fault.matches(method, path, account) and (
                    fault.delays or all(other.delays for other in met)
                ):
                    self._try(fault, met)
            self._faults = [f for f in self._faults if f.times is None or f.times > 0]
        for fault in met:
            fault.met.set()
        return met

    def _try(self, fault: Fault, met: list[Fault]) -> None:
        if fault.skip:
            fault.skip -= 1
        elif fault.rate is None or self._rng.random() < fault.rate:
            fault.hits += 1
            if fault.times is not None:
                fault.times -= 1
            met.append(fault)


def is_known(kind: str) -> bool:
    """Tell whether there is a fault of this kind."""
    if kind.isdecimal():
        return FIRST_STATUS <= int(kind) <= LAST_STATUS
    return kind in DELAYS or kind in WIRE or kind in SPOILED or kind == "redirect"


def _with_property(name: str, value: str) -> Callable[[Fault, messages.Answer], messages.Answer]:
    def spoil(_: Fault, real: messages.Answer) -> messages.Answer:
        spoiled = messages.Answer.of(real.status, {**json.loads(real.body), name: value})
        return dataclasses.replace(real, body=spoiled.body)

    return spoil


def _with_body(body: bytes, kind: str = messages.JSON) -> Any:
    return lambda _, real: dataclasses.replace(real, body=body, content_type=kind)


#: Kinds that change the real answer's body.
SPOILED: dict[str, Callable[[Fault, messages.Answer], messages.Answer]] = {
    "html": _with_body(HTML_PAGE, "text/html; charset=utf-8"),
    "empty": _with_body(b""),
    "non_object": _with_body(b'["not", "an", "object"]'),
    "garbage": _with_body(b'{"id": "0198\xff'),
    "oversized": lambda fault, real: dataclasses.replace(
        real, body=b'{"filler":"' + b"x" * max(0, fault.size - 13) + b'"}'
    ),
    "unknown_status": _with_property("status", UNHEARD_STATUS),
    "wrong_id": _with_property("id", STRANGER),
}
REFUSALS: dict[int, dict[str, Any]] = {
    400: {"error": "bad request"},
    401: {"error": "unauthorized"},
    404: {"error": "not found"},
    422: {"errors": {"base": ["is invalid"]}},
    429: {"error": "too many requests"},
}
OPTIONS = frozenset(Fault.__dataclass_fields__) - {"kind", "met", "hits"}


def _within(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if least <= value <= most:
            return value
        raise ValueError

    return read


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "1", "on", "false", "0", "off"}:
        raise ValueError
    return messages.flag(text)


_WHOLE = (_within(int, 0, MOST), "a whole number")
_TEXT = (str, "a text")
#: How the value of each option is read, and what it should be.
READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "method": (str.upper, "a method"),
    "path": _TEXT,
    "account": _TEXT,
    "times": (lambda text: None if text == "all" else _within(int, 1, MOST)(text), "1, 2 … or all"),
    "rate": (_within(float, 0, 1), "a number from 0 to 1"),
    "skip": _WHOLE,
    "after": (_flag, "true or false"),
    "seconds": (_within(float, 0, MOST), "a number of seconds"),
    "retry_after": _TEXT,
    "status": (
        _within(int, FIRST_STATUS, LAST_STATUS),
        f"one from {FIRST_STATUS} to {LAST_STATUS}",
    ),
    "location": _TEXT,
    "size": _WHOLE,
}


def _retry_after(text: str) -> str:
    word, colon, seconds = text.partition(":")
    if word != "date" or not colon or not seconds.lstrip("-").isdecimal():
        return text
    # Dates are for the caller, so they follow the machine's clock, not the sandbox's.
    return email.utils.formatdate(time.time() + float(seconds), usegmt=True)
