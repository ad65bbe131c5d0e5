"""The clock of a server that we ask, for as long as ours is not known.

Pure. Servers tell their time to the second: it is only used while nothing better is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chargerd.clock import Now

JITTER_S = 5.0


class ServerClock:
    """Must never correct a clock that is trusted."""

    def __init__(self) -> None:
        self._skew: timedelta | None = None

    def learn(self, utc: datetime, now: Now) -> bool:
        """The server's time now; True if what we believe has changed."""
        if now.trusted:
            return False
        skew = utc - now.utc
        was = self._skew
        if was is not None and abs((skew - was).total_seconds()) <= JITTER_S:
            return False
        self._skew = skew
        return True

    def told(self, now: Now) -> Now:
        """`now`, by the best clock there is."""
        if now.trusted or self._skew is None:
            return now
        return Now(now.mono, now.utc + self._skew, trusted=True)
