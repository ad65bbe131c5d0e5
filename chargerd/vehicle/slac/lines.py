"""What the SLAC unit and the daemon say to each other: JSON, one short line each.

Daemon: `{"pilot": "B"}` at once on a change and every second (a lease: without it the
unit leaves the network), `{"leave": "terminate" | "error"}`. Unit: its status, at once
on a change and every second. Both sides treat the other's line as hostile.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from chargerd.vehicle.slac.errors import SlacError
from chargerd.vehicle.slac.matching import Leave, State, Status

MAX_LINE = 512
EVERY_S = 1.0
LEASE_S = 3.5  # without a word of the other side
PILOT = frozenset("ABCDEF?")
_STATES = frozenset(state.value for state in State)


def encode_pilot(state: str) -> bytes:
    return _line({"pilot": state})


def encode_leave(why: Leave) -> bytes:
    return _line({"leave": why.value})


def encode_status(status: Status) -> bytes:
    return _line({**asdict(status), "state": status.state.value})


def decode_word(line: bytes) -> str | Leave:
    """The daemon's word: a pilot letter or a Leave. Raises SlacError."""
    said = _object(line)
    try:
        match said:
            case {"pilot": str() as state} if state in PILOT and len(said) == 1:
                return state
            case {"leave": str() as why} if len(said) == 1:
                return Leave(why)
    except ValueError:
        pass
    raise SlacError(f"not a word of the daemon: {line[:60]!r}")


def decode_status(line: bytes) -> Status:
    """The unit's word. Raises SlacError."""
    said = _object(line)
    match said:
        case {
            "state": str() as state,
            "attenuation_db": float() | None as level_db,
            "failures": int() as failures,
            "ev_mac": str() as ev_mac,
            "why": str() as why,
            "modem": str() as modem,
        } if state in _STATES:
            measured = level_db is None or 0.0 <= level_db <= 255.0
            if measured and failures >= 0:
                return Status(
                    State(state),
                    ev_mac[:17],
                    level_db,
                    failures,
                    why[:80],
                    modem[:64],
                )
    raise SlacError(f"not a status of the SLAC unit: {line[:60]!r}")


def _line(said: dict[str, object]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, object]:
    """Refuses NaN, infinity, and anything but one object."""
    if len(line) > MAX_LINE:
        raise SlacError(f"a line of over {MAX_LINE} bytes")
    try:
        said = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise SlacError(f"not JSON: {line[:60]!r}") from error
    if not isinstance(said, dict):
        raise SlacError(f"not a JSON object: {line[:60]!r}")
    return said


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
