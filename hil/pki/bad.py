"""Certificates with one flaw each, for tests that a flaw is seen.

Everything but the flaw is as good as in `make.py`. A revoked chain is a good one: that
it is revoked is told by an OCSP answer (`ocsp_answer`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from hil.pki.make import (
    CLOCK_SKEW,
    Chain,
    Issued,
    Pki,
    Wanted,
    issue,
    leaf_wanted,
    make_chain,
    make_root,
    new_key,
)
from hil.pki.profiles import CA_USAGE, ROWS, Profile, Use


class Flaw(Enum):
    """What is wrong."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_DOMAIN = "wrong-domain"  # DC= of another use
    TOO_DEEP = "too-deep"  # three CAs between root and leaf
    WRONG_CURVE = "wrong-curve"  # the leaf's key is of another profile
    LEAF_IS_CA = "leaf-is-ca"
    SUB_NOT_CA = "sub-not-ca"
    NO_SIGN_USAGE = "no-sign-usage"  # the leaf's key may not sign
    SELF_SIGNED = "self-signed"  # a leaf without any CA
    WRONG_ROOT = "wrong-root"  # a good chain under a root nobody has
    FORGED = "forged"  # the issuer's name, but not its signature
    HUGE = "huge"  # 60 kB of an extension
    CRITICAL_EXTRA = "critical-extra"  # a critical extension nobody knows
    SUB_EXPIRED = "sub-expired"


_DAY = timedelta(days=1)


def make_bad(pki: Pki, use: Use, flaw: Flaw, now_utc: datetime) -> Chain:
    """A chain of `use` under the PKI's own root, with one flaw."""
    good, profile = pki.chains[use], pki.profile
    wanted = _leaf(use, flaw, now_utc)
    if flaw is Flaw.SELF_SIGNED:
        leaf = issue(wanted, new_key(profile))
        return Chain(leaf, (), good.root)
    if flaw is Flaw.WRONG_ROOT:
        other = make_root(profile, ROWS[use].root, now_utc)
        return make_chain(profile, use, other, now_utc)
    if flaw in {Flaw.TOO_DEEP, Flaw.SUB_NOT_CA, Flaw.SUB_EXPIRED}:
        return _bad_subs(good, use, flaw, profile, now_utc)
    issuer, key = good.subs[0], new_key(profile)
    if flaw is Flaw.WRONG_CURVE:
        iso2 = profile is Profile.ISO2
        key = new_key(Profile.ISO20 if iso2 else Profile.ISO2)
    if flaw is Flaw.FORGED:
        issuer = Issued(issuer.certificate, new_key(profile))
    return Chain(issue(wanted, key, issuer), good.subs, good.root)


def _leaf(use: Use, flaw: Flaw, now_utc: datetime) -> Wanted:
    """A good leaf but for the flaw, where the flaw is the leaf's."""
    wanted = leaf_wanted(use, now_utc)
    if flaw is Flaw.EXPIRED:
        return replace(wanted, not_before=now_utc - 30 * _DAY, not_after=now_utc - _DAY)
    if flaw is Flaw.NOT_YET_VALID:
        return replace(wanted, not_before=now_utc + _DAY, not_after=now_utc + 30 * _DAY)
    if flaw is Flaw.WRONG_DOMAIN:
        return replace(wanted, domain="MO" if wanted.domain != "MO" else "CPS")
    if flaw is Flaw.LEAF_IS_CA:
        return replace(wanted, ca=True, usage=(*wanted.usage, *CA_USAGE))
    if flaw is Flaw.NO_SIGN_USAGE:
        return replace(wanted, usage=("content_commitment",))
    if flaw is Flaw.HUGE:
        return replace(wanted, padding=60_000)
    if flaw is Flaw.CRITICAL_EXTRA:
        return replace(wanted, critical_extra=True)
    return wanted


def _bad_subs(
    good: Chain, use: Use, flaw: Flaw, profile: Profile, now_utc: datetime
) -> Chain:
    """CAs that are one too many, no CA, or too old; the leaf under them is good."""
    row = ROWS[use]
    deep = flaw is Flaw.TOO_DEEP
    names = ("Sub1", "Sub2", "Sub3") if deep else ("Sub1", "Sub2")
    above, subs = good.root, list[Issued]()
    for name in names:
        last = name == names[-1]
        old = flaw is Flaw.SUB_EXPIRED and last
        wanted = Wanted(
            f"{row.ca_name} {name}",
            row.ca_domain,
            CA_USAGE,
            now_utc - (30 * _DAY if old else CLOCK_SKEW),
            now_utc + (-_DAY if old else 365 * _DAY),
            ca=not (flaw is Flaw.SUB_NOT_CA and last),
        )
        above = issue(wanted, new_key(profile), above)
        subs.insert(0, above)
    leaf = issue(leaf_wanted(use, now_utc), new_key(profile), above)
    return Chain(leaf, tuple(subs), good.root)


def ocsp_answer(
    subject: Issued,
    issuer: Issued,
    now_utc: datetime,
    *,
    revoked: bool = False,
    life: timedelta = timedelta(days=7),
) -> bytes:
    """The issuer's own OCSP response about `subject`, in DER: what TLS staples."""
    status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    ed = isinstance(issuer.key, ed448.Ed448PrivateKey)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=subject.certificate,
            issuer=issuer.certificate,
            algorithm=hashes.SHA256(),
            cert_status=status,
            this_update=now_utc - CLOCK_SKEW,
            next_update=now_utc + life,
            revocation_time=now_utc - CLOCK_SKEW if revoked else None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
    )
    answer = builder.sign(issuer.key, None if ed else hashes.SHA256())
    return answer.public_bytes(Encoding.DER)
