"""The queue's disk side: append before it counts, load windows, remove in groups.

Owns the one task that talks to the outbox for OCPP, so that order on disk is the order
of the station's effects. A broken disk costs durability, never the message: it goes
on from memory.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog

from chargerd.ocpp.effects import Durability, Save, Send
from chargerd.ocpp.frame import dump
from chargerd.ocpp.queue import WINDOW, Queue, Stored
from chargerd.store.database import StoreError

log = structlog.get_logger(__name__)

MAX_STORED = 10_000  # then thinning starts (E12.FR.04)
MAX_UNWRITTEN = 2_000
DISK_TIMEOUT_S = 10.0
RETRY_S = 1.0
COUNT_EVERY = 100
COUNT_SLICE = 50  # about 2 ms of work


class Outbox(Protocol):
    """What the store offers (store.outbox.Outbox). Raises StoreError."""

    async def append(
        self,
        kind: str,
        body: bytes,
        *,
        thinnable: bool,
        put: tuple[str, str, Any] | None = None,
    ) -> int: ...
    async def batch(self, after: int, limit: int) -> Sequence[Stored]: ...
    async def remove(self, ids: Sequence[int]) -> None: ...
    async def count(self) -> int: ...
    async def thin(self, keep: int) -> int: ...


class Durable:
    """Feeds `queue`; `wake` is called when it has something new to send, `save` for
    the record of a message that does not reach the disk. `waiting` gets the number of
    messages by transaction that an earlier run, or thinning, left here."""

    def __init__(
        self,
        outbox: Outbox,
        queue: Queue,
        wake: Callable[[], None],
        save: Callable[[Save], None],
        waiting: Callable[[Counter[str]], None],
        thinned: Callable[[int], None] = lambda messages: None,
    ) -> None:
        self._outbox = outbox
        self._queue = queue
        self._wake = wake
        self._save = save
        self._waiting = waiting
        self._thinned = thinned
        self._unwritten: deque[tuple[Send, bytes]] = deque()
        self._removals: list[int] = []
        self._is_counted = False
        self._answered: set[int] | None = None  # while the backlog is counted
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._uncounted = 0
        self.lost = 0  # thinned or dropped for want of space

    def add(self, send: Send) -> None:
        """Take a durable message; it may be sent once it is on disk.

        Raises OcppError when its payload is not JSON.
        """
        body = dump(send.payload).encode()
        full = len(self._unwritten) >= MAX_UNWRITTEN
        if full and send.durability is Durability.THINNABLE:
            self.lost += 1
            return
        self._unwritten.append((send, body))
        self.nudge()

    def remove(self, entry_id: int) -> None:
        """Forget a message; those of one disk access go together."""
        self._removals.append(entry_id)
        if self._answered is not None:
            self._answered.add(entry_id)
        self.nudge()

    def nudge(self) -> None:
        """Look again whether there is something to do."""
        self._idle.clear()
        self._work.set()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is on disk; False when the time was too short."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """For ever. Disk trouble is logged and tried again."""
        while True:
            self._work.clear()
            try:
                if not self._is_counted:
                    await self._count_waiting()
                    self._is_counted = True
                async with asyncio.timeout(DISK_TIMEOUT_S):
                    await self._remove()
                    await self._load()
                while self._unwritten:
                    await self._append(*self._unwritten[0])
                    self._unwritten.popleft()
                await self._thin()
            except (StoreError, TimeoutError) as error:
                log.warning("ocpp.outbox_failed", error=str(error) or "timeout")
                await asyncio.sleep(RETRY_S)
                continue
            if not self._work.is_set():
                self._idle.set()
                await self._work.wait()  # our own tasks set it, nothing outside

    async def _append(self, send: Send, body: bytes) -> None:
        thinnable, save = send.durability is Durability.THINNABLE, send.save
        put = None if save is None else (save.namespace, save.key, save.value)
        try:
            async with asyncio.timeout(DISK_TIMEOUT_S):
                entry_id = await self._outbox.append(
                    send.action, body, thinnable=thinnable, put=put
                )
        except (StoreError, TimeoutError) as error:
            log.warning("ocpp.not_durable", action=send.action, error=str(error))
            if save is not None:
                self._save(save)
            self._queue.push(replace(send, durability=Durability.QUEUED))
        else:
            self._queue.stored(entry_id, send)
            self._uncounted += 1
        self._wake()

    async def _thin(self) -> None:
        if self._uncounted < COUNT_EVERY:
            return
        thinned = 0
        async with asyncio.timeout(DISK_TIMEOUT_S):
            if await self._outbox.count() > MAX_STORED:
                thinned = await self._outbox.thin(MAX_STORED * 9 // 10)
        self._uncounted = 0
        if thinned:
            self.lost += thinned
            log.warning("ocpp.outbox_thinned", messages=thinned)
            self._thinned(thinned)
            self._is_counted = False
            self.nudge()

    async def _count_waiting(self) -> None:
        """Tell which transactions have messages here (E14): after a start, and when
        thinning took some. In slices: it may be ten thousand."""
        gone = self._answered = set(self._removals)
        found: dict[int, str] = {}
        after = 0
        while True:
            async with asyncio.timeout(DISK_TIMEOUT_S):
                entries = await self._outbox.batch(after, COUNT_SLICE)
            found |= {entry.id: _transaction(unpack(entry)) for entry in entries}
            if len(entries) < COUNT_SLICE:
                break
            after = entries[-1].id
        count = Counter(t for n, t in found.items() if n not in gone)
        count.update(_transaction(send) for send, _ in self._unwritten)
        del count[""]
        self._answered = None
        self._waiting(count)

    async def _remove(self) -> None:
        ids = tuple(self._removals)
        if ids:
            await self._outbox.remove(ids)
            del self._removals[: len(ids)]

    async def _load(self) -> None:
        after = self._queue.need_load()
        if after is None:
            return
        entries = await self._outbox.batch(after, WINDOW)
        loaded = []
        for entry in entries:
            handle = self._queue.handle(entry.id)
            loaded.append((entry, unpack(entry, handle)))
        self._queue.load(loaded, WINDOW)
        self._wake()


def _transaction(send: Send) -> str:
    """The id of the transaction it tells of, "" = none."""
    info = send.payload.get("transactionInfo")
    return str(info.get("transactionId", "")) if isinstance(info, dict) else ""


def unpack(entry: Stored, handle: int = 0) -> Send:
    """The message of an outbox entry. A damaged one gets an action nobody knows, so
    that it is dropped with a log line when its turn comes."""
    try:
        payload = json.loads(entry.body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        return Send("damaged", {}, Durability.DURABLE, handle)
    return Send(entry.kind, payload, Durability.DURABLE, handle)
