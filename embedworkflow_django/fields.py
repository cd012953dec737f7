"""The field and the index that databases spell differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Q

if TYPE_CHECKING:
    from django.db.backends.ddl_references import Statement

    _CharField = models.CharField[Any, Any]
else:
    _CharField = models.CharField


class ExactCharField(_CharField):
    """A string that is compared by its characters, also where the database ignores case."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column's type and, on MySQL and MariaDB, its binary collation."""
        parameters: dict[str, Any] = {**super().db_parameters(connection)}
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class PartialIndex(models.Index):
    """An index that leaves out the rows in which one of its fields is NULL, on databases that can.

    ``Index(condition=…)`` would warn every user of a database that cannot.
    """

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Statement:
        """Return the statement that creates the index."""
        names = [name for name, _order in self.fields_orders]
        nullable = [name for name in names if model._meta.get_field(name).null]
        said = Q(*((f"{name}__isnull", False) for name in nullable))
        index = models.Index(fields=self.fields, name=self.name, condition=said)
        if not schema_editor.connection.features.supports_partial_indexes:
            index.condition = None
        return index.create_sql(model, schema_editor, using=using, **kwargs)
