"""OpenADR 3 events that are alive: the VTN's newest list counts.

Pure. What is missing in a list has been deleted, and ends at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

from chargerd.grid import openadr3_words as words
from chargerd.grid.openadr3_read import Event, Rules, modified, read
from chargerd.grid.openadr3_words import Json, Refused

MOST_EVENTS = 64
MOST_TOGETHER = 1024  # parts of all events


class Events:
    """Alive, by id."""

    def __init__(self) -> None:
        self.alive: dict[str, Event] = {}
        self.refused: Counter[str] = Counter()
        self.accepted = self.deleted = 0
        self._bad: dict[str, str] = {}  # refused ones: when they were last modified

    def replace(self, raws: list[Json], rules: Rules, now: datetime) -> bool:
        """The whole list as the VTN has it now; True if something has changed."""
        told: dict[str, Event] = {}
        bad: dict[str, str] = {}
        together = 0
        if len(raws) > MOST_EVENTS:
            self.refused["flood"] += 1
        for raw in raws[:MOST_EVENTS]:
            ident = raw.get("id")
            key = ident if isinstance(ident, str) else ""
            try:
                event = self._take(raw, rules, now)
            except Refused as refused:
                modified = str(raw.get("modificationDateTime"))[:64]
                if self._bad.get(key) != modified:  # counted once, not at each poll
                    self.refused[refused.reason] += 1
                bad[key] = modified
                continue
            if event.id in told:
                self.refused["contradictory"] += 1
            elif (
                sum(len(e.parts) for e in told.values()) + len(event.parts)
                > MOST_TOGETHER
            ):
                self.refused["flood"] += 1
            elif not event.over(now):
                told[event.id] = event
                together += len(event.parts)
        self.deleted += len(self.alive.keys() - told.keys())
        changed = told != self.alive
        self.alive, self._bad = told, bad
        return changed

    def _take(self, raw: Json, rules: Rules, now: datetime) -> Event:
        known = self.alive.get(str(raw.get("id")))
        if known is not None:
            now_modified = modified(raw)
            if now_modified and known.modified and now_modified < known.modified:
                self.refused["replayed"] += 1
                return known
            return known if raw == known.raw else read(raw, rules, known.seen)
        event = read(raw, rules, now)
        if not event.over(now):
            self.accepted += 1
        return event

    def drop_over(self, now: datetime) -> bool:
        """What has come to its end; True if there was any."""
        over = [ident for ident, event in self.alive.items() if event.over(now)]
        for ident in over:
            del self.alive[ident]
        return bool(over)

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
