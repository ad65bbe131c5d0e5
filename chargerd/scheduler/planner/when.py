"""When to think again: on time, and when what the plan rests on has moved.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chargerd.plan import Plan
from chargerd.scheduler.planner.outlook import Outlook, SiteOutlook

LEAST_S = 60.0  # at most one solve a minute ...
SOON_S = 10.0  # ... but for what a person did: a plug, a promise
ASTRAY_SHARE = 0.02  # of capacity
MOVED_SHARE = 0.10  # of a power


@dataclass(frozen=True, slots=True)
class Basis:
    """What the last plans were made from."""

    at_mono: float
    evses: Mapping[int, Outlook]
    site: SiteOutlook
    prices: int  # number of the price series


def due(
    basis: Basis | None,
    plans: Mapping[int, Plan],
    site: SiteOutlook,
    prices: int,
    every_s: float,
    now_mono: float,
) -> str:
    """Why a new plan is due, "" = it is not."""
    if basis is None:
        return "first" if site.evses else ""
    age_s = now_mono - basis.at_mono
    if age_s < SOON_S or not site.evses:
        return ""
    why = _why(basis, plans, site, prices, now_mono)
    if why in ("plug", "need"):
        return why
    if age_s < LEAST_S:
        return ""
    return why or ("time" if age_s >= every_s else "")


def _why(
    basis: Basis,
    plans: Mapping[int, Plan],
    site: SiteOutlook,
    prices: int,
    now_mono: float,
) -> str:
    """What has moved since, "" = nothing; what a person did comes first."""
    there = {evse.evse_id: evse.session_id for evse in site.evses}
    if there != {number: evse.session_id for number, evse in basis.evses.items()}:
        return "plug"
    if any(_wanted(evse) != _wanted(basis.evses[evse.evse_id]) for evse in site.evses):
        return "need"
    if prices != basis.prices:
        return "prices"
    if (site.import_w, site.export_w) != (basis.site.import_w, basis.site.export_w):
        return "limits"
    for evse in site.evses:
        why = _moved(basis.evses[evse.evse_id], evse, plans, now_mono)
        if why:
            return why
    return ""


def _wanted(evse: Outlook) -> tuple[float, ...] | None:
    promise = evse.promise
    if promise is None:
        return None
    return promise.departure_mono, promise.target_soc_pct, promise.floor_soc_pct


def _moved(
    before: Outlook, evse: Outlook, plans: Mapping[int, Plan], now_mono: float
) -> str:
    pairs = (
        (before.charge_w, evse.charge_w),
        (before.discharge_w, evse.discharge_w),
    )
    if any(abs(a - b) > MOVED_SHARE * max(abs(a), abs(b)) for a, b in pairs):
        return "limits"
    plan = plans.get(evse.evse_id)
    planned_wh = plan.energy_wh(now_mono) if plan else None
    if planned_wh is None:
        return ""
    astray_wh = abs(planned_wh - evse.energy_wh)
    return "energy" if astray_wh > ASTRAY_SHARE * evse.capacity_wh else ""
