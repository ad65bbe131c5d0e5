"""What a session's steps remember, and the two moves all of them share.

Owns the shape of a session's state; `session.py` says when it changes. `energise`
follows the phase, never the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from chargerd.clock import Now
from chargerd.evse import authorize, outcome
from chargerd.evse.outcome import Outcome, Progress
from chargerd.model import (
    AuthQuestion,
    FaultNotice,
    Request,
    Session,
    SessionPhase,
    StopReason,
    Token,
    VehicleState,
)
from firmware_bridge.api import PilotReading

Event = AuthQuestion | FaultNotice | Outcome
RUNNING = authorize.RUNNING


@dataclass(frozen=True, slots=True)
class Settings:
    """Times of a session in seconds."""

    authorise_timeout_s: float = 120.0  # plug-in without a token: tell, keep waiting
    question_timeout_s: float = 45.0  # nobody answered: the token may be shown again
    connect_timeout_s: float = 60.0  # token first, then the plug (EVConnectionTimeOut)
    stop_timeout_s: float = 20.0  # an orderly stop takes no longer
    suspend_after_s: float = 2.0
    unlock_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one tick knows. `stop` is set while a fault forbids a session."""

    pilot: PilotReading | None
    vehicle: VehicleState
    counted_wh: tuple[float, float] | None = None  # `Snapshot.counted_wh`
    requests: tuple[Request, ...] = ()
    stop: StopReason | None = None
    faults: tuple[str, ...] = ()
    decided_w: float = 0.0
    vehicle_holds: bool = False  # the last decision was bounded by the vehicle
    current_a: float = 0.0  # DC current measured, signed


@dataclass(frozen=True, slots=True)
class Question:
    """A token somebody was asked about."""

    token: Token
    at_mono: float
    remote_start_id: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """The contract that the vehicle shows, and why it was refused; "" = it was not."""

    emaid: str = field(default="", repr=False)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """A session and what its steps must remember. Start with `fresh(evse_id)`."""

    session: Session
    energise: bool = False
    operative: bool = True
    operative_wanted: bool = True
    question: Question | None = None
    shown: Shown = Shown()
    hold_until_mono: float = 0.0  # an accepted token waits for the plug until then
    keep_s: float | None = None  # a session outlives a pulled plug by so much
    away: bool = False  # IDLE, but its vehicle may come back
    # Refused while charging: a cable in our socket stays locked until this card comes.
    held_for: Token | None = None
    phase_mono: float = 0.0
    quiet_mono: float | None = None
    seen_vehicle: bool = False  # the vehicle's protocol has started in this session
    gone: bool = False  # unplugged in the last step
    timed_out: bool = False  # AuthorizationTimeout was raised
    registers_wh: tuple[float, float] | None = None
    unlock_until_mono: float = 0.0
    progress: Progress = field(default_factory=Progress)


def fresh(evse_id: int, *, connector_id: int = 1, operative: bool = True) -> State:
    """The state after a start: nothing is known, nothing is energised."""
    session = Session(evse_id, connector_id)
    return State(session, operative=operative, operative_wanted=operative)


def enter(state: State, phase: SessionPhase, now: Now) -> State:
    """Change the phase; `energise` follows it, never the other way round."""
    session = replace(state.session, phase=phase)
    energise = phase in RUNNING
    return replace(
        state,
        session=session,
        energise=energise,
        phase_mono=now.mono,
        quiet_mono=None,
        unlock_until_mono=0.0 if energise else state.unlock_until_mono,
    )


def finish(state: State, now: Now, events: list[Event]) -> State:
    if state.timed_out:  # nobody waits for a card any more
        events.append(FaultNotice(state.session.evse_id, "AuthorizationTimeout", False))
        state = replace(state, timed_out=False)
    state = enter(state, SessionPhase.FINISHED, now)
    events.append(outcome.conclude(state.progress, state.session, now))
    return state
