"""The device model by GetVariables and SetVariables (B05, B06), and its presets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chargerd.ocpp.device_model import DeviceModel
from chargerd.ocpp.effects import CallError, OcppError
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import COMM, get_one, item, set_one

BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req


@BOTH
@pytest.mark.parametrize(
    ("made", "status", "reason"),
    [
        pytest.param(item(COMM, "HeartbeatInterval", "60"), "Accepted", None,
                     marks=req("B05.FR.10")),
        (item("ocppcommctrlr", "heartbeatinterval", "60"), "Accepted", None),
        pytest.param(item(COMM, "HeartbeatInterval", "0"), "Rejected", "ValueTooLow",
                     marks=req("B05.FR.08")),
        pytest.param(item(COMM, "HeartbeatInterval", "90000"), "Rejected",
                     "ValueTooHigh", marks=req("B05.FR.08")),
        pytest.param(item(COMM, "HeartbeatInterval", "1e2"), "Rejected",
                     "InvalidValue", marks=req("B05.FR.07")),
        (item(COMM, "HeartbeatInterval", "9" * 400), "Rejected", "InvalidValue"),
        (item(COMM, "HeartbeatInterval", "٣"), "Rejected", "InvalidValue"),
        pytest.param(item("Nothing", "X", "1"), "UnknownComponent", "NotFound",
                     marks=req("B05.FR.04")),
        (item(f"{COMM}[1]", "HeartbeatInterval", "60"), "UnknownComponent",
         "NotFound"),
        pytest.param(item(COMM, "Nothing", "1"), "UnknownVariable", "NotFound",
                     marks=req("B05.FR.05")),
        (item(COMM, "MessageAttempts", "1"), "UnknownVariable", "NotFound"),
        (item(COMM, "MessageAttempts", "7", instance="TransactionEvent"), "Accepted",
         None),
        pytest.param(
            item(COMM, "HeartbeatInterval", "60", attributeType="Target"),
            "NotSupportedAttributeType", "UnsupportedParam", marks=req("B05.FR.06"),
        ),
        pytest.param(item("SmartChargingCtrlr", "RateUnit", "W"), "Rejected",
                     "ReadOnly", marks=req("B05.FR.09")),
        (item("EVSE", "Power", "1", evse={"id": 1}, attributeType="MaxSet"),
         "Rejected", "ReadOnly"),
        (item("AuthCtrlr", "Enabled", "yes"), "Rejected", "InvalidValue"),
        (item("AuthCtrlr", "MasterPassGroupId", "x" * 37), "Rejected",
         "TooLargeElement"),
        (item("TxCtrlr", "TxStartPoint", "EVConnected,DataSigned"), "Rejected",
         "InvalidValue"),
        (item("TxCtrlr", "TxStartPoint", "Authorized,Authorized"), "Rejected",
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
    assert again.station.number(COMM, "WebSocketPingInterval") == 7


@BOTH
@pytest.mark.parametrize(
    ("made", "status"),
    [
        pytest.param(item("Nothing", "X"), "UnknownComponent", marks=req("B06.FR.06")),
        pytest.param(item(COMM, "X"), "UnknownVariable", marks=req("B06.FR.07")),
        pytest.param(item(COMM, "MessageTimeout"), "UnknownVariable",
                     marks=req("B06.FR.15")),
        pytest.param(item(COMM, "MessageTimeout", instance=""), "UnknownVariable",
                     marks=req("B06.FR.15")),
        pytest.param(item(COMM, "OfflineThreshold", attributeType="MaxSet"),
                     "NotSupportedAttributeType", marks=req("B06.FR.08")),
        pytest.param(item("EVSE", "Power", evse={"id": 1}), "Accepted",
                     marks=req("B06.FR.10")),
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


@req(
    "B05.FR.01", "B05.FR.02", "B05.FR.03", "B05.FR.12", "B06.FR.01", "B06.FR.02",
    "B06.FR.03", "B06.FR.04", "B06.FR.11", "B06.FR.14",
)  # fmt: skip
@BOTH
def test_one_result_for_each_element_in_order(version: str) -> None:
    rig = Rig(version=version).boot()
    asked = [
        item(COMM, "OfflineThreshold", attributeType="Actual"),
        item(COMM, "Nothing"),
        item(COMM, "MessageAttempts", instance="TransactionEvent"),
        item("EVSE", "Power", evse={"id": 1}, attributeType="MaxSet"),
    ]
    answer = rig.call("GetVariables", {"getVariableData": asked})
    assert isinstance(answer, dict)
    results = answer["getVariableResult"]
    assert [(r["component"], r["variable"]) for r in results] == [
        (a["component"], a["variable"]) for a in asked
    ]
    assert [r["attributeType"] for r in results] == ["Actual"] * 3 + ["MaxSet"]
    assert [r.get("attributeValue") for r in results] == ["60", None, "5", "6000"]
    wished = [{**a, "attributeValue": "9"} for a in asked]
    answer = rig.call("SetVariables", {"setVariableData": wished})
    assert isinstance(answer, dict)
    results = answer["setVariableResult"]
    assert [(r["component"], r["variable"]) for r in results] == [
        (a["component"], a["variable"]) for a in asked
    ]
    assert [r["attributeType"] for r in results] == ["Actual"] * 3 + ["MaxSet"]
    assert [r["attributeStatus"] for r in results] == [
        "Accepted", "UnknownVariable", "Accepted", "Rejected",
    ]  # fmt: skip


def test_the_clock_is_live() -> None:
    rig = Rig().boot()
    result = get_one(rig, item("ClockCtrlr", "DateTime"))
    assert result["attributeValue"] == "2026-11-23T08:00:00.000Z"


@req("B06.FR.16", "B08.FR.17")
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


@req("B06.FR.17", "B08.FR.18")
@pytest.mark.parametrize("kind", ["GetVariables", "GetReport"])
def test_too_many_bytes(kind: str) -> None:
    preset = {f"DeviceDataCtrlr.BytesPerMessage[{kind}]": 300}
    rig = Rig(config(device_model=preset)).boot()
    key = {"GetVariables": "getVariableData", "GetReport": "componentVariable"}[kind]
    request: dict[str, Any] = {key: [item(COMM, "OfflineThreshold")] * 3}
    if kind == "GetReport":
        request["requestId"] = 1
    assert isinstance(rig.call(kind, request), dict)
    request[key] *= 2
    assert len(json.dumps(request)) > 300
    answer = rig.call(kind, request)
    assert isinstance(answer, CallError)
    assert answer.code == "FormatViolation"


@BOTH
def test_a_value_longer_than_we_keep(version: str) -> None:
    preset = {"DeviceDataCtrlr.ConfigurationValueSize": 5}
    rig = Rig(config(device_model=preset), version=version).boot()
    made = item("AuthCtrlr", "MasterPassGroupId", "123456")
    assert set_one(rig, made)["attributeStatusInfo"]["reasonCode"] == "TooLargeElement"
    made["attributeValue"] = "12345"
    assert set_one(rig, made)["attributeStatus"] == "Accepted"


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
        evses=2,
        device_model={
            "OCPPCommCtrlr.HeartBeatIntervall": 42,
            "OCPPCommCtrlr.OfflineThreshold": -1,
            "EVSE.Power": 5,
        },
    )
    with pytest.raises(OcppError) as error:
        DeviceModel(conf, {})
    text = str(error.value)
    assert "OCPPCommCtrlr.HeartbeatInterval" in text
    assert "at least 0" in text
    assert "measured, not set" in text
    assert len(set(text.splitlines())) == len(text.splitlines())


def test_what_the_csms_set_beats_the_preset() -> None:
    conf = config(device_model={"OCPPCommCtrlr.HeartbeatInterval": 42})
    model = DeviceModel(conf, {"OCPPCommCtrlr.HeartbeatInterval": "43"})
    assert model.number(COMM, "HeartbeatInterval") == 43
    model = DeviceModel(conf, {"OCPPCommCtrlr.HeartbeatInterval": "-43", "x": 1})
    assert model.number(COMM, "HeartbeatInterval") == 42


def test_the_shell_reads_numbers_by_name() -> None:
    station = Rig().station
    assert station.number(COMM, "MessageTimeout", "Default") == 30
    with pytest.raises(OcppError, match="no variable"):
        station.number(COMM, "Nothing")


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
