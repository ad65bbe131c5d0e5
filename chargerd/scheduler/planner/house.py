"""The house's load to come, from the site meter's own history.

Pure. A mean for each half-hour of each day of the week, which forgets slowly; the load
of this moment fades into it within an hour or two. Holds no time of its own and needs a
trusted clock: what it learns at a wrong hour would be wrong for weeks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from chargerd.clock import Now
from chargerd.scheduler.planner.outlook import SiteOutlook

SLOT_S = 1_800.0
SLOTS = 48
DAYS = 7
WEIGHT = 0.3  # of the newest half-hour; the last three weeks make two thirds
FADE_S = 3_600.0  # what is unusual now is half gone after 40 minutes
LEAST_S = 900.0  # a half-hour seen for less teaches nothing
GAP_S = 60.0  # nothing is known of the time between two samples farther apart
LOAD_MAX_W = 2_000_000.0


@dataclass(frozen=True, slots=True)
class Load:
    """`mean_w`: by weekday (from Monday) and half-hour of local time; None = unseen."""

    mean_w: tuple[float | None, ...] = (None,) * (DAYS * SLOTS)
    slot: int = -1  # being measured now
    seen_s: float = 0.0
    seen_ws: float = 0.0
    at_mono: float = 0.0


class House:
    """What was learnt so far; `keep` is called with it after each half-hour."""

    def __init__(
        self, zone: tzinfo, load: Load, keep: Callable[[list[float | None]], None]
    ) -> None:
        self._zone, self._load, self._keep = zone, load, keep

    def learn(self, house_w: float, now: Now) -> None:
        before = self._load.mean_w
        self._load = learn(self._load, house_w, self._zone, now)
        if self._load.mean_w is not before:
            self._keep(list(self._load.mean_w))

    def forecast(self, site: SiteOutlook, now: Now) -> Callable[[float], float]:
        """The load over monotonic time, as seen now; unplanned EVSEs go on."""
        bare_w = site.house_w - site.unplanned_w
        load, zone = self._load, self._zone
        return lambda at: forecast_w(load, bare_w, zone, now, at) + site.unplanned_w


def learn(load: Load, house_w: float, zone: tzinfo, now: Now) -> Load:
    """One sample, about once a second."""
    if not now.trusted or not abs(house_w) <= LOAD_MAX_W:
        return load
    slot = _slot(zone, now, now.mono)
    if slot != load.slot:
        return replace(_closed(load), slot=slot, seen_s=0.0, seen_ws=0.0,
                       at_mono=now.mono)  # fmt: skip
    gone_s = now.mono - load.at_mono
    if not 0.0 <= gone_s <= GAP_S:
        gone_s = 0.0
    return replace(
        load,
        seen_s=load.seen_s + gone_s,
        seen_ws=load.seen_ws + house_w * gone_s,
        at_mono=now.mono,
    )


def _closed(load: Load) -> Load:
    """The half-hour that is over, taken into its mean."""
    if load.slot < 0 or load.seen_s < LEAST_S:
        return load
    seen_w, before = load.seen_ws / load.seen_s, load.mean_w[load.slot]
    mean = seen_w if before is None else before + WEIGHT * (seen_w - before)
    rows = list(load.mean_w)
    rows[load.slot] = round(mean, 1)
    return replace(load, mean_w=tuple(rows))


def usual_w(load: Load, slot: int) -> float | None:
    """The mean of that weekday; where it was never seen, that of all other days."""
    own = load.mean_w[slot]
    if own is not None:
        return own
    same = [load.mean_w[day * SLOTS + slot % SLOTS] for day in range(DAYS)]
    known = [mean for mean in same if mean is not None]
    return sum(known) / len(known) if known else None


def forecast_w(
    load: Load, house_w: float, zone: tzinfo, now: Now, at_mono: float
) -> float:
    """Then: what is usual, and what is left of today's difference from it."""
    if not now.trusted:
        return house_w
    then = usual_w(load, _slot(zone, now, at_mono))
    usual_now = usual_w(load, _slot(zone, now, now.mono))
    if then is None or usual_now is None:
        return house_w
    left = math.exp(-max(0.0, at_mono - now.mono) / FADE_S)
    return then + (house_w - usual_now) * left


def _slot(zone: tzinfo, now: Now, mono: float) -> int:
    local = now.utc_at(mono).astimezone(zone)
    half_hour = (local.hour * 60 + local.minute) // 30
    return local.weekday() * SLOTS + half_hour


def read(value: Any) -> Load:
    """From what was stored; anything else is nothing learnt."""
    if not isinstance(value, list) or len(value) != DAYS * SLOTS:
        return Load()
    rows: list[float | None] = []
    for item in value:
        known = isinstance(item, int | float) and not isinstance(item, bool)
        rows.append(float(item) if known and abs(item) <= LOAD_MAX_W else None)
    return Load(tuple(rows))
