"""XML signatures of ISO 15118: fragments hashed, SignedInfo signed, both as EXI.

Owns algorithms, references and the shape that is accepted. Must never judge a
certificate: whose key it is, is decided elsewhere. SignedInfo is encoded against the
XML signature schema alone, each signed part against its own schema set, both as
fragments. Sources: ISO 15118-2 7.9.2.4.2 and annex J (V2G2-764 to 771, 909), ISO
15118-20 (V2G20-766, 767, 771, 1449, 2473 to 2476); W3C xmldsig-core.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import xmldsig

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"
MAX_REFERENCES = 4  # V2G2-909
SHAKE256_BYTES = 64

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey


@dataclass(frozen=True, slots=True)
class Suite:
    """Algorithms that go together. `curve` None: Ed448."""

    signature_uri: str
    digest_uri: str
    curve: str | None

    def digest(self, data: bytes) -> bytes:
        """The DigestValue of one fragment."""
        if self.curve is None:
            return hashlib.shake_256(data).digest(SHAKE256_BYTES)
        return (hashlib.sha256 if self is P256 else hashlib.sha512)(data).digest()

    def fits(self, key: PrivateKey | PublicKey) -> bool:
        """Whether a key is of this suite's curve."""
        if isinstance(key, ed448.Ed448PrivateKey | ed448.Ed448PublicKey):
            return self.curve is None
        return key.curve.name == self.curve

    @property
    def _ecdsa(self) -> ec.ECDSA:
        return ec.ECDSA(hashes.SHA256() if self is P256 else hashes.SHA512())

    def sign(self, data: bytes, key: PrivateKey) -> bytes:
        """r and s, each at the curve's length; Ed448's own 114 bytes."""
        if isinstance(key, ed448.Ed448PrivateKey):
            return key.sign(data)
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(data, self._ecdsa))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def verify(self, value: bytes, data: bytes, key: PublicKey) -> None:
        """InvalidSignature when it is not this key's over `data`."""
        if isinstance(key, ed448.Ed448PublicKey):
            key.verify(value, data)
            return
        size = (key.curve.key_size + 7) // 8
        if len(value) != 2 * size:
            raise InvalidSignature
        r = int.from_bytes(value[:size], "big")
        s = int.from_bytes(value[size:], "big")
        key.verify(encode_dss_signature(r, s), data, self._ecdsa)


_XMLENC = "http://www.w3.org/2001/04/xmlenc#"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_ISO20 = "urn:iso:std:iso:15118:-20:Security:"
P256 = Suite(f"{_MORE}ecdsa-sha256", f"{_XMLENC}sha256", "secp256r1")
P521 = Suite(f"{_MORE}ecdsa-sha512", f"{_XMLENC}sha512", "secp521r1")
ED448 = Suite(f"{_ISO20}xmldsig#Ed448", f"{_ISO20}xmlenc#SHAKE256", None)
ISO2 = (P256,)
ISO20 = (P521, ED448)


def sign(
    parts: Mapping[str, bytes], key: PrivateKey, suites: Sequence[Suite]
) -> xmldsig.Signature:
    """A header's Signature over `parts`: Id attribute -> that element as a fragment."""
    suite = next((suite for suite in suites if suite.fits(key)), None)
    if suite is None:
        raise V2gError("signature: the key's curve is not one of this protocol's")
    if not 1 <= len(parts) <= MAX_REFERENCES:
        raise V2gError(f"signature: {len(parts)} parts, 1 to {MAX_REFERENCES} may be")
    signed_info = xmldsig.SignedInfo(
        CanonicalizationMethod=xmldsig.CanonicalizationMethod(Algorithm=CANONICAL_EXI),
        SignatureMethod=xmldsig.SignatureMethod(Algorithm=suite.signature_uri),
        Reference=[
            xmldsig.Reference(
                URI=f"#{name}",
                Transforms=xmldsig.Transforms(
                    Transform=[xmldsig.Transform(Algorithm=CANONICAL_EXI)]
                ),
                DigestMethod=xmldsig.DigestMethod(Algorithm=suite.digest_uri),
                DigestValue=suite.digest(fragment),
            )
            for name, fragment in parts.items()
        ],
    )
    value = suite.sign(_bytes(signed_info), key)
    return xmldsig.Signature(
        SignedInfo=signed_info, SignatureValue=xmldsig.SignatureValue(value=value)
    )


def verify(
    signature: xmldsig.Signature,
    parts: Mapping[str, bytes],
    key: PublicKey,
    suites: Sequence[Suite],
) -> None:
    """V2gError unless `key` signed exactly `parts` (Id -> element as a fragment).

    Refused before any arithmetic: KeyInfo, Object, other transforms, more than four
    references, a reference to something else, parameters of methods. The Ids and the
    Type that V2G20-771 also forbids do no harm and pass.
    """
    info = signature.SignedInfo
    uri = info.SignatureMethod.Algorithm
    suite = next((suite for suite in suites if suite.signature_uri == uri), None)
    if suite is None or not suite.fits(key):
        raise V2gError(f"signature: {uri[:80]!r} is not for this protocol and key")
    _check_shape(signature, suite)
    told = [(each.URI or "").removeprefix("#") for each in info.Reference]
    if sorted(told) != sorted(parts):
        raise V2gError(
            f"signature: it covers {', '.join(told)[:80]!r}, "
            f"{', '.join(sorted(parts))!r} must be signed"
        )
    for name, reference in zip(told, info.Reference, strict=True):
        if reference.DigestValue != suite.digest(parts[name]):
            raise V2gError(f"signature: {name!r} was changed after it was signed")
    try:
        suite.verify(signature.SignatureValue.value, _bytes(info), key)
    except InvalidSignature:
        raise V2gError("signature: not made with this key") from None


def _check_shape(signature: xmldsig.Signature, suite: Suite) -> None:
    info = signature.SignedInfo
    if signature.KeyInfo is not None or signature.Object:
        raise V2gError("signature: KeyInfo and Object are not allowed")
    if info.CanonicalizationMethod.Algorithm != CANONICAL_EXI:
        raise V2gError("signature: SignedInfo must be canonical EXI")
    if info.CanonicalizationMethod.content or info.SignatureMethod.content:
        raise V2gError("signature: its methods must have no parameters")
    if len(info.Reference) > MAX_REFERENCES:
        raise V2gError(
            f"signature: {len(info.Reference)} references, at most {MAX_REFERENCES}"
        )
    for reference in info.Reference:
        transforms = reference.Transforms.Transform if reference.Transforms else []
        if [(each.Algorithm, each.content) for each in transforms] != [
            (CANONICAL_EXI, [])
        ]:
            raise V2gError("signature: each part needs the one transform canonical EXI")
        method = reference.DigestMethod
        if method.Algorithm != suite.digest_uri or method.content:
            raise V2gError(
                f"signature: digest {method.Algorithm[:80]!r} is not allowed"
            )


def _bytes(signed_info: xmldsig.SignedInfo) -> bytes:
    return exi.encode_fragment("xmldsig", "SignedInfo", signed_info)
