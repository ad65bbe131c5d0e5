"""Plug & Charge of an ISO 15118-2 vehicle: its contract, its signatures. Pure.

Owns what is signed with which key, and how a contract that is sent is opened. Sources:
refs/iso15118.md 6; ISO 15118-2 7.9.2.4 as EcoG-io/iso15118 (security.py) has it.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from chargerd.vehicle.iso15118 import exi, signature
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.xmldsig import Signature, X509IssuerSerial
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.iso2 import Iso2Script
from hil.ev.iso15118.script import EvError, Script
from hil.ev.iso15118.wallet import Paper, PrivateKey, Wallet

CERTIFICATE_SERVICE = 2  # ISO 15118-2 Table 105
INSTALLATION = "Installation"
# Algorithm AES-128, party U, party V (ISO 15118-2 7.9.2.4.3).
KDF_WORDS = b"\x01UV"
IV_BYTES = 16


class Iso2ContractScript(Iso2Script):
    """Pays by contract where the station takes contracts, else by card."""

    def __init__(self, car: Car, wallet: Wallet, session_id: bytes = bytes(8)) -> None:
        super().__init__(car, session_id)
        self.wallet = wallet
        self.paper = wallet.contract
        self.contract = False

    def pay(self, payments: list[Any], services: Any) -> Script:
        if "Contract" not in payments:
            yield from super().pay(payments, services)
            return
        self.contract = True
        more = []
        if self.profile.install:
            ways = yield from self._certificate_service(services)
            more = [
                m.SelectedService(
                    ServiceID=CERTIFICATE_SERVICE, ParameterSetID=ways[INSTALLATION]
                )
            ]
        yield from self.select("Contract", *more)
        if self.profile.install:
            yield from self._install()

    def authorise(self) -> Script:
        if not self.contract:
            yield from super().authorise()
            return
        subs = m.SubCertificates(Certificate=list(self.paper.subs_der))
        response = yield from self.say(
            m.PaymentDetailsReq(
                eMAID=self.paper.name,
                ContractSignatureCertChain=m.CertificateChain(
                    Certificate=self.paper.leaf_der, SubCertificates=subs
                ),
            )
        )
        request = m.AuthorizationReq(Id="id1", GenChallenge=response.GenChallenge)
        sealed = self._sign(request, self.paper)
        yield from self.until_authorised(request, signature=sealed)

    def receipt(self, meter: Any) -> Script:
        """What the station's meter says, signed."""
        if not self.contract:
            yield from super().receipt(meter)
            return
        request = m.MeteringReceiptReq(
            Id="id1",
            SessionID=self.id,
            SAScheduleTupleID=self.tuple_id,
            MeterInfo=meter,
        )
        yield from self.say(request, signature=self._sign(request, self.paper))
        self.station["receipts"] = self.station.get("receipts", 0) + 1

    def _sign(self, request: m.BodyBase, paper: Paper) -> Signature:
        fragment = exi.encode_fragment("iso2", type(request).__name__, request)
        return signature.sign({"id1": fragment}, paper.key, signature.ISO2)

    # -- a contract from the central system ------------------------------------------

    def _certificate_service(self, services: Any) -> Script:
        """Parameter sets of the certificate service by their word."""
        offered = services.Service if services is not None else []
        if not any(each.ServiceID == CERTIFICATE_SERVICE for each in offered):
            raise EvError("a contract is wanted, and the station has none", said=True)
        response = yield from self.say(
            m.ServiceDetailReq(ServiceID=CERTIFICATE_SERVICE)
        )
        return {
            one.stringValue: each.ParameterSetID
            for each in response.ServiceParameterList.ParameterSet
            for one in each.Parameter
        }

    def _install(self) -> Script:
        issuer, serial = self.wallet.root
        request = m.CertificateInstallationReq(
            Id="id1",
            OEMProvisioningCert=self.wallet.provisioning.leaf_der,
            ListOfRootCertificateIDs=m.ListOfRootCertificateIDs(
                RootCertificateID=[
                    X509IssuerSerial(X509IssuerName=issuer, X509SerialNumber=serial)
                ]
            ),
        )
        sealed = self._sign(request, self.wallet.provisioning)
        response = yield from self.say(request, signature=sealed, look=self._verify)
        chain = response.ContractSignatureCertChain
        subs = chain.SubCertificates.Certificate if chain.SubCertificates else []
        self.paper = Paper(
            chain.Certificate,
            tuple(subs),
            opened(
                self.wallet.provisioning.key,
                response.DHpublickey.value,
                response.ContractSignatureEncryptedPrivateKey.value,
            ),
        )
        self.station["installed"] = self.paper.name

    def _verify(self, message: m.V2G_Message) -> None:
        """The four parts are signed by the certificate provisioning service."""
        body: Any = message.Body.BodyElement
        parts = {
            part.Id: exi.encode_fragment("iso2", name, part)
            for name in (
                "ContractSignatureCertChain",
                "ContractSignatureEncryptedPrivateKey",
                "DHpublickey",
                "eMAID",
            )
            for part in [getattr(body, name)]
        }
        leaf = body.SAProvisioningCertificateChain.Certificate
        key: Any = x509.load_der_x509_certificate(leaf).public_key()
        if message.Header.Signature is None:
            raise EvError("CertificateInstallationRes is not signed")
        try:
            signature.verify(message.Header.Signature, parts, key, signature.ISO2)
        except V2gError as error:
            raise EvError(f"CertificateInstallationRes: {error}") from error


def opened(own: PrivateKey, public: bytes, sealed: bytes) -> PrivateKey:
    """The contract's private key: ECDH, Concat KDF, AES-128-CBC without padding."""
    if not isinstance(own, ec.EllipticCurvePrivateKey):
        raise EvError("a contract can be opened with a key on a curve only")
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    secret = own.exchange(ec.ECDH(), theirs)
    key = ConcatKDFHash(hashes.SHA256(), 16, KDF_WORDS).derive(secret)
    iv, data = sealed[:IV_BYTES], sealed[IV_BYTES:]
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    scalar = int.from_bytes(decryptor.update(data) + decryptor.finalize(), "big")
    return ec.derive_private_key(scalar, ec.SECP256R1())
