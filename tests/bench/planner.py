"""The plan layer: time and memory for 1, 10 and 50 EVs, beside scipy's own HiGHS; what
the last answer saves, what coarse steps cost; and the 20 Hz beat while a site of 10 is
solved back to back.

scipy lives in a venv of its own (out/bench/scipy); without one its rows are left out.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from chargerd.config_plan import SitePlan
from chargerd.model import Promise
from chargerd.plan import PricePart, PriceSeries
from chargerd.scheduler.planner import horizon, lp, solver
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.child import Child
from chargerd.scheduler.planner.outlook import Outlook, SiteOutlook
from tests.bench.row import Row, percentile
from tests.unit.scheduler.stand import Stand

COUNTS = (1, 10, 50)
DEADLINE_S = 300.0
BEAT_S, BEATS = 0.05, 300
SCIPY = Path("out/bench/scipy")
SCRIPT = Path(__file__).with_name("planner_scipy.py")
NOW = 1000.0
REPLANS = 6
SETTINGS = SitePlan(wear_per_kwh=2.0)


def prices() -> PriceSeries:
    """Two days of half-hourly prices."""
    rng = random.Random(1)
    parts = []
    for half in range(97):
        spot = 15.0 + 20.0 * rng.random()
        parts.append(PricePart(NOW - 700.0 + 1800.0 * half, spot + 5.0, spot))
    return PriceSeries("bench", tuple(parts), parts[-1].start_mono + 1800.0, "JPY")


def vehicles(count: int) -> tuple[Outlook, ...]:
    """They leave at different times, within 6 to 36 hours."""
    rng = random.Random(2)
    return tuple(
        Outlook(
            evse_id=number + 1,
            energy_wh=rng.uniform(10_000.0, 30_000.0),
            capacity_wh=40_000.0,
            floor_wh=8_000.0,
            charge_w=7_000.0,
            discharge_w=-7_000.0,
            efficiency=0.94,
            power_w=0.0,
            promise=Promise(NOW + 3600.0 * rng.uniform(6.0, 36.0), 80.0),
        )
        for number in range(count)
    )


def site(evses: tuple[Outlook, ...], now_mono: float = NOW) -> horizon.Horizon:
    power_w = 3_000.0 * len(evses)
    seen = SiteOutlook(evses, max(10_000.0, power_w), power_w, 500.0)
    found = horizon.make(seen, prices(), SETTINGS, now_mono)
    if found is None:
        raise RuntimeError("nothing to plan")
    return found


def run() -> list[Row]:
    """All rows; solvers one after the other."""
    rows: list[Row] = []
    for count in COUNTS:
        rows += asyncio.run(_child(count))
        rows += _again(count)
    rows += [_coarse()]
    rows += _scipy()
    rows += asyncio.run(_jitter())
    return rows


async def _child(count: int) -> list[Row]:
    child = Child()
    try:
        question = site(vehicles(count)).problem
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


def _again(count: int) -> list[Row]:
    """Plans five minutes apart, each from the last one's basis and from nothing."""
    warm, evses, now_mono = solver.Solver(), vehicles(count), NOW
    cold_s = warm_s = 0.0
    cold_n = warm_n = 0
    for number in range(REPLANS + 1):
        found = site(evses, now_mono)
        cold, again = solver.solve(found.problem), warm.solve(found.problem)
        if number:
            cold_s, warm_s = cold_s + cold.cpu_s, warm_s + again.cpu_s
            cold_n, warm_n = cold_n + cold.iterations, warm_n + again.iterations
        now_mono += 300.0
        evses = _after(found, evses, again, now_mono)
    note = f"{warm_n} of {cold_n} iterations"
    name = f"planner, {count} EVs: CPU from the last basis, of that without"
    return [Row(name, warm_s / cold_s, "", "<= 0.7", note)]


def _after(
    found: horizon.Horizon,
    evses: tuple[Outlook, ...],
    solution: p.Solution,
    now_mono: float,
) -> tuple[Outlook, ...]:
    """The vehicles where the plan has brought them, a little off."""
    rng = random.Random(now_mono)
    last = max(n for n, edge in enumerate(found.edges_mono) if edge <= now_mono) - 1
    levels = [1000.0 * trace.energy_kwh[max(0, last)] for trace in solution.traces]
    return tuple(
        replace(evse, energy_wh=level + rng.uniform(-100.0, 100.0))
        for evse, level in zip(evses, levels, strict=True)
    )


def _coarse() -> Row:
    """What the coarser steps of a big site cost, on one that can take both."""
    evses = vehicles(10)
    fine = solver.solve(site(evses).problem).cost
    ladders, horizon.LADDERS = horizon.LADDERS, horizon.LADDERS[1:]
    try:
        coarse = solver.solve(site(evses).problem).cost
    finally:
        horizon.LADDERS = ladders
    return Row("planner, 10 EVs: money lost by coarse steps", (coarse - fine), "JPY",
               note=f"of {-fine:.0f} earned")  # fmt: skip


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
        model = json.dumps(
            asdict(lp.write(site(vehicles(count)).problem).model)
        ).replace("Infinity", "1e30")
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
        # Others than the last time: each begins from nothing.
        others = tuple(replace(one, evse_id=one.evse_id + 10) for one in vehicles(10))
        questions = [site(evses).problem for evses in (vehicles(10), others)]

        async def solve(
            child: Child = child, questions: list[p.Problem] = questions
        ) -> None:
            nonlocal solved
            while True:
                await child.solve(questions[solved % 2], DEADLINE_S)
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
