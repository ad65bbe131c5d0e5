"""The plan a vehicle was told: spans of power and price from one moment on.

Owns how the station's schedule becomes spans, whether a vehicle's power profile fits
into them, and when a plan no longer says what the station would say now. Powers here:
charge >= 0, discharge <= 0. Pure values; no message is built here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from chargerd.model import EnergySchedule, SchedulePart
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.station import Station

DAY_S = 86_400
TOLERANCE_W = 1.0  # rounding of short integers
TOLERANCE_SHARE = 0.001
MOVED_SHARE = 0.1  # of the rating: less is not worth a new schedule
MOVED_S = 1.0  # two plans that differ by less in time are the same


@dataclass(frozen=True, slots=True)
class Span:
    """What may flow and what it costs for `duration_s`."""

    duration_s: int
    charge_w: float
    discharge_w: float
    buy_per_kwh: float | None = None
    sell_per_kwh: float | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Told at `start_mono` (`anchor_s` in UTC), made from `source`."""

    start_mono: float
    anchor_s: int
    spans: tuple[Span, ...]
    source: EnergySchedule | None = None
    option: int = 0  # of the station's schedules; its tuple's id is one more

    @property
    def end_mono(self) -> float:
        """Beyond it nothing was told."""
        return self.start_mono + sum(span.duration_s for span in self.spans)

    def at(self, now_mono: float) -> Span:
        """What was told for this moment; the last span stays beyond its end."""
        left_s = now_mono - self.start_mono
        for span in self.spans:
            if left_s < span.duration_s:
                return span
            left_s -= span.duration_s
        return self.spans[-1]


def frame(choice: Choice, now: Station) -> tuple[float, float]:
    """Bounds of this moment, W: (charge >= 0, discharge <= 0).

    With neither open yet, the ratings: a plan is made before power can flow.
    """
    if choice.direct:
        charge_w, discharge_w = now.charge_w, now.discharge_w
    else:
        charge_w, discharge_w = now.ac_charge_w, now.ac_discharge_w
    if charge_w == 0.0 and discharge_w == 0.0:
        ratings = now.setup.ratings
        charge_w, discharge_w = ratings.charge_max_w, -ratings.discharge_max_w
    return charge_w, discharge_w if choice.bidirectional else 0.0


def options(
    choice: Choice, now: Station, *, points: int, duration_s: int
) -> list[Plan]:
    """A plan for each schedule that the vehicle may choose from, three at most."""
    told = now.offer.schedule
    count = 1 + min(2, len(told.others) if told is not None else 0)
    return [
        make(choice, now, points=points, duration_s=duration_s, option=number)
        for number in range(1 if choice.dynamic else count)
    ]


def make(
    choice: Choice,
    now: Station,
    *,
    points: int,
    duration_s: int,
    option: int = 0,
    chosen: bool = False,
) -> Plan:
    """At most `points` spans over at most `duration_s`, from now on.

    The present span is inside the live bounds, later ones as the station's schedule
    has them; without one the live bounds hold all along. The live bounds of another
    schedule than the first are known once it is `chosen`.
    """
    charge_w, discharge_w = frame(choice, now)
    source = now.offer.schedule
    if source is not None:
        source = source.option(option)
    spans: list[Span] = []
    left_s = max(1, duration_s)
    for span in _spans(source, choice, now, left_s):
        if len(spans) == points or left_s == 0:
            break
        if not spans and (chosen or not option):
            span = replace(
                span,
                charge_w=min(span.charge_w, charge_w),
                discharge_w=max(span.discharge_w, discharge_w),
            )
        spans.append(_cut(span, left_s))
        left_s -= spans[-1].duration_s
    if not spans:
        spans.append(Span(left_s, charge_w, discharge_w))
    anchor_s = now.setup.utc_s(now.now_mono)
    return Plan(now.now_mono, anchor_s, tuple(spans), source, option)


def _cut(span: Span, most_s: int) -> Span:
    return replace(span, duration_s=min(most_s, span.duration_s))


def _spans(
    schedule: EnergySchedule | None, choice: Choice, now: Station, duration_s: int
) -> Iterator[Span]:
    """The schedule's parts from now on; gaps have the bounds of this moment."""
    charge_w, discharge_w = frame(choice, now)
    ratings, done_s = now.setup.ratings, 0
    for part, end_mono in _parts(schedule):
        begin_s = max(done_s, round(part.start_mono - now.now_mono))
        end_s = round(end_mono - now.now_mono)
        if begin_s > done_s:
            yield Span(min(begin_s, duration_s) - done_s, charge_w, discharge_w)
        if end_s > begin_s:
            yield Span(
                end_s - begin_s,
                max(0.0, min(part.charge_w, ratings.charge_max_w)),
                min(0.0, max(part.discharge_w, -ratings.discharge_max_w))
                if choice.bidirectional
                else 0.0,
                part.buy_per_kwh,
                part.sell_per_kwh,
                part.level,
            )
        done_s = max(done_s, end_s, begin_s)
        if done_s >= duration_s:
            return


def _parts(schedule: EnergySchedule | None) -> Iterator[tuple[SchedulePart, float]]:
    """Each part and its end."""
    parts = schedule.parts if schedule is not None else ()
    for number, part in enumerate(parts):
        if schedule is not None:
            last = number + 1 == len(parts)
            yield part, schedule.until_mono if last else parts[number + 1].start_mono


# --- what the vehicle plans -----------------------------------------------------------


def fits(plan: Plan, anchor_s: int, profile: Sequence[tuple[int, float]]) -> bool:
    """Whether (duration s, W) after (duration s, W) stays inside the plan.

    A profile whose anchor is outside the plan's time is read as beginning with it
    (recorded vehicles send 0). Beyond the plan's end nothing was promised.
    """
    ends_s = list(accumulate(span.duration_s for span in plan.spans))
    begin_s = anchor_s - plan.anchor_s
    if not 0 <= begin_s < ends_s[-1]:
        begin_s = 0
    for duration_s, power_w in profile:
        first = bisect_right(ends_s, begin_s)
        begin_s += duration_s
        last = bisect_left(ends_s, begin_s)
        during = plan.spans[first : last + 1] if duration_s else ()
        if not all(_inside(power_w, span) for span in during):
            return False
    return True


def _inside(power_w: float, span: Span) -> bool:
    slack = 1.0 + TOLERANCE_SHARE
    low_w = span.discharge_w * slack - TOLERANCE_W
    return low_w <= power_w <= span.charge_w * slack + TOLERANCE_W


# --- when a plan is out of date -------------------------------------------------------


def moved(plan: Plan, choice: Choice, now: Station) -> bool:
    """Whether the station would say something else now, by more than a little."""
    now_mono, end_mono = now.now_mono, plan.end_mono
    offered = now.offer.schedule
    if offered is not None:
        offered = offered.option(plan.option)
    if now_mono >= end_mono or not _same(plan.source, offered, now_mono, end_mono):
        return True
    told = plan.at(now_mono)
    again = make(choice, now, points=1, duration_s=1, option=plan.option, chosen=True)
    fresh = again.spans[0]
    ratings = now.setup.ratings
    return (
        abs(told.charge_w - fresh.charge_w) > MOVED_SHARE * ratings.charge_max_w
        or abs(told.discharge_w - fresh.discharge_w)
        > MOVED_SHARE * ratings.discharge_max_w
    )


def _same(
    told: EnergySchedule | None,
    fresh: EnergySchedule | None,
    now_mono: float,
    end_mono: float,
) -> bool:
    """Whether two schedules say the same about the time that the vehicle was told of.

    A schedule that only looks further ahead than the last one is the same.
    """
    if told is fresh:
        return True
    if told is None or fresh is None or told.currency != fresh.currency:
        return False
    end_mono = min(end_mono, told.until_mono, fresh.until_mono)
    old, new = _alive(told, now_mono, end_mono), _alive(fresh, now_mono, end_mono)
    return len(old) == len(new) and all(
        abs(start - begin) <= MOVED_S and part == other
        for (start, part), (begin, other) in zip(old, new, strict=True)
    )


def _alive(
    schedule: EnergySchedule, now_mono: float, end_mono: float
) -> list[tuple[float, tuple[float | None, ...]]]:
    return [
        (
            max(part.start_mono, now_mono),
            (
                part.charge_w,
                part.discharge_w,
                part.buy_per_kwh,
                part.sell_per_kwh,
                part.level,
            ),
        )
        for part, until_mono in _parts(schedule)
        if until_mono > now_mono + MOVED_S and part.start_mono < end_mono - MOVED_S
    ]
