"""A test stand: rig and daemon as child processes with their own folder and ports.

Used by the demo, the scenario tests and the benchmarks. Ends only what it started, by
pid. Must never import the daemon: it talks to it as anybody would, over its wires.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil.pki.make import make_pki
from hil.pki.profiles import Profile
from hil.pki.store import write_pki

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "hil" / "benches" / "virtual.yaml"
CONFIG = ROOT / "config" / "chargerd.toml"  # two CHAdeMO EVSEs
CCS = ROOT / "config" / "ccs.toml"  # two CCS EVSEs, their vehicles on loopback
STREAM_LIMIT = 8 * 1024 * 1024


class StandError(Exception):
    """A child did not start, or did not answer."""


def free_port() -> int:
    """A TCP port nobody uses now on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class JsonLines:
    """A client of a unix socket that answers one JSON object per line, in order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()

    async def ask(self, timeout_s: float = 5.0, **question: Any) -> dict[str, Any]:
        """The answer's object; StandError when it says `ok: false`. A connection that
        failed is not used again: the other side may have started over."""
        try:
            async with self._lock, asyncio.timeout(timeout_s):
                line = await self._exchange(question)
        except OSError:  # TimeoutError is one
            self.close()
            raise
        if not line:
            self.close()
            raise StandError(f"{self._path.name}: closed on {question}")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok", True):
            raise StandError(f"{question}: {answer.get('error')}")
        return answer

    async def _exchange(self, question: dict[str, Any]) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(
                str(self._path), limit=STREAM_LIMIT
            )
        reader, writer = self._streams
        writer.write(json.dumps(question).encode() + b"\n")
        await writer.drain()
        return await reader.readline()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Stand:
    """`folder` holds every link, socket, log and the store of this stand."""

    def __init__(self, folder: Path, *, ports_offset: int | None = None) -> None:
        self.folder = folder
        self.offset = free_port() - 15020 if ports_offset is None else ports_offset
        self._sdp_base = free_port()
        self.pki: Path | None = None
        self.rig = JsonLines(folder / "control.sock")
        self.local = JsonLines(folder / "chargerd.sock")
        self.children: dict[str, asyncio.subprocess.Process] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def link_port(self) -> int:
        """Where the daemon reaches the CSMS through the rig's link."""
        return 19000 + self.offset

    @property
    def csms_port(self) -> int:
        """Where the rig's link expects the CSMS."""
        return 9000 + self.offset

    def sdp_port(self, evse: int) -> int:
        """Where vehicles of an EVSE of `CCS` ask for the station, on ::1."""
        return self._sdp_base + evse

    def make_pki(self, profile: Profile = Profile.ISO20) -> Path:
        """A PKI made on the spot; returns the folder that a vehicle gets as `pki`.
        A daemon that starts later has the station's part of it."""
        made = make_pki(profile, datetime.now(UTC))
        self.pki = write_pki(made, self.folder / "pki")
        return self.pki

    def _tls(self) -> dict[str, str]:
        if self.pki is None:
            return {}
        files = {
            "CERTIFICATES__0__CHAIN": "secc/chain.pem",
            "CERTIFICATES__0__KEY": "secc/leaf.key",
            "V2G_ROOTS": "v2g/root.pem",
            "MO_ROOTS": "mo/root.pem",
            "OEM_ROOTS": "oem/root.pem",
        }
        section = "CHARGERD__VEHICLE__ISO15118__"
        return {section + key: str(self.pki / name) for key, name in files.items()}

    def environment(self, config: Path, extra: Mapping[str, str]) -> dict[str, str]:
        """The configuration, moved to this stand's wires by the environment."""
        env = {
            **os.environ,
            "CHARGERD__OCPP__URL": f"ws://127.0.0.1:{self.link_port}/",
            "CHARGERD__OCPP__CERTIFICATES_DIR": str(self.folder / "certificates"),
            "CHARGERD__STORE__PATH": str(self.folder / "state.db"),
            "CHARGERD__LOCAL__SOCKET": str(self.folder / "chargerd.sock"),
        }
        at = f"modbus-tcp:127.0.0.1:{15020 + self.offset}"
        env["CHARGERD__SITE__METER__AT"] = at
        for index, evse in enumerate(tomllib.loads(config.read_text())["evse"]):
            number = evse["id"]
            prefix = f"CHARGERD__EVSE__{index}__"
            device = prefix + "DEVICES__"
            link = f"{self.folder}/evse{number}"
            env[device + "METER__AT"] = at
            env[device + "PILOT__AT"] = f"serial:{link}-mcu?baud=115200"
            env[device + "STAGE__AT"] = f"can:slcan/{link}-stage?bitrate=125000"
            env[device + "READER__AT"] = f"serial:{link}-reader?baud=9600"
            env[device + "INSULATION__AT"] = (
                f"modbus-rtu:{link}-insulation?baud=19200&parity=E"
            )
            if "chademo" in evse["devices"]:
                env[device + "CHADEMO__AT"] = f"can:slcan/{link}-vehicle?bitrate=500000"
            if "iso15118" in evse:
                env[prefix + "ISO15118__SDP_PORT"] = str(self.sdp_port(number))
        return {**env, **self._tls(), **extra}

    async def start_rig(self, bench: Path = BENCH, *args: str) -> None:
        """Returns when every wire is up."""
        child = await self._spawn(
            "rig",
            [
                "-m", "hil.rig", "--bench", str(bench), "--dir", str(self.folder),
                "--ports-offset", str(self.offset),
                "--trace", str(self.folder / "trace.jsonl"), *args,
            ],
            os.environ,
            pipe=True,
        )  # fmt: skip
        if child.stdout is None:
            raise StandError("the rig has no stdout")
        async with asyncio.timeout(20):
            while b"rig ready" not in (line := await child.stdout.readline()):
                if not line:
                    raise StandError(f"the rig died: {self.log('rig')}")

    async def start_daemon(self, **extra: str) -> None:
        """Returns when its local API answers. `extra` adds environment variables."""
        config = extra.pop("config", str(CONFIG))
        await self._spawn(
            "daemon",
            ["-m", "chargerd", "run", "--config", config],
            self.environment(Path(config), extra),
        )
        self.local.close()
        async with asyncio.timeout(20):
            while True:
                if self.children["daemon"].returncode is not None:
                    raise StandError(f"the daemon died: {self.log('daemon')}")
                with contextlib.suppress(OSError, StandError):
                    await self.local.ask(verb="ping")
                    return
                await asyncio.sleep(0.05)

    async def _spawn(
        self, name: str, args: list[str], env: Mapping[str, str], *, pipe: bool = False
    ) -> asyncio.subprocess.Process:
        with (self.folder / f"{name}.log").open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *args,
                cwd=ROOT,
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if pipe else log,
                stderr=log,
            )
        self.children[name] = child
        return child

    def log(self, name: str, lines: int = 20) -> str:
        """The end of a child's log."""
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def kill(self, name: str, number: signal.Signals) -> None:
        self.children[name].send_signal(number)

    async def end(self, name: str, timeout_s: float = 15.0) -> int:
        """SIGTERM, then SIGKILL after `timeout_s`; returns the exit status."""
        child = self.children.pop(name)
        if child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(timeout_s):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
        return int(child.returncode or 0)

    async def stop(self) -> None:
        """End everything this stand started, the daemon first."""
        self.local.close()
        for name in ("daemon", "rig"):
            if name in self.children:
                await self.end(name)
        self.rig.close()
