"""Priced parts that overlap: at each moment the best rank's price is told."""

from __future__ import annotations

import pytest

from chargerd.grid.windows import Priced, series

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
