"""From a solution to plans: blocks instead of trickles, and the corridor around them.

Pure. The corridor says how far dispatch may move power and energy without breaking what
comes later: at each part's end the energy still reaches the target by full power, and
no more is in it than the ceiling allows.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from chargerd.clock import Now
from chargerd.plan import Plan, PlanPart
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.horizon import Horizon

PLAN_MAX_AGE_S = 7_200.0  # an older one is worth less than the rule
BLOCK_MIN_S = 60.0
_SAME_W = 1.0
_KW = 1000.0
_Piece = tuple[float, float, int]  # start_mono, power_kw, step


def plans(
    horizon: Horizon,
    solution: p.Solution,
    knee_w: float,
    currency: str,
    made_mono: float,
) -> tuple[Plan, ...]:
    """One for each pack."""
    found = []
    packs = zip(horizon.problem.packs, solution.traces, horizon.sessions, strict=True)
    for pack, trace, session_id in packs:
        end_mono = horizon.edges_mono[pack.steps]
        plan = Plan(
            evse_id=pack.evse_id,
            parts=_parts(horizon, pack, trace, knee_w / _KW),
            made_mono=made_mono,
            valid_until_mono=min(end_mono, made_mono + PLAN_MAX_AGE_S),
            solver=solution.solver,
            start_wh=pack.energy * _KW,
            cost=solution.cost,
            currency=currency,
            session_id=session_id,
        )
        found.append(plan)
    return tuple(found)


def offers(horizon: Horizon, solution: p.Solution, now: Now) -> list[dict[str, Any]]:
    """Of each reserve in each block, what this plan keeps: for a market, or people."""
    rows = []
    pairs = zip(horizon.problem.reserves, solution.shares, strict=True)
    for reserve, shares in pairs:
        for (first, end), share in zip(reserve.blocks, shares, strict=True):
            rows.append(
                {
                    "name": reserve.name,
                    "sold": reserve.per_kw_h is None,
                    "from_utc": _utc(now, horizon.edges_mono[first]),
                    "until_utc": _utc(now, horizon.edges_mono[end]),
                    "up_w": round(reserve.up_kw * share * _KW, 1),
                    "down_w": round(reserve.down_kw * share * _KW, 1),
                }
            )
    return rows


def _utc(now: Now, mono: float) -> str:
    return now.utc_at(mono).isoformat(timespec="seconds")


def _parts(
    horizon: Horizon, pack: p.Pack, trace: p.Trace, knee_kw: float
) -> tuple[PlanPart, ...]:
    lowest = p.lowest(horizon.problem, pack)
    highest = min(pack.capacity, max(pack.ceiling, pack.energy))
    hold_h = p.longest_hold_h(horizon.problem)
    if pack.idle_kw > 0.0:  # the solver knows what a small power costs
        knee_kw = 0.0
    pieces = _blocks(horizon, pack, trace, knee_kw)
    parts: list[PlanPart] = []
    level = pack.energy
    for index, (start_mono, kw, step) in enumerate(pieces):
        last = index + 1 == len(pieces)
        end_mono = horizon.edges_mono[pack.steps] if last else pieces[index + 1][0]
        hours = (end_mono - start_mono) / 3600.0
        level += p.gain_kw(pack, kw) * hours
        level = min(max(0.0, level), pack.capacity)
        priced = horizon.problem.steps[step]
        up_kw, down_kw = trace.up_kw[step], trace.down_kw[step]
        parts.append(
            PlanPart(
                start_mono=start_mono,
                wish_w=kw * _KW,
                low_w=min(0.0, up_kw - pack.give_kw) * _KW,
                high_w=max(0.0, pack.charge_kw - down_kw) * _KW,
                low_wh=(lowest[step] + up_kw * hold_h / pack.efficiency) * _KW,
                high_wh=(highest - down_kw * hold_h * pack.efficiency) * _KW,
                end_wh=level * _KW,
                up_w=up_kw * _KW,
                down_w=down_kw * _KW,
                note=f"{priced.buy:.4g} in, {priced.sell:.4g} out",
            )
        )
    return tuple(parts)


def _blocks(
    horizon: Horizon, pack: p.Pack, trace: p.Trace, knee_kw: float
) -> list[_Piece]:
    """Neighbours with the same power and prices are one piece; a trickle below the knee
    becomes one block at it, as early as its run of steps begins."""
    steps, edges = horizon.problem.steps, horizon.edges_mono
    pieces: list[_Piece] = []

    def alike(index: int) -> tuple[float, ...]:
        kw = trace.power_kw[index]
        small = 0.0 < abs(kw) < knee_kw and _may_pulse(steps[index], kw, knee_kw)
        shown = (1.0 if kw > 0.0 else -1.0) * 1e6 if small else kw
        free = round(trace.up_kw[index], 3), round(trace.down_kw[index], 3)
        watts = round(shown * _KW / _SAME_W)
        return watts, steps[index].buy, steps[index].sell, *free

    for _, run in groupby(range(pack.steps), alike):
        indices = list(run)
        first, kw = indices[0], trace.power_kw[indices[0]]
        if 0.0 < abs(kw) < knee_kw and _may_pulse(steps[first], kw, knee_kw):
            energy = sum(abs(trace.power_kw[i]) * steps[i].hours for i in indices)
            length_s = energy / knee_kw * 3600.0
            if length_s >= BLOCK_MIN_S:
                sign = 1.0 if kw > 0.0 else -1.0
                pieces.append((edges[first], sign * knee_kw, first))
                after_mono = edges[first] + length_s
                if edges[indices[-1] + 1] - after_mono > 1.0:
                    step = next(i for i in indices if edges[i + 1] > after_mono)
                    pieces.append((after_mono, 0.0, step))
                continue
            kw = 0.0
        pieces.append((edges[first], kw, indices[-1]))
    return pieces


def _may_pulse(step: p.Step, power_kw: float, knee_kw: float) -> bool:
    """Only where the bigger power is bought, or sold, at the same price."""
    if power_kw > 0.0:
        return step.house_kw >= 0.0
    return step.house_kw <= 0.0 or step.house_kw >= knee_kw
