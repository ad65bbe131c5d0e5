"""Windows of time with a wish or caps -> dispatch signals; priced parts -> one series.

Pure, for every source that speaks of events and intervals. Of the wishes of one
moment the one with the best rank counts, of the caps all. A signal never outlives
the end it was given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Protocol, TypeVar

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
Key = tuple[str, int]  # source and EVSE
_NOTHING = OperationMode.EXTERNAL_LIMITS  # without limits: says nothing


class Timed(Protocol):
    """From `start_mono` to `end_mono`, which may be infinite."""

    @property
    def start_mono(self) -> float: ...
    @property
    def end_mono(self) -> float: ...


Some = TypeVar("Some", bound=Timed)


def sweep(several: Iterable[Some]) -> Iterator[tuple[float, float, list[Some]]]:
    """Start, end and what is active, in order; times with nothing are left out."""
    ordered = sorted(several, key=lambda one: one.start_mono)
    edges = sorted({e for one in ordered for e in (one.start_mono, one.end_mono)})
    active: list[Some] = []
    at = 0
    for begin, end in pairwise(edges):
        while at < len(ordered) and ordered[at].start_mono <= begin:
            active.append(ordered[at])
            at += 1
        active = [one for one in active if one.end_mono > begin]
        if active:
            yield begin, end, active


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
    """A price for a time. Higher ranks win."""

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
    now_mono, segments = now.mono, []
    end_mono = now_mono
    alive = [
        w if w.start_mono >= now_mono else replace(w, start_mono=now_mono)
        for w in windows
        if w.end_mono > now_mono
    ]
    for begin, end, active in islice(sweep(alive), MOST_SEGMENTS):
        if begin >= until_mono:
            break
        if begin > end_mono:  # nothing between two windows
            segments.append(Segment(end_mono, _NOTHING))
        segments.append(_segment(begin, active))
        end_mono = min(end, until_mono)
    if not segments:
        return None
    return made(source, evse_id, tuple(segments), end_mono, now_mono, priority)


def _segment(at_mono: float, active: list[Window]) -> Segment:
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
    """One series without overlap (of one rank the earlier part goes first), until a
    gap."""
    chain: list[PricePart] = []
    until_mono, last = 0.0, None
    for begin_mono, end_mono, active in sweep(parts):
        if chain and begin_mono > until_mono + GAP_S:
            break
        best = max(active, key=lambda part: (part.rank, -part.start_mono))
        if best is not last:
            if len(chain) == MOST_SEGMENTS:
                break
            start_mono = until_mono if chain else begin_mono
            chain.append(PricePart(start_mono, best.price, best.sell, best.co2_g))
        until_mono, last = end_mono, best
    if not chain:
        return None
    return PriceSeries(source, tuple(chain), until_mono, currency, rank)


class Told:
    """What was told last, so that what is over is withdrawn once."""

    def __init__(self) -> None:
        self._keys: set[Key] = set()
        self._priced = False

    def all(
        self, found: Mapping[Key, DispatchSignal | None], now: Now
    ) -> list[DispatchSignal]:
        """What is found, and an end of each that was told and is not any more."""
        told = {key: signal for key, signal in found.items() if signal is not None}
        over = self._keys - told.keys()
        self._keys = set(told)
        return [*told.values(), *(made(*k, (), now.mono, now.mono) for k in over)]

    def prices(
        self, source: str, parts: Iterable[Priced], currency: str, rank: int, now: Now
    ) -> PriceSeries | None:
        """One series of them; when the last is gone, one that is over: the next
        source's prices count again. None = nothing to say."""
        found = series(source, parts, currency, rank)
        was, self._priced = self._priced, found is not None
        if found is None and was:
            over = (PricePart(now.mono - 1.0, 0.0),)
            return PriceSeries(source, over, now.mono, "", rank)
        return found


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
