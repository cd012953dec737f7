"""Notices: on PostgreSQL a commit tells the workers; a notice that is lost costs only time."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import closing, suppress
from itertools import pairwise

import pytest
from django.db import connections

from embedworkflow_django import notices
from embedworkflow_django.models import Status

from . import programs
from .databases import EVERY_DATABASE, KINDS, alias_of

ALIAS = alias_of("postgresql")
pytestmark = [
    pytest.mark.django_db(transaction=True, databases={"default", ALIAS}),
    EVERY_DATABASE[KINDS.index("postgresql")].marks[1],
]
COMMIT = 'services.execute("bake", using=ALIAS)'


@pytest.fixture
def db_alias():
    """The database of this file's tests."""
    return ALIAS


@pytest.fixture
def configuration(river):
    """The settings of a process that commits, or works."""
    return {
        "SECRET_KEY": river.sandbox.secret_key,
        "BASE_URL": river.sandbox.base_url,
        "DISPATCHER": "worker",
        "NOTIFY": True,
        "TIMEOUT": [1, 2],
        "POLL": [60, 60, 3600],
    }


def listening():
    """Return the process ids of the sessions that listen to the test's database."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND query = %s AND state = 'idle'",
            [f"LISTEN {notices.CHANNEL}"],
        )
        return [pid for (pid,) in cursor.fetchall()]


def until(condition, timeout=15):
    """Wait until something is so; return whether it is."""
    ends = time.monotonic() + timeout
    while not (found := condition()) and time.monotonic() < ends:
        time.sleep(0.02)
    return found


def sent(river):
    """Return whether nothing is queued any more."""
    return not river.rows().queued().exists()


def test_a_commit_wakes_a_worker_that_would_not_look_for_a_minute(river, configuration):
    """From another process, and again after the connection of the one who listens was lost."""
    river.configure(NOTIFY=True)
    with river.running(interval=60):
        assert until(listening)
        programs.run(COMMIT, configuration=configuration, alias=ALIAS)
        assert until(lambda: sent(river))

        (lost,) = listening()
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [lost])
        assert until(lambda: listening() not in ([], [lost]))
        programs.run(COMMIT, configuration=configuration, alias=ALIAS)
        assert until(lambda: sent(river))

    assert 2 == river.rows().filter(status=Status.RUNNING).count()
    assert until(lambda: not listening())


def test_many_commits_are_few_notices_and_no_statement_of_the_saver(river, configuration):
    """They are sent over a connection of their own, which outlives a break."""
    heard = []
    river.configure(NOTIFY=True)
    (listener,) = notices.listen([ALIAS], lambda: heard.append(time.monotonic()))
    with closing(listener):
        assert until(lambda: heard)
        printed = programs.run(
            """
            import time
            from django.db import connections
            from django.test.utils import CaptureQueriesContext
            from embedworkflow_django import notices
            with CaptureQueriesContext(connections[ALIAS]) as said:
                for _ in range(100):
                    services.execute("bake", using=ALIAS)
            print(sum("notify" in query["sql"].lower() for query in said.captured_queries))
            assert notices._messenger.flush(5)
            with connections[ALIAS].cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE '%pg_notify(%' AND pid <> pg_backend_pid() "
                    "AND datname = current_database()"
                )
            time.sleep(0.1)
            print(len(Execution.objects.using(ALIAS).all()))
            services.execute("bake", using=ALIAS)
            assert notices._messenger.flush(5)
            """,
            configuration=configuration,
            alias=ALIAS,
        )
        assert "0\n100\n" == printed
        assert until(lambda: len(heard) > 2)

    gaps = [later - earlier for earlier, later in pairwise(heard[1:])]
    assert min(gaps) >= notices.SPACING * 0.9


def test_a_pooler_that_pools_transactions_is_noticed(river, caplog):
    """Where no notice arrives, the worker says so once, and looks as it does elsewhere."""
    river.configure(NOTIFY=True)
    known = connections[ALIAS].settings_dict
    with Pooler(int(known["PORT"] or 5432)) as pooler:
        kept = {**known, "OPTIONS": dict(known["OPTIONS"])}
        known.update(PORT=str(pooler.port))
        known["OPTIONS"]["sslmode"] = "disable"
        try:
            (listener,) = notices.listen([ALIAS], lambda: None)
            listener._thread.join(20)
        finally:
            known.update(kept)

    assert not listener._thread.is_alive()
    (said,) = [text for text in caplog.messages if "notices" in text]
    assert "a pooler that pools transactions is in between" in said


def test_a_database_that_is_away_is_tried_again(river, caplog):
    """After a pause, which the end of the worker cuts short."""
    river.configure(NOTIFY=True)
    known = connections[ALIAS].settings_dict
    port = known["PORT"]
    known["PORT"] = "9"
    try:
        (listener,) = notices.listen([ALIAS], lambda: None)
        assert until(lambda: caplog.messages)
    finally:
        known["PORT"] = port
    began = time.monotonic()
    listener.close()

    assert time.monotonic() - began < 3
    assert "trying again in 1.0 s" in caplog.messages[0]


def test_who_wants_no_notices_gets_none(river):
    """They cost a connection, so they have to be asked for."""
    river.configure()
    assert not notices.can_tell(ALIAS)
    river.configure(NOTIFY=True)
    assert notices.can_tell(ALIAS)


class Pooler:
    """Passes everything on but notices, as a pooler does whose sessions change hands."""

    def __init__(self, server):
        self._server = server
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception):
        self._socket.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            for pump in (self._forth, self._back):
                threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _forth(self, client, server):
        # Whichever end hangs up first, the other is closed under this thread's hands.
        with server, suppress(OSError):
            while content := client.recv(65536):
                server.sendall(content)

    def _back(self, client, server):
        # Each message is a letter, and its length with the four bytes that say so.
        with client, server.makefile("rb") as messages, suppress(OSError):
            while head := messages.read(5):
                body = messages.read(struct.unpack("!I", head[1:])[0] - 4)
                if head[:1] != b"A":
                    client.sendall(head + body)
