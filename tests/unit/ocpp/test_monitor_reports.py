"""Reports of monitors (N02)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.effects import CallError
from tests.unit.ocpp.monitor_kit import ids
from tests.unit.ocpp.station_rig import Rig, config
from tests.unit.ocpp.variable_kit import item

req = pytest.mark.req
KINDS = (
    "UpperThreshold", "LowerThreshold", "Delta", "TargetDelta", "TargetDeltaRelative",
    "Periodic", "PeriodicClockAligned",
)  # fmt: skip
# 1 to 14: each type at EVSE 1 and at EVSE 2; then states of connectors and EVSEs.
PRESETS = [
    *({"on": "EVSE.Power", "type": kind, "value": 5} for kind in KINDS),
    {"on": "Connector.AvailabilityState", "type": "Delta"},
    {"on": "EVSE.AvailabilityState", "type": "Delta"},
    {"on": "ChargingStation.AvailabilityState", "type": "Delta"},
]
CONNECTORS, EVSES, STATION = [15, 16], [17, 18], [19]


def rig() -> Rig:
    return Rig(config(evses=2, monitors=PRESETS)).boot()


def of(*kinds: str) -> list[int]:
    return [
        n
        for at, kind in enumerate(KINDS)
        if kind in kinds
        for n in (2 * at + 1, 2 * at + 2)
    ]


@req("N02.FR.01", "N02.FR.03", "N02.FR.11")
def test_all_of_them() -> None:
    station = rig()
    answer = station.call("GetMonitoringReport", {"requestId": 1})
    assert answer == {"status": "Accepted"}
    assert sorted(ids(station)) == list(range(1, 20))


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        pytest.param(["ThresholdMonitoring"], of("UpperThreshold", "LowerThreshold"),
                     marks=req("N02.FR.12")),
        pytest.param(["DeltaMonitoring"],
                     [*of("Delta", "TargetDelta", "TargetDeltaRelative"), *CONNECTORS,
                      *EVSES, *STATION], marks=req("N02.FR.13")),
        pytest.param(["PeriodicMonitoring"], of("Periodic", "PeriodicClockAligned"),
                     marks=req("N02.FR.14")),
        (["PeriodicMonitoring", "ThresholdMonitoring"],
         of("Periodic", "PeriodicClockAligned", "UpperThreshold", "LowerThreshold")),
    ],
)  # fmt: skip
@req("N02.FR.06")
def test_by_criteria(criteria: list[str], expected: list[int]) -> None:
    assert sorted(ids(rig(), monitoringCriteria=criteria)) == sorted(expected)


@req("N02.FR.05")
def test_by_criteria_and_variables() -> None:
    found = ids(
        rig(),
        monitoringCriteria=["PeriodicMonitoring"],
        componentVariable=[item("EVSE", "Power", evse={"id": 2})],
    )
    assert sorted(found) == [12, 14]


def part(name: str, **more: Any) -> dict[str, Any]:
    return {"component": {"name": name, **more}}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(part("EVSE", evse={"id": 1}), [1, 3, 5, 7, 9, 11, 13, 17],
                     marks=req("N02.FR.16")),
        (item("EVSE", "Power", evse={"id": 1}), [1, 3, 5, 7, 9, 11, 13]),
        pytest.param(part("Connector", evse={"id": 2}), [16], marks=req("N02.FR.18")),
        pytest.param(part("Connector"), CONNECTORS, marks=req("N02.FR.19")),
        pytest.param(item("EVSE", "AvailabilityState"), EVSES, marks=req("N02.FR.19")),
    ],
)  # fmt: skip
@req("N02.FR.08")
def test_by_variables(wanted: dict[str, Any], expected: list[int]) -> None:
    assert sorted(ids(rig(), componentVariable=[wanted])) == expected


@req("N02.FR.10")
def test_nothing_to_report() -> None:
    station = rig()
    wanted = {"componentVariable": [part("EVSE", instance="none")], "requestId": 3}
    answer = station.call("GetMonitoringReport", wanted)
    assert answer["status"] == "EmptyResultSet"
    assert station.payloads("NotifyMonitoringReport") == []


@req("N02.FR.04", "N02.FR.09", "N02.FR.22")
def test_it_comes_in_slices() -> None:
    station = Rig(config(evses=12, monitors=PRESETS)).boot()
    station.call("GetMonitoringReport", {"requestId": 4711})
    parts = station.payloads("NotifyMonitoringReport")
    assert {p["requestId"] for p in parts} == {4711}
    assert [p["seqNo"] for p in parts] == list(range(len(parts)))
    assert [p["tbc"] for p in parts] == [True] * (len(parts) - 1) + [False]
    assert len(parts) > 1
    shown = [m for p in parts for r in p["monitor"] for m in r["variableMonitoring"]]
    assert {m["eventNotificationType"] for m in shown} == {"PreconfiguredMonitor"}


@req("N02.FR.07")
def test_as_many_variables_as_a_report_may_ask_for() -> None:
    named = {"DeviceDataCtrlr.ItemsPerMessage[GetReport]": 1}
    station = Rig(config(monitors=PRESETS, device_model=named)).boot()
    wanted = [part("EVSE"), part("Connector")]
    answer = station.call(
        "GetMonitoringReport", {"requestId": 1, "componentVariable": wanted}
    )
    assert isinstance(answer, CallError)
    assert answer.code == "OccurrenceConstraintViolation"
