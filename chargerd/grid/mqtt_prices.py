"""Prices over MQTT for the planner: one payload with dated parts -> PriceSeries.

Pure. Every time in it is absolute, so an old or retained message is only as good as it
still is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargerd.clock import Now
from chargerd.grid.mqtt_words import Refused, number, read, utc
from chargerd.plan import PricePart, PriceSeries

MAX_BYTES = 32_768
MAX_PARTS = 200  # two days of quarter hours, and some
MAX_AHEAD_S = 8 * 86_400.0
MAX_PRICE = 1e6
RANK = 10  # above the configured tariff
_KEYS = frozenset({"parts", "until_utc", "currency"})
_PART = frozenset({"start_utc", "buy_per_kwh", "sell_per_kwh", "co2_g_per_kwh"})


def series(payload: bytes, now: Now) -> PriceSeries:
    """Raises Refused: not even one part of it would then be used."""
    if not now.trusted:
        raise Refused("clock", "the time of day is not known")
    values = read(payload, _KEYS, most=MAX_BYTES)
    parts = values.get("parts")
    if not isinstance(parts, list) or not 0 < len(parts) <= MAX_PARTS:
        raise Refused("malformed", f"parts must be a list of 1 to {MAX_PARTS}")
    currency = values.get("currency", "")
    if not isinstance(currency, str) or len(currency) not in (0, 3):
        raise Refused("malformed", "currency must be three letters (ISO 4217)")
    until_mono = now.mono_at(utc(values, "until_utc"))
    if not now.mono < until_mono <= now.mono + MAX_AHEAD_S:
        raise Refused("stale", "until_utc is past, or over 8 days away")
    made = tuple(_part(part, now) for part in parts)
    starts = [part.start_mono for part in made]
    if any(a >= b for a, b in zip(starts, [*starts[1:], until_mono], strict=True)):
        raise Refused("contradictory", "parts must start one after the other")
    return PriceSeries("mqtt", made, until_mono, currency, RANK)


def _part(part: Any, now: Now) -> PricePart:
    if not isinstance(part, dict) or part.keys() - _PART:
        raise Refused("malformed", f"a part may have {', '.join(sorted(_PART))}")
    return PricePart(
        now.mono_at(utc(part, "start_utc")),
        number(part, "buy_per_kwh", -MAX_PRICE, MAX_PRICE),
        _maybe(part, "sell_per_kwh", -MAX_PRICE),
        _maybe(part, "co2_g_per_kwh", 0.0),
    )


def _maybe(part: Mapping[str, Any], key: str, low: float) -> float | None:
    return None if part.get(key) is None else number(part, key, low, MAX_PRICE)
