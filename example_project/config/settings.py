"""The shop's settings, of which those of embedworkflow-django stand at the end."""

from __future__ import annotations

import secrets
from pathlib import Path

import environ  # type: ignore[import-untyped]
from django.core.management.utils import get_random_secret_key

from embedworkflow_django import conf

BASE_DIR = Path(__file__).resolve().parent.parent

# What the environment says wins over the file, which need not exist; .env.example shows one.
environ.Env.read_env(BASE_DIR / ".env")
env = environ.Env()

# New with every run, so that none is ever left in a repository.
SECRET_KEY = env.str("SHOP_SECRET_KEY", default="") or get_random_secret_key()
DEBUG = env.bool("SHOP_DEBUG", default=True)
ALLOWED_HOSTS = env.list("SHOP_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "embedworkflow_django",
    "shop",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        # Requests and the worker write at once: both wait for their turn instead of failing.
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"

STATIC_URL = "static/"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}

# What a workflow's webhook has to show; see shop.views.webhook.
SHOP_WEBHOOK_TOKEN = env.str("SHOP_WEBHOOK_TOKEN", default="") or secrets.token_urlsafe(32)

# Every setting X from the variable EMBEDWORKFLOW_X. Without EMBEDWORKFLOW_SECRET_KEY the command
# "demo" brings an API of its own.
EMBEDWORKFLOW = conf.from_env()
