"""How the database answers the list: by its indexes, whatever is filtered, viewed or searched."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connections
from django.db.models.signals import post_save
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from embedworkflow_django import figures, keys, triggers
from embedworkflow_django.admin import lists
from embedworkflow_django.models import Execution, Status

from .bakery.models import Cake
from .databases import DEFAULT, EVERY_DATABASE
from .declared import declaring

ROWS = 3000
CAP = 150
# Rows as wide as real ones: a table of few pages is rightly read as a whole.
NOTE = "by the back door, please " * 30
# Of the default database only: the admin's own tables are there.
EVERY_DATABASE = [each for each in EVERY_DATABASE if each.id == DEFAULT]

PLACES = [
    {},
    {"p": "2"},
    *({"view": view} for view in ("attention", "in_flight", "queued", "unconfirmed")),
    {"view": "failed_today"},
    *({"status": status} for status in ("failed", "completed", "queued", "deleted")),
    {"workflow": "rare"},
    {"account": "eu"},
    {"trigger": "shop.sold"},
    *({"created": day} for day in ("today", "yesterday", "week")),
    {"status": "failed", "created": "today"},
    {"workflow": "common", "status": "failed"},
    {"workflow": "common", "status": "deleted"},
    {"workflow": "rare", "status": "failed"},
    {"workflow": "rare", "status": "completed"},
    *({"q": term} for term in ("019a0000", "r-17", "hash17", "key-17", "bakery.cake:17", "rare")),
]


def rows():
    """Yield rows of which the failures are all old, and the rare ones all new or all old."""
    now = timezone.now()
    for number in range(ROWS):
        at = now - timedelta(minutes=10 * (ROWS - number))
        execution = Execution(
            id=uuid.UUID(int=keys.first_of(at).int | number),
            workflow="rare" if number < 20 else "common",
            account="eu" if number < 20 else "default",
            trigger="shop.sold" if number % 500 == 0 else "shop.placed",
            source_type="bakery.cake",
            source_id=str(number),
            remote_id=f"r-{number}",
            hashid=f"hash{number}",
            idempotency_key=f"key-{number}",
            execution_data={"note": NOTE},
            status=Status.COMPLETED,
            created_at=at,
            due_at=None,
        )
        if number < ROWS // 3:
            execution.status = Status.FAILED
        elif number % 200 == 0:
            execution.status = Status.UNDELIVERABLE
        elif number % 333 == 0:
            execution.status = Status.UNCONFIRMED
        elif number >= ROWS - 30:
            execution.status, execution.due_at = (Status.QUEUED, Status.RUNNING)[number % 2], at
        yield execution


def read_postgresql(cursor, sql):
    """Return how many rows a statement read, in tables and indexes."""
    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
    (answer,) = cursor.fetchone()
    (plan,) = json.loads(answer) if isinstance(answer, str) else answer

    def read(node):
        own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        here = own * node["Actual Loops"] if "Scan" in node["Node Type"] else 0
        return here + sum(read(each) for each in node.get("Plans", ()))

    return read(plan["Plan"])


def read_mariadb(cursor, sql):
    """Return how many rows a statement read, in tables and indexes."""
    cursor.execute("FLUSH STATUS")
    cursor.execute(sql)
    cursor.fetchall()
    cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    # A temporary table's rows are read again, and deleted ones never.
    names = ("Handler_read_key", "Handler_read_next", "Handler_read_prev")
    return sum(int(value) for name, value in cursor.fetchall() if name in names)


def read_sqlite(cursor, sql):
    """Return how much of a table a statement may read: none but what an index says, or all."""
    cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
    steps = [step[3] for step in cursor.fetchall()]
    scans = [step for step in steps if "SCAN" in step and "embed" in step and "INDEX" not in step]
    return ROWS if scans else 0


READ = {"postgresql": read_postgresql, "mysql": read_mariadb, "sqlite": read_sqlite}


@pytest.fixture
def _two_triggers(monkeypatch):
    """Declare the triggers of the rows, and no others."""
    monkeypatch.setattr(triggers, "registry", {})
    with declaring():
        for name in ("sold", "placed"):

            def function(instance, **kwargs):
                return None

            function.__module__, function.__qualname__ = "shop", name
            triggers.trigger(post_save, sender=Cake, workflow="common")(function)
        yield


@pytest.mark.usefixtures("_two_triggers")
@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_no_question_reads_more_than_its_answer(alias, monkeypatch):
    """What is asked of a table of any size reads as many rows as are shown or counted, at most."""
    monkeypatch.setattr(lists, "MAX_COUNT", CAP)
    monkeypatch.setattr(figures, "CAP", CAP)
    monkeypatch.setattr(figures, "_SAMPLE", CAP)
    Execution.objects.using(alias).bulk_create(rows())
    connection = connections[alias]
    with connection.cursor() as cursor:
        words = {"postgresql": "VACUUM ANALYZE", "mysql": "ANALYZE TABLE", "sqlite": "ANALYZE"}
        cursor.execute(f"{words[connection.vendor]} embedworkflow_execution")
        cursor.fetchall() if connection.vendor == "mysql" else None
    cache.clear()
    client = Client()
    client.force_login(User.objects.create_superuser("chef"))
    url = reverse("admin:embedworkflow_execution_changelist")
    moving = [row.pk.hex for row in Execution.objects.filter(status=Status.RUNNING)]
    live = reverse("admin:embedworkflow_execution_live_rows")
    answers = [(url, place) for place in PLACES] + [(live, {"ids": ",".join(moving)})]
    own = ("overview", "triggers")
    answers += [(reverse(f"admin:embedworkflow_execution_{page}"), {}) for page in own]

    read = {}
    for page, query in answers:
        with CaptureQueriesContext(connection) as queries:
            assert 200 == client.get(page, query).status_code
        asked = [each["sql"] for each in queries if "FROM " in each["sql"]]
        asked = [sql for sql in asked if "embedworkflow_execution" in sql]
        with connection.cursor() as cursor:
            most = max(READ[connection.vendor](cursor, sql) for sql in asked)
        read[f"{page}{query}"] = most

    # Five views and the list are counted up to the cap, some of them by one index for two statuses.
    assert {} == {place: most for place, most in read.items() if most > 8 * (CAP + 1)}
