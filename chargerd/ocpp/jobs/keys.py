"""Keys, signing requests and signed chains of the station: values in, values out.

Owns what a certificate of ours must be (A00.FR.501 to .514, A02.FR.06). Reads no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from chargerd.ocpp.jobs.certificates import V2G20, Subject
from chargerd.trust.chain import anchor, issued
from chargerd.trust.errors import TrustError
from chargerd.trust.name import is_ca

MAX_CHAIN = 5
MIN_RSA_BITS, MIN_CURVE_BITS = 2048, 224  # A00.FR.502, .503
_HASHES = ("sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512")
_ORDER = (
    (NameOID.COUNTRY_NAME, "country"),
    (NameOID.ORGANIZATION_NAME, "organization"),
    (NameOID.COMMON_NAME, "name"),
    (NameOID.DOMAIN_COMPONENT, "domain"),
)


def new_key(use: str) -> ec.EllipticCurvePrivateKey:
    """P-521 for ISO 15118-20 [V2G20-2319 K], else P-256."""
    return ec.generate_private_key(ec.SECP521R1() if use == V2G20 else ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def csr(key: ec.EllipticCurvePrivateKey, subject: Subject) -> str:
    """PKCS #10 in PEM (RFC 2986). TrustError: a word of the name is too long."""
    words = [(oid, getattr(subject, field)) for oid, field in _ORDER]
    try:
        name = x509.Name([x509.NameAttribute(oid, word) for oid, word in words if word])
    except ValueError as error:
        raise TrustError(f"the subject cannot be {subject}: {error}") from error
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=True, key_cert_sign=False,
        crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = x509.CertificateSigningRequestBuilder(name)
    made = builder.add_extension(usage, critical=True).sign(
        key, hashes.SHA512() if key.curve.name == "secp521r1" else hashes.SHA256()
    )
    return made.public_bytes(Encoding.PEM).decode()


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def check_strength(certificate: x509.Certificate) -> None:
    """A00.FR.501 to .506. TrustError: what is too weak."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        strong = key.key_size >= MIN_RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        strong = key.curve.key_size >= MIN_CURVE_BITS
    else:
        strong = isinstance(key, ed448.Ed448PublicKey)
    if not strong:
        raise TrustError(
            f"its key is too weak: RSA from {MIN_RSA_BITS} bits, curves from "
            f"{MIN_CURVE_BITS} bits"
        )
    try:
        made_with = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise TrustError(f"its signature: {error}") from error
    if made_with is not None and made_with.name not in _HASHES:
        raise TrustError(f"it is signed with {made_with.name}, use SHA-256 or better")


def check_signed(
    path: Sequence[x509.Certificate],
    own_key: bytes,
    subject: Subject,
    roots: Sequence[x509.Certificate],
    kind: str,
    now_utc: datetime | None,
) -> list[x509.Certificate]:
    """The chain as it will be shown: leaf first, without root. TrustError: why not."""
    path = [each for each in path if each not in roots]
    if not 1 <= len(path) <= MAX_CHAIN:
        raise TrustError(f"{len(path)} certificates, 1 to {MAX_CHAIN} may be")
    leaf = path[0]
    key = load_pem_private_key(own_key, None).public_key()
    if leaf.public_key() != key:
        raise TrustError("it is for another key than the one asked for")
    _check_leaf(leaf, subject)
    if not roots:
        raise TrustError(f"there is no {kind} root here to check it with")
    top = anchor(path[-1], roots)
    if top is None:
        raise TrustError(f"its chain leads to no {kind} root that is here")
    for below, above in zip(path, [*path[1:], top], strict=True):
        if not issued(below, above):
            raise TrustError("its chain is broken: leaf first, each signed by the next")
        if not is_ca(above):
            raise TrustError("its chain holds an issuer that is no CA")
    for each in path:
        check_strength(each)
        _check_life(each, now_utc)
    return path


def _check_leaf(leaf: x509.Certificate, subject: Subject) -> None:
    """Annex of A00: who it names. The CA may add to it, not change it."""
    if is_ca(leaf):
        raise TrustError("it is a CA, not a leaf")
    for oid, field in _ORDER:
        wanted = getattr(subject, field)
        found = [str(each.value) for each in leaf.subject.get_attributes_for_oid(oid)]
        if field in ("name", "domain") and wanted and wanted not in found:
            raise TrustError(f"its subject lacks {oid._name} {wanted!r}")
        if field == "organization" and not found:
            raise TrustError("its subject names no organization (A00.FR.509)")


def _check_life(certificate: x509.Certificate, now_utc: datetime | None) -> None:
    if now_utc is None:
        return
    if now_utc > certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc.isoformat()
        raise TrustError(f"it ended {ended}")
    if now_utc < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc.isoformat()
        raise TrustError(f"it begins {begins}, our clock is at {now_utc.isoformat()}")
