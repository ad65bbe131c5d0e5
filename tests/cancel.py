"""What tests of lost cancels share: something that waits, and spoils a cancel once.
Owns no test."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Spoils:
    """Awaited like any method; the first cancel turns into `error`, or into nothing."""

    def __init__(self, error: Exception | None) -> None:
        self.reached = asyncio.Event()
        self._error = error
        self._spoilt = False

    async def __call__(self, *_: Any, **__: Any) -> None:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._spoilt:
                raise
            self._spoilt = True
            if self._error is not None:
                raise self._error from None

    async def ends(self, running: Coroutine[Any, Any, Any]) -> bool:
        """Whether `running`, cancelled once while it waits here, ends."""
        task = asyncio.create_task(running)
        await self.reached.wait()
        task.cancel()
        _, late = await asyncio.wait([task], timeout=5.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return not late and task.cancelled()
