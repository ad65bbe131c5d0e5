"""Security profiles 2 and 3 against real TLS servers: what is shown, taken, refused."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargerd.clock import Clock
from chargerd.config import Config, StoreConfig
from chargerd.ocpp import link
from chargerd.ocpp.client import OcppClient
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.jobs.build import workers
from chargerd.ocpp.station import OcppStation
from chargerd.trust import layout
from tests.unit.ocpp.fakes import FakeCsms, FakeOutbox
from tests.unit.ocpp.pem_kit import Made, make, rsa_key, sign
from tests.unit.ocpp.station_rig import config

req = pytest.mark.req
pytestmark = pytest.mark.asyncio

ROOT = make("CSMS root", ca=True)
SUB = make("CSMS Sub-CA", ROOT, ca=True)
OTHER = make("another root", ca=True)
PASSWORD = "a pässword of ours"
BAD = "InvalidCsmsCertificate"


def write(folder: Path, name: str, *made: Made, key: bool = True) -> Path:
    """A PEM file: the first one's key, then all certificates."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    text = made[0].key_pem if key else ""
    file.write_text(text + "".join(each.pem for each in made))
    return file


def server(folder: Path, *chain: Made, clients: Made | None = None) -> ssl.SSLContext:
    """A CSMS's side of TLS; `clients`: the root of the certificates it wants."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(write(folder, "server.pem", *chain))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context


def station(folder: Path, *roots: Made) -> Path:
    """The station's folder, with these roots of the CSMS."""
    own = folder / "station"
    write(own, layout.CA, *roots, key=False)
    return own


async def meet(context: ssl.SSLContext, own: Path, **changed: Any) -> Any:
    """What TLS came to: (event, client's certificate, version, cipher, compression)."""
    csms = FakeCsms()
    async with csms.running(ssl=context):
        connection = Connection(
            **{
                "url": f"wss://localhost:{csms.port}/ocpp",
                "identity": "CP1",
                "security_profile": 2,
                "password": PASSWORD,
                "certificates_dir": str(own),
                **changed,
            }
        )
        try:
            websocket = await link.open_link(connection, 0.0, link.tls(connection))
        except link.LinkError as error:
            assert csms.links == []  # no frame was exchanged
            return error.event or error.description, None, "", "", ""
        await csms.until(lambda: csms.links)
        tls = csms.links[0].transport.get_extra_info("ssl_object")
        client = tls.getpeercert(binary_form=True)
        told = (tls.version(), tls.cipher()[0], tls.compression())
        await websocket.close()
        return "", client, *told


# The certificate of the CSMS.


@req(
    "A00.FR.308", "A00.FR.309", "A00.FR.310", "A00.FR.311", "A00.FR.411", "A00.FR.412",
    "A00.FR.413", "A00.FR.414", "A00.FR.510",
)  # fmt: skip
@pytest.mark.parametrize(
    ("chain", "event"),
    [
        ((make("localhost", SUB), SUB), ""),  # CN alone, as OCPP wants it
        ((make("any", ROOT, hosts=["localhost"]),), ""),
        ((make("elsewhere.example", SUB), SUB), BAD),
        ((make("localhost", ROOT, hosts=["elsewhere.example"]),), BAD),
        ((make("localhost", SUB),), BAD),  # a CA is missing
        ((make("localhost", OTHER),), BAD),
        ((make("localhost"),), BAD),
        ((make("localhost", ROOT, days=-1),), BAD),
        ((make("localhost", ROOT, age_days=-1),), BAD),
        ((make("localhost", make("no CA", ROOT)), make("no CA", ROOT)), BAD),
    ],
    ids=["cn", "san", "cn-other", "san-other", "gap", "root", "self", "old", "new",
         "no-ca"],
)  # fmt: skip
async def test_the_certificate_of_the_csms(
    tmp_path: Path, chain: tuple[Made, ...], event: str
) -> None:
    own = station(tmp_path, ROOT)
    assert (await meet(server(tmp_path, *chain), own))[0] == event


@req("A00.FR.501", "A00.FR.502", "A00.FR.503")
@pytest.mark.parametrize(
    ("key", "good"),
    [
        (rsa_key(1024), False),
        (rsa_key(2048), True),
        (ec.generate_private_key(ec.SECP192R1()), False),
        (ec.generate_private_key(ec.SECP256R1()), True),
    ],
    ids=["rsa-1024", "rsa-2048", "p-192", "p-256"],
)
async def test_weak_keys_are_refused(tmp_path: Path, key: Any, good: bool) -> None:
    weak = make("localhost", ROOT, key=key)
    context = server(tmp_path, weak)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    event = (await meet(context, station(tmp_path, ROOT)))[0]
    assert (event == "") is good


# The channel.


@req(
    "A00.FR.312", "A00.FR.314", "A00.FR.317", "A00.FR.319", "A00.FR.415", "A00.FR.417",
    "A00.FR.420", "A00.FR.422",
)  # fmt: skip
@pytest.mark.parametrize(
    ("version", "cipher", "key"),
    [
        ("TLSv1.3", "TLS_AES_256_GCM_SHA384", None),
        ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", None),
        ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", None),
        ("TLSv1.2", "AES128-GCM-SHA256", "rsa"),
        ("TLSv1.2", "AES256-GCM-SHA384", "rsa"),
    ],
)
async def test_every_cipher_suite_of_the_text(
    tmp_path: Path, version: str, cipher: str, key: str | None
) -> None:
    leaf = make("localhost", ROOT, key=rsa_key(2048) if key else None)
    context = server(tmp_path, leaf)
    if version == "TLSv1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
    met = await meet(context, station(tmp_path, ROOT))
    assert met[0] == ""
    assert met[2:4] == (version, cipher)


@req("A00.FR.321", "A00.FR.424")
async def test_nothing_is_compressed(tmp_path: Path) -> None:
    context = server(tmp_path, make("localhost", ROOT))
    context.options &= ~ssl.OP_NO_COMPRESSION
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await meet(context, station(tmp_path, ROOT)))[4] is None
    ours = link.tls(
        Connection("wss://x", "CP1", 2, certificates_dir=str(tmp_path / "station"))
    )
    assert ours is not None
    assert ours.options & ssl.OP_NO_COMPRESSION


# The password.


@req(
    "A00.FR.202", "A00.FR.203", "A00.FR.204", "A00.FR.205", "A00.FR.301", "A00.FR.302",
    "A00.FR.303", "A00.FR.304",
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_name_and_password_come_with_every_connection(
    tmp_path: Path, scheme: str
) -> None:
    own = station(tmp_path, ROOT)
    context = server(tmp_path, make("localhost", ROOT)) if scheme == "wss" else None
    heard = []

    def listen(_link: Any, request: Any) -> None:
        heard.append(request.headers["Authorization"])

    csms = FakeCsms()
    async with csms.running(ssl=context, process_request=listen):
        profile = 2 if scheme == "wss" else 1
        url = f"{scheme}://localhost:{csms.port}/ocpp"
        made = Connection(url, "CP1", profile, PASSWORD, certificates_dir=str(own))
        for _ in range(2):
            websocket = await link.open_link(made, 0.0, link.tls(made))
            await websocket.close()
    pair = base64.b64decode(heard[0].removeprefix("Basic ")).decode("utf-8")
    assert heard[0].startswith("Basic ")
    assert pair == f"CP1:{PASSWORD}"
    assert heard == heard[:1] * 2


# The station's certificate.


@req("A00.FR.401", "A00.FR.402", "A00.FR.430")
@pytest.mark.parametrize("days", [10, -1])
async def test_the_certificate_is_shown_even_when_it_has_expired(
    tmp_path: Path, days: float
) -> None:
    """Whether an expired one is taken is the CSMS's decision."""
    own = station(tmp_path, ROOT)
    leaf = make("CP1", ROOT, days=days)
    write(own, layout.STATION, leaf, key=False)
    (own / layout.STATION_KEY).write_text(leaf.key_pem)
    context = server(tmp_path, make("localhost", ROOT), clients=ROOT)
    if days < 0:
        context.verify_flags |= 0x200000  # X509_V_FLAG_NO_CHECK_TIME
    met = await meet(context, own, security_profile=3)
    assert met[:2] == ("", _der(leaf))


def _der(made: Made) -> bytes:
    return ssl.PEM_cert_to_DER_cert(made.pem)


@req("A02.FR.28", "A03.FR.24")
@pytest.mark.parametrize("spare", [False, True])
async def test_the_renewed_certificate_or_the_one_before_it(
    tmp_path: Path, spare: bool
) -> None:
    own = station(tmp_path, ROOT)
    old, new = make("CP1", ROOT), make("CP1", ROOT)
    write(own, layout.STATION, old)
    write(own, layout.STATION_NEW, new)
    context = server(tmp_path, make("localhost", ROOT), clients=ROOT)
    met = await meet(context, own, security_profile=3, spare_client=spare)
    assert met[:2] == ("", _der(old if spare else new))


@req("M05.FR.10", "M05.FR.14")
@pytest.mark.parametrize(
    ("issuer", "spare", "event"),
    [("new", False, ""), ("old", False, BAD), ("old", True, "")],
)
async def test_a_new_root_stands_alone_and_the_old_one_waits(
    tmp_path: Path, issuer: str, spare: bool, event: str
) -> None:
    """The new root is signed by the old one, which is not needed to believe it."""
    new = make("CSMS root 2", ROOT, ca=True)
    own = tmp_path / "station"
    write(own, f"{layout.ROOTS}/new.pem", new, key=False)
    write(own, f"{layout.ROOTS_BEFORE}/old.pem", ROOT, key=False)
    leaf = make("localhost", new if issuer == "new" else ROOT)
    context = server(tmp_path, leaf)
    assert (await meet(context, own, spare_root=spare))[0] == event


# The whole way of a renewal.


def mutual(own: Path, port: int) -> Config:
    made = config(
        url=f"wss://localhost:{port}/ocpp",
        security_profile=3,
        certificates_dir=own,
        device_model={
            "OCPPCommCtrlr.RetryBackOffWaitMinimum": 1,
            "OCPPCommCtrlr.RetryBackOffRandomRange": 0,
        },
    )
    store = StoreConfig(path=own.parent / "state.db")
    return made.model_copy(update={"store": store})


class Renewing(FakeCsms):
    """Accepts a station, lets it make a key, signs it."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self.say
        self.signed: list[Made] = []

    def say(self, frame: list[Any]) -> Any:
        if frame[2] == "BootNotification":
            now = {"currentTime": Clock().now().utc.isoformat()}
            return {**now, "interval": 300, "status": "Accepted"}
        if frame[2] == "SignCertificate":
            self.signed.append(sign(frame[3]["csr"], SUB))
            return {"status": "Accepted"}
        return {}

    def shown(self) -> bytes:
        tls = self.links[-1].transport.get_extra_info("ssl_object")
        found = tls.getpeercert(binary_form=True)
        assert found is not None
        return bytes(found)

    async def tell(self, action: str, payload: dict[str, Any]) -> Any:
        await self.links[-1].send(json.dumps([2, action, action, payload]))
        await self.until(lambda: [3, action] in [f[:2] for f in self.frames])
        return next(f[2] for f in self.frames if f[:2] == [3, action])


@req("A02.FR.08", "A02.FR.10", "A02.FR.05", "A03.FR.08")
async def test_a_certificate_is_renewed_over_its_own_link(tmp_path: Path) -> None:
    own = station(tmp_path, ROOT)
    old = make("CP1", SUB)
    write(own, layout.STATION, old, SUB, key=False)
    (own / layout.STATION_KEY).write_text(old.key_pem)
    csms = Renewing()
    context = server(tmp_path, make("localhost", ROOT), clients=ROOT)
    async with csms.running(ssl=context):
        conf = mutual(own, csms.port)
        client = OcppClient(
            conf.ocpp, OcppStation(conf, {}), FakeOutbox(), Clock(), print, print,
            print, workers(conf),
        )  # fmt: skip
        running = asyncio.create_task(client.run())
        await csms.until(lambda: "BootNotification" in csms.actions())
        assert csms.shown() == _der(old)
        wish = {"requestedMessage": "SignChargingStationCertificate"}
        assert await csms.tell("TriggerMessage", wish) == {"status": "Accepted"}
        await csms.until(lambda: csms.signed)
        (new,) = csms.signed
        chain = {"certificateChain": new.pem + SUB.pem}
        assert await csms.tell("CertificateSigned", chain) == {"status": "Accepted"}
        await csms.until(lambda: len(csms.links) == 2)
        assert csms.shown() == _der(new)
        # Jobs are done in order: this one comes after the settling.
        assert (await csms.tell("GetInstalledCertificateIds", {}))["status"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not (own / layout.STATION_NEW).exists()
    assert not (own / layout.STATION_KEY).exists()
    assert new.pem in (own / layout.STATION).read_text()
    spoken = json.dumps(csms.frames)
    assert "PRIVATE KEY" not in spoken
    subject = new.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert subject[0].value == "CP1"
    assert "StartupOfTheDevice" in (tmp_path / "security.log").read_text()
