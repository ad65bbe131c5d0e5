"""What is fuzzed: functions of bytes that must return, or raise nothing but ours.

Each holds a law of its own besides. Owns no generator: hypothesis (tests/property),
atheris or our own mutator (run.py) bring the bytes.
"""

from __future__ import annotations

import io
import json
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from chargerd.cli import pcap
from chargerd.cli.client import CliError
from chargerd.cli.v2g_trace import trace
from chargerd.trust import name
from chargerd.vehicle.iso15118 import (
    client_hello,
    exi,
    pki,
    sap,
    sdp,
    v2gtp,
)
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import codec
from chargerd.vehicle.iso15118.exi.plain import message_to_plain
from chargerd.vehicle.iso15118.identity import read_staple
from chargerd.vehicle.slac.matching import Matching, Settings
from hil.pki.bad import ocsp_answer
from hil.pki.make import make_pki
from hil.pki.profiles import Profile
from hil.slac import frames as mme
from tests.fuzz import grid
from tests.fuzz.sessions import WAYS, session

VECTORS = Path(__file__).parents[1] / "vectors"
STATION = sdp.Station(sdp.ipaddress.IPv6Address("fe80::1"), 50_000, 50_001)


def decode(data: bytes) -> None:
    """First byte: the schema set. What was read can be written and read again."""
    schema = exi.SCHEMAS[data[0] % len(exi.SCHEMAS)] if data else "sap"
    try:
        found = exi.decode_noting(schema, data[1:])
    except V2gError:
        return
    again = codec(schema).encode(found.message)
    if exi.decode(schema, again) != found.message:
        raise AssertionError(
            f"{schema} {data[1:].hex()} reads as another message again"
        )
    json.dumps(message_to_plain(codec(schema), found.message))


def fragment(data: bytes) -> None:
    """First byte: the schema set. A fragment that was read gives the same bytes."""
    schema = exi.SCHEMAS[data[0] % len(exi.SCHEMAS)] if data else "sap"
    try:
        name, value = exi.decode_fragment(schema, data[1:])
    except V2gError:
        return
    again = exi.decode_fragment(schema, exi.encode_fragment(schema, name, value))
    if again != (name, value):
        raise AssertionError(f"{schema} {data[1:].hex()} is another fragment again")


def framer(data: bytes) -> None:
    """First byte: the size of the pieces. Pieces give what the whole gives."""
    if not data:
        return
    size, stream = data[0] or 1, data[1:]
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    if frames([stream]) != frames(pieces):
        raise AssertionError(f"pieces of {size} give other frames: {stream.hex()}")


def frames(pieces: list[bytes]) -> list[v2gtp.Frame | str]:
    """Frames in order and the error that ended them."""
    reader = v2gtp.Framer()
    found: list[v2gtp.Frame | str] = []
    for piece in pieces:
        reader.receive(piece)
        try:
            while (frame := reader.next_frame()) is not None:
                found.append(frame)
        except V2gError as error:
            return [*found, str(error)]
        if reader.waiting > v2gtp.HEADER_BYTES + max(v2gtp.CAPS.values()):
            raise AssertionError("the framer keeps more than one frame")
    return found


def discovery(data: bytes) -> None:
    """SDP: an answer is always the station's own."""
    with suppress(V2gError):
        told = sdp.decode_response(sdp.answer(data, "fe80::2%plc0", STATION))
        if told.address != STATION.address:
            raise AssertionError("SDP tells a foreign address")


def handshake(data: bytes) -> None:
    """SupportedAppProtocol: a choice names an offer that was made."""
    with suppress(V2gError):
        offers = sap.decode_request(data)
        choice = sap.choose(offers, sap.PROTOCOLS)
        code, schema_id = sap.decode_response(sap.encode_response(choice))
        if code is not sap.ResponseCode.FAILED and schema_id not in {
            offer.schema_id for offer in offers
        }:
            raise AssertionError("a choice that was not offered")


def capture(data: bytes) -> None:
    """A technician's capture file from anywhere."""
    with suppress(CliError):
        for event in trace(pcap.segments(io.BytesIO(data))):
            if (event.reading is None) is not bool(event.text):
                raise AssertionError("an event says both or nothing")


def hello(data: bytes) -> None:
    """What a whole ClientHello says does not change with what follows it."""
    try:
        found = client_hello.read(data)
    except V2gError:
        return
    if found is not None and client_hello.read(data + b"more") != found:
        raise AssertionError(f"{data.hex()} reads as another ClientHello with more")


def certificate(data: bytes) -> None:
    """A certificate that was read has a key and a name for OCPP, or our error."""
    with suppress(V2gError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "will be refused by a later version"
        found = pki.read(data)
        pki.public_key(found)
        name.certificate_hash(found, found)
        pki.check_chain(data, [data], pki.Trust((found,)), pki.Use.SECC, None)


def staple(data: bytes) -> None:
    """An OCSP response that is not about us is refused, whatever it is."""
    with suppress(V2gError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_staple(data, ())


SLAC_OWN, SLAC_MODEM = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 0x81))


def slac(data: bytes) -> None:
    """Frames, each behind two bytes of length, 50 ms apart: few runs, few answers."""
    station, now = Matching(SLAC_OWN, Settings(), bytes, 0.0), 0.0
    station.pilot("B", now)
    while data:
        size = int.from_bytes(data[:2], "big")
        frame, data = data[2 : 2 + size], data[2 + size :]
        station.receive(frame, now)
        now += 0.05
        station.on_timer(now)
        if len(station.to_send()) > 32 or len(station.dropped) > 20:
            raise AssertionError(f"{frame.hex()} makes too much")


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        decode,
        fragment,
        framer,
        discovery,
        handshake,
        capture,
        hello,
        certificate,
        staple,
        slac,
        session,
        grid.echonet,
        grid.modbus,
    )
}


def seeds(target: str) -> Iterator[bytes]:
    """Good inputs to begin with, from our own vectors and test PKI."""
    if target in ("hello", "certificate", "staple"):
        yield from _tls_seeds(target)
        return
    if target == "slac":
        yield b"".join(len(raw).to_bytes(2, "big") + raw for raw in _match())
        return
    if target in ("echonet", "modbus"):
        yield from grid.seeds(target)
        return
    if target in ("discovery", "framer"):
        yield b"\x07" * (target == "framer") + bytes.fromhex("01fe9000000000021000")
    name = "exi_own_fragments.jsonl" if target == "fragment" else "exi_own.jsonl"
    for line in (VECTORS / name).read_text().splitlines():
        vector = json.loads(line)
        data = bytes.fromhex(vector["hex"])
        if target in ("decode", "fragment"):
            yield bytes((exi.SCHEMAS.index(vector["schema"]),)) + data
        elif target == "session":
            for number, (_, _, schemas) in enumerate(WAYS):
                if vector["schema"] in schemas and "Req" in line:
                    which = schemas.index(vector["schema"])
                    yield bytes((number, which)) + data
        elif target == "framer":
            yield b"\x09" + v2gtp.pack(v2gtp.PayloadType.DC, data)
        elif target == "handshake" and vector["schema"] == "sap":
            yield data
        elif target == "capture" and vector["schema"] == "dc":
            yield in_a_capture(v2gtp.pack(v2gtp.PayloadType.DC, data))


def _match() -> Iterator[bytes]:
    """A whole match as the station hears it: modem, then vehicle."""
    ev, run = bytes((2, 0, 0, 0, 1, 1)), b"12345678"
    for kind, body in (
        (mme.VERSION_CNF, mme.version_cnf("QCA7005")),
        (mme.KEY_CNF, mme.key_cnf(1)),
    ):
        yield mme.pack(SLAC_OWN, SLAC_MODEM, kind, body)
    yield mme.pack(mme.ALL, ev, mme.PARM_REQ, mme.parm_req(run))
    body = mme.start_ind(run, ev, sounds=2)
    yield mme.pack(mme.ALL, ev, mme.START_IND, body)
    for _ in range(2):
        body = mme.profile_ind(ev, bytes(mme.GROUPS))
        yield mme.pack(mme.ALL, SLAC_MODEM, mme.PROFILE_IND, body)
    yield mme.pack(SLAC_OWN, ev, mme.CHAR_RSP, mme.char_rsp(run, ev))
    body = mme.match_req(run, ev, SLAC_OWN)
    yield mme.pack(SLAC_OWN, ev, mme.MATCH_REQ, body)
    body = mme.link_cnf(up=True)
    yield mme.pack(SLAC_OWN, SLAC_MODEM, mme.LINK_CNF, body)


def _tls_seeds(target: str) -> Iterator[bytes]:
    if target == "hello":
        out = ssl.MemoryBIO()
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
            ssl.MemoryBIO(), out, server_hostname="secc"
        )
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        yield out.read()
        return
    now_utc = datetime.now(UTC)
    for profile in Profile:
        chain = make_pki(profile, now_utc).secc
        if target == "certificate":
            yield chain.leaf.der
        else:
            yield ocsp_answer(chain.leaf, chain.subs[0], now_utc)


def in_a_capture(data: bytes) -> bytes:
    """A pcap of one TCP segment over bare IPv6."""
    tcp = bytes.fromhex("c350ee48000000010000000050180000") + bytes(4) + data
    ipv6 = b"\x60\0\0\0" + len(tcp).to_bytes(2, "big") + b"\x06\x40" + bytes(32) + tcp
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000065000000")
    return head + bytes(8) + len(ipv6).to_bytes(4, "little") * 2 + ipv6
