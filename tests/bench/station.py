"""The whole station on the virtual bench: signal to wire, jitter, memory, start.

Three real processes. The latency runs from the moment the central system writes the
frame to the moment the power stage's adapter has the changed current: both WebSocket
ends, the parse, the decision and the wire are in it.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil.csms.dispatch import dynamic_setpoint
from tests.bench.row import Row, percentile
from tests.process import Plant, station

SIGNALS = 150
STARTS = 3


def big_profile() -> dict[str, Any]:
    """About 145 kB: three schedules of 300 periods, for another EVSE."""
    periods = [
        {
            "startPeriod": 60 * i,
            "limit": 6000.0 + i,
            "dischargeLimit": -3000.0 - i,
            "setpoint": 1000.0 + i,
            "operationMode": "CentralSetpoint",
            "v2xBaseline": 0.0,
            "preconditioningRequest": False,
        }
        for i in range(300)
    ]
    schedules = [
        {
            "id": 900 + n,
            "chargingRateUnit": "W",
            "startSchedule": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "chargingSchedulePeriod": periods,
        }
        for n in range(3)
    ]
    return {
        "evseId": 2,
        "chargingProfile": {
            "id": 900,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedules,
        },
    }


def first_after(trace: list[dict[str, Any]], at_mono: float) -> float | None:
    """When the stage of EVSE 1 first got another setpoint."""
    for row in trace:
        event = row.get("event") == "stage_setpoint" and row["evse"] == 1
        if event and row["t_mono"] > at_mono:
            return float(row["t_mono"])
    return None


async def latencies(plant: Plant, big_text: str = "") -> list[float]:
    """Milliseconds of each signal. `big_text` arrives just before each of them."""
    chance = random.Random(1)
    sent: list[float] = []
    for index in range(SIGNALS):
        await asyncio.sleep(chance.uniform(0.10, 0.17))  # every phase of the tick
        power_w = -2500.0 - 2500.0 * (index % 2) - chance.uniform(0, 500)
        if big_text:
            await plant.peer.send_raw(big_text.replace("ID", f"big-{index}", 1))
        sent.append(time.monotonic())
        await dynamic_setpoint(plant.peer, 1, power_w)
    await asyncio.sleep(0.5)
    trace = plant.trace()
    seen = [first_after(trace, at) for at in sent]
    return [(x - at) * 1e3 for x, at in zip(seen, sent, strict=True) if x is not None]


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


async def own_word(plant: Plant) -> dict[str, dict[str, float]]:
    """The daemon's own percentiles in ms: tick lateness, signal to drivers."""
    answer = await plant.stand.local.ask(verb="status")
    found: dict[str, dict[str, float]] = answer["station"]
    return found


async def starts(plant: Plant) -> list[float]:
    """Seconds from starting the process to BootNotification accepted."""
    seconds = []
    for _ in range(STARTS):
        await plant.stand.end("daemon")
        mark = len(plant.peer.messages)
        began = time.monotonic()
        await plant.stand.start_daemon()
        boot = await plant.peer.expect("BootNotification", since=mark)
        seconds.append(boot.t_mono - began)
    return seconds


def spread(name: str, values: list[float], goals: tuple[str, str]) -> list[Row]:
    """p50 and p99 rows of latencies in ms."""
    note = f"{len(values)} of {SIGNALS} signals seen on the wire"
    return [
        Row(f"{name}, p50", percentile(values, 0.5), "ms", goals[0]),
        Row(f"{name}, p99", percentile(values, 0.99), "ms", goals[1], note),
    ]


async def measure(folder: Path) -> list[Row]:
    """Everything, on one stand."""
    big_text = json.dumps([2, "ID", "SetChargingProfile", big_profile()])
    async with station(folder) as plant:
        await plant.start_session()
        await plant.discharge(-3000.0)
        quiet = await latencies(plant)
        calm = await own_word(plant)
        loaded = await latencies(plant, big_text)
        busy = await own_word(plant)
        memory = rss_mib(plant.stand.children["daemon"].pid)
        begun = await starts(plant)
    kilobytes = len(big_text) / 1000
    inside = calm["signal_ms"]
    rows = [
        Row("signal parsed -> command written, p50", inside["p50"], "ms", "<= 2"),
        Row("signal parsed -> command written, p99", inside["p99"], "ms", "<= 20"),
    ]
    rows += spread("CSMS frame -> stage's wire, real sockets", quiet, ("", "<= 20"))
    rows += spread(
        f"the same, behind a {kilobytes:.0f} kB profile", loaded, ("", "<= 20")
    )
    return [
        *rows,
        Row("tick lateness p99, quiet", calm["tick_late_ms"]["p99"], "ms"),
        Row("tick lateness p99.9, quiet", calm["tick_late_ms"]["p999"], "ms", "<= 10"),
        Row(
            "tick lateness p99.9, big profiles arriving",
            busy["tick_late_ms"]["p999"],
            "ms",
            "<= 10",
        ),
        Row("RSS of the daemon, 2 EVSE, one session", memory, "MiB", "<= 64"),
        Row("start -> BootNotification", statistics.median(begun), "s", "<= 1"),
    ]


def run() -> list[Row]:
    """For `make bench`."""
    with tempfile.TemporaryDirectory(prefix="chargerd-bench-") as name:
        return asyncio.run(measure(Path(name)))
