"""ISO 15118-20 charge loop: signs, limits, who leads, wishes, meter, standby."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.vehicle.iso15118.messages.common_types import DisplayParameters
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car, r, value


def wish(response: Any) -> str | None:
    status = response.EVSEStatus
    return None if status is None else str(status.EVSENotification)


def running(energy: int = 6, parameter_set: int = 1, **more: Any) -> Car:
    car = Car(energy, parameter_set, **more)
    car.energise()
    car.loop(2)
    return car


# --- DC: limits and signs -------------------------------------------------------------


@pytest.mark.parametrize("setpoint_a", [20.0, 0.0, -20.0])
def test_present_values_carry_their_sign_limits_do_not(setpoint_a: float) -> None:
    """[V2G20-1034], [V2G20-1035]"""
    car = running()
    car.plant.setpoint_a = setpoint_a
    answer = car.loop(3)
    assert value(answer.EVSEPresentCurrent) == setpoint_a
    mode = answer.CLResControlMode
    assert value(mode.EVSEMaximumChargeCurrent) == 50.0
    assert value(mode.EVSEMaximumChargePower) == 19_000.0
    assert value(mode.EVSEMaximumDischargeCurrent) == 30.0
    assert value(mode.EVSEMaximumDischargePower) == 10_000.0  # the rating
    assert value(mode.EVSEMinimumChargePower) == 0.0
    assert value(mode.EVSEMaximumVoltage) == 500.0


@pytest.mark.req("K16.FR.11")
@pytest.mark.parametrize(
    ("setpoint_a", "charge_a", "discharge_a"),
    [(12.0, 12.0, 0.0), (-12.0, 0.0, 12.0), (0.0, 0.0, 0.0), (99.0, 50.0, 0.0)],
)
def test_where_the_vehicle_leads_what_was_decided_is_its_limit(
    setpoint_a: float, charge_a: float, discharge_a: float
) -> None:
    """So a dispatch acts at once in scheduled control, too."""
    car = running(6, 2)
    car.saying = {"setpoint_a": setpoint_a}
    mode = car.loop(3).CLResControlMode
    assert value(mode.EVSEMaximumChargeCurrent) == charge_a
    assert value(mode.EVSEMaximumDischargeCurrent) == discharge_a


@pytest.mark.parametrize(
    ("target_a", "asked", "asked_back"),
    [(20.0, 20.0, 0.0), (-20.0, 0.0, -20.0), (0.0, 0.0, 0.0)],
)
def test_the_vehicles_target_is_the_setpoint_in_scheduled_control(
    target_a: float, asked: float, asked_back: float
) -> None:
    car = running(6, 2)
    car.loop(EVTargetCurrent=target_a)
    limits = car.state.limits
    assert limits is not None
    assert (limits.requested_a, limits.requested_discharge_a) == (asked, asked_back)
    assert car.state.demand.voltage_v == 410.0  # EVTargetVoltage


def test_limits_move_with_each_message_and_stay_where_nothing_is_said() -> None:
    car = running(6, 2)
    car.loop(EVMaximumChargeCurrent=33.0, EVMaximumDischargeCurrent=7.0)
    car.loop(EVMaximumChargeCurrent=None, EVMaximumDischargeCurrent=None)
    limits = car.state.limits
    assert limits is not None
    assert (limits.charge_a, limits.discharge_a) == (33.0, -7.0)


@pytest.mark.parametrize(
    "change",
    [
        {"EVMaximumDischargeCurrent": 0.0},
        {"EVMaximumDischargePower": 0.0},
        {"EVMinimumV2XEnergyRequest": 0.0},
        {"EVMinimumEnergyRequest": 500.0},
        {"EVMinimumVoltage": 379.0},
        {"shown": DisplayParameters(PresentSOC=30, MinimumSOC=30)},
    ],
)
def test_export_stops_at_each_floor(change: dict[str, Any]) -> None:
    car = running()
    assert car.state.limits is not None
    assert car.state.limits.discharge_allowed
    car.loop(**change)
    if "EVMinimumVoltage" in change:  # a sinking battery, with its hysteresis
        car.plant.battery_v = 378.0
        car.loop(3, **change)
    limits = car.state.limits
    assert not limits.discharge_allowed
    assert limits.discharge_a == 0.0
    assert limits.charge_a > 0.0
    # The next message counts again.
    car.plant.battery_v = 390.0
    car.loop(3, EVMinimumV2XEnergyRequest=-1.0)
    assert car.state.limits is not None
    assert car.state.limits.discharge_allowed


@pytest.mark.parametrize(
    "change",
    [
        {"EVMaximumChargeCurrent": 0.0},
        {"EVMaximumChargePower": 0.0},
        {"EVMaximumEnergyRequest": 0.0},
        {"EVMaximumEnergyRequest": -100.0},
        {"shown": DisplayParameters(PresentSOC=100, ChargingComplete=True)},
    ],
)
def test_a_full_battery_may_still_give(change: dict[str, Any]) -> None:
    car = running()
    car.loop(**change)
    limits = car.state.limits
    assert limits is not None
    assert limits.charge_a == 0.0
    assert limits.discharge_allowed


def test_a_vehicle_that_sends_negative_discharge_limits() -> None:
    """The quirk is seen in parameter discovery and holds for the session."""
    car = Car()
    car.to("parameters_dc")
    negative: dict[str, Any] = {
        "EVMaximumDischargePower": -9_000.0,
        "EVMaximumDischargeCurrent": -25.0,
    }
    assert car.parameters(**negative).ResponseCode == "OK"
    car.to("started_dc")
    car.loop(2, **negative)
    limits = car.state.limits
    assert limits is not None
    assert limits.discharge_a == pytest.approx(-9_000.0 / 380.0)


def test_a_negative_limit_of_a_plain_vehicle_is_no_discharge() -> None:
    car = running()
    car.loop(EVMaximumDischargeCurrent=-25.0)
    limits = car.state.limits
    assert limits is not None
    assert (limits.discharge_a, limits.discharge_allowed) == (0.0, False)


def test_a_highest_voltage_of_nothing_says_nothing() -> None:
    car = running()
    car.loop(2, EVMaximumVoltage=0.0)
    assert car.state.phase.value == "energy"
    limits = car.state.limits
    assert limits is not None
    assert limits.voltage_max_v == 420.0


def test_limits_reached_are_told() -> None:
    car = running()
    car.plant.setpoint_a = 20.0
    answer = car.loop(2)
    flags = (answer.EVSECurrentLimitAchieved, answer.EVSEPowerLimitAchieved)
    assert flags == (False, False)
    car.plant.charge_a = 20.0
    answer = car.loop(2)
    assert answer.EVSECurrentLimitAchieved
    assert not answer.EVSEVoltageLimitAchieved


def test_display_values_reach_the_heart() -> None:
    car = running()
    shown = DisplayParameters(
        PresentSOC=55,
        MinimumSOC=20,
        TargetSOC=80,
        MaximumSOC=95,
        BatteryEnergyCapacity=r(77_000.0),
    )
    car.loop(shown=shown)
    state = car.state
    assert (state.soc_pct, state.capacity_wh) == (55.0, 77_000.0)
    assert state.soc_at_mono == pytest.approx(car.plant.now - 0.05)
    needs = state.needs
    assert needs is not None
    assert (needs.min_soc_pct, needs.target_soc_pct, needs.max_soc_pct) == (20, 80, 95)
    car.loop(shown=DisplayParameters())
    assert car.state.soc_pct == 55.0  # not said again is not unsaid


@pytest.mark.parametrize(("energy", "parameter_set"), [(6, 1), (6, 2), (5, 1), (1, 2)])
def test_a_loop_of_another_mode_is_refused_in_its_own(
    energy: int, parameter_set: int
) -> None:
    car = running(energy, parameter_set)
    other = Car({1: 5, 5: 1, 6: 2}[energy], parameter_set).mode()
    answer = car.loop(mode=other)
    assert answer.ResponseCode == "FAILED_WrongChargeParameter"
    kind = type(other).__name__.replace("Req", "Res")
    assert type(answer.CLResControlMode).__name__ == kind


# --- AC -------------------------------------------------------------------------------


@pytest.mark.req("K20.FR.04")
@pytest.mark.parametrize("parameter_set", [1, 2])
@pytest.mark.parametrize(
    ("setpoint_w", "bounds", "target_w"),
    [
        (6_000.0, (-8_000.0, 22_000.0), 6_000.0),
        (-6_000.0, (-8_000.0, 22_000.0), -6_000.0),
        (-9_900.0, (-9_500.0, 22_000.0), -9_000.0),  # the vehicle's 9 kW
        (19_000.0, (-8_000.0, 22_000.0), 11_000.0),  # the vehicle's 11 kW
        (19_000.0, (-8_000.0, 4_000.0), 4_000.0),
        (-6_000.0, (0.0, 22_000.0), 0.0),
        (6_000.0, (-8_000.0, 0.0), 0.0),
    ],
)
def test_ac_the_dispatch_is_the_target(
    setpoint_w: float,
    bounds: tuple[float, float],
    target_w: float,
    parameter_set: int,
) -> None:
    car = running(5, parameter_set)
    low_w, high_w = bounds
    car.saying = {"setpoint_w": setpoint_w, "discharge_w": low_w, "charge_w": high_w}
    answer = car.loop(2)
    assert value(answer.CLResControlMode.EVSETargetActivePower) == target_w
    assert answer.CLResControlMode.EVSETargetReactivePower is None
    limits = car.state.limits
    assert limits is not None
    assert (limits.charge_w, limits.discharge_w) == (11_000.0, -9_000.0)


def test_ac_one_way_never_asks_for_discharge() -> None:
    car = running(1, 1)
    car.saying = {"setpoint_w": -6e3, "discharge_w": -8e3, "charge_w": 2e4}
    assert value(car.loop(2).CLResControlMode.EVSETargetActivePower) == 0.0


def test_ac_below_the_vehicles_least_nothing_is_asked() -> None:
    car = running(5, 1)
    car.saying = {"setpoint_w": 900.0, "discharge_w": -8e3, "charge_w": 2e4}
    answer = car.loop(2, EVMinimumChargePower=1_400.0)
    assert value(answer.CLResControlMode.EVSETargetActivePower) == 0.0
    car.saying["setpoint_w"] = 1_500.0
    answer = car.loop(2, EVMinimumChargePower=1_400.0)
    assert value(answer.CLResControlMode.EVSETargetActivePower) == 1_500.0


def test_ac_a_lone_field_is_the_sum_else_phases_add_up() -> None:
    """[V2G20-1817], [V2G20-1820]"""
    car = running(5, 1)
    car.loop(
        EVMaximumChargePower=3_000.0,
        EVMaximumChargePower_L2=3_000.0,
        EVMaximumChargePower_L3=3_000.0,
    )
    limits = car.state.limits
    assert limits is not None
    assert limits.charge_w == 9_000.0


def test_ac_contactor_follows_the_pilot() -> None:
    car = running(5, 1)
    assert car.state.demand.close_ac
    car.plant.pilot = PilotState.B
    car.run()
    assert not car.state.demand.close_ac
    assert car.loop().ResponseCode == "FAILED"
    assert car.state.stop_cause == "pilot_left"


# --- wishes ---------------------------------------------------------------------------


@pytest.mark.parametrize("energy", [5, 6])
def test_the_stations_stop_is_asked_first_and_then_taken(energy: int) -> None:
    car = running(energy)
    assert wish(car.loop()) is None
    car.plant.energise = False
    car.run()
    answer = car.loop()
    assert answer.ResponseCode == "OK"
    assert answer.EVSEStatus.NotificationMaxDelay == 0
    assert wish(answer) == "Terminate"
    if energy == 6:
        assert value(answer.CLResControlMode.EVSEMaximumChargeCurrent) == 0.0
    assert car.state.demand.close_dc or car.state.demand.close_ac
    for _ in range(40):
        car.loop(5)
    assert not (car.state.demand.close_dc and car.state.phase.value == "energy")
    assert car.state.stop_cause == "station"


def test_a_station_that_wants_again_takes_its_wish_back() -> None:
    car = running()
    car.plant.energise = False
    car.run()
    assert wish(car.loop()) == "Terminate"
    car.plant.energise = True
    car.run()
    assert wish(car.loop()) is None


# --- standby --------------------------------------------------------------------------


def test_standby_and_back() -> None:
    car = running()
    assert car.power("Standby").ResponseCode == "OK"
    assert car.at == "started_dc"  # it need not keep the loop's pace
    limits = car.state.limits
    assert limits is not None
    assert (limits.charge_a, limits.discharge_a) == (0.0, 0.0)
    assert not limits.discharge_allowed
    assert car.state.demand.close_dc
    for _ in range(3):
        car.run(20.0)
        assert car.loop().ResponseCode == "OK"
        assert car.at == "started_dc"
        assert car.plant.current_a == 0.0
    assert car.power("Start").ResponseCode == "OK"
    assert car.answer.hold_s == 0.0
    car.loop(2)
    limits = car.state.limits
    assert limits is not None
    assert limits.charge_a == 100.0
    assert car.at == "loop_dc"


def test_standby_of_an_ac_vehicle_has_no_target() -> None:
    car = running(5, 1)
    car.saying = {"setpoint_w": 6e3, "charge_w": 2e4}
    car.power("Standby")
    assert value(car.loop().CLResControlMode.EVSETargetActivePower) == 0.0
    limits = car.state.limits
    assert limits is not None
    assert (limits.charge_w, limits.discharge_w) == (0.0, 0.0)


def test_a_vehicle_that_sleeps_for_want_of_power_is_woken() -> None:
    car = running()
    car.saying = {"charge_a": 0.0, "discharge_a": 0.0}
    car.run()
    car.power("Standby")
    assert wish(car.loop()) is None
    car.saying = {}
    car.run()
    assert wish(car.loop()) == "ExitStandby"
    car.power("Start")
    assert wish(car.loop()) is None


def test_a_vehicle_that_sleeps_of_its_own_will_may_sleep() -> None:
    car = running()
    car.power("Standby")
    assert wish(car.loop(3)) is None


@pytest.mark.parametrize("at", ["pre_charge", "ready_ac"])
def test_no_standby_before_power(at: str) -> None:
    car = Car(6 if at == "pre_charge" else 5)
    car.to(at)
    answer = car.power("Standby")
    assert answer.ResponseCode == "WARNING_StandbyNotAllowed"
    assert car.at == at


def test_standby_can_be_forbidden() -> None:
    car = running(setup=replace(SETUP_20, standby=False))
    assert car.power("Standby").ResponseCode == "WARNING_StandbyNotAllowed"
    limits = car.state.limits
    assert limits is not None
    assert limits.charge_a == 100.0
