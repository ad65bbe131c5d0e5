"""K11 to K13, K27, K29: what external systems ask is told to the CSMS."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import (
    DispatchSignal,
    OperationMode,
    Priority,
    Segment,
    SessionPhase,
)
from tests.unit.ocpp.profile_kit import BOTH, install, profile, running, segment
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

LIMITS, SETPOINT = OperationMode.EXTERNAL_LIMITS, OperationMode.EXTERNAL_SETPOINT
EXTERNAL = "ChargingStationExternalConstraints"


def asks(
    rig: Rig, *segments: Any, source: str = "mqtt.charge_limit", evse_id: int = 0,
    life_s: float = 600.0,
) -> DispatchSignal:  # fmt: skip
    """A signal from now on; a segment is (start in s, its fields)."""
    begin = rig.now.mono
    made = tuple(
        Segment(begin + start, values.pop("mode", LIMITS), **values)
        for start, values in ((s, dict(v)) for s, v in segments)
    )
    ends = begin + life_s
    return DispatchSignal(source, evse_id, Priority.HOME, made, begin, ends)


def told(rig: Rig, *signals: DispatchSignal, **more: Any) -> Rig:
    """Two seconds of reports with these signals alive."""
    rig.observe(**{"phase": SessionPhase.IDLE, **more, "signals": signals})
    rig.run_s(2.0)
    return rig


def reports(rig: Rig) -> list[Any]:
    rig.clear()
    rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    return rig.payloads("ReportChargingProfiles")


@pytest.mark.req(
    "K12.FR.02", "K12.FR.03", "K12.FR.04", "K12.FR.05", "K29.FR.04", "K11.FR.05",
    "K11.FR.06", "K01.FR.82",
)  # fmt: skip
def test_a_limit_is_told_and_reported_as_a_dynamic_profile() -> None:
    rig = Rig().boot()
    limit = asks(rig, (0.0, {"limit_w": 2000.0, "discharge_limit_w": -500.0}))
    told(rig, limit)
    (notice,) = rig.payloads("NotifyChargingLimit")
    assert notice["chargingLimit"] == {"chargingLimitSource": "EMS"}
    assert notice["evseId"] == 0
    period = {
        "startPeriod": 0,
        "operationMode": "ExternalLimits",
        "limit": 2000.0,
        "dischargeLimit": -500.0,
    }
    assert notice["chargingSchedule"][0]["chargingSchedulePeriod"] == [period]
    (report,) = reports(rig)
    assert report["chargingLimitSource"] == "EMS"
    (made,) = report["chargingProfile"]
    assert (made["chargingProfilePurpose"], made["chargingProfileKind"]) == (
        EXTERNAL, "Dynamic"
    )  # fmt: skip
    assert made["id"] < 0
    assert made["chargingSchedule"][0]["duration"] == 600


@pytest.mark.req("K29.FR.05", "K29.FR.06", "K29.FR.07", "K29.FR.08", "K12.FR.02")
def test_changes_are_told_when_they_are_large_and_kept_when_small() -> None:
    """5 % by default. Each update is in the profile, with its time and its end."""
    rig = Rig().boot()
    for limit_w, count in ((2000.0, 1), (2090.0, 1), (2110.0, 2), (2110.0, 2)):
        told(rig, asks(rig, (0.0, {"limit_w": limit_w}), life_s=10.0))
        assert len(rig.payloads("NotifyChargingLimit")) == count, limit_w
    (report,) = reports(rig)
    (made,) = report["chargingProfile"]
    (period,) = made["chargingSchedule"][0]["chargingSchedulePeriod"]
    assert period["limit"] == 2110.0
    assert made["dynUpdateTime"] == "2026-11-23T08:00:06.000Z"
    rig.clear()
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert isinstance(answer, dict)
    rows = answer["schedule"]["chargingSchedulePeriod"]
    starts = [(row["startPeriod"], row["limit"]) for row in rows]
    assert starts == [(0, 2110.0), (8, 6000.0)]  # it runs out by itself
    rig.run_s(10.0)
    assert reports(rig) == []
    told(rig, asks(rig, (0.0, {"limit_w": 1000.0})))
    assert len(reports(rig)) == 1


@BOTH
@pytest.mark.req("K13.FR.02", "K12.FR.02")
def test_a_limit_that_is_gone_is_told_to_be_cleared(version: str) -> None:
    rig = Rig(version=version).boot()
    told(rig, asks(rig, (0.0, {"limit_w": 2000.0}), source="openadr2"))
    (notice,) = rig.payloads("NotifyChargingLimit")
    limit = {"chargingLimitSource": "SO", "isGridCritical": True}
    assert notice["chargingLimit"] == limit
    told(rig)
    cleared = {"chargingLimitSource": "SO", "evseId": 0}
    assert rig.payloads("ClearedChargingLimit") == [cleared]
    assert reports(rig) == []
    told(rig)
    assert rig.payloads("ClearedChargingLimit") == []


@BOTH
@pytest.mark.req("K11.FR.02", "K11.FR.03", "K11.FR.06", "K12.FR.03")
@pytest.mark.parametrize("with_schedules", [True, False])
def test_a_schedule_is_told_as_it_was_set(version: str, with_schedules: bool) -> None:
    preset = {"SmartChargingCtrlr.NotifyChargingLimitWithSchedules": with_schedules}
    rig, _ = running(version, config(device_model=preset))
    plan = (0.0, {"limit_w": 2000.0}), (300.0, {"limit_w": 1000.0})
    told(rig, asks(rig, *plan, evse_id=1), phase=SessionPhase.ENERGY, authorised=True)
    (notice,) = rig.payloads("NotifyChargingLimit")
    assert ("chargingSchedule" in notice) is with_schedules
    (report,) = reports(rig)
    (made,) = report["chargingProfile"]
    assert made["chargingProfileKind"] == "Absolute"
    (schedule,) = made["chargingSchedule"]
    assert schedule["startSchedule"] == "2026-11-23T08:00:00.000Z"
    rows = schedule["chargingSchedulePeriod"]
    assert [(row["startPeriod"], row["limit"]) for row in rows] == [
        (0, 2000.0), (300, 1000.0)
    ]  # fmt: skip
    if with_schedules:
        assert notice["chargingSchedule"] == [schedule]


@pytest.mark.req("K11.FR.04", "K13.FR.03")
def test_a_rate_that_follows_an_external_limit_is_told() -> None:
    """Once the ramp is over; a change without an external cause is not."""
    rig, tx = running()
    more: Any = {"phase": SessionPhase.ENERGY, "authorised": True}
    told(rig, power_w=6000.0, **more)
    told(rig, power_w=5000.0, **more)
    rig.clear()
    limit = asks(rig, (0.0, {"limit_w": 2000.0}))
    told(rig, limit, power_w=5000.0, **more)
    for power_w in (4000.0, 3000.0, 2000.0, 2000.0):
        told(rig, limit, power_w=power_w, **more)
    (event,) = rig.events()
    assert event["triggerReason"] == "ChargingRateChanged"
    assert event["transactionInfo"]["transactionId"] == tx
    rig.clear()
    told(rig, power_w=2000.0, **more)
    told(rig, power_w=5000.0, **more)
    assert [e["triggerReason"] for e in rig.events()] == ["ChargingRateChanged"]


@pytest.mark.req("K27.FR.01", "K27.FR.02", "K27.FR.03", "K27.FR.04", "K27.FR.05")
def test_local_generation_is_added_and_told_apart_from_limits() -> None:
    rig = Rig().boot()
    install(rig, profile(1, purpose="ChargingStationMaxProfile"), 0)
    assert segment(rig, "ocpp.site", 0).limit_w == 3000.0
    sun = asks(rig, (0.0, {"generation_w": 1500.0}), source="mqtt.generation")
    cap = asks(rig, (0.0, {"limit_w": 5000.0}))
    told(rig, sun, cap)
    assert segment(rig, "ocpp.site", 0).limit_w == 4500.0
    notices = {
        n["chargingLimit"].get("isLocalGeneration", False): n
        for n in rig.payloads("NotifyChargingLimit")
    }
    for local, limit in ((True, 1500.0), (False, 5000.0)):
        (schedule,) = notices[local]["chargingSchedule"]
        assert schedule["chargingSchedulePeriod"][0]["limit"] == limit
        assert notices[local]["chargingLimit"]["chargingLimitSource"] == "EMS"
    purposes = {r["chargingProfile"][0]["chargingProfilePurpose"] for r in reports(rig)}
    assert purposes == {"ChargingStationMaxProfile", "LocalGeneration", EXTERNAL}
    told(rig, cap)
    assert segment(rig, "ocpp.site", 0).limit_w == 3000.0


@pytest.mark.req("K10.FR.08", "K10.FR.09")
def test_the_csms_cannot_clear_or_replace_what_is_external() -> None:
    rig = Rig().boot()
    sun = asks(rig, (0.0, {"generation_w": 1500.0}), source="mqtt.generation")
    told(rig, sun, asks(rig, (0.0, {"limit_w": 5000.0})))
    numbers = [r["chargingProfile"][0]["id"] for r in reports(rig)]
    for request in (
        {"chargingProfileCriteria": {"evseId": 0}},
        {"chargingProfileCriteria": {"chargingProfilePurpose": "LocalGeneration"}},
        *({"chargingProfileId": number} for number in numbers),
    ):
        answer = rig.call("ClearChargingProfile", request)
        assert answer == {"status": "Unknown"}
    assert len(reports(rig)) == 2
    answer = install(rig, profile(numbers[-1]))
    assert answer["statusInfo"]["reasonCode"] == "InvalidProfileId"


@pytest.mark.req("K08.FR.04")
def test_each_external_limit_counts_in_the_composite_schedule() -> None:
    rig = Rig().boot()
    one = asks(rig, (0.0, {"limit_w": 4000.0}), source="openadr2")
    other = asks(rig, (0.0, {"limit_w": 3500.0}), evse_id=1)
    told(rig, one, other)
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    assert period["limit"] == 3500.0
    assert rig.signals() == []  # the heart obeys them itself


@pytest.mark.parametrize("version", [V21, V201])
def test_our_own_signals_are_no_external_limits(version: str) -> None:
    rig = Rig(version=version).boot()
    own = asks(rig, (0.0, {"limit_w": 1.0}), source="ocpp.site")
    told(rig, own, asks(rig, (0.0, {"mode": SETPOINT}), source="cli"))
    assert rig.payloads("NotifyChargingLimit") == []


def test_an_external_setpoint_is_told_as_one() -> None:
    rig = Rig().boot()
    told(rig, asks(rig, (0.0, {"mode": SETPOINT, "setpoint_w": -900.0}), evse_id=1))
    (notice,) = rig.payloads("NotifyChargingLimit")
    (period,) = notice["chargingSchedule"][0]["chargingSchedulePeriod"]
    assert (period["operationMode"], period["setpoint"]) == ("ExternalSetpoint", -900.0)


def test_at_a_change_of_version_profiles_are_told_as_it_knows_them() -> None:
    rig = Rig().boot()
    told(rig, asks(rig, (0.0, {"limit_w": 2000.0})))
    rig.version = V201
    rig.link(up=False)
    rig.link()
    (report,) = reports(rig)
    assert report["chargingProfile"][0]["chargingProfileKind"] == "Absolute"


def test_what_the_csms_set_below_0_stays_its_own() -> None:
    """And an external generation is no duplicate of the CSMS's."""
    rig = Rig().boot()
    install(rig, profile(-1))
    sun = asks(rig, (0.0, {"generation_w": 1500.0}), source="mqtt.generation")
    told(rig, sun)
    answer = install(rig, profile(4, purpose="LocalGeneration"), 0)
    assert answer == {"status": "Accepted"}
    numbers = {r["chargingProfile"][0]["id"] for r in reports(rig)}
    assert len(numbers) == 3
    assert {-1, 4} < numbers


@pytest.mark.req("K29.FR.04")
@pytest.mark.parametrize("other_evse", [False, True])
def test_what_a_profile_of_the_csms_takes_up_is_none_of_its_own(
    other_evse: bool,
) -> None:
    """Then the value is in that profile (K29.FR.03)."""
    rig = Rig(config(evses=2)).boot()
    plan = [{"startPeriod": 0, "operationMode": "ExternalLimits"}]
    made = profile(5, kind="Dynamic", periods=plan)
    assert install(rig, made, 1) == {"status": "Accepted"}
    told(rig, asks(rig, (0.0, {"limit_w": 2000.0}), evse_id=2 if other_evse else 1))
    purposes = {r["chargingProfile"][0]["chargingProfilePurpose"] for r in reports(rig)}
    assert (EXTERNAL in purposes) is other_evse
