"""Which own CALL goes next, and what becomes of one that failed.

Owns order (BootNotification first, one in flight, durable ones strictly by id), the
gate of B01-B03, retries of E13 and what is dropped. Pure: the client stores and sends.
A link that dies under a message uses up none of its attempts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from chargerd.ocpp.effects import Answer, CallError, Durability, Gate, Send
from chargerd.ocpp.rpc import How

MAX_WAITING = 1000  # in memory; durable ones are counted by the outbox
WINDOW = 32  # durable messages held in memory, the rest stays on disk

_STAYS = (Durability.DURABLE, Durability.THINNABLE)


class Stored(Protocol):
    """A waiting message of the outbox (store.outbox.Entry)."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def attempts(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Retry:
    """E13: MessageAttempts and MessageAttemptInterval of TransactionEvent."""

    attempts: int = 5
    interval_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Item:
    """A message on its way; `entry_id` is its place in the outbox, 0 = none."""

    send: Send
    entry_id: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a message. A non-zero `item.entry_id` is to be removed on disk."""

    item: Item
    answer: Answer


@dataclass(slots=True)
class _Durable:
    item: Item
    attempts: int = 0


class Queue:
    """All own CALLs of the station, over all links."""

    def __init__(self) -> None:
        self._gate = Gate.BOOT
        self._up = False
        self._first: deque[Item] = deque()
        self._memory: deque[Item] = deque()
        self._window: deque[_Durable] = deque()
        self._flying: Item | None = None
        self._durable_next = False  # fairness: the two kinds take turns
        self._retry_mono = 0.0
        self._loaded_id = 0  # newest id that was in the window
        self._more_on_disk = True  # what an earlier run left behind
        self._handles: dict[int, int] = {}  # entry id -> handle, of this run
        self._newest_id: float = -math.inf  # known to be on disk
        self._old_id: float = math.inf  # up to here, stored before the link came up
        self.dropped = 0

    # In

    def set_gate(self, gate: Gate) -> None:
        self._gate = gate

    def push(self, send: Send) -> list[Done]:
        """Take a message that is not durable. Returns what was dropped for it."""
        if not self._up and _dies_with_link(send):
            return [_dropped(Item(send), "offline")]
        (self._first if send.first else self._memory).append(Item(send))
        if len(self._memory) <= MAX_WAITING:
            return []
        self.dropped += 1
        victim = next(
            (item for item in self._memory if _dies_with_link(item.send)),
            self._memory[0],
        )
        self._memory.remove(victim)
        return [_dropped(victim, f"over {MAX_WAITING} messages wait")]

    def stored(self, entry_id: int, send: Send) -> None:
        """A durable message is on disk now. Call in the order of the ids."""
        if send.handle:
            self._handles[entry_id] = send.handle
        self._newest_id = entry_id
        if self._up and self._old_id == math.inf:
            self._old_id = entry_id - 1
        if not self._more_on_disk and len(self._window) < WINDOW:
            self._window.append(_Durable(Item(send, entry_id)))
            self._loaded_id = entry_id
        else:
            self._more_on_disk = True

    def need_load(self) -> int | None:
        """The id after which `load` is wanted, None while there is enough."""
        return self._loaded_id if self._more_on_disk and not self._window else None

    def load(self, messages: Sequence[tuple[Stored, Send]], limit: int) -> None:
        """The answer to `need_load`: at most `limit` messages, oldest first.

        Nothing may be `stored` between the disk's answer and this call.
        """
        for entry, send in messages:
            self._window.append(_Durable(Item(send, entry.id), entry.attempts))
            self._loaded_id = entry.id
            self._newest_id = max(self._newest_id, entry.id)
        self._more_on_disk = len(messages) >= limit

    def handle(self, entry_id: int) -> int:
        """Who waits for the outcome of a stored message, 0 = nobody (any more)."""
        return self._handles.get(entry_id, 0)

    # Out

    def next(self, now_mono: float) -> Item | None:
        """The message to send now; it is in flight until `ended` or `discard`."""
        if not self._up or self._flying is not None or self._gate is Gate.SILENT:
            return None
        self._flying = self._pick(now_mono)
        return self._flying

    def ended(
        self, how: How, answer: Answer, now_mono: float, retry: Retry
    ) -> Done | None:
        """The message in flight ended; None when it will be sent again."""
        item, self._flying = self._flying, None
        if item is None:
            return None
        died = how in (How.MUTE, How.LINK_LOST)
        if item.entry_id:
            return self._durable_ended(item, how, answer, now_mono, retry)
        if died and not _dies_with_link(item.send):
            self._memory.appendleft(item)
            return None
        return Done(item, answer)

    def discard(self, answer: CallError) -> Done | None:
        """The message in flight can never be sent (it is not valid)."""
        item, self._flying = self._flying, None
        if item is None:
            return None
        return self._forget(item, answer)

    def link(self, up: bool) -> list[Done]:
        """Returns what died with the link. What was in flight must have `ended`."""
        self._up = up
        if up:
            known = self._newest_id > -math.inf
            self._old_id = self._newest_id if known else math.inf
            return []
        dead = [*self._first, *(i for i in self._memory if _dies_with_link(i.send))]
        self._first.clear()
        self._memory = deque(i for i in self._memory if not _dies_with_link(i.send))
        return [_dropped(item, "the link was lost") for item in dead]

    def next_timer(self) -> float | None:
        """When a retry is due."""
        if self._up and self._flying is None and self._window and self._open:
            return self._retry_mono
        return None

    def __len__(self) -> int:
        """Messages that wait in memory; more may wait on disk."""
        return len(self._first) + len(self._memory) + len(self._window)

    # Inside

    @property
    def _open(self) -> bool:
        return self._gate is Gate.OPEN

    def _pick(self, now_mono: float) -> Item | None:
        for waiting in (self._first, self._memory):
            for item in waiting if not self._open else ():
                if item.send.while_gated or item.send.first:
                    waiting.remove(item)
                    return item
        if not self._open:
            return None
        if self._first:
            return self._first.popleft()
        durable = bool(self._window) and now_mono >= self._retry_mono
        if durable and (self._durable_next or not self._memory):
            self._durable_next = False
            return self._late(self._window[0].item)
        self._durable_next = True
        return self._memory.popleft() if self._memory else None

    def _late(self, item: Item) -> Item:
        """A TransactionEvent that a link did not take happened offline to the CSMS,
        whatever it says itself (E11.FR.07)."""
        send = item.send
        if send.action != "TransactionEvent" or item.entry_id > self._old_id:
            return item
        payload = {**send.payload, "offline": True}
        return replace(item, send=replace(send, payload=payload))

    def _durable_ended(
        self, item: Item, how: How, answer: Answer, now_mono: float, retry: Retry
    ) -> Done | None:
        head = self._window[0]
        if how is How.ANSWERED:
            return self._forget(item, answer)
        if how in (How.MUTE, How.LINK_LOST):
            return None
        head.attempts += 1
        if head.attempts >= retry.attempts:  # E13.FR.04
            self.dropped += 1
            return self._forget(item, answer)
        self._retry_mono = now_mono + retry.interval_s * head.attempts  # E13.FR.03
        return None

    def _forget(self, item: Item, answer: Answer) -> Done:
        if item.entry_id:
            self._window.popleft()
            self._handles.pop(item.entry_id, None)
        return Done(item, answer)


def is_durable(send: Send) -> bool:
    return send.durability in _STAYS


def _dies_with_link(send: Send) -> bool:
    return send.first or send.durability is Durability.NOW_OR_NEVER


def _dropped(item: Item, why: str) -> Done:
    return Done(item, CallError("GenericError", why))
