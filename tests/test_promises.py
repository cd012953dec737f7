"""The ten promises of the design, each with the test that proves it. Over real HTTP."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter

import pytest
from django.contrib.auth.models import Permission, User
from django.core import serializers
from django.db import connections, transaction
from django.db.models.signals import post_save
from django.template import Context, Template
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from embedworkflow_django import connections as accounts
from embedworkflow_django import services
from embedworkflow_django.models import Execution, ExecutionEvent, Status
from embedworkflow_django.triggers import trigger

from . import programs
from .bakery.models import Cake
from .databases import EVERY_DATABASE
from .declared import declaring
from .river import open_river
from .wire import Silence, serving

every_database = pytest.mark.parametrize("alias", EVERY_DATABASE)
KILLS = 6


@pytest.fixture
def triggered():
    """A trigger on every saved cake."""
    with declaring():

        @trigger(post_save, sender=Cake, workflow="bake")
        def cake_saved(cake, created, **kwargs):
            return {"cake": cake.pk} if created else None

        yield


def configuration(river, **changes):
    """Return the settings of a program on a river."""
    return {
        "SECRET_KEY": river.sandbox.secret_key,
        "BASE_URL": river.sandbox.base_url,
        "DISPATCHER": "worker",
        "TIMEOUT": [0.5, 1],
        "LEASE": 1,
        "POLL": [60, 60, 3600],
        **changes,
    }


SAVE = """
from django.db.models.signals import post_save
from embedworkflow_django.triggers import trigger
from tests.bakery.models import Cake

@trigger(post_save, sender=Cake, workflow="bake")
def cake_saved(cake, created, **kwargs):
    return {"cake": cake.pk}

print("ready", flush=True)
while True:
    with transaction.atomic(using=ALIAS):
        Cake.objects.using(ALIAS).create(name="c")
"""
EMBEDDING = "{% load embedworkflow %}{% embedworkflow_loader user.pk email=user.email %}"
WORK = """
from embedworkflow_django.worker import Worker
print("ready", flush=True)
Worker(aliases=[ALIAS], interval=0.05).run()
"""


def kill_at_random(code, *, alias, settings):
    """Start a program and kill it -9 at some instant of its work."""
    process = programs.start(code, configuration=settings, alias=alias)
    assert "ready\n" == process.stdout.readline(), process.stderr.read()
    time.sleep(random.uniform(0.02, 0.3))
    process.kill()
    process.communicate(timeout=20)


def drain(river):
    """Deliver what is left, once all leases have ended."""
    for _ in range(100):
        river.make_due()
        river.work()
        if not river.rows().queued().exists():
            return
    raise AssertionError("Some rows are never delivered.")


def remote_keys(river):
    """Return how many executions the API has made under each idempotency key."""
    return Counter(
        {call.idempotency_key: call.execution_id for call in river.executed if call.execution_id}
    )


@every_database
def test_promise_01_a_rolled_back_transaction_leaves_no_row_and_makes_no_call(
    settings, alias, triggered
):
    """Neither the cake nor its execution, with any dispatcher."""
    with open_river(settings, alias) as river:
        for dispatcher in ("worker", "immediate"):
            river.configure(DISPATCHER=dispatcher)
            with transaction.atomic(using=alias):
                Cake.objects.using(alias).create(name="c")
                assert 1 == river.rows().count()
                transaction.set_rollback(True, using=alias)
        river.work()

        assert (0, []) == (river.rows().count(), river.sandbox.requests)


@every_database
def test_promise_02_a_committed_trigger_is_never_lost(settings, alias):
    """Savers and workers are killed -9 at random instants; each committed cake is executed once."""
    with open_river(settings, alias) as river:
        for _ in range(KILLS // 2):
            kill_at_random(SAVE, alias=alias, settings=configuration(river, DISPATCHER="thread"))
            kill_at_random(SAVE, alias=alias, settings=configuration(river))
            kill_at_random(WORK, alias=alias, settings=configuration(river))
        drain(river)

        cakes = {str(pk) for pk in Cake.objects.using(alias).values_list("pk", flat=True)}
        rows = list(river.rows())
        assert cakes
        assert sorted(cakes) == sorted(row.source_id for row in rows)
        assert {Status.RUNNING} == {row.status for row in rows}
        assert {row.remote_id for row in rows} == {e.id for e in river.sandbox.executions}
        assert len(rows) == len(river.sandbox.executions)


@every_database
def test_promise_03_one_idempotency_key_is_one_remote_execution(settings, alias):
    """However many workers, lost answers and kills there are."""
    with open_river(settings, alias) as river:
        for kind in ("lost", "reset", "truncated", 500, "html"):
            river.sandbox.faults.add(kind, rate=0.1, path="*/execute", after=True)
        services.execute_many(
            [{"workflow": "bake", "idempotency_key": f"k-{n}", "using": alias} for n in range(100)]
        )
        for _ in range(KILLS // 2):
            kill_at_random(WORK, alias=alias, settings=configuration(river))
            river.make_due()
        with river.running(interval=0.05), river.running(interval=0.05):
            time.sleep(0.3)
        river.sandbox.faults.clear()
        drain(river)

        assert 100 == len(river.sandbox.executions)
        assert {f"k-{n}" for n in range(100)} == {c.idempotency_key for c in river.executed}
        assert {e.id for e in river.sandbox.executions} == {r.remote_id for r in river.rows()}


@every_database
def test_promise_04_no_call_is_made_inside_a_transaction(settings, alias, triggered):
    """Not by a verb, not by a trigger; only ``immediate`` calls, once it has committed."""
    with open_river(settings, alias) as river:
        for dispatcher, calls in (("worker", 0), ("immediate", 3)):
            river.configure(DISPATCHER=dispatcher)
            with transaction.atomic(using=alias):
                Cake.objects.using(alias).create(name="c")
                first, second = river.execute(), river.execute()
                services.cancel(first)
                services.refresh(second)
                services.run_again(first)
                assert [] == river.sandbox.requests
            assert calls == len(river.executed)


@every_database
def test_promise_05_a_trigger_costs_one_insert(settings, alias, triggered):
    """Beside the cake's own INSERT there is one statement more."""
    with transaction.atomic(using=alias), CaptureQueriesContext(connections[alias]) as captured:
        Cake.objects.using(alias).create(name="c")

    assert ["INSERT", "INSERT"] == [q["sql"].split()[0] for q in captured]
    assert "embedworkflow_execution" in captured[1]["sql"]


@every_database
def test_promise_06_each_transition_is_announced_once_and_the_end_is_never_lost(
    settings, alias, heard
):
    """Two workers at once; and one that is killed while a receiver runs."""
    with open_river(settings, alias) as river:
        heard.connect("execution_dispatched", "execution_status_changed", "execution_finished")
        rows = [river.execute() for _ in range(20)]
        river.sandbox.advance(0)
        with river.running(interval=0.05), river.running(interval=0.05):
            heard.wait_for(40)
            river.sandbox.advance(7200)
            river.rows().filter(claim="").update(due_at=timezone.now())
            heard.wait_for(80)
        counts = Counter((name, pk) for name, pk, _ in heard.said)
        assert {1, 2} == set(counts.values())
        assert {1} == {counts["execution_finished", row.pk] for row in rows}
        assert {2} == {counts["execution_status_changed", row.pk] for row in rows}

        lost = river.execute(workflow="nope")
        process = programs.start(
            """
            from embedworkflow_django import signals
            from embedworkflow_django.worker import Worker
            import time
            def receive(execution, **kwargs):
                print("receiving", flush=True)
                time.sleep(60)
            signals.execution_finished.connect(receive)
            Worker(aliases=[ALIAS]).run()
            """,
            configuration=configuration(river),
            alias=alias,
        )
        assert "receiving\n" == process.stdout.readline()
        process.kill()
        process.communicate()
        before = len(heard.said)
        river.make_due()
        river.work()
        assert [("execution_finished", lost.pk, {})] == heard.said[before:]
        assert river.row(lost).announced_at


@every_database
def test_promise_07_final_states_are_sticky(settings, alias):
    """Neither a late answer nor a changed mind of the API turns an end back."""
    with open_river(settings, alias) as river:
        row = river.execute()
        river.work()
        river.sandbox.advance(7200)
        river.make_due()
        river.work()
        assert Status.COMPLETED == river.row(row).status
        for word in ("failed", "stopped", "marinating"):
            river.sandbox.set_status(river.row(row).remote_id, word)
            services.refresh(river.row(row))
            river.work()
            assert (Status.COMPLETED, word) == (
                river.row(row).status,
                river.row(row).remote_status,
            )

        canceled = river.execute()
        services.cancel(canceled)
        river.work()
        river.make_due()
        assert Status.CANCELED == river.row(canceled).status


@every_database
def test_promise_08_a_dead_api_slows_no_request_and_blocks_no_other_account(
    settings, alias, triggered
):
    """While one account's API accepts and never answers, saves go on, and so does the other."""
    with open_river(settings, alias) as river, serving(Silence()) as dead:
        river.configure(
            TIMEOUT=(1, 30),
            ACCOUNTS={"dead": {"BASE_URL": dead.base_url, "SECRET_KEY": "sk_test_dead"}},
        )
        hanging = river.execute(account="dead")
        with river.running(interval=0.05, concurrency=2) as worker:
            while not dead.requests:
                time.sleep(0.01)
            cake = Cake.objects.using(alias).create(name="c")
            (saved,) = river.rows().for_source(cake)
            while river.row(saved).status != Status.RUNNING:
                time.sleep(0.01)
            assert Status.QUEUED == river.row(hanging).status
            worker.stop(now=True)


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_promise_09_the_secret_key_is_nowhere_to_be_found(settings, caplog, capsys):
    """Not in a log at DEBUG, a repr, an error, the database, a page of the admin or another."""
    caplog.set_level(logging.DEBUG)
    texts = []
    with open_river(settings) as river:
        key = river.sandbox.secret_key
        kinds = [401, 403, 404, 422, 429, 500, 503, "html", "lost", "garbage", "truncated"]
        for kind in kinds:
            river.sandbox.faults.add(kind, path="*/execute")
            river.execute({"kind": kind})
            river.work(concurrency=1)
            river.make_due()
        for account in ("default", "nope"):
            try:
                client = accounts.client(account)
                texts += [repr(client), str(vars(client))]
                client.execute_workflow("nope")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is searched
                texts += [repr(error), str(error), str(vars(error))]
        user = User.objects.create_superuser("root")
        browser = Client(raise_request_exception=False)
        browser.force_login(user)
        pages = [reverse("admin:embedworkflow_execution_changelist")] + [
            reverse("admin:embedworkflow_execution_change", args=[row.pk]) for row in river.rows()
        ]
        texts += [browser.get(page).content.decode() for page in pages]
        settings.DEBUG = True
        texts.append(browser.get("/nowhere/").content.decode())
        river.configure(PUBLISHABLE_KEY="pk_test_x")
        texts.append(Template(EMBEDDING).render(Context({"user": user})))
    everything = [*Execution.objects.all(), *ExecutionEvent.objects.all()]
    texts += [serializers.serialize("json", everything), caplog.text, *capsys.readouterr()]

    assert key.startswith("sk_test_")
    assert len(kinds) == Execution.objects.count()
    assert not [text for text in texts if key in text]


@pytest.mark.django_db
def test_promise_10_every_button_has_a_permission(settings):
    """Who may only look may press nothing; each verb is its own permission's."""
    settings.EMBEDWORKFLOW = {"SECRET_KEY": "sk_test_x", "DISPATCHER": "worker"}
    row = services.execute("bake")
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_execution"))
    browser = Client()
    browser.force_login(staff)
    listing = reverse("admin:embedworkflow_execution_changelist")
    page = reverse("admin:embedworkflow_execution_change", args=[row.pk])

    assert 200 == browser.get(listing).status_code
    for verb in ("refresh", "run_again", "cancel", "stop", "resolve"):
        button = reverse(f"admin:embedworkflow_execution_{verb}", args=[row.pk])
        browser.post(listing, {"action": verb, "_selected_action": [row.pk], "confirmed": "yes"})
        assert 403 == browser.post(button, {"confirmed": "yes"}).status_code
        assert f'value="{verb}"' not in browser.get(listing).content.decode()
        assert button not in browser.get(page).content.decode()
    assert [Status.QUEUED] == list(Execution.objects.values_list("status", flat=True))
    assert not ExecutionEvent.objects.exists()
