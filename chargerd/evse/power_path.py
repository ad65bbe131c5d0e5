"""The power path of a session that runs: started, suspended, stopped, counted.

Pure steps over `session_state.State`. Energy is what the meter's registers say.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.clock import Now
from chargerd.evse import pilot
from chargerd.evse.session_state import Event, Inputs, Settings, State, enter, finish
from chargerd.model import SessionPhase, StopReason, VehiclePhase

Phase = SessionPhase
VEHICLE_OVER = (VehiclePhase.STOPPING, VehiclePhase.ENDED, VehiclePhase.FAULT)
_VEHICLE_IDLE = (
    VehiclePhase.NONE,
    VehiclePhase.PAUSED,
    VehiclePhase.ENDED,
    VehiclePhase.FAULT,
)
_FLOWING_W = 50.0


def run(state: State, inputs: Inputs, now: Now, settings: Settings) -> State:
    """Follow the power path while authorised."""
    vehicle = inputs.vehicle.phase
    if inputs.stop is not None:
        return enter(_with_reason(state, inputs.stop), Phase.STOPPING, now)
    if vehicle in VEHICLE_OVER and state.seen_vehicle:
        fault = vehicle is VehiclePhase.FAULT
        reason = StopReason.OTHER if fault else StopReason.STOPPED_BY_EV
        return enter(_with_reason(state, reason), Phase.STOPPING, now)
    begun = vehicle not in (*VEHICLE_OVER, VehiclePhase.NONE)
    if begun and not state.seen_vehicle:  # the end of the last one is not a begin
        state = replace(state, seen_vehicle=True)
    wanted = _wanted_phase(inputs, state.session.phase)
    if wanted is state.session.phase:
        return state if state.quiet_mono is None else replace(state, quiet_mono=None)
    suspends = wanted in (Phase.SUSPENDED_EV, Phase.SUSPENDED_EVSE)
    if suspends and _path_closed(inputs):
        if state.quiet_mono is None:
            return replace(state, quiet_mono=now.mono)
        if now.mono - state.quiet_mono < settings.suspend_after_s:
            return state
    return enter(state, wanted, now)


def _with_reason(state: State, reason: StopReason) -> State:
    return replace(state, session=replace(state.session, stop_reason=reason))


def _path_closed(inputs: Inputs) -> bool:
    if inputs.vehicle.phase is not VehiclePhase.NONE:
        return inputs.vehicle.phase is VehiclePhase.ENERGY
    reading = inputs.pilot
    return bool(reading and reading.ac_closed and reading.pilot_state in pilot.READY)


def _wanted_phase(inputs: Inputs, phase: SessionPhase) -> SessionPhase:
    if not _path_closed(inputs):
        return Phase.STARTING if phase is Phase.STARTING else Phase.SUSPENDED_EV
    if abs(inputs.decided_w) >= _FLOWING_W:
        return Phase.ENERGY
    if phase is Phase.STARTING:
        return Phase.ENERGY
    return Phase.SUSPENDED_EV if inputs.vehicle_holds else Phase.SUSPENDED_EVSE


def stopping(
    state: State, inputs: Inputs, now: Now, settings: Settings, events: list[Event]
) -> State:
    """FINISHED when the vehicle's protocol is over, the contactors are open, 0 A."""
    reading = inputs.pilot
    closed = bool(reading and (reading.dc_closed or reading.ac_closed))
    own_wish = state.session.stop_reason is StopReason.STOPPED_BY_EV
    if inputs.vehicle.phase is VehiclePhase.PAUSED and own_wish:
        session = replace(state.session, stop_reason=None)
        return enter(replace(state, session=session), Phase.SUSPENDED_EV, now)
    over = inputs.vehicle.phase in _VEHICLE_IDLE or not state.seen_vehicle
    if over and not closed and abs(inputs.current_a) < 1.0:
        return finish(state, now, events)
    if now.mono - state.phase_mono < settings.stop_timeout_s:
        return state
    return finish(state, now, events)


def meter(state: State, inputs: Inputs) -> State:
    """Energy is what the registers counted, never power times time."""
    read, session = inputs.counted_wh, state.session
    if read is None or session.phase in (Phase.IDLE, Phase.FINISHED):
        return state
    if read == state.registers_wh:
        return state
    if state.registers_wh is None:
        return replace(state, registers_wh=read)
    in_wh = read[0] - state.registers_wh[0]
    out_wh = read[1] - state.registers_wh[1]
    session = replace(
        session,
        energy_in_wh=max(0.0, session.energy_in_wh + in_wh),
        energy_out_wh=max(0.0, session.energy_out_wh + out_wh),
    )
    return replace(state, session=session, registers_wh=read)
