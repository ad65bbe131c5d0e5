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
from tests.unit.records.test_signatures import DONE, HEX, RUN, drive

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


def test_a_chain_without_signatures_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chained(tmp_path)
    ran = _run(capsys, "records", "verify", "--folder", str(tmp_path))
    assert "no signature of a meter" in ran.out
