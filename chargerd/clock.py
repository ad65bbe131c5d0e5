"""The two clocks: monotonic for every timeout, UTC only for stamps.

Cores get a `Now`; only shells make one. `trusted` is False until something (NTP, the
CSMS's BootNotification answer) has said that the wall clock is right.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Now:
    """One instant on both clocks. `utc` is always timezone-aware."""

    mono: float
    utc: datetime
    trusted: bool = True

    def utc_at(self, mono: float) -> datetime:
        """The UTC stamp of another monotonic instant."""
        return self.utc + timedelta(seconds=mono - self.mono)

    def mono_at(self, utc: datetime) -> float:
        """The monotonic instant of a UTC stamp."""
        return self.mono + (utc - self.utc).total_seconds()


class Clock:
    """Reads the machine's clocks, corrected by the offset the central system gave."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._trusted = False

    def trust(self) -> None:
        """The machine's clock has been set by somebody who knows."""
        self._trusted = True

    def now(self) -> Now:
        return Now(time.monotonic(), datetime.now(UTC) + self._offset, self._trusted)

    def learn(self, utc: datetime, *, keep_within_s: float = 2.0) -> timedelta:
        """Take `utc` as the right time now; returns the step made (0 within tolerance).

        We may not set the machine's clock (ProtectClock=yes), so we keep an offset.
        """
        error = utc - (datetime.now(UTC) + self._offset)
        self._trusted = True
        if abs(error.total_seconds()) <= keep_within_s:
            return timedelta(0)
        self._offset += error
        return error
