"""What a planner is asked and what it answers, as values and as JSON.

Pure. kW, kWh, hours and the tariff's currency throughout: no weights without a unit.
Positive power = into the vehicle, at the AC terminals; energy counts in the battery.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

STEPS_MAX = 2_000  # the finest ladder, and 512 parts of prices in two days
PACKS_MAX = 64


class PlannerError(Exception):
    """A question or an answer that cannot be used; the text says what and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of the horizon. `house_kw` is the load beside the packs, signed."""

    hours: float
    buy: float
    sell: float
    house_kw: float = 0.0


@dataclass(frozen=True, slots=True)
class Reserve:
    """A service: power that all packs together keep free, and the energy to hold it.

    Magnitudes; both sides are one product, kept in the same share. `blocks` are ranges
    of steps, first and end. `per_kw_h` is what an hour of 1 kW earns: it is offered
    where that pays, as much in each step of a block. None = sold: it must be kept.
    """

    name: str
    up_kw: float
    down_kw: float
    hold_h: float
    blocks: tuple[tuple[int, int], ...]
    per_kw_h: float | None = None


@dataclass(frozen=True, slots=True)
class Pack:
    """One battery on one EVSE. It is there for the first `steps` steps."""

    evse_id: int
    steps: int
    energy: float
    capacity: float
    target: float  # wanted at the end of the last step it is there
    floor: float
    ceiling: float
    charge_kw: float
    discharge_kw: float  # magnitude
    give_kw: float  # magnitude: what it could discharge for a reserve
    efficiency: float  # one way, at full power
    knee: float  # energy above which charging tapers
    idle_kw: float = 0.0  # what the stage takes of the battery's side while power flows
    rate: float = 1.0  # share of its power that can be counted on, for the promise
    left: float = 0.0  # what a kWh in it is worth when it goes
    wear: float = 0.0  # per kWh taken out
    calendar: float = 0.0  # per kWh above `calendar_from`, and hour
    calendar_from: float = 0.0
    hazard_per_h: float = 0.0  # of leaving early
    shortfall: float = 0.0  # per kWh that the driver then misses


@dataclass(frozen=True, slots=True)
class Problem:
    """`demand_per_kw` is charged on what the highest import exceeds `peak_kw` by.
    `start_s` is when the first step begins, on any clock that goes on between two
    questions: it tells which steps are those of the last one."""

    steps: tuple[Step, ...]
    packs: tuple[Pack, ...]
    import_kw: float
    export_kw: float  # magnitude
    demand_per_kw: float = 0.0
    peak_kw: float = 0.0
    start_s: float = 0.0
    reserves: tuple[Reserve, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """One pack's power in each step, its energy at each step's end, and what it keeps
    free for reserves."""

    evse_id: int
    power_kw: tuple[float, ...]
    energy_kwh: tuple[float, ...]
    up_kw: tuple[float, ...]
    down_kw: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """`shares`: of each reserve in each of its blocks, what is kept (0 to 1)."""

    solver: str
    traces: tuple[Trace, ...]
    cost: float
    cpu_s: float = 0.0
    shares: tuple[tuple[float, ...], ...] = ()
    iterations: int = 0


def slopes(pack: Pack) -> tuple[float, float]:
    """kW in the battery per kW at the AC terminals, in and out, beside the fixed loss;
    with it they are as efficient at full power as the pack says."""
    into, out = pack.efficiency, 1.0 / pack.efficiency
    if pack.idle_kw > 0.0:
        into += pack.idle_kw / max(pack.charge_kw, pack.idle_kw)
        out -= pack.idle_kw / max(pack.give_kw, pack.idle_kw)
    return into, out


def gain_kw(pack: Pack, power_kw: float) -> float:
    """What a power at the AC terminals moves in the battery."""
    into, out = slopes(pack)
    if power_kw == 0.0:
        return 0.0
    return power_kw * (into if power_kw > 0.0 else out) - pack.idle_kw


def roll(
    pack: Pack,
    steps: tuple[Step, ...],
    power_kw: list[float],
    up_kw: tuple[float, ...] = (),
    down_kw: tuple[float, ...] = (),
) -> Trace:
    """The energy that follows from powers."""
    level, levels = pack.energy, []
    for step, power in zip(steps, power_kw, strict=False):
        gain = gain_kw(pack, power)
        level = min(max(0.0, level + gain * step.hours), pack.capacity)
        levels.append(level)
    none = (0.0,) * len(levels)
    powers = tuple(power_kw)
    return Trace(pack.evse_id, powers, tuple(levels), up_kw or none, down_kw or none)


def asked(problem: Problem) -> list[list[int]]:
    """The reserves that are asked for in each step, by number."""
    found: list[list[int]] = [[] for _ in problem.steps]
    for number, reserve in enumerate(problem.reserves):
        for first, end in reserve.blocks:
            for index in range(first, end):
                found[index].append(number)
    return found


def per_up(problem: Problem, pack: Pack, number: int) -> float:
    """Energy in the battery that 1 kW of a reserve takes out while it is held."""
    return problem.reserves[number].hold_h / pack.efficiency


def per_down(problem: Problem, pack: Pack, number: int) -> float:
    return problem.reserves[number].hold_h * pack.efficiency


def longest_hold_h(problem: Problem) -> float:
    """Reserves that are kept together count as the one held longest: the safe side."""
    return max((reserve.hold_h for reserve in problem.reserves), default=0.0)


def earned(problem: Problem, shares: tuple[tuple[float, ...], ...]) -> float:
    """What the offered reserves bring."""
    total = 0.0
    for reserve, kept in zip(problem.reserves, shares, strict=True):
        size = (reserve.per_kw_h or 0.0) * max(reserve.up_kw, reserve.down_kw)
        for (first, end), share in zip(reserve.blocks, kept, strict=True):
            hours = sum(step.hours for step in problem.steps[first:end])
            total += size * hours * share
    return total


def lowest(problem: Problem, pack: Pack) -> list[float]:
    """The least energy at each step's end from which the promise lets it wait: what
    power can be counted on then still reaches the target."""
    floor = min(pack.floor, pack.energy)
    need = max(floor, min(pack.target, pack.capacity))
    levels = []
    for step in reversed(problem.steps[: pack.steps]):
        levels.append(need)
        span = max(pack.capacity - pack.knee, 1e-9)
        tapered = pack.charge_kw * min(1.0, max(0.0, pack.capacity - need) / span)
        need = max(floor, need - tapered * pack.efficiency * pack.rate * step.hours)
    return levels[::-1]


def cost(problem: Problem, traces: tuple[Trace, ...]) -> float:
    """Money that the traces cost: energy, wear, ageing and peak, less what is left in
    the batteries. Penalties for what is missed are not money and not in it."""
    total, peak = 0.0, problem.peak_kw
    for index, step in enumerate(problem.steps):
        powers = (t.power_kw[index] for t in traces if index < len(t.power_kw))
        grid = step.house_kw + sum(powers)
        total += step.hours * (step.buy * max(0.0, grid) + step.sell * min(0.0, grid))
        peak = max(peak, grid)
    total += problem.demand_per_kw * (peak - problem.peak_kw)
    for pack, trace in zip(problem.packs, traces, strict=True):
        moves = zip(problem.steps, trace.power_kw, trace.energy_kwh, strict=False)
        for step, power, level in moves:
            total += step.hours * pack.wear * max(0.0, -power)
            total += step.hours * pack.calendar * max(0.0, level - pack.calendar_from)
        left = trace.energy_kwh[-1] if trace.energy_kwh else pack.energy
        total -= pack.left * left
    return total


def pack_problem(problem: Problem) -> dict[str, Any]:
    return asdict(problem)


def read_problem(value: Any) -> Problem:
    """The question from JSON; PlannerError says what is wrong with it."""
    try:
        packs = tuple(Pack(**item) for item in value["packs"])
        steps = tuple(Step(**item) for item in value["steps"])
        reserves = tuple(_read_reserve(item) for item in value["reserves"])
        parts = {"packs": packs, "steps": steps, "reserves": reserves}
        problem = Problem(**{**value, **parts})
    except (TypeError, KeyError, AttributeError) as error:
        raise PlannerError(f"question: {error}") from error
    if not 0 < len(steps) <= STEPS_MAX or len(packs) > PACKS_MAX:
        raise PlannerError(f"question: {len(steps)} steps, {len(packs)} packs")
    return problem


def _read_reserve(item: dict[str, Any]) -> Reserve:
    blocks = tuple((first, end) for first, end in item["blocks"])
    return Reserve(**{**item, "blocks": blocks})


def pack_solution(solution: Solution) -> dict[str, Any]:
    return asdict(solution)


def read_solution(value: Any, problem: Problem) -> Solution:
    """The answer from JSON, checked against its question: the child may be broken."""
    try:
        if "error" in value:
            raise PlannerError(f"the solver says: {str(value['error'])[:200]}")
        traces = tuple(_read_trace(item) for item in value["traces"])
        solver, total = str(value["solver"]), float(value["cost"])
        cpu_s, iterations = float(value["cpu_s"]), int(value["iterations"])
        shares = tuple(tuple(map(float, row)) for row in value["shares"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise PlannerError(f"answer: {error}") from error
    if [t.evse_id for t in traces] != [p.evse_id for p in problem.packs]:
        raise PlannerError("answer: other EVSEs than were asked for")
    for pack, trace in zip(problem.packs, traces, strict=True):
        rows = (trace.power_kw, trace.energy_kwh, trace.up_kw, trace.down_kw)
        sizes = {len(row) for row in rows}
        if sizes != {pack.steps}:
            raise PlannerError(f"answer: {sizes} steps, asked for {pack.steps}")
        if not all(math.isfinite(number) for row in rows for number in row):
            raise PlannerError("answer: a number is not finite")
    numbers = [total, *(share for row in shares for share in row)]
    wanted = [len(reserve.blocks) for reserve in problem.reserves]
    if [len(row) for row in shares] != wanted or not all(map(math.isfinite, numbers)):
        raise PlannerError("answer: shares of other reserves, or a number not finite")
    return Solution(solver, traces, total, cpu_s, shares, iterations)


def _read_trace(item: dict[str, Any]) -> Trace:
    names = ("power_kw", "energy_kwh", "up_kw", "down_kw")
    return Trace(int(item["evse_id"]), *(tuple(map(float, item[n])) for n in names))
