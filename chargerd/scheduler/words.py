"""Words for the reasons of a decision: what a technician reads in `chargerctl why`.

Pure text from values. Must never decide anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from chargerd.faults import lookup
from chargerd.model import ActiveFault, OperationMode, SiteState, VehicleLimits
from chargerd.plan import PlanPart

_GATES = {
    "telemetry": "a device is silent",
    "grid.lost": "the grid is away",
    "session.idle": "no vehicle",
    "session.connected": "not authorised yet",
    "session.stopping": "the session is ending",
    "session.finished": "the session is over; a card or a new plug-in starts anew",
    "vehicle.none": "the vehicle does not talk yet: power path open",
    "vehicle.handshake": "the vehicle is greeted: power path open",
    "vehicle.cable_check": "the cable is being tested: power path open",
    "vehicle.precharge": "voltages are being matched: power path not closed yet",
    "vehicle.paused": "the vehicle sleeps and will go on by itself",
    "vehicle.stopping": "the vehicle is stopping",
    "vehicle.ended": "the vehicle has ended the session",
    "vehicle.fault": "the vehicle's session ended in a fault",
}


ISLAND = "the grid is away: the house takes what it needs"


def kw(power_w: float) -> str:
    """`-5.00 kW`; never minus nothing."""
    return f"{power_w / 1000.0:+.2f} kW" if abs(power_w) >= 5.0 else "0 kW"


def gate(name: str) -> str:
    """Why no power may be on the wire at all."""
    if name in _GATES:
        return _GATES[name]
    return "not authorised" if name.startswith("session.") else "a fault is present"


def culprit(faults: Iterable[ActiveFault]) -> str:
    """The fault that bars the most: one that stops power, else discharge only."""
    bars = "fault"
    for fault in faults:
        row = lookup(fault.name)
        if row.stops_power:
            return fault.name
        if row.discharge_only:
            bars = fault.name
    return bars


def vehicle(limits: VehicleLimits, volts: float) -> str:
    """What the vehicle takes and gives, as it said it: amperes on its DC side."""
    out = (
        f"gives {-limits.discharge_a:.0f} A"
        if limits.discharge_allowed
        else "does not permit discharge"
    )
    return f"takes {limits.charge_a:.0f} A, {out}, at {volts:.0f} V"


def vehicle_ac(limits: VehicleLimits) -> str:
    """The same for AC transfer, in W at the connector."""
    out = (
        f"gives {kw(-(limits.discharge_w or 0.0))}"
        if limits.discharge_allowed
        else "does not permit discharge"
    )
    return f"takes {kw(limits.charge_w or 0.0)}, {out}"


def site(state: SiteState) -> str:
    """The connection's limits and what is already used of them."""
    return (
        f"{kw(state.import_limit_w)} in, {kw(state.export_limit_w)} out, "
        f"less {kw(state.others_w)} of house and other EVSEs"
    )


def slack(slack_s: float) -> str:
    """How long charging may still wait."""
    if not math.isfinite(slack_s):
        return "no power to count on"
    seconds = abs(slack_s)
    size = f"{seconds:.0f} s" if seconds < 600.0 else f"{seconds / 60.0:.0f} min"
    return f"{size} {'short' if slack_s < 0.0 else 'to spare'}"


def plan(wish_w: float, prices: str) -> str:
    """What the plan wants, and the prices it sees."""
    return f"planned {kw(wish_w)} at {prices} per kWh"


def ask(wish_w: float, mode: OperationMode, beaten_by: str = "") -> str:
    """A dispatch signal's wish, and who outranks it."""
    text = f"asks for {kw(wish_w)} ({mode.value})"
    return f"{text}; outranked by {beaten_by}" if beaten_by else text


def reserve(part: PlanPart) -> str:
    return f"kept free for a reserve: {kw(-part.up_w)}, {kw(part.down_w)}"
