"""What is kept of a customer (N09, N10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chargerd.model import SessionPhase
from tests.unit.ocpp.auth_kit import ask, id_token
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
OWNER = id_token(CARD)
CERTIFICATE = {
    "hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b",
    "serialNumber": "1",
}  # fmt: skip


def cached(version: str = V21) -> Rig:
    """The card was authorised once; GroupName is a long text."""
    rig = Rig(version=version).boot()
    ask(rig)
    info = {
        "status": "Accepted",
        "personalMessage": {"format": "UTF8", "content": "hello " * 80},
        "groupIdToken": {"idToken": "FLEET", "type": "Central"},
    }
    rig.answer(rig.last("Authorize"), {"idTokenInfo": info})
    rig.clear()
    return rig


def asked(rig: Rig, report: bool = True, clear: bool = False, **who: Any) -> str:
    """The status; the reports get their answers."""
    who = who or {"idToken": OWNER}
    request = {"requestId": 5, "report": report, "clear": clear, **who}
    rig.clear()
    answer = rig.call("CustomerInformation", request)
    assert isinstance(answer, dict)
    for send in list(rig.sent):
        rig.answer(send, {})
    status: str = answer["status"]
    return status


def told(rig: Rig) -> str:
    return "".join(p["data"] for p in rig.payloads("NotifyCustomerInformation"))


@BOTH
@req("N09.FR.02", "N09.FR.05")
def test_what_is_known_comes_in_parts(version: str) -> None:
    rig = cached(version)
    assert asked(rig) == "Accepted"
    parts = rig.payloads("NotifyCustomerInformation")
    assert [p["seqNo"] for p in parts] == list(range(len(parts)))
    assert [p["tbc"] for p in parts] == [True] * (len(parts) - 1) + [False]
    assert {p["requestId"] for p in parts} == {5}
    assert len(parts) > 1
    found = json.loads(told(rig))
    assert found["authorizationCache"]["info"]["groupIdToken"]["idToken"] == "FLEET"


@req("N10.FR.03", "N10.FR.06")
def test_the_list_and_what_runs_are_told() -> None:
    rig = Rig().boot()
    row = {"idToken": OWNER, "idTokenInfo": {"status": "Accepted"}}
    rig.call(
        "SendLocalList",
        {
            "versionNumber": 1,
            "updateType": "Full",
            "localAuthorizationList": [row],
        },
    )
    rig.observe(SessionPhase.ENERGY, authorised=True)
    asked(rig, clear=True)
    found = json.loads(told(rig))
    assert found["localAuthorizationList"] == {"status": "Accepted"}
    assert len(found["transactions"]) == 1
    asked(rig, report=False, clear=True)
    asked(rig)
    assert "localAuthorizationList" in told(rig)  # only the CSMS changes it


@pytest.mark.parametrize(
    ("clear", "who"),
    [
        pytest.param(False, {"idToken": OWNER}, marks=req("N09.FR.06")),
        pytest.param(False, {"customerIdentifier": "Anna"}, marks=req("N09.FR.06")),
        pytest.param(False, {"customerCertificate": CERTIFICATE},
                     marks=req("N09.FR.06")),
        pytest.param(True, {"idToken": OWNER}, marks=req("N10.FR.04")),
    ],
)  # fmt: skip
def test_nothing_is_known(clear: bool, who: dict[str, Any]) -> None:
    rig = Rig().boot()
    assert asked(rig, clear=clear, **who) == "Accepted"
    (payload,) = rig.payloads("NotifyCustomerInformation")
    assert payload["data"] == "no data found"
    assert payload["tbc"] is False


@pytest.mark.parametrize(
    ("report", "says"),
    [
        pytest.param(True, "FLEET", marks=req("N10.FR.03")),
        pytest.param(False, "data cleared", marks=req("N10.FR.06")),
    ],
)
@req("N10.FR.01")
def test_it_is_forgotten(report: bool, says: str) -> None:
    rig = cached()
    assert asked(rig, report=report, clear=True) == "Accepted"
    assert says in told(rig)
    asked(rig)
    assert told(rig) == "no data found"
    late = rig.restarted().boot()
    asked(late)
    assert told(late) == "no data found"


@req("N09.FR.03", "N10.FR.05")
def test_one_after_the_other() -> None:
    rig = cached()
    request = {"requestId": 1, "report": True, "clear": False, "idToken": OWNER}
    rig.call("CustomerInformation", request)
    for clear in (False, True):
        answer = rig.call("CustomerInformation", {**request, "clear": clear})
        assert answer["status"] == "Rejected"
    for send in list(rig.sent):
        rig.answer(send, {})
    assert asked(rig) == "Accepted"


@req("N09.FR.07", "N10.FR.07")
def test_neither_report_nor_clear() -> None:
    rig = cached()
    assert asked(rig, report=False) == "Rejected"
    assert told(rig) == ""


@req("N09.FR.09")
@pytest.mark.parametrize(
    "who",
    [{"customData": {"vendorId": "x"}}, {"idToken": OWNER, "customerIdentifier": "A"}],
)
def test_exactly_one_customer(who: dict[str, Any]) -> None:
    rig = cached()
    assert asked(rig, **who) == "Invalid"
    assert told(rig) == ""
