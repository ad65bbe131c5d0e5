"""Shares of one connection: fair, the promise first, never more than there is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.scheduler.allot import ALL, Room, Want, allot, beside
from chargerd.scheduler.share import SPLIT_3, split

L1, L2, L3 = (split(1, phase) for phase in (1, 2, 3))


def want(number: int, high: float = 7000.0, **values: object) -> Want:
    base: dict[str, object] = {
        "evse_id": number,
        "split": SPLIT_3,
        "want_high_w": high,
        "able_high_w": 7000.0,
        "able_low_w": -7000.0,
    }
    return Want(**(base | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wants", "room_w", "expected"),
    [
        ((want(1), want(2)), 20_000.0, [7000.0, 7000.0]),
        ((want(1), want(2)), 10_000.0, [5000.0, 5000.0]),
        ((want(1, 1000.0), want(2)), 8000.0, [1000.0, 7000.0]),
        ((want(1, 1000.0), want(2)), 10_000.0, [3000.0, 7000.0]),  # the rest, too
        ((want(1, 0.0), want(2), want(3)), 9000.0, [0.0, 4500.0, 4500.0]),
        (
            (want(1), want(2, forced=True, slack_s=-5.0), want(3)),
            10_000.0,
            [1500.0, 7000.0, 1500.0],
        ),
        (
            (
                want(1, forced=True, slack_s=-1.0),
                want(2, forced=True, slack_s=-60.0),
            ),
            9000.0,
            [4500.0, 4500.0],  # what each may count on comes before the worse slack
        ),
        (
            (
                want(1, 1000.0, forced=True, slack_s=-1.0),
                want(2, forced=True, slack_s=-60.0),
            ),
            9000.0,
            [2000.0, 7000.0],
        ),
        ((want(1), want(2)), -500.0, [0.0, 0.0]),
        ((want(1, able_high_w=0.0), want(2)), 9000.0, [0.0, 7000.0]),
    ],
)
def test_charge_shares(
    wants: tuple[Want, ...], room_w: float, expected: list[float]
) -> None:
    shares = allot(wants, Room(room_w, 0.0))
    assert [shares[w.evse_id].high_w for w in wants] == pytest.approx(expected)


def test_what_may_be_counted_on_is_nobody_s_wish() -> None:
    """A promise rests on it: it must not move with what the others want now."""
    calm = allot((want(1, 0.0), want(2, 0.0)), Room(9000.0, 0.0))
    busy = allot((want(1, forced=True), want(2, 0.0)), Room(9000.0, 0.0))
    for shares in (calm, busy):
        assert [shares[i].sure_w for i in (1, 2)] == pytest.approx([4500.0, 4500.0])
    alone = allot((want(1), want(2, able_high_w=0.0)), Room(9000.0, 0.0))
    assert alone[1].sure_w == pytest.approx(7000.0)


def test_a_full_phase_stops_only_those_on_it() -> None:
    wants = (want(1, split=L1), want(2, split=L1), want(3, split=L2))
    room = Room(30_000.0, 0.0, (5000.0, 8000.0, 8000.0), (0.0, 0.0, 0.0))
    shares = allot(wants, room)
    assert [shares[i].high_w for i in (1, 2, 3)] == pytest.approx(
        [2500.0, 2500.0, 7000.0]
    )


def test_three_phases_are_bound_by_the_fullest() -> None:
    room = Room(30_000.0, 0.0, (1000.0, 8000.0, 8000.0), (0.0, 0.0, 0.0))
    assert allot((want(1),), room)[1].high_w == pytest.approx(3000.0)


def test_export_is_never_scaled_by_phases_of_import() -> None:
    """6 kW of export stay 6 kW for one-phase and for three-phase EVSEs."""
    for phases in (L1, SPLIT_3):
        one = want(1, split=phases, want_low_w=-7000.0)
        assert allot((one,), Room(1000.0, 6000.0))[1].low_w == pytest.approx(-6000.0)


def test_the_others_way_down_is_counted() -> None:
    room = Room(30_000.0, 0.0, (6000.0,) * 3, (6000.0,) * 3)
    share = beside(ALL, room, L1, [(4000.0, 1000.0, L1), (5000.0, 5000.0, L2)])
    assert share.high_w == pytest.approx(2000.0)
    assert share.low_w == pytest.approx(-6000.0)
    share = beside(ALL, room, L1, [(-4000.0, -1000.0, L1), (-5000.0, -5000.0, L2)])
    assert (share.low_w, share.high_w) == pytest.approx((-2000.0, 6000.0))
    third = beside(ALL, room, SPLIT_3, [(4000.0, 1000.0, L1)])
    assert third.high_w == pytest.approx(6000.0)  # a third of it on the full phase
    known = replace(ALL, low_w=-10.0, high_w=10.0)
    assert beside(known, room, L1, []) == known  # never wider
    assert beside(ALL, Room(1.0, 1.0), L1, []) == ALL  # no fuse


@pytest.mark.parametrize(
    ("lows", "ables", "expected"),
    [
        ((-7000.0, -7000.0), (-7000.0, -7000.0), [-3000.0, -3000.0]),
        ((-7000.0, 0.0), (-7000.0, -7000.0), [-6000.0, 0.0]),
        ((-1000.0, 0.0), (-7000.0, -7000.0), [-3500.0, -2500.0]),  # the rest, too
        ((-7000.0, -7000.0), (-500.0, -7000.0), [-500.0, -5500.0]),
        ((0.0, 0.0), (-500.0, 0.0), [-500.0, 0.0]),
    ],
)
def test_discharge_shares(
    lows: tuple[float, ...], ables: tuple[float, ...], expected: list[float]
) -> None:
    wants = [
        want(n, want_low_w=low, able_low_w=able)
        for n, (low, able) in enumerate(zip(lows, ables, strict=True))
    ]
    shares = allot(tuple(wants), Room(0.0, 6000.0))
    assert [shares[w.evse_id].low_w for w in wants] == pytest.approx(expected)
    assert {shares[w.evse_id].high_w for w in wants} == {0.0}


watts = st.floats(0.0, 22_000.0)


@st.composite
def many(draw: st.DrawFn) -> tuple[Want, ...]:
    count = draw(st.integers(1, 8))
    return tuple(
        Want(
            number,
            draw(st.sampled_from([L1, L2, L3, SPLIT_3])),
            -draw(watts),
            draw(watts),
            -draw(watts),
            draw(watts),
            draw(st.booleans()),
            draw(st.floats(-1e4, 1e5)),
        )
        for number in range(count)
    )


rooms = st.builds(
    Room,
    st.floats(-5000.0, 60_000.0),
    st.floats(-5000.0, 60_000.0),
    st.just(()) | st.tuples(watts, watts, watts),
    st.just(()) | st.tuples(watts, watts, watts),
)


@settings(max_examples=150, deadline=None)
@given(many(), rooms)
def test_the_sum_of_the_shares_fits(wants: tuple[Want, ...], room: Room) -> None:
    shares = allot(wants, room)
    slack = 0.05 * len(wants)
    assert sum(s.high_w for s in shares.values()) <= max(0.0, room.charge_w) + slack
    assert -sum(s.low_w for s in shares.values()) <= max(0.0, room.discharge_w) + slack
    for phase, fuse_w in enumerate(room.phase_charge_w):
        load = sum(shares[w.evse_id].high_w * w.split[phase] for w in wants)
        assert load <= fuse_w + slack
    for phase, fuse_w in enumerate(room.phase_discharge_w):
        load = -sum(shares[w.evse_id].low_w * w.split[phase] for w in wants)
        assert load <= fuse_w + slack
    for w in wants:
        share = shares[w.evse_id]
        assert w.able_low_w - slack <= share.low_w <= 0.0 <= share.high_w
        assert share.high_w <= w.able_high_w + slack


@settings(max_examples=100, deadline=None)
@given(many(), watts)
def test_equals_get_equal_shares(wants: tuple[Want, ...], room_w: float) -> None:
    """Of two that want more than they get, neither has more than the other."""
    calm = tuple(Want(w.evse_id, SPLIT_3, 0.0, 9000.0, 0.0, 9000.0) for w in wants)
    highs = [s.high_w for s in allot(calm, Room(room_w, 0.0)).values()]
    assert max(highs) - min(highs) < 0.1
