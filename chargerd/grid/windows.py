"""Windows of time with a wish or caps -> dispatch signals; priced parts -> one series.

Pure, for every source that speaks of events and intervals. Of the wishes of one
moment the one with the best rank counts, of the caps all. A signal never outlives
the end it was given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from chargerd.clock import Now
from chargerd.model import (
    DispatchSignal,
    EvseReport,
    OperationMode,
    Priority,
    Segment,
)
from chargerd.plan import PricePart, PriceSeries

MOST_SEGMENTS = 512
NO_END_S = 3600.0  # to reach a state of charge that has no time of its own
GAP_S = 1.0  # between two prices, and still one series
_NOTHING = OperationMode.EXTERNAL_LIMITS  # without limits: says nothing


@dataclass(frozen=True, slots=True)
class Window:
    """What one interval asks of one EVSE (0 = the station). Higher ranks win."""

    start_mono: float
    end_mono: float
    rank: int
    wish_w: float | None = None
    limit_w: float | None = None
    discharge_limit_w: float | None = None

    @property
    def caps(self) -> bool:
        return self.limit_w is not None or self.discharge_limit_w is not None


@dataclass(frozen=True, slots=True)
class Priced:
    """A price for a time. Higher ranks win over what begins at the same moment."""

    start_mono: float
    end_mono: float
    rank: int
    price: float
    sell: float | None = None
    co2_g: float | None = None


def compose(
    source: str,
    evse_id: int,
    windows: list[Window],
    until_mono: float,
    now: Now,
    priority: Priority = Priority.SETPOINT,
) -> DispatchSignal | None:
    """All windows as one signal; None where it would be over at once."""
    end_mono = min(until_mono, max(w.end_mono for w in windows))
    if end_mono <= now.mono:
        return None
    edges = {now.mono} | {
        edge
        for w in windows
        for edge in (w.start_mono, w.end_mono)
        if now.mono < edge < end_mono
    }
    ordered = [*sorted(edges), end_mono]
    segments = [_segment(at, windows) for at, _ in pairwise(ordered)]
    if len(segments) > MOST_SEGMENTS:  # the rest comes when these are over
        end_mono = segments[MOST_SEGMENTS].start_mono
        segments = segments[:MOST_SEGMENTS]
    return made(source, evse_id, tuple(segments), end_mono, now.mono, priority)


def _segment(at_mono: float, windows: list[Window]) -> Segment:
    active = [w for w in windows if w.start_mono <= at_mono < w.end_mono]
    limits = [w.limit_w for w in active if w.limit_w is not None]
    lows = [w.discharge_limit_w for w in active if w.discharge_limit_w is not None]
    if limits or lows:
        return Segment(
            at_mono,
            OperationMode.EXTERNAL_LIMITS,
            limit_w=min(limits, default=None),
            discharge_limit_w=max(lows, default=None),
        )
    wishes = [w for w in active if w.wish_w is not None]
    if not wishes:
        return Segment(at_mono, _NOTHING)
    best = max(wishes, key=lambda w: (w.rank, w.start_mono))
    return Segment(at_mono, OperationMode.EXTERNAL_SETPOINT, setpoint_w=best.wish_w)


def made(
    source: str,
    evse_id: int,
    segments: tuple[Segment, ...],
    until_mono: float,
    now_mono: float,
    priority: Priority = Priority.SETPOINT,
) -> DispatchSignal:
    """One that ends at `now_mono` withdraws what the source said last."""
    return DispatchSignal(
        source=source,
        evse_id=evse_id,
        priority=priority,
        segments=segments,
        received_mono=now_mono,
        valid_until_mono=until_mono,
    )


def series(
    source: str, parts: Iterable[Priced], currency: str, rank: int
) -> PriceSeries | None:
    """One series without overlap (the earlier part goes first), until a gap."""
    chain: list[Priced] = []
    until_mono = 0.0
    for part in sorted(parts, key=lambda p: (p.start_mono, -p.rank)):
        start_mono = part.start_mono
        if chain:
            if start_mono > until_mono + GAP_S:
                break
            start_mono = until_mono
        if part.end_mono <= start_mono:
            continue
        if len(chain) == MOST_SEGMENTS:
            break
        until_mono = part.end_mono
        chain.append(
            Priced(start_mono, until_mono, part.rank, part.price, part.sell, part.co2_g)
        )
    if not chain:
        return None
    found = tuple(PricePart(p.start_mono, p.price, p.sell, p.co2_g) for p in chain)
    return PriceSeries(source, found, until_mono, currency, rank)


def no_prices(source: str, rank: int, now_mono: float) -> PriceSeries:
    """A series that is over: the next source's prices count again."""
    return PriceSeries(source, (PricePart(now_mono - 1.0, 0.0),), now_mono, "", rank)


def stored_wh(report: EvseReport | None) -> float | None:
    """In the vehicle that is there, where it says so."""
    if report is None:
        return None
    vehicle = report.snapshot.vehicle
    if vehicle.soc_pct is None or vehicle.capacity_wh is None:
        return None
    return vehicle.capacity_wh * vehicle.soc_pct / 100.0


def towards(
    target_wh: float,
    report: EvseReport | None,
    end_mono: float,
    ratings: tuple[float, float],
    now: Now,
) -> float | None:
    """The even power that leads to the stored energy at `end_mono`, within charge and
    discharge `ratings`; losses correct themselves, as it is reckoned anew."""
    stored = stored_wh(report)
    if stored is None:
        return None
    left_s = end_mono - now.mono
    if not math.isfinite(left_s):
        left_s = NO_END_S
    charge_w, discharge_w = ratings
    power_w = (target_wh - stored) * 3600.0 / max(left_s, 60.0)
    return min(charge_w, max(-discharge_w, power_w))
