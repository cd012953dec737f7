"""The package's own connections, whose other end has already answered: no server, no port."""

from __future__ import annotations

import contextlib
import re
import socket
import uuid
from collections.abc import Callable
from typing import Any

from urllib3.connectionpool import HTTPConnectionPool

from embedworkflow_django.client.connection import PlainConnection, TimedAdapter

#: What the other end may write before anybody reads.
BUFFER = 4_000_000
_ASKED = re.compile(r"/executions/([^/?]+)$")


class ScriptedAdapter(TimedAdapter):
    """The package's adapter over socket pairs.

    Args:
        answer: Gives the bytes to answer with, for the id of the execution that is asked after.
    """

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have all connections answered."""
        super().init_poolmanager(*args, **kwargs)
        answer = self._answer

        class Connection(PlainConnection):
            _other_end: socket.socket | None = None

            def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
                asked = _ASKED.search(url)
                self._said = answer(asked[1] if asked else str(uuid.uuid4()))
                if self.sock is not None:
                    self.close()
                super().request(method, url, *args, **kwargs)

            def connect(self) -> None:
                self.sock, self._other_end = socket.socketpair()
                self._other_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
                self.sock.settimeout(self.timeout)
                self._other_end.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    self._other_end.sendall(self._said)
                self._other_end.shutdown(socket.SHUT_WR)

            def close(self) -> None:
                super().close()
                if self._other_end is not None:
                    self._other_end.close()

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {"http": Pool}
