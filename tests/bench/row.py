"""One figure of `make bench`, and percentiles. Owns no measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`goal` is text such as "<= 20" or "" where there is none."""

    name: str
    value: float
    unit: str
    goal: str = ""
    note: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of `values` lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
