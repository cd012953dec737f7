"""Intake: what ``execute`` was asked is checked, and becomes a new row that is not stored yet."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connections, models, router
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from . import conf, encoding
from .exceptions import InvalidExecution
from .keys import uuid7
from .models import Execution, source_id, source_type

# The values of the API's ``id_type``, from its documentation.
ID_TYPES = ("id", "key", "hashid")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
_LONGEST = 255
# The ways out of a text that is blank.
_WORKFLOW = gettext_lazy("Give a workflow's key, id or hashid.")
_OPTIONAL = gettext_lazy("Give one, or leave it out.")
#: What the keys begin with that triggers give.
ONCE = "once:"
# What another run has in common with the first one.
_REPEATED = ("account", "workflow", "id_type", "user_key", "trigger", "source_type", "source_id")


def new_execution(
    workflow: str,
    data: Any = None,
    *,
    source: models.Model | None = None,
    user_key: str | None = None,
    id_type: str = "key",
    idempotency_key: str | None = None,
    account: str = conf.DEFAULT_ACCOUNT,
    run_at: datetime | None = None,
    using: str | None = None,
    trigger: str = "",
) -> tuple[Execution, str]:
    """Return a new row, and the alias of the database that it belongs into.

    Args:
        workflow: The workflow's identifier.
        data: The execution's data.
        source: The object that it is about.
        user_key: The end user on whose behalf it runs; the setting ``USER_KEY`` by default.
        id_type: How the API reads the identifier.
        idempotency_key: At most one execution per account has it.
        account: The account's alias.
        run_at: When it shall be sent; at once by default.
        using: The database's alias; the source's by default.
        trigger: The name of the trigger that asks.

    Raises:
        InvalidExecution: An argument makes no sense; the message names it.
        ConfigurationError: The account is not configured.
    """
    if not isinstance(account, str):
        raise InvalidExecution(
            _("account should be an account's alias, not %r.") % (account,), argument="account"
        )
    conf.require_key(account)
    alias = _database(using, source)
    now = timezone.now()
    execution = _row(
        account=account,
        workflow=identifier(workflow),
        id_type=_id_type(id_type),
        user_key=_user_key(user_key, account, source),
        data_json=encoding.dumps(data),
        idempotency_key=_idempotency_key(idempotency_key),
        trigger=_bounded(trigger, "trigger"),
        run_at=_run_at(run_at, now),
        created_at=now,
    )
    execution.due_at = execution.run_at or now
    if source is not None:
        execution.source_type = source_type(source)
        execution.source_id = _source_id(source, execution, alias)
    return execution, alias


def another_run(execution: Execution, data: Any) -> Execution:
    """Return a new row that asks for the same as another one, and is linked to it.

    Args:
        execution: The one to repeat.
        data: The new execution's data.

    Raises:
        InvalidExecution: The data makes no sense.
        ConfigurationError: The account is not configured any more.
    """
    conf.require_key(execution.account)
    now = timezone.now()
    return _row(
        **{name: getattr(execution, name) for name in _REPEATED},
        data_json=encoding.dumps(data),
        run_again_of_id=execution.pk,
        due_at=now,
        created_at=now,
    )


@lru_cache(maxsize=1)
def _blank() -> dict[str, Any]:
    return {field.attname: field.get_default() for field in Execution._meta.concrete_fields}


def _row(*, data_json: str, **asked: Any) -> Execution:
    asked |= {"id": uuid7(), "execution_data": json.loads(data_json)}
    # As Model.__init__ does it, which would set each of the many fields by itself.
    pre_init.send(Execution, args=(), kwargs=asked)
    row = Execution.__new__(Execution)
    vars(row).update(_blank() | asked, _state=ModelState(), _data_json=data_json)
    post_init.send(Execution, instance=row)
    return row


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return what ``conf.did_you_mean`` says to developers, in the language of whoever asks.

    Args:
        word: What was written.
        known: What could have been.
    """
    near = conf.nearest(word, known)
    if near is None:
        return _("Known: %(words)s.") % {"words": ", ".join(sorted(known))}
    return _("Did you mean %(word)r?") % {"word": near}


def identifier(workflow: Any) -> str:
    """Return a workflow's identifier, if it may be one.

    Raises:
        InvalidExecution: It cannot stand in a path of the API.
    """
    text = _line(workflow, "workflow", _WORKFLOW)
    if text in {".", ".."}:
        raise InvalidExecution(
            _("%(given)r cannot name a workflow. %(hint)s") % {"given": text, "hint": _WORKFLOW},
            argument="workflow",
        )
    return text


def _line(value: Any, name: str, hint: Promise) -> str:
    text = _filled(value, name, hint)
    if control := _CONTROL.search(text):
        raise InvalidExecution(
            _(
                "%(name)s has a control character, or half a character: %(character)r in "
                "%(given)r. Leave it out."
            )
            % {"name": name, "character": control[0], "given": text},
            argument=name,
        )
    return text


def _filled(value: Any, name: str, hint: Promise) -> str:
    if not isinstance(value, str):
        raise InvalidExecution(
            _("%(name)s should be a string, not %(given)r.") % {"name": name, "given": value},
            argument=name,
        )
    text = _bounded(value, name)
    if not text.strip():
        raise InvalidExecution(
            _("%(name)s is blank: %(given)r. %(hint)s")
            % {"name": name, "given": text, "hint": hint},
            argument=name,
        )
    return text


def _bounded(value: str, name: str) -> str:
    if len(value) > _LONGEST:
        raise InvalidExecution(
            _("%(name)s is %(length)d characters long; at most %(limit)d are possible.")
            % {"name": name, "length": len(value), "limit": _LONGEST},
            argument=name,
        )
    return value


def _id_type(id_type: str) -> str:
    if id_type not in ID_TYPES:
        raise InvalidExecution(
            _("id_type should be one of %(known)s, not %(given)r.")
            % {"known": ", ".join(ID_TYPES), "given": id_type},
            argument="id_type",
        )
    return id_type


def _user_key(user_key: Any, account: str, source: models.Model | None) -> str:
    name = "user_key"
    if user_key is None:
        # The setting, or what its callable returns, may say "nobody" by an empty string.
        user_key = conf.user_key(account, source)
        if user_key is None or user_key == "":
            return ""
        name = conf.place("USER_KEY", account)
    return _line(user_key, name, _OPTIONAL)


def _idempotency_key(key: Any) -> str | None:
    if key is None:
        return None
    text = _filled(key, "idempotency_key", _OPTIONAL)
    if not _HEADER_VALUE.fullmatch(text):
        raise InvalidExecution(
            _(
                "idempotency_key travels in a header: it should be a string of visible ASCII "
                "characters, not %r."
            )
            % text,
            argument="idempotency_key",
        )
    return text


def once_key(trigger: str, source_type: str, source_id: str) -> str:
    """Return the idempotency key that a trigger with ``once=True`` gives a source, ever.

    Args:
        trigger: The trigger's name.
        source_type: The source's label.
        source_id: The source's key.
    """
    key = f"{ONCE}{trigger}:{source_type}:{source_id}"
    if len(key) <= _LONGEST and _HEADER_VALUE.fullmatch(key):
        return key
    return f"{ONCE}{hashlib.sha256(key.encode()).hexdigest()}"


def _run_at(run_at: Any, now: datetime) -> datetime | None:
    """Return when to send: never before now, for the time to give up counts from then."""
    if run_at is None:
        return None
    if not isinstance(run_at, datetime) or timezone.is_aware(run_at) != settings.USE_TZ:
        kind = _("an aware datetime") if settings.USE_TZ else _("a naive datetime")
        raise InvalidExecution(
            _("run_at should be %(kind)s, not %(given)r.") % {"kind": kind, "given": run_at},
            argument="run_at",
        )
    try:
        return max(now, run_at.astimezone(UTC) if settings.USE_TZ else run_at)
    except OverflowError:
        raise InvalidExecution(
            _("run_at is %s, which is beyond the calendar in UTC.") % run_at, argument="run_at"
        ) from None


def _database(using: str | None, source: models.Model | None) -> str:
    if source is not None and not isinstance(source, models.Model):
        # Not what it is, for a queryset would be asked for its rows.
        raise InvalidExecution(
            _("source should be a model instance, not %s.") % type(source).__name__,
            argument="source",
        )
    hints = {"instance": source} if source is not None else {}
    alias = using or router.db_for_write(Execution, **hints)
    if alias not in connections:
        raise InvalidExecution(
            _("There is no database %(alias)r. %(hint)s")
            % {"alias": alias, "hint": did_you_mean(str(alias), connections)},
            argument="using",
        )
    if not router.allow_migrate_model(alias, Execution):
        raise InvalidExecution(
            _(
                "The database routers keep executions out of %(alias)r, so one cannot be stored "
                "with a transaction there. Name another database with using=…"
            )
            % {"alias": alias},
            argument="using",
        )
    return alias


def _source_id(source: models.Model, execution: Execution, alias: str) -> str:
    label = source._meta.label
    # Not the object's own text: it may need what an unsaved object has not, or a query.
    parts = source.pk if isinstance(source.pk, tuple) else (source.pk,)
    if None in parts or source._state.adding:
        raise InvalidExecution(
            _(
                "The source, a %(label)s, is not saved, or was deleted: it has no key to refer "
                "to. Save it first."
            )
            % {"label": label},
            argument="source",
        )
    execution._state.db = alias
    if not router.allow_relation(source, execution):
        raise InvalidExecution(
            _(
                "The source, %(label)s %(pk)s, lives in database %(theirs)r and the execution in "
                "%(ours)r; one transaction cannot cover both. Name the source's with using=…, or "
                "let a router's allow_relation() say that it may be."
            )
            % {"label": label, "pk": source.pk, "theirs": source._state.db, "ours": alias},
            argument="source",
        )
    return _bounded(source_id(source), "source")
