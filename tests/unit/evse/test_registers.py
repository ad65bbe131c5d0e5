"""Registers that leap count no energy: not in a session, a month, a bill, a limit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.evse import registers
from chargerd.evse.registers import State, step
from firmware_bridge.api import MeterReading, Reading
from tests.unit.scheduler.stand import Stand

RATED_W = 6000.0


def read(state: State, mono: float, import_wh: float, export_wh: float = 0.0) -> State:
    value = MeterReading(0.0, import_wh, export_wh)
    return step(state, Reading(value, mono), RATED_W)


def begun() -> State:
    return read(State(), 10.0, 500_000.0, 2_000.0)


@pytest.mark.parametrize(
    ("import_wh", "export_wh", "after_s", "leaps"),
    [
        (500_001.0, 2_000.0, 1.0, False),
        (501_000.0, 2_000.0, 0.3, False),  # the next whole kWh
        (500_000.0, 2_000.0, 3600.0, False),
        (506_000.0, 2_000.0, 3600.0, False),  # silent for an hour, at full power
        (499_999.5, 2_000.0, 1.0, False),  # rounding
        (502_000.0, 2_000.0, 1.0, True),  # it reads more, and not by much
        (540_000.0, 2_000.0, 1.0, True),  # the old bound let this pass
        (540_000.0, 2_000.0, 3600.0, True),
        (500_000.0, 40_000.0, 1.0, True),
        (0.0, 0.0, 1.0, True),  # reset
        (9e6, 2_000.5, 1.0, True),
    ],
)
def test_what_could_not_have_flowed_leaps(
    import_wh: float, export_wh: float, after_s: float, leaps: bool
) -> None:
    state = read(begun(), 10.0 + after_s, import_wh, export_wh)
    assert bool(state.note) is leaps
    moved = (import_wh - 500_000.0, export_wh - 2_000.0)
    assert state.leapt_wh == (moved if leaps else (0.0, 0.0))
    assert state.counted_wh == (
        (500_000.0, 2_000.0) if leaps else (import_wh, export_wh)
    )


def test_a_leap_says_what_the_technician_needs_and_once() -> None:
    state = read(begun(), 11.0, 540_000.0, 1_000.0)
    assert state.note == "import +40000 Wh, export -1000 Wh in 1.0 s"
    again = step(state, Reading(MeterReading(0.0, 540_000.0, 1_000.0), 11.0), RATED_W)
    assert again.note == ""
    assert again.counted_wh == state.counted_wh


def test_one_wrong_reading_leaves_no_trace() -> None:
    state = read(read(begun(), 11.0, 0.0, 0.0), 12.0, 500_003.0, 2_000.0)
    assert state.counted_wh == pytest.approx((500_003.0, 2_000.0), abs=3.0)


def test_the_first_reading_is_where_counting_begins() -> None:
    assert read(State(), 1.0, 9e6).leapt_wh == (0.0, 0.0)
    assert step(State(), None, RATED_W) == State()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_reading(wrong: float) -> None:
    assert read(begun(), 11.0, wrong, 2_000.0) == begun()


@pytest.mark.parametrize("kept", [None, [], [1.0], ["a", 2.0], [float("nan"), 0.0], {}])
def test_what_was_kept_badly_is_nothing(kept: Any) -> None:
    assert registers.read(kept) == State()


@given(
    st.lists(
        st.tuples(
            st.floats(0.05, 600.0),
            st.floats(0.0, 1e7),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_never_more_than_the_rating_could_deliver(
    steps: list[tuple[float, float, bool]],
) -> None:
    """Law: whatever a register says."""
    states, mono, last = [begun()], 10.0, 500_000.0
    for span_s, wh, leaps in steps:
        mono += span_s
        last = wh if leaps else last + wh % (RATED_W * span_s / 3600.0)
        states.append(read(states[-1], mono, last, 2_000.0))
    for before, after in pairwise(states):
        assert before.counted_wh is not None
        assert after.counted_wh is not None
        moved_wh = after.counted_wh[0] - before.counted_wh[0]
        span_s = after.at_mono - before.at_mono
        assert -1.01 <= moved_wh <= RATED_W * 1.5 * span_s / 3600.0 + 1000.01


@pytest.mark.parametrize("more_wh", [40_000.0, -900.0])
def test_a_meter_replaced_in_a_session(more_wh: float) -> None:
    """In the heart: energy goes on where it was, people are told, power flows on; and
    what was kept is known after a restart."""
    stand = Stand()
    stand.start()
    stand.setpoint(-3000.0)
    stand.run(5.0)
    before = stand.report().snapshot
    stand.bridge.import_wh[1] += more_wh
    stand.bridge.export_wh[1] += 40_000.0
    stand.run(5.0)
    after = stand.report().snapshot
    assert after.session.energy_in_wh == pytest.approx(before.session.energy_in_wh)
    moved_wh = after.session.energy_out_wh - before.session.energy_out_wh
    assert moved_wh == pytest.approx(3000.0 * 5.0 / 3600.0, rel=0.1)
    assert stand.months[-1].discharged_wh < 50.0
    assert [f.name for f in after.faults] == ["MeterLeap"]
    assert "export +40" in after.faults[0].info
    assert stand.decision().power_w == pytest.approx(-3000.0, rel=0.05)
    leapt = stand.kept["leapt"]["1"]
    assert leapt == pytest.approx([more_wh, 40_000.0], abs=1.0)
    again = Stand(kept=stand.kept)
    again.run(0.1)
    assert list(again.report().snapshot.leapt_wh) == leapt
