"""Trust anchors on disk: one folder a kind, PEM files in it.

Owns the folder: people put files there, OCPP's certificate messages add and remove
single ones. A broken file is told by name and passed over; the others count. Writes
are atomic: after a crash the old or the new file is there, whole. Blocks: off the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from chargerd.model import CertificateHash
from chargerd.trust import name
from chargerd.trust.errors import TrustError
from chargerd.trust.files import replace_file

MAX_FILE_BYTES = 1_048_576  # a bundle of every maker's root
MAX_ADDED_BYTES = 10_000  # OCPP's InstallCertificate holds no more
MAX_ROOTS = 256


class Kind(Enum):
    """What a root is trusted for; the value names its folder."""

    V2G = "v2g"
    MO = "mo"  # contracts
    OEM = "oem"  # vehicles
    CSMS = "csms"
    CSMS_BEFORE = "csms-before"  # till the one that replaces it has worked
    MANUFACTURER = "manufacturer"  # firmware


@dataclass(frozen=True, slots=True)
class Root:
    """One trust anchor and the file that it is in."""

    kind: Kind
    certificate: x509.Certificate
    file: Path

    def hash(self, algorithm: str = "SHA256") -> CertificateHash:
        """Its name in OCPP; a root is its own issuer."""
        return name.certificate_hash(self.certificate, self.certificate, algorithm)

    def is_called(self, named: CertificateHash) -> bool:
        return called(self.hash(named.algorithm), named)


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The anchors under one folder, and those of `more` files and folders that the
    configuration names. Each call reads or writes the disk."""

    folder: Path
    more: Mapping[Kind, Path] = field(default_factory=dict)

    def roots(self, *kinds: Kind) -> tuple[list[Root], list[str]]:
        """Every anchor of these kinds (none = all), and what cannot be read."""
        found: list[Root] = []
        broken: list[str] = []
        for kind in kinds or tuple(Kind):
            for place in self._places(kind):
                known, bad = read_roots(place)
                found += [Root(kind, certificate, file) for file, certificate in known]
                broken += bad
        return found, broken

    def _places(self, kind: Kind) -> list[Path]:
        places = [self.folder / kind.value]
        named = self.more.get(kind)
        return places if named is None or named in places else [*places, named]

    def add(self, kind: Kind, pem: bytes, now_utc: datetime | None) -> Root:
        """Keep one more anchor; one that is here already is left as it is.

        `now_utc` None: the clock is not trusted, its life is not judged. TrustError: it
        is none, or there is no room; OSError: the disk.
        """
        certificate = read_root(pem, now_utc)
        known, _ = self.roots(kind)
        for root in known:
            if root.certificate == certificate:
                return root
        if len(known) >= MAX_ROOTS:
            raise TrustError(
                f"{kind.value} roots: {MAX_ROOTS} are here, remove one first"
            )
        file = (
            self.folder / kind.value / f"{certificate.fingerprint(SHA256()).hex()}.pem"
        )
        _replace(file, [certificate])
        return Root(kind, certificate, file)

    def remove(self, named: CertificateHash) -> bool:
        """Forget every anchor of this name; False when there is none."""
        found, _ = self.roots()
        gone = [root for root in found if root.is_called(named)]
        self.drop(gone)
        return bool(gone)

    def drop(self, gone: Sequence[Root]) -> None:
        """Forget these."""
        for file in {root.file for root in gone}:
            known, _ = read_roots(file)
            away = [root.certificate for root in gone if root.file == file]
            _replace(file, [each for _, each in known if each not in away])


def read_root(pem: bytes, now_utc: datetime | None) -> x509.Certificate:
    """The one anchor that a message holds. TrustError: what is wrong with it."""
    certificate = _one(pem)
    if not name.is_ca(certificate):
        raise TrustError("root certificate: it is no CA")
    if now_utc is not None and now_utc > certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc.isoformat()
        raise TrustError(f"root certificate: it ended {ended}")
    return certificate


def called(own: CertificateHash, named: CertificateHash) -> bool:
    """Whether both name the same certificate; case and leading zeros do not count."""
    return (
        own.issuer_name_hash == named.issuer_name_hash.lower()
        and own.issuer_key_hash == named.issuer_key_hash.lower()
        and own.serial == named.serial.lower().lstrip("0")
    )


def read_roots(
    place: Path,
) -> tuple[list[tuple[Path, x509.Certificate]], list[str]]:
    """The roots of a PEM bundle, or of every .pem file of a folder; what is broken.

    A folder that is not there yet holds nothing; a file that is not there is broken.
    """
    if place.is_dir():
        files = sorted(place.glob("*.pem"))
    else:
        files = [place] if place.suffix else []
    found: list[tuple[Path, x509.Certificate]] = []
    broken: list[str] = []
    for file in files:
        try:
            found += [(file, each) for each in readable(_content(file))]
        except (OSError, TrustError) as error:
            broken.append(f"{file} is no PEM file of roots: {error}")
    return found, broken


def _content(file: Path) -> bytes:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise TrustError(f"over {MAX_FILE_BYTES} bytes")
    return file.read_bytes()


def readable(pem: bytes) -> list[x509.Certificate]:
    """Certificates whose parts can all be read: the library looks at them late."""
    try:
        found = x509.load_pem_x509_certificates(pem)
        for each in found:
            name.certificate_hash(each, each)
            name.is_ca(each)
            each.issuer.public_bytes()
            each.subject.rfc4514_string()
            each.not_valid_before_utc.isoformat()
            each.not_valid_after_utc.isoformat()
    except name.UNREADABLE as error:
        raise TrustError(f"it cannot be read: {error}") from error
    if any(each.serial_number <= 0 for each in found):
        raise TrustError("its serial number is none")  # RFC 5280, A00.FR.508
    return found


def _one(pem: bytes) -> x509.Certificate:
    """The one certificate of a message of the central system."""
    if len(pem) > MAX_ADDED_BYTES:
        raise TrustError(f"root certificate: {len(pem)} bytes are too many")
    found = readable(pem)
    if len(found) != 1:
        raise TrustError(f"root certificate: one is wanted, {len(found)} came")
    return found[0]


def _replace(file: Path, certificates: Sequence[x509.Certificate]) -> None:
    """Write it anew, or remove it when nothing is left; on disk when this returns."""
    text = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
    replace_file(file, text or None)
