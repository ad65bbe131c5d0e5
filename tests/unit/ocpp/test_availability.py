"""Block G: connector status, ChangeAvailability; faults as events."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.faults import FAULTS
from chargerd.model import ActiveFault, AvailabilityRequest, SessionPhase
from tests.unit.ocpp.station_rig import START, V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import events, get_one, item, reported, statuses

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req
OUT, IN = "Inoperative", "Operative"


def change(rig: Rig, status: str, *at: int) -> str:
    """`at`: EVSE, or EVSE and connector; nothing = the station."""
    request: dict[str, Any] = {"operationalStatus": status}
    if at:
        request["evse"] = dict(zip(("id", "connectorId"), at, strict=False))
    answer = rig.call("ChangeAvailability", request)
    assert isinstance(answer, dict)
    word = answer["status"]
    assert isinstance(word, str)
    return word


def wished(rig: Rig) -> dict[int, bool]:
    """What the heart was told last, for each EVSE it was told of."""
    asked = [r for r in rig.asked() if isinstance(r, AvailabilityRequest)]
    return {request.evse_id: request.operative for request in asked}


# Status.


@req("G01.FR.01", "G01.FR.03", "G01.FR.04", "G01.FR.07", "G03.FR.04", "G04.FR.05")
@BOTH
def test_connector_status_follows_the_session(version: str) -> None:
    rig = Rig(version=version)
    rig.observe()
    rig.boot()
    rig.observe(P.CONNECTED)
    assert statuses(rig)[-1] == (1, "Occupied")
    rig.observe(P.ENERGY, authorised=True)
    rig.observe(P.IDLE)
    rig.observe(P.IDLE, operative=False)
    rig.observe(P.IDLE)
    assert statuses(rig) == [
        (1, "Available"), (1, "Occupied"), (1, "Available"), (1, "Unavailable"),
        (1, "Available"),
    ]  # fmt: skip
    if version == V21:
        event = events(rig)[1]
        assert event["trigger"] == "Delta"
        assert event["component"] == {
            "name": "Connector", "evse": {"id": 1, "connectorId": 1},
        }  # fmt: skip
        assert event["variable"] == {"name": "AvailabilityState"}


@req("G01.FR.05", "G03.FR.05")
@BOTH
def test_occupied_becomes_unavailable_when_the_vehicle_leaves(version: str) -> None:
    rig = Rig(version=version)
    rig.boot()
    rig.observe(P.ENERGY, authorised=True)
    assert change(rig, OUT, 1) == "Scheduled"
    rig.clear()
    rig.observe(P.FINISHED, operative=False)
    rig.observe(P.IDLE, operative=False)
    assert statuses(rig) == [(1, "Unavailable")]


@req("G03.FR.05", "G04.FR.06")
@pytest.mark.parametrize("point", ["Authorized", "PowerPathClosed"])
@pytest.mark.parametrize("at", [(), (1,)])
def test_a_driver_who_has_shown_a_card_is_waited_for(
    point: str, at: tuple[int, ...]
) -> None:
    """Whether that is a transaction already is a setting; to the driver it is one."""
    rig = Rig(config(device_model={"TxCtrlr.TxStartPoint": point})).boot()
    rig.observe(P.IDLE, authorised=True)
    assert change(rig, OUT, *at) == "Scheduled"
    assert wished(rig) == {1: False}


@req("G01.FR.08")
def test_the_other_connector_of_an_evse_says_nothing() -> None:
    two = {"connectors": [{"id": 1}, {"id": 2}]}
    rig = Rig(config(evse=two))
    rig.observe()
    rig.boot()
    rig.clear()
    rig.observe(P.CONNECTED)
    (event,) = events(rig)
    assert event["component"]["evse"]["connectorId"] == 1


@req("G01.FR.06", "G01.FR.09")
@BOTH
def test_a_reserved_connector_stays_reserved_until_the_right_token(
    version: str,
) -> None:
    rig = Rig(version=version)
    rig.observe()
    rig.boot()
    rig.clear()
    rig.station._desk.evses[1].reserved = True
    rig.observe()
    rig.observe(P.CONNECTED)
    assert statuses(rig) == [(1, "Reserved")]
    rig.observe(P.STARTING, authorised=True)
    assert statuses(rig) == [(1, "Reserved"), (1, "Occupied")]


@BOTH
def test_nothing_is_told_before_the_boot_is_accepted(version: str) -> None:
    rig = Rig(version=version)
    rig.boot("Pending")
    rig.observe(P.CONNECTED)
    assert statuses(rig) == []


@req("G03.FR.06", "G04.FR.07")
@BOTH
def test_the_states_of_evse_and_station_follow(version: str) -> None:
    rig = Rig(config(evses=2), version=version)
    rig.boot()

    def states() -> list[str]:
        return [
            get_one(rig, item(name, "AvailabilityState", **more))["attributeValue"]
            for name, more in (
                ("ChargingStation", {}),
                ("EVSE", {"evse": {"id": 1}}),
                ("Connector", {"evse": {"id": 1, "connectorId": 1}}),
            )
        ]

    rig.observe(operative=False)
    rig.observe(evse_id=2)
    assert states() == ["Available", "Unavailable", "Unavailable"]
    rig.observe(evse_id=2, operative=False)
    assert states() == ["Unavailable"] * 3
    assert statuses(rig)[-2:] == [(2, "Available"), (2, "Unavailable")]
    rig.observe(faults=(ActiveFault("StageFault", 1, START),), operative=False)
    assert states()[1:] == ["Faulted", "Faulted"]


# ChangeAvailability.


@BOTH
@pytest.mark.parametrize(
    ("at", "busy", "status", "out"),
    [
        pytest.param((), False, "Accepted", {1, 2},
                     marks=req("G04.FR.01", "G04.FR.02", "G04.FR.03")),
        pytest.param((), True, "Scheduled", {1, 2}, marks=req("G04.FR.06")),
        pytest.param((1,), False, "Accepted", {1}, marks=req("G03.FR.01", "G03.FR.02")),
        pytest.param((1,), True, "Scheduled", {1}, marks=req("G03.FR.05")),
        ((1, 1), False, "Accepted", {1}),
        ((1, 1), True, "Scheduled", {1}),
        ((2,), True, "Accepted", {2}),
        pytest.param((3,), False, "Rejected", set(), marks=req("G03.FR.02")),
        ((1, 4), False, "Rejected", set()),
    ],
)  # fmt: skip
@req("B01.FR.07", "G01.FR.02", "G03.FR.08", "G04.FR.09", "B11.FR.02", "B12.FR.06")
def test_change_availability(
    version: str, at: Any, busy: bool, status: str, out: set[int]
) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(P.ENERGY if busy else P.IDLE, authorised=busy)
    rig.observe(evse_id=2)
    assert change(rig, OUT, *at) == status
    assert wished(rig) == dict.fromkeys(out, False)
    again = rig.restarted()
    again.pass_s(0)
    assert wished(again) == dict.fromkeys(out, False)


@req("G03.FR.03", "G04.FR.04")
@pytest.mark.parametrize("at", [(), (1,), (1, 1)])
def test_the_state_it_is_in_already_is_accepted(at: Any) -> None:
    rig = Rig().boot()
    rig.observe(P.ENERGY, authorised=True)
    assert change(rig, IN, *at) == "Accepted"
    assert change(rig, OUT, *at) == "Scheduled"
    assert change(rig, OUT, *at) == "Scheduled"
    rig.observe(operative=False)
    assert change(rig, OUT, *at) == "Accepted"
    assert change(rig, IN, *at) == "Accepted"
    assert wished(rig) == {1: True}


@req("G03.FR.07", "G04.FR.08")
def test_operative_again_is_what_it_was_before() -> None:
    """Station, EVSE and connector are three wishes; all must say Operative."""
    rig = Rig(config(evses=2)).boot()
    for evse_id in (1, 2):
        rig.observe(evse_id=evse_id)
    change(rig, OUT, 1, 1)
    change(rig, OUT)
    assert wished(rig) == {1: False, 2: False}
    change(rig, IN)
    assert wished(rig) == {1: False, 2: True}
    change(rig, OUT, 1)
    change(rig, IN, 1, 1)
    assert wished(rig) == {1: False, 2: True}
    change(rig, IN, 1)
    assert wished(rig) == {1: True, 2: True}


def test_one_of_several_connectors_is_refused() -> None:
    rig = Rig(config(evse={"connectors": [{"id": 1}, {"id": 2}]})).boot()
    assert change(rig, OUT, 1, 2) == "Rejected"
    assert change(rig, OUT, 1) == "Accepted"


# Faults.


@BOTH
def test_a_fault_is_told_once_and_cleared_once(version: str) -> None:
    rig = Rig(version=version)
    rig.observe()
    rig.boot()
    rig.clear()
    fault = ActiveFault("StageFault", 1, START, "E17")
    for _ in range(3):
        rig.observe(P.IDLE, faults=(fault,))
    for _ in range(3):
        rig.observe(P.IDLE)
    told = [e for e in events(rig) if e["variable"]["name"] != "AvailabilityState"]
    assert [event.get("cleared", False) for event in told] == [False, True]
    assert told[0]["techInfo"] == "E17"
    assert told[1]["cause"] == told[0]["eventId"]
    assert statuses(rig) == [(1, "Faulted"), (1, "Available")]


@req("G05.FR.02")
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_of_the_table_is_an_event_of_a_reported_variable(name: str) -> None:
    rig = Rig()
    rig.observe()
    rig.boot()
    rig.clear()
    row = FAULTS[name]
    rig.observe(faults=(ActiveFault(name, 1, START, "17"),))
    event = next(e for e in events(rig) if e["trigger"] == "Alerting")
    assert event["techCode"] == (row.mrec or row.uec)
    assert event["severity"] == row.severity
    assert event["component"]["name"] == row.component
    if name == "ConnectorLockFailure":
        assert event["component"] == {
            "name": "ConnectorPlugRetentionLock",
            "evse": {"id": 1, "connectorId": 1},
        }
        assert event["variable"] == {"name": "Problem"}
        assert event["actualValue"] == "true"
    made = item(row.component, row.variable, evse=event["component"]["evse"])
    assert get_one(rig, made)["attributeStatus"] == "Accepted"
    if row.variable != "DCVoltage":
        assert get_one(rig, made)["attributeValue"] == "true"
        rig.observe()
        assert get_one(rig, made)["attributeValue"] == "false"


def test_a_fault_of_a_measured_value_tells_it() -> None:
    rig = Rig().boot()
    rig.observe(faults=(ActiveFault("OverVoltage", 1, START, "512 V"),))
    event = next(e for e in events(rig) if e["trigger"] == "Alerting")
    assert event["variable"] == {"name": "DCVoltage"}
    assert event["actualValue"] == "512 V"


def test_two_faults_of_one_component() -> None:
    rig = Rig().boot()
    lost = ActiveFault("StageLost", 1, START)
    rig.observe(faults=(ActiveFault("StageFault", 1, START), lost))
    rig.observe(faults=(lost,))
    made = item("AcDcConverter", "Problem", evse={"id": 1})
    assert get_one(rig, made)["attributeValue"] == "true"


def test_what_follows_from_a_fault_names_it_as_cause() -> None:
    rig = Rig()
    rig.observe()
    rig.boot()
    rig.clear()
    first = ActiveFault("GroundFailure", 1, START)
    rig.observe(faults=(first,))
    rig.observe(faults=(first, ActiveFault("EVSEContactorFault", 1, START)))
    told = events(rig)
    assert [(e["actualValue"], e.get("cause")) for e in told] == [
        ("true", None), ("Faulted", told[0]["eventId"]), ("true", told[0]["eventId"]),
    ]  # fmt: skip


def test_a_station_fault_is_one_event_for_all_evses() -> None:
    rig = Rig(config(evses=2)).boot()
    fault = ActiveFault("CsmsLost", 0, START)
    for evse_id in (1, 2):
        rig.observe(evse_id=evse_id, faults=(fault,))
    assert len([e for e in events(rig) if e["trigger"] == "Alerting"]) == 1
    assert get_one(rig, item("OCPPCommCtrlr", "Problem"))["attributeValue"] == "true"


@req("B08.FR.07", "B08.FR.10", "B08.FR.13", "B07.FR.09")
def test_reports_of_components_in_trouble() -> None:
    rig = Rig().boot()
    rig.observe(faults=(ActiveFault("StageFault", 1, START),))

    def components(*criteria: str) -> set[str]:
        rig.clear()
        request = {"requestId": 1, "componentCriteria": list(criteria)}
        rig.call("GetReport", request)
        return {row["component"]["name"] for row in reported(rig)}

    assert components("Problem") == {"AcDcConverter"}
    assert "RCD" in components("Active")
    assert "CableBreakawaySensor" not in components("Active")
    rig.observe(faults=(ActiveFault("CutCable", 1, START),))
    assert "CableBreakawaySensor" in components("Active")
    both = components("Problem", "Active")
    assert both == components("Problem") | components("Active")
    rig.clear()
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "SummaryInventory"})
    bad = {row["component"]["name"] for row in reported(rig)}
    assert bad == {"ChargingStation", "EVSE", "Connector", "CableBreakawaySensor"}
