"""The outbox side: order, groups, full and broken disks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from chargerd.ocpp import durable
from chargerd.ocpp.durable import Durable, unpack
from chargerd.ocpp.effects import Durability, Gate, OcppError, Save, Send
from chargerd.ocpp.frame import dump
from chargerd.ocpp.queue import Queue, Retry
from chargerd.ocpp.rpc import How
from chargerd.store.database import StoreError
from tests.unit.ocpp.fakes import FakeEntry, FakeOutbox


def unwanted(save: Save) -> None:
    raise AssertionError(f"{save} belongs to its message")


def message(number: int, kind: Durability = Durability.DURABLE) -> Send:
    return Send("TransactionEvent", {"seqNo": number}, kind, number)


class Counting(FakeOutbox):
    """Counts removals and thins; can fail some times."""

    def __init__(self) -> None:
        super().__init__()
        self.removals: list[list[int]] = []
        self.kept: list[int] = []
        self.thinnable: list[bool] = []
        self.failures = 0

    async def append(
        self,
        kind: str,
        body: bytes,
        *,
        thinnable: bool,
        put: tuple[str, str, Any] | None = None,
    ) -> int:
        self.thinnable.append(thinnable)
        return await super().append(kind, body, thinnable=thinnable, put=put)

    async def remove(self, ids: Sequence[int]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError("disk busy")
        self.removals.append(list(ids))
        await super().remove(ids)

    async def thin(self, keep: int) -> int:
        self.kept.append(keep)
        return 3


def unwaited(waiting: Counter[str]) -> None:
    """Nobody asks."""


@asynccontextmanager
async def running(outbox: FakeOutbox) -> AsyncIterator[tuple[Durable, Queue]]:
    queue = Queue()
    queue.link(True)
    queue.set_gate(Gate.OPEN)
    one = Durable(outbox, queue, lambda: None, unwanted, unwaited)
    task = asyncio.create_task(one.run())
    try:
        yield one, queue
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def answer_all(one: Durable, queue: Queue) -> list[int]:
    numbers = []
    while (item := queue.next(0.0)) is not None:
        numbers.append(item.send.payload["seqNo"])
        queue.ended(How.ANSWERED, {}, 0.0, Retry())
        one.remove(item.entry_id)
    return numbers


@pytest.mark.asyncio
async def test_order_and_removal_in_groups() -> None:
    outbox = Counting()
    async with running(outbox) as (one, queue):
        for number in range(20):
            one.add(message(number))
        assert await one.flush(5.0)
        assert answer_all(one, queue) == list(range(20))
        assert await one.flush(5.0)
        assert outbox.rows == {}
        assert outbox.removals == [list(range(1, 21))]


@pytest.mark.asyncio
async def test_a_removal_asked_during_another_is_not_forgotten() -> None:
    class Asking(Counting):
        async def remove(self, ids: Sequence[int]) -> None:
            await super().remove(ids)
            if 2 in self.rows:
                one.remove(2)

    outbox = Asking()
    async with running(outbox) as (one, _):
        one.add(message(1))
        one.add(message(2))
        assert await one.flush(5.0)
        one.remove(1)
        assert await one.flush(5.0)
        assert outbox.removals == [[1], [2]]


@pytest.mark.asyncio
async def test_a_failed_removal_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(durable, "RETRY_S", 0.001)
    outbox = Counting()
    async with running(outbox) as (one, queue):
        one.add(message(1))
        assert await one.flush(5.0)
        outbox.failures = 3
        answer_all(one, queue)
        assert await one.flush(5.0)
        assert outbox.rows == {}


@pytest.mark.asyncio
async def test_thinning_starts_when_the_disk_fills(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(durable, "MAX_STORED", 50)
    outbox = Counting()
    async with running(outbox) as (one, _):
        for number in range(durable.COUNT_EVERY):
            one.add(message(number, Durability.THINNABLE))
        one.add(message(999))
        assert await one.flush(5.0)
        assert outbox.kept == [45]
        assert one.lost == 3
        assert outbox.thinnable == [True] * durable.COUNT_EVERY + [False]


@pytest.mark.asyncio
async def test_a_dead_disk_bounds_memory_and_keeps_what_must_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(durable, "MAX_UNWRITTEN", 10)
    # Its task does not run.
    one = Durable(FakeOutbox(), Queue(), lambda: None, unwanted, unwaited)
    for number in range(20):
        one.add(message(number, Durability.THINNABLE))
    one.add(message(20))
    assert one.lost == 10
    assert len(one._unwritten) == 11
    assert not await one.flush(0.001)


def test_what_is_not_json_is_refused() -> None:
    one = Durable(FakeOutbox(), Queue(), lambda: None, unwanted, unwaited)
    with pytest.raises(OcppError, match="not JSON"):
        one.add(Send("TransactionEvent", {"x": object()}, Durability.DURABLE))


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b'{"a":'])
def test_a_damaged_entry_becomes_a_message_nobody_knows(body: bytes) -> None:
    assert unpack(FakeEntry(1, "TransactionEvent", body)).action == "damaged"


@pytest.mark.asyncio
async def test_a_record_goes_with_its_message_or_alone_when_the_disk_fails() -> None:
    outbox, queue, saved = FakeOutbox(), Queue(), list[Save]()
    one = Durable(outbox, queue, lambda: None, saved.append, unwaited)
    task = asyncio.create_task(one.run())
    first, second = (Save("transaction", "1", {"seq_no": n}) for n in (1, 2))
    one.add(replace(message(1), save=first))
    assert await one.flush(5.0)
    outbox.broken = True
    one.add(replace(message(2), save=second))
    await asyncio.sleep(0.01)
    assert outbox.records == [("transaction", "1", {"seq_no": 1})]
    assert saved == [second]  # its message goes on from memory
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def of(transaction: str) -> Send:
    info = {"transactionInfo": {"transactionId": transaction}}
    return Send("TransactionEvent", info, Durability.DURABLE, 1)


@pytest.mark.asyncio
@pytest.mark.req("E14.FR.04", "E14.FR.05")
async def test_the_station_learns_what_an_earlier_run_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In slices, and without what was answered meanwhile."""
    monkeypatch.setattr(durable, "COUNT_SLICE", 2)
    outbox = FakeOutbox()
    for name in ("a", "a", "b"):
        await outbox.append(
            "TransactionEvent", dump(of(name).payload).encode(), thinnable=False
        )
    await outbox.append("SecurityEventNotification", b"{}", thinnable=False)
    told: list[Counter[str]] = []
    one = Durable(outbox, Queue(), lambda: None, unwanted, told.append)
    one.add(of("c"))
    one.remove(3)
    task = asyncio.create_task(one.run())
    assert await one.flush(5.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told == [Counter(a=2, c=1)]


class Failing(Counting):
    """The first look after thinning fails."""

    async def batch(self, after: int, limit: int) -> list[FakeEntry]:
        if len(self.kept) == 1:
            self.kept.append(0)
            raise StoreError("disk busy")
        return await super().batch(after, limit)


@pytest.mark.asyncio
async def test_after_thinning_it_is_counted_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(durable, "COUNT_EVERY", 4)
    monkeypatch.setattr(durable, "MAX_STORED", 3)
    monkeypatch.setattr(durable, "RETRY_S", 0.001)
    outbox = Failing()
    told: list[Counter[str]] = []
    one = Durable(outbox, Queue(), lambda: None, unwanted, told.append)
    for name in ("a", "b", "a", "a"):
        one.add(of(name))
    task = asyncio.create_task(one.run())
    assert await one.flush(5.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told[-1] == Counter(a=3, b=1)
    assert len(told) == 2
