"""Grid doors that ask a server: from its answer on the socket -> the stage's wire.

How long a command waits for the next question is the period that is configured, and not
measured. The servers are the partners of tests/interop, or as small as can be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hil.stand import free_port
from tests.bench.door import latencies, rows
from tests.bench.row import Row
from tests.interop.partner import Partner, install, partner
from tests.interop.test_ieee2030_5_gridappsd import MORE, SERVER
from tests.interop.test_ieee2030_5_gridappsd import environment as ieee_environment
from tests.interop.test_openadr2_openleadr import DISCHARGE, VTN, pki
from tests.interop.test_openadr2_openleadr import environment as adr2_environment
from tests.process import station, until
from tests.unit.grid.http_stand import answer, server

SIGNALS = 12  # each waits for the next question


class Vtn:
    """An OpenADR 3 VTN with one event; knows when it first told it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.told = asyncio.Event()
        self.told_mono = 0.0

    def ask(self, power_w: float) -> None:
        start = datetime.now(UTC) - timedelta(minutes=1)
        payload = {"type": "DISPATCH_SETPOINT", "values": [power_w / 1e3]}
        period = {"start": start.isoformat(), "duration": "PT1H"}
        event = {"id": "E1", "programID": "P1", "intervalPeriod": period}
        event["modificationDateTime"] = datetime.now(UTC).isoformat()
        event["targets"] = ["evse1"]
        event["intervals"] = [{"id": 0, "payloads": [payload]}]
        self.events = [event]
        self.told.clear()

    def respond(self, method: str, path: str, _body: bytes) -> bytes:
        if method == "POST":
            return answer({"id": "V1", "venName": "bench"}, "201 Created")
        if not path.startswith("/events"):
            return answer([])
        if not self.told.is_set():
            self.told_mono = time.monotonic()
            self.told.set()
        return answer(self.events)


async def openadr3(folder: Path) -> list[Row]:
    """A DISPATCH_SETPOINT event, from the VTN's answer on."""
    vtn = Vtn()
    async with server(vtn.respond) as made:
        prefix = "CHARGERD__GRID__OPENADR3__"
        environment = {
            f"{prefix}URL": made.url,
            f"{prefix}VEN_NAME": "bench",
            f"{prefix}POLL_S": "1",
        }
        async with station(folder / "stand", **environment) as plant:
            await plant.start_session()

            async def send(power_w: float) -> float | None:
                vtn.ask(power_w)
                await vtn.told.wait()
                return vtn.told_mono

            found = await latencies(plant, send, SIGNALS)
            return rows("OpenADR 3 event", found, SIGNALS)


async def told(other: Partner, count: int) -> float:
    """When the partner's `count`th answer with something new went out. The monotonic
    clock is the machine's: the same in both processes."""

    async def there() -> Any:
        found = (await other.ask("seen"))["told"]
        return len(found) >= count and found[count - 1]

    return float(await until("the partner is asked", there, 30.0))


async def openadr2(folder: Path) -> list[Row]:
    """A changed LOAD_DISPATCH event of openleadr's, from the VTN's handler on: the XML
    of both sides is in it."""
    python = install("openleadr", "0.5.36")
    port = free_port()
    environment = adr2_environment("http", port)
    async with (
        partner(python, VTN, str(port)) as vtn,
        station(folder / "stand", **environment) as plant,
    ):
        await vtn.ask("start")
        await plant.start_session()
        count = 0

        async def send(power_w: float) -> float | None:
            nonlocal count
            count += 1
            changed = {**DISCHARGE, "mod": count, "values": [power_w / 1e3]}
            await vtn.ask("events", {**changed, "resource": "evse1"})
            return await told(vtn, count)

        found = await latencies(plant, send, SIGNALS)
        return rows("OpenADR 2.0b event", found, SIGNALS)


async def ieee2030_5(folder: Path) -> list[Row]:
    """A new DERControl, from the server's list on: TLS, XML and py20305 are in it."""
    python = install("gridappsd_2030_5", "0.0.2a37", *MORE)
    files = ca, certificate, key = pki(folder)
    port = free_port()
    words = (str(port), *map(str, files), str(certificate))
    environment = ieee_environment(port, ca, certificate, key)
    async with (
        partner(python, SERVER, *words) as other,
        station(folder / "stand", **environment) as plant,
    ):
        await plant.start_session()
        count = 0

        async def send(power_w: float) -> float | None:
            nonlocal count
            count += 1
            asked = {"opModTargetW": round(-power_w), "seconds": 600}
            await other.ask("control", asked)
            return await told(other, count)

        found = await latencies(plant, send, SIGNALS)
        return rows("IEEE 2030.5 DERControl", found, SIGNALS)


def _with_partner(door: Callable[[Path], Any], name: str) -> Callable[[Path], Any]:
    """A partner that cannot be installed here is a row that says so."""

    async def measured(folder: Path) -> list[Row]:
        try:
            found: list[Row] = await door(folder)
        except pytest.skip.Exception as skipped:
            return [Row(f"{name}: no partner", float("nan"), "", note=str(skipped))]
        return found

    return measured


DOORS = (
    _with_partner(openadr2, "OpenADR 2.0b"),
    openadr3,
    _with_partner(ieee2030_5, "IEEE 2030.5"),
)
