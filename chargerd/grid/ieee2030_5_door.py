"""The IEEE 2030.5 door's shell: the core, and the process that speaks for it.

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

from chargerd.cancel import heeding
from chargerd.config import Config
from chargerd.config_grid_servers import Ieee2030
from chargerd.grid.errors import GridError
from chargerd.grid.ieee2030_5 import Controls
from chargerd.grid.ports import GridDoor, Ports
from chargerd.model import EvseReport
from chargerd.process import end

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-m", "chargerd.grid.ieee2030_5_client")
TICK_S = 0.25
REPORT_S = 1.0
SILENT_S = 30.0  # it beats each second: then it hangs
AGAIN_S = 5.0  # from an end to the next start
END_S = 3.0
LINE_MAX = 1 << 16
NOMINAL_HZ = 50.0  # where [site] does not say


class Ieee2030Door:
    """`[grid.ieee2030_5]`."""

    name = "ieee2030_5"

    def __init__(
        self,
        controls: Controls,
        settings: dict[str, Any],
        ports: Ports,
        command: tuple[str, ...] = COMMAND,
    ) -> None:
        self._controls, self._settings = controls, settings
        self._ports, self._command = ports, command
        self.starts = 0

    async def run(self) -> None:
        """Until cancelled; the process never outlives it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep())

    async def _follow(self) -> None:
        while True:
            self.follow()
            await asyncio.sleep(TICK_S)

    async def _keep(self) -> None:
        """One process after the other."""
        while True:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=LINE_MAX
            )
            self.starts += 1
            try:
                await heeding(self._converse(process))
            finally:
                await end(process, END_S)
            self._controls.gone()
            if self.starts % 100 == 1:
                log.warning("ieee2030_5_process_ended", starts=self.starts)
            await asyncio.sleep(AGAIN_S)

    async def _converse(self, process: Process) -> None:
        """Until it ends, hangs or speaks nonsense."""
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell(process))
                await self._hear(process)
                telling.cancel()
        except* (OSError, TimeoutError, ValueError, RecursionError):
            self._controls.refused["process"] += 1

    async def _hear(self, process: Process) -> None:
        """Its lines, until it has no more."""
        while True:
            async with asyncio.timeout(SILENT_S):
                line = await _line(process)
            if not line:
                return
            was = self._controls.problem
            self._controls.receive(json.loads(line), self._ports.now())
            if self._controls.problem not in ("", was):
                log.warning("ieee2030_5_failed", why=self._controls.problem)
            self.follow()

    async def _tell(self, process: Process) -> None:
        """The settings, then what the station does."""
        if process.stdin is None:
            raise OSError("the process has no pipe")
        message = self._settings
        while True:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            await process.stdin.drain()
            await asyncio.sleep(REPORT_S)
            message = self._controls.seen()

    def follow(self) -> None:
        """What the server wants now."""
        for signal in self._controls.tick(self._ports.now()):
            if not self._ports.signal(signal):
                self._controls.refused["heart"] += 1

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._controls.report(report)

    def status(self) -> dict[str, Any]:
        """For people."""
        return {**self._controls.status(), "process_starts": self.starts}


async def _line(process: Process) -> bytes:
    if process.stdout is None:
        raise OSError("the process has no pipe")
    return await process.stdout.readline()


def settings(config: Ieee2030) -> dict[str, Any]:
    """What the process is told first: paths of keys, never keys."""
    return {
        "url": config.url,
        "device_capability": config.device_capability,
        "pin": config.pin,
        "ca": str(config.ca or ""),
        "certificate": str(config.certificate or ""),
        "key": str(config.key or ""),
        "check_hostname": config.check_hostname,
        "edition": config.edition,
        "post_s": config.post_s,
        "hold_s": config.hold_s,
    }


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    asked = config.grid.ieee2030_5
    if asked is None:
        raise GridError("grid.ieee2030_5: not configured")
    if find_spec("py20305") is None:  # imported by the process, not by us
        raise GridError(
            "grid.ieee2030_5: needs py20305, which is not installed; "
            "install chargerd[ieee2030_5] or remove the section"
        )
    nominal_hz = float(config.site.nominal_hz or NOMINAL_HZ)
    controls = Controls(asked, config.evse, nominal_hz)
    return Ieee2030Door(controls, settings(asked), ports)
