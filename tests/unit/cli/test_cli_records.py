"""Exports and the check of signatures, as a technician asks for them."""

from __future__ import annotations

import builtins
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from chargerd.records.ledger import Ledger
from chargerd.records.ring import Ring
from chargerd.records.sample import NUMBERS, TEXTS, sample
from tests.unit.cli.test_cli import _chained, _run
from tests.unit.local.values import a_report
from tests.unit.records.test_ocmf import KEY, public
from tests.unit.records.test_signatures import DONE, FAILED, HEX, RUN, drive

OTHER = public(KEY).hex()
SPAN = ["--from", "2026-11-23T09:00:10Z", "--to", "2026-11-23T09:00:20Z"]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ring = Ring(tmp_path / "records", keep_s=86_400.0, max_bytes=2**30)
    ring.append([sample(a_report(float(s)), 0.0, None) for s in range(60)])
    return tmp_path / "records"


@pytest.mark.parametrize("batch", [3, 50_000])
def test_parquet_holds_what_csv_holds_with_types(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    monkeypatch.setattr("chargerd.records.parquet.BATCH_ROWS", batch)
    out = tmp_path / "out.parquet"
    args = ["records", "export", "--folder", str(folder), *SPAN, "--out", str(out)]
    assert json.loads(_run(capsys, *args, "--json").out)["rows"] == 10
    table = parquet.read_table(out)
    assert table.column_names == [
        "utc", "evse_id", *(c.name for c in NUMBERS), *TEXTS
    ]  # fmt: skip
    rows = list(Ring.to_read(folder).rows(0, 2**50, None))[10:20]
    found = table.to_pylist()
    for row, read in zip(rows, found, strict=True):
        at = datetime.fromtimestamp(row["utc_ms"] / 1000.0, UTC)
        assert read["utc"] == at
        assert {k: read[k] for k in row if k in read} == {
            k: v for k, v in row.items() if k != "utc_ms"
        }


@pytest.mark.parametrize("ends", ["csv", "parquet"])
def test_an_export_of_all_evses_is_by_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ends: str
) -> None:
    ring = Ring(tmp_path / "records", keep_s=86_400.0, max_bytes=2**30)
    for at in (0, 60):
        both = [sample(a_report(float(at + s)), 0.0, None) for s in range(60)]
        ring.append([{**row, "evse_id": n} for row in both for n in (1, 2)])
    out = tmp_path / f"out.{ends}"
    args = ["records", "export", "--folder", str(tmp_path / "records"), *SPAN]
    assert _run(capsys, *args, "--out", str(out)).code == 0
    if ends == "csv":
        found = [line.split(",")[:2] for line in out.read_text().splitlines()[1:]]
    else:
        columns = parquet.read_table(out).select(["utc", "evse_id"]).to_pylist()
        found = [[row["utc"].isoformat(), str(row["evse_id"])] for row in columns]
    assert found == sorted(found)
    assert [evse_id for _, evse_id in found] == ["1", "2"] * 10


def test_an_export_says_the_next_step(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    args = ["records", "export", "--folder", str(folder), *SPAN]
    ran = _run(capsys, *args, "--format", "parquet")
    assert ran.code == 2
    assert "--out FILE.parquet" in ran.err

    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    ran = _run(capsys, *args, "--out", str(tmp_path / "x.parquet"))
    assert ran.code == 1
    assert "pip install 'chargerd[records]'" in ran.err
    assert "Traceback" not in ran.err

    (folder / "00000002.rec").mkdir()
    ran = _run(capsys, *args)
    assert (ran.code, "Is a directory" in ran.err) == (1, True)
    assert "Traceback" not in ran.err


def test_a_format_wins_over_the_file_s_name(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.parquet"
    args = ["records", "export", "--folder", str(folder), *SPAN]
    assert _run(capsys, *args, "--out", str(out), "--format", "csv").code == 0
    assert out.read_text().startswith("utc,evse_id,")


@pytest.mark.parametrize(
    ("keys", "code", "expected"),
    [
        ([], 0, "1 signatures of meters hold against the keys that the meters told"),
        ([HEX], 0, "hold against the keys given"),
        ([OTHER], 1, "record 1 (S-1): the signature does not fit"),
        ([OTHER, HEX], 0, "1 signatures"),
    ],
    ids=["told", "given", "another", "several"],
)
def test_verify_checks_the_meters_signatures(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    keys: list[str],
    code: int,
    expected: str,
) -> None:
    Ledger(tmp_path).append(drive([*RUN, (DONE, "")]))
    args = ["records", "verify", "--folder", str(tmp_path)]
    args += [word for key in keys for word in ("--key", key)]
    ran = _run(capsys, *args)
    assert (ran.code, expected in ran.out + ran.err) == (code, True)
    told = json.loads(_run(capsys, *args, "--json").out)
    assert (told["signatures"], len(told["wrong_signatures"])) == (1 - code, code)


def test_settlement_says_what_was_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger(tmp_path).append(drive([*RUN, (DONE, "")]) + drive([*RUN, (FAILED, "")]))
    args = ["records", "settlement", "--folder", str(tmp_path), "--kind", "session"]
    ran = _run(capsys, *args, "--from", "2026-11-23", "--to", "2026-11-24")
    assert "signed by the meter" in ran.out
    assert "could not sign: SHA" in ran.out


def test_a_chain_without_signatures_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chained(tmp_path)
    ran = _run(capsys, "records", "verify", "--folder", str(tmp_path))
    assert "no signature of a meter" in ran.out


def test_a_proof_as_page_and_as_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chained(tmp_path)
    out = tmp_path / "proof.html"
    args = ["proof", "--folder", str(tmp_path), "--zone", "UTC", "--out"]
    days = ["--from", "2026-11-01", "--to", "2026-11-30"]
    ran = _run(capsys, *args, str(out), *days)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{out}: 1 days with records, 2026-11-01 to 2026-11-30\n"
    assert "All 4 records" in out.read_text()
    table = tmp_path / "proof.csv"
    told = json.loads(_run(capsys, *args, str(table), *days, "--json").out)
    assert told["total"]["sessions"] == "1"
    assert table.read_text().startswith("day,")


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--from", "April"], 2, "write 2026-04-01"),
        (["--zone", "Mars/North"], 2, "write e.g. Asia/Tokyo"),
        (["--from", "2026-12-01", "--to", "2026-11-01"], 2, "is after"),
        (["--out", "/none/x.html"], 1, "No such file"),
    ],
)
def test_a_proof_says_the_next_step(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    expected: str,
) -> None:
    _chained(tmp_path)
    ran = _run(capsys, "proof", "--folder", str(tmp_path), *words)
    assert (ran.code, expected in ran.err) == (code, True), ran.err


def test_a_proof_of_a_broken_chain_says_so_and_counts_what_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chained(tmp_path)
    path = tmp_path / "00000001.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], lines[2].replace("S-1", "S-2"), *lines[3:]]))
    out = tmp_path / "proof.html"
    days = ["--from", "2026-11-01", "--to", "2026-11-30", "--zone", "UTC"]
    ran = _run(capsys, "proof", "--folder", str(tmp_path), "--out", str(out), *days)
    assert ran.code == 1
    assert "not whole" in ran.err
    assert "BROKEN: 00000001.jsonl:3: record 3 was changed" in out.read_text()
