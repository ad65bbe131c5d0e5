"""The stage's fixed loss in the plan: powers that pay for being on at all.

Runs in the planner's child (numpy). With a fixed loss small powers waste most of
themselves, and that is not convex: no linear programme has it. So each vehicle's plan
is walked back once more by dynamic programming over its energy, the others as they are,
and kept only where its money is less, the same loss counted. Never breaks what the
programme keeps: reserves are taken over, all else costs the same as there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chargerd.scheduler.planner import lp
from chargerd.scheduler.planner import problem as p

LEVELS = 97  # of energy
SHARES = (0.25, 0.5, 0.75, 1.0)  # of full power, to be tried both ways
NEVER = 1e12  # beside any money
Array = NDArray[np.float64]


def refine(problem: p.Problem, solution: p.Solution) -> p.Solution:
    """The plan with each pack's fixed loss in it, pack by pack."""
    traces = list(solution.traces)
    for number, pack in enumerate(problem.packs):
        if pack.idle_kw <= 0.0 or not pack.steps:
            continue
        walk = _Walk(problem, pack, traces, number)
        traces[number] = walk.better()
    found = tuple(traces)
    total = p.cost(problem, found) - p.earned(problem, solution.shares)
    return replace(solution, traces=found, cost=total)


@dataclass(slots=True)
class _Step:
    """What one step's cost hangs on, beside power and energy."""

    hours: float
    buy: float
    sell: float
    beside_kw: float  # house and the other packs
    early: float
    line: float  # of energy, with what a reserve may take out
    top: float  # and put in
    tries: Array


class _Walk:
    """One pack's way through its steps."""

    def __init__(
        self, problem: p.Problem, pack: p.Pack, traces: list[p.Trace], number: int
    ) -> None:
        self._problem, self._pack, self._mine = problem, pack, traces[number]
        self._prices = lp.prices_of(problem)
        self._least = min(pack.floor, pack.energy)
        self._most = min(pack.capacity, max(pack.ceiling, pack.energy))
        others = [trace for trace in traces if trace is not traces[number]]
        self._steps = self._prepare(others)
        pairs = zip(self._steps, self._mine.power_kw, strict=True)
        planned = [step.beside_kw + kw for step, kw in pairs]
        self._peak_kw = max([problem.peak_kw, *planned])

    def _prepare(self, others: list[p.Trace]) -> list[_Step]:
        pack, found, hours = self._pack, [], 0.0
        line = p.lowest(self._problem, pack)
        hold_h = p.longest_hold_h(self._problem)
        for index, step in enumerate(self._problem.steps[: pack.steps]):
            here = [t.power_kw[index] for t in others if index < len(t.power_kw)]
            beside = step.house_kw + sum(here)
            up, down = self._mine.up_kw[index], self._mine.down_kw[index]
            low = max(-pack.discharge_kw, min(0.0, up - pack.give_kw))
            high = max(0.0, pack.charge_kw - down)
            planned = self._mine.power_kw[index]
            shares = [s * high for s in SHARES] + [s * low for s in SHARES]
            tries = [0.0, planned, min(max(-beside, low), high), *shares]
            found.append(
                _Step(
                    step.hours,
                    step.buy,
                    min(step.sell, step.buy),
                    beside,
                    self._prices.early * hours,
                    line[index] + up * hold_h / pack.efficiency,
                    self._most - down * hold_h * pack.efficiency,
                    np.array(tries),
                )
            )
            hours += step.hours
        return found

    def better(self) -> p.Trace:
        """The cheaper of the plan as it is and the one walked anew."""
        levels = self._levels()
        ahead = self._end(levels)
        values: list[Array] = []
        for step in reversed(self._steps):
            values.append(ahead)
            ahead = self._best(step, levels, levels, ahead)[0]
        power, level, walked = [], self._pack.energy, 0.0
        for step, then in zip(self._steps, reversed(values), strict=True):
            at = np.array([level])
            kw = float(self._best(step, at, levels, then)[1][0])
            walked += float(self._cost(step, np.array([[kw]]), at)[0][0, 0])
            level += p.gain_kw(self._pack, kw) * step.hours
            power.append(kw)
        walked += float(self._end(np.array([level]))[0])
        if walked >= self._as_planned() - 1e-9:
            return self._rolled(list(self._mine.power_kw))
        return self._rolled([0.0 if abs(kw) < 1e-6 else kw for kw in power])

    def _levels(self) -> Array:
        """Even ones, and those where money has a corner: between two it is straight."""
        pack = self._pack
        corners = [pack.target, pack.floor, pack.calendar_from, pack.energy]
        corners += {step.line for step in self._steps}
        inside = [level for level in corners if self._least <= level <= self._most]
        even = np.linspace(self._least, self._most, LEVELS)
        return np.unique(np.concatenate([even, np.array(inside)]))

    def _rolled(self, power: list[float]) -> p.Trace:
        mine = self._mine
        steps = self._problem.steps
        return p.roll(self._pack, steps, power, mine.up_kw, mine.down_kw)

    def _as_planned(self) -> float:
        level, total = self._pack.energy, 0.0
        for step, kw in zip(self._steps, self._mine.power_kw, strict=True):
            at = np.array([level])
            total += float(self._cost(step, np.array([[kw]]), at)[0][0, 0])
            level += p.gain_kw(self._pack, kw) * step.hours
        return total + float(self._end(np.array([level]))[0])

    def _best(
        self, step: _Step, at: Array, levels: Array, ahead: Array
    ) -> tuple[Array, Array]:
        """At each energy of `at`: the least money from here on, and its power."""
        power = np.repeat(step.tries[:, None], len(at), axis=1)
        aims = [
            self._reach(level, step, at) for level in (self._pack.target, step.line)
        ]
        power = np.vstack([power, *aims])
        span = self._pack.capacity - self._pack.knee
        if span > 0.0:
            room = np.clip((self._pack.capacity - at) / span, 0.0, 1.0)
            power = np.minimum(power, self._pack.charge_kw * room)
        cost, after = self._cost(step, power, at)
        total = cost + np.interp(after, levels, ahead)
        outside = (after > self._most + 1e-9) | (after < self._least - 1e-9)
        total = np.where(outside & (power != 0.0), NEVER, total)
        choice = np.argmin(total, axis=0)
        every = np.arange(len(at))
        return total[choice, every], power[choice, every]

    def _reach(self, level: float, step: _Step, at: Array) -> Array:
        """The power that ends the step at `level`, as far as it goes."""
        into, out = p.slopes(self._pack)
        need = (level - at) / step.hours
        exact = (need + self._pack.idle_kw) / np.where(need > 0.0, into, out)
        exact = np.where(need * exact > 0.0, exact, 0.0)
        return np.clip(exact, step.tries.min(), step.tries.max())

    def _cost(self, step: _Step, power: Array, at: Array) -> tuple[Array, Array]:
        """Money and penalties of powers at energies, and the energies after them."""
        pack, prices, hours = self._pack, self._prices, step.hours
        after = at + _gains(pack, power) * hours
        grid = step.beside_kw + power
        money = step.buy * np.maximum(grid, 0.0) + step.sell * np.minimum(grid, 0.0)
        money += pack.wear * np.maximum(-power, 0.0)
        charging = np.maximum(power, 0.0)
        money += (pack.wear * lp.WEAR_OF_CHARGE + step.early) * charging
        over = np.maximum(grid - self._problem.import_kw, 0.0)
        over += np.maximum(-grid - self._problem.export_kw, 0.0)
        money += prices.site * over
        money += prices.site * np.maximum(step.line - after, 0.0)
        money += prices.site * np.maximum(after - step.top, 0.0)
        money += prices.floor * np.maximum(pack.floor - after, 0.0)
        money += pack.calendar * np.maximum(after - pack.calendar_from, 0.0)
        missed = np.maximum(pack.target - after, 0.0)
        money += pack.hazard_per_h * pack.shortfall * missed
        peak = self._problem.demand_per_kw * np.maximum(grid - self._peak_kw, 0.0)
        return money * hours + peak, after

    def _end(self, level: Array) -> Array:
        missed = np.maximum(self._pack.target - level, 0.0)
        return self._prices.departure * missed - self._pack.left * level


def _gains(pack: p.Pack, power: Array) -> Array:
    """`p.gain_kw` of many powers."""
    into, out = p.slopes(pack)
    moved: Array = np.where(power > 0.0, power * into, power * out)
    moved -= pack.idle_kw * (power != 0.0)
    return moved
