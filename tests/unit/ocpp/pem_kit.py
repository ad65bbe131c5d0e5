"""Makes roots and certificates of a central system, also weak and odd ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Made:
    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    @property
    def key_pem(self) -> str:
        private = self.key.private_bytes(
            PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return str(private.decode())


def name(common: str, *, organization: str = "chargerd", domain: str = "") -> x509.Name:
    rows = [(NameOID.COMMON_NAME, common), (NameOID.ORGANIZATION_NAME, organization),
            (NameOID.DOMAIN_COMPONENT, domain)]  # fmt: skip
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in rows if text])


def make(
    common: str,
    issuer: Made | None = None,
    *,
    ca: bool = False,
    key: Any = None,
    public_key: Any = None,
    subject: x509.Name | None = None,
    days: float = 100,
    age_days: float = 10,
    hosts: Sequence[str] = (),
    digest: Any = None,
    pss: bool = False,
) -> Made:
    """Self-signed without `issuer`. `public_key`: of a signing request."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    named = subject or name(common)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(issuer.certificate.subject if issuer else named)
        .public_key(public_key or own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=age_days))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if hosts:
        names = [x509.DNSName(host) for host in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    signer = issuer.key if issuer else own
    rsa_padding = None
    if pss:
        mgf = padding.MGF1(hashes.SHA256())
        rsa_padding = padding.PSS(mgf, padding.PSS.DIGEST_LENGTH)
    made = builder.sign(
        signer,
        digest or hashes.SHA256(),
        rsa_padding=rsa_padding,  # type: ignore[arg-type]
    )
    return Made(made, own)


def sign(
    csr_pem: str,
    issuer: Made,
    *,
    days: float = 100,
    age_days: float = 10,
    subject: x509.Name | None = None,
) -> Made:
    """What a CA makes of a signing request."""
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    assert csr.is_signature_valid
    return make(
        "",
        issuer,
        public_key=csr.public_key(),
        subject=subject or csr.subject,
        days=days,
        age_days=age_days,
    )


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
