"""Every error that this package raises at run time, as one tree that says what may be done next.

::

    EmbedWorkflowError
    ├── InvalidExecution (ValueError)         refused before a row is written or a byte is sent
    │   └── UnencodableData (TypeError)       names the path inside the data
    ├── InvalidTransition                     the execution's state does not allow the verb
    └── APIError                              status_code, request_id, body, message, retry_after
        ├── NotSent                           the request was surely not received      retry
        ├── AnswerLost                        it may have been received                ambiguous
        ├── InvalidAnswer                     it was received, the answer is garbage   ambiguous
        ├── UnexpectedRedirect      3xx
        ├── BadRequest              400
        ├── AuthenticationError     401       the account's fault
        ├── PermissionDenied        403       the account's fault
        ├── NotFound                404       gone
        ├── RequestTimeout          408       ambiguous
        ├── Conflict                409       ambiguous: the first one is still running
        ├── Gone                    410       gone
        ├── UnprocessableEntity     422
        ├── TooEarly                425       retry
        ├── RateLimited             429       retry
        ├── RequestRejected         other 4xx
        ├── ServiceUnavailable      503       retry
        └── ServerError             other 5xx ambiguous

Whoever handles an ``APIError`` asks its four flags and needs no status code:

``retryable``
    The same call, sent again later, may succeed.
``ambiguous``
    The call may have had its effect although no usable answer came. Whatever is ambiguous is
    retryable too, but only under the same idempotency key; so ask ``ambiguous`` first.
``account_fault``
    The account is not let in; every other call of the account will fail the same way.
``gone``
    The addressed object does not exist, or no longer.

The docstring of a class is its message where the API gave none.
"""

# ruff: noqa: N818 -- an error is called by what happened.
from __future__ import annotations

import re
from typing import ClassVar

__all__ = [
    "APIError",
    "AnswerLost",
    "AuthenticationError",
    "BadRequest",
    "Conflict",
    "EmbedWorkflowError",
    "Gone",
    "InvalidAnswer",
    "InvalidExecution",
    "InvalidTransition",
    "NotFound",
    "NotSent",
    "PermissionDenied",
    "RateLimited",
    "RequestRejected",
    "RequestTimeout",
    "ServerError",
    "ServiceUnavailable",
    "TooEarly",
    "UnencodableData",
    "UnexpectedRedirect",
    "UnprocessableEntity",
]

# What a gateway answers when the API behind it does not.
_GATEWAY = frozenset({502, 503, 504})
MAX_BODY = 2_000
MAX_MESSAGE = 500


class EmbedWorkflowError(Exception):
    """Something about a workflow execution went wrong."""

    def __init__(self, message: object = "") -> None:
        self.message = str(message) or type(self).__doc__ or type(self).__name__
        super().__init__(self.message)


class InvalidExecution(EmbedWorkflowError, ValueError):
    """This execution makes no sense."""

    def __init__(self, message: object = "", *, argument: str = "") -> None:
        """Keep which argument makes none.

        Args:
            message: The sentence to show.
            argument: The argument's name, as ``execute`` calls it; empty if it is not one alone.
        """
        super().__init__(message)
        self.argument = argument


class UnencodableData(InvalidExecution, TypeError):
    """The data cannot be written as JSON.

    Args:
        message: The sentence to show.
        path: Where in the data the offender is, such as ``data["lines"][2]``; empty if unknown.
    """

    def __init__(
        self, message: object = "The data cannot be written as JSON.", *, path: str = ""
    ) -> None:
        super().__init__(message, argument="data")
        self.path = path


class InvalidTransition(EmbedWorkflowError):
    """The execution's state does not allow this."""


class APIError(EmbedWorkflowError):
    """The API did not do what it was asked."""

    retryable: ClassVar[bool] = False
    ambiguous: ClassVar[bool] = False
    account_fault: ClassVar[bool] = False
    gone: ClassVar[bool] = False

    def __init__(
        self,
        message: object = "",
        *,
        method: str = "",
        path: str = "",
        status_code: int | None = None,
        request_id: str = "",
        body: str = "",
        retry_after: float | None = None,
    ) -> None:
        """Keep what is known of the call that failed.

        Args:
            message: The API's own words; the class's docstring if it had none.
            method: The request's method.
            path: The request's path below the base URL, without its query.
            status_code: The answer's status; None if there was no answer.
            request_id: The API's ``x-request-id``, for its support.
            body: The answer's body as text; its first 2,000 characters are kept.
            retry_after: Seconds to wait before the next attempt, if the API said so.
        """
        super().__init__(printable(str(message).strip()[:MAX_MESSAGE])[:MAX_MESSAGE])
        self.method = method
        self.path = printable(path)
        self.status_code = status_code
        self.request_id = printable(request_id[:MAX_MESSAGE])[:MAX_MESSAGE]
        self.body = printable(body[:MAX_BODY], keep="\n\t")[:MAX_BODY]
        self.retry_after = retry_after

    @property
    def away(self) -> bool:
        """Whether the API could not be reached, or only a gateway in front of it."""
        return isinstance(self, (NotSent, AnswerLost)) or self.status_code in _GATEWAY

    def __str__(self) -> str:
        where = f"{self.method} {self.path}".strip()
        what = " ".join(str(part) for part in (self.status_code, self.message) if part)
        request = f" (request id {self.request_id})" if self.request_id else ""
        return f"{where}: {what}{request}" if where else f"{what}{request}"


class NotSent(APIError):
    """The request was surely not received."""

    retryable = True


class AnswerLost(APIError):
    """The request may have been received, but its answer was lost."""

    retryable = True
    ambiguous = True


class InvalidAnswer(APIError):
    """The answer makes no sense."""

    retryable = True
    ambiguous = True


class UnexpectedRedirect(APIError):
    """The API redirects elsewhere, and the secret key is never taken along."""


class BadRequest(APIError):
    """The API could not read the request."""


class AuthenticationError(APIError):
    """The API does not accept the secret key."""

    account_fault = True


class PermissionDenied(APIError):
    """The API does not allow this account to do that."""

    account_fault = True


class NotFound(APIError):
    """The API knows no such object."""

    gone = True


class RequestTimeout(APIError):
    """The API did not wait for the whole request."""

    retryable = True
    ambiguous = True


class Conflict(APIError):
    """The API is still busy with the first request under this idempotency key."""

    retryable = True
    ambiguous = True


class Gone(APIError):
    """The object existed once, but no longer."""

    gone = True


class UnprocessableEntity(APIError):
    """The API read the request but refuses its content."""


class TooEarly(APIError):
    """The API asks for the same request again, a little later."""

    retryable = True


class RateLimited(APIError):
    """The API has had too many requests."""

    retryable = True


class RequestRejected(APIError):
    """The API refuses the request."""


class ServiceUnavailable(APIError):
    """The API is not available now."""

    retryable = True


class ServerError(APIError):
    """The API failed while it handled the request."""

    retryable = True
    ambiguous = True


# Those that embed, override and isolate; see UAX #9. Its marks stay, since they turn nothing around
# them, and are a part of names in Arabic and Hebrew.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def escape_bidi(text: str) -> str:
    r"""Escape what turns the direction of text: shown by its number, ``\u202e``, it turns nothing.

    Isolating such text does not hold: it may close the isolate, in ``<bdi>`` as well.

    Args:
        text: Any text, from a server or a person that is not trusted.
    """
    return _BIDI.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable(text: str, *, keep: str = "") -> str:
    r"""Escape what could forge a line of a log, or be refused by a database: ``\n``, NUL and kin.

    Args:
        text: Any text, from a server that is not trusted.
        keep: Characters to leave as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
