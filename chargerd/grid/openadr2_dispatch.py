"""OpenADR 2.0b events -> dispatch signals and prices.

Pure. Of wishes the event with the best priority counts, of caps all; a signal ends with
its event, and at the latest `until_mono`. Must never outlive either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid import Openadr2
from chargerd.grid.openadr2_events import Event, Part, Signal
from chargerd.model import (
    DispatchSignal,
    EvseReport,
    OperationMode,
    Priority,
    Segment,
)
from chargerd.plan import PricePart, PriceSeries

SOURCE = "openadr2"
RANK = 20  # of its prices: above MQTT's and the tariff
MOST_SEGMENTS = 512
NO_END_S = 3600.0  # to reach a state of charge that has no time of its own
_NOTHING = OperationMode.EXTERNAL_LIMITS  # without limits: says nothing
Reports = Mapping[int, EvseReport]
_Priced = tuple[float, float, int, float]  # start, end, rank, price


@dataclass(frozen=True, slots=True)
class Window:
    """What one interval asks of one EVSE (0 = the station)."""

    start_mono: float
    end_mono: float
    rank: int
    wish_w: float | None = None
    limit_w: float | None = None


class Dispatch:
    """Keeps what was told last, so that what is over is withdrawn once."""

    def __init__(self, config: Openadr2, evses: Iterable[Evse]) -> None:
        self._config = config
        self._evses = {evse.id: evse for evse in evses}
        self._told: set[tuple[str, int]] = set()
        self._priced = False

    def signals(
        self, events: Iterable[Event], until_mono: float, reports: Reports, now: Now
    ) -> list[DispatchSignal]:
        """The newest of each source and EVSE; those that say nothing any more end."""
        windows: dict[tuple[str, int], list[Window]] = {}
        for evse_id, window in self._windows(events, reports, now):
            kind = "set" if window.limit_w is None else "limit"
            windows.setdefault((kind, evse_id), []).append(window)
        found = {
            key: signal
            for key, several in windows.items()
            if (signal := _signal(*key, several, until_mono, now)) is not None
        }
        for key in self._told - found.keys():
            found[key] = _made(*key, (), now.mono, now.mono)
        self._told = {k for k, s in found.items() if s.segments}
        return list(found.values())

    def discharges(self, event: Event, before_mono: float, now: Now) -> bool:
        """Does it want power out of a vehicle before `before_mono`?"""
        return any(
            window.wish_w is not None and window.wish_w < 0.0
            for _, window in self._windows([event], {}, now)
            if window.start_mono <= before_mono
        )

    def _windows(
        self, events: Iterable[Event], reports: Reports, now: Now
    ) -> Iterator[tuple[int, Window]]:
        for event in events:
            if not event.followed:
                continue
            start_mono = now.mono_at(event.start)
            for signal in event.signals:
                for part in signal.parts:
                    if start_mono + part.end_s > now.mono:
                        yield from self._part(event, signal, part, reports, now)

    def _part(
        self, event: Event, signal: Signal, part: Part, reports: Reports, now: Now
    ) -> Iterator[tuple[int, Window]]:
        start_mono = now.mono_at(event.start)
        begin, end = start_mono + part.start_s, start_mono + part.end_s
        if signal.name == "CHARGE_STATE":
            if begin <= now.mono:  # before it begins nobody knows the way
                for evse_id in event.evse_ids or self._evses:
                    power_w = self._towards(
                        signal, part, reports.get(evse_id), end, now
                    )
                    if power_w is not None:
                        yield evse_id, Window(begin, end, event.rank, wish_w=power_w)
            return
        for evse_id in event.evse_ids or (0,):
            wish_w, limit_w = self._asked(signal, part.value, evse_id)
            if wish_w is not None or limit_w is not None:
                yield evse_id, Window(begin, end, event.rank, wish_w, limit_w)

    def _asked(
        self, signal: Signal, value: float, evse_id: int
    ) -> tuple[float | None, float | None]:
        """A wish or a cap, in W into the vehicle."""
        charge_w, discharge_w = self._ratings(evse_id)
        match signal.name, signal.type:
            case "SIMPLE", _:
                if not value:
                    return None, None
                part = self._config.levels[int(value) - 1]
                return (
                    (part * discharge_w, None) if part < 0 else (None, part * charge_w)
                )
            case "LOAD_DISPATCH", _:
                sign = 1.0 if self._config.positive == "load" else -1.0
                return min(charge_w, max(-discharge_w, sign * value)), None
            case "LOAD_CONTROL", "x-loadControlCapacity":
                return None, value * charge_w
            case "LOAD_CONTROL", _:
                return None, max(0.0, value)
        return None, None

    def _ratings(self, evse_id: int) -> tuple[float, float]:
        asked = [e for e in self._evses.values() if evse_id in (0, e.id)]
        return sum(e.charge_w for e in asked), sum(e.discharge_w for e in asked)

    def _towards(
        self,
        signal: Signal,
        part: Part,
        report: EvseReport | None,
        end_mono: float,
        now: Now,
    ) -> float | None:
        """The even power that leads to the stored energy at the interval's end; losses
        correct themselves, as it is reckoned anew."""
        stored = stored_wh(report)
        if report is None or stored is None:
            return None
        target_wh = part.value
        if signal.type == "multiplier":
            target_wh *= report.snapshot.vehicle.capacity_wh or 0.0
        left_s = end_mono - now.mono
        charge_w, discharge_w = self._ratings(report.snapshot.evse_id)
        if not math.isfinite(left_s):
            left_s = NO_END_S
        power_w = (target_wh - stored) * 3600.0 / max(left_s, 60.0)
        return min(charge_w, max(-discharge_w, power_w))

    def prices(self, events: Iterable[Event], now: Now) -> PriceSeries | None:
        """One series without gaps from all price events; None = nothing to say. When
        the last price event is gone, a series that is over: the tariff counts again."""
        parts: list[_Priced] = []
        currency = ""
        for event in events:
            if not event.followed:
                continue
            start_mono = now.mono_at(event.start)
            for signal in event.signals:
                if signal.name == "ELECTRICITY_PRICE":
                    currency = signal.unit if len(signal.unit) == 3 else currency
                    parts += _priced(signal, start_mono, event.rank, now)
        chain = _chain(sorted(parts, key=lambda p: (p[0], -p[2])))
        if not chain:
            if not self._priced:
                return None
            self._priced = False
            over = (PricePart(now.mono - 1.0, 0.0),)
            return PriceSeries(SOURCE, over, now.mono, currency, RANK)
        self._priced = True
        chain = chain[:MOST_SEGMENTS]
        made = tuple(PricePart(start, price) for start, _, price in chain)
        return PriceSeries(SOURCE, made, chain[-1][1], currency, RANK)


def _priced(
    signal: Signal, start_mono: float, rank: int, now: Now
) -> Iterator[_Priced]:
    for part in signal.parts:
        end_mono = start_mono + min(part.end_s, part.start_s + 86_400.0)
        if end_mono > now.mono:
            yield start_mono + part.start_s, end_mono, rank, part.value


def _chain(
    parts: list[_Priced],
) -> list[tuple[float, float, float]]:
    """Start, end, price: no overlap (the earlier one goes first), until a gap."""
    found: list[tuple[float, float, float]] = []
    for start, end, _, price in parts:
        if found:
            if start > found[-1][1] + 1.0:
                break
            start = found[-1][1]
        if end > start:
            found.append((start, end, price))
    return found


def stored_wh(report: EvseReport | None) -> float | None:
    """In the vehicle that is there, where it says so."""
    if report is None:
        return None
    vehicle = report.snapshot.vehicle
    if vehicle.soc_pct is None or vehicle.capacity_wh is None:
        return None
    return vehicle.capacity_wh * vehicle.soc_pct / 100.0


def _signal(
    kind: str, evse_id: int, windows: list[Window], until_mono: float, now: Now
) -> DispatchSignal | None:
    """None where it would be over at once."""
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
    return _made(kind, evse_id, tuple(segments), end_mono, now.mono)


def _segment(at_mono: float, windows: list[Window]) -> Segment:
    active = [w for w in windows if w.start_mono <= at_mono < w.end_mono]
    caps = [w.limit_w for w in active if w.limit_w is not None]
    if caps:
        return Segment(at_mono, OperationMode.EXTERNAL_LIMITS, limit_w=min(caps))
    wishes = [w for w in active if w.wish_w is not None]
    if not wishes:
        return Segment(at_mono, _NOTHING)
    best = max(wishes, key=lambda w: (w.rank, w.start_mono))
    return Segment(at_mono, OperationMode.EXTERNAL_SETPOINT, setpoint_w=best.wish_w)


def _made(
    kind: str,
    evse_id: int,
    segments: tuple[Segment, ...],
    until_mono: float,
    now_mono: float,
) -> DispatchSignal:
    return DispatchSignal(
        source=f"{SOURCE}.{kind}",
        evse_id=evse_id,
        priority=Priority.SETPOINT,
        segments=segments,
        received_mono=now_mono,
        valid_until_mono=until_mono,
    )
