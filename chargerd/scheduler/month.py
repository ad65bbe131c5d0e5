"""How much was taken out of vehicles in this calendar month, against the owner's cap.

Pure. Survives a restart as a plain value. Without a trusted clock the month stays what
it was: a cap is never forgotten because a clock was lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import tzinfo

from chargerd.clock import Now


@dataclass(frozen=True, slots=True)
class Month:
    """`name` is "2026-11" in local time, "" before the first."""

    name: str = ""
    discharged_wh: float = 0.0


EMPTY = Month()


def add(month: Month, discharged_wh: float, zone: tzinfo, now: Now) -> Month:
    """Count; a new month begins at zero."""
    if now.trusted:
        name = now.utc.astimezone(zone).strftime("%Y-%m")
        if name != month.name:
            month = Month(name, month.discharged_wh if not month.name else 0.0)
    if discharged_wh <= 0.0:
        return month
    return replace(month, discharged_wh=month.discharged_wh + discharged_wh)


def left_wh(month: Month, cap_kwh: float | None) -> float:
    """What may still be discharged."""
    if cap_kwh is None:
        return math.inf
    return max(0.0, 1000.0 * cap_kwh - month.discharged_wh)


def read(value: object) -> Month:
    """From what was stored; anything else is an empty month."""
    if not isinstance(value, dict):
        return EMPTY
    name, wh = value.get("name"), value.get("discharged_wh")
    if not isinstance(name, str) or not isinstance(wh, int | float):
        return EMPTY
    return Month(name, float(wh)) if math.isfinite(wh) and wh >= 0.0 else EMPTY
