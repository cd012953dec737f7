"""A project's Celery app, as its ``celery.py`` has it; the environment says where its broker is."""

from __future__ import annotations

import json
import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
if "EMBEDWORKFLOW_TEST_SETTINGS" in os.environ:
    settings.EMBEDWORKFLOW = json.loads(os.environ["EMBEDWORKFLOW_TEST_SETTINGS"])
if "EMBEDWORKFLOW_TEST_ALONE" in os.environ:
    # The tests' other databases are not there.
    settings.DATABASES = {"default": settings.DATABASES["default"]}

app = Celery("tests", broker=os.environ["EMBEDWORKFLOW_TEST_BROKER"])
app.conf.task_default_queue = os.environ["EMBEDWORKFLOW_TEST_QUEUE"]
app.autodiscover_tasks()
