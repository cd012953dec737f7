"""Which databases the tests run on: SQLite always, the others when they answer.

``EMBEDWORKFLOW_TEST_DEFAULT`` names the one that is ``default`` (``sqlite``, ``postgresql``,
``mariadb``). With ``TEST_ONE_DATABASE`` set, what runs on every database runs on that one only;
each cell of the matrix has its own. With ``CI`` set, one that does not answer is a failure, not a
skip.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

# Django asks for mysqlclient's version; PyMySQL stands in for it without a compiler.
pymysql.version_info = (2, 2, 8, "final", 0)
pymysql.install_as_MySQLdb()

KINDS = ("sqlite", "postgresql", "mariadb")
DEFAULT = os.environ.get("EMBEDWORKFLOW_TEST_DEFAULT", "sqlite")
if DEFAULT not in KINDS:
    raise ValueError(f"EMBEDWORKFLOW_TEST_DEFAULT should be one of {KINDS}, not {DEFAULT!r}.")
DEMANDED = bool(os.environ.get("CI"))
ONE_DATABASE = bool(os.environ.get("TEST_ONE_DATABASE"))

# A process that a test starts inherits the variable, and so opens the databases of the run.
_RUN = "EMBEDWORKFLOW_TEST_RUN"
_STARTED_BY_A_TEST = _RUN in os.environ and "PYTEST_XDIST_WORKER" not in os.environ
_PREFIX = f"test_embedworkflow_{os.environ.setdefault(_RUN, str(os.getpid()))}"
_FOLDER = Path(tempfile.gettempdir())

_HOST = "127.0.0.1"
_POSTGRESQL: dict[str, Any] = {
    "user": os.environ.get("PGUSER", "postgres"),
    "password": os.environ.get("PGPASSWORD", ""),
    "port": int(os.environ.get("PGPORT", "5432")),
}
_MARIADB: dict[str, Any] = {
    "user": os.environ.get("MARIADB_USER", "root"),
    "password": os.environ.get("MARIADB_PASSWORD", ""),
    "port": int(os.environ.get("MARIADB_PORT", "3306")),
}


@functools.cache
def silence(kind: str) -> str:
    """Return why a kind of database cannot be used; empty if it can."""
    try:
        if kind == "postgresql":
            psycopg.connect(host=_HOST, dbname="postgres", connect_timeout=3, **_POSTGRESQL).close()
        elif kind == "mariadb":
            pymysql.connect(host=_HOST, connect_timeout=3, **_MARIADB).close()
    except (psycopg.OperationalError, pymysql.MySQLError) as error:
        variables = "PGUSER, PGPASSWORD" if kind == "postgresql" else "MARIADB_USER, …_PASSWORD"
        said = " ".join(str(error).split())
        return f"No {kind} for the tests on its usual port ({variables} say who asks): {said}"
    return ""


def alias_of(kind: str) -> str:
    """Return the alias of a kind of database: its name, or ``default``."""
    return "default" if kind == DEFAULT else kind


def _configuration(kind: str) -> dict:
    """Return Django's settings for a kind of database."""
    name = f"{_PREFIX}_{kind}"
    if kind == "sqlite":
        test_name = str(_FOLDER / f"{name}.sqlite3")
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": test_name if _STARTED_BY_A_TEST else ":memory:",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
                "timeout": 20,
            },
            "TEST": {"NAME": test_name, "DEPENDENCIES": []},
        }
    if kind == "postgresql":
        engine, asked, maintenance, options = "tests.postgresql", _POSTGRESQL, "postgres", {}
    else:
        engine, asked, maintenance = "django.db.backends.mysql", _MARIADB, "mysql"
        options = {"charset": "utf8mb4"}
    return {
        "ENGINE": engine,
        "NAME": name if _STARTED_BY_A_TEST else maintenance,
        "USER": asked["user"],
        "PASSWORD": asked["password"],
        "HOST": _HOST,
        "PORT": asked["port"],
        "OPTIONS": options,
        # None needs another one first: so a test of one of them can be run alone.
        "TEST": {"NAME": name, "DEPENDENCIES": []}
        | ({"CHARSET": "utf8mb4"} if kind == "mariadb" else {}),
    }


def databases() -> dict:
    """Return ``DATABASES``: the default one, and each other kind that answers or must."""
    return {
        alias_of(kind): _configuration(kind)
        for kind in KINDS
        if kind == DEFAULT or DEMANDED or not silence(kind)
    }


def missing() -> list[str]:
    """Return why the tests cannot start: a sentence for each database that must answer."""
    return [silence(kind) for kind in KINDS if (DEMANDED or kind == DEFAULT) and silence(kind)]


def _left_out(kind: str) -> str:
    if ONE_DATABASE and kind != DEFAULT:
        return f"This run is about {DEFAULT}; another cell of the matrix is about {kind}."
    return silence(kind)


EVERY_DATABASE = [
    pytest.param(
        alias_of(kind),
        id=kind,
        marks=[
            pytest.mark.django_db(transaction=True, databases=[alias_of(kind)]),
            pytest.mark.skipif(bool(_left_out(kind)), reason=_left_out(kind)),
        ],
    )
    for kind in KINDS
]
"""``@pytest.mark.parametrize("alias", EVERY_DATABASE)`` runs a test on each kind of database."""

WITH_DEFAULT = [
    pytest.param(
        *each.values,
        id=each.id,
        marks=[
            # Django makes no test database without that of ``default``.
            pytest.mark.django_db(transaction=True, databases={"default", *each.values}),
            *list(each.marks)[1:],
        ],
    )
    for each in EVERY_DATABASE
]
"""The same, for a test that needs ``default`` beside it."""
