"""Forecasts of prices, judged by their own past."""

from __future__ import annotations

import json
import math
import random
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.clock import Now
from chargerd.plan import PricePart, PriceSeries
from chargerd.scheduler.planner import prices

TOKYO = ZoneInfo("Asia/Tokyo")
MONDAY = datetime(2026, 10, 26, tzinfo=TOKYO)
SLOT_S = prices.SLOT_S
SLOTS = prices.SLOTS
AHEAD = 72
WEEKEND = -4.0


def at(slot: int, into_s: float = 0.0, *, trusted: bool = True) -> Now:
    seconds = slot * SLOT_S + into_s
    utc = (MONDAY + timedelta(seconds=seconds)).astimezone(UTC)
    return Now(seconds, utc, trusted)


@cache
def truth(slot: int) -> float:
    """An evening peak, cheap weekends, and what nobody can foresee."""
    peak = 10.0 if 36 <= slot % SLOTS < 42 else 0.0
    weekend = WEEKEND if slot // SLOTS % 7 >= 5 else 0.0
    return 15.0 + peak + weekend + random.Random(slot).gauss(0.0, 2.0)


@cache
def noise(slot: int, then: int) -> float:
    return random.Random(1000 * slot + then).gauss(0.0, 1.0)


def said(slot: int, error: float = 0.0, known: int = 1) -> PriceSeries:
    """Known for so many half-hours, then wrong by `error` (one standard deviation)."""
    parts = []
    for then in range(slot, slot + AHEAD):
        price = truth(then)
        if then >= slot + known:
            price += error * noise(slot, then)
        parts.append(PricePart(then * SLOT_S, price, price - 4.0, 100.0))
    return PriceSeries("mqtt", tuple(parts), (slot + AHEAD) * SLOT_S, "JPY")


def taught(days: int, error: float = 0.0) -> tuple[prices.Judge, list[dict[str, Any]]]:
    kept: list[dict[str, Any]] = []
    judge = prices.Judge(TOKYO, None, kept.append)
    for slot in range(days * SLOTS + 1):
        judge.learn(said(slot, error), at(slot))
    return judge, kept


NOW = 28 * SLOTS  # a Monday, 00:00


@cache
def wrong() -> tuple[prices.Judge, list[dict[str, Any]]]:
    """Four weeks of forecasts that are off by 4."""
    return taught(28, 4.0)


def off(series: PriceSeries) -> float:
    """Mean square of the error of what is to come."""
    pairs = [(p.buy_per_kwh, truth(round(p.start_mono / SLOT_S))) for p in series.parts]
    return statistics.mean((price - true) ** 2 for price, true in pairs[1:])


def test_estimates_are_nearer_to_what_comes_and_as_spread() -> None:
    raw, best = [], []
    for slot in range(NOW, NOW + 7):
        now = at(slot, 1.0)
        raw.append(said(slot, 4.0))
        best.append(wrong()[0].estimate(raw[-1], now))
    assert sum(map(off, best)) < 0.5 * sum(map(off, raw))
    nights = [
        [p.buy_per_kwh for s in rows for p in s.parts[1:] if _is_night(p)]
        for rows in (raw, best)
    ]
    spread = [statistics.stdev(row) for row in nights]
    assert spread[0] > 4.0
    assert spread[1] == pytest.approx(2.0, abs=0.7)


def _is_night(part: PricePart) -> bool:
    return round(part.start_mono / SLOT_S) % SLOTS < 36


def test_the_running_price_and_all_but_prices_stay() -> None:
    series = said(NOW, 4.0)
    found = wrong()[0].estimate(series, at(NOW, 900.0))
    assert found.parts[0] == series.parts[0]
    for before, after in zip(series.parts, found.parts, strict=True):
        assert after.start_mono == before.start_mono
        assert after.co2_g_per_kwh == 100.0
        assert after.buy_per_kwh - 4.0 == pytest.approx(after.sell_per_kwh, abs=1e-6)
    assert replace(found, parts=series.parts) == series


def test_prices_that_were_never_wrong_are_believed() -> None:
    judge, _ = taught(9)
    odd = said(NOW, 30.0)
    assert judge.estimate(odd, at(NOW)) is odd


def test_published_prices_are_believed_and_forecasts_beside_them_are_not() -> None:
    """A market that publishes at noon what holds until the next day's end."""
    judge = prices.Judge(TOKYO, None, lambda kept: None)
    known = [(96 if slot >= 24 else 48) - slot for slot in range(SLOTS)]
    for slot in range(14 * SLOTS + 25):
        judge.learn(said(slot, 5.0, known[slot % SLOTS]), at(slot))
    for slot in (14 * SLOTS + 23, 14 * SLOTS + 24):
        series = said(slot, 5.0, known[slot % SLOTS])
        found = judge.estimate(series, at(slot))
        moved = [
            lead
            for lead, (a, b) in enumerate(zip(series.parts, found.parts, strict=True))
            if a != b
        ]
        if slot % SLOTS == 23:
            assert 24 <= min(moved) <= 28  # 25 known; leads 24 to 27 are one cell
    assert moved == []  # all that the series tells is published by then


@pytest.mark.parametrize("days", [0, 3, 6])
def test_too_little_history_believes_what_is_said(days: int) -> None:
    judge, _ = taught(days, 4.0)
    series = said(days * SLOTS, 4.0)
    assert judge.estimate(series, at(days * SLOTS)) is series


def test_another_source_and_a_doubtful_clock_are_not_judged() -> None:
    series = said(NOW, 4.0)
    other = replace(series, source="openadr3")
    assert wrong()[0].estimate(other, at(NOW)) is other
    assert wrong()[0].estimate(series, at(NOW, trusted=False)) is series


def test_a_wrong_clock_teaches_nothing() -> None:
    kept: list[dict[str, Any]] = []
    judge = prices.Judge(TOKYO, None, kept.append)
    for slot in range(2 * SLOTS):
        judge.learn(said(slot), at(slot, trusted=False))
    assert kept == []


def test_it_knows_the_weekend() -> None:
    line = prices.read(wrong()[1][-1])["mqtt buy"]
    found = prices.usual(line.ring)
    gap = found.shifts[1] - found.shifts[0]
    assert gap == pytest.approx(WEEKEND, abs=0.5)
    evening, friday = 37, 4 * SLOTS
    assert found.at(friday + evening) == pytest.approx(25.0, abs=2.0)


def test_it_is_kept_four_times_a_day_and_survives_a_restart() -> None:
    assert len(wrong()[1]) == 4 * 28
    text = json.dumps(wrong()[1][-1])
    assert len(text) < 60_000
    again = prices.Judge(TOKYO, json.loads(text), lambda kept: None)
    series = said(NOW, 4.0)
    one, two = (judge.estimate(series, at(NOW)) for judge in (wrong()[0], again))
    for a, b in zip(one.parts, two.parts, strict=True):
        assert a.buy_per_kwh == pytest.approx(b.buy_per_kwh, abs=0.01)


def test_no_more_sources_than_there_is_room_for() -> None:
    kept: list[dict[str, Any]] = []
    judge = prices.Judge(TOKYO, None, kept.append)
    for slot in range(2 * SLOTS + 1):
        judge.learn(replace(said(slot), source=f"s{slot}"), at(slot))
    assert len(kept[-1]) == prices.LINES_MAX
    assert f"s{2 * SLOTS - 1} buy" in kept[-1]


GOOD = taught(1)[1][-1]["mqtt buy"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"a": None},
        {"a": {}},
        {"a": {**GOOD, "ring": [1.0]}},
        {"a": {**GOOD, "counts": "x"}},
        {"a": {**GOOD, "squares": None}},
    ],
)
def test_a_store_that_lies_is_nothing_learnt(value: object) -> None:
    assert prices.read(value) == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "x", None, [1.0]])
def test_a_number_that_is_none_is_not_learnt(bad: object) -> None:
    row = {**GOOD, "ring": [bad] * prices.RING}
    assert set(prices.read({"a": row})["a"].ring) == {None}


PAST = st.lists(st.floats(-50.0, 50.0), min_size=1, max_size=40).map(
    lambda row: tuple(sorted(row))
)
SAID = st.floats(-200.0, 200.0)
VARIANCE = st.floats(0.0, 400.0)


@given(PAST, SAID, SAID, VARIANCE)
def test_a_dearer_hour_stays_the_dearer(
    past: tuple[float, ...], one: float, two: float, variance: float
) -> None:
    low, high = sorted((one, two))
    found = [prices.likely(price, variance, past) for price in (low, high)]
    assert found[0] <= found[1] + 1e-9


@given(PAST, SAID, VARIANCE)
def test_an_estimate_lies_within_all_that_can_be(
    past: tuple[float, ...], price: float, variance: float
) -> None:
    found = prices.likely(price, variance, past)
    assert min(*past, price) - 1e-9 <= found <= max(*past, price) + 1e-9


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (0.0, pytest.approx(0.0, abs=0.1)),
        # Normal: by the root of V / (V + error) = 0.447; the mean would be 0.2.
        (4.47, pytest.approx(2.0, abs=0.2)),
        (-4.47, pytest.approx(-2.0, abs=0.2)),
        (100.0, 100.0),  # nothing like it was seen: no error explains it
    ],
)
def test_normal_prices_shrink_as_theory_says(price: float, expected: float) -> None:
    normal = statistics.NormalDist(0.0, 2.0)
    past = tuple(normal.inv_cdf((n + 0.5) / 336) for n in range(336))
    assert prices.likely(price, 16.0, past) == expected


def test_without_errors_what_is_said_holds() -> None:
    assert prices.likely(3.0, 0.0, (0.0, 1.0)) == 3.0
    assert prices.likely(3.0, 9.0, ()) == 3.0
