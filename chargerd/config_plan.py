"""`[site.plan]`: what the plan layer may know about money, and how often it thinks.

Prices are in the tariff's currency. Owns no tariff.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chargerd.config_base import Name, Percent, Seconds, Section, Watts

Price = Annotated[float, Field(ge=0, le=1e6)]
LocalTime = Annotated[
    str,
    Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description='HH:MM, e.g. "17:00"'),
]


class Reserve(Section):
    """`[[site.plan.reserve]]`: power that the plan keeps free, with the energy to hold
    it. Both sides together are one product, kept in the same share."""

    name: Name  # "fcr", "afrr", "primary"
    up_w: Watts = 0.0  # to feed more, or take less
    down_w: Watts = 0.0  # to take more, or feed less
    hold_s: Annotated[float, Field(ge=0, le=86_400)] = 900.0
    begins: LocalTime = "00:00"
    ends: LocalTime = "00:00"  # at or before `begins`: of the next day
    block_s: Annotated[float, Field(ge=900, le=86_400)] = 14_400.0  # as it is traded
    # What an hour of 1 kW earns: it is offered where that pays. None: it is sold.
    per_kw_h: Price | None = None


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
    reserve: Annotated[tuple[Reserve, ...], Field(max_length=4)] = ()
    # Learn the house's load by weekday and half-hour; else it stays as it is now.
    learn_house: bool = True
    # Judge price forecasts by how wrong they were before; else they are believed.
    judge_forecasts: bool = True
    # What the stage takes while any power flows (measure yours). With it the solver's
    # plan is walked anew, and `knee_w` is not looked at.
    idle_loss_w: Annotated[float, Field(ge=0, le=2_000)] = 0.0
    knee_w: Watts = 1_000.0  # the stage wastes too much below: run in blocks of this
