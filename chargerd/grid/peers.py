"""Peers of protocols without passwords: who is heard, and how often.

Pure, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

BURST_S = 4.0  # so many seconds' worth may come at once
MOST_KEYS = 64  # the one that was quiet longest is forgotten


class Rate:
    """`per_s` messages a second and key."""

    def __init__(self, per_s: float) -> None:
        self._per_s, self._full = per_s, max(1.0, per_s * BURST_S)
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, at_mono

    def take(self, key: str, now_mono: float) -> bool:
        """True if one more is within the rate."""
        tokens, at_mono = self._buckets.pop(key, (self._full, now_mono))
        tokens = min(self._full, tokens + (now_mono - at_mono) * self._per_s)
        if len(self._buckets) >= MOST_KEYS:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = (tokens - (tokens >= 1.0), now_mono)
        return tokens >= 1.0


def within(address: IPv4Address, networks: Iterable[IPv4Network]) -> bool:
    """Is it in one of them?"""
    return any(address in network for network in networks)
