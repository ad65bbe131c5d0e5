"""What each certificate of ISO 15118 looks like: names, key usages, life, algorithms.

Tables only. Sources: [V2G2-006], [V2G2-007] (P-256, SHA-256), [V2G2-009] (at most
three certificates under a root), [V2G2-925] (DC=), Annex F as hupe1980/iso15118
(docs/pki) and the requests of EcoG-io/iso15118 have it. Lives of sub CAs are [K].
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Profile(Enum):
    """Which algorithms a PKI is made of; the value names its folder."""

    ISO2 = "iso2"  # P-256, SHA-256: ISO 15118-2
    ISO20 = "iso20"  # P-521, SHA-512: ISO 15118-20
    ISO20_ED448 = "iso20-ed448"  # Ed448: the other suite of ISO 15118-20


class Use(Enum):
    """What a leaf is for; the value names its folder."""

    SECC = "secc"  # the station's TLS server
    CPS = "cps"  # signs CertificateInstallationRes
    OEM = "oem"  # provisioning; the vehicle's TLS certificate in ISO 15118-20
    MO = "mo"  # the contract


# Key usages by their names in `cryptography`.
CA_USAGE = ("key_cert_sign", "crl_sign")
SIGN = "digital_signature"
AGREE = "key_agreement"
COMMIT = "content_commitment"  # X.509's nonRepudiation
ENCIPHER = "key_encipherment"


@dataclass(frozen=True, slots=True)
class Row:
    """One chain: whose root, the DC= of its CAs and of its leaf, lives in days.

    `sub_days` begins under the root. `leaf_domain` is what readers of a leaf check.
    """

    root: str  # "v2g", "oem", "mo"
    ca_name: str
    ca_domain: str
    leaf_name: str
    leaf_domain: str
    usage: tuple[str, ...]
    leaf_days: int
    sub_days: tuple[int, ...]


EMAID = "DE8AACA2B3C4D5"  # without separators and check digit
EVSE_ID = "DE*ABC*E0001"
PCID = "WMIV1234567890ABCDEX"  # provisioning certificate identifier
ROOT_DAYS = 3650
OCSP_URL = "http://ocsp.example/"

ROWS = {
    Use.SECC: Row("v2g", "CPO", "V2G", EVSE_ID, "CPO", (SIGN, AGREE), 60, (1460, 365)),
    Use.CPS: Row("v2g", "CPS", "V2G", "CPS", "CPS", (SIGN,), 90, (1460, 730)),
    Use.OEM: Row("oem", "OEM", "OEM", PCID, "OEM", (SIGN, AGREE), 1460, (1460, 1460)),
    Use.MO: Row(
        "mo",
        "MO",
        "MO",
        EMAID,
        "MO",
        (SIGN, COMMIT, ENCIPHER, AGREE),
        730,
        (1460, 1460),
    ),
}
