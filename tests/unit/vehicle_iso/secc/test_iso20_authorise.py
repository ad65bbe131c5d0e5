"""ISO 15118-20 authorisation: other means, contracts, certificate installation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chargerd.model import CertificateAnswer
from chargerd.vehicle.iso15118 import contract, exi, signature
from chargerd.vehicle.iso15118.messages import common, xmldsig
from chargerd.vehicle.iso15118.messages.common_types import (
    ListOfRootCertificateIDs,
    MessageHeader,
)
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.iso20_authorise import INSTALL_HOLD_S, REFUSED_MAX
from chargerd.vehicle.iso15118.secc.station import Authorise
from hil.pki.bad import Flaw, make_bad
from hil.pki.make import Chain, Pki, make_pki
from hil.pki.profiles import EMAID, Profile, Use
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car

NOW_UTC = datetime.fromtimestamp(1_000_001_000, UTC)  # as the plant's clock
BOTH = (Authorise.PNC, Authorise.EIM)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return make_pki(Profile.ISO20, NOW_UTC)


def trusting(pki: Pki) -> Trust:
    v2g, mo, oem = (
        chain.root.certificate for chain in (pki.secc, pki.contract, pki.oem)
    )
    return Trust((v2g,), (mo,), (oem,))


def sealed(chain: Chain, name: str, part: Any) -> xmldsig.Signature:
    fragment = exi.encode_fragment("common", name, part)
    return signature.sign({part.Id: fragment}, chain.leaf.key, signature.ISO20)


class ContractCar(Car):
    """A vehicle with a contract, at the question of authorisation."""

    def __init__(self, pki: Pki, **setup: Any) -> None:
        values: dict[str, Any] = {"authorise": BOTH, "trust": trusting(pki), **setup}
        super().__init__(setup=replace(SETUP_20, **values))
        self.plant.energise = False
        self.run()
        self.pki = pki
        self.to("authorization_setup")
        self.offered = self.say(common.AuthorizationSetupReq)
        mode = self.offered.PnC_ASResAuthorizationMode
        self.challenge = mode.GenChallenge if mode is not None else bytes(16)

    def show(self, chain: Chain | None = None, **change: Any) -> Any:
        """AuthorizationReq with a contract; `change` breaks something."""
        chain = chain or self.pki.contract
        subs = common.SubCertificates(Certificate=list(chain.subs_der))
        mode = common.PnC_AReqAuthorizationMode(
            Id="pnc",
            GenChallenge=change.get("challenge", self.challenge),
            ContractCertificateChain=common.ContractCertificateChain(
                Certificate=chain.leaf.der, SubCertificates=subs
            ),
        )
        signer = change.get("signer", chain)
        if signer is not None:
            self.signature = sealed(signer, "PnC_AReqAuthorizationMode", mode)
        if "after" in change:
            mode.GenChallenge = change["after"]
        return self.say(
            common.AuthorizationReq,
            SelectedAuthorizationService="PnC",
            PnC_AReqAuthorizationMode=mode,
        )

    def install(self, signer: Chain | None, chain: Chain | None = None) -> Any:
        chain = chain or self.pki.oem
        part = common.SignedCertificateChain(
            Id="oem",
            Certificate=chain.leaf.der,
            SubCertificates=common.SubCertificates(Certificate=list(chain.subs_der)),
        )
        if signer is not None:
            self.signature = sealed(signer, "OEMProvisioningCertificateChain", part)
        root = xmldsig.X509IssuerSerial(X509IssuerName="CN=R", X509SerialNumber=1)
        return self.say(
            common.CertificateInstallationReq,
            OEMProvisioningCertificateChain=part,
            ListOfRootCertificateIDs=ListOfRootCertificateIDs(RootCertificateID=[root]),
            MaximumContractCertificateChains=2,
            PrioritizedEMAIDs=common.EMAIDList(EMAID=["DE8AAC0000001"]),
        )


# --- what is offered ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ways", "trust", "offered"),
    [
        (BOTH, True, ["PnC", "EIM"]),
        ((Authorise.EIM, Authorise.PNC), True, ["EIM", "PnC"]),
        (BOTH, False, ["EIM"]),  # nobody could judge a contract
        ((Authorise.EIM,), True, ["EIM"]),
    ],
)
def test_ways_on_offer(pki: Pki, ways: Any, trust: bool, offered: list[str]) -> None:
    car = ContractCar(pki, authorise=ways, trust=trusting(pki) if trust else None)
    answer = car.offered
    assert answer.AuthorizationServices == offered
    assert not answer.CertificateInstallationService
    # One of the two, and a challenge only with contracts [V2G20-2567].
    with_contracts = "PnC" in offered
    assert (answer.PnC_ASResAuthorizationMode is not None) is with_contracts
    assert (answer.EIM_ASResAuthorizationMode is None) is with_contracts


def test_a_setup_brings_a_new_challenge_and_ends_the_old_one(pki: Pki) -> None:
    car = ContractCar(pki)
    old = car.challenge
    again = car.say(common.AuthorizationSetupReq)
    car.challenge = again.PnC_ASResAuthorizationMode.GenChallenge
    assert len(car.challenge) == 16
    assert car.challenge != old
    assert car.show(challenge=old).ResponseCode == "WARNING_ChallengeInvalid"
    assert car.show().ResponseCode == "OK"


# --- other means ----------------------------------------------------------------------


def test_other_means_wait_for_the_station() -> None:
    car = Car()
    car.plant.energise = False
    car.run()
    car.to("authorization")
    for _ in range(3):
        answer = car.authorise()
        assert answer.ResponseCode == "OK"
        assert answer.EVSEProcessing == "Ongoing_WaitingForCustomerInteraction"
        car.run(1.0)
    car.plant.energise = True
    car.run()
    assert car.authorise().EVSEProcessing == "Finished"
    assert car.at == "service_discovery"


def test_waiting_for_a_driver_ends_after_three_minutes() -> None:
    car = Car()
    car.plant.energise = False
    car.run()
    car.to("authorization")
    car.authorise()
    for _ in range(9):
        car.run(19.9)
        assert car.authorise().ResponseCode == "OK"
    car.run(1.0)
    assert car.authorise().ResponseCode == "FAILED"
    assert car.state.stop_cause == "not_authorised"


def test_a_way_that_was_not_offered(pki: Pki) -> None:
    """[V2G20-2209]"""
    car = ContractCar(pki, authorise=(Authorise.PNC,))
    assert car.authorise().ResponseCode == "WARNING_AuthorizationSelectionInvalid"
    other = ContractCar(pki, authorise=(Authorise.EIM,))
    assert other.show().ResponseCode == "WARNING_AuthorizationSelectionInvalid"
    assert other.state.contract is None


# --- contracts ------------------------------------------------------------------------


def test_a_good_contract_is_shown_and_the_station_decides(pki: Pki) -> None:
    car = ContractCar(pki)
    answer = car.show()
    assert (answer.ResponseCode, answer.EVSEProcessing) == ("OK", "Ongoing")
    shown = car.state.contract
    assert shown is not None
    assert shown.emaid == EMAID
    assert shown.trusted
    assert car.show().EVSEProcessing == "Ongoing"
    assert car.state.contract == shown
    car.offer(energise=True)
    assert car.show().EVSEProcessing == "Finished"
    assert car.at == "service_discovery"
    assert car.state.contract == shown  # until the session ends


def test_the_same_words_are_not_proved_twice(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four signatures of P-521 a poll would hold the loop; others are read anew."""
    car = ContractCar(pki)
    read, count = contract.read, 0

    def counted(*given: Any) -> Any:
        nonlocal count
        count += 1
        return read(*given)

    monkeypatch.setattr(contract, "read", counted)
    car.show()
    for _ in range(3):
        assert car.repeat().ResponseCode == "OK"
    assert count == 1
    car.show()  # signed anew
    assert count == 2


def test_a_contract_of_an_unknown_root_is_for_the_central_system(pki: Pki) -> None:
    car = ContractCar(pki, trust=Trust())
    assert car.show().ResponseCode == "OK"
    shown = car.state.contract
    assert shown is not None
    assert not shown.trusted


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("CertificateRevoked", "WARNING_CertificateRevoked"),
        ("ContractCancelled", "WARNING_NoContractMatchingPCIDFound"),
        ("Unknown", "WARNING_eMSPUnknown"),
        ("Blocked", "WARNING_GeneralPnCAuthorizationError"),
    ],
)
def test_a_refused_contract_and_then_another(pki: Pki, why: str, code: str) -> None:
    car = ContractCar(pki)
    car.show()
    car.run()
    car.offer(contract_refused=why)
    answer = car.show()
    assert (answer.ResponseCode, answer.EVSEProcessing) == (code, "Finished")
    assert car.state.contract is None
    # The next one is not judged by the word about the last one.
    assert car.show().ResponseCode == "OK"
    assert car.state.contract is not None
    car.run()
    car.offer(energise=True)
    assert car.show().EVSEProcessing == "Finished"


def test_what_a_contract_must_prove(pki: Pki) -> None:
    """Each of these is no contract, whatever the station says."""
    other = make_pki(Profile.ISO20, NOW_UTC)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"challenge": bytes(16)}, "WARNING_ChallengeInvalid"),
        ({"signer": None}, "FAILED_SignatureError"),
        ({"signer": other.contract}, "FAILED_SignatureError"),
        ({"chain": make_bad(pki, Use.MO, Flaw.EXPIRED, NOW_UTC)}, "Expired"),
    ]
    for change, code in cases:
        car = ContractCar(pki)
        car.offer(energise=True)  # even now: the contract itself is wrong
        answer = car.show(**change)
        assert answer.ResponseCode.endswith(code), change
        assert car.state.contract is None
        assert car.at in ("authorization", "failed")


def test_a_contract_that_is_spoken_of_and_not_shown(pki: Pki) -> None:
    car = ContractCar(pki)
    answer = car.say(
        common.AuthorizationReq,
        SelectedAuthorizationService="PnC",
        EIM_AReqAuthorizationMode=common.EIM_AReqAuthorizationMode(),
    )
    assert answer.ResponseCode == "WARNING_GeneralPnCAuthorizationError"


def test_an_install_request_whose_certificate_is_none(pki: Pki) -> None:
    car = asking(pki)
    part = common.SignedCertificateChain(Id="oem", Certificate=b"no certificate")
    root = xmldsig.X509IssuerSerial(X509IssuerName="CN=R", X509SerialNumber=1)
    car.signature = sealed(pki.oem, "OEMProvisioningCertificateChain", part)
    answer = car.say(
        common.CertificateInstallationReq,
        OEMProvisioningCertificateChain=part,
        ListOfRootCertificateIDs=ListOfRootCertificateIDs(RootCertificateID=[root]),
        MaximumContractCertificateChains=1,
    )
    assert answer.ResponseCode == "WARNING_CertificateValidationError"


def test_a_signature_covers_what_was_sent(pki: Pki) -> None:
    car = ContractCar(pki)
    answer = car.show(challenge=bytes(range(16)), after=car.challenge)
    assert answer.ResponseCode == "FAILED_SignatureError"


def test_dates_are_not_judged_by_a_clock_that_is_not_trusted(pki: Pki) -> None:
    years = timedelta(days=3_000)
    late = SETUP_20.utc_offset_s + years.total_seconds()
    wrong = ContractCar(pki, utc_offset_s=late)
    assert wrong.show().ResponseCode == "WARNING_CertificateExpired"
    unsure = ContractCar(pki, utc_offset_s=late, utc_trusted=False)
    assert unsure.show().ResponseCode == "OK"


def test_a_vehicle_may_not_try_contracts_for_ever(pki: Pki) -> None:
    car = ContractCar(pki)
    for _ in range(REFUSED_MAX - 1):
        assert car.show(challenge=bytes(16)).ResponseCode == "WARNING_ChallengeInvalid"
    assert car.show(challenge=bytes(16)).ResponseCode == "FAILED"
    assert car.at == "failed"


def test_after_a_bad_contract_other_means_are_open(pki: Pki) -> None:
    car = ContractCar(pki)
    car.show(challenge=bytes(16))
    car.offer(energise=True)
    assert car.authorise().EVSEProcessing == "Finished"


# --- certificate installation ---------------------------------------------------------


def asking(pki: Pki) -> ContractCar:
    car = ContractCar(pki)
    car.offer(certificate_service=True)
    answer = car.say(common.AuthorizationSetupReq)
    assert answer.CertificateInstallationService
    car.challenge = answer.PnC_ASResAuthorizationMode.GenChallenge
    return car


def test_a_certificate_question_is_passed_on_and_its_answer_too(pki: Pki) -> None:
    car = asking(pki)
    assert car.install(pki.oem) is None
    assert car.answer.open
    assert car.answer.hold_s == INSTALL_HOLD_S < car.answer.within_s
    question = car.state.certificate_question
    assert question is not None
    assert question.schema == "urn:iso:std:iso:15118:-20:CommonMessages"
    assert (question.number, question.max_chains) == (1, 2)
    assert question.emaids == ("DE8AAC0000001",)
    sent = exi.decode("common", question.exi)
    assert isinstance(sent, common.CertificateInstallationReq)
    assert not car.session.may_send(car.plant.now)
    other = CertificateAnswer(7, b"\x80\x00")
    car.offer(certificate_service=True, certificate_answer=other)
    assert not car.session.may_send(car.plant.now)  # not the answer to this question
    answer = CertificateAnswer(1, b"\x80\x12\x34")
    car.offer(certificate_service=True, certificate_answer=answer)
    assert car.session.may_send(car.plant.now)
    late = car.session.late(car.plant.now)
    assert (late.raw, late.message) == (b"\x80\x12\x34", None)
    assert late.request == "CertificateInstallationReq"
    assert car.state.certificate_question is None
    assert car.show().ResponseCode == "OK"


def contract_for_vehicle(pki: Pki, remaining: int) -> bytes:
    """A CertificateInstallationRes of a contract pool, signed by the CPS, as EXI."""
    chain = pki.contract
    part = common.SignedInstallationData(
        Id="id1",
        ContractCertificateChain=common.ContractCertificateChain(
            Certificate=chain.leaf.der,
            SubCertificates=common.SubCertificates(Certificate=list(chain.subs_der)),
        ),
        ECDHCurve="SECP521",
        DHPublicKey=bytes(133),
        SECP521_EncryptedPrivateKey=bytes(94),
    )
    seal = sealed(pki.cps, "SignedInstallationData", part)
    return exi.encode(
        common.CertificateInstallationRes(
            Header=MessageHeader(SessionID=bytes(8), TimeStamp=1, Signature=seal),
            ResponseCode="OK",
            EVSEProcessing="Finished",
            CPSCertificateChain=common.CertificateChain(Certificate=pki.cps.leaf.der),
            SignedInstallationData=part,
            RemainingContractCertificateChains=remaining,
        )
    )


@pytest.mark.req("M01.FR.05")
@pytest.mark.parametrize(
    ("told", "shown"), [(None, 7), (7, 7), (0, 0), (3, 3), (9000, 255)]
)
def test_the_vehicle_hears_how_many_contracts_of_all_pools_wait(
    pki: Pki, told: int | None, shown: int
) -> None:
    car = asking(pki)
    car.install(pki.oem)
    data = contract_for_vehicle(pki, 7)
    answer = CertificateAnswer(1, data, told)
    car.offer(certificate_service=True, certificate_answer=answer)
    raw = car.session.late(car.plant.now).raw
    assert raw is not None
    assert (raw == data) is (shown == 7)
    found, sent = exi.decode("common", raw), exi.decode("common", data)
    assert found.RemainingContractCertificateChains == shown
    found.RemainingContractCertificateChains = 7
    assert found == sent
    name = "SignedInstallationData"  # its seal still fits
    fragments = [exi.encode_fragment("common", name, m.SignedInstallationData)
                 for m in (found, sent)]  # fmt: skip
    assert fragments[0] == fragments[1]


@pytest.mark.parametrize("answered", [True, False])
def test_no_certificate_is_no_end(pki: Pki, answered: bool) -> None:
    car = asking(pki)
    car.install(pki.oem)
    if answered:
        answer = CertificateAnswer(1, None)
        car.offer(certificate_service=True, certificate_answer=answer)
        assert car.session.may_send(car.plant.now)
    late = car.session.late(car.plant.now)
    assert late.raw is None
    response = car.coded(late.message)
    assert response.ResponseCode == "WARNING_NoCertificateAvailable"
    assert not late.close
    car.install(pki.oem)
    question = car.state.certificate_question
    assert question is not None
    assert question.number == 2


def test_what_nobody_signed_does_not_reach_the_central_system(pki: Pki) -> None:
    stranger = make_pki(Profile.ISO20, NOW_UTC)
    expired = make_bad(pki, Use.OEM, Flaw.EXPIRED, NOW_UTC)
    for signer, chain, code in (
        (None, pki.oem, "WARNING_CertificateValidationError"),
        (stranger.oem, pki.oem, "WARNING_CertificateValidationError"),
        (expired, expired, "WARNING_CertificateExpired"),
    ):
        car = asking(pki)
        assert car.install(signer, chain).ResponseCode == code
        assert not car.answer.open
        assert car.state.certificate_question is None


def test_no_service_without_anchors_to_judge_a_request_by(pki: Pki) -> None:
    car = ContractCar(pki, trust=None)
    car.offer(certificate_service=True)
    assert not car.say(common.AuthorizationSetupReq).CertificateInstallationService
    assert car.install(pki.oem).ResponseCode == "WARNING_NoCertificateAvailable"


def test_without_the_service_the_answer_comes_at_once(pki: Pki) -> None:
    car = ContractCar(pki)
    answer = car.install(pki.oem)
    assert answer.ResponseCode == "WARNING_NoCertificateAvailable"
    assert not car.answer.open
    assert car.state.certificate_question is None
