"""What the tests of the river share: a sandbox that is really called, and a worker that runs."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from embedworkflow_django import services, signals
from embedworkflow_django.models import Execution
from embedworkflow_django.sandbox import Sandbox
from embedworkflow_django.worker import Worker

WORKFLOW = "bake"
WAIT = {"id": "aaaaaa", "name": "Wait", "type": "Delay", "delay_n": 1, "delay_unit": "hour"}


class River:
    """A sandbox over real HTTP whose clock stands still, and workers on one database."""

    def __init__(self, sandbox, settings, alias="default"):
        self.sandbox = sandbox
        self.alias = alias
        self._settings = settings
        self.configure()

    def configure(self, **changes):
        """Set ``EMBEDWORKFLOW`` to the sandbox, with some changes."""
        self._settings.EMBEDWORKFLOW = {
            "SECRET_KEY": self.sandbox.secret_key,
            "BASE_URL": self.sandbox.base_url,
            "DISPATCHER": "worker",
            "TIMEOUT": (1, 2),
            "CONCURRENCY": 4,
            **changes,
        }

    def execute(self, data=None, **options):
        """Queue an execution on this river's database."""
        workflow = options.pop("workflow", WORKFLOW)
        return services.execute(workflow, data, using=self.alias, **options)

    def work(self, **options):
        """Do what is due, and return the worker that has done it."""
        worker = Worker(aliases=[self.alias], **options)
        worker.run_until_idle()
        return worker

    def rows(self):
        """Return all executions."""
        return Execution.objects.using(self.alias)

    def row(self, execution=None):
        """Return an execution, or the only one, as it is stored."""
        return self.rows().get(pk=execution.pk) if execution else self.rows().get()

    def make_due(self, **values):
        """Let every waiting row's time come, as if it had passed; further columns at will."""
        now = timezone.now() - timedelta(seconds=1)
        self.rows().filter(due_at__isnull=False).update(due_at=now, claim="", **values)

    @contextlib.contextmanager
    def running(self, **options):
        """Run a worker's loop in a thread meanwhile."""
        from django.db import connections

        worker = Worker(aliases=[self.alias], **options)

        def run():
            try:
                worker.run()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(30)
            assert not thread.is_alive()

    @property
    def executed(self):
        """Return the calls that wanted a workflow executed."""
        return [call for call in self.sandbox.requests if call.path.endswith("/execute")]


@contextlib.contextmanager
def open_river(settings, alias="default"):
    """Serve a sandbox with one workflow that waits for an hour."""
    with Sandbox(frozen=True) as sandbox:
        sandbox.add_workflow(WORKFLOW, nodes=[WAIT], edges=[])
        yield River(sandbox, settings, alias)


class Heard:
    """Collects what the signals say, as (name, execution id, arguments)."""

    def __init__(self):
        self.said = []
        self._receivers = []
        self._lock = threading.Condition()

    def connect(self, *names):
        """Listen to some signals, or to all."""
        names = names or (
            "execution_queued",
            "execution_dispatched",
            "execution_status_changed",
            "execution_finished",
        )
        for name in names:
            self._listen(name, getattr(signals, name))
        return self

    def _listen(self, name, signal):
        def receive(execution, **arguments):
            with self._lock:
                said = {k: str(arguments[k]) for k in ("before", "after") if k in arguments}
                self.said.append((name, execution.pk, said))
                self._lock.notify_all()

        signal.connect(receive, weak=False)
        self._receivers.append((signal, receive))

    def names(self, execution=None):
        """Return the names of the signals, of one execution or of all."""
        return [n for n, pk, _ in self.said if execution is None or pk == execution.pk]

    def wait_for(self, count, timeout=20):
        """Wait until so many have been heard."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.said) >= count, timeout), self.said

    def close(self):
        """Stop listening."""
        for signal, receive in self._receivers:
            signal.disconnect(receive)


@pytest.fixture
def heard():
    """What the signals say."""
    listening = Heard()
    yield listening
    listening.close()


@pytest.fixture
def river(settings, db_alias):
    """A river on the database of the test's parameter ``db_alias``."""
    with open_river(settings, db_alias) as flowing:
        yield flowing
