"""Chains: each flaw is seen for what it is; what only the centre can judge passes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.trust import name
from chargerd.vehicle.iso15118 import pki
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.pki import CertificateError, Problem, Trust
from hil.pki.bad import Flaw, make_bad, ocsp_answer
from hil.pki.make import Chain, Pki, Wanted, issue, make_chain, make_pki, new_key
from hil.pki.profiles import CA_USAGE, OCSP_URL, Profile, Use

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PKIS = {profile: make_pki(profile, NOW) for profile in Profile}
OUR_USE = {
    Use.SECC: pki.Use.SECC,
    Use.CPS: pki.Use.CPS,
    Use.OEM: pki.Use.OEM,
    Use.MO: pki.Use.CONTRACT,
}


def trust_of(made: Pki) -> Trust:
    return Trust(
        (made.secc.root.certificate,),
        (made.contract.root.certificate,),
        (made.oem.root.certificate,),
    )


def check(
    chain: Chain, trust: Trust, use: Use, now_utc: datetime | None = NOW
) -> pki.Chain:
    return pki.check_chain(chain.leaf.der, chain.subs_der, trust, OUR_USE[use], now_utc)


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("use", list(Use))
def test_good_chains(profile: Profile, use: Use) -> None:
    made = PKIS[profile]
    found = check(made.chains[use], trust_of(made), use)
    assert found.leaf == made.chains[use].leaf.certificate
    assert found.anchor == made.chains[use].root.certificate
    assert len(found.path) == 3


PROBLEMS = {
    Flaw.EXPIRED: (Problem.EXPIRED, "renew it"),
    Flaw.NOT_YET_VALID: (Problem.NOT_YET_VALID, "begins"),
    Flaw.TOO_DEEP: (Problem.CHAIN, "4 certificates, at most 3"),
    Flaw.LEAF_IS_CA: (Problem.CHAIN, "it is a CA, not a leaf"),
    Flaw.SUB_NOT_CA: (Problem.CHAIN, "is no CA"),
    Flaw.NO_SIGN_USAGE: (Problem.CHAIN, "may not sign (digitalSignature)"),
    Flaw.SELF_SIGNED: (Problem.CHAIN, "it signs itself"),
    Flaw.FORGED: (Problem.CHAIN, "none of the CAs sent signed the leaf"),
    Flaw.HUGE: (Problem.CHAIN, "at most 1600 may be"),
    Flaw.CRITICAL_EXTRA: (Problem.CHAIN, "is not understood"),
    Flaw.SUB_EXPIRED: (Problem.EXPIRED, "Sub2 ended"),
}


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("use", list(Use))
@pytest.mark.parametrize("flaw", list(PROBLEMS))
def test_flaws(profile: Profile, use: Use, flaw: Flaw) -> None:
    made = PKIS[profile]
    problem, said = PROBLEMS[flaw]
    with pytest.raises(CertificateError) as caught:
        check(make_bad(made, use, flaw, NOW), trust_of(made), use)
    assert caught.value.problem is problem
    assert said in str(caught.value)
    leaf_name = pki.common_name(made.chains[use].leaf.certificate)
    assert use is not Use.MO or leaf_name not in str(caught.value)


@pytest.mark.parametrize("use", [Use.SECC, Use.CPS, Use.OEM])
def test_a_leaf_of_another_use(use: Use) -> None:
    """[V2G2-925]: DC= says what a leaf is for; a contract has no fixed one."""
    made = PKIS[Profile.ISO2]
    with pytest.raises(CertificateError, match="DC="):
        check(make_bad(made, use, Flaw.WRONG_DOMAIN, NOW), trust_of(made), use)
    other = make_bad(made, Use.MO, Flaw.WRONG_DOMAIN, NOW)
    assert check(other, trust_of(made), Use.MO).anchor is not None


@pytest.mark.parametrize("use", list(Use))
def test_a_root_that_is_not_ours_is_no_error(use: Use) -> None:
    """Neither an unknown root nor one that only has the name of ours."""
    made = PKIS[Profile.ISO2]
    stranger = make_bad(made, use, Flaw.WRONG_ROOT, NOW)
    assert check(stranger, trust_of(made), use).anchor is None
    assert check(made.chains[use], Trust(), use).anchor is None


def test_a_root_of_another_kind_is_not_believed() -> None:
    """A maker's root vouches for no contract, an operator's for no vehicle."""
    made = PKIS[Profile.ISO2]
    only_oem = Trust(oem_roots=(made.oem.root.certificate,))
    only_mo = Trust(mo_roots=(made.contract.root.certificate,))
    assert check(made.contract, only_oem, Use.MO).anchor is None
    assert check(made.oem, only_mo, Use.OEM).anchor is None


@pytest.mark.parametrize("flaw", [Flaw.EXPIRED, Flaw.NOT_YET_VALID, Flaw.SUB_EXPIRED])
def test_lives_are_not_judged_without_a_trusted_clock(flaw: Flaw) -> None:
    made = PKIS[Profile.ISO2]
    bad = make_bad(made, Use.MO, flaw, NOW)
    assert check(bad, trust_of(made), Use.MO, None).anchor is not None


def test_an_expired_root_is_told() -> None:
    day = timedelta(days=1)
    wanted = Wanted("Old Root", "OEM", CA_USAGE, NOW - day, NOW + day, ca=True)
    root = issue(wanted, new_key(Profile.ISO2))
    chain = make_chain(Profile.ISO2, Use.OEM, root, NOW)
    trust = Trust(oem_roots=(root.certificate,))
    assert check(chain, trust, Use.OEM).anchor == root.certificate
    with pytest.raises(CertificateError, match="Old Root ended"):
        check(chain, trust, Use.OEM, NOW + 2 * day)


def test_the_order_of_the_cas_does_not_matter_and_the_root_may_be_among_them() -> None:
    made = PKIS[Profile.ISO2]
    chain = made.contract
    for subs in (
        chain.subs_der[::-1],
        (*chain.subs_der, chain.root.der),
        (chain.root.der, *chain.subs_der[::-1]),
    ):
        found = pki.check_chain(
            chain.leaf.der, subs, trust_of(made), pki.Use.CONTRACT, NOW
        )
        assert found.path[1].subject == chain.subs[0].certificate.subject


def test_a_ca_that_does_not_belong() -> None:
    made = PKIS[Profile.ISO2]
    with pytest.raises(CertificateError, match=r"signed .*MO Sub1"):
        pki.check_chain(
            made.contract.leaf.der,
            (*made.contract.subs_der, made.oem.subs[0].der),
            trust_of(made),
            pki.Use.CONTRACT,
            NOW,
        )


def test_a_missing_ca_ends_at_no_root() -> None:
    made = PKIS[Profile.ISO2]
    with_one = pki.check_chain(
        made.contract.leaf.der,
        made.contract.subs_der[:1],
        trust_of(made),
        pki.Use.CONTRACT,
        NOW,
    )
    assert with_one.anchor is None
    assert len(name.certificate_hashes(with_one.known)) == 1


def test_too_many_cas_are_not_even_read() -> None:
    made = PKIS[Profile.ISO2]
    with pytest.raises(CertificateError, match="5 CAs, at most 4"):
        pki.check_chain(
            made.contract.leaf.der, [b"\x30"] * 5, Trust(), pki.Use.CONTRACT, NOW
        )


@pytest.mark.parametrize("profile", list(Profile))
def test_hashes_are_those_of_ocsp(profile: Profile) -> None:
    """The OCSP library's own request names the certificate the same way."""
    made = PKIS[profile]
    chain = check(made.contract, trust_of(made), Use.MO)
    found = name.certificate_hashes(chain.known)
    assert len(found) == 3
    for each, (leaf, issuer) in zip(
        found,
        [
            (made.contract.leaf, made.contract.subs[0]),
            (made.contract.subs[0], made.contract.subs[1]),
            (made.contract.subs[1], made.contract.root),
        ],
        strict=True,
    ):
        answer = ocsp.load_der_ocsp_response(ocsp_answer(leaf, issuer, NOW))
        assert each.issuer_name_hash == answer.issuer_name_hash.hex()
        assert each.issuer_key_hash == answer.issuer_key_hash.hex()
        assert int(each.serial, 16) == answer.serial_number
        assert each.responder_url == OCSP_URL
        assert len(each.serial) <= 40


def test_other_hash_algorithms() -> None:
    made = PKIS[Profile.ISO2]
    leaf, issuer = made.secc.leaf.certificate, made.secc.subs[0].certificate
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    bits = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    for algorithm in ("SHA384", "SHA512"):
        found = name.certificate_hash(leaf, issuer, algorithm)
        digest = hashlib.new(algorithm, bits).hexdigest()
        assert (found.algorithm, found.issuer_key_hash) == (algorithm, digest)


def test_keys_of_each_curve() -> None:
    kinds = {
        profile: type(pki.public_key(made.contract.leaf.certificate))
        for profile, made in PKIS.items()
    }
    assert issubclass(kinds[Profile.ISO20_ED448], ed448.Ed448PublicKey)
    assert issubclass(kinds[Profile.ISO2], ec.EllipticCurvePublicKey)


# --- any bytes ------------------------------------------------------------------------

DER = PKIS[Profile.ISO2].contract.leaf.der


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_a_certificate_or_our_error(data: bytes) -> None:
    with pytest.raises(V2gError):
        pki.read(data)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DER) - 1), st.integers(1, 255))
def test_one_changed_byte_is_never_believed(at: int, flip: int) -> None:
    """Every byte of a leaf is signed, or is the signature, or is its frame.

    The frame has one byte with two spellings: how many bits of the signature's last
    byte are unused. Then nothing that counts has changed.
    """
    made = PKIS[Profile.ISO2]
    changed = bytearray(DER)
    changed[at] ^= flip
    try:
        leaf = pki.check_chain(
            bytes(changed),
            made.contract.subs_der,
            trust_of(made),
            pki.Use.CONTRACT,
            NOW,
        ).leaf
    except V2gError:
        return
    true = x509.load_der_x509_certificate(DER)
    assert leaf.tbs_certificate_bytes == true.tbs_certificate_bytes
    assert leaf.signature == true.signature
