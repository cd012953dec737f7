"""What delivering, polling and idling may cost the database: statements, commits, connections.

They are counted and never timed. How many batches there are goes by the pace, so the seconds that
a run takes stand in a limit where they must; what a batch costs does not depend on them.
"""

from __future__ import annotations

import time
from collections import Counter

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from embedworkflow_django import services
from embedworkflow_django.models import Status
from embedworkflow_django.pulse import EVERY
from embedworkflow_django.worker import GATHER

from .databases import EVERY_DATABASE
from .river import open_river

pytestmark = pytest.mark.django_db(transaction=True)
ITEMS = 500


def counted(captured):
    """Return how often each kind of statement was captured, by its first word and its table."""
    kinds = Counter()
    for query in captured:
        words = query["sql"].replace('"', "").replace("`", "").split()
        table = next((word for word in words if word.startswith("embedworkflow_")), "")
        kinds[words[0].rstrip(";"), table] += 1
    return kinds


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_hundreds_of_deliveries_take_a_few_dozen_statements(alias, settings):
    """A claim is one statement, and what is heard in a tenth of a second one transaction."""
    connection = connections[alias]
    with open_river(settings, alias) as river:
        services.execute_many([{"workflow": "bake", "using": alias}] * ITEMS)
        began = time.monotonic()
        with CaptureQueriesContext(connection) as captured:
            worker = river.work(concurrency=8)
        took = time.monotonic() - began

    assert ITEMS == worker.counts["delivered"]
    said = counted(captured)
    statements = said.total() - said["COMMIT", ""] - said["BEGIN", ""]
    events = said["INSERT", "embedworkflow_executionevent"]
    claims = sum("RETURNING" in q["sql"] or "SKIP LOCKED" in q["sql"] for q in captured)
    # MariaDB's UPDATE returns no rows.
    each = 2 if connection.vendor == "mysql" else 1
    # The first and the last batch end early; claims bring more than is heard meanwhile.
    assert events <= 3 + took / GATHER
    assert claims <= 8 + events
    # Of the pulse: three for each sign of life, two signs at least, and four in the first.
    assert statements <= 2 * events + each * claims + 3 * (2 + took / EVERY) + 4


@pytest.mark.parametrize("alias", EVERY_DATABASE)
@pytest.mark.parametrize("count", [2, 60])
def test_a_round_of_polls_without_news_is_one_statement(alias, settings, count):
    """Whatever is unchanged is written together, and has no event."""
    with open_river(settings, alias) as river:
        services.execute_many([{"workflow": "bake", "using": alias}] * count)
        # Delivered, and asked once for what only an answer to a poll carries.
        for _ in range(2):
            river.work()
            river.make_due()
        with CaptureQueriesContext(connections[alias]) as captured:
            worker = river.work(concurrency=8)

    assert count == worker.counts["unchanged"]
    settled = [
        query["sql"].partition(" FROM ")[0]
        for query in captured
        if query["sql"].startswith("UPDATE") and "synced_at" in query["sql"].partition(" WHERE ")[0]
    ]
    assert 0 == counted(captured)["INSERT", "embedworkflow_executionevent"]
    assert 1 <= len(settled) <= 1 + count / 4
    assert all("remote_status" not in sql and "raw" not in sql for sql in settled)


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_a_worker_holds_two_connections_of_a_server_at_the_most(alias, settings):
    """The coordinator's and, while receivers or chores run, one more; calls have none."""
    if connections[alias].vendor != "postgresql":
        pytest.skip("Only PostgreSQL tells everybody of its sessions.")
    most = 0
    with open_river(settings, alias) as river:
        services.execute_many([{"workflow": "bake", "using": alias}] * 200)
        before = sessions(alias)
        ends = time.monotonic() + 30
        with river.running(concurrency=16):
            while river.rows().filter(status=Status.QUEUED).exists():
                assert time.monotonic() < ends
                most = max(most, sessions(alias) - before)
    assert 1 <= most <= 2


def sessions(alias):
    """Return how many sessions the database has."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return cursor.fetchone()[0]
