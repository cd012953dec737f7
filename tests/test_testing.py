"""Testing: the sandbox in process, captured executions, and the worker's turns inside a test."""

from __future__ import annotations

import contextlib
import socket
from datetime import timedelta

import pytest
from django.conf import settings
from django.core import checks
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from embedworkflow_django import conf, connections, exceptions, services, signals, testing
from embedworkflow_django.models import Execution

from .wire import executed, serving

DELAYED = {
    "nodes": [
        {"id": "first1", "type": "Email", "name": "Thank", "recipient": "{{ email }}"},
        {"id": "wait01", "type": "Delay", "name": "Wait", "delay_n": 2, "delay_unit": "hour"},
    ],
    "edges": ["first1-wait01"],
}


@pytest.fixture
def heard():
    """The names of the signals that are heard, with the executions' statuses."""
    heard = []
    receivers = {}
    for name in ("execution_dispatched", "execution_finished", "execution_queued"):
        receivers[name] = lambda execution, name=name, **_: heard.append((name, execution.status))
        getattr(signals, name).connect(receivers[name])
    yield heard
    for name, receiver in receivers.items():
        assert getattr(signals, name).disconnect(receiver)


# The sandbox


def test_a_sandbox_answers_every_account_with_a_key_of_its_own():
    """Each account of the settings is one of the sandbox's, and sees its own workflows only."""
    given = {"SECRET_KEY": "sk_live_mine", "ACCOUNTS": {"eu": {"SECRET_KEY": "sk_live_eu"}}}

    with override_settings(EMBEDWORKFLOW=given), testing.sandbox() as sandbox:
        sandbox.add_workflow("here")
        sandbox.add_workflow("there", account=sandbox.engine.accounts["eu"])

        assert ["here"] == [w.key for w in connections.client().list_workflows()]
        assert ["there"] == [w.key for w in connections.client("eu").list_workflows()]
        assert "live" not in str(settings.EMBEDWORKFLOW)
        assert conf.account().publishable_key == sandbox.publishable_key


def test_a_sandbox_needs_no_settings():
    """A project whose tests have no key can use it."""
    with override_settings(EMBEDWORKFLOW={}), testing.sandbox() as sandbox:
        assert [] == list(connections.client().list_workflows())
        assert 1 == len(sandbox.requests)


def test_the_system_checks_are_content_with_a_sandbox():
    """Commands that are called in a test run the checks; a sandbox gives them nothing to say."""
    with testing.sandbox():
        assert [] == checks.run_checks(tags=["embedworkflow"])


def test_a_sandbox_hears_the_header_that_the_settings_name(db):
    """The idempotency key is understood under whatever name it travels, in every account."""
    given = {
        "SECRET_KEY": "sk_test_1",
        "IDEMPOTENCY_HEADER": "X-Once",
        "ACCOUNTS": {"eu": {"IDEMPOTENCY_HEADER": "X-Einmal"}},
    }
    with override_settings(EMBEDWORKFLOW=given), testing.sandbox() as sandbox:
        for account in sandbox.engine.accounts.values():
            sandbox.add_workflow("hello", account=account)
        call = {"id_type": "key", "idempotency_key": "a"}
        for alias in ("default", "eu"):
            client = connections.client(alias)
            first, second = (client.execute_workflow("hello", **call) for _ in "ab")
            assert first.id == second.id


def test_a_sandbox_hears_the_header_that_it_is_given(db):
    """A call whose answer is lost is understood as the same one, the second time."""
    with testing.sandbox(settings={"IDEMPOTENCY_HEADER": "X-Once"}) as sandbox:
        sandbox.add_workflow("hello")
        sandbox.faults.add("lost")
        services.execute("hello")
        testing.deliver()
        testing.deliver()
    assert (2, 1) == (len(sandbox.requests), len(sandbox.executions))


def test_a_sandbox_keeps_what_accounts_say_of_default():
    """An entry ``default`` in ``ACCOUNTS`` counts inside the block, but for its key."""
    given = {"ACCOUNTS": {"default": {"SECRET_KEY": "sk_test_1", "TIMEOUT": 5}}}
    with override_settings(EMBEDWORKFLOW=given), testing.sandbox() as sandbox:
        assert (5, 5) == conf.account().timeout
        assert [] == list(connections.client().list_workflows())
        assert 1 == len(sandbox.requests)


def test_a_sandbox_answers_the_accounts_that_it_is_given(db):
    """They replace those of the settings, as any setting does, and need no keys."""
    before = {"SECRET_KEY": "sk_test_1", "ACCOUNTS": {"eu": {"SECRET_KEY": "sk_test_eu"}}}
    given = {"us": {"SECRET_KEY": "sk_test_us", "USER_KEY": "america"}, "asia": {}}

    with (
        override_settings(EMBEDWORKFLOW=before),
        testing.sandbox(settings={"ACCOUNTS": given}) as sandbox,
    ):
        us, asia = (sandbox.engine.accounts[alias] for alias in given)
        sandbox.add_workflow("there", account=us, user_key="america")
        sandbox.add_workflow("there", account=asia)
        executions = [services.execute("there", account=alias) for alias in given]
        testing.finish(sandbox)

        assert ["default", "us", "asia"] == conf.settings.accounts
        assert "sk_test_us" not in str(settings.EMBEDWORKFLOW)
    for execution in executions:
        execution.refresh_from_db()
    assert [True, True] == [execution.succeeded for execution in executions]


@pytest.mark.parametrize("where", ["settings", "sandbox"])
def test_a_sandbox_hears_the_header_of_default_in_accounts(db, where):
    """A name that stands there is the one under which the key travels."""
    given = {"SECRET_KEY": "sk_test_1", "ACCOUNTS": {"default": {"IDEMPOTENCY_HEADER": "X-Once"}}}
    own = {"ACCOUNTS": given["ACCOUNTS"]} if where == "sandbox" else {}
    with override_settings(EMBEDWORKFLOW=given), testing.sandbox(settings=own) as sandbox:
        sandbox.add_workflow("hello")
        call = {"id_type": "key", "idempotency_key": "a"}
        first, second = (connections.client().execute_workflow("hello", **call) for _ in "ab")
        assert first.id == second.id


def test_a_sandbox_leaves_all_as_it_was():
    """Settings and clients are the former ones again, also when the block raises."""
    before = settings.EMBEDWORKFLOW
    with contextlib.suppress(ZeroDivisionError), testing.sandbox() as sandbox:
        base_url = conf.account().base_url
        raise ZeroDivisionError

    assert before is settings.EMBEDWORKFLOW
    assert base_url == sandbox.base_url != conf.account().base_url


def test_nothing_answers_after_the_block():
    """A client that somebody kept gets no answer any more, and reaches no other machine."""
    with testing.sandbox():
        given = settings.EMBEDWORKFLOW
    with override_settings(EMBEDWORKFLOW=given), pytest.raises(exceptions.NotSent):
        connections.client().list_workflows().__next__()


def test_of_nested_sandboxes_the_inner_one_answers_and_then_the_outer_one():
    """A block inside a block disturbs nothing."""
    with testing.sandbox() as outer:
        with testing.sandbox() as inner:
            list(connections.client().list_workflows())
        list(connections.client().list_workflows())
        list(connections.client().list_workflows())

    assert (1, 2) == (len(inner.requests), len(outer.requests))


def test_a_sandbox_opens_no_socket(db, monkeypatch):
    """The calls are answered in process: there is no port and no network."""
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(socket, "create_connection", None)
    with testing.sandbox() as sandbox:
        sandbox.add_workflow("hello")
        execution = services.execute("hello")
        testing.finish(sandbox)

    execution.refresh_from_db()
    assert execution.succeeded


def test_settings_can_be_given_to_a_sandbox(db):
    """They lie on top of the project's: here each commit does the work itself."""
    with testing.sandbox(settings={"DISPATCHER": "immediate"}) as sandbox:
        sandbox.add_workflow("hello")
        with TestCase.captureOnCommitCallbacks(execute=True):
            execution = services.execute("hello")

    execution.refresh_from_db()
    assert execution.remote_id


def test_a_misspelt_setting_is_refused():
    """A test would pass under the default, and prove something else than it says."""
    with (
        pytest.raises(conf.ConfigurationError, match=r"no setting 'ON_LOST_ANSWERS'\. Did"),
        testing.sandbox(settings={"ON_LOST_ANSWERS": "hold"}),
    ):
        pass


def test_options_reach_the_sandbox(db):
    """The arguments of ``Sandbox`` can be given: here what takes its e-mails."""
    letters = []
    with testing.sandbox(deliver=letters.append) as sandbox:
        sandbox.add_workflow("thanks", DELAYED)
        services.execute("thanks", {"email": "ada@example.com"})
        testing.finish(sandbox)

    assert ["ada@example.com"] == [letter.recipient for letter in letters]
    assert letters == sandbox.emails


def test_a_clock_that_runs_is_left_running(db):
    """With ``frozen=False`` the sandbox's time passes by itself; ``finish`` puts it forward."""
    with testing.sandbox(frozen=False) as sandbox:
        sandbox.add_workflow("thanks", DELAYED)
        execution = services.execute("thanks", {"email": "ada@example.com"})
        testing.finish(sandbox)

    execution.refresh_from_db()
    assert execution.succeeded


# Captured executions


def test_captured_executions_are_those_of_the_block(db):
    """What was queued before or comes after is not among them; the oldest is first."""
    services.execute("before")
    with testing.captured() as executions:
        assert 0 == len(executions)
        services.execute("first", {"number": 1})
        services.execute("second")
        assert 2 == len(executions)
    services.execute("after")

    assert ["first", "second"] == [execution.workflow for execution in executions]
    assert {"number": 1} == executions[0].execution_data
    assert ["second"] == [execution.workflow for execution in executions[1:]]
    assert "first" in repr(executions)
    assert "after" not in repr(executions)


def test_captured_executions_are_not_those_that_were_rolled_back(db):
    """A rolled-back transaction leaves nothing to see."""
    with testing.captured() as executions:
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            services.execute("hello")
            raise ZeroDivisionError
        assert [] == list(executions)


def test_captured_executions_are_as_they_are_now(db):
    """They are read whenever they are looked at, after the block too."""
    with testing.captured() as executions:
        execution = services.execute("hello")
    assert "queued" == executions[0].status

    services.cancel(execution)
    assert "canceled" == executions[0].status


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_while_executions_are_captured():
    """Not even when the project does the work in the commit hook, and not without any key."""
    with (
        testing.sandbox(settings={"DISPATCHER": "immediate", "SECRET_KEY": ""}) as sandbox,
        testing.captured() as executions,
    ):
        services.execute("hello")

    assert ["queued"] == [execution.status for execution in executions]
    assert [] == sandbox.requests


@pytest.mark.parametrize("alias", ["default", "eu"])
def test_captured_needs_no_key_of_any_account(db, alias):
    """Settings that take their keys from an environment without them are enough."""
    given = {"ACCOUNTS": {alias: {"SECRET_KEY": "", "IDEMPOTENCY_HEADER": "X-Once"}}}
    with override_settings(EMBEDWORKFLOW=given), testing.captured() as executions:
        services.execute("hello", account=alias)
        assert "X-Once" == conf.account(alias).idempotency_header

    assert [alias] == [execution.account for execution in executions]


def test_captured_leaves_a_given_key_alone(db):
    """Inside a sandbox what is captured can still be delivered."""
    with testing.sandbox() as sandbox, testing.captured() as executions:
        sandbox.add_workflow("hello")
        services.execute("hello")
        testing.deliver()

        assert executions[0].remote_id


def test_an_error_in_the_block_comes_through(db):
    """Not even a transaction that must be rolled back hides it."""
    with pytest.raises(ZeroDivisionError), transaction.atomic(), testing.captured():
        raise ZeroDivisionError


def test_captured_ends_with_a_transaction_that_must_be_rolled_back(db):
    """Its rows are lost, so none is left."""
    with transaction.atomic():
        with testing.captured() as executions:
            services.execute("hello")
            transaction.set_rollback(True)
        transaction.set_rollback(False)
        assert [] == list(executions)


# The worker's turns


def test_deliver_sends_what_is_queued(db, sandbox, heard):
    """Claim, POST, record and announce, although nothing commits."""
    sandbox.add_workflow("thanks", DELAYED)
    execution = services.execute("thanks", {"email": "ada@example.com"})

    assert 1 == testing.deliver()
    execution.refresh_from_db()
    assert "running" == execution.status
    assert sandbox.execution(execution.remote_id).execution_data == {"email": "ada@example.com"}
    assert [("execution_dispatched", "running")] == heard
    assert ["delivery"] == [event.source for event in execution.events.all()]


def test_deliver_waits_for_no_back_off(db, sandbox):
    """Each call is one more try, whatever ``Retry-After`` says."""
    sandbox.add_workflow("hello")
    sandbox.faults.add("503", retry_after=3600)
    execution = services.execute("hello")

    testing.deliver()
    execution.refresh_from_db()
    assert ("queued", 1) == (execution.status, execution.attempts)

    testing.deliver()
    execution.refresh_from_db()
    assert 2 == execution.attempts
    assert execution.remote_id
    assert 0 == testing.deliver()


@pytest.mark.parametrize("turn", [testing.deliver, testing.sync])
def test_no_test_calls_the_api_itself(db, turn):
    """A test that forgets its sandbox, or loses it, hears of that before a byte is sent."""
    mine = override_settings(EMBEDWORKFLOW={"SECRET_KEY": "sk_test_1", "DISPATCHER": "worker"})
    with mine:
        execution = services.execute("hello")
        if turn is testing.sync:
            Execution.objects.update(status="running", remote_id="1")
        lost = (
            r"would call https://embedworkflow\.com/api/v1 itself: .* testing\.sandbox\(settings="
        )
        with pytest.raises(RuntimeError, match=lost):
            turn()
    with testing.sandbox(), mine, pytest.raises(RuntimeError, match=lost):
        turn()
    execution.refresh_from_db()
    assert (execution.attempts, execution.sent_at, execution.last_error) == (0, None, "")


def test_a_server_of_the_test_s_own_needs_no_sandbox(db):
    """It is what the settings lead to."""
    with serving(executed(id="1", status="running")) as server:
        mine = {"SECRET_KEY": "sk_test_1", "DISPATCHER": "worker", "BASE_URL": server.base_url}
        with override_settings(EMBEDWORKFLOW=mine):
            execution = services.execute("hello")
            assert 1 == testing.deliver()
    execution.refresh_from_db()
    assert "1" == execution.remote_id


def test_what_has_ended_is_announced_without_a_sandbox(db, heard):
    """Where nothing is to be asked of the API, none is needed."""
    services.cancel(services.execute("hello"))
    assert 1 == testing.sync()
    assert ("execution_finished", "canceled") in heard


def test_deliver_keeps_the_order(db, sandbox):
    """What was queued first is sent first."""
    for number in range(5):
        sandbox.add_workflow(f"number-{number}")
        services.execute(f"number-{number}")

    assert 5 == testing.deliver()
    assert [f"number-{number}" for number in range(5)] == [
        execution.workflow.key for execution in sandbox.executions
    ]


def test_what_is_scheduled_for_later_stays_queued(db, sandbox):
    """Neither ``deliver`` nor ``finish`` anticipates ``run_at``; ``refresh`` makes it due."""
    sandbox.add_workflow("hello")
    execution = services.execute("hello", run_at=timezone.now() + timedelta(hours=1))

    assert 0 == testing.deliver()
    testing.finish(sandbox)
    assert [] == sandbox.requests

    Execution.objects.update(run_at=timezone.now())
    testing.finish(sandbox)
    execution.refresh_from_db()
    assert execution.succeeded


def test_what_another_worker_has_in_hand_is_left_to_it(db, sandbox):
    """A lease that lasts is respected."""
    services.execute("hello")
    Execution.objects.update(claim="another", due_at=timezone.now() + timedelta(minutes=1))

    assert 0 == testing.deliver()
    Execution.objects.update(due_at=timezone.now())
    assert 1 == testing.deliver()


def test_sync_asks_after_what_runs(db, sandbox):
    """It shows the workflow halfway once the sandbox's clock has been put forward."""
    sandbox.add_workflow("thanks", DELAYED)
    execution = services.execute("thanks", {"email": "ada@example.com"})
    testing.deliver()

    sandbox.advance(3600)
    assert 1 == testing.sync()
    execution.refresh_from_db()
    assert ("running", 0.5) == (execution.status, execution.progress)

    sandbox.advance(3610)  # Each action takes a second, too.
    testing.sync()
    execution.refresh_from_db()
    assert execution.succeeded
    assert 0 == testing.sync()


def test_sync_announces_a_canceled_execution(db, sandbox, heard):
    """What a verb has ended is announced by the next turn."""
    services.cancel(services.execute("hello"))

    testing.sync()
    assert [("execution_finished", "canceled")] == heard


def test_finish_runs_all_to_its_end(db, sandbox, heard):
    """Each delay passes, each answer is fetched, and the end is announced once."""
    sandbox.add_workflow("thanks", DELAYED)
    sandbox.faults.add("500")
    execution = services.execute("thanks", {"email": "ada@example.com"})

    testing.finish(sandbox)
    execution.refresh_from_db()
    assert execution.succeeded
    assert 1 == heard.count(("execution_finished", "completed"))


def test_finish_runs_what_receivers_start(db, sandbox):
    """An execution that a receiver queues is run to its end as well."""
    sandbox.add_workflow("first")
    sandbox.add_workflow("second")

    def go_on(execution, **_):
        if execution.workflow == "first":
            services.execute("second")

    signals.execution_finished.connect(go_on)
    try:
        services.execute("first")
        testing.finish(sandbox)
    finally:
        signals.execution_finished.disconnect(go_on)

    assert {("first", "completed"), ("second", "completed")} == set(
        Execution.objects.values_list("workflow", "status")
    )


def test_finish_says_what_does_not_end(db, sandbox):
    """A test fails with the execution's name and its last error instead of hanging."""
    sandbox.faults.add("401", times=None)
    services.execute("hello")

    with pytest.raises(AssertionError, match=r"1 executions have not ended .* hello .*401"):
        testing.finish(sandbox)


def test_finish_says_what_waits(db, sandbox):
    """So it does for one whose workflow simply goes on."""
    sandbox.add_workflow("hello")
    sandbox.faults.add("unknown_status", times=None)
    services.execute("hello")

    with pytest.raises(AssertionError, match=r"which is unknown\. Its workflow waits"):
        testing.finish(sandbox)


# The fixtures, and Django's own test classes


def test_the_fixtures_are_sandbox_and_executions(sandbox, executions):
    """The plugin offers both to every project that has pytest."""
    sandbox.add_workflow("hello")
    services.execute("hello")
    testing.finish(sandbox)

    assert [True] == [execution.succeeded for execution in executions]


def test_the_plugin_costs_nothing_when_unused(python):
    """Loading it imports neither Django nor anything else of the package."""
    code = (
        "import sys, pytest; before = set(sys.modules);"
        "import embedworkflow_django.pytest_plugin;"
        "print(sorted(set(sys.modules) - before))"
    )

    assert "['embedworkflow_django', 'embedworkflow_django.pytest_plugin']\n" == python(code)


class TheRiver:
    """One execution from its row to its end, in whichever test class."""

    def test_an_execution_runs_to_its_end(self):
        """The helpers do the real work on the test's own connection."""
        heard = []
        signals.execution_finished.connect(heard.append)
        with testing.sandbox() as sandbox, testing.captured() as executions:
            sandbox.add_workflow("thanks", DELAYED)
            with transaction.atomic():
                services.execute("thanks", {"email": "ada@example.com"})
            testing.finish(sandbox)
        signals.execution_finished.disconnect(heard.append)

        assert [True] == [execution.succeeded for execution in executions]


class InsideTestCase(TheRiver, TestCase):
    """Where nothing ever commits."""


class InsideTransactionTestCase(TheRiver, TransactionTestCase):
    """Where everything commits."""
