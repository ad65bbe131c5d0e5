"""The plan without a solver: each pack takes the cheapest steps it needs, no discharge.

Pure Python. Packs that leave first choose first; what the connection still has is left
to the next. A reserve that is sold is kept as far as it goes; none is offered. It is
what there is when the solver is not installed, late or broken.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.scheduler.planner import problem as p


def solve(problem: p.Problem) -> p.Solution:
    """Never fails: what cannot be reached is filled as far as it goes."""
    room = [problem.import_kw - step.house_kw for step in problem.steps]
    traces: dict[int, p.Trace] = {}
    asked_up, asked_down = _sold(problem)
    for pack in sorted(problem.packs, key=lambda pack: pack.steps):
        steps = problem.steps[: pack.steps]
        share = pack.charge_kw / (sum(one.charge_kw for one in problem.packs) or 1.0)
        most = [pack.charge_kw - share * kw for kw in asked_down]
        power = _fill(pack, steps, [min(pair) for pair in zip(room, most, strict=True)])
        for index, kw in enumerate(power):
            room[index] -= kw
        trace = p.roll(pack, steps, power)
        traces[pack.evse_id] = _keep(problem, pack, trace, asked_up, asked_down)
    found = tuple(traces[pack.evse_id] for pack in problem.packs)
    total = p.cost(problem, found)
    return p.Solution("rule", found, total, shares=_shares(problem, found))


def _sold(problem: p.Problem) -> tuple[list[float], list[float]]:
    """What has to be kept free in each step, (up, down)."""
    sold = [r if r.per_kw_h is None else None for r in problem.reserves]
    rows = [[r for n in asked if (r := sold[n])] for asked in p.asked(problem)]
    up = [sum(r.up_kw for r in row) for row in rows]
    return up, [sum(r.down_kw for r in row) for row in rows]


def _keep(
    problem: p.Problem,
    pack: p.Pack,
    trace: p.Trace,
    asked_up: list[float],
    asked_down: list[float],
) -> p.Trace:
    """What this pack has room for, in power and energy; the next keeps the rest."""
    line = p.lowest(problem, pack)
    top = min(pack.capacity, max(pack.ceiling, pack.energy))
    hold_h = p.longest_hold_h(problem)
    ups, downs = [], []
    for index, (kw, level) in enumerate(
        zip(trace.power_kw, trace.energy_kwh, strict=True)
    ):
        up, down = kw + pack.give_kw, pack.charge_kw - kw
        if hold_h > 0.0:
            up = min(up, (level - line[index]) * pack.efficiency / hold_h)
            down = min(down, (top - level) / (hold_h * pack.efficiency))
        ups.append(max(0.0, min(up, asked_up[index])))
        downs.append(max(0.0, min(down, asked_down[index])))
        asked_up[index] -= ups[-1]
        asked_down[index] -= downs[-1]
    return replace(trace, up_kw=tuple(ups), down_kw=tuple(downs))


def _shares(
    problem: p.Problem, traces: tuple[p.Trace, ...]
) -> tuple[tuple[float, ...], ...]:
    """Of each sold reserve, what is kept in each block; nothing is offered."""
    asked_up, asked_down = _sold(problem)
    kept = []
    for index, (up, down) in enumerate(zip(asked_up, asked_down, strict=True)):
        here = [trace for trace in traces if index < len(trace.power_kw)]
        parts = [1.0]
        if up > 0.0:
            parts.append(sum(trace.up_kw[index] for trace in here) / up)
        if down > 0.0:
            parts.append(sum(trace.down_kw[index] for trace in here) / down)
        kept.append(min(parts))
    return tuple(
        tuple(
            min(kept[first:end]) if reserve.per_kw_h is None else 0.0
            for first, end in reserve.blocks
        )
        for reserve in problem.reserves
    )


def _fill(pack: p.Pack, steps: tuple[p.Step, ...], room: list[float]) -> list[float]:
    """Cheapest first, the earlier of two equal ones; a taper only takes longer."""
    power = [0.0] * len(steps)
    missing = max(pack.target, pack.floor) - pack.energy
    if missing > 0.0 and pack.target > pack.knee:  # above the knee half the power
        missing += pack.target - max(pack.knee, pack.energy)
    for index in sorted(range(len(steps)), key=lambda i: (steps[i].buy, i)):
        if missing <= 1e-9:
            break
        most = min(pack.charge_kw, max(0.0, room[index]))
        hours = steps[index].hours
        power[index] = min(most, missing / (pack.efficiency * hours))
        missing -= power[index] * pack.efficiency * hours
    return power
