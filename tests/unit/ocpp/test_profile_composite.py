"""K08: GetCompositeSchedule says what the profiles ask."""

from __future__ import annotations

import pytest

from chargerd.model import OperationMode
from tests.unit.ocpp.profile_kit import (
    BOTH,
    central,
    install,
    profile,
    running,
    segment,
)
from tests.unit.ocpp.station_rig import Rig, config


@pytest.mark.req("K08.FR.02")
@BOTH
def test_composite_schedule_of_an_evse(version: str) -> None:
    rig, _ = running(version)
    plan = [{"startPeriod": 0, "limit": 5000.0}, {"startPeriod": 60, "limit": 2000.0}]
    install(rig, profile(1, periods=plan))
    install(rig, profile(2, purpose="ChargingStationMaxProfile"), 0)
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 120})
    assert isinstance(answer, dict)
    schedule = answer["schedule"]
    assert schedule["duration"] == 120
    assert schedule["scheduleStart"] == "2026-11-23T08:00:00.000Z"
    starts = [
        (p["startPeriod"], p["limit"]) for p in schedule["chargingSchedulePeriod"]
    ]
    assert starts == [(0, 3000.0), (60, 2000.0)]


@BOTH
def test_composite_schedule_without_profiles_is_the_rating(version: str) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    for evse_id, limit in ((1, 6000.0), (0, 10_000.0)):  # the site takes 10 kW
        answer = rig.call("GetCompositeSchedule", {"evseId": evse_id, "duration": 0})
        assert isinstance(answer, dict)
        (period,) = answer["schedule"]["chargingSchedulePeriod"]
        assert period["limit"] == limit


@pytest.mark.req("K08.FR.05")
@BOTH
def test_composite_schedule_refusals(version: str) -> None:
    rig = Rig(version=version).boot()
    for request in (
        {"evseId": 9, "duration": 60},
        {"evseId": 1, "duration": -1},
        {"evseId": 1, "duration": 10**9},
    ):
        answer = rig.call("GetCompositeSchedule", request)
        assert isinstance(answer, dict)
        assert answer["status"] == "Rejected"


@BOTH
def test_composite_schedule_in_amperes(version: str) -> None:
    rig, _ = running(version)
    install(rig, profile(periods=[{"startPeriod": 0, "limit": 2300.0}]))
    answer = rig.call(
        "GetCompositeSchedule", {"evseId": 1, "duration": 60, "chargingRateUnit": "A"}
    )
    assert isinstance(answer, dict)
    assert answer["schedule"]["chargingSchedulePeriod"][0]["limit"] == 10.0


@pytest.mark.req("K08.FR.03")
def test_composite_schedule_shows_setpoints_and_the_station_sum() -> None:
    rig = Rig(config(evses=2)).boot()
    install(rig, profile(kind="Dynamic", periods=central(-5000.0, limit=0.0)), 1)
    install(rig, profile(2), 2)
    one = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    both = rig.call("GetCompositeSchedule", {"evseId": 0, "duration": 60})
    assert isinstance(one, dict)
    assert isinstance(both, dict)
    (period,) = one["schedule"]["chargingSchedulePeriod"]
    assert period["setpoint"] == -5000.0
    assert period["operationMode"] == "CentralSetpoint"
    (total,) = both["schedule"]["chargingSchedulePeriod"]
    assert total["setpoint"] == -2000.0


def test_a_sum_that_is_cut_says_where() -> None:
    """Two EVSEs change their limit in turn, each 200 times: 300 fit the answer."""
    rig = Rig(config(evses=2)).boot()
    for evse_id in (1, 2):
        plan = [{"startPeriod": 0, "limit": 1.0}] + [
            {"startPeriod": 2 * n + evse_id, "limit": 2.0 + n} for n in range(200)
        ]
        install(rig, profile(evse_id, periods=plan), evse_id)
    answer = rig.call("GetCompositeSchedule", {"evseId": 0, "duration": 900})
    assert isinstance(answer, dict)
    schedule = answer["schedule"]
    assert len(schedule["chargingSchedulePeriod"]) == 300
    assert schedule["duration"] == 300


def test_idle_asks_for_nothing_at_all() -> None:
    rig, _ = running()
    install(rig, profile(periods=[{"startPeriod": 0, "operationMode": "Idle"}]))
    held = segment(rig)
    assert (held.mode, held.setpoint_w) == (OperationMode.IDLE, 0.0)
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    assert period == {"startPeriod": 0, "operationMode": "Idle"}


@pytest.mark.req("K08.FR.07")
@BOTH
def test_composite_schedule_in_a_unit_that_is_not_configured(version: str) -> None:
    preset = {"SmartChargingCtrlr.RateUnit": "W"}
    rig = Rig(config(device_model=preset), version=version).boot()
    request = {"evseId": 1, "duration": 60, "chargingRateUnit": "A"}
    answer = rig.call("GetCompositeSchedule", request)
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "UnsupportedRateUnit"


@pytest.mark.req("K08.FR.08")
def test_a_setpoint_is_capped_by_the_limits_of_all() -> None:
    """5 kW were set, the station may take 3 kW."""
    rig, tx = running()
    install(rig, profile(1, purpose="ChargingStationMaxProfile"), 0)
    plan = central(5000.0, limit=6000.0, dischargeLimit=-4000.0)
    made = profile(2, purpose="TxProfile", periods=plan, transactionId=tx)
    assert install(rig, made) == {"status": "Accepted"}
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    assert (period["setpoint"], period["limit"]) == (3000.0, 3000.0)
    assert period["dischargeLimit"] == -4000.0
