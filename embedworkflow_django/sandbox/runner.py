"""Runs executions: decides what happens to which action when, and lets it happen.

Every execution owns a small heap of its next steps; one heap of all executions tells whose turn is
next. Whoever reads an execution catches up that one only, so thousands of waiting ones cost
nothing. Calls and e-mails are tasks that run outside the lock, on threads of their own when the
clock runs, in the thread that calls `settle` when it stands still.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable

from . import clock as clocks
from . import layouts, nodes, records

#: How long, in seconds of the workflow, an action is idle before it runs, and then runs at least.
IDLE_SECONDS = 0.5
RUN_SECONDS = 0.5
BATCH = 64
PERFORMERS = 4
#: The ticker gathers what falls due within this many seconds of real time.
TICK = 0.005
LONGEST_WAIT = 3600.0
_FAR_AWAY = float("inf")


class Runner:
    """Moves executions on as time passes.

    Args:
        clock: Tells the time.
        lock: The engine's lock; methods that say so must be called under it.
        world: What nodes may reach.
        make_action: Makes the record of an action from its execution and node.
        time_scale: How many seconds of a workflow pass in one second of the clock.

    Raises:
        ValueError: The time scale is not more than 0.
    """

    def __init__(
        self,
        *,
        clock: clocks.Clock,
        lock: threading.RLock,
        world: nodes.World,
        make_action: Callable[[records.Execution, dict[str, object]], records.Action],
        time_scale: float = 1.0,
    ) -> None:
        if not time_scale > 0:
            raise ValueError(f"time_scale must be more than 0, and {time_scale} is not.")
        self.time_scale = time_scale
        self._clock = clock
        self._lock = lock
        self._world = world
        self._make_action = make_action
        self._heap: list[tuple[float, int, records.Execution]] = []
        self._sequence = itertools.count()
        self._tasks: deque[tuple[records.Action, nodes.Task]] = deque()
        self._in_flight = 0
        self._wake_at = -_FAR_AWAY
        self._due = threading.Condition(lock)
        self._work = threading.Condition(lock)
        self._threads: list[threading.Thread] = []
        self._stopping = False

    # What happens to an execution; all of these are called under the lock.

    def start(self, execution: records.Execution, at: float) -> None:
        """Let *execution* start at *at*, seconds since the epoch."""
        self._plan(execution, at, lambda due: self._begin(execution, due))

    def catch_up(self, execution: records.Execution) -> None:
        """Let everything happen to *execution* that is due by now."""
        now = self._clock.now()
        steps = execution.steps
        while steps and steps[0][0] <= now:
            due, _, step = heapq.heappop(steps)
            step(due)
        self._conclude(execution)

    def halt(self, execution: records.Execution, status: str) -> None:
        """Stop what is unfinished and set the execution's *status*."""
        now = self._clock.now()
        execution.steps.clear()
        for action in execution.actions.values():
            if action.status in (records.IDLE, records.RUNNING):
                action.stopped_at = now
                self._move(action, records.STOPPED)
        execution.status = status

    def forget(self) -> None:
        """Drop every plan and every task not yet begun."""
        self._heap.clear()
        self._tasks.clear()

    def next_due(self) -> float | None:
        """Return when the next step is due, or None when nothing is planned."""
        while self._heap and not self._heap[0][2].steps:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    # The passing of time; these take the lock themselves.

    def settle(self) -> None:
        """Let everything happen that is due by now, tasks included, and return when it has."""
        while True:
            with self._lock:
                self.tick()
                task = self._take()
                if task is None and not self._in_flight:
                    return
                if task is None:
                    self._due.wait(TICK)
                    continue
            self._perform(*task)

    def tick(self) -> None:
        """Let every due step happen, a batch at a time so that callers get in between."""
        while True:
            with self._lock:
                for _ in range(BATCH):
                    if not self._is_due():
                        return
                    self.catch_up(heapq.heappop(self._heap)[2])

    def run_in_background(self) -> None:
        """Start the threads that move executions on, unless the clock stands still."""
        with self._lock:
            if self._threads or self._clock.frozen:
                return
            self._stopping = False
            targets = [self._keep_ticking, *[self._keep_performing] * PERFORMERS]
            self._threads = [
                threading.Thread(target=target, name="sandbox-runner", daemon=True)
                for target in targets
            ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; what is in flight is finished first, the rest waits for a new start."""
        with self._lock:
            threads, self._threads = self._threads, []
            self._stopping = True
            self._due.notify_all()
            self._work.notify_all()
        for thread in threads:
            thread.join()

    def _keep_ticking(self) -> None:
        while True:
            self.tick()
            with self._lock:
                if self._stopping:
                    return
                due = self.next_due()
                self._wake_at = _FAR_AWAY if due is None else due
                seconds = LONGEST_WAIT if due is None else due - self._clock.now()
                self._due.wait(min(max(0.0, seconds), LONGEST_WAIT))
                self._wake_at = -_FAR_AWAY
            time.sleep(TICK)

    def _keep_performing(self) -> None:
        while True:
            with self._lock:
                while not self._tasks and not self._stopping:
                    self._work.wait()
                task = None if self._stopping else self._take()
            if task is None:
                return
            self._perform(*task)

    def _is_due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self._clock.now()

    def wake(self) -> None:
        """Let the background look at the clock again, which somebody has put forward."""
        with self._lock:
            self._due.notify_all()

    def _take(self) -> tuple[records.Action, nodes.Task] | None:
        if not self._tasks:
            return None
        self._in_flight += 1
        return self._tasks.popleft()

    def _perform(self, action: records.Action, task: nodes.Task) -> None:
        outcome: nodes.Outcome | None = None
        note = ""
        try:
            outcome = task()
        except Exception as error:  # noqa: BLE001  # a mailer of the user's may raise anything
            note = _note(error)
        with self._lock:
            self._in_flight -= 1
            self._due.notify_all()
            if action.status == records.RUNNING:
                self._finish_later(action, outcome, note, self._clock.now())
                self.catch_up(action.execution)

    # The steps of one execution.

    def _plan(
        self, execution: records.Execution, due: float, step: Callable[[float], None]
    ) -> None:
        number = next(self._sequence)
        heapq.heappush(execution.steps, (due, number, step))
        heapq.heappush(self._heap, (due, number, execution))
        if due < self._wake_at:
            self._wake_at = -_FAR_AWAY
            self._due.notify_all()

    def _after(self, moment: float, workflow_seconds: float) -> float:
        return moment + workflow_seconds / self.time_scale

    def _begin(self, execution: records.Execution, at: float) -> None:
        execution.status = records.RUNNING
        for node in execution.layout.successors[layouts.START]:
            self._reach(execution, layouts.START, node, at)

    def _reach(self, execution: records.Execution, origin: str, node: str, at: float) -> None:
        """Open the way to *node*; the first way that opens makes its action (assumed)."""
        execution.open_edges.add((origin, node))
        if node in execution.actions:
            return
        action = self._make_action(execution, execution.layout.nodes[node])
        execution.actions[node] = action
        execution.counts[records.IDLE] += 1
        try:
            seconds = nodes.delay_seconds(action) or IDLE_SECONDS
        except Exception as error:  # noqa: BLE001  # one odd node must not hold up the others
            self._fail(action, _note(error), at)
            return
        action.scheduled_at = self._after(at, seconds)
        self._plan(execution, action.scheduled_at, lambda due: self._run(action, due))

    def _run(self, action: records.Action, at: float) -> None:
        action.run_at = at
        self._move(action, records.RUNNING)
        try:
            begun = nodes.begin(action, self._world)
        except Exception as error:  # noqa: BLE001  # one odd node must not hold up the others
            self._finish_later(action, None, _note(error))
            return
        if isinstance(begun, nodes.Outcome):
            self._finish_later(action, begun, "")
        else:
            self._tasks.append((action, begun))
            self._work.notify()

    def _finish_later(
        self,
        action: records.Action,
        outcome: nodes.Outcome | None,
        note: str,
        not_before: float = 0.0,
    ) -> None:
        """Plan the end of a running *action*: completed with *outcome*, or failed with *note*."""

        def finish(at: float) -> None:
            if outcome is None:
                self._fail(action, note, at)
            else:
                self._complete(action, outcome, at)

        due = max(self._after(action.run_at or 0.0, RUN_SECONDS), not_before)
        self._plan(action.execution, due, finish)

    def _complete(self, action: records.Action, outcome: nodes.Outcome, at: float) -> None:
        execution = action.execution
        action.completed_at, action.log, action.result = at, outcome.log, outcome.result
        execution.action_data = {**execution.action_data, **outcome.data}
        self._move(action, records.COMPLETED)
        origin = str(action.node["id"])
        for node in execution.layout.successors[origin]:
            wanted = execution.layout.nodes[node].get("required_condition_result")
            if wanted is None or outcome.result is None or wanted == outcome.result:
                self._reach(execution, origin, node, at)

    def _fail(self, action: records.Action, note: str, at: float) -> None:
        action.failed_at, action.failure_note = at, note
        self._move(action, records.FAILED)

    def _move(self, action: records.Action, status: str) -> None:
        counts = action.execution.counts
        counts[action.status] -= 1
        counts[status] += 1
        action.status = status

    def _conclude(self, execution: records.Execution) -> None:
        counts = execution.counts
        unfinished = execution.steps or counts[records.IDLE] + counts[records.RUNNING]
        if unfinished or execution.is_final or execution.is_held:
            return
        # What an execution with failed actions reports is unknown; `failed` is assumed.
        execution.status = records.FAILED if counts[records.FAILED] else records.COMPLETED


def _note(error: Exception) -> str:
    """Return what an action says about its failure."""
    return str(error) if isinstance(error, nodes.NodeError) else f"{type(error).__name__}: {error}"
