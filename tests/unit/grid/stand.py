"""What tests of grid doors share: a configuration, ports that keep what they are told,
and a report of one EVSE. Owns no test."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chargerd.clock import Now
from chargerd.config import Config
from chargerd.grid.ports import Ports
from chargerd.model import (
    Decision,
    DispatchSignal,
    EvseReport,
    Flexibility,
    OperationMode,
    Request,
    Session,
    SessionPhase,
    SiteState,
    Snapshot,
    Token,
    VehicleState,
)
from chargerd.plan import PriceSeries
from firmware_bridge.api import MeterReading, Reading, Telemetry

UTC0 = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def at(mono: float, *, trusted: bool = True) -> Now:
    """One instant; the clocks run side by side."""
    return Now(mono, UTC0 + timedelta(seconds=mono), trusted)


@dataclass
class Told:
    """What a door said, newest last; `mono` is the time it reads."""

    signals: list[DispatchSignal] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    prices: list[PriceSeries] = field(default_factory=list)
    saved: dict[tuple[str, str], Any] = field(default_factory=dict)
    mono: float = 100.0
    accept: bool = True


def ports(told: Told | None = None) -> tuple[Ports, Told]:
    """Ports of a fake daemon."""
    told = told or Told()

    def signal(value: DispatchSignal) -> bool:
        told.signals.append(value)
        return told.accept

    def request(value: Request) -> bool:
        told.requests.append(value)
        return told.accept

    def save(namespace: str, key: str, value: Any) -> None:
        told.saved[namespace, key] = value

    def prices(value: PriceSeries) -> bool:
        told.prices.append(value)
        return told.accept

    return Ports(signal, request, lambda: at(told.mono), save, {}, prices), told


def config(**grid: Any) -> Config:
    """Two EVSEs and the grid doors given."""
    device = {"driver": "none", "at": "serial:/dev/null"}
    evse = {"devices": {"pilot": device, "meter": device}, "charge_w": 7000.0}
    return Config.model_validate(
        {
            "station": {"id": "CS1"},
            "evse": [{"id": 1, **evse}, {"id": 2, **evse}],
            "grid": grid,
        }
    )


def report(evse_id: int = 1, mono: float = 100.0, **changes: Any) -> EvseReport:
    """A report of an EVSE in energy. `changes` go into the decision."""
    meter = MeterReading(power_w=-2990.0, import_wh=1000.0, export_wh=500.0)
    values: dict[str, Any] = {
        "evse_id": evse_id,
        "at_mono": mono,
        "valid_until_mono": mono + 0.3,
        "power_w": -3000.0,
        "wanted_w": -3000.0,
        "low_w": -6000.0,
        "high_w": float("inf"),
        "mode": OperationMode.EXTERNAL_SETPOINT,
        "source": "mqtt.setpoint",
    }
    token = Token("CANARY-TOKEN")
    snapshot = Snapshot(
        now=at(mono),
        evse_id=evse_id,
        telemetry=Telemetry(meter=Reading(meter, mono - 0.1)),
        vehicle=VehicleState("chademo", soc_pct=55.0, vehicle_id="CANARY-VIN"),
        session=Session(
            evse_id, phase=SessionPhase.ENERGY, id="s1", token=token, energy_in_wh=1.26
        ),
        site=SiteState(10_000.0, -5_000.0, discharge_permitted=True),
    )
    flexibility = Flexibility(evse_id, mono, 3000.0, 9000.0, 1e4, 2e4, math.inf)
    return EvseReport(
        snapshot, Decision(**{**values, **changes}), flexibility=flexibility
    )
