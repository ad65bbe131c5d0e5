"""The OpenADR 2.0b door's shell: the core, and the process that speaks for it.

Owns the process: starts it, ends it, never waits for it on a tick of the heart.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from importlib.util import find_spec
from typing import Any

import structlog

from chargerd.config import Config
from chargerd.config_grid import Openadr2
from chargerd.grid.errors import GridError
from chargerd.grid.follower import TICK_S, Follower
from chargerd.grid.openadr2 import Ven
from chargerd.grid.ports import GridDoor, Ports
from chargerd.model import EvseReport
from chargerd.process import end

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-m", "chargerd.grid.openadr2_ven")
NAMESPACE = "grid.openadr2"
ANSWER_S = 30.0  # the process itself gives up after 15 s
END_S = 2.0
LINE_MAX = 1 << 22
LOG_EVERY = 100  # of the failures of the same kind
Json = dict[str, Any]


class Speaker:
    """The VEN's process: one line out, one line back."""

    def __init__(self, settings: Json, command: tuple[str, ...] = COMMAND) -> None:
        self._settings, self._command = settings, command
        self._process: Process | None = None
        self.starts = 0

    async def ask(self, call: Json) -> Json:
        """Its answer, or {"error": word}: a process that fails is begun anew."""
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await self._exchange(call)
            answer = await asyncio.to_thread(json.loads, line)
        except TimeoutError:
            await self.close(patience_s=0.0)
            return {"error": "process is late"}
        except (OSError, ValueError, RecursionError):
            await self.close()
            return {"error": "process"}
        return answer if isinstance(answer, dict) else {"error": "process"}

    async def _exchange(self, call: Json) -> bytes:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=LINE_MAX
            )
            self.starts += 1
            self._write(process, self._settings)
        self._write(process, call)
        if process.stdin is None or process.stdout is None:
            raise OSError("the VEN's process has no pipes")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise OSError("the VEN's process has ended")
        return line

    @staticmethod
    def _write(process: Process, value: Json) -> None:
        if process.stdin is not None:
            process.stdin.write(json.dumps(value).encode() + b"\n")

    async def close(self, patience_s: float = END_S) -> None:
        """By closing its stdin, then by force."""
        process, self._process = self._process, None
        await end(process, patience_s)


class Openadr2Door:
    """`[grid.openadr2]`."""

    name = "openadr2"

    def __init__(self, ven: Ven, speaker: Speaker, ports: Ports) -> None:
        self._ven, self._speaker, self._ports = ven, speaker, ports
        self._follower = Follower(ven, ports, NAMESPACE)
        self._problem = ""

    async def run(self) -> None:
        """Until cancelled; the process never outlives it."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._converse())
                group.create_task(self._follower.run())
        finally:
            await self._speaker.close()

    async def _converse(self) -> None:
        """One call after the other."""
        while True:
            call = self._ven.next(self._ports.now())
            if call is None:
                await asyncio.sleep(TICK_S)
                continue
            was = self._ven.registered
            answer = await self._speaker.ask(call.wire())
            ready = await asyncio.to_thread(self._ven.read, answer)
            self._ven.answered(call, answer, ready, self._ports.now())
            await self._follower.follow()
            if self._ven.registered != was:
                log.info("openadr2_registered", registered=self._ven.registered)
            error = answer.get("error")
            why = str(answer.get("text", ""))[:300]
            self._problem = ": ".join(filter(None, (error, why))) if error else ""
            if error and self._ven.refused[error] % LOG_EVERY == 1:
                log.warning("openadr2_failed", call=call.message, error=error, why=why)

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._ven.report(report)

    def status(self) -> dict[str, Any]:
        """For people."""
        own = {"problem": self._problem, "process_starts": self._speaker.starts}
        return {**self._ven.status(), **own}


def settings(config: Openadr2) -> Json:
    """What the process is told first: paths of keys, never keys."""
    return {
        "url": config.url,
        "ca": str(config.ca or ""),
        "certificate": str(config.certificate or ""),
        "key": str(config.key or ""),
        "sign": config.sign,
        "vtn_fingerprint": config.vtn_fingerprint,
    }


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    asked = config.grid.openadr2
    if asked is None:
        raise GridError("grid.openadr2: not configured")
    if asked.resources and len(asked.resources) != len(config.evse):
        raise GridError("grid.openadr2.resources: needs one name for each EVSE")
    if find_spec("openleadr") is None:  # imported by the process, not by us
        raise GridError(
            "grid.openadr2: needs openleadr, which is not installed; "
            "install chargerd[openadr2] or remove the section"
        )
    saved = ports.saved.get(NAMESPACE, {}).get("state") or {}
    ven = Ven(asked, config.evse, saved)
    return Openadr2Door(ven, Speaker(settings(asked)), ports)
