"""S27, S29: in any order of events, power needs a plug and an accepted token."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.evse import faultset, session
from chargerd.evse.pilot import PLUGGED
from chargerd.faults import FAULTS
from chargerd.model import (
    Authorisation,
    AvailabilityRequest,
    Request,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
    TokenRead,
    VehiclePhase,
    VehicleState,
)
from firmware_bridge.api import PilotReading, PilotState
from tests.unit.scheduler.stand import at

TOKENS = (Token("A"), Token("B"), Token("C", group="G"), Token("D", group="G"))
tokens = st.sampled_from(TOKENS)
requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(TokenRead, st.just((1,)), tokens),
    st.builds(Authorisation, st.just(1), tokens, st.booleans()),
    st.builds(StartRequest, st.just(1), tokens, st.none(), st.booleans()),
    st.just(StopRequest(1, StopReason.REMOTE)),
    st.builds(AvailabilityRequest, st.just(1), st.booleans()),
)
ticks = st.tuples(
    st.sampled_from(list(PilotState)),
    st.sampled_from(list(VehiclePhase)),
    st.lists(requests, max_size=3),
    st.sampled_from([None, None, None, StopReason.GROUND_FAULT]),
    st.sampled_from([0.05, 0.05, 1.0, 30.0]),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ticks, max_size=40))
def test_invariants_in_any_order(
    steps: list[
        tuple[PilotState, VehiclePhase, list[Request], StopReason | None, float, bool]
    ],
) -> None:
    state, now, accepted = session.fresh(1), 0.0, False
    registers = 0.0
    for pilot_state, phase, asked, stop, dt_s, closed in steps:
        now += dt_s
        registers += dt_s
        before = state
        accepted = accepted or any(
            (isinstance(r, Authorisation) and r.accepted)
            or (isinstance(r, StartRequest) and r.authorised)
            for r in asked
        )
        inputs = session.Inputs(
            PilotReading(pilot_state, ac_closed=closed),
            VehicleState("chademo", phase),
            (registers, registers),
            tuple(asked),
            stop,
        )
        state, _ = session.step(state, inputs, at(now))
        held = state.session
        if state.energise:
            assert accepted
            assert held.authorised
            assert held.token is not None
            assert held.phase in session.RUNNING
            assert stop is None
            assert pilot_state is not PilotState.A
        if pilot_state in PLUGGED:
            assert held.phase is not SessionPhase.IDLE
        assert (held.id == "") == (held.phase is SessionPhase.IDLE)
        if held.id and held.id == before.session.id:
            assert held.energy_in_wh >= before.session.energy_in_wh
        elif held.id:
            assert held.energy_in_wh == 0.0
        if held.phase is SessionPhase.FINISHED:
            assert held.stop_reason is not None


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(sorted(FAULTS))), st.floats(0, 100)),
        max_size=12,
    )
)
def test_a_present_cause_is_always_an_active_fault(
    steps: list[tuple[set[str], float]],
) -> None:
    faults, now = faultset.EMPTY, 0.0
    for names, dt_s in steps:
        now += dt_s
        faults = faultset.step(faults, dict.fromkeys(names, ""), 1, at(now))
        assert names <= set(faults.names)
        assert len(faults.names) == len(set(faults.names))
        rows = [FAULTS[name] for name in faults.names]
        assert faults.stops_power == any(row.stops_power for row in rows)
        assert (faults.ends_session is not None) == any(r.ends_session for r in rows)
    gone = now + 1000.0
    for mono in (gone, gone + 1000.0):
        faults = faultset.step(faults, {}, 1, at(mono), unplugged=True, reset=True)
    assert not faults.active
