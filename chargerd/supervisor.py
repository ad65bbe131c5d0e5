"""Keeps the daemon's parts alive: one-for-one restart, back-off, escalation.

After an essential child failed comes a safe stop (0 W), then its restart; too many
failures end the process non-zero, so that systemd begins anew. A service child never
touches the essential ones. The only place that catches `Exception`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import structlog

from chargerd.cancel import heed_cancel, heeding
from chargerd.notify import Notifier

log = structlog.get_logger(__name__)


class Policy(Enum):
    ESSENTIAL = "essential"  # bridge, cycle: failing means safe stop first
    SERVICE = "service"  # ocpp, grid, local, vehicle: power ends by its lease alone


@dataclass(frozen=True, slots=True)
class Child:
    """`start()` gives a coroutine that runs until cancelled; returning is a failure."""

    name: str
    start: Callable[[], Awaitable[None]]
    policy: Policy = Policy.SERVICE


@dataclass(frozen=True, slots=True)
class Limits:
    """Back-off doubles from `first_s` to `longest_s`; more than `failures` within
    `window_s` escalates. A child that ran `window_s` starts again at `first_s`."""

    first_s: float = 0.1
    longest_s: float = 30.0
    failures: int = 5
    window_s: float = 60.0


class EssentialFailed(Exception):
    """An essential child failed too often: the process must end non-zero."""


@dataclass(slots=True)
class _Record:
    failed_mono: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    wait_s: float = 0.0
    restarts: int = 0


class Supervisor:
    """Runs children until `stop` is set. `restarts` and `degraded` are for people."""

    def __init__(
        self,
        on_essential_failure: Callable[[str], Awaitable[None]],
        *,
        healthy: Callable[[], bool] = lambda: True,
        notifier: Notifier | None = None,
        limits: Limits | None = None,
        safe_stop_timeout_s: float = 10.0,
        patience_s: float = 5.0,
    ) -> None:
        """`patience_s` is for one child to end in, when all are to end."""
        self._safe_stop = on_essential_failure
        self._healthy = healthy
        self._notifier = notifier or Notifier()
        self._limits = limits or Limits()
        self._safe_stop_timeout_s = safe_stop_timeout_s
        self._patience_s = patience_s
        self._records: dict[str, _Record] = {}
        self.degraded: set[str] = set()  # services that failed too often lately

    @property
    def restarts(self) -> dict[str, int]:
        return {name: record.restarts for name, record in self._records.items()}

    async def run(self, children: Sequence[Child], stop: asyncio.Event) -> None:
        """Run all children until `stop`, then cancel them in reverse order.

        Raises EssentialFailed when an essential child failed too often.
        """
        over = asyncio.Event()
        failure: list[str] = []
        others = asyncio.all_tasks()

        def give_up(why: str) -> None:
            failure.append(why)
            over.set()

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._keep(child, give_up), name=child.name)
                for child in children
            ]
            beat = group.create_task(self._beat(), name="watchdog")
            stopped = group.create_task(_forward(stop, over), name="stop")
            await over.wait()
            # The last started goes first: doors before the bridge they stand on.
            for task in [*reversed(tasks), stopped, beat]:
                await self._end(task)
            await self._end_the_deaf(tasks, others)
        if failure:
            raise EssentialFailed(failure[0])

    async def _keep(self, child: Child, give_up: Callable[[str], None]) -> None:
        record = self._records.setdefault(child.name, _Record())
        while True:
            began = time.monotonic()
            try:
                await heeding(child.start())
                why = "it returned"
            except asyncio.CancelledError:
                heed_cancel()
                why = "it was cancelled from within"
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                log.exception("child failed", child=child.name)
            ran_s = time.monotonic() - began
            too_often = self._note(record, ran_s)
            if child.policy is Policy.ESSENTIAL:
                await self._stop_safely(child.name, why)
                if too_often:
                    give_up(
                        f"{child.name} failed {self._limits.failures} times in "
                        f"{self._limits.window_s:.0f} s, last: {why}"
                    )
                    return
            if too_often:
                self.degraded.add(child.name)
                record.wait_s = self._limits.longest_s
            else:
                self.degraded.discard(child.name)
            wait_s = record.wait_s * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            log.warning(
                "child restarts", child=child.name, why=why, wait_s=round(wait_s, 2)
            )
            await asyncio.sleep(wait_s)
            record.restarts += 1

    def _note(self, record: _Record, ran_s: float) -> bool:
        """Count a failure; returns whether they come too often."""
        limits = self._limits
        now = time.monotonic()
        if ran_s >= limits.window_s or not record.wait_s:
            record.wait_s = limits.first_s
        else:
            record.wait_s = min(record.wait_s * 2, limits.longest_s)
        record.failed_mono.append(now)
        recent = [at for at in record.failed_mono if now - at <= limits.window_s]
        return len(recent) >= limits.failures

    async def _stop_safely(self, name: str, why: str) -> None:
        try:
            async with asyncio.timeout(self._safe_stop_timeout_s):
                await self._safe_stop(f"{name}: {why}")
        except Exception:  # leases end by themselves: 0 W comes anyway
            log.exception("safe stop failed", child=name)

    async def _end(self, task: asyncio.Task[None]) -> None:
        """Cancel and wait, but not for ever."""
        task.cancel()
        _, late = await asyncio.wait([task], timeout=self._patience_s)
        if late:
            log.error("task does not end", task=task.get_name(), s=self._patience_s)

    async def _end_the_deaf(
        self, tasks: Sequence[asyncio.Task[None]], others: set[asyncio.Task[Any]]
    ) -> None:
        """Some task deep inside lost its cancel, and those above it wait: tell every
        task but the `others`, until all have heard. (systemd would end us only much
        later, and without the store closed.)"""
        while not all(task.done() for task in tasks):
            for task in asyncio.all_tasks() - others:
                task.cancel()
            await asyncio.wait(tasks, timeout=self._patience_s / 5)

    async def _beat(self) -> None:
        """Feed the watchdog, but only while the heart is healthy."""
        period_s = min(2.0, (self._notifier.watchdog_s or 4.0) / 4)
        was = True
        while True:
            try:
                is_healthy = bool(self._healthy())
            except Exception:
                log.exception("health check failed")
                is_healthy = False
            if is_healthy:
                self._notifier.watchdog()
            if is_healthy != was:
                log.warning("health changed", healthy=is_healthy)
                was = is_healthy
            await asyncio.sleep(period_s)


async def _forward(first: asyncio.Event, then: asyncio.Event) -> None:
    await first.wait()
    then.set()
