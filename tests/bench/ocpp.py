"""The OCPP door over bad links: a backlog drained, a reconnect storm, a silent link.

The CSMS is a plain server in its own process that answers after a given latency and
notes what came. Clients, queue and store are the product's; 200 stations are real ones.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from chargerd.clock import Clock
from chargerd.config import Ocpp
from chargerd.ocpp.client import OcppClient
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import Gate, SetGate
from chargerd.ocpp.station import OcppStation
from chargerd.store import Store
from tests.bench.row import Row
from tests.bench.rpc import event, event_for_ocpp
from tests.unit.ocpp.fakes import FakeOutbox, FakeStation
from tests.unit.ocpp.station_rig import config

PROTOCOL = Subprotocol("ocpp2.1")
BACKLOG = 10_000
DRAINS = ((0, BACKLOG), (50, 600), (200, 150))  # latency in ms, events
STATIONS = 200
DOWN_S = 10.0
RETRY = {"RetryBackOffWaitMinimum": 1, "RetryBackOffRandomRange": 10}
STORM_LIMIT_S = 120.0
BIN_S = 1.0

# The server's process


async def _server(port: int) -> None:
    """Path /LATENCY_MS/...; /told gives what all others said so far."""
    numbers: list[int] = []
    began: list[float] = []
    boots = Counter[str]()

    async def answer(link: ServerConnection) -> None:
        path = link.request.path if link.request else ""
        if path.startswith("/told"):
            said = {"numbers": numbers, "began": began, "boots": dict(boots)}
            await link.send(json.dumps(said))
            return
        began.append(time.monotonic())
        latency_s = int(path.split("/")[1]) / 1000
        async for text in link:
            _, message_id, action, payload = json.loads(text)
            await asyncio.sleep(latency_s)
            if action == "TransactionEvent":
                numbers.append(payload["seqNo"])
            boots[path] += action == "BootNotification"
            await link.send(json.dumps([3, message_id, _result(action)]))

    async with serve(
        answer, "127.0.0.1", port, subprotocols=[PROTOCOL], compression=None,
        max_size=None,
    ) as server:  # fmt: skip
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Event().wait()


def _result(action: str) -> dict[str, Any]:
    now = {"currentTime": "2026-11-23T08:00:00Z"}
    if action == "BootNotification":
        return {**now, "interval": 300, "status": "Accepted"}
    return now if action == "Heartbeat" else {}


class Server:
    """That process; `port` stays when it starts again."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.ocpp", str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.process.stdout is None:
            raise RuntimeError("the server has no stdout")
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()

    async def told(self) -> dict[str, Any]:
        url = f"ws://127.0.0.1:{self.port}/told"
        async with connect(url, subprotocols=[PROTOCOL], max_size=None) as link:
            said: dict[str, Any] = json.loads(await link.recv())
            return said


@asynccontextmanager
async def _clients(*clients: OcppClient) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _client(section: Ocpp, station: Any, outbox: Any) -> OcppClient:
    return OcppClient(
        section, station, outbox, Clock(), lambda signal: None, lambda request: None,
        lambda save: None,
    )  # fmt: skip


# A backlog


def _batched(bodies: list[bytes], size: int = 500) -> Iterator[list[bytes]]:
    for start in range(0, len(bodies), size):
        yield bodies[start : start + size]


async def _drain(server: Server, latency_ms: int, number: int) -> float:
    """Events per second of a queue that was filled on the disk before the link."""
    with tempfile.TemporaryDirectory(prefix="chargerd-bench-", dir=".") as folder:
        store = await Store.open(Path(folder) / "state.db")
        bodies = [json.dumps({**event(), "seqNo": n}).encode() for n in range(number)]
        for some in _batched(bodies):
            append = store.outbox.append
            wanted = [
                append("TransactionEvent", body, thinnable=False) for body in some
            ]
            await asyncio.gather(*wanted)
        url = f"ws://127.0.0.1:{server.port}/{latency_ms}"
        station = FakeStation(on_link=[SetGate(Gate.OPEN)])
        station.link_to = Connection.of(Ocpp(url=url), "CS1")
        before = len((await server.told())["numbers"])
        async with _clients(_client(Ocpp(url=url), station, store.outbox)):
            began = time.perf_counter()
            while len(station.results) < number:
                await station.until_next()
            took_s = time.perf_counter() - began
        await store.close()
    got = (await server.told())["numbers"][before:]
    if got != list(range(number)):
        raise RuntimeError(f"lost, doubled or out of order: {len(got)} of {number}")
    return number / took_s


async def _theirs(server: Server, number: int) -> float:
    """The `ocpp` package sending the same, from memory: it has no queue."""
    from ocpp.v21 import ChargePoint

    url = f"ws://127.0.0.1:{server.port}/0/CS2"
    payload = event_for_ocpp()
    async with connect(url, subprotocols=[PROTOCOL], compression=None) as link:
        station = ChargePoint("CS2", link)
        reader = asyncio.create_task(station.start())
        try:
            began = time.perf_counter()
            for _ in range(number):
                await station.call(payload)
            return number / (time.perf_counter() - began)
        finally:
            reader.cancel()


# Many stations, one CSMS


async def _until(condition: Callable[[], bool], limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.02)


async def _storm(server: Server) -> list[Row]:
    clients = []
    presets = {f"OCPPCommCtrlr.{name}": value for name, value in RETRY.items()}
    url = f"ws://127.0.0.1:{server.port}/0"
    for n in range(STATIONS):
        conf = config(
            url=url, station=f"CS{n}", security_profile=1, password="x" * 16,
            device_model=presets,
        )  # fmt: skip
        station = OcppStation(conf, {}, "PowerUp")
        clients.append(_client(conf.ocpp, station, FakeOutbox()))
    async with _clients(*clients):
        await _until(lambda: all(client.up for client in clients), STORM_LIMIT_S)
        await asyncio.sleep(2.0)
        first = (await server.told())["boots"]
        server.stop()
        await asyncio.sleep(DOWN_S)
        server.start()
        began = time.perf_counter()
        await _until(lambda: all(client.up for client in clients), STORM_LIMIT_S)
        took_s = time.perf_counter() - began
        await asyncio.sleep(1.0)
        told = await server.told()
    peak = max(Counter(int(at / BIN_S) for at in told["began"]).values()) / BIN_S
    again = sum(told["boots"].values())
    note = f"CSMS down {DOWN_S:.0f} s; wait 1 s + 0..10 s, doubled (part 4, 5.4)"
    return [
        Row(f"storm: {STATIONS} stations all back after", took_s, "s", "", note),
        Row("storm: connections in the worst second", peak, "1/s"),
        Row(
            "storm: BootNotifications again",
            again,
            "",
            "= 0",
            f"{sum(first.values())} at first",
        ),
    ]


async def _silent(server: Server) -> float:
    """Seconds from the last packet of the CSMS to `up` being false."""
    url = f"ws://127.0.0.1:{server.port}/0"
    conf = config(url=url, security_profile=1, password="x" * 16)
    station = OcppStation(conf, {}, "PowerUp")
    client = _client(conf.ocpp, station, FakeOutbox())
    async with _clients(client):
        await _until(lambda: client.up, 10.0)
        await asyncio.sleep(1.0)
        server.process.send_signal(signal.SIGSTOP)
        began = time.perf_counter()
        await _until(lambda: not client.up, 60.0)
        return time.perf_counter() - began


async def _measure(server: Server) -> list[Row]:
    rows = []
    for latency_ms, number in DRAINS:
        rate = await _drain(server, latency_ms, number)
        bound = f"at most {1000 // latency_ms}: one at a time" if latency_ms else ""
        name = f"{number} queued events of 3.2 kB drained, link {latency_ms} ms"
        rows.append(Row(name, rate, "1/s", "", bound))
    theirs = await _theirs(server, 300)
    rows.append(Row("  the ocpp package from memory, 0 ms", theirs, "1/s"))
    rows += await _storm(server)
    found = await _silent(server)
    return [*rows, Row("silent link noticed after", found, "s", "< 30")]


def run() -> list[Row]:
    """For `make bench`."""
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet)
    server = Server()
    try:
        return asyncio.run(_measure(server))
    finally:
        server.stop()


if __name__ == "__main__":
    asyncio.run(_server(int(sys.argv[1])))
