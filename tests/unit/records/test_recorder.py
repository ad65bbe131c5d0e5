"""Sampling: one line a second and EVSE, ten in a reserve service; a disk that fails
costs samples, never the reporter."""

from __future__ import annotations

import asyncio
import io
import json
import math
import tempfile
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chargerd.model import (
    Curve,
    DispatchSignal,
    EvseReport,
    OperationMode,
    Priority,
    Promise,
    Segment,
)
from chargerd.plan import PricePart
from chargerd.records.books import Books
from chargerd.records.export import COLUMNS, write_csv
from chargerd.records.ledger import Ledger
from chargerd.records.recorder import WAITING_S, Recorder
from chargerd.records.ring import Ring
from chargerd.records.sample import baseline_w, must_soc_pct, reserve_active
from firmware_bridge.api import MeterReading, Reading, StageMode, StageReading
from tests.unit.local.values import START, a_decision, a_report, at


def a_recorder(folder: Path, **values: Any) -> Recorder:
    given = {"days": 35, "max_bytes": 2**30, "flush_s": 60.0, "evses": 1, **values}
    books = Books((1, 2), station="S-1", meter={"serial": "M-1"}, key=b"key")
    return Recorder(folder, books, **given)


def signalled(
    report: EvseReport, priority: Priority = Priority.RESERVE, **segment: Any
) -> EvseReport:
    """The same with a live signal of the source that won."""
    part = Segment(0.0, OperationMode.CENTRAL_SETPOINT, **segment)
    signal = DispatchSignal("ocpp.tx", 1, priority, (part,), 0.0, 1e9)
    return replace(report, snapshot=replace(report.snapshot, signals=(signal,)))


def _rows(folder: Path) -> list[dict[str, Any]]:
    return list(Ring.to_read(folder).rows(0, 2**61, None))


@pytest.mark.asyncio
@pytest.mark.parametrize(("reserve", "lines"), [(False, 10), (True, 100)])
async def test_twenty_reports_a_second_make_so_many_lines(
    tmp_path: Path, reserve: bool, lines: int
) -> None:
    recorder = a_recorder(tmp_path)
    for n in range(200):
        report = a_report(100.0 + n * 0.05 + 0.01)
        recorder.report(signalled(report) if reserve else report)
    await recorder.flush()
    rows = _rows(tmp_path)
    assert len(rows) == lines
    first = rows[0]
    assert first["power_w"] == -4990.0
    assert first["setpoint_w"] == -5000.0
    assert (first["low_w"], first["high_w"]) == (-6000.0, 6000.0)
    assert (first["soc_pct"], first["export_wh"]) == (58.0, 2000.0)
    assert (first["source"], first["clock"]) == ("ocpp.tx", "trusted")
    assert "CANARY" not in json.dumps(rows)


@pytest.mark.asyncio
async def test_each_evse_has_its_own_beat(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path, evses=2)
    for n in range(40):
        for evse_id in (1, 2):
            recorder.report(a_report(100.0 + n * 0.05, evse_id=evse_id))
    await recorder.flush()
    assert sorted(row["evse_id"] for row in _rows(tmp_path)) == [1, 1, 2, 2]


@pytest.mark.asyncio
async def test_a_silent_meter_is_no_power(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    report = a_report(100.0)
    snap = replace(report.snapshot, now=at(110.0))
    recorder.report(replace(report, snapshot=snap))
    await recorder.flush()
    (row,) = _rows(tmp_path)
    assert (row["power_w"], row["import_wh"]) == (None, None)
    assert row["setpoint_w"] == -5000.0


@pytest.mark.asyncio
async def test_a_disk_that_fails_is_told_and_mended(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.write_text("not a folder")
    recorder = a_recorder(folder)
    recorder.report(a_report(1.0))
    with capture_logs() as told:
        await recorder.flush()
        recorder.report(a_report(2.0))
        await recorder.flush()
    assert "records" in recorder.status()["fault"]
    assert len(told) == 1  # not each minute
    folder.unlink()
    recorder.report(a_report(3.0))
    await recorder.flush()
    assert recorder.status()["fault"] == ""
    assert [r["utc_ms"] for r in _rows(folder)] == [
        round((START + timedelta(seconds=s)).timestamp() * 1000) for s in (1, 2, 3)
    ]


@pytest.mark.asyncio
async def test_a_session_s_records_are_written_at_once_and_one_by_one(
    tmp_path: Path,
) -> None:
    """Not at the next flush; and the one that is no number costs no other."""
    recorder = a_recorder(tmp_path)
    with capture_logs() as told:
        async with asyncio.TaskGroup() as group:
            run = group.create_task(recorder.run())
            for second, name, capacity_wh in (
                (0.0, "S-1", math.nan),  # its battery record cannot be kept
                (1.0, "S-1", math.nan),
                (2.0, "S-2", 40_000.0),
                (3.0, "S-2", 40_000.0),
                (4.0, "", None),
            ):
                report = a_report(second)
                snap = report.snapshot
                session = replace(snap.session, id=name)
                vehicle = replace(snap.vehicle, capacity_wh=capacity_wh)
                snap = replace(snap, session=session, vehicle=vehicle)
                recorder.report(replace(report, snapshot=snap))
            while not recorder.status()["head"]:  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0)
            run.cancel()
    kinds = [
        (link.record["kind"], link.record.get("session_id"))
        for link in Ledger(tmp_path).links()
    ]
    assert kinds == [
        ("session", "S-1"),
        ("session", "S-2"),
        ("battery", "S-2"),
        ("slot", None),  # at the end of the run
    ]
    assert any("no JSON" in entry.get("why", "") for entry in told)
    assert Ledger(tmp_path).verify(recorder.status()["head"]).broken == ""


@pytest.mark.asyncio
async def test_what_waits_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.write_text("not a folder")
    recorder = a_recorder(folder, flush_s=30.0)
    total = round(WAITING_S) + 100
    with capture_logs():
        for n in range(total):
            recorder.report(a_report(float(n)))
            if n % 50 == 0:
                await recorder.flush()
    status = recorder.status()
    assert status["waiting"] <= WAITING_S
    assert status["dropped"] == total - status["waiting"]
    folder.unlink()
    await recorder.flush()
    assert _rows(folder)[-1]["utc_ms"] == round(
        (START + timedelta(seconds=total - 1)).timestamp() * 1000
    )


@pytest.mark.asyncio
async def test_a_decision_that_ended_is_found_again(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    begin, end = START, START + timedelta(seconds=30)
    recorder.decided(a_decision(30.0), begin, end)
    recorder.decided(a_decision(30.4, 1.0), end, end)  # too soon after the last
    found = await recorder.past(1, START + timedelta(seconds=12))
    assert found is not None
    assert found["reasons"][1]["note"] == "setpoint"
    assert found["from_utc"] == START.isoformat(timespec="milliseconds")
    assert await recorder.past(1, START + timedelta(seconds=99)) is None
    spans = list(Ring.to_read(tmp_path).spans(0, 2**61, 1))
    assert [span.decision["power_w"] for span in spans] == [-5000.0]


def test_the_baseline() -> None:
    curve = Curve("frequency", ((49.8, -5000.0), (50.2, 5000.0)))
    own = a_report(decision=a_decision(1.0, 700.0, reasons=()))
    assert baseline_w(own, 123.0) == 700.0  # nobody dispatches: what it does
    assert baseline_w(a_report(), 123.0) == 123.0  # else what it did before
    under = signalled(a_report(), curve=curve, setpoint_w=-800.0)
    assert baseline_w(under, 123.0) == -800.0
    assert baseline_w(signalled(a_report(), curve=curve), 123.0) == 0.0


@pytest.mark.asyncio
@pytest.mark.parametrize("flush_s", [60.0, 300.0])
async def test_a_reserve_service_loses_no_sample_while_a_flush_is_late(
    tmp_path: Path, flush_s: float
) -> None:
    """Ten samples a second, and the disk takes as long again as it should."""
    recorder = a_recorder(tmp_path, flush_s=flush_s)
    count = round(2 * flush_s * 10)
    for n in range(count):
        recorder.report(signalled(a_report(100.05 + n * 0.1)))
    assert recorder.status()["dropped"] == 0
    await recorder.flush()
    rows = _rows(tmp_path)
    assert len(rows) == count
    steps = {b["utc_ms"] - a["utc_ms"] for a, b in pairwise(rows)}
    assert steps == {100}


def test_reserve_is_active_by_signal_or_mode() -> None:
    assert not reserve_active(a_report())
    assert not reserve_active(signalled(a_report(), Priority.SETPOINT))
    assert reserve_active(signalled(a_report()))
    mode = a_decision(1.0, mode=OperationMode.LOCAL_FREQUENCY)
    assert reserve_active(a_report(decision=mode))


@pytest.mark.parametrize(
    ("slack_s", "soc_pct", "wanted"),
    [
        (None, 50.0, None),
        (1800.0, 50.0, 20.0),  # 30 % in 1800 s; with 3600 s left 20 % is enough
        (0.0, 50.0, 50.0),  # on the line
        (-100.0, 50.0, 50.8108),  # too late already
        (3600.0, 50.0, None),  # needs no time
        (10.0, 80.0, None),  # is there
        (3000.0, 79.0, 74.0),
    ],
)
def test_the_must_charge_line(
    slack_s: float | None, soc_pct: float, wanted: float | None
) -> None:
    promise = Promise(3700.0, 80.0, slack_s=slack_s)
    found = must_soc_pct(promise, soc_pct, 100.0)
    assert found == (wanted if wanted is None else pytest.approx(wanted, abs=1e-3))


@pytest.mark.asyncio
async def test_the_price_in_force_is_noted(tmp_path: Path) -> None:
    part = PricePart(0.0, 31.0, None, 420.0)
    recorder = a_recorder(tmp_path, price=lambda now: part if now.mono > 1 else None)
    for second in (1.0, 2.0):
        recorder.report(a_report(second))
    await recorder.flush()
    names = ("buy_per_kwh", "sell_per_kwh", "co2_g_per_kwh")
    found = [tuple(row[name] for name in names) for row in _rows(tmp_path)]
    assert found == [(None, None, None), (31.0, None, 420.0)]


ANY = st.sampled_from([None, 0.0, 50.0, 1e308, -1e308, math.inf, math.nan])
NUMBER = st.one_of(ANY.filter(lambda value: value is not None), st.floats())


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(ANY, ANY, NUMBER, NUMBER, NUMBER, st.booleans()), max_size=8))
def test_no_report_makes_the_recorder_raise(values: list[Any]) -> None:
    """It is called by the cycle: an error there would stop the station."""
    with tempfile.TemporaryDirectory() as name, capture_logs():
        recorder = a_recorder(Path(name))
        for second, (soc, slack, power_w, wh, volts, plugged) in enumerate(values):
            report = a_report(float(second))
            snap = report.snapshot
            promise = Promise(50.0, 80.0, slack_s=slack)
            about = replace(snap.session, promise=promise, id="S" * plugged)
            vehicle = replace(snap.vehicle, soc_pct=soc, capacity_wh=soc)
            meter = Reading(MeterReading(power_w, wh, wh, volts), float(second))
            stage = StageReading(volts, power_w, StageMode.CHARGE, True)
            telemetry = replace(
                snap.telemetry, meter=meter, stage=Reading(stage, float(second))
            )
            snap = replace(snap, session=about, vehicle=vehicle, telemetry=telemetry)
            recorder.report(replace(report, snapshot=snap))
        asyncio.run(recorder.flush())
        assert recorder.status()["waiting"] == 0
        assert len(_rows(Path(name))) == len(values)


@pytest.mark.asyncio
async def test_the_table_has_a_head_and_empty_cells(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    recorder.report(a_report(1.0))
    await recorder.flush()
    text = io.StringIO()
    assert write_csv(_rows(tmp_path), text) == 1
    head, line = text.getvalue().splitlines()
    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert tuple(cells) == COLUMNS
    assert cells["utc"] == "2026-11-23T09:00:01.000+00:00"
    assert cells["power_w"] == "-4990"
    assert cells["grid_w"] == ""
