"""ISO 15118-2: power, the loops, and what ends them."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.secc.iso2_values import number
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car2 import Car, power
from tests.unit.vehicle_iso.secc.plant import TICK_S

# --- power ----------------------------------------------------------------------------


def test_the_cable_check_as_the_vehicle_sees_it() -> None:
    car = Car()
    car.to("cable_check")
    response = car.say(car.cable_check())
    assert response.EVSEProcessing == "Ongoing"
    status = response.DC_EVSEStatus
    assert status.EVSEStatusCode == "EVSE_IsolationMonitoringActive"
    assert status.EVSEIsolationStatus == "Invalid"
    car.check_cable()
    status = car.say(car.precharge()).DC_EVSEStatus
    assert status.EVSEStatusCode == "EVSE_Ready"
    assert status.EVSEIsolationStatus == "Valid"


def test_a_pilot_that_stays_in_b_fails_the_cable_check() -> None:
    car = Car()
    car.to("cable_check")
    for _ in range(37):
        assert car.say(car.cable_check()).ResponseCode == "OK"
        car.run(1.0)
    car.run(1.2)
    assert car.say(car.cable_check()).ResponseCode == "FAILED"
    assert car.state.faults == {"CableCheckFault"}


def test_an_earth_fault_fails_the_cable_check() -> None:
    car = Car()
    car.to("cable_check")
    car.plant.ohm = 20_000.0
    car.plant.pilot = PilotState.C
    car.say(car.cable_check())
    car.run(1.0)
    response = car.say(car.cable_check())
    assert response.ResponseCode == "FAILED"
    assert response.DC_EVSEStatus.EVSEIsolationStatus == "Fault"
    assert response.DC_EVSEStatus.EVSEStatusCode == "EVSE_Malfunction"


@pytest.mark.parametrize("volts", [0.0, -10.0, 430.0])
def test_a_target_voltage_that_cannot_be(volts: float) -> None:
    car = Car()
    car.to("precharge")
    assert car.say(car.precharge(volts)).ResponseCode == "FAILED"
    car.run(0.2)
    assert not car.state.demand.close_dc


def test_precharge_that_does_not_come() -> None:
    car = Car()
    car.to("precharge")
    car.plant.broken.add("stage_voltage")
    for _ in range(9):
        assert car.say(car.precharge()).ResponseCode == "OK"
        car.run(0.5)
    car.run(0.6)
    assert car.say(car.precharge()).ResponseCode == "FAILED"
    assert car.state.faults == {"PreChargeFailure"}


def test_a_fast_vehicle_is_served_when_the_voltage_is_there() -> None:
    car = Car()
    car.to("power")
    assert car.say(power("Start")).ResponseCode == "OK"
    response = car.say(car.demand())
    assert response.ResponseCode == "OK"
    assert number(response.EVSEPresentVoltage) == 0.0
    assert not car.state.demand.close_dc
    car.loop(20)
    assert car.state.phase is VehiclePhase.ENERGY


def test_no_contactor_no_power() -> None:
    car = Car()
    car.to("power")
    car.plant.broken.add("contactor")
    car.run(3.0)
    assert car.say(power("Start")).ResponseCode == "FAILED_ContactorError"
    assert car.state.faults == {"EVSEContactorFault"}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (power("Start", schedule=2), "FAILED_TariffSelectionInvalid"),
        (power("Start", top_w=20_010.0), "FAILED_ChargingProfileInvalid"),
        (power("Renegotiate"), "FAILED_SequenceError"),
    ],
)
def test_power_delivery_refused(request_: Any, code: str) -> None:
    car = Car()
    car.to("power")
    car.match()
    assert car.say(request_).ResponseCode == code
    car.run(3.0)
    assert not car.state.demand.close_dc


def test_without_authorisation_no_power() -> None:
    car = Car()
    car.to("power")
    car.match()
    car.plant.energise = False
    car.run(TICK_S)
    code = car.say(power("Start")).ResponseCode
    assert code == "FAILED_PowerDeliveryNotApplied"


def test_a_profile_may_be_left_out() -> None:
    car = Car()
    car.to("power")
    car.match()
    assert car.say(power("Start", top_w=None)).ResponseCode == "OK"


@pytest.mark.parametrize("at", ["cable_check", "precharge", "power"])
def test_the_vehicle_may_stop_before_energy(at: str) -> None:
    car = Car()
    car.to(at)
    assert car.say(power("Stop")).ResponseCode == "OK"
    assert car.say(m.SessionStopReq(ChargingSession="Terminate")).ResponseCode == "OK"
    car.run(2.0)
    assert car.state.phase is VehiclePhase.ENDED


# --- the loop -------------------------------------------------------------------------


@pytest.mark.req("K16.FR.11")
def test_a_dispatch_acts_by_the_limit() -> None:
    car = Car()
    car.to("current_demand")
    car.loop(20)
    car.plant.setpoint_a = 8.0
    car.run(TICK_S)
    response = car.say(car.demand(20.0))
    assert number(response.EVSEMaximumCurrentLimit) == 8.0
    assert response.EVSECurrentLimitAchieved
    car.plant.setpoint_a = -10.0  # a wish to discharge is no charge in -2
    car.run(TICK_S)
    response = car.say(car.demand(20.0))
    assert number(response.EVSEMaximumCurrentLimit) == 0.0


def test_a_negative_target_is_no_current() -> None:
    car = Car()
    car.to("current_demand")
    car.loop(3, -15.0)
    limits = car.state.limits
    assert limits is not None
    assert limits.requested_a == 0.0
    assert not limits.discharge_allowed
    assert limits.discharge_a == 0.0


def test_limits_in_the_loop_count() -> None:
    car = Car()
    car.to("current_demand")
    car.say(
        car.demand(
            EVMaximumCurrentLimit=car.pv(30.0, "A"),
            EVMaximumPowerLimit=car.pv(3_800.0, "W"),
            EVMaximumVoltageLimit=car.pv(400.0, "V"),
        )
    )
    limits = car.state.limits
    assert limits is not None
    assert limits.charge_a == pytest.approx(10.0)
    assert limits.voltage_max_v == 400.0
    assert car.state.demand.voltage_v == 400.0


def test_a_full_vehicle_gets_no_current() -> None:
    car = Car()
    car.to("current_demand")
    car.say(car.demand(ChargingComplete=True))
    limits = car.state.limits
    assert limits is not None
    assert (limits.charge_a, limits.requested_a) == (0.0, 0.0)


def test_old_words_drive_no_current() -> None:
    car = Car()
    car.to("current_demand")
    car.loop(5)
    car.run(0.9)
    assert car.state.limits.requested_a == 20.0  # type: ignore[union-attr]
    car.run(0.2)
    assert car.state.limits.requested_a == 0.0  # type: ignore[union-attr]
    car.loop(1)
    assert car.state.limits.requested_a == 20.0  # type: ignore[union-attr]


def test_the_station_asks_to_stop_and_then_stops() -> None:
    car = Car()
    car.to("current_demand")
    car.loop(5)
    car.plant.energise = False
    car.run(TICK_S)
    response = car.say(car.demand())
    assert response.ResponseCode == "OK"
    assert response.DC_EVSEStatus.EVSENotification == "StopCharging"
    assert response.DC_EVSEStatus.EVSEStatusCode == "EVSE_Shutdown"
    assert number(response.EVSEMaximumCurrentLimit) == 0.0
    for _ in range(9):
        car.run(1.0)
        assert car.say(car.demand()).ResponseCode == "OK"
    car.run(1.2)
    assert car.say(car.demand()).ResponseCode == "FAILED"
    assert car.state.stop_cause == "station"
    assert car.state.phase is VehiclePhase.STOPPING


@pytest.mark.parametrize(
    ("state", "cause"), [(PilotState.B, "pilot_left"), (PilotState.A, "pilot_left")]
)
def test_a_pilot_that_leaves_ends_power_whatever_the_vehicle_says(
    state: PilotState, cause: str
) -> None:
    car = Car()
    car.to("current_demand")
    car.loop(5)
    car.plant.pilot = state
    car.run(TICK_S)
    assert not car.state.demand.close_dc
    assert car.say(car.demand()).ResponseCode == "FAILED"
    assert car.state.stop_cause == cause


def test_an_emergency_stop_is_told() -> None:
    car = Car()
    car.to("current_demand")
    car.plant.emergency_stop = True
    car.run(TICK_S)
    response = car.say(car.demand())
    assert response.ResponseCode == "FAILED"
    assert response.DC_EVSEStatus.EVSEStatusCode == "EVSE_EmergencyShutdown"


def test_a_fault_of_the_vehicle_ends_power_in_order() -> None:
    car = Car()
    car.to("current_demand")
    car.loop(3)
    car.error = "FAILED_RESSTemperatureInhibit"
    response = car.say(car.demand())
    assert response.ResponseCode == "OK"
    assert response.DC_EVSEStatus.EVSENotification == "StopCharging"
    assert car.state.phase is VehiclePhase.STOPPING
    assert car.state.stop_cause == "vehicle_fault"
    assert car.say(power("Stop")).ResponseCode == "OK"


def test_the_pilot_ends_an_ac_session() -> None:
    car = Car()
    car.to_charging()
    car.plant.pilot = PilotState.B
    car.run(TICK_S)
    assert not car.state.demand.close_ac
    assert car.say(m.ChargingStatusReq()).ResponseCode == "FAILED"


def test_ac_current_follows_the_dispatch_and_the_authorisation() -> None:
    car = Car()
    car.to_charging()
    car.plant.energise = False
    car.run(TICK_S)
    response = car.say(m.ChargingStatusReq())
    assert number(response.EVSEMaxCurrent) == 0.0
    assert response.AC_EVSEStatus.EVSENotification == "StopCharging"
