"""Block F: remote control, unlock, messages on demand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chargerd.model import (
    ActiveFault,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    UnlockRequest,
)
from firmware_bridge.api import PilotReading, Reading, Telemetry
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config

P = SessionPhase
req = pytest.mark.req
FAULT = (ActiveFault("GroundFault", 1, datetime(2026, 11, 23, tzinfo=UTC)),)
BOTH = pytest.mark.parametrize("version", [V21, V201])
TOKEN = {"idToken": CARD.value, "type": "ISO14443"}
START_CALL = {"evseId": 1, "remoteStartId": 7, "idToken": TOKEN}


@BOTH
@req("F01.FR.02", "F01.FR.06", "F02.FR.10", "F02.FR.14")
def test_remote_start_asks_the_heart(version: str) -> None:
    """At the EVSE that is named, though another one waits as well."""
    rig = Rig(config(evses=2), version=version).boot()
    for evse_id in (1, 2):
        rig.observe(P.CONNECTED, evse_id=evse_id)
    answer = rig.call("RequestStartTransaction", {**START_CALL, "evseId": 2})
    assert answer == {"status": "Accepted"}
    (request,) = rig.asked()
    assert request == StartRequest(2, CARD, 7, authorised=True, connect_s=60.0)


def test_of_two_remote_starts_in_one_tick_the_first_counts() -> None:
    rig = Rig(config(evses=2)).boot()
    for evse_id in (1, 2):
        rig.observe(P.CONNECTED, evse_id=evse_id)
    rig.call("RequestStartTransaction", START_CALL)
    second = rig.call("RequestStartTransaction", {**START_CALL, "remoteStartId": 8})
    assert isinstance(second, dict)
    assert second["status"] == "Rejected"
    anywhere = {"remoteStartId": 9, "idToken": TOKEN}
    assert rig.call("RequestStartTransaction", anywhere) == {"status": "Accepted"}
    asked = [r for r in rig.asked() if isinstance(r, StartRequest)]
    assert [(r.evse_id, r.remote_start_id) for r in asked] == [(1, 7), (2, 9)]


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
        pytest.param(
            {"phase": P.IDLE, "operative": False}, 1, "UnsupportedRequest",
            marks=req("F01.FR.23", "F02.FR.25"),
        ),
        pytest.param(
            {"phase": P.IDLE, "faults": FAULT}, 1, "UnsupportedRequest",
            marks=req("F01.FR.23", "F02.FR.25"),
        ),
        pytest.param(
            {"phase": P.ENERGY, "authorised": True}, 1, "TxInProgress",
            marks=req("F01.FR.24", "F02.FR.26"),
        ),
    ],
)  # fmt: skip
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


@BOTH
@pytest.mark.parametrize("why", ["availability", "reset"])
def test_remote_start_where_nothing_may_begin_any_more_is_refused(
    version: str, why: str
) -> None:
    """A vehicle stands there, so it is Occupied; yet the heart starts nothing."""
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(P.ENERGY, authorised=True, evse_id=2)
    rig.observe(P.CONNECTED)
    if why == "reset":
        assert rig.call("Reset", {"type": "OnIdle"}) == {"status": "Scheduled"}
    else:
        request = {"operationalStatus": "Inoperative", "evse": {"id": 1}}
        assert rig.call("ChangeAvailability", request) == {"status": "Accepted"}
    rig.clear()
    for request in (START_CALL, {"remoteStartId": 8, "idToken": TOKEN}):
        answer = rig.call("RequestStartTransaction", request)
        assert isinstance(answer, dict)
        assert answer["status"] == "Rejected"
    assert rig.asked() == []


def test_remote_start_before_registration_is_refused() -> None:
    rig = Rig()
    rig.boot("Pending")
    answer = rig.call("RequestStartTransaction", START_CALL)
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "CSNotAccepted"


@BOTH
@req("F01.FR.20", "F02.FR.22")
def test_remote_start_without_evse_takes_the_plugged_one(version: str) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(evse_id=1)
    rig.observe(P.CONNECTED, evse_id=2)
    request = {"remoteStartId": 7, "idToken": TOKEN}
    assert rig.call("RequestStartTransaction", request) == {"status": "Accepted"}
    assert rig.asked()[0].evse_id == 2


def test_a_vehicle_whose_transaction_has_yet_to_end_is_not_the_waiting_one() -> None:
    presets = {"TxCtrlr.TxStopPoint": "EVConnected"}
    rig = Rig(config(evses=2, device_model=presets)).boot()
    rig.observe(P.ENERGY, authorised=True)
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    rig.observe(evse_id=2)
    rig.clear()
    request = {"remoteStartId": 7, "idToken": TOKEN}
    assert rig.call("RequestStartTransaction", request) == {"status": "Accepted"}
    assert rig.asked()[0].evse_id == 2


@BOTH
@pytest.mark.parametrize(
    "seen",
    [{"phase": P.ENERGY, "authorised": True}, {"operative": False}, {"faults": FAULT}],
)
def test_remote_start_without_a_free_evse_is_refused(
    version: str, seen: dict[str, Any]
) -> None:
    rig = Rig(version=version).boot()
    rig.observe(**seen)
    rig.clear()
    answer = rig.call("RequestStartTransaction", {"remoteStartId": 7, "idToken": TOKEN})
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert rig.asked() == []


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
@req("F01.FR.10", "F02.FR.18")
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
@req(
    "F01.FR.09", "F01.FR.11", "F01.FR.26", "F02.FR.17", "F02.FR.19", "F02.FR.27",
)  # fmt: skip
def test_a_bad_profile_refuses_the_start(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    bad = (
        limit(-5.0),
        limit(5.0, transactionId="x"),
        limit(5.0, chargingProfilePurpose="TxDefaultProfile"),
    )
    for made in bad:
        answer = rig.call(
            "RequestStartTransaction", {**START_CALL, "chargingProfile": made}
        )
        assert isinstance(answer, dict)
        assert answer["status"] == "Rejected"
    assert rig.asked() == []


@BOTH
@req("F01.FR.13", "F01.FR.19", "F01.FR.25")
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
@req("F03.FR.07", "F03.FR.08")
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
@req("F01.FR.12", "F02.FR.20")
def test_without_smart_charging_a_profile_is_ignored(version: str) -> None:
    preset = {"SmartChargingCtrlr.Enabled": False}
    rig = Rig(config(device_model=preset), version=version).boot()
    rig.observe(P.CONNECTED)
    request = {**START_CALL, "chargingProfile": limit(-5.0)}
    assert rig.call("RequestStartTransaction", request) == {"status": "Accepted"}
    rig.observe(P.ENERGY, authorised=True, remote_start_id=7)
    assert rig.signal("ocpp.tx") is None


# What its transaction tells.


def told(rig: Rig) -> list[tuple[str, str, int | None]]:
    return [
        (e["eventType"], e["triggerReason"], e["transactionInfo"].get("remoteStartId"))
        for e in rig.events()
    ]


@BOTH
@pytest.mark.parametrize(
    ("start_point", "phases", "events"),
    [
        pytest.param(
            "EVConnected",
            [P.CONNECTED, P.STARTING, P.ENERGY],
            [
                ("Started", "CablePluggedIn", None),
                ("Updated", "RemoteStart", 7),
                ("Updated", "ChargingStateChanged", None),
            ],
            marks=req("F01.FR.05", "F01.FR.17", "F01.FR.18", "F01.FR.19"),
        ),
        pytest.param(
            "PowerPathClosed",
            [P.CONNECTED, P.STARTING],
            [("Started", "RemoteStart", 7)],
            marks=req("F01.FR.05", "F01.FR.19"),
        ),
        pytest.param(
            "Authorized",
            [P.IDLE, P.STARTING],
            [("Started", "RemoteStart", 7), ("Updated", "CablePluggedIn", None)],
            marks=req("F02.FR.01", "F02.FR.13", "F02.FR.21"),
        ),
        pytest.param(
            "EVConnected",
            [P.IDLE, P.STARTING],
            [("Started", "RemoteStart", 7)],
            marks=req("F02.FR.01", "F02.FR.13", "F02.FR.21"),
        ),
    ],
)
@req("F01.FR.03", "F01.FR.04", "F02.FR.05", "F02.FR.11", "F02.FR.12")
def test_the_transaction_of_a_remote_start(
    version: str,
    start_point: str,
    phases: list[SessionPhase],
    events: list[tuple[str, str, int | None]],
) -> None:
    presets = {
        "TxCtrlr.TxStartPoint": start_point,
        "SampledDataCtrlr.TxUpdatedInterval": 0,
    }
    rig = Rig(config(device_model=presets), version=version).boot()
    first, *later = phases
    rig.observe(first if first is P.CONNECTED else P.IDLE)
    answer = rig.call("RequestStartTransaction", START_CALL)
    assert isinstance(answer, dict)
    assert answer["status"] == "Accepted"
    if first is P.IDLE:
        rig.observe(P.IDLE, authorised=True, remote_start_id=7)
    for phase in later:
        rig.observe(phase, authorised=True, remote_start_id=7)
    assert told(rig) == events
    tokens = [event["idToken"] for event in rig.events() if "idToken" in event]
    assert tokens == [TOKEN]


@BOTH
@req("F02.FR.07")
@pytest.mark.parametrize("stop_point", ["Authorized", "EVConnected"])
def test_who_does_not_plug_in_ends_it(version: str, stop_point: str) -> None:
    points = {"TxCtrlr.TxStartPoint": "Authorized", "TxCtrlr.TxStopPoint": stop_point}
    rig = Rig(config(device_model=points), version=version).boot()
    rig.observe(P.IDLE, authorised=True, remote_start_id=7)
    rig.observe(P.IDLE, stop=StopReason.TIMEOUT)
    ended = rig.events()[-1]
    assert (ended["eventType"], ended["triggerReason"]) == ("Ended", "EVConnectTimeout")
    assert ended["transactionInfo"]["stoppedReason"] == "Timeout"


@BOTH
@req(
    "F01.FR.14", "F01.FR.15", "F02.FR.02", "F02.FR.03", "F03.FR.04", "F04.FR.04",
)  # fmt: skip
def test_its_events_carry_their_measurands(version: str) -> None:
    kinds = ("Started", "Updated", "Ended")
    names = ("Energy.Active.Export.Register", "Power.Active.Import", "SoC")
    presets: dict[str, Any] = {
        f"SampledDataCtrlr.Tx{kind}Measurands": name
        for kind, name in zip(kinds, names, strict=True)
    }
    presets["SampledDataCtrlr.TxUpdatedInterval"] = 10
    rig = Rig(config(device_model=presets), version=version).boot()
    rig.observe(P.CONNECTED)
    rig.observe(P.ENERGY, authorised=True, remote_start_id=7)
    rig.run_s(10)
    number = rig.events()[0]["transactionInfo"]["transactionId"]
    rig.call("RequestStopTransaction", {"transactionId": number})
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.REMOTE)
    found = {
        event["eventType"]: {
            sample["measurand"]
            for value in event.get("meterValue", [])
            for sample in value["sampledValue"]
        }
        for event in rig.events()
    }
    assert found == {kind: {name} for kind, name in zip(kinds, names, strict=True)}


# UnlockConnector.


def lock(rig: Rig, closed: bool, phase: SessionPhase = P.CONNECTED) -> None:
    pilot = Reading(PilotReading(locked=closed), rig.now.mono)
    rig.observe(phase, telemetry=Telemetry(pilot=pilot))


UNLOCK = {"evseId": 1, "connectorId": 1}


@BOTH
@pytest.mark.parametrize("phase", [P.IDLE, P.CONNECTED, P.FINISHED])
@req("F05.FR.01", "F05.FR.04", "F05.FR.06")
def test_unlocked_is_what_the_lock_says(version: str, phase: SessionPhase) -> None:
    rig = Rig(version=version).boot()
    lock(rig, True, phase)
    promised = rig.call_later("UnlockConnector", UNLOCK)
    assert rig.asked() == [UnlockRequest(1, 1)]
    rig.pass_s(1)
    lock(rig, True, phase)
    lock(rig, False, phase)
    assert rig.replied(promised) == {"status": "Unlocked"}
    rig.pass_s(10)
    lock(rig, False, phase)
    assert rig.replied(promised) == {"status": "Unlocked"}  # once


@BOTH
@req("F05.FR.05")
def test_a_lock_that_stays_closed_has_failed(version: str) -> None:
    rig = Rig(version=version).boot()
    lock(rig, True)
    promised = [rig.call_later("UnlockConnector", UNLOCK) for _ in range(2)]
    rig.pass_s(6)
    for one in promised:
        answer = rig.replied(one)
        assert isinstance(answer, dict)
        assert answer["status"] == "UnlockFailed"


@BOTH
@pytest.mark.parametrize(
    ("evse_id", "connector_id", "running", "status"),
    [
        pytest.param(1, 1, False, "Unlocked", marks=req("F05.FR.04")),
        pytest.param(
            1, 1, True, "OngoingAuthorizedTransaction", marks=req("F05.FR.02")
        ),
        pytest.param(1, 2, False, "UnknownConnector", marks=req("F05.FR.03")),
        pytest.param(2, 1, False, "UnknownConnector", marks=req("F05.FR.03")),
    ],
)
def test_unlock(
    version: str, evse_id: int, connector_id: int, running: bool, status: str
) -> None:
    """A lock that is open, or says nothing, is unlocked all the same."""
    rig = Rig(version=version).boot()
    rig.observe(P.ENERGY if running else P.CONNECTED, authorised=running)
    request = {"evseId": evse_id, "connectorId": connector_id}
    answer = rig.call("UnlockConnector", request)
    assert answer == {"status": status}
    assert (UnlockRequest(1, 1) in rig.asked()) is (status == "Unlocked")
    assert not [request for request in rig.asked() if isinstance(request, StopRequest)]
