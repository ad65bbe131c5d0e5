"""A decision as plain JSON values, for people and for the record. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from chargerd.model import Decision


def decision(value: Decision) -> dict[str, Any]:
    """A decision with its reasons, in the order the stages spoke."""
    return {**bounds(value), "reasons": [asdict(reason) for reason in value.reasons]}


def bounds(value: Decision) -> dict[str, Any]:
    return {
        "evse_id": value.evse_id,
        "power_w": value.power_w,
        "wanted_w": value.wanted_w,
        "low_w": value.low_w,
        "high_w": value.high_w,
        "mode": value.mode.value,
        "source": value.source,
    }
