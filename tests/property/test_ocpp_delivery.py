"""Durable messages over any mix of links, answers, silence, slow disks and kill -9.

Nothing that the disk took is lost, nothing overtakes, and what was answered is not sent
again: in the same run never, in the next one only if the disk had not heard of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from chargerd.ocpp import durable, queue
from chargerd.ocpp.durable import Durable
from chargerd.ocpp.effects import CallError, Durability, Gate, Save, Send
from chargerd.ocpp.queue import Queue, Retry
from chargerd.ocpp.rpc import How, Outcome, Rpc
from chargerd.ocpp.schemas import Schemas
from tests.unit.ocpp.fakes import FakeEntry

SCHEMAS = Schemas("ocpp2.1")
RETRY = Retry(attempts=2, interval_s=8.0)
TIMEOUT_S = 30.0
TURNS = ["answers", "answers", "refuses", "is_silent", "dies_before", "dies_after"]
NOON = "2026-11-23T12:00:00Z"


def event(number: int) -> Send:
    payload = {
        "eventType": "Updated",
        "timestamp": NOON,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": {"transactionId": "t"},
    }
    return Send("TransactionEvent", payload, Durability.DURABLE, number)


class Disk:
    """An outbox whose writes wait until the test lets each of them happen."""

    def __init__(self) -> None:
        self.rows: dict[int, FakeEntry] = {}
        self.newest = 0
        self.waiting: deque[tuple[str, Any, asyncio.Future[int]]] = deque()

    async def append(
        self, kind: str, body: bytes, *, thinnable: bool, put: Any = None
    ) -> int:
        return await self._write("append", (kind, body))

    async def remove(self, ids: Sequence[int]) -> None:
        await self._write("remove", tuple(ids))

    async def batch(self, after: int, limit: int) -> list[FakeEntry]:
        return [row for key, row in sorted(self.rows.items()) if key > after][:limit]

    async def count(self) -> int:
        return len(self.rows)

    async def thin(self, keep: int) -> int:
        return 0

    async def _write(self, what: str, value: Any) -> int:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiting.append((what, value, done))
        return await done

    def happen(self) -> None:
        """The oldest write that waits reaches the disk."""
        what, value, done = self.waiting.popleft()
        if what == "append":
            self.newest += 1
            self.rows[self.newest] = FakeEntry(self.newest, *value)
        else:
            for number in value:
                self.rows.pop(number, None)
        if not done.done():
            done.set_result(self.newest)

    def numbers(self) -> set[int]:
        """The seqNo of what is here."""
        return {json.loads(row.body)["seqNo"] for row in self.rows.values()}


class Delivery(RuleBasedStateMachine):
    """One station over many runs, its disk, and a CSMS that notes what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.disk = Disk()
        self.ids = (f"m{n}" for n in itertools.count())
        self.made = 0
        self.now = 0.0
        self.stored: set[int] = set()  # was on the disk at some time
        self.refused: dict[int | None, int] = {}  # how often, by a CALLERROR
        self.got: list[int] = []
        self.start()

    def start(self) -> None:
        """A run of the daemon begins."""
        self.queue = Queue()
        self.queue.set_gate(Gate.OPEN)
        self.durable = Durable(
            self.disk, self.queue, lambda: None, self.no_save, lambda waiting: None
        )
        self.task = self.loop.create_task(self.durable.run())
        self.rpc: Rpc | None = None
        self.done: set[int] = set()  # settled in this run
        self.began_with = self.disk.numbers()
        self.settle()

    def no_save(self, save: Save) -> None:
        raise AssertionError("nothing is saved alone here")

    def settle(self) -> None:
        """Let the disk's task come to rest."""
        for _ in range(12):
            self.loop.run_until_complete(asyncio.sleep(0))
        assert not self.task.done(), self.task
        self.stored |= self.disk.numbers()

    # The world

    @rule(number=st.integers(1, 6), writes=st.integers(0, 6))
    def something_happens(self, number: int, writes: int) -> None:
        for _ in range(number):
            self.durable.add(event(self.made))
            self.made += 1
        self.settle()
        self.the_disk_works(writes)

    @rule()
    def small_talk(self) -> None:
        self.queue.push(Send("Heartbeat", {}))

    @rule(writes=st.integers(1, 4))
    def the_disk_works(self, writes: int) -> None:
        for _ in range(min(writes, len(self.disk.waiting))):
            self.disk.happen()
            self.settle()

    @rule(turns=st.lists(st.sampled_from(TURNS), min_size=1, max_size=6))
    def messages_go(self, turns: list[str]) -> None:
        for turn in turns:
            self.now += 5.0
            if self.rpc is None:
                self.link_up()
            sent = self.send()
            if sent:
                getattr(self, turn)(*sent)

    @precondition(lambda self: self.rpc is not None)
    @rule()
    def the_link_dies(self) -> None:
        rpc, self.rpc = self.rpc, None
        self.take(rpc.lost(self.now) if rpc else [])
        self.queue.link(False)

    @rule(seconds=st.sampled_from([1.0, 10.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(torn=st.booleans())
    def kill_9(self, torn: bool) -> None:
        """A write on its way may still have reached the disk, or not."""
        if torn and self.disk.waiting:
            self.disk.happen()
        self.end()
        self.stored |= self.disk.numbers()
        self.start()

    # What becomes of one message

    def link_up(self) -> None:
        self.rpc = Rpc("ocpp2.1", SCHEMAS, self.ids.__next__)
        self.queue.link(True)

    def send(self) -> tuple[str, int | None] | None:
        """The id of what went out, and its number if it is one of ours."""
        if self.queue.need_load() is not None:
            self.durable.nudge()
            self.settle()
        item = self.queue.next(self.now)
        if item is None or self.rpc is None:
            return None
        send = item.send
        text = self.rpc.call(send.action, send.payload, self.now, TIMEOUT_S)
        return json.loads(text)[1], send.payload.get("seqNo")

    def answers(self, message_id: str, number: int | None) -> None:
        self.note(number)
        self.hear([3, message_id, {"currentTime": NOON} if number is None else {}])

    def refuses(self, message_id: str, number: int | None) -> None:
        self.note(number)
        self.refused[number] = self.refused.get(number, 0) + 1
        self.hear([4, message_id, "InternalError", "", {}])

    def is_silent(self, message_id: str, number: int | None) -> None:
        self.note(number)
        self.now += TIMEOUT_S + 1.0
        assert self.rpc is not None
        events = self.rpc.on_timer(self.now)
        assert [e.how for e in events if isinstance(e, Outcome)] == [How.MUTE]
        self.take(events)
        self.the_link_dies()

    def dies_before(self, message_id: str, number: int | None) -> None:
        self.the_link_dies()

    def dies_after(self, message_id: str, number: int | None) -> None:
        self.note(number)
        self.the_link_dies()

    def hear(self, frame: list[Any]) -> None:
        assert self.rpc is not None
        self.take(self.rpc.receive(json.dumps(frame), self.now))

    # The laws

    def note(self, number: int | None) -> None:
        """The CSMS has got this message."""
        if number is None:
            return
        assert number not in self.done, "settled in this run, and sent again"
        if self.got and number < max(self.got):
            assert number in self.got, "overtaken"
            assert number in self.began_with | {max(self.got)}, "sent again for nothing"
        missing = {n for n in self.stored if n < number} - set(self.got)
        assert not missing, f"{missing} overtaken by {number}"
        self.got.append(number)

    def take(self, events: Sequence[Any]) -> None:
        for event_ in events:
            if not isinstance(event_, Outcome):
                continue
            done = self.queue.ended(event_.how, event_.answer, self.now, RETRY)
            if done is None or not done.item.entry_id:
                continue
            number = done.item.send.payload["seqNo"]
            if isinstance(done.answer, CallError):
                assert self.refused.get(number, 0) >= RETRY.attempts, (
                    "given up too early"
                )
            self.done.add(number)
            self.durable.remove(done.item.entry_id)
            self.settle()

    def end(self) -> None:
        self.task.cancel()
        self.loop.run_until_complete(asyncio.gather(self.task, return_exceptions=True))
        self.disk.waiting.clear()

    def teardown(self) -> None:
        """In the end there is a good link, and time: all arrives, the disk is empty."""
        for _ in range(6 * self.made + 20):
            self.the_disk_works(9)
            self.messages_go(["answers"])
            self.now += RETRY.interval_s
        self.the_disk_works(9)
        left = self.disk.numbers()
        self.end()
        self.loop.close()
        assert self.stored <= set(self.got)
        assert left == set()


class TestDelivery(Delivery.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

    @pytest.fixture(autouse=True)
    def small_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that some messages wait on the disk only."""
        monkeypatch.setattr(queue, "WINDOW", 3)
        monkeypatch.setattr(durable, "WINDOW", 3)
