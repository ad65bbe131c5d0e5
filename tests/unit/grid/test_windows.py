"""Priced parts that overlap: at each moment the best rank's price is told."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from chargerd.grid.windows import NO_END_S, Priced, Window, compose, series, towards
from tests.unit.grid.stand import at, report

Told = list[tuple[float, float]]


@pytest.mark.parametrize(
    ("parts", "told", "until"),
    [
        ([(0, 100, 0, 1.0)], [(0, 1.0)], 100),
        # A peak that is to come is known before it begins.
        ([(0, 100, 0, 1.0), (40, 60, 1, 9.0)], [(0, 1.0), (40, 9.0), (60, 1.0)], 100),
        ([(0, 60, 1, 9.0), (40, 100, 0, 1.0)], [(0, 9.0), (60, 1.0)], 100),
        # Of one rank the earlier one goes first.
        ([(0, 60, 0, 1.0), (40, 100, 0, 2.0)], [(0, 1.0), (60, 2.0)], 100),
        ([(0, 50, 0, 1.0), (50.5, 90, 0, 2.0)], [(0, 1.0), (50, 2.0)], 90),
        ([(0, 50, 0, 1.0), (52, 90, 0, 2.0)], [(0, 1.0)], 50),  # a gap ends it
        ([(0, 50, 0, 1.0), (50, 90, 0, 1.0)], [(0, 1.0), (50, 1.0)], 90),
    ],
)
def test_one_series(
    parts: list[tuple[float, float, int, float]], told: Told, until: float
) -> None:
    found = series("x", [Priced(*part) for part in parts], "EUR", 20)
    assert found is not None
    assert [(p.start_mono, p.buy_per_kwh) for p in found.parts] == told
    assert found.until_mono == until


def test_no_parts_no_series_and_not_too_many() -> None:
    assert series("x", [], "EUR", 20) is None
    found = series("x", [Priced(n, n + 1, 0, n) for n in range(600)], "EUR", 20)
    assert found is not None
    assert len(found.parts) == 512
    assert found.until_mono == 512.0


NOW = at(100.0)


@pytest.mark.parametrize(
    ("windows", "until", "told", "end"),
    [
        ([Window(100.0, 200.0, 0, 1.0)], 500.0, [(100.0, 1.0)], 200.0),
        ([Window(50.0, 200.0, 0, 1.0)], 500.0, [(100.0, 1.0)], 200.0),  # has begun
        ([Window(100.0, 200.0, 0, 1.0)], 150.0, [(100.0, 1.0)], 150.0),
        (
            [Window(100.0, 200.0, 0, 1.0), Window(300.0, 400.0, 0, 2.0)],
            500.0,
            [(100.0, 1.0), (200.0, None), (300.0, 2.0)],  # nothing between them
            400.0,
        ),
        (
            [Window(100.0, 200.0, 0, 1.0), Window(300.0, 400.0, 0, 2.0)],
            300.0,  # the second one begins when all is over
            [(100.0, 1.0)],
            200.0,
        ),
        ([Window(100.0, 200.0, 0, 1.0), Window(100.0, 150.0, 1, 2.0)], 500.0,
         [(100.0, 2.0), (150.0, 1.0)], 200.0),
    ],
)  # fmt: skip
def test_windows_are_one_signal(
    windows: list[Window],
    until: float,
    told: list[tuple[float, float | None]],
    end: float,
) -> None:
    found = compose("x", 1, windows, until, NOW)
    assert found is not None
    assert [(s.start_mono, s.setpoint_w) for s in found.segments] == told
    assert found.valid_until_mono == end


@pytest.mark.parametrize(
    "windows", [[], [Window(0.0, 100.0, 0, 1.0)], [Window(500.0, 600.0, 0, 1.0)]]
)
def test_no_window_in_time_no_signal(windows: list[Window]) -> None:
    assert compose("x", 1, windows, 500.0, NOW) is None


@pytest.mark.parametrize(
    ("limits", "caps"),
    [((None, None), False), ((1.0, None), True), ((None, -1.0), True)],
)
def test_what_is_a_cap(limits: tuple[float | None, float | None], caps: bool) -> None:
    assert Window(0.0, 1.0, 0, None, *limits).caps is caps


@pytest.mark.parametrize(
    ("target_wh", "seconds", "power_w"),
    [
        (30_000.0, 4 * 3600.0, 2000.0),
        (14_000.0, 4 * 3600.0, -2000.0),
        (22_040.0, 1.0, 2400.0),  # as if there were a minute left
        (30_000.0, 60.0, 7000.0),
        (14_000.0, 60.0, -6000.0),
        (24_000.0, math.inf, 2000.0 * 3600.0 / NO_END_S),
    ],
)
def test_the_even_power_to_a_stored_energy(
    target_wh: float, seconds: float, power_w: float
) -> None:
    """22 kWh are in the vehicle."""
    made = report()
    vehicle = replace(made.snapshot.vehicle, capacity_wh=40_000.0)
    seen = replace(made, snapshot=replace(made.snapshot, vehicle=vehicle))
    found = towards(target_wh, seen, NOW.mono + seconds, (7000.0, 6000.0), NOW)
    assert found == pytest.approx(power_w)
    assert towards(target_wh, made, NOW.mono + seconds, (7000.0, 6000.0), NOW) is None
    assert towards(target_wh, None, NOW.mono + seconds, (7000.0, 6000.0), NOW) is None
