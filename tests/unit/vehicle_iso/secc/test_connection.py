"""The connection core by bytes: any split, SAP, held answers, what ends it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.model import VehicleOffer, VehicleState
from chargerd.vehicle.iso15118 import exi, sap, v2gtp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import iso2
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.connection import SETUP_S, Connection
from chargerd.vehicle.iso15118.secc.flow import Answer
from chargerd.vehicle.iso15118.v2gtp import PayloadType
from tests.exi_dense import session_stop, signature

ID = bytes.fromhex("0102030405060708")
ALL = (sap.ISO20_DC, sap.ISO2, sap.DIN)
OFFERS = [
    sap.Offer(sap.ISO20_DC.namespace, 1, 0, 1, 1),
    sap.Offer(sap.ISO2.namespace, 2, 0, 2, 2),
    sap.Offer("urn:tesla:din:2018:MsgDef", 2, 0, 3, 3),
]


class FakeSession:
    """Answers SessionSetup; `hold_s` and `ready` are the test's."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.hold_s = 0.0
        self.ready = True
        self.close = False
        self.over: list[str] = []
        self.timer: float | None = None

    def request(self, message: Complex, now_mono: float, raw: bytes = b"") -> Answer:
        body: Any = getattr(message, "Body").BodyElement  # noqa: B009 - any message
        self.heard.append(type(body).__name__)
        response = iso2.V2G_Message(
            Header=iso2.MessageHeader(SessionID=ID),
            Body=iso2.Body(
                BodyElement=iso2.SessionSetupRes(
                    ResponseCode="OK_NewSessionEstablished", EVSEID="JP*ABC*E1"
                )
            ),
        )
        return Answer(response, self.close, "SessionSetupReq", 1.5, self.hold_s)

    def may_send(self, now_mono: float) -> bool:
        return self.ready

    def command(self, offer: VehicleOffer, now_mono: float) -> None:
        self.over.append("command")

    def next_timer(self) -> float | None:
        return self.timer

    def on_timer(self, now_mono: float) -> bool:
        return self.timer is not None and now_mono >= self.timer

    def disconnected(self, now_mono: float) -> None:
        self.over.append("disconnected")

    def unplugged(self, now_mono: float) -> None:
        self.over.append("unplugged")

    def state(self) -> VehicleState:
        return VehicleState(protocol="iso15118-2")


class Wire:
    """A connection and what it chose."""

    def __init__(self, *, mutual: bool = False) -> None:
        self.session = FakeSession()
        self.chosen: list[sap.Protocol] = []
        self.connection = Connection(
            ALL, self._make, mutual_tls_1_3=mutual, now_mono=0.0
        )

    def _make(self, protocol: sap.Protocol, now_mono: float) -> FakeSession:
        self.chosen.append(protocol)
        return self.session

    def say(self, data: bytes, now_mono: float = 1.0) -> list[v2gtp.Frame]:
        self.connection.receive(data, now_mono)
        return frames(self.connection.to_send(now_mono))


def frames(data: bytes) -> list[v2gtp.Frame]:
    framer = v2gtp.Framer()
    framer.receive(data)
    found = []
    while (frame := framer.next_frame()) is not None:
        found.append(frame)
    return found


def hello() -> bytes:
    return v2gtp.pack(PayloadType.EXI, sap.encode_request(OFFERS))


def setup() -> bytes:
    message = iso2.V2G_Message(
        Header=iso2.MessageHeader(SessionID=bytes(8)),
        Body=iso2.Body(BodyElement=iso2.SessionSetupReq(EVCCID=ID[:6])),
    )
    return v2gtp.pack(PayloadType.EXI, exi.encode(message))


@pytest.mark.parametrize(
    ("mutual", "protocol", "schema_id"),
    [(True, sap.ISO20_DC, 1), (False, sap.ISO2, 2)],
)
def test_iso_20_only_over_mutual_tls_1_3(
    mutual: bool, protocol: sap.Protocol, schema_id: int
) -> None:
    wire = Wire(mutual=mutual)
    (answer,) = wire.say(hello())
    code, chosen = sap.decode_response(answer.payload)
    assert (code, chosen) == (sap.ResponseCode.OK, schema_id)
    assert wire.chosen == [protocol]
    assert not wire.connection.closing


def test_no_protocol_in_common_is_answered_and_closed() -> None:
    wire = Wire()
    offers = [sap.Offer("urn:tesla:din:2018:MsgDef", 2, 0, 1, 1)]
    data = v2gtp.pack(PayloadType.EXI, sap.encode_request(offers))
    (answer,) = wire.say(data)
    assert sap.decode_response(answer.payload) == (sap.ResponseCode.FAILED, None)
    assert wire.connection.closing
    assert wire.chosen == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=12))
def test_any_split_gives_the_same_answers(cuts: list[int]) -> None:
    stream, wire, out = hello() + setup(), Wire(), b""
    at = 0
    for cut in [*cuts, len(stream)]:
        wire.connection.receive(stream[at : at + cut], 1.0)
        out += wire.connection.to_send(1.0)
        at += cut
    whole = Wire()
    whole.connection.receive(hello(), 1.0)
    expected = whole.connection.to_send(1.0)
    whole.connection.receive(setup(), 1.0)
    expected += whole.connection.to_send(1.0)
    assert out == expected
    assert wire.session.heard == ["SessionSetupReq"]


def test_the_answer_fits_its_question() -> None:
    wire = Wire()
    wire.say(hello())
    (answer,) = wire.say(setup(), 2.0)
    message = exi.decode("iso2", answer.payload)
    assert message.Body.BodyElement.ResponseCode == "OK_NewSessionEstablished"
    assert wire.connection.margins.worst_s == {"SessionSetupReq": 1.5}


def test_a_held_answer_waits_for_the_session_but_not_for_ever() -> None:
    wire = Wire()
    wire.say(hello())
    wire.session.hold_s, wire.session.ready = 1.0, False
    assert wire.say(setup(), 2.0) == []
    assert wire.connection.next_timer() == 3.0
    assert frames(wire.connection.to_send(2.5)) == []
    assert len(frames(wire.connection.to_send(3.0))) == 1
    assert wire.connection.margins.worst_s["SessionSetupReq"] == pytest.approx(0.5)
    assert wire.connection.margins.late == 0


def test_a_held_answer_goes_as_soon_as_it_may() -> None:
    wire = Wire()
    wire.say(hello())
    wire.session.hold_s, wire.session.ready = 1.0, False
    wire.say(setup(), 2.0)
    wire.session.ready = True
    assert len(frames(wire.connection.to_send(2.1))) == 1


def test_a_second_request_before_the_answer_closes() -> None:
    wire = Wire()
    wire.say(hello())
    wire.session.hold_s, wire.session.ready = 1.0, False
    wire.say(setup() + setup(), 2.0)
    assert wire.connection.closing
    assert wire.session.heard == ["SessionSetupReq"]


HOSTILE = [
    (b"\x00\x00\x80\x01\x00\x00\x00\x00", "01fe"),
    (b"\x01\xfe\x80\x01\xff\xff\xff\xff", "at most"),
    (v2gtp.pack(PayloadType.EXI, b"\x80"), ""),
    (v2gtp.pack(PayloadType.EXI, b"\xff" * 40), ""),
    (v2gtp.pack(PayloadType.COMMON, b"\x80\x00"), "SupportedAppProtocol"),
]


@pytest.mark.parametrize(("data", "why"), HOSTILE)
def test_what_cannot_be_ends_the_connection(data: bytes, why: str) -> None:
    wire = Wire()
    assert wire.say(data) == []
    assert wire.connection.closing
    assert why in wire.connection.why
    assert wire.say(hello()) == []  # nothing is read any more
    assert wire.chosen == []


def long_stop() -> bytes:
    """A legal request of 10 kB: its signature's value has no bound."""
    signed = signature()
    signed.SignatureValue.value = bytes(10_000)
    return v2gtp.pack(PayloadType.EXI, exi.encode(session_stop(signed)))


def test_a_long_request_is_read_elsewhere_and_nothing_overtakes_it() -> None:
    wire = Wire()
    assert wire.connection.to_read() is None
    wire.say(hello())
    assert wire.say(long_stop() + setup()[:20], 2.0) == []
    job = wire.connection.to_read()
    assert job is not None
    assert wire.connection.to_read() is None  # told once
    assert wire.session.heard == []
    wire.connection.receive(setup()[20:], 2.1)
    wire.connection.read(exi.decode(*job), 2.2)
    assert wire.session.heard == ["SessionStopReq"]
    assert wire.connection.closing  # the next one did not wait for the answer
    assert "before the last one" in wire.connection.why


def test_a_long_request_is_answered_in_the_time_since_it_came() -> None:
    wire = Wire()
    wire.say(hello())
    wire.say(long_stop(), 2.0)
    job = wire.connection.to_read()
    assert job is not None
    wire.connection.read(exi.decode(*job), 2.5)
    assert len(frames(wire.connection.to_send(2.5))) == 1
    assert wire.connection.margins.worst_s == {"SessionSetupReq": 1.0}


def test_a_long_request_that_is_none_ends_the_connection() -> None:
    wire = Wire()
    wire.say(hello())
    wire.say(v2gtp.pack(PayloadType.EXI, b"\x80" + bytes(9_000)))
    job = wire.connection.to_read()
    assert job is not None
    wire.connection.read(V2gError("no message"), 2.0)
    assert wire.connection.closing
    assert wire.session.heard == []


def test_unknown_payload_types_are_ignored() -> None:
    wire = Wire()
    wire.say(v2gtp.pack(0xA000, b"maker's own") + hello())
    wire.say(v2gtp.pack(PayloadType.DC, b"\x80\x00"))  # not of ISO 15118-2
    assert not wire.connection.closing
    assert len(wire.say(setup())) == 1


def test_silence_before_a_session_ends_it() -> None:
    wire = Wire()
    assert wire.connection.next_timer() == SETUP_S
    wire.connection.on_timer(SETUP_S - 0.1)
    assert not wire.connection.closing
    wire.connection.on_timer(SETUP_S)
    assert wire.connection.closing


def test_the_sessions_own_silence_ends_it() -> None:
    wire = Wire()
    wire.say(hello())
    wire.session.timer = 60.0
    assert wire.connection.next_timer() == 60.0
    wire.connection.on_timer(60.0)
    assert wire.connection.closing


def test_the_session_is_told_of_station_unplug_and_loss() -> None:
    wire = Wire()
    wire.connection.command(VehicleOffer(0.0), 0.0)  # before a session: nobody to tell
    assert wire.connection.state() == VehicleState()
    wire.say(hello())
    wire.connection.command(VehicleOffer(1.0), 1.0)
    wire.connection.unplugged(2.0)
    wire.connection.disconnected(2.1)
    assert wire.session.over == ["command", "unplugged", "disconnected"]
    assert wire.connection.closing
    assert wire.connection.state().protocol == "iso15118-2"


def test_a_closing_answer_goes_out_first() -> None:
    wire = Wire()
    wire.say(hello())
    wire.session.close = True
    assert len(wire.say(setup())) == 1
    assert wire.connection.closing
