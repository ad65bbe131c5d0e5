"""Block Q: what each operation mode does to the stage, and what profiles are refused.

The frequency tables are the specification's examples (Q 2.2); other values are ours.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chargerd.model import (
    DispatchSignal,
    OperationMode,
    Priority,
    Segment,
    SessionPhase,
)
from firmware_bridge.api import StageMode
from tests.unit.ocpp.profile_kit import central, install, local, profile, segment
from tests.unit.ocpp.station_rig import Rig
from tests.unit.ocpp.variable_kit import get_one, item, set_one
from tests.unit.ocpp.whole import SITE, Whole, conf

req = pytest.mark.req
NEAR = 200.0  # W: stage and ramp
EVSE = {"id": 1}


def period(mode: str, **more: Any) -> list[dict[str, Any]]:
    return [{"startPeriod": 0, "operationMode": mode, **more}]


def refused(rig: Rig, periods: list[dict[str, Any]], **more: Any) -> tuple[str, str]:
    """Reason and words."""
    answer = install(rig, profile(periods=periods, **more))
    assert answer["status"] == "Rejected"
    info = answer["statusInfo"]
    return info["reasonCode"], info["additionalInfo"]


def balancing(rig: Rig, **values: float) -> None:
    for name, value in values.items():
        made = item(
            "V2XChargingCtrlr", "LocalLoadBalancing", str(value), instance=name,
            evse=EVSE,
        )  # fmt: skip
        assert set_one(rig, made)["attributeStatus"] == "Accepted"


BAND = {
    "LowerThreshold": -2000.0, "LowerOffset": 500.0, "UpperThreshold": 3000.0,
    "UpperOffset": -500.0,
}  # fmt: skip


# What the station says it can.


@req("Q01.FR.30", "Q01.FR.31", "Q07.FR.01", "Q08.FR.20")
def test_all_modes_are_reported() -> None:
    rig = Rig(conf()).boot()
    asked = item("V2XChargingCtrlr", "SupportedOperationModes", evse=EVSE)
    told = get_one(rig, asked)["attributeValue"].split(",")
    assert set(told) == {mode.value for mode in OperationMode}
    bare = {key: value for key, value in SITE.items() if key != "meter"}
    rig = Rig(conf(site=bare)).boot()
    told = get_one(rig, asked)["attributeValue"].split(",")
    assert "LocalLoadBalancing" not in told  # it needs the connection's meter


@req("Q01.FR.32")
def test_energy_transfers_are_reported() -> None:
    asked = item("V2XChargingCtrlr", "SupportedEnergyTransferModes", evse=EVSE)
    told = get_one(Rig(conf()).boot(), asked)["attributeValue"]
    assert told == "DC,DC_BPT"


# Refusals.


@req("Q08.FR.01", "Q08.FR.04")
@pytest.mark.parametrize(
    "field", ["limit", "dischargeLimit", "setpoint", "setpointReactive"]
)
def test_local_frequency_has_no_other_power(field: str) -> None:
    rig = Rig(conf()).boot()
    made = local([49.0, -1.0], [51.0, 1.0], **{field: 0.0})
    reason, words = refused(rig, made)
    assert reason == "InvalidSchedule"
    assert "chargingSchedule 1, startPeriod 0" in words


@req("Q08.FR.02", "Q08.FR.03", "Q08.FR.05")
def test_local_frequency_needs_its_curve() -> None:
    rig = Rig(conf()).boot()
    assert refused(rig, local())[0] == "NoFreqWattCurve"
    assert refused(rig, local([50.0, 0.0]))[0] == "NoFreqWattCurve"
    without = local([49.0, -1.0], [51.0, 1.0], v2xBaseline=None)
    assert refused(rig, without)[0] == "NoFreqWattCurve"
    in_a = refused(rig, local([49.0, -1.0], [51.0, 1.0]), unit="A")
    assert in_a[0] == "InvalidSchedule"


@req("Q10.FR.01", "Q10.FR.02")
@pytest.mark.parametrize(
    "field", ["limit", "dischargeLimit", "setpoint", "setpointReactive"]
)
def test_idle_has_no_power(field: str) -> None:
    rig = Rig(conf()).boot()
    reason, words = refused(rig, period("Idle", **{field: 0.0}))
    assert (reason, "startPeriod 0" in words) == ("InvalidSchedule", True)


@req("Q09.FR.01")
def test_load_balancing_without_a_meter_is_refused() -> None:
    bare = {key: value for key, value in SITE.items() if key != "meter"}
    rig = Rig(conf(site=bare)).boot()
    assert refused(rig, period("LocalLoadBalancing"))[0] == "UnsupportedParam"


@req("Q09.FR.02")
@pytest.mark.parametrize(
    "changes",
    [
        {"UpperThreshold": None},
        {"LowerThreshold": None},
        {"UpperOffset": None},
        {"LowerOffset": None},
        {"UpperThreshold": -2000.0},
        {"UpperThreshold": -5000.0},
    ],
)
def test_load_balancing_needs_all_thresholds(changes: dict[str, float | None]) -> None:
    rig = Rig(conf()).boot()
    values = {k: v for k, v in (BAND | changes).items() if v is not None}
    balancing(rig, **values)
    assert refused(rig, period("LocalLoadBalancing"))[0] == "MissingDevModelInfo"


@req("V2X.05")
@pytest.mark.parametrize("mode", ["CentralSetpoint", "CentralFrequency"])
@pytest.mark.parametrize(
    ("setpoint", "limits"),
    [
        (-750.0, {"limit": 1000.0, "dischargeLimit": -500.0}),
        (1001.0, {"limit": 1000.0, "dischargeLimit": -500.0}),
    ],
)
def test_a_setpoint_outside_its_limits_is_refused(
    mode: str, setpoint: float, limits: dict[str, float]
) -> None:
    rig = Rig(conf()).boot()
    made = central(setpoint, mode=mode, **limits)
    assert refused(rig, made)[0] == "InvalidSchedule"


AC_3 = {
    "ac_phases": 3,
    "iso15118": {
        "interface": "lo", "evse_id": "JP*ABC*E1", "energies": ["AC_BPT", "AC"],
    },
}  # fmt: skip


@req("V2X.06", "V2X.07", "V2X.10")
@pytest.mark.parametrize(
    ("more", "purpose", "reason"),
    [
        ({"setpoint_L2": 1.0}, "TxProfile", "Accepted"),
        ({"setpoint_L2": 1.0, "setpoint_L3": 1.0}, "TxProfile", "Accepted"),
        ({"setpointReactive": 1.0, "setpointReactive_L2": 1.0}, "TxProfile",
         "Accepted"),
        ({"dischargeLimit": -9.0, "dischargeLimit_L3": -9.0}, "TxProfile", "Accepted"),
        # V2X.06: a phase's setpoint inside the phase's own limits
        ({"limit": 9000.0, "limit_L2": 2.0, "setpoint_L2": 5.0}, "TxProfile",
         "InvalidSchedule"),
        # V2X.07: never without the field of L1
        ({"setpointReactive_L2": 1.0}, "TxProfile", "PhaseConflict"),
        ({"dischargeLimit_L2": -1.0}, "TxProfile", "PhaseConflict"),
        # V2X.10 with V2X.09: in a TxProfile only
        ({"setpoint_L2": 1.0}, "TxDefaultProfile", "PhaseConflict"),
        ({"dischargeLimit": -9.0, "dischargeLimit_L2": -9.0}, "TxDefaultProfile",
         "PhaseConflict"),
    ],
)  # fmt: skip
def test_phases_of_setpoints(more: dict[str, Any], purpose: str, reason: str) -> None:
    rig = Rig(conf(evse=AC_3)).boot()
    rig.observe(SessionPhase.ENERGY, authorised=True)
    tx = rig.events()[-1]["transactionInfo"]["transactionId"]
    of = {"transactionId": tx} if purpose == "TxProfile" else {}
    made = profile(purpose=purpose, periods=central(3.0, **more), **of)
    answer = install(rig, made)
    assert answer.get("statusInfo", {}).get("reasonCode", "Accepted") == reason


def test_phases_are_summed_for_the_heart() -> None:
    rig = Rig(conf(evse=AC_3)).boot()
    rig.observe(SessionPhase.ENERGY, authorised=True)
    tx = rig.events()[-1]["transactionInfo"]["transactionId"]
    made = central(-100.0, setpoint_L2=-200.0, setpoint_L3=-300.0,
                   setpointReactive=10.0, setpointReactive_L2=20.0)  # fmt: skip
    install(rig, profile(purpose="TxProfile", periods=made, transactionId=tx))
    assert (segment(rig).setpoint_w, segment(rig).setpoint_var) == (-600.0, 30.0)


# Setpoints on the stage.


@req("V2X.02")
@pytest.mark.parametrize("mode", ["CentralSetpoint", "CentralFrequency"])
@pytest.mark.parametrize("setpoint", [-5000.0, 0.0, 2500.0])
def test_a_setpoint_is_followed(mode: str, setpoint: float) -> None:
    whole = Whole()
    whole.start()
    install(whole.rig, profile(periods=central(setpoint, mode=mode)))
    whole.run(5.0)
    assert whole.power_w == pytest.approx(setpoint, abs=NEAR)
    info = whole.rig.events()[-1]["transactionInfo"]
    assert info["operationMode"] == mode


@req("V2X.03", "V2X.04", "K08.FR.08")
@pytest.mark.parametrize(
    ("setpoint", "caps", "power_w"),
    [
        (5000.0, {"limit_w": 2000.0}, 2000.0),
        (-5000.0, {"discharge_limit_w": -1500.0}, -1500.0),
        (-5000.0, {"discharge_limit_w": 0.0}, 0.0),
    ],
)
def test_a_setpoint_is_capped_by_the_composite_limits(
    setpoint: float, caps: dict[str, float], power_w: float
) -> None:
    whole = Whole()
    whole.start()
    whole.external(mode=OperationMode.EXTERNAL_LIMITS, **caps)
    install(whole.rig, profile(periods=central(setpoint)))
    whole.run(5.0)
    assert whole.power_w == pytest.approx(power_w, abs=NEAR)
    asked = {"evseId": 1, "duration": 10}
    answer: Any = whole.rig.call("GetCompositeSchedule", asked)
    told = answer["schedule"]["chargingSchedulePeriod"][0]["setpoint"]
    assert told == pytest.approx(power_w)


def test_a_cap_does_not_touch_reactive_power() -> None:
    """V2X.04: dischargeLimit does not apply to setpointReactive."""
    whole = Whole()
    whole.start()
    made = central(-3000.0, setpointReactive=1000.0)
    install(whole.rig, profile(periods=made))
    whole.run(5.0)
    factor = whole.stand.bridge.commands[1].stage.power_factor
    assert factor == pytest.approx(3000.0 / (3000.0**2 + 1000.0**2) ** 0.5, abs=0.01)
    whole.external(mode=OperationMode.EXTERNAL_LIMITS, discharge_limit_w=-1000.0)
    whole.run(5.0)
    assert segment(whole.rig).setpoint_var == 1000.0
    factor = whole.stand.bridge.commands[1].stage.power_factor
    assert factor == 0.8  # as much as the stage can beside 1 kW


@req("V2X.01")
def test_smart_charging_holds_for_v2x_too() -> None:
    """Stack levels, validity and offline rules of block K, with a V2X profile."""
    whole = Whole()
    whole.start()
    install(whole.rig, profile(1, periods=central(2000.0), stackLevel=0))
    low = whole.rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 10})
    install(whole.rig, profile(2, periods=central(-2000.0), stackLevel=1,
                               maxOfflineDuration=5))  # fmt: skip
    whole.run(5.0)
    assert whole.power_w == pytest.approx(-2000.0, abs=NEAR)
    whole.rig.link(False)
    whole.run(10.0)  # Q11: out after maxOfflineDuration
    assert whole.power_w == pytest.approx(2000.0, abs=NEAR)
    whole.rig.link(True)
    whole.run(5.0)  # Q12: back with the link
    assert whole.power_w == pytest.approx(-2000.0, abs=NEAR)
    assert isinstance(low, dict)


# Frequency.

FCR = [
    [47.0, -10_000.0], [49.80, -10_000.0], [49.99, -500.0], [49.991, 0.0], [50.0, 0.0],
    [50.009, 0.0], [50.01, 500.0], [50.20, 10_000.0], [53.0, 10_000.0],
]  # fmt: skip
SIGNALS = [{"signal": n, "power": p} for n, p in ((-1, -2000.0), (0, 0.0), (1, 2000.0))]


@req("Q08.FR.06", "Q08.FR.07")
@pytest.mark.parametrize(
    ("hertz", "power_w"),
    [
        (50.0, 0.0),
        (50.105, 500.0 + 9500.0 * 0.095 / 0.19),  # half way between two points
        (49.9, -(500.0 + 9500.0 * 0.09 / 0.19)),
        (49.5, -6000.0),  # -10 kW, but the EVSE has 6
    ],
)
def test_the_setpoint_is_interpolated_between_two_points(
    hertz: float, power_w: float
) -> None:
    """x between two points is divided by their distance."""
    whole = Whole()
    whole.start()
    install(whole.rig, profile(periods=local(*FCR, v2xBaseline=0.0)))
    whole.run(2.0)
    assert whole.power_w == pytest.approx(0.0, abs=NEAR)
    whole.stand.bridge.hertz = hertz - 0.005  # the meter's noise is 0 to 10 mHz
    whole.run(5.0)
    assert whole.power_w == pytest.approx(power_w, abs=450.0)


@req("Q08.FR.07")
def test_a_small_change_of_frequency_is_none() -> None:
    whole = Whole()
    whole.start()
    made = item("V2XChargingCtrlr", "LocalFrequencyUpdateThreshold", "50", evse=EVSE)
    assert set_one(whole.rig, made)["attributeStatus"] == "Accepted"
    curve = [[49.0, -5000.0], [51.0, 5000.0]]
    install(whole.rig, profile(periods=local(*curve, v2xBaseline=0.0)))
    whole.run(3.0)
    before_w = whole.power_w
    whole.stand.bridge.hertz = 50.03
    whole.run(3.0)
    assert whole.power_w == before_w
    whole.stand.bridge.hertz = 50.1
    whole.run(3.0)
    assert whole.power_w == pytest.approx(before_w + 500.0, abs=60.0)


@req("Q08.FR.10")
def test_afrr_comes_on_top_of_the_frequency_s_setpoint() -> None:
    whole = Whole()
    whole.start()
    curve = [[49.0, -5000.0], [51.0, 5000.0]]
    made = local(*curve, v2xBaseline=0.0, v2xSignalWattCurve=SIGNALS)
    install(whole.rig, profile(periods=made))
    whole.stand.bridge.hertz = 50.195
    whole.run(3.0)
    assert whole.power_w == pytest.approx(1000.0, abs=60.0)
    asked = {"timestamp": whole.rig.time(), "signal": -1}
    assert whole.rig.call("AFRRSignal", asked) == {"status": "Accepted"}
    whole.run(3.0)
    assert whole.power_w == pytest.approx(-1000.0, abs=60.0)
    for after_s, signal in ((9.0, 0), (5.0, 1)):  # each has its time, and not before
        at = (whole.rig.now.utc + timedelta(seconds=after_s)).isoformat()
        asked = {"timestamp": at, "signal": signal}
        assert whole.rig.call("AFRRSignal", asked) == {"status": "Accepted"}
    for power_w in (-1000.0, 3000.0, 1000.0):
        whole.run(4.0)
        assert whole.power_w == pytest.approx(power_w, abs=60.0)


@req("Q08.FR.11")
def test_afrr_without_an_active_curve_is_refused() -> None:
    whole = Whole()
    whole.start()
    asked = {"timestamp": whole.rig.time(), "signal": -1}

    def reason() -> Any:
        answer: Any = whole.rig.call("AFRRSignal", asked)
        return answer.get("statusInfo", {}).get("reasonCode", answer["status"])

    assert reason() == "NoSignalWattCurve"
    made = local(*FCR, v2xSignalWattCurve=SIGNALS)
    late = {"startSchedule": "2026-11-24T08:00:00Z"}
    install(whole.rig, profile(periods=made, schedule=late))
    assert reason() == "NoSignalWattCurve"  # installed, but not yet active
    install(whole.rig, profile(11, periods=made, stackLevel=1))
    assert reason() == "Accepted"
    install(whole.rig, profile(12, periods=local(*FCR), stackLevel=2))
    assert reason() == "NoSignalWattCurve"  # another profile is in force


# Load balancing.


@req("Q09.FR.03", "Q09.FR.04")
@pytest.mark.parametrize(
    ("house_w", "grid_w"),
    [
        (0.0, 0.0),  # inside: nothing to do
        (2900.0, 2900.0),
        (6000.0, 2500.0),  # upper threshold and offset
        (3050.0, 2500.0),  # a little above is above
        (-5000.0, -1500.0),  # lower threshold and offset
        (9500.0, 3500.0),  # all the EVSE has
    ],
)
def test_load_balancing_keeps_the_connection_between_the_thresholds(
    house_w: float, grid_w: float
) -> None:
    whole = Whole()
    whole.start()
    balancing(whole.rig, **BAND)
    install(whole.rig, profile(periods=central(0.0)))
    whole.run(4.0)
    install(whole.rig, profile(periods=period("LocalLoadBalancing")))
    whole.run(2.0)
    whole.stand.bridge.house_w = house_w
    whole.run(30.0)
    assert whole.grid_w == pytest.approx(grid_w, abs=NEAR)


@req("Q09.FR.05")
@pytest.mark.parametrize(("house_w", "power_w"), [(9000.0, -1000.0), (-9000.0, 2000.0)])
def test_load_balancing_stays_inside_its_limits(house_w: float, power_w: float) -> None:
    whole = Whole()
    whole.start()
    balancing(whole.rig, **BAND)
    made = period("LocalLoadBalancing", limit=2000.0, dischargeLimit=-1000.0)
    assert install(whole.rig, profile(periods=made))["status"] == "Accepted"
    whole.stand.bridge.house_w = house_w
    whole.run(30.0)
    assert whole.power_w == pytest.approx(power_w, abs=NEAR)


def test_new_thresholds_hold_at_once() -> None:
    whole = Whole()
    whole.start()
    balancing(whole.rig, **BAND)
    install(whole.rig, profile(periods=period("LocalLoadBalancing")))
    whole.stand.bridge.house_w = 6000.0
    whole.run(30.0)
    balancing(whole.rig, UpperThreshold=1000.0, UpperOffset=0.0)
    whole.run(30.0)
    assert whole.grid_w == pytest.approx(1000.0, abs=NEAR)


# External systems.


def dynamic(mode: str, number: int = 10, **more: Any) -> dict[str, Any]:
    schedule = {"duration": more.pop("duration")} if "duration" in more else {}
    return profile(
        number, kind="Dynamic", periods=period(mode), schedule=schedule,
        **{"stackLevel": 1, **more},
    )  # fmt: skip


def held(whole: Whole, number: int = 10) -> Any:
    """The profile's period and dynUpdateTime, as reported."""
    whole.rig.clear()
    whole._taken = 0
    asked = {"requestId": 1, "chargingProfile": {"chargingProfileId": [number]}}
    whole.rig.call("GetChargingProfiles", asked)
    (report,) = whole.rig.payloads("ReportChargingProfiles")
    (found,) = report["chargingProfile"]
    (values,) = found["chargingSchedule"][0]["chargingSchedulePeriod"]
    return values, found["dynUpdateTime"]


@req("K29.FR.03", "Q05.FR.01", "Q05.FR.03", "Q05.FR.05")
def test_an_external_setpoint_is_followed_and_kept_in_the_profile() -> None:
    whole = Whole()
    whole.start()
    assert install(whole.rig, dynamic("ExternalSetpoint"))["status"] == "Accepted"
    whole.run(1.0)
    whole.external(setpoint_w=-2000.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(-2000.0, abs=NEAR)
    values, first = held(whole)
    assert values["setpoint"] == -2000.0
    whole.external(setpoint_w=3000.0, setpoint_var=500.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(3000.0, abs=NEAR)
    values, later = held(whole)
    assert (values["setpoint"], values["setpointReactive"]) == (3000.0, 500.0)
    assert later > first


@req("Q05.FR.01")
def test_an_external_setpoint_comes_before_the_profile_s_own() -> None:
    """In a schedule, which no external system changes."""
    whole = Whole()
    whole.start()
    made = period("ExternalSetpoint", setpoint=1000.0, limit=5000.0)
    assert install(whole.rig, profile(periods=made))["status"] == "Accepted"
    whole.run(5.0)
    assert whole.power_w == pytest.approx(1000.0, abs=NEAR)
    whole.external(setpoint_w=-2000.0, seconds=10.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(-2000.0, abs=NEAR)
    whole.run(10.0)
    assert whole.power_w == pytest.approx(1000.0, abs=NEAR)


@req("K29.FR.03", "K29.FR.05", "K29.FR.06", "Q05.FR.02", "Q05.FR.04", "Q05.FR.06")
def test_external_limits_are_kept_in_the_profile() -> None:
    whole = Whole()
    whole.start()
    assert install(whole.rig, dynamic("ExternalLimits"))["status"] == "Accepted"
    limits = OperationMode.EXTERNAL_LIMITS
    whole.external(mode=limits, limit_w=2000.0, discharge_limit_w=-500.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(2000.0, abs=NEAR)
    values, first = held(whole)
    assert (values["limit"], values["dischargeLimit"]) == (2000.0, -500.0)
    whole.external(mode=limits, limit_w=4000.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(4000.0, abs=NEAR)
    values, later = held(whole)
    assert (values["limit"], later > first) == (4000.0, True)


def test_the_next_value_of_an_external_schedule_is_taken_in_its_time() -> None:
    whole = Whole()
    whole.start()
    install(whole.rig, dynamic("ExternalLimits"))
    mono, mode = whole.stand.mono, OperationMode.EXTERNAL_LIMITS
    parts = Segment(mono, mode, limit_w=2000.0), Segment(mono + 6.0, mode, limit_w=4e3)
    whole.stand.cycle.signal(
        DispatchSignal("mqtt", 1, Priority.LOCAL, parts, mono, mono + 60.0)
    )
    whole.run(5.0)
    assert whole.power_w == pytest.approx(2000.0, abs=NEAR)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(4000.0, abs=NEAR)


@req("Q05.FR.07", "Q05.FR.08")
def test_without_updates_the_next_profile_holds_until_one_comes() -> None:
    whole = Whole()
    whole.start()
    install(whole.rig, profile(9, periods=central(1000.0)))
    install(whole.rig, dynamic("ExternalSetpoint", duration=20))
    whole.external(setpoint_w=-2000.0, seconds=10.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(-2000.0, abs=NEAR)
    whole.run(30.0)
    assert whole.power_w == pytest.approx(1000.0, abs=NEAR)
    whole.external(setpoint_w=-3000.0, seconds=60.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(-3000.0, abs=NEAR)


@req("Q06.FR.20", "Q06.FR.21", "Q06.FR.22")
def test_setpoint_priority_says_who_comes_first() -> None:
    whole = Whole()
    whole.start()
    install(whole.rig, profile(periods=central(3000.0)))
    whole.external(setpoint_w=-2000.0, seconds=600.0)
    whole.run(5.0)
    assert whole.power_w == pytest.approx(3000.0, abs=NEAR)  # CSMS, as configured
    made = item("SmartChargingCtrlr", "SetpointPriority", "ExternalControl")
    assert set_one(whole.rig, made)["attributeStatus"] == "Accepted"
    whole.run(5.0)
    assert whole.power_w == pytest.approx(-2000.0, abs=NEAR)
    made = item("SmartChargingCtrlr", "SetpointPriority", "CSMS")
    assert set_one(whole.rig, made)["attributeStatus"] == "Accepted"
    whole.run(5.0)
    assert whole.power_w == pytest.approx(3000.0, abs=NEAR)


# Idle.


@req("Q10.FR.03", "Q10.FR.04")
def test_a_sleeping_evse_has_its_stage_off_and_says_so() -> None:
    whole = Whole()
    whole.start()
    install(whole.rig, profile(1, periods=period("Idle")))
    whole.run(5.0)
    stage = whole.stand.bridge.commands[1].stage
    assert (stage.mode, stage.current_a) == (StageMode.CHARGE, 0.0)  # ready at once
    assert "evseSleep" not in whole.rig.events()[-1]
    made = profile(2, periods=period("Idle", evseSleep=True), stackLevel=1)
    assert install(whole.rig, made)["status"] == "Accepted"
    whole.run(5.0)
    assert whole.stand.bridge.commands[1].stage.mode is StageMode.OFF
    whole.rig.call("TriggerMessage", {"requestedMessage": "TransactionEvent"})
    whole.run(1.0)
    assert whole.rig.events()[-1]["evseSleep"] is True
    install(whole.rig, profile(3, periods=central(0.0), stackLevel=2))
    whole.run(5.0)  # any other command wakes it, 0 W as well
    assert whole.stand.bridge.commands[1].stage.mode is not StageMode.OFF
    assert "evseSleep" not in whole.rig.events()[-1]


@req("Q10.FR.05")
def test_where_nothing_can_sleep_it_is_never_told() -> None:
    rig = Rig(conf(device_model={"SmartChargingCtrlr.SupportsEvseSleep": False}))
    rig.boot()
    assert refused(rig, period("Idle", evseSleep=True))[0] == "InvalidSchedule"
    rig.observe(SessionPhase.ENERGY, authorised=True)
    assert "evseSleep" not in rig.events()[-1]
