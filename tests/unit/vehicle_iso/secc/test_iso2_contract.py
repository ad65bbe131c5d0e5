"""ISO 15118-2 Plug & Charge: what is offered, proved, passed on and receipted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.model import CertificateAnswer, VehicleOffer
from chargerd.vehicle.iso15118 import exi, sap, signature, v2gtp
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages import xmldsig
from chargerd.vehicle.iso15118.secc.connection import Connection
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED
from chargerd.vehicle.iso15118.secc.station import Authorise
from hil.pki.bad import Flaw, make_bad
from hil.pki.make import Pki, make_pki
from hil.pki.profiles import EMAID, Profile, Use
from tests.unit.vehicle_iso.secc.car2 import Car, ContractCar, power, select
from tests.unit.vehicle_iso.secc.plant import SETUP, TICK_S

NOW_UTC = datetime.fromtimestamp(1_000_001_000, UTC)  # as the plant's clock
CONTRACT = "Contract"


_PKI = make_pki(Profile.ISO2, NOW_UTC)


@pytest.fixture
def pki() -> Pki:
    return _PKI


def tell(car: Car, **change: Any) -> VehicleOffer:
    """The station's word, with a change, now."""
    offer = replace(car.plant.offer(), **change)
    car.session.command(offer, car.plant.now)
    return offer


# --- what is offered ------------------------------------------------------------------


def test_contracts_over_tls_only(pki: Pki) -> None:
    """[V2G2-633] to [V2G2-635]."""
    for tls, ways in (
        (True, ["Contract", "ExternalPayment"]),
        (False, ["ExternalPayment"]),
    ):
        car = ContractCar(pki, tls=tls)
        car.to("discovery")
        response = car.say(m.ServiceDiscoveryReq())
        assert response.PaymentOptionList.PaymentOption == ways
        assert response.ServiceList is None
        refused = car.say(select(CONTRACT)).ResponseCode
        assert refused == ("OK" if tls else "FAILED_PaymentSelectionInvalid")


def test_no_contracts_without_roots() -> None:
    car = Car(replace(SETUP, authorise=(Authorise.PNC, Authorise.EIM)), tls=True)
    car.to("discovery")
    response = car.say(m.ServiceDiscoveryReq())
    assert response.PaymentOptionList.PaymentOption == ["ExternalPayment"]


def test_a_station_for_contracts_only_has_nothing_without_tls() -> None:
    car = Car(replace(SETUP, authorise=(Authorise.PNC,)))
    car.to("discovery")
    assert car.say(m.ServiceDiscoveryReq()).ResponseCode == "FAILED"
    assert car.session.at == FAILED


@pytest.mark.parametrize(
    ("category", "offered"),
    [(None, True), ("ContractCertificate", True), ("Internet", False)],
)
def test_the_certificate_service(pki: Pki, category: Any, offered: bool) -> None:
    car = ContractCar(pki)
    car.to("discovery")
    tell(car, certificate_service=True)
    response = car.say(m.ServiceDiscoveryReq(ServiceCategory=category))
    assert (response.ServiceList is not None) is offered
    if not offered:
        return
    service = response.ServiceList.Service[0]
    assert (service.ServiceID, service.ServiceCategory) == (2, "ContractCertificate")
    response = car.say(m.ServiceDetailReq(ServiceID=2))
    sets = response.ServiceParameterList.ParameterSet
    told = {one.ParameterSetID: one.Parameter[0].stringValue for one in sets}
    assert told == {1: "Installation", 2: "Update"}


def test_a_parameter_set_that_is_not_offered(pki: Pki) -> None:
    car = ContractCar(pki)
    car.to("discovery")
    tell(car, certificate_service=True)
    car.say(m.ServiceDiscoveryReq())
    request = select(CONTRACT, 1, 2)
    request.SelectedServiceList.SelectedService[1].ParameterSetID = 3
    assert car.say(request).ResponseCode == "FAILED_ServiceSelectionInvalid"


def test_charging_must_be_selected(pki: Pki) -> None:
    car = ContractCar(pki)
    car.to("discovery")
    tell(car, certificate_service=True)
    car.say(m.ServiceDiscoveryReq())
    code = car.say(select(CONTRACT, 2)).ResponseCode
    assert code == "FAILED_NoChargeServiceSelected"


# --- the contract ---------------------------------------------------------------------


def test_a_contract_is_shown_when_its_key_is_proved(pki: Pki) -> None:
    car = ContractCar(pki)
    car.plant.energise = False
    car.run(TICK_S)
    car.to_proof()
    assert len(car.challenge) == 16
    assert car.state.contract is None
    response = car.say_signed(car.authorization())
    assert (response.ResponseCode, response.EVSEProcessing) == ("OK", "Ongoing")
    shown = car.state.contract
    assert shown is not None
    assert shown.emaid == EMAID.replace("-", "")
    assert shown.trusted
    assert shown.chain_pem.count("BEGIN CERTIFICATE") == 3
    again = car.say(car.authorization())  # repeats need no new proof
    assert again.EVSEProcessing == "Ongoing"
    car.plant.energise = True
    car.run(1.0)
    assert car.say(car.authorization()).EVSEProcessing == "Finished"
    assert car.session.at == "parameters"
    assert car.state.contract == shown


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        (Flaw.EXPIRED, "FAILED_CertificateExpired"),
        (Flaw.NOT_YET_VALID, "FAILED_CertChainError"),
        (Flaw.SELF_SIGNED, "FAILED_CertChainError"),
        (Flaw.FORGED, "FAILED_CertChainError"),
        (Flaw.WRONG_CURVE, "FAILED_CertChainError"),
        (Flaw.TOO_DEEP, "FAILED_CertChainError"),
        (Flaw.LEAF_IS_CA, "FAILED_CertChainError"),
    ],
)
def test_chains_that_are_refused(pki: Pki, flaw: Flaw, code: str) -> None:
    car = ContractCar(pki)
    car.to_contract()
    response = car.say(car.details(make_bad(pki, Use.MO, flaw, NOW_UTC)))
    assert response.ResponseCode == code
    assert (car.session.at, car.state.contract) == (FAILED, None)
    assert (car.state.stop_cause, car.state.faults) == ("not_authorised", frozenset())


@given(st.binary(max_size=400), st.lists(st.binary(max_size=60), max_size=3))
@settings(max_examples=50, deadline=None)
def test_any_bytes_for_certificates(leaf: bytes, subs: list[bytes]) -> None:
    car = ContractCar(_PKI)
    car.to_contract()
    chain = m.CertificateChain(
        Certificate=leaf,
        SubCertificates=m.SubCertificates(Certificate=subs) if subs else None,
    )
    request = m.PaymentDetailsReq(eMAID=EMAID, ContractSignatureCertChain=chain)
    assert car.say(request).ResponseCode.startswith("FAILED")


def test_without_a_trusted_clock_dates_are_left_to_the_central_system(pki: Pki) -> None:
    car = ContractCar(pki, replace(SETUP, utc_trusted=False))
    car.to_contract()
    expired = make_bad(pki, Use.MO, Flaw.EXPIRED, NOW_UTC)
    assert car.say(car.details(expired)).ResponseCode == "OK"


def test_a_root_we_do_not_have_is_left_to_the_central_system(pki: Pki) -> None:
    car = ContractCar(pki)
    car.to_contract()
    other = make_bad(pki, Use.MO, Flaw.WRONG_ROOT, NOW_UTC)
    car.challenge = car.say(car.details(other)).GenChallenge
    assert car.say_signed(car.authorization(), other).ResponseCode == "OK"
    assert car.state.contract is not None
    assert not car.state.contract.trusted


@pytest.mark.parametrize("emaid", ["DEXYZ000000009", "?" * 14])
def test_another_account_than_the_certificate_s(pki: Pki, emaid: str) -> None:
    car = ContractCar(pki)
    car.to_contract()
    code = car.say(car.details(emaid=emaid)).ResponseCode
    assert code == "FAILED_CertificateNotAllowedAtThisEVSE"


def _unproved(car: ContractCar, name: str) -> Any:
    right = car.authorization()
    other = make_pki(Profile.ISO2, NOW_UTC).contract
    return {
        "challenge": lambda: car.say_signed(car.authorization(bytes(16))),
        "no challenge": lambda: car.say_signed(m.AuthorizationReq(Id="id1")),
        "no signature": lambda: car.say(right),
        "no id": lambda: car.say(m.AuthorizationReq(GenChallenge=car.challenge)),
        "other key": lambda: car.say_signed(right, other),
    }[name]()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("challenge", "FAILED_ChallengeInvalid"),
        ("no challenge", "FAILED_ChallengeInvalid"),
        ("no signature", "FAILED_SignatureError"),
        ("no id", "FAILED_SignatureError"),
        ("other key", "FAILED_SignatureError"),
    ],
)
def test_a_contract_without_proof_is_never_shown(
    pki: Pki, name: str, code: str
) -> None:
    car = ContractCar(pki)
    car.to_proof()
    assert car.plant.energise  # even an authorised station does not take it
    assert _unproved(car, name).ResponseCode == code
    assert (car.session.at, car.state.contract) == (FAILED, None)
    assert car.state.stop_cause == "not_authorised"


def test_the_challenge_is_random(pki: Pki) -> None:
    sizes: list[int] = []
    car = ContractCar(pki)
    car.session.random = lambda size: sizes.append(size) or b"\x07" * size  # type: ignore[func-returns-value]
    car.to_proof()
    assert sizes == [8, 16]
    assert car.challenge == b"\x07" * 16


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("CertificateRevoked", "FAILED_CertificateRevoked"),
        ("ContractCancelled", "FAILED_ContractCanceled"),
        ("CertificateExpired", "FAILED_CertificateExpired"),
        ("NoCertificateAvailable", "FAILED_NoCertificateAvailable"),
        ("CertChainError", "FAILED_CertChainError"),
        ("SignatureError", "FAILED_SignatureError"),
        ("Blocked", "FAILED"),
    ],
)
def test_the_central_system_refuses(pki: Pki, why: str, code: str) -> None:
    car = ContractCar(pki)
    car.plant.energise = False
    car.run(TICK_S)
    car.to_proof()
    assert car.say_signed(car.authorization()).ResponseCode == "OK"
    tell(car, contract_refused=why)
    assert car.say(car.authorization()).ResponseCode == code
    assert car.state.stop_cause == "not_authorised"


def test_an_old_refusal_is_not_for_a_new_contract(pki: Pki) -> None:
    car = ContractCar(pki)
    car.to_proof()
    tell(car, contract_refused="CertificateRevoked", energise=True)
    assert car.say_signed(car.authorization()).EVSEProcessing == "Finished"


# --- installation and update ----------------------------------------------------------


def _asking(pki: Pki) -> ContractCar:
    car = ContractCar(pki)
    car.to("discovery")
    tell(car, certificate_service=True)
    car.say(m.ServiceDiscoveryReq())
    car.say(select(CONTRACT, 1, 2))
    return car


ROOTS = m.ListOfRootCertificateIDs(
    RootCertificateID=[
        xmldsig.X509IssuerSerial(X509IssuerName="CN=V2G Root", X509SerialNumber=1)
    ]
)


def _install(pki: Pki) -> m.CertificateInstallationReq:
    return m.CertificateInstallationReq(
        Id="id1",
        OEMProvisioningCert=pki.oem.leaf.der,
        ListOfRootCertificateIDs=ROOTS,
    )


def _answer(car: ContractCar, kind: Any, code: Any = "OK") -> bytes:
    response = kind(
        ResponseCode=code,
        SAProvisioningCertificateChain=car.chain(),
        ContractSignatureCertChain=car.chain(),
        ContractSignatureEncryptedPrivateKey=m.ContractSignatureEncryptedPrivateKey(
            Id="id1", value=bytes(48)
        ),
        DHpublickey=m.DiffieHellmanPublickey(Id="id2", value=bytes(65)),
        eMAID=m.EMAID(Id="id3", value="DEXYZ000000001"),
    )
    header = m.MessageHeader(SessionID=car.id)
    return exi.encode(m.V2G_Message(Header=header, Body=m.Body(BodyElement=response)))


def test_installation_is_passed_on_and_back_unchanged(pki: Pki) -> None:
    car = _asking(pki)
    assert car.say_signed(_install(pki), pki.oem) is None
    assert (car.answer.open, car.answer.hold_s) == (True, 4.0)
    assert car.answer.within_s == 4.5
    question = car.state.certificate_question
    assert question is not None
    assert (question.update, question.schema) == (False, "urn:iso:15118:2:2013:MsgDef")
    asked = exi.decode("iso2", question.exi).Body.BodyElement
    assert asked == _install(pki)
    assert not car.session.may_send(car.plant.now)
    told = _answer(car, m.CertificateInstallationRes)
    tell(car, certificate_answer=CertificateAnswer(question.number + 1, told))
    assert not car.session.may_send(car.plant.now)  # another vehicle's
    tell(car, certificate_answer=CertificateAnswer(question.number, told))
    assert car.session.may_send(car.plant.now)
    late = car.session.late(car.plant.now)
    assert (late.raw, late.message, late.close) == (told, None, False)
    assert late.request == "CertificateInstallationReq"
    assert car.state.certificate_question is None
    car.challenge = car.say(car.details()).GenChallenge
    assert car.say_signed(car.authorization()).ResponseCode == "OK"


def test_an_update_is_signed_by_the_old_contract(pki: Pki) -> None:
    car = _asking(pki)
    request = m.CertificateUpdateReq(
        Id="id1",
        ContractSignatureCertChain=car.chain(),
        eMAID=EMAID,
        ListOfRootCertificateIDs=ROOTS,
    )
    assert car.say_signed(request) is None
    question = car.state.certificate_question
    assert question is not None
    assert question.update
    told = _answer(car, m.CertificateUpdateRes)
    tell(car, certificate_answer=CertificateAnswer(question.number, told))
    assert car.session.late(car.plant.now).raw == told
    other = _asking(pki)
    code = other.say_signed(request, pki.oem).ResponseCode
    assert code == "FAILED_SignatureError"
    request.eMAID = "DEXYZ000000001"
    code = _asking(pki).say_signed(request).ResponseCode
    assert code == "FAILED_CertificateNotAllowedAtThisEVSE"


def _given(car: ContractCar, name: str, number: int) -> CertificateAnswer | None:
    return {
        "late": None,
        "other": CertificateAnswer(number ^ 1, b"x"),
        "none": CertificateAnswer(number, None),
        "garbage": CertificateAnswer(number, b"\x80\x9a\x00"),
        "wrong": CertificateAnswer(number, _answer(car, m.CertificateUpdateRes)),
    }[name]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("late", "FAILED"),
        ("other", "FAILED"),
        ("none", "FAILED_NoCertificateAvailable"),
        ("garbage", "FAILED_NoCertificateAvailable"),
        ("wrong", "FAILED_NoCertificateAvailable"),
    ],
)
def test_without_a_good_answer_the_old_contract_may_still_be_shown(
    pki: Pki, name: str, code: str
) -> None:
    """[V2G2-557], [V2G2-558]."""
    car = _asking(pki)
    car.say_signed(_install(pki), pki.oem)
    question = car.state.certificate_question
    assert question is not None
    car.run(4.0)
    tell(car, certificate_answer=_given(car, name, question.number))
    answer = car.session.late(car.plant.now)
    response = car.hear(answer.message)
    assert response.ResponseCode == code
    assert isinstance(response, m.CertificateInstallationRes)
    assert car.session.at == "details"
    assert car.say(car.details()).ResponseCode == "OK"


def test_one_question_per_session(pki: Pki) -> None:
    car = _asking(pki)
    car.say_signed(_install(pki), pki.oem)
    car.session.late(car.plant.now)
    again = car.say_signed(_install(pki), pki.oem)
    assert again.ResponseCode == "FAILED_SequenceError"
    assert car.session.late(car.plant.now).close


def test_questions_that_are_not_passed_on(pki: Pki) -> None:
    car = _asking(pki)
    assert car.say(_install(pki)).ResponseCode == "FAILED_SignatureError"
    car = _asking(pki)
    code = car.say_signed(_install(pki), pki.contract).ResponseCode
    assert code == "FAILED_SignatureError"
    car = _asking(pki)
    bad = make_bad(pki, Use.OEM, Flaw.EXPIRED, NOW_UTC)
    request = replace_certificate(_install(pki), bad.leaf.der)
    assert car.say_signed(request, bad).ResponseCode == "FAILED_CertificateExpired"
    car = ContractCar(pki)
    car.to_contract()  # the service was neither offered nor selected
    code = car.say_signed(_install(pki), pki.oem).ResponseCode
    assert code == "FAILED_SequenceError"
    assert car.state.certificate_question is None


def replace_certificate(
    request: m.CertificateInstallationReq, der: bytes
) -> m.CertificateInstallationReq:
    request.OEMProvisioningCert = der
    return request


def test_an_unplug_ends_the_question(pki: Pki) -> None:
    car = _asking(pki)
    car.say_signed(_install(pki), pki.oem)
    car.session.unplugged(car.plant.now)
    assert car.state.certificate_question is None
    assert car.session.late(car.plant.now).close


def test_through_a_connection_the_answer_waits_and_is_sent_as_it_came(pki: Pki) -> None:
    car = _asking(pki)
    connection = Connection(
        [sap.ISO2],
        lambda _protocol, _now_mono: car.session,
        mutual_tls_1_3=False,
        now_mono=car.plant.now,
    )

    def send(data: bytes) -> None:
        connection.receive(v2gtp.pack(v2gtp.PayloadType.EXI, data), car.plant.now)

    send(sap.encode_request([sap.Offer(sap.ISO2.namespace, 2, 0, 1, 1)]))
    connection.to_send(car.plant.now)
    request = _install(pki)
    fragment = exi.encode_fragment("iso2", "CertificateInstallationReq", request)
    seal = signature.sign({"id1": fragment}, pki.oem.leaf.key, signature.ISO2)
    header = m.MessageHeader(SessionID=car.id, Signature=seal)
    body = m.Body(BodyElement=request)
    raw = exi.encode(m.V2G_Message(Header=header, Body=body))
    send(raw)
    assert connection.to_send(car.plant.now) == b""
    question = car.state.certificate_question
    assert question is not None
    assert question.exi == raw
    car.plant.now += 3.0
    assert connection.to_send(car.plant.now) == b""
    told = _answer(car, m.CertificateInstallationRes)
    tell(car, certificate_answer=CertificateAnswer(question.number, told))
    sent = connection.to_send(car.plant.now)
    assert sent == v2gtp.pack(v2gtp.PayloadType.EXI, told)
    assert connection.margins.worst_s["CertificateInstallationReq"] == 1.5
    assert not connection.closing


# --- receipts -------------------------------------------------------------------------


def _charging(pki: Pki, receipt_s: float | None = 60.0) -> ContractCar:
    car = ContractCar(pki, replace(SETUP, receipt_s=receipt_s))
    car.to_proof()
    car.say_signed(car.authorization())
    car.to("current_demand")
    return car


def _receipt(car: ContractCar, told: m.MeterInfo, **change: Any) -> Any:
    values = {
        "Id": "id1",
        "SessionID": car.id,
        "SAScheduleTupleID": 1,
        "MeterInfo": told,
        **change,
    }
    return m.MeteringReceiptReq(**values)


def test_a_receipt_is_asked_for_from_time_to_time(pki: Pki) -> None:
    car = _charging(pki)
    response = car.say(car.demand())
    assert response.ReceiptRequired
    car.plant.meter_wh = 5_100.0
    car.run(TICK_S)
    newest = car.say(car.demand())  # no receipt yet: asked again, of the newest
    assert newest.ReceiptRequired
    response = car.say_signed(_receipt(car, newest.MeterInfo))
    assert response.ResponseCode == "OK"
    assert response.EVSEStatus.EVSEStatusCode == "EVSE_Ready"
    assert not car.say(car.demand()).ReceiptRequired
    for _ in range(59):
        car.run(1.0)
        assert not car.say(car.demand()).ReceiptRequired
    car.run(1.1)
    assert car.say(car.demand()).ReceiptRequired


def _bad_receipt(car: ContractCar, name: str, told: m.MeterInfo) -> Any:
    wrong = m.MeterInfo(MeterID=told.MeterID, MeterReading=1, TMeter=told.TMeter)
    return {
        "meter": lambda: car.say_signed(_receipt(car, wrong)),
        "session": lambda: car.say_signed(_receipt(car, told, SessionID=bytes(8))),
        "schedule": lambda: car.say_signed(_receipt(car, told, SAScheduleTupleID=2)),
        "unsigned": lambda: car.say(_receipt(car, told)),
        "other key": lambda: car.say_signed(_receipt(car, told), car.pki.oem),
    }[name]()


@pytest.mark.parametrize(
    "name", ["meter", "session", "schedule", "unsigned", "other key"]
)
def test_receipts_that_are_refused(pki: Pki, name: str) -> None:
    car = _charging(pki)
    told = car.say(car.demand()).MeterInfo
    response = _bad_receipt(car, name, told)
    assert response.ResponseCode == "FAILED_MeteringSignatureNotValid"
    car.run(3.0)
    assert not car.state.demand.close_dc


def test_a_receipt_nobody_asked_for(pki: Pki) -> None:
    car = _charging(pki, receipt_s=None)
    response = car.say(car.demand())
    assert not response.ReceiptRequired
    code = car.say_signed(_receipt(car, response.MeterInfo)).ResponseCode
    assert code == "FAILED_SequenceError"


def test_external_payment_has_no_receipts() -> None:
    car = Car(replace(SETUP, receipt_s=1.0))
    car.to_charging()
    assert not car.say(m.ChargingStatusReq()).ReceiptRequired


def test_a_receipt_in_ac(pki: Pki) -> None:
    car = ContractCar(pki, replace(SETUP, receipt_s=60.0))
    car.to_proof()
    car.say_signed(car.authorization())
    car.to_charging()
    told = car.say(m.ChargingStatusReq())
    assert told.ReceiptRequired
    response = car.say_signed(_receipt(car, told.MeterInfo))
    assert response.ResponseCode == "OK"
    assert not response.EVSEStatus.RCD
    assert car.say(power("Stop")).ResponseCode == "OK"


def test_a_contract_is_told_no_prices(pki: Pki) -> None:
    """Its operator would have to sign them."""
    car = ContractCar(pki)
    car.to_proof()
    car.say_signed(car.authorization())
    response = car.say(car.parameters())
    assert response.SASchedules.SAScheduleTuple[0].SalesTariff is None
