"""Several workers on one database, whose machines' clocks disagree by minutes."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from embedworkflow_django import jobs, services
from embedworkflow_django.models import Job, Status, WorkerProcess

from . import programs
from .databases import WITH_DEFAULT
from .river import open_river

# An SQLite database and all that use it are on one machine, which has one clock.
on_servers = pytest.mark.parametrize("alias", WITH_DEFAULT[1:])

CLOCK = """
from datetime import timedelta
from django.utils import timezone
from embedworkflow_django.worker import Worker
right = timezone.now
def set_clock(minutes):
    timezone.now = lambda: right() + timedelta(minutes=minutes)
"""
WORK = """
import threading
set_clock({minutes})
worker = Worker(aliases=[ALIAS], interval=0.1)
print("ready", flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), worker.stop())).start()
worker.run()
print(worker.counts["delivered"])
"""


def configuration(river):
    """Return the settings of a worker whose leases are short."""
    return {
        "SECRET_KEY": river.sandbox.secret_key,
        "BASE_URL": river.sandbox.base_url,
        "DISPATCHER": "worker",
        "TIMEOUT": [1, 2],
        "CONCURRENCY": 4,
        "POLL": [60, 60, 3600],
    }


@on_servers
def test_four_workers_with_different_clocks_send_each_execution_once(settings, alias):
    """A lease ends when the database says so, not when the fastest clock does."""
    with open_river(settings, alias) as river:
        river.sandbox.faults.add("latency", seconds=0.1, times=None)
        workers = [
            programs.start(
                CLOCK + WORK.format(minutes=minutes),
                configuration=configuration(river),
                alias=alias,
            )
            for minutes in (-5, 0, 5, 10)
        ]
        try:
            for worker in workers:
                assert "ready\n" == worker.stdout.readline(), worker.stderr.read()
            services.execute_many([{"workflow": "bake", "using": alias}] * 200)
            ends = time.monotonic() + 30
            while river.rows().queued().exists() and time.monotonic() < ends:
                time.sleep(0.05)
        finally:
            said = [worker.communicate(timeout=30) for worker in workers]

        assert 200 == river.rows().filter(status=Status.RUNNING).count()
        assert {1} == set(Counter(call.idempotency_key for call in river.executed).values())
        delivered = [int(printed) for printed, _complaints in said]
        assert 200 == sum(delivered)
        assert min(delivered) > 0


@on_servers
def test_a_wrong_clock_neither_hurries_nor_delays(settings, alias):
    """What is due is due by the database's clock, also when a worker's clock is set meanwhile."""
    with open_river(settings, alias) as river:
        due = river.execute()
        later = river.execute(run_at=timezone.now() + timedelta(minutes=1))
        programs.run(
            f"""{CLOCK}
set_clock(-5)
Worker(aliases=[ALIAS]).run_until_idle()
set_clock(5)
Worker(aliases=[ALIAS]).run_until_idle()
""",
            configuration=configuration(river),
            alias=alias,
        )

        due = river.row(due)
        assert (Status.RUNNING, Status.QUEUED) == (due.status, river.row(later).status)
        assert 1 == len(river.executed)
        # Its times are the database's as well: the next poll is a minute away.
        for moment in (due.dispatched_at, due.events.get().at):
            assert abs(moment - timezone.now()) < timedelta(seconds=20)
        assert timedelta(seconds=40) < due.due_at - timezone.now() < timedelta(seconds=60)


@on_servers
def test_a_wrong_clock_prolongs_a_lease_by_what_it_should(settings, alias):
    """Until the database's clock says so: an end that is being told is nobody else's meanwhile."""
    with open_river(settings, alias) as river:
        river.execute()
        programs.run(
            f"""{CLOCK}
from embedworkflow_django import outbox
lease = timedelta(minutes=2)
set_clock(-5)
(mine,) = outbox.claim(ALIAS, token="a" * 32, now=timezone.now(), lease=lease, limit=1)
until = timezone.now() + 2 * lease
outbox.renew(ALIAS, token="a" * 32, ids=[mine.execution.pk], until=until)
""",
            configuration=configuration(river),
            alias=alias,
        )

        assert timedelta(minutes=3) < river.row().due_at - timezone.now() < timedelta(minutes=4)


@on_servers
def test_a_slow_answer_is_no_wrong_clock(alias):
    """Whose clocks agree give an execution times that do, however busy their machines are."""
    printed = programs.run(
        """
        import time
        from django.db import connections
        from embedworkflow_django import outbox
        def slowly(execute, *arguments):
            answer = execute(*arguments)
            time.sleep(0.2)
            return answer
        with connections[ALIAS].execute_wrapper(slowly):
            print(outbox.ahead(ALIAS).total_seconds())
        """,
        configuration={"SECRET_KEY": "sk_test_clock"},
        alias=alias,
    )

    assert 0.0 == float(printed)


@on_servers
def test_a_wrong_clock_keeps_sync_from_nothing(settings, alias):
    """What is made due is due by the database's clock, and asked after."""
    with open_river(settings, alias) as river:
        river.execute()
        river.configure(POLL=(600, 600, 36000))
        river.work()
        printed = programs.run(
            f"""{CLOCK}
from django.core.management import call_command
set_clock(5)
call_command("embedworkflow_sync", "--database", ALIAS)
""",
            configuration=configuration(river),
            alias=alias,
        )

        assert "1 made due: 1 moved" == printed.strip()


@on_servers
def test_a_wrong_clock_of_who_commits_delays_nothing(settings, alias):
    """What is due at once is so by the database's clock; what is for later keeps its time."""
    with open_river(settings, alias) as river:
        programs.run(
            f"""{CLOCK}
set_clock(5)
soon = {{"workflow": "bake", "using": ALIAS}}
services.execute_many([soon, soon | {{"run_at": right() + timedelta(minutes=1)}}])
""",
            configuration=configuration(river),
            alias=alias,
        )
        river.work()
        soon, later = sorted(river.rows(), key=lambda row: row.run_at is not None)

        assert (Status.RUNNING, Status.QUEUED) == (soon.status, later.status)
        assert later.run_at == later.due_at


@on_servers
def test_what_is_committed_is_due_at_once_in_any_zone_of_a_database(settings, alias):
    """A database may keep its times in a zone of its own."""
    with open_river(settings, alias) as river:
        printed = programs.run(
            """
from django.utils import timezone
transaction.get_connection(ALIAS).settings_dict["TIME_ZONE"] = "Asia/Tokyo"
services.execute("bake", using=ALIAS)
waits = Execution.objects.using(ALIAS).get().due_at - timezone.now()
print(abs(waits.total_seconds()) < 20)
""",
            configuration=configuration(river),
            alias=alias,
        )

        assert "True" == printed.strip()


@on_servers
def test_a_wrong_clock_of_who_refreshes_delays_nothing(settings, alias):
    """It is asked after at once."""
    with open_river(settings, alias) as river:
        river.execute()
        river.work()
        programs.run(
            f"""{CLOCK}
set_clock(5)
services.refresh(Execution.objects.using(ALIAS).get())
""",
            configuration=configuration(river),
            alias=alias,
        )

        assert 1 == river.work().counts["moved"]


@on_servers
@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_wrong_clock_makes_no_process_look_dead(settings, alias, minutes):
    """A sign of life, and the end of a pause, are told by the database's clock."""
    with open_river(settings, alias) as river:
        river.execute()
        programs.run(
            f"""{CLOCK}
set_clock({minutes})
Worker(aliases=[ALIAS]).run_until_idle()
""",
            configuration={**configuration(river), "SECRET_KEY": "sk_test_wrong"},
            alias=alias,
        )

        sign = WorkerProcess.objects.using(alias).get()
        until = datetime.fromisoformat(sign.pauses["default"]["until"])
        for told in (sign.started_at, sign.seen_at, sign.ended_at, until):
            assert abs(told - timezone.now()) < timedelta(minutes=1)


@on_servers
@pytest.mark.parametrize(
    ("minutes", "wait", "taken"),
    [(5, jobs.LEASE, "False"), (-5, timedelta(0), "True")],
    ids=["ahead", "behind"],
)
def test_a_wrong_clock_takes_no_job_early_nor_late(settings, alias, minutes, wait, taken):
    """A part of a job is another worker's until the database says that its lease has ended."""
    with open_river(settings, alias) as river:
        Job.objects.using(alias).create(
            verb="cancel",
            newest=river.execute().pk,
            by="ann",
            claim="other",
            status=Job.Status.RUNNING,
            due_at=timezone.now() + wait,
        )
        printed = programs.run(
            f"""{CLOCK}
set_clock({minutes})
from embedworkflow_django import jobs
print(jobs.work(ALIAS))
""",
            configuration=configuration(river),
            alias=alias,
        )

        assert taken == printed.strip()
