"""What the plan layer sees of one EVSE and of the connection, read from the heart.

Pure: a Runner's last tick in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from chargerd.config import Site
from chargerd.config_battery import ANY, Battery
from chargerd.model import Promise, Snapshot
from chargerd.scheduler.battery import RATE_MAX
from chargerd.scheduler.terms import Context, Unit, Verdict
from chargerd.scheduler.wishes import floor_pct

TAPER_LEAST = 0.1  # nearer to full nothing can be told from what it takes


@dataclass(frozen=True, slots=True)
class Outlook:
    """One EVSE with a battery that is known well enough to plan for."""

    evse_id: int
    energy_wh: float
    capacity_wh: float
    floor_wh: float
    charge_w: float  # what EVSE and vehicle can do below the knee, were they alone
    discharge_w: float  # <= 0, and permitted
    efficiency: float
    power_w: float  # on the wire
    promise: Promise | None
    profile: Battery = ANY
    session_id: str = ""
    rate: float = RATE_MAX  # share of `charge_w` that the promise counts on


@dataclass(frozen=True, slots=True)
class SiteOutlook:
    """All of it at one moment. `house_w`: the connection's power beside `evses`; of it
    `unplanned_w` goes to EVSEs that cannot be planned for."""

    evses: tuple[Outlook, ...]
    import_w: float
    export_w: float  # magnitude
    house_w: float
    unplanned_w: float = 0.0


class Seen(Protocol):
    """What is read of one EVSE: a Runner."""

    evse_id: int
    power_w: float
    unit: Unit
    snapshot: Snapshot | None
    context: Context

    @property
    def verdict(self) -> Verdict | None: ...


def of_site(seen: Iterable[Seen], site: Site, house_w: float) -> SiteOutlook:
    """EVSEs that cannot be planned for count as house."""
    planned: list[Outlook] = []
    unplanned_w = 0.0
    for evse in seen:
        found = of_evse(evse)
        if found is None:
            unplanned_w += evse.power_w
        else:
            planned.append(found)
    export_w = site.export_w if site.export_permit else 0.0
    house_w += unplanned_w
    return SiteOutlook(tuple(planned), site.import_w, export_w, house_w, unplanned_w)


def of_evse(seen: Seen) -> Outlook | None:
    """None: no power yet, or an energy that nobody knows."""
    snap, verdict, battery = seen.snapshot, seen.verdict, seen.context.battery
    if snap is None or verdict is None or not verdict.power_permitted:
        return None
    energy_wh, capacity_wh = battery.energy_wh, battery.capacity_wh
    if energy_wh is None or capacity_wh is None:
        return None
    floor = floor_pct(snap, seen.unit, seen.context)
    return Outlook(
        snap.evse_id,
        energy_wh,
        capacity_wh,
        capacity_wh * floor / 100.0,
        _charge_w(seen.unit, verdict, energy_wh / capacity_wh, seen.context.profile),
        min(0.0, verdict.able_low_w),
        seen.unit.efficiency,
        seen.power_w,
        snap.session.promise,
        seen.context.profile,
        snap.session.id,
        seen.context.rate,
    )


def _charge_w(unit: Unit, verdict: Verdict, level: float, profile: Battery) -> float:
    """A vehicle that tapers now will take more again once it is emptier."""
    able_w, knee = max(0.0, verdict.able_high_w), profile.knee_pct / 100.0
    if level <= knee:
        return able_w
    share = max(TAPER_LEAST, (1.0 - level) / (1.0 - knee))
    return min(max(able_w, unit.charge_w), able_w / share)
