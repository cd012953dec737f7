"""The client: one account's key and limits, and the resources that it speaks for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from .credentials import SecretKey
from .executions import Executions
from .integrations import Integrations
from .transport import Transport
from .users import Users
from .workflows import Workflows

DEFAULT_BASE_URL = "https://embedworkflow.com/api/v1"
DEFAULT_TIMEOUT = (3.05, 20.0)
DEFAULT_IDEMPOTENCY_HEADER = "Idempotency-Key"
DEFAULT_MAX_ANSWER_SIZE = 10 * 1024 * 1024

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Headers that mean something else, in small letters.
TAKEN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)


class Client(Workflows, Executions, Users, Integrations):
    """Speaks to one account of the hosted API.

    It is safe to share between threads and after a fork: every thread has a kept-alive connection
    of its own. Proxies and certificates are taken from the environment as requests does, when a
    thread makes its first call. Redirects are never followed.

    >>> with Client(secret_key="sk_test_…") as client:
    ...     client.execute_workflow("welcome-email", id_type="key")
    """

    # A traceback shows a client that could not be made, too.
    _base_url = ""

    def __init__(
        self,
        *,
        secret_key: str,
        base_url: str = DEFAULT_BASE_URL,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        idempotency_header: str = DEFAULT_IDEMPOTENCY_HEADER,
        max_answer_size: int = DEFAULT_MAX_ANSWER_SIZE,
        adapters: Mapping[str, BaseAdapter] | None = None,
    ) -> None:
        """Check the arguments; nothing is sent.

        Args:
            secret_key: The account's secret key; it also chooses test or live.
            base_url: Where the API lives.
            timeout: Seconds to wait for a connection, and then for the whole of an answer.
            idempotency_header: The header that carries the idempotency key. The documentation says
                that there is one, but not its name.
            max_answer_size: The largest answer that is read, in bytes.
            adapters: requests adapters by the prefix of the URLs that they serve, such as a
                sandbox's; they stay the caller's to close.

        Raises:
            ValueError: an argument makes no sense; the sentence names it and never shows the key.
        """
        secret = SecretKey(secret_key)
        # What is raised below shows this frame to whoever looks at a traceback's locals.
        del secret_key
        secret.check()
        self._base_url = _checked_base_url(base_url)
        self._transport = Transport(
            secret=secret,
            base_url=self._base_url,
            timeout=_checked_timeout(timeout),
            idempotency_header=_checked_header(idempotency_header),
            max_answer_size=_checked_size(max_answer_size),
            adapters=dict(adapters or {}),
        )

    def __repr__(self) -> str:
        return f"Client(base_url={self._base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every thread's connections; a later call opens new ones."""
        self._transport.close()


def _checked_base_url(base_url: Any) -> str:
    """Return the URL as it is sent, without a slash at its end."""
    if not isinstance(base_url, str):
        raise ValueError("base_url must be a string such as https://embedworkflow.com/api/v1.")  # noqa: TRY004
    if re.search(r"[\s\x00-\x1f\x7f]", base_url):
        raise ValueError("base_url holds a space or a control character.")
    try:
        parts = urlsplit(base_url)
        names_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("base_url is no URL: its host or port cannot be read.") from None
    if "@" in parts.netloc:
        raise ValueError("base_url holds a user name or password; the secret key is all it takes.")
    if parts.scheme not in {"http", "https"} or not names_host:
        raise ValueError("base_url must start with https:// (or http://) and name a host.")
    if "?" in base_url or "#" in base_url:
        raise ValueError("base_url must end before any ? or #.")
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(base_url, None)
    except ValueError:
        raise ValueError("base_url is no URL: its host cannot be read.") from None
    return str(prepared.url).rstrip("/")


def _checked_timeout(timeout: Any) -> tuple[float, float]:
    values = tuple(timeout) if isinstance(timeout, tuple | list) else ()
    if len(values) != 2 or not all(map(_is_positive, values)):  # noqa: PLR2004
        raise ValueError(f"timeout {timeout!r} must be two positive numbers: (connect, read).")
    return values


def _is_positive(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0  # type: ignore[arg-type,operator]


def _checked_header(name: Any) -> str:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"idempotency_header {name!r} is no name of a header.")
    if name.lower() in TAKEN_HEADERS:
        raise ValueError(f"idempotency_header {name!r} is a header with another meaning.")
    return name


def _checked_size(size: Any) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise ValueError(f"max_answer_size {size!r} must be a positive number of bytes.")
    return size
