"""Block J: when values are sent, of which EVSE, and what each sample says of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from chargerd.model import (
    OperationMode,
    SessionPhase,
    StopReason,
    VehicleLimits,
    VehicleNeeds,
    VehicleState,
)
from firmware_bridge.api import MeterReading, Reading, Telemetry
from tests.unit.ocpp.station_rig import EVSE, V21, V201, Rig, config
from tests.unit.ocpp.test_tx_events import AC

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
IMPORT = "Energy.Active.Import.Register"
ALIGNED = {
    "AlignedDataCtrlr.Interval": 60,
    "AlignedDataCtrlr.Measurands": f"{IMPORT},Current.Import,Voltage,SoC",
    "SampledDataCtrlr.TxUpdatedInterval": 0,
}


def station(
    version: str = V21, evses: int = 1, evse: Any = None, **presets: Any
) -> Rig:
    conf = config(evses=evses, evse=evse, device_model=presets)
    rig = Rig(conf, version=version)
    for number in range(evses):
        rig.observe(evse_id=number + 1)
    rig.boot()
    rig.clear()
    return rig


def three_phase(rig: Rig, **more: Any) -> Telemetry:
    values = {
        "power_w": 6900.0, "import_wh": 1000.0, "export_wh": 200.0,
        "frequency_hz": 50.0, "voltage_v": (230.0, 231.0, 229.0),
        "current_a": (10.0, 11.0, 9.0), **more,
    }  # fmt: skip
    return Telemetry(meter=Reading(MeterReading(**values), rig.now.mono))


def samples(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for v in message["meterValue"] for s in v["sampledValue"]]


def of(message: dict[str, Any], measurand: str) -> list[float]:
    return [s["value"] for s in samples(message) if s["measurand"] == measurand]


# J01.


@BOTH
@pytest.mark.req(
    "J01.FR.01", "J01.FR.02", "J01.FR.05", "J01.FR.06", "J01.FR.07", "J01.FR.08",
    "J01.FR.09", "J01.FR.10", "J01.FR.11", "J01.FR.14", "J01.FR.17",
)  # fmt: skip
def test_aligned_values_of_each_idle_evse(version: str) -> None:
    """Every interval, every EVSE, every phase; one timestamp for all of a value."""
    rig = station(version, evses=2, evse=AC, **ALIGNED)
    for _ in range(125):
        rig.pass_s(1.0)
        for evse_id in (1, 2):
            rig.observe(evse_id=evse_id, telemetry=three_phase(rig))
    messages = rig.payloads("MeterValues")
    assert [m["evseId"] for m in messages] == [1, 2, 1, 2]
    for message in messages:
        (value,) = message["meterValue"]
        assert value["timestamp"][-7:] == "00.000Z"
        told = [
            (s["measurand"], s.get("phase", ""), s["value"], s["location"])
            for s in value["sampledValue"]
        ]
        assert told == [
            (IMPORT, "", 1000.0, "Outlet"),
            ("Current.Import", "L1", 10.0, "Outlet"),
            ("Current.Import", "L2", 11.0, "Outlet"),
            ("Current.Import", "L3", 9.0, "Outlet"),
            ("Voltage", "L1-N", 230.0, "Outlet"),
            ("Voltage", "L2-N", 231.0, "Outlet"),
            ("Voltage", "L3-N", 229.0, "Outlet"),
            ("SoC", "", 60.0, "EV"),
        ]
        assert {s["context"] for s in value["sampledValue"]} == {"Sample.Clock"}


@pytest.mark.parametrize(("evse", "place"), [(AC, "Outlet"), (EVSE, "Inlet")])
def test_our_meters_are_at_the_mains(evse: Any, place: str) -> None:
    rig = station(evse=evse, **ALIGNED)
    rig.run_s(61)
    (message,) = rig.payloads("MeterValues")
    (register,) = [s for s in samples(message) if s["measurand"] == IMPORT]
    assert register["location"] == place


@BOTH
@pytest.mark.req("J01.FR.22", "J02.FR.22")
def test_aligned_values_of_a_transaction_are_its_own(version: str) -> None:
    rig = station(version, evses=2, **ALIGNED)
    rig.observe(P.ENERGY, evse_id=2, authorised=True, import_wh=7777.0)
    rig.clear()
    rig.run_s(61)
    (idle,) = rig.payloads("MeterValues")
    assert (idle["evseId"], of(idle, IMPORT)) == (1, [1000.0])
    (event,) = rig.events()
    assert (event["evse"]["id"], of(event, IMPORT)) == (2, [7777.0])
    assert event["triggerReason"] == "MeterValueClock"


@pytest.mark.req("J01.FR.20")
def test_one_transaction_silences_the_station_where_told_so() -> None:
    rig = station(evses=2, **ALIGNED, **{"AlignedDataCtrlr.SendDuringIdle": True})
    rig.run_s(61)
    assert len(rig.payloads("MeterValues")) == 2
    rig.observe(P.ENERGY, evse_id=2, authorised=True)
    rig.clear()
    rig.run_s(61)
    assert rig.payloads("MeterValues") == []
    assert rig.events() == []
    rig.observe(P.FINISHED, evse_id=2, authorised=True, stop=StopReason.LOCAL)
    rig.run_s(61)
    assert len(rig.payloads("MeterValues")) == 2


def test_a_clock_step_sends_no_old_grid_time() -> None:
    rig = station(**ALIGNED)
    rig.run_s(10)
    rig.now = type(rig.now)(rig.now.mono, rig.now.utc.replace(hour=23, minute=59))
    rig.run_s(3)
    assert rig.payloads("MeterValues") == []
    rig.run_s(60)
    (message,) = rig.payloads("MeterValues")
    assert message["meterValue"][0]["timestamp"] == "2026-11-24T00:00:00.000Z"


@pytest.mark.parametrize("component", ["SampledDataCtrlr", "AlignedDataCtrlr"])
def test_either_can_be_switched_off(component: str) -> None:
    presets = {**ALIGNED, "SampledDataCtrlr.TxUpdatedInterval": 60}
    rig = station(**presets, **{f"{component}.Enabled": False})
    rig.observe(P.ENERGY, authorised=True)
    rig.clear()
    rig.run_s(61)
    (event,) = rig.events()
    other = component == "SampledDataCtrlr"
    assert event["triggerReason"] == (
        "MeterValueClock" if other else "MeterValuePeriodic"
    )


# J02.


@BOTH
@pytest.mark.req(
    "J02.FR.01", "J02.FR.02", "J02.FR.03", "J02.FR.04", "J02.FR.05", "J02.FR.06",
    "J02.FR.07", "J02.FR.10", "J02.FR.18",
)  # fmt: skip
def test_each_sample_says_what_it_is(version: str) -> None:
    rig = station(version, evse=AC, **{
        "SampledDataCtrlr.TxUpdatedInterval": 10,
        "SampledDataCtrlr.TxUpdatedMeasurands": f"{IMPORT},Current.Import,SoC",
    })  # fmt: skip
    rig.observe(P.ENERGY, authorised=True, telemetry=three_phase(rig))
    for _ in range(11):
        rig.pass_s(1.0)
        rig.observe(P.ENERGY, authorised=True, telemetry=three_phase(rig))
    event = rig.events()[-1]
    assert event["triggerReason"] == "MeterValuePeriodic"
    (value,) = event["meterValue"]
    told = datetime.fromisoformat(event["timestamp"])
    age = told - datetime.fromisoformat(value["timestamp"])
    assert 0 <= age.total_seconds() < 10
    parts = value["sampledValue"]
    assert {s["context"] for s in parts} == {"Sample.Periodic"}
    assert [s["location"] for s in parts] == ["Outlet"] * 4 + ["EV"]
    phases = [(s["phase"], s["value"]) for s in parts if "phase" in s]
    assert phases == [("L1", 10.0), ("L2", 11.0), ("L3", 9.0)]


@pytest.mark.req("J02.FR.16", "J02.FR.17")
def test_registers_are_told_as_read() -> None:
    """Never re-based: the end of one transaction is the begin of the next."""
    rig = station(**{"SampledDataCtrlr.TxUpdatedInterval": 10})
    register = 812_345.678
    rig.observe(P.STARTING, authorised=True, import_wh=register)
    for _ in range(40):
        register += 0.5
        rig.pass_s(1.0)
        rig.observe(P.ENERGY, authorised=True, import_wh=register)
    stop = {"authorised": True, "stop": StopReason.LOCAL}
    rig.observe(P.FINISHED, import_wh=register, **stop)
    first = [wh for event in rig.events()[:-1] for wh in of(event, IMPORT)]
    assert first[0] == 812_345.678
    assert first == sorted(first)
    last = of(rig.events()[-1], IMPORT)[-1]
    assert last == round(register, 3)
    rig.observe(P.STARTING, authorised=True, import_wh=register, session_id="s2")
    assert of(rig.events()[-1], IMPORT) == [last]


def test_an_interval_is_what_the_registers_counted() -> None:
    names = [
        "Energy.Active.Import.Interval", "Energy.Active.Export.Interval",
        "Energy.Active.Setpoint.Interval", "Energy.Reactive.Import.Interval",
    ]  # fmt: skip
    rig = station(**{
        "SampledDataCtrlr.TxUpdatedInterval": 10,
        "SampledDataCtrlr.TxUpdatedMeasurands": ",".join(names),
    })  # fmt: skip
    wh = 0.0
    for _ in range(31):
        power = three_phase(
            rig, import_wh=1000.0 + wh, export_wh=50.0, import_varh=wh / 10.0
        )
        more = {"authorised": True, "wanted_w": 7200.0, "telemetry": power}
        rig.observe(P.ENERGY, **more)
        rig.pass_s(1.0)
        wh += 1.0
    told = [e for e in rig.events() if e["triggerReason"] == "MeterValuePeriodic"]
    assert len(told) == 3
    for event in told:
        assert of(event, names[0]) == [10.0]
        assert of(event, names[1]) == [0.0]
        assert of(event, names[2]) == [pytest.approx(20.0, abs=0.01)]
        assert of(event, names[3]) == [pytest.approx(1.0)]


def test_an_interval_over_another_meter_is_not_known() -> None:
    rig = station(**{
        "SampledDataCtrlr.TxUpdatedInterval": 10,
        "SampledDataCtrlr.TxUpdatedMeasurands":
            "Energy.Active.Import.Interval,Frequency",
    })  # fmt: skip
    rig.observe(P.ENERGY, authorised=True, import_wh=5000.0)
    rig.run_s(10, import_wh=3.0)
    last = rig.events()[-1]
    assert [s["measurand"] for s in samples(last)] == ["Frequency"]


def test_power_of_the_whole_and_of_each_phase() -> None:
    rig = station(evse=AC, **{
        "AlignedDataCtrlr.Measurands":
            "Power.Active.Export,Power.Reactive.Import,Power.Factor,"
            "Energy.Reactive.Net",
    })  # fmt: skip
    reading = three_phase(
        rig, power_w=-6900.0, phase_power_w=(-3000.0, -3000.0, -900.0),
        reactive_var=450.0, power_factor=0.98, import_varh=30.0, export_varh=40.0,
    )  # fmt: skip
    rig.observe(telemetry=reading)
    rig.call("TriggerMessage", {"requestedMessage": "MeterValues"})
    (message,) = rig.payloads("MeterValues")
    told = [
        (s["measurand"], s.get("phase"), s["value"], s.get("unitOfMeasure"))
        for s in samples(message)
    ]
    assert told == [
        ("Power.Active.Export", None, 6900.0, {"unit": "W"}),
        ("Power.Active.Export", "L1", 3000.0, {"unit": "W"}),
        ("Power.Active.Export", "L2", 3000.0, {"unit": "W"}),
        ("Power.Active.Export", "L3", 900.0, {"unit": "W"}),
        ("Power.Reactive.Import", None, 450.0, {"unit": "var"}),
        ("Power.Factor", None, 0.98, None),
        ("Energy.Reactive.Net", None, -10.0, {"unit": "varh"}),
    ]


VEHICLE = VehicleState(
    soc_pct=55.0,
    capacity_wh=60_000.0,
    limits=VehicleLimits(0.0, voltage_max_v=450.0, voltage_min_v=300.0),
    needs=VehicleNeeds(
        target_wh=9000.0, max_wh=20_000.0, min_wh=-500.0, v2x_max_wh=5000.0,
        v2x_min_wh=-9000.0, target_soc_pct=80.0, min_soc_pct=30.0, max_soc_pct=95.0,
        min_charge_w=1500.0, min_discharge_w=-1200.0,
    ),
)  # fmt: skip
SAID = {
    "Display.PresentSOC": 55.0,
    "Display.MinimumSOC": 30.0,
    "Display.TargetSOC": 80.0,
    "Display.MaximumSOC": 95.0,
    "Display.BatteryEnergyCapacity": 60_000.0,
    "EnergyRequest.Target": 9000.0,
    "EnergyRequest.Minimum": -500.0,
    "EnergyRequest.Maximum": 20_000.0,
    "EnergyRequest.Minimum.V2X": -9000.0,
    "EnergyRequest.Maximum.V2X": 5000.0,
    "Power.Import.Minimum": 1500.0,
    "Power.Export.Minimum": 1200.0,
    "Power.Import.Offered": 6000.0,
    "Power.Export.Offered": 6000.0,
    "Voltage.Minimum": 300.0,
    "Voltage.Maximum": 450.0,
}


def test_what_the_vehicle_says_of_itself() -> None:
    rig = station(**{"AlignedDataCtrlr.Measurands": ",".join(SAID)})
    rig.observe(P.ENERGY, authorised=True, vehicle=VEHICLE)
    rig.call("TriggerMessage", {"requestedMessage": "MeterValues"})
    (message,) = rig.payloads("MeterValues")
    assert {s["measurand"]: s["value"] for s in samples(message)} == SAID
    rig.clear()
    rig.observe(P.ENERGY, authorised=True, vehicle=VehicleState())
    rig.call("TriggerMessage", {"requestedMessage": "MeterValues"})
    (message,) = rig.payloads("MeterValues")
    left = {s["measurand"] for s in samples(message)}
    assert left == {"Power.Import.Offered", "Power.Export.Offered"}


@pytest.mark.parametrize(
    ("event", "variable"),
    [
        pytest.param("Updated", "TxUpdatedMeasurands",
                     marks=pytest.mark.req("Q01.FR.35")),
        pytest.param("Ended", "TxEndedMeasurands",
                     marks=pytest.mark.req("Q01.FR.34")),
    ],
)  # fmt: skip
def test_a_v2x_mode_adds_its_own_measurands(event: str, variable: str) -> None:
    rig = station(**{
        f"SampledDataCtrlr.{variable}": IMPORT,
        f"V2XChargingCtrlr.{variable}[CentralSetpoint]": f"{IMPORT},Frequency",
        "SampledDataCtrlr.TxUpdatedInterval": 0,
    })  # fmt: skip
    rig.observe(P.ENERGY, authorised=True)
    rig.run_s(2, mode=OperationMode.CENTRAL_SETPOINT)
    mode = {"mode": OperationMode.CENTRAL_SETPOINT, "authorised": True}
    rig.observe(P.FINISHED, stop=StopReason.LOCAL, **mode)
    told = [e for e in rig.events() if e["eventType"] == event][-1]
    last = told["meterValue"][-1]["sampledValue"]
    assert [s["measurand"] for s in last] == [IMPORT, "Frequency"]


@pytest.mark.req("Q01.FR.33")
def test_a_transaction_may_start_in_a_v2x_mode() -> None:
    rig = station(**{
        "SampledDataCtrlr.TxStartedMeasurands": IMPORT,
        "V2XChargingCtrlr.TxStartedMeasurands[LocalFrequency]": "Frequency",
    })  # fmt: skip
    rig.observe(P.STARTING, authorised=True, mode=OperationMode.LOCAL_FREQUENCY)
    told = [s["measurand"] for s in samples(rig.events()[0])]
    assert told == [IMPORT, "Frequency"]
