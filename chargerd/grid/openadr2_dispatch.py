"""OpenADR 2.0b events -> dispatch signals and prices.

Pure. Of wishes the event with the best priority counts, of caps all; a signal ends with
its event, and at the latest `until_mono`. Must never outlive either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid import Openadr2
from chargerd.grid import windows
from chargerd.grid.openadr2_events import Event, Part, Signal
from chargerd.grid.windows import Key, Priced, Window
from chargerd.grid.work import Work
from chargerd.model import DispatchSignal, EvseReport
from chargerd.plan import PriceSeries

SOURCE = "openadr2"
RANK = 20  # of its prices: above MQTT's and the tariff
Reports = Mapping[int, EvseReport]


class Dispatch:
    """Of all events together."""

    def __init__(self, config: Openadr2, evses: Iterable[Evse]) -> None:
        self._config = config
        self._evses = {evse.id: evse for evse in evses}
        self._told = windows.Told()

    def reckon(
        self,
        events: list[Event],
        until_mono: float,
        reports: Reports,
        now: Now,
        *,
        prices: bool,
    ) -> Work:
        """What the events want now. It may take long: it runs beside the loop, one at a
        time."""
        signals = self._signals(events, until_mono, reports, now)
        return Work(signals, self._prices(events, now) if prices else None)

    def _signals(
        self, events: Iterable[Event], until_mono: float, reports: Reports, now: Now
    ) -> list[DispatchSignal]:
        """The newest of each source and EVSE; those that say nothing any more end."""
        asked: dict[Key, list[Window]] = {}
        for evse_id, window in self._windows(events, reports, now):
            kind = "limit" if window.caps else "set"
            asked.setdefault((f"{SOURCE}.{kind}", evse_id), []).append(window)
        found = {
            key: windows.compose(*key, several, until_mono, now)
            for key, several in asked.items()
        }
        return self._told.all(found, now)

    def discharges(self, event: Event, before_mono: float, now: Now) -> bool:
        """Does it want power out of a vehicle before `before_mono`?"""
        return any(
            window.wish_w is not None and window.wish_w < 0.0
            for _, window in self._windows([event], {}, now, before_mono)
        )

    def _windows(
        self,
        events: Iterable[Event],
        reports: Reports,
        now: Now,
        before_mono: float = math.inf,
    ) -> Iterator[tuple[int, Window]]:
        for event in events:
            if not event.followed:
                continue
            start_mono = now.mono_at(event.start)
            for signal in event.signals:
                for part in signal.parts:
                    begins = start_mono + part.start_s <= before_mono
                    if begins and start_mono + part.end_s > now.mono:
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
        if report is None:
            return None
        target_wh = part.value
        if signal.type == "multiplier":
            target_wh *= report.snapshot.vehicle.capacity_wh or 0.0
        ratings = self._ratings(report.snapshot.evse_id)
        return windows.towards(target_wh, report, end_mono, ratings, now)

    def _prices(self, events: Iterable[Event], now: Now) -> PriceSeries | None:
        """One series without gaps from all price events."""
        parts: list[Priced] = []
        currency = ""
        for event in events:
            if not event.followed:
                continue
            start_mono = now.mono_at(event.start)
            for signal in event.signals:
                if signal.name == "ELECTRICITY_PRICE":
                    currency = signal.unit if len(signal.unit) == 3 else currency
                    parts += _priced(signal, start_mono, event.rank, now)
        return self._told.prices(SOURCE, parts, currency, RANK, now)


def _priced(signal: Signal, start_mono: float, rank: int, now: Now) -> Iterator[Priced]:
    """One that holds for ever is told for a day."""
    for part in signal.parts:
        begin_mono = max(start_mono + part.start_s, now.mono)
        end_mono = min(start_mono + part.end_s, begin_mono + 86_400.0)
        if end_mono > begin_mono:
            yield Priced(begin_mono, end_mono, rank, part.value)
