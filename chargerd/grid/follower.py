"""What events want: reckoned one at a time, beside the loop; and its way to the heart.

A hostile list of events takes tens of milliseconds: never on the loop (law 7).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from chargerd.clock import Now
from chargerd.grid.ports import Ports
from chargerd.grid.work import Work, hand_over

TICK_S = 0.25


class Core(Protocol):
    """Follows events."""

    refused: Counter[str]

    def tick(self, now: Now) -> Callable[[], Work] | None: ...
    def reckoned(self, work: Work, now: Now) -> Work: ...


class Follower:
    """Of one core."""

    def __init__(self, core: Core, ports: Ports, namespace: str) -> None:
        self._core, self._ports, self._namespace = core, ports, namespace
        self._one = asyncio.Lock()

    async def run(self) -> None:
        """Also while the server lets us wait."""
        while True:
            await self.follow()
            await asyncio.sleep(TICK_S)

    async def follow(self) -> None:
        """What the events want now."""
        async with self._one:
            job = self._core.tick(self._ports.now())
            if job is None:
                return
            made = await asyncio.to_thread(job)
            work = self._core.reckoned(made, self._ports.now())
            hand_over(work, self._ports, self._namespace, self._core.refused)
