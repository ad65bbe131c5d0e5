"""Frames between the daemon and its planner: 4 bytes of length, then UTF-8 JSON.

Pure. JSON and not pickle: a broken child must not run code in the daemon.
"""

from __future__ import annotations

import json
from typing import Any

from chargerd.scheduler.planner.problem import PlannerError

HEAD = 4
FRAME_MAX = 8_000_000


def encode(value: Any) -> bytes:
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return len(body).to_bytes(HEAD, "big") + body


def size(head: bytes) -> int:
    """The length of the body that follows."""
    length = int.from_bytes(head, "big")
    if length > FRAME_MAX:
        raise PlannerError(f"a frame of {length} bytes; at most {FRAME_MAX}")
    return length


def decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PlannerError(f"a frame that is no JSON: {error}") from error
