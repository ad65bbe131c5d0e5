"""A vehicle's certificates: the contract it pays with, and the one its maker gave it.

Values, made from the files of hil/pki/store.py. Owns no protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey


@dataclass(frozen=True, slots=True)
class Paper:
    """A leaf, the CAs between it and its root (its issuer first), and its key."""

    leaf_der: bytes
    subs_der: tuple[bytes, ...]
    key: PrivateKey

    @property
    def name(self) -> str:
        """The common name: eMAID of a contract, PCID of a provisioning certificate."""
        subject = x509.load_der_x509_certificate(self.leaf_der).subject
        return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@dataclass(frozen=True, slots=True)
class Wallet:
    """`root` is the V2G root it believes: issuer name and serial number."""

    contract: Paper
    provisioning: Paper
    root: tuple[str, int]


def read_wallet(pki: Path) -> Wallet:
    """ValueError: which file is missing or wrong."""
    try:
        root = x509.load_pem_x509_certificate((pki / "v2g" / "root.pem").read_bytes())
        return Wallet(
            read_paper(pki / "mo"),
            read_paper(pki / "oem"),
            (root.issuer.rfc4514_string(), root.serial_number),
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"pki {pki}: {error}") from error


def read_paper(folder: Path) -> Paper:
    """One chain of the PKI."""
    pem = (folder / "chain.pem").read_bytes()
    key = serialization.load_pem_private_key((folder / "leaf.key").read_bytes(), None)
    if not isinstance(key, PrivateKey):
        raise ValueError(f"{folder}/leaf.key: not an EC or Ed448 key")  # noqa: TRY004
    ders = [
        each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem)
    ]
    return Paper(ders[0], tuple(ders[1:]), key)
