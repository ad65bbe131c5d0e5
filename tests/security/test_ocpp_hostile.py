"""Hostile peers of the OCPP link: memory, TLS, secrets (S02, S08, S14, S43, S44)."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargerd.ocpp import link
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import CallError
from chargerd.ocpp.rpc import CallIn, Reply, Rpc
from chargerd.ocpp.schemas import Schemas
from tests.unit.ocpp.fakes import FakeCsms, make_bench, with_client

S21 = Schemas("ocpp2.1")
NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e308", "9" * 5000, "true", "null",
    '"5000"', "[1]", "{}",
)  # fmt: skip


def rpc() -> Rpc:
    return Rpc("ocpp2.1", S21, lambda: "own")


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:9])
@pytest.mark.parametrize(
    "field", ["limit", "limit_L2", "setpoint", "setpoint_L3", "setpointReactive",
              "dischargeLimit", "dischargeLimit_L2", "numberPhases", "startPeriod"]
)  # fmt: skip
def test_no_number_but_a_finite_one_enters_a_profile(field: str, number: str) -> None:
    """S03: `ocpp` 2.1.0 accepts NaN and hands it to the handler."""
    text = (
        '[2,"a","SetChargingProfile",{"evseId":1,"chargingProfile":{"id":1,'
        '"stackLevel":0,"chargingProfilePurpose":"TxProfile",'
        '"chargingProfileKind":"Absolute","chargingSchedule":[{"id":1,'
        '"chargingRateUnit":"W","chargingSchedulePeriod":[{"startPeriod":0,'
        f'"{field}":{number}}}]}}]}}}}]'
    )
    events = rpc().receive(text, 0.0)
    assert not any(isinstance(event, CallIn) for event in events)
    (answer,) = [json.loads(e.text) for e in events if isinstance(e, Reply)]
    assert answer[:2] == [4, "a"]
    assert answer[2] in (
        "FormatViolation",
        "PropertyConstraintViolation",
        "TypeConstraintViolation",
    )


def test_a_flood_of_answers_to_nothing_leaves_memory_flat() -> None:
    core = rpc()
    texts = [json.dumps([3, f"{n}", {"x": "y" * 200}]) for n in range(300)]

    def flood() -> int:
        for text in texts * 10:
            core.receive(text, 0.0)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = flood()
        second = flood()
    finally:
        tracemalloc.stop()
    assert core.counters.unmatched == 6000
    assert second - first < 20_000


@pytest.mark.parametrize("size", [64 * 1024, 1024 * 1024])
def test_an_over_long_field_is_refused(size: int) -> None:
    for action, field in [("Reset", "type"), ("DataTransfer", "vendorId")]:
        events = rpc().receive(json.dumps([2, "a", action, {field: "x" * size}]), 0.0)
        (answer,) = [json.loads(e.text) for e in events if isinstance(e, Reply)]
        assert answer[:2] == [4, "a"]


def test_errors_never_quote_the_peer_at_length() -> None:
    hostile = "\ud800\x00<script>" + "x" * 10_000
    for payload in (
        {hostile: 1},
        {"type": hostile},
        {"type": "Immediate", hostile: {}},
    ):
        for event in rpc().receive(json.dumps([2, "a", "Reset", payload]), 0.0):
            if isinstance(event, Reply):
                event.text.encode()
                assert len(event.text) < 400


# TLS


def make_certificate(
    folder: Path, name: str, host: str, ca: Any = None, days: int = 1
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=10)
    issuer, signer = (ca[0].subject, ca[1]) if ca else (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=10 + days))
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
    )
    certificate = builder.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def config(port: int, folder: Path, profile: int = 2) -> Connection:
    return Connection(
        url=f"wss://localhost:{port}/ocpp",
        identity="CS1",
        security_profile=profile,
        certificates_dir=str(folder),
        password="canary-password-16",
    )


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    ca = make_certificate(tmp_path, "ca", "CSMS root")
    make_certificate(tmp_path, "good", "localhost", ca)
    make_certificate(tmp_path, "name", "elsewhere.example", ca)
    make_certificate(tmp_path, "expired", "localhost", ca, days=-1)
    make_certificate(tmp_path, "self", "localhost")
    make_certificate(tmp_path, "station", "CS1", ca)
    return tmp_path


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("good", None),
        ("name", "InvalidCsmsCertificate"),
        ("expired", "InvalidCsmsCertificate"),
        ("self", "InvalidCsmsCertificate"),
    ],
)
async def test_certificate_of_the_csms(
    certificates: Path, name: str, event: str | None
) -> None:
    csms = FakeCsms()
    async with csms.running(ssl=server_context(certificates, name)):
        settings = config(csms.port, certificates)
        context = link.tls(settings)
        if event is None:
            websocket = await link.open_link(settings, 10.0, context)
            await websocket.close()
            return
        with pytest.raises(link.LinkError) as caught:
            await link.open_link(settings, 10.0, context)
        assert caught.value.event == event
        assert csms.links == []


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLError:
    """Both ends in memory; returns what the client saw go wrong."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname="localhost")
    theirs = server.wrap_bio(up, down, server_side=True)
    for _ in range(9):
        try:
            ours.do_handshake()
            theirs.do_handshake()
        except ssl.SSLWantReadError:
            with contextlib.suppress(ssl.SSLError):
                theirs.do_handshake()
        except ssl.SSLError as error:
            return error
    raise AssertionError("the handshake went well")


def old_protocol(server: ssl.SSLContext) -> None:
    server.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        server.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        server.maximum_version = ssl.TLSVersion.TLSv1_1


def old_cipher(server: ssl.SSLContext) -> None:
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("ECDHE-ECDSA-AES256-SHA384")  # CBC


@pytest.mark.parametrize(
    ("weaken", "event"),
    [
        pytest.param(old_protocol, "InvalidTLSVersion",
                     marks=pytest.mark.req("A00.FR.314", "A00.FR.316", "A00.FR.417",
                                           "A00.FR.419")),
        pytest.param(old_cipher, "InvalidTLSCipherSuite",
                     marks=pytest.mark.req("A00.FR.323", "A00.FR.426")),
    ],
)  # fmt: skip
def test_weak_tls_is_refused_and_named(
    certificates: Path, weaken: Callable[[ssl.SSLContext], None], event: str
) -> None:
    server = server_context(certificates, "good")
    weaken(server)
    ours = link.tls(config(1, certificates))
    assert ours is not None
    assert link.tls_event(handshake(ours, server)) == event


@pytest.mark.asyncio
async def test_profile_3_shows_the_station_certificate(certificates: Path) -> None:
    context = server_context(certificates, "good")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates / "ca.pem")
    csms = FakeCsms()
    async with csms.running(ssl=context):
        settings = config(csms.port, certificates, profile=3)
        websocket = await link.open_link(settings, 10.0, link.tls(settings))
        await csms.until(lambda: csms.links)
        peer = csms.links[0].transport.get_extra_info("peercert")
        assert peer["subject"][0][0][1] == "CS1"
        await websocket.close()


@pytest.mark.parametrize("missing", ["ca.pem", "station.pem", "station.key"])
def test_missing_certificates_name_the_folder(certificates: Path, missing: str) -> None:
    (certificates / missing).unlink()
    with pytest.raises(link.LinkError, match=str(certificates)):
        link.tls(config(1, certificates, profile=3))


@pytest.mark.asyncio
async def test_a_bad_certificate_becomes_a_security_event(certificates: Path) -> None:
    csms = FakeCsms()
    async with csms.running(ssl=server_context(certificates, "self")):
        bench = make_bench(
            csms,
            "wss",
            url=f"wss://localhost:{csms.port}/ocpp",
            security_profile=2,
            certificates_dir=certificates,
        )

        async def body() -> None:
            await bench.station.until(lambda: bench.station.events)
            assert bench.station.events == ["InvalidCsmsCertificate"]

        await with_client(bench, body)


# Secrets


@pytest.mark.asyncio
async def test_the_password_reaches_no_log(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """S44, with everything at DEBUG: websockets would log the header."""
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()
    csms = FakeCsms()
    async with csms.running(logger=logging.getLogger("tests.quiet_server")):
        logging.getLogger("tests.quiet_server").setLevel(logging.CRITICAL)
        bench = make_bench(csms, password="canary-password-16")

        async def body() -> None:
            await csms.until(lambda: csms.links)
            await csms.ask('[2,"a","Reset",{"type":"canary-token"}]')

        await with_client(bench, body)
    out = capsys.readouterr()
    logged = caplog.text + out.out + out.err
    assert "link_up" in logged
    for secret in ("canary", "Basic", "Y2FuYXJ5"):
        assert secret not in logged


@pytest.mark.asyncio
async def test_the_factory_takes_no_default_of_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S43: compression, proxy and sizes are ours."""
    seen: dict[str, Any] = {}

    async def connect(url: str, **options: Any) -> Any:
        seen.update(options)
        raise OSError("no")

    monkeypatch.setattr(link, "connect", connect)
    with pytest.raises(link.LinkError):
        await link.open_link(Connection("ws://csms/x", "CS1", 0), 0.0, None)
    assert seen["compression"] is None
    assert seen["proxy"] is None
    assert seen["max_size"] == 4 * 1024 * 1024
    assert seen["max_queue"] == 4
    assert seen["open_timeout"] == 10.0
    assert seen["ping_interval"] is None


@pytest.mark.asyncio
async def test_a_zip_bomb_is_not_unpacked() -> None:
    """A frame with the compression bit set, without an extension: link closed."""
    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms)

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            csms.links[0].transport.write(b"\xc1\x05\x00\x01\x02\x03\x04")
            await csms.until(lambda: len(csms.links) == 2)

        await with_client(bench, body)


def test_answer_error_path_is_total() -> None:
    """S06: whatever our own error text holds, a valid frame leaves."""
    for text in ("\ud800", "x" * 10**6, "\x00\n", "%s{}"):
        core = rpc()
        (call,) = core.receive('[2,"a","Reset",{"type":"Immediate"}]', 0.0)
        assert isinstance(call, CallIn)
        frame = json.loads(core.answer(call, CallError("InternalError", text)))
        assert frame[:3] == [4, "a", "InternalError"]
