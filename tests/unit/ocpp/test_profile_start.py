"""K05: a profile that comes with a remote start."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase
from tests.unit.ocpp.profile_kit import BOTH, profile, segment
from tests.unit.ocpp.station_rig import Rig, config

P = SessionPhase
START = {
    "idToken": {"idToken": "04A1B2C3", "type": "ISO14443"},
    "remoteStartId": 7,
    "evseId": 1,
}
PLAN = [{"startPeriod": 0, "limit": 1234.0}]


def start(rig: Rig, made: dict[str, Any]) -> Any:
    return rig.call("RequestStartTransaction", {**START, "chargingProfile": made})


def of_tx(**more: Any) -> dict[str, Any]:
    return profile(purpose="TxProfile", kind="Relative", periods=PLAN, **more)


@pytest.mark.req("K05.FR.03")
@BOTH
def test_it_holds_for_the_transaction_of_that_start(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    assert start(rig, of_tx())["status"] == "Accepted"
    assert segment(rig) is None
    rig.observe(P.ENERGY, authorised=True, remote_start_id=7)
    assert segment(rig).limit_w == 1234.0
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    assert period["limit"] == 1234.0


@pytest.mark.req("K05.FR.02")
@BOTH
@pytest.mark.parametrize("purpose", ["TxDefaultProfile", "ChargingStationMaxProfile"])
def test_it_is_a_tx_profile_or_none(version: str, purpose: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    answer = start(rig, profile(purpose=purpose))
    assert answer["status"] == "Rejected"


@pytest.mark.req("K05.FR.05")
@BOTH
@pytest.mark.parametrize(("made", "reason"), [
    (of_tx(transactionId="x"), "InvalidProfile"),
    (of_tx(schedule={"duration": 0}), "InvalidSchedule"),
])  # fmt: skip
def test_a_bad_one_refuses_the_start(version: str, made: Any, reason: str) -> None:
    rig = Rig(version=version).boot()
    rig.observe(P.CONNECTED)
    answer = start(rig, made)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == reason


@pytest.mark.req("K05.FR.04")
@BOTH
def test_without_smart_charging_it_is_ignored(version: str) -> None:
    preset = {"SmartChargingCtrlr.Enabled": False}
    rig = Rig(config(device_model=preset), version=version).boot()
    rig.observe(P.CONNECTED)
    assert start(rig, of_tx(schedule={"duration": 0}))["status"] == "Accepted"
    rig.observe(P.ENERGY, authorised=True, remote_start_id=7)
    assert segment(rig) is None
