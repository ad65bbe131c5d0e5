"""The plan layer: time and memory for 1, 10 and 50 EVs, beside scipy's own HiGHS; and
the 20 Hz beat while a site of 10 is solved back to back.

scipy lives in a venv of its own (out/bench/scipy); without one its rows are left out.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from chargerd.scheduler.planner import horizon, lp
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.child import Child
from tests.bench.row import Row, percentile
from tests.unit.scheduler.stand import Stand

COUNTS = (1, 10, 50)
DEADLINE_S = 300.0
BEAT_S, BEATS = 0.05, 300
SCIPY = Path("out/bench/scipy")
SCRIPT = Path(__file__).with_name("planner_scipy.py")


def site(count: int) -> p.Problem:
    """Two days of half-hourly prices; vehicles that leave at different times."""
    rng = random.Random(1)
    edges = horizon.grid(0.0, horizon.HORIZON_S, [])
    spot = [0.15 + 0.2 * rng.random() for _ in range(97)]
    steps = []
    for start, end in pairwise(edges):
        price = spot[int(start // 1800)]
        steps.append(p.Step((end - start) / 3600.0, price + 0.05, price, 0.5))
    packs = tuple(
        p.Pack(
            evse_id=n + 1,
            steps=len(steps) if count == 1 else 150 + (n * 37) % 250,
            energy=rng.uniform(10.0, 30.0),
            capacity=40.0,
            target=32.0,
            floor=8.0,
            ceiling=40.0,
            charge_kw=7.0,
            discharge_kw=7.0,
            efficiency=0.94,
            knee=32.0,
            left=0.2,
            wear=0.02,
        )
        for n in range(count)
    )
    return p.Problem(tuple(steps), packs, max(10.0, 3.0 * count), 3.0 * count)


def run() -> list[Row]:
    """All rows; solvers one after the other."""
    rows: list[Row] = []
    for count in COUNTS:
        rows += asyncio.run(_child(count))
    rows += _scipy()
    rows += asyncio.run(_jitter())
    return rows


async def _child(count: int) -> list[Row]:
    child = Child()
    try:
        question = site(count)
        began = time.perf_counter()
        solution = await child.solve(question, DEADLINE_S)
        first = time.perf_counter() - began
        process = child._process
        if process is None:
            raise RuntimeError("no planner")
        peak_kib = _peak_kib(process.pid)
        goal = "<= 64" if count == 1 else ""
        return [
            Row(f"planner, {count} EVs: CPU", solution.cpu_s * 1e3, "ms"),
            Row(f"planner, {count} EVs: asked to answered, cold", first * 1e3, "ms"),
            Row(f"planner, {count} EVs: peak RSS", peak_kib / 1024.0, "MiB", goal),
        ]
    finally:
        await child.close()


def _peak_kib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return float(status.split("VmHWM:")[1].split()[0])


def _scipy() -> list[Row]:
    """The same programmes through scipy.optimize.linprog."""
    python = SCIPY / "bin" / "python"
    if not python.exists():
        made = [sys.executable, "-m", "venv", str(SCIPY)]
        install = [str(python), "-m", "pip", "install", "--quiet", "scipy"]
        try:
            subprocess.run(made, check=True, capture_output=True)
            subprocess.run(install, check=True, capture_output=True, timeout=300)
        except (subprocess.SubprocessError, OSError) as error:
            return [Row("scipy.linprog", 0.0, "", note=f"left out: {error}")]
    rows = []
    for count in COUNTS:
        model = json.dumps(asdict(lp.write(site(count))[0])).replace("Infinity", "1e30")
        try:
            done = subprocess.run(
                [str(python), str(SCRIPT)],
                input=model,
                capture_output=True,
                text=True,
                check=True,
                timeout=DEADLINE_S,
            )
        except subprocess.SubprocessError as error:
            return [*rows, Row("scipy.linprog", 0.0, "", note=f"left out: {error}")]
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append(Row(f"scipy.linprog, {count} EVs: CPU", found["ms"], "ms"))
        rows.append(Row(f"scipy.linprog, {count} EVs: peak RSS", found["mib"], "MiB"))
    return rows


async def _jitter() -> list[Row]:
    """How late the beat is, alone and beside a planner that never rests."""
    stand = Stand()
    stand.start()
    rows = []
    for name, busy in (("alone", False), ("planner busy with 10 EVs", True)):
        child, solved = Child(), 0
        question = site(10)

        async def solve(child: Child = child, question: p.Problem = question) -> None:
            nonlocal solved
            while True:
                await child.solve(question, DEADLINE_S)
                solved += 1

        task = asyncio.ensure_future(solve()) if busy else None
        late = await _beats(stand)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await child.close()
        note = f"{solved} solved" if busy else ""
        for label, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            goal = "<= 10" if label == "p99.9" else ""
            value = percentile(late, share)
            rows.append(Row(f"beat late, {name}: {label}", value, "ms", goal, note))
    return rows


async def _beats(stand: Stand) -> list[float]:
    late = []
    due = time.perf_counter() + BEAT_S
    for _ in range(BEATS):
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late.append((time.perf_counter() - due) * 1e3)
        stand.beat()
        stand.reports.clear()
        due += BEAT_S
    return late
