"""Block J: signs, units and phases of the measurands; intervals of the V2X modes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.clock import Now
from chargerd.model import OperationMode, SessionPhase, StopReason
from chargerd.ocpp.blocks.metering import meter_value
from chargerd.ocpp.effects import Durability
from chargerd.ocpp.table.row import MEASURANDS
from firmware_bridge.api import MeterReading, Reading, Telemetry
from tests.unit.ocpp.station_rig import START, Rig, config, report, validator

P = SessionPhase
NOW = Now(50.0, START)


def sampled(reading: MeterReading | None, age_s: float = 0.0, **more: Any) -> Any:
    """measurand -> [(value, unit, phase)] of one report."""
    made = report(NOW, P.ENERGY, authorised=True, **more)
    meter = Reading(reading, NOW.mono - age_s) if reading else None
    snapshot = replace(made.snapshot, telemetry=Telemetry(meter=meter))
    value = meter_value(
        replace(made, snapshot=snapshot), MEASURANDS, "Sample.Periodic", NOW
    )
    if value is None:
        return {}
    validator("ocpp2.1", "MeterValuesRequest").validate(
        {"evseId": 1, "meterValue": [value]}
    )
    found: dict[str, list[tuple[float, str, str]]] = {}
    for sample in value["sampledValue"]:
        found.setdefault(sample["measurand"], []).append(
            (sample["value"], sample["unitOfMeasure"]["unit"], sample.get("phase", ""))
        )
    return found


DISCHARGE = MeterReading(
    -6900.0, 100.0, 900.0, 49.98, (230.0, 231.0, 229.0), (-10.0, -10.0, -10.0)
)


def test_discharge_is_export_and_a_magnitude() -> None:
    found = sampled(DISCHARGE, wanted_w=-7000.0)
    assert found["Power.Active.Export"] == [(6900.0, "W", "")]
    assert found["Power.Active.Import"] == [(0.0, "W", "")]
    assert found["Energy.Active.Import.Register"] == [(100.0, "Wh", "")]
    assert found["Energy.Active.Export.Register"] == [(900.0, "Wh", "")]
    assert found["Energy.Active.Net"] == [(-800.0, "Wh", "")]
    assert found["Current.Export"] == [
        (10.0, "A", "L1"), (10.0, "A", "L2"), (10.0, "A", "L3")
    ]  # fmt: skip
    assert found["Current.Import"][0] == (0.0, "A", "L1")
    assert found["Voltage"][2] == (229.0, "V", "L3-N")
    assert found["Power.Active.Setpoint"] == [(-7000.0, "W", "")]
    assert found["Power.Active.Residual"] == [(-100.0, "W", "")]
    assert found["Frequency"] == [(49.98, "Hz", "")]
    assert found["SoC"] == [(60.0, "Percent", "")]
    assert found["Power.Offered"] == [(6000.0, "W", "")]


@pytest.mark.parametrize(
    ("power_w", "setpoint_w", "residual_w"),
    [
        (3100.0, 3000.0, 100.0),  # charges at a higher power
        (2900.0, 3000.0, -100.0),
        (-5200.0, -5000.0, 200.0),  # discharges at a higher power
        (-4800.0, -5000.0, -200.0),
        (50.0, 0.0, 50.0),
        (-50.0, 0.0, 50.0),
        (-100.0, 3000.0, -3000.0),
    ],
)
def test_a_residual_is_positive_where_more_flows_than_was_asked(
    power_w: float, setpoint_w: float, residual_w: float
) -> None:
    found = sampled(MeterReading(power_w, 1.0, 2.0), wanted_w=setpoint_w)
    assert found["Power.Active.Residual"] == [(residual_w, "W", "")]


def test_nothing_is_0_and_not_minus_0() -> None:
    found = sampled(replace(DISCHARGE, power_w=0.0, current_a=(0.0,) * 3))
    for values in found.values():
        assert not [value for value, _, _ in values if str(value) == "-0.0"]


def test_charge_is_import() -> None:
    found = sampled(MeterReading(3000.0, 1.0, 2.0))
    assert found["Power.Active.Import"] == [(3000.0, "W", "")]
    assert found["Power.Active.Export"] == [(0.0, "W", "")]
    assert "Frequency" not in found


@pytest.mark.parametrize(("reading", "age_s"), [(None, 0.0), (DISCHARGE, 10.5)])
def test_no_meter_no_measurement(reading: MeterReading | None, age_s: float) -> None:
    found = sampled(reading, age_s)
    assert set(found) == {
        "SoC", "Power.Active.Setpoint", "Power.Offered", "Power.Import.Offered",
        "Power.Export.Offered", "Display.PresentSOC",
    }  # fmt: skip


def test_a_value_that_is_not_finite_is_left_out() -> None:
    found = sampled(MeterReading(float("nan"), 1.0, float("inf")))
    assert "Power.Active.Import" not in found
    assert "Power.Active.Export" not in found
    assert "Power.Active.Residual" not in found
    assert "Energy.Active.Export.Register" not in found
    assert found["Energy.Active.Import.Register"] == [(1.0, "Wh", "")]


def test_a_v2x_mode_may_have_its_own_interval() -> None:
    presets = {
        "SampledDataCtrlr.TxUpdatedInterval": 60,
        "V2XChargingCtrlr.TxUpdatedInterval[CentralSetpoint]": 2,
    }
    rig = Rig(config(device_model=presets)).boot()
    rig.observe(P.ENERGY, authorised=True)
    rig.clear()
    rig.run_s(10)
    assert rig.events() == []
    rig.observe(P.ENERGY, authorised=True, mode=OperationMode.CENTRAL_SETPOINT)
    rig.run_s(10)
    kinds = [event["triggerReason"] for event in rig.events()]
    assert kinds.count("MeterValuePeriodic") >= 4


def test_aligned_values_for_ended() -> None:
    presets = {
        "AlignedDataCtrlr.TxEndedInterval": 60,
        "SampledDataCtrlr.TxUpdatedInterval": 0,
    }
    rig = Rig(config(device_model=presets)).boot()
    rig.observe(P.ENERGY, authorised=True)
    rig.run_s(125)
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    contexts = [
        value["sampledValue"][0]["context"] for value in rig.events()[-1]["meterValue"]
    ]
    assert contexts == [
        "Transaction.Begin", "Sample.Clock", "Sample.Clock", "Transaction.End"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("queue_all", "durability"),
    [(False, Durability.NOW_OR_NEVER), (True, Durability.QUEUED)],
)
def test_meter_values_offline(queue_all: bool, durability: Durability) -> None:
    presets = {
        "AlignedDataCtrlr.Interval": 60,
        "OCPPCommCtrlr.QueueAllMessages": queue_all,
    }
    rig = Rig(config(device_model=presets)).boot()
    rig.link(up=False)
    rig.observe()
    rig.run_s(65)
    assert rig.last("MeterValues").durability is durability


def test_no_aligned_values_in_a_transaction_when_told_so() -> None:
    presets = {
        "AlignedDataCtrlr.Interval": 60,
        "AlignedDataCtrlr.SendDuringIdle": True,
        "SampledDataCtrlr.TxUpdatedInterval": 0,
    }
    rig = Rig(config(device_model=presets)).boot()
    rig.observe(P.ENERGY, authorised=True)
    rig.clear()
    rig.run_s(65)
    assert rig.events() == []
