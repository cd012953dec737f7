"""Which databases the tests run on: SQLite always, the others when they answer.

``EMBEDWORKFLOW_TEST_DEFAULT`` names the one that is ``default`` (``sqlite``, ``postgresql``,
``mariadb``). With ``CI`` set, one that does not answer is a failure instead of a skip.
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pymysql

# Django asks for mysqlclient's version; PyMySQL stands in for it without a compiler.
pymysql.version_info = (2, 2, 8, "final", 0)
pymysql.install_as_MySQLdb()

_SUFFIX = os.environ.get("TOX_ENV_NAME", "").replace("-", "_").replace(".", "")
_FOLDER = Path(tempfile.gettempdir())
_PORTS = {"postgresql": 5432, "mariadb": 3306}


def answers(name: str) -> bool:
    """Return whether a database server listens on its usual port."""
    if name == "sqlite":
        return True
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", _PORTS[name])) == 0


def _name(alias: str) -> str:
    return f"test_embedworkflow_{os.getpid()}{_SUFFIX}_{alias}"


def configuration(name: str, alias: str) -> dict:
    """Return Django's settings for a database of a kind under an alias."""
    if name == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _FOLDER / f"{_name(alias)}.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
                "timeout": 20,
            },
            "TEST": {"NAME": _FOLDER / f"{_name(alias)}_test.sqlite3"},
        }
    if name == "postgresql":
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": os.environ.get("PGUSER", "postgres"),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "HOST": "127.0.0.1",
            "TEST": {"NAME": _name(alias)},
        }
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "test",
        "USER": os.environ.get("MARIADB_USER", "root"),
        "PASSWORD": os.environ.get("MARIADB_PASSWORD", ""),
        "HOST": "127.0.0.1",
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"NAME": _name(alias), "CHARSET": "utf8mb4"},
    }


def databases() -> dict:
    """Return ``DATABASES``: the default one, and each other kind that answers under its name."""
    default = os.environ.get("EMBEDWORKFLOW_TEST_DEFAULT", "sqlite")
    others = [name for name in ("sqlite", "postgresql", "mariadb") if name != default]
    return {
        "default": configuration(default, "default"),
        **{name: configuration(name, name) for name in others if answers(name)},
    }
