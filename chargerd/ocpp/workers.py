"""Runs the station's jobs, each a task of its own beside the link.

Owns their life: start, values in order, cancel. Knows no kind of job; those are in
`chargerd.ocpp.jobs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import structlog

from chargerd.ocpp.effects import OcppError, Work

log = structlog.get_logger(__name__)

Worker = Callable[[Any], AsyncIterator[Any]]


class Workers:
    def __init__(
        self,
        kinds: Mapping[type, Worker],
        worked: Callable[[int, Any], None],
        over: Callable[[int], None],
    ) -> None:
        """`worked(handle, value)` for each value, an OcppError being the last one;
        `over(handle)` once nothing more comes, unless the job was stopped."""
        self._kinds = kinds
        self._worked = worked
        self._over = over
        self._waiting: asyncio.Queue[Work] = asyncio.Queue()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped: set[int] = set()  # before they began

    def start(self, work: Work) -> None:
        self._waiting.put_nowait(work)

    def stop(self, handle: int) -> None:
        """Nothing more comes from it, not even its end."""
        task = self._tasks.pop(handle, None)
        if task is None:
            self._stopped.add(handle)
        else:
            task.cancel()

    async def run(self) -> None:
        """For ever; when it ends, all jobs end, and the next run says so."""
        for handle in tuple(self._tasks):
            del self._tasks[handle]
            self._worked(handle, OcppError("it was broken off"))
            self._over(handle)
        async with asyncio.TaskGroup() as group:
            while True:
                work = await self._waiting.get()
                if work.handle in self._stopped:
                    self._stopped.discard(work.handle)
                    continue
                self._tasks[work.handle] = group.create_task(self._do(work))

    def _worker(self, task: object) -> Worker:
        worker = self._kinds.get(type(task))
        if worker is None:
            raise OcppError(f"nobody does {type(task).__name__} here")
        return worker

    async def _do(self, work: Work) -> None:
        name = type(work.task).__name__
        log.info("ocpp.work", task=name)
        try:
            async for value in self._worker(work.task)(work.task):
                self._worked(work.handle, value)
        except OcppError as error:
            log.warning("ocpp.work_failed", task=name, why=error.description)
            self._worked(work.handle, error)
        self._tasks.pop(work.handle, None)
        self._over(work.handle)
