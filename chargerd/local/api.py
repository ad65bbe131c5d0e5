"""The local API's shell: a unix socket of JSON lines for people of this machine.

Peers are root, our own user and members of `[local] group`, by SO_PEERCRED. Number of
peers, line length, idle and write time are bounded. Never decides about power.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from chargerd.config import Local
from chargerd.local.read_model import Json, finite_only
from chargerd.local.values import LocalError, number
from chargerd.local.verbs import Ports, Verbs
from chargerd.store.database import StoreError

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 16
MAX_LINE_BYTES = 64 * 1024
IDLE_TIMEOUT_S = 300.0
WRITE_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0
LOGIN_QUIET_S = 600.0  # one maintenance-login event per user and this time
_SO_PEERGROUPS = 59  # Linux 4.13: the peer's supplementary groups
_MAX_GROUPS = 1024


class LocalApi:
    """`run()` serves until cancelled. `on_login(accepted, uid)` feeds the security
    events MaintenanceLoginAccepted and MaintenanceLoginFailed."""

    def __init__(
        self,
        config: Local,
        ports: Ports,
        on_login: Callable[[bool, int], None] = lambda accepted, uid: None,
        *,
        own_uid: int | None = None,
    ) -> None:
        self._config = config
        self._verbs = Verbs(ports)
        self._ports = ports
        self._on_login = on_login
        self._own_uid = os.getuid() if own_uid is None else own_uid
        self._group: int | None = None
        self.ready = asyncio.Event()  # set while the socket answers
        self._peers: asyncio.TaskGroup | None = None  # while the socket is served
        self._used_mono: dict[asyncio.Task[None], float] = {}  # peers, last question
        self._told: dict[tuple[bool, int], float] = {}

    async def run(self) -> None:
        """Raises LocalError if the group is unknown or the socket cannot be made."""
        path = self._config.socket
        try:
            self._group = _group_id(self._config.group)
            server = await self._listen(path)
        except (KeyError, OSError) as error:
            raise LocalError(
                f"[local] socket {path}, group {self._config.group!r}: {error}"
            ) from error
        log.info("local api", socket=str(path), group=self._config.group)
        try:
            async with asyncio.TaskGroup() as self._peers:
                self.ready.set()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:  # nobody new, then the group leaves its peers
                    server.close()
        finally:
            self.ready.clear()
            with contextlib.suppress(OSError):
                path.unlink()

    async def _listen(self, path: Path) -> asyncio.Server:
        path.parent.mkdir(parents=True, exist_ok=True)
        server = await asyncio.start_unix_server(
            self._accept, str(path), limit=MAX_LINE_BYTES, backlog=MAX_CONNECTIONS
        )
        # The mode is the first gate, the peer check the second.
        if self._group not in (None, os.stat(path).st_gid):
            os.chown(path, -1, self._group)
        os.chmod(path, 0o660)
        return server

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A task of our group: asyncio's reports each cancelled peer as an error."""
        if self._peers is None:
            writer.transport.abort()
        else:
            self._peers.create_task(self._serve(reader, writer))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        try:
            if task is not None and await self._admitted(writer):
                self._take_a_place(task)
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            log.debug("local peer left")
        finally:
            if task is not None:
                self._used_mono.pop(task, None)
            writer.close()  # what is written still goes out, to a peer that reads
            leave = writer.transport.abort
            asyncio.get_running_loop().call_later(WRITE_TIMEOUT_S, leave)

    def _take_a_place(self, task: asyncio.Task[None]) -> None:
        """The peer that has been idle longest makes room: idle programs must not keep
        the technician out."""
        if len(self._used_mono) >= MAX_CONNECTIONS:
            idlest = min(self._used_mono, key=self._used_mono.__getitem__)
            del self._used_mono[idlest]
            idlest.cancel()
        self._used_mono[task] = time.monotonic()

    def _note_use(self) -> None:
        task = asyncio.current_task()
        if task in self._used_mono:
            self._used_mono[task] = time.monotonic()

    async def _admitted(self, writer: asyncio.StreamWriter) -> bool:
        uid, groups = _peer(writer.get_extra_info("socket"))
        accepted = uid in (0, self._own_uid) or (
            self._group is not None and self._group in groups
        )
        self._tell_login(accepted, uid)
        if not accepted:
            await _write(
                writer,
                {
                    "ok": False,
                    "error": f"user {uid} may not use this socket: run as root, or "
                    "join the group of [local] group",
                },
            )
        return accepted

    def _tell_login(self, accepted: bool, uid: int) -> None:
        now = time.monotonic()
        last = self._told.get((accepted, uid))
        if last is not None and now - last < LOGIN_QUIET_S:
            return
        if len(self._told) > 256:
            self._told.clear()
        self._told[accepted, uid] = now
        log.info("local login", accepted=accepted, uid=uid)
        self._on_login(accepted, uid)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    line = await reader.readline()
            except ValueError:  # over the limit: the stream cannot be followed
                await _write(writer, _refusal(f"a line over {MAX_LINE_BYTES} bytes"))
                return
            if not line.endswith(b"\n"):
                return
            self._note_use()
            try:
                question = _parse(line)
            except LocalError as error:
                await _write(writer, _refusal(str(error)))
                continue
            if question.get("verb") == "watch":
                await self._watch(question, writer)
                return
            await _write(writer, await self._answer(question))

    async def _answer(self, question: Json) -> Json:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = {"ok": True, **await self._verbs.answer(question)}
        except (LocalError, StoreError) as error:
            answer = _refusal(str(error))
        except TimeoutError:
            answer = _refusal("the daemon did not answer in time")
        if "id" in question:
            answer["id"] = question["id"]
        return answer

    async def _watch(self, question: Json, writer: asyncio.StreamWriter) -> None:
        """A status line each `interval_s` until the peer leaves."""
        try:
            interval_s = number(question, "interval_s", 0.1, 60, 0.5)
        except LocalError as error:
            await _write(writer, _refusal(str(error)))
            return
        while not writer.is_closing():
            await _write(writer, await self._answer({"verb": "status"}))
            self._note_use()
            await asyncio.sleep(interval_s)


async def _write(writer: asyncio.StreamWriter, answer: Json) -> None:
    """A peer that does not read is left after WRITE_TIMEOUT_S."""
    try:
        line = json.dumps(answer, allow_nan=False, separators=(",", ":"))
    except ValueError:  # an open bound (infinity) is null in JSON
        line = json.dumps(finite_only(answer), separators=(",", ":"))
    writer.write(line.encode() + b"\n")
    async with asyncio.timeout(WRITE_TIMEOUT_S):
        await writer.drain()


def _refusal(why: str) -> Json:
    return {"ok": False, "error": why}


def _parse(line: bytes) -> Json:
    try:
        question = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise LocalError("not one JSON object on one line") from error
    if not isinstance(question, dict):
        raise LocalError('not a JSON object; say {"verb": "help"}')
    return question


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _peer(link: socket.socket) -> tuple[int, frozenset[int]]:
    """The peer's user and all its groups, as the kernel knows them."""
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, gid = struct.unpack("iII", credentials)
    try:
        packed = link.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MAX_GROUPS)
    except OSError:  # an old kernel, or too many groups: the primary group alone
        packed = b""
    extra = struct.unpack(f"{len(packed) // 4}I", packed)
    return uid, frozenset({gid, *extra})


def _group_id(name: str) -> int | None:
    return grp.getgrnam(name).gr_gid if name else None
