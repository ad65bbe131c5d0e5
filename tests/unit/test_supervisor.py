"""Restart policies: services come back, essentials stop safely first, then escalate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from chargerd.notify import Notifier
from chargerd.supervisor import Child, EssentialFailed, Limits, Policy, Supervisor
from tests.cancel import Spoils

FAST = Limits(first_s=0.001, longest_s=0.004, failures=5, window_s=60.0)


class Plant:
    """Children that do as told, and a record of what happened in which order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def safe_stop(self, why: str) -> None:
        self.events.append(f"safe stop: {why}")

    def fails(self, name: str, times: int) -> Callable[[], Awaitable[None]]:
        left = [times]

        async def run() -> None:
            self.events.append(f"{name} starts")
            if left[0]:
                left[0] -= 1
                raise ValueError(f"{name} broke")
            try:
                await asyncio.Event().wait()
            finally:
                self.events.append(f"{name} ends")

        return run

    def supervisor(self, limits: Limits = FAST) -> Supervisor:
        return Supervisor(self.safe_stop, notifier=Notifier({}), limits=limits)


@asynccontextmanager
async def _running(
    supervisor: Supervisor, *children: Child
) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    with capture_logs():
        task = asyncio.create_task(supervisor.run(children, stop))
        try:
            yield stop
        finally:
            stop.set()
            async with asyncio.timeout(5):
                await task


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the plant has no events of its own
            await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_children_run_and_end_in_reverse_order() -> None:
    plant = Plant()
    supervisor = plant.supervisor()
    async with _running(
        supervisor, Child("a", plant.fails("a", 0)), Child("b", plant.fails("b", 0))
    ):
        await _until(lambda: "b starts" in plant.events)
    assert plant.events == ["a starts", "b starts", "b ends", "a ends"]
    assert supervisor.restarts == {"a": 0, "b": 0}


@pytest.mark.asyncio
async def test_a_task_that_lost_its_cancel_does_not_hold_the_stop() -> None:
    """A library deep inside a child may lose one (Python 3.11's wait_for does)."""
    plant = Plant()

    async def deaf() -> None:
        plant.events.append("deaf starts")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def child() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(deaf())

    supervisor = Supervisor(plant.safe_stop, notifier=Notifier({}), patience_s=0.01)
    async with _running(
        supervisor, Child("deaf", child), Child("a", plant.fails("a", 0))
    ):
        await _until(lambda: {"deaf starts", "a starts"} <= set(plant.events))
    assert plant.events[-1] == "a ends"


@pytest.mark.asyncio
async def test_a_child_whose_task_group_failed_starts_again() -> None:
    """Python 3.11's group leaves its task counted as cancelled."""
    plant = Plant()

    async def child() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(plant.fails("a", 1)())

    async with _running(plant.supervisor(), Child("a", child)):
        await _until(lambda: plant.events.count("a starts") == 3)


@pytest.mark.asyncio
async def test_a_failing_service_restarts_alone_and_stops_nothing() -> None:
    plant = Plant()
    supervisor = plant.supervisor()
    heart = Child("cycle", plant.fails("cycle", 0), Policy.ESSENTIAL)
    async with _running(supervisor, heart, Child("ocpp", plant.fails("ocpp", 9))):
        await _until(lambda: plant.events.count("ocpp starts") == 10)
        assert "ocpp" in supervisor.degraded  # too often, yet it goes on
        assert plant.events.count("cycle starts") == 1
    assert not [event for event in plant.events if "safe stop" in event]
    assert supervisor.restarts["ocpp"] == 9


@pytest.mark.asyncio
async def test_an_essential_child_is_stopped_safely_before_it_restarts() -> None:
    plant = Plant()
    child = Child("bridge", plant.fails("bridge", 1), Policy.ESSENTIAL)
    async with _running(plant.supervisor(), child):
        await _until(lambda: plant.events.count("bridge starts") == 2)
    assert plant.events[:3] == [
        "bridge starts",
        "safe stop: bridge: ValueError: bridge broke",
        "bridge starts",
    ]


@pytest.mark.asyncio
async def test_an_essential_child_that_returns_has_failed() -> None:
    plant = Plant()

    async def returns() -> None:
        plant.events.append("returns")

    child = Child("cycle", returns, Policy.ESSENTIAL)
    with capture_logs(), pytest.raises(EssentialFailed, match="it returned"):
        await plant.supervisor().run([child], asyncio.Event())
    assert plant.events.count("safe stop: cycle: it returned") == FAST.failures


@pytest.mark.asyncio
async def test_a_child_that_cancels_itself_is_restarted() -> None:
    plant = Plant()
    runs: list[int] = []

    async def cancels_itself() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    async with _running(plant.supervisor(), Child("ocpp", cancels_itself)):
        await _until(lambda: len(runs) == 3)


@pytest.mark.asyncio
async def test_an_essential_child_that_fails_too_often_ends_the_process() -> None:
    plant = Plant()
    children = [
        Child("bridge", plant.fails("bridge", 99), Policy.ESSENTIAL),
        Child("ocpp", plant.fails("ocpp", 0)),
    ]
    with capture_logs(), pytest.raises(EssentialFailed, match="bridge failed 5 times"):
        await plant.supervisor().run(children, asyncio.Event())
    assert plant.events.count("bridge starts") == 5
    assert plant.events[-2].startswith("safe stop: bridge")
    assert plant.events[-1] == "ocpp ends"


@pytest.mark.asyncio
async def test_a_safe_stop_that_fails_or_hangs_does_not_hold_the_escalation() -> None:
    plant = Plant()
    calls: list[str] = []

    async def bad_stop(why: str) -> None:
        calls.append(why)
        if len(calls) == 1:
            raise RuntimeError("stop broke, too")
        await asyncio.Event().wait()

    supervisor = Supervisor(
        bad_stop, notifier=Notifier({}), limits=FAST, safe_stop_timeout_s=0.01
    )
    child = Child("cycle", plant.fails("cycle", 99), Policy.ESSENTIAL)
    with capture_logs(), pytest.raises(EssentialFailed):
        await supervisor.run([child], asyncio.Event())
    assert len(calls) == FAST.failures


def test_back_off_doubles_to_the_longest_and_starts_anew_after_a_good_run() -> None:
    supervisor = Plant().supervisor(Limits(0.1, 30.0, failures=50, window_s=60.0))
    from chargerd.supervisor import _Record

    record = _Record()
    waits = []
    for _ in range(11):
        supervisor._note(record, ran_s=0.0)
        waits.append(record.wait_s)
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == 30.0
    supervisor._note(record, ran_s=61.0)
    assert record.wait_s == 0.1


@pytest.mark.asyncio
async def test_the_watchdog_is_fed_only_while_healthy() -> None:
    class Counting(Notifier):
        fed = 0

        def watchdog(self) -> None:
            self.fed += 1

    notifier = Counting({"WATCHDOG_USEC": "8000"})
    health: list[bool | Exception] = [True]

    def healthy() -> bool:
        if isinstance(health[0], Exception):
            raise health[0]
        return health[0]

    plant = Plant()
    supervisor = Supervisor(
        plant.safe_stop, healthy=healthy, notifier=notifier, limits=FAST
    )
    async with _running(supervisor, Child("a", plant.fails("a", 0))):
        await _until(lambda: notifier.fed >= 3)
        for sick in (False, RuntimeError("the check itself broke")):
            health[0] = sick
            before = notifier.fed
            await asyncio.sleep(0.03)
            assert notifier.fed == before
        health[0] = True
        await _until(lambda: notifier.fed > before)


@pytest.mark.asyncio
async def test_a_child_that_fails_when_it_is_to_end_has_ended() -> None:
    """A TaskGroup shows the error, not the cancel that it met."""
    spoils = Spoils(OSError("the line broke as well"))
    supervisor = Plant().supervisor()
    async with _running(supervisor, Child("a", spoils)):
        await spoils.reached.wait()
    assert supervisor.restarts == {"a": 0}
