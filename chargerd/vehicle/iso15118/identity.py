"""The station's own certificates: read from files, judged, chosen for a vehicle.

Owns which certificate a vehicle is shown. A key file may be a key or the reference to a
key in an HSM or TPM (a PKCS#11 URI in PEM): OpenSSL opens either (docs/pki.md). Must
never hold a key's bytes longer than loading needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.serialization import Encoding

from chargerd.trust import staple
from chargerd.trust.errors import TrustError
from chargerd.trust.name import UNREADABLE, key_bits
from chargerd.trust.staple import Staple
from chargerd.vehicle.iso15118 import pki
from chargerd.vehicle.iso15118.client_hello import ClientHello
from chargerd.vehicle.iso15118.errors import V2gError

MAX_FILE_BYTES = 65_536

# TLS SignatureScheme of each kind of key (RFC 8446 4.2.3); ISO 15118-20's kinds first.
_SCHEMES = {
    "secp521r1": 0x0603,
    "ed448": 0x0808,
    "secp384r1": 0x0503,
    "secp256r1": 0x0403,
}
_BEST_FOR_1_3 = tuple(_SCHEMES.values())
_BEST_FOR_1_2 = tuple(reversed(_BEST_FOR_1_3))  # ISO 15118-2 knows P-256 alone


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate of the station: PEM files of its chain (leaf first) and key."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Loaded:
    """An identity that was read. `root_*`: how a vehicle may name its root."""

    files: Identity
    path: tuple[x509.Certificate, ...]
    scheme: int
    root_name: bytes
    root_hashes: frozenset[bytes] = field(default_factory=frozenset)

    @property
    def leaf(self) -> x509.Certificate:
        return self.path[0]

    def problem(self, now_utc: datetime | None) -> str:
        """Why it cannot be shown now; "" = it can. None: the clock is not trusted."""
        if now_utc is None:
            return ""
        for certificate in self.path:
            try:
                pki.check_life(certificate, now_utc, str(self.files.chain))
            except V2gError as error:
                return str(error)
        return ""


def load(files: Identity, trust: pki.Trust) -> Loaded:
    """Read and judge a chain, but for its life. V2gError names the file."""
    try:
        data = files.chain.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise V2gError(f"{files.chain}: {len(data)} bytes are no chain")
        leaf, *subs = [
            each.public_bytes(Encoding.DER)
            for each in x509.load_pem_x509_certificates(data)
        ]
    except (OSError, *UNREADABLE) as error:
        raise V2gError(f"{files.chain} is no PEM chain, leaf first: {error}") from error
    try:
        chain = pki.check_chain(leaf, subs, trust, pki.Use.SECC, None)
    except V2gError as error:
        raise V2gError(f"{files.chain}: {error}") from error
    key = pki.public_key(chain.leaf)
    curve = "ed448" if isinstance(key, ed448.Ed448PublicKey) else key.curve.name
    anchor = chain.anchor
    return Loaded(
        files,
        chain.path,
        _SCHEMES[curve],
        chain.path[-1].issuer.public_bytes(),
        frozenset() if anchor is None else root_hashes(anchor),
    )


def root_hashes(root: x509.Certificate) -> frozenset[bytes]:
    """SHA-1 of its DER and of its key: how trusted_ca_keys may name it (RFC 6066)."""
    der = root.public_bytes(Encoding.DER)
    return frozenset(
        hashlib.sha1(data, usedforsecurity=False).digest()
        for data in (der, key_bits(root))
    )


def choose(known: Sequence[Loaded], hello: ClientHello) -> Loaded:
    """Which certificate this vehicle can check: by its roots, then by its algorithms.

    A vehicle that names no root of ours is shown what its algorithms can check; it
    decides [K: what ISO 15118-20 wants then].
    """
    best = _BEST_FOR_1_3 if hello.speaks_1_3 else _BEST_FOR_1_2

    def rank(each: Loaded) -> tuple[bool, bool, int, float]:
        named = (
            each.root_name in hello.root_names or each.root_hashes & hello.root_hashes
        )
        newest = -each.leaf.not_valid_before_utc.timestamp()  # OCPP A02.FR.15
        strength = best.index(each.scheme)
        return each.scheme not in hello.schemes, not named, strength, newest

    return min(known, key=rank)


def read_staple(der: bytes, known: Sequence[Loaded]) -> Staple:
    """A response about one of the station's leaves. V2gError: what is wrong."""
    try:
        response = staple.read_staple(der)
    except TrustError as error:
        raise V2gError(str(error)) from error
    if response.serial not in {each.leaf.serial_number for each in known}:
        raise V2gError("OCSP response: it is not about a certificate of this station")
    return response
