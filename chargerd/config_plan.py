"""`[site.plan]`: what the plan layer may know about money, and how often it thinks.

Prices are in the tariff's currency. Owns no tariff.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chargerd.config_base import Percent, Seconds, Section, Watts

Price = Annotated[float, Field(ge=0, le=1e6)]


class SitePlan(Section):
    """The plan works while prices are known: `[site.tariff]`, or from a grid door."""

    enabled: bool = True
    every_s: Annotated[float, Field(ge=60, le=3600)] = 300.0
    deadline_s: Annotated[float, Field(ge=1, le=300)] = 60.0  # then the rule plan
    idle_s: Seconds = 30.0  # the solver's process ends after so long without work
    # What a kWh taken out of a battery wears off it. None: the plan never discharges.
    wear_per_kwh: Price | None = None
    # What a kWh left in a battery is worth. None: the cheapest of the next 24 h.
    left_per_kwh: Price | None = None
    # Ageing of a battery that stands full: per kWh above the share, and hour.
    calendar_per_kwh_h: Price = 0.0
    calendar_above_pct: Percent = 80.0
    co2_per_kg: Price = 0.0  # where the prices tell of CO2
    demand_per_kw: Price = 0.0  # on the highest import of the horizon ...
    demand_free_w: Watts = 0.0  # ... over what is paid already
    # Drivers who leave before they said: chance per hour, and what a missing kWh costs.
    leave_early_per_h: Annotated[float, Field(ge=0, le=1)] = 0.0
    shortfall_per_kwh: Price = 0.0
    knee_w: Watts = 1_000.0  # the stage wastes too much below: run in blocks of this
