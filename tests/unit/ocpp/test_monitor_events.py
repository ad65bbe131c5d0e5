"""Monitors tell events: thresholds, deltas, periods (N07, N08)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import ActiveFault, SessionPhase
from tests.unit.ocpp.monitor_kit import (
    POWER,
    STATE,
    STORE,
    brief,
    charge,
    events,
    monitored,
    set_one,
)
from tests.unit.ocpp.station_rig import START, V201, Rig, config
from tests.unit.ocpp.variable_kit import item

req = pytest.mark.req
PASSWORD = item("SecurityCtrlr", "BasicAuthPassword")
UP, DOWN = ("Alerting", "4000", False), ("Alerting", "2000", True)


@req("N07.FR.02", "N07.FR.16")
def test_an_upper_threshold() -> None:
    rig = monitored()
    set_one(rig, value=3000)
    seen = []
    for power_w in (3000, 4000, 5000, 3000, 2000, 4000):
        charge(rig, power_w)
        seen += brief(rig)
    assert seen == [UP, ("Alerting", "3000", True), UP]  # exceeding, not on it


@req("N07.FR.02", "N07.FR.17")
def test_a_lower_threshold() -> None:
    rig = monitored()
    charge(rig, 4000)
    set_one(rig, kind="LowerThreshold", value=3000)
    seen = []
    for power_w in (3000, 2000, 1000, 4000):
        charge(rig, power_w)
        seen += brief(rig)
    assert seen == [("Alerting", "2000", False), ("Alerting", "4000", True)]


@req("N07.FR.18")
def test_a_delta_of_a_number() -> None:
    rig = monitored()
    charge(rig, 1000)
    set_one(rig, kind="Delta", value=500)
    seen = []
    for power_w in (1400, 1500, 1501, 1900, 1000):
        charge(rig, power_w)
        seen += brief(rig)
    assert seen == [("Delta", "1501", False), ("Delta", "1000", False)]


@req("N07.FR.19")
def test_a_delta_of_a_text() -> None:
    rig = monitored()
    set_one(rig, STATE, "Delta", value=99)
    rig.observe(SessionPhase.CONNECTED)  # at once, not after a second
    assert brief(rig) == [("Delta", "Occupied", False)]
    rig.run_s(2.0)
    assert brief(rig) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        pytest.param("TargetDelta", 200, marks=req("N07.FR.22")),
        pytest.param("TargetDeltaRelative", 0.1, marks=req("N07.FR.23")),
    ],
)
@req("N07.FR.02")
def test_away_from_the_target(kind: str, value: float) -> None:
    rig = monitored()
    set_one(rig, kind=kind, value=value)
    seen = []
    for power_w in (2000, 1800, 1799, 2100, 2201):
        rig.observe(SessionPhase.ENERGY, power_w=power_w, wanted_w=2000)
        rig.run_s(1.0)
        seen += brief(rig)
    assert seen == [
        ("Alerting", "1799", False),
        ("Alerting", "2100", True),
        ("Alerting", "2201", False),
    ]


@req("N07.FR.06", "N07.FR.07", "N07.FR.20")
def test_an_event_names_its_monitor() -> None:
    rig = monitored()
    monitor_id = set_one(rig, severity=2)
    charge(rig, 4000)
    payload = rig.last("NotifyEvent").payload
    assert payload["seqNo"] == 0
    (event,) = events(rig)
    assert (event["component"], event["variable"]) == tuple(POWER.values())
    assert event["variableMonitoringId"] == monitor_id
    assert event["eventNotificationType"] == "CustomMonitor"
    assert event["severity"] == 2
    assert "cleared" not in event


@req("N07.FR.21")
def test_hard_wired_events_have_a_severity() -> None:
    rig = monitored()
    rig.observe(SessionPhase.CONNECTED)
    (event,) = rig.last("NotifyEvent").payload["eventData"]
    assert event["eventNotificationType"] == "HardWiredNotification"
    assert event["severity"] == 8


@req("N07.FR.05")
def test_the_fault_behind_it_is_its_cause() -> None:
    rig = monitored()
    set_one(rig, STATE, "Delta")
    rig.observe(faults=(ActiveFault("GroundFailure", 1, START),))
    told = [
        event
        for payload in rig.payloads("NotifyEvent")
        for event in payload["eventData"]
    ]
    fault = next(e for e in told if "techCode" in e)
    (event,) = events(rig)
    assert event["actualValue"] == "Faulted"
    assert event["cause"] == fault["eventId"]


def test_the_end_names_the_beginning() -> None:
    rig = monitored()
    set_one(rig)
    charge(rig, 4000)
    (begin,) = events(rig)
    charge(rig, 2000)
    (end,) = events(rig)
    assert end["cause"] == begin["eventId"]


@req("N07.FR.10")
def test_nothing_is_shown_of_what_is_only_written() -> None:
    rig = monitored(password="old secret, old secret")
    set_one(rig, PASSWORD, "Delta")
    secret = item("SecurityCtrlr", "BasicAuthPassword", "new secret, new secret")
    answer = rig.call("SetVariables", {"setVariableData": [secret]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
    rig.observe()
    assert brief(rig) == [("Delta", "", False)]


@req("N07.FR.11")
@pytest.mark.parametrize(
    ("before_w", "threshold", "told"),
    [
        (4000, 5000, [("Alerting", "4000", True)]),
        (4000, 3500, [UP]),
        (2000, 1000, [("Alerting", "2000", False)]),
        (2000, 2500, []),
    ],
)
def test_a_threshold_that_moves(
    before_w: float, threshold: float, told: list[Any]
) -> None:
    rig = monitored()
    monitor_id = set_one(rig, value=3000)
    charge(rig, before_w)
    events(rig)
    set_one(rig, value=threshold, id=monitor_id)
    rig.run_s(1.0)
    assert brief(rig) == told


@req("N07.FR.12")
def test_a_removed_threshold_is_not_cleared() -> None:
    rig = monitored()
    monitor_id = set_one(rig)
    charge(rig, 4000)
    events(rig)
    rig.call("ClearVariableMonitoring", {"id": [monitor_id]})
    charge(rig, 2000)
    assert events(rig) == []


@req("N07.FR.14")
@pytest.mark.parametrize("kind", ["UpperThreshold", "TargetDelta"])
def test_what_ended_while_we_were_away_is_told(kind: str) -> None:
    rig = monitored()
    set_one(rig, kind=kind, value=1000)
    charge(rig, 4000, wanted_w=0)
    assert brief(rig) == [UP]
    still = rig.restarted().boot()
    charge(still, 4000, wanted_w=0)
    assert events(still) == []
    gone = rig.restarted().boot()
    charge(gone, 800, wanted_w=0)
    assert brief(gone) == [("Alerting", "800", True)]
    again = gone.restarted().boot()
    charge(again, 0, wanted_w=0)
    assert events(again) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        pytest.param("UpperThreshold", 3000, marks=req("N07.FR.04")),
        pytest.param("Periodic", 30, marks=req("N08.FR.03")),
    ],
)
@pytest.mark.parametrize(("severity", "queued"), [(4, True), (5, False)])
def test_offline(kind: str, value: float, severity: int, queued: bool) -> None:
    rig = monitored()  # OfflineQueuingSeverity is 4
    set_one(rig, kind=kind, value=value, severity=severity)
    rig.link(False)
    charge(rig, 4000)
    rig.run_s(30.0)
    rig.observe(SessionPhase.ENERGY, power_w=100)
    rig.run_s(1.0)
    assert bool(events(rig)) is queued


@req("N08.FR.04", "N08.FR.05", "N08.FR.06")
def test_every_so_many_seconds() -> None:
    rig = monitored()
    rig.run_s(7.0)
    monitor_id = set_one(rig, kind="Periodic", value=20)
    charge(rig, 1500)
    rig.run_s(63.0)
    payloads = rig.payloads("NotifyEvent")
    assert {p["seqNo"] for p in payloads} == {0}
    told = events(rig)
    assert {e["variableMonitoringId"] for e in told} == {monitor_id}
    assert {e["trigger"] for e in told} == {"Periodic"}
    assert [e["timestamp"][14:19] for e in told] == ["00:27", "00:47", "01:07"]
    assert told[0]["actualValue"] == "1500"


@req("N08.FR.05", "N08.FR.07")
def test_on_the_clock() -> None:
    rig = monitored()
    rig.pass_s(50.0)
    set_one(rig, kind="PeriodicClockAligned", value=900)
    rig.pass_s(1800.0)
    told = events(rig)
    assert {e["trigger"] for e in told} == {"Periodic"}
    assert [e["timestamp"][11:19] for e in told] == ["08:15:00", "08:30:00"]


def test_only_in_a_transaction() -> None:
    rig = monitored()
    set_one(rig, transaction=True)
    rig.observe(SessionPhase.CONNECTED, power_w=4000)
    rig.run_s(2.0)
    assert events(rig) == []
    charge(rig, 4000)
    (event,) = events(rig)
    assert event["transactionId"]


def test_another_evse_is_not_judged_before_it_has_reported() -> None:
    rig = Rig(config(evses=2)).boot()
    rig.observe(evse_id=1)
    set_one(
        rig, item("EVSE", "Power", evse={"id": 2}), kind="LowerThreshold", value=500
    )
    rig.run_s(1.0)
    assert events(rig) == []
    rig.observe(evse_id=2)
    rig.run_s(1.0)
    assert brief(rig) == [("Alerting", "0", False)]


def test_a_short_condition_is_seen_between_seconds() -> None:
    rig = monitored()
    set_one(rig, STORE, "Delta")
    rig.observe(faults=(ActiveFault("StoreFault", 1, START),))
    rig.observe()
    assert brief(rig) == [("Delta", "true", False), ("Delta", "false", False)]


def test_2_0_1_knows_no_severity() -> None:
    rig = Rig(version=V201).boot()
    rig.observe()
    set_one(rig)
    charge(rig, 4000)
    (event,) = events(rig)
    assert "severity" not in event
