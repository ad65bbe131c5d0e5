"""A station that does what a test says, an outbox in memory, a CSMS on loopback."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from chargerd.clock import Clock, Now
from chargerd.config import Ocpp
from chargerd.model import AuthQuestion, EvseReport
from chargerd.ocpp.client import OcppClient
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import Answer, CallError, Effect, Later, Payload
from chargerd.store.database import StoreError

NOWHERE = Connection("ws://127.0.0.1:1/ocpp", "CS1", 0)
BEAT = {"currentTime": "2026-11-23T08:00:00Z"}
NUMBERS = {  # a device model that reconnects at once
    "WebSocketPingInterval": 10,
    "MessageTimeout": 5,
    "MessageAttempts": 3,
    "MessageAttemptInterval": 0,
    "RetryBackOffWaitMinimum": 0,
    "RetryBackOffRandomRange": 0,
    "RetryBackOffRepeatTimes": 0,
}


@dataclass
class FakeStation:
    """Answers every CALL with `answers[action]`; records all, emits `effects`."""

    answers: dict[str, Answer | Later] = field(default_factory=dict)
    on_link: list[Effect] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    calls: list[tuple[str, Payload]] = field(default_factory=list)
    results: list[tuple[int, str, Answer]] = field(default_factory=list)
    links: list[tuple[bool, str]] = field(default_factory=list)
    questions: list[AuthQuestion] = field(default_factory=list)
    sends: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    works: list[tuple[int, object]] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)
    link_to: Connection = NOWHERE
    failures: int = 0
    timer: float | None = None
    numbers: dict[str, Any] = field(default_factory=lambda: dict(NUMBERS))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def number(self, component: str, variable: str, instance: str = "") -> Any:
        return self.numbers[variable]

    def call(self, action: str, payload: Payload, now: Now) -> Answer | Later:
        self.calls.append((action, payload))
        self.changed.set()
        return self.answers.get(action, CallError("NotSupported"))

    def send(self, action: str, payload: Payload, now: Now) -> None:
        self.sends.append(action)
        self.changed.set()

    def result(
        self, handle: int, action: str, request: Payload, answer: Answer, now: Now
    ) -> None:
        self.results.append((handle, action, answer))
        self.changed.set()

    def queued(self, waiting: Counter[str]) -> None:
        self.waiting = waiting

    def observe(self, report: EvseReport, now: Now) -> None:
        self.changed.set()

    def ask(self, question: AuthQuestion, now: Now) -> None:
        self.questions.append(question)

    def link(self, up: bool, version: str, now: Now) -> None:
        self.links.append((up, version))
        if up:
            self.effects += self.on_link
        self.changed.set()

    def next_timer(self) -> float | None:
        return self.timer

    def on_timer(self, now: Now) -> None:
        self.timer = None
        self.changed.set()

    def worked(self, handle: int, value: object, now: Now) -> None:
        self.works.append((handle, value))
        self.changed.set()

    def connection(self) -> Connection:
        return self.link_to

    def prepare(self, action: str, payload: Payload) -> None:
        self.prepared.append(action)

    def chain_status(self, chain: Any, told: Callable[[bool], None], now: Now) -> None:
        told(False)

    def security_event(self, kind: str, info: str, now: Now) -> None:
        self.events.append(kind)
        self.changed.set()

    def unreachable(self, event: str, now: Now) -> None:
        self.failures += 1
        self.changed.set()

    def work_over(self, handle: int) -> None:
        self.works.append((handle, "over"))
        self.changed.set()

    def to_send(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects

    async def until_next(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await self.until_next()


@dataclass(frozen=True)
class FakeEntry:
    id: int
    kind: str
    body: bytes
    attempts: int = 0


class FakeOutbox:
    """The outbox contract in memory; `broken` makes every access fail."""

    def __init__(self) -> None:
        self.rows: dict[int, FakeEntry] = {}
        self.records: list[tuple[str, str, Any]] = []
        self.newest = 0
        self.broken = False
        self.filled = asyncio.Event()

    def _check(self) -> None:
        if self.broken:
            raise StoreError("disk full")

    async def append(
        self,
        kind: str,
        body: bytes,
        *,
        thinnable: bool,
        put: tuple[str, str, Any] | None = None,
    ) -> int:
        await asyncio.sleep(0)
        self._check()
        self.newest += 1
        self.records += [put] if put else []
        self.rows[self.newest] = FakeEntry(self.newest, kind, body)
        self.filled.set()
        return self.newest

    async def batch(self, after: int, limit: int) -> list[FakeEntry]:
        await asyncio.sleep(0)
        self._check()
        return [row for key, row in sorted(self.rows.items()) if key > after][:limit]

    async def remove(self, ids: Sequence[int]) -> None:
        await asyncio.sleep(0)
        self._check()
        for number in ids:
            self.rows.pop(number, None)

    async def count(self) -> int:
        return len(self.rows)

    async def thin(self, keep: int) -> int:
        return 0


class FakeCsms:
    """Answers calls with `answer`; keeps what it got; `ask` sends a CALL."""

    def __init__(self, protocols: Sequence[str] = ("ocpp2.1",)) -> None:
        self.protocols = [Subprotocol(name) for name in protocols]
        self.links: list[ServerConnection] = []
        self.frames: list[list[Any]] = []
        self.changed = asyncio.Event()
        self.answer: Callable[[list[Any]], Any] = lambda frame: BEAT
        self.port = 0
        self._server: Server | None = None

    async def _serve(self, link: ServerConnection) -> None:
        self.links.append(link)
        self.changed.set()
        async for text in link:
            frame = json.loads(text)
            self.frames.append(frame)
            self.changed.set()
            if frame[0] == 2:
                answer = self.answer(frame)
                if isinstance(answer, CallError):
                    reply = [4, frame[1], answer.code, answer.description, {}]
                elif answer is None:
                    continue
                else:
                    reply = [3, frame[1], answer]
                await link.send(json.dumps(reply))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def ask(self, text: str) -> list[Any]:
        """Send `text`, return the next frame that comes back."""
        before = len(self.frames)
        await self.links[-1].send(text)
        await self.until(lambda: len(self.frames) > before)
        return self.frames[before]

    def actions(self) -> list[str]:
        return [frame[2] for frame in self.frames if frame[0] == 2]

    @asynccontextmanager
    async def running(self, **options: Any) -> Any:
        async with serve(
            self._serve,
            "127.0.0.1",
            self.port,
            **{"subprotocols": self.protocols, "max_size": None} | options,
        ) as server:
            self._server = server
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self


@dataclass
class Bench:
    client: OcppClient
    station: FakeStation
    outbox: FakeOutbox
    csms: FakeCsms
    signals: list[Any] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    saves: list[Any] = field(default_factory=list)


def make_bench(csms: FakeCsms, scheme: str = "ws", **options: Any) -> Bench:
    station = options.pop("station", None) or FakeStation()
    outbox = options.pop("outbox", None) or FakeOutbox()
    station.numbers |= options.pop("number", {})
    config = Ocpp(
        **{"url": f"{scheme}://127.0.0.1:{csms.port}/ocpp", "security_profile": 1}
        | options
    )
    station.link_to = Connection.of(config, "CS1")
    signals: list[Any] = []
    requests: list[Any] = []
    saves: list[Any] = []
    client = OcppClient(
        config, station, outbox, Clock(), signals.append, requests.append,
        saves.append,
    )  # fmt: skip
    return Bench(client, station, outbox, csms, signals, requests, saves)


async def with_client(bench: Bench, body: Callable[[], Awaitable[None]]) -> None:
    """Run the client while `body` runs; an error of either ends the test."""
    runner = asyncio.create_task(bench.client.run())
    task = asyncio.ensure_future(body())
    try:
        done, _ = await asyncio.wait(
            {runner, task}, timeout=15, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            raise AssertionError("the test took too long")
        for finished in done:
            await finished
    finally:
        for each in (task, runner):
            each.cancel()
        await asyncio.gather(task, runner, return_exceptions=True)
