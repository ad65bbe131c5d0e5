"""Bytes of a segment file: marked, counted, checksummed frames; columns inside.

Pure. A frame that is torn or damaged costs only itself: reading goes on at the next
mark. The first frame names the columns, so an old file stays readable.
"""

from __future__ import annotations

import json
import math
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from chargerd.records.errors import RecordsError
from chargerd.records.sample import NUMBERS, TEXTS, Column, Row

MARK = b"\xc7REC"
HEAD, ROWS, DECISIONS = 1, 2, 3  # kinds of frames
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_PLAIN_BYTES = 64 * 1024 * 1024
_FRAME = struct.Struct("<4sBBqqII")  # mark, kind, EVSE, from, to (UTC ms), length, CRC
_BLOCK = struct.Struct("<II")  # rows, length of the texts
_NONE = -(2**61)
_LIMIT = 2**60


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame. `end` is the offset behind it."""

    kind: int
    evse_id: int
    from_ms: int
    to_ms: int
    payload: bytes
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one file."""

    numbers: tuple[Column, ...] = NUMBERS
    texts: tuple[str, ...] = TEXTS


def head() -> bytes:
    """The first frame of a file that this version writes."""
    names = {"numbers": [[c.name, c.per] for c in NUMBERS], "texts": TEXTS}
    return _frame(HEAD, 0, 0, 0, json.dumps(names).encode())


def read_head(payload: bytes) -> Layout:
    """The columns a file was written with; RecordsError if it does not say."""
    try:
        names = json.loads(payload)
        numbers = tuple(Column(str(n), int(per)) for n, per in names["numbers"])
        return Layout(numbers, tuple(str(name) for name in names["texts"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RecordsError(f"the first frame does not name the columns: {error}") from (
            error
        )


def rows(samples: Sequence[Row]) -> bytes:
    """One frame for each EVSE among `samples`."""
    by_evse: dict[int, list[Row]] = {}
    for row in samples:
        by_evse.setdefault(row["evse_id"], []).append(row)
    return b"".join(_block(evse_id, some) for evse_id, some in by_evse.items())


def decisions(spans: Sequence[dict[str, Any]], from_ms: int, to_ms: int) -> bytes:
    """Decisions with their reasons, as JSON."""
    text = json.dumps(spans, separators=(",", ":")).encode()
    return _frame(DECISIONS, 0, from_ms, to_ms, zlib.compress(text))


def frames(data: bytes, from_ms: int = 0, to_ms: int = 2**62) -> Iterator[Frame]:
    """Every good frame that touches the time asked for, and every HEAD."""
    at = data.find(MARK)
    while 0 <= at <= len(data) - _FRAME.size:
        _, kind, evse_id, first, last, length, check = _FRAME.unpack_from(data, at)
        begin = at + _FRAME.size
        end = begin + length
        if length > MAX_FRAME_BYTES or end > len(data):
            at = data.find(MARK, at + 1)
            continue
        if kind != HEAD and (last < from_ms or first >= to_ms):
            if data.startswith(MARK, end) or end == len(data):
                at = end  # not wanted, and its length is right: the next one is there
            else:
                at = data.find(MARK, at + 1)
            continue
        payload = data[begin:end]
        if check != _check(kind, evse_id, first, last, payload):
            at = data.find(MARK, at + 1)
            continue
        yield Frame(kind, evse_id, first, last, payload, end)
        at = data.find(MARK, end)


def read_decisions(frame: Frame) -> list[dict[str, Any]]:
    """As they were given to `decisions`; RecordsError if they cannot be read."""
    try:
        found = json.loads(_plain(frame.payload))
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"a frame of decisions cannot be read: {error}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise RecordsError("a frame of decisions holds no list of them")
    return found


def read_rows(frame: Frame, layout: Layout) -> list[Row]:
    """The rows of one frame, in the order they were written."""
    plain = _plain(frame.payload)
    try:
        count, length = _BLOCK.unpack_from(plain)
        begin = _BLOCK.size + length
        words = json.loads(plain[_BLOCK.size : begin])
        width = 1 + len(layout.numbers) + len(layout.texts)
        if len(plain) != begin + width * count * 8:
            raise RecordsError("a block is not as long as its columns")
        columns = [
            _unpacked(plain[begin + n * count * 8 :][: count * 8], count)
            for n in range(width)
        ]
        table: dict[str, list[Any]] = {"utc_ms": columns[0]}
        for column, found in zip(layout.numbers, columns[1:], strict=False):
            table[column.name] = [
                None if n == _NONE else n / column.per if column.per > 1 else float(n)
                for n in found
            ]
        for name, found in zip(
            layout.texts, columns[1 + len(layout.numbers) :], strict=True
        ):
            table[name] = [words[n] for n in found]
    except (struct.error, ValueError, LookupError, TypeError, RecursionError) as error:
        raise RecordsError(f"a block cannot be read: {error}") from error
    return [
        {"evse_id": frame.evse_id, **dict(zip(table, values, strict=True))}
        for values in zip(*table.values(), strict=True)
    ]


def _block(evse_id: int, some: list[Row]) -> bytes:
    stamps = [int(row["utc_ms"]) for row in some]
    words = {word: n for n, word in enumerate(dict.fromkeys(_words(some)))}
    text = json.dumps(list(words)).encode()
    parts = [_BLOCK.pack(len(some), len(text)), text, _packed(stamps)]
    parts += [_packed([_whole(row[c.name], c.per) for row in some]) for c in NUMBERS]
    parts += [_packed([words[row[name]] for row in some]) for name in TEXTS]
    payload = zlib.compress(b"".join(parts))
    return _frame(ROWS, evse_id, min(stamps), max(stamps), payload)


def _words(some: list[Row]) -> Iterator[str]:
    for row in some:
        for name in TEXTS:
            yield row[name]


def _whole(value: float | None, per: int) -> int:
    """None also for what is no number: an open bound is no bound."""
    if value is None or not math.isfinite(value) or abs(value * per) >= _LIMIT:
        return _NONE
    return round(value * per)


def _packed(values: list[int]) -> bytes:
    """Differences, their bytes by rank: what hardly moves is zeros in a row."""
    steps = array("q", [b - a for a, b in zip([0, *values], values, strict=False)])
    if sys.byteorder == "big":
        steps.byteswap()
    raw = steps.tobytes()
    return b"".join(raw[rank::8] for rank in range(8))


def _unpacked(shuffled: bytes, count: int) -> list[int]:
    raw = bytearray(count * 8)
    for rank in range(8):
        raw[rank::8] = shuffled[rank * count : (rank + 1) * count]
    steps = array("q", bytes(raw))
    if sys.byteorder == "big":
        steps.byteswap()
    return list(accumulate(steps))


def _frame(kind: int, evse_id: int, from_ms: int, to_ms: int, payload: bytes) -> bytes:
    check = _check(kind, evse_id, from_ms, to_ms, payload)
    packed = _FRAME.pack(MARK, kind, evse_id, from_ms, to_ms, len(payload), check)
    return packed + payload


def _check(kind: int, evse_id: int, from_ms: int, to_ms: int, payload: bytes) -> int:
    return zlib.crc32(
        payload, zlib.crc32(struct.pack("<BBqq", kind, evse_id, from_ms, to_ms))
    )


def _plain(payload: bytes) -> bytes:
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(payload, MAX_PLAIN_BYTES)
    except zlib.error as error:
        raise RecordsError(f"a frame cannot be unpacked: {error}") from error
    if not reader.eof:
        raise RecordsError("a frame is longer than it may be")
    return plain
