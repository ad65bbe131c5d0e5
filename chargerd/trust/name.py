"""How OCPP and OCSP name a certificate: hashes of its issuer, its serial number.

Owns OCSPRequestData (RFC 6960 4.1.1; OCPP's OCSPRequestDataType and
CertificateHashDataType). Judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID

from chargerd.model import CertificateHash, Revocable
from chargerd.trust.errors import TrustError

# What `cryptography` raises for certificates that cannot be read.
UNREADABLE = (
    ValueError,
    TypeError,  # a name of an odd string type
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_ALGORITHMS = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}


def certificate_hashes(
    known: Sequence[x509.Certificate],
) -> tuple[CertificateHash, ...]:
    """OCSPRequestData of each certificate of a path but the last, leaf first."""
    return tuple(
        certificate_hash(subject, issuer) for subject, issuer in pairwise(known)
    )


def certificate_hash(
    subject: x509.Certificate, issuer: x509.Certificate, algorithm: str = "SHA256"
) -> CertificateHash:
    """A certificate as OCPP and OCSP (RFC 6960 4.1.1) name it.

    `algorithm` is OCPP's word: who asks about a certificate chooses it.
    """
    return CertificateHash(
        algorithm=algorithm,
        issuer_name_hash=_digest(issuer.subject.public_bytes(), algorithm),
        issuer_key_hash=_digest(key_bits(issuer), algorithm),
        serial=f"{subject.serial_number:x}",
        responder_url=_responder(subject),
    )


def revocable(known: Sequence[x509.Certificate]) -> tuple[Revocable, ...]:
    """Those of a path, without its anchor, whose CA says where it tells of revoked
    ones: by OCSP, else by CRL (OCPP M07)."""
    found = []
    for subject, issuer in pairwise(known):
        name = certificate_hash(subject, issuer)
        lists = _crl_urls(subject)
        if name.responder_url:
            found.append(Revocable(name, "OCSP", (name.responder_url,)))
        elif lists:
            found.append(Revocable(name, "CRL", lists))
    return tuple(found)


def _crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        points = certificate.extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        ).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _digest(data: bytes, algorithm: str) -> str:
    digest = hashes.Hash(_ALGORITHMS[algorithm])
    digest.update(data)
    return digest.finalize().hex()


def key_bits(certificate: x509.Certificate) -> bytes:
    """The subjectPublicKey BIT STRING without tag, length and unused bits."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if isinstance(key, rsa.RSAPublicKey):  # roots of central systems
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ed448.Ed448PublicKey):
        return key.public_bytes_raw()
    raise TrustError("its key is of an unknown kind")


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether it may issue others."""
    try:
        return certificate.extensions.get_extension_for_class(
            x509.BasicConstraints
        ).value.ca
    except x509.ExtensionNotFound:
        return False


def _responder(certificate: x509.Certificate) -> str:
    """The OCSP responder's URL; "" when the certificate names none."""
    try:
        access = certificate.extensions.get_extension_for_class(
            x509.AuthorityInformationAccess
        ).value
    except x509.ExtensionNotFound:
        return ""
    return next(
        (
            each.access_location.value
            for each in access
            if each.access_method == AuthorityInformationAccessOID.OCSP
            and isinstance(each.access_location, x509.UniformResourceIdentifier)
        ),
        "",
    )
