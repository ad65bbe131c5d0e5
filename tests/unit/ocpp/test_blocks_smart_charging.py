"""Blocks K and Q: profiles in, refusals with reasons, dispatch signals out."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import OperationMode, SessionPhase, StopReason
from chargerd.ocpp.effects import CallError
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
T0 = "2026-11-23T08:00:00Z"


def profile(
    number: int = 10,
    purpose: str = "TxDefaultProfile",
    kind: str = "Absolute",
    periods: list[dict[str, Any]] | None = None,
    *,
    unit: str = "W",
    schedule: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    plan = {
        "id": 1,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods or [{"startPeriod": 0, "limit": 3000.0}],
        **({"startSchedule": T0} if kind in ("Absolute", "Recurring") else {}),
        **(schedule or {}),
    }
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [plan],
        **({"recurrencyKind": "Daily"} if kind == "Recurring" else {}),
        **more,
    }


def central(setpoint: float, **more: Any) -> list[dict[str, Any]]:
    mode = more.pop("mode", "CentralSetpoint")
    return [{"startPeriod": 0, "operationMode": mode, "setpoint": setpoint, **more}]


def install(rig: Rig, made: dict[str, Any], evse_id: int = 1) -> dict[str, Any]:
    answer = rig.call(
        "SetChargingProfile", {"evseId": evse_id, "chargingProfile": made}
    )
    assert isinstance(answer, dict)
    return answer


def running(version: str = V21, conf: Any = None) -> tuple[Rig, str]:
    rig = Rig(conf, version=version)
    rig.boot()
    rig.observe(P.ENERGY, authorised=True)
    return rig, rig.events()[-1]["transactionInfo"]["transactionId"]


def segment(rig: Rig, source: str = "ocpp.tx", evse_id: int = 1) -> Any:
    signal = rig.signal(source, evse_id)
    return signal.at(rig.now.mono) if signal else None


@BOTH
def test_a_limit_becomes_a_contract(version: str) -> None:
    rig, _ = running(version)
    assert install(rig, profile())["status"] == "Accepted"
    held = segment(rig)
    assert (held.limit_w, held.discharge_limit_w, held.setpoint_w) == (
        3000.0,
        0.0,
        None,
    )
    assert held.mode is OperationMode.CHARGING_ONLY


def test_a_negative_setpoint_becomes_a_wish_to_discharge() -> None:
    rig, tx = running()
    made = profile(
        purpose="TxProfile",
        kind="Dynamic",
        periods=central(-7000.0, dischargeLimit=-7500.0),
        schedule={"duration": 60},
        transactionId=tx,
    )
    assert install(rig, made) == {"status": "Accepted"}
    signal = rig.signal("ocpp.tx")
    assert signal.valid_until_mono == pytest.approx(rig.now.mono + 60)
    held = segment(rig)
    assert (held.mode, held.setpoint_w) == (OperationMode.CENTRAL_SETPOINT, -7000.0)
    rig.pass_s(30)
    update = {"chargingProfileId": 10, "scheduleUpdate": {"setpoint": -4000.0}}
    assert rig.call("UpdateDynamicSchedule", update) == {"status": "Accepted"}
    assert segment(rig).setpoint_w == -4000.0
    assert rig.signal("ocpp.tx").valid_until_mono == pytest.approx(rig.now.mono + 60)
    rig.pass_s(61)
    assert segment(rig) is None  # the lease ended, nobody renewed it
    update["scheduleUpdate"] = {}
    rig.call("UpdateDynamicSchedule", update)
    assert segment(rig).setpoint_w == -4000.0  # eligible again (K28)


def test_expired_dynamic_profile_falls_to_the_next_level() -> None:
    rig, _ = running()
    install(rig, profile(1))
    made = profile(
        2, kind="Dynamic", periods=central(-5000.0), stackLevel=1,
        schedule={"duration": 30},
    )  # fmt: skip
    assert install(rig, made)["status"] == "Accepted"
    assert segment(rig).setpoint_w == -5000.0
    rig.pass_s(31)
    assert segment(rig).limit_w == 3000.0


@pytest.mark.parametrize(
    ("update", "status"),
    [
        ({"setpoint": -100.0}, "Accepted"),
        ({"limit": 500.0, "setpoint": 400.0}, "Accepted"),
        ({"limit": -5.0}, "Rejected"),
        ({"setpoint": 9e9}, "Rejected"),
        ({"setpoint": -7600.0}, "Rejected"),
    ],
)
def test_updates_are_checked_like_profiles(update: Any, status: str) -> None:
    rig, tx = running()
    made = profile(
        purpose="TxProfile",
        kind="Dynamic",
        periods=central(-7000.0, dischargeLimit=-7500.0),
        transactionId=tx,
    )
    install(rig, made)
    answer = rig.call(
        "UpdateDynamicSchedule", {"chargingProfileId": 10, "scheduleUpdate": update}
    )
    assert isinstance(answer, dict)
    assert answer["status"] == status
    if status == "Rejected":
        assert segment(rig).setpoint_w == -7000.0


@pytest.mark.parametrize("number", [10, 99])
def test_update_of_what_is_not_dynamic_is_refused(number: int) -> None:
    rig, _ = running()
    install(rig, profile())
    answer = rig.call(
        "UpdateDynamicSchedule", {"chargingProfileId": number, "scheduleUpdate": {}}
    )
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "InvalidProfile"


NO_LIMIT = [{"startPeriod": 0, "operationMode": "ChargingOnly"}]
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("unknown EVSE", profile(), 9, "UnknownEvse"),
    ("external purpose", profile(purpose="ChargingStationExternalConstraints"), 1,
     "InvalidProfile"),
    ("max profile on an EVSE", profile(purpose="ChargingStationMaxProfile"), 1,
     "InvalidProfile"),
    ("relative max profile",
     profile(purpose="ChargingStationMaxProfile", kind="Relative"), 0,
     "InvalidProfile"),
    ("tx without transaction", profile(purpose="TxProfile"), 1, "TxNotFound"),
    ("tx on evse 0", profile(purpose="TxProfile", transactionId="x"), 0, "TxNotFound"),
    ("stack level", profile(stackLevel=99), 1, "InvalidStackLevel"),
    ("no start", profile(schedule={"startSchedule": "then"}), 1, "InvalidProfile"),
    ("relative with start", profile(kind="Relative", schedule={"startSchedule": T0}), 1,
     "InvalidSchedule"),
    ("first period late", profile(periods=[{"startPeriod": 5, "limit": 1.0}]), 1,
     "InvalidSchedule"),
    ("periods out of order", profile(periods=[
        {"startPeriod": 0, "limit": 1.0}, {"startPeriod": 0, "limit": 2.0}]), 1,
     "InvalidSchedule"),
    ("negative limit", profile(periods=[{"startPeriod": 0, "limit": -1.0}]), 1,
     "InvalidSchedule"),
    ("monstrous limit", profile(periods=[{"startPeriod": 0, "limit": 1e300}]), 1,
     "InvalidSchedule"),
    ("validity", profile(validFrom="2026-12-02T00:00:00Z",
                         validTo="2026-12-01T00:00:00Z"), 1, "InvalidProfile"),
    ("phases of DC", profile(periods=[
        {"startPeriod": 0, "limit": 1.0, "numberPhases": 3}]), 1, "NoPhaseForDC"),
    ("two schedules", {**profile(), "chargingSchedule":
        profile()["chargingSchedule"] * 2}, 1, "InvalidSchedule"),
    ("recurring without kind", {**profile(), "chargingProfileKind": "Recurring"}, 1,
     "InvalidProfile"),
    ("absolute without start", {**profile(kind="Relative"),
                                "chargingProfileKind": "Absolute"}, 1,
     "InvalidSchedule"),
    ("duration 0", profile(schedule={"duration": 0}), 1, "InvalidSchedule"),
]  # fmt: skip
REFUSED_21: list[tuple[str, dict[str, Any], int, str]] = [
    ("dyn field", profile(dynUpdateInterval=5), 1, "InvalidProfile"),
    ("dynamic of two", profile(kind="Dynamic", periods=[
        {"startPeriod": 0, "limit": 1.0}, {"startPeriod": 5, "limit": 1.0}]), 1,
     "InvalidSchedule"),
    ("local time", profile(schedule={"useLocalTime": True}), 1, "InvalidSchedule"),
    ("delay", profile(schedule={"randomizedDelay": 9}), 1, "InvalidSchedule"),
    ("sleep", profile(periods=[
        {"startPeriod": 0, "limit": 1.0, "evseSleep": True}]), 1, "InvalidSchedule"),
    ("no limit", profile(periods=NO_LIMIT), 1, "InvalidSchedule"),
    ("charging only with setpoint", profile(periods=[
        {"startPeriod": 0, "limit": 1.0, "setpoint": 1.0}]), 1, "InvalidSchedule"),
    ("central without setpoint", profile(periods=[
        {"startPeriod": 0, "operationMode": "CentralSetpoint", "limit": 1.0}]), 1,
     "InvalidSchedule"),
    ("setpoint above limit", profile(periods=central(5000.0, limit=4000.0)), 1,
     "InvalidSchedule"),
    ("setpoint below floor", profile(periods=central(-5000.0, dischargeLimit=-1.0)), 1,
     "InvalidSchedule"),
    ("monstrous setpoint", profile(periods=central(-1e308)), 1, "InvalidSchedule"),
    ("local frequency", profile(periods=[
        {"startPeriod": 0, "operationMode": "LocalFrequency"}]), 1,
     "InvalidOperationMode"),
    ("load balancing", profile(periods=[
        {"startPeriod": 0, "operationMode": "LocalLoadBalancing"}]), 1,
     "UnsupportedParam"),
    ("V2X in a max profile", profile(purpose="ChargingStationMaxProfile",
                                     periods=central(-1.0)), 0, "InvalidOperationMode"),
    ("phases of one-phase", profile(periods=[
        {"startPeriod": 0, "limit": 1.0, "limit_L2": 1.0}]), 1, "PhaseConflict"),
    ("priority with duration", profile(purpose="PriorityCharging",
                                       schedule={"duration": 5}), 1, "InvalidSchedule"),
    ("priority with V2X", profile(purpose="PriorityCharging", periods=central(1.0)), 1,
     "InvalidSchedule"),
    ("idle with power", profile(periods=[
        {"startPeriod": 0, "operationMode": "Idle", "setpoint": 4.0}]), 1,
     "InvalidSchedule"),
    ("update time out of place", profile(dynUpdateTime=T0), 1, "InvalidProfile"),
    ("endless offline", profile(maxOfflineDuration=10**12), 1, "InvalidProfile"),
    ("soc limit", profile(schedule={"limitAtSoC": {"soc": 5, "limit": -1.0}}), 1,
     "InvalidSchedule"),
    ("bad dyn time", profile(kind="Dynamic", dynUpdateTime="now"), 1, "InvalidProfile"),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(
    ("made", "evse_id", "reason"),
    [row[1:] for row in REFUSED],
    ids=lambda v: str(v)[:9],
)
def test_refusals(version: str, made: Any, evse_id: int, reason: str) -> None:
    rig = Rig(version=version).boot()
    answer = install(rig, made, evse_id)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == reason
    assert rig.signals() == []
    assert rig.saved.get("profile", {}) == {}


@pytest.mark.parametrize(
    ("made", "evse_id", "reason"),
    [row[1:] for row in REFUSED_21],
    ids=[row[0] for row in REFUSED_21],
)
def test_refusals_of_2_1(made: Any, evse_id: int, reason: str) -> None:
    rig = Rig().boot()
    answer = install(rig, made, evse_id)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == reason


@pytest.mark.parametrize(
    ("presets", "made", "reason"),
    [
        ({"SmartChargingCtrlr.RateUnit": "W"}, profile(unit="A"),
         "UnsupportedRateUnit"),
        ({"SmartChargingCtrlr.MaxExternalConstraintsId": 50}, profile(50),
         "InvalidProfileId"),
        ({"SmartChargingCtrlr.SupportedAdditionalPurposes": ""},
         profile(purpose="LocalGeneration"), "UnsupportedPurpose"),
    ],
)  # fmt: skip
def test_refusals_by_configuration(
    presets: dict[str, Any], made: Any, reason: str
) -> None:
    rig = Rig(config(device_model=presets)).boot()
    assert install(rig, made)["statusInfo"]["reasonCode"] == reason


def test_phase_rules_of_an_ac_evse() -> None:
    devices = {k: {"driver": "x", "at": "y:/z"} for k in ("pilot", "meter")}
    conf = config(evse={"ac_phases": 3, "devices": devices})
    rig, tx = running(conf=conf)
    base = {"startPeriod": 0, "limit": 10.0}
    for period, reason in (
        ({**base, "numberPhases": 1, "phaseToUse": 2}, "InvalidSchedule"),
        ({"startPeriod": 0, "limit": 10.0, "setpoint_L2": 1.0}, "PhaseConflict"),
        ({**base, "operationMode": "CentralSetpoint", "setpoint": 1.0},
         "InvalidOperationMode"),
    ):  # fmt: skip
        made = profile(
            purpose="TxProfile", periods=[period], transactionId=tx, unit="A"
        )
        assert install(rig, made)["statusInfo"]["reasonCode"] == reason
    made = profile(
        purpose="TxProfile", periods=[{**base, "numberPhases": 1}], transactionId=tx,
        unit="A",
    )  # fmt: skip
    assert install(rig, made) == {"status": "Accepted"}
    assert segment(rig).limit_w == 2300.0


def test_phases_of_one_setpoint_share_its_sign() -> None:
    rig, tx = running(conf=config(evse={"ac_phases": 3}))
    made = profile(
        purpose="TxProfile",
        periods=central(-1000.0, setpoint_L2=2000.0),
        transactionId=tx,
    )
    assert install(rig, made)["statusInfo"]["reasonCode"] == "InvalidSchedule"


def test_an_evse_that_cannot_discharge_takes_no_v2x_mode() -> None:
    rig = Rig(config(evse={"discharge_w": 0})).boot()
    answer = install(rig, profile(periods=central(-100.0)))
    assert answer["statusInfo"]["reasonCode"] == "InvalidOperationMode"


@BOTH
def test_duplicates(version: str) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    assert install(rig, profile(1), 0)["status"] == "Accepted"
    assert install(rig, profile(2), 1)["statusInfo"]["reasonCode"] == "DuplicateProfile"
    assert install(rig, profile(2, stackLevel=1), 1)["status"] == "Accepted"
    assert install(rig, profile(3, stackLevel=1), 2)["status"] == "Accepted"
    again = profile(4, stackLevel=1)
    assert install(rig, again, 2)["statusInfo"]["reasonCode"] == "DuplicateProfile"
    assert install(rig, profile(1), 0)["status"] == "Accepted"  # the same id replaces


def test_the_store_of_profiles_is_bounded() -> None:
    rig = Rig(config(device_model={"SmartChargingCtrlr.ProfileStackLevel": 100})).boot()
    answers = [
        install(rig, profile(n + 1, stackLevel=n), 1)["status"] for n in range(33)
    ]
    assert answers.count("Accepted") == 32
    assert answers[-1] == "Rejected"


@BOTH
def test_amperes_use_the_configured_voltage(version: str) -> None:
    conf = config(evse={"ac_phases": 3, "ac_voltage_v": 230})
    rig, _ = running(version, conf)
    install(rig, profile(unit="A", periods=[{"startPeriod": 0, "limit": 16.0}]))
    assert segment(rig).limit_w == pytest.approx(16 * 230 * 3)


def test_phase_values_of_a_transaction_add_up() -> None:
    rig, tx = running(conf=config(evse={"ac_phases": 3}))
    plan = central(-1000.0, setpoint_L2=-2000.0, setpoint_L3=-3000.0)
    made = profile(purpose="TxProfile", kind="Relative", periods=plan, transactionId=tx)
    assert install(rig, made) == {"status": "Accepted"}
    assert segment(rig).setpoint_w == -6000.0


@BOTH
def test_persistent_profiles_survive_a_restart(version: str) -> None:
    rig, tx = running(version)
    install(rig, profile(1))
    install(rig, profile(2, purpose="ChargingStationMaxProfile"), 0)
    install(rig, profile(3, purpose="TxProfile", transactionId=tx))
    again = rig.restarted()
    again.pass_s(0)
    assert segment(again, "ocpp.site").limit_w == 3000.0
    assert segment(again).limit_w == 3000.0
    again.boot()
    answer = again.call("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    assert answer == {"status": "Accepted"}
    reports = again.payloads("ReportChargingProfiles")
    ids = sorted(report["chargingProfile"][0]["id"] for report in reports)
    assert ids == [1, 2]
    assert [report["tbc"] for report in reports] == [True, False]


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


def test_a_cleared_profile_is_withdrawn_at_once() -> None:
    rig = Rig().boot()
    install(rig, profile())
    rig.call("ClearChargingProfile", {})
    signal = rig.signals()[-1]
    assert signal.source == "ocpp.tx"
    assert signal.valid_until_mono <= rig.now.mono
    assert segment(rig) is None


def test_the_station_maximum_is_told_for_the_station_and_each_evse() -> None:
    rig = Rig(config(evses=2)).boot()
    install(rig, profile(purpose="ChargingStationMaxProfile"), 0)
    assert {(s.source, s.evse_id) for s in rig.signals()} == {
        ("ocpp.site", 0), ("ocpp.site", 1), ("ocpp.site", 2)
    }  # fmt: skip
    assert segment(rig, "ocpp.site", 0).discharge_limit_w is None
    assert segment(rig, "ocpp.site", 0).setpoint_w is None


def test_tx_profile_ends_with_its_transaction() -> None:
    rig, tx = running()
    install(rig, profile(purpose="TxProfile", transactionId=tx))
    assert segment(rig).limit_w == 3000.0
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.LOCAL)
    assert segment(rig) is None


def test_a_schedule_is_sent_ahead_and_renewed() -> None:
    rig = Rig().boot()
    plan = [{"startPeriod": n * 600, "limit": 1000.0 + n} for n in range(20)]
    install(rig, profile(periods=plan))
    signal = rig.signal("ocpp.tx")
    starts = [s.start_mono - rig.now.mono for s in signal.segments]
    assert starts == pytest.approx([n * 600 for n in range(6)])
    for minute in range(0, 190, 7):
        expected = 1000.0 + min(minute // 10, 19)
        assert segment(rig).limit_w == expected, minute
        assert rig.signal("ocpp.tx").valid_until_mono > rig.now.mono + 60
        rig.pass_s(420)


def test_fast_schedules_are_cut_at_200_segments() -> None:
    rig = Rig().boot()
    plan = [{"startPeriod": n, "limit": float(n)} for n in range(1024)]
    install(rig, profile(periods=plan))
    assert len(rig.signal("ocpp.tx").segments) == 200
    for _ in range(60):
        rig.pass_s(15)
        offset = rig.now.mono - 1000.0
        assert segment(rig).limit_w == min(int(offset), 1023)


def test_a_gap_says_nothing_and_the_schedule_comes_back() -> None:
    rig = Rig().boot()
    install(rig, profile(kind="Recurring", schedule={"duration": 3600}))
    assert segment(rig).limit_w == 3000.0
    rig.pass_s(3601)
    assert segment(rig) is None
    rig.pass_s(82_799)
    assert segment(rig).limit_w == 3000.0


def test_a_profile_without_end_is_a_renewed_lease() -> None:
    rig = Rig().boot()
    install(rig, profile())
    first = rig.signal("ocpp.tx")
    assert first.valid_until_mono == pytest.approx(rig.now.mono + 86_400)
    rig.pass_s(86_000)
    assert rig.signal("ocpp.tx").valid_until_mono > rig.now.mono + 43_000
    assert len(rig.signals()) < 6


def test_nothing_is_sent_twice() -> None:
    rig, _ = running()
    install(rig, profile())
    count = len(rig.signals())
    rig.run_s(5)
    rig.link(up=False)
    rig.link()
    assert len(rig.signals()) == count


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


def test_pull_at_the_interval_and_after_a_failure() -> None:
    rig, _ = running()
    install(rig, profile(kind="Dynamic", periods=central(0.0), dynUpdateInterval=60))
    rig.pass_s(59)
    assert rig.payloads("PullDynamicScheduleUpdate") == []
    rig.pass_s(2)
    pull = rig.last("PullDynamicScheduleUpdate")
    rig.answer(pull, CallError("InternalError"))
    rig.pass_s(29)
    assert len(rig.payloads("PullDynamicScheduleUpdate")) == 1
    rig.pass_s(2)
    pull = rig.last("PullDynamicScheduleUpdate")
    rig.answer(pull, {"status": "Accepted", "scheduleUpdate": {"setpoint": -3000.0}})
    assert segment(rig).setpoint_w == -3000.0
    rig.pass_s(59)
    assert len(rig.payloads("PullDynamicScheduleUpdate")) == 2


def test_limit_at_soc() -> None:
    rig, _ = running()
    made = profile(schedule={"limitAtSoC": {"soc": 80, "limit": 500.0}})
    assert install(rig, made) == {"status": "Accepted"}
    assert segment(rig).limit_w == 3000.0
    rig.observe(P.ENERGY, authorised=True, soc=80.0)
    assert segment(rig).limit_w == 500.0
    rig.observe(P.ENERGY, authorised=True, soc=79.0)
    assert segment(rig).limit_w == 3000.0


def test_priority_charging_beats_and_gives_back() -> None:
    rig, tx = running()
    install(rig, profile(1, purpose="TxProfile", transactionId=tx))
    request = {"transactionId": tx, "activate": True}
    answer = rig.call("UsePriorityCharging", request)
    assert isinstance(answer, dict)
    assert answer["status"] == "NoProfile"
    fast = [{"startPeriod": 0, "limit": 6000.0}]
    install(rig, profile(2, purpose="PriorityCharging", periods=fast))
    assert segment(rig).limit_w == 3000.0
    assert rig.call("UsePriorityCharging", request) == {"status": "Accepted"}
    assert segment(rig).limit_w == 6000.0
    rig.call("UsePriorityCharging", {"transactionId": tx, "activate": False})
    assert segment(rig).limit_w == 3000.0


def test_relative_profiles_start_when_power_may_flow() -> None:
    rig = Rig().boot()
    plan = [{"startPeriod": 0, "limit": 1000.0}, {"startPeriod": 100, "limit": 2000.0}]
    install(rig, profile(kind="Relative", periods=plan))
    rig.observe(P.CONNECTED)
    rig.run_s(60)
    rig.observe(P.STARTING, authorised=True)
    rig.pass_s(99)
    assert segment(rig).limit_w == 1000.0
    rig.pass_s(2)
    assert segment(rig).limit_w == 2000.0


def test_a_clock_step_moves_the_schedule() -> None:
    rig, _ = running()
    plan = [{"startPeriod": 0, "limit": 1000.0}, {"startPeriod": 600, "limit": 2000.0}]
    install(rig, profile(periods=plan))
    assert segment(rig).limit_w == 1000.0
    later = rig.now.utc.replace(minute=30)
    rig.now = type(rig.now)(rig.now.mono, later)
    rig.observe(P.ENERGY, authorised=True)
    assert segment(rig).limit_w == 2000.0


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


def test_idle_asks_for_nothing_at_all() -> None:
    rig, _ = running()
    install(rig, profile(periods=[{"startPeriod": 0, "operationMode": "Idle"}]))
    held = segment(rig)
    assert (held.mode, held.setpoint_w) == (OperationMode.IDLE, 0.0)
    answer = rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert isinstance(answer, dict)
    (period,) = answer["schedule"]["chargingSchedulePeriod"]
    assert period == {"startPeriod": 0, "operationMode": "Idle"}


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


@BOTH
@pytest.mark.parametrize(
    ("criterion", "found"),
    [
        ({"chargingProfileId": [1]}, 1),
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


def test_smart_charging_can_be_switched_off() -> None:
    rig = Rig(config(device_model={"SmartChargingCtrlr.Enabled": False})).boot()
    assert install(rig, profile())["statusInfo"]["reasonCode"] == "NotEnabled"
