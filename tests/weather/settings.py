"""The settings of the tiny project that the servers serve; the environment says the rest."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "django.contrib.admin"]
if "EMBEDWORKFLOW_WEATHER_APP" in os.environ:
    INSTALLED_APPS.append(os.environ["EMBEDWORKFLOW_WEATHER_APP"])
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
DATABASES = {"default": DATABASES["default"]}
ROOT_URLCONF = "tests.weather.site"
MIDDLEWARE = []
EMBEDWORKFLOW = json.loads(os.environ["EMBEDWORKFLOW_WEATHER"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {
        "embedworkflow_django": {"handlers": ["stderr"], "level": "WARNING"},
        "django.utils.autoreload": {"handlers": ["stderr"], "level": "INFO"},
    },
}
