"""The house's load, learnt and foretold."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from chargerd.clock import Now
from chargerd.scheduler.planner import horizon, house
from tests.unit.planner.test_envelope import PRICES, SITE, WEAR

TOKYO = ZoneInfo("Asia/Tokyo")
MONDAY = datetime(2026, 11, 23, tzinfo=TOKYO)
HOUR = 3600.0
DAY = 24 * HOUR


def at(seconds: float, *, trusted: bool = True) -> Now:
    utc = (MONDAY + timedelta(seconds=seconds)).astimezone(UTC)
    return Now(seconds, utc, trusted)


def usual(seconds: float) -> float:
    """2 kW from 18:00 to 22:00, else 400 W."""
    return 2000.0 if 18 <= seconds % DAY / HOUR < 22 else 400.0


def learnt(days: int, step_s: float = 30.0) -> house.Load:
    load = house.Load()
    for number in range(int(days * DAY / step_s) + 1):
        seconds = number * step_s
        load = house.learn(load, usual(seconds), TOKYO, at(seconds))
    return load


TWO_DAYS = learnt(2)


def test_it_knows_the_evening_of_another_day() -> None:
    noon = 2 * DAY + 12 * HOUR  # Wednesday, never seen
    found = [
        house.forecast_w(TWO_DAYS, 400.0, TOKYO, at(noon), noon + h * HOUR)
        for h in (0.0, 7.0, 11.0)
    ]
    assert found == pytest.approx([400.0, 2000.0, 400.0])


def test_what_is_unusual_now_fades() -> None:
    noon = 2 * DAY + 12 * HOUR
    for after_s, left in ((0.0, 1.0), (HOUR, math.exp(-1.0)), (5 * HOUR, 0.0067)):
        load = house.forecast_w(TWO_DAYS, 1400.0, TOKYO, at(noon), noon + after_s)
        assert load == pytest.approx(400.0 + 1000.0 * left, abs=1.0)


def test_a_weekday_of_its_own_counts_more_than_the_others() -> None:
    load = TWO_DAYS
    rows = list(load.mean_w)
    rows[5 * house.SLOTS + 20] = 3000.0  # Saturday, 10:00
    load = house.read(rows)
    saturday = 5 * DAY + 10 * HOUR
    assert house.usual_w(load, 5 * house.SLOTS + 20) == 3000.0
    now = at(saturday - DAY)
    assert house.forecast_w(load, 400.0, TOKYO, now, saturday) == pytest.approx(3000.0)


def test_a_mean_follows_slowly() -> None:
    load = house.Load()
    for week, watts in ((0, 1000.0), (1, 2000.0)):
        for second in range(0, 3700, 10):
            now = at(week * 7 * DAY + second)
            load = house.learn(load, watts, TOKYO, now)
    assert load.mean_w[0] == pytest.approx(1000.0 + 0.3 * 1000.0)


@pytest.mark.parametrize(
    "samples",
    [
        [(0.0, 500.0, False), (1799.0, 500.0, False), (1801.0, 500.0, False)],
        [(0.0, 500.0, True), (1799.0, 500.0, True), (1801.0, 500.0, True)],  # a gap
        [(1500.0 + s, 500.0, True) for s in range(400)],  # too short
        [(float(s), math.nan, True) for s in range(0, 1900, 10)],
        [(float(s), 9e9, True) for s in range(0, 1900, 10)],
    ],
)
def test_what_teaches_nothing(samples: list[tuple[float, float, bool]]) -> None:
    load = house.Load()
    for seconds, watts, trusted in samples:
        load = house.learn(load, watts, TOKYO, at(seconds, trusted=trusted))
    assert set(load.mean_w) == {None}


def test_without_history_or_clock_it_stays_as_it_is() -> None:
    assert house.forecast_w(house.Load(), 700.0, TOKYO, at(0.0), 5 * HOUR) == 700.0
    unsure = at(0.0, trusted=False)
    assert house.forecast_w(TWO_DAYS, 700.0, TOKYO, unsure, 19 * HOUR) == 700.0


def test_it_is_kept_each_half_hour_and_survives_a_restart() -> None:
    kept: list[list[float | None]] = []
    one = house.House(TOKYO, house.Load(), kept.append)
    for second in range(0, 5500, 10):
        one.learn(600.0, at(float(second)))
    assert len(kept) == 3
    again = house.House(TOKYO, house.read(kept[-1]), kept.append)
    # 500 W of what is seen go to an EVSE that nobody plans for: they go on as they are.
    seen = replace(SITE, house_w=1500.0, unplanned_w=500.0)
    later = again.forecast(seen, at(0.0))(HOUR)
    assert later == pytest.approx(600.0 + 400.0 * math.exp(-1.0) + 500.0)


@pytest.mark.parametrize(
    "value",
    [None, {}, [], [1.0], "x", ["x"] * 336, [math.nan] * 336, [math.inf] * 336],
)
def test_a_store_that_lies_is_nothing_learnt(value: object) -> None:
    assert set(house.read(value).mean_w) == {None}


def test_the_plan_sees_it() -> None:
    found = horizon.make(SITE, PRICES, WEAR, 1000.0, house_w=lambda mono: mono)
    assert found is not None
    middles = [
        (a + b) / 2.0
        for a, b in zip(found.edges_mono, found.edges_mono[1:], strict=False)
    ]
    loads = [step.house_kw * 1000.0 for step in found.problem.steps]
    assert loads == pytest.approx(middles)
