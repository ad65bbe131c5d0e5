"""The ring on disk: what is written is read again, whatever a power cut or a bad flash
cell does to the last bytes; its size is bounded; a clock that jumps deletes nothing."""

from __future__ import annotations

import contextlib
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.records import files as files_module
from chargerd.records import ring as ring_module
from chargerd.records import segment
from chargerd.records.errors import RecordsError
from chargerd.records.ring import Ring, Span
from chargerd.records.sample import NUMBERS, TEXTS, Row

START_MS = 1_700_000_000_000
FOREVER = (0, 2**61)


def a_row(second: float, evse_id: int = 1, **values: Any) -> Row:
    numbers = {column.name: None for column in NUMBERS}
    texts = dict.fromkeys(TEXTS, "x")
    stamp = START_MS + round(second * 1000)
    return {"evse_id": evse_id, "utc_ms": stamp, **numbers, **texts, **values}


def minute(number: int, evses: tuple[int, ...] = (1,)) -> list[Row]:
    return [
        a_row(number * 60 + s, evse, power_w=float(s * 100 - 3000), source=f"s{s % 3}")
        for s in range(60)
        for evse in evses
    ]


def a_ring(folder: Path, **limits: Any) -> Ring:
    return Ring(folder, **{"keep_s": 35 * 86400, "max_bytes": 2**30, **limits})


def read(folder: Path) -> list[Row]:
    return list(Ring.to_read(folder).rows(*FOREVER, None))


NUMBER = st.one_of(
    st.none(), st.floats(-1e9, 1e9), st.sampled_from([0.0, -0.0, 1e300, float("inf")])
)
ROWS = st.lists(
    st.builds(
        lambda second, evse, numbers, word: a_row(
            second,
            evse,
            **dict(zip((c.name for c in NUMBERS), numbers * 9, strict=False)),
            source=word,
        ),
        st.integers(-(10**6), 10**6),  # a clock may step back
        st.integers(1, 3),
        st.lists(NUMBER, min_size=3, max_size=3),
        st.text(max_size=9),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_what_is_written_is_read(rows: list[Row]) -> None:
    data = segment.head() + segment.rows(rows)
    found = [
        row
        for frame in segment.frames(data, -(2**62))
        if frame.kind == segment.ROWS
        for row in segment.read_rows(frame, segment.Layout())
    ]
    assert len(found) == len(rows)
    rows.sort(key=lambda row: int(row["evse_id"]))  # each EVSE has its block
    found.sort(key=lambda row: int(row["evse_id"]))
    for row, back in zip(rows, found, strict=True):
        for column in NUMBERS:
            value = row[column.name]
            if value is None or abs(value * column.per) >= 2**60:
                assert back[column.name] is None
            else:
                assert back[column.name] == pytest.approx(
                    value, abs=0.5 / column.per + 1e-6
                )
        for name in ("evse_id", "utc_ms", *TEXTS):
            assert back[name] == row[name]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_power_cut_costs_only_the_block_under_way(data: st.DataObject) -> None:
    """Cut the file anywhere: whole blocks stay, the next run goes on behind them."""
    with tempfile.TemporaryDirectory() as name:
        folder, ends = Path(name), [0]
        ring = a_ring(folder)
        for number in range(4):
            ring.append(minute(number))
            ends.append(sum(p.stat().st_size for p in folder.iterdir()))
        (path,) = folder.iterdir()
        cut = data.draw(st.integers(0, ends[-1]))
        path.write_bytes(path.read_bytes()[:cut])
        whole = sum(1 for end in ends[1:] if end <= cut)
        assert len(read(folder)) == 60 * whole

        again = a_ring(folder)
        again.append(minute(9))
        rows = read(folder)
        assert len(rows) == 60 * (whole + 1)
        assert rows[-1]["utc_ms"] == START_MS + (9 * 60 + 59) * 1000
        good = ends[whole] if whole else len(segment.head())
        assert again.torn_bytes == max(0, cut - good)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_bad_byte_costs_only_its_own_block(data: st.DataObject) -> None:
    blocks = [segment.rows(minute(number)) for number in range(4)]
    whole = bytearray(segment.head() + b"".join(blocks))
    at = data.draw(st.integers(len(segment.head()), len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    stamps = {
        row["utc_ms"]
        for frame in segment.frames(bytes(whole), -(2**62))
        if frame.kind == segment.ROWS
        for row in segment.read_rows(frame, segment.Layout())
    }
    assert len(stamps) == 3 * 60


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400), st.sampled_from(["raw", "packed", "framed"]))
def test_no_bytes_but_records_errors(noise: bytes, how: str) -> None:
    """A file that something else wrote, even with right checksums."""
    payload = noise if how == "raw" else zlib.compress(noise)
    frame = segment.Frame(segment.ROWS, 1, 0, 0, payload, 0)
    with contextlib.suppress(RecordsError):
        segment.read_rows(frame, segment.Layout())
    with contextlib.suppress(RecordsError):
        segment.read_decisions(frame)
    with contextlib.suppress(RecordsError):
        segment.read_head(noise)
    data = segment.MARK + noise if how == "framed" else noise
    assert all(len(f.payload) <= len(data) for f in segment.frames(data))


@pytest.mark.parametrize("words", [b"7", b"{}", b"[]", b"[" * 5000])
def test_a_block_with_other_words(words: bytes) -> None:
    columns = bytes(8 * (1 + len(NUMBERS) + len(TEXTS)))
    plain = struct.pack("<II", 1, len(words)) + words + columns
    frame = segment.Frame(segment.ROWS, 1, 0, 0, zlib.compress(plain), 0)
    with pytest.raises(RecordsError):
        segment.read_rows(frame, segment.Layout())


def test_a_killed_writer_leaves_a_readable_ring(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.records.test_ring import a_ring, minute\n"
        "ring = a_ring(Path(sys.argv[1]))\n"
        "for n in range(10**6):\n"
        "    ring.append(minute(n)); print(n, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(5)]
        writer.kill()
    rows = read(tmp_path)
    assert told == [0, 1, 2, 3, 4]
    assert len(rows) >= 300  # all that append() has returned for
    assert len(rows) % 60 == 0


def test_a_file_of_another_version_is_read_and_left_alone(tmp_path: Path) -> None:
    """Columns are found by name; a new file begins."""
    old = segment._frame(  # what another version would write
        segment.HEAD, 0, 0, 0, b'{"numbers": [["power_w", 1]], "texts": ["source"]}'
    )
    (tmp_path / "00000007.rec").write_bytes(old)
    ring = a_ring(tmp_path)
    ring.append(minute(0))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "00000007.rec",
        "00000008.rec",
    ]
    assert (tmp_path / "00000007.rec").read_bytes() == old
    assert len(read(tmp_path)) == 60


def test_the_ring_keeps_its_time_and_no_more(tmp_path: Path) -> None:
    """A day wanted, three recorded: the oldest files are gone, a whole day is there."""
    ring = a_ring(tmp_path, keep_s=86_400.0)
    for number in range(0, 3 * 24 * 60, 5):  # a row every 5 minutes, two EVSEs
        at = number * 60.0
        ring.append([a_row(at), a_row(at, 2)])
    rows = read(tmp_path)
    kept_s = (rows[-1]["utc_ms"] - rows[0]["utc_ms"]) / 1000
    assert 86_400 <= kept_s <= 86_400 + 2 * ring_module.SEGMENT_S


def test_a_clock_that_jumps_deletes_nothing(tmp_path: Path) -> None:
    ring = a_ring(tmp_path, keep_s=86_400.0)
    for jump in (0, 400 * 86_400, -400 * 86_400):
        ring.append([a_row(jump + s) for s in range(60)])
    assert len(read(tmp_path)) == 180


def test_the_ring_keeps_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_module, "MAX_SEGMENT_BYTES", 4000)
    ring = a_ring(tmp_path, max_bytes=20_000)
    for number in range(200):
        ring.append(minute(number))
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 20_000
    assert read(tmp_path)[-1]["utc_ms"] == START_MS + (199 * 60 + 59) * 1000


@contextmanager
def room(size: int) -> Iterator[None]:
    """Files may not grow past `size`: the disk is full in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_block(tmp_path: Path) -> None:
    ring = a_ring(tmp_path)
    ring.append(minute(0))
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    with room(len(before) + 100), pytest.raises(OSError, match="too large"):
        ring.append(minute(1))
    assert path.read_bytes() == before
    ring.append(minute(2))
    assert len(read(tmp_path)) == 120


def test_a_folder_that_cannot_be_synced_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError("not on this file system")

    ring = a_ring(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(files_module, "sync_folder", refuse)
        with pytest.raises(OSError, match="file system"):
            ring.append(minute(0))
    ring.append(minute(0))
    assert len(read(tmp_path)) == 60


def test_time_and_evse_are_chosen(tmp_path: Path) -> None:
    ring = a_ring(tmp_path)
    for number in range(3):
        ring.append(minute(number, (1, 2)))
    begin, end = START_MS + 30_000, START_MS + 90_000
    found = list(ring.rows(begin, end, 2))
    assert {row["evse_id"] for row in found} == {2}
    assert [found[0]["utc_ms"], found[-1]["utc_ms"]] == [begin, end - 1000]
    assert len(found) == 60


REPORTS = st.tuples(st.integers(0, 90), st.sets(st.integers(1, 3), min_size=1))
FLUSHES = st.lists(st.lists(REPORTS, min_size=1, max_size=5), max_size=5)


@settings(deadline=None, max_examples=60)
@given(FLUSHES, st.sampled_from([0, -1, -400]))
def test_rows_come_by_time_and_none_is_lost(
    flushes: list[list[tuple[int, set[int]]]], back_s: int
) -> None:
    """Over all EVSEs and files, whoever reports when. Where the clock was set back,
    each EVSE's come as they were recorded."""
    second, written = 0, list[Row]()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring_module, "SEGMENT_S", 120.0)
        ring = a_ring(Path(name))
        for number, flush in enumerate(flushes):
            second += back_s if number == 1 else 0
            rows = []
            for pause_s, evses in flush:
                second += pause_s
                rows += [a_row(second, n, power_w=float(len(rows))) for n in evses]
            ring.append(rows)
            written += rows
        found = read(Path(name))
    if not back_s:
        stamps = [row["utc_ms"] for row in found]
        assert stamps == sorted(stamps)
    for evse_id in (1, 2, 3):
        assert _of(found, evse_id) == _of(written, evse_id)
    assert len(found) == len(written)


def _of(rows: list[Row], evse_id: int) -> list[Row]:
    return [row for row in rows if row["evse_id"] == evse_id]


def test_the_decision_of_a_moment(tmp_path: Path) -> None:
    """With its reasons where they were kept, else the sample, else nothing."""
    ring = a_ring(tmp_path)
    told = {"power_w": 1.0, "high_w": float("inf"), "reasons": []}
    span = Span(1, START_MS + 1000, START_MS + 5000, told)
    ring.append(minute(0), [span])
    then = ring.decision_at(1, START_MS + 3000)
    assert then is not None
    assert then["reasons"] == []
    assert then["from_utc"] == "2023-11-14T22:13:21.000+00:00"
    beside = ring.decision_at(1, START_MS + 30_500)
    assert beside is not None
    assert (beside["power_w"], "reasons" in beside) == (0.0, False)
    assert ring.decision_at(2, START_MS + 3000) is None
    assert ring.decision_at(1, START_MS + 90_000) is None


def test_the_extent(tmp_path: Path) -> None:
    ring = a_ring(tmp_path)
    assert ring.extent() == {
        "files": 0,
        "bytes": 0,
        "first_ms": None,
        "last_ms": None,
    }
    ring.append(minute(0))
    found = ring.extent()
    assert (found["first_ms"], found["last_ms"]) == (START_MS, START_MS + 59_000)
    assert found["bytes"] == sum(p.stat().st_size for p in tmp_path.iterdir())
