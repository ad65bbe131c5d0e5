"""I02, I11, I12: cost in the events of a transaction."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import DriverLimits, SessionPhase, Token
from chargerd.ocpp.effects import CallError, Save
from tests.unit.ocpp.auth_kit import ask, asked, reply
from tests.unit.ocpp.cost_kit import VAT, energy, fee, minutes, tariff
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config
from tests.unit.ocpp.tariff_kit import (
    ONE,
    charge,
    named,
    problems,
    set_default,
    station,
    stop,
    total,
    welcome,
)

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
TWO = tariff("T2", energy=energy(2.0), fixedFee=fee(9.0))
RUNNING = {
    "TariffCostCtrlr.Enabled[RunningCost]": True,
    "TariffCostCtrlr.Interval[Cost]": 60,
}
COSTLESS = {"TariffCostCtrlr.Enabled[Cost]": False}


def priced(told: dict[str, Any] = ONE, **presets: Any) -> Rig:
    """A transaction by this default tariff."""
    rig = station(**presets)
    assert set_default(rig, told) == "Accepted"
    charge(rig)
    return rig


def change(rig: Rig, told: dict[str, Any], number: str = "") -> str:
    number = number or rig.station._desk.evses[1].transaction_id
    answer = rig.call(
        "ChangeTransactionTariff", {"transactionId": number, "tariff": told}
    )
    assert isinstance(answer, dict), answer
    status: str = answer["status"]
    return status


def details(rig: Rig) -> list[dict[str, Any]]:
    return [e["costDetails"] for e in rig.events() if "costDetails" in e]


# CostUpdated.


@BOTH
@pytest.mark.req("I02.FR.02", "I02.FR.03")
def test_the_csms_tells_the_running_cost(version: str) -> None:
    rig = Rig(config(), version=version).boot()
    charge(rig)
    view = rig.station._desk.evses[1]
    number = view.transaction_id
    request = {"totalCost": 4.5, "transactionId": number}
    assert rig.call("CostUpdated", request) == {}
    assert [t.content for t in rig.station.texts(rig.now) if t.kind == "cost"] == [
        "4.50 EUR"
    ]
    assert rig.call("CostUpdated", {"totalCost": 9.0, "transactionId": "x"}) == {}
    assert view.running_cost == 4.5


def test_what_is_calculated_here_counts_more() -> None:
    rig = priced()
    rig.run_s(2)
    view = rig.station._desk.evses[1]
    request = {"totalCost": 99.0, "transactionId": view.transaction_id}
    rig.call("CostUpdated", request)
    assert view.running_cost == 0.0


# ChangeTransactionTariff.


@pytest.mark.parametrize(
    ("told", "number", "presets", "status"),
    [
        pytest.param(TWO, "", {}, "Accepted", marks=pytest.mark.req("I11.FR.06")),
        pytest.param(tariff("T2", energy={"prices": [{"priceKwh": 1}] * 101}), "", {},
                     "TooManyElements", marks=pytest.mark.req("I11.FR.02")),
        pytest.param(tariff("T2", fixedFee=fee(1, evseKind="AC")), "",
                     {"TariffCostCtrlr.ConditionsSupported[Tariff]": False},
                     "ConditionNotSupported", marks=pytest.mark.req("I11.FR.03")),
        pytest.param(TWO, "other", {}, "TxNotFound",
                     marks=pytest.mark.req("I11.FR.04")),
        pytest.param(tariff("T2", "USD"), "", {}, "NoCurrencyChange",
                     marks=pytest.mark.req("I11.FR.05")),
        (tariff("T2", maxCost={}), "", {}, "Rejected"),
    ],
)  # fmt: skip
def test_which_changes_of_tariff_are_taken(
    told: dict[str, Any], number: str, presets: dict[str, Any], status: str
) -> None:
    rig = priced(**presets)
    assert change(rig, told, number) == status
    assert named(rig) == (["T1", "T2"] if status == "Accepted" else ["T1"])
    if status != "Accepted":
        assert total(stop(rig, 1000)) == 1.0  # the old one holds


@pytest.mark.req("I11.FR.04")
def test_a_transaction_that_is_over_has_no_tariff() -> None:
    rig = priced()
    number = rig.station._desk.evses[1].transaction_id
    stop(rig)
    assert change(rig, TWO, number) == "TxNotFound"


@pytest.mark.req("I11.FR.07", "I11.FR.08")
def test_a_changed_tariff_counts_from_now_on() -> None:
    rig = priced()
    rig.observe(P.ENERGY, authorised=True, import_wh=3000.0)
    rig.clear()
    change(rig, TWO)
    (event,) = rig.events()
    assert event["triggerReason"] == "TariffChanged"
    assert event["transactionInfo"]["tariffId"] == "T2"
    ended = stop(rig, 3000)  # 2 kWh at 1, 1 kWh at 2
    assert total(ended) == 4.0
    ids = [p["tariffId"] for p in ended["costDetails"]["chargingPeriods"]]
    assert ids == ["T1", "T2"]


@pytest.mark.req("I11.FR.07")
def test_a_transaction_without_a_tariff_gets_one() -> None:
    rig = station()
    charge(rig)
    rig.observe(P.ENERGY, authorised=True, import_wh=3000.0)
    assert change(rig, TWO) == "Accepted"
    assert total(stop(rig, 3000)) == 2.0
    assert named(rig) == ["T2"]


# In the events.


@pytest.mark.req("I12.FR.01")
def test_without_cost_calculation_only_the_tariff_is_told() -> None:
    rig = priced(**COSTLESS)
    ended = stop(rig, 1000)
    assert named(rig) == ["T1"]
    assert "costDetails" not in ended


def test_without_a_tariff_nothing_is_told() -> None:
    rig = station()
    charge(rig)
    assert "costDetails" not in stop(rig, 1000)
    assert named(rig) == []


@pytest.mark.req("I12.FR.02", "I12.FR.03")
def test_running_cost_is_told_now_and_then() -> None:
    rig = priced(**RUNNING)
    (started,) = [e for e in rig.events() if e["eventType"] == "Started"]
    assert started["costDetails"]["totalCost"]["total"] == {
        "exclTax": 0.0, "inclTax": 0.0,
    }  # fmt: skip
    rig.clear()
    rig.run_s(30, import_wh=1500.0)
    assert rig.events() == []
    rig.run_s(31, import_wh=2000.0)
    (event,) = rig.events()
    assert (event["eventType"], event["triggerReason"]) == ("Updated", "RunningCost")
    assert total(event) == 1.0
    assert "chargingPeriods" not in event["costDetails"]
    rig.run_s(300)
    assert len(rig.events()) == 6


@pytest.mark.req("I12.FR.02")
def test_an_event_that_comes_when_cost_is_due_carries_it() -> None:
    rig = priced(**RUNNING)
    rig.run_s(59)
    rig.clear()
    rig.pass_s(1.5)
    rig.call("TriggerMessage", {"requestedMessage": "TransactionEvent"})
    assert "costDetails" in rig.events()[-1]
    rig.run_s(50)
    assert [e["triggerReason"] for e in rig.events()] == ["Trigger"]


def test_running_cost_is_not_told_unasked() -> None:
    rig = priced()
    rig.run_s(700)
    assert details(rig) == []


@pytest.mark.req("I12.FR.10", "I12.FR.11")
def test_what_is_charging_time_and_what_is_idle() -> None:
    rig = priced(tariff(chargingTime=minutes(1.0), idleTime=minutes(10.0)))
    rig.run_s(120)
    rig.observe(P.SUSPENDED_EV, authorised=True)
    rig.run_s(60)
    event = stop(rig)
    cost = event["costDetails"]["totalCost"]
    assert cost["chargingTime"]["exclTax"] == 2.0
    assert cost["idleTime"]["exclTax"] == 10.0
    usage = event["costDetails"]["totalUsage"]
    assert (usage["chargingTime"], usage["idleTime"]) == (120, 60)


@pytest.mark.req("I12.FR.31", "I12.FR.32")
@pytest.mark.parametrize(("every_s", "cost"), [(0, 2.0), (600, 0.0)])
def test_how_often_the_power_is_looked_at(every_s: int, cost: float) -> None:
    prices = [{"priceKwh": 1.0, "conditions": {"minPower": 5000}}]
    rig = priced(
        tariff(energy={"prices": prices}),
        **{"TariffCostCtrlr.Interval[Tariff]": every_s},
    )
    rig.run_s(5, power_w=6000.0)
    rig.run_s(5, power_w=6000.0, import_wh=3000.0)
    rig.observe(P.IDLE, import_wh=3000.0)
    assert total(rig.events()[-1]) == cost


@pytest.mark.req("I12.FR.06", "I12.FR.07", "I12.FR.08")
@pytest.mark.parametrize("mine", [True, False])
def test_who_had_reserved_pays_for_it(*, mine: bool) -> None:
    rig = station()
    set_default(rig, tariff(reservationTime=minutes(0.5), reservationFixed=fee(3.0)))
    if mine:
        request = {
            "id": 7,
            "expiryDateTime": "2030-01-01T00:00:00Z",
            "idToken": {"idToken": "04A1B2C3", "type": "ISO14443"},
            "evseId": 1,
        }
        assert rig.call("ReserveNow", request) == {"status": "Accepted"}
    rig.pass_s(600)
    welcome(rig)
    charge(rig)
    event = stop(rig)
    usage = event["costDetails"]["totalUsage"]
    assert usage.get("reservationTime") == (600 if mine else None)
    assert total(event) == (8.0 if mine else 0.0)
    charge(rig, session_id="s2")  # the next one has not
    assert total(stop(rig, session_id="s2")) == 0.0


@pytest.mark.req("I12.FR.14", "I12.FR.18", "I12.FR.19")
def test_what_cannot_be_calculated_is_a_problem() -> None:
    rig = priced()
    rig.run_s(2, import_wh=2000.0)
    rig.observe(P.ENERGY, authorised=True, meter=False)
    rig.observe(P.IDLE, meter=False)
    cost = rig.events()[-1]["costDetails"]
    assert cost["failureToCalculate"] is True
    assert cost["totalCost"]["total"]["exclTax"] == 1.0  # as far as known
    assert problems(rig) == ["true"]
    assert rig.station._desk.model.text("TariffCostCtrlr", "Problem") == "true"


@pytest.mark.req("I12.FR.43", "I12.FR.44")
def test_the_next_good_calculation_ends_the_problem() -> None:
    rig = priced()
    rig.observe(P.IDLE, meter=False)
    charge(rig, session_id="s2")
    stop(rig, session_id="s2")
    assert problems(rig) == ["true", "false"]
    assert rig.station._desk.model.text("TariffCostCtrlr", "Problem") == "false"


@pytest.mark.req("E16.FR.16")
def test_the_cost_limit_counts_what_is_calculated_here() -> None:
    rig = priced(tariff(energy=energy(1.0, taxRates=VAT)))
    assert rig.station.set_limits(1, DriverLimits(cost=1.2), rig.now) == ""
    rig.drain()
    rig.clear()
    rig.run_s(3, import_wh=1900.0)
    assert rig.events() == []
    rig.run_s(3, import_wh=2000.0)
    assert [e["triggerReason"] for e in rig.events()] == ["CostLimitReached"]


def test_who_pays_at_the_terminal_may_have_his_price() -> None:
    rig = station()
    set_default(rig, tariff(fixedFee=fee(4.0, paymentBrand="VISA")))
    rig.station._parts._costs.paid_by(1, CARD.value, ("VISA", "CC"))
    charge(rig)
    assert total(stop(rig)) == 4.0


def test_costs_go_on_after_a_restart() -> None:
    rig = priced(
        tariff(energy=energy(1.0), idleTime=minutes(1.0)),
        **{"TxCtrlr.ResumptionTimeout": 3600},
    )
    rig.observe(P.ENERGY, authorised=True, import_wh=2000.0)
    rig.run_s(2)
    rig.observe(P.SUSPENDED_EV, authorised=True, import_wh=2000.0)
    rig.run_s(60)
    rig.observe(P.ENERGY, authorised=True, import_wh=2000.0)  # saved with its event
    again = rig.restarted(after_s=600)
    again.boot()
    again.observe(P.CONNECTED, session_id="s1", import_wh=2500.0)
    again.observe(P.STARTING, session_id="s1", authorised=True, import_wh=2500.0)
    again.observe(P.ENERGY, session_id="s1", authorised=True, import_wh=2500.0)
    ended = stop(again, 2000)  # the register: 3,000 Wh
    cost = ended["costDetails"]["totalCost"]
    assert cost["energy"]["exclTax"] == 2.0
    assert 1.0 <= cost["idleTime"]["exclTax"] < 1.1  # ten minutes away were free
    assert named(again) == []
    assert again.saved["cost"] == again.saved["cost_tariff"] == {}
    assert again.saved.get("cost_period", {}) == {}


def test_what_a_restart_cuts_off_is_still_a_bill() -> None:
    rig = priced(tariff(energy=energy(1.0)))
    rig.observe(P.ENERGY, authorised=True, import_wh=2000.0)
    again = rig.restarted()
    again.boot()
    again.observe(P.IDLE, import_wh=2100.0)
    again.run_s(1)
    ended = again.events()[-1]
    assert ended["eventType"] == "Ended"
    assert total(ended) == 1.1


def test_the_periods_that_are_over_are_on_the_disk() -> None:
    prices = [{"priceKwh": 1.0, "conditions": {"minEnergy": 500}}, {"priceKwh": 2.0}]
    rig = priced(
        tariff(energy={"prices": prices}),
        **{"TariffCostCtrlr.Interval[Tariff]": 0, "TxCtrlr.ResumptionTimeout": 3600},
    )
    rig.run_s(2, import_wh=1600.0)
    assert list(rig.saved["cost_period"]) == ["1/0"]
    again = rig.restarted()
    again.boot()
    again.observe(P.IDLE, import_wh=1700.0)
    again.run_s(10)
    ended = again.events()[-1]
    volumes = [
        p["dimensions"][0]["volume"] for p in ended["costDetails"]["chargingPeriods"]
    ]
    assert volumes == [600.0, 100.0]
    assert total(ended) == 1.3
    assert again.saved["cost_period"] == {}


# C17: prepaid.


@BOTH
@pytest.mark.parametrize(
    ("status", "offers"),
    [
        pytest.param("Accepted", True, marks=pytest.mark.req("C17.FR.04")),
        pytest.param("NoCredit", False, marks=pytest.mark.req("C17.FR.05")),
    ],
)
def test_a_prepaid_account(version: str, status: str, *, offers: bool) -> None:
    rig = Rig(config(), version=version).boot()
    ask(rig, Token("PREPAID", "ISO14443"))
    reply(rig, {"status": status, "cacheExpiryDateTime": rig.time()})
    assert asked(rig).accepted is offers


def test_an_error_in_place_of_an_answer_changes_nothing() -> None:
    rig = priced()
    rig.answer(rig.last("TransactionEvent"), CallError("InternalError"))
    assert total(stop(rig, 1000)) == 1.0


def test_a_large_tariff_is_not_written_with_each_event() -> None:
    rig = priced(ONE, **RUNNING)
    rig.run_s(300)
    kept = [e for e in rig.effects if isinstance(e, Save)]
    assert len([save for save in kept if save.namespace == "cost"]) > 3
    assert len([save for save in kept if save.namespace == "cost_tariff"]) == 1


@pytest.mark.parametrize("record", [5, {}, {"tx": "x", "named": True, "account": {}}])
def test_a_damaged_bill_is_left_out(record: Any) -> None:
    saved = {"cost": {"1": record, "x": record}, "cost_tariff": {"1": ONE}}
    rig = Rig(config(), saved).boot()
    charge(rig)
    assert "costDetails" not in stop(rig)
    assert rig.saved["cost"] == {}
