"""Hostile CEMs: whatever comes is answered once, refused or bounded."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.s2_instructions import MOST, MOST_PARTS
from chargerd.scheduler.signals import check
from tests.security.anything import JSON
from tests.unit.grid.s2_stand import FRBC, PEBC, Stand
from tests.unit.grid.stand import at


def bounded(stand: Stand) -> None:
    for signal in stand.tick():
        check(signal)
        assert signal.valid_until_mono <= stand.mono + 2.0 * 86_400.0 + 900.0
        for segment in signal.segments:
            assert abs(segment.setpoint_w or 0.0) <= 6000.0


@given(st.text(max_size=50) | JSON.map(json.dumps))
def test_any_text_is_answered_once(text: str) -> None:
    stand = Stand()
    stand.up()
    stand.manager.receive(text, stand.now)
    (answer,) = stand.said()
    assert answer["status"] in ("INVALID_DATA", "INVALID_MESSAGE")
    assert sum(stand.manager.status()["refused"].values()) == 1


@given(st.sampled_from(sorted(Stand().frbc("charge", 1.0))), JSON)
def test_any_value_anywhere_in_an_instruction(key: str, value: Any) -> None:
    stand = Stand()
    stand.up()
    stand.tell("FRBC.Instruction", **{**stand.frbc("charge", 1.0), key: value})
    bounded(stand)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e9),
            st.floats(-1e9, 1e9) | st.just(float("inf")),
            st.floats(-1e9, 1e9),
        ),
        max_size=4,
    )
)
def test_any_envelope(elements: list[tuple[float, float, float]]) -> None:
    stand = Stand()
    stand.up(PEBC)
    stand.tell("PEBC.Instruction", **stand.pebc(*elements))
    bounded(stand)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-900, 5000)), max_size=8))
def test_no_instruction_outlives_its_hold(asked: list[tuple[float, float]]) -> None:
    """Whatever was asked: `hold_s` after the last one's time there is nothing."""
    stand = Stand(hold_s=100)
    stand.up()
    for factor, in_s in asked:
        stand.tell("FRBC.Instruction", **stand.frbc("charge", factor, in_s))
    bounded(stand)
    for _ in range(60):
        stand.tick(100.0)
    assert len(stand.manager.instructions) == 0
    assert stand.tick() == []


def test_a_flood_of_instructions_is_bounded() -> None:
    stand = Stand()
    stand.up()
    for n in range(3 * MOST):
        stand.tell("FRBC.Instruction", **stand.frbc("charge", 0.5, in_s=100.0 + n))
    assert len(stand.manager.instructions) == MOST
    assert stand.manager.status()["refused"] == {"flood": 2 * MOST}


def test_parts_are_bounded_over_all_instructions() -> None:
    stand = Stand()
    stand.up(PEBC)
    said = []
    for n in range(3):
        later = at(stand.mono + 60.0 * (n + 1)).utc.isoformat()
        fields = stand.pebc(*([(1.0, 1.0, 2.0)] * 150), execution_time=later)
        said += stand.statuses(stand.tell("PEBC.Instruction", **fields))
    assert said == ["OK", "ACCEPTED", "OK", "ACCEPTED", "TEMPORARY_ERROR"]
    assert stand.manager.instructions.parts <= MOST_PARTS


def test_more_values_than_any_message_has_are_not_even_read() -> None:
    stand = Stand()
    stand.up(PEBC)
    stand.tell("PEBC.Instruction", **stand.pebc(*[(1.0, 1.0, 2.0)] * 400))
    assert stand.manager.status()["refused"] == {"size": 1}


def test_nesting_and_numbers_that_are_none() -> None:
    stand = Stand()
    for text in ("[" * 100_000, '{"a": 1e999}', '{"a": NaN}', "", "9" * 5000):
        stand.manager.receive(text, stand.now)
    assert sum(stand.manager.status()["refused"].values()) == 5
    # A CEM made of s2-python 0.11.1 leaves at the second answer to nobody.
    assert len(stand.said()) == 1


def test_contradictory_the_last_word_counts() -> None:
    stand = Stand()
    stand.up(FRBC)
    for factor in (1.0, 0.5):
        stand.tell("FRBC.Instruction", **stand.frbc("charge", factor))
    assert stand.asked() == {"s2.set": [(0.0, 3000.0)]}
