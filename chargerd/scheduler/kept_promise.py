"""The owner's promise over a restart: what is kept of it, and what becomes of that.

Pure. It is kept by wall clock time and for its session alone; what the driver told the
vehicle, the vehicle tells again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargerd.clock import Now
from chargerd.model import Promise, Session


@dataclass(frozen=True, slots=True)
class Wish:
    session_id: str
    departure_mono: float
    target_soc_pct: float
    floor_soc_pct: float


def of(session: Session, now: Now) -> Wish | None:
    """What is to be kept; None = nothing, as while nobody knows the time of day."""
    wish = session.promise
    if wish is None or wish.by_vehicle or not session.id or not now.trusted:
        return None
    return Wish(
        session.id, wish.departure_mono, wish.target_soc_pct, wish.floor_soc_pct
    )


def pack(wish: Wish | None, now: Now) -> dict[str, Any] | None:
    """As it goes to the disk; a monotonic clock does not outlive a restart."""
    if wish is None:
        return None
    return {
        "session_id": wish.session_id,
        "departure_utc": now.utc_at(wish.departure_mono).isoformat(),
        "target_soc_pct": wish.target_soc_pct,
        "floor_soc_pct": wish.floor_soc_pct,
    }


def read(value: object, session_id: str, now: Now) -> Promise | None:
    """From what was kept, for that session; None where it is over or cannot be read."""
    if not isinstance(value, dict) or value.get("session_id") != session_id:
        return None
    try:
        departure = now.mono_at(datetime.fromisoformat(value["departure_utc"]))
        target, floor = float(value["target_soc_pct"]), float(value["floor_soc_pct"])
    except (KeyError, TypeError, ValueError):
        return None
    return Promise(departure, target, floor) if departure > now.mono else None
