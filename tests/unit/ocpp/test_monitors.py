"""Monitors are set, replaced, cleared and kept (N03 to N06)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.effects import CallError, OcppError
from tests.unit.ocpp.monitor_kit import (
    POWER,
    STATE,
    brief,
    charge,
    data,
    events,
    ids,
    monitored,
    set_all,
    set_one,
    shown,
)
from tests.unit.ocpp.station_rig import V201, Rig, config
from tests.unit.ocpp.variable_kit import COMM, item

req = pytest.mark.req
SHOW = "EVSE@1.Power"
PRESETS = [
    {"on": "EVSE.Power", "type": "UpperThreshold", "value": 5000, "hard_wired": True},
    {"on": "EVSE.Power", "type": "Delta", "value": 500},
    {"on": "EVSE.DCVoltage", "type": "Periodic", "value": 60},
]


@req("N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
def test_each_element_has_its_result() -> None:
    rig = monitored()
    unknown = item("Flux", "Power")
    results = set_all(rig, data(), data(unknown), data(STATE, "Delta", 1))
    assert [r["status"] for r in results] == [
        "Accepted",
        "UnknownComponent",
        "Accepted",
    ]
    assert [(r["component"], r["variable"]) for r in results] == [
        (on["component"], on["variable"]) for on in (POWER, unknown, STATE)
    ]
    assert results[0]["id"] != results[2]["id"]
    assert ids(rig) == [results[0]["id"], results[2]["id"]]


REFUSED = [
    pytest.param(
        data(item("Flux", "Power")), "UnknownComponent", marks=req("N04.FR.03")
    ),
    pytest.param(data(item("EVSE", "Flux", evse={"id": 1})), "UnknownVariable",
                 marks=req("N04.FR.04")),
    pytest.param(data(STATE), "UnsupportedMonitorType", marks=req("N04.FR.05")),
    pytest.param(data(item(COMM, "HeartbeatInterval")), "UnsupportedMonitorType",
                 marks=req("N04.FR.05")),
    pytest.param(data(item("EVSE", "DCVoltage", evse={"id": 1}), "TargetDelta", 5),
                 "UnsupportedMonitorType", marks=req("N04.FR.05")),
    pytest.param(data(value=6001), "Rejected", marks=req("N04.FR.06")),
    pytest.param(data(kind="LowerThreshold", value=6001), "Rejected",
                 marks=req("N04.FR.06")),
    pytest.param(data(kind="Delta", value=-1), "Rejected", marks=req("N04.FR.14")),
    pytest.param(data(id=77), "Rejected", marks=req("N04.FR.13")),
    (data(kind="TargetDelta", value=-1), "Rejected"),
    (data(kind="Periodic", value=0), "Rejected"),
    (data(severity=10), "Rejected"),
    (data(periodicEventStream={"interval": 1}), "Rejected"),
    (data(kind="Periodic", value=1, periodicEventStream={}), "Rejected"),
    (data(kind="Periodic", value=1, periodicEventStream={"values": 1001}), "Rejected"),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "status"), REFUSED)
def test_what_cannot_be_watched(wanted: dict[str, Any], status: str) -> None:
    rig = monitored()
    (result,) = set_all(rig, wanted)
    assert result["status"] == status
    assert "id" not in result
    assert ids(rig) == []


@req("N04.FR.10")
def test_one_monitor_of_a_type_and_severity_for_a_variable() -> None:
    rig = monitored()
    first = set_one(rig)
    (same,) = set_all(rig, data(value=4000))
    assert same["status"] == "Duplicate"
    for other in (data(severity=4), data(kind="LowerThreshold")):
        (result,) = set_all(rig, other)
        assert result["status"] == "Accepted"
    (again,) = set_all(rig, data(id=first, value=4000))
    assert (again["status"], again["id"]) == ("Accepted", first)


@req("N04.FR.12")
def test_a_monitor_with_the_same_id_is_replaced() -> None:
    rig = monitored()
    monitor_id = set_one(rig, value=3000)
    set_one(rig, value=5000, id=monitor_id)
    assert ids(rig) == [monitor_id]
    charge(rig, 4000)
    assert events(rig) == []


@req("N04.FR.16")
def test_an_id_stays_with_its_variable() -> None:
    rig = monitored()
    monitor_id = set_one(rig)
    (result,) = set_all(rig, data(STATE, "Delta", 1, id=monitor_id))
    assert result["status"] == "Rejected"
    charge(rig, 4000)
    assert [e["variableMonitoringId"] for e in events(rig)] == [monitor_id]


@req("N04.FR.18", "N06.FR.03")
def test_a_hard_wired_monitor_stays() -> None:
    rig = monitored(monitors=PRESETS)
    (result,) = set_all(rig, data(id=1, value=6000))
    assert result["status"] == "Rejected"
    answer = rig.call("ClearVariableMonitoring", {"id": [1]})
    assert answer == {"clearMonitoringResult": [{"id": 1, "status": "Rejected"}]}
    charge(rig, 5500)
    first = events(rig)[0]
    assert first["variableMonitoringId"] == 1
    assert first["eventNotificationType"] == "HardWiredMonitor"


@req("N04.FR.09")
@pytest.mark.parametrize(
    ("preset", "code"),
    [
        ({"ItemsPerMessage": 1}, "OccurrenceConstraintViolation"),
        ({"BytesPerMessage": 100}, "FormatViolation"),
    ],
)
def test_as_much_as_a_message_may_hold(preset: dict[str, int], code: str) -> None:
    named = {
        f"MonitoringCtrlr.{name}[SetVariableMonitoring]": most
        for name, most in preset.items()
    }
    rig = monitored(device_model=named)
    items = [data(), data(severity=4)]
    answer = rig.call("SetVariableMonitoring", {"setMonitoringData": items})
    assert isinstance(answer, CallError)
    assert answer.code == code
    assert ids(rig) == []


@req("N06.FR.01", "N06.FR.02", "N06.FR.05")
def test_clearing_has_a_result_for_each_id() -> None:
    rig = monitored()
    monitor_id = set_one(rig)
    answer = rig.call("ClearVariableMonitoring", {"id": [monitor_id, 99]})
    assert answer == {
        "clearMonitoringResult": [
            {"id": monitor_id, "status": "Accepted"},
            {"id": 99, "status": "NotFound"},
        ]
    }
    charge(rig, 4000)
    assert events(rig) == []
    assert ids(rig.restarted().boot()) == []


@pytest.mark.parametrize(
    ("name", "most", "code"),
    [
        pytest.param("ItemsPerMessage", 1, "OccurrenceConstraintViolation",
                     marks=req("N06.FR.06")),
        pytest.param("BytesPerMessage", 10, "FormatViolation", marks=req("N06.FR.07")),
    ],
)  # fmt: skip
def test_too_much_to_clear(name: str, most: int, code: str) -> None:
    named = {f"MonitoringCtrlr.{name}[ClearVariableMonitoring]": most}
    rig = monitored(device_model=named)
    monitor_id = set_one(rig)
    answer = rig.call("ClearVariableMonitoring", {"id": [monitor_id, 2]})
    assert isinstance(answer, CallError)
    assert answer.code == code
    assert ids(rig) == [monitor_id]


@req("N07.FR.13")
def test_monitors_outlive_a_restart_with_their_ids() -> None:
    rig = monitored()
    monitor_id = set_one(rig, kind="TargetDelta", value=10, transaction=True)
    late = rig.restarted().boot()
    assert shown(late) == [
        {
            "id": monitor_id,
            "transaction": True,
            "value": 10,
            "type": "TargetDelta",
            "severity": 3,
            "eventNotificationType": "CustomMonitor",
        }
    ]
    assert set_one(late, severity=4) not in (monitor_id, 0)


def test_a_monitor_of_a_variable_that_is_gone_is_left_out() -> None:
    rig = Rig(config(evses=2)).boot()
    second = item("EVSE", "Power", evse={"id": 2})
    set_one(rig, second)
    late = Rig(config(evses=1), rig.saved).boot()
    assert ids(late) == []


# The base (N03).


def changed() -> tuple[Rig, int]:
    """Presets 1 to 3; 2 is changed, 3 cleared, and there is a custom one."""
    rig = monitored(monitors=PRESETS)
    set_one(rig, kind="Delta", value=50, id=2, severity=6)
    rig.call("ClearVariableMonitoring", {"id": [3]})
    custom = set_one(rig, kind="LowerThreshold", value=10)
    assert sorted(ids(rig)) == [1, 2, custom]
    return rig, custom


def kinds(rig: Rig) -> dict[int, str]:
    return {m["id"]: m["eventNotificationType"] for m in shown(rig)}


HARD, PRESET, CUSTOM = "HardWiredMonitor", "PreconfiguredMonitor", "CustomMonitor"


@req("N03.FR.01", "N03.FR.03", "N04.FR.15")
def test_all_brings_the_preconfigured_ones_back() -> None:
    rig, custom = changed()
    answer = rig.call("SetMonitoringBase", {"monitoringBase": "All"})
    assert answer == {"status": "Accepted"}
    expected = {1: HARD, 2: CUSTOM, 3: PRESET, custom: CUSTOM}
    assert kinds(rig) == expected
    assert kinds(rig.restarted().boot()) == expected


@req("N03.FR.04", "N04.FR.15")
def test_factory_default_has_no_custom_ones() -> None:
    rig, _ = changed()
    rig.call("SetMonitoringBase", {"monitoringBase": "FactoryDefault"})
    expected = {1: HARD, 2: PRESET, 3: PRESET}
    assert kinds(rig) == expected
    assert kinds(rig.restarted().boot()) == expected
    charge(rig, 400)  # over 50, not over the preset's 500
    assert events(rig) == []


@req("N03.FR.05")
def test_hard_wired_only() -> None:
    rig, _ = changed()
    rig.call("SetMonitoringBase", {"monitoringBase": "HardWiredOnly"})
    assert kinds(rig) == {1: HARD}
    assert kinds(rig.restarted().boot()) == {1: HARD}
    charge(rig, 1000)
    assert events(rig) == []
    where = {"getVariableData": [item("MonitoringCtrlr", "ActiveMonitoringBase")]}
    answer = rig.call("GetVariables", where)
    assert answer["getVariableResult"][0]["attributeValue"] == "HardWiredOnly"


# The level (N05).


@req("N05.FR.01", "N05.FR.03", "N07.FR.15")
@pytest.mark.parametrize(("level", "told"), [(2, 0), (3, 1), (9, 1)])
def test_the_level_restricts_what_is_told(level: int, told: int) -> None:
    rig = monitored()
    set_one(rig, severity=3)
    answer = rig.call("SetMonitoringLevel", {"severity": level})
    assert answer == {"status": "Accepted"}
    charge(rig, 4000)
    assert len(events(rig)) == told
    late = rig.restarted().boot()
    charge(late, 0)
    charge(late, 4000)
    assert len(events(late)) == 2 * told  # with the end of the first


@req("N05.FR.03")
def test_what_is_still_so_is_told_when_the_level_allows_it() -> None:
    rig = monitored()
    set_one(rig, severity=3)
    rig.call("SetMonitoringLevel", {"severity": 2})
    charge(rig, 4000)
    rig.call("SetMonitoringLevel", {"severity": 3})
    rig.run_s(1.0)
    assert brief(rig) == [("Alerting", "4000", False)]


@req("N05.FR.02")
def test_no_level_above_nine() -> None:
    rig = monitored()
    answer = rig.call("SetMonitoringLevel", {"severity": 10})
    assert answer["status"] == "Rejected"


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ({"on": "EVSE.Flux", "type": "Delta"}, "unknown variable"),
        ({"on": "EVSE.Power", "type": "UpperThreshold", "value": 9e6}, "at most"),
        ({"on": "TxCtrlr.TxStartPoint", "type": "Delta"}, "cannot be watched"),
    ],
)
def test_a_preset_that_cannot_be(preset: dict[str, Any], text: str) -> None:
    with pytest.raises(OcppError, match=text):
        Rig(config(monitors=[preset]))


def test_switched_off() -> None:
    rig = monitored(device_model={"MonitoringCtrlr.Enabled": False}, monitors=PRESETS)
    (result,) = set_all(rig, data())
    assert result["statusInfo"]["reasonCode"] == "NotEnabled"
    charge(rig, 5500)
    assert events(rig) == []


def test_2_0_1_has_fewer_types() -> None:
    rig = Rig(config(monitors=PRESETS), version=V201).boot()
    preset = {"on": "EVSE.Power", "type": "TargetDelta", "value": 9}
    assert ids(rig) == [1, 2, 3]
    late = Rig(config(monitors=[preset, *PRESETS]), version=V201).boot()
    assert ids(late) == [2, 3, 4]
