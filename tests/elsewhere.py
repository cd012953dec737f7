"""Another thread with database connections of its own, as another process would be."""

from __future__ import annotations

import threading
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


def is_waiting(alias):
    """Return whether some connection of a database waits for another one's lock."""
    vendor = connections[alias].vendor
    if vendor == "sqlite":
        return True  # It waits in the driver, where nobody can look: the test gives it a moment.
    query = {
        "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
    }[vendor]
    with connections[alias].cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0] > 0
