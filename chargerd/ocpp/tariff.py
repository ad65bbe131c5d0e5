"""A TariffType as frozen values with exact decimals: parsed once, then only read.

Owns what a valid tariff is (I07.FR.05) and when a price applies (2.96, 2.97). Pure: the
local time and what has happened are arguments. Adds nothing up: that is `cost.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import TypeVar

from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.profiles import parse_time

DAYS = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
TIMED = ("energy", "chargingTime", "idleTime", "reservationTime")
FIXED = ("fixedFee", "reservationFixed")
PRICES = {
    "energy": "priceKwh",
    "chargingTime": "priceMinute",
    "idleTime": "priceMinute",
    "reservationTime": "priceMinute",
    "fixedFee": "priceFixed",
    "reservationFixed": "priceFixed",
}
# What a condition's bounds are about; those of flows have a sign, that of the flow.
FLOWS = ("Energy", "Current", "Power")
TIMES = ("Time", "ChargingTime", "IdleTime")
MINUTES_A_DAY = 24 * 60
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_CURRENCY = re.compile(r"[A-Z]{3}")
_DATE = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}")
ZERO, HUNDRED = Decimal(0), Decimal(100)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """What conditions are compared with. Wh and W into the vehicle, else negative."""

    local: datetime
    is_dc: bool = False
    payment: tuple[str, str] = ("", "")  # PaymentBrand, PaymentRecognition
    values: tuple[Decimal, ...] = ()  # of FLOWS, then TIMES; () = at the start


@dataclass(frozen=True, slots=True)
class Bound:
    """`low` <= value < `high`; for a discharge both are negative, `low` being the one
    closer to zero (2.97)."""

    index: int  # of Moment.values
    low: Decimal | None
    high: Decimal | None

    def holds(self, values: tuple[Decimal, ...]) -> bool:
        value = values[self.index]
        low, high = self.low, self.high
        if min(low or ZERO, high or ZERO) < ZERO:  # of the other direction
            value = -value
            low = None if low is None else -low
            high = None if high is None else -high
        # Without `low` the range begins at zero, which is the closest.
        return (low or ZERO) <= value and (high is None or value < high)


@dataclass(frozen=True, slots=True)
class Conditions:
    """All must hold; what is None or empty asks for nothing."""

    from_minute: int = 0  # of the local day
    to_minute: int = MINUTES_A_DAY
    days: frozenset[int] = frozenset()
    from_date: date | None = None
    to_date: date | None = None  # exclusive
    evse_kind: str = ""
    payment: tuple[str, str] = ("", "")
    bounds: tuple[Bound, ...] = ()

    def hold(self, moment: Moment) -> bool:
        local = moment.local
        kind = "DC" if moment.is_dc else "AC"
        day = local.date()
        return (
            self._in_day(local.hour * 60 + local.minute)
            and (not self.days or day.weekday() in self.days)
            and (self.from_date is None or self.from_date <= day)
            and (self.to_date is None or day < self.to_date)
            and self.evse_kind in ("", kind)
            and all(
                wanted in ("", told)
                for wanted, told in zip(self.payment, moment.payment, strict=True)
            )
            and all(bound.holds(moment.values) for bound in self.bounds)
        )

    def _in_day(self, minute: int) -> bool:
        """An end that is not after the start is one of the next day."""
        if self.from_minute < self.to_minute:
            return self.from_minute <= minute < self.to_minute
        return minute >= self.from_minute or minute < self.to_minute


@dataclass(frozen=True, slots=True)
class Price:
    amount: Decimal  # excl. tax: a kWh, a minute, or once
    conditions: Conditions | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """The prices of one thing. `tax` turns an amount without tax into one with it."""

    prices: tuple[Price, ...]
    tax: Decimal = Decimal(1)
    tax_rates: tuple[Payload, ...] | None = None  # as told

    def used(self, moment: Moment) -> int | None:
        """The first price whose conditions hold (I12.FR.33, .34)."""
        for index, price in enumerate(self.prices):
            if price.conditions is None or price.conditions.hold(moment):
                return index
        return None


@dataclass(frozen=True, slots=True)
class Cap:
    """A PriceType of the tariff: minCost or maxCost."""

    excl: Decimal | None
    incl: Decimal | None
    told: Payload


@dataclass(frozen=True, slots=True)
class Tariff:
    """`elements` by the names of TariffType."""

    id: str
    currency: str
    elements: dict[str, Element]
    min_cost: Cap | None = None
    max_cost: Cap | None = None
    valid_from: datetime | None = None

    def thresholds(self, kind: str) -> set[Decimal]:
        """Where a duration, one of TIMES, makes another price apply."""
        index = (*FLOWS, *TIMES).index(kind)
        return {
            value
            for bound in _bounds(self)
            if bound.index == index
            for value in (bound.low, bound.high)
            if value is not None
        }

    def asks(self, kind: str) -> bool:
        """Does any condition speak of this one of FLOWS?"""
        index = FLOWS.index(kind)
        return any(bound.index == index for bound in _bounds(self))


def _bounds(tariff: Tariff) -> Iterable[Bound]:
    for element in tariff.elements.values():
        for price in element.prices:
            if price.conditions is not None:
                yield from price.conditions.bounds


def decimal(value: float) -> Decimal:
    """A number of JSON exactly as it was written."""
    return Decimal(repr(value))


def parse(told: Payload) -> Tariff:
    """Raises OcppError for what is no tariff; `told` fits the schema."""
    if not told["tariffId"]:
        raise OcppError("tariffId: empty", "InvalidValue")
    if not _CURRENCY.fullmatch(told["currency"]):
        raise OcppError("currency: use an ISO 4217 code", "InvalidValue")
    valid_from = told.get("validFrom")
    return Tariff(
        told["tariffId"],
        told["currency"],
        {name: _element(name, told[name]) for name in PRICES if name in told},
        _cap(told.get("minCost")),
        _cap(told.get("maxCost")),
        parse_time(valid_from) if valid_from is not None else None,
    )


def most_elements(told: Payload) -> int:
    """The longest of its lists of prices (MaxElements)."""
    return max((len(told[n]["prices"]) for n in PRICES if n in told), default=0)


def has_conditions(told: Payload) -> bool:
    lists = (told[name]["prices"] for name in PRICES if name in told)
    return any("conditions" in price for prices in lists for price in prices)


def _element(name: str, told: Payload) -> Element:
    prices = tuple(
        Price(_positive(name, price[PRICES[name]]), _conditions(name, price))
        for price in told["prices"]
    )
    rates = told.get("taxRates")
    return Element(prices, _tax(rates or []), tuple(rates) if rates else None)


def _positive(name: str, value: float) -> Decimal:
    amount = decimal(value)
    if name != "energy" and amount < ZERO:  # power may have a negative price
        raise OcppError(f"{name}: a price below 0", "InvalidValue")
    return amount


def _tax(rates: list[Payload]) -> Decimal:
    """Rates of one stack level are added, each level is on top of those below it
    (I12.FR.13)."""

    def level(rate: Payload) -> int:
        stack: int = rate.get("stack", 0)
        return stack

    factor = Decimal(1)
    for _, group in groupby(sorted(rates, key=level), key=level):
        percent = sum((decimal(rate["tax"]) for rate in group), ZERO)
        if percent < ZERO:
            raise OcppError("taxRates: a tax below 0", "InvalidValue")
        factor *= 1 + percent / HUNDRED
    return factor


def _cap(told: Payload | None) -> Cap | None:
    if told is None:
        return None
    excl, incl = (
        decimal(told[name]) if name in told else None for name in ("exclTax", "inclTax")
    )
    if excl is None and incl is None:
        raise OcppError("minCost, maxCost: neither exclTax nor inclTax", "InvalidValue")
    if min(excl or ZERO, incl or ZERO) < ZERO:
        raise OcppError("minCost, maxCost: below 0", "InvalidValue")
    return Cap(excl, incl, {k: v for k, v in told.items() if k != "customData"})


def _conditions(name: str, price: Payload) -> Conditions | None:
    told = price.get("conditions")
    if told is None:
        return None
    bounds = tuple(_bound(kind, told) for kind in (*FLOWS, *TIMES))
    made = Conditions(
        _minute(told, "startTimeOfDay", 0),
        _minute(told, "endTimeOfDay", MINUTES_A_DAY) or MINUTES_A_DAY,
        frozenset(DAYS.index(day) for day in told.get("dayOfWeek", ())),
        _date(told, "validFromDate"),
        _date(told, "validToDate"),
        told.get("evseKind", ""),
        (told.get("paymentBrand", ""), told.get("paymentRecognition", "")),
        tuple(bound for bound in bounds if bound is not None),
    )
    if made.bounds and name == "reservationTime":
        raise OcppError(
            f"{name}: it is evaluated once, before any energy flows", "InvalidValue"
        )
    return made


def _bound(kind: str, told: Payload) -> Bound | None:
    low, high = (
        decimal(told[name]) if name in told else None
        for name in (f"min{kind}", f"max{kind}")
    )
    if low is None and high is None:
        return None
    bound = Bound((*FLOWS, *TIMES).index(kind), low, high)
    below = min(low or ZERO, high or ZERO) < ZERO
    if below and (kind in TIMES or max(low or ZERO, high or ZERO) > ZERO):
        raise OcppError(f"min{kind}, max{kind}: signs", "InvalidValue")
    if high is not None and abs(low or ZERO) >= abs(high):
        raise OcppError(f"min{kind} is not closer to 0 than max{kind}", "InvalidValue")
    return bound


def _minute(told: Payload, name: str, default: int) -> int:
    return _read(told, name, _clock) if name in told else default


def _clock(text: str) -> int:
    if not _CLOCK.fullmatch(text):
        raise ValueError(text)
    return int(text[:2]) * 60 + int(text[3:])


def _day(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _date(told: Payload, name: str) -> date | None:
    return _read(told, name, _day) if name in told else None


def _read(told: Payload, name: str, reader: Callable[[str], T]) -> T:
    try:
        return reader(told[name])
    except ValueError:
        raise OcppError(f"{name}: {told[name][:20]!r}", "InvalidValue") from None
