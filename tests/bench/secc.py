"""The SECC beside EcoG's: request bytes in to response bytes out, RSS and CPU.

One run, one vehicle (secc_ev.py), one link: a veth pair between two namespaces, plain
TCP for ISO 15118-2, TLS 1.3 mutual for -20. Ours is the whole daemon with its 20 Hz
tick, the rig and a central system. Plain -20 is refused by ours, so its plain figure
is the connection core in this process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chargerd.vehicle.iso15118 import sap
from hil.csms.dispatch import set_setpoint
from hil.ev.battery import Battery
from hil.ev.iso15118.profile import Profile
from hil.stand import CCS
from tests.bench.row import Row, percentile
from tests.bench.station import rss_mib
from tests.interop import ecog
from tests.interop.namespaces import VEHICLE_END, Far, namespaces, refusal
from tests.process import TOKEN, Plant, patient_bench, station
from tests.unit.hil_ev.bench15118 import Bench

HERE = Path(__file__).parent
LOOPS, IN_PROCESS_LOOPS = 250, 2_000
LOOP_S = 0.03  # the vehicle's pause: every phase of the 50 ms tick is met
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Course:
    """What is spoken, and over what."""

    name: str
    protocol: sap.Protocol
    service: str
    ecog: str  # the wheel's name of the protocol
    tls: bool


CURRENT_DEMAND = Course(
    "-2 CurrentDemand, plain TCP", sap.ISO2, "DC", "ISO_15118_2", tls=False
)
LOOP_PLAIN = Course(
    "-20 DC_ChargeLoop BPT dynamic, plain", sap.ISO20_DC, "DC_BPT", "ISO_15118_20_DC",
    tls=False,
)  # fmt: skip
LOOP_TLS = Course(
    "-20 DC_ChargeLoop BPT dynamic, TLS 1.3", sap.ISO20_DC, "DC_BPT", "ISO_15118_20_DC",
    tls=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """`cpu_ms` is the station's CPU time for each loop, tick and all."""

    ms: list[float]
    cpu_ms: float
    rss_mib: float


# --- one run of the vehicle -----------------------------------------------------------


def family(pid: int) -> list[int]:
    """A process and its children: a JVM is one."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *(p for child in path.read_text().split() for p in family(int(child)))]


def cpu_s(pids: Sequence[int]) -> float:
    """User and system time so far."""
    parts = [Path(f"/proc/{p}/stat").read_text().rpartition(")")[2] for p in pids]
    return sum(int(f) for part in parts for f in part.split()[11:13]) / TICKS


def vehicle_tls() -> dict[str, str]:
    """The vehicle's side of the wheel's PKI."""
    folder = ecog.pki() / "iso15118_2"
    return {
        "roots": str(folder / "certs" / "v2gRootCACert.pem"),
        "chain": str(folder / "certs" / "oemCertChain.pem"),
        "key": str(folder / "private_keys" / "oemLeaf.key"),
        "password": ecog.PASSWORD,
    }


def wishes(course: Course, far: Far | None, rig: str, sdp_port: int) -> dict[str, Any]:
    """For secc_ev.py."""
    return {
        "interface": VEHICLE_END if far else "lo",
        "sdp_port": sdp_port,
        "namespace": course.protocol.namespace,
        "service": course.service,
        "loops": LOOPS,
        "loop_s": LOOP_S,
        "rig": rig,
        "tls": vehicle_tls() if course.tls else None,
    }


async def drive(pid: int, case: dict[str, Any], far: Far | None) -> Figures:
    """One session of the vehicle against the station that runs as `pid`."""
    command: list[str | Path] = [sys.executable, "-m", "tests.bench.secc_ev"]
    command.append(json.dumps(case))
    child = await asyncio.create_subprocess_exec(
        *(far.inside(command) if far else command),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    facts: dict[str, Any] = {}
    used_s = 0.0
    if child.stdout is not None:
        while line := await child.stdout.readline():
            pids = family(pid)
            used_s = cpu_s(pids) - used_s  # at the first line, then at "ms"
            facts |= json.loads(line)
            if "ms" in facts:
                facts["rss_mib"] = sum(rss_mib(each) for each in pids)
                break
        await child.stdout.read()
    await child.wait()
    if "ms" not in facts:
        raise RuntimeError(f"the vehicle did not come through: {facts}")
    return Figures(facts["ms"], used_s * 1e3 / LOOPS, facts["rss_mib"])


# --- the stations ---------------------------------------------------------------------


async def ours(course: Course, far: Far | None, folder: Path) -> Figures:
    """The whole daemon, with power flowing."""
    settings: dict[str, Any] = {"config": str(CCS)}
    if far is not None:
        settings = ecog.daemon_settings('["DC_BPT", "DC"]')
    bench = patient_bench(folder)  # a busy machine costs ms, not the session
    async with station(folder, bench=bench, **settings) as plant:
        await plant.stand.rig.ask(verb="plug_in", connector=1, ev="external", soc=60.0)
        await plant.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])
        dispatch = asyncio.create_task(dispatched(plant))
        try:
            port = 15118 if far else plant.stand.sdp_port(1)
            rig = str(folder / "control.sock")
            daemon = plant.stand.children["daemon"].pid
            return await drive(daemon, wishes(course, far, rig, port), far)
        finally:
            dispatch.cancel()


async def dispatched(plant: Plant) -> None:
    """A new setpoint twice a second, once there is a transaction."""
    power_w = 3_000.0
    while True:
        await asyncio.sleep(0.5)
        if plant.peer.ledger.active(1) is not None:
            power_w = 7_000.0 - power_w
            await set_setpoint(plant.peer, 1, power_w, 600)


async def theirs(course: Course, far: Far, folder: Path) -> Figures:
    """EcoG's SECC with its simulator."""
    script: list[str | Path] = [HERE / "secc_ecog.py", str(Battery(60.0).emf_v)]
    log = folder / "ecog-secc.log"
    async with ecog.secc(script, log, course.ecog, tls_1_3=course.tls) as process:
        try:
            return await drive(process.pid, wishes(course, far, "", 15118), far)
        except RuntimeError as error:
            error.add_note(ecog.tail(log))
            raise


def in_process() -> list[float]:
    """ms of Connection.receive to to_send, the vehicle and the plant in memory."""
    bench = Bench(Profile(services=("DC_BPT",), loop_s=0.0))
    bench.to_energy()
    core, receive = bench.secc, bench.secc.receive
    taken: list[float] = []

    def timed(data: bytes, now_mono: float) -> None:
        began = time.perf_counter()
        receive(data, now_mono)
        answer = core.to_send(now_mono)
        taken.append((time.perf_counter() - began) * 1e3)
        bench.evcc.receive(answer)

    core.receive = timed  # type: ignore[method-assign]
    bench.run(60.0, lambda: len(taken) >= IN_PROCESS_LOOPS)
    return taken


# --- the table ------------------------------------------------------------------------


def rows_of(name: str, ms: list[float], other: Figures | None = None) -> list[Row]:
    """p50, p99 and max; `other` is the peer's, for the ratio."""
    rows = []
    for what, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        mine, note = percentile(ms, share), ""
        if other is not None:
            note = f"EcoG {percentile(other.ms, share):.1f} ms"
        goal = "<= 5" if what == "p99" else ""
        rows.append(Row(f"{name}, {what}", mine, "ms", goal, note))
    if other is not None:
        times = percentile(other.ms, 0.5) / percentile(ms, 0.5)
        rows.append(Row(f"{name}, faster at p50", times, "times", ">= 20"))
    return rows


def cost(name: str, mine: Figures, other: Figures | None) -> list[Row]:
    """CPU and memory of both."""
    cpu = f"EcoG {other.cpu_ms:.1f} ms" if other else ""
    rss = f"EcoG {other.rss_mib:.0f} MiB, JVM and all" if other else ""
    return [
        Row(f"{name}, CPU of a loop", mine.cpu_ms, "ms", "", cpu),
        Row(f"{name}, RSS of the station", mine.rss_mib, "MiB", "", rss),
    ]


async def measured(far: Far | None, folder: Path) -> list[Row]:
    rows: list[Row] = []
    courses = [CURRENT_DEMAND, LOOP_TLS] if far else [CURRENT_DEMAND]
    beside: dict[Course, Figures] = {}
    if far:
        for course in (*courses, LOOP_PLAIN):
            beside[course] = await theirs(course, far, folder)
    for course in courses:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            mine = await ours(course, far, Path(own))
        other = beside.get(course)
        rows += rows_of(course.name, mine.ms, other)
        rows += cost(course.name, mine, other)
    plain = beside.get(LOOP_PLAIN)
    name = f"{LOOP_PLAIN.name}, core in process"
    return rows + rows_of(name, in_process(), plain)


def run() -> list[Row]:
    """All figures; what this machine cannot do is said."""
    why = refusal()
    try:
        ecog.install()
    except pytest.skip.Exception as missing:
        why = why or str(missing)
    where: AbstractContextManager[Far | None] = nullcontext()
    if why:
        print(f"  EcoG's SECC and TLS left out, ours on loopback: {why}")
    else:
        ecog.pki()
        where = namespaces()
    with where as far, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measured(far, Path(folder)))
