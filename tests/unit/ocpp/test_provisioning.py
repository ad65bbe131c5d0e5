"""Registration with the CSMS (B01 to B04), the clock, heartbeats (G02)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chargerd import __version__
from chargerd.clock import Now
from chargerd.config import Config
from chargerd.model import Authorisation, AuthQuestion, SessionPhase, Token
from chargerd.ocpp.effects import (
    CallError,
    Durability,
    Gate,
    LearnTime,
    Reconnect,
    SetGate,
)
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import COMM, get_one, item, set_one, statuses

BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req
P = SessionPhase


def gates(rig: Rig) -> list[Gate]:
    return [e.gate for e in rig.effects if isinstance(e, SetGate)]


def learnt(rig: Rig) -> list[Any]:
    return [e.utc for e in rig.effects if isinstance(e, LearnTime)]


def actions(rig: Rig, *, gated: bool = True) -> list[str]:
    """What was sent; with `gated` also what waits for Accepted."""
    return [send.action for send in rig.sent if gated or send.while_gated]


def boots(rig: Rig) -> int:
    return len(rig.payloads("BootNotification"))


# B01: cold boot.


@req("B01.FR.01", "B01.FR.04", "B01.FR.06", "B01.FR.09", "G02.FR.01")
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
    assert learnt(rig) == [rig.now.utc]
    interval = get_one(rig, item(COMM, "HeartbeatInterval"))
    assert interval["attributeValue"] == "120"
    again = rig.restarted()
    assert again.station._desk.model.text(COMM, "HeartbeatInterval") == "120"


@req("B01.FR.01")
def test_the_identity_comes_from_the_config_file() -> None:
    identity = {
        "id": "CP1", "vendor": "ACME", "model": "V2H-6", "serial": "SN-17",
        "firmware": "9.8.7", "iccid": "8981", "imsi": "44010",
    }  # fmt: skip
    rig = Rig(config())
    made = rig.conf.model_dump() | {"station": identity}
    rig = Rig(Config.model_validate(made)).boot()
    assert rig.last("BootNotification").payload["chargingStation"] == {
        "vendorName": "ACME",
        "model": "V2H-6",
        "serialNumber": "SN-17",
        "firmwareVersion": "9.8.7",
        "modem": {"iccid": "8981", "imsi": "44010"},
    }
    for component, variable, value in (
        ("ChargingStation", "VendorName", "ACME"),
        ("ChargingStation", "Model", "V2H-6"),
        ("ChargingStation", "SerialNumber", "SN-17"),
        ("ChargingStation", "FirmwareVersion", "9.8.7"),
        ("DataLink", "ICCID", "8981"),
        ("DataLink", "IMSI", "44010"),
    ):
        assert get_one(rig, item(component, variable))["attributeValue"] == value


@req("B06.FR.13")
def test_what_is_not_configured_is_left_out_or_empty() -> None:
    rig = Rig().boot()
    identity = rig.last("BootNotification").payload["chargingStation"]
    assert "modem" not in identity
    assert identity["firmwareVersion"] == __version__
    result = get_one(rig, item("DataLink", "ICCID"))
    assert (result["attributeStatus"], result["attributeValue"]) == ("Accepted", "")


@req("B01.FR.03", "B01.FR.09")
@BOTH
def test_each_start_boots(version: str) -> None:
    rig = Rig(version=version).boot()
    again = rig.restarted(boot_reason="Watchdog")
    again.link()
    assert again.last("BootNotification").payload["reason"] == "Watchdog"


@req("B01.FR.05")
@BOTH
def test_accepted_reports_each_connector(version: str) -> None:
    rig = Rig(config(evses=2), version=version)
    rig.observe()
    rig.observe(P.CONNECTED, evse_id=2)
    rig.boot()
    assert statuses(rig) == [(1, "Available"), (2, "Occupied")]
    told = "NotifyEvent" if version == V21 else "StatusNotification"
    assert len(rig.payloads(told)) == 2


@req("B01.FR.08", "B02.FR.02")
@BOTH
@pytest.mark.parametrize("status", [None, "Pending", "Rejected"])
def test_nothing_but_the_boot_leaves_before_accepted(
    version: str, status: str | None
) -> None:
    """What was queued is gated; `queue.py` keeps it (test_queue.py: test_gate)."""
    rig = Rig(version=version)
    rig.observe()
    rig.link()
    if status:
        rig.boot(status, interval=3600)
    rig.observe(P.CONNECTED)
    rig.run_s(30)
    assert set(actions(rig, gated=False)) == {"BootNotification"}
    expected = {None: Gate.BOOT, "Pending": Gate.BOOT, "Rejected": Gate.SILENT}
    assert gates(rig)[-1] is expected[status]


def test_failed_boot_is_tried_again() -> None:
    rig = Rig()
    rig.link()
    rig.answer(rig.last("BootNotification"), CallError("InternalError"))
    rig.pass_s(31)
    assert boots(rig) == 2


def test_a_link_lost_during_the_boot_boots_at_once_on_the_next() -> None:
    rig = Rig()
    rig.link()
    rig.answer(rig.last("BootNotification"), CallError("GenericError", "link lost"))
    rig.link(up=False)
    rig.pass_s(3)
    rig.link()
    assert boots(rig) == 2


# B02 and B03: Pending and Rejected.


@pytest.mark.parametrize(
    ("status", "gate", "interval", "wait_s"),
    [
        pytest.param("Pending", Gate.BOOT, 45, 45,
                     marks=req("B02.FR.04", "B02.FR.08")),
        pytest.param("Pending", Gate.BOOT, 0, 30, marks=req("B02.FR.07")),
        pytest.param("Rejected", Gate.SILENT, 45, 45,
                     marks=req("B03.FR.02", "B03.FR.06")),
        pytest.param("Rejected", Gate.SILENT, 0, 30, marks=req("B03.FR.05")),
    ],
)  # fmt: skip
@BOTH
def test_boot_is_repeated_after_the_interval(
    version: str, status: str, gate: Gate, interval: int, wait_s: float
) -> None:
    rig = Rig(version=version)
    rig.boot(status, interval)
    assert gates(rig)[-1] is gate
    assert boots(rig) == 1
    rig.pass_s(wait_s - 1)
    assert boots(rig) == 1
    rig.pass_s(2)
    assert boots(rig) == 2


@req("B02.FR.04")
def test_a_trigger_boots_before_the_interval_is_over() -> None:
    rig = Rig()
    rig.boot("Pending", 3600)
    request = {"requestedMessage": "BootNotification"}
    assert rig.call("TriggerMessage", request) == {"status": "Accepted"}
    assert rig.last("BootNotification").payload["reason"] == "Triggered"
    assert boots(rig) == 2


@req("B02.FR.01", "B02.FR.02")
@BOTH
def test_pending_answers_and_reports_what_is_asked_for(version: str) -> None:
    rig = Rig(version=version)
    rig.boot("Pending", 3600)
    rig.observe()
    rig.clear()
    result = set_one(rig, item(COMM, "OfflineThreshold", "9"))
    assert result["attributeStatus"] == "Accepted"
    assert get_one(rig, item(COMM, "OfflineThreshold"))["attributeValue"] == "9"
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "SummaryInventory"})
    rig.call("GetReport", {"requestId": 2})
    rig.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    rig.call("TriggerMessage", {
        "requestedMessage": "StatusNotification",
        "evse": {"id": 1, "connectorId": 1},
    })  # fmt: skip
    assert set(actions(rig)) == set(actions(rig, gated=False))
    state = "NotifyEvent" if version == V21 else "StatusNotification"
    assert set(actions(rig)) == {"NotifyReport", "Heartbeat", state}


@req("B02.FR.05")
@BOTH
@pytest.mark.parametrize(
    ("action", "request_"),
    [
        ("RequestStopTransaction", {"transactionId": "x"}),
        ("RequestStartTransaction", {
            "remoteStartId": 1, "idToken": {"idToken": "A", "type": "Central"},
        }),
    ],
)  # fmt: skip
def test_pending_refuses_remote_control(
    version: str, action: str, request_: dict[str, Any]
) -> None:
    rig = Rig(version=version)
    rig.boot("Pending", 60)
    answer = rig.call(action, request_)
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "CSNotAccepted"


@req("B02.FR.06")
def test_pending_leaves_the_link_alone_and_waits_over_a_new_one() -> None:
    rig = Rig()
    rig.boot("Pending", interval=60)
    rig.pass_s(20)
    assert not any(isinstance(e, Reconnect) for e in rig.effects)
    rig.link(up=False)
    rig.pass_s(5)
    rig.link()
    assert gates(rig)[-1] is Gate.BOOT
    assert boots(rig) == 1
    rig.pass_s(60)
    assert boots(rig) == 2


def test_a_trigger_boots_also_after_a_lost_boot() -> None:
    rig = Rig()
    rig.boot("Pending", interval=60)
    rig.pass_s(61)
    assert boots(rig) == 2  # under way when the link is lost
    rig.link(up=False)
    rig.answer(rig.last("BootNotification"), CallError("GenericError", "link lost"))
    rig.link()
    rig.answer(
        rig.last("BootNotification"),
        {"currentTime": rig.time(), "interval": 60, "status": "Pending"},
    )
    rig.link(up=False)
    rig.link()
    rig.call("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert boots(rig) == 4


@req("B03.FR.02")
def test_rejected_stays_silent_over_a_reconnect() -> None:
    rig = Rig()
    rig.boot("Rejected", interval=60)
    rig.link(up=False)
    rig.pass_s(5)
    rig.link()
    assert gates(rig)[-1] is Gate.SILENT
    assert boots(rig) == 1


@req("B03.FR.08")
@BOTH
@pytest.mark.parametrize(
    ("action", "request_"),
    [
        ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}),
        ("TriggerMessage", {"requestedMessage": "BootNotification"}),
        ("PublishFirmware", {}),
    ],
)
def test_rejected_answers_with_a_security_error(
    version: str, action: str, request_: dict[str, Any]
) -> None:
    rig = Rig(version=version)
    rig.boot("Rejected", interval=60)
    rig.clear()
    answer = rig.station.call(action, request_, rig.now)
    assert isinstance(answer, CallError)
    assert answer.code == "SecurityError"
    assert rig.drain() == []
    rig.pass_s(61)
    rig.answer(
        rig.last("BootNotification"),
        {"currentTime": rig.time(), "interval": 60, "status": "Accepted"},
    )
    heard = rig.station.call(action, request_, rig.now)
    assert not isinstance(heard, CallError) or heard.code == "NotSupported"


@req("B02.FR.03", "B03.FR.01")
@BOTH
@pytest.mark.parametrize("allowed", [True, False])
def test_transactions_before_accepted(version: str, allowed: bool) -> None:
    presets = {
        "TxCtrlr.TxBeforeAcceptedEnabled": allowed,
        "AuthCtrlr.OfflineTxForUnknownIdEnabled": True,
    }
    rig = Rig(config(device_model=presets), version=version)
    rig.boot("Rejected", interval=3600)
    rig.station.ask(AuthQuestion(1, CARD), rig.now)
    rig.drain()
    (answer,) = [r for r in rig.asked() if isinstance(r, Authorisation)]
    assert answer.accepted is allowed
    if allowed:
        rig.observe(P.CONNECTED)
        rig.observe(P.ENERGY, authorised=True)
        send = rig.last("TransactionEvent")
        assert send.durability is Durability.DURABLE
        assert not send.while_gated  # queued, until the CSMS accepts


def test_a_station_once_accepted_may_start_offline() -> None:
    presets = {
        "TxCtrlr.TxBeforeAcceptedEnabled": False,
        "AuthCtrlr.OfflineTxForUnknownIdEnabled": True,
    }
    rig = Rig(config(device_model=presets)).boot()
    rig.link(up=False)
    rig.station.ask(AuthQuestion(1, Token("X1")), rig.now)
    rig.drain()
    (answer,) = [r for r in rig.asked() if isinstance(r, Authorisation)]
    assert answer.accepted


# B04: back after a time offline.


@BOTH
@pytest.mark.parametrize(
    ("away_s", "told"),
    [
        pytest.param(20, [(2, "Occupied")], marks=req("B04.FR.02")),
        pytest.param(61, [(1, "Available"), (2, "Occupied")], marks=req("B04.FR.01")),
    ],
)
def test_what_is_told_after_a_time_offline(
    version: str, away_s: float, told: list[tuple[int, str]]
) -> None:
    rig = Rig(config(evses=2), version=version)
    for evse_id in (1, 2):
        rig.observe(evse_id=evse_id)
    rig.boot()
    rig.clear()
    rig.link(up=False)
    rig.observe(P.CONNECTED, evse_id=2)
    rig.pass_s(away_s)
    rig.link()
    assert boots(rig) == 0
    assert statuses(rig) == told


# The clock, and G02.


@req("G02.FR.02", "G02.FR.06")
@BOTH
def test_heartbeat_after_silence_learns_the_time(version: str) -> None:
    rig = Rig(version=version)
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
    assert learnt(rig) == [ahead]
    kinds = [p["type"] for p in rig.payloads("SecurityEventNotification")]
    assert kinds == ["SettingSystemTime"]


@req("G02.FR.05", "G02.FR.07")
def test_messages_put_heartbeats_off_but_one_a_day_remains() -> None:
    rig = Rig()
    rig.boot(interval=600)
    rig.clear()
    request = {
        "requestedMessage": "StatusNotification",
        "evse": {"id": 1, "connectorId": 1},
    }
    rig.observe()
    for _ in range(24 * 12 - 1):  # a message each five minutes, for a day
        assert rig.payloads("Heartbeat") == []
        rig.pass_s(299)
        rig.call("TriggerMessage", request)
        rig.pass_s(1)
    rig.pass_s(300)
    assert len(rig.payloads("Heartbeat")) == 1


def test_no_heartbeat_while_offline() -> None:
    rig = Rig()
    rig.boot(interval=60)
    rig.link(up=False)
    rig.clear()
    rig.pass_s(1000)
    assert rig.payloads("Heartbeat") == []


@req("B01.FR.06")
@pytest.mark.parametrize("source", ["NTP", "NTP,RealTimeClock", "NTP,Heartbeat"])
def test_another_time_source_means_another_clock(source: str) -> None:
    rig = Rig(config(device_model={"ClockCtrlr.TimeSource": source})).boot()
    assert bool(learnt(rig)) is ("Heartbeat" in source)


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
