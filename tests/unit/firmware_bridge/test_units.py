"""Numbers from outside: finite, in range, clamped towards zero."""

from __future__ import annotations

import math

import pytest

from firmware_bridge.units import BridgeError, Range, finite


@pytest.mark.parametrize("value", [0, -3, 2.5, 1e300])
def test_finite_numbers_pass_as_floats(value: float) -> None:
    assert finite(value, "x") == value
    assert type(finite(value, "x")) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", None])
def test_everything_else_is_refused_by_name(value: float) -> None:
    with pytest.raises(BridgeError, match="stage current"):
        finite(value, "stage current")


@pytest.mark.parametrize(("low", "high"), [(1, 0), (math.nan, 1), (0, math.nan)])
def test_an_empty_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(BridgeError, match="empty"):
        Range(low, high)


@pytest.mark.parametrize(
    ("value", "inside", "clamped"),
    [
        (-10.0, True, -10.0),
        (5.0, True, 5.0),
        (-10.1, False, -10.0),
        (math.inf, False, 5.0),
        (-math.inf, False, -10.0),
        (math.nan, False, 0.0),
    ],
)
def test_range(value: float, inside: bool, clamped: float) -> None:
    allowed = Range(-10.0, 5.0)
    assert (value in allowed) is inside
    assert allowed.clamp(value) == clamped


@pytest.mark.parametrize(("low", "high", "zero"), [(2.0, 5.0, 2.0), (-5, -2, -2)])
def test_nan_goes_to_the_end_nearest_to_zero(
    low: float, high: float, zero: float
) -> None:
    assert Range(low, high).clamp(math.nan) == zero
