"""Which duty the pilot shows: 5 % for talking, nominal for basic charging, or a step.

Owns the coordination of ISO 15118-3 clause 6 and IEC 61851-1: talking first, then (AC
only) basic charging, the steps between them, and waking a sleeping vehicle. A connector
without an AC outlet never gets a nominal duty. Pure; power is decided elsewhere.

Rules [V2G3-M06-..], [V2G2-..] as EcoG-io/pyslac `enums.py` @51ed0d6 quotes them; the
wake-up is IEC 61851-1 A.5.3 as EVerest does it (pull request 478).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from chargerd.evse.pilot import PLUGGED, READY
from chargerd.model import DataLink, VehiclePhase, VehicleState
from firmware_bridge.api import PilotState

_SILENT = (
    VehiclePhase.NONE,
    VehiclePhase.ENDED,
    VehiclePhase.PAUSED,
    VehiclePhase.FAULT,
)
_WELL = (VehiclePhase.ENDED, VehiclePhase.PAUSED)
# Names in chargerd.faults: we and the vehicle did not understand each other.
_MISUNDERSTOOD = frozenset({"V2gFault", "VehicleTimeout"})


class Show(Enum):
    """What the pilot shows."""

    STEADY = "x1"  # +12 V: no offer
    STATE_F = "f"
    DIGITAL = "5 %"
    NOMINAL = "nominal"  # the duty that the decided current asks for


class Stage(Enum):
    AWAY = "away"  # no vehicle
    DIGITAL = "digital"  # 5 %: waiting for the vehicle to talk, or talking
    STEP_EF = "step_ef"  # state F: begin anew, or wake up
    STEP_X1 = "step_x1"  # no PWM: the duty is going to change
    BASIC = "basic"  # nominal duty
    REST = "rest"  # the session is over; no PWM until somebody wants more


_STEP = (Stage.STEP_EF, Stage.STEP_X1)


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one connector. Times in s."""

    enabled: bool = False  # there is a door for ISO 15118
    modem: bool = False  # a SLAC unit tells of the link; else it is there by itself
    basic: bool = True  # an AC outlet: nominal duty is possible
    nominal: bool = False  # AC: nominal duty once authorised, also while talking
    start_s: float = 10.0  # TP_EV_SLAC_init: by then a vehicle that can talk begins
    init_s: float = 40.0  # TT_EVSE_SLAC_init, 20 to 50
    match_s: float = 30.0  # the longest that a match under way is waited for
    setup_s: float = 20.0  # V2G_SECC_CommunicationSetup: link to session
    step_ef_s: float = 4.0  # T_step_EF, at least 4
    step_x1_s: float = 3.0  # IEC 61851-1 sequence 9.2, at least 3
    retries: int = 2  # C_sequ_retry
    wake_s: float = 30.0  # B in spite of an offer so long: once state F; 0 = never


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one tick knows. `offered`: a nominal duty is on the pilot now. `held`: a
    fault or ChangeAvailability has the pilot; the story waits."""

    now_mono: float
    pilot: PilotState
    authorised: bool
    link: DataLink = DataLink.ABSENT
    phase: VehiclePhase = VehiclePhase.NONE
    offered: bool = False
    held: bool = False

    @property
    def talking(self) -> bool:
        return self.phase not in _SILENT


@dataclass(frozen=True, slots=True)
class State:
    """A plug-in's memory; `State()` when the vehicle has gone."""

    stage: Stage = Stage.AWAY
    since_mono: float = 0.0
    then: Stage = Stage.DIGITAL  # after a step
    tries: int = 0  # failed ones
    talked: bool = False  # in this stage
    flowed: bool = False  # energy, in this plug-in's last talk
    linked_mono: float | None = None
    asked: bool = False  # authorised in the last tick: a new wish is an edge
    opened: bool = False  # REST: B was seen, so a C is the vehicle's own wish
    waiting_mono: float | None = None  # BASIC: offered, and still in B
    answered: bool = False  # BASIC: it was in C during this offer
    woken: bool = False


def show(state: State) -> Show:
    """The pilot of a stage."""
    return {
        Stage.DIGITAL: Show.DIGITAL,
        Stage.STEP_EF: Show.STATE_F,
        Stage.BASIC: Show.NOMINAL,
    }.get(state.stage, Show.STEADY)


def step(state: State, inputs: Inputs, settings: Settings) -> State:
    """One tick. E, F and an unread pilot say nothing about the plug."""
    if inputs.pilot is PilotState.A:
        return State()
    if inputs.held:
        return state
    if state.stage is Stage.AWAY:
        if inputs.pilot not in PLUGGED:
            return state
        first = Stage.DIGITAL if settings.enabled else Stage.BASIC
        return State(first, inputs.now_mono, asked=inputs.authorised)
    stepped = _STEPS[state.stage](state, inputs, settings)
    return replace(stepped, asked=inputs.authorised)


def heard(state: State, vehicle: VehicleState) -> VehicleState:
    """The vehicle as the rest of the heart is to see it.

    A talk that failed before energy flowed is tried again, at last by basic charging:
    until then it is as if nobody had talked. Its demand stays, to let go in order.
    """
    over = Stage.REST in (state.stage, state.then) or state.stage is Stage.AWAY
    failed = vehicle.phase is VehiclePhase.FAULT and vehicle.faults <= _MISUNDERSTOOD
    if over or state.flowed or not failed:
        return vehicle
    return VehicleState(demand=vehicle.demand, data_link=vehicle.data_link)


def _enter(state: State, stage: Stage, now_mono: float) -> State:
    return replace(
        state,
        stage=stage,
        since_mono=now_mono,
        then=state.then if stage in _STEP else Stage.DIGITAL,
        talked=False,
        linked_mono=None,
        opened=False,
        waiting_mono=None,
        answered=False,
    )


def _by_way_of(state: State, way: Stage, then: Stage, now_mono: float) -> State:
    return _enter(replace(state, then=then), way, now_mono)


def _digital(state: State, inputs: Inputs, settings: Settings) -> State:
    now_mono = inputs.now_mono
    if inputs.talking:
        if settings.nominal and settings.basic and inputs.authorised:
            return _by_way_of(state, Stage.STEP_X1, Stage.BASIC, now_mono)
        flows = inputs.phase is VehiclePhase.ENERGY
        began = not state.talked
        return replace(state, talked=True, flowed=flows or (state.flowed and not began))
    if state.talked:
        if inputs.phase in _WELL:
            return _enter(state, Stage.REST, now_mono)
        return _failed(state, Stage.STEP_X1, settings, now_mono)  # [V2G3-M06-06]
    if not settings.modem or inputs.link is DataLink.READY:
        since = now_mono if state.linked_mono is None else state.linked_mono
        last = not settings.modem  # a wire that is always there proves nothing
        if now_mono - since < settings.setup_s or (last and not settings.basic):
            return replace(state, linked_mono=since)
        if last:
            state = replace(state, tries=settings.retries)
        return _failed(state, Stage.STEP_X1, settings, now_mono)
    return _unmatched(replace(state, linked_mono=None), inputs, settings)


def _unmatched(state: State, inputs: Inputs, settings: Settings) -> State:
    """No link yet: how long is one waited for?"""
    now_mono = inputs.now_mono
    waited_s = now_mono - state.since_mono
    patience_s = settings.init_s
    if inputs.link is DataLink.MATCHING:
        patience_s += settings.match_s
    elif settings.basic and inputs.authorised and waited_s >= settings.start_s:
        # [V2G3-M06-08]: paid for, and no match under way: basic charging.
        return _by_way_of(state, Stage.STEP_EF, Stage.BASIC, now_mono)
    if waited_s < patience_s:
        return state
    if not settings.basic and state.tries >= settings.retries:
        return state  # DC: nothing else is possible; it may still wake up
    return _failed(state, Stage.STEP_EF, settings, now_mono)  # [V2G3-M06-07]


def _failed(state: State, way: Stage, settings: Settings, now_mono: float) -> State:
    """Once more; after the last try basic charging, where there is any."""
    state = replace(state, tries=state.tries + 1)
    if state.tries <= settings.retries:
        return _by_way_of(state, way, Stage.DIGITAL, now_mono)
    last = Stage.BASIC if settings.basic else Stage.REST
    return _by_way_of(state, way, last, now_mono)


def _step_over(state: State, inputs: Inputs, settings: Settings) -> State:
    is_ef = state.stage is Stage.STEP_EF
    lasts_s = settings.step_ef_s if is_ef else settings.step_x1_s
    if inputs.now_mono - state.since_mono < lasts_s:
        return state
    return _enter(state, state.then, inputs.now_mono)


def _basic(state: State, inputs: Inputs, settings: Settings) -> State:
    """A vehicle that begins to talk at nominal duty may: the duty stays."""
    now_mono = inputs.now_mono
    if not inputs.offered:
        return replace(state, waiting_mono=None, answered=False)
    if inputs.pilot in READY:
        return replace(state, waiting_mono=None, answered=True)
    if state.answered or state.woken or not settings.wake_s:
        return state
    since = now_mono if state.waiting_mono is None else state.waiting_mono
    if now_mono - since < settings.wake_s:
        return replace(state, waiting_mono=since)
    woken = replace(state, woken=True)
    return _by_way_of(woken, Stage.STEP_EF, Stage.BASIC, now_mono)


def _rest(state: State, inputs: Inputs, settings: Settings) -> State:
    """On a new authorisation, or when the vehicle itself goes from B to C, or talks."""
    rested = inputs.now_mono - state.since_mono >= settings.step_x1_s
    asked = inputs.authorised and not state.asked
    woke = state.opened and rested and inputs.pilot in READY
    if asked or woke or inputs.talking:
        return _enter(replace(state, tries=0), Stage.DIGITAL, inputs.now_mono)
    return replace(state, opened=state.opened or inputs.pilot is PilotState.B)


_STEPS = {
    Stage.DIGITAL: _digital,
    Stage.STEP_EF: _step_over,
    Stage.STEP_X1: _step_over,
    Stage.BASIC: _basic,
    Stage.REST: _rest,
}
