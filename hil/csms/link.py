"""One station as the CSMS sees it: its RPC, its messages, what it did wrong.

Owns OCPP-J framing on the CSMS's side for one identity, over as many connections as
come; keeps everything for tests to read. The product's OCPP code is not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from hil.csms.judge import check
from hil.csms.ledger import Ledger
from hil.csms.wire import (
    CALL,
    ERROR,
    REPORTS,
    RESULT,
    RESULT_ERROR,
    SEND,
    CallFailed,
    CsmsError,
    Message,
    Refusal,
    Violation,
    parse,
)

if TYPE_CHECKING:
    from hil.csms.server import Csms


@dataclass(slots=True)
class Dynamic:
    """The Dynamic profile this CSMS has set on one EVSE, for updates and pulls."""

    profile_id: int
    transaction_id: str
    values: dict[str, float] = field(default_factory=dict)


class Peer:
    """A station by its identity; lives over reconnections."""

    def __init__(self, csms: Csms, identity: str) -> None:
        self.csms = csms
        self.identity = identity
        self.version = ""
        self.boot = ""  # the newest status answered to BootNotification
        self.connections = 0
        self.messages: list[Message] = []
        self.violations: list[Violation] = []
        self.events: list[
            dict[str, Any]
        ] = []  # TransactionEvent payloads, as they came
        self.ledger = Ledger()
        self.dynamic: dict[int, Dynamic] = {}  # by EVSE
        self._ws: ServerConnection | None = None
        self._lock = asyncio.Lock()
        self._pending: tuple[str, str, asyncio.Future[dict[str, Any]]] | None = None
        self._asked: set[str] = set()  # ids of our CALLs without an answer
        self._open_call: tuple[str, float] | None = None  # the station's, unanswered
        self._seen_ids: dict[str, str] = {}  # message id -> its frame
        self._triggered: set[str] = set()  # may be sent before Accepted
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._ws is not None

    # -- for tests ----------------------------------------------------------------

    async def call(
        self,
        action: str,
        payload: dict[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109
        *,
        checked: bool = True,
    ) -> dict[str, Any]:
        """The station's result. CallFailed with its code; one CALL at a time.

        `checked=False` sends what the schema forbids (hostile tests) and counts no
        violation of ours.
        """
        payload = payload or {}
        wrong = check(self.version, action, payload) if checked and self.version else []
        if wrong:
            self._violate("out", action, wrong[0][1])
            raise CsmsError(f"our own {action} breaks the schema: {wrong[0][1]}")
        message_id = str(uuid.uuid4())
        try:
            async with asyncio.timeout(timeout), self._lock:
                text = json.dumps([CALL, message_id, action, payload])
                return await self._exchange(message_id, action, payload, text)
        except TimeoutError:
            raise CallFailed("Timeout", f"{action}: no answer in {timeout} s") from None

    async def call_raw(
        self,
        message_id: str,
        action: str,
        text: str,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> dict[str, Any]:
        """Like `call`, with the frame as raw text, for what no encoder would write."""
        async with asyncio.timeout(timeout), self._lock:
            return await self._exchange(message_id, action, {}, text)

    async def _exchange(
        self, message_id: str, action: str, payload: dict[str, Any], text: str
    ) -> dict[str, Any]:
        future = asyncio.get_running_loop().create_future()
        self._pending = (message_id, action, future)
        self._asked.add(message_id)
        try:
            if action in REPORTS:
                self._triggered.add("NotifyReport")
            if action == "TriggerMessage":
                self._triggered.add(str(payload.get("requestedMessage")))
            self._note("out", "call", action, payload, message_id)
            await self.send_raw(text)
            result: dict[str, Any] = await future
            return result
        finally:
            self._pending = None

    async def send_raw(self, text: str) -> None:
        """Any text on the wire, judged by nobody."""
        if self._ws is None:
            raise CallFailed("NotConnected", f"{self.identity} has no connection")
        try:
            await self._ws.send(text)
        except ConnectionClosed as closed:
            raise CallFailed("NotConnected", str(closed)) from closed

    async def expect(
        self,
        action: str,
        predicate: Callable[[dict[str, Any]], bool] = lambda payload: True,
        timeout: float = 10.0,  # noqa: ASYNC109
        *,
        since: int = 0,
    ) -> Message:
        """The first message of the station with `action` whose payload fits.

        Looks from `messages[since]` on, so what came before the question counts:
        `mark = len(peer.messages)` first where only news count.
        """
        position = since
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    changed = self._changed
                    for message in self.messages[position:]:
                        position += 1
                        if message.asks(action) and predicate(message.payload):
                            return message
                    await changed.wait()
        raise CsmsError(f"{self.identity}: no {action} that fits in {timeout} s")

    async def wait_connected(self, up: bool = True, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """Until the link is up (or down)."""
        async with asyncio.timeout(timeout):
            while self.connected is not up:
                await self._changed.wait()

    async def drop(self, code: int | None = None, reason: str = "") -> None:
        """Cut the connection: no close frame, or a clean close with `code`."""
        if self._ws is None:
            return
        if code is None:
            self._ws.transport.abort()
        else:
            await self._ws.close(code, reason)
        await self.wait_connected(up=False)

    # -- for the server -------------------------------------------------------------

    async def serve(self, ws: ServerConnection) -> None:
        """Run one connection to its end."""
        if self._ws is not None:
            await self.drop()
        self._ws, self.version = ws, str(ws.subprotocol)
        self.connections += 1
        self._open_call = None
        self._wake()
        answers: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.TaskGroup() as group:
                with contextlib.suppress(ConnectionClosed):
                    async for text in ws:
                        self._receive(text, group, answers)
                for task in answers:
                    task.cancel()
        finally:
            if self._ws is ws:
                self._ws = None
            if self._pending and not self._pending[2].done():
                down = CallFailed("NotConnected", "the link went down")
                self._pending[2].set_exception(down)
            self._wake()

    def _receive(
        self,
        text: str | bytes,
        group: asyncio.TaskGroup,
        answers: set[asyncio.Task[None]],
    ) -> None:
        try:
            frame = parse(text)
        except ValueError as wrong:
            self._violate("in", "", f"{wrong}: {text[:80]!r}")
            broken = [ERROR, "-1", "RpcFrameworkError", str(wrong)[:255], {}]
            self._later(broken, group, answers)
            return
        if frame[0] == CALL:
            self._later(self._on_call(frame), group, answers)
        elif frame[0] == SEND:
            self._on_send(frame)
        else:
            self._on_answer(frame)

    def _later(
        self,
        reply: list[Any] | None,
        group: asyncio.TaskGroup,
        answers: set[asyncio.Task[None]],
    ) -> None:
        if reply:
            task = group.create_task(self._reply(reply))
            answers.add(task)
            task.add_done_callback(answers.discard)

    async def _reply(self, reply: list[Any]) -> None:
        await asyncio.sleep(self.csms.latency_s)
        self._open_call = None
        with contextlib.suppress(CallFailed):
            await self.send_raw(json.dumps(reply))

    def _on_call(self, frame: list[Any]) -> list[Any] | None:
        _, message_id, action, payload = frame
        wrong = self._call_faults(message_id, action, payload)
        shown = payload if isinstance(payload, dict) else {"payload": payload}
        self._note("in", "call", str(action), shown, message_id)
        if self.csms.is_muted(str(action)):
            return None
        self._open_call = (message_id, time.monotonic())
        if wrong:
            return self._refuse(message_id, str(action), *wrong)
        self._book(action, payload)
        answer = self.csms.answer_to(self, action, payload)
        if isinstance(answer, Refusal):
            return self._refuse(message_id, action, answer.code, answer.description)
        for _, text in check(self.version, action, answer, answer=True):
            self._violate("out", action, text)
        if action == "BootNotification":
            self.boot = str(answer.get("status"))
            self._triggered.clear()
        self._note("out", "result", action, answer, message_id)
        return [RESULT, message_id, answer]

    def _call_faults(
        self, message_id: str, action: Any, payload: Any
    ) -> tuple[str, str] | None:
        """Judge a CALL; the first thing that must be refused, as (code, text)."""
        open_s = self.csms.station_timeout_s
        if self._open_call and time.monotonic() - self._open_call[1] < open_s:
            self._violate("in", str(action), "a CALL while another one is open")
        known = self._seen_ids.setdefault(message_id, json.dumps([action, payload]))
        if known != json.dumps([action, payload]):
            self._violate("in", str(action), f"message id {message_id} used again")
        if not isinstance(action, str) or not isinstance(payload, dict):
            self._violate("in", str(action), "action or payload has a wrong type")
            return "FormatViolation", "action or payload has a wrong type"
        if not self._may_send(action):
            text = f"before Accepted (B01.FR.08, B02.FR.02); boot is {self.boot!r}"
            self._violate("in", action, text)
            return "SecurityError", text
        wrong = check(self.version, action, payload)
        for _, text in wrong:
            self._violate("in", action, text)
        return wrong[0] if wrong else None

    def _may_send(self, action: str) -> bool:
        accepted = self.boot == "Accepted" or self.csms.accept_without_boot
        return accepted or action == "BootNotification" or action in self._triggered

    def _book(self, action: str, payload: dict[str, Any]) -> None:
        if action == "TransactionEvent":
            self.events.append(payload)
            self.ledger.take(payload)

    def _refuse(
        self, message_id: str, action: str, code: str, description: str
    ) -> list[Any]:
        shown = {"code": code, "description": description}
        self._note("out", "error", action, shown, message_id)
        return [ERROR, message_id, code, description[:255], {}]

    def _on_send(self, frame: list[Any]) -> None:
        _, message_id, action, payload = frame
        if self.version != "ocpp2.1":
            self._violate("in", str(action), "SEND exists in 2.1 only")
        for _, text in check(self.version, str(action), payload):
            self._violate("in", str(action), text)
        self._note("in", "send", str(action), payload, message_id)

    def _on_answer(self, frame: list[Any]) -> None:
        """A CALLRESULT or CALLERROR to our CALL; a CALLRESULTERROR to our answer."""
        kind, message_id = frame[0], frame[1]
        if kind == RESULT_ERROR:
            shown = {"code": frame[2], "description": frame[3]}
            self._violate("out", "", f"the station refused our answer: {shown}")
            self._note("in", "result_error", "", shown, message_id)
            return
        pending = self._pending
        if pending is None or pending[0] != message_id:
            if message_id not in self._asked:
                self._violate("in", "", f"an answer to no CALL of ours: {message_id}")
            self._asked.discard(message_id)
            return
        self._asked.discard(message_id)
        _, action, future = pending
        if kind == ERROR:
            shown = {"code": frame[2], "description": frame[3]}
            self._note("in", "error", action, shown, message_id)
            failure: CallFailed = CallFailed(str(frame[2]), str(frame[3]), frame[4])
        else:
            self._note("in", "result", action, frame[2], message_id)
            wrong = check(self.version, action, frame[2], answer=True)
            for _, text in wrong:
                self._violate("in", action, text)
            if not wrong and not future.done():
                future.set_result(frame[2])
                return
            failure = CallFailed("BadAnswer", wrong[0][1] if wrong else "too late")
        if not future.done():
            future.set_exception(failure)

    def _note(
        self, direction: str, kind: str, action: str, payload: Any, message_id: str
    ) -> None:
        message = Message(
            direction, action, payload, time.monotonic(), kind, message_id
        )
        self.messages.append(message)
        if self.csms.on_message:
            self.csms.on_message(self, message)
        self._wake()

    def _violate(self, direction: str, action: str, text: str) -> None:
        violation = Violation(direction, action, text, time.monotonic())
        self.violations.append(violation)
        if self.csms.on_violation:
            self.csms.on_violation(self, violation)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self.csms.wake()
