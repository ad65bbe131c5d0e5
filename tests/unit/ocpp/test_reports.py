"""Reports of the device model: GetBaseReport (B07) and GetReport (B08)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.device_model import DeviceModel
from chargerd.ocpp.effects import CallError
from chargerd.ocpp.table.row import More, Place, Row
from chargerd.ocpp.variable import Variable
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import COMM, item, reported

BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req
Element = dict[str, Any]


@req("B07.FR.01", "B07.FR.04", "B07.FR.10", "B07.FR.12")
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
    assert {r["requestId"] for r in reports} == {7}
    assert [r["seqNo"] for r in reports] == list(range(len(reports)))
    assert [r["tbc"] for r in reports] == [True] * (len(reports) - 1) + [False]
    assert (len(reports) > 1) is (base != "SummaryInventory")


def base_rows(base: str, rig: Rig | None = None) -> list[Element]:
    rig = rig or Rig(config(evses=2)).boot()
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": base})
    return reported(rig)


def names(rows: list[Element]) -> set[tuple[str, str]]:
    return {(r["component"]["name"], r["variable"]["name"]) for r in rows}


@req("B07.FR.08")
def test_the_full_inventory_has_every_variable() -> None:
    rows = base_rows("FullInventory")
    assert len(rows) == len(list(DeviceModel(config(evses=2), {})))
    assert all(row["variableCharacteristics"]["dataType"] for row in rows)
    evses = [r for r in rows if r["component"]["name"] == "EVSE"]
    assert {r["component"]["evse"]["id"] for r in evses} == {1, 2}
    power = next(r for r in evses if r["variable"]["name"] == "Power")
    assert power["variableCharacteristics"] == {
        "dataType": "decimal", "unit": "W", "maxLimit": 6000.0,
        "supportsMonitoring": True,
    }  # fmt: skip


@req("B07.FR.07")
def test_the_configuration_inventory_has_what_can_be_set() -> None:
    rows = base_rows("ConfigurationInventory")
    assert ("OCPPCommCtrlr", "HeartbeatInterval") in names(rows)
    modes = {a["mutability"] for row in rows for a in row["variableAttribute"]}
    assert "ReadOnly" not in modes
    full = base_rows("FullInventory")
    settable = [
        r
        for r in full
        if any(a["mutability"] != "ReadOnly" for a in r["variableAttribute"])
    ]
    assert len(rows) == len(settable)


@req("B07.FR.09")
def test_the_summary_inventory_has_states() -> None:
    found = names(base_rows("SummaryInventory"))
    for component in ("ChargingStation", "EVSE", "Connector"):
        assert (component, "AvailabilityState") in found
    assert {variable for _, variable in found} == {"Available", "AvailabilityState"}


@req("B07.FR.11")
def test_attributes_without_a_value_are_reported_too() -> None:
    rows = base_rows("FullInventory")
    power = next(r for r in rows if r["variable"]["name"] == "DischargePower")
    kinds = {a["type"]: a["value"] for a in power["variableAttribute"]}
    assert kinds.items() >= {"Actual": "0", "MaxSet": "6000"}.items()
    unset = Row("EVSE", "Power", "decimal", "1", more=(More("Target"),))
    attributes = Variable(unset, Place(config())).report()["variableAttribute"]
    assert [(a["type"], a["value"]) for a in attributes] == [
        ("Actual", "1"), ("Target", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("component", "variable", "persistent", "constant"),
    [
        (COMM, "OfflineThreshold", True, False),
        ("ChargingStation", "Model", True, True),
        ("EVSE", "Power", False, False),
    ],
)
def test_what_outlives_a_restart_and_what_never_changes(
    component: str, variable: str, persistent: bool, constant: bool
) -> None:
    rows = get_report(Rig().boot(), item(component, variable))
    attribute = rows[0]["variableAttribute"][0]
    assert attribute["persistent"] is persistent
    assert attribute["constant"] is constant


@req("B07.FR.13", "B08.FR.16")
@pytest.mark.parametrize(
    ("action", "request_"),
    [("GetBaseReport", {"reportBase": "FullInventory"}), ("GetReport", {})],
)
def test_a_flood_of_reports_is_refused_until_some_are_delivered(
    action: str, request_: Element, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargerd.ocpp.blocks.variables.MAX_WAITING", 60)
    rig = Rig(config(evses=2)).boot()
    rig.link(up=False)
    statuses = []
    while len(statuses) < 80 and "Rejected" not in statuses:
        answer = rig.call(action, {"requestId": len(statuses), **request_})
        assert isinstance(answer, dict)
        statuses.append(answer["status"])
    assert statuses[0] == "Accepted"
    assert statuses[-1] == "Rejected"
    waiting = [send for send in rig.sent if send.action == "NotifyReport"]
    assert 60 <= len(waiting) < 120
    for send in waiting:
        rig.answer(send, CallError("GenericError", "link lost"))
    answer = rig.call(action, {"requestId": 1, **request_})
    assert answer == {"status": "Accepted"}


def get_report(
    rig: Rig, *wanted: Element, criteria: list[str] | None = None
) -> list[Element]:
    rig.clear()
    request: Element = {"requestId": 3}
    if wanted:
        request["componentVariable"] = list(wanted)
    if criteria:
        request["componentCriteria"] = criteria
    answer = rig.call("GetReport", request)
    rows = reported(rig)
    assert isinstance(answer, dict)
    assert answer["status"] == ("Accepted" if rows else "EmptyResultSet")
    assert {r["requestId"] for r in rig.payloads("NotifyReport")} <= {3}
    assert [r["seqNo"] for r in rig.payloads("NotifyReport")] == list(
        range(len(rig.payloads("NotifyReport")))
    )
    return rows


def where(row: Element) -> tuple[int, int]:
    evse = row["component"].get("evse", {})
    return evse.get("id", 0), evse.get("connectorId", 0)


@req("B08.FR.01", "B08.FR.04", "B08.FR.05", "B08.FR.11", "B08.FR.12", "B08.FR.14")
@BOTH
def test_a_report_of_one_variable(version: str) -> None:
    (row,) = get_report(Rig(version=version).boot(), item("ClockCtrlr", "TimeSource"))
    assert names([row]) == {("ClockCtrlr", "TimeSource")}
    assert row["variableCharacteristics"]["dataType"] == "SequenceList"


@req("B08.FR.15")
@BOTH
def test_nothing_to_report(version: str) -> None:
    rig = Rig(version=version).boot()
    assert get_report(rig, item("Nothing", "X")) == []
    wanted = item("OCPPCommCtrlr", "HeartbeatInterval")
    assert get_report(rig, wanted, criteria=["Problem"]) == []
    assert rig.payloads("NotifyReport") == []


@req("B08.FR.20")
def test_without_variable_all_of_the_component() -> None:
    rows = get_report(Rig().boot(), {"component": {"name": "AuthCacheCtrlr"}})
    model = DeviceModel(config(), {})
    expected = {v.row.variable for v in model if v.component_name == "AuthCacheCtrlr"}
    assert {r["variable"]["name"] for r in rows} == expected
    assert len(expected) > 2


@req("B08.FR.21")
def test_without_instance_every_instance_of_the_variable() -> None:
    rows = get_report(Rig().boot(), item("DeviceDataCtrlr", "ItemsPerMessage"))
    instances = {r["variable"]["instance"] for r in rows}
    assert {"GetReport", "GetVariables", "SetVariables"} <= instances
    wanted = item("devicedatactrlr", "itemspermessage", instance="getreport")
    (row,) = get_report(Rig().boot(), wanted)
    assert row["variable"]["instance"] == "GetReport"


@req("B08.FR.24", "B08.FR.25")
@pytest.mark.parametrize(
    ("name", "instances"),
    [("NetworkConfiguration[2]", {"2"}), ("NetworkConfiguration", {"1", "2", "3"})],
)
def test_a_component_by_instance(name: str, instances: set[str]) -> None:
    rows = get_report(Rig().boot(), item(name, "OcppCsmsUrl"))
    assert {row["component"]["instance"] for row in rows} == instances
    assert len(rows) == len(instances)


@req("B08.FR.22", "B08.FR.23")
@pytest.mark.parametrize(
    ("evse", "places"),
    [
        (None, [(1, 1), (1, 2), (2, 1), (2, 2)]),
        ({"id": 2}, [(2, 1), (2, 2)]),
        ({"id": 2, "connectorId": 2}, [(2, 2)]),
        ({"id": 3}, []),
    ],
)
def test_a_component_by_place(evse: Element | None, places: list[Any]) -> None:
    more = {"evse": evse} if evse else {}
    made = config(evses=2, evse={"connectors": [{"id": 1}, {"id": 2}]})
    rows = get_report(Rig(made).boot(), item("Connector", "ConnectorType", **more))
    assert sorted(where(row) for row in rows) == places


@pytest.mark.parametrize(
    ("criterion", "inside", "outside"),
    [
        pytest.param("Available", "SmartChargingCtrlr", "V2XChargingCtrlr",
                     marks=req("B08.FR.08")),
        pytest.param("Available", COMM, "V2XChargingCtrlr", marks=req("B08.FR.08")),
        pytest.param("Enabled", "SmartChargingCtrlr", "AuthCacheCtrlr",
                     marks=req("B08.FR.09")),
        pytest.param("Enabled", COMM, "AuthCacheCtrlr", marks=req("B08.FR.09")),
    ],
)  # fmt: skip
def test_a_criterion(criterion: str, inside: str, outside: str) -> None:
    conf = config(
        evse={"discharge_w": 0},
        device_model={"AuthCacheCtrlr.Enabled": False},
    )
    rows = get_report(Rig(conf).boot(), criteria=[criterion])
    found = {row["component"]["name"] for row in rows}
    assert inside in found
    assert outside not in found
