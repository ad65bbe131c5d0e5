"""The restart loop: each transport and device under its own, none touches another.

Only BridgeError and OSError restart; anything else is a bug and goes up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from firmware_bridge.health import Stats
from firmware_bridge.units import BridgeError

log = structlog.get_logger(__name__)

FIRST_S = 0.1
LONGEST_S = 2.0
LOGGED_ERRORS = 8  # different ones, until the next good answer
STEADY_S = 10.0  # a run this long was a success, whatever ended it


async def keep_running(
    run: Callable[[], Awaitable[None]],
    stats: Stats,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run for ever: on failure count, wait 0.1 s doubling to 2 s, and go on.

    Good answers or a long run reset the wait. Logs each new error once.
    """
    wait_s = FIRST_S
    logged: set[str] = set()
    while True:
        started, good = clock(), stats.good
        try:
            await run()
            error = "ended by itself"
        except (BridgeError, OSError) as failure:
            error = str(failure) or type(failure).__name__
        if stats.good > good or clock() - started > STEADY_S:
            wait_s = FIRST_S
            logged.clear()
        stats.restarted(error)
        if error not in logged and len(logged) < LOGGED_ERRORS:
            log.warning("bridge.restart", device=stats.name, error=error, wait_s=wait_s)
            logged.add(error)
        await sleep(wait_s)
        wait_s = min(LONGEST_S, wait_s * 2)
