"""Faults a device can be told to have, and what they do to bytes on its wire. Pure.

Every kind is declared with its meaning, so that `help` can list it and an unknown kind
is refused. Must never hide a fault that was asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any


class RigError(Exception):
    """The rig was asked for something it cannot do; the text says what it can."""


WIRE_KINDS: Mapping[str, str] = {
    "silent": "receives but never answers",
    "comm_loss": "the wire is cut: hears nothing, says nothing",
    "slow": "answers `ms` later (default 400)",
    "corrupt": "one bit of every `every`-th answer is wrong (default 1)",
    "split": "answers arrive in two parts, `ms` apart (default 30)",
    "short": "the last byte of every answer is missing",
}


class Faults:
    """The faults of one device: `kinds` it knows, and those that are on now.

    A kind's text names its arguments in backquotes; no others are taken.
    """

    def __init__(self, device: str, kinds: Mapping[str, str]) -> None:
        self.device = device
        self.kinds = dict(kinds)
        self.active: dict[str, dict[str, Any]] = {}
        self._answers = 0

    def set(self, kind: str, on: bool, args: Mapping[str, Any]) -> None:
        """Turn `kind` on with its arguments, or off. RigError for an unknown one."""
        if kind not in self.kinds:
            known = ", ".join(sorted(self.kinds)) or "none"
            raise RigError(f"{self.device} has no fault {kind!r}; it knows: {known}")
        words = re.findall(r"`(\w+)`", self.kinds[kind])  # arguments its text names
        for key, value in args.items():
            if key not in words:
                raise RigError(
                    f"{self.device} {kind}: no argument {key!r}; use {words}"
                )
            self._check(kind, key, value)
        if on:
            self.active[kind] = dict(args)
        else:
            self.active.pop(kind, None)

    def _check(self, kind: str, key: str, value: Any) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise RigError(
                f"{self.device} {kind}: {key}={value!r} must be a finite number"
            )

    def __contains__(self, kind: str) -> bool:
        return kind in self.active

    def number(self, kind: str, key: str, default: float) -> float:
        """Argument `key` of an active fault, else `default`."""
        return float(self.active.get(kind, {}).get(key, default))

    @property
    def deaf(self) -> bool:
        """Nothing reaches the device."""
        return "comm_loss" in self.active

    @property
    def mute(self) -> bool:
        """Nothing leaves the device."""
        return "silent" in self.active or "comm_loss" in self.active

    def delay_s(self) -> float:
        """Extra delay of an answer."""
        if "slow" not in self.active:
            return 0.0
        return max(0.0, self.number("slow", "ms", 400.0)) / 1000.0

    def distort(
        self, data: bytes, corrupt_at: int | None = None
    ) -> list[tuple[float, bytes]]:
        """What the wire carries instead of `data`: (delay in s, bytes) in order.

        `corrupt_at` is the byte that `corrupt` hits, the middle one by default.
        """
        if self.mute or not data:
            return []
        if not self.active:
            return [(0.0, data)]
        self._answers += 1
        if "corrupt" in self.active:
            every = max(1, int(self.number("corrupt", "every", 1)))
            if self._answers % every == 0:
                at = len(data) // 2 if corrupt_at is None else corrupt_at
                data = flip_bit(data, at)
        if "short" in self.active:
            data = data[:-1]
        delay_s = self.delay_s()
        if "split" in self.active and len(data) > 1:
            gap_s = max(0.0, self.number("split", "ms", 30.0)) / 1000.0
            middle = len(data) // 2
            return [(delay_s, data[:middle]), (delay_s + gap_s, data[middle:])]
        return [(delay_s, data)]


def flip_bit(data: bytes, index: int) -> bytes:
    """`data` with one bit of byte `index` turned over."""
    return data[:index] + bytes([data[index] ^ 0x04]) + data[index + 1 :]
