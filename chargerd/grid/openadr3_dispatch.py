"""OpenADR 3 events -> dispatch signals and prices.

Pure. Of wishes the event with the best priority counts, of caps all. A wish ends with
its event, or when the VTN has been silent; a cap holds to its event's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid_servers import Openadr3
from chargerd.grid import windows
from chargerd.grid.openadr3_events import MOST_TOGETHER
from chargerd.grid.openadr3_read import ALERTS, DAY_S, PRICES, Event, Part, horizon
from chargerd.grid.windows import MOST_SEGMENTS, Key, Priced, Window
from chargerd.grid.work import Work
from chargerd.model import DispatchSignal, EvseReport, Priority
from chargerd.plan import PriceSeries

SOURCE = "openadr3"
SET, LIMIT, ALERT = "openadr3.set", "openadr3.limit", "openadr3.alert"
RANK = 25  # of its prices: above OpenADR 2.0b's, MQTT's and the tariff
_SHED = ("ALERT_GRID_EMERGENCY", "ALERT_FLEX_ALERT")
_STOP = "ALERT_BLACK_START"  # "devices should minimize electricity use"
_CAPACITY, _RELATIVE = "_CAPACITY_", "DISPATCH_SETPOINT_RELATIVE"
_FAR_S = 2.0 * DAY_S  # a price that holds for ever is told so far
Reports = Mapping[int, EvseReport]
Baselines = dict[str, float]
Asked = tuple[str, float | None, float | None]  # source, wish, cap
Spans = list[tuple[Event, list[Part]]]


@dataclass(frozen=True, slots=True)
class Capacity:
    """A value of a kind for a time."""

    start_mono: float
    end_mono: float
    kind: str
    value: float


class Dispatch:
    """Of all events together."""

    def __init__(self, config: Openadr3, evses: Iterable[Evse]) -> None:
        self._config = config
        self._evses = {evse.id: evse for evse in evses}
        self._told = windows.Told()
        # What the station did before a relative setpoint began, in W.
        self.baselines: Baselines = {}

    def reckon(
        self, events: list[Event], until_mono: float, reports: Reports, now: Now
    ) -> Work:
        """What the events want now, all of it. `until_mono` bounds wishes. It may take
        long: it runs beside the loop, one at a time."""
        most = MOST_TOGETHER // max(1, len(events))
        spans = [(e, list(e.spans(*horizon(e, now.utc), most))) for e in events]
        signals = self._signals(spans, until_mono, reports, now)
        return Work(signals, self._prices(spans, now))

    def _signals(
        self, spans: Spans, until_mono: float, reports: Reports, now: Now
    ) -> list[DispatchSignal]:
        """The newest of each source and EVSE; those that say nothing any more end."""
        asked: dict[Key, list[Window]] = {}
        counted: set[str] = set()
        for event, parts in spans:
            for key, window in self._windows(event, parts, reports, now, counted):
                asked.setdefault(key, []).append(window)
        for evse_id, capacities in _capacities(spans, now).items():
            caps = asked.setdefault((LIMIT, evse_id), [])
            caps += _caps(capacities)
        for name in self.baselines.keys() - counted:
            del self.baselines[name]
        found = {}
        for key, several in asked.items():
            end_mono, priority = until_mono, Priority.SETPOINT
            if key[0] == LIMIT:  # renewed before it ends, with or without the VTN
                end_mono = max(until_mono, now.mono + self._config.hold_s)
            elif key[0] == ALERT:
                priority = Priority.EMERGENCY
            found[key] = windows.compose(*key, several, end_mono, now, priority)
        return self._told.all(found, now)

    def _windows(
        self,
        event: Event,
        parts: list[Part],
        reports: Reports,
        now: Now,
        counted: set[str],
    ) -> Iterator[tuple[Key, Window]]:
        """All but capacities: those count over events."""
        start_mono = now.mono_at(event.start)
        for part in parts:
            span = (start_mono + part.start_s, start_mono + part.end_s, event.rank)
            if part.kind in PRICES or _CAPACITY in part.kind:
                continue
            if part.kind == _RELATIVE and span[0] > now.mono:
                continue  # what it is relative to is not known yet
            if part.kind == "CHARGE_STATE_SETPOINT":
                for evse_id in event.evse_ids or self._evses:
                    report = reports.get(evse_id)
                    # Before it begins nobody knows the way.
                    if span[0] <= now.mono and report is not None:
                        wish_w = self._towards(part, report, span[1], now)
                        if wish_w is not None:
                            yield (SET, evse_id), Window(*span, wish_w)
                continue
            for evse_id in event.evse_ids or (0,):
                if part.kind.startswith(ALERTS):
                    asked = self._alert(part, evse_id)
                elif part.kind == "SIMPLE":
                    asked = self._simple(part, evse_id)
                else:
                    key = f"{event.id}/{part.interval}/{part.start_s:.0f}/{evse_id}"
                    asked = self._setpoint(key, part, evse_id, reports, counted)
                if asked is not None:
                    source, wish_w, limit_w = asked
                    yield (source, evse_id), Window(*span, wish_w, limit_w)

    def _simple(self, part: Part, evse_id: int) -> Asked | None:
        level = int(part.value)
        if not level:
            return None
        return self._share(self._config.levels[level - 1], evse_id, SET)

    def _alert(self, part: Part, evse_id: int) -> Asked | None:
        """Others than these are for people: the status shows them."""
        if part.kind == _STOP:
            return self._share(0.0, evse_id, ALERT)
        if part.kind in _SHED:
            return self._share(self._config.alert, evse_id, ALERT)
        return None

    def _share(self, share: float, evse_id: int, source: str) -> Asked:
        """A part of the rating: a cap on charging, or negative a discharge."""
        charge_w, discharge_w = self._ratings(evse_id)
        if share < 0.0:
            return source, share * discharge_w, None
        return LIMIT, None, share * charge_w

    def _setpoint(
        self,
        key: str,
        part: Part,
        evse_id: int,
        reports: Reports,
        counted: set[str],
    ) -> Asked | None:
        power_w = part.value
        if part.kind == _RELATIVE:
            counted.add(key)
            baseline_w = self.baselines.get(key, _power(reports, evse_id))
            if baseline_w is None:
                return None
            self.baselines[key] = baseline_w
            power_w += baseline_w
        charge_w, discharge_w = self._ratings(evse_id)
        return SET, min(charge_w, max(-discharge_w, power_w)), None

    def _ratings(self, evse_id: int) -> tuple[float, float]:
        asked = [e for e in self._evses.values() if evse_id in (0, e.id)]
        return sum(e.charge_w for e in asked), sum(e.discharge_w for e in asked)

    def _towards(
        self, part: Part, report: EvseReport, end_mono: float, now: Now
    ) -> float | None:
        target_wh = part.value
        if part.unit != "KWH":
            # A fraction by the definition, percent in the User Guide's example.
            share = part.value if part.value <= 1.0 else min(1.0, part.value / 100.0)
            target_wh = share * (report.snapshot.vehicle.capacity_wh or 0.0)
        ratings = self._ratings(report.snapshot.evse_id)
        return windows.towards(target_wh, report, end_mono, ratings, now)

    def _prices(self, spans: Spans, now: Now) -> PriceSeries | None:
        """One series without gaps from all price events."""
        parts: list[Priced] = []
        currency = ""
        for event, several in spans:
            if not event.evse_ids:
                currency = event.currency or currency
                parts += _priced(event, several, now)
        return self._told.prices(SOURCE, parts, currency, RANK, now)


def _power(reports: Reports, evse_id: int) -> float | None:
    asked = [r for i, r in reports.items() if evse_id in (0, i)]
    return sum(r.decision.power_w for r in asked) if asked else None


def _capacities(spans: Spans, now: Now) -> dict[int, list[Capacity]]:
    """By EVSE, from all events."""
    found: dict[int, list[Capacity]] = {}
    for event, parts in spans:
        for capacity in _from_now(event, parts, now):
            if _CAPACITY in capacity.kind:
                for evse_id in event.evse_ids or (0,):
                    found.setdefault(evse_id, []).append(capacity)
    return found


def _from_now(event: Event, parts: Iterable[Part], now: Now) -> Iterator[Capacity]:
    """What is over does not count any more."""
    start_mono = now.mono_at(event.start)
    for part in parts:
        begin, end = start_mono + part.start_s, start_mono + part.end_s
        if end > now.mono:
            yield Capacity(max(begin, now.mono), end, part.kind, part.value)


def _caps(capacities: list[Capacity]) -> Iterator[Window]:
    """A limit counts alone; without one, what is subscribed and what is reserved
    (User Guide 8.10). Of several of a kind the smallest, but reservations add up."""
    for begin, end, active in islice(windows.sweep(capacities), MOST_SEGMENTS):
        into, out = _cap(active, "IMPORT"), _cap(active, "EXPORT")
        if into is not None or out is not None:
            yield Window(begin, end, 0, None, into, None if out is None else -out)


def _cap(active: list[Capacity], way: str) -> float | None:
    def of(kind: str) -> list[float]:
        return [c.value for c in active if c.kind == f"{way}{_CAPACITY}{kind}"]

    if limits := of("LIMIT"):
        return min(limits)
    if subscribed := of("SUBSCRIPTION"):
        return min(subscribed) + sum(of("RESERVATION"))
    return None


def _priced(event: Event, parts: list[Part], now: Now) -> Iterator[Priced]:
    """Buy prices, with the sell price and CO2 of the same time where they are told."""
    found = [c for c in _from_now(event, parts, now) if c.kind in PRICES]
    for begin, end, active in windows.sweep(found):
        by = {part.kind: part.value for part in active}
        if "PRICE" in by:
            end = min(end, begin + _FAR_S)
            sell, co2_g = by.get("EXPORT_PRICE"), by.get("GHG")
            yield Priced(begin, end, event.rank, by["PRICE"], sell, co2_g)
