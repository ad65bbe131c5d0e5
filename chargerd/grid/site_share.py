"""Sharing what is free among those who want it: promises first, then equal shares.

Pure. Must never give out more than there is, nor anybody more than it wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BUCKET_WH = 1000.0  # differences in energy smaller than this decide nothing


@dataclass(frozen=True, slots=True)
class Want:
    """Beyond what it has anyway. `least`: a smaller share is worth nothing to it."""

    most: float
    must: float = 0.0
    least: float = 0.0
    energy_wh: float = 0.0
    served: bool = False  # it has a share now: keeps its place for one more bucket


def shares(free: float, wants: Mapping[str, Want]) -> dict[str, float]:
    """Each one's share of `free`.

    Where not everybody can have its least, those with a promise come first, then who
    had the least energy; the others get nothing.
    """
    chosen: list[str] = []
    left = free
    for name in sorted(wants, key=lambda name: _place(name, wants[name])):
        want = wants[name]
        least = min(want.least, want.most)
        if want.most > 0.0 and least <= left:
            chosen.append(name)
            left -= least
    floors = {name: min(wants[name].least, wants[name].most) for name in chosen}
    musts = _fill(
        left, [(n, min(wants[n].must, wants[n].most) - floors[n]) for n in chosen]
    )
    left -= sum(musts.values())
    rest = [(n, wants[n].most - floors[n] - musts[n]) for n in chosen]
    more = _fill(left, rest)
    return {
        name: floors[name] + musts[name] + more[name] if name in floors else 0.0
        for name in wants
    }


def _place(name: str, want: Want) -> tuple[bool, int, str]:
    bucket = int(want.energy_wh / BUCKET_WH) - want.served
    return want.must <= 0.0, bucket, name


def _fill(free: float, wants: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Equal shares, nobody over its want: the smallest wants are met first."""
    given: dict[str, float] = {}
    left = max(0.0, free)
    ordered = sorted(wants, key=lambda item: item[1])
    for index, (name, want) in enumerate(ordered):
        share = left / (len(ordered) - index)
        given[name] = min(max(0.0, want), share)
        left -= given[name]
    return given
