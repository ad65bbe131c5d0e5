"""Certificates of ISO 15118: read within caps, chains checked.

Owns the rules of a chain: path, depth, CA flags, key usage, DC=, life, algorithms. Must
never read a file, ask anybody or know the time by itself. Revocation is the central
system's to judge. Sources: [V2G2-006], [V2G2-007], [V2G2-009], [V2G2-010],
[V2G2-925], Annex F of ISO 15118-2 as hupe1980/iso15118 (docs/pki) has it; RFC 5280.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import NameOID

from chargerd.trust.chain import issued
from chargerd.trust.name import UNREADABLE, is_ca
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.signature import PublicKey

# ISO 15118-2 has 800 bytes [V2G2-010], ISO 15118-20's schema 1600.
MAX_CERTIFICATE_BYTES = 1600
MAX_SUBS = 4  # as many as ISO 15118-2's SubCertificates holds
MAX_PATH = 3  # certificates that do not sign themselves [V2G2-009]

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_KNOWN_EXTENSIONS = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
)


class Problem(Enum):
    """Why a certificate cannot be used; sessions map it to their ResponseCodes."""

    SIGNATURE = "signature"  # a signature of the message is not the certificate's
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CHAIN = "chain"  # it does not lead where it must
    EMAID = "emaid"  # the contract names no account
    ALGORITHM = "algorithm"  # a key or hash this protocol does not have


class CertificateError(V2gError):
    """A V2gError that says which kind of problem a certificate has."""

    def __init__(self, problem: Problem, text: str) -> None:
        super().__init__(text)
        self.problem = problem


class Use(Enum):
    """What a leaf is for: what follows the chain's checks [V2G2-925]."""

    SECC = "SECC"
    CPS = "CPS"
    OEM = "OEM"
    CONTRACT = "contract"


# DC= of a leaf. A contract has no fixed one (Annex F, Table F.4).
_DOMAINS = {Use.SECC: "CPO", Use.CPS: "CPS", Use.OEM: "OEM", Use.CONTRACT: None}


@dataclass(frozen=True, slots=True)
class Trust:
    """Trust anchors: values only, read once by whoever makes it."""

    v2g_roots: tuple[x509.Certificate, ...] = ()
    mo_roots: tuple[x509.Certificate, ...] = ()
    oem_roots: tuple[x509.Certificate, ...] = ()

    def anchors(self, use: Use) -> tuple[x509.Certificate, ...]:
        """Whose word counts for a leaf. Sub CAs of all may be under a V2G root."""
        if use is Use.CONTRACT:
            return self.mo_roots + self.v2g_roots
        if use is Use.OEM:
            return self.oem_roots + self.v2g_roots
        return self.v2g_roots


@dataclass(frozen=True, slots=True)
class Chain:
    """A checked chain, leaf first. `anchor` None: it ends at no root of ours."""

    path: tuple[x509.Certificate, ...]
    anchor: x509.Certificate | None

    @property
    def leaf(self) -> x509.Certificate:
        return self.path[0]

    @property
    def known(self) -> tuple[x509.Certificate, ...]:
        """The path, with the anchor where there is one."""
        return self.path if self.anchor is None else (*self.path, self.anchor)


def read(der: bytes, what: str = "certificate") -> x509.Certificate:
    """One certificate within the caps, every part of it readable."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise CertificateError(
            Problem.CHAIN,
            f"{what}: {len(der)} bytes, at most {MAX_CERTIFICATE_BYTES} may be",
        )
    try:
        certificate = x509.load_der_x509_certificate(der)
        unknown = [
            extension.oid.dotted_string
            for extension in certificate.extensions
            if extension.critical and not isinstance(extension.value, _KNOWN_EXTENSIONS)
        ]
        certificate.subject.rfc4514_string()
        certificate.issuer.rfc4514_string()
    except UNREADABLE as error:
        text = f"{what} cannot be read: {str(error)[:200]}"
        raise CertificateError(Problem.CHAIN, text) from error
    if certificate.serial_number <= 0:
        raise CertificateError(Problem.CHAIN, f"{what}: its serial number is none")
    if unknown:
        text = f"{what}: critical extension {unknown[0]} is not understood"
        raise CertificateError(Problem.CHAIN, text)
    return certificate


def public_key(certificate: x509.Certificate, what: str = "certificate") -> PublicKey:
    """Its key, if it is of a curve that ISO 15118 knows."""
    try:
        key = certificate.public_key()
    except UNREADABLE as bad:
        raise CertificateError(
            Problem.ALGORITHM, f"{what}: its key cannot be read: {bad}"
        ) from bad
    if isinstance(key, ed448.Ed448PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    raise CertificateError(
        Problem.ALGORITHM, f"{what}: its key is neither ECDSA nor Ed448"
    )


def check_chain(
    leaf_der: bytes,
    subs_der: Sequence[bytes],
    trust: Trust,
    use: Use,
    now_utc: datetime | None,
) -> Chain:
    """Read a chain as it came and check all that can be checked without asking.

    `now_utc` None: the clock is not trusted, lives are not judged. A chain whose root
    we do not have is no error: its `anchor` is None.
    """
    if len(subs_der) > MAX_SUBS:
        text = f"{use.value} chain: {len(subs_der)} CAs, at most {MAX_SUBS} may be"
        raise CertificateError(Problem.CHAIN, text)
    leaf = read(leaf_der, f"{use.value} certificate")
    subs = [
        read(der, f"{use.value} CA {number}")
        for number, der in enumerate(subs_der, start=1)
    ]
    _check_leaf(leaf, use)
    path = _path(leaf, [sub for sub in subs if sub.subject != sub.issuer], use)
    anchor = _anchor(path[-1], trust.anchors(use))
    _check_cas(path, anchor, use)
    if now_utc is not None:
        check_life(leaf, now_utc, f"{use.value} certificate")
        for ca in path[1:] if anchor is None else (*path[1:], anchor):
            check_life(ca, now_utc, f"{use.value} chain: {_name(ca)}")
    return Chain(path, anchor)


def check_life(certificate: x509.Certificate, now_utc: datetime, name: str) -> None:
    """CertificateError when it is not in force at that time."""
    if now_utc > certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc.isoformat()
        raise CertificateError(Problem.EXPIRED, f"{name} ended {ended}: renew it")
    if now_utc < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc.isoformat()
        raise CertificateError(Problem.NOT_YET_VALID, f"{name} begins {begins}")


def domains(certificate: x509.Certificate) -> list[str]:
    """Its DC= components."""
    found = certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)
    return [str(each.value) for each in found]


def common_name(certificate: x509.Certificate) -> str:
    """Its one CN; "" when there is none or more than one."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def _check_leaf(leaf: x509.Certificate, use: Use) -> None:
    public_key(leaf, f"{use.value} certificate")
    if is_ca(leaf):
        text = f"{use.value} certificate: it is a CA, not a leaf"
        raise CertificateError(Problem.CHAIN, text)
    if leaf.subject == leaf.issuer:
        text = f"{use.value} certificate: it signs itself, a CA must"
        raise CertificateError(Problem.CHAIN, text)
    usage = _key_usage(leaf)
    if usage is None or not usage.digital_signature:
        text = f"{use.value} certificate: its key may not sign (digitalSignature)"
        raise CertificateError(Problem.CHAIN, text)
    domain = _DOMAINS[use]
    if domain is not None and domain not in domains(leaf):
        text = f"{use.value} certificate: DC={domain} is missing [V2G2-925]"
        raise CertificateError(Problem.CHAIN, text)


def _path(
    leaf: x509.Certificate, subs: list[x509.Certificate], use: Use
) -> tuple[x509.Certificate, ...]:
    """Leaf and its CAs in order, whatever the order they came in; all must fit."""
    path = [leaf]
    while subs:
        above = next((sub for sub in subs if _issued(path[-1], sub)), None)
        if above is None:
            below = "the leaf" if len(path) == 1 else _name(path[-1])
            text = f"{use.value} chain: none of the CAs sent signed {below}"
            raise CertificateError(Problem.CHAIN, text)
        subs.remove(above)
        path.append(above)
    if len(path) > MAX_PATH:
        text = f"{use.value} chain: {len(path)} certificates, at most {MAX_PATH} may be"
        raise CertificateError(Problem.CHAIN, text)
    return tuple(path)


def _anchor(
    last: x509.Certificate, roots: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    return next((root for root in roots if _issued(last, root)), None)


def _issued(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` signed `subject`, by name and by signature."""
    try:
        if not isinstance(subject.signature_hash_algorithm, (*_HASHES, type(None))):
            return False
        public_key(issuer)
    except (*UNREADABLE, V2gError):
        return False
    return issued(subject, issuer)


def _check_cas(
    path: tuple[x509.Certificate, ...], anchor: x509.Certificate | None, use: Use
) -> None:
    """CA flag, path length and key usage of everything above the leaf."""
    above = path[1:] if anchor is None else (*path[1:], anchor)
    for depth, issuer in enumerate(above):
        name = f"{use.value} chain: {_name(issuer)}"
        constraints = _constraints(issuer)
        if constraints is None or not constraints.ca:
            raise CertificateError(Problem.CHAIN, f"{name} is no CA")
        if constraints.path_length is not None and depth > constraints.path_length:
            text = f"{name} allows {constraints.path_length} CAs below, {depth} are"
            raise CertificateError(Problem.CHAIN, text)
        usage = _key_usage(issuer)
        if usage is None or not usage.key_cert_sign:
            raise CertificateError(Problem.CHAIN, f"{name} may not sign certificates")


def _name(ca: x509.Certificate) -> str:
    """A CA's name for a message; a leaf is not named, it may be a person's."""
    return ca.subject.rfc4514_string()[:200]


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(
            x509.BasicConstraints
        ).value
    except x509.ExtensionNotFound:
        return None


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
