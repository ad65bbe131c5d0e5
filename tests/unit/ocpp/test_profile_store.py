"""Blocks K and Q: profiles kept, listed, cleared, lost and found again."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase, StopReason
from tests.unit.ocpp.profile_kit import (
    BOTH,
    central,
    install,
    profile,
    running,
    segment,
)
from tests.unit.ocpp.station_rig import V201, Rig, config

P = SessionPhase
PERSISTENCE = [
    {
        "component": {"name": "SmartChargingCtrlr"},
        "variable": {"name": "ChargingProfilePersistence", "instance": purpose},
    }
    for purpose in (
        "TxProfile",
        "LocalGeneration",
        "ChargingStationExternalConstraints",
    )
]


@pytest.mark.req("K01.FR.27", "K01.FR.55", "K09.FR.01", "K09.FR.02", "K09.FR.06")
@BOTH
def test_persistent_profiles_survive_a_restart(version: str) -> None:
    rig, tx = running(version)
    install(rig, profile(1))
    install(rig, profile(2, purpose="ChargingStationMaxProfile"), 0)
    install(rig, profile(3, purpose="TxProfile", transactionId=tx))
    told = {
        row["variable"]["instance"]: row["attributeValue"]
        for row in rig.call("GetVariables", {"getVariableData": PERSISTENCE})[  # type: ignore[call-overload,index]
            "getVariableResult"
        ]
    }
    assert told == {
        "TxProfile": "true", "LocalGeneration": "false",
        "ChargingStationExternalConstraints": "false",
    }  # fmt: skip
    again = rig.restarted()
    again.pass_s(0)
    assert segment(again, "ocpp.site").limit_w == 3000.0
    assert segment(again).limit_w == 3000.0
    again.boot()
    answer = again.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    assert answer == {"status": "Accepted"}
    reports = again.payloads("ReportChargingProfiles")
    ids = sorted(report["chargingProfile"][0]["id"] for report in reports)
    assert ids == [1, 2, 3]
    assert [report["tbc"] for report in reports] == [True, True, False]
    assert {report["requestId"] for report in reports} == {1}
    again.clear()
    again.observe(SessionPhase.ENERGY, authorised=True, session_id="next")
    again.run_s(30.0)
    again.call("GetChargingProfiles", {"requestId": 2, "chargingProfile": {}})
    left = [
        r["chargingProfile"][0]["id"] for r in again.payloads("ReportChargingProfiles")
    ]
    assert sorted(left) == [1, 2]  # the transaction of 3 did not come back
    assert set(again.saved["profile"]) == {"1", "2"}


def test_what_was_replaced_by_a_profile_that_is_not_kept_does_not_come_back() -> None:
    rig, _ = running()
    install(rig, profile(1))
    install(rig, profile(1, purpose="LocalGeneration"))
    assert rig.saved["profile"] == {}


def test_a_dynamic_profile_waits_for_an_update_after_a_restart() -> None:
    """Its last values were never on disk: an old setpoint must not run again."""
    rig, _ = running()
    install(rig, profile(kind="Dynamic", periods=central(-5000.0)))
    assert segment(rig).setpoint_w == -5000.0
    again = rig.restarted()
    again.boot()
    assert segment(again) is None
    again.call(
        "UpdateDynamicSchedule",
        {"chargingProfileId": 10, "scheduleUpdate": {"setpoint": 10.0}},
    )
    assert segment(again).setpoint_w == 10.0


@pytest.mark.req("K10.FR.01", "K10.FR.03", "K10.FR.04")
@BOTH
@pytest.mark.parametrize(
    ("request_", "left"),
    [
        ({"chargingProfileId": 1}, {2, 3}),
        ({"chargingProfileCriteria": {"stackLevel": 1}}, {1, 3}),
        ({"chargingProfileCriteria": {"evseId": 0}}, {1, 2}),
        (
            {"chargingProfileCriteria": {"chargingProfilePurpose": "TxDefaultProfile"}},
            {3},
        ),
        (
            {
                "chargingProfileCriteria": {
                    "stackLevel": 0,
                    "chargingProfilePurpose": "TxDefaultProfile",
                }
            },
            {2, 3},
        ),
        ({}, set()),
    ],
)
def test_clear(version: str, request_: Any, left: set[int]) -> None:
    rig = Rig(version=version).boot()
    install(rig, profile(1))
    install(rig, profile(2, stackLevel=1))
    install(rig, profile(3, purpose="ChargingStationMaxProfile"), 0)
    assert rig.call("ClearChargingProfile", request_) == {"status": "Accepted"}
    assert {int(key) for key in rig.saved["profile"]} == left
    assert rig.call("ClearChargingProfile", {"chargingProfileId": 77}) == {
        "status": "Unknown"
    }


@pytest.mark.req("K10.FR.03", "K10.FR.04")
def test_local_generation_of_the_csms_goes_by_its_id_alone() -> None:
    rig = Rig().boot()
    install(rig, profile(1))
    install(rig, profile(2, purpose="LocalGeneration"), 0)
    for request, left in (({}, 1), ({"chargingProfileId": 2}, 0)):
        answer = rig.call("ClearChargingProfile", request)
        assert answer == {"status": "Accepted"}
        rig.clear()
        rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
        assert len(rig.payloads("ReportChargingProfiles")) == left


@pytest.mark.req("K10.FR.05", "K10.FR.07")
def test_a_cleared_profile_is_withdrawn_at_once() -> None:
    """The transaction that began with it goes on."""
    rig = Rig().boot()
    install(rig, profile())
    rig.observe(P.ENERGY, authorised=True)
    assert segment(rig).limit_w == 3000.0
    rig.clear()
    rig.call("ClearChargingProfile", {})
    signal = rig.signals()[-1]
    assert signal.source == "ocpp.tx"
    assert signal.valid_until_mono <= rig.now.mono
    assert segment(rig) is None
    assert (rig.events(), rig.asked()) == ([], [])


@pytest.mark.req("K02.FR.05")
def test_tx_profile_ends_with_its_transaction() -> None:
    rig, tx = running()
    install(rig, profile(purpose="TxProfile", transactionId=tx))
    assert segment(rig).limit_w == 3000.0
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    assert segment(rig) is None
    assert rig.saved["profile"] == {}


@pytest.mark.req("K01.FR.101", "K01.FR.102")
def test_max_offline_duration_and_its_return() -> None:
    rig, _ = running(conf=config(offline_limit_w=1500))
    made = profile(kind="Dynamic", periods=central(-5000.0), maxOfflineDuration=20)
    install(rig, made)
    rig.link(up=False)
    rig.pass_s(19)
    assert segment(rig).setpoint_w == -5000.0
    rig.pass_s(2)
    held = segment(rig)  # K01.FR.101, and never "no limit" for us
    assert (held.limit_w, held.discharge_limit_w, held.setpoint_w) == (
        1500.0,
        0.0,
        None,
    )
    rig.link()
    assert segment(rig).setpoint_w == -5000.0  # K01.FR.102


@pytest.mark.req("K01.FR.102")
def test_invalid_after_offline_is_deleted() -> None:
    rig, _ = running()
    made = profile(
        kind="Dynamic",
        periods=central(-5000.0),
        maxOfflineDuration=20,
        invalidAfterOfflineDuration=True,
    )
    install(rig, made)
    rig.link(up=False)
    rig.pass_s(21)
    rig.link()
    assert segment(rig) is None
    assert rig.saved["profile"] == {}


def test_a_short_offline_deletes_nothing() -> None:
    rig, _ = running()
    made = profile(maxOfflineDuration=20, invalidAfterOfflineDuration=True)
    install(rig, made)
    rig.link(up=False)
    rig.pass_s(10)
    rig.link()
    assert segment(rig).limit_w == 3000.0


def test_profiles_of_2_1_are_hidden_from_a_2_0_1_csms() -> None:
    rig, _ = running()
    install(rig, profile(1, kind="Dynamic", periods=central(-1.0)))
    install(rig, profile(2, maxOfflineDuration=9, stackLevel=1))
    rig.version = V201
    rig.link(up=False)
    rig.link()
    rig.clear()
    rig.call("GetChargingProfiles", {"requestId": 5, "chargingProfile": {}})
    (report,) = rig.payloads("ReportChargingProfiles")
    assert report["tbc"] is False
    assert report["chargingProfile"][0]["id"] == 2


@pytest.mark.req("K09.FR.04")
@BOTH
@pytest.mark.parametrize(
    ("criterion", "found"),
    [
        ({"chargingProfileId": [1]}, 1),
        ({"stackLevel": 1, "chargingProfilePurpose": "TxDefaultProfile"}, 1),
        ({"stackLevel": 1, "chargingProfilePurpose": "TxProfile"}, 0),
        ({"chargingLimitSource": ["EMS"]}, 0),
        ({"chargingLimitSource": ["CSO"]}, 2),
        ({"stackLevel": 7}, 0),
    ],
)
def test_get_profiles_by_criteria(version: str, criterion: Any, found: int) -> None:
    rig = Rig(version=version).boot()
    install(rig, profile(1))
    install(rig, profile(2, stackLevel=1))
    answer = rig.call(
        "GetChargingProfiles",
        {"requestId": 3, "evseId": 1, "chargingProfile": criterion},
    )
    assert answer == {"status": "Accepted" if found else "NoProfiles"}
    assert len(rig.payloads("ReportChargingProfiles")) == found


@pytest.mark.req("K28.FR.05", "K28.FR.09")
def test_the_time_of_the_last_values_is_told() -> None:
    """Now, unless the CSMS said when; each update sets it anew."""
    rig, _ = running()
    install(rig, profile(1, kind="Dynamic", periods=central(0.0)))
    earlier = {"dynUpdateTime": "2026-11-23T07:00:00Z", "stackLevel": 1}
    install(rig, profile(2, kind="Dynamic", periods=central(0.0), **earlier))

    def times() -> list[str]:
        rig.clear()
        rig.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
        told = rig.payloads("ReportChargingProfiles")
        return [r["chargingProfile"][0]["dynUpdateTime"] for r in told]

    assert times() == ["2026-11-23T08:00:00.000Z", "2026-11-23T07:00:00.000Z"]
    rig.pass_s(60.0)
    rig.call("UpdateDynamicSchedule", {"chargingProfileId": 1, "scheduleUpdate": {}})
    assert times() == ["2026-11-23T08:01:00.000Z", "2026-11-23T07:00:00.000Z"]
