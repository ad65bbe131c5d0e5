"""The recorder's shell: reports in, samples kept, written off the loop now and then.

`report` never waits and never raises; a disk that fails costs records, never power.
What waits is bounded: the oldest is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from chargerd.clock import Now
from chargerd.model import Decision, EvseReport
from chargerd.plan import PricePart
from chargerd.records import decisions as words
from chargerd.records import sample as samples
from chargerd.records.books import Books
from chargerd.records.chain import Record
from chargerd.records.errors import RecordsError
from chargerd.records.ledger import Ledger
from chargerd.records.ring import Ring, Span
from chargerd.records.sample import Row, utc_ms

T = TypeVar("T")

log = structlog.get_logger(__name__)

PERIOD_S = 1.0
RESERVE_PERIOD_S = 0.1
WAITING_S = 600.0  # of samples may wait for a disk that does not take them
RETRY_S = 5.0  # after a write that failed
MAX_DUE = 1000  # records of the chain that may wait
SPAN_EVERY_S = 1.0  # decisions kept of one EVSE, at most


class Recorder:
    """One reporter of the cycle and one child: `report`, `decided`, `run`."""

    def __init__(
        self,
        folder: Path,
        books: Books,
        *,
        days: int,
        max_bytes: int,
        flush_s: float,
        evses: int,
        price: Callable[[Now], PricePart | None] = lambda now: None,
    ) -> None:
        self.folder = folder
        self._ring = Ring(folder, keep_s=days * 86_400.0, max_bytes=max_bytes)
        self._ledger = Ledger(folder)
        self._books = books
        self._due: deque[Record] = deque(maxlen=MAX_DUE)
        self._is_due = asyncio.Event()
        self._flush_s, self._price = flush_s, price
        # In a reserve service, too, a flush may be as late again as it comes.
        room = max(WAITING_S / PERIOD_S, 2.0 * flush_s / RESERVE_PERIOD_S)
        self._rows: deque[Row] = deque(maxlen=math.ceil(room * evses))
        self._spans: deque[Span] = deque(maxlen=round(WAITING_S * evses))
        self._next_mono: dict[int, float] = {}
        self._base_w: dict[int, float] = {}
        self._priced: dict[int, PricePart | None] = {}  # in force at the last sample
        self._span_mono: dict[int, float] = {}
        self._disk = threading.Lock()
        self.fault = ""
        self.dropped = 0  # samples that never reached the disk
        self.written_bytes = 0
        self.writes = 0

    def report(self, report: EvseReport) -> None:
        """A sample each period of this EVSE, on the first report in it."""
        evse_id, now = report.snapshot.evse_id, report.snapshot.now
        base_w = samples.baseline_w(report, self._base_w.get(evse_id, 0.0))
        self._base_w[evse_id] = base_w
        sampled = now.mono >= self._next_mono.get(evse_id, 0.0)
        if sampled:
            self._priced[evse_id] = self._price(now)
        price = self._priced.get(evse_id)
        carbon = price.co2_g_per_kwh if price is not None else None
        due = self._books.step(report, base_w, sampled=sampled, g_per_kwh=carbon)
        if due:
            self._due.extend(due)
            self._is_due.set()
        if not sampled:
            return
        period_s = RESERVE_PERIOD_S if samples.reserve_active(report) else PERIOD_S
        self._next_mono[evse_id] = (now.mono // period_s + 1.0) * period_s
        self.dropped += len(self._rows) == self._rows.maxlen
        self._rows.append(samples.sample(report, base_w, price))

    def decided(self, decision: Decision, from_utc: datetime, to_utc: datetime) -> None:
        """A decision that was in force until now; of those that follow each other
        faster than one a second, the first is kept."""
        evse_id, mono = decision.evse_id, decision.at_mono
        if mono < self._span_mono.get(evse_id, 0.0):
            return
        self._span_mono[evse_id] = mono + SPAN_EVERY_S
        told = words.decision(decision)
        self._spans.append(Span(evse_id, utc_ms(from_utc), utc_ms(to_utc), told))

    async def run(self) -> None:
        """Until cancelled; what still waits is written then, too."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._flush_s):
                        await self._is_due.wait()
                await self.flush()
                if self.fault:
                    await asyncio.sleep(RETRY_S)
        finally:
            self._due.extend(self._books.close())
            self._write(*self._taken())

    async def flush(self) -> None:
        """What was reported before this call is on the flash, or `fault` says why."""
        await asyncio.to_thread(self._write, *self._taken())

    def status(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "fault": self.fault,
            "waiting": len(self._rows),
            "dropped": self.dropped,
            "torn_bytes": self._ring.torn_bytes + self._ledger.torn_bytes,
            "head": self._ledger.head,
            "written_bytes": self.written_bytes,
            "writes": self.writes,
        }

    async def look(self) -> dict[str, Any]:
        """Writes what waits, then says what is there."""
        await self.flush()
        return {**self.status(), **await _read(self._ring.extent)}

    async def past(self, evse_id: int, utc: datetime) -> dict[str, Any] | None:
        """The decision then, from the disk; the sample alone where its reasons are
        not kept; None if nothing was recorded."""
        await self.flush()
        return await _read(partial(self._ring.decision_at, evse_id, utc_ms(utc)))

    def _taken(self) -> tuple[list[Row], list[Span], list[Record]]:
        rows, spans, due = list(self._rows), list(self._spans), list(self._due)
        self._rows.clear()
        self._spans.clear()
        self._due.clear()
        self._is_due.clear()
        return rows, spans, due

    def _write(self, rows: list[Row], spans: list[Span], due: list[Record]) -> None:
        """In a thread, or at the very end. One write and fsync for each file."""
        was, why, written = self.fault, "", 0
        with self._disk:
            try:
                written = self._ring.append(rows, spans)
            except (OSError, RecordsError) as error:
                why = f"{self.folder}: {error}"
                self._give_back(rows, spans)
            self.fault = self._chain(due) or why or self._ledger.lost
            self.written_bytes += written
            self.writes += bool(written)
        if self.fault and not was:
            log.error("records_not_written", why=self.fault)

    def _chain(self, due: list[Record]) -> str:
        """One by one: a record that cannot be kept costs no other. Returns what is
        wrong."""
        why = ""
        for done, record in enumerate(due):
            try:
                self._ledger.append([record])
            except OSError as error:
                self._due.extendleft(reversed(due[done:]))
                return f"{self.folder}: {error}"
            except RecordsError as error:
                why = str(error)
        if due:  # noted in the journal, too: nobody can rewrite both unseen
            log.info("records_chained", due=len(due), head=self._ledger.head)
        return why

    def _give_back(self, rows: list[Row], spans: list[Span]) -> None:
        """For the next try, before what came meanwhile."""
        room = (self._rows.maxlen or 0) - len(self._rows)
        kept = rows[-room:] if room > 0 else []
        self.dropped += len(rows) - len(kept)
        self._rows.extendleft(reversed(kept))
        room = (self._spans.maxlen or 0) - len(self._spans)
        self._spans.extendleft(reversed(spans[-room:] if room > 0 else []))


async def _read(job: Callable[[], T]) -> T:
    """In a thread; RecordsError for what the disk says."""
    try:
        return await asyncio.to_thread(job)
    except OSError as error:
        raise RecordsError(f"the records cannot be read: {error}") from error
