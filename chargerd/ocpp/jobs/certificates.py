"""Jobs with certificates and keys: read, install, delete, make, take over, settle.

Owns their tasks and values. `certificate_worker.py` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from chargerd.model import CertificateHash

STATION = "ChargingStationCertificate"
V2G, V2G20 = "V2GCertificate", "V2G20Certificate"
CHAIN = "V2GCertificateChain"
CSMS_ROOT = "CSMSRootCertificate"


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate that is here. `use`: a GetCertificateIdUseEnumType value, or
    STATION. `children`: of a chain, the CAs between the leaf and its root."""

    use: str
    name: CertificateHash
    until_utc: datetime
    from_utc: datetime
    children: tuple[CertificateHash, ...] = ()
    signing: str = ""  # of a leaf: the CertificateSigningUseEnumType that renews it


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is here. `staples`: OCSP responses by serial number, and their end."""

    held: tuple[Held, ...] = ()
    staples: tuple[tuple[str, datetime], ...] = ()

    def of(self, *uses: str) -> tuple[Held, ...]:
        return tuple(held for held in self.held if held.use in uses)

    @property
    def entries(self) -> int:
        return sum(1 + len(held.children) for held in self.held)


@dataclass(frozen=True, slots=True)
class ReadCertificates:
    """Yields an Inventory."""


@dataclass(frozen=True, slots=True)
class InstallRoot:
    """Yields Installed, then an Inventory. `replaces`: the new root of the CSMS must be
    signed by the one it replaces. `now_utc` None: the clock is not trusted."""

    use: str
    pem: str
    replaces: bool
    room: int  # entries at most
    now_utc: datetime | None


@dataclass(frozen=True, slots=True)
class Installed:
    """`refused` "" = it is here; `reason`: an OCPP reason code."""

    refused: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeleteCertificate:
    """Yields Deleted, then an Inventory. `keep_csms`: the last root of the CSMS stays,
    without it there would be no way back."""

    named: CertificateHash
    keep_csms: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """`status`: a DeleteCertificateStatusEnumType value; `why` it failed."""

    status: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate names. `domain`: DC, only certificates for vehicles have it."""

    name: str
    organization: str
    country: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True)
class MakeKey:
    """A new key pair; yields a Csr. The key stays here."""

    use: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Csr:
    """PKCS #10 in PEM; the root under which the certificate is wanted, if known."""

    pem: str
    root: CertificateHash | None


@dataclass(frozen=True, slots=True)
class TakeSigned:
    """A signed chain for a key of MakeKey: yields Taken, then an Inventory."""

    use: str
    chain_pem: str
    subject: Subject
    now_utc: datetime | None


@dataclass(frozen=True, slots=True)
class Taken:
    """`refused` "" = it is in use now, or with the next link."""

    refused: str = ""


@dataclass(frozen=True, slots=True)
class Settle:
    """A link stands: what replaced something has worked, or did not. Yields Settled,
    then an Inventory."""

    shows_certificate: bool
    spare_client: bool
    spare_root: bool


@dataclass(frozen=True, slots=True)
class Settled:
    discarded: bool = False  # the renewed client certificate
    renewed: bool = False  # the old one went
    roots_gone: bool = False  # the replaced root went


@dataclass(frozen=True, slots=True)
class KeepStaple:
    """An OCSP response (DER) about a certificate shown to vehicles: yields an
    Inventory; OcppError when it is no good news about that certificate."""

    serial: str
    der: bytes
    now_utc: datetime | None


Task = (
    ReadCertificates
    | InstallRoot
    | DeleteCertificate
    | MakeKey
    | TakeSigned
    | Settle
    | KeepStaple
)
TASKS = get_args(Task)
Value = Inventory | Installed | Deleted | Csr | Taken | Settled
