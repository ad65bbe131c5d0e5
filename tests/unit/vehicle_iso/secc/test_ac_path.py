"""The AC power path: what must hold before the contactor, and every way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from chargerd.model import VehicleDemand, VehicleOffer, VehiclePhase
from chargerd.vehicle.iso15118.secc.ac_path import AcPath, AcStep
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.station import Energy, Ratings, Setup, station
from firmware_bridge.api import PilotReading, PilotState, Reading, Telemetry

SETUP = Setup(
    "DE*ABC*E1", Ratings(0.0, 0.0, 0.0, 0.0, 11e3, 7e3, ac_phases=3), (Energy.AC,)
)


@dataclass
class Stand:
    """A pilot that can be set by hand, and a path."""

    now: float = 100.0
    energise: bool = True
    fault_stop: bool = False
    pilot: PilotReading = field(
        default_factory=lambda: PilotReading(PilotState.B, locked=True)
    )
    told_mono: float = 100.0
    path: AcPath = field(init=False)

    def __post_init__(self) -> None:
        self.path = AcPath(station(SETUP, self.offer(), self.now))

    def offer(self) -> VehicleOffer:
        return VehicleOffer(
            at_mono=self.told_mono,
            energise=self.energise,
            fault_stop=self.fault_stop,
            telemetry=Telemetry(pilot=Reading(self.pilot, self.told_mono)),
        )

    def turn(self, seconds: float = 0.0, *, told: bool = True) -> None:
        self.now += seconds
        if told:
            self.told_mono = self.now
        self.path.turn(station(SETUP, self.offer(), self.now))

    def shows(self, state: PilotState, **changes: object) -> None:
        self.pilot = replace(self.pilot, pilot_state=state, **changes)  # type: ignore[arg-type]
        self.turn()


def energised() -> Stand:
    stand = Stand()
    stand.path.lock()
    assert stand.path.start()
    stand.shows(PilotState.C)
    assert stand.path.energy
    return stand


def test_a_session_that_goes_well() -> None:
    stand = Stand()
    path = stand.path
    assert path.demand() == VehicleDemand()
    assert path.next_timer() is None
    path.lock()
    assert path.demand() == VehicleDemand(lock=True)
    assert path.start()
    assert path.starting
    assert path.demand() == VehicleDemand(lock=True)
    stand.shows(PilotState.C)
    assert path.demand() == VehicleDemand(lock=True, close_ac=True)
    assert path.phase is VehiclePhase.ENERGY
    assert path.next_timer() == pytest.approx(stand.now + 0.1)
    path.stop()
    assert path.demand() == VehicleDemand(lock=True)
    assert path.phase is VehiclePhase.STOPPING
    stand.turn(1.0)
    assert path.demand() == VehicleDemand()
    assert path.phase is VehiclePhase.ENDED
    assert path.cause is Cause.VEHICLE_STOP
    assert not path.faults


def test_a_vehicle_faster_than_the_lock_waits_for_it() -> None:
    stand = Stand(pilot=PilotReading(PilotState.C, locked=False))
    stand.path.lock()
    assert stand.path.start()
    stand.turn(0.5)
    assert not stand.path.energy
    stand.shows(PilotState.C, locked=True)
    assert stand.path.energy


def test_a_lock_that_never_holds_ends_the_start() -> None:
    stand = Stand(pilot=PilotReading(PilotState.C, locked=False))
    stand.path.lock()
    assert stand.path.start()
    stand.turn(3.0)
    assert stand.path.ended
    assert stand.path.cause is Cause.LOCK


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: setattr(s, "energise", False),
        lambda s: setattr(s, "fault_stop", True),
        lambda s: setattr(s, "pilot", replace(s.pilot, safe_state=True)),
    ],
)
def test_no_start_without(spoil: Callable[[Stand], None]) -> None:
    stand = Stand()
    stand.path.lock()
    spoil(stand)
    stand.turn()
    assert not stand.path.start()
    stand.shows(PilotState.C)
    assert not stand.path.demand().close_ac


def test_no_start_without_lock() -> None:
    stand = Stand()
    assert not stand.path.start()


def test_no_lock_without_authorisation() -> None:
    stand = Stand(energise=False)
    stand.path.lock()
    assert stand.path.step is AcStep.IDLE


def test_a_fixed_cable_has_no_lock() -> None:
    stand = Stand(pilot=PilotReading(PilotState.C, locked=None))
    stand.path.lock()
    assert stand.path.start()
    assert stand.path.energy
    assert stand.path.start()  # again changes nothing


ENDS: list[tuple[Callable[[Stand], None], Cause, VehiclePhase]] = [
    (lambda s: s.shows(PilotState.B), Cause.PILOT_LEFT, VehiclePhase.ENDED),
    (lambda s: s.shows(PilotState.A), Cause.PILOT_LEFT, VehiclePhase.ENDED),
    (lambda s: s.shows(PilotState.E), Cause.PILOT_LEFT, VehiclePhase.ENDED),
    (
        lambda s: s.shows(PilotState.C, emergency_stop=True),
        Cause.EMERGENCY_STOP,
        VehiclePhase.FAULT,
    ),
    (
        lambda s: s.shows(PilotState.C, safe_state=True),
        Cause.STATION_SAFE_STATE,
        VehiclePhase.ENDED,
    ),
    (
        lambda s: s.shows(PilotState.C, locked=False),
        Cause.LOCK,
        VehiclePhase.FAULT,
    ),
    (lambda s: s.turn(1.1, told=False), Cause.STATION_SILENT, VehiclePhase.ENDED),
]


@pytest.mark.parametrize(("event", "cause", "phase"), ENDS)
def test_energy_ends_at_once(
    event: Callable[[Stand], None], cause: Cause, phase: VehiclePhase
) -> None:
    stand = energised()
    event(stand)
    assert not stand.path.demand().close_ac
    assert stand.path.cause is cause
    assert stand.path.ended
    stand.turn(1.0)
    assert stand.path.phase is phase
    assert not stand.path.start()


def test_a_pilot_nobody_reads_ends_it() -> None:
    stand = energised()
    offer = VehicleOffer(at_mono=stand.now, energise=True)
    stand.path.turn(station(SETUP, offer, stand.now))
    assert stand.path.cause is Cause.PILOT_LOST


def test_a_fault_of_the_station_ends_it() -> None:
    stand = energised()
    stand.fault_stop = True
    stand.turn()
    assert stand.path.cause is Cause.STATION_FAULT


def test_the_stations_stop_gives_the_vehicle_time() -> None:
    stand = energised()
    stand.energise = False
    stand.turn()
    stand.turn(9.9)
    assert stand.path.energy
    stand.energise = True
    stand.turn()  # wanted again: the time starts anew
    stand.energise = False
    stand.turn(0.1)
    stand.turn(9.9)
    assert stand.path.energy
    stand.turn(0.2)
    assert stand.path.cause is Cause.STATION


def test_c_does_not_come() -> None:
    stand = Stand()
    stand.path.lock()
    stand.path.start()
    stand.turn(2.9)
    assert stand.path.starting
    stand.turn(0.1)
    assert stand.path.cause is Cause.PILOT_LEFT


def test_the_stations_stop_before_energy_is_at_once() -> None:
    stand = Stand()
    stand.path.lock()
    stand.path.start()
    stand.energise = False
    stand.turn(0.1)
    assert stand.path.cause is Cause.STATION


def test_the_first_cause_names_the_end() -> None:
    stand = energised()
    stand.path.release(Cause.SILENT)
    stand.path.stop(Cause.VEHICLE_STOP)
    assert stand.path.cause is Cause.SILENT
    assert stand.path.faults == {"VehicleTimeout"}
