"""Plug & Charge in memory: contracts, signatures, an installation, receipts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.station import Authorise
from hil.ev.iso15118.profile import Profile
from hil.pki.make import Pki, make_pki
from hil.pki.profiles import EMAID, Use
from hil.pki.profiles import Profile as PkiProfile
from tests.unit.hil_ev.bench15118 import ENERGIES, Bench
from tests.unit.hil_ev.provider15118 import iso2_installation, wallet_of
from tests.unit.vehicle_iso.secc.plant import SETUP

NOW_UTC = datetime.fromtimestamp(1_000_001_000, UTC)  # as the plant's clock


@pytest.fixture(scope="module", params=[PkiProfile.ISO20, PkiProfile.ISO20_ED448])
def pki20(request: Any) -> Pki:
    return make_pki(request.param, NOW_UTC)


@pytest.fixture(scope="module")
def pki2() -> Pki:
    return make_pki(PkiProfile.ISO2, NOW_UTC)


def bench(pki: Pki, protocol: str, service: str, **more: Any) -> Bench:
    trust = Trust(
        v2g_roots=(pki.secc.root.certificate,),
        mo_roots=(pki.contract.root.certificate,),
        oem_roots=(pki.oem.root.certificate,),
    )
    setup = replace(
        SETUP,
        energies=ENERGIES,
        authorise=(Authorise.PNC, Authorise.EIM),
        trust=trust,
        receipt_s=1.0,
    )
    profile = Profile(
        protocols=(protocol,), services=(service,), authorise="contract", **more
    )
    return Bench(profile, setup, wallet=wallet_of(pki))


@pytest.mark.parametrize("service", ["DC", "AC"])
def test_iso15118_2_by_contract(pki2: Pki, service: str) -> None:
    """The contract is shown to the heart, and the meter's readings are signed."""
    b = bench(pki2, "iso15118-2", service)
    b.to_energy()
    b.run(5.0)
    assert b.state.contract is not None
    assert b.state.contract.emaid == EMAID
    assert b.evcc.speaker is not None
    assert b.evcc.speaker.station["receipts"] >= 3
    assert b.state.phase is VehiclePhase.ENERGY
    b.leave()
    assert b.evcc.why == ""


def test_iso15118_2_installs_a_contract(pki2: Pki) -> None:
    """What the central system sends is checked, opened and then paid with."""
    b = bench(pki2, "iso15118-2", "DC", install=True)
    b.answer = lambda question: iso2_installation(pki2, question)
    b.to_energy()
    assert b.evcc.speaker is not None
    assert b.evcc.speaker.station["installed"] == EMAID
    assert b.state.contract is not None


def test_a_forged_installation_is_refused_by_the_vehicle(pki2: Pki) -> None:
    """Signed with a key that is not the certificate's."""
    leaf = replace(pki2.cps.leaf, key=pki2.oem.leaf.key)
    chains = {**pki2.chains, Use.CPS: replace(pki2.cps, leaf=leaf)}
    b = bench(pki2, "iso15118-2", "DC", install=True)
    b.answer = lambda question: iso2_installation(Pki(pki2.profile, chains), question)
    b.run(10.0, lambda: b.gone)
    assert b.evcc.why.startswith("CertificateInstallationRes: signature")


@pytest.mark.parametrize("service", ["DC_BPT", "AC_BPT"])
@pytest.mark.parametrize("control", ["dynamic", "scheduled"])
def test_iso15118_20_by_contract(pki20: Pki, service: str, control: str) -> None:
    b = bench(pki20, "iso15118-20", service, control=control)
    b.to_energy()
    b.run(3.0)
    assert b.state.contract is not None
    assert b.state.contract.emaid == EMAID
    assert b.state.phase is VehiclePhase.ENERGY
    assert b.evcc.speaker is not None
    assert b.evcc.speaker.station["receipts"] >= 2
    b.leave()
    assert b.evcc.why == ""


def test_without_contracts_it_pays_by_card(pki20: Pki) -> None:
    b = bench(pki20, "iso15118-20", "DC")
    b.setup = replace(b.setup, authorise=(Authorise.EIM,))
    b.connect()
    b.run(3.0)
    assert b.evcc.last_request == "AuthorizationReq"
    b.wallet = None  # from now on the station says yes, as to a card
    b.to_energy()
    assert b.state.contract is None
