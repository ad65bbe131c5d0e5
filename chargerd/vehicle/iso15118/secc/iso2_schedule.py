"""ISO 15118-2 schedules: what the station offers, and whether a vehicle's plan fits.

Owns SAScheduleList, SalesTariff and the check of ChargingProfile. A schedule is a
frame: the loop's limits say what holds at each moment. Must never sign: a contract
wants a tariff signed by its operator, so it is told with external payment only.
Requirement numbers as hupe1980/iso15118 (session/iso2/schedule.rs) quotes them.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chargerd.model import EnergySchedule, SchedulePart, VehiclePlan
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.secc.iso2_values import number as number_of
from chargerd.vehicle.iso15118.secc.iso2_values import physical

DAY_S = 86_400  # the longest duration the schema has; a flat schedule's coverage
LATEST_S = 16_777_214  # the latest start
MAX_ENTRIES = 1_024
MAX_LEVELS = 255
# Ours: a plan that differs less than this from the agreed one is still the same.
SAME_SHARE, SAME_W = 0.05, 200.0


@dataclass(frozen=True, slots=True)
class Step:
    """`power_w` (>= 0) from `start_s` after the plan's NOW to the next step."""

    start_s: int
    power_w: float
    price: float | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, the first at 0, covered to `end_s`. `at_mono` is its NOW."""

    at_mono: float
    steps: tuple[Step, ...]
    end_s: int

    def at(self, mono: float) -> Step | None:
        """The step in force at an instant; None: it says nothing about it."""
        after_s = mono - self.at_mono
        if not 0.0 <= after_s < self.end_s:
            return None
        found = bisect(self.steps, after_s, key=lambda step: step.start_s)
        return self.steps[found - 1]


def plan(
    schedule: EnergySchedule | None, top_w: float, now_mono: float, most: int | None
) -> Plan:
    """The station's schedule from now on; `most`: MaxEntriesSAScheduleTuple.

    None, or one that is over: flat. What the entries cannot hold is left out at the
    end: the vehicle asks again when the coverage ends [V2G2-305].
    """
    if schedule is None or schedule.until_mono - now_mono < 1.0:
        return Plan(now_mono, (Step(0, top_w),), DAY_S)
    count = min(MAX_ENTRIES, most or MAX_ENTRIES)
    steps: list[Step] = []
    end_s = min(LATEST_S, int(schedule.until_mono - now_mono))
    for part in _coming(schedule.parts, now_mono):
        start_s = max(0, int(part.start_mono - now_mono)) if steps else 0
        if start_s >= end_s:
            break
        if len(steps) == count:
            end_s = start_s
            break
        power_w = max(0.0, min(part.charge_w, top_w))
        step = Step(start_s, power_w, part.buy_per_kwh, part.level)
        if steps and start_s == steps[-1].start_s:
            steps.pop()  # the later word of the same second
        steps.append(step)
    if not steps:
        return Plan(now_mono, (Step(0, top_w),), DAY_S)
    return Plan(now_mono, tuple(steps), min(end_s, steps[-1].start_s + DAY_S))


def _coming(parts: Sequence[SchedulePart], now_mono: float) -> Iterator[SchedulePart]:
    """The part in force now, and those after it."""
    for part, following in pairwise(parts):
        if following.start_mono > now_mono:
            yield part
    yield from parts[-1:]


def same(agreed: Plan, now: Plan, top_w: float, *, tariff: bool) -> bool:
    """Whether what was agreed still holds, for as long as both say something.

    `tariff`: the vehicle was told prices, so they count, too.
    """
    slack_w = max(SAME_W, SAME_SHARE * top_w)
    instants = [now.at_mono + step.start_s for step in now.steps]
    instants += [agreed.at_mono + step.start_s for step in agreed.steps]
    for mono in instants:
        if mono < now.at_mono:
            continue
        old, new = agreed.at(mono), now.at(mono)
        if old is None or new is None:
            continue
        if abs(old.power_w - new.power_w) > slack_w:
            return False
        if tariff and (old.price, old.level) != (new.price, new.level):
            return False
    return True


# --- what is told ---------------------------------------------------------------------


def schedule_list(plans: Sequence[Plan], *, tariff: bool) -> m.SAScheduleList:
    """What the vehicle may choose from."""
    return m.SAScheduleList(
        SAScheduleTuple=[
            _tuple(offered, number, tariff=tariff)
            for number, offered in enumerate(plans, 1)
        ]
    )


def _tuple(offered: Plan, schedule_id: int, *, tariff: bool) -> m.SAScheduleTuple:
    entries = [
        m.PMaxScheduleEntry(TimeInterval=interval, PMax=physical(m, power_w, "W"))
        for interval, power_w in zip(
            _intervals(offered), (s.power_w for s in offered.steps), strict=True
        )
    ]
    return m.SAScheduleTuple(
        SAScheduleTupleID=schedule_id,
        PMaxSchedule=m.PMaxSchedule(PMaxScheduleEntry=list(entries)),
        SalesTariff=_tariff(offered, schedule_id) if tariff else None,
    )


def _intervals(offered: Plan) -> list[m.RelativeTimeInterval]:
    """A start ends the interval before it; only the last has a duration [V2G2-329],
    [V2G2-331]."""
    starts = [step.start_s for step in offered.steps]
    durations: list[int | None] = [None] * len(starts)
    durations[-1] = offered.end_s - starts[-1]
    return [
        m.RelativeTimeInterval(start=start, duration=duration)
        for start, duration in zip(starts, durations, strict=True)
    ]


def _tariff(offered: Plan, schedule_id: int) -> m.SalesTariff | None:
    """Price levels: 1 is the cheapest. None when a price is not known."""
    prices = [step.price for step in offered.steps]
    levels = [step.level for step in offered.steps]
    if all(found is not None for found in levels):  # told as ranks, from 0
        ranks = [min(MAX_LEVELS, (found or 0) + 1) for found in levels]
        return _entries(offered, schedule_id, ranks)
    known = sorted({price for price in prices if price is not None})
    if None in prices or not known:
        return None
    count = min(len(known), MAX_LEVELS)
    level = {
        price: 1 + rank * (count - 1) // max(1, len(known) - 1)
        for rank, price in enumerate(known)
    }
    ranks = [level[price] for price in prices if price is not None]
    return _entries(offered, schedule_id, ranks)


def _entries(offered: Plan, schedule_id: int, ranks: Sequence[int]) -> m.SalesTariff:
    return m.SalesTariff(
        SalesTariffID=schedule_id,
        NumEPriceLevels=max(ranks),
        SalesTariffEntry=[
            m.SalesTariffEntry(TimeInterval=interval, EPriceLevel=rank)
            for interval, rank in zip(_intervals(offered), ranks, strict=True)
        ],
    )


# --- what the vehicle answers ---------------------------------------------------------


def fits(offered: Plan, profile: m.ChargingProfile | None) -> bool:
    """Never above PMax while both hold [V2G2-224], [V2G2-225]; where the schedule says
    nothing there is nothing to exceed. Entries must be in order, and in W [V2G2-832].
    """
    if profile is None:
        return True
    entries = profile.ProfileEntry
    starts = [entry.ChargingProfileEntryStart for entry in entries]
    if any(after <= before for before, after in pairwise(starts)):
        return False
    ends: list[int | None] = [*starts[1:], None]  # the last one runs on [V2G2-291]
    return all(
        entry.ChargingProfileEntryMaxPower.Unit == "W"
        and _below(offered, start, end, number_of(entry.ChargingProfileEntryMaxPower))
        for entry, start, end in zip(entries, starts, ends, strict=True)
    )


def told_plan(
    offered: Plan, profile: m.ChargingProfile | None, number: int, option: int
) -> VehiclePlan:
    """The vehicle's plan, which fits; without one it goes by the schedule."""
    if profile is None:
        steps = [(float(step.start_s), step.power_w) for step in offered.steps]
    else:
        steps = [
            (
                float(entry.ChargingProfileEntryStart),
                number_of(entry.ChargingProfileEntryMaxPower),
            )
            for entry in profile.ProfileEntry
        ]
    parts = tuple((offered.at_mono + start_s, power_w) for start_s, power_w in steps)
    until_mono = max(offered.at_mono + offered.end_s, parts[-1][0])
    return VehiclePlan(number, parts, until_mono, profile is not None, option)


def _below(offered: Plan, start_s: int, end_s: int | None, power_w: float) -> bool:
    stops = [*(step.start_s for step in offered.steps[1:]), offered.end_s]
    return all(
        power_w <= number_of(physical(m, step.power_w, "W"))
        for step, stop_s in zip(offered.steps, stops, strict=True)
        if start_s < stop_s and (end_s is None or step.start_s < end_s)
    )
