"""A battery's profile in a decision: C-rate, window and session type, all from data.

Pure. Narrows like every stage; knows no chemistry by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from chargerd.config_battery import ANY, Battery
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.ledger import Ledger

SOURCE = "battery"


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profile of each vehicle id, and of all others."""

    other: Battery = ANY
    by_id: Mapping[str, Battery] = field(default_factory=dict)

    def of(self, vehicle_id: str) -> Battery:
        return self.by_id.get(vehicle_id, self.other)


PLAIN = Profiles()


def narrow(
    ledger: Ledger, battery: Battery, known: Estimate, efficiency: float
) -> None:
    """C-rates count at the battery; outside its window power only flows back in."""
    if battery.source:
        ledger.cap("vehicle", SOURCE, -math.inf, 0.0, "a source: it is never charged")
    capacity_wh = known.capacity_wh
    if capacity_wh is not None:
        into = _rate_w(battery.charge_c, capacity_wh) / efficiency
        out = _rate_w(battery.discharge_c, capacity_wh) * efficiency
        if math.isfinite(into) or math.isfinite(out):
            note = f"{battery.chemistry or 'battery'}: its C-rate"
            ledger.cap("vehicle", SOURCE, -out, into, note)
    soc = known.soc_pct
    if soc is None:
        return
    if soc >= battery.high_pct:
        ledger.cap("vehicle", SOURCE, -math.inf, 0.0, "at the top of its window")
    if battery.low_pct > 0.0 and soc <= battery.low_pct:
        ledger.cap("vehicle", SOURCE, 0.0, math.inf, "at the bottom of its window")


def _rate_w(c_rate: float | None, capacity_wh: float) -> float:
    return math.inf if c_rate is None else c_rate * capacity_wh
