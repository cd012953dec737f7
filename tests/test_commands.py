"""The commands: what each does, prints and answers to its caller, on every database."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
from django.core.management import CommandError, call_command, load_command_class
from django.db import connections as databases
from django.db.models.signals import post_save
from django.utils import timezone, translation
from requests.adapters import BaseAdapter

from embedworkflow_django import connections, services, signals, testing, triggers
from embedworkflow_django.management import interruption
from embedworkflow_django.models import FINAL, Execution, ExecutionEvent, Status
from tests import declared, programs
from tests.bakery.models import Batch, Cake, Receipt
from tests.databases import EVERY_DATABASE
from tests.test_figures import QUERIES, process, tally

COMMANDS = ["check", "execute", "prune", "sandbox", "status", "sync", "worker"]
on_every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)


def run(name, *args, stdout=None, **options):
    """Run a command and return what it prints."""
    stdout = stdout or io.StringIO()
    call_command(f"embedworkflow_{name}", *map(str, args), stdout=stdout, **options)
    return stdout.getvalue()


def refused(name, *args, **options):
    """Run a command that must fail; return its error, whose text is the sentence."""
    with pytest.raises(CommandError) as caught:
        run(name, *args, **options)
    return caught.value


def made(alias="default", *, age=timedelta(0), **values):
    """Store an execution that was made some time ago, with an id of that time."""
    created = timezone.now() - age
    tail = uuid.uuid4().int & (1 << 62) - 1
    stamp = int(created.timestamp() * 1000)
    pk = uuid.UUID(int=stamp << 80 | 7 << 76 | 2 << 62 | tail)
    values = {"workflow": "bake", "created_at": created, "due_at": created} | values
    return Execution.objects.using(alias).create(pk=pk, **values)


def finished(alias="default", *, age=timedelta(days=100), **values):
    """Store an execution that has ended long ago and rests."""
    then = timezone.now() - age
    at_rest = {"status": Status.COMPLETED, "due_at": None, "finished_at": then}
    return made(alias, age=age + timedelta(hours=1), **(at_rest | {"announced_at": then} | values))


def running(alias="default", **values):
    """Store an execution that runs at the API and is asked after in an hour."""
    later = timezone.now() + timedelta(hours=1)
    remote_id = str(uuid.uuid4())
    return made(
        alias, **({"status": Status.RUNNING, "remote_id": remote_id, "due_at": later} | values)
    )


@pytest.fixture
def sandbox():
    """An API with one workflow that ends at once."""
    with testing.sandbox(frozen=False) as imitation:
        imitation.add_workflow("bake")
        yield imitation


class Wire(BaseAdapter):
    """Leads to the sandbox, and does something with each call on the way."""

    def __init__(self, sandbox, meanwhile):
        super().__init__()
        self._adapter, self._meanwhile = sandbox.adapter(), meanwhile

    def send(self, request, **kwargs):
        """Do it, then answer."""
        self._meanwhile()
        return self._adapter.send(request, **kwargs)

    def close(self):
        """Close nothing."""


@contextmanager
def meanwhile(sandbox, action):
    """Do something during each call of the API."""
    with connections.mounted(sandbox.base_url, Wire(sandbox, action)):
        yield


def interrupted_twice(command, sandbox, execution):
    """Send a command two signals while its call hangs; return its error, and see to the row."""
    released = threading.Event()

    def hang():
        interrupt(signal.SIGTERM)
        time.sleep(3 * interruption.ECHO)
        interrupt(signal.SIGINT)
        released.wait(30)

    with meanwhile(sandbox, hang):
        error = refused(command, "--database=default")
        execution.refresh_from_db()
        released.set()
    return error


class Watched(io.StringIO):
    """An output that does something once a word has been written."""

    def __init__(self, word, action):
        super().__init__()
        self._word, self._action = word, action

    def write(self, text):
        """Write it; act if the word is in it."""
        written = super().write(text)
        if self._word in text:
            self._action(text)
        return written


def interrupt(*numbers):
    """Send signals to this very process, in that order."""
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.fixture
def another():
    """Another database of the project, under the alias ``scratch``; nobody connects to it."""
    databases.settings["scratch"] = {**databases.settings["default"], "NAME": ":memory:"}
    yield
    del databases.settings["scratch"]
    if hasattr(databases._connections, "scratch"):
        del databases["scratch"]


@pytest.fixture
def with_another(river):
    """Return a function that runs a command in a project with one more database, ``another``.

    It returns what the command printed, the error that it ended with, and the warnings.
    """

    def with_another(name, *command):
        configuration = {
            "SECRET_KEY": river.sandbox.secret_key,
            "BASE_URL": river.sandbox.base_url,
            "DISPATCHER": "worker",
        }
        code = f"""
            import io, logging
            from django.core.management import CommandError, call_command
            from django.db import connections
            default = connections.settings["default"]
            connections.settings["another"] = {{**default, "NAME": {name!r}}}
            stdout, stderr = io.StringIO(), io.StringIO()
            logging.getLogger("embedworkflow_django").addHandler(logging.StreamHandler(stderr))
            try:
                call_command(*{command!r}, stdout=stdout)
            except CommandError as error:
                print(json.dumps([stdout.getvalue(), str(error), stderr.getvalue()]))
        """
        return json.loads(programs.run(code, configuration=configuration))

    return with_another


@pytest.fixture
def handlers():
    """What handles signals before, which must handle them afterwards too."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


# All of them.


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_tells_defaults_and_exit_codes(name):
    """Each option of ours names its default, and the help says how the command ends."""
    command = load_command_class("embedworkflow_django", f"embedworkflow_{name}")
    parser = command.create_parser("manage.py", f"embedworkflow_{name}")
    text = parser.format_help()
    assert "Exit code: 0" in " ".join(text.split())
    ours = [a for a in parser._actions if a.dest not in _DJANGOS_OWN and a.option_strings]
    assert ours
    for action in ours:
        shown = parser._get_formatter()._expand_help(action)
        assert "default" in shown.lower(), action.dest
    assert not re.search(r"\(default: (None|\[\]|)\)", " ".join(text.split()))


_DJANGOS_OWN = {
    "help",
    "version",
    "verbosity",
    "settings",
    "pythonpath",
    "traceback",
    "no_color",
    "force_color",
    "skip_checks",
}


@pytest.mark.parametrize("name", ["worker", "sync", "status", "prune", "execute"])
def test_an_unknown_database_is_refused_with_the_nearest_name(name, settings):
    """The error names the database that was meant."""
    settings.EMBEDWORKFLOW = {"RETENTION": 1}
    args = ["bake", "--database=defualt"] if name == "execute" else ["--database=defualt"]
    assert str(refused(name, *args)) == "There is no database 'defualt'. Did you mean 'default'?"


@pytest.mark.parametrize("name", ["worker", "sync", "status", "prune"])
def test_a_database_without_executions_is_refused(name, settings, another):
    """A database that the routers keep executions out of is named, and where they are."""

    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return db != "scratch"

    settings.EMBEDWORKFLOW = {"RETENTION": 1}
    settings.DATABASE_ROUTERS = [Router()]
    error = str(refused(name, "--database=scratch"))
    assert "DATABASE_ROUTERS" in error
    assert "'scratch'" in error
    assert "default" in error


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_named_twice_is_worked_on_once(sandbox):
    """Its second name changes nothing."""
    twice = ("--database=default", "--database=default")
    assert "Working on default, 8 calls" in run("worker", "--once", *twice)
    assert run("prune", "--older-than=30", *twice) == "default: 0 deleted\n"


@on_every_database
@pytest.mark.parametrize("name", ["worker", "status", "sync", "prune", "execute"])
def test_a_database_without_tables_is_named(name, alias, settings):
    """A project that was not migrated is told so."""
    settings.EMBEDWORKFLOW = settings.EMBEDWORKFLOW | {"RETENTION": 1}
    table = Execution._meta.db_table
    with databases[alias].schema_editor() as editor:
        editor.alter_db_table(Execution, table, "elsewhere")
    try:
        args = ["bake"] if name == "execute" else []
        error = str(refused(name, *args, f"--database={alias}"))
    finally:
        with databases[alias].schema_editor() as editor:
            editor.alter_db_table(Execution, "elsewhere", table)
    assert error.startswith(f"Database {alias!r} failed: ")
    assert error.endswith(f"\nIf its tables are missing, run: manage.py migrate --database={alias}")


@pytest.mark.django_db(transaction=True)
def test_the_database_of_an_execution_is_named_only_if_it_was_given():
    """The routers choose it otherwise."""
    table = Execution._meta.db_table
    with databases["default"].schema_editor() as editor:
        editor.alter_db_table(Execution, table, "elsewhere")
    try:
        error = str(refused("execute", "bake"))
    finally:
        with databases["default"].schema_editor() as editor:
            editor.alter_db_table(Execution, "elsewhere", table)
    assert error.startswith("The database failed: ")
    assert error.endswith("\nIf its tables are missing, run: manage.py migrate")


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("name", ["sync", "status", "prune"])
def test_every_database_is_worked_on(name, settings):
    """Without ``--database`` all that hold executions are looked at."""
    settings.EMBEDWORKFLOW = {"RETENTION": 1}
    for alias in databases:
        running(alias)
        finished(alias)
    printed = run(name, "--no-wait") if name == "sync" else run(name)
    for alias in databases:
        assert alias in printed or name == "sync"
        due = Execution.objects.using(alias).due().exists()
        assert due == (name == "sync")


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("worker", "--concurrency=0"),
        ("worker", "--concurrency=many"),
        ("worker", "--interval=0"),
        ("worker", "--interval=soon"),
        ("sync", "not-an-id"),
        ("status", "--fail-if-older-than=-1"),
        ("prune", "--older-than=a year"),
        ("prune", "--older-than=-1"),
        ("prune", "--older-than=" + "9" * 30),
        ("prune", "--status=running"),
        ("prune", "--batch-size=0"),
        ("sync", "--batch-size=10001"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(name, argument):
    """The error names the argument."""
    assert argument.split("=")[0].strip("-") in str(refused(name, argument)).replace(
        "ID", "not-an-id"
    )


def test_an_argument_that_makes_no_sense_is_told_as_it_was_given():
    """Neither with a unit that nobody wrote, nor as Python writes it."""
    assert "'-1' should be a number that is not negative" in str(
        refused("prune", "--older-than=-1")
    )
    assert "Status." not in str(refused("prune", "--status=running"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["status"], r"a worker\u2019s hands"),
        (["status", "--json"], r"kuchen\u2603"),
        (["execute", "kuchen☃", "--wait=9"], r"kuchen\u2603 is completed"),
        (["check"], r"kuchen\u2603"),
    ],
    ids=["status", "json", "execute", "check"],
)
def test_a_stream_that_takes_no_unicode_shows_what_it_can(args, word, sandbox, declare, settings):
    """Or the monitoring would be alarmed by an apostrophe."""
    settings.EMBEDWORKFLOW = settings.EMBEDWORKFLOW | {"POLL": (0.1, 1, 60)}
    sandbox.add_workflow("kuchen☃", nodes=[], edges=[])
    declare("cake_baked", workflow="kuchen☃")
    tally(workflow="kuchen☃", status=Status.COMPLETED)
    name, *options = args
    options += [] if name == "check" else ["--database=default"]
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    call_command(f"embedworkflow_{name}", *options, stdout=stream)
    stream.seek(0)

    assert word in stream.read()


# embedworkflow_worker


@on_every_database
@pytest.mark.parametrize("lost", ["resend", "hold"])
def test_more_calls_than_a_batch_are_as_many_as_a_batch(alias, lost, sandbox, settings):
    """A number of any size neither ends the worker nor is too large for a column."""
    settings.EMBEDWORKFLOW = settings.EMBEDWORKFLOW | {"ON_LOST_ANSWER": lost}
    services.execute("bake", using=alias)
    printed = run("worker", "--once", f"--database={alias}", "--concurrency=" + "9" * 30)

    assert f"Working on {alias}, 500 calls at once." in printed
    assert "1 delivered" in printed


@on_every_database
def test_the_worker_does_what_is_due_once(alias, sandbox, handlers):
    """``--once`` delivers what is due, tells what became of it, and ends."""
    execution = services.execute("bake", using=alias)
    other = services.execute("nowhere", using=alias)
    printed = run("worker", "--once", f"--database={alias}", "--concurrency=2")
    execution.refresh_from_db()
    other.refresh_from_db()
    assert (execution.status, other.status) == (Status.RUNNING, Status.UNDELIVERABLE)
    assert f"Working on {alias}, 2 calls at once." in printed
    assert "1 delivered" in printed
    assert "1 rejected" in printed


@pytest.mark.django_db(transaction=True)
def test_once_means_what_was_due_at_the_start(sandbox, settings):
    """A row that becomes due again meanwhile does not keep ``--once`` alive."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "POLL": (1e-6, 1e-6, 100)}
    execution = services.execute("bake")
    run("worker", "--once", "--database=default")
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert [call.method for call in sandbox.requests] == ["POST"]


@pytest.mark.django_db(transaction=True)
def test_the_worker_says_when_there_is_nothing(sandbox):
    """A turn without work says so."""
    assert "Stopped: nothing due." in run("worker", "--once", "--database=default")


@contextmanager
def losing(alias, signal):
    """Take the table away at the first announcement, and bring it back in the end."""
    table = Execution._meta.db_table

    def rename(before, after):
        with databases[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {before} RENAME TO {after}")

    def goes_away(**_arguments):
        rename(table, "away")

    signal.connect(goes_away)
    try:
        yield
    finally:
        signal.disconnect(goes_away)
        rename("away", table)


@on_every_database
def test_a_database_that_goes_away_is_named(alias, sandbox, settings):
    """Nobody is told that nothing was due; also where a rate is waited for."""
    settings.EMBEDWORKFLOW = settings.EMBEDWORKFLOW | {
        "RATE": 1,
        "LEASE": 0.6,
        "TIMEOUT": (0.1, 0.2),
    }
    for _ in range(5):
        services.execute("bake", using=alias)
    with losing(alias, signals.execution_dispatched):
        error = refused("worker", "--once", f"--database={alias}")

    assert f"Database {alias!r} failed" in str(error)
    assert "stays due" in str(error)
    assert Execution.objects.using(alias).queued().exists()


@on_every_database
def test_a_database_that_goes_away_is_named_by_sync(alias, sandbox, settings):
    """What could not be written is said."""
    settings.EMBEDWORKFLOW = settings.EMBEDWORKFLOW | {"LEASE": 0.6, "TIMEOUT": (0.1, 0.2)}
    services.execute("bake", using=alias)
    run("worker", "--once", f"--database={alias}")
    with losing(alias, signals.execution_status_changed):
        error = refused("sync", f"--database={alias}")

    assert f"Database {alias!r} failed" in str(error)


@on_every_database
def test_a_signal_finishes_what_is_in_flight(alias, sandbox, handlers, caplog):
    """After SIGTERM the call in flight is answered and recorded, and the worker ends."""
    caplog.set_level("INFO", "embedworkflow_django")
    execution = services.execute("bake", using=alias)
    with meanwhile(sandbox, lambda: interrupt(signal.SIGTERM)):
        printed = run("worker", f"--database={alias}", "--interval=0.05")
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert execution.claim == ""
    assert "Finishing what is in flight" in printed
    assert "Stopped: 1 delivered." in printed
    (stopped,) = (record for record in caplog.records if hasattr(record, "counts"))
    assert stopped.counts == {"delivered": 1}


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_signal_that_comes_while_something_is_logged_hangs_nobody(river):
    """A handler of the project's may hold a lock that its thread cannot take twice."""
    river.execute()
    printed = programs.run(
        """
        import logging, logging.handlers, queue, signal
        from django.core.management import call_command

        class Interrupting(queue.Queue):
            def _put(self, record):
                super()._put(record)
                if ": delivered" in record.getMessage():
                    os.kill(os.getpid(), signal.SIGTERM)

        logger = logging.getLogger("embedworkflow_django")
        logger.setLevel("INFO")
        logger.addHandler(logging.handlers.QueueHandler(Interrupting()))
        call_command("embedworkflow_worker", "--database", ALIAS)
        """,
        configuration={
            "SECRET_KEY": river.sandbox.secret_key,
            "BASE_URL": river.sandbox.base_url,
            "DISPATCHER": "worker",
        },
        timeout=20,
    )

    assert "Finishing what is in flight; a second signal stops at once." in printed
    assert "Stopped: 1 delivered." in printed


@pytest.mark.django_db(transaction=True)
def test_a_second_signal_stops_at_once(sandbox, handlers):
    """What is in flight is left to its lease, and the exit code says so."""
    execution = services.execute("bake")
    error = interrupted_twice("worker", sandbox, execution)
    assert error.returncode == 1
    assert "left to its lease" in str(error)
    assert execution.status == Status.QUEUED
    assert execution.claim != ""


@pytest.mark.django_db(transaction=True)
def test_a_signal_and_its_echo_are_one(sandbox, handlers):
    """Whoever tells a process, and then its group, has what is in flight finished all the same."""
    execution = services.execute("bake")

    def hang():
        interrupt(signal.SIGTERM, signal.SIGINT)
        time.sleep(0.3)

    with meanwhile(sandbox, hang):
        printed = run("worker", "--database=default")
    execution.refresh_from_db()
    assert "Stopped: 1 delivered." in printed
    assert execution.status == Status.RUNNING


@pytest.mark.django_db(transaction=True)
def test_the_worker_runs_outside_the_main_thread(sandbox):
    """Where Python takes no signal handlers the command works all the same."""
    execution = services.execute("bake")
    printed = []

    def work():
        try:
            printed.append(run("worker", "--once", "--database=default"))
        finally:
            databases.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    execution.refresh_from_db()
    assert "1 delivered" in printed[0]
    assert execution.status == Status.RUNNING


AWAY = "/nowhere/at.all"


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_database_that_is_away_keeps_no_worker_from_the_others(river, with_another):
    """What is in the others is done, and the exit code of ``--once`` says what is not."""
    row = river.execute()
    aliases = ("--database=another", "--database=default")
    _, error, warnings = with_another(AWAY, "embedworkflow_worker", "--once", *aliases)

    assert error.startswith("Database 'another' failed, as the log says.")
    assert "Database 'another' failed; trying again in " in warnings
    assert "migrate" not in warnings
    assert river.row(row).status == Status.RUNNING


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_worker_whose_only_database_is_away_does_not_start(with_another):
    """It says why; whoever supervises it starts it again."""
    printed, error, _ = with_another(AWAY, "embedworkflow_worker", "--database=another")

    assert printed == ""
    assert error.startswith("Database 'another' failed: ")


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_of_several_databases_one_without_tables_is_refused(with_another):
    """It is there, and has to be migrated."""
    maintenance = {"postgresql": "postgres", "mysql": "mysql", "sqlite": ":memory:"}
    name = maintenance[databases["default"].vendor]
    aliases = ("--database=default", "--database=another")
    printed, error, _ = with_another(name, "embedworkflow_worker", *aliases)

    assert printed == ""
    assert error.endswith("migrate --database=another")


# embedworkflow_sync


@on_every_database
def test_sync_asks_after_what_is_active(alias, sandbox):
    """An execution whose turn is in an hour is asked after now."""
    execution = services.execute("bake", using=alias)
    testing.deliver(alias)
    later = timezone.now() + timedelta(hours=1)
    Execution.objects.using(alias).update(due_at=later)
    sandbox.finish()
    printed = run("sync", f"--database={alias}")
    execution.refresh_from_db()
    assert execution.status == Status.COMPLETED
    assert "1 made due: 1 " in printed


@on_every_database
def test_sync_can_leave_the_asking_to_others(alias, sandbox):
    """``--no-wait`` only makes them due, and calls nobody."""
    execution = running(alias, polls=5, misses=1)
    assert run("sync", "--no-wait", f"--database={alias}") == "1 made due\n"
    execution.refresh_from_db()
    assert execution.due_at <= timezone.now()
    assert (execution.polls, execution.misses) == (0, 0)
    assert sandbox.requests == []


@pytest.fixture
def kinds(db):
    """Executions of all kinds, by name."""
    later = timezone.now() + timedelta(hours=1)
    return {
        "running": running(),
        "upcoming": running(status=Status.UPCOMING, workflow="other"),
        "unknown": running(status=Status.UNKNOWN, account="eu"),
        "lost": running(status=Status.UNKNOWN, due_at=None),
        "ended": finished(remote_id="1"),
        "unannounced": finished(remote_id="2", announced_at=None, due_at=later),
        "undelivered": finished(status=Status.UNDELIVERABLE),
        "queued": made(due_at=later),
        "unconfirmed": made(status=Status.UNCONFIRMED, due_at=None),
        "asked": running(claim="somebody"),
    }


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], {"running", "upcoming", "unknown"}),
        (["--all"], {"running", "upcoming", "unknown", "lost", "ended"}),
        (["--workflow=other"], {"upcoming"}),
        (["--account=eu"], {"unknown"}),
        (["--workflow=other", "--account=eu"], set()),
        (["--workflow="], set()),
        (["--account="], set()),
        (["running", "ended", "queued"], {"running", "ended"}),
        (["ended", "--account=eu"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_sync_makes_due_what_can_be_asked_about(kinds, args, expected):
    """Neither what has nothing to ask, nor what somebody is just asking about, is touched."""
    args = [kinds[arg].pk if arg in kinds else arg for arg in args]
    printed = run("sync", "--no-wait", "--database=default", *args)
    due = set(Execution.objects.due().values_list("pk", flat=True))
    assert {name for name, row in kinds.items() if row.pk in due} == expected
    if not expected:
        assert "There is nothing to ask the API about." in printed


@pytest.mark.django_db
def test_sync_works_in_batches_and_shows_its_progress():
    """A batch is one UPDATE and one line."""
    for _ in range(5):
        running()
    printed = run("sync", "--no-wait", "--batch-size=2", "--database=default")
    assert printed.splitlines() == ["2 made due", "4 made due", "5 made due"]


@on_every_database
def test_sync_names_the_ids_that_no_execution_has(alias):
    """What it was asked about is made due all the same."""
    execution, nobodys = running(alias), uuid.uuid4()
    command = ("sync", "--no-wait", f"--database={alias}")
    assert f"No execution has the id {nobodys}." == str(refused(*command, execution.pk, nobodys))
    execution.refresh_from_db()
    assert execution.due_at <= timezone.now()


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (["embedworkflow_sync", "--no-wait"], "1 made due\n"),
        (["embedworkflow_prune", "--older-than=30"], "default: 1 deleted\n"),
    ],
    ids=["sync", "prune"],
)
def test_a_database_that_is_away_is_named_after_the_others_are_done(with_another, command, printed):
    """The exit code says that one is not."""
    running(), finished()
    aliases = ("--database=another", "--database=default")
    output, error, _ = with_another(AWAY, *command, *aliases)

    assert output == printed
    assert error.startswith("Database 'another' failed: ")


@on_every_database
def test_sync_tells_what_it_could_not_ask_about(alias, sandbox, settings):
    """The exit code is 1 when an account is not let in; what it was not asked about is given back.

    One that has nothing to do with what was wanted is none of the command's business.
    """
    key = {"SECRET_KEY": sandbox.secret_key}
    settings.EMBEDWORKFLOW = settings.EMBEDWORKFLOW | {
        "SECRET_KEY": "sk_test_withdrawn",
        "ACCOUNTS": {"eu": key},
        "POLL": (3600, 3600, 7200),
    }
    refused_row, other = running(alias), services.execute("bake", account="eu", using=alias)
    run("worker", "--once", f"--database={alias}")
    command = ("sync", f"--database={alias}", "--batch-size=1")
    error = refused(*command, "--account=default")
    refused_row.refresh_from_db()

    assert error.returncode == 1
    assert str(error) == (
        "Not asked after, for they are paused: executions of 'default'. See the log."
    )
    assert (refused_row.status, refused_row.claim) == (Status.RUNNING, "")
    assert refused_row.due_at <= timezone.now()
    assert "1 made due" in run(*command, "--account=eu")
    other.refresh_from_db()
    assert other.synced_at > other.dispatched_at


@pytest.mark.django_db(transaction=True)
def test_an_interrupted_sync_finishes_its_batch(sandbox, handlers):
    """After a signal the batch in hand is finished, the rest is left, and the exit code says so."""
    for _ in range(3):
        running()
    with meanwhile(sandbox, lambda: interrupt(signal.SIGINT)):
        error = refused("sync", "--batch-size=1", "--database=default")
    assert (str(error), error.returncode) == ("Interrupted.", 1)
    assert len(sandbox.requests) == 1
    assert Execution.objects.filter(misses=1).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_second_signal_stops_a_sync_at_once(sandbox, handlers):
    """What is in flight is left to its lease."""
    execution = running()
    error = interrupted_twice("sync", sandbox, execution)
    assert str(error) == "Interrupted."
    assert execution.claim != ""


# embedworkflow_status


@on_every_database
def test_status_tells_what_there_is(alias):
    """The counts, the ages and the accounts that are not let in, as JSON."""
    made(alias, age=timedelta(hours=2), account="eu", last_error="401 Unauthorized: no such key")
    made(alias, age=timedelta(hours=3), due_at=timezone.now() + timedelta(hours=1))
    made(alias, run_at=timezone.now() + timedelta(days=1), age=timedelta(days=5), due_at=None)
    running(alias, due_at=timezone.now() + timedelta(seconds=5), claim="somebody")
    running(alias, due_at=timezone.now() + timedelta(seconds=5))
    made(alias, status=Status.UNCONFIRMED, due_at=None)
    finished(alias)
    told = json.loads(run("status", "--json", f"--database={alias}"))
    state = told["databases"][alias]
    assert list(told["databases"]) == [alias]
    assert state["due"] == 1
    assert state["in_flight"] == 1
    assert state["statuses"] == dict.fromkeys(Status.values, 0) | {
        "queued": 3,
        "running": 2,
        "unconfirmed": 1,
        "completed": 1,
    }
    assert state["capped"] == []
    assert 2 * 3600 <= state["oldest_due"] < 2 * 3600 + 60
    assert 3 * 3600 <= state["oldest_queued"] < 3 * 3600 + 60
    assert state["refused_accounts"] == {"eu": "401 Unauthorized: no such key"}


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_status_tells_of_the_databases_that_are_there(with_another):
    """Those that are not are named by the error."""
    command = ("embedworkflow_status", "--json", "--fail-if-older-than=1d", "--database=another")
    printed, error, _ = with_another(AWAY, *command, "--database=default")

    assert ["default"] == list(json.loads(printed)["databases"])
    assert error.startswith("Database 'another' failed: ")
    assert with_another(AWAY, *command)[0] == ""


@on_every_database
def test_status_of_an_empty_table(alias):
    """Nothing is nothing, and old enough for nobody."""
    told = run("status", "--json", "--fail-if-older-than=0", f"--database={alias}")
    state = json.loads(told)["databases"][alias]
    assert state["oldest_due"] is state["oldest_queued"] is None
    assert set(state["statuses"].values()) == {state["due"], state["in_flight"]} == {0}


@on_every_database
def test_status_tells_who_is_at_work(alias):
    """Each process with its last sign of life, and why which account is paused."""
    until = "2030-01-01T00:00:00+00:00"
    rated = {"kind": "rated", "reason": "429 slow down", "until": until}
    refused = {"kind": "refused", "reason": "401 no", "until": until}
    process(alias, name="oven:1:4711", age=2, version="1.2", pauses={"eu": rated, "us": refused})
    process(alias, name="old:1", age=600)
    state = json.loads(run("status", "--json", f"--database={alias}"))["databases"][alias]
    works, silent = state["workers"]
    assert (works["host"], works["pid"], works["version"]) == ("oven:1", "4711", "1.2")
    assert (works["alive"], works["ended_at"], silent["alive"]) == (True, None, False)
    assert 2 <= state["unseen"] < 60
    assert state["pauses"] == {"eu": rated, "us": refused}
    assert state["refused_accounts"] == {"us": "401 no"}


@on_every_database
def test_status_tells_what_has_become_of_executions(alias):
    """Within the last day, in all and by workflow."""
    tally(alias, status=Status.RUNNING, from_queue=True, count=4)
    tally(alias, status=Status.COMPLETED, ago=2, count=3)
    tally(alias, status=Status.FAILED)
    tally(alias, workflow="mail", status=Status.UNDELIVERABLE, from_queue=True)
    day = json.loads(run("status", "--json", f"--database={alias}"))["databases"][alias]["last_day"]
    sums = {"left_queue": 4, "ended": 4, "completed": 3, "failed": 1, "failure_rate": 0.25}
    assert day["workflows"]["bake"] == sums
    assert (day["left_queue"], day["ended"], day["failure_rate"]) == (5, 5, 0.4)
    assert datetime.fromisoformat(day["since"]) < timezone.now() - timedelta(hours=23)


@pytest.mark.django_db
def test_status_for_people():
    """Without ``--json`` there is a line for each thing, in columns; the counts come first."""
    made(age=timedelta(seconds=90))
    until = (timezone.now() + timedelta(seconds=100)).isoformat()
    refused = {"kind": "refused", "reason": "POST /x 403 Forbidden", "until": until}
    odd = {"kind": "odd", "reason": "no", "until": ""}
    process(name="oven:4711", age=2, version="1.2", in_flight=3, pauses={"eu": refused, "us": odd})
    process(name="pan:5", age=90)
    process(name="pot:6", age=200, ended_at=timezone.now())
    tally(status=Status.COMPLETED, count=1999)
    tally(status=Status.FAILED)
    tally(workflow="mail", status=Status.RUNNING, from_queue=True)
    lines = run("status", "--database=default").splitlines()
    assert lines[0] == "default"
    assert lines[1].startswith("  due now              1  the oldest for 0:01:")
    assert lines[2] == "  in a worker’s hands  0"
    assert lines[3].startswith("  queued               1  the oldest for 0:01:")
    words = [" ".join(line.split()) for line in lines]
    rest = words[words.index("workers") :]
    assert re.fullmatch(r"oven:4711 at work seen [\d.]+ s ago 3 in hand worker 1.2", rest[1])
    assert re.fullmatch(r"pan:5 silent seen 0:01:\d\d ago worker", rest[2])
    assert re.fullmatch(r"pot:6 ended seen 0:03:\d\d ago worker", rest[3])
    assert rest[4:8] == [
        "last day",
        "all 1 left the queue 2,000 ended 1 failed (0.1%)",
        "bake 0 left the queue 2,000 ended 1 failed (0.1%)",
        "mail 1 left the queue 0 ended 0 failed",
    ]
    assert rest[8] == "paused accounts"
    assert rest[9].startswith("eu: the API does not let it in; tried again in 0:01:")
    assert rest[10:] == ["POST /x 403 Forbidden", "us: odd", "no"]


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["ar", "ja"])
def test_status_for_people_stands_in_columns_in_any_language(language):
    """What takes two columns of a terminal, or none, is counted as such."""
    with translation.override(language):
        lines = run("status", "--database=default").splitlines()[1:14]
    ends = set()
    for line in lines:
        wide = sum("\u2e80" < each < "\uffa0" for each in line)
        none = sum("\u064b" <= each <= "\u0652" for each in line)
        ends.add(len(line) + wide - none)
    assert len(ends) == 1


@pytest.mark.django_db
def test_status_for_people_says_what_there_is_not():
    """Nobody has to wonder whether something was left out."""
    lines = run("status", "--database=default").splitlines()
    assert [line.strip() for line in lines[-6:]] == [
        "workers",
        "no sign of life within the last day",
        "last day",
        "nothing",
        "paused accounts",
        "none",
    ]


@pytest.mark.django_db
def test_status_fails_when_no_worker_was_seen():
    """Neither ever, nor for longer than is sound; one that has ended was seen all the same."""
    option = "--fail-if-no-worker-for"
    error = refused("status", option, "60", "--database=default")
    assert "No worker of 'default' has given a sign of life within the last day." == str(error)
    process(age=120, ended_at=timezone.now())
    error = refused("status", option, "60", "--database=default")
    assert error.returncode == 1
    assert "a sign of life for 0:02:" in str(error)
    assert str(error).endswith(", longer than 0:01:00.")
    assert "default" in run("status", option, "5m", "--database=default")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"status": Status.RUNNING}, "has been due for 0:02:"),
        ({"due_at": None}, "has waited to be delivered for 0:02:"),
    ],
    ids=["due", "queued"],
)
def test_status_fails_when_something_waits_too_long(values, sentence):
    """The exit code is 1 when the oldest has waited longer, due or not; the counts come first."""
    made(age=timedelta(minutes=2), **values)
    assert "default" in run("status", "--fail-if-older-than=3m", "--database=default")
    stdout = io.StringIO()
    error = refused("status", "--fail-if-older-than=59", "--database=default", stdout=stdout)
    assert error.returncode == 1
    assert sentence in str(error)
    assert str(error).endswith(", longer than 59.0 s.")
    assert stdout.getvalue().startswith("default\n")


@pytest.mark.django_db
def test_the_counts_of_status_have_an_end(django_assert_num_queries):
    """Each count ends at 10,000 and says so, so that a table of any size costs the same."""
    rest = {"workflow": "bake", "status": Status.COMPLETED, "due_at": None}
    Execution.objects.bulk_create((Execution(**rest) for _ in range(10_001)), batch_size=1000)
    with django_assert_num_queries(QUERIES):
        told = run("status", "--json", "--database=default")
    state = json.loads(told)["databases"]["default"]
    assert state["statuses"]["completed"] == 10_000
    assert state["capped"] == ["completed"]
    assert "10,000+" in run("status", "--database=default")


# embedworkflow_prune


@on_every_database
def test_prune_deletes_what_is_old(alias):
    """Old finished executions go, and their events with them; younger ones stay."""
    old, young = finished(alias), finished(alias, age=timedelta(days=1))
    again = made(alias, run_again_of=old)
    for execution in (old, young):
        execution.events.create(status=execution.status, source="poll")
    printed = run("prune", "--older-than=30", f"--database={alias}")
    assert printed == f"{alias}: 1 deleted\n"
    rows = Execution.objects.using(alias)
    assert set(rows.values_list("pk", flat=True)) == {young.pk, again.pk}
    assert rows.get(pk=again.pk).run_again_of is None
    events = ExecutionEvent.objects.using(alias)
    assert list(events.values_list("execution", flat=True)) == [young.pk]


@on_every_database
def test_prune_never_touches_what_is_not_over(alias):
    """Neither what is not final, nor what is to be announced or asked after, however old."""
    age = timedelta(days=1000)
    kept = [finished(alias, age=age, status=status) for status in set(Status.values) - set(FINAL)]
    kept += [
        finished(alias, age=age, announced_at=None),
        finished(alias, age=age, due_at=timezone.now()),
        finished(alias, age=age, finished_at=timezone.now()),
    ]
    assert run("prune", "--older-than=30", f"--database={alias}") == f"{alias}: 0 deleted\n"
    assert Execution.objects.using(alias).count() == len(kept)


@on_every_database
def test_prune_can_keep_the_rows(alias):
    """``--data-only`` empties data, log, stats, template and raw answer; once is enough."""
    data = {"execution_data": {"card": 1}, "log": [1], "stats": {"a": 1}, "template": {"b": 2}}
    full, half = finished(alias, raw={"c": 3}, **data), finished(alias, log=["x"])
    full.events.create(status=full.status, source="poll")
    young = finished(alias, age=timedelta(days=1), **data)
    finished(alias)
    command = ("prune", "--data-only", "--older-than=30", f"--database={alias}")
    assert run(*command) == f"{alias}: 2 scrubbed\n"
    assert run(*command) == f"{alias}: 0 scrubbed\n"
    for row in (full, half, young):
        row.refresh_from_db()
    assert (full.execution_data, full.log, full.stats, full.template, full.raw) == (
        {},
        None,
        None,
        None,
        None,
    )
    assert half.log is None
    assert young.execution_data == {"card": 1}
    assert Execution.objects.using(alias).filter(log__isnull=True).count() == 3
    assert full.events.count() == 1


@on_every_database
def test_prune_lets_nothing_run_twice_that_runs_once(alias):
    """What ``once=True`` has started keeps its row, emptied; ``--forget-once`` takes it, too."""
    rows = Execution.objects.using(alias)
    command = ("prune", "--older-than=30", f"--database={alias}")
    with declared.declaring():
        once = triggers.trigger(post_save, sender=Cake, workflow="bake", once=True)
        once(lambda cake, **kwargs: {"name": cake.name})
        cake = Cake.objects.using(alias).create(name="Linzer")
        key = rows.get().idempotency_key
        rows.all().delete()
        finished(alias)
        old = finished(alias, idempotency_key=key, execution_data={"name": "Linzer"}, raw={"a": 1})
        old.events.create(status=old.status, source="poll")

        assert "1 would be deleted, 1 would be emptied\n" in run(*command, "--dry-run")
        assert run(*command) == f"{alias}: 1 deleted, 1 emptied\n"
        cake.save()
        assert list(rows) == [old]
        old.refresh_from_db()
        assert (old.execution_data, old.raw, old.events.count()) == ({}, None, 0)
        assert run(*command) == f"{alias}: 0 deleted\n"

        assert run(*command, "--forget-once") == f"{alias}: 1 deleted\n"
        cake.save()
        assert rows.get().execution_data == {"name": "Linzer"}


@pytest.mark.django_db
@pytest.mark.parametrize("option", [[], ["--data-only"]], ids=["rows", "data"])
def test_a_dry_run_only_counts(option):
    """``--dry-run`` says how many there are, and changes nothing."""
    for _ in range(3):
        finished(log=["x"])
    printed = run(
        "prune", "--database=default", "--dry-run", "--older-than=30", "--batch-size=2", *option
    )
    assert "default: 3 would be " in printed
    assert Execution.objects.filter(log__isnull=False).count() == 3


@on_every_database
def test_prune_works_in_batches(alias, django_assert_max_num_queries):
    """Every row goes, batch by batch, with a line now and then; no query reads the young end."""
    for _ in range(21):
        finished(alias)
    finished(alias, age=timedelta(days=1))
    printed = run("prune", "--older-than=30", "--batch-size=2", f"--database={alias}")
    assert printed.splitlines() == [f"{alias}: 20 deleted so far", f"{alias}: 21 deleted"]
    assert Execution.objects.using(alias).count() == 1


@pytest.mark.django_db
def test_prune_ends_with_a_full_batch():
    """A table whose last batch is just full is pruned to its end, too."""
    for _ in range(2):
        finished()
    assert (
        run("prune", "--database=default", "--older-than=30", "--batch-size=2")
        == "default: 2 deleted\n"
    )


@pytest.mark.django_db
def test_prune_takes_some_statuses_only():
    """``--status`` gives each kind an age of its own, run by run."""
    finished()
    failed, canceled = finished(status=Status.FAILED), finished(status=Status.CANCELED)
    run("prune", "--database=default", "--older-than=30", "--status=completed", "--status=canceled")
    assert list(Execution.objects.all()) == [failed]
    assert canceled.status == Status.CANCELED


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "left"), [("2", 1), ("2d", 1), ("48h", 1), ("4d", 2), ("0", 0), ("99999999", 2)]
)
def test_an_age_is_in_days_unless_it_has_a_unit(text, left):
    """A number alone is days; an age before all time deletes nothing."""
    finished(age=timedelta(days=3))
    finished(age=timedelta(days=1))
    run("prune", "--database=default", f"--older-than={text}")
    assert Execution.objects.count() == left


@pytest.mark.django_db
def test_the_age_may_stand_in_the_settings(settings):
    """``RETENTION`` is the age unless the command line has one; without either it is refused."""
    finished(age=timedelta(days=3))
    settings.EMBEDWORKFLOW = {"RETENTION": timedelta(days=5)}
    assert "0 deleted" in run("prune", "--database=default")
    settings.EMBEDWORKFLOW = {"RETENTION": timedelta(days=2)}
    assert "1 deleted" in run("prune", "--database=default")
    settings.EMBEDWORKFLOW = {}
    error = str(refused("prune", "--database=default"))
    assert "--older-than" in error
    assert 'EMBEDWORKFLOW["RETENTION"]' in error


@on_every_database
def test_what_the_project_protects_is_kept(alias):
    """A row that a protected foreign key needs stays, and keeps no other from going."""
    rows = [finished(alias) for _ in range(5)]
    Receipt.objects.using(alias).create(execution=rows[2])
    printed = run("prune", "--older-than=30", f"--database={alias}")
    assert printed == f"{alias}: 4 deleted, 1 kept, for other rows need them\n"
    assert list(Execution.objects.using(alias)) == [rows[2]]


@pytest.mark.django_db
def test_an_interrupted_prune_finishes_its_batch(handlers):
    """After a signal the batch in hand is deleted, the rest stays, and the exit code says so."""
    for _ in range(25):
        finished()
    stdout = Watched("so far", lambda _text: interrupt(signal.SIGTERM))
    command = ("prune", "--older-than=30", "--batch-size=2", "--database=default")
    error = refused(*command, stdout=stdout)
    assert (str(error), error.returncode) == ("Interrupted.", 1)
    assert Execution.objects.count() == 5


# embedworkflow_check


@pytest.fixture
def declare(monkeypatch):
    """Return a function that declares a trigger, out of reach of the project's own."""
    monkeypatch.setattr(triggers, "registry", {})
    declared = []

    def declare(name, **options):
        def function(instance, **kwargs):
            return None

        function.__qualname__ = name
        triggers.trigger(post_save, sender=Cake, **({"workflow": "bake"} | options))(function)
        declared.append(triggers.registry[f"{__name__}.{name}"])

    yield declare
    for trigger in declared:
        assert post_save.disconnect(trigger.receive, sender=Cake)


def test_check_asks_about_keys_and_workflows(sandbox, declare):
    """A key that works and a workflow that exists and is on pass; nothing is changed."""
    declare("ordered")
    declare("by_size", workflow=lambda cake: cake.name)
    lines = [" ".join(line.split()) for line in run("check").splitlines()]
    assert lines == [
        "ok default secret key",
        f"ok default {__name__}.ordered bake Bake",
        f"skipped default {__name__}.by_size (a callable) depends on the instance",
    ]
    assert {call.method for call in sandbox.requests} == {"GET"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"workflow": "cook"}, "404"),
        ({"workflow": "sleep"}, "the workflow is off"),
        ({"workflow": ".."}, ".."),
        ({"user_key": "nobody"}, "404"),
    ],
    ids=["missing", "off", "impossible", "another user's"],
)
def test_check_finds_a_workflow_that_cannot_run(sandbox, declare, options, reason):
    """The exit code is 1, and the line names the trigger, where it stands, and the reason."""
    sandbox.add_workflow("sleep", on=False)
    declare("ordered", **options)
    stdout = io.StringIO()
    error = refused("check", stdout=stdout)
    assert (str(error), error.returncode) == ("1 of 2 failed.", 1)
    line = stdout.getvalue().splitlines()[1]
    assert line.startswith("FAILED   default")
    assert reason in line
    assert "test_commands.py:" in line


def test_check_asks_about_the_workflow_of_whoever_it_will_run_for(sandbox, declare, settings):
    """That is the trigger's user, or else the account's; not the API's own default."""
    sandbox.add_workflow("greet", user_key="jane")
    sandbox.add_workflow("bake", user_key="joan", on=False)
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "USER_KEY": "jane"}
    declare("by_default", workflow="greet")
    declare("by_name", workflow="bake", user_key="joan")
    declare("by_cake", workflow="greet", user_key=lambda cake: cake.name)
    stdout = io.StringIO()
    assert str(refused("check", stdout=stdout)) == "1 of 4 failed."
    _key, *lines = (" ".join(line.split()) for line in stdout.getvalue().splitlines())
    assert lines[0] == f"ok default {__name__}.by_default greet Greet"
    assert lines[1].startswith(f"FAILED default {__name__}.by_name bake the workflow is off")
    assert lines[2] == f"skipped default {__name__}.by_cake greet depends on the instance"


@pytest.mark.parametrize("key", ["sk_test_wrong", ""], ids=["wrong", "missing"])
def test_check_finds_a_key_that_does_not_work(sandbox, declare, settings, key):
    """The account fails without showing its key, and its triggers are not asked about."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "ACCOUNTS": {"eu": {"SECRET_KEY": key}}}
    declare("ordered", account="eu")
    stdout = io.StringIO()
    assert str(refused("check", stdout=stdout)) == "1 of 3 failed."
    ok, failed, skipped = stdout.getvalue().splitlines()
    assert ok.startswith("ok       default")
    assert failed.startswith("FAILED   eu")
    assert skipped.startswith("skipped  eu")
    assert "wrong" not in stdout.getvalue()


def test_check_may_be_limited_to_an_account(sandbox, declare, settings):
    """Only the account's key and triggers are looked at; an unknown account is refused."""
    key = sandbox.secret_key
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "ACCOUNTS": {"eu": {"SECRET_KEY": key}}}
    declare("ordered")
    declare("shipped", account="eu")
    lines = run("check", "--account=eu").splitlines()
    assert [line.split()[1:3] for line in lines] == [
        ["eu", "secret"],
        ["eu", f"{__name__}.shipped"],
    ]
    assert "Known: default, eu." in str(refused("check", "--account=asia"))


def test_check_needs_settings_that_can_be_read(settings):
    """Settings that are no dict end in the sentence, not in a traceback."""
    settings.EMBEDWORKFLOW = None
    assert "EMBEDWORKFLOW should be a dict" in str(refused("check"))


# embedworkflow_execute


@on_every_database
def test_execute_stores_an_execution(alias, sandbox):
    """Every option reaches the row, and the id is printed."""
    cake = Cake.objects.using(alias).create(name="Sacher")
    printed = run(
        "execute",
        "bake",
        '--data={"tiers": 3}',
        "--user-key=jane",
        "--id-type=hashid",
        "--idempotency-key=k1",
        f"--source=bakery.cake:{cake.pk}",
        "--run-at=2131-05-17T09:00+02:00",
        f"--database={alias}",
    )
    execution = Execution.objects.using(alias).get(pk=printed.strip())
    assert execution.workflow == "bake"
    assert execution.execution_data == {"tiers": 3}
    assert (execution.user_key, execution.id_type) == ("jane", "hashid")
    assert execution.idempotency_key == "k1"
    assert execution.source == cake
    assert execution.run_at.isoformat() == "2131-05-17T07:00:00+00:00"
    assert run("execute", "bake", "--idempotency-key=k1", f"--database={alias}") == printed


@pytest.mark.django_db
def test_execute_reads_its_data_from_a_file_or_the_input(tmp_path, monkeypatch):
    """``--data-file`` names a file, or ``-`` for the standard input."""
    (tmp_path / "data.json").write_text('{"from": "é"}', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"from": "stdin"}'))
    for name, expected in ((tmp_path / "data.json", "é"), ("-", "stdin")):
        pk = run("execute", "bake", f"--data-file={name}").strip()
        assert Execution.objects.get(pk=pk).execution_data == {"from": expected}


@pytest.mark.django_db
def test_execute_takes_a_source_as_the_admin_writes_it():
    """One whose key has several parts, too."""
    batch = Batch.objects.create(oven=3, number=17)
    pk = run("execute", "bake", '--source=bakery.Batch:["3", "17"]').strip()
    assert Execution.objects.get(pk=pk).source == batch


@pytest.mark.django_db
def test_execute_needs_only_a_workflow():
    """Without options the data is empty and the account is ``default``."""
    execution = Execution.objects.get(pk=run("execute", "bake").strip())
    assert (execution.execution_data, execution.account, execution.source) == ({}, "default", None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aware", "text", "expected"),
    [
        (True, "2131-05-17T09:00", "2131-05-17T07:00:00+00:00"),
        (True, "2131-05-17T09:00Z", "2131-05-17T09:00:00+00:00"),
        (False, "2131-05-17T09:00", "2131-05-17T09:00:00"),
        (False, "2131-05-17T09:00Z", "2131-05-17T11:00:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_current_zone(settings, aware, text, expected):
    """The time is understood as the project understands times, with and without ``USE_TZ``."""
    settings.TIME_ZONE = "Europe/Vienna"
    settings.USE_TZ = aware
    pk = run("execute", "bake", f"--run-at={text}").strip()
    assert Execution.objects.get(pk=pk).run_at.isoformat() == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--data={"], "The data is no JSON"),
        (["--data=[1]"], "list"),
        (["--data=" + "[" * 100_000], "The data is no JSON"),
        (["--data-file=/nowhere/data.json"], "--data-file /nowhere/data.json cannot be read"),
        (["--account=asia"], "There is no account 'asia'"),
        (["--id-type=name"], "id_type"),
        (["--idempotency-key=ü"], "idempotency_key"),
        (["--user-key= "], "user_key"),
        (["--source=bakery.cake:0"], "--source 'bakery.cake:0' should be app.model:pk of a row"),
        (["--source=bakery.batch:1"], "--source 'bakery.batch:1'"),
        (["--source=bakery.cake:x"], "--source 'bakery.cake:x'"),
        (["--source=bakery.recipe:x"], "--source 'bakery.recipe:x'"),
        (["--source=bakery.pie:1"], "--source 'bakery.pie:1'"),
        (["--source=cake"], "row that exists: No installed app with label 'cake'"),
        (["--source=bakery.cake.x:1"], "doesn't have a 'cake.x' model"),
        (["--run-at=tomorrow"], "--run-at 'tomorrow' is no time"),
        (["--run-at=2031-02-30T09:00"], "--run-at '2031-02-30T09:00' is no time"),
        (["--data={}", "--data-file=-"], "not allowed with"),
        (["--wait=soon"], "--wait"),
    ],
    ids=lambda value: value[0][:30] if isinstance(value, list) else None,
)
def test_execute_refuses_what_makes_no_sense(args, sentence):
    """Bad input ends in a sentence, and no row."""
    error = refused("execute", "bake", *args)
    assert sentence in str(error)
    assert error.returncode == 1
    assert not Execution.objects.exists()


@on_every_database
def test_execute_waits_for_the_end(alias, sandbox, settings):
    """``--wait`` delivers it, asks after it, and prints how it has ended."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "POLL": (0.01, 0.05, 100)}
    ended = []

    def receive(execution, **kwargs):
        ended.append(execution.pk)

    signals.execution_finished.connect(receive)
    try:
        pk, outcome = run("execute", "bake", "--wait", f"--database={alias}").splitlines()
    finally:
        signals.execution_finished.disconnect(receive)
    execution = Execution.objects.using(alias).get(pk=pk)
    assert execution.succeeded
    assert outcome == "bake is completed: 0 of 0 actions done"
    assert ended == [execution.pk]


@pytest.mark.django_db(transaction=True)
def test_execute_tells_another_end(sandbox):
    """An execution that does not complete ends in exit code 1 and the API's words."""
    error = refused("execute", "nowhere", "--wait")
    assert str(error).startswith("nowhere is undeliverable: 0 of 0 actions done. ")
    assert "404" in str(error)
    assert error.returncode == 1


@pytest.mark.django_db(transaction=True)
def test_execute_tells_that_it_goes_on(sandbox):
    """When the time is up, exit code 3 says that the execution still runs."""
    error = refused("execute", "bake", "--wait=0")
    assert str(error) == "bake is queued: 0 of 0 actions done; it goes on."
    assert error.returncode == 3


@pytest.mark.django_db(transaction=True)
def test_waiting_does_not_storm_an_api_that_lets_nobody_in(sandbox, settings):
    """The execution stays due, and is tried about once a second."""
    settings.EMBEDWORKFLOW = {**settings.EMBEDWORKFLOW, "SECRET_KEY": "sk_test_wrong"}
    error = refused("execute", "bake", "--wait=1.5")
    assert error.returncode == 3
    assert 1 <= len(sandbox.requests) <= 3


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_with_a_signal(sandbox, handlers):
    """Ctrl-C ends the waiting, not the execution."""
    with meanwhile(sandbox, lambda: interrupt(signal.SIGINT)):
        error = refused("execute", "bake", "--wait=60")
    assert "it goes on" in str(error)
    assert error.returncode == 3


# embedworkflow_sandbox


def test_the_sandbox_prints_the_lines_that_lead_to_it(handlers):
    """Whoever pastes the lines into the settings reaches the sandbox; Ctrl-C ends it."""
    answers = []

    def use(text):
        lines = dict(
            line.split("=", 1) for line in text.splitlines() if line[:14] == "EMBEDWORKFLOW_"
        )
        headers = {"Authorization": f"Bearer {lines['EMBEDWORKFLOW_SECRET_KEY']}"}
        url = f"{lines['EMBEDWORKFLOW_BASE_URL']}/workflows"
        answers.append(requests.get(url, headers=headers, timeout=10).status_code)
        pasted = {}
        exec(text[text.index("EMBEDWORKFLOW = {") : text.index("\n}") + 2], pasted)
        assert pasted["EMBEDWORKFLOW"]["BASE_URL"] == lines["EMBEDWORKFLOW_BASE_URL"]
        assert pasted["EMBEDWORKFLOW"]["SECRET_KEY"] == "sk_test_mine"
        assert pasted["EMBEDWORKFLOW"]["ACCOUNTS"] == {"eu": {"SECRET_KEY": "sk_test_eu"}}
        assert "Workflows: order-fulfilment, " in text
        interrupt(signal.SIGINT)

    stdout = Watched("Ctrl-C", use)
    keys = ("--secret-key=sk_test_mine", "--account=eu=sk_test_eu")
    printed = run("sandbox", "--port=0", *keys, stdout=stdout)
    assert answers == [200]
    assert printed.endswith("The sandbox has stopped.\n")


def test_the_sandbox_has_the_options_of_its_own_command_line():
    """No option is known to one of the two command lines only."""
    from embedworkflow_django.sandbox import __main__ as command_line

    command = load_command_class("embedworkflow_django", "embedworkflow_sandbox")
    parser = command.create_parser("manage.py", "embedworkflow_sandbox")
    own = {action.dest for action in command_line.parser()._actions}
    assert own == {action.dest for action in parser._actions} - (_DJANGOS_OWN - {"help"})


def test_the_sandbox_refuses_what_makes_no_sense():
    """A fault that does not exist and an address that is taken end in a sentence."""
    assert "nonsense" in str(refused("sandbox", "--port=0", "--fault=nonsense"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert str(refused("sandbox", f"--port={taken.getsockname()[1]}"))


# The exit codes, as a shell sees them.


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["status", "--fail-if-older-than=1d"], 0),
        (["status", "--fail-if-older-than=30"], 1),
        (["status", "--fail-if-older-than=never"], 2),
        (["status", "--fail-if-no-worker-for=5m"], 1),
        (["execute", "bake", "--wait=0"], 3),
        (["prune"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_exit_code_reaches_the_shell(args, code):
    """A process that runs a command ends with the documented code, and without a traceback."""
    made(age=timedelta(hours=1))
    name, *options = args
    command = [sys.executable, "-m", "django", f"embedworkflow_{name}", *options]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [*command, "--database=default", "--skip-checks"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
