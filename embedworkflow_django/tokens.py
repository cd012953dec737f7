"""Tokens: what a callback's URL holds, and proves that it was made for one execution."""

from __future__ import annotations

import uuid
from urllib.parse import quote

from django.core.signing import BadSignature, Signer

from . import conf

# What the project signs for another purpose is no token.
_SALT = "embedworkflow_django.callbacks"


def callback_url(using: str, pk: uuid.UUID) -> str:
    """Return the URL at which an execution's workflow may call back; empty without a setting.

    Args:
        using: The alias of the execution's database.
        pk: Its primary key.
    """
    base = conf.settings.callback_url
    if not base:
        return ""
    token = _signer().sign(f"{using}.{pk}")
    return f"{base.removesuffix('/')}/{quote(token, safe='')}/"


def read(token: str) -> tuple[str, uuid.UUID] | None:
    """Return the database's alias and the primary key of the execution that a token is for.

    The comparison takes the same time for every wrong token. Tokens made with a key in Django's
    ``SECRET_KEY_FALLBACKS`` hold.

    Args:
        token: What a URL holds.
    """
    try:
        using, _, pk = _signer().unsign(token).rpartition(".")
    except BadSignature:
        return None
    return using, uuid.UUID(pk)


def _signer() -> Signer:
    # A colon, which it has by default, may not stand in every path.
    return Signer(sep=".", salt=_SALT)
