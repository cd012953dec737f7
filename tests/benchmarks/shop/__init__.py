"""The project in which the benchmarks' contenders deliver; its settings say for whom."""

import os

if os.environ.get("BENCHMARK_PEER") in {"celery[redis]", "django-webhook"}:
    from .celery import app as celery_app

    __all__ = ["celery_app"]
