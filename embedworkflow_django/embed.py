"""Embedding: where the hosted builder is loaded from, and the token that says whose it is.

All of it is known from the vendor's demonstrations and packages; how the page uses it stands in
``templatetags/embedworkflow.py`` and ``static/embedworkflow_django/embed.js``.
"""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from . import conf, values

LOADER = "https://cdn.ewf.to/ewf-loader.js"
LIFETIME = timedelta(hours=1)


def user_jwt(
    user_key: str | int | UUID,
    *,
    account: str = conf.DEFAULT_ACCOUNT,
    lifetime: timedelta | float = LIFETIME,
    discover: bool = False,
    email: str | None = None,
    name: str | None = None,
) -> str:
    """Return a token; whoever has it acts as this user until it expires.

    Args:
        user_key: The end user; ``main`` is the account's own.
        account: The account's alias.
        lifetime: How long the token holds, as a timedelta or in seconds.
        discover: Whether the API makes the user if there is none of this key.
        email: The user's address.
        name: The user's name.

    Raises:
        ConfigurationError: The account has no secret key that can sign, or PyJWT is missing.
        ValueError: The user's key is blank, or something else; or no time is left.
    """
    try:
        seconds = math.ceil(values.duration(lifetime).total_seconds())
    except values.UnfitError as unfit:
        raise ValueError(f"lifetime {unfit}") from None
    now = int(time.time())
    claims: dict[str, Any] = {"sub": _subject(user_key), "iat": now, "exp": now + seconds}
    claims |= {"discover": True} if discover else {}
    claims |= {claim: str(text) for claim, text in (("email", email), ("name", name)) if text}
    return _signed(claims, account)


def _subject(user_key: object) -> str:
    # An instance's text may be one that several share, such as "AnonymousUser".
    text = str(user_key) if isinstance(user_key, (str, int, UUID)) else ""
    if not text.strip():
        raise ValueError(
            f"user_key should name the user whom the page acts as, not {user_key!r}. "
            "Give a string or a primary key."
        )
    return text


def _signed(claims: dict[str, Any], account: str) -> str:
    try:
        import jwt  # noqa: PLC0415 - an extra
    except ImportError:
        raise conf.ConfigurationError(
            'Embedding needs PyJWT: pip install "embedworkflow-django[embed]".'
        ) from None
    conf.require_key(account)
    try:
        return jwt.encode(
            claims,
            # HMAC fills up a short key by itself; PyJWT would warn of a length that nobody chooses.
            conf.account_value(account, "SECRET_KEY").encode().ljust(32, b"\0"),
            algorithm="HS256",
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is about the key
        refusal = str(error)
    # Raised here and not above, for the frames that failed hold the key.
    raise conf.ConfigurationError(f"{conf.place('SECRET_KEY', account)} cannot sign: {refusal}")


def publishable_key(account: str = conf.DEFAULT_ACCOUNT) -> str:
    """Return the key that a page shows beside a token.

    Args:
        account: The account's alias.

    Raises:
        ConfigurationError: The account has none that belongs to its secret key.
    """
    conf.require_key(account)
    # What an account inherits belongs to the secret key of the whole project.
    pair = conf.place("SECRET_KEY", account).rpartition("[")[0]
    where = f'{pair}["PUBLISHABLE_KEY"]'
    is_beside = where == conf.place("PUBLISHABLE_KEY", account)
    if not (is_beside and conf.account_value(account, "PUBLISHABLE_KEY").startswith("pk_")):
        raise conf.ConfigurationError(
            f"{where} is not set to a publishable key (pk_…). Add the one that makes a pair with "
            "the secret key beside it."
        )
    return str(conf.account_value(account, "PUBLISHABLE_KEY"))
