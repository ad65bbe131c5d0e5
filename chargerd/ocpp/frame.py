"""The text of OCPP-J messages: bytes to a JSON array within caps, and back.

Owns what is refused before anything is understood: size, depth, amount, numbers that
are not finite, text that is not Unicode. Pure; never matches messages or acts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from chargerd.ocpp.effects import CallError, OcppError, Payload

MAX_BYTES = 512 * 1024
MAX_DEPTH = 64
MAX_VALUES = 60_000  # a profile of 3 x 1024 periods has about 30,000
MAX_NUMBER = 1e15
MAX_ID = 36

CALL, CALLRESULT, CALLERROR, CALLRESULTERROR, SEND = 2, 3, 4, 5, 6
LENGTHS = {CALL: 4, CALLRESULT: 3, CALLERROR: 5, CALLRESULTERROR: 5, SEND: 4}
NO_ID = "-1"  # part 4, 4.2.3: the id when none can be read

CODES = frozenset((
    "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported",
    "NotImplemented", "NotSupported", "OccurrenceConstraintViolation",
    "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError",
    "SecurityError", "TypeConstraintViolation",
))  # fmt: skip

_HEAD = re.compile(rb'\s*\[\s*(\d)\s*,\s*"([^"\\\x00-\x1f\x7f-\xff]{1,36})"\s*[,\]]')
_HEAD_BYTES = 200
_ANSWER_HEAD = re.compile(rb"\s*\[\s*[3456]\s*[,\]]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))


@dataclass(frozen=True, slots=True)
class Frame:
    """One message taken apart. `error`: what is wrong with it, or what it reports.

    `kind` 0 with an error gets a CALLERROR with id "-1"; without one it is dropped.
    """

    kind: int
    message_id: str = NO_ID
    action: str = ""
    payload: Payload | None = None
    error: CallError | None = None
    broken: bool = False  # `error` is ours, not the peer's report

    @property
    def code(self) -> str:
        return self.error.code if self.error else ""


class RefusedText(ValueError):
    """Raised inside `parse` only."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.error = CallError(code, text)


def parse(raw: bytes) -> list[Any]:
    """The JSON array in `raw`, within all caps. Raises RefusedText, nothing else."""
    if len(raw) > MAX_BYTES:
        raise RefusedText("RpcFrameworkError", f"{len(raw)} bytes, {MAX_BYTES} allowed")
    if raw.count(b",") > MAX_VALUES or _deep(raw):
        text = f"over {MAX_VALUES} values or {MAX_DEPTH} levels"
        raise RefusedText("RpcFrameworkError", text)
    try:
        message = json.loads(
            raw.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_bounded_float,
        )
        if b"\\ud" in raw or b"\\uD" in raw:  # an escape may be half a character
            json.dumps(message, ensure_ascii=False).encode()
    except RefusedText:
        raise
    except ValueError as error:  # UnicodeError and JSONDecodeError are ValueErrors
        raise RefusedText("FormatViolation", "not JSON in UTF-8") from error
    if type(message) is not list:
        raise RefusedText("RpcFrameworkError", "not a JSON array")
    return message


def _deep(raw: bytes) -> bool:
    """True when brackets outside strings nest deeper than MAX_DEPTH. Linear, no stack.

    Sees what the parser sees up to the first syntax error, where the parser stops.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_BRACKETS)
    depth = 0
    for outside in bare.split(b'"')[::2]:
        for bracket in outside:
            if bracket in b"[{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            else:
                depth -= 1
    return False


def _bounded_int(text: str) -> int:
    if len(text) > 16:
        raise RefusedText("PropertyConstraintViolation", "an integer is out of range")
    number = int(text)
    if abs(number) > MAX_NUMBER:
        raise RefusedText("PropertyConstraintViolation", "an integer is out of range")
    return number


def _bounded_float(text: str) -> float:
    number = float(text)
    if not abs(number) <= MAX_NUMBER:
        raise RefusedText("PropertyConstraintViolation", "a number is out of range")
    return number


def _refuse_constant(name: str) -> float:
    raise RefusedText("FormatViolation", f"{name} is not JSON")


def headless(raw: bytes, error: CallError) -> Frame:
    """A message that could not be read: its kind and id from the first bytes."""
    head = raw[:_HEAD_BYTES]
    match = _HEAD.match(head)
    if match and int(match[1]) in LENGTHS:
        message_id = match[2].decode("ascii")
        return Frame(int(match[1]), message_id, error=error, broken=True)
    if _ANSWER_HEAD.match(head):  # errors are never answered, or two peers could loop
        return Frame(0, broken=True)
    code = error.code
    if code in ("FormatViolation", "PropertyConstraintViolation"):
        code = "RpcFrameworkError"  # part 4, 4.3: the message id could not be read
    return Frame(0, error=CallError(code, error.description), broken=True)


def broken(kind: int, message_id: str, code: str, text: str) -> Frame:
    return Frame(kind, message_id, error=CallError(code, text), broken=True)


def reported(code: Any, description: Any) -> CallError:
    known = code if type(code) is str and code in CODES else "GenericError"
    text = description if type(description) is str else ""
    return CallError(known, text[:255])


def error_text(kind: int, message_id: str, error: CallError) -> str:
    """Total: any code and description of ours become a valid frame."""
    code = error.code if error.code in CODES else "InternalError"
    return dump([kind, message_id, code, error.description[:255], {}])


def dump(message: Any) -> str:
    """Compact JSON in ASCII. Raises OcppError for NaN and for what is no JSON."""
    try:
        return json.dumps(message, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise OcppError(f"not JSON-able: {type(error).__name__}") from error
