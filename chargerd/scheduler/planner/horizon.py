"""From outlook and prices to a problem: the steps of the horizon, and who is there.

Pure. A step never crosses a change of price. Steps lie on the clock, so that those of
the next question are those of the last one. Prices that nobody knows yet are taken from
the day before, else from the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from chargerd.config_plan import SitePlan
from chargerd.plan import PricePart, PriceSeries
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.outlook import Outlook, SiteOutlook
from chargerd.scheduler.planner.reserve import Window
from chargerd.scheduler.promise import MARGIN_SHARE

DAY_S = 86_400.0
HORIZON_S = 2 * DAY_S
NEAR_S = 1_800.0  # a departure so near is always a step's end
LEAST_STEP_S = 30.0
Ladder = tuple[tuple[float, float], ...]  # until so far ahead, steps of so many s
# Many packs get coarser steps: the solver's work grows faster than their number.
LADDERS: tuple[Ladder, ...] = (
    ((1_800.0, 60.0), (DAY_S, 300.0), (HORIZON_S, 900.0)),
    ((1_800.0, 300.0), (DAY_S, 900.0), (HORIZON_S, 1_800.0)),
    ((3_600.0, 900.0), (HORIZON_S, 1_800.0)),
)
CELLS_MAX = 4_000  # steps of all packs together
_SAME_S = 1.0
_KW = 1000.0


@dataclass(frozen=True, slots=True)
class Horizon:
    """A problem and the time its steps begin; one more for the end of the last."""

    problem: p.Problem
    edges_mono: tuple[float, ...]
    sessions: tuple[str, ...]  # of the packs


def make(
    site: SiteOutlook,
    prices: PriceSeries,
    settings: SitePlan,
    now_mono: float,
    reserves: tuple[Window, ...] = (),
    house_w: Callable[[float], float] | None = None,
) -> Horizon | None:
    """None when no EVSE has a departure to plan for. `house_w`: at a time to come."""
    leaving = {
        evse.evse_id: left
        for evse in site.evses
        if (left := _leaves(evse, prices)) > now_mono + _SAME_S
    }
    if not leaving:
        return None
    there = [evse for evse in site.evses if evse.evse_id in leaving]
    sold = [at for row in reserves for block in row.blocks_mono for at in block]
    edges = _edges(list(leaving.values()), prices, sold, now_mono)
    load_w = house_w or (lambda mono: site.house_w)
    steps = tuple(
        _step(prices, settings, load_w((start + end) / 2.0), start, end)
        for start, end in pairwise(edges)
    )
    cheapest = settings.left_per_kwh
    if cheapest is None:
        cheapest = _cheapest(prices, now_mono)
    packs = tuple(
        _pack(evse, leaving[evse.evse_id], edges, settings, cheapest) for evse in there
    )
    problem = p.Problem(
        steps,
        packs,
        site.import_w / _KW,
        site.export_w / _KW,
        settings.demand_per_kw,
        settings.demand_free_w / _KW,
        now_mono,
        tuple(_reserve(row, edges) for row in reserves),
    )
    return Horizon(problem, edges, tuple(evse.session_id for evse in there))


def _leaves(evse: Outlook, prices: PriceSeries) -> float:
    """When it goes; a pack that stays, and a source, are planned for as far as prices
    are known. Nobody plans for a driver who said nothing."""
    if evse.promise is not None:
        return evse.promise.departure_mono
    known = evse.profile.stationary or evse.profile.source
    return prices.until_mono if known else -math.inf


def _edges(
    leaves: list[float], prices: PriceSeries, sold: list[float], now_mono: float
) -> tuple[float, ...]:
    """By the finest ladder whose steps a solver can take. On the coarser ones a
    departure is no cut: a pack goes at the last edge before it."""
    end_mono = min(max(leaves), now_mono + HORIZON_S)
    changes = [part.start_mono for part in prices.parts]
    changes += [part.start_mono + DAY_S for part in prices.parts]
    changes += [prices.until_mono, *sold]
    edges: tuple[float, ...] = ()
    for ladder in LADDERS:
        within_s = NEAR_S if edges else HORIZON_S
        cuts = changes + [at for at in leaves if at - now_mono <= within_s]
        edges = grid(now_mono, end_mono, cuts, ladder, prices.parts[-1].start_mono)
        if sum(_steps_until(edges, at) for at in leaves) <= CELLS_MAX:
            break
    return edges


def _steps_until(edges: tuple[float, ...], mono: float) -> int:
    return max(1, sum(1 for edge in edges[1:] if edge <= mono + _SAME_S))


def grid(
    now_mono: float,
    end_mono: float,
    cuts: list[float],
    ladder: Ladder = LADDERS[0],
    zero_mono: float = 0.0,
) -> tuple[float, ...]:
    """Edges as the ladder says, counted from `zero_mono`, and cut where something
    changes."""
    edges = [now_mono]
    at = now_mono
    while at < end_mono - _SAME_S:
        step = next(s for ahead, s in ladder if at - now_mono < ahead - _SAME_S)
        after = zero_mono + math.floor((at - zero_mono) / step + 1.0) * step
        at = after if after - at >= LEAST_STEP_S else after + step
        edges.append(min(at, end_mono))
    edges += [cut for cut in cuts if now_mono < cut < end_mono]
    kept: list[float] = []
    for edge in sorted(edges):
        if not kept or edge - kept[-1] >= _SAME_S:
            kept.append(edge)
    return tuple(kept)


def _step(
    prices: PriceSeries,
    settings: SitePlan,
    house_w: float,
    start_mono: float,
    end_mono: float,
) -> p.Step:
    part = price_at(prices, start_mono)
    co2 = settings.co2_per_kg * (part.co2_g_per_kwh or 0.0) / 1000.0
    sell = part.sell_per_kwh or 0.0
    hours = (end_mono - start_mono) / 3600.0
    return p.Step(hours, part.buy_per_kwh + co2, sell + co2, house_w / _KW)


def price_at(prices: PriceSeries, mono: float) -> PricePart:
    """The price then; beyond the series that of the day before, or the mean."""
    for at in (mono, mono - DAY_S):
        if prices.parts[0].start_mono <= at < prices.until_mono:
            return [part for part in prices.parts if part.start_mono <= at][-1]
    ends = [*(part.start_mono for part in prices.parts[1:]), prices.until_mono]
    parts = list(zip(prices.parts, ends, strict=True))
    whole = sum(end - part.start_mono for part, end in parts)

    def mean(value: Callable[[PricePart], float | None]) -> float:
        rows = ((value(part) or 0.0, end - part.start_mono) for part, end in parts)
        return sum(price * length for price, length in rows) / whole

    return PricePart(
        mono,
        mean(lambda part: part.buy_per_kwh),
        mean(lambda part: part.sell_per_kwh),
        mean(lambda part: part.co2_g_per_kwh),
    )


def _reserve(row: Window, edges: tuple[float, ...]) -> p.Reserve:
    """Its blocks as steps; what is beyond the horizon is left for later."""
    spans = []
    for start, end in row.blocks_mono:
        inside = [
            index
            for index, edge in enumerate(edges[:-1])
            if start - _SAME_S <= edge < end - _SAME_S
        ]
        if inside:
            spans.append((inside[0], inside[-1] + 1))
    hold_h = row.hold_s / 3600.0
    up, down = row.up_w / _KW, row.down_w / _KW
    return p.Reserve(row.name, up, down, hold_h, tuple(spans), row.per_kw_h)


def _cheapest(prices: PriceSeries, now_mono: float) -> float:
    """What it takes to buy a kWh back within a day."""
    day = [now_mono + hour * 3600.0 for hour in range(24)]
    starts = [part.start_mono for part in prices.parts]
    times = day + [at for at in starts if now_mono <= at < now_mono + DAY_S]
    return max(0.0, min(price_at(prices, at).buy_per_kwh for at in times))


def _pack(
    evse: Outlook,
    leaves_mono: float,
    edges: tuple[float, ...],
    settings: SitePlan,
    left_per_kwh: float,
) -> p.Pack:
    """Energy in a pack that stays has to be there again at the end; a source owes its
    floor alone, and what it gives costs what its profile says (its fuel)."""
    capacity, battery = evse.capacity_wh / _KW, evse.profile
    top = capacity * battery.high_pct / 100.0
    target = evse.energy_wh / _KW
    if evse.promise is not None:
        target = capacity * evse.promise.target_soc_pct / 100.0
    if battery.source:
        target, left_per_kwh = evse.floor_wh / _KW, 0.0
    wear = _first(battery.wear_per_kwh, settings.wear_per_kwh)
    full_pct = _first(battery.calendar_above_pct, settings.calendar_above_pct)
    return p.Pack(
        evse_id=evse.evse_id,
        steps=_steps_until(edges, leaves_mono),
        energy=evse.energy_wh / _KW,
        capacity=capacity,
        target=min(target, top),
        floor=evse.floor_wh / _KW,
        ceiling=top,
        charge_kw=evse.charge_w / _KW,
        discharge_kw=0.0 if wear is None else -evse.discharge_w / _KW,
        give_kw=-evse.discharge_w / _KW,
        efficiency=evse.efficiency,
        idle_kw=settings.idle_loss_w / _KW,
        knee=battery.knee_pct / 100.0 * capacity,
        rate=evse.rate / (1.0 + MARGIN_SHARE),  # as the must-charge line counts
        left=left_per_kwh / evse.efficiency,
        wear=wear or 0.0,
        calendar=_first(battery.calendar_per_kwh_h, settings.calendar_per_kwh_h) or 0.0,
        calendar_from=capacity * (full_pct or 0.0) / 100.0,
        hazard_per_h=settings.leave_early_per_h,
        shortfall=settings.shortfall_per_kwh,
    )


def _first(own: float | None, other: float | None) -> float | None:
    return other if own is None else own
