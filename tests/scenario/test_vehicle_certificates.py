"""A station without certificates gets its first one for vehicles over OCPP, with real
processes: the next vehicle finds TLS and a chain that it can check."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chargerd.vehicle.iso15118 import sdp
from hil.pki.make import issue_for, leaf_wanted, make_pki
from hil.pki.profiles import Profile, Use
from hil.stand import CCS
from tests.process import station, until
from tests.v2g_car import find

pytestmark = [pytest.mark.process, pytest.mark.timeout(60)]

ACCEPTED = {"status": "Accepted"}
PKI = make_pki(Profile.ISO2, datetime.now(UTC))


def signed(csr_pem: str) -> str:
    """The chain that a CA makes of a signing request, leaf first."""
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    common = csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    wanted = leaf_wanted(Use.SECC, datetime.now(UTC), str(common))
    leaf = issue_for(wanted, key, PKI.secc.subs[0])
    text = leaf.public_bytes(Encoding.PEM).decode()
    return text + "".join(sub.pem.decode() for sub in PKI.secc.subs)


@pytest.mark.asyncio
async def test_the_first_certificate_comes_over_ocpp(tmp_path: Path) -> None:
    async with station(tmp_path, config=str(CCS)) as plant:
        await plant.stand.rig.ask(verb="plug_in", connector=1, ev="external", soc=50.0)
        port = plant.stand.sdp_port(1)
        assert (await find(port, tls=True)).security is sdp.Security.NONE
        call = plant.peer.call
        root = {"certificateType": "V2GRootCertificate"}
        root["certificate"] = PKI.secc.root.pem.decode()
        assert await call("InstallCertificate", root) == ACCEPTED
        wish = {"requestedMessage": "SignV2GCertificate"}
        assert await call("TriggerMessage", wish) == ACCEPTED
        asked = (await plant.peer.expect("SignCertificate", since=0)).payload
        assert asked["hashRootCertificate"]
        answer = {
            "certificateChain": signed(asked["csr"]),
            "certificateType": asked["certificateType"],
            "requestId": asked["requestId"],
        }
        assert await call("CertificateSigned", answer) == ACCEPTED

        async def secure() -> Any:
            told = await find(port, tls=True)
            return told if told.security is sdp.Security.TLS else None

        told = await until("TLS", secure)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=PKI.secc.root.pem.decode())
        _, writer = await asyncio.open_connection(
            str(told.address), told.port, ssl=context
        )
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        first = x509.load_pem_x509_certificates(answer["certificateChain"].encode())[0]
        assert shown == first.public_bytes(Encoding.DER)
        listed = await call("GetInstalledCertificateIds")
        uses = [row["certificateType"] for row in listed["certificateHashDataChain"]]
        assert sorted(uses) == ["V2GCertificateChain", "V2GRootCertificate"]
        status = await plant.peer.expect("GetCertificateStatus", since=0)
        assert status.payload["ocspRequestData"]["responderURL"]
        log = (plant.stand.folder / "security.log").read_text()
        assert "V2GCertificate renewed" in log
