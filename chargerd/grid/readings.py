"""What a device says now, for doors that tell it: who is silent says nothing. Pure."""

from __future__ import annotations

from typing import TypeVar

from firmware_bridge.api import Reading

MAX_AGE_S = 3.0
T = TypeVar("T")


def fresh(reading: Reading[T] | None, now_mono: float) -> T | None:
    """Its value; None where there is none, or no new one any more."""
    if reading is None or reading.age_s(now_mono) > MAX_AGE_S:
        return None
    return reading.value
