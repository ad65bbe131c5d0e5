"""Jobs beside the loop: values in order, failures as values, stops that stick."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chargerd.ocpp.effects import OcppError, Work
from chargerd.ocpp.jobs import certificates, firmware
from chargerd.ocpp.jobs.build import workers
from chargerd.ocpp.jobs.logs import PrepareLog
from chargerd.ocpp.jobs.samples import AppendSamples
from chargerd.ocpp.jobs.security_log import LogEvent
from chargerd.ocpp.jobs.transfer import Download, Upload
from chargerd.ocpp.jobs.vendor import AskVendor
from chargerd.ocpp.workers import Workers
from tests.unit.ocpp.station_rig import config

pytestmark = pytest.mark.asyncio


@dataclass(frozen=True)
class Count:
    to: int
    fails: bool = False


@dataclass(frozen=True)
class Wait:
    pass


async def count(task: Count) -> AsyncIterator[int]:
    for number in range(task.to):
        yield number
    if task.fails:
        raise OcppError("no more")


async def wait(task: Wait) -> AsyncIterator[str]:
    yield "began"
    await asyncio.Event().wait()
    yield "never"


async def run(drive: Callable[[Workers], None], events: int) -> list[tuple[int, Any]]:
    """Events until there are `events` of them and nothing more comes by itself."""
    seen: list[tuple[int, Any]] = []
    enough = asyncio.Event()

    def event(handle: int, value: Any) -> None:
        seen.append((handle, value))
        if len(seen) >= events:
            enough.set()

    workers = Workers(
        {Count: count, Wait: wait}, event, lambda handle: event(handle, "over")
    )
    running = asyncio.create_task(workers.run())
    drive(workers)
    async with asyncio.timeout(5):
        await enough.wait()
    drive_end = getattr(drive, "then", None)
    if drive_end is not None:
        drive_end(workers)
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return seen


async def test_values_come_in_order_then_the_end() -> None:
    seen = await run(lambda workers: workers.start(Work(7, Count(3))), 4)
    assert seen == [(7, 0), (7, 1), (7, 2), (7, "over")]


async def test_a_failure_is_the_last_value_and_others_go_on() -> None:
    def drive(workers: Workers) -> None:
        workers.start(Work(1, Count(1, fails=True)))
        workers.start(Work(2, Count(2)))

    seen = await run(drive, 6)
    first = [value for handle, value in seen if handle == 1]
    assert first[0] == 0
    assert isinstance(first[1], OcppError)
    assert first[2] == "over"
    assert [value for handle, value in seen if handle == 2] == [0, 1, "over"]


async def test_a_job_stopped_before_it_began_never_begins() -> None:
    def drive(workers: Workers) -> None:
        workers.start(Work(1, Count(9)))
        workers.stop(1)
        workers.start(Work(2, Count(1)))

    assert await run(drive, 2) == [(2, 0), (2, "over")]


async def test_a_stopped_job_says_nothing_more() -> None:
    class Drive:
        def __call__(self, workers: Workers) -> None:
            workers.start(Work(3, Wait()))

        def then(self, workers: Workers) -> None:
            workers.stop(3)
            workers.start(Work(4, Count(0)))

    assert await run(Drive(), 1) == [(3, "began"), (4, "over")]


async def test_all_jobs_end_with_the_runner() -> None:
    ended = asyncio.Event()

    async def stays(task: Wait) -> AsyncIterator[str]:
        try:
            yield "began"
            await asyncio.Event().wait()
        finally:
            ended.set()

    workers = Workers({Wait: stays}, lambda *_: None, lambda _: None)
    running = asyncio.create_task(workers.run())
    workers.start(Work(1, Wait()))
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_who_waits_for_a_job_of_a_runner_that_failed_is_told() -> None:
    seen: list[tuple[int, Any]] = []

    def event(handle: int, value: Any) -> None:
        seen.append((handle, value))
        if value == "began":
            raise ValueError("a bug in the station")

    workers = Workers({Wait: wait}, event, lambda handle: event(handle, "over"))
    workers.start(Work(1, Wait()))
    with pytest.raises(ExceptionGroup):
        await workers.run()
    running = asyncio.create_task(workers.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert [str(value) for _, value in seen] == ["began", "it was broken off", "over"]


async def test_each_kind_of_job_has_its_worker() -> None:
    kinds = {
        AppendSamples, AskVendor, Download, LogEvent, PrepareLog, Upload,
        *certificates.TASKS, *firmware.TASKS,
    }  # fmt: skip
    assert kinds <= set(workers(config()))
