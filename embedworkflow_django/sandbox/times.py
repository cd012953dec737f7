"""Spells a moment in the three ways of the API: with the zone's offset, for people, and in UTC."""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def spelled(name: str, moment: float | None, zone: str) -> dict[str, str | None]:
    """Return the three properties of one time, all null when *moment* is None.

    Args:
        name: Property name, such as `created_at`.
        moment: Seconds since the epoch.
        zone: IANA name of the time zone of the first two spellings.
    """
    local, text, utc = (None, None, None) if moment is None else _spellings(int(moment), zone)
    return {name: local, f"{name}_string": text, f"{name}_utc": utc}


def utc_text(moment: float) -> str:
    """Return *moment* (seconds since the epoch) as ISO 8601 in UTC, in whole seconds."""
    return _spellings(int(moment), "UTC")[2]


def is_zone(name: object) -> bool:
    """Tell whether *name* is a time zone that this machine knows."""
    return isinstance(name, str) and _zone(name) is not None


@functools.lru_cache(maxsize=4096)
def _spellings(second: int, zone: str) -> tuple[str, str, str]:
    utc = dt.datetime.fromtimestamp(second, dt.UTC)
    # Without a time zone database (bare Windows) UTC is the only zone there is.
    local = utc.astimezone(_zone(zone) or dt.UTC)
    name = local.tzname() or ""
    iso = local.strftime("%Y-%m-%dT%H:%M:%S")
    offset = "Z" if name == "UTC" else local.isoformat()[len(iso) :]
    afternoon, hour = divmod(local.hour, 12)
    half = "pm" if afternoon else "am"
    day = f"{MONTHS[local.month - 1]} {local.day:02d}, {local.year}"
    text = f"{day} {hour or 12:02d}:{local.minute:02d}"
    return iso + offset, f"{text} {half} {name}", utc.strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None
