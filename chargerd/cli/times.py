"""Times as people write them: an instant, a time of day, so long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import typer

HELP = "2026-11-25T07:30, 07:30 (the last one), -45m, -2h, -1d; this machine's zone."
_AGO = re.compile(r"-(\d+(?:\.\d+)?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def instant(written: str, now: datetime | None = None) -> datetime:
    """An instant with its zone; BadParameter says what may be written."""
    now = now or datetime.now().astimezone()
    try:
        if found := _AGO.fullmatch(written):
            return now - timedelta(**{_UNITS[found[2]]: float(found[1])})
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", written):
            clock = datetime.fromisoformat(f"2000-01-01T{written}").time()
            then = now.replace(
                hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0
            )
            return then if then <= now else then - timedelta(days=1)
        found_at = datetime.fromisoformat(written)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{written!r}: write {HELP}") from None
    return found_at if found_at.tzinfo else found_at.replace(tzinfo=now.tzinfo)
