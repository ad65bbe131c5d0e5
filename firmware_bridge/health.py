"""Counts of one device: health comes from good answers and their age.

Owns no clock: callers pass `now_mono`. An open transport proves nothing (a dead RTU
peer stays "connected" for ever), so it is not counted at all.
"""

from __future__ import annotations

import math

from firmware_bridge.api import DeviceHealth

MAX_TEXT = 200


class Stats:
    """Mutable counters, owned by the bridge, fed by one driver."""

    __slots__ = (
        "_good_mono",
        "bad",
        "good",
        "last_error",
        "name",
        "restarts",
        "stale_s",
    )

    def __init__(self, name: str, stale_s: float = 1.0) -> None:
        self.name = name
        self.stale_s = stale_s  # ok means: the last good answer is younger than this
        self.good = 0
        self.bad = 0
        self.restarts = 0
        self.last_error = ""
        self._good_mono = -math.inf

    def answered(self, now_mono: float) -> None:
        self.good += 1
        self._good_mono = now_mono

    def failed(self, error: str) -> None:
        self.bad += 1
        self.last_error = error[:MAX_TEXT]

    def restarted(self, error: str) -> None:
        self.restarts += 1
        self.last_error = error[:MAX_TEXT]

    def health(self, now_mono: float) -> DeviceHealth:
        return DeviceHealth(
            name=self.name,
            ok=now_mono - self._good_mono <= self.stale_s,
            good=self.good,
            bad=self.bad,
            restarts=self.restarts,
            last_error=self.last_error,
        )
