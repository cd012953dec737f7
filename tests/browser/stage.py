"""The shop as a browser meets it: website, worker and sandbox in this process, a fresh database."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "example_project"
# The worker waits for an answer no longer, so that a lost one is soon known to be lost.
TIMEOUT = 2.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a walk needs to know.

    Args:
        url: Where the website is, without a slash at the end.
        user: Who may see and do everything in the admin.
        password: With which password.
        sandbox: The API.
    """

    url: str
    user: str
    password: str
    sandbox: Any
    _elsewhere: ThreadPoolExecutor

    def do(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call something that uses the database, which the browser's own thread must not."""
        return self._elsewhere.submit(call, *args).result()

    def pace(self, hours: float) -> None:
        """Let so many hours of a workflow pass in a second, from its next step on."""
        self.sandbox.engine.runner.time_scale = hours * 3_600


@contextmanager
def shop(settings: str) -> Iterator[Stage]:
    """Open the shop.

    Args:
        settings: The settings module.
    """
    sys.path.insert(0, str(EXAMPLE))
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    import django

    django.setup()
    from django.conf import settings as configured

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        configured.DATABASES["default"]["NAME"] = str(Path(folder) / "shop.sqlite3")
        yield from _open(elsewhere)


def _open(elsewhere: ThreadPoolExecutor) -> Iterator[Stage]:
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections
    from django.urls import reverse
    from shop.demo import goods, local_api
    from shop.demo.website import Website

    from embedworkflow_django import dispatchers

    website = Website(0)
    sandbox = local_api.build(
        hours_per_second=2.0,
        webhook_url=website.url + reverse("shop:webhook"),
        deliver=lambda email: None,
    )
    sandbox.start()
    settings.EMBEDWORKFLOW = {
        **settings.EMBEDWORKFLOW,
        **local_api.settings_for(sandbox, website.url),
        "DISPATCHER": "thread",
        "ON_LOST_ANSWER": "hold",
        "TIMEOUT": TIMEOUT,
    }
    call_command("migrate", verbosity=0, interactive=False)
    goods.fill_shelf()
    password = goods.hire_staff()
    website.start()
    logging.getLogger("django.server").setLevel(logging.ERROR)
    try:
        yield Stage(
            url=website.url,
            user=goods.STAFF,
            password=password,
            sandbox=sandbox,
            _elsewhere=elsewhere,
        )
    finally:
        # In this order, so that nobody calls what is not there any more.
        dispatchers.current().close()
        website.stop()
        sandbox.stop()
        elsewhere.submit(connections.close_all).result()
        connections.close_all()
