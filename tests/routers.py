"""A second database, and routers as projects with several databases have them."""

from __future__ import annotations

import pytest

from embedworkflow_django.models import Execution
from tests.bakery.models import Cake

from .databases import DEFAULT, KINDS, alias_of, silence

#: The alias of a database beside ``default``.
OTHER = next((alias_of(kind) for kind in KINDS if kind != DEFAULT and not silence(kind)), "none")


def two_databases(test):
    """Mark a test that needs ``default`` and ``OTHER``, with commits of their own."""
    test = pytest.mark.django_db(transaction=True, databases=["default", OTHER])(test)
    return pytest.mark.skipif(OTHER == "none", reason="only one database answers")(test)


class ExecutionsInDefaultOnly:
    """Keeps executions out of every database but ``default``."""

    def allow_migrate(self, db, app_label, **hints):
        """Answer for this package's app alone."""
        return db == "default" if app_label == "embedworkflow" else None


class CakesElsewhere:
    """Keeps cakes in a database of their own."""

    def db_for_read(self, model, **hints):
        """Name the database of cakes."""
        return OTHER if model is Cake else None

    db_for_write = db_for_read


class CakesReadFromAReplica:
    """Reads cakes from a replica, which takes nothing."""

    def db_for_read(self, model, **hints):
        """Name the replica."""
        return OTHER if model is Cake else None

    def db_for_write(self, model, **hints):
        """Name the database that is written."""
        return "default"

    def allow_relation(self, obj1, obj2, **hints):
        """Let both refer to each other."""
        return True

    def allow_migrate(self, db, app_label, **hints):
        """Keep everything out of the replica."""
        return db != OTHER


class ExecutionsReferAnywhere:
    """Keeps executions in ``default``, and lets them refer to what lives elsewhere."""

    def db_for_write(self, model, **hints):
        """Name the database of executions."""
        return "default" if model is Execution else None

    def allow_relation(self, obj1, obj2, **hints):
        """Let everything refer to everything."""
        return True
