"""ISO 15118-20 schedules on the wire, and whether the vehicle's plan fits.

Owns ScheduleExchange's contents, prices, and the check of EVPowerProfile. Power entries
carry a sign: negative is discharge [V2G20-1034]. A schedule is a frame; the loop's
limits say what holds at each moment. No signature: a station need not sign prices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

from chargerd.model import VehiclePlan
from chargerd.vehicle.iso15118.messages.common import (
    AbsolutePriceSchedule,
    ChargingSchedule,
    Dynamic_SEResControlMode,
    EVPowerProfile,
    PowerSchedule,
    PowerScheduleEntry,
    PowerScheduleEntryList,
    PriceLevelSchedule,
    PriceLevelScheduleEntry,
    PriceLevelScheduleEntryList,
    PriceRule,
    PriceRuleStack,
    PriceRuleStackList,
    Scheduled_SEResControlMode,
    ScheduleTuple,
)
from chargerd.vehicle.iso15118.messages.common_types import ResponseCode
from chargerd.vehicle.iso15118.secc import iso20_plan
from chargerd.vehicle.iso15118.secc.iso20_plan import Plan, Span
from chargerd.vehicle.iso15118.secc.iso20_services import Choice, Pricing
from chargerd.vehicle.iso15118.secc.limits import number, rational
from chargerd.vehicle.iso15118.secc.station import Station

FIRST_ID = 1
PRICE_ALGORITHM = "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
LANGUAGE = "en"

Price = Callable[[Span], float | None]


def dynamic(plan: Plan, choice: Choice, now: Station) -> Dynamic_SEResControlMode:
    """The station sets the power: prices, and the driver's aims where it has them."""
    values = _prices(plan, choice, lambda span: span.buy_per_kwh)
    return Dynamic_SEResControlMode(**values, **aims(choice, now))


def aims(choice: Choice, now: Station) -> dict[str, Any]:
    """DepartureTime, MinimumSOC and TargetSOC of a driver who told the station.

    MinimumSOC is not above TargetSOC [V2G20-1640].
    """
    promise = now.offer.promise
    if not choice.by_station or promise is None:
        return {}
    target = _percent(promise.target_soc_pct)
    return {
        "DepartureTime": max(0, round(promise.departure_mono - now.now_mono)),
        "MinimumSOC": min(target, _percent(promise.floor_soc_pct)),
        "TargetSOC": target,
    }


def _percent(value: float) -> int:
    return max(0, min(100, round(value)))


def scheduled(plans: Sequence[Plan], choice: Choice) -> Scheduled_SEResControlMode:
    """What the vehicle may choose from."""
    return Scheduled_SEResControlMode(
        ScheduleTuple=[_tuple(plan, choice) for plan in plans]
    )


def _tuple(plan: Plan, choice: Choice) -> ScheduleTuple:
    """One schedule for each direction that the service has."""
    charging = ChargingSchedule(
        PowerSchedule=_powers(plan, [span.charge_w for span in plan.spans]),
        **_prices(plan, choice, lambda span: span.buy_per_kwh),
    )
    discharging = None
    if choice.bidirectional:
        discharging = ChargingSchedule(
            PowerSchedule=_powers(plan, [span.discharge_w for span in plan.spans]),
            **_prices(plan, choice, lambda span: span.sell_per_kwh),
        )
    return ScheduleTuple(
        ScheduleTupleID=FIRST_ID + plan.option,
        ChargingSchedule=charging,
        DischargingSchedule=discharging,
    )


def _powers(plan: Plan, powers_w: Sequence[float]) -> PowerSchedule:
    entries = [
        PowerScheduleEntry(Duration=span.duration_s, Power=rational(power_w))
        for span, power_w in zip(plan.spans, powers_w, strict=True)
    ]
    return PowerSchedule(
        TimeAnchor=plan.anchor_s,
        PowerScheduleEntries=PowerScheduleEntryList(PowerScheduleEntry=entries),
    )


# --- prices ---------------------------------------------------------------------------


def _prices(plan: Plan, choice: Choice, price: Price) -> dict[str, Any]:
    """As agreed in service selection; nothing once the station knows none.

    A span without a price ends the price schedule: 0 would be a price.
    """
    levels = list(takewhile(lambda span: span.level is not None, plan.spans))
    if levels and choice.pricing is Pricing.LEVELS:
        ranks = [(span.duration_s, min(255, span.level or 0)) for span in levels]
        return {"PriceLevelSchedule": _level_schedule(plan, ranks)}
    known: list[tuple[int, float]] = []
    for span in plan.spans:
        fee = price(span)
        if fee is None:
            break
        known.append((span.duration_s, fee))
    if not known or plan.source is None:
        return {}
    if choice.pricing is Pricing.LEVELS:
        return {"PriceLevelSchedule": _levels(plan, known)}
    if choice.pricing is Pricing.ABSOLUTE and plan.source.currency:
        schedule = _absolute(plan, known, plan.source.currency)
        return {"AbsolutePriceSchedule": schedule}
    return {}


def _absolute(
    plan: Plan, known: list[tuple[int, float]], currency: str
) -> AbsolutePriceSchedule:
    """EnergyFee per kWh, for every power from 0 W on. Of the discharging schedule it
    is what the driver gets: energy is negative there [K]."""
    stacks = [
        PriceRuleStack(
            Duration=duration_s,
            PriceRule=[PriceRule(EnergyFee=rational(fee), PowerRangeStart=rational(0))],
        )
        for duration_s, fee in known
    ]
    return AbsolutePriceSchedule(
        TimeAnchor=plan.anchor_s,
        PriceScheduleID=1,
        Currency=currency[:3],
        Language=LANGUAGE,
        PriceAlgorithm=PRICE_ALGORITHM,
        PriceRuleStacks=PriceRuleStackList(PriceRuleStack=stacks),
    )


def _levels(plan: Plan, known: list[tuple[int, float]]) -> PriceLevelSchedule:
    """Level 0 is the cheapest of this schedule [K]; at most 255 levels."""
    ranks = sorted({fee for _, fee in known})
    step = max(1.0, len(ranks) / 255.0)
    level = {fee: int(rank / step) for rank, fee in enumerate(ranks)}
    return _level_schedule(plan, [(spent_s, level[fee]) for spent_s, fee in known])


def _level_schedule(plan: Plan, levels: list[tuple[int, int]]) -> PriceLevelSchedule:
    entries = [
        PriceLevelScheduleEntry(Duration=duration_s, PriceLevel=level)
        for duration_s, level in levels
    ]
    return PriceLevelSchedule(
        TimeAnchor=plan.anchor_s,
        PriceScheduleID=1,
        NumberOfPriceLevels=min(255, max(level for _, level in levels) + 1),
        PriceLevelScheduleEntries=PriceLevelScheduleEntryList(
            PriceLevelScheduleEntry=entries
        ),
    )


# --- the vehicle's plan ---------------------------------------------------------------


def check(
    profile: EVPowerProfile | None, choice: Choice, plan: Plan | None
) -> ResponseCode | None:
    """What is wrong with the vehicle's plan; None = nothing.

    No plan is no fault in dynamic mode. In scheduled mode it names a tuple.
    """
    if profile is None:
        return None if choice.dynamic else "FAILED_ScheduleSelectionInvalid"
    selected = profile.Scheduled_EVPPTControlMode
    if (selected is None) is not choice.dynamic:
        return "FAILED_ScheduleSelectionInvalid"
    if selected is None:
        return None
    if plan is None or selected.SelectedScheduleTupleID != FIRST_ID + plan.option:
        return "FAILED_ScheduleSelectionInvalid"
    entries = [
        (entry.Duration, _total(entry))
        for entry in profile.EVPowerProfileEntries.EVPowerProfileEntry
    ]
    if not iso20_plan.fits(plan, profile.TimeAnchor, entries):
        return "FAILED_EVPowerProfileInvalid"
    return None


def chosen(profile: EVPowerProfile | None, plans: Sequence[Plan]) -> Plan | None:
    """The plan whose tuple the vehicle names; None when it names none of them."""
    selected = profile.Scheduled_EVPPTControlMode if profile is not None else None
    number = selected.SelectedScheduleTupleID if selected is not None else None
    return next((p for p in plans if FIRST_ID + p.option == number), None)


def told_plan(
    profile: EVPowerProfile | None, plan: Plan | None, number: int
) -> VehiclePlan | None:
    """The vehicle's plan, which fits; in dynamic mode what it may take."""
    if plan is None:
        return None
    at_mono, entries = plan.start_mono, list[tuple[int, float]]()
    if profile is not None and profile.Scheduled_EVPPTControlMode is not None:
        offset_s = profile.TimeAnchor - plan.anchor_s
        inside = 0 <= offset_s < plan.end_mono - plan.start_mono
        at_mono += offset_s if inside else 0.0
        entries = [
            (entry.Duration, _total(entry))
            for entry in profile.EVPowerProfileEntries.EVPowerProfileEntry
        ]
    own = bool(entries)
    if not own:
        entries = [(span.duration_s, span.charge_w) for span in plan.spans]
    parts: list[tuple[float, float]] = []
    for duration_s, power_w in entries:
        parts.append((at_mono, power_w))
        at_mono += duration_s
    return VehiclePlan(number, tuple(parts), at_mono, own, plan.option)


def _total(entry: PowerScheduleEntry) -> float:
    """W of all phases: a lone field is the sum [V2G20-1817]."""
    parts = (entry.Power, entry.Power_L2, entry.Power_L3)
    return sum(number(part) or 0.0 for part in parts)
