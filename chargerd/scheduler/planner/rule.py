"""The plan without a solver: each pack takes the cheapest steps it needs, no discharge.

Pure Python. Packs that leave first choose first; what the connection still has is left
to the next. It is what there is when the solver is not installed, late or broken.
"""

from __future__ import annotations

from chargerd.scheduler.planner import problem as p


def solve(problem: p.Problem) -> p.Solution:
    """Never fails: what cannot be reached is filled as far as it goes."""
    room = [problem.import_kw - step.house_kw for step in problem.steps]
    traces: dict[int, p.Trace] = {}
    for pack in sorted(problem.packs, key=lambda pack: pack.steps):
        power = _fill(pack, problem.steps[: pack.steps], room)
        for index, kw in enumerate(power):
            room[index] -= kw
        traces[pack.evse_id] = p.roll(pack, problem.steps[: pack.steps], power)
    found = tuple(traces[pack.evse_id] for pack in problem.packs)
    return p.Solution("rule", found, p.cost(problem, found))


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
