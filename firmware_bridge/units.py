"""Numbers from and to the outside: finite, in range, with one sign convention.

Positive = into the vehicle (charge, grid import); negative = out of the vehicle
(discharge, grid export). Every edge converts once, here or in its codec, and has a
sign test. Units stand in names: `_w`, `_a`, `_v`, `_wh`, `_hz`, `_s`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


class BridgeError(Exception):
    """Any failure of the bridge: a dead bus, a device that answers nonsense."""


def finite(value: float, what: str) -> float:
    """Return `value` as a float, or raise BridgeError if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BridgeError(f"{what}: {value!r} is not a number")
    if not math.isfinite(value):
        raise BridgeError(f"{what}: {value!r} is not finite")
    return float(value)


@dataclass(frozen=True, slots=True)
class Range:
    """A closed interval with both ends, so that no check can forget the minimum."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:  # also refuses NaN
            raise BridgeError(f"range {self.low}..{self.high} is empty")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def clamp(self, value: float) -> float:
        """The nearest value inside; NaN becomes the end nearest to zero."""
        if value != value:
            return min(max(0.0, self.low), self.high)
        return min(max(value, self.low), self.high)
