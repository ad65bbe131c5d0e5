"""The one TLS port: which vehicle gets what. Clients are Python's ssl, in memory."""

from __future__ import annotations

import ssl
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from chargerd.vehicle.iso15118 import client_hello
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.identity import choose
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.tls import MAX_HANDSHAKE_BYTES, Identity, TlsServer
from hil.pki.bad import Flaw, make_bad, ocsp_answer
from hil.pki.make import Chain, Pki, issue, leaf_wanted, make_pki, new_key
from hil.pki.profiles import Profile, Use
from tests.unit.vehicle_iso.pki.tls_peer import (
    V1_1,
    V1_2,
    V1_3,
    client_context,
    identity,
    pair,
    root_file,
    stapled,
    trust_of,
)

NOW = datetime.now(UTC)
CBC = "ECDHE-ECDSA-AES128-SHA256"  # 0xC023


@pytest.fixture(scope="module")
def pkis() -> dict[Profile, Pki]:
    return {profile: make_pki(profile, NOW) for profile in Profile}


@pytest.fixture(scope="module")
def server(
    pkis: dict[Profile, Pki], tmp_path_factory: pytest.TempPathFactory
) -> TlsServer:
    """A station with a certificate of each kind."""
    folder = tmp_path_factory.mktemp("station")
    identities = [
        identity(pki.secc, folder / profile.value) for profile, pki in pkis.items()
    ]
    return TlsServer(identities, trust_of(*pkis.values()))


# Which PKI the vehicle belongs to, its version, whether it shows a certificate; what it
# gets: the cipher, and whether ISO 15118-20 may be spoken.
KINDS = [
    (Profile.ISO2, V1_2, False, CBC, False),
    (Profile.ISO2, V1_2, True, CBC, False),
    (Profile.ISO20, V1_3, True, "TLS_AES_256_GCM_SHA384", True),
    (Profile.ISO20, V1_3, False, "TLS_AES_256_GCM_SHA384", False),
]


@pytest.mark.parametrize(("profile", "version", "shows", "cipher", "mutual"), KINDS)
def test_kinds_of_vehicles(
    pkis: dict[Profile, Pki],
    server: TlsServer,
    tmp_path: Path,
    profile: Profile,
    version: ssl.TLSVersion,
    shows: bool,
    cipher: str,
    mutual: bool,
) -> None:
    pki = pkis[profile]
    root = root_file(pki.secc, tmp_path)
    own = pki.oem if shows else None
    peer = pair(server, client_context(root, version, own), NOW)
    peer.pump()
    assert peer.link.established
    assert peer.link.mutual_1_3 is mutual
    assert peer.link.vehicle == (pki.oem.leaf.der if mutual else None)
    assert peer.client.cipher()[0] == cipher  # type: ignore[index]
    assert peer.link.summary.endswith(cipher)
    peer.say(b"request")
    peer.pump(2)
    peer.link.send(b"answer")
    peer.pump(2)
    assert (peer.heard, peer.got) == (b"request", b"answer")


def test_ed448_on_both_sides(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path
) -> None:
    """A client that can check Ed448 alone: Python cannot say so, pyOpenSSL neither;
    a station that has nothing else shows it."""
    pki = pkis[Profile.ISO20_ED448]
    only = TlsServer([identity(pki.secc, tmp_path / "s")], trust_of(pki))
    context = client_context(root_file(pki.secc, tmp_path), V1_3, pki.oem)
    peer = pair(only, context, NOW)
    peer.pump()
    assert peer.link.mutual_1_3


@pytest.mark.parametrize("group", ["secp521r1", "X448", "prime256v1"])
def test_key_shares_of_iso20(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path, group: str
) -> None:
    """secp521r1 and x448 are ISO 15118-20's; P-256 is what others offer."""
    pki = pkis[Profile.ISO20]
    context = client_context(root_file(pki.secc, tmp_path), V1_3, pki.oem)
    try:
        context.set_ecdh_curve(group)
    except ssl.SSLError:
        pytest.skip(f"this Python's own OpenSSL, the client, cannot choose {group}")
    peer = pair(server, context, NOW)
    peer.pump()
    assert peer.link.mutual_1_3


@pytest.mark.parametrize(
    ("profile", "version"), [(Profile.ISO2, V1_2), (Profile.ISO20, V1_3)]
)
def test_no_session_is_resumed(
    pkis: dict[Profile, Pki],
    server: TlsServer,
    tmp_path: Path,
    profile: Profile,
    version: ssl.TLSVersion,
) -> None:
    """A vehicle that comes back shows its certificate again."""
    pki = pkis[profile]
    context = client_context(root_file(pki.secc, tmp_path), version, pki.oem)
    first = pair(server, context, NOW)
    first.pump()
    again = pair(server, context, NOW)
    again.client.session = first.client.session
    again.pump()
    assert again.link.established
    assert not again.client.session_reused
    assert again.link.mutual_1_3 is (version is V1_3)


def test_one_byte_at_a_time(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path
) -> None:
    pki = pkis[Profile.ISO20]
    context = client_context(root_file(pki.secc, tmp_path), V1_3, pki.oem)
    peer = pair(server, context, NOW)
    peer.pump(piece=1)
    peer.say(b"x" * 5000)
    peer.pump(2, piece=1)
    assert peer.link.mutual_1_3
    assert peer.heard == b"x" * 5000


def test_a_goodbye_on_each_side(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path
) -> None:
    pki = pkis[Profile.ISO20]
    context = client_context(root_file(pki.secc, tmp_path), V1_3, pki.oem)
    peer = pair(server, context, NOW)
    peer.pump()
    peer.goodbye()
    peer.pump(1)
    assert peer.link.closed
    peer.link.close()
    peer.link.close()
    assert peer.link.to_send()


# --- vehicles that are turned away ----------------------------------------------------


@pytest.mark.parametrize(
    ("flaw", "alert"),
    [
        (Flaw.WRONG_ROOT, "UNKNOWN_CA"),
        (Flaw.SELF_SIGNED, "UNKNOWN_CA"),
        (Flaw.EXPIRED, "CERTIFICATE_EXPIRED"),
        (Flaw.NOT_YET_VALID, "BAD_CERTIFICATE"),
        (Flaw.SUB_EXPIRED, "CERTIFICATE_EXPIRED"),
        (Flaw.SUB_NOT_CA, "UNKNOWN_CA"),
        (Flaw.TOO_DEEP, "UNKNOWN_CA"),
        (Flaw.FORGED, "DECRYPT_ERROR"),
        (Flaw.CRITICAL_EXTRA, "CERTIFICATE_UNKNOWN"),
    ],
)
def test_bad_certificates_of_vehicles(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path, flaw: Flaw, alert: str
) -> None:
    """A certificate that is shown must be good; the alert says what is wrong."""
    pki = pkis[Profile.ISO20]
    bad = make_bad(pki, Use.OEM, flaw, NOW)
    context = client_context(root_file(pki.secc, tmp_path), V1_3, bad)
    peer = pair(server, context, NOW)
    with pytest.raises(V2gError, match="TLS: certificate verify failed"):
        peer.pump()
    assert not peer.link.established
    assert not peer.link.mutual_1_3
    with pytest.raises(ssl.SSLError, match=alert):
        peer.take_alert()


def test_dates_are_not_judged_while_the_clock_is_not_trusted(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path
) -> None:
    pki = pkis[Profile.ISO20]
    old = make_bad(pki, Use.OEM, Flaw.EXPIRED, NOW)
    context = client_context(root_file(pki.secc, tmp_path), V1_3, old)
    peer = pair(server, context, None)
    peer.pump()
    assert peer.link.mutual_1_3
    stranger = make_bad(pki, Use.OEM, Flaw.WRONG_ROOT, NOW)
    context = client_context(root_file(pki.secc, tmp_path), V1_3, stranger)
    with pytest.raises(V2gError):
        pair(server, context, None).pump()


def test_dates_are_judged_at_the_stations_own_time(
    pkis: dict[Profile, Pki], tmp_path: Path
) -> None:
    """The machine's clock may be wrong; the time that the central system gave counts.
    The station's certificate lives long here, the vehicle's ends in between."""
    pki = pkis[Profile.ISO20]
    late = NOW + timedelta(days=700)
    wanted = replace(leaf_wanted(Use.SECC, NOW), not_after=NOW + timedelta(days=300))
    secc = issue(wanted, new_key(Profile.ISO20), pki.secc.subs[0])
    chain = Chain(secc, pki.secc.subs, pki.secc.root)
    server = TlsServer([identity(chain, tmp_path / "s")], trust_of(pki))
    short = replace(leaf_wanted(Use.OEM, NOW), not_after=NOW + timedelta(days=100))
    own = issue(short, new_key(Profile.ISO20), pki.oem.subs[0])
    vehicle = Chain(own, pki.oem.subs, pki.oem.root)
    context = client_context(root_file(pki.secc, tmp_path), V1_3, vehicle)
    for days, welcome in ((0, True), (99, True), (101, False), (-1, False), (1, True)):
        peer = pair(server, context, NOW + timedelta(days=days))
        if welcome:
            peer.pump()
            assert peer.link.mutual_1_3
        else:
            with pytest.raises(V2gError):
                peer.pump()
    with pytest.raises(V2gError, match="ended"):
        pair(server, context, late).pump()


def test_no_roots_for_vehicles_means_no_iso20(
    pkis: dict[Profile, Pki], tmp_path: Path
) -> None:
    pki = pkis[Profile.ISO20]
    blind = TlsServer([identity(pki.secc, tmp_path / "s")], Trust())
    context = client_context(root_file(pki.secc, tmp_path), V1_3, pki.oem)
    peer = pair(blind, context, NOW)
    peer.pump()
    assert peer.link.established
    assert not peer.link.mutual_1_3


def test_a_certificate_bomb(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path
) -> None:
    """60 kB of a certificate: not taken in, whatever is in it."""
    pki = pkis[Profile.ISO20]
    huge = make_bad(pki, Use.OEM, Flaw.HUGE, NOW)
    context = client_context(root_file(pki.secc, tmp_path), V1_3, huge)
    with pytest.raises(V2gError, match=f"over {MAX_HANDSHAKE_BYTES} bytes"):
        pair(server, context, NOW).pump(piece=4096)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_refused(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path
) -> None:
    pki = pkis[Profile.ISO2]
    context = client_context(root_file(pki.secc, tmp_path), V1_1)
    peer = pair(server, context, NOW)
    with pytest.raises(V2gError, match="unsupported protocol"):
        peer.pump()
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        peer.take_alert()


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-GCM-SHA256", "AES128-SHA"])
def test_other_ciphers_are_refused(
    pkis: dict[Profile, Pki], server: TlsServer, tmp_path: Path, cipher: str
) -> None:
    root = root_file(pkis[Profile.ISO2].secc, tmp_path)
    peer = pair(server, client_context(root, V1_2, ciphers=cipher), NOW)
    with pytest.raises(V2gError, match="no shared cipher"):
        peer.pump()


@pytest.mark.parametrize(
    "words",
    [
        bytes.fromhex("01fe800100000007") + b"\x80\x00\xdb\xab\x93\x71\xd3",  # V2GTP
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x00",  # a record of nothing
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",  # 16 MB announced
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert
    ],
)
def test_plain_bytes_on_the_tls_port(server: TlsServer, words: bytes) -> None:
    link = server.wrap(NOW)
    with pytest.raises(V2gError, match="TLS: "):
        link.receive(words)
    assert link.to_send() == b""
    assert not link.established


def test_nothing_is_said_before_the_handshake(server: TlsServer) -> None:
    link = server.wrap(NOW)
    with pytest.raises(V2gError, match="before the handshake"):
        link.send(b"secret")
    assert link.to_send() == b""


# --- the station's own certificates ---------------------------------------------------


@pytest.mark.parametrize("profile", [Profile.ISO2, Profile.ISO20, Profile.ISO20_ED448])
def test_a_vehicle_that_names_its_root_gets_that_chain(
    pkis: dict[Profile, Pki], server: TlsServer, profile: Profile
) -> None:
    """certificate_authorities of RFC 8446 4.2.4, which `openssl s_client` can send;
    here written by hand into a ClientHello and read by `choose`."""
    root = pkis[profile].secc.root.certificate
    schemes = frozenset({0x0403, 0x0603, 0x0808})
    hello = client_hello.ClientHello(
        0x0303,
        frozenset({0x0304}),
        schemes,
        root_names=frozenset({root.subject.public_bytes()}),
    )
    chosen = choose(server.known, hello)
    assert chosen.leaf == pkis[profile].secc.leaf.certificate


def test_a_broken_file_is_named(pkis: dict[Profile, Pki], tmp_path: Path) -> None:
    good = identity(pkis[Profile.ISO2].secc, tmp_path / "good")
    other = identity(pkis[Profile.ISO20].secc, tmp_path / "other")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
        b"-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    away = tmp_path / "away.pem"
    for files, said in [
        (Identity(away, good.key), "away.pem is no PEM chain"),
        (Identity(broken, good.key), "broken.pem is no PEM chain"),
        (Identity(good.chain, away), "away.pem is not the key of"),
        (Identity(good.chain, broken), "broken.pem is no key that can be used"),
        (Identity(good.chain, other.key), "leaf.key is not the key of"),
        (Identity(good.chain, locked), "without a password"),
    ]:
        with pytest.raises(V2gError, match=said):
            TlsServer([files], Trust())
    with pytest.raises(V2gError, match="no certificate of the station"):
        TlsServer([], Trust())


@pytest.mark.parametrize("flaw", [Flaw.WRONG_DOMAIN, Flaw.LEAF_IS_CA, Flaw.FORGED])
def test_a_flawed_certificate_is_not_served(
    pkis: dict[Profile, Pki], tmp_path: Path, flaw: Flaw
) -> None:
    bad = identity(make_bad(pkis[Profile.ISO2], Use.SECC, flaw, NOW), tmp_path)
    with pytest.raises(V2gError, match=r"chain\.pem: SECC"):
        TlsServer([bad], Trust())


def test_an_expired_certificate_is_a_problem_not_a_service(
    pkis: dict[Profile, Pki], tmp_path: Path
) -> None:
    """An old one beside a good one is passed over; alone it ends the service."""
    pki = pkis[Profile.ISO2]
    old = identity(make_bad(pki, Use.SECC, Flaw.EXPIRED, NOW), tmp_path / "old")
    good = identity(pki.secc, tmp_path / "good")
    context = client_context(root_file(pki.secc, tmp_path), V1_2)

    alone = TlsServer([old], Trust())
    assert "old/chain.pem ended" in alone.problem(NOW)
    assert alone.problem(None) == ""
    with pytest.raises(V2gError, match="ended"):
        pair(alone, context, NOW).pump()

    both = TlsServer([old, good], Trust())
    assert both.problem(NOW) == ""
    peer = pair(both, context, NOW)
    peer.pump()
    assert peer.link.established
    assert "ended" in both.problem(NOW + timedelta(days=61))


# --- OCSP staples ---------------------------------------------------------------------


def test_staples_are_shown_while_they_hold(
    pkis: dict[Profile, Pki], tmp_path: Path
) -> None:
    pki = pkis[Profile.ISO20]
    server = TlsServer([identity(pki.secc, tmp_path)], trust_of(pki))
    root = pki.secc.root.certificate
    assert stapled(server.wrap(NOW), root) == b""
    week = ocsp_answer(pki.secc.leaf, pki.secc.subs[0], NOW, life=timedelta(days=7))
    server.staple(week)
    assert stapled(server.wrap(NOW), root) == week
    assert stapled(server.wrap(NOW + timedelta(days=8)), root) == b""
    assert stapled(server.wrap(None), root) == b""  # nobody knows whether it holds


def test_staples_that_are_not_taken(pkis: dict[Profile, Pki], tmp_path: Path) -> None:
    pki = pkis[Profile.ISO2]
    leaf, issuer = pki.secc.leaf, pki.secc.subs[0]
    server = TlsServer([identity(pki.secc, tmp_path)], trust_of(pki))
    for der, said in [
        (b"", "cannot be read"),
        (b"\x30" * 20_000, "too many"),
        (ocsp_answer(leaf, issuer, NOW, revoked=True), "is REVOKED"),
        (ocsp_answer(pki.oem.leaf, pki.oem.subs[0], NOW), "not about a certificate"),
        (ocsp.OCSPResponseBuilder.build_unsuccessful(
            ocsp.OCSPResponseStatus.TRY_LATER
        ).public_bytes(Encoding.DER), "TRY_LATER"),
    ]:  # fmt: skip
        with pytest.raises(V2gError, match=said):
            server.staple(der)


def test_under_the_units_memory_rule(tmp_path: Path) -> None:
    """systemd's MemoryDenyWriteExecute: callbacks made by cffi would fail there."""
    module = "tests.unit.vehicle_iso.pki.hardened_child"
    child = subprocess.run(
        [sys.executable, "-m", module, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[4],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot forbid it" in child.stdout:
        pytest.skip(child.stdout)
    assert child.stdout == "mutual True", child.stderr
