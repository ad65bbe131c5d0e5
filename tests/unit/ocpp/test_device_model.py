"""The device model: presets, reading and setting, every result code, reports."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.device_model import DeviceModel
from chargerd.ocpp.effects import CallError, OcppError
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

BOTH = pytest.mark.parametrize("version", [V21, V201])


def item(
    component: str, variable: str, value: str | None = None, **more: Any
) -> dict[str, Any]:
    part: dict[str, Any] = {"name": component}
    if "evse" in more:
        part["evse"] = more.pop("evse")
    named: dict[str, Any] = {"name": variable}
    if "instance" in more:
        named["instance"] = more.pop("instance")
    made: dict[str, Any] = {"component": part, "variable": named, **more}
    if value is not None:
        made["attributeValue"] = value
    return made


def set_one(rig: Rig, made: dict[str, Any]) -> dict[str, Any]:
    answer = rig.call("SetVariables", {"setVariableData": [made]})
    assert isinstance(answer, dict)
    (result,) = answer["setVariableResult"]
    assert isinstance(result, dict)
    return result


def get_one(rig: Rig, made: dict[str, Any]) -> dict[str, Any]:
    answer = rig.call("GetVariables", {"getVariableData": [made]})
    assert isinstance(answer, dict)
    (result,) = answer["getVariableResult"]
    assert isinstance(result, dict)
    return result


COMM = "OCPPCommCtrlr"


@BOTH
@pytest.mark.parametrize(
    ("made", "status", "reason"),
    [
        (item(COMM, "HeartbeatInterval", "60"), "Accepted", None),
        (item("ocppcommctrlr", "heartbeatinterval", "60"), "Accepted", None),
        (item(COMM, "HeartbeatInterval", "0"), "Rejected", "ValueTooLow"),
        (item(COMM, "HeartbeatInterval", "90000"), "Rejected", "ValueTooHigh"),
        (item(COMM, "HeartbeatInterval", "1e2"), "Rejected", "InvalidValue"),
        (item(COMM, "HeartbeatInterval", "9" * 400), "Rejected", "InvalidValue"),
        (item(COMM, "HeartbeatInterval", "٣"), "Rejected", "InvalidValue"),
        (item("Nothing", "X", "1"), "UnknownComponent", "NotFound"),
        (item(COMM, "Nothing", "1"), "UnknownVariable", "NotFound"),
        (item(COMM, "MessageAttempts", "1"), "UnknownVariable", "NotFound"),
        (item(COMM, "MessageAttempts", "7", instance="TransactionEvent"), "Accepted",
         None),
        (item(COMM, "HeartbeatInterval", "60", attributeType="Target"),
         "NotSupportedAttributeType", "UnsupportedParam"),
        (item("SmartChargingCtrlr", "RateUnit", "W"), "Rejected", "ReadOnly"),
        (item("AuthCtrlr", "Enabled", "yes"), "Rejected", "InvalidValue"),
        (item("AuthCtrlr", "MasterPassGroupId", "x" * 37), "Rejected",
         "TooLargeElement"),
        (item("TxCtrlr", "TxStartPoint", "EVConnected,DataSigned"), "Rejected",
         "InvalidValue"),
        (item("TxCtrlr", "TxStartPoint", "EVConnected,Authorized"), "Accepted", None),
        (item("V2XChargingCtrlr", "Enabled", "false", evse={"id": 1}), "Accepted",
         None),
        (item("V2XChargingCtrlr", "Enabled", "false", evse={"id": 3}),
         "UnknownComponent", "NotFound"),
        (item("V2XChargingCtrlr", "Enabled", "false"), "UnknownComponent", "NotFound"),
    ],
)  # fmt: skip
def test_set_variables(
    version: str, made: dict[str, Any], status: str, reason: str | None
) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.saved.pop("device_model", None)
    result = set_one(rig, made)
    assert result["attributeStatus"] == status
    assert result.get("attributeStatusInfo", {}).get("reasonCode") == reason
    assert bool(rig.saved.get("device_model")) is (status == "Accepted")


@BOTH
def test_values_are_read_back_and_survive(version: str) -> None:
    rig = Rig(version=version).boot()
    set_one(rig, item(COMM, "WebSocketPingInterval", "7"))
    again = rig.restarted()
    again.boot()
    result = get_one(again, item(COMM, "WebSocketPingInterval"))
    assert result["attributeValue"] == "7"
    assert again.station.variable(COMM, "WebSocketPingInterval") == "7"
    assert again.station.number(COMM, "WebSocketPingInterval") == 7


@BOTH
@pytest.mark.parametrize(
    ("made", "status"),
    [
        (item("Nothing", "X"), "UnknownComponent"),
        (item(COMM, "X"), "UnknownVariable"),
        (item(COMM, "OfflineThreshold", attributeType="MaxSet"),
         "NotSupportedAttributeType"),
        (item("EVSE", "Power", evse={"id": 1}), "Accepted"),
        (item("Connector", "ConnectorType", evse={"id": 1, "connectorId": 1}),
         "Accepted"),
        (item("Connector", "ConnectorType", evse={"id": 1}), "UnknownComponent"),
    ],
)  # fmt: skip
def test_get_variables(version: str, made: dict[str, Any], status: str) -> None:
    rig = Rig(version=version).boot()
    result = get_one(rig, made)
    assert result["attributeStatus"] == status
    assert ("attributeValue" in result) is (status == "Accepted")


def test_the_clock_is_live() -> None:
    rig = Rig().boot()
    result = get_one(rig, item("ClockCtrlr", "DateTime"))
    assert result["attributeValue"] == "2026-11-23T08:00:00.000Z"


@BOTH
@pytest.mark.parametrize("action", ["SetVariables", "GetVariables", "GetReport"])
def test_too_many_items(version: str, action: str) -> None:
    rig = Rig(version=version).boot()
    key = {
        "SetVariables": "setVariableData",
        "GetVariables": "getVariableData",
        "GetReport": "componentVariable",
    }[action]
    value = "1" if action == "SetVariables" else None
    request: dict[str, Any] = {key: [item(COMM, "X", value)] * 65}
    if action == "GetReport":
        request["requestId"] = 1
    answer = rig.call(action, request)
    assert isinstance(answer, CallError)
    assert answer.code == "OccurrenceConstraintViolation"


@BOTH
@pytest.mark.parametrize(
    "base", ["FullInventory", "ConfigurationInventory", "SummaryInventory"]
)
def test_base_reports_come_in_slices(version: str, base: str) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.clear()
    answer = rig.call("GetBaseReport", {"requestId": 7, "reportBase": base})
    assert answer == {"status": "Accepted"}
    reports = rig.payloads("NotifyReport")
    assert [r["seqNo"] for r in reports] == list(range(len(reports)))
    assert [r["tbc"] for r in reports] == [True] * (len(reports) - 1) + [False]
    rows = [row for r in reports for row in r["reportData"]]
    modes = {row["variableAttribute"][0]["mutability"] for row in rows}
    if base == "FullInventory":
        assert len(rows) == len(list(DeviceModel(config(evses=2), {})))
        assert len(reports) > 1
    elif base == "ConfigurationInventory":
        assert "ReadOnly" not in modes
    else:
        assert {row["variable"]["name"] for row in rows} == {
            "Available", "AvailabilityState"
        }  # fmt: skip


@BOTH
@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (
            {"componentVariable": [item("ClockCtrlr", "TimeSource")]},
            {("ClockCtrlr", "TimeSource")},
        ),
        (
            {
                "componentVariable": [{"component": {"name": "AuthCacheCtrlr"}}],
                "componentCriteria": ["Available"],
            },
            {("AuthCacheCtrlr", n) for n in ("Available", "Enabled", "LifeTime")},
        ),
        (
            {
                "componentVariable": [item("Connector", "ConnectorType")],
                "componentCriteria": ["Problem"],
            },
            set(),
        ),
    ],
)
def test_get_report(version: str, request_: Any, names: set[Any]) -> None:
    rig = Rig(version=version).boot()
    answer = rig.call("GetReport", {"requestId": 1, **request_})
    assert answer == {"status": "Accepted" if names else "EmptyResultSet"}
    rows = [row for r in rig.payloads("NotifyReport") for row in r["reportData"]]
    assert {(r["component"]["name"], r["variable"]["name"]) for r in rows} == names


def test_every_value_of_the_table_passes_its_own_check() -> None:
    model = DeviceModel(config(evses=2), {})
    wrong = [(v.key, v.value) for v in model if not v.row.live and v.check(v.value)]
    assert wrong == []


def test_presets() -> None:
    conf = config(
        evses=2,
        device_model={
            "OCPPCommCtrlr.HeartbeatInterval": 42,
            "AuthCtrlr.LocalPreAuthorize": True,
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": 9,
            "V2XChargingCtrlr@2.Enabled": False,
        },
    )
    model = DeviceModel(conf, {})
    assert model.number(COMM, "HeartbeatInterval") == 42
    assert model.flag("AuthCtrlr", "LocalPreAuthorize")
    assert model.number(COMM, "MessageAttempts", "TransactionEvent") == 9
    assert model.flag("V2XChargingCtrlr", "Enabled", 1)
    assert not model.flag("V2XChargingCtrlr", "Enabled", 2)


def test_all_bad_presets_are_told_at_once_with_near_names() -> None:
    conf = config(
        device_model={
            "OCPPCommCtrlr.HeartBeatIntervall": 42,
            "OCPPCommCtrlr.OfflineThreshold": -1,
            "EVSE.Power": 5,
        }
    )
    with pytest.raises(OcppError) as error:
        DeviceModel(conf, {})
    text = str(error.value)
    assert "OCPPCommCtrlr.HeartbeatInterval" in text
    assert "at least 0" in text
    assert "measured, not set" in text


def test_what_the_csms_set_beats_the_preset() -> None:
    conf = config(device_model={"OCPPCommCtrlr.HeartbeatInterval": 42})
    model = DeviceModel(conf, {"OCPPCommCtrlr.HeartbeatInterval": "43"})
    assert model.number(COMM, "HeartbeatInterval") == 43
    model = DeviceModel(conf, {"OCPPCommCtrlr.HeartbeatInterval": "-43", "x": 1})
    assert model.number(COMM, "HeartbeatInterval") == 42


def test_the_shell_reads_variables_by_name() -> None:
    station = Rig().station
    assert station.variable(COMM, "MessageAttempts") == "5"
    assert station.variable(COMM, "MessageAttempts[TransactionEvent]") == "5"
    assert station.number(COMM, "MessageTimeout", "Default") == 30
    with pytest.raises(OcppError, match="no variable"):
        station.variable(COMM, "Nothing")


@pytest.mark.parametrize(
    ("energies", "discharge_w", "modes", "available", "is_dc"),
    [
        (["DC_BPT", "DC"], 6000.0, "DC_BPT,DC", "true", True),
        (["DC"], 6000.0, "DC", "false", True),
        (["AC_BPT", "AC"], 6000.0, "AC_BPT,AC_single_phase", "true", False),
        (["AC_BPT", "AC"], 0.0, "AC_BPT,AC_single_phase", "false", False),
        (["MCS_BPT", "DC_BPT"], 6000.0, "DC_BPT", "true", True),
        (["AC", "DC"], 6000.0, "AC_single_phase,DC", "false", True),
    ],
)
def test_a_connector_that_talks_iso15118(
    energies: list[str], discharge_w: float, modes: str, available: str, is_dc: bool
) -> None:
    port = {"interface": "lo", "evse_id": "JP*ABC*E1", "energies": energies}
    made = config(evse={"iso15118": port, "discharge_w": discharge_w})
    model = DeviceModel(made, {})
    assert (
        model.text("V2XChargingCtrlr", "SupportedEnergyTransferModes", "", 1) == modes
    )
    assert model.text("V2XChargingCtrlr", "Available", "", 1) == available
    assert Rig(made).station._desk.evses[1].is_dc is is_dc
