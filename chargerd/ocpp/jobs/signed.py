"""Is this firmware the maker's? Its signing certificate, and the signature over it.

Owns the rules: signed by a manufacturer root, no CA between (L01), alive, a key that is
strong enough; RSA-PSS or ECDSA over SHA-256 of the whole file. Blocks: in a thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from chargerd.trust.chain import anchor
from chargerd.trust.name import UNREADABLE
from chargerd.trust.store import Kind, TrustStore

RSA_BITS, EC_BITS = 2048, 256
BLOCK = 1024 * 1024


def signer_problem(pem: str, folder: Path, now_utc: datetime | None) -> str:
    """Why this certificate signs no firmware, "" = it does. `folder`: of the roots;
    `now_utc` None: the clock is not trusted."""
    try:
        known = x509.load_pem_x509_certificates(pem.encode())
    except UNREADABLE:
        return "it cannot be read"
    if len(known) != 1:
        return "one certificate is wanted, no chain"
    certificate = known[0]
    roots = [
        root.certificate for root in TrustStore(folder).roots(Kind.MANUFACTURER)[0]
    ]
    if anchor(certificate, roots) is None:
        return "no manufacturer root here has signed it"
    if now_utc is not None and not (
        certificate.not_valid_before_utc <= now_utc <= certificate.not_valid_after_utc
    ):
        return "it is not valid now"
    try:
        key = certificate.public_key()
        return _key_problem(key) or _use_problem(certificate)
    except UNREADABLE:
        return "it cannot be read"


def _key_problem(key: object) -> str:
    strong = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= EC_BITS
    )
    return "" if strong else f"its key is not RSA {RSA_BITS} or EC {EC_BITS}"


def _use_problem(certificate: x509.Certificate) -> str:
    """Where it says what it is for, it must be signatures, and no CA's."""
    extensions = certificate.extensions
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage) and not value.digital_signature:
            return "its key usage is not digitalSignature"
        if isinstance(value, x509.BasicConstraints) and value.ca:
            return "it is a CA's"
    return ""


def is_signed(file: Path, pem: str, signature: str) -> bool:
    """Whether `signature` (base64) is the certificate's over the whole file."""
    try:
        raw = base64.b64decode("".join(signature.split()), validate=True)
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    except (binascii.Error, *UNREADABLE):
        return False
    digest, hashed = _digest(file), Prehashed(SHA256())
    try:
        if isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO)
            key.verify(raw, digest, pss, hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, digest, ec.ECDSA(hashed))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _digest(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(BLOCK):
            digest.update(block)
    return digest.digest()
