"""The battery's part of the configuration: a chemistry as data.

`[vehicle] battery = "batteries/nmc.toml"` reads such a table from a file beside the
configuration; `[vehicle.batteries]` does so for single vehicles, by their id. A new
chemistry is a new file. Owns no rule: scheduler/battery_profile.py applies it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from chargerd.config_base import Percent, Section
from chargerd.config_plan import Price

CRate = Annotated[float, Field(ge=0, le=50)]


class Battery(Section):
    """The defaults say nothing: the vehicle's own limits are all there is."""

    chemistry: Annotated[str, Field(max_length=40)] = ""
    # Of capacity per hour. None: whatever the vehicle allows; 0: never.
    charge_c: CRate | None = None
    discharge_c: CRate | None = None
    low_pct: Percent = 0.0  # the window that it is used in
    high_pct: Percent = 100.0
    knee_pct: Annotated[float, Field(ge=10, le=99)] = 80.0  # above it charging tapers
    capacity_kwh: Annotated[float, Field(gt=0, le=10_000)] | None = None  # if unsaid
    # A permanent session: no driver, no departure; it waits for the plan.
    stationary: bool = False
    # Wear and ageing, in the tariff's currency; None: as `[site.plan]` says.
    wear_per_kwh: Price | None = None
    calendar_per_kwh_h: Price | None = None
    calendar_above_pct: Percent | None = None

    @property
    def source(self) -> bool:
        """It gives and never takes: a fuel-cell vehicle."""
        return self.charge_c == 0.0

    @model_validator(mode="after")
    def _window(self) -> Battery:
        if self.low_pct >= self.high_pct:
            raise ValueError("low_pct must be below high_pct")
        return self


ANY = Battery()
