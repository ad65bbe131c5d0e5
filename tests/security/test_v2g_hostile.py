"""Hostile bytes on the charge cable: lengths, lists, bombs, downgrades (S23 to S33).

The rows are those of the project's security reference, after real attacks. Peers are in
test_v2g_peers.py; what a vehicle may say in good order in test_v2g_vehicle.py.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118 import contract, exi, sap, sdp, signature, v2gtp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import Codec
from chargerd.vehicle.iso15118.messages import din, iso2
from chargerd.vehicle.iso15118.messages import sap as messages
from chargerd.vehicle.iso15118.messages.declare import Complex, Global, Schema, elements
from chargerd.vehicle.iso15118.pki import MAX_CERTIFICATE_BYTES, MAX_SUBS, Trust
from chargerd.vehicle.iso15118.tls import MAX_HANDSHAKE_BYTES, Identity, TlsServer
from hil.pki import store
from hil.pki.make import make_pki
from hil.pki.profiles import Profile
from tests.property.test_exi_hostile import peak_bytes
from tests.unit.vehicle_iso.secc.test_connection import Wire, hello, setup
from tests.unit.vehicle_iso.test_door import (
    bench,
    tls_of,
)
from tests.v2g_car import find

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EXI = v2gtp.PayloadType.EXI


def head(payload_type: int, length: int) -> bytes:
    return b"\x01\xfe" + payload_type.to_bytes(2, "big") + length.to_bytes(4, "big")


# --- S23, S25, S26: lengths, lists, pieces --------------------------------------------


@pytest.mark.parametrize("payload_type", [*v2gtp.CAPS, 0x0000, 0x9000, 0xA000, 0xFFFF])
@pytest.mark.parametrize("over", [0, 1, -1, 2**31, 2**32])
def test_s25_a_length_is_judged_before_anything_is_kept(
    payload_type: int, over: int
) -> None:
    cap = v2gtp.CAPS.get(payload_type, v2gtp.IGNORED_CAP_BYTES)
    length = min(2**32 - 1, over) if over > 1 else max(0, cap + over)
    framer = v2gtp.Framer()

    def announce() -> None:
        framer.receive(head(payload_type, length) + bytes(100))
        framer.next_frame()

    if length > cap:
        with pytest.raises(V2gError, match="close the connection"):
            announce()
        assert framer.waiting == 0
        framer.receive(bytes(10_000))  # nothing more is kept
        assert framer.waiting == 0
    else:
        assert peak_bytes(announce) < 4_000


@pytest.mark.parametrize(
    ("data", "answers", "closing"),
    [
        (head(EXI, 2**32 - 1) + setup()[8:], 0, True),
        (head(EXI, 0), 0, True),  # no message
        (setup()[:-1], 0, False),  # the rest may come
        (head(EXI, 1000) + setup()[8:], 0, False),
        (head(EXI, len(setup()) - 9) + setup()[8:], 0, True),  # cut, then out of step
        (setup() + setup(), 0, True),  # a question before the last one was answered
    ],
)
def test_s26_the_length_field_is_what_counts(
    data: bytes, answers: int, closing: bool
) -> None:
    wire = Wire()
    wire.say(hello())
    wire.session.hold_s, wire.session.ready = 1.0, False
    assert len(wire.say(data)) == answers
    assert wire.connection.closing is closing


def offers(count: int) -> list[sap.Offer]:
    strange = [sap.Offer(f"urn:x:{n}", 1, 0, n + 1, n + 1) for n in range(count - 1)]
    return [*strange, sap.Offer(sap.ISO2.namespace, 2, 0, count, min(count, 20))]


@pytest.mark.parametrize("count", [1, 2, 19, 20])
def test_s23_protocol_lists_up_to_their_bound(count: int) -> None:
    wire = Wire()
    wire.say(v2gtp.pack(EXI, sap.encode_request(offers(count))))
    assert wire.chosen == [sap.ISO2]


class LooseReq(Complex, namespace=messages.APP_PROTOCOL):
    """The vehicle's offer by a sender that knows no bound."""

    AppProtocol: list[messages.AppProtocol] = elements(messages.AppProtocol, 1, 20_000)


LOOSE = Schema(
    "loose",
    (
        Global("supportedAppProtocolReq", messages.APP_PROTOCOL, LooseReq),
        *messages.SCHEMA.elements[1:],
    ),
    (messages.AppProtocol, LooseReq, messages.SupportedAppProtocolRes),
)


@pytest.mark.parametrize("count", [1, 19, 20, 21, 22, 100, 10_000])
def test_s23_a_list_over_its_bound_is_refused(count: int) -> None:
    entry = messages.AppProtocol(
        ProtocolNamespace=sap.ISO2.namespace,
        VersionNumberMajor=2,
        VersionNumberMinor=0,
        SchemaID=1,
        Priority=1,
    )
    data = Codec(LOOSE).encode(LooseReq(AppProtocol=[entry] * count))
    if count < 20:
        assert len(exi.decode("sap", data).AppProtocol) == count
    elif count > 20:  # at 20 the loose sender's end has another width
        with pytest.raises(V2gError):
            exi.decode("sap", data)
        with pytest.raises(V2gError):
            sap.encode_request(offers(count))


@pytest.mark.parametrize("count", [1, 5, 100, 1_024, 1_025, 10_000])
def test_s23_s30_din_certificate_lists_without_bound(count: int) -> None:
    """The schema has no bound; ours ends it in decoding, and a chain in checking."""
    subs = din.SubCertificates(Certificate=[b"\x30"] * min(count, 1_024))
    body = din.PaymentDetailsReq(
        ContractID="DEABC123456789",
        ContractSignatureCertChain=din.CertificateChain(
            Certificate=b"\x30", SubCertificates=subs
        ),
    )
    message: Any = din.V2G_Message(
        Header=din.MessageHeader(SessionID=bytes(8)), Body=din.Body(BodyElement=body)
    )
    if count > 1_024:
        subs.Certificate = [b"\x30"] * count
        with pytest.raises(V2gError, match="1024"):
            exi.encode(message)
        return
    data = exi.encode(message)
    assert len(exi.decode("din", data).Body.BodyElement.ContractSignatureCertChain
               .SubCertificates.Certificate) == count  # fmt: skip


@pytest.mark.parametrize("entry", [b"", b"\x30" * 801])
def test_s30_certificates_have_a_size(entry: bytes) -> None:
    """-2: at most 800 bytes, four CAs; [V2G2-010] and the schema."""
    chain = iso2.CertificateChain(
        Certificate=entry, SubCertificates=iso2.SubCertificates(Certificate=[b"1"] * 5)
    )
    body = iso2.PaymentDetailsReq(
        eMAID="DEABC123456789", ContractSignatureCertChain=chain
    )
    header = iso2.MessageHeader(SessionID=bytes(8))
    with pytest.raises(V2gError):
        exi.encode(iso2.V2G_Message(Header=header, Body=iso2.Body(BodyElement=body)))


@pytest.mark.parametrize("subs", [0, 1, MAX_SUBS, MAX_SUBS + 1, 5, 100])
def test_s30_chains_have_a_length(subs: int) -> None:
    made = make_pki(Profile.ISO2, NOW)
    leaf, cas = made.contract.leaf, made.contract.subs_der
    more = (list(cas) * 100)[:subs]

    def check() -> None:
        contract.read(leaf.der, more, Trust(), NOW, signature.ISO2)

    if subs > MAX_SUBS:
        with pytest.raises(V2gError, match="at most"):
            check()
    else:
        try:
            check()  # a chain that is cut or doubled is no defence's matter
        except V2gError as error:
            assert "at most" not in str(error)  # noqa: PT017 - either may be


@pytest.mark.parametrize("size", [MAX_CERTIFICATE_BYTES + 1, 1_000_000])
def test_s30_a_certificate_bomb_is_not_parsed(size: int) -> None:
    bomb = b"\x30\x82\xff\xff" + bytes(size)
    with pytest.raises(V2gError, match="at most"):
        contract.key(bomb)
    assert peak_bytes(lambda: refused(bomb)) < 20_000


def refused(bomb: bytes) -> None:
    with pytest.raises(V2gError):
        contract.key(bomb)


def test_s30_a_handshake_has_a_size(tmp_path: Path) -> None:
    """A client's certificates over TLS count before they are parsed."""
    link = tls_of(tmp_path)()
    record = b"\x16\x03\x01\x40\x00" + bytes(16_384)
    whole = record * (MAX_HANDSHAKE_BYTES // len(record) + 1)
    with pytest.raises(V2gError, match="handshake of over"):
        link.receive(whole)
    assert not link.established


def test_s24_nothing_leans_on_assert() -> None:
    """The same refusals under `python -O`, where an assert is nothing."""
    program = (
        "from chargerd.vehicle.iso15118 import exi, v2gtp\n"
        "from chargerd.vehicle.iso15118.errors import V2gError\n"
        "framer = v2gtp.Framer(); told = 0\n"
        "framer.receive(bytes.fromhex('01fe8001ffffffff'))\n"
        "for act in (framer.next_frame, lambda: exi.decode('iso2', b'\\x80' * 40),\n"
        "            lambda: v2gtp.unpack(b'')):\n"
        "    try:\n        act()\n    except V2gError:\n        told += 1\n"
        "print(told)"
    )
    command = [sys.executable, "-O", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


# --- S33: from TLS to plain -----------------------------------------------------------


def test_s33_a_broken_key_is_no_tls_and_no_plain_instead(tmp_path: Path) -> None:
    home = store.write_pki(make_pki(Profile.ISO2, NOW), tmp_path)
    key = home / "secc" / "leaf.key"
    key.write_text("-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n")
    with pytest.raises(V2gError, match=re.escape(str(key))):
        TlsServer([Identity(home / "secc" / "chain.pem", key)], Trust())


@pytest.mark.asyncio
async def test_s33_without_tls_sdp_says_so_and_minus_20_is_not_there() -> None:
    """The answer tells the truth [V2G2-627]; -20 needs TLS [V2G20-1235]."""
    async with bench() as made:
        told = await find(made.port, tls=True)
        assert told.security is sdp.Security.NONE
    wire = Wire(mutual=False)
    only = [sap.Offer(sap.ISO20_DC.namespace, 1, 0, 1, 1)]
    wire.say(v2gtp.pack(EXI, sap.encode_request(only)))
    assert wire.chosen == []
    assert wire.connection.closing


@pytest.mark.asyncio
async def test_s33_plain_bytes_at_the_tls_port_open_nothing(tmp_path: Path) -> None:
    async with bench(tls_of(tmp_path)) as made:
        secure = await find(made.port, tls=True)
        reader, writer = await asyncio.open_connection("::1", secure.port)
        writer.write(hello())
        async with asyncio.timeout(5.0):
            told = await reader.read()
        assert not told.startswith(b"\x01\xfe")
        writer.close()
        assert made.door.state().phase is VehiclePhase.NONE
