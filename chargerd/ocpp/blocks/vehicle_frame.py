"""Charging profiles as a frame for a vehicle that plans: power and prices over time.

Owns the way from the composite schedule and a profile's price schedules to an
EnergySchedule. Pure. Only bounds are told: for a setpoint there are the loop's limits.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace

from chargerd.clock import Now
from chargerd.model import EnergySchedule, OperationMode, SchedulePart
from chargerd.ocpp.composite import Branch, Demand, timeline
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.profiles import Profile, parse_time

HORIZON_S = 86_400.0
MOST_PARTS = 100  # ours: more would hold the loop (law 7)
MOST_MONEY = 1e6  # per kWh, in any currency: what is beyond is an error
# (POSIX, price per kWh, level), in order; a price holds until the next one.
Prices = list[tuple[float, float | None, int | None]]


def frame(
    branch: Branch,
    now: Now,
    ratings_w: tuple[float, float],
    most: int | None,
    prices: Prices | None = None,
    currency: str = "",
) -> EnergySchedule | None:
    """What the profiles allow from now on; None where they say nothing.

    `ratings_w`: the most the EVSE can, charge >= 0 and discharge <= 0. `most`: entries
    that the vehicle can hold.
    """
    start = now.utc.timestamp()
    count = max(1, min(MOST_PARTS, most or MOST_PARTS))
    entries, end = timeline(branch, start, start + HORIZON_S, count)
    end = min(end, start + HORIZON_S)
    if not prices and all(demand is None for _, demand in entries):
        return None
    parts = [
        _part(now.mono + (at_s - start), demand, ratings_w) for at_s, demand in entries
    ]
    shifted = [
        (now.mono + (at - start), price, level) for at, price, level in prices or ()
    ]
    return EnergySchedule(
        _priced(parts, shifted, now.mono)[:count], now.mono + (end - start), currency
    )


def _part(
    start_mono: float, demand: Demand | None, ratings_w: tuple[float, float]
) -> SchedulePart:
    charge_w, discharge_w = ratings_w
    if demand is None:
        return SchedulePart(start_mono, charge_w, discharge_w)
    if demand.limit_w is not None:
        charge_w = min(charge_w, demand.limit_w)
    if demand.discharge_limit_w is not None:
        discharge_w = max(discharge_w, demand.discharge_limit_w)
    if demand.mode is OperationMode.CHARGING_ONLY:
        discharge_w = 0.0
    return SchedulePart(start_mono, charge_w, discharge_w)


def _priced(
    parts: list[SchedulePart], prices: Prices, now_mono: float
) -> tuple[SchedulePart, ...]:
    """Parts cut where a price changes."""
    if not prices:
        return tuple(parts)
    prices = sorted(prices, key=lambda row: row[0])
    starts, changes = [p.start_mono for p in parts], [row[0] for row in prices]
    begin_mono = max(now_mono, starts[0])
    first = bisect_right(changes, begin_mono)
    made = []
    for mono in sorted({*starts, *changes[first : first + MOST_PARTS]}):
        part = parts[max(0, bisect_right(starts, mono) - 1)]
        index = bisect_right(changes, mono) - 1
        price, level = prices[index][1:] if index >= 0 else (None, None)
        made.append(replace(part, start_mono=mono, buy_per_kwh=price, level=level))
    return tuple(made)


def prices(schedule: Payload, start_s: float) -> tuple[Prices, str]:
    """The prices of a ChargingSchedule that began at `start_s`, and their currency.

    Of a price rule only the energy's price is told on; where levels are all there is,
    they are passed on as ranks from 0.
    """
    money = schedule.get("absolutePriceSchedule")
    if money is not None:
        anchor = parse_time(money["timeAnchor"]).timestamp()
        found: Prices = []
        for stack in money["priceRuleStacks"]:
            found.append((anchor, _money(stack["priceRule"][0]["energyFee"]), None))
            anchor += stack["duration"]
        return [*found, (anchor, None, None)], money["currency"]
    levels = schedule.get("priceLevelSchedule")
    if levels is not None:
        anchor, found = parse_time(levels["timeAnchor"]).timestamp(), []
        for entry in levels["priceLevelScheduleEntries"]:
            found.append((anchor, None, _rank(entry["priceLevel"])))
            anchor += entry["duration"]
        return [*found, (anchor, None, None)], ""
    tariff = schedule.get("salesTariff")
    if tariff is not None:
        return [
            (
                start_s + row["relativeTimeInterval"]["start"],
                None,
                _rank(row.get("ePriceLevel", 1) - 1),
            )
            for row in tariff["salesTariffEntry"]
        ], ""
    return [], ""


def _rank(level: int) -> int:
    """From 0; a byte is what vehicles take."""
    return max(0, min(254, level))


def _money(rational: Payload) -> float | None:
    """RationalNumberType, value times 10 to the exponent; None where it is no price."""
    exponent, value = rational["exponent"], rational["value"]
    if not -9 <= exponent <= 9:
        return None
    price = float(value * 10.0**exponent)
    return price if abs(price) <= MOST_MONEY else None


def began_s(profile: Profile, now_s: float, relative_s: float | None) -> float:
    """When the schedule in force began, POSIX."""
    if profile.anchor_s is None:
        return now_s if relative_s is None else relative_s
    if profile.recurrence_s is None:
        return profile.anchor_s
    gone = math.floor((now_s - profile.anchor_s) / profile.recurrence_s)
    return profile.anchor_s + gone * profile.recurrence_s
