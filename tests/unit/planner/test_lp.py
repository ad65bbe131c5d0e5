"""The linear programme: what it buys, sells, keeps, and what it gives up first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner import rule
from tests.unit.planner.problems import pack, problem

lp = pytest.importorskip("chargerd.scheduler.planner.solver", reason="needs highspy")

UP = [0.1, 0.3, 0.3, 0.3, 0.2, 0.3]


def power(question: p.Problem, index: int = 0) -> list[float]:
    trace = lp.solve(question).traces[index]
    return [round(kw, 3) for kw in trace.power_kw]


def test_it_charges_where_it_is_cheapest() -> None:
    # 10 kWh into the battery are 11.11 kWh from the grid: 6 at 0.1, the rest at 0.2.
    assert power(problem(UP)) == [6.0, 0.0, 0.0, 0.0, 5.111, 0.0]


@pytest.mark.parametrize(
    ("wear", "sells_it"),
    [(0.0, True), (0.10, True), (0.25, False)],
)
def test_it_sells_only_what_earns_more_than_losses_and_wear(
    wear: float, sells_it: bool
) -> None:
    # Bought at 0.1, sold at 0.35: 0.35 * 0.9 - 0.1 / 0.9 = 0.204 a kWh in the battery.
    one = pack(energy=20.0, wear=wear)
    buys = [0.1, 0.4, 0.4, 0.4, 0.4, 0.4]
    sells = [0.0, 0.35, 0.0, 0.0, 0.0, 0.0]
    sold = min(power(problem(buys, one, sells=sells))) < -1.0
    assert sold is sells_it


def test_several_share_the_connection() -> None:
    question = problem(UP, pack(), pack(evse_id=2), import_kw=6.0)
    traces = lp.solve(question).traces
    for one, other in zip(traces[0].power_kw, traces[1].power_kw, strict=True):
        assert one + other <= 6.0 + 1e-6
    assert all(t.energy_kwh[-1] == pytest.approx(20.0) for t in traces)


def test_a_demand_charge_flattens() -> None:
    flat = power(problem([0.2] * 6, demand_per_kw=1.0))
    assert max(flat) == pytest.approx(11.111 / 6, abs=0.01)


def test_a_peak_that_is_paid_already_costs_nothing() -> None:
    paid = power(problem([0.2] * 6, demand_per_kw=1.0, peak_kw=6.0))
    assert paid[:2] == [6.0, 5.111]


def test_it_tapers_above_the_knee() -> None:
    one = pack(energy=36.0, target=40.0)
    trace = lp.solve(problem([0.2] * 6, one)).traces[0]
    before = 36.0
    for kw, level in zip(trace.power_kw, trace.energy_kwh, strict=True):
        assert kw <= 6.0 * (40.0 - level) / 8.0 + 1e-6
        assert level >= before
        before = level


def test_what_is_out_of_reach_is_filled_as_far_as_it_goes() -> None:
    trace = lp.solve(problem(UP, pack(target=40.0, knee=40.0, steps=2))).traces[0]
    assert list(trace.power_kw) == [6.0, 6.0]


def reserve(
    up: float, down: float, hold_h: float, price: float | None = None
) -> tuple[p.Reserve, ...]:
    return (p.Reserve("fcr", up, down, hold_h, ((0, 6),), price),)


def test_departure_comes_before_the_sites_cap_and_that_before_reserve() -> None:
    one = pack(energy=30.0, target=20.0)
    kept = reserve(6.0, 0.0, 0.0)
    # House and cap leave 1 kW too much: feeding it in would break the reserve.
    question = problem([0.2] * 6, one, house_kw=3.0, import_kw=2.0, reserves=kept)
    assert power(question)[0] == pytest.approx(-1.0)
    # ... but the departure's energy is dearer still.
    one = pack(energy=30.0, target=30.0 + 6 * 5.4, capacity=80.0, ceiling=80.0, knee=80)
    question = problem([0.2] * 6, one, house_kw=3.0, import_kw=2.0, reserves=kept)
    assert min(power(question)) == pytest.approx(6.0)


def test_a_sold_reserve_keeps_power_and_energy_free() -> None:
    one = pack(energy=10.0, target=10.0)
    sells = [0.0, 0.9, 0.9, 0.0, 0.0, 0.0]
    question = problem(
        [0.1] + [0.95] * 5, one, sells=sells, reserves=reserve(5.0, 2.0, 0.5)
    )
    solution = lp.solve(question)
    trace = solution.traces[0]
    for kw, level in zip(trace.power_kw, trace.energy_kwh, strict=True):
        assert -6.0 + 5.0 - 1e-6 <= kw <= 6.0 - 2.0 + 1e-6
        assert level >= 4.0 + 5.0 * 0.5 / 0.9 - 1e-6
    assert trace.up_kw == pytest.approx([5.0] * 6)
    assert solution.shares == (pytest.approx((1.0,)),)


def test_a_reserve_that_is_only_offered_is_given_up_for_more_money() -> None:
    sells = [0.0, 0.9, 0.0, 0.0, 0.0, 0.0]
    for price, kept in ((0.001, False), (5.0, True)):
        one = pack(energy=20.0, target=10.0)
        buys = [0.95, 0.95, 0.1, 0.1, 0.1, 0.1]
        offer = reserve(6.0, 0.0, 0.1, price)
        question = problem(buys, one, sells=sells, reserves=offer)
        solution = lp.solve(question)
        assert (solution.traces[0].power_kw[1] < -0.1) is not kept
        assert (solution.shares[0][0] > 0.9) is kept
        # What it earns is in the cost.
        earned = 6.0 * 6.0 * price * solution.shares[0][0]
        money = p.cost(question, solution.traces) - earned
        assert solution.cost == pytest.approx(money)


def test_an_offer_is_the_same_in_the_whole_block() -> None:
    # 1.8 kWh above the floor carry 1.62 kW for an hour at first: no more is offered.
    one = pack(energy=5.8, target=4.0, charge_kw=0.0)
    solution = lp.solve(problem([0.2] * 6, one, reserves=reserve(6.0, 0.0, 1.0, 1.0)))
    assert solution.shares[0][0] == pytest.approx(1.62 / 6.0)
    assert solution.traces[0].up_kw == pytest.approx([1.62] * 6)


def test_several_keep_one_reserve_together_and_inside_the_connection() -> None:
    packs = pack(energy=20.0), pack(evse_id=2, energy=20.0, steps=3)
    question = problem([0.2] * 6, *packs, reserves=reserve(10.0, 0.0, 0.5))
    solution = lp.solve(question)
    both = [sum(t.up_kw[i] for t in solution.traces) for i in range(3)]
    assert both == pytest.approx([10.0] * 3)
    narrow = replace(question, export_kw=7.0)
    traces = lp.solve(narrow).traces
    for i in range(3):
        assert sum(t.up_kw[i] - t.power_kw[i] for t in traces) <= 7.0 + 1e-6


def test_a_reserve_never_reaches_below_the_must_charge_line() -> None:
    one = pack(energy=16.0, target=20.0, rate=0.7)
    solution = lp.solve(problem([0.2] * 6, one, reserves=reserve(6.0, 0.0, 1.0)))
    question = problem([0.2] * 6, one)
    line = p.lowest(question, one)
    trace = solution.traces[0]
    for up, level, low in zip(trace.up_kw, trace.energy_kwh, line, strict=True):
        assert level - up * 1.0 / 0.9 >= low - 1e-6


def test_the_next_question_begins_where_the_last_one_ended() -> None:
    buys = [0.1 + 0.05 * ((7 * n) % 5) for n in range(48)]
    one = pack(steps=48, energy=8.0, target=30.0, wear=0.01)
    first = problem(buys, one, sells=[b - 0.02 for b in buys])
    warm = lp.Solver()
    warm.solve(first)
    moved = replace(
        first,
        steps=first.steps[1:],
        packs=(replace(one, steps=47, energy=9.0),),
        start_s=3600.0,
    )
    cold, again = lp.solve(moved), warm.solve(moved)
    assert again.cost == pytest.approx(cold.cost)
    assert again.iterations < 0.3 * cold.iterations
    others = replace(moved, packs=(replace(pack(steps=30), evse_id=2),))
    assert warm.solve(others).cost == pytest.approx(lp.solve(others).cost)


def test_a_rising_hazard_fills_sooner() -> None:
    dear_first = [0.3, 0.3, 0.3, 0.3, 0.1, 0.1]
    late = power(problem(dear_first))
    soon = power(problem(dear_first, pack(hazard_per_h=0.2, shortfall=3.0)))
    assert sum(late[:2]) == 0.0
    assert sum(soon[:2]) > 5.0


def test_standing_full_costs_when_ageing_has_a_price() -> None:
    cheap_first = [0.10, 0.11, 0.11, 0.11, 0.11, 0.11]
    one = pack(energy=30.0, target=36.0, knee=40.0, calendar=0.1, calendar_from=32.0)
    assert power(problem(cheap_first, one))[0] < 3.0


def test_paid_to_import_it_does_not_go_round_in_a_circle() -> None:
    one = pack(energy=38.0, target=38.0, knee=40.0, steps=1)
    trace = lp.solve(problem([-0.5], one)).traces[0]
    assert trace.power_kw[0] == pytest.approx(2.0 / 0.9, abs=0.01)
    assert trace.energy_kwh[0] <= 40.0


def test_below_the_floor_it_charges_first() -> None:
    one = pack(energy=1.0, target=4.0)
    assert power(problem([0.9, 0.1, 0.1, 0.1, 0.1, 0.1], one))[0] == pytest.approx(
        3.333, abs=0.01
    )


@settings(max_examples=25, deadline=None)
@given(
    buys=st.lists(st.floats(-0.1, 1.0), min_size=6, max_size=6),
    energy=st.floats(0.0, 40.0),
    target=st.floats(0.0, 60.0),
    house_kw=st.floats(-20.0, 20.0),
    import_kw=st.floats(0.0, 20.0),
)
def test_never_infeasible_and_never_dearer_than_the_rule(
    buys: list[float],
    energy: float,
    target: float,
    house_kw: float,
    import_kw: float,
) -> None:
    one = pack(energy=energy, target=target)
    question = problem(buys, one, house_kw=house_kw, import_kw=import_kw)
    best, plain = lp.solve(question), rule.solve(question)
    for trace in (*best.traces, *plain.traces):
        assert all(-6.0 - 1e-6 <= kw <= 6.0 + 1e-6 for kw in trace.power_kw)
    assert all(kw >= 0.0 for kw in plain.traces[0].power_kw)
    fits = house_kw + max(plain.traces[0].power_kw) <= import_kw
    met = plain.traces[0].energy_kwh[-1] >= min(target, 30.0)
    if fits and house_kw >= 0.0 and met and energy >= one.floor and target <= 30.0:
        assert best.cost <= plain.cost + 0.02  # soon rather than late costs a little


def test_it_does_not_plan_below_the_must_charge_line() -> None:
    late = [0.5, 0.5, 0.4, 0.4, 0.1, 0.1]
    sells = [0.0, 0.0, 0.39, 0.39, 0.0, 0.0]
    for rate, least in ((1.0, 9.0), (0.7, 12.0)):
        question = problem(late, pack(energy=16.0, rate=rate), sells=sells)
        trace = lp.solve(question).traces[0]
        line = p.lowest(question, question.packs[0])
        pairs = zip(trace.energy_kwh, line, strict=True)
        assert all(level >= low - 1e-6 for level, low in pairs)
        assert trace.energy_kwh[3] == pytest.approx(max(line[3], least), abs=0.5)
        assert trace.energy_kwh[-1] == pytest.approx(20.0)


def test_behind_the_line_it_is_still_solved() -> None:
    one = pack(energy=5.0, target=38.0, steps=3, rate=0.9, knee=40.0)
    assert power(problem([0.5, 0.4, 0.1], one)) == [6.0, 6.0, 6.0]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    moves=st.lists(
        st.tuples(st.integers(1, 5), st.booleans(), st.floats(2.0, 38.0)),
        min_size=1,
        max_size=4,
    ),
)
def test_where_it_begins_changes_nothing_but_the_time(
    seed: int, moves: list[tuple[int, bool, float]]
) -> None:
    """Time goes on, a vehicle comes or goes, its energy is another: the same money as
    from nothing."""
    buys = [0.1 + ((seed * (n + 3)) % 17) / 40.0 for n in range(30)]
    warm, gone = lp.Solver(), 0
    for hours, both, energy in moves:
        left = min(gone + hours, 20)
        gone = left
        packs = [pack(steps=8, energy=energy, wear=0.01)]
        if both:
            packs.append(pack(evse_id=2, steps=5, energy=40.0 - energy))
        question = problem(
            buys[left:],
            *packs,
            sells=[buy * 0.8 for buy in buys[left:]],
            import_kw=9.0,
            start_s=3600.0 * left,
        )
        assert warm.solve(question).cost == pytest.approx(
            lp.solve(question).cost, abs=0.01
        )
