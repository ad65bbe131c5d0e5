"""Checked values out of a question to the local API. Input is hostile.

Owns the error that goes to the one who asked.
"""

from __future__ import annotations

from typing import Any

from chargerd.local.read_model import Json
from firmware_bridge.units import BridgeError, finite


class LocalError(Exception):
    """A question that cannot be answered; its text goes to the one who asked."""


def number(
    question: Json, key: str, low: float, high: float, default: float | None = None
) -> float:
    """A finite number in [low, high], or LocalError that names the key."""
    value: Any = question.get(key, default)
    if value is None:
        raise LocalError(f"{key}: is missing; a number from {low:g} to {high:g}")
    try:
        found = finite(value, key)
    except (BridgeError, OverflowError) as error:
        raise LocalError(f"{key}: not a finite number") from error
    if not low <= found <= high:
        raise LocalError(f"{key}: {found:g} is not from {low:g} to {high:g}")
    return found


def text(question: Json, key: str, longest: int, default: str | None = None) -> str:
    """Printable text of 1..`longest` characters."""
    value: Any = question.get(key, default)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise LocalError(f"{key}: text of 1 to {longest} characters is needed")
    if not value.isprintable():
        raise LocalError(f"{key}: only printable characters")
    return value
