"""C18 to C23: a payment terminal, from the card to the receipt."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import (
    ActiveFault,
    PaymentDone,
    SessionPhase,
    StartRequest,
    StopReason,
    Token,
)
from chargerd.ocpp.effects import Durability
from tests.unit.ocpp.auth_kit import ask, reply
from tests.unit.ocpp.cost_kit import energy, fee, tariff
from tests.unit.ocpp.station_rig import START, V201, Rig, config
from tests.unit.ocpp.tariff_kit import QUIET, set_default

P = SessionPhase
req = pytest.mark.req
PSP = "PSP-77"
CARD = {
    "PaymentBrand": "VISA", "PaymentRecognition": "CC", "CardLast4Digits": "1234",
}  # fmt: skip
PAY = {
    **QUIET,
    "PaymentCtrlr.Enabled": True,
    "PaymentCtrlr.AuthorizationAmount": "40",
    "TxCtrlr.EVConnectionTimeOut": 60,
}
ASKED = {"PaymentCtrlr.AuthorizeDirectPayment": True}
PRICE = tariff(energy=energy(1.0))


def station(price: dict[str, Any] | None = PRICE, **presets: Any) -> Rig:
    rig = Rig(config(device_model={**PAY, **presets}))
    rig.observe()
    rig.boot()
    if price is not None:
        assert set_default(rig, price) == "Accepted"
    return rig


def pay(rig: Rig, evse_id: int = 1, psp_ref: str = PSP) -> str:
    why = rig.station.card_paid(evse_id, psp_ref, CARD, rig.now)
    rig.drain()
    return why


def token(rig: Rig) -> Token:
    """Of the start that the heart was asked for."""
    (request,) = [r for r in rig.asked() if isinstance(r, StartRequest)]
    return request.token


def charge(rig: Rig, who: Token) -> None:
    for phase in (P.CONNECTED, P.STARTING, P.ENERGY):
        rig.observe(phase, authorised=phase is not P.CONNECTED, token=who)
    rig.run_s(2)


def charged(price: dict[str, Any] | None = PRICE, wh: float = 0.0, **more: Any) -> Rig:
    """A paid transaction with that energy, and its end."""
    rig = station(price, **more)
    pay(rig)
    who = token(rig)
    charge(rig, who)
    rig.observe(P.ENERGY, authorised=True, token=who, import_wh=1000.0 + wh)
    rig.observe(P.FINISHED, token=who, stop=StopReason.LOCAL, import_wh=1000.0 + wh)
    rig.run_s(2)
    return rig


def orders(rig: Rig) -> list[tuple[str, str, float]]:
    rows = rig.station.terminal()["orders"]
    return [(row["psp_ref"], row["order"], row["amount"]) for row in rows]


def done(rig: Rig, status: str = "Settled", **more: Any) -> str:
    why = rig.station.payment_done(PaymentDone(PSP, status, **more), rig.now)
    rig.drain()
    return why


def settlements(rig: Rig) -> list[dict[str, Any]]:
    return rig.payloads("NotifySettlement")


# C18.


@req("C18.FR.01", "C18.FR.02")
def test_the_terminal_knows_what_to_reserve() -> None:
    rig = station(**{"PaymentCtrlr.Merchant[Name]": "Chargers"})
    told = rig.station.terminal()
    assert (told["accept_cards"], told["reserve"]) == (True, 40.0)
    assert told["merchant"]["Name"] == "Chargers"
    off = station(**{"PaymentCtrlr.Enabled": False})
    assert off.station.terminal()["accept_cards"] is False
    assert pay(off) != ""


@req("C18.FR.03", "C18.FR.06")
def test_a_card_starts_a_session_with_its_limit() -> None:
    rig = station(**{
        "PaymentCtrlr.PaymentDetails": "PaymentBrand,CardLast4Digits,CardBin",
    })  # fmt: skip
    assert pay(rig) == ""
    (request,) = [r for r in rig.asked() if isinstance(r, StartRequest)]
    assert request.authorised
    assert rig.payloads("Authorize") == []
    charge(rig, request.token)
    (event,) = [e for e in rig.events() if "idToken" in e]
    assert event["idToken"] == {
        "idToken": PSP,
        "type": "DirectPayment",
        "additionalInfo": [
            {"additionalIdToken": "VISA", "type": "PaymentBrand"},
            {"additionalIdToken": "1234", "type": "CardLast4Digits"},
        ],
    }
    assert event["transactionInfo"]["transactionLimit"] == {"maxCost": 40.0}


@req("C18.FR.04", "C18.FR.05")
def test_the_central_system_may_be_asked() -> None:
    rig = station(**ASKED)
    pay(rig)
    (request,) = [r for r in rig.asked() if isinstance(r, StartRequest)]
    assert not request.authorised
    ask(rig, request.token)
    assert rig.last("Authorize").payload["idToken"] == {
        "idToken": PSP,
        "type": "DirectPayment",
        "additionalInfo": [
            {"additionalIdToken": "VISA", "type": "PaymentBrand"},
            {"additionalIdToken": "CC", "type": "PaymentRecognition"},
        ],
    }
    reply(rig)
    assert rig.asked()[-1].accepted
    rig.run_s(2)
    assert orders(rig) == []


@req("C18.FR.07")
@pytest.mark.parametrize(
    "info", [{"status": "Blocked"}, {"status": "Accepted", "evseId": [2]}]
)
def test_what_the_central_system_refuses_is_released(info: dict[str, Any]) -> None:
    rig = station(**ASKED)
    pay(rig)
    ask(rig, token(rig))
    reply(rig, info)
    rig.run_s(2)
    assert orders(rig) == [(PSP, "release", 0.0)]
    assert done(rig, "Canceled") == ""
    assert orders(rig) == []
    assert rig.saved["payment"] == {}


def test_the_card_has_its_own_price() -> None:
    price = tariff(fixedFee=fee(3.0, paymentBrand="VISA"))
    assert orders(charged(price)) == [(PSP, "settle", 3.0)]


@pytest.mark.parametrize("why", ["taken", "reserved", "web", "unknown", "second"])
def test_an_evse_that_is_not_free_takes_no_card(why: str) -> None:
    rig = station()
    if why == "taken":
        rig.observe(P.STARTING, authorised=True)
    if why == "reserved":
        rig.station._desk.evses[1].reserved = True
    if why == "web":
        rig.call("NotifyWebPaymentStarted", {"evseId": 1, "timeout": 60})
    if why == "second":
        assert pay(rig, psp_ref="PSP-1") == ""
    assert pay(rig, 9 if why == "unknown" else 1) != ""


def test_a_card_that_is_reported_again_is_the_same_payment() -> None:
    """The terminal has lost the answer: it must not give back a card that is used."""
    rig = station()
    assert (pay(rig), pay(rig)) == ("", "")
    charge(rig, token(rig))
    assert pay(rig) == ""
    rig.observe(P.FINISHED, stop=StopReason.LOCAL)
    rig.run_s(2)
    assert pay(rig) != ""


@pytest.mark.parametrize("status", ["Unavailable", "Faulted"])
def test_where_nothing_starts_no_card_is_taken(status: str) -> None:
    rig = station()
    faults = (ActiveFault("GroundFault", 1, START),) if status == "Faulted" else ()
    rig.observe(operative=status != "Unavailable", faults=faults)
    assert pay(rig) != ""


def test_2_0_1_knows_no_payments() -> None:
    rig = Rig(config(device_model=PAY), version=V201).boot()
    assert pay(rig) != ""
    assert rig.station.terminal()["accept_cards"] is False


def test_a_card_may_come_after_the_plug() -> None:
    rig = station(**{"TxCtrlr.TxStartPoint": "EVConnected"})
    rig.observe(P.CONNECTED)
    assert rig.events()[0]["eventType"] == "Started"
    assert pay(rig) == ""


@pytest.mark.req("C18.FR.05")
def test_the_central_systems_leave_may_take_its_time() -> None:
    rig = station(**ASKED, **{"TxCtrlr.EVConnectionTimeOut": 5})
    pay(rig)
    who = token(rig)
    ask(rig, who)
    rig.run_s(20)
    reply(rig)
    charge(rig, who)
    assert orders(rig) == []
    assert rig.events()[0]["transactionInfo"]["transactionLimit"] == {"maxCost": 40.0}


@req("C18.FR.08")
@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
def test_a_vat_number_for_the_receipt(status: str) -> None:
    rig = charged(wh=2000.0)
    assert rig.station.check_vat(1, "NL1234", rig.now) == ""
    rig.drain()
    send = rig.last("VatNumberValidation")
    assert send.payload == {"vatNumber": "NL1234", "evseId": 1}
    company = {"name": "ACME", "address1": "x", "city": "y", "country": "NL"}
    answer = {"vatNumber": "NL1234", "evseId": 1, "status": status}
    rig.answer(send, {**answer, "company": company} if status == "Accepted" else answer)
    assert rig.station.terminal()["vat"]["1"]["status"] == status
    done(rig)
    (told,) = settlements(rig)
    assert told.get("vatNumber") == ("NL1234" if status == "Accepted" else None)
    assert told.get("vatCompany") == (company if status == "Accepted" else None)


def test_a_vat_number_is_not_the_next_drivers() -> None:
    rig = station()
    pay(rig)
    rig.station.check_vat(1, "NL1234", rig.now)
    rig.drain()
    answer = {"vatNumber": "NL1234", "evseId": 1, "status": "Accepted"}
    rig.answer(rig.last("VatNumberValidation"), answer)
    rig.run_s(61)
    assert orders(rig) == [(PSP, "release", 0.0)]
    done(rig, "Canceled")
    assert rig.station.terminal()["vat"] == {}


def test_a_vat_number_of_nobody() -> None:
    rig = station()
    assert rig.station.check_vat(9, "NL1", rig.now) != ""
    assert rig.station.check_vat(1, "", rig.now) != ""


# C19: nothing came of it.


@pytest.mark.parametrize("how", ["stops", "does not come"])
@pytest.mark.parametrize("asked", [True, False])
@req("C19.FR.01", "C19.FR.02")
def test_what_is_not_used_is_released(how: str, *, asked: bool) -> None:
    rig = station(**(ASKED if asked else {}))
    pay(rig)
    who = token(rig)
    if asked:
        ask(rig, who)
        reply(rig)
    if how == "stops":
        rig.observe(authorised=True, token=who)
        rig.run_s(2)
        assert orders(rig) == []
        rig.observe()
    else:
        rig.run_s(118 if asked else 58)
        assert orders(rig) == []
        rig.run_s(1)
    rig.run_s(2)
    assert orders(rig) == [(PSP, "release", 0.0)]
    told = settlements(rig)
    assert len(told) == (1 if asked else 0)
    if asked:
        assert (told[0]["pspRef"], told[0]["status"]) == (PSP, "Canceled")
        assert told[0]["settlementTime"].startswith("2026-11-23T08:")
        assert "transactionId" not in told[0]
    assert rig.station._desk.evses[1].first_limits == {}


# C20: no cost.


@pytest.mark.parametrize(
    ("stop", "trigger"),
    [
        pytest.param(StopReason.LOCAL, "StopAuthorized", marks=req("C20.FR.01")),
        pytest.param(StopReason.TIMEOUT, "EVConnectTimeout", marks=req("C20.FR.02")),
    ],
)
@pytest.mark.parametrize("local", [True, False])
@req("C20.FR.04", "C20.FR.05")
def test_without_cost_the_card_is_released(
    stop: StopReason, trigger: str, *, local: bool
) -> None:
    rig = station(
        PRICE if local else None,
        **{"TxCtrlr.TxStartPoint": "Authorized", "TxCtrlr.TxStopPoint": "Authorized"},
    )
    pay(rig)
    who = token(rig)
    rig.observe(P.STARTING, authorised=True, token=who)
    rig.run_s(2)
    rig.observe(P.FINISHED, token=who, stop=stop)
    ended = rig.last("TransactionEvent")
    assert ended.payload["triggerReason"] == trigger
    rig.answer(ended, {} if local else {"totalCost": 0})
    rig.run_s(2)
    assert orders(rig) == [(PSP, "release", 0.0)]
    (told,) = settlements(rig)
    assert told["status"] == "Canceled"
    assert told["transactionId"] == ended.payload["transactionInfo"]["transactionId"]
    assert (told["pspRef"], told["settlementAmount"]) == (PSP, 0.0)
    assert told["settlementTime"].startswith("2026-11-23T08:00:0")  # now


# C21, C22: settlement.


@req("C21.FR.01", "C21.FR.02", "C21.FR.04")
def test_the_terminal_settles_the_total() -> None:
    rig = charged(wh=12_340.0)
    assert orders(rig) == [(PSP, "settle", 12.34)]
    done(rig, receipt_url="https://r.example/1", receipt_id="R1")
    (told,) = settlements(rig)
    number = rig.events()[-1]["transactionInfo"]["transactionId"]
    assert told == {
        "pspRef": PSP,
        "status": "Settled",
        "settlementAmount": 12.34,
        "settlementTime": told["settlementTime"],
        "transactionId": number,
        "receiptUrl": "https://r.example/1",
        "receiptId": "R1",
    }
    assert rig.last("NotifySettlement").durability is Durability.DURABLE
    assert orders(rig) == []


def test_the_total_may_be_the_central_systems() -> None:
    rig = charged(None, wh=2000.0)
    assert orders(rig) == []
    rig.answer(rig.last("TransactionEvent"), {"totalCost": 8.4})
    rig.run_s(2)
    assert orders(rig) == [(PSP, "settle", 8.4)]


def test_a_receipt_of_the_central_system_is_shown() -> None:
    rig = charged(wh=2000.0, **{"PaymentCtrlr.ReceiptByCSMS": True})
    done(rig, receipt_url="https://terminal.example")
    assert "receiptUrl" not in settlements(rig)[0]
    rig.answer(rig.last("NotifySettlement"), {"receiptUrl": "https://csms.example/7"})
    texts = {t.kind: t.content for t in rig.station.texts(rig.now)}
    assert texts["receipt"] == "https://csms.example/7"


@req("C21.FR.06", "C21.FR.07")
def test_the_central_system_may_settle_itself() -> None:
    rig = charged(
        wh=2000.0,
        **{
            "PaymentCtrlr.SettlementByCSMS": True,
            "PaymentCtrlr.ReceiptServerUrl": "https://receipts.example",
        },
    )
    assert orders(rig) == []
    assert rig.saved["payment"] == {}
    texts = {t.kind: t.content for t in rig.station.texts(rig.now)}
    assert texts["receipt"] == "https://receipts.example"


@req("C21.FR.06")
def test_who_settles_himself_need_not_say_the_total() -> None:
    rig = charged(None, **{"PaymentCtrlr.SettlementByCSMS": True})
    assert list(rig.saved["payment"]) == [PSP]
    for send in [s for s in rig.sent if s.action == "TransactionEvent"]:
        rig.answer(send, {})
    rig.run_s(2)
    assert rig.saved["payment"] == {}


def test_a_total_that_nobody_says_is_nothing_to_pay() -> None:
    """Else its card is reserved, and its record here, for ever."""
    rig = charged(None)
    for send in [s for s in rig.sent if s.action == "TransactionEvent"]:
        rig.answer(send, {})
    rig.run_s(590, step_s=10)
    assert orders(rig) == []
    rig.run_s(20, step_s=10)
    assert orders(rig) == [(PSP, "release", 0.0)]
    assert [told["status"] for told in settlements(rig)] == ["Canceled"]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param("Rejected", marks=req("C22.FR.01")),
        pytest.param("Failed", marks=req("C22.FR.02")),
    ],
)
def test_a_settlement_that_fails_is_told_without_a_receipt(status: str) -> None:
    rig = charged(wh=2000.0)
    done(rig, status, receipt_url="https://r.example/1", receipt_id="R1")
    (told,) = settlements(rig)
    assert told["status"] == status
    assert told["settlementAmount"] == 2.0
    assert {"settlementTime", "transactionId", "pspRef"} <= told.keys()
    assert not {"receiptUrl", "receiptId"} & told.keys()


@pytest.mark.parametrize("who", ["PSP-0", PSP])
def test_what_was_not_ordered_cannot_be_done(who: str) -> None:
    rig = station()
    pay(rig)
    assert rig.station.payment_done(PaymentDone(who), rig.now) != ""


# C23.


@req("C23.FR.01", "C23.FR.02")
@pytest.mark.parametrize("granted", [True, False])
def test_the_reservation_grows_before_it_is_used_up(*, granted: bool) -> None:
    rig = station(**{
        "PaymentCtrlr.IncrementalAuthorizationAmount": "20",
        "PaymentCtrlr.IncrementalAuthorizationThreshold": "5",
    })  # fmt: skip
    pay(rig)
    charge(rig, token(rig))
    rig.run_s(3, import_wh=1000.0 + 35_000)
    assert orders(rig) == []
    rig.run_s(3, import_wh=1000.0 + 35_100)
    assert orders(rig) == [(PSP, "increase", 20.0)]
    rig.clear()
    done(rig, "Settled" if granted else "Rejected")
    rig.run_s(3)
    assert orders(rig) == []
    limits = [
        e["transactionInfo"]["transactionLimit"]["maxCost"]
        for e in rig.events()
        if e["triggerReason"] == "LimitSet"
    ]
    assert limits == ([60.0] if granted else [])


def test_without_an_amount_it_does_not_grow() -> None:
    rig = station()
    pay(rig)
    charge(rig, token(rig))
    rig.run_s(3, import_wh=1000.0 + 39_000)
    assert orders(rig) == []


def growing() -> Rig:
    """The terminal is to reserve more, for 35.10 that are used already."""
    rig = station(**{"PaymentCtrlr.IncrementalAuthorizationAmount": "20"})
    pay(rig)
    charge(rig, token(rig))
    rig.run_s(3, import_wh=36_100.0)
    assert orders(rig) == [(PSP, "increase", 20.0)]
    return rig


def stopped(rig: Rig) -> None:
    rig.observe(P.FINISHED, token=token(rig), stop=StopReason.LOCAL, import_wh=36_100.0)
    rig.run_s(2)


def test_the_answer_to_an_increase_is_awaited_before_the_settlement() -> None:
    rig = growing()
    stopped(rig)
    done(rig, "Settled")  # of the increase, that was under way
    assert settlements(rig) == []
    rig.run_s(2)
    assert orders(rig) == [(PSP, "settle", 35.1)]
    done(rig, "Settled")
    assert [told["settlementAmount"] for told in settlements(rig)] == [35.1]


def test_a_report_that_comes_again_is_of_its_own_order() -> None:
    rig = growing()
    assert done(rig, order="increase") == ""
    stopped(rig)
    assert done(rig, order="increase") != ""
    assert (settlements(rig), len(orders(rig))) == ([], 1)
    assert done(rig, order="settle") == ""
    assert len(settlements(rig)) == 1


# A restart.


def test_what_is_to_be_paid_outlives_a_reset_right_at_the_end() -> None:
    rig = station()
    pay(rig)
    who = token(rig)
    charge(rig, who)
    rig.observe(P.ENERGY, authorised=True, token=who, import_wh=3000.0)
    rig.observe(P.FINISHED, token=who, stop=StopReason.IMMEDIATE_RESET, import_wh=3e3)
    again = rig.restarted(boot_reason="RemoteReset").boot()
    again.observe(import_wh=3000.0)
    again.run_s(3)
    assert orders(again) == [(PSP, "settle", 2.0)]


def test_payments_outlive_a_restart() -> None:
    rig = charged(wh=2000.0)
    again = rig.restarted()
    again.boot()
    again.observe()
    again.run_s(2)
    assert orders(again) == [(PSP, "settle", 2.0)]
    done(again)
    assert settlements(again)[0]["settlementAmount"] == 2.0


def test_a_transaction_that_a_restart_ended_is_settled() -> None:
    rig = station()
    pay(rig)
    charge(rig, token(rig))
    rig.run_s(2, import_wh=3000.0)
    again = rig.restarted()
    again.boot()
    again.observe(import_wh=3000.0)
    again.run_s(3, import_wh=3000.0)
    assert orders(again) == [(PSP, "settle", 2.0)]


def test_a_damaged_record_is_left_out() -> None:
    rig = Rig(config(), {"payment": {"x": {"psp_ref": 1}, "y": 5}}).boot()
    assert orders(rig) == []
    assert rig.saved["payment"] == {}


def test_another_card_that_starts_there_has_no_part_in_the_payment() -> None:
    rig = station(tariff(fixedFee=fee(3.0, paymentBrand="VISA")))
    pay(rig)
    charge(rig, Token("0BADCAFE"))
    assert all("transactionLimit" not in e["transactionInfo"] for e in rig.events())
    rig.run_s(60)
    assert orders(rig) == [(PSP, "release", 0.0)]
    rig.observe(P.IDLE)
    ended = rig.events()[-1]["costDetails"]
    assert ended["totalCost"]["total"]["exclTax"] == 0.0
