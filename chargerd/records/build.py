"""From the configuration to the recorder, and the prices it notes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from chargerd.clock import Now
from chargerd.config import Config, Tariff
from chargerd.records.books import Books
from chargerd.records.recorder import Recorder
from chargerd.records.sample import Prices


def folder(config: Config) -> Path:
    """Where the records are: beside the store, if nothing else is said."""
    return config.records.path or config.store.path.parent / "records"


def recorder(
    config: Config,
    saved: Mapping[str, Mapping[str, Any]],
    save: Callable[[str, str, Any], None],
) -> Recorder | None:
    """None where `[records] enabled` is false.

    `saved`, `save`: by namespace and key, what survives a restart: here the key of the
    vehicles' pseudonyms.
    """
    wanted = config.records
    if not wanted.enabled:
        return None
    zone = ZoneInfo(config.vehicle.promise.timezone)
    key = saved.get("records", {}).get("pseudonym_key")
    if not isinstance(key, str):
        key = secrets.token_hex(32)
        save("records", "pseudonym_key", key)
    books = Books(
        (evse.id for evse in config.evse),
        station=config.station.id,
        meter=wanted.meter.model_dump(),
        key=key.encode(),
    )
    return Recorder(
        folder(config),
        books,
        days=wanted.days,
        max_bytes=wanted.max_megabytes * 1024 * 1024,
        flush_s=wanted.flush_s,
        evses=len(config.evse),
        prices=partial(prices, config.site.tariff, zone),
    )


def prices(tariff: Tariff | None, zone: tzinfo, now: Now) -> Prices:
    """The tariff's, by local time of day; none while the time is not known."""
    if tariff is None or not now.trusted:
        return Prices()
    clock = now.utc.astimezone(zone).strftime("%H:%M")
    parts = sorted(tariff.parts, key=lambda part: part.begins)
    found = parts[-1]  # before the first of the day: yesterday's last
    for part in parts:
        if part.begins <= clock:
            found = part
    return Prices(found.buy_per_kwh, found.sell_per_kwh)
