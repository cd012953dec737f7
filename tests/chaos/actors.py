"""The processes that are killed: each is forked from a warm interpreter, and keeps a diary.

A diary is a file that all processes of a run append to, a line at a time; what is written there
has outlived the process. It says which cakes a saver meant to save (``tried``), which transaction
had been committed (``kept``) or rolled back (``dropped``), and whose end a receiver was told
(``finished``).
"""

from __future__ import annotations

import importlib
import io
import itertools
import logging
import os
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django
from django.apps import apps

if not apps.ready:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from celery import current_app
from celery.signals import worker_ready
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connections, router, transaction
from django.db.models.signals import post_save

from embedworkflow_django import dispatchers
from embedworkflow_django.signals import execution_finished
from embedworkflow_django.triggers import trigger
from tests.bakery.models import Cake

WORKFLOW = "bake"
LONGEST_BREAK = 0.03
LONGEST_WAIT = 20.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """What an actor is told.

    Args:
        alias: The database's alias.
        bare: Whether SQLite is as ``startproject`` leaves it: no WAL, deferred transactions.
        configuration: The setting ``EMBEDWORKFLOW``.
        folder: Where diary and log are.
        seed: Makes its choices repeatable; part of its cakes' names.
        broker: The URL of Celery's broker, if there is one.
        queue: The run's own queue there.
    """

    alias: str
    bare: bool
    configuration: dict
    folder: Path
    seed: int
    broker: str = ""
    queue: str = ""


class Diary:
    """Lines that survive whoever wrote them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "diary"
        self._file = os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_RDWR)

    def note(self, what: str, items: list[str]) -> None:
        """Append a line for each item, all in one write."""
        os.write(self._file, "".join(f"{what} {item}\n" for item in items).encode())

    def read(self) -> dict[str, list[str]]:
        """Return the items by what was noted of them."""
        noted: dict[str, list[str]] = {"tried": [], "kept": [], "dropped": [], "finished": []}
        for line in self.path.read_text().splitlines():
            what, item = line.split(" ", 1)
            noted[what].append(item)
        return noted

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


@contextmanager
def bare_sqlite(alias):
    """Use SQLite as ``startproject`` leaves it meanwhile."""
    before = connections.settings[alias]["OPTIONS"]
    _reopen(alias, {}, "DELETE")
    try:
        yield
    finally:
        _reopen(alias, before, "WAL")


def _reopen(alias, options, journal):
    connections[alias].close()
    ends = time.monotonic() + LONGEST_WAIT
    with connections[alias].cursor() as cursor:
        # Whoever leaves WAL must be alone, and SQLite waits for nobody to go.
        while True:
            try:
                cursor.execute(f"PRAGMA journal_mode = {journal}")
                break
            except DatabaseError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)
    connections[alias].close()
    connections.settings[alias]["OPTIONS"] = options


def save(part: Part, ready) -> None:
    """Save cakes for ever, some in one transaction, some rolled back; deliver as configured."""
    diary = _enter(part)
    rng = random.Random(part.seed)

    @trigger(post_save, sender=Cake, workflow=WORKFLOW)
    def cake_saved(cake, created, **kwargs):
        return {"cake": cake.pk, "name": cake.name}

    ready.send(None)
    for number in itertools.count():
        names = [f"{part.seed}-{number}-{n}" for n in range(rng.choice((1, 1, 1, 4)))]
        dropped = rng.random() < 0.2
        diary.note("tried", names)
        try:
            with transaction.atomic(using=part.alias):
                for name in names:
                    Cake.objects.using(part.alias).create(name=name)
                transaction.set_rollback(dropped, using=part.alias)
        except DatabaseError:
            continue  # SQLite is locked: the caller was told, and nothing is promised.
        diary.note("dropped" if dropped else "kept", names)
        time.sleep(rng.uniform(0, LONGEST_BREAK))


def work(part: Part, ready) -> None:
    """Run ``embedworkflow_worker`` until a signal comes."""
    _enter(part)
    ready.send(None)
    call_command("embedworkflow_worker", interval=0.05, database=[part.alias], stdout=io.StringIO())


def celery(part: Part, ready) -> None:
    """Be a Celery worker, in a process group of its own, until a signal comes."""
    os.setsid()
    _enter(part)
    worker_ready.connect(lambda **kwargs: ready.send(None), weak=False)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)  # It says of each process that was killed what has become of its task.
    pool = random.Random(part.seed).choice(("prefork", "threads"))
    words = ["worker", "-P", pool, "-c", "2", "--without-gossip", "--without-mingle"]
    current_app.worker_main([*words, "-l", "critical"])


def _enter(part: Part) -> Diary:
    settings.EMBEDWORKFLOW = part.configuration
    router.routers = [_OneDatabase(part.alias)]
    if part.broker:
        _join(part.broker, part.queue)
    if part.bare:
        connections.settings[part.alias]["OPTIONS"] = {}
    logger = logging.getLogger("embedworkflow_django")
    logger.addHandler(logging.FileHandler(part.folder / "log"))
    logger.propagate = False
    diary = Diary(part.folder)

    def finished(execution, **kwargs):
        diary.note("finished", [str(execution.pk)])

    execution_finished.connect(finished, weak=False)
    return diary


class _OneDatabase:
    """Lets executions live in the run's own database: the others of the tests are not there."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def allow_migrate(self, db, app_label, **hints) -> bool:
        """Return whether the tables are there."""
        return db == self._alias


def _join(broker: str, queue: str) -> None:
    """Make this process one of the project's Celery app, on a queue of the run's own."""
    os.environ |= {"EMBEDWORKFLOW_TEST_BROKER": broker, "EMBEDWORKFLOW_TEST_QUEUE": queue}
    os.environ["CELERY_SKIP_CHECKS"] = "1"  # They would ask the tests' other databases.
    app = importlib.import_module("tests.celery_app").app
    dispatchers.dispatcher_class("celery")  # As it is when the settings say so from the start.
    app.conf.update(
        broker_connection_retry_on_startup=True,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
    )
    if broker.startswith("redis"):
        # What a killed worker had reserved stays in keys that all queues would share.
        app.conf.broker_transport_options = {"global_keyprefix": queue}
