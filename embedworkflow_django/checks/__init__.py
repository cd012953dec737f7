"""System checks: what is wrong with the settings and the triggers, before anything is sent.

All carry the tag ``embedworkflow`` (``manage.py check --tag embedworkflow``) and read nothing but
the settings, the registry of triggers and the URLs: no database, no network. None shows a key.

====  ===========================================================================================
id    what it says
====  ===========================================================================================
E001  ``EMBEDWORKFLOW`` is no dict, or ``ACCOUNTS`` no dict of dicts under fit aliases
E002  a setting is of the wrong type, or makes no sense
E003  a publishable key stands in the secret key's place
E004  a key has white space or characters beyond ASCII in it
E005  a secret key stands in the publishable key's place, where browsers would get it
E006  the base URL is none that the client takes: no scheme or host, or more than a path
E007  the dispatcher is neither a short name nor the path of a dispatcher's class
E008  a trigger listens to a model that never sends signals: abstract, swapped out, or missing
E009  two triggers have one name
E010  a trigger's account is not configured
E011  a trigger's database (``using``) is not configured
E012  a trigger's workflow, ``user_key`` or ``id_type`` cannot be one
E013  the idempotency key's header has another meaning
E014  a database that holds executions has ``AUTOCOMMIT`` off
E015  a database that holds executions is neither SQLite nor PostgreSQL nor MariaDB
E016  the URL at which callbacks are taken is none, or has a query or a fragment
W001  an account has no secret key
W002  SQLite without ``transaction_mode: IMMEDIATE`` or WAL, beside a dispatcher's own connection
W003  a live key with ``DEBUG``
W004  a test key without ``DEBUG`` (only with ``check --deploy``)
W005  plain ``http`` to another machine: the key travels in clear
W006  an unknown setting, at the top, in an account, or beside the dict
W007  a setting of the whole project in an account, where it has no effect
W008  dispatcher ``thread`` under uWSGI without threads
W009  a trigger listens to an unmanaged model
W010  ``RETENTION`` is shorter than a day: seconds where days were meant?
W011  dispatcher ``immediate`` sends within requests (only with ``check --deploy``)
W012  ``LEASE`` is shorter than twice the longest ``TIMEOUT``: calls may outlast their lease
W013  a trigger listens to a signal that its sender never sends, such as ``m2m_changed`` of a model
W014  plain ``http`` for callbacks from another machine: strangers may hear their URLs
W015  callbacks are sent where the project's URLs do not take them
====  ===========================================================================================
"""

from __future__ import annotations

from . import configuration, declarations, dispatch
from .messages import TAG

__all__ = ["TAG", "configuration", "declarations", "dispatch"]
