"""A vehicle that speaks well and means ill: order, numbers, times, races, lost links.

Rows S04, S27, S29, S32, S36 and S39 of the project's security reference, on sessions
with a simulated plant. Random orders of messages are in tests/property.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from itertools import permutations
from typing import Any

import pytest

from chargerd.model import VehiclePhase, VehicleState
from chargerd.vehicle.iso15118.messages import common, dc, iso2
from chargerd.vehicle.iso15118.messages.common_types import (
    DisplayParameters,
    RationalNumber,
)
from chargerd.vehicle.iso15118.messages.declare import Complex
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car2 import Car, power
from tests.unit.vehicle_iso.secc.car20 import Car as Car20
from tests.unit.vehicle_iso.secc.plant import RATINGS, TICK_S

OPEN_WITHIN_S = 3.0
VEHICLE_OPENS_S = 21.0  # how long a station waits for the vehicle's contactor, in all


def dark(car: Car | Car20) -> bool:
    """No current, and the station's contactor open."""
    return not car.plant.dc_closed and car.plant.current_a == 0.0


def numbers(value: Any) -> list[float]:
    """Every number in a state."""
    if isinstance(value, float):
        return [value]
    if isinstance(value, tuple | list):
        return [found for each in value for found in numbers(each)]
    if hasattr(value, "__dataclass_fields__"):
        held = [getattr(value, field.name) for field in fields(value)]
        return [found for each in held for found in numbers(each)]
    return []


def sound(state: VehicleState) -> bool:
    """Whether the heart may calculate with it: infinite only where nothing is said."""
    return not any(math.isnan(each) for each in numbers(state))


# --- S27: order -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        lambda car: power("Start"),
        lambda car: car.demand(),
        lambda car: car.precharge(),
        lambda car: car.cable_check(),
        lambda car: car.welding(),
    ],
    ids=["PowerDelivery", "CurrentDemand", "PreCharge", "CableCheck", "Welding"],
)
@pytest.mark.parametrize("at", ["setup", "discovery", "selection", "authorization"])
def test_s27_power_before_authorisation_is_refused(
    at: str, message: Callable[[Car], Complex]
) -> None:
    """CVE-2026-24003's shape: the station got ready for a driver who had not paid."""
    car = Car()
    car.plant.pilot = PilotState.C
    car.plant.ev_closed = True
    car.to(at)
    response = car.say(message(car))
    assert response is None or response.ResponseCode.startswith("FAILED")
    state = car.run(1.0)
    assert dark(car)
    assert not state.demand.close_dc


@pytest.mark.parametrize("at", ["parameters", "cable_check", "precharge"])
def test_s27_authorisation_that_is_taken_back_keeps_the_contactor_open(at: str) -> None:
    car = Car()
    car.to(at)
    car.plant.pilot = PilotState.C
    car.plant.energise = False
    for body in (car.cable_check(), car.precharge(), power("Start"), car.demand()):
        car.say(body)
        car.run(0.2)
        assert car.plant.current_a == 0.0
    car.run(OPEN_WITHIN_S)
    assert dark(car)


# --- S32: the pilot has the last word -------------------------------------------------


@pytest.mark.parametrize("state", [PilotState.A, PilotState.B, PilotState.E])
@pytest.mark.parametrize("make", [Car, Car20], ids=["-2", "-20"])
def test_s32_a_pilot_that_leaves_c_ends_power_whatever_the_vehicle_says(
    make: Callable[[], Car | Car20], state: PilotState
) -> None:
    car = make()
    to_power(car)
    assert car.plant.current_a > 1.0
    car.plant.pilot = state
    for _ in range(round(OPEN_WITHIN_S / TICK_S)):
        ask(car)
        car.run(TICK_S)
        if dark(car):
            break
    assert dark(car)
    car.plant.pilot = PilotState.C  # and back: no session goes on by itself
    for _ in range(10):
        ask(car)
        car.run(TICK_S)
    assert dark(car)


def to_power(car: Car | Car20) -> None:
    """The charge loop, with current."""
    if isinstance(car, Car20):
        car.energise()
        car.loop(10)
    else:
        car.to("current_demand")
        car.loop(10)


def ask(car: Car | Car20) -> None:
    """The charge loop's next request, whatever became of the last one."""
    if isinstance(car, Car20):
        car.loop(1)
    else:
        car.say(car.demand())


# --- S04, S03: numbers at their ends --------------------------------------------------

WIRE_2 = [
    (multiplier, value)
    for multiplier in (-3, 0, 3)
    for value in (-32_768, -1, 0, 1, 32_767)
]


@pytest.mark.parametrize(("multiplier", "value"), WIRE_2)
def test_s04_minus_2_numbers_stay_inside_the_station(
    multiplier: Any, value: int
) -> None:
    car = Car()
    car.to("current_demand")
    car.loop(3)

    def told(unit: Any) -> Any:
        return iso2.PhysicalValue(Multiplier=multiplier, Unit=unit, Value=value)

    for fields_ in (
        {"EVTargetCurrent": told("A")},
        {"EVTargetVoltage": told("V")},
        {"EVMaximumCurrentLimit": told("A")},
        {"EVMaximumPowerLimit": told("W")},
        {"EVMaximumVoltageLimit": told("V")},
        {"RemainingTimeToFullSoC": told("s")},
    ):
        response = car.say(car.demand(**fields_))
        assert response is not None
        state = car.run(0.2)
        assert sound(state)
        assert -RATINGS.discharge_max_a <= car.plant.current_a <= RATINGS.charge_max_a


WIRE_20 = [
    (exponent, value)
    for exponent in (-128, -1, 0, 5, 127)
    for value in (-32_768, 0, 1, 32_767)
]
LIMITS = (
    "EVMaximumChargePower",
    "EVMaximumChargeCurrent",
    "EVMaximumVoltage",
    "EVMinimumVoltage",
    "EVMaximumDischargePower",
    "EVMaximumDischargeCurrent",
    "EVTargetEnergyRequest",
    "EVMaximumEnergyRequest",
    "EVMinimumEnergyRequest",
)


@pytest.mark.parametrize(("exponent", "value"), WIRE_20)
def test_s04_minus_20_numbers_stay_inside_the_station(
    exponent: int, value: int
) -> None:
    """A RationalNumber reaches from 1e-128 to 3e131, of both signs."""
    wild = RationalNumber(Exponent=exponent, Value=value)
    for name in LIMITS:
        car = Car20()
        car.energise()
        car.loop(3)
        mode: Any = car.mode()
        setattr(mode, name, wild)
        shown = DisplayParameters(PresentSOC=40, BatteryEnergyCapacity=wild)
        response = car.loop(4, mode=mode, shown=shown)
        assert response is not None
        assert sound(car.state)
        assert -RATINGS.discharge_max_a <= car.plant.current_a <= RATINGS.charge_max_a


@pytest.mark.parametrize(("exponent", "value"), WIRE_20)
def test_s04_minus_20_parameters_at_their_ends(exponent: int, value: int) -> None:
    wild = RationalNumber(Exponent=exponent, Value=value)
    for field in dc.BPT_DC_CPDReqEnergyTransferMode.fields_:
        car = Car20()
        car.to("parameters_dc")
        good: Any = dc.BPT_DC_CPDReqEnergyTransferMode(
            **{each.name: RationalNumber(Exponent=2, Value=3)
               for each in dc.BPT_DC_CPDReqEnergyTransferMode.fields_
               if each.name != "TargetSOC"}
        )  # fmt: skip
        if field.name == "TargetSOC":
            continue
        setattr(good, field.name, wild)
        response = car.say(
            dc.DC_ChargeParameterDiscoveryReq, DC_CPDReqEnergyTransferMode=good
        )
        assert response is not None
        assert sound(car.run(0.2))
        assert dark(car)


# --- S39: times -----------------------------------------------------------------------


@pytest.mark.parametrize("stamp", [0, 1, 2**31, 2**32, 253_402_300_800, 2**64 - 1])
def test_s39_a_vehicles_clock_changes_nothing(stamp: int) -> None:
    """Years 1970 to 584,942,417,355: only the station's clock is believed."""
    car = Car20()
    header = common.MessageHeader
    message = common.SessionSetupReq(
        Header=header(SessionID=bytes(8), TimeStamp=stamp), EVCCID="DEABC123456789"
    )
    answer = car.session.request(message, car.plant.now, b"")
    sent: Any = answer.message
    assert sent.ResponseCode.startswith("OK")
    assert sent.Header.TimeStamp == car.plant.setup.utc_s(car.plant.now)


@pytest.mark.parametrize("departure_s", [0, 1, 2**31, 2**32 - 1])
def test_s39_departures_without_sense(departure_s: int) -> None:
    car = Car()
    car.to("parameters")
    told = car.dc_parameters(DepartureTime=departure_s)
    assert car.say(car.parameters(told=told)).ResponseCode == "OK"
    assert sound(car.run(0.2))
    other = Car20()
    other.to("schedule_dc")
    assert other.schedule(departure_s) is not None
    assert sound(other.run(0.2))


# --- S29, S36: races and lost links ---------------------------------------------------


def unplug(car: Car) -> None:
    car.plant.pilot = PilotState.A
    car.plant.ev_closed = False
    car.session.unplugged(car.plant.now)


def lose(car: Car) -> None:
    car.session.disconnected(car.plant.now)


def forbid(car: Car) -> None:
    car.plant.energise = False


def fault(car: Car) -> None:
    car.plant.fault_stop = True


def say_stop(car: Car) -> None:
    car.say(power("Stop"))


def go_on(car: Car) -> None:
    car.say(car.demand())


EVENTS = (unplug, lose, forbid, fault, say_stop, go_on)


@pytest.mark.parametrize("first", EVENTS, ids=lambda event: event.__name__)
def test_s29_any_order_of_ends_is_an_end(first: Callable[[Car], None]) -> None:
    """Every two more behind it, a tick apart: no current, open, never closed again.

    The vehicle keeps its own contactor closed: the station waits for it, dead, then
    opens under no load.
    """
    for order in permutations([event for event in EVENTS if event is not first], 2):
        told = [event.__name__ for event in (first, *order)]
        car = Car()
        car.coded = False  # bytes are not the matter here
        car.to("current_demand")
        car.loop(3)
        opened = False
        for event in (first, *order):
            event(car)
            car.run(TICK_S)
            assert not (opened and car.plant.dc_closed), told
            opened = opened or not car.plant.dc_closed
        for _ in range(round(VEHICLE_OPENS_S / TICK_S)):
            state = car.run(TICK_S)
            assert car.plant.current_a == 0.0, told
            assert not (opened and state.demand.close_dc), told
            opened = opened or not car.plant.dc_closed
        assert dark(car), told


@pytest.mark.parametrize(
    "at", ["parameters", "cable_check", "precharge", "power", "current_demand"]
)
def test_s36_a_link_that_is_cut_is_a_safe_stop(at: str) -> None:
    """Brokenwire: noise takes the power line away in any state."""
    car = Car()
    car.to(at)
    car.run(0.2)
    car.session.disconnected(car.plant.now)
    car.run(OPEN_WITHIN_S)
    assert dark(car)
    assert car.run(5.0).phase in (VehiclePhase.FAULT, VehiclePhase.ENDED)


@pytest.mark.parametrize("silence_s", [0.5, 5.0, 61.0])
def test_s36_a_silent_vehicle_of_minus_20_loses_its_power(silence_s: float) -> None:
    """In the charge loop 0.5 s are enough (refs/iso15118.md section 4.2 [K])."""
    car = Car20()
    car.energise()
    car.loop(5)
    assert car.plant.current_a > 1.0
    until = car.plant.now + silence_s
    while car.plant.now < until + TICK_S:
        car.run()
        car.session.on_timer(car.plant.now)
    car.run(OPEN_WITHIN_S)
    assert dark(car)
