"""OpenADR 2.0b events: JSON -> checked events, and the store of those that are alive.

Pure. A VTN tells all its events at once: what is missing in a list is cancelled, with
or without a word (openleadr issues #61 and #92). Never follows half an event.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chargerd.grid.openadr2_words import (
    INVALID_DATA,
    MISMATCH,
    NOT_SUPPORTED,
    OK,
    SEQUENCE,
    Answer,
    Json,
    Refused,
    identifier,
    number,
    scale,
    seconds,
    texts,
    utc,
    whole,
)

MOST_EVENTS, MOST_SIGNALS, MOST_INTERVALS = 64, 8, 512
MOST_CHARACTERS = 60_000  # of one event
MOST_TOGETHER = 1024  # intervals of all events
FARTHEST = timedelta(days=366)
_OVER = ("cancelled", "completed")
# Signal name, its types, and the measurement the values must have ("" = none needed).
SUPPORTED = {
    ("SIMPLE", "level"): "",
    ("LOAD_DISPATCH", "setpoint"): "powerReal",
    ("LOAD_CONTROL", "x-loadControlCapacity"): "",
    ("LOAD_CONTROL", "x-loadControlSetpoint"): "powerReal",
    ("CHARGE_STATE", "setpoint"): "energyReal",
    ("CHARGE_STATE", "multiplier"): "",
    ("ELECTRICITY_PRICE", "price"): "currencyPerKWh",
}
_BOUNDS = {
    "SIMPLE": (0.0, 3.0),
    "x-loadControlCapacity": (0.0, 1.0),
    "multiplier": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A value from `start_s` after the event's start; `end_s` may be infinite."""

    start_s: float
    end_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    type: str
    unit: str  # of a price: its currency
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """As understood. `evse_ids` () = the whole station."""

    id: str
    modification: int
    priority: int  # 1 is the highest, 0 the lowest
    start: datetime  # with our share of the random delay
    evse_ids: tuple[int, ...]
    signals: tuple[Signal, ...]
    followed: bool  # else opted out, or a test
    opt_in: bool
    code: int
    raw: Json

    @property
    def size(self) -> int:
        """Its intervals."""
        return sum(len(signal.parts) for signal in self.signals)

    @property
    def rank(self) -> int:
        """Higher wins."""
        return -self.priority if self.priority else -(1 << 31)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an event must be like to be ours."""

    ven_id: str
    contexts: tuple[str, ...]  # () = any
    resources: Mapping[str, int]  # name -> EVSE


def read(raw: Json, rules: Rules) -> Event:
    """Raises Refused."""
    ident, modification = identifier(raw, "id"), whole(raw, "modification", 0)
    if len(json.dumps(raw)) > MOST_CHARACTERS:  # it is kept over restarts
        raise Refused("size", INVALID_DATA, f"over {MOST_CHARACTERS} characters")
    if rules.contexts and raw.get("context") not in rules.contexts:
        raise Refused("market context", NOT_SUPPORTED, "a strange market context")
    start = utc(raw.get("start"))
    length_s = seconds(raw.get("length"))
    delay_s = seconds(raw.get("start_after"))
    delay_s *= share(f"{rules.ven_id}/{ident}")
    signals = raw.get("signals")
    if not isinstance(signals, list) or not 0 < len(signals) <= MOST_SIGNALS:
        raise Refused("malformed", INVALID_DATA, f"1 to {MOST_SIGNALS} signals")
    test = raw.get("test", "") not in ("", "false")
    return Event(
        id=ident,
        modification=modification,
        priority=whole(raw, "priority", 0),
        start=start + timedelta(seconds=min(delay_s, FARTHEST.total_seconds())),
        evse_ids=_targets(raw, rules),
        signals=tuple(_signal(one, length_s) for one in signals),
        followed=not test,
        opt_in=True,
        code=OK,
        raw=raw,
    )


def share(text: str) -> float:
    """A number in [0, 1) that is this VEN's and this event's own, also after a restart:
    as good as random across VENs."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:6], "big") / float(1 << 48)


def _targets(raw: Json, rules: Rules) -> tuple[int, ...]:
    """Resources narrow what a VEN's id means."""
    vens, resources = texts(raw, "vens"), texts(raw, "resources")
    if not resources and (not vens or rules.ven_id in vens):
        return ()
    if not resources:
        raise Refused("target", MISMATCH, "meant for another VEN")
    ours = {rules.resources[name] for name in resources if name in rules.resources}
    if not ours:
        raise Refused("target", MISMATCH, "meant for resources that are not here")
    everything = ours == set(rules.resources.values())
    return () if everything else tuple(sorted(ours))


def _signal(raw: Any, length_s: float) -> Signal:
    if not isinstance(raw, dict):
        raise Refused("malformed", INVALID_DATA, "a signal is malformed")
    name, kind = str(raw.get("name")), str(raw.get("type"))
    name = "SIMPLE" if name == "simple" else name
    item = SUPPORTED.get((name, kind))
    if item is None:
        raise Refused("signal", NOT_SUPPORTED, f"{name[:40]} {kind[:40]}")
    if item and raw.get("item") != item:
        raise Refused("unit", INVALID_DATA, f"{name} {kind} needs {item}")
    factor = scale(raw.get("scale")) if item else 1.0
    intervals = raw.get("intervals")
    if not isinstance(intervals, list) or not 0 < len(intervals) <= MOST_INTERVALS:
        raise Refused("malformed", INVALID_DATA, f"1 to {MOST_INTERVALS} intervals")
    low, high = _BOUNDS.get(name) or _BOUNDS.get(kind) or (-1e9, 1e9)
    parts, at_s = [], 0.0
    for index, interval in enumerate(intervals):
        if not isinstance(interval, list) or len(interval) != 2:
            raise Refused("malformed", INVALID_DATA, "an interval is malformed")
        value = number(interval[1]) * factor
        if not low <= value <= high or (name == "SIMPLE" and value % 1.0):
            raise Refused("range", INVALID_DATA, f"{name} {value:g}")
        span_s = seconds(interval[0])
        last = index + 1 == len(intervals)
        if not span_s and not last:
            raise Refused("malformed", INVALID_DATA, "an interval without end")
        # A length of 0 = until it is cancelled; one interval may leave its own out.
        span_s = span_s or (length_s - at_s if length_s else float("inf"))
        end_s = min(at_s + span_s, length_s or float("inf"))
        if end_s > at_s:
            parts.append(Part(at_s, end_s, value))
        at_s += span_s
    return Signal(name, kind, str(raw.get("unit", ""))[:8], tuple(parts))


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a list. `read` is None where it is known already, or over."""

    raw: Json
    read: Event | Refused | None


Ready = list[Told]


class Events:
    """Alive, by id. `able(event)` says whether it can be followed at all."""

    def __init__(self) -> None:
        self.alive: dict[str, Event] = {}
        self.refused: Counter[str] = Counter()
        self.accepted = 0
        self.cancelled: Counter[str] = Counter()  # told, implied

    def save(self) -> list[Json]:
        """For the store."""
        return [
            {"raw": e.raw, "opt_in": e.opt_in, "code": e.code}
            for e in self.alive.values()
        ]

    def load(self, saved: Iterable[Json], rules: Rules) -> None:
        """From the store; what is not understood any more is left out."""
        for one in list(saved)[:MOST_EVENTS]:
            raw, code = one.get("raw"), one.get("code")
            if not isinstance(raw, dict) or not isinstance(code, int):
                continue
            try:
                event = read(raw, rules) if one.get("opt_in") else _refusal(raw, code)
            except Refused:
                continue
            self.alive[event.id] = event

    def opt_out(self, ident: str) -> None:
        """We leave it after all."""
        self.alive[ident] = replace(self.alive[ident], followed=False, opt_in=False)

    def read(self, raws: list[Json], rules: Rules) -> Ready:
        """What a list says. Changes nothing here: it may run in any thread."""
        ready: Ready = []
        room = MOST_TOGETHER
        for raw in raws[: MOST_EVENTS + 1]:  # one too many is seen by `distribute`
            known = self.alive.get(str(raw.get("id")))
            found: Event | Refused | None = None
            if raw.get("status") not in _OVER and not _same(known, raw):
                found = _tried(raw, rules)
            event = known if found is None else found
            if isinstance(event, Event):
                room -= event.size
                if room < 0 and found is not None:
                    found = Refused("flood", INVALID_DATA, "too many intervals")
                    room += event.size
            ready.append(Told(raw, found))
        return ready

    def distribute(self, ready: Ready, able: Callable[[Event], bool]) -> list[Answer]:
        """The whole list as the VTN has it now."""
        told: dict[str, Event] = {}
        over: set[str] = set()
        answers = []
        if len(ready) > MOST_EVENTS:
            self.refused["flood"] += 1
        for one in ready[:MOST_EVENTS]:
            answer = self._take(one, able, told, over)
            if answer is not None:
                answers.append(answer)
        for ident in self.alive.keys() - told.keys():
            self.cancelled["told" if ident in over else "implied"] += 1
        self.alive = told
        return answers

    def _take(
        self,
        one: Told,
        able: Callable[[Event], bool],
        told: dict[str, Event],
        over: set[str],
    ) -> Answer | None:
        """One event of the list; what the VTN is to hear of it."""
        raw = one.raw
        try:
            ident = identifier(raw, "id")
            modification = whole(raw, "modification", 0)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return None
        wanted = raw.get("response") != "never"
        known = self.alive.get(ident)
        if ident in told or ident in over:
            self.refused["contradictory"] += 1
            return None
        if known is not None and modification < known.modification:
            self.refused["replayed"] += 1
            told[ident] = known
            return Answer(ident, modification, known.opt_in, SEQUENCE)
        if raw.get("status") in _OVER:
            over.add(ident)
            ended = wanted and raw.get("status") == "cancelled"
            return Answer(ident, modification, True) if ended else None
        event = known if one.read is None else self._judge(raw, one.read, able)
        if event is None:
            return None
        told[ident] = event
        done = Answer(ident, modification, event.opt_in, event.code)
        return done if wanted else None

    def _judge(
        self, raw: Json, event: Event | Refused, able: Callable[[Event], bool]
    ) -> Event:
        """New, or changed. A refused one is kept, so that it is not judged anew."""
        if isinstance(event, Refused):
            self.refused[event.reason] += 1
            return _refusal(raw, event.code)
        if not able(event):
            self.refused["promise"] += 1
            return _refusal(raw, OK)
        self.accepted += 1
        return event


def _same(known: Event | None, raw: Json) -> bool:
    """Told before, in this modification or a later one."""
    try:
        return known is not None and whole(raw, "modification", 0) <= known.modification
    except Refused:
        return False


def _tried(raw: Json, rules: Rules) -> Event | Refused:
    try:
        return read(raw, rules)
    except Refused as refused:
        return refused


def _refusal(raw: Json, code: int) -> Event:
    """An event that we opted out of. Raises Refused where it has no good id."""
    ident, modification = identifier(raw, "id"), whole(raw, "modification", 0)
    return Event(
        id=ident,
        modification=modification,
        priority=0,
        start=datetime.max.replace(tzinfo=UTC),
        evse_ids=(),
        signals=(),
        followed=False,
        opt_in=False,
        code=code,
        raw={"id": ident, "modification": str(modification)},
    )
