"""Reports for tests of the local API."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chargerd.clock import Now
from chargerd.model import (
    ActiveFault,
    Decision,
    EvseReport,
    OperationMode,
    Reason,
    Session,
    SessionPhase,
    SiteState,
    Snapshot,
    Token,
    VehicleState,
)
from firmware_bridge.api import (
    MeterReading,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TOKEN = Token("CANARY04A2B3C4")


def at(mono: float) -> Now:
    return Now(mono, START + timedelta(seconds=mono))


def a_decision(mono: float, power_w: float = -5000.0, **changes: Any) -> Decision:
    value = Decision(
        evse_id=1,
        at_mono=mono,
        valid_until_mono=mono + 0.3,
        power_w=power_w,
        wanted_w=power_w,
        low_w=-6000.0,
        high_w=6000.0,
        mode=OperationMode.CENTRAL_SETPOINT,
        source="ocpp.tx",
        reasons=(
            Reason("vehicle", "chademo", -6000.0, 6000.0),
            Reason("dispatch", "ocpp.tx", -6000.0, 6000.0, -5000.0, True, "setpoint"),
        ),
    )
    return replace(value, **changes)


def a_report(
    mono: float = 1.0,
    *,
    evse_id: int = 1,
    faults: tuple[ActiveFault, ...] = (),
    decision: Decision | None = None,
) -> EvseReport:
    telemetry = Telemetry(
        meter=Reading(MeterReading(-4990.0, 100.0, 2000.0, 50.0), mono - 0.2),
        stage=Reading(StageReading(350.0, -15.0, StageMode.DISCHARGE, True), mono),
    )
    session = Session(
        evse_id, phase=SessionPhase.ENERGY, id="S-1", token=TOKEN, authorised=True
    )
    snapshot = Snapshot(
        at(mono),
        evse_id,
        telemetry,
        VehicleState(protocol="chademo", soc_pct=58.0),
        session,
        SiteState(10_000.0, -10_000.0, True),
        faults=faults,
    )
    found = decision or a_decision(mono)
    return EvseReport(snapshot, replace(found, evse_id=evse_id))
