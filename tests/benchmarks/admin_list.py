"""What the admin's pages cost at any size of the table, against the same list done naively.

Run it alone: ``python tests/benchmarks/admin_list.py --database postgresql --rows 1000000``;
``--peers`` adds other packages' admins, ``--chart FILE`` draws a picture.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import admin_chart, environments, workplace
from tests.benchmarks.admin_peers import PEERS
from tests.benchmarks.environments import Peer
from tests.benchmarks.filling import Dialect, fill

SENTENCE = (
    "Milliseconds (medians) that a page takes, warm: ours; a plain ModelAdmin's with as many "
    "columns, the same filters and search fields; and the floor, a changelist of as many rows and "
    "constant cells that counts nothing. They take turns, and ratios are those of each round with "
    "their quartiles. The failures are the oldest tenth, what is queued or runs is the newest."
)
RARE = 1000
LIVE = 2000
EVENTS = 20
NODES = 20


def executions(dialect: Dialect, rows: int) -> dict[str, str]:
    """Return SQL for the columns of an execution."""
    live, moment = f"n > {rows} - {min(LIVE, rows // 10)}", dialect.moment()
    status = (
        f"CASE WHEN {live} AND n % 2 = 0 THEN 'queued' WHEN {live} THEN 'running'"
        f" WHEN n < {rows} / 10 OR n % 300 = 0 THEN 'failed'"
        f" WHEN n % {RARE} = 1 THEN 'undeliverable' WHEN n % 10000 = 2 THEN 'unconfirmed'"
        " ELSE 'completed' END"
    )
    return {
        "id": dialect.identity(),
        "workflow": f"CASE WHEN n % {RARE} = 0 THEN 'rare' ELSE 'order-fulfilment' END",
        "account": "CASE WHEN n % 10 = 0 THEN 'eu' ELSE 'default' END",
        "id_type": "'key'",
        "user_key": dialect.named("customer-"),
        "trigger": "CASE WHEN n % 3 = 0 THEN 'shop.placed' ELSE '' END",
        "source_type": "'bakery.cake'",
        "source_id": dialect.named(""),
        "idempotency_key": dialect.named("key-"),
        "remote_id": dialect.named("r-"),
        "hashid": dialect.named("h"),
        "status": status,
        "due_at": f"CASE WHEN {live} THEN {moment} END",
        "attempts": "1",
        "created_at": moment,
        "finished_at": f"CASE WHEN {live} THEN NULL ELSE {moment} END",
        "actions_count": "5",
        "completed_actions_count": "5",
        "execution_data": """'{"order": 17, "lines": ["a cake", "a pie", "a loaf"]}'""",
    }


def events(dialect: Dialect) -> dict[str, str]:
    """Return SQL for the columns of an event; each has an execution of its own."""
    return {
        "execution": dialect.identity(),
        "at": dialect.moment(),
        "status": "'completed'",
        "source": "'poll'",
        "detail": "'{}'",
    }


def live_through(execution: Any) -> None:
    """Give an execution a workflow to draw and a history to tell."""
    from embedworkflow_django.models import ExecutionEvent

    names = [f"node{n:02}" for n in range(NODES)]
    nodes = [{"id": name, "type": "Email", "recipient": "{{ email }}"} for name in names]
    edges = [f"{a}-{b}" for a, b in itertools.pairwise(names)]
    execution.template = {"nodes": nodes, "edges": edges}
    execution.stats = {"nodes": [{"id": name, "status": "completed"} for name in names]}
    execution.save()
    ExecutionEvent.objects.bulk_create(
        ExecutionEvent(execution=execution, status="running", source="poll") for _ in range(EVENTS)
    )


def contenders() -> tuple[str, Any]:
    """Put three admin sites up; return the module of their URLs, and the floor's admin."""
    from django.contrib import admin
    from django.core.paginator import Paginator
    from django.urls import path

    from embedworkflow_django.admin.executions import ExecutionAdmin
    from embedworkflow_django.models import Execution

    class Ours(ExecutionAdmin):
        """What the package ships."""

    class Naive(admin.ModelAdmin):
        """What one writes in five minutes."""

        change_list_template = "admin/change_list.html"
        change_form_template = "admin/change_form.html"
        raw_id_fields = ("run_again_of",)
        list_display = ("id", "status", "workflow", "source_id", "actions_count", "attempts")
        list_display += ("created_at",)
        list_filter = ("status", "workflow", "account", "trigger", "created_at")
        search_fields = ("remote_id", "hashid", "idempotency_key", "workflow", "source_id", "id")

    class Uncounted(Paginator):
        """No count."""

        count = 10_000

    class Floor(admin.ModelAdmin):
        """As many cells, all of them constant."""

        change_list_template = "admin/change_list.html"
        list_display = tuple(f"cell_{n}" for n in range(7))
        list_display_links = ("cell_0",)
        ordering = ("-pk",)
        paginator = Uncounted
        show_full_result_count = False
        sortable_by = ()

        def get_queryset(self, request):
            """Return keys, and what a row is called."""
            return super().get_queryset(request).only("pk", "workflow")

    for n in range(7):
        setattr(Floor, f"cell_{n}", lambda self, execution: "constant")
    urls = sys.modules["embedworkflow_benchmark_urls"] = ModuleType("embedworkflow_benchmark_urls")
    urls.urlpatterns = [path("admin/", admin.site.urls)]
    for name, each in {"ours": Ours, "naive": Naive, "floor": Floor}.items():
        site = admin.AdminSite(name=name)
        site.register(Execution, each)
        urls.urlpatterns.append(path(f"{name}/", site.urls))
    return urls.__name__, Floor


def places(model: Any, rows: int) -> dict[str, tuple[str, str | None]]:
    """Return what is looked at: what ours calls it, and the naive list if it has it."""
    from django.utils import timezone

    key = model.objects.order_by("pk")[rows // 2].pk
    live_through(model.objects.get(pk=key))
    moving = model.objects.filter(status="running").order_by("-pk")[:100]
    ids = ",".join(row.pk.hex for row in moving)
    day = timezone.localdate()
    today = f"created_at__gte={day}+00:00Z"
    week = f"created_at__gte={day - timedelta(days=7)}+00:00Z"
    attention = "unconfirmed,undeliverable,unknown"
    return {
        "list": ("", ""),
        "last page": (f"?p={min(rows, 10_000) // 100}",) * 2,
        "view attention": ("?view=attention", f"?status__in={attention}"),
        "view in flight": ("?view=in_flight", "?status__in=running,upcoming"),
        "view queued": ("?view=queued", "?status__exact=queued"),
        "view unconfirmed": ("?view=unconfirmed", "?status__exact=unconfirmed"),
        "view failed today": ("?view=failed_today", f"?status__exact=failed&{today}"),
        "status failed": ("?status=failed", "?status__exact=failed"),
        "status completed": ("?status=completed", "?status__exact=completed"),
        "workflow, rare": ("?workflow=rare", "?workflow=rare"),
        "workflow": ("?workflow=order-fulfilment", "?workflow=order-fulfilment"),
        "account": ("?account=eu", "?account=eu"),
        "trigger": ("?trigger=shop.placed", "?trigger=shop.placed"),
        "created week": ("?created=week", f"?{week}"),
        "workflow + status": (
            "?workflow=order-fulfilment&status=failed",
            "?workflow=order-fulfilment&status__exact=failed",
        ),
        "workflow + status, rare": (
            "?workflow=rare&status=failed",
            "?workflow=rare&status__exact=failed",
        ),
        "search id": (f"?q={key}", f"?q={key}"),
        "search remote id": ("?q=r-1717", "?q=r-1717"),
        "search hashid": ("?q=h1717", "?q=h1717"),
        "search source": ("?q=bakery.cake:1717", "?q=1717"),
        "search workflow": ("?q=order-fulfilment", "?q=order-fulfilment"),
        "page": (f"{key}/change/", f"{key}/change/"),
        "renewed rows": (f"live/?ids={ids}", None),
        "overview": ("overview/", None),
        "trigger map": ("triggers/", None),
    }


@contextlib.contextmanager
def peers(options: Any) -> Iterator[dict[str, Peer]]:
    """Yield each peer over as many rows, on the same kind of database and the same Django."""
    import django

    with contextlib.ExitStack() as stack:
        root = stack.enter_context(environments.folder(options.environments))
        found = {}
        for name in PEERS:
            needs = (f"Django=={django.__version__}", *environments.DRIVERS)
            python = environments.environment(root / name, name, *needs)
            program = str(environments.HERE / "admin_peers.py")
            asked = (name, options.database, str(options.rows))
            found[name] = environments.start(stack, python, program, *asked)
        yield found


def measure(ask: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the times of contenders that take turns, each time in the other direction."""
    times: dict[str, list[float]] = {name: [] for name in ask}
    for number in range(rounds):
        names = list(ask) if number % 2 else list(reversed(ask))
        for name in names:
            times[name].append(ask[name]())
    return times


def row(what: str, times: dict[str, list[float]], statements: dict[str, int]) -> dict[str, Any]:
    """Return a line of the table."""
    found: dict[str, Any] = {"what": what}
    found |= {name: round(statistics.median(spent) * 1e3, 1) for name, spent in times.items()}
    for above, below in (("ours", "floor"), ("naive", "ours")):
        if above in times and below in times:
            ratio = workplace.ratio(times[above], times[below])
            found[f"{above}/{below}"] = round(ratio["median"], 2)
            found[f"{above}/{below} quartiles"] = f"{ratio['lower']:.2f}–{ratio['upper']:.2f}"
    return found | {"statements": ":".join(str(number) for number in statements.values())}


def every_row(options: Any, others: dict[str, Peer]) -> Iterator[dict[str, Any]]:
    """Measure one place after the other."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client, override_settings
    from django.test.utils import CaptureQueriesContext

    from embedworkflow_django.models import Execution

    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    urls, floor = contenders()
    statements: dict[str, int] = {}

    def get(site: str, tail: str) -> Callable[[], float]:
        url = f"/{site}/embedworkflow/execution/{tail}"
        with CaptureQueriesContext(connection) as said:
            answer = client.get(url)
        assert answer.status_code == 200, (url, answer.status_code)
        statements[site] = len(said)
        if site == "ours" and (cl := getattr(answer, "context_data", {}).get("cl")):
            floor.list_per_page = max(1, len(cl.result_list))
        return lambda: workplace.timed(lambda: client.get(url))

    with override_settings(ROOT_URLCONF=urls):
        for what, (ours, naive) in places(Execution, options.rows).items():
            statements.clear()
            ask = {"ours": get("ours", ours)}
            if naive is not None:
                ask["naive"] = get("naive", naive)
            if naive is not None and what != "page":
                ask["floor"] = get("floor", "")
            for name, peer in others.items():
                if what in peer.statements:
                    ask[name] = lambda peer=peer, what=what: peer.seconds(what)
                    statements[name] = peer.statements[what]
            yield row(what, measure(ask, options.rounds), statements)


def main() -> None:
    """Measure, print, and draw."""
    parser = workplace.parser(SENTENCE, rows=100_000, rounds=7)
    parser.add_argument("--peers", action="store_true", help=f"also {', '.join(PEERS)}")
    environments.add_options(parser)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        stack.enter_context(workplace.database(options.database))
        from django.db import connection
        from django.test.utils import teardown_test_environment

        from embedworkflow_django.models import Execution, ExecutionEvent

        teardown_test_environment()  # It copies each template's context.

        began = time.perf_counter()
        dialect = Dialect(connection.vendor, options.rows)
        fill(connection, Execution, options.rows, executions(dialect, options.rows))
        fill(connection, ExecutionEvent, options.rows, events(dialect))
        others = stack.enter_context(peers(options)) if options.peers else {}
        print(f"Filled in {time.perf_counter() - began:.0f} s.", file=sys.stderr)
        table = list(every_row(options, others))
    names = dict.fromkeys(name for line in table for name in line)
    table = [{name: line.get(name, "") for name in names} for line in table]
    workplace.report(
        f"{options.database}, {options.rows:,} rows. {SENTENCE}", table, as_json=options.json
    )
    if options.chart:
        admin_chart.draw(f"{options.database}, {options.rows:,} rows", table, options.chart)


if __name__ == "__main__":
    main()
