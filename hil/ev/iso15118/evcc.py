"""One connection of the vehicle to a station: bytes in, bytes out. Sans-I/O.

Owns framing, SupportedAppProtocol, response timeouts, order and the misbehaviours of
the wire. What is said is the script's matter. Must never touch a socket or a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chargerd.vehicle.iso15118 import exi, sap, v2gtp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import codec_for
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.v2gtp import PayloadType
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.order import Order
from hil.ev.iso15118.profile import AT_A_MESSAGE
from hil.ev.iso15118.script import EvError, Script, SessionScript

TIMEOUT_S = 2.0  # refs/iso15118.md 4.1 and 4.2: of most responses
PRIVATE_TYPE = 0xA123  # 0xA000 and above: manufacturers' own, to be ignored
ZEROS = bytes(3)  # what `trailing_zeros` adds
_SCHEMAS = {
    PayloadType.COMMON: "common",
    PayloadType.AC: "ac",
    PayloadType.DC: "dc",
}
_TYPES = {schema: kind for kind, schema in _SCHEMAS.items()}
_SCHEMAS[PayloadType.METERING_CONFIRMATION] = "common"


MakeSpeaker = Callable[[sap.Protocol], SessionScript]


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that waits for its response."""

    name: str
    at_s: float
    until_s: float


class Evcc:
    """Made when the connection is there. `closing`: send what is there, then close."""

    def __init__(
        self, car: Car, protocols: list[sap.Protocol], make_speaker: MakeSpeaker
    ) -> None:
        self._car = car
        self._protocols = protocols
        self._make_speaker = make_speaker
        self._framer = v2gtp.Framer()
        self._script: Script | None = None
        self._order: Order | None = None
        self._asked: Asked | None = None
        self._out = bytearray()
        self._first: Any = None  # our SessionSetupReq
        self._held: tuple[float, Complex] | None = None  # a request of a slow vehicle
        self.speaker: SessionScript | None = None
        self.last_request = ""
        self.closing = False
        self.why = ""  # of an end that was not wanted; "" = all went well
        self.worst_s: dict[str, float] = {}  # slowest response, by request
        self.requests = 0
        self._offer()

    # -- bytes ----------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes in any split; never raises."""
        try:
            self._framer.receive(data)
            while not self.closing:
                frame = self._framer.next_frame()
                if frame is None:
                    return
                self._frame(frame)
        except (V2gError, EvError) as error:
            self._fail(str(error))

    def step(self) -> list[bytes]:
        """Time has passed (`car.now_s`): what is to be sent now, segment by segment."""
        asked = self._asked
        try:
            if self.closing:
                pass
            elif asked is not None and self._car.now_s >= asked.until_s:
                self._fail(f"{asked.name}: no response in time")
            elif self._held is not None and self.speaker is not None:
                self._release(self.speaker)
            elif asked is None and self._script is not None:
                self._advance(None)
        except (V2gError, EvError) as error:
            self._fail(str(error))
        out = bytes(self._out)
        self._out.clear()
        if "split" in self._car.active:
            return [out[at : at + 1] for at in range(len(out))]
        return [out] if out else []

    def lost(self, why: str) -> None:
        """The connection ended without our wish."""
        if not self.closing:
            self._fail(why)

    # -- SupportedAppProtocol -----------------------------------------------------

    def _offer(self) -> None:
        if not self._protocols:
            self._fail("it has no protocol for this connection")
            return
        offers = [
            sap.Offer(each.namespace, each.major, each.minor, number, number)
            for number, each in enumerate(self._protocols, 1)
        ]
        self._pack(PayloadType.EXI, sap.encode_request(offers))
        self._wait_for("supportedAppProtocolReq", TIMEOUT_S)

    def _choice(self, payload: bytes) -> None:
        code, schema_id = sap.decode_response(payload)
        if code is sap.ResponseCode.FAILED or schema_id is None:
            raise EvError("no protocol in common")
        if not 1 <= schema_id <= len(self._protocols):
            raise EvError(f"the station chose schema {schema_id}: never offered")
        self.speaker = self._make_speaker(self._protocols[schema_id - 1])
        self._order = Order(self.speaker.graph)
        self._script = self.speaker.run()

    # -- messages -------------------------------------------------------------------

    def _frame(self, frame: v2gtp.Frame) -> None:
        asked, self._asked = self._asked, None
        if asked is None:
            raise EvError("a response that was not asked for")
        taken_s = self._car.now_s - asked.at_s
        self.worst_s[asked.name] = max(taken_s, self.worst_s.get(asked.name, 0.0))
        if self.speaker is None:
            self._choice(frame.payload)
            return
        schema = _SCHEMAS.get(PayloadType(frame.payload_type))
        if schema is None:
            schema = "din" if self.speaker.protocol == "din70121" else "iso2"
        response = exi.decode(schema, frame.payload)
        told = request_name(response)
        if told.removesuffix("Res") != asked.name.removesuffix("Req"):
            raise EvError(f"{asked.name} is answered by {told}")
        self._advance(response)

    def _advance(self, response: Complex | None) -> None:
        if self._script is None:
            return
        try:
            wanted = self._script.send(response)
        except StopIteration:
            self.closing = True
            return
        if wanted is not None:
            self._say(wanted)

    def _say(self, message: Complex) -> None:
        speaker, order = self.speaker, self._order
        if speaker is None or order is None:
            return
        name = request_name(message)
        if not order.allows(name):
            raise EvError(f"our own {name} is out of order: mend the script")
        order.sent(name)
        self.last_request = name
        self._first = self._first or message
        for kind in sorted(self._beginning(name)):
            if kind in ("silent", "hang_up", "unplug"):
                self._vanish(kind)
                return
            message = self._spoilt(kind, message)
        wait_s = self._car.profile.slow_s if "slow" in self._car.active else 0.0
        self._held = (self._car.now_s + wait_s, message)
        self._release(speaker)

    def _release(self, speaker: SessionScript) -> None:
        """Send the request that is due."""
        if self._held is None or self._car.now_s < self._held[0]:
            return
        message, self._held = self._held[1], None
        name = request_name(message)
        data = exi.encode(message)
        if "trailing_zeros" in self._car.active:
            data += ZEROS
        if "coalesce" in self._car.active:
            self._pack(PRIVATE_TYPE, b"private")
        self._pack(_payload_type(name, message), data)
        self._wait_for(name, speaker.timeouts_s.get(name, TIMEOUT_S))
        self.requests += 1

    def _pack(self, payload_type: int, payload: bytes) -> None:
        self._out += v2gtp.pack(payload_type, payload)

    def _wait_for(self, name: str, limit_s: float) -> None:
        now_s = self._car.now_s
        until_s = now_s + limit_s * self._car.profile.patience
        self._asked = Asked(name, now_s, until_s)

    # -- misbehaviour -----------------------------------------------------------------

    def _beginning(self, name: str) -> set[str]:
        """Those that begin at this request; they stay in force."""
        where, speaker = self._car.profile.misbehave_at, self.speaker
        at_loop = speaker is not None and name in speaker.loop_names
        if name != where and not (where == "loop" and at_loop):
            return set()
        return self._car.active & AT_A_MESSAGE

    def _vanish(self, kind: str) -> None:
        """Silent, or unplugged: no word any more, not even of TCP."""
        if kind == "hang_up":
            self._fail(f"misbehaves: {kind}")
            return
        self._script = None  # a silent one's contactor stays as it is
        if kind == "unplug":
            self._car.plugged = False

    def _spoilt(self, kind: str, message: Any) -> Complex:
        """SessionSetupReq is out of order wherever it comes again."""
        right = message.Header.SessionID
        if kind == "wrong_order":
            message = self._first
            message.Header.SessionID = right
        else:
            message.Header.SessionID = bytes((right[0] ^ 0xFF, *right[1:]))
        spoilt: Complex = message
        return spoilt

    def _fail(self, why: str) -> None:
        if not self.closing:
            self.closing, self.why = True, why
            self._script = self._asked = self._held = None
            self._car.off()


def _payload_type(name: str, message: Complex) -> int:
    """By the schema set; a confirmation has a stream of its own (refs 4.3)."""
    if name == "MeteringConfirmationReq":
        return PayloadType.METERING_CONFIRMATION
    return _TYPES.get(codec_for(message).name, PayloadType.EXI)


def request_name(message: Any) -> str:
    """The element name of a message, of the body for those that have one."""
    body = getattr(message, "Body", None)
    element = message if body is None else body.BodyElement
    name = type(element).__name__
    return "SessionStopReq" if name == "SessionStop" else name
