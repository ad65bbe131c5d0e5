"""The AC power path of one session: lock, contactor, end.

Owns that the AC contactor is asked for only when the station authorised it, the pilot
shows C or D, and a lock that is fitted holds. Must never read a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chargerd.model import VehicleDemand, VehiclePhase
from chargerd.vehicle.iso15118.secc.causes import FAULTS, Cause
from chargerd.vehicle.iso15118.secc.station import Station
from firmware_bridge.api import PilotState

BEATS_S = 0.1
NEVER = float("inf")


class AcStep(Enum):
    """In the order of a session that goes well."""

    IDLE = "idle"
    LOCK = "lock"
    START = "start"  # asked to start: C or D is awaited
    ENERGY = "energy"
    RELEASE = "release"  # contactor open, lock still on
    DONE = "done"


@dataclass(frozen=True, slots=True)
class AcTimes:
    """Limits in s, all ours but the first."""

    start_s: float = 3.0  # C or D after PowerDelivery(Start), [V2G2-847] and margin
    unwanted_s: float = 10.0  # energy ends so long after the station's stop
    release_s: float = 1.0  # lock stays on so long after the contactor


_PHASES = {
    AcStep.IDLE: VehiclePhase.HANDSHAKE,
    AcStep.LOCK: VehiclePhase.HANDSHAKE,
    AcStep.START: VehiclePhase.HANDSHAKE,
    AcStep.ENERGY: VehiclePhase.ENERGY,
    AcStep.RELEASE: VehiclePhase.STOPPING,
    AcStep.DONE: VehiclePhase.ENDED,
}
_RUNNING = (AcStep.IDLE, AcStep.LOCK, AcStep.START, AcStep.ENERGY)


class AcPath:
    """The power path of one session at one AC connector; made new for each session.

    `turn` after every measurement and before every answer; requests in between.
    """

    def __init__(self, now: Station, times: AcTimes | None = None) -> None:
        self.times = times or AcTimes()
        self.step = AcStep.IDLE
        self.cause: Cause | None = None
        self.faults: set[str] = set()
        self._now = now
        self._step_mono = now.now_mono
        self._unwanted_mono = NEVER

    # -- requests of the session ----------------------------------------------------

    def lock(self) -> None:
        """Lock the connector: the session is authorised."""
        if self.step is AcStep.IDLE and self._now.authorised:
            self._enter(AcStep.LOCK)

    def start(self) -> bool:
        """PowerDelivery(Start): whether power can flow once the pilot shows C or D and
        the lock holds. A vehicle that is faster than our lock is not sent away."""
        if self.step in (AcStep.START, AcStep.ENERGY):
            return True
        if self.step is not AcStep.LOCK or not (
            self._now.authorised and self._now.safe
        ):
            return False
        self._enter(AcStep.START)
        self._move()
        return True

    def stop(self, cause: Cause = Cause.VEHICLE_STOP) -> None:
        """The first cause names the end; the contactor's demand drops now."""
        if self.cause is None:
            self.cause = cause
        if cause in FAULTS:
            self.faults.add(FAULTS[cause])
        if self.step in _RUNNING:
            idle = self.step is AcStep.IDLE
            self._enter(AcStep.DONE if idle else AcStep.RELEASE)

    def release(self, cause: Cause = Cause.VEHICLE_STOP) -> None:
        """As `stop`: in AC there is no weld check of the vehicle to wait for."""
        self.stop(cause)

    # -- what the session reads -----------------------------------------------------

    @property
    def energy(self) -> bool:
        return self.step is AcStep.ENERGY

    @property
    def ended(self) -> bool:
        """A stop was asked for or came by itself; nothing restarts this path."""
        return self.step not in _RUNNING

    @property
    def starting(self) -> bool:
        """Asked to start, and the pilot does not show C or D yet."""
        return self.step is AcStep.START

    @property
    def phase(self) -> VehiclePhase:
        if self.step is AcStep.DONE and self.faults:
            return VehiclePhase.FAULT
        return _PHASES[self.step]

    def demand(self) -> VehicleDemand:
        """Lock and contactor."""
        held = (AcStep.LOCK, AcStep.START, AcStep.ENERGY, AcStep.RELEASE)
        return VehicleDemand(lock=self.step in held, close_ac=self.energy)

    def next_timer(self) -> float | None:
        """When `turn` is wanted even without news; None at rest."""
        if self.step in (AcStep.IDLE, AcStep.LOCK, AcStep.DONE):
            return None
        return self._now.now_mono + BEATS_S

    # -- the turn -------------------------------------------------------------------

    def turn(self, now: Station) -> None:
        """Judge, then move as far as the measurements carry."""
        self._now = now
        if now.authorised:
            self._unwanted_mono = NEVER
        else:
            self._unwanted_mono = min(self._unwanted_mono, now.now_mono)
        cause = self._wrong()
        if cause is not None:
            self.stop(cause)
        self._move()

    def _wrong(self) -> Cause | None:
        """The most important reason to end now."""
        now, pilot = self._now, self._now.pilot
        if self.step not in _RUNNING:
            return None
        if pilot is not None and pilot.emergency_stop:
            return Cause.EMERGENCY_STOP
        if pilot is not None and pilot.pilot_state is PilotState.A:
            return Cause.PILOT_LEFT
        if self.step not in (AcStep.START, AcStep.ENERGY):
            return None
        if now.silent:
            return Cause.STATION_SILENT
        if pilot is None:
            return Cause.PILOT_LOST
        if pilot.safe_state:
            return Cause.STATION_SAFE_STATE
        if pilot.locked is False and self.energy:
            return Cause.LOCK
        if now.offer.fault_stop:
            return Cause.STATION_FAULT
        return self._late()

    def _late(self) -> Cause | None:
        now, energy = self._now, self.energy
        if energy and not now.energised_pilot:
            return Cause.PILOT_LEFT
        # In ENERGY the vehicle is told first, and ends it in order.
        grace_s = self.times.unwanted_s if energy else 0.0
        if now.now_mono - self._unwanted_mono >= grace_s:
            return Cause.STATION
        if energy or now.now_mono - self._step_mono < self.times.start_s:
            return None
        held = now.pilot is not None and now.pilot.locked is not False
        return Cause.PILOT_LEFT if held else Cause.LOCK

    def _ready(self) -> bool:
        """The station's half. `locked` None: a fixed cable, there is no lock."""
        now = self._now
        held = now.pilot is not None and now.pilot.locked is not False
        return now.authorised and now.safe and held

    def _enter(self, step: AcStep) -> None:
        self.step, self._step_mono = step, self._now.now_mono

    def _move(self) -> None:
        now = self._now
        if self.step is AcStep.START and self._ready() and now.energised_pilot:
            self._enter(AcStep.ENERGY)
        waited_s = now.now_mono - self._step_mono
        if self.step is AcStep.RELEASE and waited_s >= self.times.release_s:
            self._enter(AcStep.DONE)
