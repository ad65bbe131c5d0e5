"""Stops a thread that waits for a socket: the job was cancelled.

Owns the flag and the sockets to shut, and how a thread gets its sockets. A thread
cannot be killed; its sockets can.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from chargerd.ocpp.jobs.address import TransferError, Url

Result = TypeVar("Result")


class Halt:
    def __init__(self) -> None:
        self._over = threading.Event()
        self._sockets: list[socket.socket] = []

    def watch(self, connection: socket.socket) -> socket.socket:
        """This socket ends when the job does. Raises TransferError when it has."""
        self._sockets.append(connection)
        if self._over.is_set():
            connection.close()
        self.check()
        return connection

    def check(self) -> None:
        if self._over.is_set():
            raise TransferError("cancelled")

    def halt(self) -> None:
        self._over.set()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Line:
    """How one transfer connects. Both raise TransferError; `tls` reads files."""

    dial: Callable[[Url], socket.socket]
    tls: Callable[[], ssl.SSLContext]
    halt: Halt


async def in_thread(work: Callable[[Halt], Result]) -> Result:
    """`work` in a thread; cancelled, its sockets end at once."""
    halt = Halt()
    try:
        return await asyncio.to_thread(work, halt)
    except asyncio.CancelledError:
        halt.halt()
        raise
