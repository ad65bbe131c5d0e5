"""ClientHello: Python's own, hand-written ones, any bytes; the certificate chosen."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.vehicle.iso15118 import client_hello
from chargerd.vehicle.iso15118.client_hello import ClientHello
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.identity import Loaded, choose, load, root_hashes
from hil.pki.make import make_pki
from hil.pki.profiles import Profile
from tests.unit.vehicle_iso.pki.tls_peer import V1_2, V1_3, identity, trust_of

NOW = datetime.now(UTC)
P256, P521, ED448 = 0x0403, 0x0603, 0x0808
ALL = frozenset({P256, P521, ED448})


def said_by_python(version: ssl.TLSVersion) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="secc")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def record(body: bytes, kind: int = 22) -> bytes:
    return bytes([kind]) + b"\x03\x01" + len(body).to_bytes(2) + body


def vector(data: bytes, size: int = 2) -> bytes:
    return len(data).to_bytes(size) + data


def message(extensions: dict[int, bytes]) -> bytes:
    """A ClientHello message by hand (RFC 8446 4.1.2)."""
    body = b"\x03\x03" + bytes(32) + vector(b"", 1) + vector(b"\xc0\x23")
    body += vector(b"\x00", 1)
    body += vector(
        b"".join(kind.to_bytes(2) + vector(data) for kind, data in extensions.items())
    )
    return b"\x01" + len(body).to_bytes(3) + body


@pytest.mark.parametrize(("version", "speaks"), [(V1_2, False), (V1_3, True)])
def test_what_python_says(version: ssl.TLSVersion, speaks: bool) -> None:
    data = said_by_python(version)
    hello = client_hello.read(data)
    assert hello is not None
    assert hello.speaks_1_3 is speaks
    assert {P256, P521} <= hello.schemes
    for cut in range(len(data)):
        assert client_hello.read(data[:cut]) is None


def test_roots_that_it_names() -> None:
    """trusted_ca_keys (RFC 6066 6) and certificate_authorities (RFC 8446 4.2.4)."""
    trusted = b"\x00" + b"\x01" + b"k" * 20 + b"\x02" + vector(b"name2") + b"\x03"
    trusted += b"c" * 20
    hello = client_hello.read(
        record(
            message(
                {
                    3: vector(trusted),
                    13: vector(b"\x04\x03\x06\x03"),
                    43: vector(b"\x03\x04\x03\x03", 1),
                    47: vector(vector(b"name1") + vector(b"name3")),
                }
            )
        )
    )
    assert hello == ClientHello(
        version=0x0303,
        versions=frozenset({0x0304, 0x0303}),
        schemes=frozenset({P256, P521}),
        root_names=frozenset({b"name1", b"name2", b"name3"}),
        root_hashes=frozenset({b"k" * 20, b"c" * 20}),
    )


@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_hello_in_many_records(size: int) -> None:
    whole = message({13: vector(b"\x04\x03")})
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    hello = client_hello.read(b"".join(record(part) for part in parts))
    assert hello is not None
    assert hello.schemes == {P256}


@pytest.mark.parametrize(
    "extensions",
    [
        {13: b"\x00\x03\x04\x03\x06"},  # an odd number of bytes
        {13: b"\xff\xff"},  # longer than what is there
        {3: vector(b"\x01short")},
        {3: vector(b"\x09")},
        {43: b""},
        {47: b"\x00\x02\x00\x09"},
    ],
)
def test_lengths_that_cannot_be(extensions: dict[int, bytes]) -> None:
    with pytest.raises(V2gError, match="TLS: "):
        client_hello.read(record(message(extensions)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for framed in (data, record(data), record(b"\x01" + vector(data, 3))):
        with contextlib.suppress(V2gError):
            client_hello.read(framed)


HELLO = said_by_python(V1_3)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_changed_hello(at: int, value: int) -> None:
    data = bytearray(HELLO)
    data[at] = value
    with contextlib.suppress(V2gError):
        client_hello.read(bytes(data))


# --- the certificate chosen -----------------------------------------------------------


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[Profile, Loaded]:
    folder: Path = tmp_path_factory.mktemp("known")
    return {
        profile: load(identity(pki.secc, folder / profile.value), trust_of(pki))
        for profile, pki in ((each, make_pki(each, NOW)) for each in Profile)
    }


def hello(
    version: int, schemes: frozenset[int], **roots: frozenset[bytes]
) -> ClientHello:
    versions = frozenset({version}) if version == 0x0304 else frozenset[int]()
    return ClientHello(0x0303, versions, schemes, **roots)


@pytest.mark.parametrize(
    ("version", "schemes", "expected"),
    [
        (0x0303, ALL, Profile.ISO2),
        (0x0303, {P256}, Profile.ISO2),
        (0x0304, ALL, Profile.ISO20),
        (0x0304, {P521}, Profile.ISO20),
        (0x0304, {ED448, P256}, Profile.ISO20_ED448),
        (0x0304, {P256}, Profile.ISO2),
        (0x0304, {0x0804}, Profile.ISO20),  # RSA alone: nothing fits, TLS will say so
    ],
)
def test_chosen_by_version_and_algorithms(
    known: dict[Profile, Loaded], version: int, schemes: set[int], expected: Profile
) -> None:
    for order in (list(known.values()), list(known.values())[::-1]):
        chosen = choose(order, hello(version, frozenset(schemes)))
        assert chosen is known[expected]


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("version", [0x0303, 0x0304])
def test_chosen_by_the_root_it_names(
    known: dict[Profile, Loaded], profile: Profile, version: int
) -> None:
    loaded = known[profile]
    named = hello(version, ALL, root_names=frozenset({loaded.root_name, b"other"}))
    assert choose(list(known.values()), named) is loaded
    for digest in loaded.root_hashes:
        hashed = hello(version, ALL, root_hashes=frozenset({digest}))
        assert choose(list(known.values()), hashed) is loaded


def test_a_named_root_does_not_help_an_algorithm_that_is_not_spoken(
    known: dict[Profile, Loaded],
) -> None:
    name = known[Profile.ISO20].root_name
    asked = hello(0x0304, frozenset({P256}), root_names=frozenset({name}))
    assert choose(list(known.values()), asked) is known[Profile.ISO2]


def test_hashes_of_a_root(known: dict[Profile, Loaded]) -> None:
    pki = make_pki(Profile.ISO2, NOW)
    loaded_hash = hashlib.sha1(pki.secc.root.der, usedforsecurity=False).digest()
    assert loaded_hash in root_hashes(pki.secc.root.certificate)
