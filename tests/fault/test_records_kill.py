"""The records of a real daemon: killed in the middle of a session, what was flushed is
there, the next daemon goes on behind it, and an orderly stop ends the books."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chargerd.records.ledger import Ledger
from chargerd.records.ring import Ring
from chargerd.records.sample import Row
from tests.process import Plant, patient_bench, station, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def _rows(folder: Path) -> list[Row]:
    return list(Ring.to_read(folder).rows(0, 2**61, 1))


async def _recorded(plant: Plant, folder: Path, least_w: float) -> list[Row]:
    """Until so much discharge is on the disk."""

    async def found() -> bool:
        return any((row["power_w"] or 0.0) < least_w for row in _rows(folder))

    await until("discharge in the records", found, 20.0)
    return _rows(folder)


async def _why(plant: Plant, at: datetime) -> dict[str, Any]:
    answer = await plant.stand.local.ask(verb="why", evse=1, at=at.isoformat())
    then: dict[str, Any] = answer["evses"][0]["then"]
    return then


@pytest.mark.asyncio
async def test_a_killed_daemon_keeps_its_records(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    bench = patient_bench(tmp_path)
    flush = {"CHARGERD__RECORDS__FLUSH_S": "1"}
    async with station(tmp_path, bench=bench, **flush) as plant:
        await plant.start_session()
        await plant.discharge(-3000.0)
        before = await _recorded(plant, folder, -2500.0)
        plant.stand.kill("daemon", signal.SIGKILL)
        await plant.stand.end("daemon")

        plant.stand.local.close()
        await plant.stand.start_daemon(**flush)
        killed = datetime.fromtimestamp(before[-1]["utc_ms"] / 1000.0, UTC)
        assert (await _why(plant, killed))["evse_id"] == 1  # of the life before
        answer = await plant.stand.local.ask(verb="records")
        assert answer["fault"] == ""
        assert answer["last_ms"] > before[-1]["utc_ms"]
        assert await plant.stand.end("daemon") == 0

    rows = _rows(folder)
    assert rows[: len(before)] == before
    assert [row["utc_ms"] for row in rows] == sorted(row["utc_ms"] for row in rows)
    ledger = Ledger(folder)
    assert ledger.verify().broken == ""
    slots = [link.record for link in ledger.links() if link.record["kind"] == "slot"]
    assert slots[-1]["complete"] is False  # written at the orderly stop
    assert killed - datetime.fromisoformat(slots[-1]["to_utc"]) < timedelta(0)
