"""A small, seeded part of `make proof`, in every test run; and that it can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.scheduler import bounds
from chargerd.scheduler import promise as promises
from tests.proof import promise, report, tracking, value

pytest.importorskip("highspy")


DERATED_WHEN_FULL = (695, 2945, 3901)  # derating is seen above the knee only
AT_PART_LOAD = (2419,)  # and hidden by hours at part load
SLOW_GAUGE = (95,)  # it shows less than what is counted, more and more


@pytest.mark.parametrize(
    "seed", [*range(12), *DERATED_WHEN_FULL, *AT_PART_LOAD, *SLOW_GAUGE]
)
def test_promise_and_limits_hold(seed: int) -> None:
    outcome = promise.run(seed)
    assert outcome.good, outcome


def test_without_the_line_promises_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "LATENCY_S", -7200.0)
    assert any(promise.run(seed).broken for seed in range(12))


def test_a_meter_that_may_be_old_exports_blindly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "METER_MAX_AGE_S", 1e9)
    assert any(promise.run(seed).blind_export for seed in range(12))


@pytest.mark.timeout(120)
def test_the_plan_earns_nearly_what_foresight_would() -> None:
    worlds = range(3)
    best, naive, plan, rule = (
        [value.run((seed, policy, 0.0, False)) for seed in worlds]
        for policy in ("foresight", "naive", "lp", "threshold")
    )
    assert value.captured(plan, naive, best) > 0.97
    assert value.captured(rule, naive, best) < 0.9
    assert all(result.missed_kwh < 0.4 for result in plan)


@pytest.mark.parametrize("name", tracking.NAMES)
def test_power_follows(name: str) -> None:
    result = tracking.run(name, length_s=60.0)
    assert result.rms <= report.TRACK_MAX
    assert result.score is None or result.score >= report.SCORE_MIN


def test_a_broken_promise_is_told() -> None:
    good = promise.Outcome(1, True, 0.0, 0.0, 0, 0, 10, 0, False, False, False)
    money = {
        (policy, sigma, early): [value.Result(cost, 0.0, 1)]
        for early in (False, True)
        for policy, sigma in report.columns(early)
        for cost in [10.0 if policy == "naive" else 1.0]
    }
    whole = report.Report([good], money, [], 1.0, 1.0, 0)
    assert report.failures(whole) == []
    assert "All goals are met. A part:" in report.text(whole)
    bad = replace(whole, sessions=[replace(good, missed_pct=2.0)])
    assert "Missed: 1 sessions" in report.text(bad)
