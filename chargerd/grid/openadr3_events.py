"""OpenADR 3 events that are alive: the VTN's newest list counts.

Pure. What is missing in a list has been deleted, and ends at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from chargerd.grid import openadr3_words as words
from chargerd.grid.openadr3_read import Event, Rules, modified, read
from chargerd.grid.openadr3_words import Json, Refused

MOST_EVENTS = 64
MOST_TOGETHER = 1024  # parts of all events
MOST_KEPT = 262_144  # characters of all events: they are written from the loop


@dataclass(slots=True)
class Listing:
    """What a whole list comes to."""

    rules: Rules | None = None
    told: dict[str, Event] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    parts: int = 0
    size: int = 0

    def add(self, event: Event) -> None:
        """As long as there is room."""
        parts, size = self.parts + len(event.parts), self.size + event.size
        if event.id in self.told:
            self.refused["contradictory"] += 1
        elif parts > MOST_TOGETHER or size > MOST_KEPT:
            self.refused["flood"] += 1
        else:
            self.told[event.id] = event
            self.parts, self.size = parts, size


class Events:
    """Alive, by id."""

    def __init__(self) -> None:
        self.alive: dict[str, Event] = {}
        self.refused: Counter[str] = Counter()
        self.accepted = self.deleted = 0
        self._bad: dict[str, str] = {}  # refused ones: when they were last modified
        self._rules: Rules | None = None  # what those alive were read by

    def judge(self, raws: list[Json], rules: Rules, now: datetime) -> Listing:
        """The whole list as the VTN has it now. Changes nothing here: it may take long,
        and runs beside the loop."""
        listing = Listing(rules)
        if len(raws) > MOST_EVENTS:
            listing.refused["flood"] += 1
        for raw in raws[:MOST_EVENTS]:
            ident = raw.get("id")
            key = ident if isinstance(ident, str) else ""
            try:
                event = self._judge(raw, rules, now, listing)
            except Refused as refused:
                modified = str(raw.get("modificationDateTime"))[:64]
                if self._bad.get(key) != modified:  # counted once, not at each poll
                    listing.refused[refused.reason] += 1
                listing.bad[key] = modified
                continue
            # What was alive is dropped by its clock, after its last report.
            if event.id in self.alive or not event.over(now):
                listing.add(event)
        return listing

    def _judge(self, raw: Json, rules: Rules, now: datetime, listing: Listing) -> Event:
        known = self.alive.get(str(raw.get("id")))
        if known is not None:
            now_modified = modified(raw)
            if now_modified and known.modified and now_modified < known.modified:
                listing.refused["replayed"] += 1
                return known
            same = raw == known.raw and rules == self._rules
            return known if same else read(raw, rules, known.seen)
        event = read(raw, rules, now)
        if not event.over(now):
            listing.accepted += 1
        return event

    def take(self, listing: Listing) -> bool:
        """True if something has changed."""
        self.refused += listing.refused
        self.accepted += listing.accepted
        self.deleted += len(self.alive.keys() - listing.told.keys())
        changed = listing.told != self.alive
        self.alive, self._bad = listing.told, listing.bad
        self._rules = listing.rules
        return changed

    def drop_over(self, now: datetime) -> bool:
        """What has come to its end; True if there was any."""
        alive = {i: event for i, event in self.alive.items() if not event.over(now)}
        dropped = len(alive) < len(self.alive)
        self.alive = alive  # a new one: a list may be judged by the old one just now
        return dropped

    def save(self) -> list[Json]:
        """For the store."""
        return [{"raw": e.raw, "seen": e.seen.isoformat()} for e in self.alive.values()]

    def load(
        self, saved: Iterable[Json], rules: Rules, keep: Callable[[Event], bool]
    ) -> None:
        """From the store; what is not understood any more is left out."""
        for one in list(saved)[:MOST_EVENTS]:
            raw = one.get("raw")
            try:
                event = read(raw if isinstance(raw, dict) else {}, rules, _seen(one))
            except Refused:
                continue
            if keep(event):
                self.alive[event.id] = event


def _seen(one: Json) -> datetime:
    return words.utc(one.get("seen"))
