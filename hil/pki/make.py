"""Makes certificates: one at a time, one chain, one whole PKI. Values only, no files.

A caller gives the time, so that a PKI of last year can be made today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from hil.pki.profiles import CA_USAGE, OCSP_URL, ROOT_DAYS, ROWS, Profile, Use

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey
CLOCK_SKEW = timedelta(hours=1)
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
# Ed448 keys only sign (RFC 8410 section 5).
ED448_USAGES = ("digital_signature", "content_commitment", *CA_USAGE)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """PKCS#8, not encrypted: this is a test."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """A leaf, the CAs between it and its root (the leaf's issuer first), the root."""

    leaf: Issued
    subs: tuple[Issued, ...]
    root: Issued

    @property
    def chain_pem(self) -> bytes:
        """As TLS and OCPP want it: leaf first, without the root."""
        return b"".join(each.pem for each in (self.leaf, *self.subs))

    @property
    def subs_der(self) -> tuple[bytes, ...]:
        return tuple(each.der for each in self.subs)


@dataclass(frozen=True, slots=True)
class Pki:
    """All four chains of one profile. SECC and CPS share the V2G root."""

    profile: Profile
    chains: dict[Use, Chain]

    @property
    def secc(self) -> Chain:
        return self.chains[Use.SECC]

    @property
    def cps(self) -> Chain:
        return self.chains[Use.CPS]

    @property
    def oem(self) -> Chain:
        return self.chains[Use.OEM]

    @property
    def contract(self) -> Chain:
        return self.chains[Use.MO]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one certificate shall say. `path_length` None: no limit, or no CA."""

    name: str
    domain: str
    usage: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    ca: bool = False
    path_length: int | None = None
    padding: int = 0  # bytes of an extension nobody reads
    critical_extra: bool = False  # an unknown extension that is critical


def new_key(profile: Profile) -> PrivateKey:
    """A key of the profile's curve."""
    if profile is Profile.ISO2:
        return ec.generate_private_key(ec.SECP256R1())
    if profile is Profile.ISO20:
        return ec.generate_private_key(ec.SECP521R1())
    return ed448.Ed448PrivateKey.generate()


def _name(wanted: Wanted) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, wanted.name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "chargerd test"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, wanted.domain),
        ]
    )


def _usage(holder: PublicKey, usage: Sequence[str]) -> x509.KeyUsage:
    if isinstance(holder, ed448.Ed448PublicKey):
        usage = [each for each in usage if each in ED448_USAGES]
    return x509.KeyUsage(**{each: each in usage for each in USAGES})


def _hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA512 | None:
    """What the holder of `key` signs with."""
    if isinstance(key, ed448.Ed448PrivateKey):
        return None
    return hashes.SHA256() if key.curve.name == "secp256r1" else hashes.SHA512()


def issue(wanted: Wanted, key: PrivateKey, issuer: Issued | None = None) -> Issued:
    """One certificate for `key`; without an issuer it signs itself."""
    if issuer is not None:
        return Issued(issue_for(wanted, key.public_key(), issuer), key)
    return Issued(_sign(wanted, key.public_key(), key, None), key)


def issue_for(wanted: Wanted, holder: PublicKey, issuer: Issued) -> x509.Certificate:
    """One certificate for a key that is elsewhere, as in an HSM."""
    return _sign(wanted, holder, issuer.key, issuer.certificate)


def _sign(
    wanted: Wanted,
    holder: PublicKey,
    signer: PrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    name = _name(wanted)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else name)
        .public_key(holder)
        .serial_number(x509.random_serial_number())
        .not_valid_before(wanted.not_before)
        .not_valid_after(wanted.not_after)
        .add_extension(x509.BasicConstraints(wanted.ca, wanted.path_length), True)
        .add_extension(_usage(holder, wanted.usage), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(holder), False)
        .add_extension(_issuer_id(issuer, holder), False)
    )
    if issuer is not None:
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP,
            x509.UniformResourceIdentifier(OCSP_URL),
        )
        about = x509.AuthorityInformationAccess([access])
        builder = builder.add_extension(about, False)
    if wanted.padding or wanted.critical_extra:
        extra = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(wanted.padding + 1)
        )
        builder = builder.add_extension(extra, wanted.critical_extra)
    return builder.sign(signer, _hash(signer))


def _issuer_id(
    issuer: x509.Certificate | None, holder: PublicKey
) -> x509.AuthorityKeyIdentifier:
    """Of the issuer's certificate, also when another key signs (bad.py forges)."""
    if issuer is None:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(holder)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )


def make_root(profile: Profile, name: str, now_utc: datetime) -> Issued:
    """A root for one of the parties."""
    wanted = Wanted(
        f"{name.upper()} Root {profile.value}",
        name.upper(),
        CA_USAGE,
        now_utc - CLOCK_SKEW,
        now_utc + timedelta(days=ROOT_DAYS),
        ca=True,
    )
    return issue(wanted, new_key(profile))


def make_subs(
    profile: Profile, use: Use, root: Issued, now_utc: datetime
) -> tuple[Issued, ...]:
    """The CAs under a root, the leaf's issuer first; each may issue one level less."""
    row = ROWS[use]
    subs: list[Issued] = [root]
    for number, days in enumerate(row.sub_days, start=1):
        wanted = Wanted(
            f"{row.ca_name} Sub{number}",
            row.ca_domain,
            CA_USAGE,
            now_utc - CLOCK_SKEW,
            now_utc + timedelta(days=days),
            ca=True,
            path_length=len(row.sub_days) - number,
        )
        subs.append(issue(wanted, new_key(profile), subs[-1]))
    return tuple(reversed(subs[1:]))


def leaf_wanted(use: Use, now_utc: datetime, name: str | None = None) -> Wanted:
    """What a good leaf of this use says."""
    row = ROWS[use]
    return Wanted(
        name or row.leaf_name,
        row.leaf_domain,
        row.usage,
        now_utc - CLOCK_SKEW,
        now_utc + timedelta(days=row.leaf_days),
    )


def make_chain(
    profile: Profile,
    use: Use,
    root: Issued,
    now_utc: datetime,
    name: str | None = None,
) -> Chain:
    """A good chain. `name`: the leaf's CN, e.g. another eMAID."""
    subs = make_subs(profile, use, root, now_utc)
    leaf = issue(leaf_wanted(use, now_utc, name), new_key(profile), subs[0])
    return Chain(leaf, subs, root)


def make_pki(profile: Profile, now_utc: datetime, emaid: str | None = None) -> Pki:
    """Roots, sub CAs and leaves of all four uses."""
    roots = {
        name: make_root(profile, name, now_utc)
        for name in dict.fromkeys(row.root for row in ROWS.values())
    }
    return Pki(
        profile,
        {
            use: make_chain(
                profile,
                use,
                roots[row.root],
                now_utc,
                emaid if use is Use.MO else None,
            )
            for use, row in ROWS.items()
        },
    )
