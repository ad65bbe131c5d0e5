"""SDP: both datagrams byte by byte, the security byte, who gets an answer."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from chargerd.vehicle.iso15118 import sdp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.sdp import (
    Request,
    Response,
    Security,
    Station,
    Transport,
)

HERE = IPv6Address("fe80::1234")
CAR = "fe80::a%plc0"
TLS, NONE = Security.TLS, Security.NONE


def ask(security: Security) -> bytes:
    return sdp.encode_request(Request(security, Transport.TCP))


def test_bytes_of_the_standard() -> None:
    assert ask(NONE).hex() == "01fe9000000000021000"
    assert ask(TLS).hex() == "01fe9000000000020000"
    told = sdp.encode_response(Response(HERE, 0xC001, NONE))
    assert told.hex() == ("01fe900100000014fe800000000000000000000000001234c0011000")
    assert sdp.decode_response(told) == Response(HERE, 0xC001, NONE)


@pytest.mark.parametrize(
    ("tls_port", "plain_port", "asked", "told", "port"),
    [
        (None, 50_001, TLS, NONE, 50_001),  # V2G2-627: no TLS here
        (None, 50_001, NONE, NONE, 50_001),
        (50_002, None, TLS, TLS, 50_002),
        (50_002, None, NONE, TLS, 50_002),  # TLS is required
        (50_002, 50_001, TLS, TLS, 50_002),
        (50_002, 50_001, NONE, NONE, 50_001),
    ],
)
def test_security_byte(
    tls_port: int | None,
    plain_port: int | None,
    asked: Security,
    told: Security,
    port: int,
) -> None:
    station = Station(HERE, tls_port, plain_port)
    response = sdp.decode_response(sdp.answer(ask(asked), CAR, station))
    assert response == Response(HERE, port, told)


@pytest.mark.parametrize(
    "source", ["2001:db8::1", "::1", "ff02::1", "192.0.2.1", "", "fe80::x"]
)
def test_only_link_local_cars_are_answered(source: str) -> None:
    with pytest.raises(V2gError, match="not link-local"):
        sdp.answer(ask(NONE), source, Station(HERE, None, 50_001))


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("01fe9000000000021010", "UDP"),
        ("01fe9000000000021100", "security byte 0x11"),
        ("01fe9000000000021001", "transport byte 0x01"),
        ("01fe90000000000110", "of 1 bytes"),
        ("01fe900000000003100000", "of 3 bytes"),
        ("01fe9002000000021000", "type 0x9002"),
        ("01fe9001000000021000", "type 0x9001"),
        ("01fe8001000000021000", "type 0x8001"),
        ("02fe9000000000021000", "begins 02fe"),
        ("", "no header"),
    ],
)
def test_silence(payload: str, text: str) -> None:
    with pytest.raises(V2gError, match=text):
        sdp.answer(bytes.fromhex(payload), CAR, Station(HERE, None, 50_001))


@pytest.mark.parametrize(
    ("address", "tls_port", "plain_port", "text"),
    [
        ("2001:db8::1", 50_001, None, "link-local"),
        ("fe80::1", None, None, "listener"),
        ("fe80::1", 49_151, None, "49152"),
        ("fe80::1", None, 65_536, "65535"),
    ],
)
def test_stations_that_cannot_be(
    address: str, tls_port: int | None, plain_port: int | None, text: str
) -> None:
    with pytest.raises(V2gError, match=text):
        Station(IPv6Address(address), tls_port, plain_port)
