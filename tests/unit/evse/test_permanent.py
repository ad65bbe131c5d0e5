"""When a pack that stays asks to be started."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.evse import permanent, session
from chargerd.evse.session import Question, State
from chargerd.model import SessionPhase, StopReason, Token, VehicleState
from tests.unit.scheduler.stand import at

OTHER = Question(Token("04AABB"), 0.0)


def state(
    phase: SessionPhase, why: StopReason | None = None, **values: object
) -> State:
    held = replace(session.fresh(1).session, phase=phase, stop_reason=why)
    return replace(session.fresh(1), session=held, phase_mono=1000.0, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after_s", "asks"),
    [
        (state(SessionPhase.IDLE), 500.0, False),
        (state(SessionPhase.CONNECTED), 0.0, True),
        (state(SessionPhase.CONNECTED, question=OTHER), 0.0, False),
        (state(SessionPhase.ENERGY), 500.0, False),
        (state(SessionPhase.STOPPING, StopReason.OTHER), 500.0, False),
        (state(SessionPhase.FINISHED, StopReason.OTHER), 59.0, False),
        (state(SessionPhase.FINISHED, StopReason.OTHER), 61.0, True),
        (state(SessionPhase.FINISHED, StopReason.GROUND_FAULT), 61.0, True),
        (state(SessionPhase.FINISHED, StopReason.STOPPED_BY_EV), 61.0, True),
        (state(SessionPhase.FINISHED, StopReason.LOCAL), 61.0, False),
        (state(SessionPhase.FINISHED, StopReason.REMOTE), 9e9, False),
        (state(SessionPhase.FINISHED, StopReason.DEAUTHORIZED), 61.0, False),
    ],
)
def test_it_asks_when_due(before: State, after_s: float, asks: bool) -> None:
    assert bool(permanent.start(before, at(after_s))) is asks


def test_it_is_started_with_no_card_and_may_discharge() -> None:
    before = state(SessionPhase.CONNECTED)
    wants = permanent.start(before, at(0.0))
    inputs = session.Inputs(None, VehicleState(), requests=wants)
    after, events = session.step(before, inputs, at(0.0))
    assert events == ()
    assert after.energise
    assert after.session.token == permanent.TOKEN
    assert after.session.discharge_authorised


def test_a_fault_that_is_there_keeps_it_from_starting() -> None:
    before = state(SessionPhase.CONNECTED)
    wants = permanent.start(before, at(0.0))
    inputs = session.Inputs(None, VehicleState(), requests=wants, stop=StopReason.OTHER)
    after, _ = session.step(before, inputs, at(0.0))
    assert not after.energise
