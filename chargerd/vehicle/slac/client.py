"""The daemon's end of the line to its SLAC unit: pilot state in, link state out.

`pilot` and `leave` never wait. A unit that is away or silent is a state (`None`), not
an error: it is asked again until it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from chargerd.cancel import heeding
from chargerd.vehicle.slac import lines
from chargerd.vehicle.slac.errors import SlacError
from chargerd.vehicle.slac.matching import Leave, Status

log = structlog.get_logger(__name__)

AGAIN_S = 1.0


class SlacClient:
    """`status()` is what the unit said within the lease; None: it is away."""

    def __init__(self, path: Path, now_mono: Callable[[], float]) -> None:
        self._path, self._now_mono = path, now_mono
        self._status: Status | None = None
        self._heard_mono = float("-inf")
        self._pilot = "?"
        self._leaves: list[Leave] = []
        self._said = asyncio.Event()

    def pilot(self, state: str) -> None:
        """A letter of `lines.PILOT`."""
        if state != self._pilot:
            self._pilot = state
            self._said.set()

    def leave(self, why: Leave) -> None:
        """Give the link up."""
        self._leaves = [why]
        self._said.set()

    def status(self) -> Status | None:
        fresh = self._now_mono() - self._heard_mono <= lines.LEASE_S
        return self._status if fresh else None

    async def run(self) -> None:
        """Until cancelled."""
        why = ""
        while True:
            try:
                await heeding(self._talk())
                problem = "it closed the line"
            except* (OSError, SlacError, TimeoutError) as group:
                problem = str(group.exceptions[0])
            self._status = None
            if problem != why:
                why = problem
                log.warning("slac_unit_away", socket=str(self._path), why=why)
            await asyncio.sleep(AGAIN_S)

    async def _talk(self) -> None:
        reader, writer = await asyncio.open_unix_connection(
            self._path, limit=lines.MAX_LINE
        )
        try:
            async with asyncio.TaskGroup() as group:
                speaking = group.create_task(self._speak(writer))
                await self._listen(reader)
                speaking.cancel()
        finally:
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Until the unit closes. Raises SlacError, OSError or TimeoutError."""
        while True:
            try:
                async with asyncio.timeout(lines.LEASE_S):
                    line = await reader.readuntil()
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError as error:
                raise SlacError("the unit's line does not end") from error
            self._status = lines.decode_status(line)
            self._heard_mono = self._now_mono()

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        while True:
            self._said.clear()
            writer.write(lines.encode_pilot(self._pilot))
            while self._leaves:
                writer.write(lines.encode_leave(self._leaves.pop()))
            await writer.drain()
            try:
                async with asyncio.timeout(lines.EVERY_S):
                    await self._said.wait()
            except TimeoutError:
                pass
