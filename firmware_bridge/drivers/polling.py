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
    """Await `poll` each `period_s`; raise BridgeError after three misses in a row."""
    misses = 0
    while True:
        started = clock()
        try:
            await poll()
            stats.answered(clock())
            misses, wait_s = 0, period_s
        except BridgeError as error:
            stats.failed(str(error))
            misses, wait_s = misses + 1, min(period_s, RETRY_S)
            if misses >= MISSES_TO_RESTART:
                raise
        await sleep(max(0.0, started + wait_s - clock()))
