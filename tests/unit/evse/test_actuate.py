"""Watts to amperes, modes and contactors: the command that goes to the bridge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.evse.actuate import Intent, Memory, Ratings, actuate, power_factor
from chargerd.evse.hlc import Show
from chargerd.model import VehicleDemand, VehicleLimits, VehiclePhase, VehicleState
from firmware_bridge.api import (
    Command,
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
    StageSetpoint,
    Telemetry,
)

RATINGS = Ratings(
    charge_w=7400.0,
    discharge_w=6000.0,
    current_max_a=20.0,
    voltage_min_v=150.0,
    voltage_max_v=450.0,
    efficiency=0.9,
    ac_volts=230.0,
    lifetime_s=0.3,
)
LIMITS = VehicleLimits(
    100.0,
    charge_a=18.0,
    discharge_a=-12.0,
    voltage_max_v=410.0,
    voltage_min_v=250.0,
    requested_a=16.0,
    discharge_allowed=True,
)
DEMAND = VehicleDemand(
    d1=True, d2=True, lock=True, close_dc=True, voltage_v=405.0, cutoff_v=260.0
)
VEHICLE = VehicleState("chademo", VehiclePhase.ENERGY, LIMITS, DEMAND)
INTENT = Intent(
    now_mono=100.0,
    valid_until_mono=200.0,
    offer_low_w=-6000.0,
    offer_high_w=7400.0,
    energise=True,
    power_permitted=True,
)


def telemetry(current_a: float = 0.0, state: PilotState = PilotState.A) -> Telemetry:
    return Telemetry(
        pilot=Reading(PilotReading(state, ac_closed=False), 100.0),
        stage=Reading(StageReading(360.0, current_a, StageMode.CHARGE, True), 100.0),
    )


def stage(power_w: float, vehicle: VehicleState = VEHICLE) -> StageSetpoint:
    intent = replace(INTENT, power_w=power_w)
    return actuate(Memory(), intent, vehicle, telemetry(), RATINGS)[1].stage


@pytest.mark.parametrize(
    ("power_w", "mode", "volts", "amps"),
    [
        (3600.0, StageMode.CHARGE, 405.0, 9.0),
        (7400.0, StageMode.CHARGE, 405.0, 16.0),  # the vehicle asks for 16 A
        (-3240.0, StageMode.DISCHARGE, 260.0, 10.0),
        (-6000.0, StageMode.DISCHARGE, 260.0, 12.0),  # the vehicle gives 12 A
        (0.0, StageMode.CHARGE, 405.0, 0.0),
    ],
)
def test_power_to_current(
    power_w: float, mode: StageMode, volts: float, amps: float
) -> None:
    setpoint = stage(power_w)
    assert setpoint.mode is mode
    assert setpoint.voltage_v == volts
    assert setpoint.current_a == pytest.approx(amps)


@pytest.mark.parametrize(
    ("values", "power_w", "amps"),
    [
        ({"charge_a": 5.0}, 7400.0, 5.0),
        ({"requested_a": 0.0}, 7400.0, 0.0),
        ({"requested_a": None}, 7400.0, 18.0),
        ({"discharge_allowed": False}, -6000.0, 0.0),
        ({"requested_discharge_a": -5.0}, -6000.0, 5.0),
        ({"requested_discharge_a": 0.0}, -6000.0, 0.0),
        ({"charge_a": 99.0, "requested_a": 99.0}, 9000.0, 20.0),
    ],
)
def test_vehicle_limits_hold(
    values: dict[str, object], power_w: float, amps: float
) -> None:
    limits = replace(LIMITS, **values)  # type: ignore[arg-type]
    setpoint = stage(power_w, replace(VEHICLE, limits=limits))
    assert setpoint.current_a == pytest.approx(amps)


def test_zero_power_keeps_the_mode() -> None:
    memory, _, _ = actuate(
        Memory(), replace(INTENT, power_w=-2000.0), VEHICLE, telemetry(), RATINGS
    )
    _, command, _ = actuate(memory, INTENT, VEHICLE, telemetry(), RATINGS)
    assert command.stage.mode is StageMode.DISCHARGE
    assert command.stage.current_a == 0.0


@pytest.mark.parametrize(
    "values",
    [
        {"energise": False},
        {"power_permitted": False},
        {"unplugged": True},
        {"ac_path": True},
    ],
)
def test_stage_is_off_when_power_may_not_be(values: dict[str, object]) -> None:
    intent = replace(INTENT, power_w=3000.0, **values)  # type: ignore[arg-type]
    _, command, offer = actuate(Memory(), intent, VEHICLE, telemetry(), RATINGS)
    assert command.stage == StageSetpoint()
    assert offer.setpoint_a == 0.0


@pytest.mark.parametrize(
    ("phase", "volts", "amps", "expected"),
    [
        (
            VehiclePhase.CABLE_CHECK,
            500.0,
            1.0,
            StageSetpoint(StageMode.CHARGE, 450.0, 1),
        ),
        (
            VehiclePhase.PRECHARGE,
            350.0,
            99.0,
            StageSetpoint(StageMode.CHARGE, 350.0, 10),
        ),
        (VehiclePhase.CABLE_CHECK, 0.0, 1.0, StageSetpoint()),
        (VehiclePhase.HANDSHAKE, 350.0, 1.0, StageSetpoint()),
        (VehiclePhase.STOPPING, 350.0, 1.0, StageSetpoint()),
    ],
)
def test_preparing(
    phase: VehiclePhase, volts: float, amps: float, expected: StageSetpoint
) -> None:
    demand = replace(DEMAND, voltage_v=volts, current_a=amps)
    vehicle = replace(VEHICLE, phase=phase, demand=demand)
    intent = replace(INTENT, power_permitted=False, power_w=0.0)
    assert actuate(Memory(), intent, vehicle, telemetry(), RATINGS)[1].stage == expected
    stopped = replace(intent, fault_stop=True)
    command = actuate(Memory(), stopped, vehicle, telemetry(), RATINGS)[1]
    assert command.stage == StageSetpoint()


def _close(
    memory: Memory, mono: float, amps: float, *, unplugged: bool = False
) -> tuple[Memory, Command]:
    intent = replace(INTENT, now_mono=mono, energise=False, unplugged=unplugged)
    vehicle = replace(VEHICLE, demand=replace(DEMAND, close_dc=False))
    memory, command, _ = actuate(memory, intent, vehicle, telemetry(amps), RATINGS)
    return memory, command


def test_contactor_never_opens_under_load_in_an_orderly_stop() -> None:
    memory, command, _ = actuate(Memory(), INTENT, VEHICLE, telemetry(), RATINGS)
    assert command.pins.close_dc
    memory, command = _close(memory, 100.0, 15.0)
    assert command.pins.close_dc
    assert command.stage.mode is StageMode.OFF
    assert _close(memory, 100.9, 15.0)[1].pins.close_dc
    assert not _close(memory, 100.9, 0.5)[1].pins.close_dc
    assert not _close(memory, 101.0, 15.0)[1].pins.close_dc


def test_unplugged_waits_a_tenth_only() -> None:
    memory = Memory(dc_closed=True)
    memory, command = _close(memory, 100.0, 15.0, unplugged=True)
    assert command.pins.close_dc
    assert not command.pins.chademo_d1
    assert not _close(memory, 100.11, 15.0, unplugged=True)[1].pins.close_dc


def test_a_door_that_never_lets_go_is_not_obeyed_beyond_its_session() -> None:
    """It demands the contactor for ever: held while stopping, opened when over."""
    memory = Memory(dc_closed=True)
    intent = replace(INTENT, energise=False)
    memory, command, _ = actuate(memory, intent, VEHICLE, telemetry(), RATINGS)
    assert command.pins.close_dc
    over = replace(intent, over=True)
    assert not actuate(memory, over, VEHICLE, telemetry(), RATINGS)[1].pins.close_dc


def test_contactor_does_not_close_without_energise() -> None:
    intent = replace(INTENT, energise=False)
    command = actuate(Memory(), intent, VEHICLE, telemetry(), RATINGS)[1]
    assert not command.pins.close_dc


@pytest.mark.parametrize(("until", "expected"), [(200.0, 100.3), (100.1, 100.1)])
def test_lease(until: float, expected: float) -> None:
    intent = replace(INTENT, valid_until_mono=until)
    command = actuate(Memory(), intent, VEHICLE, telemetry(), RATINGS)[1]
    assert command.valid_until_mono == pytest.approx(expected)


def test_offer_carries_bounds_and_the_decided_current() -> None:
    intent = replace(INTENT, power_w=7200.0)
    offer = actuate(Memory(), intent, VEHICLE, telemetry(), RATINGS)[2]
    assert offer.setpoint_a == pytest.approx(18.0), "not cut by the request of 16 A"
    assert offer.charge_a == pytest.approx(18.5)
    assert offer.discharge_a == pytest.approx(-18.52, abs=0.01)
    back = actuate(
        Memory(), replace(intent, power_w=-3240.0), VEHICLE, telemetry(), RATINGS
    )[2]
    assert back.setpoint_a == pytest.approx(-10.0)


def test_fault_stop_takes_energise_away() -> None:
    intent = replace(INTENT, fault_stop=True, power_permitted=False)
    offer = actuate(Memory(), intent, VEHICLE, telemetry(), RATINGS)[2]
    assert offer.fault_stop
    assert not offer.energise


@pytest.mark.req("K02.FR.02")
@pytest.mark.parametrize(
    ("state", "power_w", "duty", "closed"),
    [
        (PilotState.B, 3680.0, 16 / 60, False),
        (PilotState.C, 3680.0, 16 / 60, True),
        (PilotState.C, 1000.0, 1.0, False),
        (PilotState.A, 3680.0, 16 / 60, False),
    ],
)
def test_ac_path(state: PilotState, power_w: float, duty: float, closed: bool) -> None:
    intent = replace(INTENT, ac_path=True, power_w=power_w)
    _, command, _ = actuate(
        Memory(), intent, VehicleState(), telemetry(state=state), RATINGS
    )
    assert command.pins.duty == pytest.approx(duty)
    assert command.pins.close_ac is closed
    assert command.stage == StageSetpoint()


def test_state_f_when_out_of_service_and_for_a_second_after_a_fault() -> None:
    out = replace(INTENT, operative=False, energise=False)
    command = actuate(Memory(), out, VehicleState(), telemetry(), RATINGS)[1]
    assert command.pins.duty == 0.0
    fault = replace(INTENT, fault_stop=True, power_permitted=False)
    memory, command, _ = actuate(Memory(), fault, VehicleState(), telemetry(), RATINGS)
    assert command.pins.duty == 0.0
    later = replace(fault, now_mono=101.0)
    command = actuate(memory, later, VehicleState(), telemetry(), RATINGS)[1]
    assert command.pins.duty == 1.0


def test_unlock_overrides_the_lock() -> None:
    intent = replace(INTENT, unlock=True, energise=False)
    command = actuate(Memory(), intent, VEHICLE, telemetry(), RATINGS)[1]
    assert not command.pins.lock


@pytest.mark.parametrize(
    ("show", "duty"),
    [
        (Show.NOMINAL, 32 / 60),
        (Show.DIGITAL, 0.05),
        (Show.STEADY, 1.0),
        (Show.STATE_F, 0.0),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_a_vehicle_that_talks_keeps_its_duty_and_closes_by_word(
    show: Show, duty: float, asked: bool
) -> None:
    """Nominal duty is what it may have at most, before and while energy flows."""
    intent = replace(INTENT, offer_high_w=7360.0, show=show)
    vehicle = VehicleState(
        "iso15118-2",
        VehiclePhase.ENERGY if asked else VehiclePhase.HANDSHAKE,
        demand=VehicleDemand(close_ac=asked),
    )
    at_c = telemetry(state=PilotState.C)
    _, command, _ = actuate(Memory(), intent, vehicle, at_c, RATINGS)
    assert command.pins.duty == pytest.approx(duty)
    invited = show in (Show.NOMINAL, Show.DIGITAL)
    assert command.pins.close_ac is (asked and invited)


@pytest.mark.parametrize(
    ("power_w", "var", "factor"),
    [
        (5000.0, 0.0, 1.0),
        (4000.0, 3000.0, 0.8),
        (-4000.0, -3000.0, -0.8),  # as a capacitor takes it, in either direction
        (4000.0, 1312.0, 0.95),
        (1000.0, 9000.0, 0.8),  # not below what stages keep
        (0.0, 3000.0, 1.0),
    ],
)
def test_power_factor(power_w: float, var: float, factor: float) -> None:
    assert power_factor(power_w, var) == pytest.approx(factor, abs=0.001)


@pytest.mark.parametrize(
    ("power_w", "var", "factor"),
    [(5000.0, 0.0, -0.9), (-5000.0, 0.0, 1.0), (4000.0, 3000.0, 0.8)],
)
def test_the_grid_code_s_power_factor_holds_while_charging(
    power_w: float, var: float, factor: float
) -> None:
    intent = replace(INTENT, power_w=power_w, setpoint_var=var, charge_factor=-0.9)
    _, command, _ = actuate(Memory(), intent, VEHICLE, telemetry(), RATINGS)
    assert command.stage.power_factor == pytest.approx(factor)


def test_what_flows_until_the_contactor_opens_belongs_to_the_session() -> None:
    """For meters that sign: the current still falls after the session's end."""
    running = replace(INTENT, session_id="S-1")
    memory, command, _ = actuate(Memory(), running, VEHICLE, telemetry(), RATINGS)
    assert (command.session_id, command.pins.close_dc) == ("S-1", True)
    over = replace(INTENT, energise=False, power_permitted=False, over=True)
    memory, command, _ = actuate(memory, over, VEHICLE, telemetry(9.0), RATINGS)
    assert (command.session_id, command.pins.close_dc) == ("S-1", True)
    memory, command, _ = actuate(memory, over, VEHICLE, telemetry(0.2), RATINGS)
    assert (command.session_id, command.pins.close_dc) == ("", False)
    following = replace(running, session_id="S-2")
    assert actuate(memory, following, VEHICLE, telemetry(), RATINGS)[1].session_id == (
        "S-2"
    )
