"""How often this EVSE's contactors close: counted, kept, told when it is too often.

Pure. A contactor has so many cycles in its life; dispatch costs none, as it stays
closed at 0 W, but a vehicle that pauses and resumes, or a loose plug, may spend them.
The last hour and the whole life outlive a restart: crashing is no new budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chargerd.clock import Now

HOUR_S = 3600.0
KEPT_MAX = 1_000  # closings of an hour, when read back


@dataclass(frozen=True, slots=True)
class Wear:
    """Closings of the last hour, oldest first; `closed` as last commanded."""

    closings_mono: tuple[float, ...] = ()
    closed: bool = False
    total: int = 0  # in its life


NEW = Wear()


def step(wear: Wear, closed: bool, now_mono: float) -> Wear:
    """One tick; `closed` = any contactor of the EVSE is commanded closed."""
    times, total = wear.closings_mono, wear.total
    if times and now_mono - times[0] > HOUR_S:
        times = tuple(t for t in times if now_mono - t <= HOUR_S)
    if closed and not wear.closed:
        times, total = (*times, now_mono), total + 1
    if closed == wear.closed and times == wear.closings_mono:
        return wear
    return Wear(times, closed, total)


def pack(wear: Wear, now: Now) -> dict[str, Any]:
    """What outlives a restart; a monotonic clock does not."""
    stamps = [now.utc_at(mono).isoformat() for mono in wear.closings_mono]
    return {"total": wear.total, "closings_utc": stamps[-KEPT_MAX:]}


def read(value: object, now: Now) -> Wear:
    """From what was stored; anything else is a new contactor. A stamp of the future
    (the clock was set) counts as now: the note may come early, never late."""
    if not isinstance(value, dict):
        return NEW
    total, stamps = value.get("total"), value.get("closings_utc")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        return NEW
    ages = [_age_s(stamp, now) for stamp in stamps] if isinstance(stamps, list) else []
    young = [age for age in ages[:KEPT_MAX] if age is not None and age <= HOUR_S]
    times = [now.mono - max(0.0, age) for age in young]
    return Wear(tuple(sorted(times)), total=total)


def _age_s(stamp: object, now: Now) -> float | None:
    try:
        then = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    except ValueError:
        return None
    if then is None:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return (now.utc - then).total_seconds()
