"""What chargers of one site say to each other, as values and as JSON.

Pure. Three messages: a coordinator's `Beacon`, a member's `Ask`, a coordinator's
`Lease` as the answer to one ask. No clock is shared: every time in them is the stamp of
whoever sent it first, and comes back to its owner.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, TypeVar

from chargerd.grid.errors import GridError

MAX_BYTES = 2048
MAX_W = 1e9
MAX_COUNT = 2**53
MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class Beacon:
    """I am here. `epoch` is new at every start; `stamp_mono` is its sender's clock.

    `rules` is the digest of what all stations must have alike (site_rules).
    """

    coordinator: str
    epoch: str
    stamp_mono: float
    rules: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A member's wish, and its word on whom it follows.

    It follows `coordinator` in `epoch` and nobody else until a lease time after it
    heard that beacon; "" = nobody. `held` is the newest lease it holds, 0 = none: it
    never goes back to an older one.
    """

    member: str
    boot: str  # new at every start
    number: int  # counts up from 1
    coordinator: str
    epoch: str
    stamp_mono: float
    held: int
    rules: str
    charge_w: float = 0.0  # could take; magnitudes, all of it
    must_w: float = 0.0  # of that: a promise rests on it
    least_w: float = 0.0  # less than this is of no use to it
    discharge_w: float = 0.0  # could give
    energy_wh: float = 0.0  # had in this session: who had less comes first
    power_w: float = 0.0  # measured now, signed


@dataclass(frozen=True, slots=True)
class Lease:
    """What `member` may take and give until `lease_s` after it sent ask `number`."""

    member: str
    boot: str
    number: int
    coordinator: str
    epoch: str
    charge_w: float
    discharge_w: float  # a magnitude
    lease_s: float


Message = TypeVar("Message", Beacon, Ask, Lease)


def write(message: Beacon | Ask | Lease) -> bytes:
    """As it goes to the broker."""
    values = {name: getattr(message, name) for name in message.__slots__}
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def read(kind: type[Message], payload: bytes) -> Message:
    """Raises GridError for anything but exactly the fields of `kind`."""
    if len(payload) > MAX_BYTES:
        raise GridError(f"{kind.__name__}: {len(payload)} bytes, over {MAX_BYTES}")
    try:
        values = json.loads(payload)
    except (ValueError, RecursionError):
        raise GridError(f"{kind.__name__}: not JSON") from None
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    if not isinstance(values, dict) or values.keys() != fields.keys():
        raise GridError(f"{kind.__name__}: must have {', '.join(fields)}")
    checked: dict[str, Any] = {
        name: _value(name, fields[name], value) for name, value in values.items()
    }
    return kind(**checked)


def _value(name: str, kind: Any, value: Any) -> str | int | float:
    """`kind` is an annotation's text."""
    if kind == "str":
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise GridError(f"{name}: must be text of at most {MAX_TEXT} characters")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GridError(f"{name}: must be a number")
    if kind == "int":
        if not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
            raise GridError(f"{name}: must be a whole number, not negative")
        return value
    if abs(value) > MAX_W or not math.isfinite(value):
        raise GridError(f"{name}: is beyond {MAX_W:g}")
    if value < 0 and name not in ("power_w", "stamp_mono"):
        raise GridError(f"{name}: must not be negative")
    return float(value)
