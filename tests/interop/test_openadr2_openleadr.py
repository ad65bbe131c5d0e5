"""PyPI `openleadr` 0.5.36 as a VTN: events to the vehicle, told and implied cancels,
telemetry, and a VTN that restarts and has forgotten us."""

from __future__ import annotations

import datetime as dt
import signal
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hil.stand import free_port
from tests.interop.partner import Partner, install, partner
from tests.process import Plant, patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

VTN = Path(__file__).with_name("openleadr_vtn.py")
PATH = "OpenADR2/Simple/2.0b"
DISCHARGE = {
    "id": "E1",
    "name": "LOAD_DISPATCH",
    "type": "setpoint",
    "item": ["powerReal", "RealPower", "W"],
    "scale": "k",
    "values": [-3.0],
    "each_s": 3600,
}
PRICE = {
    "id": "P1",
    "name": "ELECTRICITY_PRICE",
    "type": "price",
    "item": ["currencyPerKWh", "currencyPerKWh", "JPY"],
    "values": [20.0, 45.5],
    "each_s": 1800,
}


async def flows(plant: Plant, power_w: float) -> None:
    async def there() -> bool:
        return abs(await plant.power_w() - power_w) < 300.0

    await until(f"{power_w} W at the terminals", there, 30.0)


async def let_go(plant: Plant, power_w: float) -> None:
    async def gone() -> bool:
        return abs(await plant.power_w() - power_w) > 1000.0

    await until(f"{power_w} W is over", gone, 30.0)


async def opted(vtn: Partner, *answer: str) -> None:
    async def there() -> bool:
        return list(answer) in (await vtn.ask("seen"))["opts"]

    await until(f"{answer}", there, 30.0)


def environment(scheme: str, port: int, **more: str) -> dict[str, str]:
    prefix = "CHARGERD__GRID__OPENADR2__"
    values = {
        "URL": f"{scheme}://127.0.0.1:{port}/{PATH}",
        "VEN_NAME": "chargerd",
        "MARKET_CONTEXTS": '["http://market"]',
        "SYNC_S": "5",
        **more,
    }
    return {prefix + key: value for key, value in values.items()}


@pytest.mark.asyncio
async def test_a_vtn_commands_the_vehicle(tmp_path: Path) -> None:
    python = install("openleadr", "0.5.36")
    port = free_port()
    async with (
        partner(python, VTN, str(port)) as vtn,
        station(
            tmp_path, bench=patient_bench(tmp_path), **environment("http", port)
        ) as plant,
    ):
        await vtn.ask("start")
        await vtn.seen("registrations")
        await plant.start_session()

        await vtn.ask("events", DISCHARGE, PRICE)
        await opted(vtn, "E1", "optIn")
        await opted(vtn, "P1", "optIn")
        await flows(plant, -3000.0)

        # Changed: the other direction. Then it is no more in the list, without a word.
        changed = {**DISCHARGE, "mod": 1, "values": [1.5], "resource": "evse1"}
        await vtn.ask("events", changed, PRICE)
        await flows(plant, 1500.0)
        await vtn.ask("events", PRICE)
        await let_go(plant, 1500.0)
        assert (await plant.grid("openadr2"))["cancelled"] == {"implied": 1}

        # What is not for us, or not understood, is refused.
        other = {**DISCHARGE, "id": "E2", "resource": "somebody"}
        strange = {**DISCHARGE, "id": "E3", "type": "delta"}
        await vtn.ask("events", other, strange, PRICE)
        await opted(vtn, "E2", "optOut")
        await opted(vtn, "E3", "optOut")

        values = await vtn.seen("values", 2)
        assert set(values) >= {
            "evse1/RealPower/W",
            "evse1/RealEnergy/Wh",
        }
        assert 20_000 < values["evse1/RealEnergy/Wh"][-1] < 28_000

        # It restarts, has forgotten us and its events; we register anew.
        again = {**DISCHARGE, "id": "E4"}
        await vtn.ask("events", again)
        await flows(plant, -3000.0)
        await vtn.ask("stop")
        await vtn.ask("start")
        assert len(await vtn.seen("registrations", 2)) == 2
        await let_go(plant, -3000.0)


def pki(folder: Path) -> tuple[Path, Path, Path]:
    """A root, and one certificate of 127.0.0.1 for both sides."""
    now = dt.datetime.now(dt.UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def made(subject: str, key: Any, ca_key: Any, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if not ca:
            address = x509.IPAddress(ip_address("127.0.0.1"))
            names = x509.SubjectAlternativeName([address])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    root_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    paths = tuple(folder / f"adr-{n}.pem" for n in ("root", "cert", "key"))
    paths[0].write_bytes(made("root", root_key, root_key, ca=True).public_bytes(pem))
    paths[1].write_bytes(made("end", key, root_key, ca=False).public_bytes(pem))
    paths[2].write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths[0], paths[1], paths[2]


def fingerprint(certificate: Path) -> str:
    """OpenADR's: the last ten bytes of the certificate's SHA-256."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    digest = found.fingerprint(hashes.SHA256())[-10:]
    return ":".join(f"{byte:02X}" for byte in digest)


@pytest.mark.asyncio
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
async def test_both_sides_show_and_sign(tmp_path: Path, right: bool) -> None:
    """Mutual TLS, and messages signed by the certificate of the fingerprint."""
    python = install("openleadr", "0.5.36")
    root, certificate, key = pki(tmp_path)
    port = free_port()
    ours = environment(
        "https",
        port,
        CA=str(root),
        CERTIFICATE=str(certificate),
        KEY=str(key),
        SIGN="true",
        VTN_FINGERPRINT=fingerprint(certificate if right else root),
    )
    words = (str(port), str(root), str(certificate), str(key))
    async with partner(python, VTN, *words) as vtn, station(tmp_path, **ours) as plant:
        await vtn.ask("start")

        async def judged() -> bool:
            status = await plant.grid("openadr2")
            return bool(status["registered"] or status["refused"].get("signature"))

        await until("the VTN is believed or not", judged, 30.0)
        status = await plant.grid("openadr2")
        assert status["registered"] is right
        assert bool(status["refused"].get("signature")) is not right


@pytest.mark.asyncio
async def test_the_drivers_need_and_a_restart(tmp_path: Path) -> None:
    """A promise that must be kept now ends a running discharge, and the VTN hears of
    it; events live on in a daemon that was killed while there is no VTN."""
    python = install("openleadr", "0.5.36")
    port = free_port()
    ours = environment("http", port)
    async with (
        partner(python, VTN, str(port)) as vtn,
        station(tmp_path, bench=patient_bench(tmp_path), **ours) as plant,
    ):
        await vtn.ask("start")
        await vtn.seen("registrations")
        await plant.start_session()
        later = {**DISCHARGE, "id": "E2", "in_s": 7200}
        await vtn.ask("events", DISCHARGE, later)
        await flows(plant, -3000.0)
        asked = {"evse": 1, "seconds": 3600, "soc": 90}
        await plant.stand.local.ask(verb="promise", **asked)
        await opted(vtn, "E1", "optOut", "later")
        assert await plant.power_w() > 1000.0

        await vtn.ask("stop")
        plant.stand.kill("daemon", signal.SIGKILL)
        await plant.stand.end("daemon")
        await plant.stand.start_daemon(**ours)

        async def kept() -> bool:
            events = (await plant.grid("openadr2"))["events"]
            return set(events) == {"E1", "E2"}

        await until("the events of the last run", kept, 20.0)
        status = await plant.grid("openadr2")
        assert not status["registered"]
        assert status["events"]["E1"].startswith("opted out")
        assert status["events"]["E2"].startswith("followed")
