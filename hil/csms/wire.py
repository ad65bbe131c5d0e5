"""OCPP-J frames and the values that describe them. Pure: text in, frame out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

CALL, RESULT, ERROR, RESULT_ERROR, SEND = 2, 3, 4, 5, 6
FORM = {CALL: 4, RESULT: 3, ERROR: 5, RESULT_ERROR: 5, SEND: 4}  # elements
MAX_DEPTH = 32  # levels; OCPP needs about 10
REPORTS = {"GetBaseReport", "GetReport"}


class CsmsError(Exception):
    """Any failure of the small CSMS; the message says what and where."""


class CallFailed(CsmsError):
    """A CALL got no result. `code`: the station's RPC error, Timeout, NotConnected."""

    def __init__(self, code: str, description: str = "", details: Any = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description, self.details = code, description, details or {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An override's way to answer with a CALLERROR."""

    code: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `direction` is "in" (from the station) or "out"; `kind` is call,
    result, error, result_error or send; an error's payload holds code, description."""

    direction: str
    action: str
    payload: dict[str, Any]
    t_mono: float
    kind: str = "call"
    message_id: str = ""

    def asks(self, action: str) -> bool:
        """It is a CALL or SEND of the station with this action."""
        asking = self.kind in ("call", "send") and self.direction == "in"
        return asking and self.action == action


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule broken by either side; `direction` as in Message."""

    direction: str
    action: str
    text: str
    t_mono: float


def parse(text: str | bytes) -> list[Any]:
    """The array of one OCPP-J message; ValueError says what is wrong with it."""
    if isinstance(text, bytes):
        raise ValueError("a binary frame")  # noqa: TRY004 - hostile data, not a bug
    try:
        frame = json.loads(text, parse_constant=_refuse_constant)
        known = isinstance(frame, list) and frame[0] in FORM
    except (TypeError, LookupError, RecursionError) as wrong:
        raise ValueError(f"no OCPP-J array: {wrong}") from wrong
    if not known:
        raise ValueError("not an array that begins with a message type")
    if len(frame) != FORM[frame[0]]:
        raise ValueError(f"type {frame[0]} with {len(frame)} elements")
    if not isinstance(frame[1], str) or not 0 < len(frame[1]) <= 36:
        raise ValueError("message id is no string of 1 to 36 characters")
    if _deeper_than(frame, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return list(frame)


def _deeper_than(value: Any, depth: int) -> bool:
    """Level by level: nothing hostile may exhaust our stack."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
