"""From prices and outlook to a problem, and from a solution to the plan's envelope."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from chargerd.clock import Now
from chargerd.config import Tariff
from chargerd.config_plan import SitePlan
from chargerd.model import Promise
from chargerd.plan import Plan, PlanPart, PricePart, PriceSeries, wish_w
from chargerd.scheduler import tariff
from chargerd.scheduler.planner import horizon, rule, shape, when
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.outlook import Outlook, SiteOutlook

NOW = 1000.0
HOUR = 3600.0
PRICES = PriceSeries(
    "test",
    (
        PricePart(NOW, 0.3, 0.2),
        PricePart(NOW + 1.6 * HOUR, 0.1),
        PricePart(NOW + 4 * HOUR, 0.5, 0.4, 100.0),
    ),
    NOW + 6 * HOUR,
    "JPY",
)
EVSE = Outlook(
    1,
    20_000.0,
    40_000.0,
    8_000.0,
    6_000.0,
    -6_000.0,
    0.9,
    0.0,
    Promise(NOW + 5 * HOUR + 100.0, 60.0),
)
SITE = SiteOutlook((EVSE,), 10_000.0, 5_000.0, 700.0)
WEAR = SitePlan(wear_per_kwh=0.02)


def make(site: SiteOutlook = SITE, settings: SitePlan = WEAR) -> horizon.Horizon:
    found = horizon.make(site, PRICES, settings, NOW)
    assert found is not None
    return found


def test_no_step_crosses_a_price_or_a_departure() -> None:
    found = make()
    edges = found.edges_mono
    assert {NOW + 1.6 * HOUR, NOW + 4 * HOUR, NOW + 5 * HOUR + 100.0} <= set(edges)
    assert edges[1] - edges[0] == 60.0
    assert max(b - a for a, b in pairwise(edges)) <= 330.0
    assert found.problem.packs[0].steps == len(found.problem.steps)
    total_h = sum(step.hours for step in found.problem.steps)
    assert total_h == pytest.approx(5 + 100 / HOUR)


def test_the_grid_grows_coarse() -> None:
    edges = horizon.grid(0.0, 2 * horizon.DAY_S, [])
    assert len(edges) - 1 == 30 + 282 + 96
    assert len(edges) - 1 <= p.STEPS_MAX


@pytest.mark.parametrize("step_s", [300.0, 247.0])
def test_the_finest_prices_are_a_question_that_is_taken(step_s: float) -> None:
    """Five-minute prices of two days are one step more than 600."""
    began = NOW - 100.0
    parts = tuple(PricePart(began + n * step_s, 0.1 + n % 7) for n in range(512))
    prices = PriceSeries("x", parts, began + 512 * step_s)
    leaves = replace(EVSE, promise=Promise(NOW + 48 * HOUR, 60.0))
    found = horizon.make(replace(SITE, evses=(leaves,)), prices, WEAR, NOW)
    assert found is not None
    assert len(found.problem.steps) > 600
    assert p.read_problem(asdict(found.problem)) == found.problem


def test_steps_lie_on_the_clock() -> None:
    """So the next question's steps are those of the last one."""
    first = horizon.grid(7.0, 2 * HOUR, [4000.0], zero_mono=4000.0)
    again = horizon.grid(307.0, 2 * HOUR, [4000.0], zero_mono=4000.0)
    assert first[1] == 40.0
    assert set(again[1:]) - set(first) <= {1840.0 + 60.0 * n for n in range(6)}
    widths = [b - a for a, b in pairwise(first)]
    assert min(widths) >= horizon.LEAST_STEP_S


def test_many_packs_get_coarser_steps() -> None:
    counts = []
    for many in (10, 50, 64):
        leaves = [NOW + (5.0 + 20.0 * n / many) * HOUR for n in range(many)]
        evses = tuple(
            replace(EVSE, evse_id=n + 1, promise=Promise(at, 60.0))
            for n, at in enumerate(leaves)
        )
        found = make(replace(SITE, evses=evses))
        cells = sum(pack.steps for pack in found.problem.packs)
        assert cells <= horizon.CELLS_MAX
        for pack, at in zip(found.problem.packs, leaves, strict=True):
            assert found.edges_mono[pack.steps] <= at + 1.0  # never later than it goes
        counts.append(len(found.problem.steps))
    assert counts == sorted(counts, reverse=True)


def test_prices_and_carbon_reach_the_steps() -> None:
    steps = make(settings=SitePlan(co2_per_kg=2.0)).problem.steps
    assert (steps[0].buy, steps[0].sell) == (0.3, 0.2)
    assert steps[-1].buy == pytest.approx(0.5 + 0.2)
    assert steps[-1].sell == pytest.approx(0.4 + 0.2)
    assert steps[0].house_kw == 0.7


def test_beyond_the_series_the_day_before_counts_then_the_mean() -> None:
    assert horizon.price_at(PRICES, NOW + horizon.DAY_S + HOUR).buy_per_kwh == 0.3
    mean = (1.6 * 0.3 + 2.4 * 0.1 + 2 * 0.5) / 6
    beyond = horizon.price_at(PRICES, NOW + 7 * HOUR)
    assert beyond.buy_per_kwh == pytest.approx(mean)
    assert beyond.co2_g_per_kwh == pytest.approx(2 * 100.0 / 6)  # not clean: unknown


def test_without_a_price_of_wear_nothing_is_taken_out() -> None:
    assert make().problem.packs[0].discharge_kw == 6.0
    assert make(settings=SitePlan()).problem.packs[0].discharge_kw == 0.0


@pytest.mark.parametrize("rate", [0.95, 0.98, 0.7])
def test_the_plan_counts_with_the_rate_that_the_promise_counts_with(
    rate: float,
) -> None:
    found = make(replace(SITE, evses=(replace(EVSE, rate=rate),)))
    assert found.problem.packs[0].rate == pytest.approx(rate / 1.02)


def test_nobody_with_a_departure_is_no_problem() -> None:
    free = replace(SITE, evses=(replace(EVSE, promise=None),))
    assert horizon.make(free, PRICES, WEAR, NOW) is None


def test_the_plan_follows_the_solution_and_ends_in_two_hours() -> None:
    found = make()
    (plan,) = shape.plans(found, rule.solve(found.problem), 0.0, "JPY", NOW)
    assert plan.valid_until_mono == NOW + shape.PLAN_MAX_AGE_S
    before, cheap = plan.at(NOW), plan.at(NOW + 1.7 * HOUR)
    assert before is not None
    assert cheap is not None
    assert (before.wish_w, cheap.wish_w) == (0.0, 6000.0)
    assert plan.at(NOW - 1.0) is None
    assert plan.at(NOW + shape.PLAN_MAX_AGE_S) is None
    assert plan.parts[-1].end_wh == pytest.approx(24_000.0)
    assert plan.energy_wh(NOW) == pytest.approx(20_000.0)
    later = plan.energy_wh(NOW + 1.6 * HOUR + 600.0)
    assert later == pytest.approx(20_900.0, abs=1.0)


def test_the_corridor_rises_to_the_target() -> None:
    found = make()
    (plan,) = shape.plans(found, rule.solve(found.problem), 0.0, "", NOW)
    lows = [part.low_wh for part in plan.parts]
    assert lows == sorted(lows)
    assert lows[-1] == pytest.approx(24_000.0)
    assert lows[0] >= 8_000.0
    assert all(part.high_wh == 40_000.0 for part in plan.parts)
    assert all((part.low_w, part.high_w) == (-6000.0, 6000.0) for part in plan.parts)


def test_a_reserve_narrows_the_corridors_of_power_and_energy() -> None:
    found = make()
    whole = ((0, len(found.problem.steps)),)
    sold = (p.Reserve("fcr", 4.0, 1.0, 0.5, whole),)
    found = replace(found, problem=replace(found.problem, reserves=sold))
    (plan,) = shape.plans(found, rule.solve(found.problem), 0.0, "", NOW)
    part = plan.parts[0]
    assert (part.up_w, part.down_w) == (4000.0, 1000.0)
    assert (part.low_w, part.high_w) == (-2000.0, 5000.0)
    assert part.low_wh == pytest.approx(8_000.0 + 4000.0 * 0.5 / 0.9)
    assert part.high_wh == pytest.approx(40_000.0 - 1000.0 * 0.5 * 0.9)


def test_a_trickle_becomes_a_block() -> None:
    found = make()
    steps = found.problem.steps
    trickle = [0.5 if step.buy == 0.1 else 0.0 for step in steps]
    trace = p.roll(found.problem.packs[0], steps, trickle)
    solution = p.Solution("highs", (trace,), 0.0)
    (plan,) = shape.plans(found, solution, 1000.0, "", NOW)
    powers = [(part.start_mono, part.wish_w) for part in plan.parts]
    begin = NOW + 1.6 * HOUR
    assert powers[1] == (begin, 1000.0)
    assert powers[2] == (pytest.approx(begin + 1.2 * HOUR), 0.0)
    assert plan.parts[-1].end_wh == pytest.approx(trace.energy_kwh[-1] * 1000.0)


def test_a_trickle_into_the_house_stays_one() -> None:
    found = make(replace(SITE, house_w=-2000.0))
    steps = found.problem.steps
    trickle = [0.5] * len(steps)
    trace = p.roll(found.problem.packs[0], steps, trickle)
    solution = p.Solution("highs", (trace,), 0.0)
    (plan,) = shape.plans(found, solution, 1000.0, "", NOW)
    assert {part.wish_w for part in plan.parts} == {500.0}


@pytest.mark.parametrize(
    ("wish", "energy_wh", "power"),
    [
        (5000.0, 20_000.0, 5000.0),
        (5000.0, 38_000.0, 0.0),
        (-5000.0, 20_000.0, -5000.0),
        (-5000.0, 15_000.0, 0.0),
        (0.0, 1_000.0, 0.0),
    ],
)
def test_a_wish_stops_at_the_corridor(
    wish: float, energy_wh: float, power: float
) -> None:
    part = PlanPart(NOW, wish, -6000.0, 6000.0, 15_000.0, 38_000.0, 20_000.0)
    assert wish_w(part, energy_wh) == power


def basis(**values: object) -> when.Basis:
    whole = when.Basis(NOW, {1: EVSE}, SITE, 1)
    return replace(whole, **values)  # type: ignore[arg-type]


FLAT = Plan(
    1,
    (PlanPart(NOW, 0.0, -6000.0, 6000.0, 0.0, 40_000.0, 20_000.0),),
    NOW,
    NOW + 7200.0,
    "highs",
    20_000.0,
)


@pytest.mark.parametrize(
    ("last", "evse", "age_s", "why"),
    [
        (None, EVSE, 0.0, "first"),
        (basis(), EVSE, 59.0, ""),
        (basis(), EVSE, 61.0, ""),
        (basis(), EVSE, 301.0, "time"),
        (basis(prices=0), EVSE, 61.0, "prices"),
        (basis(prices=0), EVSE, 59.0, ""),
        (basis(evses={}), EVSE, 61.0, "plug"),
        (basis(evses={}), EVSE, 11.0, "plug"),
        (basis(evses={}), EVSE, 9.0, ""),
        (basis(), replace(EVSE, charge_w=5000.0), 59.0, ""),
        (basis(evses={1: replace(EVSE, session_id="old")}), EVSE, 11.0, "plug"),
        (basis(), replace(EVSE, promise=None), 11.0, "need"),
        (basis(prices=0), replace(EVSE, promise=None), 11.0, "need"),
        (basis(site=replace(SITE, import_w=1.0)), EVSE, 61.0, "limits"),
        (basis(), replace(EVSE, promise=None), 61.0, "need"),
        (basis(), replace(EVSE, promise=Promise(NOW + 9e3, 60.0)), 61.0, "need"),
        (basis(), replace(EVSE, charge_w=5000.0), 61.0, "limits"),
        (basis(), replace(EVSE, discharge_w=0.0), 61.0, "limits"),
        (basis(), replace(EVSE, charge_w=5900.0), 61.0, ""),
        (basis(), replace(EVSE, energy_wh=20_700.0), 61.0, ""),
        (basis(), replace(EVSE, energy_wh=20_900.0), 61.0, "energy"),
    ],
)
def test_when_a_plan_is_due(
    last: when.Basis | None, evse: Outlook, age_s: float, why: str
) -> None:
    site = replace(SITE, evses=(evse,))
    assert when.due(last, {1: FLAT}, site, 1, 300.0, NOW + age_s) == why


def test_nobody_there_needs_no_plan() -> None:
    empty = replace(SITE, evses=())
    assert when.due(None, {}, empty, 1, 300.0, NOW) == ""
    assert when.due(basis(), {}, empty, 1, 300.0, NOW + 999.0) == ""


def test_the_tariff_is_a_series_of_two_days() -> None:
    rows = [
        {"begins": "07:00", "buy_per_kwh": 30, "sell_per_kwh": 8},
        {"begins": "23:00", "buy_per_kwh": 20},
    ]
    config = Tariff.model_validate({"currency": "JPY", "parts": rows})
    zone = ZoneInfo("Asia/Tokyo")
    now = Now(50.0, datetime(2026, 11, 23, 12, 0, tzinfo=UTC))  # 21:00 there
    series = tariff.series(config, zone, now)
    hours = [(part.start_mono - 50.0) / HOUR for part in series.parts]
    assert hours == [0.0, 2.0, 10.0, 26.0, 34.0]
    assert [part.buy_per_kwh for part in series.parts] == [30, 20, 30, 20, 30]
    assert series.until_mono == 50.0 + timedelta(days=2).total_seconds()
