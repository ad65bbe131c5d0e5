"""What the plan earns, against perfect foresight and against simpler rules.

The daemon's own PlanDoor and Cycle in a closed loop: steps of 1 min, forecasts anew
each half hour. Regret counts from naive charging (0 %) to a foresight that knows every
price and obeys no must-charge line (100 %). Forecasts are judged by four weeks of the
same market before, with other prices, learnt by the daemon's own Judge.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from chargerd import config
from chargerd.clock import Now
from chargerd.config_plan import SitePlan
from chargerd.model import PromiseRequest
from chargerd.plan import PricePart, PriceSeries
from chargerd.scheduler.planner import horizon, solver
from chargerd.scheduler.planner import prices as judging
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.child import Child
from chargerd.scheduler.planner.door import PlanDoor
from tests.proof.plant import NO_RAMP, Car, Site
from tests.unit.scheduler.stand import EFFICIENCY

STEP_S = 59.83
SLOT_S = 1800.0
WEAR = 2.0  # yen per kWh taken out
MISSED = 60.0  # yen per kWh that a driver misses who leaves early
LEFT = 13.0  # yen that a kWh is worth to buy again after the session
FEE = 4.0  # between buying and selling
AHEAD = 40  # half-hours that a forecast tells
NEWS = 24  # in which there is news on each
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
# "lp": no hedge, forecasts believed; "judged": no hedge; "plan": all that there is.
POLICIES = ("naive", "threshold", "lp", "plan")
PLANNED = ("lp", "judged", "plan")


@dataclass(frozen=True, slots=True)
class Case:
    """One session's world, the same for every policy."""

    seed: int
    capacity_wh: float
    soc_pct: float
    target_pct: float
    length_s: float
    leaves_s: float
    begins_h: float
    prices: tuple[float, ...]  # spot, yen per kWh, by half hour from the plug on
    errors: tuple[tuple[float, ...], ...]  # news on each slot in each slot before


@dataclass(frozen=True, slots=True)
class Result:
    """Yen, after what is left in the battery; `missed_kwh` under what was promised."""

    cost: float
    missed_kwh: float
    turns: int


class InProcess(Child):
    """The solver without its process."""

    def __init__(self) -> None:
        super().__init__(("never",))
        self._solver = solver.Solver()  # as in the process: from the last answer on

    async def solve(self, problem: p.Problem, deadline_s: float) -> p.Solution:
        return self._solver.solve(problem)


def case(seed: int, early: bool = False) -> Case:
    """A night or a day at home; prices as at a Japanese exchange, made up."""
    rng = random.Random(seed)
    length_s = rng.uniform(12.0, 16.0) * 3600.0
    leaves_s = length_s
    if early and rng.random() < 0.15:
        leaves_s *= rng.uniform(0.2, 0.95)
    begins_h = rng.uniform(0.0, 24.0)
    prices = market(rng, begins_h, AHEAD)
    return Case(
        seed,
        rng.choice([40_000.0, 62_000.0]),
        rng.uniform(20.0, 60.0),
        rng.uniform(60.0, 90.0),
        length_s,
        leaves_s,
        begins_h,
        prices,
        news(rng, AHEAD),
    )


def market(rng: random.Random, begins_h: float, slots: int) -> tuple[float, ...]:
    """Spot prices from an hour of the day on."""
    prices, drift = [], 0.0
    for slot in range(slots):
        hour = (begins_h + slot / 2) % 24
        drift = 0.8 * drift + rng.gauss(0.0, 1.0)
        peaks = 9.0 * math.exp(-((hour - 18.5) ** 2) / 4.5)
        peaks += 5.0 * math.exp(-((hour - 8.5) ** 2) / 3.0)
        sun = -5.0 * math.exp(-((hour - 12.5) ** 2) / 5.0)
        spike = rng.uniform(10.0, 30.0) if rng.random() < 0.02 else 0.0
        prices.append(max(0.01, 11.0 + peaks + sun + drift + spike))
    return tuple(prices)


def news(rng: random.Random, slots: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(rng.gauss(0.0, 1.0) for _ in range(NEWS)) for _ in range(slots))


@lru_cache
def history(sigma: float) -> dict[str, Any]:
    """What four weeks of such prices and forecasts have taught."""
    rng = random.Random(f"history {sigma}")
    slots = judging.DAYS * judging.SLOTS
    prices = market(rng, 0.25, slots + AHEAD)  # as in the middle of each half-hour
    past = replace(case(0), prices=prices, errors=news(rng, slots + AHEAD))
    kept: list[dict[str, Any]] = []
    judge = judging.Judge(UTC, None, kept.append)
    for slot in range(slots + 1):
        seconds = slot * SLOT_S
        utc = MONDAY + timedelta(days=-judging.DAYS, seconds=seconds)
        judge.learn(series(past, 0.0, seconds, sigma), Now(seconds, utc))
    return kept[-1]


def series(world: Case, began: float, now: float, sigma: float) -> PriceSeries:
    """What is known now: the slot that runs, and a forecast beyond.

    A slot's price 12 h ahead is wrong by `sigma`; each half hour brings news on it, as
    much as any other (a martingale), until it is known when it begins.
    """
    current = int((now - began) // SLOT_S)
    parts = []
    end = min(current + AHEAD, len(world.prices))
    for slot in range(current, end):
        spot = world.prices[slot]
        unheard = min(slot - current, len(world.errors[slot]))
        spot += sigma * sum(world.errors[slot][:unheard]) / math.sqrt(NEWS)
        parts.append(PricePart(began + slot * SLOT_S, spot + FEE, spot))
    until = began + end * SLOT_S
    return PriceSeries("proof", tuple(parts), until, "JPY")


class Run:
    """One policy in one world."""

    def __init__(self, world: Case, policy: str, sigma: float) -> None:
        self.world, self.policy, self.sigma = world, policy, sigma
        car = Car(world.capacity_wh, world.soc_pct)
        car.rated_w = 6000.0
        self.car = car
        owner = config.Owner(departure="", floor_soc_pct=20.0)
        grid = config.Site(
            import_w=10_000, export_w=10_000, export_permit="P", ramp_w_per_s=NO_RAMP
        )
        self.site = Site(car, owner=owner, site=grid)
        hedge = 0.01 if policy == "plan" else 0.0
        self.settings = SitePlan(
            wear_per_kwh=WEAR,
            left_per_kwh=LEFT,
            every_s=900.0,
            leave_early_per_h=hedge,
            shortfall_per_kwh=MISSED,
        )
        judge = judging.Judge(UTC, history(sigma), lambda kept: None)
        self.began = 0.0
        self.door = PlanDoor(
            self.settings,
            self.site.cycle.outlook,
            self.site.cycle.plan,
            self._now,
            child=InProcess(),
            judge=None if policy == "lp" else judge,
        )

    def _now(self) -> Now:
        """By the world's hour of the day: its prices are of half-hours."""
        gone_s = self.site.mono - self.began
        begins_h = int(2 * self.world.begins_h) / 2
        utc = MONDAY + timedelta(hours=begins_h, seconds=gone_s)
        return Now(self.site.mono, utc)

    def go(self) -> Result:
        """From plug to unplug."""
        site, world = self.site, self.world
        site.begin()
        began = self.began = site.mono
        departure = began + world.length_s
        site.cycle.request(PromiseRequest(1, departure, world.target_pct, 20.0))
        site.move(0.05)
        site.move(0.05)
        cost, slot, turns, sign = 0.0, -1, 0, 0.0
        with asyncio.Runner() as runner:
            while (left := began + world.leaves_s - site.mono) > 0.05:
                now_slot = int((site.mono - began) // SLOT_S)
                if now_slot != slot:
                    slot = now_slot
                    self._news(began)
                    cost += self._step(0.06, slot)
                if self.policy in PLANNED:
                    before = self.door.plans()
                    runner.run(self.door.look())
                    if self.door.plans() != before:  # acted on at the next real tick
                        cost += self._step(0.06, slot)
                next_slot = began + (slot + 1) * SLOT_S - site.mono
                cost += self._step(min(left, STEP_S, max(0.06, next_slot)), slot)
                power = site.power_w
                if power * sign < 0.0:
                    turns += 1
                sign = power if abs(power) > 100.0 else sign
        energy = world.capacity_wh * self.car.true_pct / 1e5
        target = world.capacity_wh * world.target_pct / 1e5
        return Result(
            cost - LEFT / EFFICIENCY * energy, max(0.0, target - energy), turns
        )

    def _step(self, dt_s: float, slot: int) -> float:
        """Yen for one step, by the meter's registers."""
        bridge, spot = self.site.bridge, self.world.prices[slot]
        before = bridge.import_wh[1], bridge.export_wh[1]
        self.site.go(dt_s)
        bought = (bridge.import_wh[1] - before[0]) / 1000.0
        sold = (bridge.export_wh[1] - before[1]) / 1000.0
        return bought * (spot + FEE) - sold * (spot - WEAR)

    def _news(self, began: float) -> None:
        site, world = self.site, self.world
        known = series(world, began, site.mono, self.sigma)
        if self.policy in PLANNED:
            if self.sigma > 0.0 or site.mono - began < 1.0:
                self.door.prices(known)
        elif self.policy == "threshold":
            ahead = sorted(part.buy_per_kwh for part in known.parts)
            price = known.parts[0].buy_per_kwh
            if price <= ahead[int(0.25 * len(ahead))]:
                site.setpoint(6000.0, SLOT_S + 60.0)
            elif price >= ahead[int(0.80 * (len(ahead) - 1))]:
                site.setpoint(-6000.0, SLOT_S + 60.0)
            else:
                site.setpoint(0.0, SLOT_S + 60.0)


def foresight(
    world: Case, began: float, start_pct: float, settings: SitePlan
) -> horizon.Horizon:
    """The whole session as one problem, every price known."""
    car = Car(world.capacity_wh, start_pct)
    car.rated_w = 6000.0
    owner = config.Owner(departure="", floor_soc_pct=20.0)
    grid = config.Site(import_w=10_000, export_w=10_000, export_permit="P")
    site = Site(car, owner=owner, site=grid)
    site.begin()
    departure = site.mono + world.length_s
    site.cycle.request(PromiseRequest(1, departure, world.target_pct, 20.0))
    site.move(0.05)
    site.move(0.05)
    outlook = site.cycle.outlook()
    evse = replace(outlook.evses[0], energy_wh=world.capacity_wh * start_pct / 100.0)
    prices = series(world, site.mono, site.mono, 0.0)
    plain = settings.model_copy(update={"leave_early_per_h": 0.0})
    found = horizon.make(
        replace(outlook, evses=(evse,), house_w=0.0), prices, plain, site.mono
    )
    if found is None:
        raise RuntimeError("no horizon")
    return found


def best(world: Case) -> float:
    """What foresight pays."""
    found = foresight(
        world, 0.0, world.soc_pct, SitePlan(wear_per_kwh=WEAR, left_per_kwh=LEFT)
    )
    free = replace(found.problem.packs[0], rate=1.0)  # no line that it must keep
    return solver.solve(replace(found.problem, packs=(free,))).cost


def run(job: tuple[int, str, float, bool]) -> Result:
    """(seed, policy, sigma, early unplug)."""
    seed, policy, sigma, early = job
    world = case(seed, early)
    if policy == "foresight":
        return Result(best(world), 0.0, 0)
    return Run(world, policy, sigma).go()


def captured(results: list[Result], naive: list[Result], bests: list[Result]) -> float:
    """Share of what could be had, over all sessions."""
    had = sum(n.cost - r.cost for n, r in zip(naive, results, strict=True))
    there = sum(n.cost - b.cost for n, b in zip(naive, bests, strict=True))
    return had / there
