"""C24 and C25: payment at a kiosk or on the web, by a dynamic QR code."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.model import DriverLimits, SessionPhase, StartRequest, Token
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.payment_url import ALPHABET, filled, one_time_password, problem
from tests.unit.ocpp.auth_kit import ACCEPTED, answers, ask, reply
from tests.unit.ocpp.station_rig import START, V201, Rig, config
from tests.unit.ocpp.tariff_kit import QUIET

P = SessionPhase
req = pytest.mark.req
TEMPLATE = "https://pay.example/{chargingstationid}/{evse}/{totp}/{version}"
WEB = {
    "WebPaymentsCtrlr.Enabled": True,
    "WebPaymentsCtrlr.URLTemplate": TEMPLATE,
    "WebPaymentsCtrlr.SharedSecret": "correct horse battery",
}
PSP = {"idToken": "PSP-1", "type": "DirectPayment"}
PAYER = Token("PSP-1", "DirectPayment")


def station(evses: int = 1, **presets: Any) -> Rig:
    made = config(evses=evses, device_model={**QUIET, **WEB, **presets})
    rig = Rig(made)
    for evse_id in range(1, evses + 1):
        rig.observe(evse_id=evse_id)
    return rig.boot()


def code(rig: Rig, evse_id: int = 1) -> str:
    texts = [
        t
        for t in rig.station.texts(rig.now)
        if (t.evse_id, t.kind) == (evse_id, "web_payment")
    ]
    if not texts:
        return ""
    (text,) = texts
    assert (text.format == "QRCODE") == text.content.startswith("https:")
    return text.content


def set_variable(rig: Rig, variable: str, value: str) -> str:
    item = {
        "component": {"name": "WebPaymentsCtrlr", "evse": {"id": 1}},
        "variable": {"name": variable},
        "attributeValue": value,
    }
    answer = rig.call("SetVariables", {"setVariableData": [item]})
    assert isinstance(answer, dict)
    status: str = answer["setVariableResult"][0]["attributeStatus"]
    return status


def start(rig: Rig, evse_id: int = 1) -> None:
    """The central system starts what was paid for, and the vehicle charges."""
    request = {"evseId": evse_id, "remoteStartId": 9, "idToken": PSP}
    answer = rig.call("RequestStartTransaction", request)
    assert isinstance(answer, dict)
    assert answer["status"] == "Accepted"
    for phase in (P.STARTING, P.ENERGY):
        rig.observe(phase, authorised=True, remote_start_id=9, token=PAYER)


def test_a_template_of_the_configuration_that_is_none_is_named() -> None:
    with pytest.raises(OcppError, match=r"URLTemplate: \{version\} is missing"):
        station(**{"WebPaymentsCtrlr.URLTemplate": TEMPLATE.removesuffix("{version}")})


# The password.


def test_the_password_as_the_text_describes_it() -> None:
    """The digest is openssl's: HMAC-SHA256 of eight bytes, the last a 1, with the key
    "secret" (`openssl dgst -sha256 -hmac secret`)."""
    digest = base64.b16decode(OPENSSL.upper())
    first = digest[-1] & 15
    expected = "".join(ALPHABET[digest[(first + n) % 32] % 62] for n in range(8))
    assert one_time_password("secret", 59.9, 30, 8) == expected


OPENSSL = "3be7bf5eaadba158a8dbc42eca19334d29bfaf20fbd8b318be7b60948c58e5db"


@given(st.text(min_size=1), st.floats(0, 4e9), st.integers(6, 3600), st.integers(6, 32))
def test_a_password_holds_for_its_interval(
    secret: str, at_s: float, validity_s: int, length: int
) -> None:
    begin = at_s // validity_s * validity_s
    password = one_time_password(secret, begin, validity_s, length)
    assert len(password) == length
    assert set(password) <= set(ALPHABET)
    assert one_time_password(secret, begin + validity_s - 0.1, validity_s, length) == (
        password
    )
    later = one_time_password(secret, begin + validity_s, validity_s, 32)
    assert later != one_time_password(secret, begin, validity_s, 32)


# The URL.


@pytest.mark.parametrize(
    ("template", "good"),
    [
        (TEMPLATE, True),
        ("https://x/{roamingevseid}?t={totp}&v={version}", True),
        ("https://x/{chargingStationId}/{TOTP}/{version}", True),
        ("https://x/{chargingstationid}/{totp}", False),
        ("https://x/{chargingstationid}/{version}", False),
        ("https://x/{evse}/{totp}/{version}", False),
        (TEMPLATE + "/{colour}", False),
    ],
)
@pytest.mark.req("C25.FR.50")
def test_which_templates_are_taken(template: str, *, good: bool) -> None:
    rig = station()
    status = set_variable(rig, "URLTemplate", template)
    assert status == ("Accepted" if good else "Rejected")
    assert (problem(template) == "") is good


def test_values_cannot_change_the_url() -> None:
    url = filled("https://x/{chargingstationid}", {"chargingstationid": "a/b?c"}, {})
    assert url == "https://x/a%2Fb%3Fc"


@pytest.mark.req("C25.FR.01", "C25.FR.51", "C25.FR.52")
def test_the_code_shows_station_evse_and_password() -> None:
    rig = station(2, **{"NetworkConfiguration[1].Identity": "CP7"})
    password = one_time_password("correct horse battery", START.timestamp(), 30, 8)
    assert code(rig, 2) == f"https://pay.example/CP7/2/{password}/v1"
    rig.pass_s(30)
    assert code(rig, 2) != f"https://pay.example/CP7/2/{password}/v1"


@pytest.mark.req("C25.FR.53")
def test_the_roaming_id_of_the_evse() -> None:
    rig = station(**{
        "WebPaymentsCtrlr@1.RoamingEvseId": "DE*ABC*E1",
        "WebPaymentsCtrlr.URLTemplate": "https://x/{roamingevseid}/{totp}/{version}",
    })  # fmt: skip
    assert code(rig).startswith("https://x/DE*ABC*E1/")


@pytest.mark.parametrize(
    "presets",
    [
        pytest.param({"WebPaymentsCtrlr.Enabled": False}, marks=req("C25.FR.01")),
        {"WebPaymentsCtrlr.SharedSecret": ""},
        {"WebPaymentsCtrlr.URLTemplate": ""},
    ],
)
def test_no_code_without_what_it_needs(presets: dict[str, Any]) -> None:
    assert code(station(**presets)) == ""


def test_no_code_for_who_does_not_know_it_or_the_time() -> None:
    made = config(device_model={**QUIET, **WEB})
    assert code(Rig(made, version=V201).boot()) == ""
    rig = station()
    unsure = type(rig.now)(rig.now.mono, rig.now.utc, trusted=False)
    assert [t for t in rig.station.texts(unsure) if t.kind == "web_payment"] == []


def test_the_secret_is_never_told() -> None:
    rig = station()
    assert set_variable(rig, "SharedSecret", "other") == "Accepted"
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rig.run_s(5)
    told = str(rig.payloads("NotifyReport"))
    assert "correct horse" not in told
    assert "'other'" not in told


def test_a_code_is_shown_while_nobody_charges() -> None:
    """Also to who has plugged in first, where that starts a transaction."""
    rig = station(**{"TxCtrlr.TxStartPoint": "EVConnected"})
    rig.observe(P.CONNECTED)
    assert rig.events()[0]["eventType"] == "Started"
    assert code(rig) != ""
    start(rig)
    assert code(rig) == ""


# The driver's wishes.


@pytest.mark.parametrize(
    ("limits", "query", "told"),
    [
        pytest.param(DriverLimits(time_s=3600.0), {"maxtime": ["3600"]},
                     {"maxTime": 3600}, marks=req("C25.FR.04", "C25.FR.57")),
        pytest.param(DriverLimits(energy_wh=20_000.0), {"maxenergy": ["20000"]},
                     {"maxEnergy": 20_000.0},
                     marks=req("C25.FR.05", "C25.FR.56")),
        pytest.param(DriverLimits(cost=12.5), {"maxcost": ["12.50"]},
                     {"maxCost": 12.5}, marks=req("C25.FR.06", "C25.FR.58")),
    ],
)  # fmt: skip
@pytest.mark.req("C25.FR.03")
def test_a_limit_is_in_the_code_and_in_the_transaction(
    limits: DriverLimits, query: dict[str, list[str]], told: dict[str, Any]
) -> None:
    rig = station()
    assert rig.station.wish_web_payment(1, limits, rig.now) == ""
    assert parse_qs(urlsplit(code(rig)).query) == query
    start(rig)
    rig.run_s(2)
    (event,) = [e for e in rig.events() if e["triggerReason"] == "LimitSet"]
    assert event["transactionInfo"]["transactionLimit"] == told
    rig.run_s(2)
    assert rig.events()[-1] is event  # once


@pytest.mark.parametrize(
    ("who", "remote_start_id"), [(PAYER, None), (Token("app", "Central"), 9)]
)
def test_a_limit_is_not_for_who_did_not_scan(
    who: Token, remote_start_id: int | None
) -> None:
    rig = station()
    rig.station.wish_web_payment(1, DriverLimits(cost=1.0), rig.now)
    rig.observe(P.ENERGY, authorised=True, token=who, remote_start_id=remote_start_id)
    rig.run_s(2)
    assert all("transactionLimit" not in e["transactionInfo"] for e in rig.events())


def test_wishes_are_forgotten() -> None:
    rig = station()
    rig.station.wish_web_payment(1, DriverLimits(cost=1.0), rig.now)
    rig.run_s(901, step_s=5)
    assert "maxcost" not in code(rig)
    assert code(rig) != ""


@pytest.mark.parametrize(
    ("evse_id", "limits", "presets"),
    [
        (9, DriverLimits(cost=1.0), {}),
        (1, DriverLimits(cost=1.0), {"WebPaymentsCtrlr.Enabled": False}),
    ],
)
def test_wishes_that_cannot_be(
    evse_id: int, limits: DriverLimits, presets: dict[str, Any]
) -> None:
    rig = station(**presets)
    assert rig.station.wish_web_payment(evse_id, limits, rig.now) != ""


def test_a_limit_that_is_not_offered_is_not_in_the_code() -> None:
    rig = station(**{"WebPaymentsCtrlr.URLParameters": "maxtime"})
    rig.station.wish_web_payment(1, DriverLimits(cost=1.0, time_s=60.0), rig.now)
    assert urlsplit(code(rig)).query == "maxtime=60"


# Somebody pays.


@pytest.mark.req("C25.FR.22", "C25.FR.27")
def test_while_somebody_pays_nobody_else_begins() -> None:
    rig = station(2)
    request = {"evseId": 1, "timeout": 120}
    assert rig.call("NotifyWebPaymentStarted", request) == {}
    assert code(rig, 1) == "payment has begun"
    assert code(rig, 2).startswith("https:")
    for evse_id, accepted in ((1, False), (2, True)):
        rig.clear()
        ask(rig, evse_id=evse_id)
        reply(rig, ACCEPTED)
        assert answers(rig)[0].accepted is accepted
    rig.pass_s(120)
    assert code(rig, 1).startswith("https:")
    rig.clear()
    ask(rig)
    reply(rig, ACCEPTED)
    assert answers(rig)[0].accepted


@pytest.mark.req("C25.FR.22")
@pytest.mark.parametrize("check", [True, False])
def test_what_was_paid_for_begins(*, check: bool) -> None:
    rig = station(**{"AuthCtrlr.AuthorizeRemoteStart": check})
    rig.call("NotifyWebPaymentStarted", {"evseId": 1, "timeout": 120})
    start(rig)
    (request,) = [r for r in rig.asked() if isinstance(r, StartRequest)]
    assert request.token.kind == "DirectPayment"
    assert not rig.station._desk.evses[1].web_payment_runs(rig.now.mono)


def test_a_payment_for_an_evse_that_is_not_here() -> None:
    rig = station()
    request = {"evseId": 9, "timeout": 120}
    assert rig.call("NotifyWebPaymentStarted", request) == {}
    assert code(rig).startswith("https:")


@pytest.mark.req("C24.FR.03", "C24.FR.04", "C25.FR.25", "C25.FR.26")
def test_a_limit_of_the_central_system_is_told_once_and_kept() -> None:
    """As in E16: what was paid for ends the energy."""
    rig = station()
    start(rig)
    rig.answer(rig.last("TransactionEvent"), {"transactionLimit": {"maxEnergy": 500}})
    limited = [e for e in rig.events() if "transactionLimit" in e["transactionInfo"]]
    assert [e["transactionInfo"]["transactionLimit"] for e in limited] == [
        {"maxEnergy": 500.0}
    ]
    rig.run_s(3, import_wh=1600.0)
    (reached,) = [e for e in rig.events() if e["triggerReason"] == "EnergyLimitReached"]
    assert "transactionLimit" not in reached["transactionInfo"]


def test_the_interval_is_the_same_for_both_sides() -> None:
    """One who checks with another's clock sees the same within it."""
    rig = station()
    rig.pass_s(29.9)
    at = START + timedelta(seconds=1)
    password = one_time_password("correct horse battery", at.timestamp(), 30, 8)
    assert f"/{password}/" in code(rig)
