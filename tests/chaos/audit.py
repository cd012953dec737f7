"""The comparison: committed rows, diary, the sandbox's log and the mirror, item by item."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from embedworkflow_django.models import Execution, ExecutionEvent, Status
from tests.bakery.models import Cake

MIRRORED = {
    "hashid": "hashid",
    "key": "key",
    "name": "name",
    "status": "remote_status",
    "actions_count": "actions_count",
    "idle_actions_count": "idle_actions_count",
    "running_actions_count": "running_actions_count",
    "completed_actions_count": "completed_actions_count",
    "failed_actions_count": "failed_actions_count",
    "stopped_actions_count": "stopped_actions_count",
}


@dataclass
class Verdict:
    """What the comparison has found.

    Args:
        counts: What was compared, and how often.
        violations: The evidence, by the kind of violation.
    """

    counts: Counter = field(default_factory=Counter)
    violations: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def compare(alias, noted, sandbox, answers) -> Verdict:
    """Compare everything that a run has left.

    Args:
        alias: The database's alias.
        noted: What the diary says.
        sandbox: The API, which was not killed.
        answers: What the API says of each of its executions, by id.
    """
    verdict = Verdict()
    cakes = dict(Cake.objects.using(alias).values_list("name", "pk"))
    rows = list(Execution.objects.using(alias))
    calls = [c for c in sandbox.requests if c.path.endswith("/execute") and c.body]
    by_name = _rows(verdict, cakes, rows, noted)
    _calls(verdict, calls, by_name)
    _mirror(verdict, rows, calls, answers)
    _history(verdict, alias, rows, Counter(noted["finished"]))
    verdict.counts.update(
        committed=len(cakes), rolled_back=len(set(noted["tried"]) - set(cakes)), calls=len(calls)
    )
    return verdict


def _rows(verdict, cakes, rows, noted):
    """A committed cake has one row with its data; nothing else has any."""
    found = verdict.violations
    found["lost"] += [f"{n} was committed and is gone" for n in set(noted["kept"]) - set(cakes)]
    found["phantom"] += [f"{n} was rolled back" for n in set(noted["dropped"]) & set(cakes)]
    by_name = defaultdict(list)
    for row in rows:
        by_name[row.execution_data["name"]].append(row)
    for name in cakes:
        if len(by_name[name]) != 1:
            kind = "doubled" if by_name[name] else "lost"
            found[kind].append(f"cake {name} has the rows {by_name[name]}")
    for row in rows:
        name = row.execution_data["name"]
        if name not in cakes:
            found["phantom"].append(f"row {row.pk} is about {name}, which was never committed")
        elif (row.execution_data["cake"], row.source_id) != (cakes[name], str(cakes[name])):
            found["phantom"].append(f"row {row.pk} has another cake's data: {row.execution_data}")
    return by_name


def _calls(verdict, calls, by_name):
    """Every POST carries a committed row's data, under that row's own key, and starts one run."""
    started = defaultdict(set)
    for call in calls:
        data, key = _body(call)["execution_data"], call.idempotency_key
        rows = by_name.get(data["name"])
        if not rows:
            verdict.violations["phantom"].append(f"{data} was sent under {key}, and has no row")
        elif key != str(rows[0].pk):
            verdict.violations["other key"].append(f"{data} was sent under {key}: {rows[0].pk}")
        elif data != rows[0].execution_data:
            verdict.violations["other data"].append(f"{key}: {data}, not {rows[0].execution_data}")
        if call.execution_id:
            started[data["name"]].add(call.execution_id)
    for name, ids in started.items():
        if len(ids) > 1:
            verdict.violations["doubled"].append(f"{name} was started as {sorted(ids)}")
    verdict.counts["resent"] = len(calls) - len({call.idempotency_key for call in calls})


def _body(call):
    # A call that was cut off before its work was logged as it came in.
    return json.loads(call.body) if isinstance(call.body, bytes) else call.body


def _mirror(verdict, rows, calls, answers):
    """Each row is the mirror of the one execution that its own call has started."""
    found = verdict.violations
    key_of = {call.execution_id: call.idempotency_key for call in calls if call.execution_id}
    mirrored = {row.remote_id: row for row in rows}
    found["phantom"] += [f"execution {i} has no row" for i in set(answers) - set(mirrored)]
    for row in rows:
        if row.status != Status.COMPLETED:
            found["lost"].append(f"row {row.pk} ended as {row.status}: {row.last_error}")
            continue
        if key_of.get(row.remote_id) != str(row.pk):
            found["mirror"].append(f"row {row.pk} mirrors {row.remote_id}, another's execution")
            continue
        answer = answers[row.remote_id]
        for name, column in MIRRORED.items():
            if answer[name] != getattr(row, column):
                said = f"{name} {answer[name]!r}, mirrored as {getattr(row, column)!r}"
                found["mirror"].append(f"row {row.pk}: {said}")
        if answer["execution_data"] != row.execution_data:
            found["mirror"].append(f"row {row.pk}: started with {answer['execution_data']}")


def _history(verdict, alias, rows, told):
    """A row's events tell its transitions, each once, and its deliveries; its end was announced."""
    found = verdict.violations
    events = defaultdict(list)
    for event in ExecutionEvent.objects.using(alias).order_by("id"):
        events[event.execution_id].append(event)
    for row in rows:
        mine = events.pop(row.pk, [])
        statuses = [Status.QUEUED, *(event.status for event in mine)]
        changes = [b for a, b in pairwise(statuses) if a != b]
        if changes not in ([Status.RUNNING, Status.COMPLETED], [Status.COMPLETED]):
            found["history"].append(f"row {row.pk} went through {statuses}")
        attempts = [event.detail["attempt"] for event in mine if "attempt" in event.detail]
        if attempts != list(range(1, row.attempts + 1)):
            found["history"].append(f"row {row.pk}: {row.attempts} attempts, events {attempts}")
        times = [row.sent_at, row.dispatched_at, row.finished_at, row.announced_at]
        if None in times or times != sorted(times):
            said = ", ".join(map(str, times))
            found["history"].append(f"row {row.pk}: its times are in disorder: {said}")
        if row.claim or row.due_at:
            found["history"].append(f"row {row.pk} is final, and not at rest")
        if not told[str(row.pk)]:
            found["unannounced"].append(f"no receiver was told that {row.pk} has finished")
    found["history"] += [f"{len(e)} events of {pk}, which has no row" for pk, e in events.items()]
    verdict.counts["told again"] = sum(told.values()) - len(told)
