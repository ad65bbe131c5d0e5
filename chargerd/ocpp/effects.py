"""What the pure OCPP station asks its shell to do: values, drained by `to_send()`.

Owns the seam between the pure half (`station.py`, `blocks/`) and the shell
(`client.py`). Payloads are camelCase dicts exactly as on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from chargerd.model import DispatchSignal, Request

Payload = dict[str, Any]


class OcppError(Exception):
    """Any failure of this package; `code` is an OCPP-J RPC error code where sent."""

    def __init__(self, description: str, code: str = "InternalError") -> None:
        super().__init__(description)
        self.code = code
        self.description = description[:255]


class Refusal(Exception):
    """What the CSMS wants is not taken: `reason` is an OCPP reason code."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Gate(Enum):
    """What may leave: B01-B03. Answers to the CSMS's CALLs always may."""

    SILENT = "silent"  # link up, wait before BootNotification (Rejected interval)
    BOOT = "boot"  # only BootNotification and what TriggerMessage asked for
    OPEN = "open"  # everything


class Durability(Enum):
    """How hard a message fights to be delivered (refs: queue and drop rules)."""

    NOW_OR_NEVER = "volatile"  # dropped when the link is down
    QUEUED = "queued"  # kept in memory while offline
    DURABLE = "durable"  # on disk before it counts; in order; survives kill -9
    THINNABLE = "thinnable"  # durable, but dropped first when the disk is full


@dataclass(frozen=True, slots=True)
class Save:
    """Persist `value` (JSON-able) under a namespaced key; None deletes."""

    namespace: str  # "device_model", "profile", "transaction", ...
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Send:
    """A CALL to make. `handle` comes back with its result; 0 = nobody waits for it.

    `while_gated` lets a message through Gate.BOOT (BootNotification, triggered ones).
    `save` reaches the disk with a durable message or not at all: a crash between the
    two would lose or repeat what the record says was sent.
    """

    action: str
    payload: Payload
    durability: Durability = Durability.QUEUED
    handle: int = 0
    while_gated: bool = False
    first: bool = False  # before everything else that waits (BootNotification)
    save: Save | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """An unconfirmed message (SEND, 2.1); lost when there is no link."""

    action: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class SetGate:
    gate: Gate


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A signal for the scheduler's cell."""

    signal: DispatchSignal


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for the heart's inbox."""

    request: Request


@dataclass(frozen=True, slots=True)
class LearnTime:
    """The CSMS's currentTime, at the instant its answer arrived."""

    utc: datetime


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Close the link and connect again (new password, new network profile)."""

    why: str


@dataclass(frozen=True, slots=True)
class Work:
    """A job beside the loop: a transfer, a key pair, a file. `task` is a value of
    `chargerd.ocpp.jobs`; what it yields comes back by `worked` with this handle.
    """

    handle: int
    task: object


@dataclass(frozen=True, slots=True)
class StopWork:
    """Cancel that job; nothing more comes back from it."""

    handle: int


@dataclass(frozen=True, slots=True)
class CallError:
    """An error answer, ours or theirs."""

    code: str
    description: str = ""


Answer = Payload | CallError


@dataclass(frozen=True, slots=True)
class Later:
    """A handler's promise: the answer comes as a Reply with this handle, once."""

    handle: int
    action: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer that was promised; nothing leaves when its link is gone."""

    handle: int
    answer: Answer


Effect = (
    Send
    | Tell
    | SetGate
    | Dispatch
    | Ask
    | Save
    | LearnTime
    | Reconnect
    | Work
    | StopWork
    | Reply
)
