"""Times as people write them: an instant, a time of day, so long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

import typer

HELP = "2026-11-25T07:30, 07:30 (the last one), -45m, -2h, -1d; this machine's zone."
_AGO = re.compile(r"-(\d+(?:\.\d+)?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def instant(written: str, now: datetime | None = None) -> datetime:
    """An instant with its zone; BadParameter says what may be written."""
    zone = None if now is None else now.tzinfo
    now = now or datetime.now().astimezone()
    try:
        if found := _AGO.fullmatch(written):
            return now - timedelta(**{_UNITS[found[2]]: float(found[1])})
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", written):
            clock = datetime.fromisoformat(f"2000-01-01T{written}").time()
            today = datetime.combine(now.date(), clock)
            then = _local(today, zone)
            return then if then <= now else _local(today - timedelta(days=1), zone)
        found_at = datetime.fromisoformat(written)
        return found_at if found_at.tzinfo else _local(found_at, zone)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{written!r}: write {HELP}") from None


def _local(wall: datetime, zone: tzinfo | None) -> datetime:
    """With the offset of that day, not of today: summer time comes and goes."""
    return wall.astimezone() if zone is None else wall.replace(tzinfo=zone)
