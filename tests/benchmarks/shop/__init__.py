"""The project in which the benchmarks' contenders deliver; its settings say for whom."""

import os

from tests.benchmarks.contenders import EVERYBODY

if EVERYBODY[os.environ["BENCHMARK_PEER"]].broker:
    from .celery import app as celery_app

    __all__ = ["celery_app"]
