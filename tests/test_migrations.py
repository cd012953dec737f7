"""The migrations: complete on every Django and for any project, and the same on every database."""

from __future__ import annotations

import random
import uuid

import pytest
from django.core.management import call_command
from django.db import connections

from embedworkflow_django import keys
from embedworkflow_django.models import Execution, ExecutionEvent

from .databases import EVERY_DATABASE

MINIMAL_PROJECT = """
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    INSTALLED_APPS=["embedworkflow_django"],
    DEFAULT_AUTO_FIELD="django.db.models.{auto_field}",
    USE_TZ={use_tz},
    LANGUAGE_CODE="{language}",
)
django.setup()
call_command("makemigrations", check_changes=True, dry_run=True)
"""


@pytest.mark.parametrize(
    ("auto_field", "use_tz", "language"),
    [
        pytest.param("AutoField", True, "en-us", id="AutoField-aware-en"),
        pytest.param("BigAutoField", False, "de", id="BigAutoField-naive-de"),
        pytest.param("SmallAutoField", True, "fr", id="SmallAutoField-aware-fr"),
        *(pytest.param("BigAutoField", True, each, id=each) for each in ("ar", "es", "ja", "pt")),
    ],
)
def test_no_project_finds_a_migration_missing(auto_field, use_tz, language, python):
    """A project's own settings never make Django want another migration of ours."""
    code = MINIMAL_PROJECT.format(auto_field=auto_field, use_tz=use_tz, language=language)

    assert "No changes detected\n" == python(code)


def _named(alias: str, model) -> set[str]:
    """Return the names of a table's indexes and constraints, as the database tells them."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, model._meta.db_table))


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_the_database_has_every_index_and_constraint_under_its_name(alias):
    """What the models name is in the database under that very name."""
    for model in (Execution, ExecutionEvent):
        options = model._meta
        wanted = {named.name for named in (*options.indexes, *options.constraints)}

        assert set() == wanted - _named(alias, model)


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_the_migrations_can_be_taken_back(alias):
    """Going back to zero takes both tables away, and going forward makes them again."""
    tables = {Execution._meta.db_table, ExecutionEvent._meta.db_table}
    introspection = connections[alias].introspection
    try:
        call_command("migrate", "embedworkflow", "zero", database=alias, verbosity=0)
        assert set() == tables & set(introspection.table_names())
    finally:
        call_command("migrate", "embedworkflow", database=alias, verbosity=0)

    assert tables <= set(introspection.table_names())


def _key_of(milliseconds: int) -> uuid.UUID:
    random_bits = random.getrandbits(74)
    tail = 7 << 76 | random_bits >> 62 << 64 | 2 << 62 | random_bits & (1 << 62) - 1
    return uuid.UUID(int=milliseconds << 80 | tail)


@pytest.mark.parametrize("alias", EVERY_DATABASE)
def test_newest_first_is_the_order_of_the_keys_backwards(alias):
    """``-id`` is the order of making, within a millisecond and across the years, and pages too."""
    made = [_key_of(1_700_000_000_000 + step) for step in (0, 1, 70_000, 9_000_000, 31_536_000_000)]
    made += [keys.uuid7() for _ in range(40)]
    shuffled = random.sample(made, len(made))
    rows = Execution.objects.using(alias)
    rows.bulk_create(Execution(id=key, workflow="w") for key in shuffled)

    assert made[::-1] == list(rows.values_list("id", flat=True))
    assert made[:20][::-1] == list(rows.filter(id__lt=made[20]).values_list("id", flat=True))
