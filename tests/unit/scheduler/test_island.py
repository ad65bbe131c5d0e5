"""自立運転: the order of a blackout, and the interlock that nothing gets around."""

from __future__ import annotations

import random

import pytest

from chargerd.scheduler import island
from chargerd.scheduler.island import Phase, Rules, Seen, State

RULES = Rules(nominal_v=101.0, nominal_hz=50.0, reconnect_s=300.0)
WELL = Seen(101.0, 50.0, relay_open=False)
AWAY = Seen(0.5, None, relay_open=False)
OPEN = Seen(0.5, None, relay_open=True)
BACK = Seen(100.0, 50.1, relay_open=True)


def run(
    state: State,
    seen: Seen,
    seconds: float,
    begin: float,
    rules: Rules = RULES,
    **flags: bool,
) -> tuple[State, float]:
    """20 Hz for so long; returns state and time."""
    mono = begin
    able = flags.pop("able", True)
    for _ in range(round(seconds * 20)):
        mono += 0.05
        state = island.step(state, seen, rules, mono, able=able, **flags)
    return state, mono


def islanded() -> tuple[State, float]:
    state, mono = run(State(), AWAY, 1.5, 100.0)
    state, mono = run(state, OPEN, 3.5, mono)
    assert state.phase is Phase.ISLANDED
    return state, mono


def test_a_blackout_in_order() -> None:
    state, mono = run(State(), WELL, 5.0, 100.0)
    assert (state.phase, state.open_relay, state.form) == (Phase.GRID, False, False)
    state, mono = run(state, AWAY, 0.9, mono)
    assert state.phase is Phase.GRID  # a dip
    state, mono = run(state, AWAY, 10.0, mono)
    assert (state.phase, state.open_relay, state.form) == (Phase.LOST, True, False)
    state, mono = run(state, OPEN, 0.05, mono)
    assert state.phase is Phase.DEAD
    state, mono = run(state, OPEN, 0.05, mono)
    assert (state.phase, state.open_relay, state.form) == (Phase.ISLANDED, True, True)
    state, mono = run(state, BACK, 299.0, mono)
    assert state.form
    state, mono = run(state, BACK, 1.2, mono)
    assert (state.phase, state.open_relay, state.form) == (
        Phase.RETURNING,
        False,
        False,
    )
    state, mono = run(state, BACK, 5.0, mono)
    assert state.phase is Phase.RETURNING  # until the firmware has closed
    state, mono = run(state, WELL, 0.05, mono)
    assert state.phase is Phase.GRID


def test_a_grid_that_falters_is_waited_for_anew() -> None:
    state, mono = islanded()
    state, mono = run(state, BACK, 290.0, mono)
    state, mono = run(state, Seen(80.0, 50.0, relay_open=True), 0.1, mono)
    state, mono = run(state, BACK, 290.0, mono)
    assert state.phase is Phase.ISLANDED


@pytest.mark.parametrize(
    "seen",
    [
        Seen(None, None, relay_open=True),  # a silent meter proves nothing
        Seen(0.5, None, relay_open=None),
        Seen(60.0, 50.0, relay_open=True),  # low, not away
    ],
)
def test_what_is_not_proven_is_no_blackout(seen: Seen) -> None:
    state, _ = run(State(), seen, 60.0, 100.0)
    assert not state.form
    assert state.phase is Phase.GRID


def test_a_line_that_is_not_dead_gets_no_second_source() -> None:
    state, mono = run(State(), AWAY, 1.5, 100.0)
    state, mono = run(state, Seen(30.0, 50.0, relay_open=True), 60.0, mono)
    assert state.phase is Phase.LOST


@pytest.mark.parametrize("relay", [False, None])
def test_the_interlock_ends_an_island_at_once(relay: bool | None) -> None:
    state, mono = islanded()
    state, _ = run(state, Seen(0.5, None, relay_open=relay), 0.05, mono)
    assert not state.form


def test_an_empty_vehicle_ends_it_and_a_fuller_one_begins_again() -> None:
    state, mono = islanded()
    state, mono = run(state, OPEN, 0.05, mono, able=False)
    assert state.phase is Phase.DEAD
    state, mono = run(state, OPEN, 0.05, mono)
    assert state.phase is Phase.ISLANDED


def test_it_begins_when_asked_where_it_may_not_by_itself() -> None:
    rules = Rules(101.0, 50.0, 300.0, automatic=False)
    state, mono = run(State(), AWAY, 1.5, 100.0, rules)
    state, mono = run(state, OPEN, 30.0, mono, rules)
    assert state.phase is Phase.DEAD
    state, _ = run(state, OPEN, 0.05, mono, rules, asked=True)
    assert state.form


@pytest.mark.parametrize("seed", range(30))
def test_no_story_forms_an_island_on_a_closed_relay(seed: int) -> None:
    chance = random.Random(seed)
    state, mono, well_since = State(), 100.0, None
    seen = WELL
    for _ in range(4000):
        mono += 0.05
        if chance.random() < 0.03:
            seen = Seen(
                chance.choice([None, 0.0, 0.5, 40.0, 101.0, 101.0]),
                chance.choice([None, 50.0, 50.0, 47.0]),
                chance.choice([True, True, False, None]),
            )
        well = seen.volts == 101.0 and seen.hertz == 50.0
        well_since = (well_since or mono) if well else None
        before = state
        state = island.step(
            state, seen, RULES, mono, able=chance.random() < 0.9, asked=False
        )
        if state.form:
            assert seen.relay_open is True
        if state.form and not before.form:
            assert seen.volts is not None
            assert seen.volts < 11.0
        if before.open_relay and not state.open_relay:  # back to the grid
            assert well_since is not None
            assert mono - well_since >= RULES.reconnect_s - 1e-6
