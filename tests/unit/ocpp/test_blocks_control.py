"""Block F: remote control, unlock, messages on demand."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import (
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    UnlockRequest,
)
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import statuses

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
TOKEN = {"idToken": CARD.value, "type": "ISO14443"}
START_CALL = {"evseId": 1, "remoteStartId": 7, "idToken": TOKEN}


@BOTH
def test_remote_start_asks_the_heart(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    assert rig.call("RequestStartTransaction", START_CALL) == {"status": "Accepted"}
    (request,) = rig.asked()
    assert request == StartRequest(1, CARD, 7, authorised=True, connect_s=60.0)


def test_remote_start_may_have_to_be_authorised() -> None:
    presets = {
        "AuthCtrlr.AuthorizeRemoteStart": True,
        "TxCtrlr.EVConnectionTimeOut": 9,
    }
    rig = Rig(config(device_model=presets)).boot()
    rig.observe(P.CONNECTED)
    rig.call("RequestStartTransaction", START_CALL)
    wanted = StartRequest(1, CARD, 7, authorised=False, connect_s=9.0)
    assert rig.asked() == [wanted]


@BOTH
@pytest.mark.parametrize(
    ("report", "evse_id", "reason"),
    [
        ({"phase": P.IDLE}, 9, "UnknownEvse"),
        ({"phase": P.IDLE, "operative": False}, 1, "UnsupportedRequest"),
        ({"phase": P.ENERGY, "authorised": True}, 1, "TxInProgress"),
    ],
)
def test_remote_start_refusals(
    version: str, report: dict[str, Any], evse_id: int, reason: str
) -> None:
    rig = Rig(version=version).boot()
    rig.observe(**report)
    rig.clear()
    answer = rig.call("RequestStartTransaction", {**START_CALL, "evseId": evse_id})
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == reason
    assert rig.asked() == []


def test_remote_start_before_registration_is_refused() -> None:
    rig = Rig()
    rig.boot("Pending")
    answer = rig.call("RequestStartTransaction", START_CALL)
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "CSNotAccepted"


def test_remote_start_without_evse_takes_the_plugged_one() -> None:
    rig = Rig(config(evses=2)).boot()
    rig.observe(evse_id=1)
    rig.observe(P.CONNECTED, evse_id=2)
    request = {"remoteStartId": 7, "idToken": TOKEN}
    assert rig.call("RequestStartTransaction", request) == {"status": "Accepted"}
    assert rig.asked()[0].evse_id == 2


def limit(watts: float, **more: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [
            {
                "id": 1,
                "chargingRateUnit": "W",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": watts}],
            }
        ],
        **more,
    }


@BOTH
def test_the_profile_of_a_remote_start_holds_for_its_transaction(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    request = {**START_CALL, "chargingProfile": limit(1234.0)}
    assert rig.call("RequestStartTransaction", request) == {"status": "Accepted"}
    assert rig.signal("ocpp.tx") is None
    rig.observe(P.STARTING, authorised=True, remote_start_id=7)
    assert rig.signal("ocpp.tx").at(rig.now.mono).limit_w == 1234.0
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    assert rig.signal("ocpp.tx") is None


def test_the_profile_of_another_start_is_not_used() -> None:
    rig = Rig().boot()
    rig.observe(P.CONNECTED)
    request = {**START_CALL, "chargingProfile": limit(1234.0)}
    rig.call("RequestStartTransaction", request)
    rig.observe(P.STARTING, authorised=True)  # a card was faster
    assert rig.signal("ocpp.tx") is None


@BOTH
def test_a_bad_profile_refuses_the_start(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    for made in (limit(-5.0), limit(5.0, transactionId="x")):
        answer = rig.call(
            "RequestStartTransaction", {**START_CALL, "chargingProfile": made}
        )
        assert isinstance(answer, dict)
        assert answer["status"] == "Rejected"
    assert rig.asked() == []


@BOTH
def test_remote_start_of_a_waiting_transaction_tells_its_id(version: str) -> None:
    preset = {"TxCtrlr.TxStartPoint": "EVConnected"}
    rig = Rig(config(device_model=preset), version=version).boot()
    rig.observe(P.CONNECTED)
    tx = rig.events()[0]["transactionInfo"]["transactionId"]
    request = {**START_CALL, "chargingProfile": limit(1234.0)}
    answer = rig.call("RequestStartTransaction", request)
    assert answer == {"status": "Accepted", "transactionId": tx}
    rig.observe(P.STARTING, authorised=True, remote_start_id=7)
    assert rig.events()[-1]["triggerReason"] == "RemoteStart"
    assert rig.events()[-1]["transactionInfo"]["remoteStartId"] == 7
    assert rig.signal("ocpp.tx").at(rig.now.mono).limit_w == 1234.0


@BOTH
def test_remote_stop(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.ENERGY, authorised=True)
    tx = rig.events()[0]["transactionInfo"]["transactionId"]
    answer = rig.call("RequestStopTransaction", {"transactionId": "other"})
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "TxNotFound"
    assert rig.call("RequestStopTransaction", {"transactionId": tx}) == {
        "status": "Accepted"
    }
    assert rig.asked() == [StopRequest(1, StopReason.REMOTE)]
    rig.observe(P.IDLE)  # the heart dropped the session without a word
    assert rig.events()[-1]["triggerReason"] == "RemoteStop"


@BOTH
@pytest.mark.parametrize(
    ("evse_id", "connector_id", "running", "status"),
    [
        (1, 1, False, "Unlocked"),
        (1, 1, True, "OngoingAuthorizedTransaction"),
        (1, 2, False, "UnknownConnector"),
        (2, 1, False, "UnknownConnector"),
    ],
)
def test_unlock(
    version: str, evse_id: int, connector_id: int, running: bool, status: str
) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.ENERGY if running else P.CONNECTED, authorised=running)
    request = {"evseId": evse_id, "connectorId": connector_id}
    answer = rig.call("UnlockConnector", request)
    assert isinstance(answer, dict)
    assert answer["status"] == status
    assert (UnlockRequest(1, 1) in rig.asked()) is (status == "Unlocked")


@BOTH
@pytest.mark.parametrize(
    ("message", "evse", "status", "action"),
    [
        ("BootNotification", None, "Rejected", None),
        ("Heartbeat", None, "Accepted", "Heartbeat"),
        ("MeterValues", None, "Accepted", "MeterValues"),
        ("MeterValues", {"id": 9}, "Rejected", None),
        ("TransactionEvent", {"id": 1}, "Accepted", "TransactionEvent"),
        ("TransactionEvent", {"id": 2}, "Rejected", None),
        ("LogStatusNotification", None, "Accepted", "LogStatusNotification"),
        ("FirmwareStatusNotification", None, "Accepted", "FirmwareStatusNotification"),
        ("SignCombinedCertificate", None, "NotImplemented", None),
        ("PublishFirmwareStatusNotification", None, "NotImplemented", None),
    ],
)
def test_trigger_message(
    version: str, message: str, evse: Any, status: str, action: str | None
) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(P.ENERGY, authorised=True)
    rig.observe(evse_id=2)
    rig.clear()
    request = {"requestedMessage": message, **({"evse": evse} if evse else {})}
    answer = rig.call("TriggerMessage", request)
    assert answer == {"status": status}
    assert {send.action for send in rig.sent} == ({action} if action else set())
    assert all(send.while_gated for send in rig.sent)


@BOTH
def test_triggered_status(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    rig.clear()
    request = {
        "requestedMessage": "StatusNotification",
        "evse": {"id": 1, "connectorId": 1},
    }
    assert rig.call("TriggerMessage", request) == {"status": "Accepted"}
    assert statuses(rig) == [(1, "Occupied")]


def test_a_pending_station_may_be_asked_to_boot() -> None:
    rig = Rig()
    rig.boot("Pending")
    request = {"requestedMessage": "BootNotification"}
    assert rig.call("TriggerMessage", request) == {"status": "Accepted"}
    assert rig.last("BootNotification").payload["reason"] == "Triggered"
    rig.call("TriggerMessage", request)
    assert len(rig.payloads("BootNotification")) == 2  # one in flight is enough
