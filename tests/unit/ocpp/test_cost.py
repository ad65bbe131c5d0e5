"""I12: what a transaction costs, added up beside the table of the tariff."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chargerd.ocpp.cost import MOST_PERIODS, Account, Sample
from chargerd.ocpp.cost_details import details, failure, kept, kept_period, restored
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.tariff import Moment, most_elements, parse
from tests.unit.ocpp.cost_kit import BEGIN, VAT, Walk, energy, fee, minutes, tariff

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0


def cost(walk: Walk, *, final: bool = True) -> dict[str, Any]:
    made = details(walk.account, final=final)
    total: dict[str, Any] = made["totalCost"]
    return total


@pytest.mark.req("I12.FR.05", "I12.FR.09", "I12.FR.10", "I12.FR.11", "I12.FR.12")
@pytest.mark.req("I12.FR.16", "I12.FR.17", "I12.FR.41")
def test_each_part_has_its_usage_and_its_cost() -> None:
    walk = Walk(
        tariff(
            energy=energy(0.25, taxRates=VAT),
            chargingTime=minutes(0.02),
            idleTime=minutes(0.5),
            fixedFee=fee(1.5),
        )
    )
    walk.go(HOUR, 10_000, charging=False).go(600)
    made = details(walk.account, final=True)
    assert made["totalUsage"] == {
        "energy": 10_000.0, "chargingTime": 3600, "idleTime": 600,
    }  # fmt: skip
    assert made["totalCost"] == {
        "currency": "EUR",
        "typeOfCost": "NormalCost",
        "fixed": {"exclTax": 1.5, "inclTax": 1.5},
        "energy": {"exclTax": 2.5, "inclTax": 3.0, "taxRates": VAT},
        "chargingTime": {"exclTax": 1.2, "inclTax": 1.2},
        "idleTime": {"exclTax": 5.0, "inclTax": 5.0},
        "total": {"exclTax": 10.2, "inclTax": 10.7},
    }
    assert "failureToCalculate" not in made


@pytest.mark.parametrize(
    ("rates", "incl"),
    [
        ([], 2.5),
        ([("federal", 6.0, None), ("state", 4.0, None)], 2.75),  # chapter 1.3
        ([("energy", 10.0, 0), ("vat", 20.0, 1)], 3.3),
        ([("vat", 20.0, 1), ("energy", 10.0, None)], 3.3),  # in any order
        ([("a", 10.0, 0), ("b", 10.0, 1), ("c", 5.0, 2), ("d", 5.0, 2)], 3.3275),
    ],
)
@pytest.mark.req("I12.FR.13")
def test_taxes_of_one_level_add_and_levels_stack(
    rates: list[tuple[str, float, int | None]], incl: float
) -> None:
    told = [
        {"type": t, "tax": tax, **({} if stack is None else {"stack": stack})}
        for t, tax, stack in rates
    ]
    element = energy(0.25, **({"taxRates": told} if told else {}))
    walk = Walk(tariff(energy=element)).go(60, 10_000)
    assert (walk.excl(), walk.incl()) == (2.5, incl)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("conditions", "local", "holds"),
    [
        ({"startTimeOfDay": "08:00", "endTimeOfDay": "18:00"}, "2026-11-23T08:00", 1),
        ({"startTimeOfDay": "08:00", "endTimeOfDay": "18:00"}, "2026-11-23T17:59", 1),
        ({"startTimeOfDay": "08:00", "endTimeOfDay": "18:00"}, "2026-11-23T18:00", 0),
        ({"startTimeOfDay": "22:00", "endTimeOfDay": "06:00"}, "2026-11-23T23:00", 1),
        ({"startTimeOfDay": "22:00", "endTimeOfDay": "06:00"}, "2026-11-23T05:59", 1),
        ({"startTimeOfDay": "22:00", "endTimeOfDay": "06:00"}, "2026-11-23T06:00", 0),
        ({"startTimeOfDay": "22:00", "endTimeOfDay": "00:00"}, "2026-11-23T23:59", 1),
        ({"startTimeOfDay": "22:00", "endTimeOfDay": "00:00"}, "2026-11-23T00:00", 0),
        ({"startTimeOfDay": "22:00"}, "2026-11-23T22:30", 1),
        ({"endTimeOfDay": "06:00"}, "2026-11-23T07:00", 0),
        ({"dayOfWeek": ["Monday", "Sunday"]}, "2026-11-23T12:00", 1),
        ({"dayOfWeek": ["Tuesday"]}, "2026-11-23T12:00", 0),
        ({"validFromDate": "2026-11-23"}, "2026-11-23T00:00", 1),
        ({"validFromDate": "2026-11-24"}, "2026-11-23T23:59", 0),
        ({"validToDate": "2026-11-23"}, "2026-11-22T23:59", 1),
        ({"validToDate": "2026-11-23"}, "2026-11-23T00:00", 0),
        ({"evseKind": "AC"}, "2026-11-23T00:00", 1),
        ({"evseKind": "DC"}, "2026-11-23T00:00", 0),
        ({"paymentBrand": "VISA"}, "2026-11-23T00:00", 1),
        ({"paymentBrand": "JCB"}, "2026-11-23T00:00", 0),
        ({"paymentRecognition": "CC"}, "2026-11-23T00:00", 1),
        ({"paymentRecognition": "Debit"}, "2026-11-23T00:00", 0),
        ({"evseKind": "AC", "dayOfWeek": ["Tuesday"]}, "2026-11-23T00:00", 0),
    ],
)
@pytest.mark.req("I12.FR.30")
def test_a_fee_by_conditions_at_the_start(
    conditions: dict[str, Any], local: str, holds: int
) -> None:
    told = tariff(fixedFee=fee(2.0, **conditions))
    walk = Walk(told, at=at(local), payment=("VISA", "CC"))
    walk.go(26 * HOUR)  # whatever holds later does not count
    assert walk.excl() == 2.0 * holds


@pytest.mark.parametrize(
    ("conditions", "value", "holds"),
    [
        ({"minPower": 11_000}, 11_000, True),
        ({"minPower": 11_000}, 10_999, False),
        ({"maxPower": 11_000}, 10_999, True),
        ({"maxPower": 11_000}, 11_000, False),
        ({"maxPower": 11_000}, -1, False),
        ({"minPower": -10_000, "maxPower": -50_000}, -10_000, True),
        ({"minPower": -10_000, "maxPower": -50_000}, -49_999, True),
        ({"minPower": -10_000, "maxPower": -50_000}, -50_000, False),
        ({"minPower": -10_000, "maxPower": -50_000}, -9_999, False),
        ({"minPower": -10_000, "maxPower": -50_000}, 20_000, False),
        ({"minPower": 0, "maxPower": -50_000}, -1, True),
        ({"minCurrent": 16}, 16 * 230, True),
        ({"maxCurrent": 16}, 16 * 230, False),
    ],
)
@pytest.mark.req("I12.FR.31")
def test_conditions_about_the_flow(
    conditions: dict[str, Any], value: float, *, holds: bool
) -> None:
    """[OCPP 2.1, 2.97]: min is closest to zero, max is furthest."""
    walk = Walk(
        tariff(energy={"prices": [{"priceKwh": 1.0, "conditions": conditions}]}),
        power_w=value,
    )
    walk.go(60, 1000, power_w=value)
    assert walk.excl() == (1.0 if holds else 0.0)


@pytest.mark.req("I12.FR.33", "I12.FR.34", "I12.FR.35", "I12.FR.36", "I12.FR.04")
def test_the_first_price_that_applies_counts_each_change_is_a_period() -> None:
    prices = [
        {"priceKwh": 0.4, "conditions": {"startTimeOfDay": "09:00",
                                         "endTimeOfDay": "10:00"}},
        {"priceKwh": 0.3, "conditions": {"minEnergy": 15_000}},
        {"priceKwh": 0.25},
    ]  # fmt: skip
    walk = Walk(tariff(energy={"prices": prices}))
    for _ in range(180):
        walk.go(60, 100)
    # 8:00 to 9:00: 6 kWh at 0.25; to 10:00: 6 at 0.4; then 3 at 0.25, 3 at 0.3.
    assert walk.excl("energy") == pytest.approx(1.5 + 2.4 + 0.75 + 0.9)
    periods = details(walk.account, final=True)["chargingPeriods"]
    assert [(p["tariffId"], p["startPeriod"][11:16]) for p in periods] == [
        ("T1", "08:00"), ("T1", "09:00"), ("T1", "10:00"), ("T1", "10:30"),
    ]  # fmt: skip
    assert [p["dimensions"][0] for p in periods] == [
        {"type": "Energy", "volume": wh} for wh in (6000.0, 6000.0, 3000.0, 3000.0)
    ]


@pytest.mark.req("I07.FR.17", "I12.FR.31")
def test_a_change_of_price_is_exact_even_within_a_step() -> None:
    """In local time: it is 9:00 in UTC."""
    told = tariff(
        energy=energy(0.0), idleTime=minutes(1.0, startTimeOfDay="10:00"),
    )  # fmt: skip
    walk = Walk(told, zone=BERLIN, charging=False)
    walk.go(HOUR + 90)
    assert walk.excl() == 1.5


@pytest.mark.req("I07.FR.17")
@pytest.mark.parametrize(("hour", "euros"), [(8, 0.0), (9, 2.0)])
def test_a_fee_goes_by_local_time(hour: int, euros: float) -> None:
    told = tariff(fixedFee=fee(2.0, startTimeOfDay="10:00"))
    begin = BEGIN.replace(hour=hour)
    assert Walk(told, at=begin, zone=BERLIN).excl() == euros


@pytest.mark.parametrize(
    ("begin", "hours", "euros"),
    [
        ("2026-10-24T22:00", 6, 60.0),  # 02:00 to 02:30 comes twice
        ("2026-03-28T23:00", 6, 0.0),  # it does not come at all
        ("2026-03-27T23:00", 6, 30.0),
    ],
)
@pytest.mark.req("I12.FR.37")
def test_prices_follow_the_wall_clock(begin: str, hours: int, euros: float) -> None:
    told = tariff(
        idleTime=minutes(1.0, startTimeOfDay="02:00", endTimeOfDay="02:30"),
    )  # fmt: skip
    walk = Walk(told, at=at(begin), zone=BERLIN, charging=False)
    assert walk.go(hours * HOUR).excl() == euros


@pytest.mark.parametrize(
    ("part", "conditions", "euros"),
    [
        ("idleTime", {"minIdleTime": 300}, 15.0),  # of 10, 5 and 15 minutes: 5 and 10
        ("idleTime", {"maxIdleTime": 300}, 15.0),
        ("idleTime", {"minTime": 1800}, 15.0),
        ("chargingTime", {"minChargingTime": 900}, 5.0),
        ("chargingTime", {"maxChargingTime": 900}, 15.0),
        ("chargingTime", {"minTime": 900, "maxTime": 1500}, 5.0),
    ],
)
def test_durations_are_exact(
    part: str, conditions: dict[str, Any], euros: float
) -> None:
    """Idle 10, charging 10, idle 5, charging 10, idle 15 minutes. The idle time of a
    condition is the one that lasts now, the charging time that of the transaction."""
    parts: dict[str, Any] = {part: minutes(1.0, **conditions)}
    walk = Walk(tariff(**parts), charging=False)
    walk.go(600, charging=True).go(600, charging=False).go(300, charging=True)
    walk.go(600, charging=False).go(900)
    assert walk.excl() == euros


@pytest.mark.parametrize("caps", [{"exclTax": 2.0}, {"inclTax": 2.4}])
@pytest.mark.req("I12.FR.39", "I12.FR.40")
def test_the_most_freezes_the_cost_not_the_usage(caps: dict[str, float]) -> None:
    told = tariff(energy=energy(1.0, taxRates=VAT), maxCost=caps, fixedFee=fee(0.5))
    walk = Walk(told).go(60, 1000)
    assert cost(walk)["typeOfCost"] == "NormalCost"
    walk.go(60, 1_000).go(60, 1_000)
    made = details(walk.account, final=True)
    assert made["totalCost"]["typeOfCost"] == "MaxCost"
    first = next(iter(caps))
    assert made["totalCost"]["total"][first] == caps[first]
    assert made["totalUsage"]["energy"] == 3000.0
    assert made["chargingPeriods"][0]["dimensions"][0]["volume"] == 3000.0


@pytest.mark.parametrize(
    ("low", "wh", "kind"),
    [
        ({"exclTax": 3.0}, 2000, "MinCost"),
        ({"exclTax": 3.0}, 3000, "NormalCost"),
        ({"exclTax": 1.0, "inclTax": 3.0, "taxRates": VAT}, 2400, "MinCost"),
        ({"exclTax": 1.0, "inclTax": 3.0}, 2500, "NormalCost"),
    ],
)
@pytest.mark.req("I12.FR.38")
def test_the_least_replaces_the_cost_at_the_end(
    low: dict[str, Any], wh: float, kind: str
) -> None:
    told = tariff(energy=energy(1.0, taxRates=VAT), minCost=low)
    walk = Walk(told).go(60, wh)
    made = cost(walk)
    assert made["typeOfCost"] == kind
    assert cost(walk, final=False)["typeOfCost"] == "NormalCost"
    if kind == "MinCost":
        assert made["fixed"] == low
        assert "energy" not in made
        assert details(walk.account, final=True)["totalUsage"]["energy"] == wh


@pytest.mark.req("I12.FR.06", "I12.FR.07", "I12.FR.08")
def test_a_reservation_costs_once() -> None:
    told = tariff(reservationTime=minutes(0.1), reservationFixed=fee(2.0))
    walk = Walk(told, reservation_s=1800)
    walk.go(HOUR)
    made = details(walk.account, final=True)
    assert made["totalUsage"]["reservationTime"] == 1800
    assert made["totalCost"]["reservationTime"]["exclTax"] == 3.0
    assert made["totalCost"]["reservationFixed"]["exclTax"] == 2.0
    assert made["totalCost"]["total"]["exclTax"] == 5.0
    unreserved = details(Walk(told).go(HOUR).account, final=True)
    assert unreserved["totalCost"]["total"]["exclTax"] == 0.0
    assert "reservationTime" not in unreserved["totalUsage"]


def test_discharging_pays_back() -> None:
    """[OCPP 2.1, 3.26]: Energy is negative when more went into the grid."""
    walk = Walk(tariff(energy=energy(0.3))).go(HOUR, 1000).go(HOUR, -3000)
    made = details(walk.account, final=True)
    assert made["totalUsage"]["energy"] == -2000.0
    assert made["totalCost"]["total"]["exclTax"] == -0.6


@pytest.mark.req("I11.FR.08")
def test_another_tariff_counts_from_its_change_on() -> None:
    walk = Walk(tariff(energy=energy(1.0), fixedFee=fee(5.0))).go(60, 1000)
    other = tariff("T2", energy=energy(2.0), fixedFee=fee(7.0))
    walk.account.change(parse(other), walk.utc)
    walk.go(60, 1000)
    assert walk.excl() == 5.0 + 1.0 + 2.0  # no second fee
    periods = details(walk.account, final=True)["chargingPeriods"]
    assert [p["tariffId"] for p in periods] == ["T1", "T2"]


def test_power_and_current_are_told_where_conditions_ask() -> None:
    prices = [{"priceMinute": 1, "conditions": {"maxPower": 11_000}}]
    walk = Walk(tariff(chargingTime={"prices": prices}), power_w=7000)
    walk.go(60, 100, power_w=10_500).go(60, 100, power_w=9000)
    (period,) = details(walk.account, final=True)["chargingPeriods"]
    assert period["dimensions"][3:] == [
        {"type": "MinPower", "volume": 7000.0},
        {"type": "MaxPower", "volume": 10_500.0},
    ]


@pytest.mark.req("I12.FR.31")
def test_between_two_judgements_the_flow_does_not_count() -> None:
    prices = [{"priceKwh": 1, "conditions": {"minPower": 5000}}]
    walk = Walk(tariff(energy={"prices": prices}), power_w=0)
    walk.go(60, 1000, power_w=6000, judge=False).go(60, 1000, power_w=6000)
    assert walk.excl() == 0.0
    assert walk.go(60, 1000, power_w=6000).excl() == 1.0


@pytest.mark.req("I12.FR.14")
def test_a_meter_that_is_silent_at_the_end_is_told() -> None:
    walk = Walk(tariff(energy=energy(1.0))).go(60, 1000)
    assert failure(walk.account) == ""
    walk.account.advance((walk.mono_ms, walk.utc), Sample(), charging=True)
    made = details(walk.account, final=True)
    assert made["failureToCalculate"] is True
    assert made["totalCost"]["total"]["exclTax"] == 1.0
    walk.go(60, 500)  # it speaks again: nothing is lost
    assert (failure(walk.account), walk.excl()) == ("", 1.5)


def test_time_alone_needs_no_meter() -> None:
    account = Account(parse(tariff(chargingTime=minutes(1.0))), UTC)
    account.begin((0, BEGIN), Sample(), charging=True)
    assert failure(account) == ""


def test_periods_are_not_endless() -> None:
    prices = [{"priceKwh": 1, "conditions": {"minPower": 5000}}, {"priceKwh": 2}]
    walk = Walk(tariff(energy={"prices": prices}))
    for n in range(MOST_PERIODS + 50):
        walk.go(1, 0, power_w=0 if n % 2 else 6000)
    made = details(walk.account, final=True)
    assert len(made["chargingPeriods"]) == MOST_PERIODS
    assert made["failureToCalculate"] is True


BAD = [
    tariff(""),
    tariff(currency="eu"),
    tariff(validFrom="soon"),
    tariff(chargingTime=minutes(-1.0)),
    tariff(energy=energy(1.0, taxRates=[{"type": "x", "tax": -1}])),
    tariff(minCost={}),
    tariff(maxCost={"exclTax": -1}),
    tariff(idleTime=minutes(1.0, startTimeOfDay="8:00")),
    tariff(idleTime=minutes(1.0, startTimeOfDay="24:00")),
    tariff(idleTime=minutes(1.0, validFromDate="2026-02-30")),
    tariff(idleTime=minutes(1.0, validToDate="20260223")),
    tariff(idleTime=minutes(1.0, minPower=-5, maxPower=5)),
    tariff(idleTime=minutes(1.0, minPower=5, maxPower=5)),
    tariff(idleTime=minutes(1.0, minTime=-5)),
    tariff(reservationTime=minutes(1.0, minTime=60)),
]


@pytest.mark.parametrize("told", BAD)
@pytest.mark.req("I07.FR.05")
def test_what_is_no_tariff(told: dict[str, Any]) -> None:
    with pytest.raises(OcppError):
        parse(told)


def test_the_longest_list_counts() -> None:
    assert most_elements(tariff()) == 0
    prices = [{"priceKwh": 1.0}] * 3
    assert most_elements(tariff(energy={"prices": prices}, fixedFee=fee(1.0))) == 3


def test_a_price_of_another_kind_of_evse() -> None:
    told = parse(tariff(fixedFee=fee(1.0, evseKind="DC")))
    assert told.elements["fixedFee"].used(Moment(BEGIN, is_dc=True)) == 0


def test_an_account_outlives_a_restart_exactly() -> None:
    told = tariff(
        energy=energy(0.1, taxRates=VAT),
        idleTime=minutes(1.0, minIdleTime=300),
        maxCost={"exclTax": 100.0},
    )
    walk = Walk(told).go(7, 33.3, charging=False).go(400)
    account, over = walk.account, [kept_period(p) for p in walk.account.periods[:-1]]
    again = restored(told, kept(account), over, UTC)
    assert again is not None
    again.judge()
    again.resume(10)
    again.advance((1010, walk.utc), Sample(walk.wh + 10), charging=False)
    account.advance(
        (walk.mono_ms + 1000, walk.utc), Sample(walk.wh + 10), charging=False
    )
    assert details(again, final=True) == details(account, final=True)
    assert kept(again) == kept(account)


@pytest.mark.parametrize(
    "damage",
    [{"energy": "x"}, {"sums": {"energy": ["1"]}}, {"used": [None]}, {"periods": 9}],
)
def test_a_damaged_record_is_none(damage: dict[str, Any]) -> None:
    told = tariff(energy=energy(0.1))
    record = kept(Walk(told).account)
    assert restored(told, record, [], UTC) is not None
    assert restored(told, {**record, **damage}, [], UTC) is None
    assert restored(tariff(""), record, [], UTC) is None


def test_sums_are_exact() -> None:
    """A third of a cent, three hundred times."""
    walk = Walk(tariff(chargingTime=minutes(0.01)))
    for _ in range(300):
        walk.go(20)
    assert walk.account.total().excl == Decimal(1)
