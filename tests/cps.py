"""A toy certificate provisioning service: answers CertificateInstallationReq of ISO
15118-2 with the contract of a test PKI, sealed for that vehicle and signed.

What stands behind a central system in the field; here `Csms.ev_certificates`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chargerd.vehicle.iso15118 import exi, signature
from chargerd.vehicle.iso15118.messages import iso2 as m
from hil.ev.iso15118.wallet import Paper, read_paper

KDF_WORDS = b"\x01UV"  # [V2G2-818]: algorithm, both parties
SIGNED = (
    "ContractSignatureCertChain",
    "ContractSignatureEncryptedPrivateKey",
    "DHpublickey",
    "eMAID",
)


class Cps:
    """Made of a folder of hil.pki."""

    def __init__(self, pki: Path) -> None:
        self._contract = read_paper(pki / "mo")
        self._own = read_paper(pki / "cps")
        self.asked: list[bytes] = []

    def __call__(self, request_exi: bytes) -> bytes:
        """The EXI that goes back to the vehicle."""
        self.asked.append(request_exi)
        asked: Any = exi.decode("iso2", request_exi)
        oem = x509.load_der_x509_certificate(asked.Body.BodyElement.OEMProvisioningCert)
        public: Any = oem.public_key()
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        sealed = _seal(ephemeral, public, self._contract)
        point = ephemeral.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        response = m.CertificateInstallationRes(
            ResponseCode="OK",
            SAProvisioningCertificateChain=_chain(self._own, None),
            ContractSignatureCertChain=_chain(self._contract, "id1"),
            ContractSignatureEncryptedPrivateKey=(
                m.ContractSignatureEncryptedPrivateKey(Id="id2", value=sealed)
            ),
            DHpublickey=m.DiffieHellmanPublickey(Id="id3", value=point),
            eMAID=m.EMAID(Id="id4", value=self._contract.name),
        )
        parts = {
            getattr(response, name).Id: exi.encode_fragment(
                "iso2", name, getattr(response, name)
            )
            for name in SIGNED
        }
        header = m.MessageHeader(
            SessionID=asked.Header.SessionID,
            Signature=signature.sign(parts, self._own.key, signature.ISO2),
        )
        return exi.encode(
            m.V2G_Message(Header=header, Body=m.Body(BodyElement=response))
        )


def _chain(paper: Paper, name: str | None) -> m.CertificateChain:
    return m.CertificateChain(
        Id=name,
        Certificate=paper.leaf_der,
        SubCertificates=m.SubCertificates(Certificate=list(paper.subs_der)),
    )


def _seal(
    ephemeral: ec.EllipticCurvePrivateKey,
    vehicle: ec.EllipticCurvePublicKey,
    contract: Paper,
) -> bytes:
    """The contract's key: ECDH, Concat KDF, AES-128-CBC without padding, IV first."""
    key = ConcatKDFHash(hashes.SHA256(), 16, KDF_WORDS).derive(
        ephemeral.exchange(ec.ECDH(), vehicle)
    )
    private: Any = contract.key
    scalar = private.private_numbers().private_value.to_bytes(32, "big")
    iv = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(scalar) + encryptor.finalize()
