"""`[evse.inverter]`: the nameplate of the inverter on the AC side.

For the network operator (OCPP's DCDERCtrlr), and for what may be asked of it. An
inverter without reactive power has `min_power_factor = 1`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chargerd.config_base import Name, Section, Watts


class Inverter(Section):
    manufacturer: Name = "unknown"
    model: Name = "unknown"
    serial: Annotated[str, Field(max_length=50)] = ""
    software: Name = "unknown"
    hardware: Name = "unknown"
    max_va: Watts | None = None  # apparent power; None: the larger of the ratings
    min_power_factor: Annotated[float, Field(ge=0.8, le=1)] = 1.0  # both ways
    susceptance_s: Annotated[float, Field(ge=0, le=10)] = 0.0  # left after a trip
