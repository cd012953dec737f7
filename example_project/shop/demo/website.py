"""The shop on a port of this machine, served by a thread of this process."""

from __future__ import annotations

import errno
import logging
import threading

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

HOST = "127.0.0.1"


class Website:
    """Takes its port at once, and answers once it is started.

    Args:
        port: The port; 0 takes a free one.

    Raises:
        CommandError: The port cannot be had.
    """

    def __init__(self, port: int) -> None:
        try:
            self._server = ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
        except (OSError, OverflowError) as error:
            raise CommandError(_refusal(port, error)) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="website", daemon=True
        )
        self.url = f"http://{HOST}:{self._server.server_port}"

    def start(self) -> None:
        """Answer requests, and tell the log of those only that went wrong."""
        logging.getLogger("django.server").setLevel(logging.WARNING)
        self._server.set_app(StaticFilesHandler(WSGIHandler()))
        self._thread.start()

    def stop(self) -> None:
        """Give the port back."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _refusal(port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use. End what uses it, or choose another port: "
            f"manage.py demo --port {port + 1} (0 takes a free one)."
        )
    return f"Port {port} cannot be used ({error}). Choose another one: manage.py demo --port 0"
