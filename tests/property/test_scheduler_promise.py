"""250 seeded sessions against the promise: derating, noise, taper, early unplug.

The dispatch signal is as hostile as it can be: mostly full discharge. A promise made at
plug-in for what is reachable then must hold at departure, to 1 % of capacity.
"""

from __future__ import annotations

import math
import random

import pytest

from chargerd.model import Promise
from chargerd.scheduler import battery, promise
from chargerd.scheduler.promise import FREE, Line, Plant

RATED_W = 7000.0
EFFICIENCY = 0.94


class Session:
    """One simulated session; `run` returns how far the promise was missed, in %."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        self.capacity_wh = rng.choice([24_000.0, 40_000.0, 62_000.0])
        self.soc = rng.uniform(15.0, 85.0)
        self.length_s = rng.uniform(2.0, 9.0) * 3600.0
        self.target = rng.uniform(40.0, 100.0)
        self.floor = rng.choice([10.0, 20.0, 30.0])
        heavy = rng.random() < 0.2
        self.derate = rng.uniform(0.6, 0.9) if heavy else rng.uniform(0.96, 1.0)
        self.unplug_s = self.length_s
        if rng.random() < 0.15:
            self.unplug_s = rng.uniform(0.05, 0.95) * self.length_s
        self.in_wh = self.out_wh = 0.0
        self.estimate = battery.Estimate()
        self.rate = battery.Rate()
        if heavy:  # seen while charging earlier in this session
            self._learn(0.0)
        self.wish = Promise(self.length_s, self.target, self.floor)
        self.line: Line = FREE
        self.lowest = self.soc

    def _learn(self, now: float) -> None:
        for step in range(40):
            at = now - 40.0 + step
            self.rate.add(RATED_W, RATED_W * self.derate, RATED_W, at)

    def _step(self, now: float, dt_s: float, ask_w: float) -> None:
        self.estimate = battery.estimate(
            self.estimate,
            float(math.floor(self.soc)),
            self.capacity_wh,
            self.in_wh,
            self.out_wh,
            EFFICIENCY,
        )
        plant = Plant(RATED_W, EFFICIENCY, self.rate.value)
        self.line = promise.draw(
            self.wish, self.estimate, plant, self.floor, RATED_W, self.line, now
        )
        power = RATED_W if self.line.must_charge else ask_w
        if power < 0.0 and not self.line.discharge_ok:
            power = 0.0
        if power > 0.0:
            noise = self.rng.uniform(-0.005, 0.005)
            power = min(power * min(1.0, self.derate + noise), self._taper_w())
            self.in_wh += power * dt_s / 3600.0
            gained = power * EFFICIENCY
        else:
            self.out_wh += -power * dt_s / 3600.0
            gained = power / EFFICIENCY
        self.soc += gained * dt_s / 3600.0 / self.capacity_wh * 100.0
        self.soc = min(100.0, self.soc)
        self.lowest = min(self.lowest, self.soc)

    def _taper_w(self) -> float:
        if self.soc <= 80.0:
            return RATED_W
        return RATED_W * max(0.01, (100.0 - self.soc) / 20.0)

    def run(self) -> float:
        now, ask_w = 0.0, 0.0
        self._step(0.0, 0.05, 0.0)
        promised = self.line.reachable_pct
        assert promised is not None
        while now < self.unplug_s:
            slack = self.line.slack_s if self.line.slack_s is not None else 0.0
            dt_s = 60.0 if slack > 900.0 else 5.0
            dt_s = min(dt_s, self.unplug_s - now)
            if self.rng.random() < 0.1:
                ask_w = self.rng.choice([-7000.0, -7000.0, -3000.0, 0.0, 4000.0])
            self._step(now, dt_s, ask_w)
            now += dt_s
        if self.unplug_s < self.length_s:
            return 0.0  # the driver left early: only the floor was promised
        return promised - self.soc


@pytest.mark.parametrize("block", range(5))
def test_no_promise_is_broken(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        session = Session(seed)
        start = session.soc
        missed = session.run()
        assert missed <= 1.0, f"seed {seed}: {missed:.2f} % missed"
        assert session.lowest >= min(start, session.floor) - 0.6, f"seed {seed}"


def test_the_simulation_can_fail() -> None:
    """Without the must-charge line the same sessions break promises."""
    broken = 0
    for seed in range(50):
        session = Session(seed)
        original, promise.LATENCY_S = promise.LATENCY_S, -7200.0
        try:
            broken += session.run() > 1.0
        finally:
            promise.LATENCY_S = original
    assert broken > 5
