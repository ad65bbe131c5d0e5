"""Wallets and the certificate provisioning service of a test, from hil.pki's values."""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chargerd.model import CertificateQuestion
from chargerd.vehicle.iso15118 import exi, signature
from chargerd.vehicle.iso15118.messages import iso2 as m
from hil.ev.iso15118.wallet import Paper, Wallet
from hil.pki.make import Chain, Pki

SIGNED = (
    "ContractSignatureCertChain",
    "ContractSignatureEncryptedPrivateKey",
    "DHpublickey",
    "eMAID",
)


def paper(chain: Chain) -> Paper:
    return Paper(chain.leaf.der, chain.subs_der, chain.leaf.key)


def wallet_of(pki: Pki) -> Wallet:
    root = pki.secc.root.certificate
    issuer = (root.issuer.rfc4514_string(), root.serial_number)
    return Wallet(paper(pki.contract), paper(pki.oem), issuer)


def _sealed(pki: Pki) -> tuple[bytes, bytes]:
    """(DH public key, the contract's key for the provisioning key's owner)."""
    own = ec.generate_private_key(ec.SECP256R1())
    theirs: Any = pki.oem.leaf.key.public_key()
    secret = own.exchange(ec.ECDH(), theirs)
    key = ConcatKDFHash(hashes.SHA256(), 16, b"\x01UV").derive(secret)
    contract: Any = pki.contract.leaf.key
    scalar = contract.private_numbers().private_value.to_bytes(32, "big")
    iv = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    public = own.public_key().public_bytes(
        Encoding.X962, PublicFormat.UncompressedPoint
    )
    return public, iv + encryptor.update(scalar) + encryptor.finalize()


def iso2_installation(pki: Pki, question: CertificateQuestion) -> bytes:
    """CertificateInstallationRes as the central system sends it, EXI."""
    request = exi.decode("iso2", question.exi)
    public, sealed = _sealed(pki)
    chain = pki.contract
    body = m.CertificateInstallationRes(
        ResponseCode="OK",
        SAProvisioningCertificateChain=m.CertificateChain(
            Certificate=pki.cps.leaf.der,
            SubCertificates=m.SubCertificates(Certificate=list(pki.cps.subs_der)),
        ),
        ContractSignatureCertChain=m.CertificateChain(
            Id="id1",
            Certificate=chain.leaf.der,
            SubCertificates=m.SubCertificates(Certificate=list(chain.subs_der)),
        ),
        ContractSignatureEncryptedPrivateKey=m.ContractSignatureEncryptedPrivateKey(
            Id="id2", value=sealed
        ),
        DHpublickey=m.DiffieHellmanPublickey(Id="id3", value=public),
        eMAID=m.EMAID(Id="id4", value=paper(chain).name),
    )
    parts = {
        part.Id: exi.encode_fragment("iso2", name, part)
        for name in SIGNED
        for part in [getattr(body, name)]
    }
    header = m.MessageHeader(
        SessionID=request.Header.SessionID,
        Signature=signature.sign(parts, pki.cps.leaf.key, signature.ISO2),
    )
    return exi.encode(m.V2G_Message(Header=header, Body=m.Body(BodyElement=body)))
