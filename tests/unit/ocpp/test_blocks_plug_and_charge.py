"""C07 and M01: what is asked about a contract, and certificates passed through."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import (
    Authorisation,
    AuthQuestion,
    CertificateAnswer,
    CertificateAsk,
    CertificateHash,
    CertificateQuestion,
    Contract,
    Token,
    VehicleCertificate,
)
from chargerd.ocpp.effects import CallError
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
ROW = CertificateHash("SHA256", "ab" * 32, "cd" * 32, "3039", "http://ocsp.example/")
TRUSTED = Contract("JPABCC123456789", "chain", (ROW,) * 3, trusted=True)
STRANGE = replace(TRUSTED, trusted=False)
ISO2 = "urn:iso:15118:2:2013:MsgDef"
UNKNOWN = {"AuthCtrlr.OfflineTxForUnknownIdEnabled": True}
ACCEPTED = {"idTokenInfo": {"status": "Accepted"}}


def ask(rig: Rig, contract: Contract) -> None:
    question = AuthQuestion(1, Token(contract.emaid, "eMAID"), contract)
    rig.station.ask(question, rig.now)
    rig.drain()


def answer(rig: Rig) -> Authorisation:
    (found,) = [r for r in rig.asked() if isinstance(r, Authorisation)]
    return found


@BOTH
@req("C07.FR.01", "C07.FR.02")
def test_a_known_chain_is_asked_about_by_its_hashes(version: str) -> None:
    rig = Rig(version=version).boot()
    ask(rig, TRUSTED)
    payload = rig.last("Authorize").payload
    assert payload["idToken"] == {"idToken": TRUSTED.emaid, "type": "eMAID"}
    rows = payload["iso15118CertificateHashData"]
    assert len(rows) == 3
    assert rows[0]["serialNumber"] == "3039"
    assert rows[0]["responderURL"] == ROW.responder_url
    assert "certificate" not in payload


@BOTH
@req("C07.FR.06")
def test_an_unknown_root_is_left_to_the_central_system(version: str) -> None:
    rig = Rig(version=version).boot()
    ask(rig, STRANGE)
    assert rig.last("Authorize").payload["certificate"] == "chain"


def test_unless_that_is_not_allowed() -> None:
    preset = {"ISO15118Ctrlr.CentralContractValidationAllowed": False}
    rig = Rig(config(device_model=preset)).boot()
    ask(rig, STRANGE)
    assert not rig.payloads("Authorize")
    assert not answer(rig).accepted
    assert "root" in answer(rig).info


@pytest.mark.parametrize(("version", "longest"), [(V21, 10_000), (V201, 5_500)])
@pytest.mark.parametrize("over", [0, 1])
def test_a_chain_is_as_long_as_the_schema_takes(
    version: str, longest: int, over: int
) -> None:
    rig = Rig(version=version).boot()
    ask(rig, replace(STRANGE, chain_pem="x" * (longest + over)))
    assert bool(rig.payloads("Authorize")) is not bool(over)


@pytest.mark.parametrize(
    ("told", "accepted", "info"),
    [
        (ACCEPTED, True, "Accepted"),
        ({**ACCEPTED, "certificateStatus": "Accepted"}, True, "Accepted"),
        (
            {**ACCEPTED, "certificateStatus": "CertificateRevoked"},
            False,
            "CertificateRe",
        ),
        ({**ACCEPTED, "certificateStatus": "ContractCancelled"}, False, "ContractCanc"),
        ({"idTokenInfo": {"status": "Blocked"}}, False, "Blocked"),
    ],
)
def test_both_words_must_be_good(told: Any, accepted: bool, info: str) -> None:
    rig = Rig().boot()
    ask(rig, TRUSTED)
    rig.answer(rig.last("Authorize"), told)
    assert answer(rig).accepted is accepted
    assert answer(rig).info.startswith(info)


@pytest.mark.parametrize(
    ("contract", "presets", "accepted"),
    [
        pytest.param(TRUSTED, {}, False, marks=req("C07.FR.09")),  # not known here
        pytest.param(TRUSTED, UNKNOWN, True, marks=req("C07.FR.12")),
        pytest.param(STRANGE, UNKNOWN, False, marks=req("C07.FR.08")),
        pytest.param(
            TRUSTED,
            {
                "AuthCtrlr.OfflineTxForUnknownIdEnabled": True,
                "ISO15118Ctrlr.ContractValidationOffline": False,
            },
            False,
            marks=req("C07.FR.07"),
        ),
    ],
)
def test_offline(contract: Contract, presets: dict[str, bool], accepted: bool) -> None:
    rig = Rig(config(device_model=presets))
    ask(rig, contract)
    assert answer(rig).accepted is accepted


@BOTH
@pytest.mark.parametrize("trusts", [True, False])
@pytest.mark.parametrize(
    "how",
    [
        pytest.param("with separators", marks=req("C07.FR.10")),
        pytest.param("cached", marks=req("C07.FR.11")),
        pytest.param("listed", marks=req("C07.FR.10")),
    ],
)
def test_offline_a_contract_that_is_known_here_is_good(
    version: str, how: str, trusts: bool
) -> None:
    """Where the setting lets tokens start offline at all (C07.FR.09)."""
    presets = {"AuthCtrlr.LocalAuthorizeOffline": trusts}
    rig = Rig(config(device_model=presets), version=version).boot()
    if how == "cached":
        ask(rig, TRUSTED)
        rig.answer(rig.last("Authorize"), ACCEPTED)
    else:
        emaid = TRUSTED.emaid if how == "listed" else "JP-ABC-C12345678-9"
        row = {"idToken": {"idToken": emaid, "type": "eMAID"}, **ACCEPTED}
        rows = {"updateType": "Full", "localAuthorizationList": [row]}
        rig.call("SendLocalList", {"versionNumber": 1, **rows})
    rig.link(up=False)
    rig.clear()
    ask(rig, TRUSTED)
    assert answer(rig).accepted is trusts


def test_online_a_known_contract_is_asked_about_all_the_same() -> None:
    """Its chain may have been revoked (C07.FR.01)."""
    rig = Rig(config(device_model={"AuthCtrlr.LocalPreAuthorize": True})).boot()
    for _ in range(2):
        ask(rig, TRUSTED)
        rig.answer(rig.last("Authorize"), ACCEPTED)
    assert len(rig.payloads("Authorize")) == 2


# -- certificates for vehicles -------------------------------------------------------

QUESTION = CertificateQuestion(
    7, ISO2, update=False, exi=b"\x80\x98raw", max_chains=2, emaids=("A", "B")
)


def certificate(rig: Rig) -> bytes | None:
    (found,) = [r for r in rig.asked() if isinstance(r, VehicleCertificate)]
    assert found.answer.number == 7
    return found.answer.exi


@pytest.mark.req("M01.FR.01", "M01.FR.03")
@BOTH
def test_a_request_goes_out_and_its_answer_back_untouched(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.station.ask(CertificateAsk(1, QUESTION), rig.now)
    rig.drain()
    send = rig.last("Get15118EVCertificate")
    assert send.payload["iso15118SchemaVersion"] == ISO2
    assert send.payload["action"] == "Install"
    assert base64.b64decode(send.payload["exiRequest"]) == QUESTION.exi
    assert ("maximumContractCertificateChains" in send.payload) is (version == V21)
    reply = base64.b64encode(b"\x80\x98answer").decode()
    rig.answer(send, {"status": "Accepted", "exiResponse": reply})
    assert certificate(rig) == b"\x80\x98answer"


@pytest.mark.parametrize(
    "told",
    [
        {"status": "Failed", "exiResponse": "gJg="},
        {"status": "Accepted", "exiResponse": ""},
        {"status": "Accepted", "exiResponse": "not base64!"},
        CallError("InternalError"),
    ],
)
def test_nothing_to_pass_on(told: Any) -> None:
    rig = Rig().boot()
    rig.station.ask(CertificateAsk(1, QUESTION), rig.now)
    rig.drain()
    rig.answer(rig.last("Get15118EVCertificate"), told)
    assert certificate(rig) is None


def test_offline_there_is_no_service() -> None:
    rig = Rig()
    assert not rig.station.certificate_service
    rig.station.ask(CertificateAsk(1, QUESTION), rig.now)
    rig.drain()
    assert certificate(rig) is None
    rig.boot()
    assert rig.station.certificate_service


def test_a_request_too_long_for_the_schema_is_not_sent() -> None:
    rig = Rig(version=V201).boot()
    long = replace(QUESTION, exi=bytes(5_000))
    rig.station.ask(CertificateAsk(1, long), rig.now)
    rig.drain()
    assert certificate(rig) is None


ISO2_QUESTION = replace(QUESTION, max_chains=None, emaids=())


@pytest.mark.parametrize(
    ("question", "action", "chains"),
    [
        pytest.param(ISO2_QUESTION, "Install", None,
                     marks=pytest.mark.req("M01.FR.02")),
        pytest.param(replace(ISO2_QUESTION, update=True), "Update", None,
                     marks=pytest.mark.req("M02.FR.01")),
        pytest.param(QUESTION, "Install", 2,
                     marks=pytest.mark.req("M01.FR.03", "M02.FR.02")),
    ],
)  # fmt: skip
def test_what_the_central_system_is_asked(
    question: CertificateQuestion, action: str, chains: int | None
) -> None:
    """ISO 15118-20 has no update: its vehicles install again."""
    rig = Rig().boot()
    rig.station.ask(CertificateAsk(1, question), rig.now)
    rig.drain()
    sent = rig.last("Get15118EVCertificate").payload
    assert sent["action"] == action
    assert sent.get("maximumContractCertificateChains") == chains


@pytest.mark.req("M01.FR.05", "M01.FR.06")
def test_as_long_as_contracts_remain_the_vehicle_asks_for_the_next() -> None:
    """Each question of the vehicle is the same request once more."""
    rig = Rig().boot()
    reply = base64.b64encode(b"answer").decode()
    for number, remaining in enumerate((2, 1, 0)):
        question = replace(QUESTION, number=number)
        rig.station.ask(CertificateAsk(1, question), rig.now)
        rig.drain()
        told = {"status": "Accepted", "exiResponse": reply}
        sent = rig.last("Get15118EVCertificate")
        rig.answer(sent, {**told, "remainingContracts": remaining})
        found = [r for r in rig.asked() if isinstance(r, VehicleCertificate)][-1]
        assert found.answer == CertificateAnswer(number, b"answer", remaining)
    sent_all = rig.payloads("Get15118EVCertificate")
    assert len(sent_all) == 3
    assert sent_all[0] == sent_all[1] == sent_all[2]
