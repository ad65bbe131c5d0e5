"""The OpenADR 3 door's shell: the core, and the HTTP connection to the VTN.

Must never wait for the VTN on a tick of the heart; large answers are read off the loop.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import structlog

from chargerd.config import Config
from chargerd.grid import openadr3_words as words
from chargerd.grid.errors import GridError
from chargerd.grid.follower import TICK_S, Follower
from chargerd.grid.http_client import Answer, Http, HttpError
from chargerd.grid.openadr3 import Ven
from chargerd.grid.openadr3_calls import Call
from chargerd.grid.openadr3_words import Refused
from chargerd.grid.ports import GridDoor, Ports
from chargerd.grid.trust import trust
from chargerd.model import EvseReport

log = structlog.get_logger(__name__)

NAMESPACE = "grid.openadr3"
LARGE_BYTES = 16_384  # parsed in a thread
LOG_EVERY = 100  # of the failures of the same kind


class Openadr3Door:
    """`[grid.openadr3]`."""

    name = "openadr3"

    def __init__(self, ven: Ven, http: Http, ports: Ports) -> None:
        self._ven, self._http, self._ports = ven, http, ports
        self._follower = Follower(ven, ports, NAMESPACE)
        self._problem = ""

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._converse())
                group.create_task(self._follower.run())
        finally:
            await self._http.close()

    async def _converse(self) -> None:
        """One call after the other."""
        while True:
            call = self._ven.next(self._ports.now())
            if call is None:
                await asyncio.sleep(TICK_S)
                continue
            try:
                answer = await self._http.call(
                    call.method, call.url, call.headers, call.body
                )
            except HttpError as error:
                self._ven.failed(call, error.reason, self._ports.now())
                self._complain(call, error.reason, str(error))
                continue
            body = await _parsed(answer)
            self._ven.answered(
                call, answer.status, body, _date(answer), self._ports.now()
            )
            job = self._ven.to_judge(self._ports.now())
            if job is not None:
                self._ven.judged(await asyncio.to_thread(job))
            await self._follower.follow()
            if answer.status >= 300:
                reason = f"{call.kind} {answer.status}"
                self._complain(
                    call, reason, answer.body[:200].decode("utf-8", "replace")
                )

    def _complain(self, call: Call, reason: str, why: str) -> None:
        self._problem = f"{reason}: {why[:300]}"
        if self._ven.refused[reason] % LOG_EVERY == 1:
            log.warning("openadr3_failed", call=call.kind, error=reason, why=why[:300])

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._ven.report(report)

    def status(self) -> dict[str, Any]:
        """For people."""
        told = self._ven.status()
        if told["connected"]:
            self._problem = ""
        alerts = self._ven.alerts(self._ports.now())
        return {**told, "problem": self._problem, "alerts": alerts}


async def _parsed(answer: Answer) -> Any:
    """JSON, or the Refused that says why it is none."""
    if answer.status >= 300:
        return None
    try:
        if len(answer.body) > LARGE_BYTES:
            return await asyncio.to_thread(words.parse, answer.body)
        return words.parse(answer.body)
    except Refused as refused:
        return refused


def _date(answer: Answer) -> datetime | None:
    """The server's clock."""
    try:
        found = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    return aware if 2020 <= aware.year < 2100 else None


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    asked = config.grid.openadr3
    if asked is None:
        raise GridError("grid.openadr3: not configured")
    if asked.resources and len(asked.resources) != len(config.evse):
        raise GridError("grid.openadr3.resources: needs one name for each EVSE")
    saved = ports.saved.get(NAMESPACE, {}).get("state") or {}
    http = Http(trust("grid.openadr3", asked.ca, asked.certificate, asked.key))
    return Openadr3Door(Ven(asked, config.evse, saved), http, ports)
