"""What the demo says: a line for everything that happens, and a table at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.management.color import Style
from django.db.models.signals import post_save

from embedworkflow_django.models import Execution, Status
from embedworkflow_django.sandbox import Email
from embedworkflow_django.signals import execution_queued, execution_status_changed

from ..models import Order

Paint = Callable[[str], str]

SYMBOLS = {
    Status.QUEUED: "·",
    Status.RUNNING: "▸",
    Status.UPCOMING: "▹",
    Status.COMPLETED: "✔",
    Status.FAILED: "✘",
    Status.UNDELIVERABLE: "✘",
}
SHOP, EMAIL, OTHER = "◆", "✉", "!"
PLAIN = str.maketrans("·▸▹✔✘◆✉—→", ">>>+x*@->")
COLUMNS = ("source", "workflow", "status", "actions", "commit → dispatch", "total")
NUMBERS = frozenset(COLUMNS[3:])


class Terminal:
    """Writes whole lines, from any thread; in colour if the terminal has any.

    Args:
        out: Where to.
        style: The colours; none if the output is no terminal.
    """

    def __init__(self, out: OutputWrapper, style: Style) -> None:
        self._out = out
        self._style = style
        self._lock = threading.Lock()
        encoding = getattr(out, "encoding", None) or "ascii"
        self._speaks_symbols = _can_encode("".join([*SYMBOLS.values(), SHOP, EMAIL]), encoding)
        self._paints: dict[str, Paint] = {
            Status.RUNNING: style.HTTP_NOT_MODIFIED,
            Status.COMPLETED: style.SUCCESS,
            Status.FAILED: style.ERROR,
            Status.UNDELIVERABLE: style.ERROR,
            Status.UNCONFIRMED: style.WARNING,
            Status.UNKNOWN: style.WARNING,
        }

    def say(self, text: str = "") -> None:
        """Write a line at once."""
        with self._lock:
            self._out.write(text if self._speaks_symbols else text.translate(PLAIN))
            self._out.flush()

    def greet(self, title: str, places: Iterable[tuple[str, str]]) -> None:
        """Say where to look."""
        self.say()
        self.say(f"  {self._style.MIGRATE_HEADING(title)}")
        self.say()
        for name, place in places:
            self.say(f"  {name:<12}{self._style.MIGRATE_LABEL(place)}")
        self.say()

    # The feed

    def follow(self) -> None:
        """Write a line for every transition of an execution, and of an order, from now on."""
        execution_queued.connect(self._queued)
        execution_status_changed.connect(self._changed)
        post_save.connect(self._order_saved, sender=Order)

    def unfollow(self) -> None:
        """Write no further lines about them."""
        execution_queued.disconnect(self._queued)
        execution_status_changed.disconnect(self._changed)
        post_save.disconnect(self._order_saved, sender=Order)

    def email(self, email: Email) -> None:
        """Write a line for an e-mail that a workflow has sent."""
        self._line(EMAIL, "e-mail", email.recipient, email.subject)

    def _queued(self, execution: Execution, **kwargs: Any) -> None:
        self._moved(execution, "")

    def _changed(self, execution: Execution, **kwargs: Any) -> None:
        self._moved(execution, _news(execution))

    def _order_saved(self, instance: Order, **kwargs: Any) -> None:
        # Not on commit: so it stands before what it causes.
        detail = f"{instance.customer}, € {instance.total}"
        self._line(SHOP, instance.status, str(instance), detail)

    def _moved(self, execution: Execution, detail: str) -> None:
        symbol = SYMBOLS.get(Status(execution.status), OTHER)
        paint = self._paints.get(execution.status, str)
        what = f"{execution.workflow:<18}{detail}"
        self._line(symbol, execution.status, source(execution), what, paint)

    def _line(self, symbol: str, event: str, who: str, what: str, paint: Paint = str) -> None:
        moment = time.strftime("%H:%M:%S")
        self.say(f"  {moment}  {paint(f'{symbol} {event:<14}')} {who:<22}{what}".rstrip())

    # The table

    def table(self, executions: Sequence[Execution]) -> None:
        """Write what became of each execution."""
        rows = [_row(execution) for execution in executions]
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        self.say()
        self._row(COLUMNS, widths, [self._style.MIGRATE_LABEL] * len(COLUMNS))
        for execution, row in zip(executions, rows, strict=True):
            paint = self._paints.get(execution.status, str)
            self._row(row, widths, [str, str, paint, str, str, str])
        self.say()

    def _row(self, cells: Sequence[str], widths: Sequence[int], paints: Sequence[Paint]) -> None:
        aligned = (
            cell.rjust(width) if column in NUMBERS else cell.ljust(width)
            for cell, width, column in zip(cells, widths, COLUMNS, strict=True)
        )
        painted = (paint(cell) for cell, paint in zip(aligned, paints, strict=True))
        self.say("  " + "   ".join(painted).rstrip())


def source(execution: Execution) -> str:
    """Return what an execution is about, such as "order 17"."""
    model = execution.source_model
    return f"{model._meta.verbose_name} {execution.source_id}" if model else "—"


def _news(execution: Execution) -> str:
    if execution.is_final:
        parts = (_actions(execution), _took(execution.created_at, execution.finished_at))
        return execution.last_error or "{} actions in {}".format(*parts)
    return f"sent after {_took(execution.created_at, execution.dispatched_at)}"


def _row(execution: Execution) -> tuple[str, ...]:
    return (
        source(execution),
        execution.workflow,
        execution.status,
        _actions(execution),
        _took(execution.created_at, execution.dispatched_at),
        _took(execution.created_at, execution.finished_at),
    )


def _actions(execution: Execution) -> str:
    return f"{execution.completed_actions_count}/{execution.actions_count}"


def _took(start: datetime, end: datetime | None) -> str:
    if end is None:
        return "—"
    seconds = (end - start).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
