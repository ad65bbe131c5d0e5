"""A decision is a fold over snapshots: replayed, it says the same; restarted, it meets.

Random signals, frequencies and house loads from a seed, through the whole loop.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from chargerd import config
from chargerd.config_grid_code import Droop, GridCode
from chargerd.model import (
    Curve,
    DispatchSignal,
    OperationMode,
    Priority,
    Segment,
)
from chargerd.scheduler.decide import decide
from chargerd.scheduler.terms import Carry, Verdict
from tests.unit.scheduler.stand import Stand

METER = config.Device(driver="x", at="serial:/dev/null")
CODE = GridCode(
    name="test",
    over=Droop(deadband_hz=0.2, droop_pct=5.0),
    under=Droop(deadband_hz=0.2, droop_pct=5.0),
    response_s=2.0,
    recover_s=20.0,
)


def site() -> config.Site:
    return config.Site(
        import_w=9000,
        export_w=5000,
        export_permit="TEST",
        meter=METER,
        nominal_hz=50,
        grid_code=CODE,
        release_s=4.0,
    )


def random_signal(chance: random.Random, mono: float) -> DispatchSignal:
    kind = chance.choice(list(OperationMode))
    curve = chance.choice(
        [
            None,
            Curve("frequency", ((49.5, -4000.0), (50.0, 0.0), (50.5, 4000.0))),
            Curve("signal", ((-1.0, -3000.0), (1.0, 3000.0))),
        ]
    )
    segment = Segment(
        mono,
        kind,
        chance.choice([None, chance.uniform(-7000.0, 7000.0)]),
        chance.choice([None, None, chance.uniform(0.0, 7000.0)]),
        chance.choice([None, None, chance.uniform(-7000.0, 0.0)]),
        curve,
        chance.choice([None, chance.uniform(-1.0, 1.0)]),
        chance.choice([None, 0.0, 1000.0]),
    )
    return DispatchSignal(
        chance.choice("abc"),
        chance.choice([0, 1]),
        chance.choice(list(Priority)),
        (segment,),
        mono,
        mono + chance.choice([0.3, 3.0, 30.0]),
    )


def run(seed: int, seconds: float = 30.0) -> tuple[Stand, list[Verdict]]:
    chance = random.Random(seed)
    owner = config.Owner(departure="", target_soc_pct=chance.choice([50.0, 80.0]))
    stand = Stand(site=site(), owner=owner, with_site=True)
    stand.start()
    runner = stand.cycle._runners[1]
    verdicts = []
    for _ in range(round(seconds / 0.05)):
        if chance.random() < 0.05:
            stand.cycle.signal(random_signal(chance, stand.mono))
        if chance.random() < 0.05:
            stand.bridge.hertz = chance.choice([50.0, 50.0, 50.4, 49.6, 52.7])
        if chance.random() < 0.05:
            stand.bridge.house_w = chance.uniform(-3000.0, 6000.0)
        stand.beat()
        verdict = runner.verdict
        assert verdict is not None
        # What the tick knew, with what the tick before it left behind.
        before = verdicts[-1].carry if verdicts else runner.context.carry
        assert runner.context.carry == before
        again = decide(runner.snapshot, runner.unit, runner.context)  # type: ignore[arg-type]
        assert again == verdict
        verdicts.append(verdict)
    return stand, verdicts


@pytest.mark.parametrize("seed", range(5))
def test_the_same_story_gives_the_same_decisions(seed: int) -> None:
    assert run(seed)[1] == run(seed)[1]


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_meets_the_state_it_left(seed: int) -> None:
    """Nothing remembered outlives its cause: in a steady world, a fresh memory comes to
    the same power as the old one."""
    stand, _ = run(seed)
    stand.bridge.hertz, stand.bridge.house_w = 50.0, 1000.0
    stand.run(40.0)  # signals (30 s) and after them releases (4 s) have ended
    runner = stand.cycle._runners[1]
    snap, ctx = runner.snapshot, runner.context
    assert snap is not None
    old = decide(snap, runner.unit, ctx)
    line = replace(ctx.carry.line, floor_held=False)
    carry = Carry(line, plan_done=ctx.carry.plan_done)
    fresh = decide(snap, runner.unit, replace(ctx, carry=carry))
    assert fresh.wanted_w == pytest.approx(old.wanted_w)


@pytest.mark.parametrize("seed", range(5))
def test_bounds_hold_through_every_story(seed: int) -> None:
    stand, verdicts = run(seed)
    for verdict in verdicts:
        assert verdict.hard_low_w <= 0.0 <= verdict.hard_high_w
        assert verdict.hard_low_w <= verdict.low_w
        assert verdict.high_w <= verdict.hard_high_w
        assert verdict.able_low_w <= verdict.hard_low_w
        assert verdict.hard_high_w <= verdict.able_high_w
    for report in stand.reports:
        decision = report.decision
        if decision.power_w < 0.0:
            assert report.snapshot.site.discharge_permitted
            hertz = report.snapshot.site.frequency_hz
            assert hertz is None or abs(hertz - 50.0) <= 2.5
