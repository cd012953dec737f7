"""Jobs: a verb for all that match, in the background, resumable, and ended at will."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from embedworkflow_django import jobs, selection, services, worker
from embedworkflow_django.admin import actions, frozen, lists, presentation
from embedworkflow_django.exceptions import InvalidTransition
from embedworkflow_django.keys import time_of, uuid7
from embedworkflow_django.models import Execution, ExecutionEvent, Job, Status

from . import programs
from .databases import EVERY_DATABASE
from .test_worker import wait_until

LIST = "admin:embedworkflow_execution_changelist"


@pytest.fixture(params=EVERY_DATABASE)
def db_alias(request):
    """Each kind of database in turn."""
    return request.param


@pytest.fixture
def ann():
    """A superuser, who lives in the default database."""
    return User(username="ann", pk=1, is_superuser=True, is_active=True)


@pytest.fixture
def person(request, ann, db_alias):
    """A superuser whom the workers find; the test needs the default database for that."""
    if db_alias != "default":
        pytest.skip("People live in the default database.")
    ann.save()
    return ann


def queue(alias, count, **options):
    """Store queued executions."""
    calls = [{"workflow": "bake", "using": alias, **options}] * count
    return services.execute_many(calls)


def start(alias, user, verb="cancel", filters=None):
    """Start a job for all that are there now."""
    newest = Execution.objects.using(alias).order_by("-pk").first()
    filters = {"statuses": ["queued"]} if filters is None else filters
    return jobs.start(verb, filters, newest=newest.pk, user=user, using=alias, total=3)


def work(alias):
    """Do all parts of all jobs."""
    while jobs.work(alias):
        pass


def stored(job):
    """Return a job as it is stored."""
    return Job.objects.using(job._state.db).get(pk=job.pk)


def test_a_verb_reaches_all_that_match_and_nothing_else(river, person):
    """Each row with its event; whatever does not match, or came later, is left alone."""
    rows = queue(river.alias, 3)
    other = river.execute(workflow="fry")
    job = start(river.alias, person, filters={"statuses": ["queued"], "workflow": "bake"})
    late = river.execute()
    work(river.alias)

    after = stored(job)
    assert (Job.Status.DONE, 3, 0, 0) == (
        after.status,
        after.done_count,
        after.skipped_count,
        after.failed_count,
    )
    assert (None, "") == (after.due_at, after.claim)
    assert after.finished_at >= after.created_at
    assert {Status.CANCELED} == {river.row(row).status for row in rows}
    assert {Status.QUEUED} == {river.row(row).status for row in (other, late)}
    people = ExecutionEvent.objects.using(river.alias).filter(source="person")
    assert 3 == people.count()
    assert {"ann"} == {event.detail["by"] for event in people}
    assert str(after) == f"cancel {after.pk}"


def test_a_running_worker_does_jobs_beside_its_calls(river, person):
    """Nobody has to start anything; what is run again is run again once."""
    queue(river.alias, 2)
    river.rows().update(status=Status.FAILED, due_at=None)
    start(river.alias, person, "run_again", {"statuses": ["failed"]})
    river.work()

    assert 4 == river.rows().count()
    assert 2 == river.rows().exclude(run_again_of=None).count()


@pytest.mark.parametrize(("verb", "reads"), [("run_again", 2), ("refresh", 1)])
def test_a_row_is_read_by_its_verb_alone(river, person, verb, reads):
    """However many a job treats, each costs what its verb reads, and not one read per column."""
    counted = []
    for rows in (1, 4):
        queue(river.alias, rows)
        start(river.alias, person, verb)
        with CaptureQueriesContext(connections[river.alias]) as queries:
            work(river.alias)
        selects = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
        counted.append(sum(Execution._meta.db_table in sql for sql in selects))
        river.rows().delete()

    assert 3 * reads == counted[1] - counted[0]


def test_a_long_job_delays_no_announcement_for_long(river, person, heard, monkeypatch):
    """Between two parts the receivers have their turn, and not one of them only."""
    monkeypatch.setattr(jobs, "PART_ROWS", 10)
    monkeypatch.setattr(worker, "CHORES_WOKEN", 0.2)
    heard.connect("execution_finished")
    queue(river.alias, 200, run_at=timezone.now() + timedelta(hours=1))
    job = start(river.alias, person)
    with river.running(interval=0.05) as running:
        running.wake()
        wait_until(lambda: stored(job).status == Job.Status.DONE)
        assert len(heard.said) > 100


def test_what_cannot_be_done_is_skipped_and_says_why(river, person):
    """The others are not kept from it."""
    sent, unsent = queue(river.alias, 2)
    river.rows().filter(pk=sent.pk).update(sent_at=sent.created_at)
    job = start(river.alias, person)
    work(river.alias)

    after = stored(job)
    assert (1, 1) == (after.done_count, after.skipped_count)
    assert [str(sent.pk)] == [outcome["execution"] for outcome in after.outcomes]
    assert after.outcomes[0]["reason"]
    assert Status.CANCELED == river.row(unsent).status


def test_what_breaks_is_counted_and_logged(river, person, caplog):
    """An error of a kind that nobody expects ends the row, and not the job."""
    first, second = queue(river.alias, 2)

    def refuse(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and "canceled" in map(str, params) and refuse.left:
            refuse.left -= 1
            raise RuntimeError("the ceiling came down")
        return execute(sql, params, many, context)

    refuse.left = 1
    job = start(river.alias, person)
    with connections[river.alias].execute_wrapper(refuse):
        work(river.alias)

    after = stored(job)
    assert (Job.Status.DONE, 1, 1) == (after.status, after.done_count, after.failed_count)
    assert "RuntimeError: the ceiling came down" == after.outcomes[0]["reason"]
    assert "could not be treated" in caplog.text
    assert {Status.QUEUED, Status.CANCELED} == {river.row(first).status, river.row(second).status}


def test_reasons_are_kept_of_the_first_ones_only(river, person):
    """A job's row stays small, however many are skipped."""
    queue(river.alias, jobs.MAX_OUTCOMES + 5)
    first = river.rows().first()
    river.rows().update(sent_at=first.created_at)
    job = start(river.alias, person)
    work(river.alias)

    assert jobs.MAX_OUTCOMES + 5 == stored(job).skipped_count
    assert jobs.MAX_OUTCOMES == len(stored(job).outcomes)


def test_a_job_takes_turns(river, person):
    """A part has an end, so that a worker does its other duties; two workers share the parts."""
    queue(river.alias, jobs.PART_ROWS + 10)
    job = start(river.alias, person)
    rounds = 0
    while jobs.work(river.alias):
        rounds += 1
        if rounds == 1:
            assert stored(job).done_count <= jobs.PART_ROWS
            assert Job.Status.RUNNING == stored(job).status

    assert rounds > 1
    assert jobs.PART_ROWS + 10 == stored(job).done_count


def test_a_part_is_short_whatever_it_costs(river, person, monkeypatch):
    """Its time is over after one row, if that takes so long."""
    monkeypatch.setattr(jobs, "PART", 0.0)
    queue(river.alias, 3)
    job = start(river.alias, person)
    assert jobs.work(river.alias)

    assert 1 == stored(job).done_count


def test_a_job_that_another_worker_has_is_left_alone(river, ann):
    """Until its lease ends."""
    queue(river.alias, 1)
    job = start(river.alias, ann)
    Job.objects.using(river.alias).update(due_at=job.due_at + jobs.LEASE, claim="other")

    assert not jobs.work(river.alias)


def test_of_two_that_see_a_job_due_one_gets_it(river, ann):
    """The other one goes on with something else."""
    queue(river.alias, 1)
    job = start(river.alias, ann)

    def meanwhile(execute, sql, params, many, context):
        found = execute(sql, params, many, context)
        if sql.startswith("SELECT") and "embedworkflow_job" in sql and not meanwhile.done:
            meanwhile.done = True
            Job.objects.using(river.alias).update(claim="other")
        return found

    meanwhile.done = False
    with connections[river.alias].execute_wrapper(meanwhile):
        assert not jobs.work(river.alias)
    assert "other" == stored(job).claim


def test_two_workers_do_nothing_twice(river, person):
    """Of two that see the job due, one gets it; every row is run again once."""
    count = 60
    queue(river.alias, count)
    river.rows().update(status=Status.FAILED, due_at=None)
    job = start(river.alias, person, "run_again", {"statuses": ["failed"]})

    def run():
        try:
            for _ in range(20):
                work(river.alias)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert count == stored(job).done_count
    assert 2 * count == river.rows().count()


def test_a_killed_worker_loses_and_repeats_nothing(river, person, settings):
    """Killed between two rows or within one: the next one goes on where it was."""
    count = 150
    queue(river.alias, count)
    river.rows().update(status=Status.FAILED, due_at=None)
    job = start(river.alias, person, "run_again", {"statuses": ["failed"]})
    process = programs.start(
        """
        from embedworkflow_django import jobs
        print("ready", flush=True)
        while jobs.work(ALIAS):
            pass
        """,
        configuration=settings.EMBEDWORKFLOW,
        alias=river.alias,
    )
    process.stdout.readline()
    while not stored(job).done_count:
        pass
    process.kill()
    process.communicate()
    before = stored(job).done_count
    assert 0 < before
    Job.objects.using(river.alias).filter(pk=job.pk, status="running").update(due_at=job.created_at)
    work(river.alias)

    assert (Job.Status.DONE, count) == (stored(job).status, stored(job).done_count)
    again = river.rows().exclude(run_again_of=None)
    assert count == again.count() == len(set(again.values_list("run_again_of", flat=True)))


def test_a_job_ends_when_somebody_cancels_it(river, person):
    """Before its next row; what was done stays done, and a second time changes nothing."""
    queue(river.alias, 3)
    job = start(river.alias, person)
    assert jobs.cancel(job)
    work(river.alias)

    assert Job.Status.CANCELED == stored(job).status
    assert 0 == stored(job).done_count
    assert not jobs.cancel(job)


def test_a_job_that_is_canceled_meanwhile_undoes_the_row_in_hand(river, person):
    """The row and the mark are one transaction."""
    rows = queue(river.alias, 3)
    job = start(river.alias, person)

    def cancel(execute, sql, params, many, context):
        found = execute(sql, params, many, context)
        if sql.startswith("SELECT") and f"LIMIT {jobs.PART_ROWS}" in sql and not cancel.done:
            cancel.done = True
            jobs.cancel(job)
        return found

    cancel.done = False
    with connections[river.alias].execute_wrapper(cancel):
        work(river.alias)

    assert Job.Status.CANCELED == stored(job).status
    assert {Status.QUEUED} == {river.row(row).status for row in rows}


def left_with(*codenames):
    """Take all rights but these from a superuser."""

    def lose(user):
        User.objects.filter(pk=user.pk).update(is_superuser=False)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))

    return lose


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (lambda user: User.objects.filter(pk=user.pk).delete(), "no active account"),
        (lambda user: User.objects.filter(pk=user.pk).update(is_active=False), "no active account"),
        (left_with("cancel_execution"), "no right “embedworkflow.view_execution”"),
        (left_with("view_execution"), "no right “embedworkflow.cancel_execution”"),
    ],
    ids=["deleted", "inactive", "view lost", "verb lost"],
)
def test_who_has_lost_the_right_has_nothing_done(river, person, loss, reason):
    """It is asked for again before each part."""
    (row,) = queue(river.alias, 1)
    job = start(river.alias, person)
    loss(person)
    work(river.alias)

    assert Job.Status.FAILED == stored(job).status
    assert reason in stored(job).outcomes[0]["reason"]
    assert Status.QUEUED == river.row(row).status


def test_a_user_whose_key_makes_no_sense_has_nothing_done(river, person):
    """As after a change of the user model."""
    queue(river.alias, 1)
    job = start(river.alias, person)
    Job.objects.using(river.alias).update(by_id="not a number")
    work(river.alias)

    assert Job.Status.FAILED == stored(job).status


def test_there_are_no_other_verbs(river, ann):
    """What a job can do is known beforehand."""
    queue(river.alias, 1)
    with pytest.raises(KeyError):
        start(river.alias, ann, "resolve")


# In the admin.


@pytest.fixture
def many(river, monkeypatch):
    """More executions than one request does."""
    monkeypatch.setattr(actions, "MAX_SELECTED", 2)
    if river.alias != "default":
        pytest.skip("The admin's pages are about the default database.")
    return queue(river.alias, 4)


def press(client, rows, verb="cancel", query="?status=queued", **more):
    """Press a verb for all that match."""
    form = {"action": verb, "select_across": "1", "_selected_action": [str(rows[0].pk)], **more}
    return client.post(reverse(LIST) + query, form)


def shown(client, rows, **more):
    """Return what the confirmation of all that match carries on."""
    page = press(client, rows, **more).text
    return {"frozen": re.search(r'name="frozen" value="([^"]+)"', page)[1], "confirmed": "yes"}


def test_all_that_match_become_a_job(many, admin_client, river):
    """The frozen filter is shown; once it is confirmed, a job does it, and its page says so."""
    question = press(admin_client, many)
    assert "All 4 executions that match" in question.text
    assert "Cancel 4 executions?" == question.context["title"]
    form = shown(admin_client, many)
    late = river.execute()
    answer = press(admin_client, many, **form)

    job = Job.objects.get()
    assert reverse("admin:embedworkflow_job_change", args=[job.pk]) == answer.url
    assert (many[-1].pk, {"statuses": ["queued"]}, 4) == (job.newest, job.filters, job.total)
    assert "Started for all that match" in LogEntry.objects.get().change_message
    page = admin_client.get(answer.url).text
    assert "Cancel this job" in page
    assert "<dt>Status</dt><dd>queued</dd>" in page
    assert f"<dt>Created until</dt><dd>{presentation.timestamp(time_of(many[-1].pk))}</dd>" in page
    work("default")
    assert {Status.CANCELED} == {river.row(row).status for row in many}
    assert Status.CANCELED != river.row(late).status
    assert "Cancel this job" not in admin_client.get(answer.url).text
    assert (
        "4 done, 0 skipped" in admin_client.get(reverse("admin:embedworkflow_job_changelist")).text
    )


def test_more_than_are_counted_become_a_job_too(many, admin_client, monkeypatch):
    """The question and the job do not say how many there are."""
    monkeypatch.setattr(lists, "MAX_COUNT", 3)
    question = press(admin_client, many)
    assert "All 3+ executions that match" in question.text
    assert "Cancel" == question.context["title"]
    press(admin_client, many, **shown(admin_client, many))

    assert Job.objects.get().total is None


def test_a_job_that_stops_cancels_nothing(river, person):
    """Its person need not have the right to cancel; what was not sent is left out."""
    execution = river.execute()
    job = start(river.alias, person, "stop")
    work(river.alias)

    assert Status.QUEUED == river.row().status
    assert (0, 1) == (stored(job).done_count, stored(job).skipped_count)
    assert str(execution.pk) == stored(job).outcomes[0]["execution"]


def test_what_matches_is_asked_when_its_turn_comes(river, person):
    """One that matches no more is left alone, and one that has come to match is not."""
    gone, come, stays = queue(river.alias, 3)
    river.rows().exclude(pk=come.pk).update(status=Status.FAILED)
    start(river.alias, person, "run_again", {"statuses": ["failed"]})
    river.rows().filter(pk=gone.pk).update(status=Status.COMPLETED)
    river.rows().filter(pk=come.pk).update(status=Status.FAILED)
    work(river.alias)

    again = river.rows().exclude(run_again_of=None).values_list("run_again_of", flat=True)
    assert {come.pk, stays.pk} == set(again)


def test_a_part_reads_keys_alone(river, person):
    """Each row's large columns are read by its verb, when its turn has come."""
    queue(river.alias, 2)
    start(river.alias, person)
    said = []

    def listen(execute, sql, params, many, context):
        said.append(sql)
        return execute(sql, params, many, context)

    with connections[river.alias].execute_wrapper(listen):
        work(river.alias)

    (part,) = [sql for sql in said if f"LIMIT {jobs.PART_ROWS}" in sql]
    assert "execution_data" not in part


def test_what_was_confirmed_stays_a_job(many, admin_client, river):
    """Also when few match by now, or none: what has come since is not touched."""
    form = shown(admin_client, many)
    river.rows().filter(pk__in=[row.pk for row in many[1:]]).update(status=Status.FAILED)
    late = river.execute()
    press(admin_client, many, **form)
    work("default")

    assert 1 == Job.objects.get().done_count
    assert Status.CANCELED == river.row(many[0]).status
    assert Status.QUEUED == river.row(late).status
    form = shown(admin_client, many, query="?")
    river.rows().delete()
    press(admin_client, many, **form)
    assert 2 == Job.objects.count()


def test_pressing_twice_starts_one_job(many, admin_client, river):
    """Nor does going back and pressing once more: each press leads to the job of the first."""
    form = shown(admin_client, many, verb="run_again")
    answers = [press(admin_client, many, verb="run_again", **form) for _ in range(2)]
    work("default")
    answers.append(press(admin_client, many, verb="run_again", **form))
    work("default")

    (job,) = Job.objects.all()
    assert {reverse("admin:embedworkflow_job_change", args=[job.pk])} == {a.url for a in answers}
    assert (4, 8) == (job.done_count, river.rows().count())
    assert 1 == LogEntry.objects.filter(object_id=job.pk).count()


def test_what_is_confirmed_is_what_was_shown(many, admin_client):
    """A day that has passed between the question and the answer does not change it."""
    query = "?status=queued&created=today"
    today = shown(admin_client, many, query=query)
    filters = frozen.frozen({"status": "queued", "created": "today"})
    press(admin_client, many, query="?status=queued&created=yesterday", **today)

    assert filters == Job.objects.get().filters


@pytest.mark.parametrize("token", ["", "nonsense", "verb"])
def test_what_was_not_shown_is_asked_for(many, admin_client, token):
    """No job is started by a form that no confirmation has made, or that of another verb."""
    form = shown(admin_client, many, verb="stop") if token == "verb" else {"frozen": token}
    answer = press(admin_client, many, **form | {"confirmed": "yes"})

    assert "All 4 executions that match" in answer.text
    assert 0 == Job.objects.count()


def test_a_filter_that_no_job_knows_makes_none():
    """It would be about other executions than the list shows."""
    assert frozen.can_freeze({"status": "queued", "p": "2"})
    assert not frozen.can_freeze({"status": "queued", "user": "u1"})


def test_whoever_may_not_see_jobs_stays_on_the_list(many, client):
    """The message says that it is being done."""
    user = User.objects.create_user("bob", is_staff=True)
    codenames = ["view_execution", "cancel_execution"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    answer = press(client, many, **shown(client, many))

    assert reverse(LIST) in answer.url
    assert "bob" == Job.objects.get().by


def test_an_open_job_can_be_canceled_once(many, admin_client):
    """Once it is confirmed, with a log entry; a second time says that it has ended."""
    press(admin_client, many, **shown(admin_client, many))
    url = reverse("admin:embedworkflow_job_cancel", args=[Job.objects.get().pk])
    assert 405 == admin_client.get(url).status_code
    question = admin_client.post(url)
    assert "Cancel this job?" in question.text
    assert "<dt>Status</dt><dd>queued</dd>" in question.text
    assert f'action="{url}"' in question.text
    assert Job.objects.get().cancel_requested_at is None
    yes = {"confirmed": "yes"}
    assert "It ends before" in admin_client.post(url, yes, follow=True).text
    jobs.work("default")
    for form in (yes, {}):
        assert "It has ended already." in admin_client.post(url, form, follow=True).text

    assert LogEntry.objects.filter(change_message__contains="Canceled").exists()
    gone = reverse("admin:embedworkflow_job_cancel", args=[uuid7()])
    assert 302 == admin_client.post(gone).status_code


def test_what_was_left_out_is_on_the_page_escaped(many, admin_client):
    """The API's words, or a verb of another release, harm no page."""
    job = Job.objects.create(
        verb="polish",
        newest=uuid7(),
        by="ann",
        filters={"statuses": [], "since": str(uuid7()), "before": str(uuid7()), "q": "<b>"},
        outcomes=[{"reason": "<script>alert(1)</script>"}],
    )
    page = admin_client.get(reverse("admin:embedworkflow_job_change", args=[job.pk])).text

    assert "&lt;script&gt;" in page
    assert "polish" in page
    assert "<b>" not in page.split("Search")[1][:40]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, set()),
        ({"status": "failed", "q": "", "workflow": "bake"}, {"statuses", "workflow"}),
        ({"view": "attention", "status": "failed"}, {"statuses"}),
        ({"view": "failed_today", "created": "week"}, {"statuses", "since"}),
        ({"created": "yesterday"}, {"since", "before"}),
        ({"view": "none", "created": "never", "p": "3"}, set()),
    ],
)
def test_a_filter_is_frozen_without_words_that_move(query, expected):
    """Today is a range of ids; what is no filter is left out."""
    filters = frozen.frozen(query)

    assert expected == filters.keys()
    # The newest execution is a bound, too.
    assert len(list(frozen.described(filters, uuid7()))) == max(1, len(filters)) + 1


def test_a_frozen_filter_means_the_same_rows(river):
    """By their ids, whatever day it is."""
    first, second, third = queue(river.alias, 3)
    bounds = {"since": str(second.pk), "before": str(third.pk)}

    assert [second] == list(selection.matching(river.rows(), bounds))
    found = selection.matching(river.rows(), {"q": str(first.pk), "account": "default"})
    assert [first] == list(found)


def test_a_frozen_search_means_the_same_object_in_any_language(river):
    """The worker may not speak the language of whoever has searched."""
    about, _other = queue(river.alias, 2)
    river.rows().filter(pk=about.pk).update(source_type="auth.user", source_id="17")
    with translation.override("de"):
        filters = frozen.frozen({"q": "Benutzer 17"})

    assert [about] == list(selection.matching(river.rows(), filters))


def test_periods_are_cut_out_of_each_other():
    """The later beginning and the earlier end count."""
    week, today = frozen.frozen({"created": "week"}), frozen.frozen({"view": "failed_today"})
    both = frozen.frozen({"created": "week", "view": "failed_today"})

    assert today["since"] == both["since"] > week["since"]
    assert [] == frozen.frozen({"view": "attention", "status": "failed"})["statuses"]


def test_services_still_say_no(river):
    """A job has no rights that a verb has not."""
    (row,) = queue(river.alias, 1)
    river.rows().update(sent_at=row.created_at)
    with pytest.raises(InvalidTransition):
        services.cancel(river.row(row))


def test_an_immediate_dispatcher_does_jobs_at_once(river, person):
    """It is woken by the job's commit."""
    river.configure(DISPATCHER="immediate")
    row = Execution(workflow="bake", status=Status.QUEUED)
    row.save(using=river.alias)
    job = start(river.alias, person)

    assert Job.Status.DONE == stored(job).status
