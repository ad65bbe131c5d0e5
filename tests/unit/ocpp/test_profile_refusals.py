"""Blocks K and Q: which profiles are refused, and with which reason."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase, VehicleNeeds, VehicleState
from tests.unit.ocpp.profile_kit import (
    AC_DEVICES,
    BOTH,
    DROOP,
    T0,
    central,
    install,
    local,
    profile,
    running,
    segment,
)
from tests.unit.ocpp.station_rig import Rig, config

NO_LIMIT = [{"startPeriod": 0, "operationMode": "ChargingOnly"}]


REFUSED: list[Any] = [  # name, profile, EVSE, reason, requirements
    ("unknown EVSE", profile(), 9, "UnknownEvse",
     pytest.mark.req("K01.FR.28")),
    ("external purpose", profile(purpose="ChargingStationExternalConstraints"), 1,
     "InvalidProfile"),
    ("max profile on an EVSE", profile(purpose="ChargingStationMaxProfile"), 1,
     "InvalidProfile",
     pytest.mark.req("K04.FR.03")),
    ("relative max profile",
     profile(purpose="ChargingStationMaxProfile", kind="Relative"), 0,
     "InvalidProfile",
     pytest.mark.req("K01.FR.38")),
    ("tx without transaction", profile(purpose="TxProfile"), 1, "TxNotFound",
     pytest.mark.req("K01.FR.09")),
    ("stack level", profile(stackLevel=99), 1, "InvalidStackLevel"),
    ("no start", profile(schedule={"startSchedule": "then"}), 1, "InvalidProfile"),
    ("relative with start", profile(kind="Relative", schedule={"startSchedule": T0}), 1,
     "InvalidSchedule",
     pytest.mark.req("K01.FR.41")),
    ("first period late", profile(periods=[{"startPeriod": 5, "limit": 1.0}]), 1,
     "InvalidSchedule",
     pytest.mark.req("K01.FR.31")),
    ("periods out of order", profile(periods=[
        {"startPeriod": 0, "limit": 1.0}, {"startPeriod": 0, "limit": 2.0}]), 1,
     "InvalidSchedule",
     pytest.mark.req("K01.FR.35")),
    ("negative limit", profile(periods=[{"startPeriod": 0, "limit": -1.0}]), 1,
     "InvalidSchedule"),
    ("monstrous limit", profile(periods=[{"startPeriod": 0, "limit": 1e300}]), 1,
     "InvalidSchedule"),
    ("validity", profile(validFrom="2026-12-02T00:00:00Z",
                         validTo="2026-12-01T00:00:00Z"), 1, "InvalidProfile"),
    ("phases of DC", profile(periods=[
        {"startPeriod": 0, "limit": 1.0, "numberPhases": 3}]), 1, "NoPhaseForDC",
     pytest.mark.req("K01.FR.44")),
    ("two schedules", {**profile(), "chargingSchedule":
        profile()["chargingSchedule"] * 2}, 1, "InvalidSchedule",
     pytest.mark.req("K01.FR.34")),
    ("recurring without kind", {**profile(), "chargingProfileKind": "Recurring"}, 1,
     "InvalidProfile"),
    ("absolute without start", {**profile(kind="Relative"),
                                "chargingProfileKind": "Absolute"}, 1,
     "InvalidSchedule",
     pytest.mark.req("K01.FR.40")),
    ("duration 0", profile(schedule={"duration": 0}), 1, "InvalidSchedule"),
]  # fmt: skip


REFUSED_21: list[Any] = [
    ("dyn field", profile(dynUpdateInterval=5), 1, "InvalidProfile",
     pytest.mark.req("K01.FR.122", "K28.FR.04")),
    ("dynamic of two", profile(kind="Dynamic", periods=[
        {"startPeriod": 0, "limit": 1.0}, {"startPeriod": 5, "limit": 1.0}]), 1,
     "InvalidSchedule",
     pytest.mark.req("K28.FR.01", "K28.FR.03", "K29.FR.01")),
    ("dynamic that waits", profile(kind="Dynamic", periods=[
        {"startPeriod": 5, "limit": 1.0}]), 1, "InvalidSchedule",
     pytest.mark.req("K28.FR.02", "K29.FR.02")),
    ("delay of the station", profile(
        purpose="ChargingStationMaxProfile", schedule={"randomizedDelay": 9}), 0,
     "InvalidSchedule", pytest.mark.req("K01.FR.95")),
    ("endless delay", profile(schedule={"randomizedDelay": 10**12}), 1,
     "InvalidSchedule"),
    ("V2X of local generation", profile(
        purpose="LocalGeneration", periods=central(1.0)), 0, "InvalidOperationMode",
     pytest.mark.req("K01.FR.113")),
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
    ("no curve", profile(periods=local()), 1, "NoFreqWattCurve"),
    ("one point", profile(periods=local([50.0, 0.0])), 1, "NoFreqWattCurve"),
    ("no baseline", profile(periods=local(*DROOP, v2xBaseline=None)), 1,
     "NoFreqWattCurve"),
    ("frequency in A", profile(periods=local(*DROOP), unit="A"), 1, "InvalidSchedule"),
    ("frequency beside a limit", profile(periods=local(*DROOP, limit=1.0)), 1,
     "InvalidSchedule"),
    ("monstrous curve", profile(periods=local([49.0, 0.0], [50.0, 1e30])), 1,
     "InvalidSchedule"),
    ("load balancing", profile(periods=[
        {"startPeriod": 0, "operationMode": "LocalLoadBalancing"}]), 1,
     "UnsupportedParam"),
    ("V2X in a max profile", profile(purpose="ChargingStationMaxProfile",
                                     periods=central(-1.0)), 0, "InvalidOperationMode",
     pytest.mark.req("K01.FR.111", "K01.FR.114")),
    ("phases of one-phase", profile(periods=[
        {"startPeriod": 0, "limit": 1.0, "limit_L2": 1.0}]), 1, "PhaseConflict",
     pytest.mark.req("K01.FR.144")),
    ("priority with duration", profile(purpose="PriorityCharging",
                                       schedule={"duration": 5}), 1, "InvalidSchedule",
     pytest.mark.req("K01.FR.70")),
    ("priority with V2X", profile(purpose="PriorityCharging", periods=central(1.0)), 1,
     "InvalidOperationMode",
     pytest.mark.req("K01.FR.71")),
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
    [pytest.param(*row[1:4], id=row[0], marks=row[4:]) for row in REFUSED],
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
    [pytest.param(*row[1:4], id=row[0], marks=row[4:]) for row in REFUSED_21],
)
def test_refusals_of_2_1(made: Any, evse_id: int, reason: str) -> None:
    rig = Rig().boot()
    answer = install(rig, made, evse_id)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == reason


@BOTH
@pytest.mark.parametrize(
    ("evse_id", "number"),
    [
        pytest.param(0, "", marks=pytest.mark.req("K01.FR.16")),
        (2, ""),
        pytest.param(1, "other", marks=pytest.mark.req("K01.FR.33")),
    ],
)
def test_a_tx_profile_is_for_its_own_transaction(
    version: str, evse_id: int, number: str
) -> None:
    rig, tx = running(version, config(evses=2))
    made = profile(purpose="TxProfile", transactionId=number or tx)
    assert install(rig, made, evse_id)["statusInfo"]["reasonCode"] == "TxNotFound"
    assert install(rig, {**made, "transactionId": tx}) == {"status": "Accepted"}


SMART = "SmartChargingCtrlr."
SWITCHED: list[Any] = [  # preset, profile, reason, requirement
    ({"RateUnit": "W"}, profile(unit="A"), "UnsupportedRateUnit",
     pytest.mark.req("K01.FR.26")),
    ({"MaxExternalConstraintsId": 50}, profile(50), "InvalidProfileId",
     pytest.mark.req("K01.FR.81")),
    ({"SupportedAdditionalPurposes": ""}, profile(
        purpose="LocalGeneration", periods=[
            {"startPeriod": 0, "operationMode": "ExternalLimits", "limit": 1.0}]),
     "UnsupportedPurpose", pytest.mark.req("K01.FR.120", "K01.FR.113")),
    ({"SupportedAdditionalPurposes": "LocalGeneration"},
     profile(purpose="PriorityCharging", kind="Relative"), "UnsupportedPurpose",
     pytest.mark.req("K01.FR.120")),
    ({"SupportsDynamicProfiles": False}, profile(kind="Dynamic"), "UnsupportedKind",
     pytest.mark.req("K01.FR.121")),
    ({"SupportsUseLocalTime": False}, profile(schedule={"useLocalTime": True}),
     "InvalidSchedule", pytest.mark.req("K01.FR.123")),
    ({"SupportsRandomizedDelay": False}, profile(schedule={"randomizedDelay": 9}),
     "InvalidSchedule", pytest.mark.req("K01.FR.124")),
    ({"SupportsLimitAtSoC": False},
     profile(schedule={"limitAtSoC": {"soc": 5, "limit": 1.0}}), "InvalidSchedule",
     pytest.mark.req("K01.FR.125")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("presets", "made", "reason"),
    [pytest.param(*row[:3], marks=row[3]) for row in SWITCHED],
)
def test_refusals_by_configuration(
    presets: dict[str, Any], made: Any, reason: str
) -> None:
    """Without the preset the same profile is taken."""
    named = {SMART + name: value for name, value in presets.items()}
    rig = Rig(config(device_model=named)).boot()
    assert install(rig, made)["statusInfo"]["reasonCode"] == reason
    assert install(Rig().boot(), made) == {"status": "Accepted"}


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


@pytest.mark.req("K28.FR.11")
@pytest.mark.parametrize("number", [10, 99])
def test_update_of_what_is_not_dynamic_is_refused(number: int) -> None:
    rig, _ = running()
    install(rig, profile())
    answer = rig.call(
        "UpdateDynamicSchedule", {"chargingProfileId": number, "scheduleUpdate": {}}
    )
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "InvalidProfile"


BASE = {"startPeriod": 0, "limit": 10.0}
OF_AC: list[Any] = [  # phases of the EVSE, period, reason ("" = taken), requirements
    (3, {**BASE, "numberPhases": 1, "phaseToUse": 2}, "InvalidSchedule"),
    (1, {**BASE, "numberPhases": 1, "phaseToUse": 2}, "InvalidSchedule",
     pytest.mark.req("K01.FR.48")),
    (3, {**BASE, "numberPhases": 1}, "InvalidSchedule", pytest.mark.req("K01.FR.43")),
    (3, {**BASE, "numberPhases": 3}, ""),
    (3, BASE, "", pytest.mark.req("K01.FR.49", "K01.FR.51")),
    (1, {**BASE, "numberPhases": 3}, "", pytest.mark.req("K01.FR.45")),
    (1, {**BASE, "numberPhases": 1}, "", pytest.mark.req("K01.FR.47")),
    (3, {"startPeriod": 0, "limit": 10.0, "setpoint_L2": 1.0}, "PhaseConflict"),
    (3, {"startPeriod": 0, "limit_L2": 1.0}, "PhaseConflict",
     pytest.mark.req("K01.FR.146")),
    (1, {**BASE, "limit_L2": 1.0}, "PhaseConflict"),
    (3, {**BASE, "operationMode": "CentralFrequency", "setpoint": 1.0},
     "InvalidOperationMode"),
    (3, {"startPeriod": 0, "operationMode": "Idle", "evseSleep": True},
     "InvalidSchedule", pytest.mark.req("K01.FR.126")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("phases", "period", "reason"),
    [pytest.param(*row[:3], marks=row[3:]) for row in OF_AC],
)
def test_phase_rules_of_an_ac_evse(phases: int, period: Any, reason: str) -> None:
    """Current is per phase; what is told of more phases than there are is taken."""
    rig, tx = running(conf=config(evse={"ac_phases": phases, "devices": AC_DEVICES}))
    made = profile(purpose="TxProfile", periods=[period], transactionId=tx, unit="A")
    answer = install(rig, made)
    if reason:
        assert answer["statusInfo"]["reasonCode"] == reason
    else:
        assert answer == {"status": "Accepted"}
        assert segment(rig).limit_w == 2300.0 * phases


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
    made = profile(periods=central(-100.0, mode="CentralFrequency"))
    assert install(rig, made)["statusInfo"]["reasonCode"] == "InvalidOperationMode"
    assert install(rig, profile(periods=central(100.0)))["status"] == "Accepted"


@pytest.mark.req("K01.FR.05", "K01.FR.52", "K01.FR.53")
@BOTH
def test_duplicates(version: str) -> None:
    rig = Rig(config(evses=2), version=version).boot()
    assert install(rig, profile(1), 0)["status"] == "Accepted"
    assert install(rig, profile(2), 1)["statusInfo"]["reasonCode"] == "DuplicateProfile"
    assert install(rig, profile(2, stackLevel=1), 1)["status"] == "Accepted"
    assert install(rig, profile(3, stackLevel=1), 2)["status"] == "Accepted"
    again = profile(4, stackLevel=1)
    for evse_id in (2, 0):
        answer = install(rig, again, evse_id)
        assert answer["statusInfo"]["reasonCode"] == "DuplicateProfile"
    plan = [{"startPeriod": 0, "limit": 1000.0}]
    changed = profile(1, periods=plan)  # the same id replaces
    assert install(rig, changed, 0)["status"] == "Accepted"
    rig.call(
        "GetChargingProfiles", {"requestId": 1, "chargingProfile": {}, "evseId": 0}
    )
    (told,) = rig.payloads("ReportChargingProfiles")
    schedule = told["chargingProfile"][0]["chargingSchedule"][0]
    assert schedule["chargingSchedulePeriod"] == plan


def test_the_store_of_profiles_is_bounded() -> None:
    rig = Rig(config(device_model={"SmartChargingCtrlr.ProfileStackLevel": 100})).boot()
    answers = [
        install(rig, profile(n + 1, stackLevel=n), 1)["status"] for n in range(33)
    ]
    assert answers.count("Accepted") == 32
    assert answers[-1] == "Rejected"


def test_smart_charging_can_be_switched_off() -> None:
    rig = Rig(config(device_model={"SmartChargingCtrlr.Enabled": False})).boot()
    assert install(rig, profile())["statusInfo"]["reasonCode"] == "NotEnabled"


@pytest.mark.req("K01.FR.115")
def test_a_mode_that_is_not_listed_is_refused() -> None:
    listed = {"V2XChargingCtrlr.SupportedOperationModes": "ChargingOnly,Idle"}
    rig = Rig(config(device_model=listed)).boot()
    answer = install(rig, profile(periods=central(1.0)))
    assert answer["statusInfo"]["reasonCode"] == "InvalidOperationMode"
    assert install(Rig().boot(), profile(periods=central(1.0)))["status"] == "Accepted"


@pytest.mark.req("K01.FR.144")
@pytest.mark.parametrize("needs_told", [False, True])
def test_phases_that_the_vehicle_has_not_told_are_refused(needs_told: bool) -> None:
    """Where needs were told there were no powers of single phases in them."""
    rig, tx = running(conf=config(evse={"ac_phases": 3, "devices": AC_DEVICES}))
    if needs_told:
        vehicle = VehicleState("iso15118-20", needs=VehicleNeeds("AC", asked=1))
        rig.observe(SessionPhase.ENERGY, authorised=True, vehicle=vehicle)
    plan = [{"startPeriod": 0, "limit": 9.0, "limit_L2": 8.0, "limit_L3": 7.0}]
    made = profile(purpose="TxProfile", periods=plan, transactionId=tx, unit="A")
    answer = install(rig, made)
    if needs_told:
        assert answer["statusInfo"]["reasonCode"] == "PhaseConflict"
    else:
        assert answer == {"status": "Accepted"}
