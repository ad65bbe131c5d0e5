"""PhysicalValue of DIN 70121 and ISO 15118-2: numbers for the wire, and back.

Owns the rounding. Knows no message.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from chargerd.vehicle.iso15118.secc.limits import finite

VALUE_MAX = 32_767
MULTIPLIERS = range(-3, 4)


def physical(messages: ModuleType, value: float, unit: str) -> Any:
    """`value` as Value x 10^Multiplier, as exact as a short and -3..3 allow.

    What is beyond them is told as the largest that is not (a limit stays a limit).
    """
    value = finite(value)
    for multiplier in MULTIPLIERS:
        whole = round(value / 10.0**multiplier)
        if abs(whole) <= VALUE_MAX:
            while multiplier < 0 and whole % 10 == 0:
                multiplier, whole = multiplier + 1, whole // 10
            break
    else:
        whole = VALUE_MAX if value > 0.0 else -VALUE_MAX
    return messages.PhysicalValue(Multiplier=multiplier, Unit=unit, Value=whole)


def number(value: Any) -> float:
    """A PhysicalValue's number."""
    return float(value.Value) * float(10.0**value.Multiplier)


def maybe(value: Any) -> float | None:
    """The same for one that may be absent."""
    return None if value is None else number(value)
