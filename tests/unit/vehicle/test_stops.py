"""Every stop cause: what provokes it, what it is called, how the session ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chargerd.config import Chademo
from chargerd.model import VehicleDemand, VehiclePhase
from chargerd.vehicle.chademo.causes import (
    AT_ONCE,
    FAULTS,
    OUR_MALFUNCTION,
    SYSTEM_MALFUNCTION,
    StopCause,
)
from chargerd.vehicle.chademo.steps import Step
from tests.unit.vehicle.stand import Car, Stand


@dataclass(frozen=True)
class Case:
    """From `begin` (a step) `break_it` must end in `cause` within `within_s`."""

    cause: StopCause
    begin: Step
    break_it: Callable[[Stand], None]
    within_s: float = 0.2
    sense: str = "connector"


def car(**values: object) -> Callable[[Stand], None]:
    def act(stand: Stand) -> None:
        for name, value in values.items():
            setattr(stand.car, name, value)

    return act


def rig(**values: object) -> Callable[[Stand], None]:
    def act(stand: Stand) -> None:
        for name, value in values.items():
            setattr(stand, name, value)

    return act


def pilot(**values: object) -> Callable[[Stand], None]:
    return rig(pilot=values)


def end_bus(stand: Stand) -> None:
    stand.sequence.bus(False, stand.now)


def drop_permission(stand: Stand) -> None:
    stand.pilot = {"chademo_permission": False}


def too_little_insulation(stand: Stand) -> None:
    stand.insulation_ohm = 99_000.0


C, S = StopCause, Step
CASES = [
    Case(C.STATION, S.WAKE, rig(energise=False)),
    Case(C.STATION, S.TEST, rig(energise=False)),
    Case(C.STATION, S.ENERGY, rig(energise=False)),
    Case(C.STATION_FAULT, S.ENERGY, rig(fault_stop=True)),
    Case(C.STATION_SAFE_STATE, S.ENERGY, pilot(safe_state=True)),
    Case(C.STATION_SAFE_STATE, S.ENERGY, pilot(safe_state=True, dc_closed=False)),
    Case(C.STATION_SILENT, S.ENERGY, rig(offers=False), 1.2),
    Case(C.STATION_SILENT, S.TEST, rig(offers=False), 1.2),
    Case(C.VEHICLE_STOP, S.ENERGY, car(enabled_knob=False)),
    Case(C.VEHICLE_STOP, S.TEST, car(enabled_knob=False)),
    Case(C.NORMAL_STOP, S.CLOSE, car(flags=0x90)),
    Case(C.PERMISSION_LOST, S.ENERGY, drop_permission),
    Case(C.PERMISSION_LOST, S.TEST, drop_permission),
    Case(C.TARGET_ZERO, S.ENERGY, car(target_v=0)),
    Case(C.NOT_IN_PARK, S.ENERGY, car(flags=0x82)),
    Case(C.NOT_IN_PARK, S.READY, car(flags=0x82)),
    Case(C.VEHICLE_SYSTEM, S.ENERGY, car(flags=0x84)),
    Case(C.VEHICLE_OVER_VOLTAGE, S.ENERGY, car(fault_bits=1)),
    Case(C.VEHICLE_UNDER_VOLTAGE, S.ENERGY, car(fault_bits=2)),
    Case(C.VEHICLE_CURRENT_DEVIATION, S.ENERGY, car(fault_bits=4)),
    Case(C.VEHICLE_OVER_TEMPERATURE, S.ENERGY, car(fault_bits=8)),
    Case(C.VEHICLE_VOLTAGE_DEVIATION, S.ENERGY, car(fault_bits=16)),
    Case(C.VEHICLE_SILENT, S.ENERGY, car(hide={0x102}), 1.3),
    Case(C.VEHICLE_SILENT, S.READY, car(hide={0x102}), 1.3),
    Case(C.BUS_LOST, S.ENERGY, end_bus, 1.3),
    Case(C.UNPLUGGED, S.ENERGY, rig(plugged=False)),
    Case(C.UNPLUGGED, S.LOCK, rig(plugged=False)),
    Case(C.LOCK, S.ENERGY, pilot(locked=False)),
    Case(C.LOCK, S.TEST, pilot(locked=None)),
    Case(C.EV_CONTACTOR, S.ENERGY, car(flags=0x88)),
    Case(C.STATION_CONTACTOR, S.ENERGY, pilot(dc_closed=False)),
    Case(C.INSULATION, S.ENERGY, too_little_insulation),
    Case(C.INSULATION, S.CLOSE, too_little_insulation),
    Case(C.INSULATION, S.ENERGY, rig(insulation={"alarm": True})),
    Case(C.INSULATION_LOST, S.ENERGY, rig(insulation={"device_fault": True})),
    Case(C.INSULATION_LOST, S.ENERGY, rig(silent={"insulation"}), 3.2),
    Case(C.INSULATION_LOST, S.ENERGY, rig(insulation_ohm=None), 10.2),
    Case(C.EMERGENCY_STOP, S.ENERGY, pilot(emergency_stop=True)),
    Case(C.EMERGENCY_STOP, S.WAKE, pilot(emergency_stop=True)),
    Case(C.PILOT_LOST, S.ENERGY, rig(silent={"pilot"}), 1.2),
    Case(C.STAGE_LOST, S.ENERGY, rig(silent={"stage"}), 1.2),
    Case(C.OVER_VOLTAGE, S.ENERGY, car(battery_v=446.0), 0.4),
    Case(
        C.UNDER_VOLTAGE, S.ENERGY, rig(actual_a=-8.0, stage={"voltage_v": 239.0}), 1.2
    ),
    Case(C.OVER_CURRENT, S.ENERGY, rig(actual_a=25.0), 2.3),
    Case(C.OVER_CURRENT, S.ENERGY, rig(actual_a=-26.0), 2.3),
    # time limits of the steps
    Case(C.NO_CAN, S.IDLE, car(first_frame_s=1e9), 8.2),
    Case(C.NO_PERMISSION, S.IDLE, car(k_s=1e9), 8.2),
    Case(C.NO_PERMISSION, S.IDLE, car(k_knob=False), 8.2),
    Case(C.NO_PERMISSION, S.IDLE, car(enabled_knob=False), 8.2),
    Case(C.LOCK, S.IDLE, rig(lock_works=False), 7.2),
    Case(C.CABLE_CHECK, S.READY, rig(stage={"voltage_v": 11.0}), 24.0),
    Case(C.CABLE_CHECK, S.READY, rig(insulation={"voltage_v": 11.0}), 24.0),
    Case(C.CABLE_CHECK, S.READY, rig(insulation={"voltage_v": None}), 24.0),
    Case(C.CABLE_CHECK, S.READY, rig(stage_raises=False), 24.0),
    Case(C.CABLE_CHECK, S.READY, rig(insulation_ohm=None), 24.0),
    Case(C.CABLE_CHECK, S.READY, too_little_insulation, 24.0),
    Case(C.CABLE_CHECK, S.READY, rig(silent={"insulation"}), 24.0),
    Case(C.CABLE_CHECK, S.TEST, rig(insulation={"alarm": True})),
    Case(C.CABLE_CHECK, S.TEST, rig(insulation={"device_fault": True})),
    Case(C.CABLE_CHECK, S.SINK, rig(stage={"voltage_v": 60.0}), 24.0),
    Case(C.EV_CONTACTOR, S.READY, car(closes=False), 12.0),
    Case(C.EV_CONTACTOR, S.FIRST_JOIN, rig(stage={"voltage_v": 350.0}), 0.2, "stage"),
    Case(C.PRECHARGE, S.READY, car(battery_v=30.0), 14.0),
    Case(C.PRECHARGE, S.READY, car(battery_v=450.0), 14.0),
    Case(C.STATION_CONTACTOR, S.READY, rig(contactor_works=False), 14.0),
    Case(C.STATION_CONTACTOR, S.READY, rig(contactor_works=False), 14.0, "stage"),
    Case(C.NO_REQUEST, S.READY, car(asks=False), 14.0),
    # compatibility
    Case(C.INCOMPATIBLE, S.READY, car(target_v=501), 5.0),
    Case(C.INCOMPATIBLE, S.READY, car(min_v=501), 5.0),
    Case(C.INCOMPATIBLE, S.READY, car(max_v=149), 5.0),
    Case(C.INCOMPATIBLE, S.READY, car(protocol=0), 5.0),
]


def provoke(case: Case) -> Stand:
    stand = Stand(config=Chademo(voltage_sense=case.sense))  # type: ignore[arg-type]
    if case.begin is S.ENERGY:
        stand.start()
    else:
        stand.until_step(case.begin)
    assert stand.sequence.state().stop_cause == ""
    case.break_it(stand)
    stand.until(lambda: stand.sequence.state().stop_cause != "", case.within_s)
    return stand


def name(case: Case) -> str:
    return f"{case.cause.value}-in-{case.begin.value}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_cause_is_named_and_the_session_ends_safely(case: Case) -> None:
    stand = provoke(case)
    state = stand.sequence.state()
    assert state.stop_cause == case.cause.value
    fault = FAULTS.get(case.cause)
    assert state.faults == (frozenset({fault}) if fault else frozenset())
    assert state.limits is None or state.limits.charge_a == 0.0
    assert state.limits is None or not state.limits.discharge_allowed
    closed_before = state.demand.close_dc
    began = stand.now
    while stand.step is not S.DONE:
        stand.tick()
        state = stand.sequence.state()
        demand = state.demand
        assert state.phase is not VehiclePhase.ENERGY
        assert closed_before or not demand.close_dc
        closed_before = demand.close_dc
        if case.cause in AT_ONCE:
            assert not demand.close_dc or stand.now - began <= 0.6
            assert not demand.d2 or stand.now - began <= 0.6
        if not stand.plugged:
            break
        assert stand.now - began < 25.0
    if stand.plugged:
        wanted = VehiclePhase.FAULT if fault else VehiclePhase.ENDED
        assert state.phase is wanted
        assert state.stop_cause == case.cause.value
        assert stand.sequence.state().demand == VehicleDemand()


def test_every_cause_has_a_case() -> None:
    tested = {case.cause for case in CASES}
    own_tests = {StopCause.TIME_OVER, StopCause.LIVE_CONNECTOR}
    assert set(StopCause) - tested == own_tests


@pytest.mark.parametrize("case", [c for c in CASES if c.begin is S.ENERGY], ids=name)
def test_the_vehicle_is_told_whose_fault_it_is(case: Case) -> None:
    stand = provoke(case)
    stand.sent.clear()
    stand.run(0.3)
    flags = [body[5] for _, frame_id, body in stand.sent if frame_id == 0x109]
    assert flags
    for byte in flags:
        assert byte & 0x20  # stopped
        assert bool(byte & 0x02) == (case.cause in OUR_MALFUNCTION)
        assert bool(byte & 0x10) == (case.cause in SYSTEM_MALFUNCTION)


def test_incompatible_battery_is_told() -> None:
    stand = Stand(Car(target_v=501))
    stand.until_step(S.RELEASE)
    stand.run(0.3)
    assert stand.sent[-3][1] == 0x109
    assert stand.sent[-3][2][5] & 0x08
    assert stand.locked is False


def test_faults_latch_until_the_next_start() -> None:
    stand = Stand()
    stand.start()
    stand.car.fault_bits = 8
    stand.until_phase(VehiclePhase.FAULT, 10.0)
    stand.car.fault_bits = 0
    stand.run(30.0)
    assert stand.sequence.state().faults == {"ChademoFault"}
    assert stand.sequence.state().phase is VehiclePhase.FAULT
    stand.energise = False
    stand.run(1.0)
    assert stand.sequence.state().phase is VehiclePhase.FAULT
    stand.energise = True
    stand.until_phase(VehiclePhase.ENERGY)
    assert stand.sequence.state().faults == frozenset()


def test_second_fault_during_the_stop_is_added_and_hurries() -> None:
    stand = Stand()
    stand.start()
    stand.energise = False
    stand.until_step(S.OPEN)
    stand.pilot = {"emergency_stop": True}
    stand.run(0.1)
    assert stand.step is S.RELEASE
    state = stand.sequence.state()
    assert (state.stop_cause, state.faults) == ("station", {"EmergencyStop"})


@pytest.mark.parametrize(
    ("later_s", "named"), [(0.1, "emergency_stop"), (0.7, "vehicle_stop")]
)
def test_vehicle_that_reacts_before_we_see_our_own_emergency(
    later_s: float, named: str
) -> None:
    """The MCU has taken d1 away: the vehicle leaves and opens in one frame."""
    stand = Stand()
    stand.start()
    stand.car.hide = {0x102}
    stand.sequence.receive(0x102, bytes.fromhex("029a010000883c00"), stand.now)
    assert stand.sequence.state().stop_cause == "vehicle_stop"
    assert stand.sequence.state().faults == frozenset()
    stand.stage = {"voltage_v": 350.0}  # keeps it waiting in OPEN
    stand.run(later_s)
    stand.pilot = {"emergency_stop": True}
    stand.run(0.1)
    state = stand.sequence.state()
    assert state.stop_cause == named
    assert "EmergencyStop" in state.faults
    assert "EVContactorFault" not in state.faults


def test_small_deviation_for_long_and_large_for_short_are_allowed() -> None:
    stand = Stand()
    stand.start()
    stand.actual_a = stand.car.request_a + 9.0
    stand.run(10.0)
    stand.actual_a = stand.car.request_a + 40.0
    stand.run(1.5)
    stand.actual_a = None
    stand.run(5.0)
    assert stand.sequence.state().stop_cause == ""


# -- time of frame 101 --------------------------------------------------------------


@pytest.mark.parametrize("minutes", [2, 5])
def test_charge_only_session_ends_with_the_vehicle_time(minutes: int) -> None:
    stand = Stand(Car(minutes=minutes, flags=0x00))
    stand.start()
    stand.until(lambda: stand.sequence.state().stop_cause != "", minutes * 60.0)
    assert stand.sequence.state().stop_cause == "time_over"
    lasted = stand.now - stand.at(S.ENERGY)
    assert lasted == pytest.approx(minutes * 60.0, abs=0.2)


def test_renewed_time_goes_on() -> None:
    stand = Stand(Car(minutes=2, flags=0x00))
    stand.start()
    stand.run(100.0)
    stand.car.minutes = 3
    stand.run(170.0)
    assert stand.sequence.state().stop_cause == ""
    stand.run(15.0)
    assert stand.sequence.state().stop_cause == "time_over"


def test_v2h_session_outlives_the_vehicle_time_and_shows_a_minute() -> None:
    stand = Stand(Car(minutes=2))
    stand.start()
    stand.run(200.0)
    assert stand.sequence.state().phase is VehiclePhase.ENERGY
    body = [body for _, frame_id, body in stand.sent if frame_id == 0x109][-1]
    assert body[6] == 6  # 60 s


def test_v2h_session_ends_when_so_configured() -> None:
    stand = Stand(Car(minutes=2), Chademo(endless_discharge=False))
    stand.start()
    stand.run(130.0)
    assert stand.sequence.state().stop_cause == "time_over"


# -- welded vehicle contactor ----------------------------------------------------------


def test_welded_vehicle_contactor_keeps_the_connector_locked() -> None:
    stand = Stand()
    stand.start()
    stand.car.opens = False
    stand.energise = False
    stand.until_step(S.LIVE, 30.0)
    state = stand.sequence.state()
    assert state.phase is VehiclePhase.FAULT
    assert state.faults == {"EVContactorFault", "ConnectorVoltageHigh"}
    assert state.demand.lock
    assert state.demand == VehicleDemand(lock=True, insulation_on=True)
    stand.run(60.0)
    assert stand.locked
    stand.car.opens, stand.car.closed = True, False
    stand.until_step(S.DONE, 5.0)
    assert not stand.locked
    assert stand.sequence.state().phase is VehiclePhase.FAULT


def test_welded_and_only_the_stage_measures() -> None:
    stand = Stand(config=Chademo(voltage_sense="stage"))
    stand.start()
    stand.car.opens = False
    stand.energise = False
    stand.until_step(S.LIVE, 12.0)
    stand.run(60.0)
    assert stand.locked
    stand.plugged = False  # forced out by a technician
    stand.until_step(S.IDLE, 5.0)


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.09, 0.15, 0.3])
def test_a_stop_right_after_the_start_is_understood(after_s: float) -> None:
    """The vehicle must see 109.5.5 fall and rise, else it looks like a weld."""
    stand = Stand()
    stand.until_step(S.REQUEST)
    stand.car_tick = 3  # its clock is not ours: our frame comes 70 ms after ENERGY
    stand.until_step(S.ENERGY)
    stand.run(after_s)
    stand.energise = False
    stand.until_phase(VehiclePhase.ENDED, 6.0)
    state = stand.sequence.state()
    assert (state.stop_cause, state.faults) == ("station", frozenset())
    told = [body[5] & 0x21 for at, number, body in stand.sent if number == 0x109]
    assert [bits for bits, before in zip(told, [-1, *told], strict=False)
            if bits != before] == [0x20, 0x01, 0x21, 0x20]  # fmt: skip


def test_unlock_that_is_not_confirmed() -> None:
    stand = Stand()
    stand.start()
    stand.energise = stand.lock_works = False
    stand.until_phase(VehiclePhase.FAULT, 12.0)
    state = stand.sequence.state()
    assert (state.stop_cause, state.faults) == ("station", {"ConnectorLockFailure"})
