"""K21 and K22: priority charging, asked for by the CSMS or by the driver."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase, StopReason
from tests.unit.ocpp.profile_kit import install, profile, running, segment
from tests.unit.ocpp.station_rig import Rig, config

FAST = [{"startPeriod": 0, "limit": 6000.0}]


def ask(rig: Rig, transaction: str, activate: bool = True) -> Any:
    return rig.call(
        "UsePriorityCharging", {"transactionId": transaction, "activate": activate}
    )


def prepared(evse_id: int = 0) -> tuple[Rig, str]:
    """A transaction with a TxProfile of 3 kW and a priority profile of 6 kW."""
    rig, tx = running(conf=config(evses=2))
    install(rig, profile(1, purpose="TxProfile", transactionId=tx))
    made = profile(2, purpose="PriorityCharging", periods=FAST)
    assert install(rig, made, evse_id) == {"status": "Accepted"}
    return rig, tx


@pytest.mark.req("K21.FR.01")
@pytest.mark.parametrize("other_evse", [False, True])
def test_without_a_profile_there_is_no_priority(other_evse: bool) -> None:
    rig, tx = prepared(2) if other_evse else running()
    answer = ask(rig, tx)
    assert answer["status"] == "NoProfile"
    assert answer["statusInfo"]["reasonCode"] == "NotFound"
    assert rig.payloads("NotifyPriorityCharging") == []


@pytest.mark.req("K01.FR.27")
def test_its_profile_survives_a_restart() -> None:
    again = prepared()[0].restarted().boot()
    wanted = {"chargingProfilePurpose": "PriorityCharging"}
    again.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": wanted})
    (report,) = again.payloads("ReportChargingProfiles")
    assert report["chargingProfile"][0]["id"] == 2


@pytest.mark.req("K21.FR.02")
def test_a_transaction_that_does_not_run_has_none() -> None:
    rig, _ = prepared()
    answer = ask(rig, "another")
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "TxNotFound"


@pytest.mark.req(
    "K21.FR.03", "K21.FR.04", "K21.FR.05", "K21.FR.06", "K21.FR.07", "K21.FR.08"
)
@pytest.mark.parametrize("evse_id", [0, 1])
def test_priority_stands_in_for_the_tx_profiles_and_gives_back(evse_id: int) -> None:
    """The station's maximum stays in force: here 5 kW."""
    rig, tx = prepared(evse_id)
    cap = [{"startPeriod": 0, "limit": 5000.0}]
    install(rig, profile(3, purpose="ChargingStationMaxProfile", periods=cap), 0)
    assert segment(rig).limit_w == 3000.0
    assert ask(rig, tx) == {"status": "Accepted"}
    assert segment(rig).limit_w == 6000.0
    assert segment(rig, "ocpp.site").limit_w == 5000.0
    assert ask(rig, tx) == {"status": "Accepted"}  # told once only
    told = [{"transactionId": tx, "activated": True}]
    assert rig.payloads("NotifyPriorityCharging") == told
    assert ask(rig, tx, activate=False) == {"status": "Accepted"}
    assert segment(rig).limit_w == 3000.0
    told.append({"transactionId": tx, "activated": False})
    assert rig.payloads("NotifyPriorityCharging") == told


@pytest.mark.req("K21.FR.06")
def test_to_end_what_was_not_active_is_accepted_and_has_no_effect() -> None:
    rig, tx = running()
    assert ask(rig, tx, activate=False) == {"status": "Accepted"}
    assert rig.payloads("NotifyPriorityCharging") == []


@pytest.mark.req("K22.FR.01")
def test_the_driver_is_told_when_there_is_no_priority() -> None:
    rig, _ = running()
    assert "has set no priority" in rig.station.use_priority(1, True, rig.now)
    assert "no transaction" in rig.station.use_priority(7, True, rig.now)
    rig.drain()
    assert rig.payloads("NotifyPriorityCharging") == []


@pytest.mark.req("K22.FR.02", "K22.FR.03", "K22.FR.04", "K22.FR.05")
def test_the_driver_switches_priority_on_and_off() -> None:
    rig, tx = prepared()
    assert rig.station.use_priority(1, True, rig.now) == ""
    rig.drain()
    assert segment(rig).limit_w == 6000.0
    assert rig.station.use_priority(1, False, rig.now) == ""
    rig.drain()
    assert segment(rig).limit_w == 3000.0
    assert rig.payloads("NotifyPriorityCharging") == [
        {"transactionId": tx, "activated": True},
        {"transactionId": tx, "activated": False},
    ]


def test_priority_ends_with_its_transaction() -> None:
    rig, tx = prepared()
    ask(rig, tx)
    rig.observe(SessionPhase.FINISHED, authorised=True, stop=StopReason.LOCAL)
    rig.observe(SessionPhase.IDLE)
    rig.observe(SessionPhase.ENERGY, authorised=True, session_id="next")
    assert segment(rig) is None
