"""Contracts and installation requests: what reaches the central system."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509

from chargerd.vehicle.iso15118 import contract, signature
from chargerd.vehicle.iso15118.contract import ContractError, Problem
from chargerd.vehicle.iso15118.pki import Trust
from hil.pki.bad import Flaw, make_bad
from hil.pki.make import Pki, issue, leaf_wanted, make_chain, make_pki, new_key
from hil.pki.profiles import EMAID, Profile, Use

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PKIS = {profile: make_pki(profile, NOW) for profile in Profile}
SUITES = {
    Profile.ISO2: signature.ISO2,
    Profile.ISO20: signature.ISO20,
    Profile.ISO20_ED448: signature.ISO20,
}
PART = {"id1": b"\x80\x01the fragment of the request's body"}


def trust_of(made: Pki) -> Trust:
    return Trust(
        mo_roots=(made.contract.root.certificate,),
        oem_roots=(made.oem.root.certificate,),
    )


@pytest.mark.parametrize("profile", list(Profile))
def test_a_good_contract(profile: Profile) -> None:
    made = PKIS[profile]
    leaf, subs = made.contract.leaf, made.contract.subs_der
    found = contract.read(leaf.der, subs, trust_of(made), NOW, SUITES[profile])
    assert (found.emaid, found.trusted, len(found.hashes)) == (EMAID, True, 3)
    shown = x509.load_pem_x509_certificates(found.chain_pem.encode())
    assert shown[0] == leaf.certificate
    assert len(shown) == 3
    assert contract.key(leaf.der) == leaf.key.public_key()
    assert EMAID not in repr(found)


def test_a_foreign_root_is_for_the_central_system() -> None:
    made = PKIS[Profile.ISO2]
    leaf, subs = made.contract.leaf, made.contract.subs_der
    found = contract.read(leaf.der, subs, Trust(), NOW, signature.ISO2)
    assert (found.trusted, len(found.hashes)) == (False, 2)


@pytest.mark.parametrize(
    ("flaw", "problem"),
    [
        (Flaw.EXPIRED, Problem.EXPIRED),
        (Flaw.NOT_YET_VALID, Problem.NOT_YET_VALID),
        (Flaw.FORGED, Problem.CHAIN),
        (Flaw.WRONG_CURVE, Problem.ALGORITHM),
    ],
)
@pytest.mark.parametrize("profile", [Profile.ISO2, Profile.ISO20])
def test_contracts_that_are_refused(
    profile: Profile, flaw: Flaw, problem: Problem
) -> None:
    made = PKIS[profile]
    bad = make_bad(made, Use.MO, flaw, NOW)
    with pytest.raises(ContractError) as caught:
        contract.read(bad.leaf.der, bad.subs_der, trust_of(made), NOW, SUITES[profile])
    assert caught.value.problem is problem


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("DE8AACA2B3C4D5", "DE8AACA2B3C4D5"),
        ("DE-8AA-CA2B3C4D5", "DE8AACA2B3C4D5"),
        ("de-8aa-ca2b3c4d5-z", "DE8AACA2B3C4D5Z"),
        ("UKSWI123456791A", "UKSWI123456791A"),  # EcoG-io/iso15118's test contract
    ],
)
def test_names_of_accounts(written: str, normal: str) -> None:
    made = PKIS[Profile.ISO2]
    chain = make_chain(Profile.ISO2, Use.MO, made.contract.root, NOW, written)
    found = contract.read(
        chain.leaf.der, chain.subs_der, trust_of(made), NOW, signature.ISO2
    )
    assert found.emaid == normal


@pytest.mark.parametrize("name", ["x", "DE8AACA2B3C4", "DE8AACA2B3C4D5ZZ", "D8-1"])
def test_names_that_are_none(name: str) -> None:
    made = PKIS[Profile.ISO2]
    wanted = leaf_wanted(Use.MO, NOW, name)
    leaf = issue(wanted, new_key(Profile.ISO2), made.contract.subs[0])
    with pytest.raises(ContractError) as caught:
        contract.read(
            leaf.der, made.contract.subs_der, trust_of(made), NOW, signature.ISO2
        )
    assert caught.value.problem is Problem.EMAID
    assert name not in str(caught.value) or len(name) == 1


# --- certificate installation ---------------------------------------------------------


@pytest.mark.parametrize("profile", list(Profile))
def test_a_good_installation_request(profile: Profile) -> None:
    made = PKIS[profile]
    oem, suites = made.oem, SUITES[profile]
    sealed = signature.sign(PART, oem.leaf.key, suites)
    for subs in (oem.subs_der, ()):  # ISO 15118-2 sends no CAs
        contract.check_install_request(
            sealed, PART, oem.leaf.der, subs, trust_of(made), NOW, suites
        )


def test_installation_requests_that_are_refused() -> None:
    made = PKIS[Profile.ISO2]
    oem, suites = made.oem, signature.ISO2
    sealed = signature.sign(PART, oem.leaf.key, suites)
    stranger = signature.sign(PART, new_key(Profile.ISO2), suites)
    other = {"id1": b"\x80\x01something else"}
    old = make_bad(made, Use.OEM, Flaw.EXPIRED, NOW)
    contracts = made.contract.leaf
    for seal, part, leaf, subs, problem in [
        (stranger, PART, oem.leaf, oem.subs_der, Problem.SIGNATURE),
        (sealed, other, oem.leaf, oem.subs_der, Problem.SIGNATURE),
        (sealed, PART, old.leaf, old.subs_der, Problem.EXPIRED),
        (sealed, PART, contracts, (), Problem.CHAIN),  # DC=MO
    ]:
        with pytest.raises(ContractError) as caught:
            contract.check_install_request(
                seal, part, leaf.der, subs, trust_of(made), NOW, suites
            )
        assert caught.value.problem is problem
