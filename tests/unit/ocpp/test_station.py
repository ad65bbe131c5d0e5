"""Registration, link, heartbeats, routing: the station as the shell sees it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chargerd.clock import Now
from chargerd.model import SessionPhase
from chargerd.ocpp.effects import (
    CallError,
    Durability,
    Gate,
    LearnTime,
    OcppError,
    SetGate,
)
from chargerd.ocpp.station import OcppStation
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

BOTH = pytest.mark.parametrize("version", [V21, V201])


def gates(rig: Rig) -> list[Gate]:
    return [e.gate for e in rig.effects if isinstance(e, SetGate)]


@BOTH
def test_boot_comes_first_and_accepted_opens_the_gate(version: str) -> None:
    rig = Rig(version=version)
    rig.observe()
    rig.link()
    boot = rig.last("BootNotification")
    assert boot.first
    assert boot.while_gated
    assert boot.payload["reason"] == "PowerUp"
    assert gates(rig) == [Gate.BOOT]
    rig.answer(boot, {"currentTime": rig.time(), "interval": 120, "status": "Accepted"})
    assert gates(rig)[-1] is Gate.OPEN
    assert rig.station.variable("OCPPCommCtrlr", "HeartbeatInterval") == "120"
    assert any(isinstance(e, LearnTime) for e in rig.effects)
    told = "NotifyEvent" if version == V21 else "StatusNotification"
    assert len(rig.payloads(told)) == 1


def test_2_1_reports_availability_by_notify_event() -> None:
    rig = Rig()
    rig.observe()
    rig.boot()
    event = rig.payloads("NotifyEvent")[0]["eventData"][0]
    assert event["variable"]["name"] == "AvailabilityState"
    assert event["actualValue"] == "Available"
    assert event["component"]["evse"] == {"id": 1, "connectorId": 1}


@pytest.mark.parametrize(
    ("status", "gate"), [("Pending", Gate.BOOT), ("Rejected", Gate.SILENT)]
)
def test_boot_is_repeated_after_the_interval(status: str, gate: Gate) -> None:
    rig = Rig()
    rig.boot(status, interval=30)
    assert gates(rig)[-1] is gate
    assert len(rig.payloads("BootNotification")) == 1
    rig.pass_s(29)
    assert len(rig.payloads("BootNotification")) == 1
    rig.pass_s(2)
    assert len(rig.payloads("BootNotification")) == 2


def test_rejected_stays_silent_over_a_reconnect() -> None:
    rig = Rig()
    rig.boot("Rejected", interval=60)
    rig.link(up=False)
    rig.pass_s(5)
    rig.link()
    assert gates(rig)[-1] is Gate.SILENT
    assert len(rig.payloads("BootNotification")) == 1


def test_failed_boot_is_tried_again() -> None:
    rig = Rig()
    rig.link()
    rig.answer(rig.last("BootNotification"), CallError("InternalError"))
    rig.pass_s(31)
    assert len(rig.payloads("BootNotification")) == 2


def test_a_link_lost_during_the_boot_boots_at_once_on_the_next() -> None:
    rig = Rig()
    rig.link()
    rig.answer(rig.last("BootNotification"), CallError("GenericError", "link lost"))
    rig.link(up=False)
    rig.pass_s(3)
    rig.link()
    assert len(rig.payloads("BootNotification")) == 2


def test_pending_waits_over_a_reconnect_and_refuses_remote_control() -> None:
    rig = Rig()
    rig.boot("Pending", interval=60)
    rig.link(up=False)
    rig.pass_s(5)
    rig.link()
    assert gates(rig)[-1] is Gate.BOOT
    assert len(rig.payloads("BootNotification")) == 1
    answer = rig.call("RequestStopTransaction", {"transactionId": "x"})
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "CSNotAccepted"
    rig.pass_s(60)
    assert len(rig.payloads("BootNotification")) == 2


def test_reconnect_sends_no_second_boot_and_only_changed_states() -> None:
    rig = Rig(config(evses=2))
    for evse_id in (1, 2):
        rig.observe(evse_id=evse_id)
    rig.boot()
    rig.clear()
    rig.link(up=False)
    rig.observe(SessionPhase.CONNECTED, evse_id=2)
    rig.pass_s(20)
    rig.link()
    assert rig.payloads("BootNotification") == []
    told = [p["eventData"][0] for p in rig.payloads("NotifyEvent")]
    assert [e["component"]["evse"]["id"] for e in told] == [2]
    assert told[0]["actualValue"] == "Occupied"


def test_long_offline_reports_all_connectors() -> None:
    rig = Rig(config(evses=2))
    for evse_id in (1, 2):
        rig.observe(evse_id=evse_id)
    rig.boot()
    rig.clear()
    rig.link(up=False)
    rig.pass_s(61)
    rig.link()
    assert len(rig.payloads("NotifyEvent")) == 2


def test_heartbeat_after_silence_learns_the_time() -> None:
    rig = Rig()
    rig.boot(interval=60)
    rig.clear()
    rig.pass_s(59)
    assert rig.payloads("Heartbeat") == []
    rig.pass_s(2)
    assert rig.last("Heartbeat").durability is Durability.NOW_OR_NEVER
    rig.clear()
    ahead = rig.now.utc + timedelta(seconds=90)
    rig.station.result(0, "Heartbeat", {}, {"currentTime": ahead.isoformat()}, rig.now)
    assert rig.drain() == []  # handle 0 is nobody's
    rig.pass_s(60)
    rig.answer(rig.last("Heartbeat"), {"currentTime": ahead.isoformat()})
    assert [e.utc for e in rig.effects if isinstance(e, LearnTime)] == [ahead]
    assert "SettingSystemTime" in [
        p["type"] for p in rig.payloads("SecurityEventNotification")
    ]


def test_no_heartbeat_while_offline() -> None:
    rig = Rig()
    rig.boot(interval=60)
    rig.link(up=False)
    rig.clear()
    rig.pass_s(1000)
    assert rig.payloads("Heartbeat") == []


def test_startup_is_a_durable_security_event() -> None:
    rig = Rig()
    assert rig.station.next_timer() == 0.0
    rig.pass_s(0.1)
    send = rig.last("SecurityEventNotification")
    assert send.payload["type"] == "StartupOfTheDevice"
    assert send.durability is Durability.DURABLE


@BOTH
def test_unsupported_actions_are_not_supported(version: str) -> None:
    rig = Rig(version=version)
    rig.boot()
    answer = rig.station.call("GetLog", {}, rig.now)
    assert answer == CallError("NotSupported", "GetLog is not supported")


def test_2_1_actions_do_not_exist_on_a_2_0_1_link() -> None:
    rig = Rig(version=V201)
    rig.boot()
    payload = {"chargingProfileId": 1, "scheduleUpdate": {}}
    answer = rig.station.call("UpdateDynamicSchedule", payload, rig.now)
    assert isinstance(answer, CallError)


def test_unknown_boot_reason_is_an_error() -> None:
    with pytest.raises(OcppError, match="boot reason"):
        OcppStation(config(), {}, "BecauseICan")


def test_a_report_of_an_unknown_evse_is_ignored() -> None:
    rig = Rig().boot()
    rig.clear()
    rig.observe(SessionPhase.ENERGY, evse_id=7, authorised=True)
    assert rig.effects == []


def test_untrusted_clock_makes_no_setting_time_event() -> None:
    rig = Rig()
    rig.now = Now(rig.now.mono, rig.now.utc, trusted=False)
    rig.link()
    ahead = rig.now.utc + timedelta(days=1)
    rig.answer(
        rig.last("BootNotification"),
        {"currentTime": ahead.isoformat(), "interval": 60, "status": "Accepted"},
    )
    kinds = [p["type"] for p in rig.payloads("SecurityEventNotification")]
    assert kinds == ["StartupOfTheDevice"]
