"""The CHAdeMO session, sans I/O: frames, telemetry and `now` in; frames and state out.

Owns the order of a session and when a vehicle may be woken. Pins and times come from
steps.py, stop causes from monitor.py. Must never read a clock or touch the bus.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd.config import Chademo
from chargerd.model import VehicleOffer, VehicleState
from chargerd.vehicle.chademo.causes import ASLEEP, BY_VEHICLE, StopCause
from chargerd.vehicle.chademo.charge import ChargeCurrent
from chargerd.vehicle.chademo.frames import ChademoError
from chargerd.vehicle.chademo.handlers import HANDLERS
from chargerd.vehicle.chademo.render import render
from chargerd.vehicle.chademo.session import Pins, Session
from chargerd.vehicle.chademo.speech import PERIOD_S, says_running, speak
from chargerd.vehicle.chademo.steps import (
    RUNNING,
    STEPS,
    STOPPING,
    Close,
    Step,
    Times,
)
from chargerd.vehicle.chademo.view import (
    INSULATION_MAX_AGE_S,
    OFFER_MAX_AGE_S,
    TELEMETRY_MAX_AGE_S,
    Ratings,
    View,
    fresh,
)
from firmware_bridge.api import Telemetry

MAX_STEPS_AT_ONCE = 4
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Counters:
    """What this door has counted since the start of the daemon."""

    frames: int = 0  # vehicle frames used
    bad: int = 0  # known id, wrong length or impossible value
    unknown: int = 0  # other ids
    d1_operations: int = 0
    sessions: int = 0  # reached ENERGY


class Sequence:
    """One EVSE's CHAdeMO sequence. Every method takes the time; none waits."""

    def __init__(
        self, config: Chademo, ratings: Ratings, times: Times | None = None
    ) -> None:
        self._config = config
        self._ratings = ratings
        self._times = times or Times()
        self._now = -NEVER
        self._offer = VehicleOffer(at_mono=-NEVER)
        self._outbox: tuple[tuple[int, bytes], ...] = ()
        self._next_tx_mono: float | None = None
        self._frames = self._bad = self._unknown = 0
        self._d1_operations = self._sessions = 0
        self._bus_failing = False
        self._plugged = False
        self._armed = True  # an energise edge or a new plug since the last start
        self._barred_until_mono = -NEVER
        self._rewake_mono = NEVER
        self._session = self._new_session()
        self._state = VehicleState()

    def _new_session(self) -> Session:
        return Session(ChargeCurrent(self._ratings.charge_max_a), d1_mono=self._now)

    # -- inputs -----------------------------------------------------------------

    def receive(self, frame_id: int, data: bytes, now_mono: float) -> None:
        """One frame from the vehicle's bus. Garbage is counted, never raised."""
        self._now = max(self._now, now_mono)
        try:
            known = self._session.peer.take(frame_id, data, now_mono)
        except ChademoError:
            self._bad += 1
            return
        if not known:
            self._unknown += 1
            return
        self._frames += 1
        self._turn()

    def command(self, offer: VehicleOffer, now_mono: float) -> None:
        """The station's word of this tick."""
        self._now = max(self._now, now_mono)
        if offer.energise and not self._offer.energise:
            self._armed = True
        self._offer = offer
        self._turn()

    def on_timer(self, now_mono: float) -> None:
        """Time passed: frames are due, or a step took too long."""
        self._now = max(self._now, now_mono)
        self._turn()

    def bus(self, ok: bool, now_mono: float) -> None:
        """Whether our last frame got onto the bus."""
        self._now = max(self._now, now_mono)
        self._bus_failing = not ok

    # -- outputs ----------------------------------------------------------------

    def to_send(self) -> tuple[tuple[int, bytes], ...]:
        """Frames due, in order; each is handed out once."""
        frames, self._outbox = self._outbox, ()
        return frames

    def next_timer(self) -> float | None:
        """When `on_timer` is wanted; None while no vehicle is being served."""
        if self._session.step in (Step.IDLE, Step.DONE):
            return None
        if self._next_tx_mono is not None:
            return self._next_tx_mono
        return self._now + PERIOD_S

    def state(self) -> VehicleState:
        return self._state

    @property
    def counters(self) -> Counters:
        return Counters(
            self._frames,
            self._bad,
            self._unknown,
            self._d1_operations,
            self._sessions,
        )

    # -- the turn ---------------------------------------------------------------

    def _turn(self) -> None:
        """Judge, move, speak, show: the same after every input."""
        view = self._view()
        self._watch_plug(view)
        for cause in self._session.monitor.check(self._session.step, view):
            self._stop(cause)
        for _ in range(MAX_STEPS_AT_ONCE):
            view = self._view()
            following = self._next(view)
            if following is None:
                break
            if isinstance(following, StopCause):
                self._stop(following)
            else:
                self._enter(following)
        view = self._view()
        self._advertise(view)
        self._speak(view)
        self._state = render(self._session, view)

    def _view(self) -> View:
        now, session, telemetry = self._now, self._session, self._offer.telemetry
        told = self._offer.at_mono
        if now - told > OFFER_MAX_AGE_S:
            telemetry = Telemetry()  # nobody looks any more: all of it is stale
        pilot = fresh(telemetry.pilot, TELEMETRY_MAX_AGE_S, told)
        stage = fresh(telemetry.stage, TELEMETRY_MAX_AGE_S, told)
        insulation = fresh(telemetry.insulation, INSULATION_MAX_AGE_S, told)
        return View(
            now_mono=now,
            offer=self._offer,
            peer=session.peer,
            config=self._config,
            ratings=self._ratings,
            times=self._times,
            pilot=pilot,
            stage=stage,
            insulation=insulation,
            joined=session.pins.close_dc
            and pilot is not None
            and (pilot.dc_closed is not False),
            energy_mono=session.energy_mono,
            bus_failing=self._bus_failing,
            station_silent=now - told > OFFER_MAX_AGE_S,
        )

    def _watch_plug(self, view: View) -> None:
        """A connector pulled and put back is a new vehicle."""
        if view.unplugged:
            if self._plugged:
                self._armed = True
                self._barred_until_mono, self._rewake_mono = -NEVER, NEVER
            if self._session.step is Step.DONE:
                self._session = self._new_session()
            self._plugged = False
        elif view.plugged:
            self._plugged = True

    def _next(self, view: View) -> Step | StopCause | None:
        """The step's own word, else its time limit's."""
        session = self._session
        if session.step in (Step.IDLE, Step.DONE):
            return self._start(view)
        following = HANDLERS[session.step](session, view)
        if following is None and self._now >= self._deadline_mono():
            return STEPS[session.step].late
        return following

    def _deadline_mono(self) -> float:
        times, session = self._times, self._session
        match session.step:
            case Step.WAKE | Step.READY:
                return session.d1_mono + times.wake_s
            case Step.PROVE | Step.TEST | Step.SINK:
                return session.ready_mono + times.cable_check_s
            case step:
                return session.step_mono + times.limit_s(step)

    def _start(self, view: View) -> Step | None:
        """Wake the vehicle: once per plug or energise edge, or when it is due again."""
        pilot, offer = view.pilot, self._offer
        if not offer.energise:
            self._rewake_mono = NEVER
        if pilot is None or not pilot.chademo_proximity or not offer.energise:
            return None
        if offer.fault_stop or pilot.emergency_stop or pilot.safe_state:
            return None
        asked = self._armed and self._now >= self._barred_until_mono
        if not asked and self._now < self._rewake_mono:
            return None
        self._armed, self._rewake_mono = False, NEVER
        self._session = self._new_session()
        self._d1_operations += 1
        return Step.WAKE

    def _enter(self, step: Step) -> None:
        session, row = self._session, STEPS[step]
        session.step, session.step_mono = step, self._now
        session.steady_since_mono = None
        stage_sense = self._config.voltage_sense == "stage"
        close_dc = row.dc is Close.ALWAYS or (
            row.dc is Close.STAGE_SENSE and stage_sense
        )
        pins = Pins(row.d1, row.d2, row.lock, close_dc)
        session.pins = pins if step in RUNNING else pins & session.pins
        if step is Step.ENERGY:
            self._sessions += 1
        if step is Step.DONE:
            self._ended()

    def _ended(self) -> None:
        """A sleeping or satisfied vehicle is woken again, but not soon."""
        later_mono = self._session.d1_mono + self._config.rewake_after_s
        if self._session.cause in ASLEEP:
            self._barred_until_mono = later_mono
        if self._session.cause in ASLEEP | BY_VEHICLE:
            self._rewake_mono = later_mono

    def _stop(self, cause: StopCause) -> None:
        """The first cause leaves by the step's way out; later ones only hurry."""
        session = self._session
        late_or_live = session.step in STOPPING and cause is STEPS[session.step].late
        running = session.step in RUNNING
        session.note(cause, self._now)
        if running or late_or_live:
            self._enter(STEPS[session.step].way_out)

    # -- speech -----------------------------------------------------------------

    def _advertise(self, view: View) -> None:
        """108.3: live in ENERGY, our rating before; 0 while discharging or full."""
        session, offer = self._session, self._offer
        if session.step is not Step.ENERGY:
            return
        setpoint_a = 0.0 if view.full else max(0.0, offer.setpoint_a)
        if view.stage is not None and view.stage.derated:
            setpoint_a = min(setpoint_a, max(0.0, view.current_a))
        session.charge.update(
            max(0.0, offer.charge_a), setpoint_a, view.peer.request_a, self._now
        )

    def _speak(self, view: View) -> None:
        """Our frames every 100 ms, from the first vehicle frames until d1 is off."""
        if not (STEPS[self._session.step].d1 and view.peer.talking):
            self._next_tx_mono = None
            return
        if self._next_tx_mono is None:
            self._next_tx_mono = self._now
        if self._now < self._next_tx_mono:
            return
        self._next_tx_mono += PERIOD_S
        if self._next_tx_mono <= self._now:
            self._next_tx_mono = self._now + PERIOD_S
        self._outbox = speak(self._session, view)
        if says_running(self._session) and self._session.start_told_mono is None:
            self._session.start_told_mono = self._now
