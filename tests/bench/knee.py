"""What the stage's fixed loss costs, by how the plan knows of it: not at all
(trickles), in blocks of `knee_w`, or walked anew with the loss in it.

Closed loop: each session is planned anew every half hour and runs with the loss that
the stage has in truth, with prices by the hour: beside a grid that buys, and where only
a small house can be fed. A kWh that is missed at departure costs the dearest price.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import replace

from chargerd.config_plan import SitePlan
from chargerd.model import Promise
from chargerd.plan import Plan, PricePart, PriceSeries, wish_w
from chargerd.scheduler.planner import horizon, shape, solver
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.outlook import Outlook, SiteOutlook
from tests.bench.row import Row

HOUR_S = 3600.0
NOW = 1000.0
REPLAN_S, STEP_S = 1800.0, 60.0
SESSIONS = 20
LOSS_W = 90.0  # with 5.5 % more: the bench's own stage (hil/rig/plant.py)
WAYS = {
    "trickles": SitePlan(wear_per_kwh=2.0, knee_w=0.0),
    "blocks of 1 kW": SitePlan(wear_per_kwh=2.0),
    "walked anew": SitePlan(wear_per_kwh=2.0, idle_loss_w=LOSS_W),
}


class Day:
    """One session's prices, house and vehicle, from a seed."""

    def __init__(self, seed: int, *, sells: bool) -> None:
        rng = random.Random(seed)
        parts = []
        for hour in range(49):
            buy = 15.0 + 20.0 * rng.random()
            sell = buy * rng.uniform(0.3, 0.6) if sells else 0.0
            parts.append(PricePart(NOW + HOUR_S * hour, buy, sell))
        self.prices = PriceSeries("bench", tuple(parts), NOW + 49 * HOUR_S, "JPY")
        most_w = 1200.0 if sells else 500.0
        self.house = [rng.uniform(150.0, most_w) for _ in range(49)]
        leaves = NOW + HOUR_S * rng.uniform(8.0, 16.0)
        self.evse = Outlook(
            1, rng.uniform(10e3, 35e3), 40e3, 8e3, 6e3, -6e3, 0.93, 0.0,
            Promise(leaves, rng.uniform(50.0, 80.0)), session_id="1",
        )  # fmt: skip

    def house_w(self, mono: float) -> float:
        return self.house[int((mono - NOW) // HOUR_S)]


def run() -> list[Row]:
    rows = []
    for where, sells in (("sold", True), ("house alone", False)):
        days = [Day(seed, sells=sells) for seed in range(SESSIONS)]
        for name, settings in WAYS.items():
            mean = sum(session(day, settings) for day in days) / SESSIONS
            rows.append(Row(f"knee, {where}, {name}: money a session", mean, "JPY"))
    return rows


def session(day: Day, settings: SitePlan) -> float:
    """What it costs, with what is left in the battery taken off."""
    evse, promise = day.evse, day.evse.promise
    if promise is None:
        raise RuntimeError("a session without a departure")
    now, level_wh, money, plan = NOW, evse.energy_wh, 0.0, None
    worth = min(part.buy_per_kwh for part in day.prices.parts[:24])
    while now < promise.departure_mono - 1.0:
        if plan is None or now - plan.made_mono >= REPLAN_S:
            plan = _plan(day, replace(evse, energy_wh=level_wh), settings, now)
        part = plan.at(now)
        power_w = wish_w(part, level_wh) if part else 0.0
        price = day.prices.parts[bisect_right(
            [row.start_mono for row in day.prices.parts], now) - 1]  # fmt: skip
        step_s = min(STEP_S, promise.departure_mono - now)
        gained = p.gain_kw(TRUE, power_w / 1000.0) * step_s / 3.6
        level_wh = min(max(0.0, level_wh + gained), evse.capacity_wh)
        grid_w = day.house_w(now) + power_w
        rate = price.buy_per_kwh if grid_w > 0.0 else price.sell_per_kwh or 0.0
        money += (rate * grid_w + 2.0 * max(0.0, -power_w)) * step_s / 3.6e6
        now += step_s
    missed_wh = max(0.0, evse.capacity_wh * promise.target_soc_pct / 100.0 - level_wh)
    left = worth / evse.efficiency * level_wh / 1000.0
    return money + 35.0 * missed_wh / 1000.0 - left


TRUE = p.Pack(1, 1, 0.0, 40.0, 0.0, 0.0, 40.0, 6.0, 6.0, 6.0, 0.93, 32.0, LOSS_W / 1e3)


def _plan(day: Day, evse: Outlook, settings: SitePlan, now: float) -> Plan:
    site = SiteOutlook((evse,), 10e3, 6e3, day.house_w(now))
    found = horizon.make(site, day.prices, settings, now, (), day.house_w)
    if found is None:
        raise RuntimeError("nothing to plan")
    solution = solver.solve(found.problem)
    (plan,) = shape.plans(found, solution, settings.knee_w, "JPY", now)
    return plan
