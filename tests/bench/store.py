"""What the outbox costs: bytes to the block layer per queued event, and its pace."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from chargerd.store import Store
from tests.bench.row import Row

_MEASURANDS = (
    "Power.Active.Import",
    "Power.Active.Export",
    "Energy.Active.Import.Register",
    "Energy.Active.Export.Register",
    "Voltage",
)


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes per event by /proc/self/io; None where the file system does not count."""

    online: float | None  # appended, answered, removed, one at a time
    backlog: float | None  # all appended while offline, then drained one at a time
    online_per_s: float
    event_bytes: int


def event(number: int) -> bytes:
    """A TransactionEvent of about 3.2 kB as the station writes it, random values."""
    chance = random.Random(number)
    second = number % 60
    values = [
        {
            "timestamp": f"2026-01-01T00:{second:02d}:{k * 10:02d}.123Z",
            "sampledValue": [
                {
                    "value": round(chance.uniform(0, 9e4), 1),
                    "measurand": measurand,
                    "context": "Sample.Periodic",
                    "unitOfMeasure": {"unit": "W"},
                }
                for measurand in _MEASURANDS
            ],
        }
        for k in range(5)
    ]
    payload = {
        "eventType": "Updated",
        "timestamp": f"2026-01-01T00:{second:02d}:00.000Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": {
            "transactionId": str(uuid.UUID(int=chance.getrandbits(128))),
            "chargingState": "Charging",
            "operationMode": "CentralSetpoint",
        },
        "offline": True,
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": values,
    }
    return json.dumps(payload, separators=(",", ":")).encode()


def written_bytes() -> int:
    """What this process has caused to be sent to the storage layer."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


async def measure(folder: Path, count: int) -> Written:
    """Queue and drain `count` events in both ways."""
    store = await Store.open(folder / "state.db")
    before, began = written_bytes(), time.monotonic()
    for n in range(count):
        number = await store.outbox.append("TransactionEvent", event(n), thinnable=True)
        await store.outbox.remove([number])
    online, took_s = written_bytes() - before, time.monotonic() - began
    before = written_bytes()
    for n in range(count):
        await store.outbox.append("TransactionEvent", event(n), thinnable=True)
    for entry in await store.outbox.batch(0, count):
        await store.outbox.remove([entry.id])
    await store.close()
    backlog = written_bytes() - before
    counts = online > 0
    return Written(
        online / count if counts else None,
        backlog / count if counts else None,
        count / took_s,
        len(event(count)),
    )


def run() -> list[Row]:
    """The figures of `make bench`."""
    with tempfile.TemporaryDirectory(prefix="chargerd-bench-", dir=".") as folder:
        found = asyncio.run(measure(Path(folder), 1000))
    if found.online is None or found.backlog is None:
        rows = []
    else:
        note = f"event of {found.event_bytes} B, delete included"
        rows = [
            Row("flash per queued event, online", found.online, "B", "<= 10240", note),
            Row(
                "flash per queued event, backlog drained", found.backlog, "B", "", note
            ),
        ]
    pace = Row("outbox append + remove, durable", found.online_per_s, "1/s")
    return [*rows, pace]
