"""What prices will be: forecasts judged by their own past.

Pure. Remembers four weeks of half-hourly prices of each source, and how wrong what was
said before turned out, by the half-hour it was said in and how far ahead. Only the
planner uses estimates: what is shown, told and billed stays as the source says it.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from itertools import pairwise
from typing import Any

from chargerd.clock import Now
from chargerd.plan import PricePart, PriceSeries

SLOT_S = 1_800.0
SLOTS = 48
DAYS = 28  # remembered: whole weeks
LEAST_DAYS = 7  # less teaches nothing: the forecast is taken as it is
RING = DAYS * SLOTS
# Half-hours ahead; the error is pooled between two of these.
LEADS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 97)
WIDTHS = [b - a for a, b in pairwise(LEADS)]
CELLS = SLOTS * len(WIDTHS)
LINES_MAX = 4  # to keep them all takes some 5 ms
KEPT_EACH = 12  # half-hours
SAMPLES_MAX = 336  # of what was unusual, for the estimate
REACH = 5.0  # standard deviations; no error is greater
PRICE_MAX = 1e6
SAME_S = 1.0  # times of day are told by clocks that are set meanwhile
LINES: Mapping[str, Callable[[PricePart], float | None]] = {
    "buy": lambda part: part.buy_per_kwh,
    "sell": lambda part: part.sell_per_kwh,
}


@dataclass(frozen=True, slots=True)
class Usual:
    """`means`: by half-hour of the day; `shifts`: of working days and of weekends from
    them; `unusual`: differences of single prices from both, sorted."""

    means: tuple[float | None, ...]
    shifts: tuple[float, float]
    unusual: tuple[float, ...]

    def at(self, slot: int) -> float | None:
        mean = self.means[slot % SLOTS]
        return None if mean is None else mean + self.shifts[_weekend(slot)]


@dataclass(slots=True)
class Line:
    """One price of one source. `ring`: by slot; `squares`: of the error, by cell."""

    ring: list[float | None] = field(default_factory=lambda: [None] * RING)
    squares: list[float] = field(default_factory=lambda: [0.0] * CELLS)
    counts: list[int] = field(default_factory=lambda: [0] * CELLS)
    said: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    usual: Usual | None = None

    def close(self, slot: int, ahead: list[float | None]) -> None:
        """A slot is over: `ahead` begins with its price, then what is said of later
        ones."""
        came = ahead[0] if ahead else None
        if came is not None:
            for cell, said in self.said.get(slot, ()):
                most = DAYS * WIDTHS[cell % len(WIDTHS)]
                self.counts[cell] = min(self.counts[cell] + 1, most)
                off = (came - said) ** 2 - self.squares[cell]
                self.squares[cell] += off / self.counts[cell]
            self.ring[slot % RING] = came
            self.usual = None
        self.said = {at: rows for at, rows in self.said.items() if at > slot}
        for lead, price in enumerate(ahead):
            if lead > 0 and price is not None:
                row = self.said.setdefault(slot + lead, [])
                row.append((_cell(slot, lead), price))

    def judged(self, now_slot: int, slot: int, price: float) -> float:
        """What to plan with for a price that is said to come."""
        if not LEADS[0] <= slot - now_slot < LEADS[-1]:
            return price
        cell = _cell(now_slot, slot - now_slot)
        seen_enough = self.counts[cell] >= LEAST_DAYS * WIDTHS[cell % len(WIDTHS)]
        if self.squares[cell] <= 0.0 or not seen_enough:
            return price
        if self.usual is None:
            self.usual = usual(self.ring)
        mean = self.usual.at(slot)
        if mean is None:
            return price
        return mean + likely(price - mean, self.squares[cell], self.usual.unusual)


def likely(said: float, variance: float, unusual: tuple[float, ...]) -> float:
    """What is said, brought to the spread that prices really have: its rank among what
    would be said (the past with errors on it) is its rank in the past. So it keeps the
    order of hours. What was said is itself one of the past: what was never seen before
    can come. Without errors: what is said."""
    if variance <= 0.0 or not unusual:
        return said
    deviation = math.sqrt(variance)
    first = bisect(unusual, said - REACH * deviation)
    end = bisect(unusual, said + REACH * deviation)
    below = float(first)
    for value in unusual[first:end]:
        below += 0.5 + 0.5 * math.erf((said - value) / (deviation * math.sqrt(2.0)))
    row = sorted((*unusual, said))
    index = min(int(below), len(unusual) - 1)
    return row[index] + (below - index) * (row[index + 1] - row[index])


def usual(ring: list[float | None]) -> Usual:
    """From four weeks of prices; few of them tell nothing."""
    means: list[float | None] = []
    for half_hour in range(SLOTS):
        row = [price for price in ring[half_hour::SLOTS] if price is not None]
        means.append(sum(row) / len(row) if len(row) >= LEAST_DAYS else None)
    kinds: tuple[list[float], list[float]] = [], []
    for index, price in enumerate(ring):
        mean = means[index % SLOTS]
        if price is not None and mean is not None:
            kinds[_weekend(index)].append(price - mean)
    work, weekend = (sum(kind) / len(kind) if kind else 0.0 for kind in kinds)
    unusual = sorted([x - work for x in kinds[0]] + [x - weekend for x in kinds[1]])
    thin = math.ceil(len(unusual) / SAMPLES_MAX) or 1
    return Usual(tuple(means), (work, weekend), tuple(unusual[::thin]))


@dataclass(frozen=True, slots=True)
class _Seen:
    slot: int
    start_mono: float
    series: PriceSeries


class Judge:
    """What was learnt of each source; `keep` is called with all four times a day."""

    def __init__(
        self, zone: tzinfo, kept: Any, keep: Callable[[dict[str, Any]], None]
    ) -> None:
        self._zone, self._keep = zone, keep
        self._lines = read(kept)
        self._seen: _Seen | None = None

    def learn(self, series: PriceSeries, now: Now) -> None:
        """Once a second with the series in force; a slot counts when it is over."""
        if not now.trusted:
            return
        slot, start_mono = _slot(self._zone, now)
        if self._seen is not None and self._seen.slot != slot:
            self._close(self._seen)
        self._seen = _Seen(slot, start_mono, series)

    def _close(self, seen: _Seen) -> None:
        for name, value in LINES.items():
            ahead = _ahead(seen, value)
            if any(price is not None for price in ahead):
                key = f"{seen.series.source} {name}"
                line = self._lines.pop(key, None) or Line()
                line.close(seen.slot, ahead)
                self._lines[key] = line  # the newest is the last
        for key in list(self._lines)[:-LINES_MAX]:
            del self._lines[key]
        if seen.slot % KEPT_EACH == KEPT_EACH - 1:
            self._keep({key: pack(line) for key, line in self._lines.items()})

    def estimate(self, series: PriceSeries, now: Now) -> PriceSeries:
        """The series itself where nothing is to be judged. Takes 10 ms and more."""
        if not now.trusted:
            return series
        slot, start_mono = _slot(self._zone, now)
        ends = [*(part.start_mono for part in series.parts[1:]), series.until_mono]
        parts = []
        for part, end in zip(series.parts, ends, strict=True):
            middle = (part.start_mono + end) / 2.0
            then = slot + math.floor((middle - start_mono) / SLOT_S)
            if part.start_mono > now.mono:
                part = self._judged(series.source, slot, then, part)
            parts.append(part)
        judged = tuple(parts)
        return series if judged == series.parts else replace(series, parts=judged)

    def _judged(self, source: str, slot: int, then: int, part: PricePart) -> PricePart:
        buy, sell = (self._lines.get(f"{source} {name}") for name in LINES)
        if buy is not None:
            part = replace(part, buy_per_kwh=buy.judged(slot, then, part.buy_per_kwh))
        if sell is not None and part.sell_per_kwh is not None:
            sells = sell.judged(slot, then, part.sell_per_kwh)
            part = replace(part, sell_per_kwh=sells)
        return part


def alike(one: PriceSeries, other: PriceSeries, now_mono: float) -> bool:
    """Do both say the same from now on? Of prices without an end, the end moves."""
    mine, theirs = _coming(one, now_mono), _coming(other, now_mono)
    return (
        (one.currency, one.rank) == (other.currency, other.rank)
        and abs(one.until_mono - other.until_mono) < SLOT_S
        and len(mine) == len(theirs)
        and all(
            abs(a.start_mono - b.start_mono) < SAME_S
            and replace(a, start_mono=b.start_mono) == b
            for a, b in zip(mine, theirs, strict=True)
        )
    )


def _coming(series: PriceSeries, now_mono: float) -> list[PricePart]:
    """The part in force, as if it began now, and all later ones."""
    ends = [*(part.start_mono for part in series.parts[1:]), series.until_mono]
    return [
        replace(part, start_mono=max(part.start_mono, now_mono))
        for part, end in zip(series.parts, ends, strict=True)
        if end > now_mono + SAME_S
    ]


def _ahead(
    seen: _Seen, value: Callable[[PricePart], float | None]
) -> list[float | None]:
    """The price in the middle of each slot, as far as it is said."""
    parts, index = seen.series.parts, 0
    found: list[float | None] = []
    for lead in range(LEADS[-1]):
        at = seen.start_mono + (lead + 0.5) * SLOT_S
        if at >= seen.series.until_mono:
            break
        while index + 1 < len(parts) and parts[index + 1].start_mono <= at:
            index += 1
        price = value(parts[index]) if parts[index].start_mono <= at else None
        known = price is not None and abs(price) <= PRICE_MAX
        found.append(price if known else None)
    return found


def _slot(zone: tzinfo, now: Now) -> tuple[int, float]:
    """The half-hour of local time, counted from an old Monday, and its start."""
    local = now.utc.astimezone(zone)
    seconds = local.hour * 3600.0 + local.minute * 60.0 + local.second
    seconds += local.microsecond / 1e6
    half_hour = int(seconds // SLOT_S)
    day = local.date().toordinal() - 1
    return day * SLOTS + half_hour, now.mono - (seconds - half_hour * SLOT_S)


def _weekend(slot: int) -> bool:
    return slot // SLOTS % 7 >= 5


def _cell(slot: int, lead: int) -> int:
    return slot % SLOTS * len(WIDTHS) + bisect(LEADS, lead) - 1


def pack(line: Line) -> dict[str, Any]:
    """To be stored; what was said of slots to come is not."""
    ring = [None if price is None else round(price, 4) for price in line.ring]
    squares = [round(square, 4) for square in line.squares]
    return {"ring": ring, "squares": squares, "counts": list(line.counts)}


def read(value: Any) -> dict[str, Line]:
    """From what was stored; anything else is nothing learnt."""
    rows = value.items() if isinstance(value, dict) else ()
    lines = {str(key): _read_line(row) for key, row in rows}
    return {key: line for key, line in lines.items() if line is not None}


def _read_line(row: Any) -> Line | None:
    if not isinstance(row, dict):
        return None
    ring = _numbers(row.get("ring"), RING, -PRICE_MAX)
    squares = _numbers(row.get("squares"), CELLS, 0.0)
    counts = _numbers(row.get("counts"), CELLS, 0.0)
    if not (ring and squares and counts):
        return None
    return Line(ring, [x or 0.0 for x in squares], [int(x or 0) for x in counts])


def _numbers(row: Any, size: int, least: float) -> list[float | None] | None:
    """None: not so many. What is no number in its range is None in it."""
    if not isinstance(row, list) or len(row) != size:
        return None
    good = [isinstance(x, int | float) and least <= x <= PRICE_MAX**2 for x in row]
    return [float(x) if ok else None for x, ok in zip(row, good, strict=True)]
