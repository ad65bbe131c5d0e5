"""Trust anchors on disk: one folder a kind, PEM files in it.

Owns the folder: people put files there, OCPP's certificate messages add and remove
single ones. A broken file is told by name and passed over; the others count. Writes
are atomic: after a crash the old or the new file is there, whole. Blocks: off the loop.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from chargerd.model import CertificateHash
from chargerd.vehicle.iso15118 import certificate_name, pki
from chargerd.vehicle.iso15118.errors import V2gError

MAX_FILE_BYTES = 1_048_576  # a bundle of every maker's root
MAX_ADDED_BYTES = 10_000  # OCPP's InstallCertificate holds no more
MAX_ROOTS = 256


class Kind(Enum):
    """What a root is trusted for; the value names its folder."""

    V2G = "v2g"
    MO = "mo"  # contracts
    OEM = "oem"  # vehicles
    CSMS = "csms"
    MANUFACTURER = "manufacturer"  # firmware


@dataclass(frozen=True, slots=True)
class Root:
    """One trust anchor and the file that it is in."""

    kind: Kind
    certificate: x509.Certificate
    file: Path

    def hash(self, algorithm: str = "SHA256") -> CertificateHash:
        """Its name in OCPP; a root is its own issuer."""
        return certificate_name.certificate_hash(
            self.certificate, self.certificate, algorithm
        )


class TrustStore:
    """The anchors under one folder. Each call reads or writes the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def roots(self, *kinds: Kind) -> tuple[list[Root], list[str]]:
        """Every anchor of these kinds (none = all), and what cannot be read."""
        found: list[Root] = []
        broken: list[str] = []
        for kind in kinds or tuple(Kind):
            known, bad = read_roots(self._folder / kind.value)
            found += [Root(kind, certificate, file) for file, certificate in known]
            broken += bad
        return found, broken

    def add(self, kind: Kind, pem: bytes, now_utc: datetime | None) -> Root:
        """Keep one more anchor. V2gError: it is none, or there is no room.

        `now_utc` None: the clock is not trusted, its life is not judged.
        """
        certificate = _one(pem)
        if not pki.is_ca(certificate):
            raise V2gError("root certificate: it is no CA")
        if now_utc is not None:
            pki.check_life(certificate, now_utc, "root certificate")
        known, _ = self.roots(kind)
        if certificate in [root.certificate for root in known]:
            return next(root for root in known if root.certificate == certificate)
        if len(known) >= MAX_ROOTS:
            raise V2gError(
                f"{kind.value} roots: {MAX_ROOTS} are here, remove one first"
            )
        file = (
            self._folder / kind.value / f"{certificate.fingerprint(SHA256()).hex()}.pem"
        )
        _replace(file, [certificate])
        return Root(kind, certificate, file)

    def remove(self, named: CertificateHash) -> bool:
        """Forget every anchor of this name; False when there is none."""
        found, _ = self.roots()
        gone = [root for root in found if _is(root, named)]
        for root in gone:
            rest = [
                other.certificate
                for other in found
                if other.file == root.file and not _is(other, named)
            ]
            _replace(root.file, rest)
        return bool(gone)


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
            found += [(file, each) for each in _readable(_content(file))]
        except (OSError, V2gError) as error:
            broken.append(f"{file} is no PEM file of roots: {error}")
    return found, broken


def _content(file: Path) -> bytes:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise V2gError(f"over {MAX_FILE_BYTES} bytes")
    return file.read_bytes()


def _readable(pem: bytes) -> list[x509.Certificate]:
    """Certificates whose parts can all be read."""
    try:
        found = x509.load_pem_x509_certificates(pem)
        for each in found:
            certificate_name.key_bits(each)
            pki.is_ca(each)
    except pki.UNREADABLE as error:
        raise V2gError(f"it cannot be read: {error}") from error
    return found


def _one(pem: bytes) -> x509.Certificate:
    """The one certificate of a message of the central system."""
    if len(pem) > MAX_ADDED_BYTES:
        raise V2gError(f"root certificate: {len(pem)} bytes are too many")
    found = _readable(pem)
    if len(found) != 1:
        raise V2gError(f"root certificate: one is wanted, {len(found)} came")
    return found[0]


def _is(root: Root, named: CertificateHash) -> bool:
    own = root.hash(named.algorithm)
    return (
        own.issuer_name_hash == named.issuer_name_hash.lower()
        and own.issuer_key_hash == named.issuer_key_hash.lower()
        and own.serial == named.serial.lower().lstrip("0")
    )


def _replace(file: Path, certificates: list[x509.Certificate]) -> None:
    """Write it anew, or remove it when nothing is left; on disk when this returns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if certificates:
        fresh = file.with_suffix(".new")
        with fresh.open("wb") as out:
            for each in certificates:
                out.write(each.public_bytes(Encoding.PEM))
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    else:
        file.unlink(missing_ok=True)
    with _opened(file.parent) as handle:
        os.fsync(handle)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)
