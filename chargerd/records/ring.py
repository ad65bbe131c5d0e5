"""The ring on disk: numbered segment files, the oldest go when time or room is full.

Blocking file work: never on the loop. One writer; readers may read at any time. A torn
tail (power cut) is cut off when the file is opened for writing again.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from chargerd.records import segment
from chargerd.records.errors import RecordsError
from chargerd.records.files import append_whole
from chargerd.records.sample import Row, iso

SEGMENT_S = 6 * 3600.0  # of recorded time in one file
GAP_S = 600.0  # more between two blocks is a pause, not recorded time
MAX_SEGMENT_BYTES = 32 * 1024 * 1024
NEAR_MS = 1100  # a sample that old still says what was
SUFFIX = ".rec"


@dataclass(frozen=True, slots=True)
class Span:
    """A decision of the record: when, and the decision as `chargerctl why` shows it."""

    evse_id: int
    from_ms: int
    to_ms: int
    decision: dict[str, Any]


class Ring:
    """`append` writes durably; `rows` and `spans` read. Times are UTC in ms.

    Kept by recorded time, not by the wall clock: a clock that jumps deletes nothing.
    """

    def __init__(self, folder: Path, *, keep_s: float, max_bytes: int) -> None:
        self._folder = folder
        self._segments = max(2, round(keep_s / SEGMENT_S) + 1)
        self._max_bytes = max_bytes
        self._path: Path | None = None
        self._bytes = 0
        self._recorded_s = 0.0
        self._last_ms: int | None = None
        self.torn_bytes = 0  # cut off at the start, from the last power cut

    @classmethod
    def to_read(cls, folder: Path) -> Ring:
        """For `rows` and `spans` only."""
        return cls(folder, keep_s=0.0, max_bytes=0)

    def append(self, rows: Sequence[Row], spans: Sequence[Span] = ()) -> int:
        """On the flash when it returns; the bytes written. Raises OSError."""
        data = segment.rows(rows)
        if spans:
            first, last = min(s.from_ms for s in spans), max(s.to_ms for s in spans)
            told = [
                {"evse_id": s.evse_id, "from_ms": s.from_ms, "to_ms": s.to_ms,
                 "decision": s.decision}
                for s in spans
            ]  # fmt: skip
            data += segment.decisions(told, first, last)
        if not data:
            return 0
        if self._path is None:
            self._resume()
        full = self._recorded_s >= SEGMENT_S or self._bytes >= MAX_SEGMENT_BYTES
        if self._path is None or full:
            self._begin()
        if self._bytes == 0:
            data = segment.head() + data
        self._write(data)
        for row in rows[-1:]:
            self._note(int(row["utc_ms"]))
        return len(data)

    def rows(self, from_ms: int, to_ms: int, evse_id: int | None) -> Iterator[Row]:
        """By time, every row with from <= time < to. Where the clock was set back, each
        EVSE's come as they were recorded. In memory: a file and a block for each EVSE.
        """
        evses = [evse_id] if evse_id is not None else self._evses(from_ms, to_ms)
        by_evse = (self._rows_of(n, from_ms, to_ms) for n in evses)
        yield from heapq.merge(*by_evse, key=itemgetter("utc_ms"))

    def _evses(self, from_ms: int, to_ms: int) -> list[int]:
        frames = self._frames(from_ms, to_ms)
        return sorted({f.evse_id for _, f in frames if f.kind == segment.ROWS})

    def _rows_of(self, evse_id: int, from_ms: int, to_ms: int) -> Iterator[Row]:
        """As recorded: the oldest file first."""
        for layout, frame in self._frames(from_ms, to_ms):
            if frame.kind == segment.ROWS and frame.evse_id == evse_id:
                for row in segment.read_rows(frame, layout):
                    if from_ms <= row["utc_ms"] < to_ms:
                        yield row

    def spans(self, from_ms: int, to_ms: int, evse_id: int | None) -> Iterator[Span]:
        """Every decision that was in force at some time from <= t < to."""
        for _, frame in self._frames(from_ms, to_ms):
            if frame.kind != segment.DECISIONS:
                continue
            for told in segment.read_decisions(frame):
                try:
                    span = Span(**told)
                except TypeError as error:
                    raise RecordsError(f"no decision: {error}") from error
                touches = span.from_ms < to_ms and span.to_ms >= from_ms
                if touches and evse_id in (None, span.evse_id):
                    yield span

    def decision_at(self, evse_id: int, utc_ms: int) -> dict[str, Any] | None:
        """The decision in force then, with its reasons; else the last sample of the
        second before; else None."""
        for span in self.spans(utc_ms, utc_ms + 1, evse_id):
            return {
                "from_utc": iso(span.from_ms),
                "to_utc": iso(span.to_ms),
                **span.decision,
            }
        near = [*self.rows(utc_ms - NEAR_MS, utc_ms + 1, evse_id)]
        return {**near[-1], "utc": iso(near[-1]["utc_ms"])} if near else None

    def extent(self) -> dict[str, Any]:
        """Files, bytes, and the oldest and newest time recorded."""
        paths = self._paths()
        ends = [
            (frame.from_ms, frame.to_ms)
            for path in {*paths[:1], *paths[-1:]}
            for frame in segment.frames(_read(path))
            if frame.kind == segment.ROWS
        ]
        return {
            "files": len(paths),
            "bytes": sum(_size(path) for path in paths),
            "first_ms": min((a for a, _ in ends), default=None),
            "last_ms": max((b for _, b in ends), default=None),
        }

    def _frames(
        self, from_ms: int, to_ms: int
    ) -> Iterator[tuple[segment.Layout, segment.Frame]]:
        for path in self._paths():
            layout = None
            for frame in segment.frames(_read(path), from_ms, to_ms):
                if frame.kind == segment.HEAD:
                    layout = segment.read_head(frame.payload)
                elif layout is not None:
                    yield layout, frame

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]" * 8 + SUFFIX))

    def _resume(self) -> None:
        """Go on in the newest file if this version wrote it, its torn tail cut off."""
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = self._paths()
        if not paths:
            return
        data = _read(paths[-1])
        found = list(segment.frames(data))
        end = found[-1].end if found else 0
        if not data[:end].startswith(segment.head()):
            return
        if end < len(data):
            self.torn_bytes += len(data) - end
            with paths[-1].open("r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())
        self._path, self._bytes = paths[-1], end
        for frame in found:
            if frame.kind == segment.ROWS:
                self._note(frame.from_ms)
                self._note(frame.to_ms)

    def _begin(self) -> None:
        """A new file; the oldest go."""
        paths = self._paths()
        number = int(paths[-1].stem) + 1 if paths else 1
        self._path = self._folder / f"{number:08d}{SUFFIX}"
        self._bytes, self._recorded_s, self._last_ms = 0, 0.0, None
        sizes = [_size(path) for path in paths]
        while paths and (
            len(paths) >= self._segments
            or sum(sizes) > self._max_bytes - MAX_SEGMENT_BYTES
        ):
            paths.pop(0).unlink(missing_ok=True)
            sizes.pop(0)

    def _write(self, data: bytes) -> None:
        if self._path is None:
            raise RecordsError("no segment is open")
        append_whole(self._path, data, self._bytes)
        self._bytes += len(data)

    def _note(self, utc_ms: int) -> None:
        if self._last_ms is not None:
            step_s = (utc_ms - self._last_ms) / 1000.0
            if -GAP_S < step_s <= 0.0:  # the next EVSE's block of the same time
                return
            self._recorded_s += step_s if 0.0 < step_s <= GAP_S else 0.0
        self._last_ms = utc_ms


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # the writer took the oldest one away meanwhile
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
