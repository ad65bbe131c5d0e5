"""How often this EVSE's contactors close: counted, and told when it is too often.

Pure. A contactor has so many cycles in its life; dispatch costs none, as it stays
closed at 0 W, but a vehicle that pauses and resumes, or a loose plug, may spend them.
"""

from __future__ import annotations

from dataclasses import dataclass

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Wear:
    """Closings of the last hour, oldest first; `closed` as last commanded."""

    closings_mono: tuple[float, ...] = ()
    closed: bool = False


def step(wear: Wear, closed: bool, now_mono: float) -> Wear:
    """One tick; `closed` = any contactor of the EVSE is commanded closed."""
    times = wear.closings_mono
    if times and now_mono - times[0] > HOUR_S:
        times = tuple(t for t in times if now_mono - t <= HOUR_S)
    if closed and not wear.closed:
        times = (*times, now_mono)
    if closed == wear.closed and times == wear.closings_mono:
        return wear
    return Wear(times, closed)
