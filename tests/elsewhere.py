"""Another thread with database connections of its own, as another process would be."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager

from django.db import connections, transaction

#: How long one thread waits for another before the test fails, in seconds.
PATIENCE = 10


def elsewhere(function, *arguments, **options):
    """Call a function in another thread; return the future of what it returns."""
    future = Future()

    def run():
        try:
            future.set_result(function(*arguments, **options))
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it again
            future.set_exception(error)
        finally:
            connections.close_all()

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def held_open(alias, function, *, error=None):
    """Call a function in another thread's transaction that stays open meanwhile.

    Args:
        alias: The database's alias.
        function: What is done in the transaction.
        error: What the transaction ends with; it commits without one.
    """
    done, finish = threading.Event(), threading.Event()

    def run():
        with transaction.atomic(using=alias):
            try:
                result = function()
            finally:
                done.set()
            assert finish.wait(PATIENCE)
            if error is not None:
                raise error
        return result

    future = elsewhere(run)
    assert done.wait(PATIENCE)
    held = Held(finish, future)
    try:
        yield held
    finally:
        finish.set()
        future.exception(PATIENCE)


class Held:
    """A transaction of another thread that is still open."""

    def __init__(self, finish, future):
        self._finish = finish
        self._future = future

    def end(self):
        """Let it end."""
        self._finish.set()

    def result(self):
        """Let it end, and return what its function returned."""
        self.end()
        return self._future.result(PATIENCE)


# How many connections of the present database wait for another one's lock.
_WAITING = {
    "postgresql": (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ),
    "mysql": (
        "SELECT count(*) FROM information_schema.innodb_trx "
        "JOIN information_schema.processlist ON id = trx_mysql_thread_id "
        "WHERE db = database() AND trx_state = 'LOCK WAIT'"
    ),
}
# MariaDB looks anew only when nobody has asked for a tenth of a second.
_LOOK_EVERY = 0.12


def wait_for_a_lock(alias, future):
    """Return once another connection to a server's database waits for a lock.

    Args:
        alias: The database's alias.
        future: What is expected to wait; the test fails if it ends instead.
    """
    ends = time.monotonic() + PATIENCE / 2
    with connections[alias].cursor() as cursor:
        while time.monotonic() < ends:
            assert not future.done(), "nothing waited"
            cursor.execute(_WAITING[connections[alias].vendor])
            if cursor.fetchone()[0]:
                return
            time.sleep(_LOOK_EVERY)
    raise AssertionError("nothing waited")
