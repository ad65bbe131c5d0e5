"""From the configuration to the recorder."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chargerd.clock import Now
from chargerd.config import Config
from chargerd.plan import PricePart
from chargerd.records.books import Books
from chargerd.records.recorder import Recorder


def folder(config: Config) -> Path:
    """Where the records are: beside the store, if nothing else is said."""
    return config.records.path or config.store.path.parent / "records"


def recorder(
    config: Config,
    saved: Mapping[str, Mapping[str, Any]],
    save: Callable[[str, str, Any], None],
    price: Callable[[Now], PricePart | None],
) -> Recorder | None:
    """None where `[records] enabled` is false.

    `saved`, `save`: by namespace and key, what survives a restart: here the key of the
    vehicles' pseudonyms. `price`: in force at that time.
    """
    wanted = config.records
    if not wanted.enabled:
        return None
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
        price=price,
    )
