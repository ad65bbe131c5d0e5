"""EcoG's EVCC and SECC as processes: their venv, test PKI, environment and logs.

Owns no judgement. The car's talk is in `Car.facts`; its log is shown by `Car.story`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from hil.stand import CCS
from tests.interop.exi_jar import install as install_wheel
from tests.interop.namespaces import STATION_END, VEHICLE_END, Far

CAR = Path(__file__).with_name("ecog_car.py")
CPS = Path(__file__).with_name("ecog_cps.py")
OUT = Path(__file__).parents[2] / "out" / "interop"
PKI_MAX_AGE_S = 30 * 86_400.0  # its SECC leaf lives 60 days, its CPS leaf 90
PASSWORD = "12345"  # of every key that the wheel's script makes
JVM = "-Xmx96m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # quick to warm up
LINE_MAX = 1 << 20
Fact = dict[str, Any]


def install() -> Path:
    """The wheel's Python, with what its EVCC imports but does not declare."""
    python = install_wheel()
    if not list(python.parents[1].glob("lib/python3*/site-packages/aiofile")):
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "aiofile"]
        subprocess.run(pip, check=True, timeout=300, capture_output=True)
    return python


def package(python: Path) -> Path:
    """The wheel's own folder."""
    return next(python.parents[1].glob("lib/python3*/site-packages/iso15118"))


def pki() -> Path:
    """The folder that the wheel calls PKI_PATH, made by the wheel's own script."""
    folder = OUT / "ecog-pki"
    made = folder / "secc.key"
    if not made.exists() or time.time() - made.stat().st_mtime > PKI_MAX_AGE_S:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(package(install()) / "shared" / "pki", folder)
        subprocess.run(
            ["bash", "create_certs.sh", "-v", "iso-2"],
            cwd=folder,
            check=True,
            timeout=120,
            capture_output=True,
        )
        locked = (folder / "iso15118_2/private_keys/seccLeaf.key").read_bytes()
        key = load_pem_private_key(locked, PASSWORD.encode())
        text = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "secc.key").write_bytes(text)
    return folder


def station_files() -> dict[str, Path]:
    """What our station needs of that PKI, by the name of its setting."""
    certificates = pki() / "iso15118_2" / "certs"
    return {
        "CERTIFICATES__0__CHAIN": certificates / "cpoCertChain.pem",
        "CERTIFICATES__0__KEY": pki() / "secc.key",
        "V2G_ROOTS": certificates / "v2gRootCACert.pem",
        "MO_ROOTS": certificates / "moRootCACert.pem",
        "OEM_ROOTS": certificates / "oemRootCACert.pem",
    }


def daemon_settings(energies: str, authorise: str = "EIM") -> dict[str, Any]:
    """Our daemon's: EVSE 1 on the station's end of the link, with that PKI."""
    evse, door = "CHARGERD__EVSE__0__ISO15118__", "CHARGERD__VEHICLE__ISO15118__"
    files = {door + name: str(path) for name, path in station_files().items()}
    return {
        "config": str(CCS),
        "CHARGERD__EVSE__0__COMMAND_LIFETIME_S": "1.0",
        evse + "INTERFACE": STATION_END,
        evse + "SDP_PORT": "15118",
        evse + "ENERGIES": energies,
        door + "AUTHORISE": f'["{authorise}"]',
        door + "PLAIN": str(authorise == "EIM").lower(),
        **files,
    }


def environment(interface: str, *, tls_1_3: bool, **more: str) -> dict[str, str]:
    """What the wheel reads its settings from."""
    return {
        **os.environ,
        "NETWORK_INTERFACE": interface,
        "PKI_PATH": f"{pki()}/",
        "JAVA_TOOL_OPTIONS": JVM,
        "ENABLE_TLS_1_3": str(tls_1_3),
        "MESSAGE_LOG_JSON": "False",
        **more,
    }


@dataclass
class Car:
    """A running EVCC. `facts` are its lines, in order."""

    process: asyncio.subprocess.Process
    log: Path
    facts: list[Fact] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        """Until its stdout ends."""
        if self.process.stdout is None:
            raise RuntimeError("the car has no stdout")
        while line := await self.process.stdout.readline():
            async with self.news:
                self.facts.append({"at": time.monotonic(), **json.loads(line)})
                self.news.notify_all()
        async with self.news:
            self.facts.append(
                {"at": time.monotonic(), "over": "the car's process ended"}
            )
            self.news.notify_all()

    def command(self, **wish: Any) -> None:
        """`stop`, `target_a`, `ac_power_w`."""
        if self.process.stdin is None:
            raise RuntimeError("the car has no stdin")
        self.process.stdin.write(json.dumps(wish).encode() + b"\n")

    def heard(self, name: str) -> list[Fact]:
        """All answers of this name."""
        return [fact for fact in self.facts if fact.get("heard") == name]

    def said(self) -> list[str]:
        """The names of its requests, repeats left out."""
        names = [fact["said"] for fact in self.facts if "said" in fact]
        return [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n]

    async def until(
        self, what: str, ready: Callable[[], object], limit_s: float = 40.0
    ) -> None:
        """Wait for a condition over the facts; ends early with the car."""
        async with self.news:
            try:
                async with asyncio.timeout(limit_s):
                    while not ready():
                        over = [f for f in self.facts if "over" in f]
                        if over:
                            raise AssertionError(f"{over[0]['over']} before: {what}")
                        await self.news.wait()
            except TimeoutError:
                raise AssertionError(f"not within {limit_s} s: {what}") from None

    def story(self, last: int = 25) -> str:
        """The end of what it said and heard, and of its log."""
        lines = [json.dumps(fact)[:500] for fact in self.facts[-last:]]
        return "\n".join(["-- car: messages", *lines, "-- car: log", tail(self.log)])


@asynccontextmanager
async def car(
    far: Far, case: Mapping[str, Any], log: Path, *, tls_1_3: bool = False
) -> AsyncIterator[Car]:
    """A car in the vehicle's namespace; killed on the way out if it still runs."""
    command = far.inside([install(), CAR, json.dumps(case)])
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment(VEHICLE_END, tls_1_3=tls_1_3),
            limit=LINE_MAX,
        )
    one = Car(process, log)
    reader = asyncio.create_task(one.read())
    try:
        yield one
    finally:
        await end(process)
        await reader


@asynccontextmanager
async def secc(
    script: Sequence[str | Path], log: Path, protocols: str, *, tls_1_3: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    """EcoG's own SECC in the station's namespace, ready to be found."""
    env = environment(
        STATION_END,
        tls_1_3=tls_1_3,
        PROTOCOLS=protocols,
        SECC_ENFORCE_TLS=str(tls_1_3),
    )
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            install(),
            *script,
            stdout=errors,
            stderr=errors,
            env=env,
        )
    try:
        await _listens(process, log)
        yield process
    finally:
        await end(process)


@contextmanager
def cps(log: Path) -> Iterator[Callable[[bytes], bytes]]:
    """EcoG as provisioning service: CertificateInstallationReq in, its response out."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [install(), CPS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(STATION_END, tls_1_3=False),
            text=True,
            bufsize=1,
        )
    ask, tell = process.stdin, process.stdout
    if ask is None or tell is None or tell.readline() != "ready\n":
        raise RuntimeError(f"the CPS did not start: {tail(log)}")

    def answer(request: bytes) -> bytes:
        ask.write(base64.b64encode(request).decode() + "\n")
        return base64.b64decode(tell.readline())

    try:
        yield answer
    finally:
        process.communicate()


async def _listens(process: asyncio.subprocess.Process, log: Path) -> None:
    """Its log says so; imports, JVM and jar take a few seconds."""
    async with asyncio.timeout(30):
        while "Communication session handler started" not in tail(log):
            if process.returncode is not None:
                raise RuntimeError(f"EcoG's SECC ended: {tail(log)}")
            await asyncio.sleep(0.1)


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


async def end(process: asyncio.subprocess.Process) -> None:
    """Its JVM ends with it, by the pipe it holds."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
