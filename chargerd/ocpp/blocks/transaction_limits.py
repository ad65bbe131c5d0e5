"""Limits of a transaction in cost, energy, time and SoC (E16): pure.

Owns which are understood, who may set what, and when one is reached. A limit's names
are those of TransactionLimitType.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from chargerd.model import DriverLimits

TRIGGERS = {  # of the TransactionEvent that tells it was reached
    "maxCost": "CostLimitReached",
    "maxEnergy": "EnergyLimitReached",
    "maxTime": "TimeLimitReached",
    "maxSoC": "SoCLimitReached",
}
STOPPED = {  # stoppedReason, where a limit ends the transaction
    "CostLimitReached": "LocalOutOfCredit",
    "EnergyLimitReached": "EnergyLimitReached",
    "TimeLimitReached": "TimeLimitReached",
    "SoCLimitReached": "SOCLimitReached",
}
# Between two looks and until the power is off: energy that must not pass the limit.
AHEAD_S = 2.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What the transaction has come to; None = not known."""

    time_s: float
    energy_wh: float | None = None
    power_w: float = 0.0
    soc_pct: float | None = None
    cost: float | None = None


def understood(told: Mapping[str, Any], supported: Collection[str]) -> dict[str, float]:
    """The limits of a TransactionLimitType that this station keeps (E16.FR.13)."""
    return {n: float(told[n]) for n in TRIGGERS if n in told and n in supported}


def of_driver(wish: DriverLimits) -> dict[str, float]:
    """As TransactionLimitType names them."""
    named = {
        "maxCost": wish.cost,
        "maxEnergy": wish.energy_wh,
        "maxTime": wish.time_s,
        "maxSoC": wish.soc_pct,
    }
    return {name: value for name, value in named.items() if value is not None}


def capped(
    wanted: Mapping[str, float], by_csms: Mapping[str, float]
) -> dict[str, float]:
    """The driver's limits, none above what the CSMS has set (E16.FR.04)."""
    return {n: min(value, by_csms.get(n, value)) for n, value in wanted.items()}


def reached(limits: Mapping[str, float], progress: Progress) -> str:
    """The triggerReason of the first limit that is reached, "" = none.

    Energy counts what flows until the power is off, so that the limit is not passed
    (E16.FR.19). A limit below what already is counts at once (E16.FR.10).
    """
    energy_wh = progress.energy_wh
    if energy_wh is not None:
        energy_wh += max(0.0, progress.power_w) * AHEAD_S / 3600.0
    now = {
        "maxCost": progress.cost,
        "maxEnergy": energy_wh,
        "maxTime": progress.time_s,
        "maxSoC": progress.soc_pct,
    }
    for name, value in now.items():
        if name in limits and value is not None and value >= limits[name]:
            return TRIGGERS[name]
    return ""


def as_told(limits: Mapping[str, float]) -> dict[str, float | int]:
    """As TransactionLimitType: time and SoC are integers."""
    return {n: int(v) if n in ("maxTime", "maxSoC") else v for n, v in limits.items()}
