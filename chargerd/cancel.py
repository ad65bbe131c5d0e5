"""A cancel that was lost on its way, found and obeyed.

Python 3.11 loses one that meets an error (`except*` around a TaskGroup) or an answer
(`wait_for`, which libraries use); who then loops would go on for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def heeding(work: Awaitable[T]) -> T:
    """What `work` gives, unless we were told to end meanwhile. It is a task of its own:
    a TaskGroup that fails leaves its task counted as cancelled (until Python 3.13)."""
    try:
        return await asyncio.ensure_future(work)
    finally:
        heed_cancel()


def heed_cancel() -> None:
    """Raises CancelledError if this task was told to end. Not after a TaskGroup."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
