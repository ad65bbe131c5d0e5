"""One connector from plug-in to plug-out: `step(state, inputs, now)`.

Owns authorisation (one place, S27), the phases of model.SessionPhase, and whether the
vehicle may be energised. Plug detection is the pilot (IEC 61851-1 B, C, D) or CHAdeMO
pin 7. Must never leave `energise` true without an accepted token and a plugged vehicle.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.clock import Now
from chargerd.evse import authorize, outcome, pilot, power_path
from chargerd.evse.outcome import Progress
from chargerd.evse.session_state import (
    RUNNING,
    Event,
    Inputs,
    Question,
    Settings,
    Shown,
    State,
    enter,
    finish,
    fresh,
)
from chargerd.model import (
    Authorisation,
    AuthQuestion,
    AvailabilityRequest,
    DischargePermission,
    FaultNotice,
    KeepRequest,
    PromiseRequest,
    Request,
    ResumeRequest,
    Session,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
    TokenRead,
    UnlockRequest,
    VehiclePhase,
)
from chargerd.model import Promise as PromiseWish
from firmware_bridge.api import PilotReading, PilotState

__all__ = [  # of session_state.py; what is defined here needs no list
    "RUNNING",
    "Event",
    "Inputs",
    "Question",
    "Settings",
    "Shown",
    "State",
    "fresh",
]

Phase = SessionPhase
DEFAULTS = Settings()


def plugged(reading: PilotReading | None, before: bool) -> bool:
    """Is a vehicle connected? E, F and '?' say nothing, so what was known stays."""
    if reading is None:
        return before
    if reading.chademo_proximity or reading.pilot_state in pilot.PLUGGED:
        return True
    return before and reading.pilot_state is not PilotState.A


def step(
    state: State, inputs: Inputs, now: Now, settings: Settings = DEFAULTS
) -> tuple[State, tuple[Event, ...]]:
    """One tick. The plug comes first: a late answer never meets the next vehicle."""
    events: list[Event] = []
    state = _plug(state, inputs, now, events)
    for request in inputs.requests:
        state = _request(state, request, inputs, now, settings, events)
    state = _contract(state, inputs, now, events)
    if state.operative != state.operative_wanted and _quiet(state):
        state = replace(state, operative=state.operative_wanted)
    state = _timers(state, now, settings, events)
    if state.session.phase in RUNNING:
        state = power_path.run(state, inputs, now, settings)
    if state.session.phase is Phase.STOPPING:
        state = power_path.stopping(state, inputs, now, settings, events)
    state = power_path.meter(state, inputs)
    if state.session.id:
        progress = outcome.advance(
            state.progress,
            state.session,
            inputs.vehicle.protocol,
            inputs.faults,
            now.mono,
        )
        if progress is not state.progress:
            state = replace(state, progress=progress)
    return state, tuple(events)


def _quiet(state: State) -> bool:
    """Nobody is here, or waited for: not the vehicle of a session, not the plug of a
    driver whose card was accepted (until `hold_until_mono`)."""
    held = state.away or state.session.authorised
    idle = state.session.phase is Phase.IDLE and not held
    return idle or state.session.phase is Phase.FINISHED


def _plug(state: State, inputs: Inputs, now: Now, events: list[Event]) -> State:
    if state.gone:
        state = _cleared(state)
    phase = state.session.phase
    is_plugged = plugged(inputs.pilot, phase is not Phase.IDLE)
    if phase is Phase.IDLE:
        return _connect(state, now, events) if is_plugged else state
    if is_plugged:
        return state
    if phase is Phase.FINISHED:
        return _cleared(state)
    if phase in RUNNING and state.keep_s is not None:
        return _wait_for_return(state, state.keep_s, now)
    reason = state.session.stop_reason or StopReason.EV_DISCONNECTED
    state = replace(state, session=replace(state.session, stop_reason=reason))
    state = finish(state, now, events)
    return replace(state, gone=True, question=None)


def _wait_for_return(state: State, keep_s: float, now: Now) -> State:
    """Unplugged, not over: nothing is energised, the token is held (E10)."""
    state = enter(state, Phase.IDLE, now)
    hold = now.mono + keep_s
    return replace(state, away=True, hold_until_mono=hold, seen_vehicle=False)


def _lost(state: State, reason: StopReason, now: Now, events: list[Event]) -> State:
    """The vehicle that was waited for is given up."""
    session = replace(state.session, stop_reason=reason)
    state = finish(replace(state, session=session), now, events)
    return replace(state, gone=True, away=False, question=None)


def _cleared(state: State) -> State:
    """IDLE again: only availability and settings outlive a session."""
    session = Session(state.session.evse_id, state.session.connector_id)
    return State(
        session,
        operative=state.operative,
        operative_wanted=state.operative_wanted,
        keep_s=state.keep_s,
        held_for=state.held_for,
        unlock_until_mono=state.unlock_until_mono,
    )


def _connect(state: State, now: Now, events: list[Event]) -> State:
    session = replace(state.session, phase=Phase.CONNECTED, stop_reason=None)
    if state.away:
        state = replace(state, session=session, phase_mono=now.mono, away=False)
    else:
        number = _session_id(session.evse_id, now)
        state = replace(
            state,
            session=replace(session, id=number, plugged_utc=now.utc),
            phase_mono=now.mono,
            progress=Progress(plugged_mono=now.mono),
            registers_wh=None,
            timed_out=False,
        )
    if session.authorised and state.operative:
        return enter(state, Phase.STARTING, now)
    return state


def _session_id(evse_id: int, now: Now) -> str:
    """Unique on this station: two plug-ins never share a microsecond and an EVSE."""
    return f"{evse_id}-{now.utc:%Y%m%dT%H%M%S.%f}"


def _request(
    state: State,
    request: Request,
    inputs: Inputs,
    now: Now,
    settings: Settings,
    events: list[Event],
) -> State:
    session = state.session
    match request:
        case TokenRead(token=token):
            return _token(state, token, inputs, now, events)
        case Authorisation():
            return _answer(state, request, inputs, now, settings, events)
        case StartRequest(token=token, remote_start_id=start_id):
            return _start(
                state, request, token, start_id, inputs, now, settings, events
            )
        case StopRequest(reason=reason):
            return _stop(state, reason, now, events)
        case ResumeRequest():
            return _take_up(state, request, inputs, now)
        case KeepRequest(connect_s=keep_s):
            return replace(state, keep_s=keep_s)
        case AvailabilityRequest(operative=operative):
            return replace(state, operative_wanted=operative)
        case UnlockRequest() if session.phase not in (*RUNNING, Phase.STOPPING):
            until_mono = now.mono + settings.unlock_s
            return replace(state, unlock_until_mono=until_mono, held_for=None)
        case DischargePermission(allowed=allowed) if session.authorised:
            return replace(
                state, session=replace(session, discharge_authorised=allowed)
            )
        case PromiseRequest() if session.id:
            return replace(state, session=replace(session, promise=_promise(request)))
    return state


def _promise(request: PromiseRequest) -> PromiseWish | None:
    if request.departure_mono is None:
        return None
    floor = request.floor_soc_pct if request.floor_soc_pct is not None else 0.0
    return PromiseWish(request.departure_mono, request.soc_pct, floor)


def _may_start(state: State, inputs: Inputs) -> bool:
    free = state.session.phase in (Phase.IDLE, Phase.CONNECTED, Phase.FINISHED)
    free = free and not state.away
    free = free and not state.gone  # FINISHED for this tick only: nothing is plugged
    return free and state.operative and state.operative_wanted and inputs.stop is None


def _token(
    state: State, token: Token, inputs: Inputs, now: Now, events: list[Event]
) -> State:
    if authorize.same(state.held_for, token):
        state = replace(state, held_for=None)  # whatever becomes of the card now
    use = authorize.use(state.session, token)
    ends_wait = state.away and authorize.may_stop(state.session, token)
    if use is authorize.Use.STOP or ends_wait:
        return _stop_by(state, token, now, events)
    running = state.session.phase in RUNNING
    if use is authorize.Use.IGNORE or not (running or _may_start(state, inputs)):
        return state
    events.append(AuthQuestion(state.session.evse_id, token))
    return replace(state, question=Question(token, now.mono))


def _contract(state: State, inputs: Inputs, now: Now, events: list[Event]) -> State:
    """Plug & Charge: a contract is a token that the vehicle shows; asked about once."""
    contract = inputs.vehicle.contract
    if contract is None:
        return state if state.shown == Shown() else replace(state, shown=Shown())
    talks = inputs.vehicle.phase not in (*power_path.VEHICLE_OVER, VehiclePhase.PAUSED)
    if contract.emaid == state.shown.emaid or not talks:
        return state
    session = state.session
    again = session.phase is Phase.FINISHED  # then only where the vehicle itself ended
    ended_it = session.stop_reason is StopReason.STOPPED_BY_EV
    wanted = ended_it if again else not session.authorised
    if not wanted or state.question is not None or not _may_start(state, inputs):
        return state
    token = Token(contract.emaid, authorize.CONTRACT_KIND)
    events.append(AuthQuestion(session.evse_id, token, contract))
    question = Question(token, now.mono)
    return replace(state, question=question, shown=Shown(contract.emaid))


def _start(
    state: State,
    request: StartRequest,
    token: Token,
    start_id: int | None,
    inputs: Inputs,
    now: Now,
    settings: Settings,
    events: list[Event],
) -> State:
    if not _may_start(state, inputs):
        return state
    if request.authorised:
        return _accept(state, token, start_id, True, now, _hold_s(request, settings))
    events.append(AuthQuestion(state.session.evse_id, token))
    return replace(state, question=Question(token, now.mono, start_id))


def _answer(
    state: State,
    answer: Authorisation,
    inputs: Inputs,
    now: Now,
    settings: Settings,
    events: list[Event],
) -> State:
    """An answer counts when its question is open, or when it is about our own token."""
    session, question = state.session, state.question
    if question is not None and authorize.same(question.token, answer.token):
        state = replace(state, question=None)
        if session.phase in RUNNING and not authorize.same(session.token, answer.token):
            stops = answer.accepted and authorize.may_stop(session, answer.token)
            return _stop_by(state, answer.token, now, events) if stops else state
        if answer.accepted and _may_start(state, inputs):
            token, start_id = answer.token, question.remote_start_id
            allowed = answer.discharge_allowed
            hold_s = _hold_s(answer, settings)
            return _accept(state, token, start_id, allowed, now, hold_s)
        if not answer.accepted and answer.token.kind == authorize.CONTRACT_KIND:
            return _refuse_contract(state, answer.info or "not accepted")
    if not (session.authorised and authorize.same(session.token, answer.token)):
        return state
    if not answer.accepted:
        return _stop(state, StopReason.DEAUTHORIZED, now, events)
    allowed = answer.discharge_allowed
    known = answer.token if answer.token.group else session.token
    return replace(
        state, session=replace(session, token=known, discharge_authorised=allowed)
    )


def _refuse_contract(state: State, why: str) -> State:
    return replace(state, shown=replace(state.shown, refused=why))


def _hold_s(request: Authorisation | StartRequest, settings: Settings) -> float:
    told = request.connect_s
    return settings.connect_timeout_s if told is None else told


def _accept(
    state: State,
    token: Token,
    start_id: int | None,
    discharge_allowed: bool,
    now: Now,
    hold_s: float,
) -> State:
    """A token is good: start now, or hold it until the vehicle is plugged in."""
    if state.session.phase is Phase.FINISHED:  # a new start without a new plug-in
        operative = state.operative
        state = _connect(_cleared(state), now, [])
        state = replace(state, operative=operative)
    session = replace(
        state.session,
        token=token,
        authorised=True,
        discharge_authorised=discharge_allowed,
        remote_start_id=start_id,
        stop_reason=None,
    )
    state = replace(
        state,
        session=session,
        question=None,
        held_for=None,
        hold_until_mono=now.mono + hold_s,
    )
    if session.phase is Phase.IDLE:
        return state
    return enter(state, Phase.STARTING, now)


def _take_up(state: State, request: ResumeRequest, inputs: Inputs, now: Now) -> State:
    """A session of before the daemon's start goes on, with its own id and energy."""
    session = state.session
    fresh = session.phase in (Phase.IDLE, Phase.CONNECTED) and not session.authorised
    if not fresh or not _may_start(state, inputs):
        return state
    if state.question is not None:
        if not authorize.goes_on(request.token, state.question.token):
            return state
        shown = state.shown if request.token else Shown()  # else it is asked anew
        state = replace(state, question=None, shown=shown)
    session = replace(
        session,
        id=request.session_id,
        plugged_utc=request.plugged_utc or session.plugged_utc,
        token=request.token,
        authorised=request.token is not None,
        discharge_authorised=request.discharge_allowed,
        remote_start_id=request.remote_start_id,
        stop_reason=None,
        energy_in_wh=request.energy_in_wh,
        energy_out_wh=request.energy_out_wh,
    )
    state = replace(state, session=session)
    if session.phase is Phase.IDLE:
        return _wait_for_return(state, request.connect_s, now)
    return enter(state, Phase.STARTING, now) if session.authorised else state


def _stop_by(state: State, token: Token, now: Now, events: list[Event]) -> State:
    state = replace(state, session=replace(state.session, stop_token=token))
    return _stop(state, StopReason.LOCAL, now, events)


def _stop(state: State, reason: StopReason, now: Now, events: list[Event]) -> State:
    """End the session in order; a held token or a waiting vehicle ends at once."""
    phase = state.session.phase
    if state.away:
        return _lost(state, reason, now, events)
    if phase is Phase.IDLE:
        dropped = Session(state.session.evse_id, state.session.connector_id)
        return replace(state, session=dropped, question=None)
    if phase in (Phase.STOPPING, Phase.FINISHED):
        return state
    session = replace(state.session, stop_reason=reason)
    state = replace(state, session=session, question=None)
    if reason is StopReason.DEAUTHORIZED:
        state = replace(state, held_for=session.token)
    if phase is Phase.CONNECTED:
        return finish(state, now, events)
    return enter(state, Phase.STOPPING, now)


def _timers(state: State, now: Now, settings: Settings, events: list[Event]) -> State:
    session, question = state.session, state.question
    if question and now.mono - question.at_mono >= settings.question_timeout_s:
        state = replace(state, question=None)
        if question.token.kind == authorize.CONTRACT_KIND:
            state = _refuse_contract(state, "no answer in time")
    held = session.phase is Phase.IDLE and session.authorised
    if state.away and now.mono >= state.hold_until_mono:
        return _lost(state, StopReason.EV_DISCONNECTED, now, events)
    if held and now.mono >= state.hold_until_mono:
        late = Session(
            session.evse_id, session.connector_id, stop_reason=StopReason.TIMEOUT
        )
        state = replace(state, session=late)
    waits = session.phase is Phase.CONNECTED and not state.timed_out
    if waits and now.mono - state.phase_mono >= settings.authorise_timeout_s:
        events.append(FaultNotice(session.evse_id, "AuthorizationTimeout", True))
        state = replace(state, timed_out=True)
    if state.timed_out and session.authorised:
        events.append(FaultNotice(session.evse_id, "AuthorizationTimeout", False))
        state = replace(state, timed_out=False)
    return state
