"""The plan's shell: when it thinks, and what it does without an answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from functools import partial

import pytest

from chargerd import config
from chargerd.clock import Now
from chargerd.config_plan import SitePlan
from chargerd.model import Priority, PromiseRequest
from chargerd.plan import Plan, PricePart, PriceSeries
from chargerd.scheduler.planner import house, reserve, rule
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.child import Child
from chargerd.scheduler.planner.door import PlanDoor
from chargerd.scheduler.planner.house import House
from chargerd.scheduler.planner.outlook import SiteOutlook
from chargerd.scheduler.planner.prices import Judge
from tests.unit.planner.test_envelope import EVSE, HOUR, NOW, PRICES, SITE
from tests.unit.scheduler.stand import Stand, at


class FakeChild(Child):
    """Answers at once by rule, or not at all."""

    def __init__(self) -> None:
        super().__init__(("never",))
        self.broken = False
        self.asked = 0
        self.up = False

    @property
    def running(self) -> bool:
        return self.up

    async def solve(self, problem: p.Problem, deadline_s: float) -> p.Solution:
        self.asked += 1
        if self.broken:
            raise p.PlannerError("no solver here")
        self.up = True
        return replace(rule.solve(problem), solver="highs")

    async def close(self, patience_s: float = 0.0) -> None:
        self.up = False


class Bench:
    def __init__(self) -> None:
        self.mono = NOW
        self.site = SITE
        self.plans: list[Plan] = []
        self.child = FakeChild()
        self.door = PlanDoor(
            SitePlan(wear_per_kwh=0.02),
            lambda: self.site,
            self.plans.append,
            self.now,
            child=self.child,
        )

    def now(self) -> Now:
        return at(self.mono - 1000.0)

    def look(self, after_s: float = 0.0) -> None:
        self.mono += after_s
        asyncio.run(self.door.look())


def test_no_prices_no_plan_and_no_process() -> None:
    bench = Bench()
    bench.look()
    assert (bench.plans, bench.child.asked) == ([], 0)


def test_it_plans_at_once_then_each_five_minutes() -> None:
    bench = Bench()
    assert bench.door.prices(PRICES)
    bench.look()
    assert [plan.solver for plan in bench.plans] == ["highs"]
    for _ in range(10):
        bench.look(30.0)
    assert len(bench.plans) == 2
    assert bench.door.status()["solved"] == 2


def test_the_process_ends_when_idle() -> None:
    bench = Bench()
    bench.door.prices(PRICES)
    bench.look()
    assert bench.child.running
    bench.look(31.0)
    assert not bench.child.running


def test_no_answer_at_first_is_the_rule_plan() -> None:
    bench = Bench()
    bench.child.broken = True
    bench.door.prices(PRICES)
    bench.look()
    assert [plan.solver for plan in bench.plans] == ["rule"]
    assert all(part.wish_w >= 0.0 for part in bench.plans[0].parts)


def test_no_answer_later_keeps_the_last_plan_unless_something_moved() -> None:
    bench = Bench()
    bench.door.prices(PRICES)
    bench.look()
    bench.child.broken = True
    bench.look(301.0)
    assert len(bench.plans) == 1  # it goes on
    assert bench.door.status()["kept"] == 1
    bench.site = replace(SITE, evses=(replace(EVSE, charge_w=3000.0),))
    bench.look(61.0)
    assert bench.plans[-1].solver == "rule"
    bench.child.broken = False
    bench.look(61.0)
    bench.look(301.0)
    assert bench.plans[-1].solver == "highs"


def test_the_last_plan_is_kept_no_longer_than_two_hours() -> None:
    bench = Bench()
    bench.door.prices(PRICES)
    bench.look()
    bench.child.broken = True
    for _ in range(25):
        bench.look(301.0)
    assert bench.plans[-1].solver == "rule"


def test_a_plan_ends_with_the_wish_that_it_was_made_for() -> None:
    bench = Bench()
    other = replace(EVSE, evse_id=2)
    bench.site = replace(SITE, evses=(EVSE, other))
    bench.door.prices(PRICES)
    bench.look()
    bench.plans.clear()
    for silent in (1, 2):  # one driver takes the wish back, then the other
        evses = tuple(
            replace(evse, promise=None) if evse.evse_id <= silent else evse
            for evse in bench.site.evses
        )
        bench.site = replace(SITE, evses=evses)
        bench.look(30.0)
    ended = [plan for plan in bench.plans if plan.at(bench.mono) is None]
    assert [plan.evse_id for plan in ended] == [1, 2]
    assert bench.door.plans() == ()


def test_prices_told_again_are_no_reason_to_think() -> None:
    """A VTN's are told each few seconds; those without an end, to an end that moves."""
    bench = Bench()
    for second in range(0, 601, 15):
        bench.mono = NOW + second
        late = replace(PRICES.parts[0], start_mono=max(NOW, bench.mono - 0.01))
        until_mono = PRICES.until_mono + second
        parts = (late, *PRICES.parts[1:])
        assert bench.door.prices(replace(PRICES, parts=parts, until_mono=until_mono))
        bench.look()
    assert bench.child.asked == 3  # at first, and on time


@pytest.mark.parametrize(
    "other",
    [
        replace(PRICES, currency="EUR"),
        replace(PRICES, rank=7),
        replace(PRICES, until_mono=PRICES.until_mono - HOUR),
        replace(PRICES, parts=PRICES.parts[:2]),
        replace(PRICES, parts=(replace(PRICES.parts[0], buy_per_kwh=0.31),)),
        replace(
            PRICES,
            parts=(
                PRICES.parts[0],
                replace(PRICES.parts[1], start_mono=NOW + 1.5 * HOUR),
                PRICES.parts[2],
            ),
        ),
    ],
)
def test_prices_that_are_others_are_a_reason(other: PriceSeries) -> None:
    bench = Bench()
    bench.door.prices(PRICES)
    bench.look()
    bench.door.prices(other)
    bench.look(61.0)
    assert bench.child.asked == 2


def test_many_prices_do_not_hold_the_loop() -> None:
    """512 prices took 40 ms to 400 ms of it."""
    bench, loop_thread = Bench(), threading.get_ident()
    seen: list[int] = []

    class Load(House):
        def forecast(self, site: SiteOutlook, now: Now) -> Callable[[float], float]:
            def load_w(mono: float) -> float:
                seen.append(threading.get_ident())
                return 0.0

            return load_w

    bench.door = PlanDoor(
        SitePlan(),
        lambda: SITE,
        bench.plans.append,
        bench.now,
        house=Load(UTC, house.Load(), lambda kept: None),
        child=bench.child,
    )
    bench.door.prices(PRICES)
    bench.look()
    assert seen
    assert loop_thread not in seen


def test_higher_rank_wins_and_dead_prices_are_dropped() -> None:
    bench = Bench()
    best = replace(PRICES, source="b", rank=1, until_mono=NOW + HOUR, currency="EUR")
    bench.door.prices(PRICES)
    bench.door.prices(best)
    bench.look()
    bench.look(HOUR + 301.0)
    assert [plan.currency for plan in bench.plans] == ["EUR", "JPY"]


def test_a_series_of_nothing_is_refused_and_so_is_a_flood_of_sources() -> None:
    door = Bench().door
    assert not door.prices(replace(PRICES, parts=()))
    took = [door.prices(replace(PRICES, source=f"s{n}")) for n in range(20)]
    assert took.count(True) == 16


@pytest.mark.process
def test_from_the_tariff_to_the_wire_through_a_real_process() -> None:
    pytest.importorskip("highspy")
    tariff = {
        "currency": "JPY",
        "parts": [
            {"begins": "07:00", "buy_per_kwh": 35, "sell_per_kwh": 16},
            {"begins": "23:00", "buy_per_kwh": 20, "sell_per_kwh": 8},
        ],
    }
    values = {"import_w": 20_000, "export_permit": "TEST", "tariff": tariff}
    s = Stand(site=config.Site.model_validate(values))  # 17:00 in Tokyo
    s.start()
    s.cycle.request(PromiseRequest(1, s.mono + 12 * HOUR, 80.0))
    s.run(1.0)
    assert s.decision().power_w > 0.0  # no plan yet: at once
    door = PlanDoor(
        SitePlan(),
        s.cycle.outlook,
        s.cycle.plan,
        s.now,
        tariff=s.cycle.prices,
    )

    async def story() -> None:
        try:
            await door.look()
        finally:
            await door._child.close()

    asyncio.run(story())
    (plan,) = door.plans()
    assert plan.solver == "highs"
    cheap = [part for part in plan.parts if part.note.startswith("20 in")]
    assert sum(part.wish_w > 0.0 for part in cheap) >= 1
    s.run(65.0)
    assert s.decision().source == "plan.highs"
    assert s.decision().power_w == 0.0  # waits for 23:00


def test_the_price_in_force_is_that_of_the_highest_rank_alive() -> None:
    bench = Bench()
    assert bench.door.price(bench.now()) is None
    now_mono = bench.now().mono
    low = PriceSeries("a", (PricePart(now_mono, 10.0), PricePart(now_mono + 60, 20.0)),
                      now_mono + 600)  # fmt: skip
    high = PriceSeries("b", (PricePart(now_mono, 30.0),), now_mono + 30, rank=1)
    found = []
    for series in (low, high):
        assert bench.door.prices(series)
    for _ in range(3):
        price = bench.door.price(bench.now())
        found.append(price.buy_per_kwh if price else None)
        bench.mono += 40.0
    assert found == [30.0, 10.0, 20.0]
    bench.mono += 600.0
    assert bench.door.price(bench.now()) is None


def test_from_a_sold_reserve_in_the_configuration_to_a_setpoint_held_back() -> None:
    row = {"name": "peak", "up_w": 6000, "hold_s": 900}
    tariff = {"currency": "JPY", "parts": [{"begins": "00:00", "buy_per_kwh": 30}]}
    values = {"import_w": 20_000, "export_w": 20_000, "export_permit": "TEST",
              "tariff": tariff, "plan": {"reserve": [row]}}  # fmt: skip
    s = Stand(site=config.Site.model_validate(values))
    s.start()
    s.cycle.request(PromiseRequest(1, s.mono + 12 * HOUR, 70.0))
    s.run(1.0)
    windows = partial(reserve.windows, config.Site.model_validate(values), s.cycle.zone)
    child = FakeChild()
    door = PlanDoor(SitePlan(), s.cycle.outlook, s.cycle.plan, s.now,
                    tariff=s.cycle.prices, reserves=windows, child=child)  # fmt: skip
    asyncio.run(door.look())
    s.setpoint(-5000.0)
    s.run(6.0)
    # 7.4 kW can be fed: 6 kW of them are sold.
    assert s.decision().power_w == pytest.approx(-1400.0, abs=5.0)
    assert any(reason.source == "reserve" for reason in s.decision().reasons)
    found = s.report().flexibility
    assert found is not None
    assert found.reserve_up_w == pytest.approx(6000.0)
    s.setpoint(-7000.0, priority=Priority.RESERVE, source="ocpp.afrr")
    s.run(6.0)
    assert s.decision().power_w == pytest.approx(-7000.0, abs=5.0)  # it is for this
    assert door.status()["reserves"][0]["up_w"] == pytest.approx(6000.0)


def test_it_plans_with_judged_prices_and_tells_the_raw_ones() -> None:
    judged = replace(
        PRICES,
        parts=tuple(replace(p, buy_per_kwh=p.buy_per_kwh + 1.0) for p in PRICES.parts),
    )

    class Sure(Judge):
        def estimate(self, series: PriceSeries, now: Now) -> PriceSeries:
            return judged

    bench = Bench()
    judge = Sure(UTC, None, lambda kept: None)
    bench.door = PlanDoor(
        SitePlan(wear_per_kwh=0.02),
        lambda: SITE,
        bench.plans.append,
        bench.now,
        child=bench.child,
        judge=judge,
    )
    bench.door.prices(PRICES)
    bench.look()
    first = PRICES.parts[0].buy_per_kwh
    assert bench.plans[0].parts[0].note.startswith(f"{first + 1.0:.4g} in")
    told = bench.door.price(bench.now())
    assert told is not None
    assert told.buy_per_kwh == first
    assert bench.door.status()["judged"] is True
