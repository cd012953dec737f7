"""The package's log records, held against the table of the documentation that promises them."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

LOGGER = "embedworkflow_django"
_HOWTO = Path(__file__).parent.parent / "docs" / "howto.md"
_ROW = re.compile(r"^\| `(\w+)` \| ([A-Z, ]+) \|([^|]*)\|", re.MULTILINE)
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = {str, int, float, list, dict}
#: What is shorter might stand in a record by chance.
_SHORTEST_KEY = 8


@dataclass(frozen=True)
class Promise:
    """What the documentation says of one kind of record."""

    levels: set[str]
    fields: set[str]


def promised() -> dict[str, Promise]:
    """Return the table's rows by their ``event_name``."""
    return {
        name: Promise(set(levels.split(", ")), set(re.findall(r"`(\w+)`", fields)))
        for name, levels, fields in _ROW.findall(_HOWTO.read_text())
    }


class Watch(logging.Handler):
    """Looks at each record that the package emits, and keeps what is wrong with it."""

    def __init__(self):
        super().__init__()
        self.seen = set()
        self.wrong = []
        self._promised = promised()

    def emit(self, record):
        """Hold one record against its promise."""
        fields = {name: v for name, v in vars(record).items() if name not in _OWN}
        event = fields.pop("event_name", None)
        self.seen.add(event)
        promise = self._promised.get(event)
        if promise is None or promise.fields != set(fields):
            self.wrong.append(f"{event} has the fields {sorted(fields)}: {record.getMessage()}")
        elif record.levelname not in promise.levels:
            self.wrong.append(f"{event} is of level {record.levelname}")
        # What a formatter of the project's writes of an enumeration's member is not foreseeable.
        self.wrong += [f"{event} has {v!r}" for v in fields.values() if type(v) not in _PLAIN]
        text = logging.Formatter().format(record) + json.dumps(fields)
        if any(key in text for key in _secret_keys()):
            self.wrong.append(f"{event} has a secret key in it")


def _secret_keys():
    configured = getattr(settings, "EMBEDWORKFLOW", None) or {}
    accounts = [configured, *(configured.get("ACCOUNTS") or {}).values()]
    keys = [account.get("SECRET_KEY") for account in accounts if isinstance(account, dict)]
    return [key for key in keys if isinstance(key, str) and len(key) >= _SHORTEST_KEY]
