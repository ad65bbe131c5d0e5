"""One OpenADR 3 event: JSON -> what it asks, when, and of whom.

Pure. A malformed event is not followed at all; payload types that we do not know are
left out. Times follow the User Guide's 7.3.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chargerd.grid import openadr3_words as words
from chargerd.grid.openadr3_words import Json, Refused

MOST_INTERVALS, MOST_PAYLOADS, MOST_VALUES = 512, 16, 512
MOST_CHARACTERS = 60_000  # of one event: it is kept over restarts
MOST_PARTS = 512  # of one event, with all its cycles
FARTHEST_S = 366 * 86_400.0
DAY_S = 86_400.0
PRICES = ("PRICE", "EXPORT_PRICE", "GHG")
ALERTS = "ALERT_"
# Payload type: lowest value, highest, the units it may have (the first is ours where
# no descriptor names one [K]).
_POWER = ("KW", "W")
KNOWN: dict[str, tuple[float, float, tuple[str, ...]]] = {
    "SIMPLE": (0.0, 3.0, ("",)),
    "PRICE": (-1e6, 1e6, ("KWH",)),
    "EXPORT_PRICE": (-1e6, 1e6, ("KWH",)),
    "GHG": (0.0, 1e6, ("GHG",)),
    "CHARGE_STATE_SETPOINT": (0.0, 1e6, ("PERCENT", "PERCENTAGE", "KWH")),
    "DISPATCH_SETPOINT": (-1e6, 1e6, _POWER),
    "DISPATCH_SETPOINT_RELATIVE": (-1e6, 1e6, _POWER),
    "IMPORT_CAPACITY_LIMIT": (0.0, 1e6, _POWER),
    "IMPORT_CAPACITY_SUBSCRIPTION": (0.0, 1e6, _POWER),
    "IMPORT_CAPACITY_RESERVATION": (0.0, 1e6, _POWER),
    "EXPORT_CAPACITY_LIMIT": (0.0, 1e6, _POWER),
    "EXPORT_CAPACITY_SUBSCRIPTION": (0.0, 1e6, _POWER),
    "EXPORT_CAPACITY_RESERVATION": (0.0, 1e6, _POWER),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One value from `start_s` after the event's start on. Powers are in W."""

    interval: int  # the interval's own id
    start_s: float
    end_s: float  # may be infinite
    kind: str
    value: float = 0.0
    unit: str = ""
    note: str = ""  # an alert's text


@dataclass(frozen=True, slots=True)
class Event:
    """As understood. `evse_ids` () = the whole station."""

    id: str
    modified: datetime | None  # None: the VTN does not say, or not in a time's form
    rank: int  # higher wins
    start: datetime
    cycle_s: float  # the intervals' own length
    length_s: float  # after it, it is over; longer than the cycle: it begins anew
    evse_ids: tuple[int, ...]
    parts: tuple[Part, ...]
    bounds: tuple[tuple[int, float, float], ...]  # each interval's id, start and end
    currency: str
    reports: tuple[Json, ...]
    raw: Json
    size: int  # characters of `raw`
    seen: datetime  # when it was first told: the start of "now"

    def spans(self, after_s: float, before_s: float, most: int) -> Iterator[Part]:
        """Parts that touch the time between, of every cycle: the first `most`, and
        at least one whole cycle."""
        if not self.cycle_s or not self.parts:
            return
        loops = self.length_s > self.cycle_s
        first = max(0, int(after_s // self.cycle_s)) if loops else 0
        left = max(most, len(self.parts))
        for cycle in range(first, first + left):
            offset_s = cycle * self.cycle_s if cycle else 0.0
            if offset_s >= min(before_s, self.length_s) or (cycle and not loops):
                return
            for part in self.parts:
                start_s = part.start_s + offset_s
                end_s = min(part.end_s + offset_s, self.length_s)
                if start_s < end_s and end_s > after_s and start_s < before_s:
                    yield replace(part, start_s=start_s, end_s=end_s)
                    left -= 1
                    if not left:
                        return

    def over(self, now: datetime) -> bool:
        return (now - self.start).total_seconds() >= self.length_s


@dataclass(frozen=True, slots=True)
class Rules:
    """What an event must be like to be ours."""

    ven_name: str
    programs: frozenset[str] | None  # ids; None = all
    resources: Mapping[str, int]  # name, or a target that the VTN gave it -> EVSE
    targets: frozenset[str]  # of the ven itself; empty = the VTN shows only ours
    priority: int  # of events without one


def read(raw: Json, rules: Rules, seen: datetime) -> Event:
    """Raises Refused."""
    ident = words.identifier(raw, "id")
    try:
        size = len(json.dumps(raw, allow_nan=False))
    except ValueError:
        words.malformed("a number is not finite")
    if size > MOST_CHARACTERS:
        raise Refused("size", f"an event of over {MOST_CHARACTERS} characters")
    programs = rules.programs
    if programs is not None and words.identifier(raw, "programID") not in programs:
        raise Refused("program", "of a strange program")
    priority = words.whole(raw, "priority", rules.priority)
    if priority < 0:
        raise Refused("range", "a negative priority")
    period = words.table(raw, "intervalPeriod")
    start = words.start(period)
    intervals = words.rows(raw, "intervals", MOST_INTERVALS)
    if start is None and intervals:
        start = words.start(words.table(intervals[0], "intervalPeriod"))
    start = seen if start is None else start
    units, currency = _descriptors(raw)
    chance = words.share(f"{rules.ven_name}/{ident}")
    length_s = words.seconds(raw.get("duration"), 0.0)
    parts, bounds = _parts(intervals, period, start, units, chance, length_s)
    # Without intervals it only asks for reports, for as long as it is there.
    cycle_s = max((end_s for _, _, end_s in bounds), default=math.inf)
    shift_s = chance * words.randomness(period.get("randomizeStart"))
    return Event(
        id=ident,
        modified=modified(raw),
        rank=-priority,
        start=start + timedelta(seconds=shift_s),
        cycle_s=cycle_s,
        length_s=length_s or cycle_s,
        evse_ids=_evses(raw, rules),
        parts=parts,
        bounds=bounds,
        currency=currency,
        reports=tuple(words.rows(raw, "reportDescriptors", MOST_PAYLOADS)),
        raw=raw,
        size=size,
        seen=seen,
    )


def _evses(raw: Json, rules: Rules) -> tuple[int, ...]:
    """Resources narrow what the ven's own name or groups mean."""
    wanted = words.targets(raw)
    ours = {rules.resources[name] for _, name in wanted if name in rules.resources}
    if ours:
        everything = ours == set(rules.resources.values())
        return () if everything else tuple(sorted(ours))
    if not wanted:
        return ()
    names = rules.targets | {rules.ven_name}
    kinds = {kind for kind, _ in wanted}
    trusted = kinds == {""} and not rules.targets  # 3.1: the VTN shows only ours
    if not trusted and not any(name in names for _, name in wanted):
        raise Refused("target", "meant for others")
    return ()


def _descriptors(raw: Json) -> tuple[dict[str, str], str]:
    """Units by payload type, and the currency."""
    units: dict[str, str] = {}
    currency = ""
    for row in words.rows(raw, "payloadDescriptors", 64):
        kind = words.text(row, "payloadType")
        units[kind] = words.text(row, "units")
        if kind in PRICES:
            currency = words.text(row, "currency", 3) or currency
    return units, currency


def _parts(
    intervals: list[Json],
    period: Json,
    start: datetime,
    units: Mapping[str, str],
    chance: float,
    whole_s: float,
) -> tuple[tuple[Part, ...], tuple[tuple[int, float, float], ...]]:
    """All parts, and the intervals' bounds."""
    found: list[Part] = []
    bounds = []
    usual_s = words.seconds(period.get("duration"), whole_s)
    at_s, end_s = 0.0, 0.0
    base_s = words.randomness(period.get("randomizeStart"))
    shift_s = 0.0  # against the event's own
    for row in intervals:
        own = words.table(row, "intervalPeriod")
        if "randomizeStart" in own:
            shift_s = chance * (words.randomness(own["randomizeStart"]) - base_s)
        begins = words.start(own)
        at_s = end_s if begins is None else (begins - start).total_seconds()
        if abs(at_s) > FARTHEST_S and math.isfinite(at_s):
            raise Refused("range", "an interval is over a year away")
        end_s = at_s + words.seconds(own.get("duration"), usual_s)
        ident = words.whole(row, "id", 0)
        bounds.append((ident, at_s + shift_s, end_s + shift_s))
        for payload in words.rows(row, "payloads", MOST_PAYLOADS):
            span = (at_s + shift_s, end_s + shift_s)
            found += _payload(ident, payload, units, *span)
            if len(found) > MOST_PARTS:
                raise Refused("size", f"over {MOST_PARTS} values")
    return tuple(found), tuple(bounds)


def _payload(
    ident: int, row: Json, units: Mapping[str, str], start_s: float, end_s: float
) -> Iterator[Part]:
    """Several values share the interval's time evenly (User Guide 7.3)."""
    kind = words.text(row, "type")
    values = row.get("values")
    if not isinstance(values, list) or len(values) > MOST_VALUES:
        words.malformed("values is no list, or too long")
    if end_s <= start_s or not values:
        return
    if kind.startswith(ALERTS):
        note = values[0] if isinstance(values[0], str) else ""
        yield Part(ident, start_s, end_s, kind, note=note[:128])
        return
    if kind not in KNOWN:
        return
    low, high, known_units = KNOWN[kind]
    unit = units.get(kind) or known_units[0]
    if unit not in known_units:
        raise Refused("unit", f"{kind} in {unit[:20]}")
    if len(values) > 1 and (kind not in PRICES or not math.isfinite(end_s)):
        words.malformed(f"{kind}: one value is expected")
    each_s = (end_s - start_s) / len(values)
    for index, value in enumerate(values):
        asked = words.number(value, low, high)
        if kind == "SIMPLE" and asked % 1.0:
            raise Refused("range", f"SIMPLE {asked:g}")
        factor = 1000.0 if unit in ("KW", "KWH") and kind not in PRICES else 1.0
        begins_s = start_s + index * each_s if index else start_s  # each may be inf
        ends_s = end_s if index + 1 == len(values) else begins_s + each_s
        yield Part(ident, begins_s, ends_s, kind, asked * factor, unit)


def modified(raw: Json) -> datetime | None:
    """As a time: texts of one moment may differ."""
    try:
        return words.utc(raw.get("modificationDateTime"))
    except Refused:
        return None


def horizon(event: Event, now: datetime) -> tuple[float, float]:
    """Seconds after the event's start: now, and two days on."""
    now_s = (now - event.start) / timedelta(seconds=1)
    return now_s, now_s + 2.0 * DAY_S
