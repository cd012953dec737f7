"""The settings of one contender, as its own documentation has them; the environment names it."""

from __future__ import annotations

import os

from tests.benchmarks.contenders import EVERYBODY, PROCESSES
from tests.databases import databases

PEER = os.environ["BENCHMARK_PEER"]
REMOTE = os.environ["BENCHMARK_REMOTE"]
CALLS = int(os.environ["BENCHMARK_CALLS"])
QUEUE = f"embedworkflow-benchmark-{os.environ.get('EMBEDWORKFLOW_TEST_RUN', '')}"

SECRET_KEY = "benchmark"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": databases()["default"]}
INSTALLED_APPS = ["django.contrib.contenttypes", *EVERYBODY[PEER].apps, "tests.benchmarks.shop"]

CELERY_BROKER_URL = EVERYBODY[PEER].broker
CELERY_TASK_DEFAULT_QUEUE = QUEUE
CELERY_TASK_IGNORE_RESULT = True
EMBEDWORKFLOW = {
    "SECRET_KEY": "sk_test_of_the_benchmarks",
    "BASE_URL": REMOTE,
    "DISPATCHER": "worker",
    "CONCURRENCY": CALLS,
    "POLL": (3600, 3600, 86400),
    **EVERYBODY[PEER].settings,
}
RELIABLE_OUTBOX = {
    "DESTINATIONS": {
        "default": {"BACKEND": "reliable_outbox.destinations.local.LocalHandlers"},
        "partner": {
            "BACKEND": "reliable_outbox.destinations.webhook.WebhookDestination",
            "OPTIONS": {"url": f"{REMOTE}/workflows/benchmark/execute", "secret": "s" * 32},
        },
    },
    "ROUTES": {"order.*": "partner"},
}
Q_CLUSTER = {
    "name": QUEUE,
    "workers": min(CALLS, PROCESSES),
    "timeout": 90,
    "retry": 120,
    "queue_limit": 50,
    "bulk": 10,
    "orm": "default",
    "log_level": "ERROR",
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
DJANGO_OUTBOX_PATTERN = {
    "DEFAULT_STOMP_HOST_AND_PORTS": [("127.0.0.1", int(REMOTE.rpartition(":")[2]))],
    "DEFAULT_STOMP_HEARTBEATS": (0, 0),
}
DJANGO_WEBHOOK = {"MODELS": ["shop.Order"]}
