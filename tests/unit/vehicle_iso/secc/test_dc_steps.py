"""The DC power path: order, limits, every way out."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chargerd.model import VehicleLimits, VehiclePhase, VehicleState
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.dc_table import (
    CLOSED,
    ROWS,
    DcStep,
    Isolation,
    cable_check_voltage,
)
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.plant import TICK_S, Plant

EV_MAX_V = 420.0


class Bench:
    """A path and its hardware, moved tick by tick."""

    def __init__(self) -> None:
        self.plant = Plant(pilot=PilotState.C)
        self.path = DcPath(self.plant.view())
        self.path.turn(self.plant.view())

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            path = self.path
            limits = VehicleLimits(self.plant.now, charge_a=50.0, requested_a=20.0)
            demand = path.demand(410.0, 200.0)
            self.plant.step(VehicleState("x", path.phase, limits, demand))
            path.turn(self.plant.view())

    def to(self, step: DcStep) -> None:
        """The good way to `step`."""
        path = self.path
        order = tuple(DcStep)
        if order.index(step) > order.index(DcStep.IDLE):
            path.lock()
            self.run(0.1)
        if order.index(step) >= order.index(DcStep.TESTED):
            path.check_cable(EV_MAX_V, 500.0)
            self.run(2.0)
            assert path.step is DcStep.TESTED
        if order.index(step) >= order.index(DcStep.JOINED):
            path.precharge(380.0)
            self.run(1.0)
            assert path.step is DcStep.JOINED
        if order.index(step) >= order.index(DcStep.ENERGY):
            self.plant.ev_closed = True
            assert path.start()
            self.run(0.2)
            assert path.step is DcStep.ENERGY
        if order.index(step) >= order.index(DcStep.WELD):
            self.plant.current_a = 0.0
            path.stop()
            self.run(0.1)
        assert path.step is step


@pytest.mark.parametrize(
    ("ev_v", "evse_v", "test_v"),
    [
        (400.0, 500.0, 450.0),
        (480.0, 1000.0, 500.0),
        (500.0, 1000.0, 500.0),
        (400.0, 420.0, 420.0),
        (800.0, 1000.0, 880.0),
        (950.0, 1000.0, 1000.0),
    ],
)
def test_cable_check_voltage(ev_v: float, evse_v: float, test_v: float) -> None:
    assert cable_check_voltage(ev_v, evse_v) == pytest.approx(test_v)


def test_only_the_steps_behind_the_tests_close_the_contactor() -> None:
    assert {step for step, row in ROWS.items() if row.close_dc} == CLOSED
    order = tuple(DcStep)
    assert all(order.index(step) > order.index(DcStep.MATCH) for step in CLOSED)


def test_a_session_that_goes_well() -> None:
    bench = Bench()
    path, plant = bench.path, bench.plant
    bench.to(DcStep.ENERGY)
    assert path.isolation is Isolation.VALID
    assert path.demand(410.0, 200.0).voltage_v == 410.0
    assert path.demand(410.0, 200.0).cutoff_v == 200.0
    assert plant.current_a == 20.0
    assert path.outlet_v == 380.0
    path.stop()
    assert path.phase is VehiclePhase.STOPPING
    bench.run(0.1)
    assert path.step is DcStep.WELD
    plant.ev_closed = False
    bench.run(0.5)
    assert path.outlet_v < 60.0
    path.release()
    bench.run(0.3)
    assert path.step is DcStep.DONE
    assert path.phase is VehiclePhase.ENDED
    assert (path.cause, path.faults) == (Cause.VEHICLE_STOP, set())
    assert not plant.locked


def test_the_test_voltage_is_asked_and_gone_before_the_check_is_passed() -> None:
    bench = Bench()
    bench.to(DcStep.LOCK)
    bench.path.check_cable(EV_MAX_V, 500.0)
    seen = []
    while bench.path.step is not DcStep.TESTED:
        bench.run(TICK_S)
        seen.append(bench.plant.stage_v)
        assert not bench.path.demand().close_dc
    assert max(seen) == pytest.approx(470.0)
    assert bench.plant.stage_v < 60.0


def test_the_outlet_has_no_voltage_before_the_contactor_is_closed() -> None:
    bench = Bench()
    bench.to(DcStep.TESTED)
    bench.path.precharge(380.0)
    bench.run(0.2)
    assert bench.path.step is DcStep.MATCH
    assert bench.path.outlet_v == 0.0
    bench.run(1.0)
    assert bench.path.outlet_v == pytest.approx(380.0)


def test_a_vehicle_faster_than_our_contactor_waits_for_energy_only() -> None:
    bench = Bench()
    bench.to(DcStep.TESTED)
    bench.path.precharge(380.0)
    assert bench.path.start()
    assert not bench.path.energy
    bench.run(1.0)
    assert bench.path.energy


@pytest.mark.parametrize("step", [DcStep.IDLE, DcStep.LOCK, DcStep.TESTED])
def test_no_start_before_precharge(step: DcStep) -> None:
    bench = Bench()
    bench.to(step)
    assert not bench.path.start()


def test_warning_is_told() -> None:
    bench = Bench()
    bench.plant.warning = True
    bench.to(DcStep.TESTED)
    assert bench.path.isolation is Isolation.WARNING


@pytest.mark.parametrize(
    ("ohm", "alarm", "device"),
    [(99_999.0, False, False), (1e6, True, False), (1e6, False, True)],
)
def test_a_bad_insulation_is_a_fault(ohm: float, alarm: bool, device: bool) -> None:
    bench = Bench()
    bench.to(DcStep.LOCK)
    bench.plant.ohm, bench.plant.alarm = ohm, alarm
    if device:
        bench.plant.broken.add("insulation_device")
    bench.path.check_cable(EV_MAX_V, 500.0)
    bench.run(3.0)
    assert bench.path.isolation is Isolation.FAULT
    assert bench.path.cause is Cause.CABLE_CHECK
    assert bench.path.step is DcStep.DONE
    assert bench.path.phase is VehiclePhase.FAULT


def test_a_value_from_before_the_voltage_does_not_count() -> None:
    bench = Bench()
    bench.to(DcStep.LOCK)
    bench.plant.ohm = None
    bench.path.check_cable(EV_MAX_V, 500.0)
    bench.run(37.0)
    assert bench.path.step is DcStep.TEST
    bench.run(2.0)
    assert bench.path.cause is Cause.CABLE_CHECK


@pytest.mark.req("G05.FR.01")
def test_a_jammed_lock() -> None:
    bench = Bench()
    bench.plant.broken.add("lock")
    bench.path.check_cable(EV_MAX_V, 500.0)
    bench.run(9.8)
    assert bench.path.step is DcStep.WAIT
    bench.run(0.4)
    assert bench.path.cause is Cause.LOCK
    assert bench.path.faults == {"ConnectorLockFailure"}


def test_the_stage_does_not_reach_the_target() -> None:
    bench = Bench()
    bench.to(DcStep.TESTED)
    bench.plant.broken.add("stage_voltage")
    bench.path.precharge(380.0)
    bench.run(4.9)
    assert bench.path.step is DcStep.MATCH
    bench.run(0.3)
    assert bench.path.cause is Cause.PRECHARGE


def test_the_contactor_does_not_close() -> None:
    bench = Bench()
    bench.to(DcStep.TESTED)
    bench.plant.broken.add("contactor")
    bench.path.precharge(380.0)
    bench.run(4.0)
    assert bench.path.cause is Cause.STATION_CONTACTOR
    assert bench.path.faults == {"EVSEContactorFault"}


def _pilot(plant: Plant, state: PilotState) -> None:
    plant.pilot = state


BREAKS = [
    (lambda p: _pilot(p, PilotState.B), Cause.PILOT_LEFT),
    (lambda p: _pilot(p, PilotState.A), Cause.PILOT_LEFT),
    (lambda p: setattr(p, "emergency_stop", True), Cause.EMERGENCY_STOP),
    (lambda p: p.broken.add("safe_state"), Cause.STATION_SAFE_STATE),
    (lambda p: p.broken.add("silent"), Cause.STATION_SILENT),
    (lambda p: p.broken.add("pilot"), Cause.PILOT_LOST),
    (lambda p: p.broken.add("stage"), Cause.STAGE_LOST),
    (lambda p: p.broken.add("insulation"), Cause.INSULATION_LOST),
    (lambda p: setattr(p, "ohm", 50_000.0), Cause.INSULATION),
    (lambda p: setattr(p, "alarm", True), Cause.INSULATION),
    (lambda p: (p.broken.add("lock"), setattr(p, "locked", False)), Cause.LOCK),
    (
        lambda p: (p.broken.add("contactor"), setattr(p, "dc_closed", False)),
        Cause.STATION_CONTACTOR,
    ),
    (lambda p: setattr(p, "battery_v", 435.0), Cause.OVER_VOLTAGE),
]


@pytest.mark.parametrize(("wrong", "cause"), BREAKS)
def test_what_opens_the_contactor_at_once(wrong: object, cause: Cause) -> None:
    bench = Bench()
    bench.to(DcStep.ENERGY)
    wrong(bench.plant)  # type: ignore[operator]
    bench.run(TICK_S)
    assert bench.path.cause is cause
    assert not bench.path.demand().close_dc
    assert bench.path.phase is not VehiclePhase.ENERGY


def test_a_fault_of_the_station_stops_in_order() -> None:
    bench = Bench()
    bench.to(DcStep.ENERGY)
    bench.plant.fault_stop = True
    bench.run(TICK_S)
    assert bench.path.cause is Cause.STATION_FAULT
    assert bench.path.phase is VehiclePhase.STOPPING


def test_the_vehicle_has_ten_seconds_to_end_what_the_station_ends() -> None:
    bench = Bench()
    bench.to(DcStep.ENERGY)
    bench.plant.energise = False
    bench.run(9.8)
    assert bench.path.energy
    bench.run(0.4)
    assert bench.path.cause is Cause.STATION
    assert bench.path.phase is VehiclePhase.STOPPING


def test_a_station_that_wants_again_goes_on() -> None:
    bench = Bench()
    bench.to(DcStep.ENERGY)
    bench.plant.energise = False
    bench.run(6.0)
    bench.plant.energise = True
    bench.run(1.0)
    bench.plant.energise = False
    bench.run(6.0)
    assert bench.path.energy


@pytest.mark.parametrize("step", [DcStep.TESTED, DcStep.JOINED])
def test_without_authorisation_the_way_up_ends(step: DcStep) -> None:
    bench = Bench()
    bench.to(step)
    bench.plant.energise = False
    bench.run(TICK_S)
    assert bench.path.cause is Cause.STATION
    assert not bench.path.energy


def test_a_welded_vehicle_contactor_keeps_the_connector_locked() -> None:
    bench = Bench()
    bench.to(DcStep.WELD)
    bench.path.release()
    bench.run(2.2)
    assert "EVContactorFault" in bench.path.faults
    assert bench.path.step is DcStep.RELEASE
    bench.run(10.2)
    assert bench.path.step is DcStep.LIVE
    assert bench.path.phase is VehiclePhase.FAULT
    assert bench.path.demand().lock
    bench.plant.pilot = PilotState.A
    bench.run(0.2)
    assert bench.path.step is DcStep.DONE


def test_the_contactor_opens_without_the_vehicles_word() -> None:
    bench = Bench()
    bench.to(DcStep.WELD)
    bench.plant.ev_closed = False
    bench.run(9.7)
    assert bench.path.step is DcStep.WELD
    bench.run(0.6)
    assert not bench.path.demand().close_dc
    assert bench.path.faults == set()


def test_what_nobody_saw_open_is_unlocked_late() -> None:
    bench = Bench()
    bench.to(DcStep.ENERGY)
    bench.plant.pilot = PilotState.B
    bench.run(3.8)
    assert bench.path.demand().lock
    bench.run(0.5)
    assert bench.path.step is DcStep.DONE


def test_the_outlet_as_the_monitor_sees_it() -> None:
    plant = Plant(pilot=PilotState.C)
    path = DcPath(plant.view(), outlet_sensed=True)
    path.turn(plant.view())
    assert path.outlet_v == 0.0


def test_rest_needs_no_timer() -> None:
    bench = Bench()
    assert bench.path.next_timer() is None
    bench.path.lock()
    assert bench.path.next_timer() == pytest.approx(bench.plant.now + 0.1)


class AnyOrder(RuleBasedStateMachine):
    """Whatever is asked and breaks in any order: no contactor without its reasons."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.tested = self.matched = False

    @rule()
    def lock(self) -> None:
        self.bench.path.lock()

    @rule(volts=st.sampled_from([300.0, 420.0]))
    def check(self, volts: float) -> None:
        self.bench.path.check_cable(volts, 500.0)

    @rule(volts=st.sampled_from([0.0, 200.0, 380.0]))
    def precharge(self, volts: float) -> None:
        self.bench.path.precharge(volts)

    @rule()
    def start(self) -> None:
        self.bench.path.start()

    @rule(cause=st.sampled_from([Cause.VEHICLE_STOP, Cause.SILENT, Cause.SEQUENCE]))
    def stop(self, cause: Cause) -> None:
        self.bench.path.stop(cause)

    @rule()
    def release(self) -> None:
        self.bench.path.release()

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0]))
    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.bench.run(TICK_S)
            self._look()

    @rule(state=st.sampled_from(list(PilotState)))
    def pilot(self, state: PilotState) -> None:
        self.bench.plant.pilot = state

    @rule(on=st.booleans())
    def energise(self, on: bool) -> None:
        self.bench.plant.energise = on

    @rule(ohm=st.sampled_from([None, 1e4, 1e6]))
    def insulation(self, ohm: float | None) -> None:
        self.bench.plant.ohm = ohm

    @rule(closed=st.booleans())
    def vehicle_contactor(self, closed: bool) -> None:
        self.bench.plant.ev_closed = closed

    @rule(what=st.sampled_from(["lock", "stage", "insulation", "contactor"]))
    def broken(self, what: str) -> None:
        self.bench.plant.broken ^= {what}

    def _look(self) -> None:
        path = self.bench.path
        self.tested |= path.isolation in (Isolation.VALID, Isolation.WARNING)
        if path.step is DcStep.JOIN:
            wanted_v = path.demand().voltage_v
            view = self.bench.plant.view()
            self.matched |= abs(view.voltage_v - wanted_v) <= 10.0 and view.locked

    @invariant()
    def closed_only_with_reason(self) -> None:
        self._look()
        if self.bench.path.demand().close_dc:
            assert self.tested
            assert self.matched

    @invariant()
    def nothing_but_energy_is_energy(self) -> None:
        if self.bench.path.phase is VehiclePhase.ENERGY:
            assert self.bench.path.demand().close_dc


AnyOrder.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestAnyOrder = AnyOrder.TestCase
