"""The SLAC unit: one process, one interface, one connector.

Owns the raw socket and a unix socket for the daemon; decides nothing: frames and words
go to `matching.py`. Only root, its own user and the users it is told may speak to it.
An interface that is late, goes or comes back is a state.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from chargerd.vehicle.slac import lines
from chargerd.vehicle.slac.errors import SlacError
from chargerd.vehicle.slac.matching import Leave, Matching, Settings, Status
from chargerd.vehicle.slac.mme import MAX_FRAME
from chargerd.vehicle.slac.raw import open_raw

log = structlog.get_logger(__name__)

LOOK_S = 1.0  # how often a missing interface is tried
BATCH = 64  # frames read in a row before anybody else has the loop


class Unit:
    """`run()` serves until cancelled."""

    def __init__(
        self,
        interface: str,
        path: Path,
        settings: Settings,
        *,
        peers: Collection[int] = (),
        opener: Callable[[str], tuple[socket.socket, bytes]] = open_raw,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._interface, self._path, self._settings = interface, path, settings
        self._peers = {0, os.getuid(), *peers}
        self._opener, self._random = opener, random
        self._matching: Matching | None = None  # while the interface is there
        self._raw: socket.socket | None = None
        self._pilot, self._pilot_mono = "?", float("-inf")
        self._daemon: asyncio.StreamWriter | None = None
        self._told, self._told_mono = Status(), float("-inf")
        self._wake = asyncio.Event()
        self.refused = 0
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Raises OSError when the unix socket cannot be made."""
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o117)  # rw for user and group: the folder guards the rest
        try:
            server = await asyncio.start_unix_server(
                self._peer, self._path, limit=lines.MAX_LINE
            )
        finally:
            os.umask(mask)
        try:
            self.ready.set()
            await self._interface_there()
        finally:  # from Python 3.12 on `async with` would wait for the daemon to leave
            server.close()

    # -- the wire ------------------------------------------------------------------

    async def _interface_there(self) -> None:
        missing = ""
        while True:
            try:
                raw, mac = self._opener(self._interface)
            except PermissionError:
                raise  # CAP_NET_RAW is missing: waiting will not bring it
            except OSError as error:
                if str(error) != missing:
                    missing = str(error)
                    log.warning("slac_no_interface", name=self._interface, why=missing)
                self._tell(time.monotonic())
                await asyncio.sleep(LOOK_S)
                continue
            missing = ""
            log.info("slac_serves", interface=self._interface)
            with contextlib.closing(raw):
                await self._serve(raw, mac)
            log.warning("slac_interface_lost", interface=self._interface)
            self._tell(time.monotonic())
            await asyncio.sleep(LOOK_S)  # one that is down opens, and fails at once

    async def _serve(self, raw: socket.socket, mac: bytes) -> None:
        """Until the interface goes away."""
        loop = asyncio.get_running_loop()
        self._matching = Matching(mac, self._settings, self._random, time.monotonic())
        self._raw = raw
        loop.add_reader(raw.fileno(), self._readable)
        try:
            while self._raw is not None:
                self._wake.clear()
                now_mono = time.monotonic()
                if now_mono - self._pilot_mono > lines.LEASE_S and self._pilot != "A":
                    self._hear("A", now_mono)  # no daemon, no session: leave
                self._matching.on_timer(now_mono)
                self._send()
                self._tell(now_mono)
                due_mono = self._matching.next_timer()
                wait_s = lines.EVERY_S
                if due_mono is not None:
                    wait_s = min(wait_s, max(0.001, due_mono - time.monotonic()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
        finally:
            loop.remove_reader(raw.fileno())
            self._matching, self._raw = None, None

    def _readable(self) -> None:
        """Everything that has come, in bounded portions."""
        raw, matching = self._raw, self._matching
        if raw is None or matching is None:
            return
        try:
            for _ in range(BATCH):
                frame = raw.recv(MAX_FRAME + 1)
                if not frame:
                    self._raw = None
                    break
                matching.receive(frame, time.monotonic())
                self._send()
        except BlockingIOError:
            pass
        except OSError as error:  # ENETDOWN
            log.warning("slac_wire", why=str(error))
            self._raw = None
        self._tell(time.monotonic())
        self._wake.set()

    def _send(self) -> None:
        """A full queue of the interface loses frames, as the wire does."""
        if self._raw is None or self._matching is None:
            return
        for frame in self._matching.to_send():
            try:
                self._raw.send(frame)
            except BlockingIOError:
                log.info("slac_queue_full")
            except OSError as error:
                log.warning("slac_wire", why=str(error))
                self._raw = None
                self._wake.set()
                return

    # -- the daemon ----------------------------------------------------------------

    async def _peer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One daemon at a time; a new one takes the place of one that hangs."""
        uid = peer_uid(writer)
        if uid not in self._peers:
            self.refused += 1
            log.warning("slac_peer_refused", uid=uid)
            writer.close()
            return
        if self._daemon is not None:
            self._daemon.transport.abort()
        self._daemon = writer
        writer.write(lines.encode_status(self._status()))
        try:
            while True:
                line = await reader.readuntil()
                self._said(lines.decode_word(line))
        except (asyncio.IncompleteReadError, OSError):
            pass  # gone; its lease runs out
        except (asyncio.LimitOverrunError, SlacError) as error:
            log.warning("slac_daemon_speaks_nonsense", why=str(error)[:120])
        finally:
            writer.close()
            if self._daemon is writer:
                self._daemon = None

    def _said(self, word: str | Leave) -> None:
        now_mono = time.monotonic()
        if isinstance(word, Leave):
            if self._matching is not None:
                self._matching.leave(word, now_mono)
        else:
            self._pilot_mono = now_mono
            self._hear(word, now_mono)
        self._send()
        self._wake.set()

    def _hear(self, pilot: str, now_mono: float) -> None:
        changed, self._pilot = pilot != self._pilot, pilot
        if self._matching is not None and changed:
            self._matching.pilot(pilot, now_mono)

    def _status(self) -> Status:
        return self._matching.status() if self._matching is not None else Status()

    def _tell(self, now_mono: float) -> None:
        """At once on a change; else the beat of `_serve`."""
        status = self._status()
        if status != self._told:
            level = status.attenuation_db
            log.info(
                "slac", state=status.state.value, why=status.why, attenuation_db=level
            )
        changed, self._told = status != self._told, status
        beat = now_mono - self._told_mono >= lines.EVERY_S
        writer = self._daemon
        if writer is not None and (changed or beat):
            self._told_mono = now_mono
            if writer.transport.get_write_buffer_size() > 16 * lines.MAX_LINE:
                writer.transport.abort()  # it does not read
                return
            writer.write(lines.encode_status(status))


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """Whose process is at the other end, as the kernel says."""
    link = writer.get_extra_info("socket")
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)
