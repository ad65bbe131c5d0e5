"""The poll loop that register-based drivers share: pace, count, give up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from firmware_bridge.health import Stats
from firmware_bridge.units import BridgeError

MISSES_TO_RESTART = 3  # then the restart loop's back-off spares the shared line
RETRY_S = 0.1


async def poll_for_ever(
    poll: Callable[[], Awaitable[None]],
    period_s: float,
    stats: Stats,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Await `poll` each `period_s`; raise BridgeError after three misses in a row.

    A device that has not spoken since the last restart has one try only, and a miss is
    followed by a real pause: each miss holds the line for its whole timeout, and the
    others on it live on what is left.
    """
    left = 1
    while True:
        started = clock()
        try:
            await poll()
            stats.answered(clock())
            left, pause_s = MISSES_TO_RESTART, started + period_s - clock()
        except BridgeError as error:
            stats.failed(str(error))
            left, pause_s = left - 1, min(period_s, RETRY_S)
            if left <= 0:
                raise
        await sleep(max(0.0, pause_s))
