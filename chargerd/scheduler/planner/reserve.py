"""Reserves by local time: when each is asked for, from the configuration.

Pure. A frequency service that the station gives is a reserve that is sold at all times:
the plan keeps its room free, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from chargerd import config
from chargerd.clock import Now
from chargerd.config_plan import Reserve

HORIZON_S = 172_800.0


@dataclass(frozen=True, slots=True)
class Window:
    """One reserve and its blocks to come. Magnitudes; see `problem.Reserve`."""

    name: str
    up_w: float
    down_w: float
    hold_s: float
    per_kw_h: float | None
    blocks_mono: tuple[tuple[float, float], ...]


def windows(site: config.Site, zone: tzinfo, now: Now) -> tuple[Window, ...]:
    """Those that hours are given for wait until the time of day is known."""
    found = [
        Window(
            row.name,
            row.up_w,
            row.down_w,
            row.hold_s,
            row.per_kw_h,
            blocks(row, zone, now),
        )
        for row in site.plan.reserve
        if now.trusted
    ]
    service = _service(site, now)
    return tuple(found) if service is None else (service, *found)


def _service(site: config.Site, now: Now) -> Window | None:
    sold = site.frequency_service
    given = site.grid_code.services.get(sold.name) if sold else None
    if sold is None or given is None:
        return None
    shares = [share for _, share in given.points]
    return Window(
        f"frequency.{sold.name}",
        -min(0.0, *shares) * sold.power_w,
        max(0.0, *shares) * sold.power_w,
        given.hold_s,
        None,
        ((now.mono, now.mono + HORIZON_S),),
    )


def blocks(row: Reserve, zone: tzinfo, now: Now) -> tuple[tuple[float, float], ...]:
    """Today's and the next days' blocks: counted from `begins`, the last one may be
    shorter. One that has begun goes on to its end."""
    midnight = now.utc.astimezone(zone).replace(
        hour=0, minute=0, second=0, microsecond=0, fold=0
    )
    found = []
    for day in (-1, 0, 1, 2):
        start = _at(midnight + timedelta(days=day), row.begins)
        end = _at(midnight + timedelta(days=day), row.ends)
        if end <= start:  # over midnight, or the whole day
            end = _at(midnight + timedelta(days=day + 1), row.ends)
        at, end_mono = now.mono_at(start), now.mono_at(end)
        while at < end_mono - 1.0:
            until = min(at + row.block_s, end_mono)
            if until > now.mono and at < now.mono + HORIZON_S:
                found.append((max(at, now.mono), until))
            at = until
    return tuple(found)


def _at(midnight: datetime, text: str) -> datetime:
    hour, minute = (int(digits) for digits in text.split(":"))
    return midnight.replace(hour=hour, minute=minute)
