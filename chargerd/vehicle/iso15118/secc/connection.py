"""One TCP or TLS connection of a vehicle: bytes in, bytes out. Sans-I/O.

Owns the path frame -> SupportedAppProtocol -> message -> session -> answer -> frame,
and when the connection ends. Must never wait, and never let ISO 15118-20 run over less
than TLS 1.3 with the vehicle's certificate [V2G20-1235], [V2G20-2356].
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from chargerd.model import Greeting, VehicleOffer, VehicleState
from chargerd.vehicle.iso15118 import exi, sap, v2gtp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import codec_for
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.flow import Answer, Margins, Session
from chargerd.vehicle.iso15118.v2gtp import PayloadType

SETUP_S = 18.0  # from the connection to the first message of a session
MAX_WAITING_BYTES = 2 * 65_536
LONG_BYTES = 4_096  # reading these takes 3 ms at worst; longer: not on the loop

# ISO 15118-20: which schema set a frame's payload is read with, and the way back.
_SCHEMA_OF_TYPE = {
    PayloadType.COMMON: "common",
    PayloadType.AC: "ac",
    PayloadType.DC: "dc",
    PayloadType.SCHEDULE_RENEGOTIATION: "common",
    PayloadType.METERING_CONFIRMATION: "common",
}
_TYPE_OF_SCHEMA = {
    "common": PayloadType.COMMON,
    "ac": PayloadType.AC,
    "dc": PayloadType.DC,
}

MakeSession = Callable[[sap.Protocol, float], Session]  # (protocol, now_mono)


@dataclass(frozen=True, slots=True)
class _Held:
    """An answer that has not gone out yet."""

    answer: Answer
    asked_type: int  # payload type of the request
    received_mono: float
    latest_mono: float


@dataclass(slots=True)
class _Long:
    """A request that is read off the loop."""

    schema: str
    frame: v2gtp.Frame
    received_mono: float
    told: bool = False


class Connection:
    """Made when a peer is connected. `closing` = send what is there, then close."""

    def __init__(
        self,
        protocols: Collection[sap.Protocol],
        make_session: MakeSession,
        *,
        mutual_tls_1_3: bool,
        now_mono: float,
        broken: Collection[sap.Protocol] = (),
    ) -> None:
        """`mutual_tls_1_3` is the handshake's own result. `broken`: agreed on only
        when the vehicle offers nothing else."""
        self._protocols = sap.speakable(protocols, mutual_tls_1_3=mutual_tls_1_3)
        self._broken = broken
        self._make_session = make_session
        self._framer = v2gtp.Framer()
        self._protocol: sap.Protocol | None = None
        self._session: Session | None = None
        self._held: dict[int, _Held] = {}  # by stream: one request each at a time
        self._long: _Long | None = None  # nothing else is read meanwhile
        self._out = bytearray()
        self._setup_by_mono = now_mono + SETUP_S
        self.greeting: Greeting | None = None  # once a protocol is agreed
        self.closing = False
        self.why = ""  # why it closes, for the log
        self.margins = Margins()

    # -- the vehicle's bytes -----------------------------------------------------

    def receive(self, data: bytes, now_mono: float) -> None:
        """Bytes in any split. Never raises: what cannot be ends the connection."""
        if self.closing:
            return
        if self._framer.waiting + len(data) > MAX_WAITING_BYTES:
            self._close("more bytes than a request may have")
            return
        self._framer.receive(data)
        self._pull(now_mono)

    def to_read(self) -> tuple[str, bytes] | None:
        """Schema set and bytes of a request too long for the loop, told once: the
        shell decodes them elsewhere and comes back with `read`."""
        long = self._long
        if long is None or long.told:
            return None
        long.told = True
        return long.schema, long.frame.payload

    def read(self, message: Complex | V2gError, now_mono: float) -> None:
        """What became of `to_read`; then whatever came meanwhile."""
        long, self._long = self._long, None
        if long is None or self._session is None or self.closing:
            return
        if isinstance(message, V2gError):
            self._close(str(message))
            return
        self._serve(self._session, message, long.frame, long.received_mono, now_mono)
        self._pull(now_mono)

    def _pull(self, now_mono: float) -> None:
        try:
            while not self.closing and self._long is None:
                frame = self._framer.next_frame()
                if frame is None:
                    return
                self._frame(frame, now_mono)
        except V2gError as error:
            self._close(str(error))

    def _frame(self, frame: v2gtp.Frame, now_mono: float) -> None:
        if _stream(frame.payload_type) in self._held:
            self._close("a request before the last one was answered")
        elif self._protocol is None:
            self._negotiate(frame, now_mono)
        elif self._session is not None:
            schema = self._schema(frame.payload_type)
            if schema is not None:
                self._request(self._session, schema, frame, now_mono)

    def _negotiate(self, frame: v2gtp.Frame, now_mono: float) -> None:
        if frame.payload_type != PayloadType.EXI:
            self._close("no SupportedAppProtocol first")
            return
        offers = sap.decode_request(frame.payload)
        choice = sap.choose(offers, self._protocols, self._broken)
        why = "no protocol in common"
        if choice.protocol is not None:
            try:
                self._session = self._make_session(choice.protocol, now_mono)
            except V2gError as error:
                choice, why = sap.Choice(sap.ResponseCode.FAILED), str(error)
        self._protocol = choice.protocol
        if choice.protocol is not None:
            best_first = sorted(offers, key=lambda offer: offer.priority)
            supported = tuple(sap.name_of(offer) for offer in best_first)
            self.greeting = Greeting(sap.name_of(choice.protocol), supported)
        self._out += v2gtp.pack(PayloadType.EXI, sap.encode_response(choice))
        if choice.protocol is None:
            self._close(why)

    def _schema(self, payload_type: int) -> str | None:
        """The schema set of a request; None: not for this protocol, ignored
        [V2G2-800]."""
        protocol = self._protocol
        if protocol is None or not protocol.needs_mutual_tls_1_3:
            same = payload_type == PayloadType.EXI
            return protocol.schema if protocol and same else None
        return _SCHEMA_OF_TYPE.get(PayloadType(payload_type))

    def _request(
        self, session: Session, schema: str, frame: v2gtp.Frame, now_mono: float
    ) -> None:
        if len(frame.payload) > LONG_BYTES:
            self._long = _Long(schema, frame, now_mono)
            return
        message = exi.decode(schema, frame.payload)
        self._serve(session, message, frame, now_mono, now_mono)

    def _serve(
        self,
        session: Session,
        message: Complex,
        frame: v2gtp.Frame,
        received_mono: float,
        now_mono: float,
    ) -> None:
        answer = session.request(message, now_mono, frame.payload)
        if answer.message is None and answer.raw is None and not answer.open:
            if answer.close:
                self._close("the session ended")
            return
        asked, latest = frame.payload_type, received_mono + answer.hold_s
        self._held[_stream(asked)] = _Held(answer, asked, received_mono, latest)

    def _payload_type(self, message: Complex | None, asked: int) -> int:
        """Answers go on the stream they were asked on; else by their schema set."""
        if message is None or asked == PayloadType.EXI or _stream(asked) != _MAIN:
            return asked
        return _TYPE_OF_SCHEMA[codec_for(message).name]

    # -- what goes out -----------------------------------------------------------

    def to_send(self, now_mono: float) -> bytes:
        """Everything that may go out now; a held answer when it is its time."""
        for stream, held in tuple(self._held.items()):
            hold = held.answer.hold_s > 0.0 and now_mono < held.latest_mono
            if self._session and (not hold or self._session.may_send(now_mono)):
                del self._held[stream]
                late = held.answer.open
                answer = self._session.late(now_mono) if late else held.answer
                self._release(held, answer, now_mono)
        out = bytes(self._out)
        self._out.clear()
        return out

    def _release(self, held: _Held, answer: Answer, now_mono: float) -> None:
        payload = answer.raw
        if payload is None and answer.message is not None:
            try:
                payload = exi.encode(answer.message)
            except V2gError as error:  # a defect of ours must not hang the vehicle
                self._close(f"{answer.request}: our answer cannot be sent: {error}")
                return
        if payload is not None:
            payload_type = self._payload_type(answer.message, held.asked_type)
            self._out += v2gtp.pack(payload_type, payload)
            self.margins.note(answer, now_mono - held.received_mono)
        if answer.close:
            self._close("the session ended")

    # -- station and time --------------------------------------------------------

    def command(self, offer: VehicleOffer, now_mono: float) -> None:
        """The station's word of this tick."""
        if self._session is not None:
            self._session.command(offer, now_mono)

    def next_timer(self) -> float | None:
        """The earliest instant at which `on_timer` or `to_send` has something to do."""
        if self._session is None:
            return self._setup_by_mono
        times = [self._session.next_timer()]
        times += [held.latest_mono for held in self._held.values()]
        return min((time for time in times if time is not None), default=None)

    def on_timer(self, now_mono: float) -> None:
        """Let the session see the time."""
        if self._session is None:
            if now_mono >= self._setup_by_mono:
                self._close(f"no session within {SETUP_S:.0f} s")
        elif self._session.on_timer(now_mono) and not self.closing:
            self._close("the vehicle was silent too long")

    def disconnected(self, now_mono: float) -> None:
        """The connection is gone, whoever closed it."""
        if self._session is not None:
            self._session.disconnected(now_mono)

    def unplugged(self, now_mono: float) -> None:
        """The connector is out: the session ends, whatever the vehicle says."""
        if self._session is not None:
            self._session.unplugged(now_mono)
        self._close("the connector is out")

    def state(self) -> VehicleState:
        """The session's state; before there is one, nothing is known."""
        return self._session.state() if self._session else VehicleState()

    def _close(self, why: str) -> None:
        if not self.closing:
            self.closing, self.why = True, why


_MAIN = 0
_SIDE_STREAMS = (
    PayloadType.SCHEDULE_RENEGOTIATION,
    PayloadType.METERING_CONFIRMATION,
)


def _stream(payload_type: int) -> int:
    """Requests may overlap only on different streams (ISO 15118-20, multiplexed)."""
    return payload_type if payload_type in _SIDE_STREAMS else _MAIN
