"""OCPP-J, the RPC framework of part 4: text in, events and text out.

Owns framing, caps, matching of answers, timeouts and error codes for one connection.
Every CALL gets exactly one answer, one own CALL is outstanding, nothing that arrives
can raise or grow memory. Pure: no clock, no I/O; never knows what a message means.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from chargerd.ocpp.effects import Answer, CallError, OcppError, Payload
from chargerd.ocpp.frame import (
    CALL,
    CALLERROR,
    CALLRESULT,
    CALLRESULTERROR,
    LENGTHS,
    MAX_ID,
    SEND,
    Frame,
    RefusedText,
    broken,
    dump,
    error_text,
    headless,
    parse,
    reported,
)

_TYPES = {
    "ocpp2.1": frozenset(LENGTHS),
    "ocpp2.0.1": frozenset((CALL, CALLRESULT, CALLERROR)),
}


class Checker(Protocol):
    """The schemas of one OCPP version (schemas.Schemas)."""

    def knows(self, action: str) -> bool: ...
    def knows_send(self, action: str) -> bool: ...
    def request(self, action: str, payload: Any) -> CallError | None: ...
    def response(self, action: str, payload: Any) -> CallError | None: ...
    def unconfirmed(self, action: str, payload: Any) -> CallError | None: ...


class How(Enum):
    """How an own CALL ended."""

    ANSWERED = "answered"
    REFUSED = "refused"  # CALLERROR, or a CALLRESULT that breaks its schema
    TIMEOUT = "timeout"  # no answer, but the peer said other things meanwhile
    MUTE = "mute"  # no answer and not a word meanwhile: the link is dead
    LINK_LOST = "link_lost"


@dataclass(frozen=True, slots=True)
class CallIn:
    """A CALL that fits its schema. Owed: one `Rpc.answer` with this id."""

    message_id: str
    action: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class SendIn:
    """An unconfirmed message (type 6, OCPP 2.1) that fits its schema."""

    action: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of the own CALL. `took_s` counts from sending."""

    action: str
    payload: Payload
    answer: Answer
    how: How
    took_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """Text that must go to the peer now: an error that needs no application."""

    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Something was refused or dropped; for logs. `why` holds no peer text."""

    message_id: str
    why: str


Event = CallIn | SendIn | Outcome | Reply | Refused


@dataclass(slots=True)
class Counters:
    """For `chargerctl` and metrics."""

    calls_in: int = 0
    calls_out: int = 0
    refused: int = 0  # messages from the peer that broke a rule
    unmatched: int = 0  # answers to nothing we wait for, late ones included
    results_refused: int = 0  # the peer did not like our answer
    timeouts: int = 0


@dataclass(frozen=True, slots=True)
class _Own:
    message_id: str
    action: str
    payload: Payload
    sent_mono: float
    deadline_mono: float


class Rpc:
    """One connection; make a new one for each link. Never raises for what arrives."""

    def __init__(
        self, version: str, schemas: Checker, new_id: Callable[[], str]
    ) -> None:
        """`new_id` gives ids of at most 36 characters, unique over all links."""
        if version not in _TYPES:
            raise OcppError(f"OCPP-J {version!r} is not spoken: {', '.join(_TYPES)}")
        self.version = version
        self._types = _TYPES[version]
        self._schemas = schemas
        self._new_id = new_id
        self._owed: set[str] = set()
        self._own: _Own | None = None
        self._heard_mono = -math.inf
        self.counters = Counters()

    @property
    def busy(self) -> bool:
        """True while an own CALL waits for its answer (part 4, 4.1.1)."""
        return self._own is not None

    # In

    def receive(self, data: str | bytes, now_mono: float) -> list[Event]:
        """Everything one message means. Never raises, whatever `data` holds."""
        return self.take(self.read(data), now_mono)

    def read(self, data: str | bytes) -> Frame:
        """The slow half of `receive`: parse and validate. Never raises.

        Changes nothing here, so it may run in another thread for a large message.
        """
        raw = data if isinstance(data, bytes) else data.encode("utf-8", "replace")
        try:
            return self._judge(parse(raw))
        except RefusedText as refused:
            return headless(raw, refused.error)

    def take(self, frame: Frame, now_mono: float) -> list[Event]:
        """The quick half of `receive`: match and answer."""
        self._heard_mono = now_mono
        if frame.broken:
            self.counters.refused += 1
        if frame.kind == CALL:
            return self._take_call(frame)
        if frame.kind in (CALLRESULT, CALLERROR):
            return self._take_answer(frame, now_mono)
        if frame.kind == CALLRESULTERROR:
            self.counters.results_refused += 1
            return [Refused(frame.message_id, f"our result refused: {frame.code}")]
        if frame.kind == SEND and frame.payload is not None and not frame.error:
            return [SendIn(frame.action, frame.payload)]
        events: list[Event] = [Refused(frame.message_id, frame.code or "dropped")]
        if frame.kind == 0 and frame.error:
            events.append(Reply(error_text(CALLERROR, frame.message_id, frame.error)))
        return events

    # Out

    def call(
        self, action: str, payload: Payload, now_mono: float, timeout_s: float
    ) -> str:
        """The text of an own CALL. Raises OcppError: one waits already, or the payload
        breaks its schema (it was not sent then)."""
        if self._own is not None:
            raise OcppError(f"{action}: {self._own.action} still waits for its answer")
        wrong = self._outgoing(action, payload)
        if wrong is not None:
            raise OcppError(f"{action} not sent: {wrong.description}", wrong.code)
        text = dump([CALL, message_id := self._new_id(), action, payload])
        deadline = now_mono + timeout_s
        self._own = _Own(message_id, action, payload, now_mono, deadline)
        self.counters.calls_out += 1
        return text

    def answer(self, call: CallIn, answer: Answer) -> str:
        """The text of the one answer to `call`; a bad one turns into InternalError.

        Raises OcppError when the call was answered before.
        """
        if call.message_id not in self._owed:
            raise OcppError(f"{call.action}: answered twice")
        self._owed.discard(call.message_id)
        if isinstance(answer, CallError):
            return error_text(CALLERROR, call.message_id, answer)
        try:
            text = dump([CALLRESULT, call.message_id, answer])
            wrong = self._schemas.response(call.action, answer)
        except OcppError as failed:
            wrong = CallError("InternalError", failed.description)
        if wrong is None:
            return text
        said = f"our {call.action} answer is not valid: {wrong.description}"
        return error_text(CALLERROR, call.message_id, CallError("InternalError", said))

    def send(self, action: str, payload: Payload) -> str:
        """The text of an unconfirmed message. Raises OcppError when it cannot go."""
        if SEND not in self._types or not self._schemas.knows_send(action):
            raise OcppError(f"{action} cannot go unconfirmed in this OCPP version")
        wrong = self._schemas.unconfirmed(action, payload)
        if wrong is not None:
            raise OcppError(f"{action} not sent: {wrong.description}", wrong.code)
        return dump([SEND, self._new_id(), action, payload])

    # Time

    def next_timer(self) -> float | None:
        return self._own.deadline_mono if self._own else None

    def on_timer(self, now_mono: float) -> list[Event]:
        own = self._own
        if own is None or now_mono < own.deadline_mono:
            return []
        self.counters.timeouts += 1
        how = How.TIMEOUT if self._heard_mono > own.sent_mono else How.MUTE
        waited = now_mono - own.sent_mono
        error = CallError("GenericError", f"no answer in {waited:.0f} s")
        return [self._end(own, error, how, now_mono)]

    def lost(self, now_mono: float) -> list[Event]:
        """The link is gone: what waits will get no answer."""
        self._owed.clear()
        own = self._own
        if own is None:
            return []
        error = CallError("GenericError", "the link was lost")
        return [self._end(own, error, How.LINK_LOST, now_mono)]

    # Inside

    def _judge(self, message: list[Any]) -> Frame:
        """Shape and schema of a parsed message. Raises RefusedText."""
        kind = message[0] if message else None
        message_id = message[1] if len(message) > 1 else None
        if type(kind) is not int or type(message_id) is not str:
            raise RefusedText("RpcFrameworkError", "no message type or no message id")
        if not 1 <= len(message_id) <= MAX_ID:
            raise RefusedText("RpcFrameworkError", f"message id not 1 to {MAX_ID} long")
        if kind not in self._types:
            text = "message type not known in this version"
            return broken(0, message_id, "MessageTypeNotSupported", text)
        if len(message) != LENGTHS[kind]:
            text = f"{len(message)} elements instead of {LENGTHS[kind]}"
            return broken(kind, message_id, "RpcFrameworkError", text)
        if kind in (CALL, SEND):
            return self._judge_request(kind, message_id, message[2], message[3])
        if kind == CALLRESULT:
            return self._judge_result(message_id, message[2])
        return Frame(kind, message_id, error=reported(message[2], message[3]))

    def _judge_request(
        self, kind: int, message_id: str, action: Any, payload: Any
    ) -> Frame:
        if type(action) is not str:
            text = "the action is no string"
            return broken(kind, message_id, "RpcFrameworkError", text)
        known = self._schemas.knows if kind == CALL else self._schemas.knows_send
        if not known(action):
            return broken(kind, message_id, "NotImplemented", "action not known")
        payload = {} if payload is None else payload  # part 4, 4.1.5
        check = self._schemas.request if kind == CALL else self._schemas.unconfirmed
        error = check(action, payload)
        if error is not None:
            return Frame(kind, message_id, action, error=error, broken=True)
        return Frame(kind, message_id, action, payload)

    def _judge_result(self, message_id: str, payload: Any) -> Frame:
        own = self._own
        payload = {} if payload is None else payload
        error = None
        if own is not None and own.message_id == message_id:
            error = self._schemas.response(own.action, payload)
        if error is not None:
            return Frame(CALLRESULT, message_id, error=error, broken=True)
        return Frame(CALLRESULT, message_id, payload=payload)

    def _take_call(self, frame: Frame) -> list[Event]:
        error = frame.error
        if frame.message_id in self._owed:
            error = CallError("RpcFrameworkError", "message id is in use")
        if error is not None or frame.payload is None:
            error = error or CallError("InternalError")
            text = error_text(CALLERROR, frame.message_id, error)
            return [Refused(frame.message_id, error.code), Reply(text)]
        self.counters.calls_in += 1
        self._owed.add(frame.message_id)
        return [CallIn(frame.message_id, frame.action, frame.payload)]

    def _take_answer(self, frame: Frame, now_mono: float) -> list[Event]:
        own = self._own
        if own is None or own.message_id != frame.message_id:
            self.counters.unmatched += 1
            return [Refused(frame.message_id, "answer to nothing")]
        if frame.kind == CALLRESULT and frame.error is None:
            return [self._end(own, frame.payload or {}, How.ANSWERED, now_mono)]
        error = frame.error or CallError("GenericError")
        events: list[Event] = [self._end(own, error, How.REFUSED, now_mono)]
        if frame.kind == CALLRESULT and CALLRESULTERROR in self._types:
            events.append(Reply(error_text(CALLRESULTERROR, frame.message_id, error)))
        return events

    def _end(self, own: _Own, answer: Answer, how: How, now_mono: float) -> Outcome:
        self._own = None
        took_s = now_mono - own.sent_mono
        return Outcome(own.action, own.payload, answer, how, took_s)

    def _outgoing(self, action: str, payload: Payload) -> CallError | None:
        if not self._schemas.knows(action):
            return CallError("NotImplemented", "not in this OCPP version")
        return self._schemas.request(action, payload)
