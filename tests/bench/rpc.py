"""OCPP figures: our client beside the `ocpp` package's; the loop under a big profile.

Both clients run in this process against one plain server in its own process, which
checks nothing, so the difference is the clients'. Measures the transport half only.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from chargerd.clock import Clock
from chargerd.config import Ocpp
from chargerd.ocpp import client as client_module
from chargerd.ocpp.client import OcppClient
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import Durability, Gate, Send, SetGate
from chargerd.ocpp.rpc import Rpc
from chargerd.ocpp.schemas import Schemas
from tests.bench.row import Row, percentile
from tests.unit.ocpp.fakes import FakeOutbox, FakeStation
from tests.unit.ocpp.test_client import large_profile

PROTOCOL = Subprotocol("ocpp2.1")
TICK_S = 0.005
PROFILES = 40
TIME_LIMIT_S = 120.0


def event() -> dict[str, Any]:
    """A TransactionEvent of about 3.2 kB: 20 sampled values."""
    sample = {
        "context": "Sample.Periodic",
        "measurand": "Voltage",
        "phase": "L1",
        "location": "Outlet",
        "unitOfMeasure": {"unit": "V", "multiplier": 0},
    }
    values = [{"value": 230.5 + n, **sample} for n in range(20)]
    return {
        "eventType": "Updated",
        "timestamp": "2026-11-23T08:00:00.000Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 3,
        "transactionInfo": {"transactionId": "0f3d1c5e-7f0a-4b8e-9b9e-2c7f2b1d4a10"},
        "meterValue": [{"timestamp": "2026-11-23T08:00:00Z", "sampledValue": values}],
    }


def event_for_ocpp() -> Any:
    """The same, as the `ocpp` package wants it."""
    from ocpp.v21 import call

    sample = {
        "context": "Sample.Periodic",
        "measurand": "Voltage",
        "phase": "L1",
        "location": "Outlet",
        "unit_of_measure": {"unit": "V", "multiplier": 0},
    }
    values = [{"value": 230.5 + n, **sample} for n in range(20)]
    meter = [{"timestamp": "2026-11-23T08:00:00Z", "sampled_value": values}]
    return call.TransactionEvent(
        event_type="Updated",
        timestamp="2026-11-23T08:00:00.000Z",
        trigger_reason="MeterValuePeriodic",
        seq_no=3,
        transaction_info={"transaction_id": "0f3d1c5e-7f0a-4b8e-9b9e-2c7f2b1d4a10"},
        meter_value=meter,
    )


# The server's process


async def _answer(link: ServerConnection) -> None:
    """Empty results for CALLs; to /profiles also sends large profiles."""
    path = link.request.path if link.request else ""
    pushing = asyncio.create_task(_push(link)) if "profiles" in path else None
    async for text in link:
        frame = json.loads(text)
        if frame[0] == 2:
            await link.send(json.dumps([3, frame[1], {}]))
    if pushing:
        pushing.cancel()


async def _push(link: ServerConnection) -> None:
    profile = large_profile()
    for number in range(PROFILES):
        await asyncio.sleep(0.05)
        text = json.dumps([2, f"p{number}", "SetChargingProfile", profile])
        await link.send(text)


async def _server() -> None:
    async with serve(
        _answer, "127.0.0.1", 0, subprotocols=[PROTOCOL], compression=None
    ) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Event().wait()


# Round trips


async def _rate(once: Callable[[], Awaitable[Any]], number: int) -> float:
    for _ in range(number // 10):
        await once()
    start = time.perf_counter()
    for _ in range(number):
        await once()
    return number / (time.perf_counter() - start)


async def _ours(url: str) -> float:
    rpc = Rpc("ocpp2.1", Schemas("ocpp2.1"), client_module._message_ids().__next__)
    payload = event()
    async with connect(url, subprotocols=[PROTOCOL], compression=None) as link:

        async def once() -> None:
            await link.send(rpc.call("TransactionEvent", payload, 0.0, 30.0))
            rpc.receive(await link.recv(decode=False), 0.0)

        return await _rate(once, 2000)


async def _theirs(url: str) -> float:
    from ocpp.v21 import ChargePoint

    payload = event_for_ocpp()
    async with connect(url, subprotocols=[PROTOCOL], compression=None) as link:
        station = ChargePoint("CS1", link)
        reader = asyncio.create_task(station.start())
        try:
            return await _rate(lambda: station.call(payload), 200)
        finally:
            reader.cancel()


def _client(url: str, station: FakeStation) -> OcppClient:
    station.link_to = Connection.of(Ocpp(url=url), "CS1")
    return OcppClient(
        Ocpp(url=url), station, FakeOutbox(), Clock(),
        lambda signal: None, lambda request: None, lambda save: None,
    )  # fmt: skip


async def _whole_client(url: str, number: int = 2000) -> float:
    """Queue, pump, reader and writer tasks included; messages in memory."""
    send = Send("TransactionEvent", event(), Durability.QUEUED, 1)
    station = FakeStation(on_link=[SetGate(Gate.OPEN), *[send] * 500])
    client = _client(url, station)
    runner = asyncio.create_task(client.run())
    try:
        await station.until(lambda: bool(station.results))
        start, before = time.perf_counter(), len(station.results)
        while len(station.results) < number:
            if len(station.results) % 400 == 0:
                station.effects = [send] * 400
                client._drain(client._clock.now())
            await station.until_next()
        return (len(station.results) - before) / (time.perf_counter() - start)
    finally:
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)


# The loop under a large profile


async def _lateness(url: str, large_bytes: int) -> list[float]:
    """How late a ticker runs (ms) while profiles of 145 kB arrive at the client."""
    station = FakeStation(answers={"SetChargingProfile": {"status": "Accepted"}})
    before, client_module.LARGE_BYTES = client_module.LARGE_BYTES, large_bytes
    runner = asyncio.create_task(_client(f"{url}/profiles", station).run())
    late = []
    try:
        await station.until(lambda: bool(station.links))
        while len(station.calls) < PROFILES:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            late.append((time.perf_counter() - due) * 1e3)
    finally:
        client_module.LARGE_BYTES = before
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
    return late


def _large() -> tuple[int, float]:
    """Size and best time (ms) to parse and validate one profile."""
    rpc = Rpc("ocpp2.1", Schemas("ocpp2.1"), lambda: "x")
    text = json.dumps([2, "a", "SetChargingProfile", large_profile()]).encode()
    times = []
    for _ in range(30):
        start = time.perf_counter()
        rpc.read(text)
        times.append(time.perf_counter() - start)
    return len(text), min(times) * 1e3


def _late_ms(url: str, large_bytes: int) -> list[float]:
    """`_lateness` in its own process, without the `ocpp` package's many objects."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rpc", url, str(large_bytes)],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIME_LIMIT_S,
    )
    late: list[float] = json.loads(done.stdout.splitlines()[-1])
    return late


async def _measure(url: str) -> tuple[float, float, float]:
    async with asyncio.timeout(TIME_LIMIT_S):
        return await _theirs(url), await _ours(url), await _whole_client(url)


def _rows(url: str) -> list[Row]:
    theirs, ours, whole = asyncio.run(_measure(url))
    thread = _late_ms(url, client_module.LARGE_BYTES)
    inline = _late_ms(url, 10**9)
    size, took_ms = _large()
    bytes_ = len(json.dumps(event()))
    name = f"TransactionEvent of {bytes_} B, validated"
    return [
        Row(f"{name}: ocpp package", theirs, "1/s"),
        Row(f"{name}: ours", ours, "1/s", "", "same server, same run"),
        Row(f"{name}: ours / ocpp", ours / theirs, "x", ">= 10"),
        Row(f"{name}: whole client", whole, "1/s", "", "queue and tasks included"),
        Row(f"SetChargingProfile of {size} B: parse + validate", took_ms, "ms"),
        Row("ticker late, 145 kB arriving, p99", percentile(thread, 0.99), "ms"),
        Row("ticker late, 145 kB arriving, max", max(thread), "ms", "<= 10"),
        Row("  the same, parsed on the loop, max", max(inline), "ms"),
    ]


def run() -> list[Row]:
    """All rows of this part."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.rpc"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            if server.stdout is None:
                raise RuntimeError("the server has no stdout")
            port = int(server.stdout.readline())
            return _rows(f"ws://127.0.0.1:{port}")
        finally:
            server.terminate()


def _child(arguments: list[str]) -> None:
    """Without arguments the server, else one lateness measurement."""
    if not arguments:
        asyncio.run(_server())
        return
    url, large_bytes = arguments
    print(json.dumps(asyncio.run(_lateness(url, int(large_bytes)))))


if __name__ == "__main__":
    _child(sys.argv[1:])
