"""The open connections of a server, so that the rig can end them all, quietly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

END_S = 1.0


class Peers:
    """Connections by the task that serves them."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Task[object], asyncio.StreamWriter] = {}

    @contextmanager
    def serving(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Around one connection's service; closes it at the end."""
        task = asyncio.current_task()
        if task is not None:
            self._open[task] = writer
        try:
            yield
        finally:
            if task is not None:
                self._open.pop(task, None)
            writer.close()

    async def end(self) -> None:
        """Abort every connection and wait for its service to notice."""
        tasks = list(self._open)
        for writer in self._open.values():
            writer.transport.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=END_S)
