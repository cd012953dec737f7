"""The life of executions as a state machine: whatever is done in whatever order, the rules hold.

Hypothesis picks verbs of ``services``, answers of the API and the passing of time, and looks for
an order that breaks a rule. ``EMBEDWORKFLOW_STATE_MACHINE=2000`` runs so many lives instead of a
few.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from embedworkflow_django import services
from embedworkflow_django.exceptions import InvalidTransition
from embedworkflow_django.models import FINAL, Execution, Status

from .databases import EVERY_DATABASE
from .river import Heard, open_river

LIVES = int(os.environ.get("EMBEDWORKFLOW_STATE_MACHINE", "4"))
REFUSALS = [400, 401, 404, 409, 410, 422, 429, 500, 502, 503]
SPOILS = ["reset", "truncated", "html", "empty", "garbage", "unknown_status"]
WORDS = ["running", "upcoming", "completed", "failed", "stopped", "deleted", "marinating"]


class Lives(RuleBasedStateMachine):
    """Executions, what people do to them, and what the API says of them."""

    executions = Bundle("executions")

    def __init__(self, river, heard):
        super().__init__()
        self.river, self.heard = river, heard
        Execution.objects.using(river.alias).all().delete()
        river.sandbox.faults.clear()
        heard.said.clear()
        self.life = uuid.uuid4().hex
        self.ends = {}
        self.already = len(river.sandbox.executions)

    # What people do

    @rule(target=executions, key=st.sampled_from([None, "a", "b"]))
    def execute(self, key):
        """A second call under one key gives the first one's row."""
        # A key of its own for each life: the API remembers those of the lives before.
        key = key and f"{key}-{self.life}"
        before = self.river.rows().filter(idempotency_key=key).first() if key else None
        row = self.river.execute(idempotency_key=key)
        assert before is None or before.pk == row.pk
        return row.pk

    @rule(target=executions, pk=executions)
    def run_again(self, pk):
        """A new row under a new key, whatever the old one's status."""
        again = services.run_again(self.river.rows().get(pk=pk))
        assert again.pk != pk
        return again.pk

    @rule(pk=executions, verb=st.sampled_from(["cancel", "stop", "refresh"]))
    def ask_for(self, pk, verb):
        """It is done, or refused in words."""
        row = self.river.rows().get(pk=pk)
        before = row.status
        try:
            getattr(services, verb)(row)
        except InvalidTransition:
            assert before == self.river.rows().get(pk=pk).status
            return
        assert verb != "cancel" or (before, row.status) == (Status.QUEUED, Status.CANCELED)

    @rule(pk=executions)
    def resolve(self, pk):
        """Only what is unconfirmed can be; sent again under the same key."""
        row = self.river.rows().get(pk=pk)
        if row.status == Status.UNCONFIRMED:
            assert Status.QUEUED == services.resolve(row, resend=True).status
            return
        with pytest.raises(InvalidTransition):
            services.resolve(row, resend=True)

    # What the API does

    @rule(kind=st.sampled_from(REFUSALS + SPOILS), after=st.booleans())
    def let_a_call_fail(self, kind, after):
        """The next call goes wrong, before or after its work was done."""
        options = {"after": after} if kind in (*REFUSALS, "reset") else {}
        self.river.sandbox.faults.add(kind, **options)

    @rule(pk=executions, word=st.sampled_from(WORDS))
    def have_the_api_say(self, pk, word):
        """The API changes its mind, forwards or back."""
        remote_id = self.river.rows().get(pk=pk).remote_id
        if remote_id is not None:
            self.river.sandbox.set_status(remote_id, word)

    @rule(pk=executions)
    def call_back(self, pk):
        """A workflow calls, at whatever time: nobody's status changes by that."""
        row = self.river.rows().get(pk=pk)
        services.called_back(row)
        assert row.status == self.river.rows().get(pk=pk).status

    @rule(hold=st.booleans())
    def change_what_a_lost_answer_means(self, hold):
        """A setting changes under way."""
        self.river.configure(ON_LOST_ANSWER="hold" if hold else "resend")

    # Time

    @rule()
    def work(self):
        """A worker does what is due."""
        self.river.work()

    @rule()
    def work_later(self):
        """Every waiting row's time comes, and a worker does it."""
        self.river.make_due()
        self.river.work()

    # The rules

    @invariant()
    def an_end_stays(self):
        """A final status never changes, nor does the moment of the end."""
        for row in self.river.rows():
            if row.pk in self.ends:
                assert self.ends[row.pk] == (row.status, row.finished_at)
            elif row.status in FINAL:
                assert row.finished_at is not None
                self.ends[row.pk] = row.status, row.finished_at

    @invariant()
    def the_row_says_what_its_history_says(self):
        """The last event has the row's status; a queued row may have no history yet."""
        for row in self.river.rows().prefetch_related("events"):
            last = [event.status for event in row.events.all()][-1:]
            assert last == [row.status] or (not last and row.status == Status.QUEUED)

    @invariant()
    def each_row_is_cared_for(self):
        """What waits for a worker is due some time; what is at rest is not claimed."""
        for row in self.river.rows():
            assert "" == row.claim
            if row.status in {Status.QUEUED, Status.RUNNING, Status.UPCOMING}:
                assert row.due_at is not None
            if row.status == Status.UNCONFIRMED:
                assert row.due_at is None

    @invariant()
    def one_key_one_remote_execution(self):
        """However often it was sent, the API has one execution for each key at the most."""
        keys = Counter(call.idempotency_key for call in self.river.executed)
        remote = self.river.sandbox.executions[self.already :]
        assert len(remote) <= len(keys)
        known = [pk for pk in self.river.rows().values_list("remote_id", flat=True) if pk]
        assert len(known) == len(set(known))
        assert set(known) <= {execution.id for execution in self.river.sandbox.executions}

    def teardown(self):
        """Let all be announced: each end once, each transition from where the last one led."""
        self.river.sandbox.faults.clear()
        self.river.configure()
        self.river.make_due()
        self.river.work()
        stored = dict(self.river.rows().values_list("pk", "status"))
        # A worker that has nothing more to do does not wait for the last receivers.
        ends = time.monotonic() + 10
        while self.told() != stored and time.monotonic() < ends:
            time.sleep(0.01)
        assert stored == self.told()
        ended = Counter(pk for name, pk, _ in self.heard.said if name == "execution_finished")
        assert ended == Counter(pk for pk, status in stored.items() if status in FINAL)

    def told(self):
        """Return the status of each execution as its announced transitions have it."""
        status = dict.fromkeys(self.river.rows().values_list("pk", flat=True), Status.QUEUED.value)
        for name, pk, said in list(self.heard.said):
            if name == "execution_status_changed":
                assert status[pk] == said["before"] != said["after"]
                status[pk] = said["after"]
        return status


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_whatever_happens_the_rules_hold(settings, alias):
    """Many lives, each of up to forty steps."""
    with open_river(settings, alias) as river:
        heard = Heard().connect("execution_status_changed", "execution_finished")
        try:
            run_state_machine_as_test(lambda: Lives(river, heard), settings=PROFILE)
        finally:
            heard.close()


PROFILE = settings(
    max_examples=LIVES,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
