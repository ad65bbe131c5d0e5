"""From the configuration to the recorder, and the prices it notes."""

from __future__ import annotations

from datetime import tzinfo
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from chargerd.clock import Now
from chargerd.config import Config, Tariff
from chargerd.records.recorder import Recorder
from chargerd.records.sample import Prices


def folder(config: Config) -> Path:
    """Where the records are: beside the store, if nothing else is said."""
    return config.records.path or config.store.path.parent / "records"


def recorder(config: Config) -> Recorder | None:
    """None where `[records] enabled` is false."""
    wanted = config.records
    if not wanted.enabled:
        return None
    zone = ZoneInfo(config.vehicle.promise.timezone)
    return Recorder(
        folder(config),
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
