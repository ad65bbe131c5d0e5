"""The plan layer's shell: looks once a second, thinks when due, tells the heart.

Owns the solver's process and the price series. Must never hold the loop or leave the
heart without a plan it could have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from chargerd.clock import Now
from chargerd.config_plan import SitePlan
from chargerd.plan import Plan, PricePart, PriceSeries
from chargerd.scheduler.planner import horizon as horizons
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner import rule, shape, when
from chargerd.scheduler.planner.child import Child
from chargerd.scheduler.planner.house import House
from chargerd.scheduler.planner.outlook import SiteOutlook
from chargerd.scheduler.planner.prices import Judge, alike
from chargerd.scheduler.planner.reserve import Window

log = structlog.get_logger(__name__)

LOOK_S = 1.0
SOURCES_MAX = 16


class PlanDoor:
    """`prices` and `status` never wait. `tariff` gives the configured prices."""

    def __init__(
        self,
        settings: SitePlan,
        outlook: Callable[[], SiteOutlook],
        publish: Callable[[Plan], None],
        now: Callable[[], Now],
        tariff: Callable[[Now], PriceSeries | None] = lambda now: None,
        reserves: Callable[[Now], tuple[Window, ...]] = lambda now: (),
        house: House | None = None,
        child: Child | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._settings, self._outlook = settings, outlook
        self._publish, self._now, self._tariff = publish, now, tariff
        self._reserves, self._house = reserves, house
        self._child = child or Child()
        self._judge = judge
        self._series: dict[str, PriceSeries] = {}
        self._number = 0  # of changes of the series
        self._basis: when.Basis | None = None
        self._plans: dict[int, Plan] = {}
        self._used_mono = 0.0
        self._last: dict[str, Any] = {}
        self._counts = {"solved": 0, "ruled": 0, "kept": 0}

    def prices(self, series: PriceSeries) -> bool:
        """A new series; it replaces the last one of its source. False: of no use."""
        full = series.source not in self._series and len(self._series) >= SOURCES_MAX
        if not series.parts or full:
            return False
        last = self._series.get(series.source)
        self._series[series.source] = series
        self._number += last is None or not alike(last, series, self._now().mono)
        return True

    def price(self, now: Now) -> PricePart | None:
        """In force now; None where nobody has told one."""
        series = self._best(now)
        begun = [p for p in series.parts if p.start_mono <= now.mono] if series else []
        return begun[-1] if begun else None

    def status(self) -> dict[str, Any]:
        return {**self._counts, **self._last, "child": self._child.running}

    def plans(self) -> tuple[Plan, ...]:
        """The newest of each EVSE."""
        return tuple(self._plans.values())

    async def run(self) -> None:
        """Until cancelled; the solver's process never outlives it."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_S)
        finally:
            await self._child.close()

    async def look(self) -> None:
        """One look: plan if due, end an idle process."""
        now = self._now()
        prices, site = self._best(now), self._outlook()
        if self._house is not None:
            self._house.learn(site.house_w - site.unplanned_w, now)
        if prices is not None:
            told = prices.source in self._series  # the configured tariff is no forecast
            if self._judge is not None and told:
                self._judge.learn(prices, now)
            why = when.due(
                self._basis,
                self._plans,
                site,
                self._number,
                self._settings.every_s,
                now.mono,
            )
            if why:
                await self._think(site, prices, why, now)
        if self._child.running and self._now().mono - self._used_mono > (
            self._settings.idle_s
        ):
            await self._child.close()

    def _best(self, now: Now) -> PriceSeries | None:
        """The highest rank that is alive."""
        live = [s for s in self._series.values() if s.until_mono > now.mono]
        self._series = {s.source: s for s in live}
        standing = self._tariff(now)
        if standing is not None:
            live.append(standing)
        return max(live, key=lambda s: s.rank, default=None)

    async def _think(
        self, site: SiteOutlook, prices: PriceSeries, why: str, now: Now
    ) -> None:
        now_mono = now.mono
        evses = {evse.evse_id: evse for evse in site.evses}
        self._basis = when.Basis(now_mono, evses, site, self._number)
        house_w = self._house.forecast(site, now) if self._house else None
        best = prices
        if self._judge is not None:
            best = await asyncio.to_thread(self._judge.estimate, prices, now)
        # Hundreds of prices take 10 ms and more: not on the loop.
        reserves = self._reserves(now)
        horizon = await asyncio.to_thread(
            horizons.make, site, best, self._settings, now_mono, reserves, house_w
        )
        if horizon is None:
            self._last.pop("reserves", None)
            self._take((), site, now_mono)
            return
        problem = horizon.problem
        try:
            solution = await self._child.solve(problem, self._settings.deadline_s)
            self._counts["solved"] += 1
        except p.PlannerError as error:
            kept = self._good_still(why, now_mono)
            log.warning("no_solution", why=str(error), kept=kept)
            self._counts["kept" if kept else "ruled"] += 1
            if kept:
                return
            solution = await asyncio.to_thread(rule.solve, problem)
        self._used_mono = self._now().mono
        self._last = {
            "why": why,
            "cpu_s": solution.cpu_s,
            "cost": solution.cost,
            "judged": best is not prices,
            "reserves": shape.offers(horizon, solution, now),
        }
        knee_w, currency = self._settings.knee_w, prices.currency
        # A site of 50 takes 10 ms and more: not on the loop.
        made = await asyncio.to_thread(
            shape.plans, horizon, solution, knee_w, currency, now_mono
        )
        self._take(made, site, now_mono)

    def _take(self, made: tuple[Plan, ...], site: SiteOutlook, now_mono: float) -> None:
        """What was planned for a wish that is no more ends."""
        new = {plan.evse_id: plan for plan in made}
        for evse in site.evses:
            old = self._plans.get(evse.evse_id)
            if old is not None and evse.evse_id not in new:
                self._publish(replace(old, valid_until_mono=now_mono))
        self._plans = new
        for plan in made:
            self._publish(plan)

    def _good_still(self, why: str, now_mono: float) -> bool:
        """The last plans go on when nothing but time has passed and they are solved."""
        return why == "time" and all(
            plan.solver != "rule" and plan.at(now_mono) is not None
            for plan in self._plans.values()
        )
