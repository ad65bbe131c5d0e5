"""The OCPP shell: carries messages between the CSMS and the pure station.

Owns the WebSocket's life, the clock and all waiting. Decides nothing about charging;
its reader never waits for application work, and no input ends its tasks.
"""

from __future__ import annotations

import asyncio
import math
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Protocol

import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from chargerd.cancel import heeding
from chargerd.clock import Clock, Now
from chargerd.config import Ocpp
from chargerd.model import (
    AuthQuestion,
    CertificateAsk,
    DispatchSignal,
    EvseReport,
    Request,
    Revocable,
)
from chargerd.ocpp import link, people
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.durable import Durable, Outbox
from chargerd.ocpp.effects import (
    Answer,
    Ask,
    CallError,
    Dispatch,
    Effect,
    Later,
    LearnTime,
    OcppError,
    Payload,
    Reconnect,
    Reply,
    Save,
    Send,
    SetGate,
    StopWork,
    Tell,
    Work,
)
from chargerd.ocpp.frame import CALL, Frame
from chargerd.ocpp.queue import Done, Queue, is_durable
from chargerd.ocpp.rpc import (
    CallIn,
    Event,
    How,
    Outcome,
    Refused,
    Rpc,
    SendIn,
)
from chargerd.ocpp.rpc import Reply as Sent
from chargerd.ocpp.schemas import Schemas
from chargerd.ocpp.v2 import dialect
from chargerd.ocpp.workers import Worker, Workers

log = structlog.get_logger(__name__)

LARGE_BYTES = 32 * 1024  # from here on parsed in a thread: law 7
MAX_OWED = 32  # requests whose answer waits for a job


class Station(people.Station, Protocol):
    """The pure half (station.OcppStation). After each call `to_send` is drained."""

    def call(self, action: str, payload: Payload, now: Now) -> Answer | Later: ...
    def prepare(self, action: str, payload: Payload) -> None: ...
    def send(self, action: str, payload: Payload, now: Now) -> None: ...
    def result(
        self, handle: int, action: str, request: Payload, answer: Answer, now: Now
    ) -> None: ...
    def observe(self, report: EvseReport, now: Now) -> None: ...
    def ask(self, question: AuthQuestion | CertificateAsk, now: Now) -> None: ...
    def chain_status(
        self, chain: Sequence[Revocable], told: Callable[[bool], None], now: Now
    ) -> None: ...
    @property
    def certificate_service(self) -> bool: ...
    def link(self, up: bool, version: str, now: Now) -> None: ...
    def next_timer(self) -> float | None: ...
    def on_timer(self, now: Now) -> None: ...
    def worked(self, handle: int, value: object, now: Now) -> None: ...
    def connection(self) -> Connection: ...
    def security_event(self, kind: str, info: str, now: Now) -> None: ...
    def unreachable(self, event: str, now: Now) -> None: ...
    def work_over(self, handle: int) -> None: ...
    def queued(self, waiting: Counter[str]) -> None: ...
    def to_send(self) -> list[Effect]: ...
    def number(self, component: str, variable: str, instance: str = "") -> int: ...


class OcppClient:
    """The OCPP door. `report` and `ask` return at once; `run` never does."""

    def __init__(
        self,
        config: Ocpp,
        station: Station,
        outbox: Outbox,
        clock: Clock,
        signal: Callable[[DispatchSignal], object],
        request: Callable[[Request], object],
        save: Callable[[Save], None],
        workers: Mapping[type, Worker] | None = None,
    ) -> None:
        self._config = config
        self._station = station
        self._clock = clock
        self._signal = signal
        self._request = request
        self._save = save
        self._schemas = {str(name): Schemas(name) for name in config.versions}
        self._ids = _message_ids()
        self._queue = Queue()
        self._wake = asyncio.Event()
        self._deadline_mono = math.inf  # until when the pump sleeps
        self._durable = Durable(
            outbox,
            self._queue,
            self._wake.set,
            save,
            station.queued,
            thinned=lambda n: self.security_event(
                "MemoryExhaustion", f"{n} messages dropped: the queue is full"
            ),
        )
        self._workers = Workers(workers or {}, self._worked, station.work_over)
        self._session: link.Session | None = None
        self._owed: dict[int, CallIn] = {}  # answers promised on this link
        self._back_off = link.BackOff()
        self._reported: set[str] = set()  # security events since the last link
        # Why the last link ended, or the last try failed.
        self.why_down = "" if config.url else "[ocpp] url names none"
        self.people = people.People(station, clock.now, self._drain)

    # For the rest of the house

    @property
    def up(self) -> bool:
        """True while a link stands."""
        return self._session is not None

    def report(self, report: EvseReport) -> None:
        """What a tick decided (law: one way, cheap)."""
        now = report.snapshot.now
        self._station.observe(report, now)
        self._drain(now)

    @property
    def certificate_service(self) -> bool:
        """Whether vehicles' certificate questions can be answered now."""
        return self._session is not None and self._station.certificate_service

    def ask(self, question: AuthQuestion | CertificateAsk) -> None:
        """The answer comes as a request to the heart."""
        now = self._clock.now()
        self._station.ask(question, now)
        self._drain(now)

    def chain_status(
        self, chain: Sequence[Revocable], told: Callable[[bool], None]
    ) -> None:
        """Whether one of a vehicle's certificates is revoked: `told` is called once."""
        self._station.chain_status(chain, told, self._clock.now())
        self._drain(self._clock.now())

    def security_event(self, kind: str, info: str) -> None:
        """A04. `kind`: a security event's name; `info` holds no secret."""
        now = self._clock.now()
        self._station.security_event(kind, info, now)
        self._drain(now)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until durable messages are on disk; before the daemon exits."""
        return await self._durable.flush(timeout_s)

    async def run(self) -> None:
        """For ever: keep the link, send, time out."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._durable.run())
            group.create_task(self._pump())
            group.create_task(self._workers.run())
            if self._config.url:
                group.create_task(self._keep_link())

    # The link

    async def _keep_link(self) -> None:
        while True:
            settings = self._settings()
            connection = self._station.connection()
            try:
                # Both end by themselves: a few files, and connect_timeout_s.
                context = await asyncio.to_thread(link.tls, connection)
                websocket = await link.open_link(connection, settings.ping_s, context)
            except OcppError as error:
                self._no_link(error, connection)
            else:
                self._back_off.reset()
                self._reported.clear()
                await heeding(self._serve(websocket))
            wait_s = self._back_off.next_s(settings, random.random())  # noqa: S311
            await asyncio.sleep(wait_s)

    def _no_link(self, error: OcppError, connection: Connection) -> None:
        self.why_down = error.description
        log.warning("ocpp.no_link", why=error.description, slot=connection.slot)
        event = error.event if isinstance(error, link.LinkError) else ""
        if event and event not in self._reported:
            self._reported.add(event)  # once, not at every attempt
            self.security_event(event, error.description)
        now = self._clock.now()
        self._station.unreachable(event, now)
        self._drain(now)

    async def _serve(self, websocket: ClientConnection) -> None:
        version = websocket.subprotocol or ""
        rpc = Rpc(version, self._schemas[version], self._ids.__next__)
        session = link.Session(websocket, rpc)
        self._link_up(session, version)
        timeout_s = self._settings().message_timeout_s
        why = "closed"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(session, timeout_s))
                group.create_task(session.write(timeout_s))
                group.create_task(session.until_hang_up())
        except* (ConnectionClosed, link.HangUp, TimeoutError, OSError) as ended:
            why = "; ".join(str(error) or "timeout" for error in ended.exceptions)
        finally:
            self._link_down(session, version)
            self.why_down = why[:200]
            log.info("ocpp.link_down", why=self.why_down)
            await link.leave(websocket)

    def _link_up(self, session: link.Session, version: str) -> None:
        now = self._clock.now()
        log.info("ocpp.link_up", version=version)
        self._session = session
        self._queue.link(True)
        self._station.link(True, version, now)
        self._drain(now)

    def _link_down(self, session: link.Session, version: str) -> None:
        now = self._clock.now()
        self._session = None
        self._owed.clear()
        for event in session.rpc.lost(now.mono):
            self._event(session, event, now)
        for done in self._queue.link(False):
            self._done(done, now)
        self._station.link(False, version, now)
        self._drain(now)

    async def _read(self, session: link.Session, timeout_s: float) -> None:
        while True:
            # No timeout: pings (and Heartbeats, when pings are off) find a dead link.
            data = await session.websocket.recv(decode=False)
            if len(data) > LARGE_BYTES:
                frame = await asyncio.to_thread(self._read_large, session, data)
            else:
                frame = session.rpc.read(data)
            now = self._clock.now()
            for event in session.rpc.take(frame, now.mono):
                self._event(session, event, now)
            self._drain(now)
            await session.room(timeout_s)
            await asyncio.sleep(0)  # a flood of messages must not starve the others

    def _read_large(self, session: link.Session, data: bytes) -> Frame:
        """In a thread, one at a time: the loop goes on."""
        frame = session.rpc.read(data)
        if frame.kind == CALL and frame.error is None and frame.payload is not None:
            self._station.prepare(frame.action, frame.payload)
        return frame

    # Events and effects

    def _event(self, session: link.Session, event: Event, now: Now) -> None:
        match event:
            case CallIn():
                answer = self._answer(event, now)
                if isinstance(answer, Later):
                    self._owed[answer.handle] = event
                else:
                    session.put(session.rpc.answer(event, answer))
            case SendIn():
                self._station.send(event.action, event.payload, now)
            case Outcome():
                self._outcome(session, event, now)
            case Sent():
                session.put(event.text)
            case Refused():
                self._refused(session.rpc, event)

    def _refused(self, rpc: Rpc, event: Refused) -> None:
        """The 1st, 2nd, 4th, 8th ... time: a flood must not fill the disk."""
        number = rpc.counters.refused + rpc.counters.unmatched
        if number & (number - 1) == 0:
            log.warning("ocpp.refused", why=event.why, times=number)
            why = f"{event.why}, {number} so far"
            self._station.security_event("InvalidMessages", why, self._clock.now())

    def _answer(self, call: CallIn, now: Now) -> Answer | Later:
        if len(self._owed) >= MAX_OWED:
            return CallError("GenericError", f"{MAX_OWED} requests are not done yet")
        try:
            return self._station.call(call.action, call.payload, now)
        except OcppError as error:
            log.warning("ocpp.call_failed", action=call.action, why=error.description)
            return CallError(error.code, error.description)

    def _outcome(self, session: link.Session, event: Outcome, now: Now) -> None:
        if isinstance(event.answer, CallError):
            why = f"{event.answer.code}: {event.answer.description}"
            log.warning(
                "ocpp.call_ended", action=event.action, how=event.how.value, why=why
            )
        retry = self._settings().retry
        done = self._queue.ended(event.how, event.answer, now.mono, retry)
        if done is not None:
            self._done(done, now)
        if event.how is How.MUTE:
            session.hang_up("the CSMS is connected but mute")
        self._wake.set()

    def _done(self, done: Done, now: Now) -> None:
        item = done.item
        if item.entry_id:
            self._durable.remove(item.entry_id)
        send = item.send
        # An earlier run's handle is gone, its event is not.
        if send.handle or item.entry_id:
            self._station.result(
                send.handle, send.action, send.payload, done.answer, now
            )

    def _drain(self, now: Now) -> None:
        """Carry out everything the station wants."""
        while effects := self._station.to_send():
            for effect in effects:
                self._carry_out(effect, now)
        due = self._station.next_timer()
        if due is not None and due < self._deadline_mono:
            self._wake.set()

    def _carry_out(self, effect: Effect, now: Now) -> None:
        match effect:
            case Dispatch():
                self._signal(effect.signal)
            case Send():
                self._take(effect, now)
            case Tell():
                self._tell(effect)
            case Ask():
                self._request(effect.request)
            case Save():
                self._save(effect)
            case SetGate():
                self._queue.set_gate(effect.gate)
                self._wake.set()
            case LearnTime():
                self._learn(effect)
            case Work():
                self._workers.start(effect)
            case StopWork():
                self._workers.stop(effect.handle)
            case Reply():
                call = self._owed.pop(effect.handle, None)
                if call is not None and self._session is not None:
                    self._session.put(self._session.rpc.answer(call, effect.answer))
            case Reconnect():
                if self._session is not None:
                    self._session.hang_up(effect.why)

    def _tell(self, effect: Tell) -> None:
        if self._session is None or self._session.ending:
            return
        try:
            text = self._session.rpc.send(effect.action, effect.payload)
        except OcppError as error:
            log.warning("ocpp.not_sent", action=effect.action, why=error.description)
            return
        self._session.put(text)

    def _take(self, send: Send, now: Now) -> None:
        if is_durable(send):
            try:
                self._durable.add(send)
            except OcppError as error:
                log.warning("ocpp.not_sent", action=send.action, why=error.description)
            return
        for done in self._queue.push(send):
            self._done(done, now)
        self._wake.set()

    def _worked(self, handle: int, value: object) -> None:
        now = self._clock.now()
        self._station.worked(handle, value, now)
        self._drain(now)

    def _learn(self, effect: LearnTime) -> None:
        step = self._clock.learn(effect.utc)
        if step:
            log.info("ocpp.clock_set", step_s=round(step.total_seconds(), 3))

    # Own CALLs and timers

    async def _pump(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock.now()
            self._timers(now)
            self._send_next(now)
            if self._queue.need_load() is not None:
                self._durable.nudge()
            self._deadline_mono = self._next_timer()
            await self._sleep_until(self._deadline_mono)

    def _timers(self, now: Now) -> None:
        session = self._session
        if session is not None:
            for event in session.rpc.on_timer(now.mono):
                self._event(session, event, now)
        due = self._station.next_timer()
        if due is not None and due <= now.mono:
            self._station.on_timer(now)
        self._drain(now)

    def _send_next(self, now: Now) -> None:
        session = self._session
        if session is None or session.ending:
            return
        timeout_s = self._settings().message_timeout_s
        while (item := self._queue.next(now.mono)) is not None:
            try:
                text = self._text(session.rpc, item.send, now, timeout_s)
            except OcppError as error:
                action = item.send.action
                log.warning("ocpp.not_sent", action=action, why=error.description)
                done = self._queue.discard(CallError(error.code, error.description))
                if done is not None:
                    self._done(done, now)
                    self._drain(now)
            else:
                session.put(text)

    def _text(self, rpc: Rpc, send: Send, now: Now, timeout_s: float) -> str:
        """The CALL as this link's version wants it; it may be stored under another."""
        try:
            payload = dialect.outgoing(rpc.version, send.action, send.payload)
        except KeyError as error:
            raise OcppError(f"{error} is missing", "FormatViolation") from error
        if payload is None:
            raise OcppError(f"not in {rpc.version}", "NotSupported")
        return rpc.call(send.action, payload, now.mono, timeout_s)

    def _next_timer(self) -> float:
        session = self._session
        times = (
            session.rpc.next_timer() if session else None,
            self._queue.next_timer(),
            self._station.next_timer(),
        )
        return min((time for time in times if time is not None), default=math.inf)

    async def _sleep_until(self, deadline_mono: float) -> None:
        """Until the deadline or the next wake. Always lets others run."""
        await asyncio.sleep(0)  # a set event does not yield
        wait_s = None
        if deadline_mono < math.inf:
            wait_s = max(0.0, deadline_mono - self._clock.now().mono)
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _settings(self) -> link.LinkSettings:
        return link.LinkSettings.read(self._station.number)


def _message_ids() -> Iterator[str]:
    """Unique over all links and restarts (part 4, 4.1.4), 36 characters at most."""
    run = uuid.uuid4().hex[:16]
    return (f"{run}-{number}" for number in count(1))
