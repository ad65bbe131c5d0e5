"""Reset of the station or of one EVSE (B11, B12, B13)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import (
    AvailabilityRequest,
    ResetRequest,
    ResumeRequest,
    SessionPhase,
    StopReason,
    StopRequest,
)
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req
RESUME = {"TxCtrlr.ResumptionTimeout": 60}


def reset(rig: Rig, kind: str, evse_id: int | None = None) -> str:
    more = {} if evse_id is None else {"evseId": evse_id}
    answer = rig.call("Reset", {"type": kind, **more})
    assert isinstance(answer, dict)
    word = answer["status"]
    assert isinstance(word, str)
    return word


def resets(rig: Rig) -> list[ResetRequest]:
    return [r for r in rig.asked() if isinstance(r, ResetRequest)]


def charging(version: str = V21, **ocpp: Any) -> Rig:
    """Two EVSEs; energy flows at the first."""
    rig = Rig(config(evses=2, **ocpp), version=version).boot()
    for evse_id in (1, 2):
        rig.observe(evse_id=evse_id)
    rig.observe(P.ENERGY, authorised=True)
    rig.clear()
    return rig


@BOTH
@pytest.mark.parametrize(
    ("kind", "evse_id"),
    [
        pytest.param("Immediate", None,
                     marks=req("B11.FR.01", "B11.FR.03", "B11.FR.04")),
        pytest.param("OnIdle", None, marks=req("B11.FR.01", "B11.FR.03")),
        pytest.param("Immediate", 1, marks=req("B11.FR.08")),
        ("OnIdle", 1),
    ],
)  # fmt: skip
def test_reset_without_transactions(
    version: str, kind: str, evse_id: int | None
) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe()
    assert reset(rig, kind, evse_id) == "Accepted"
    assert resets(rig) == [ResetRequest(evse_id or 0, kind == "Immediate")]
    again = rig.restarted(boot_reason="ApplicationReset")
    again.link()
    reason = "ApplicationReset" if evse_id else "RemoteReset"
    assert again.last("BootNotification").payload["reason"] == reason
    assert "reason" not in again.saved.get("boot", {})


@req("B11.FR.10")
def test_an_evse_can_be_reset_alone() -> None:
    assert Rig().station._desk.model.flag("EVSE", "AllowReset", 1)


@BOTH
@pytest.mark.parametrize(
    ("evse_id", "others"),
    [
        pytest.param(None, [AvailabilityRequest(2, operative=False)],
                     marks=req("B11.FR.07", "B12.FR.01", "B12.FR.03")),
        pytest.param(1, [], marks=req("B12.FR.01", "B12.FR.07")),
    ],
)  # fmt: skip
def test_on_idle_waits_for_the_transaction(
    version: str, evse_id: int | None, others: list[AvailabilityRequest]
) -> None:
    rig = charging(version)
    assert reset(rig, "OnIdle", evse_id) == "Scheduled"
    held = [AvailabilityRequest(1, operative=False), *others]
    assert rig.asked() == held  # nothing new starts meanwhile
    rig.run_s(5)
    assert resets(rig) == []
    rig.observe(P.IDLE)
    assert rig.events()[-1]["eventType"] == "Ended"
    assert rig.events()[-1]["triggerReason"] != "ResetCommand"
    rig.run_s(2)
    assert resets(rig) == [ResetRequest(evse_id or 0, immediate=False)]
    assert AvailabilityRequest(1, operative=True) == rig.asked()[-len(held)]
    if evse_id:
        return
    again = rig.restarted(boot_reason="ApplicationReset")
    again.link()
    assert again.last("BootNotification").payload["reason"] == "ScheduledReset"
    assert again.asked() == []  # the hold was no wish of the CSMS


def test_a_reset_at_once_ends_the_waiting_for_another() -> None:
    rig = charging()
    reset(rig, "OnIdle", 1)
    reset(rig, "OnIdle")
    assert reset(rig, "Immediate", 1) == "Accepted"
    assert resets(rig) == [ResetRequest(1, immediate=True)]
    availability = [r for r in rig.asked() if isinstance(r, AvailabilityRequest)]
    assert all(not r.operative for r in availability)  # the station's still waits
    rig.observe(P.IDLE)
    rig.run_s(2)
    assert resets(rig)[1:] == [ResetRequest(0, immediate=False)]


def test_the_other_evse_does_not_hold_up_a_reset_of_one() -> None:
    rig = charging()
    assert reset(rig, "OnIdle", 2) == "Accepted"
    assert resets(rig) == [ResetRequest(2, immediate=False)]


@BOTH
@pytest.mark.parametrize(
    "evse_id",
    [
        pytest.param(None, marks=req("B12.FR.02", "B12.FR.04", "B12.FR.05")),
        pytest.param(1, marks=req("B12.FR.02", "B12.FR.08")),
    ],
)
def test_immediate_ends_the_transaction(version: str, evse_id: int | None) -> None:
    rig = charging(version)
    assert reset(rig, "Immediate", evse_id) == "Accepted"
    assert StopRequest(1, StopReason.IMMEDIATE_RESET) in rig.asked()
    assert resets(rig) == [ResetRequest(evse_id or 0, immediate=True)]
    stop = StopReason.IMMEDIATE_RESET
    rig.observe(P.STOPPING, authorised=True, stop=stop)
    rig.observe(P.FINISHED, authorised=True, stop=stop)
    event = rig.events()[-1]
    assert (event["eventType"], event["triggerReason"]) == ("Ended", "ResetCommand")
    assert event["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    assert rig.last("TransactionEvent").durability.value == "durable"


@BOTH
@pytest.mark.parametrize("kind", ["Immediate", "OnIdle"])
def test_an_unknown_evse(version: str, kind: str) -> None:
    rig = charging(version)
    assert reset(rig, kind, 3) == "Rejected"
    assert rig.asked() == []


# ImmediateAndResume (2.1).


@req("B13.FR.01")
@pytest.mark.parametrize("evse_id", [None, 1])
def test_resuming_has_to_be_configured(evse_id: int | None) -> None:
    rig = charging(device_model={"TxCtrlr.ResumptionTimeout": 0})
    assert reset(rig, "ImmediateAndResume", evse_id) == "Rejected"
    assert resets(rig) == []


@req("B13.FR.02")
def test_nothing_to_resume() -> None:
    rig = Rig(config(device_model=RESUME)).boot()
    rig.observe()
    assert reset(rig, "ImmediateAndResume") == "Accepted"
    assert resets(rig) == [ResetRequest(0, immediate=True)]
    assert rig.events() == []


@req("B13.FR.03", "B13.FR.04", "B13.FR.20", "B13.FR.21", "B13.FR.23", "B13.FR.30")
def test_reset_of_the_station_and_going_on() -> None:
    rig = charging(device_model=RESUME)
    assert reset(rig, "ImmediateAndResume") == "Accepted"
    event = rig.events()[-1]
    assert (event["eventType"], event["triggerReason"]) == ("Updated", "ResetCommand")
    assert resets(rig) == [ResetRequest(0, immediate=True)]
    stop = StopReason.IMMEDIATE_RESET
    rig.observe(P.FINISHED, authorised=True, stop=stop)
    assert rig.events()[-1] == event  # no Ended
    again = rig.restarted(boot_reason="ApplicationReset", after_s=3600)
    again.boot()
    again.observe(P.CONNECTED, session_id="s2")
    again.run_s(3)
    (asked,) = [r for r in again.asked() if isinstance(r, ResumeRequest)]
    assert (asked.evse_id, asked.session_id) == (1, "s1")
    again.observe(P.ENERGY, authorised=True)
    event = again.events()[-1]
    assert (event["eventType"], event["triggerReason"]) == ("Updated", "TxResumed")
    before = rig.events()[-1]["transactionInfo"]["transactionId"]
    assert event["transactionInfo"]["transactionId"] == before


@req("B13.FR.03", "B13.FR.04", "B13.FR.10", "B13.FR.12", "B13.FR.30")
def test_reset_of_one_evse_and_going_on() -> None:
    rig = charging(device_model=RESUME)
    transaction_id = rig.station._desk.evses[1].transaction_id
    assert reset(rig, "ImmediateAndResume", 1) == "Accepted"
    assert rig.events()[-1]["triggerReason"] == "ResetCommand"
    assert resets(rig) == [ResetRequest(1, immediate=True)]
    stop = StopReason.IMMEDIATE_RESET
    rig.observe(P.STOPPING, authorised=True, stop=stop)
    rig.observe(P.FINISHED, authorised=True, stop=stop)
    rig.run_s(120)  # longer than ResumptionTimeout: this reset may take its time
    assert rig.events()[-1]["eventType"] == "Updated"
    rig.observe(P.CONNECTED, session_id="s2")
    rig.run_s(3)
    (asked,) = [r for r in rig.asked() if isinstance(r, ResumeRequest)]
    assert (asked.evse_id, asked.session_id) == (1, "s1")
    rig.observe(P.ENERGY, authorised=True)
    event = rig.events()[-1]
    assert (event["eventType"], event["triggerReason"]) == ("Updated", "TxResumed")
    assert event["transactionInfo"]["transactionId"] == transaction_id
    rig.observe(P.IDLE)
    assert rig.events()[-1]["eventType"] == "Ended"


def test_a_reset_of_the_other_evse_leaves_the_transaction_alone() -> None:
    rig = charging(device_model=RESUME)
    assert reset(rig, "ImmediateAndResume", 2) == "Accepted"
    assert rig.events() == []
    rig.observe(P.IDLE)
    assert rig.events()[-1]["eventType"] == "Ended"
