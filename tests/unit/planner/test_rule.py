"""The plan without a solver."""

from __future__ import annotations

import pytest

from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner import rule
from tests.unit.planner.problems import pack, problem


@pytest.mark.parametrize(
    ("buys", "values", "wanted"),
    [
        ([0.1, 0.3, 0.2, 0.3], {}, [6.0, 0.0, 5.111, 0.0]),
        ([0.2] * 4, {}, [6.0, 5.111, 0.0, 0.0]),
        ([0.2] * 4, {"import_kw": 4.0}, [4.0, 4.0, 3.111, 0.0]),
        ([0.2] * 4, {"house_kw": 60.0}, [0.0] * 4),
        ([0.3, 0.1, 0.2, 0.3], {"house_kw": 46.0}, [0.0, 4.0, 4.0, 3.111]),
    ],
)
def test_it_takes_the_cheapest_that_fits(
    buys: list[float], values: dict[str, float], wanted: list[float]
) -> None:
    trace = rule.solve(problem(buys, pack(steps=4), **values)).traces[0]
    power = [round(kw, 3) for kw in trace.power_kw]
    assert sum(power) == pytest.approx(sum(wanted), abs=0.01)
    if "house_kw" not in values or values["house_kw"] > 50.0:
        assert power == wanted


def test_who_leaves_first_chooses_first() -> None:
    first, last = pack(evse_id=2, steps=2), pack(evse_id=1, steps=4)
    traces = rule.solve(
        problem([0.1, 0.1, 0.3, 0.3], last, first, import_kw=6.0)
    ).traces
    assert [t.evse_id for t in traces] == [1, 2]
    assert [round(kw, 3) for kw in traces[1].power_kw] == [6.0, 5.111]
    assert sum(traces[0].power_kw[:2]) == pytest.approx(0.889, abs=0.01)


def test_a_sold_reserve_is_kept_where_there_is_room() -> None:
    sold = p.Reserve("fcr", 4.0, 3.0, 0.5, ((0, 2),))
    offered = p.Reserve("afrr", 4.0, 0.0, 0.5, ((0, 2),), 1.0)
    packs = pack(energy=5.0, steps=4), pack(evse_id=2, energy=20.0, steps=4)
    solution = rule.solve(problem([0.1] * 4, *packs, reserves=(sold, offered)))
    first, other = solution.traces
    # Half of 3 kW is what the first does not charge with.
    assert first.power_kw[0] == pytest.approx(4.5)
    assert first.up_kw[0] == pytest.approx(4.0)
    assert other.up_kw == pytest.approx([0.0] * 4)
    downs = [a + b for a, b in zip(first.down_kw, other.down_kw, strict=True)]
    assert downs == pytest.approx([3.0, 3.0, 0.0, 0.0])
    assert solution.shares == ((1.0,), (0.0,))


def test_enough_is_nothing() -> None:
    assert not any(rule.solve(problem([0.1] * 6, pack(energy=30.0))).traces[0].power_kw)
