"""One socket of a vehicle: bytes to the core and its answer back, in one callback.

Owns TLS, timers and the write buffer of one connection. Nothing here awaits: an answer
leaves in the call that brought its request, or with the tick that it was held for. Only
a request of many kB is read in a thread first (DESIGN, law 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Protocol, cast

from chargerd.clock import Clock
from chargerd.model import (
    Greeting,
    Revocable,
    VehicleOffer,
    VehiclePhase,
    VehicleState,
)
from chargerd.vehicle.iso15118 import exi, sap
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.secc.connection import Connection
from chargerd.vehicle.iso15118.secc.flow import Session
from chargerd.vehicle.iso15118.tls import TlsLink

HANDSHAKE_S = 10.0
CLOSE_S = 5.0  # for what is still to be sent
UNREAD_MAX_BYTES = 65_536  # answers that a vehicle does not read


def decode(schema: str, payload: bytes) -> Any:
    """The message, or the V2gError that says why there is none."""
    try:
        return exi.decode(schema, payload)
    except V2gError as error:
        return error


class Host(Protocol):
    """Whose peers they are: the door."""

    def admit(self, peer: Peer) -> bool: ...
    def begin(self, peer: Peer, protocol: sap.Protocol, now_mono: float) -> Session: ...
    def ended(self, peer: Peer, why: str, was: VehiclePhase) -> None: ...
    def broken(self) -> Collection[sap.Protocol]: ...


class Peer(asyncio.Protocol):
    """Made by the listener. `connection` is there once TLS is established."""

    def __init__(
        self,
        host: Host,
        clock: Clock,
        protocols: Collection[sap.Protocol],
        tls: TlsLink | None,
    ) -> None:
        """`tls` None: plain TCP."""
        self._host, self._clock = host, clock
        self._protocols = protocols
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._why = ""
        self.connection: Connection | None = None
        self._greeting: Greeting | None = None
        self._gone_mono = float("inf")
        self._heard_mono = clock.now().mono

    @property
    def gone(self) -> bool:
        return self._gone_mono < float("inf")

    def just_gone(self, within_s: float) -> bool:
        """Whether it ended less than `within_s` ago."""
        return 0.0 <= self._clock.now().mono - self._gone_mono < within_s

    def quiet_s(self, now_mono: float) -> float:
        """How long nothing came."""
        return now_mono - self._heard_mono

    @property
    def over_tls(self) -> bool:
        return self._tls is not None

    @property
    def vehicle(self) -> bytes:
        """The vehicle's certificate; empty when it showed none."""
        return (self._tls.vehicle if self._tls is not None else None) or b""

    @property
    def revocable(self) -> tuple[Revocable, ...]:
        """Of the vehicle's chain, what may have been revoked; nothing without one."""
        return self._tls.revocable if self._tls is not None else ()

    @property
    def summary(self) -> str:
        """The transport, for the log."""
        return self._tls.summary if self._tls is not None else "plain TCP"

    # -- asyncio's side ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._host.admit(self):
            self.abort("too many sockets")
        elif self._tls is None:
            self._open(mutual_tls_1_3=False)
            self.turn()
        else:
            now_mono = self._clock.now().mono
            self._wake_at(now_mono + HANDSHAKE_S, now_mono)

    def data_received(self, data: bytes) -> None:
        self._heard_mono = self._clock.now().mono
        tls = self._tls
        if tls is not None:
            try:
                data = tls.receive(data)
            except V2gError as error:
                self._flush(b"")
                self._close(str(error))
                return
            if tls.established and self.connection is None:
                self._open(mutual_tls_1_3=tls.mutual_1_3)
        if self.connection is not None:
            self.connection.receive(data, self._clock.now().mono)
            self._read_long(self.connection)
        self.turn()
        if tls is not None and tls.closed:
            self._close("the vehicle closed it")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._gone_mono = self._clock.now().mono
        was = self.state().phase
        why = self._why or (str(exc)[:200] if exc else "the vehicle closed it")
        if self.connection is not None:
            self.connection.disconnected(self._clock.now().mono)
            why = self.connection.why or why
        self._host.ended(self, why, was)

    # -- the door's side -----------------------------------------------------------

    def state(self) -> VehicleState:
        connection = self.connection
        if connection is None:
            return VehicleState()
        if self._greeting is None and connection.greeting is not None:
            self._greeting = replace(connection.greeting, certificate=self.vehicle)
        return replace(connection.state(), greeting=self._greeting)

    def command(self, offer: VehicleOffer) -> None:
        """The station's word of this tick; also after the end, to open in order."""
        if self.connection is not None:
            self.connection.command(offer, self._clock.now().mono)
        # No timers here: after a stall of ours the tick may come before the bytes that
        # wait in the socket, and a vehicle is not silent because we were deaf.
        self._send()

    def unplugged(self) -> None:
        """The connector is out: the session ends, then the connection."""
        if self.connection is None:
            self.abort("the connector is out")
            return
        self.connection.unplugged(self._clock.now().mono)
        self._send()

    def abort(self, why: str) -> None:
        """At once, whatever is unsent."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()

    def turn(self) -> None:
        """Timers, then whatever is due to go out."""
        if self.connection is not None and not self._closing():
            self.connection.on_timer(self._clock.now().mono)
        self._send()

    # -- inside --------------------------------------------------------------------

    def _open(self, *, mutual_tls_1_3: bool) -> None:
        self.connection = Connection(
            self._protocols,
            lambda protocol, now_mono: self._host.begin(self, protocol, now_mono),
            mutual_tls_1_3=mutual_tls_1_3,
            now_mono=self._clock.now().mono,
            broken=self._host.broken(),
        )

    def _closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _send(self) -> None:
        """Whatever is due to go out; the next timer is set."""
        transport, connection = self._transport, self.connection
        if transport is None or transport.is_closing():
            return
        if connection is None:  # the handshake goes on
            self._flush(b"")
            return
        now_mono = self._clock.now().mono
        self._flush(connection.to_send(now_mono))
        if transport.get_write_buffer_size() > UNREAD_MAX_BYTES:
            self.abort("the vehicle does not read its answers")
        elif connection.closing:
            self._close(connection.why)
        else:
            self._wake_at(connection.next_timer(), now_mono)

    def _read_long(self, connection: Connection) -> None:
        job = connection.to_read()
        if job is not None:
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(None, decode, *job)
            reading.add_done_callback(self._was_read)

    def _was_read(self, reading: asyncio.Future[Any]) -> None:
        if self.connection is not None and not self.gone and not reading.cancelled():
            self.connection.read(reading.result(), self._clock.now().mono)
            self._read_long(self.connection)
            self.turn()

    def _flush(self, data: bytes) -> None:
        if self._tls is not None:
            try:
                if data:
                    self._tls.send(data)
                data = self._tls.to_send()
            except V2gError as error:
                self.abort(str(error))
                return
        if data and self._transport is not None:
            self._transport.write(data)

    def _close(self, why: str) -> None:
        """Send what is there, say goodbye, close; in the end without patience."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._why = self._why or why
        if self._tls is not None and self._tls.established:
            self._tls.close()
            self._flush(b"")
        transport.close()
        now_mono = self._clock.now().mono
        self._wake_at(now_mono + CLOSE_S, now_mono)

    def _wake_at(self, at_mono: float | None, now_mono: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at_mono is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.001, at_mono - now_mono), self._due)

    def _due(self) -> None:
        self._timer = None
        if self.connection is None:
            self.abort(f"no TLS handshake within {HANDSHAKE_S:.0f} s")
        elif self._closing():
            self.abort("")
        else:
            self.turn()
