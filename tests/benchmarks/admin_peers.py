"""A peer's admin over as many rows, in a process of its own: a line is a request to time.

``admin_list.py --peers`` starts it with the Python of an environment that it has made for the peer.
It says what it can be asked for as one line of JSON, and answers each name of these with another.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

# By what is installed: the app, the model that its admin lists, and what it is searched for.
PEERS = {
    "django-celery-results": (
        "django_celery_results",
        "django_celery_results.TaskResult",
        "task-1717",
    ),
    "django-tasks-db": ("django_tasks_db", "django_tasks_database.DBTaskResult", None),
    "django-q2": ("django_q", "django_q.Success", "task-1717"),
}
DATA = """'{"args": [], "kwargs": {"order": 17, "lines": ["a cake", "a pie", "a loaf"]}}'"""


def known(app: str, dialect) -> dict[str, str]:
    """Return SQL for a peer's columns: nine in ten succeeded, and all of it looks lived in."""
    failed, moment = "n % 10 = 0", dialect.moment()
    if app == "django_celery_results":
        return {
            "task_id": dialect.named("task-"),
            "task_name": "'shop.tasks.fulfil'",
            "task_args": "'[]'",
            "task_kwargs": DATA,
            "status": f"CASE WHEN {failed} THEN 'FAILURE' ELSE 'SUCCESS' END",
            "worker": "'celery@shop'",
            "content_type": "'application/json'",
            "content_encoding": "'utf-8'",
            "result": "'null'",
            **dict.fromkeys(("date_created", "date_started", "date_done"), moment),
        }
    if app == "django_tasks_db":
        return {
            "id": dialect.identity(),
            "status": f"CASE WHEN {failed} THEN 'FAILED' ELSE 'SUCCESSFUL' END",
            "args_kwargs": DATA,
            "task_path": "'shop_tasks.fulfil'",
            "worker_ids": "'[]'",
            "queue_name": "'default'",
            "backend_name": "'default'",
            **dict.fromkeys(("enqueued_at", "started_at", "finished_at", "run_after"), moment),
        }
    return {
        "id": dialect.named("id"),
        "name": dialect.named("task-"),
        "func": "'shop.tasks.fulfil'",
        "group": "'orders'",
        "cluster": "'shop'",
        "success": f"NOT ({failed})",
        "attempt_count": "1",
        **dict.fromkeys(("started", "stopped"), moment),
    }


@contextlib.contextmanager
def project(app: str) -> Iterator[None]:
    """Set Django up with the peer on a fresh test database."""
    import django
    from django.conf import settings

    from tests.databases import databases

    urls = sys.modules["peer_urls"] = ModuleType("peer_urls")
    shop = sys.modules["shop_tasks"] = ModuleType("shop_tasks")
    own = app == "django_tasks_db"
    backend = f"{app}.DatabaseBackend" if own else "django.tasks.backends.dummy.DummyBackend"
    settings.configure(
        SECRET_KEY="benchmark",
        ALLOWED_HOSTS=["*"],
        USE_TZ=True,
        TIME_ZONE="UTC",  # MariaDB may know no other.
        STATIC_URL="/static/",
        ROOT_URLCONF="peer_urls",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": databases()["default"]},
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            app,
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        Q_CLUSTER={"orm": "default", "timeout": 60, "retry": 120},
        TASKS={"default": {"BACKEND": backend}},
    )
    django.setup()
    from django.contrib import admin
    from django.db import connection
    from django.urls import path

    if own:
        from django.tasks import task

        def fulfil() -> None:
            """Do what a task is."""

        fulfil.__module__, fulfil.__qualname__ = shop.__name__, "fulfil"
        shop.fulfil = task(fulfil)
    urls.urlpatterns = [path("admin/", admin.site.urls)]
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def places(model, failures, rows: int, term: str | None) -> dict[str, str]:
    """Return the URLs that can be asked for, under the names that our own list's have."""
    from django.urls import reverse

    def url(of, page: str, *arguments: object) -> str:
        return reverse(f"admin:{of._meta.app_label}_{of._meta.model_name}_{page}", args=arguments)

    first = url(model, "changelist")
    key = model.objects.order_by("pk")[rows // 2].pk
    found = {"list": first, "page": url(model, "change", key)}
    if term:
        found["search remote id"] = f"{first}?q={term}"
    return found | {"status failed": failures(url, first)}


def failures_of(app: str):
    """Return what makes the URL of what has failed."""
    if app == "django_q":
        from django_q.models import Failure

        return lambda url, first: url(Failure, "changelist")
    word = "FAILURE" if app == "django_celery_results" else "FAILED"
    return lambda url, first: f"{first}?status__exact={word}"


def main(name: str, kind: str, rows: int) -> None:
    """Fill, and answer until the input ends."""
    app, label, term = PEERS[name]
    os.environ["EMBEDWORKFLOW_TEST_DEFAULT"] = kind
    with project(app):
        from django.apps import apps
        from django.contrib.auth.models import User
        from django.db import connection
        from django.test import Client
        from django.test.utils import CaptureQueriesContext

        from tests.benchmarks.filling import Dialect, fill

        model = apps.get_model(label)
        fill(connection, model, rows, known(app, Dialect(connection.vendor, rows)))
        client = Client()
        client.force_login(User.objects.create_superuser("operator"))
        urls = places(model, failures_of(app), rows, term)
        said = {}
        for what, url in urls.items():
            with CaptureQueriesContext(connection) as queries:
                answer = client.get(url)
            assert answer.status_code == 200, (url, answer.status_code)
            said[what] = len(queries)
        print(json.dumps(said), flush=True)
        for line in sys.stdin:
            began = time.perf_counter()
            client.get(urls[line.strip()])
            print(json.dumps(time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
