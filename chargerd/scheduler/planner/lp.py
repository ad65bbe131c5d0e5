"""The plan as a linear programme: columns, rows and what they cost.

Pure. Owns the formulation; solver.py solves it. Never infeasible: what could be missed
has a price, in the strict order departure > least energy > site cap > reserve, each 10
times the next and all of them above any price of energy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from chargerd.scheduler.planner import problem as p

INF = math.inf
WEAR_OF_CHARGE = 0.2  # of the wear of a kWh taken out, beside it
ALWAYS = -1  # the step of what belongs to none
EARLY = 1e-4  # of the highest price, per kWh and hour: soon rather than late


Name = tuple[int, str, int]  # EVSE (0 = the site), what it is, step


@dataclass(slots=True)
class Model:
    """Columns and rows while they are written down, each with its name."""

    cost: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    row_low: list[float] = field(default_factory=list)
    row_high: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    index: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    cols: list[Name] = field(default_factory=list)
    rows: list[Name] = field(default_factory=list)
    of: int = 0  # whose columns and rows are written now ...
    step: int = ALWAYS  # ... and for which step

    def col(
        self, what: str, cost: float = 0.0, low: float = 0.0, high: float = INF
    ) -> int:
        self.cost.append(cost)
        self.low.append(low)
        self.high.append(high)
        self.cols.append((self.of, what, self.step))
        return len(self.cost) - 1

    def row(
        self, what: str, low: float, high: float, *terms: tuple[int, float]
    ) -> None:
        self.rows.append((self.of, what, self.step))
        for index, value in terms:
            self.index.append(index)
            self.value.append(value)
        self.starts.append(len(self.index))
        self.row_low.append(low)
        self.row_high.append(high)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a missed kWh costs, by what is missed; from the prices of energy alone."""

    reserve: float
    site: float
    floor: float
    departure: float
    early: float


@dataclass(frozen=True, slots=True)
class Columns:
    """Where one pack's powers stand, step by step; `up` and `down` by reserve."""

    charge: list[int]
    discharge: list[int]
    up: list[dict[int, int]]
    down: list[dict[int, int]]


@dataclass(frozen=True, slots=True)
class Written:
    """The programme, and where to find the answer in it."""

    model: Model
    packs: list[Columns]
    missed: list[list[list[int]]]  # by reserve and block: shares, all for one block


def write(problem: p.Problem) -> Written:
    model = Model()
    prices = prices_of(problem)
    asked = p.asked(problem)
    packs = [_pack(model, problem, pack, prices, asked) for pack in problem.packs]
    model.of, model.step = 0, ALWAYS
    _site(model, problem, packs, prices)
    return Written(model, packs, _reserves(model, problem, packs, prices))


def prices_of(problem: p.Problem) -> Prices:
    energy = [abs(v) for step in problem.steps for v in (step.buy, step.sell)]
    wear = [v for pack in problem.packs for v in (pack.wear, pack.shortfall)]
    top = max([*energy, *wear, problem.demand_per_kw, 1e-3])
    return Prices(10 * top, 100 * top, 1e3 * top, 1e5 * top, EARLY * max(energy))


def _pack(
    model: Model,
    problem: p.Problem,
    pack: p.Pack,
    prices: Prices,
    asked: list[list[int]],
) -> Columns:
    """One battery: energy balance, taper, floor, target, ageing, room for reserves."""
    found = Columns([], [], [], [])
    eta = pack.efficiency
    least = min(pack.floor, pack.energy)
    most = min(pack.capacity, max(pack.ceiling, pack.energy))
    behind = pack.energy < pack.floor
    before: int | None = None
    hours = 0.0
    line = p.lowest(problem, pack)
    model.of = pack.evse_id
    for index, step in enumerate(problem.steps[: pack.steps]):
        model.step = index
        early = prices.early * hours
        wear = pack.wear * WEAR_OF_CHARGE
        c = model.col("charge", step.hours * (wear + early), 0.0, pack.charge_kw)
        d = model.col("discharge", step.hours * pack.wear, 0.0, pack.discharge_kw)
        e = model.col("energy", 0.0, least, most)
        found.charge.append(c)
        found.discharge.append(d)
        terms = [(e, 1.0), (c, -eta * step.hours), (d, step.hours / eta)]
        start = pack.energy if before is None else 0.0
        if before is not None:
            terms.append((before, -1.0))
        model.row("energy", start, start, *terms)
        up, down = _room(model, problem, pack, asked[index], (c, d))
        _taper(model, pack, [c, *down.values()], e, most)
        if step.buy < 0.0 and pack.discharge_kw > 0.0 and pack.charge_kw > 0.0:
            # Paid to import: not by going round in a circle.
            both = (c, 1 / pack.charge_kw), (d, 1 / pack.discharge_kw)
            model.row("either", -INF, 1.0, *both)
        if behind:
            short = model.col("floor", prices.floor * step.hours)
            model.row("floor", pack.floor, INF, (e, 1.0), (short, 1.0))
        if up or (pack.rate < 1.0 and least < line[index] <= most):
            # Below it the promise charges by itself: no plan could go there.
            short = model.col("line", prices.site * step.hours)
            held = [(at, -p.per_up(problem, pack, n)) for n, at in up.items()]
            low = min(line[index], most)
            model.row("line", low, INF, (e, 1.0), (short, 1.0), *held)
        if down:
            held = [(at, p.per_down(problem, pack, n)) for n, at in down.items()]
            model.row("full", -INF, most, (e, 1.0), *held)
        _age(model, pack, step, e, most)
        found.up.append(up)
        found.down.append(down)
        before, hours = e, hours + step.hours
    if before is not None:
        short = model.col("target", prices.departure)
        model.row("target", pack.target, INF, (before, 1.0), (short, 1.0))
        model.cost[before] -= pack.left
    return found


def _taper(model: Model, pack: p.Pack, powers: list[int], e: int, most: float) -> None:
    """Above the knee the battery takes less the fuller it is: linear in its energy."""
    span = pack.capacity - pack.knee
    if most > pack.knee and span > 0.0 and pack.charge_kw > 0.0:
        slope = pack.charge_kw / span
        terms = [(power, 1.0) for power in powers]
        model.row("taper", -INF, slope * pack.capacity, *terms, (e, slope))


def _age(model: Model, pack: p.Pack, step: p.Step, e: int, most: float) -> None:
    """Ageing by standing full, and what the driver misses who leaves early."""
    if pack.calendar > 0.0 and most > pack.calendar_from:
        over = model.col("age", pack.calendar * step.hours)
        model.row("age", -INF, pack.calendar_from, (e, 1.0), (over, -1.0))
    if pack.hazard_per_h > 0.0 and pack.shortfall > 0.0:
        missed = model.col("early", pack.hazard_per_h * step.hours * pack.shortfall)
        model.row("early", pack.target, INF, (e, 1.0), (missed, 1.0))


def _room(
    model: Model,
    problem: p.Problem,
    pack: p.Pack,
    asked: list[int],
    powers: tuple[int, int],
) -> tuple[dict[int, int], dict[int, int]]:
    """What one pack keeps free in one step for each reserve; `up` feeds the grid."""
    c, d = powers
    up: dict[int, int] = {}
    down: dict[int, int] = {}
    for number in asked:
        reserve = problem.reserves[number]
        if reserve.up_kw > 0.0:
            up[number] = model.col(f"up{number}", 0.0, 0.0, reserve.up_kw)
        if reserve.down_kw > 0.0:
            down[number] = model.col(f"down{number}", 0.0, 0.0, reserve.down_kw)
    if up:
        terms = [(at, -1.0) for at in up.values()]
        model.row("up", -pack.give_kw, INF, (c, 1.0), (d, -1.0), *terms)
    if down:
        terms = [(at, 1.0) for at in down.values()]
        model.row("down", -INF, pack.charge_kw, (c, 1.0), (d, -1.0), *terms)
    return up, down


def _site(
    model: Model, problem: p.Problem, packs: list[Columns], prices: Prices
) -> None:
    """The connection: what is bought and sold, its caps, and the peak."""
    peak = None
    if problem.demand_per_kw > 0.0:
        peak = model.col("peak", problem.demand_per_kw, problem.peak_kw)
    for index, step in enumerate(problem.steps):
        model.step = index
        # One meter cannot buy and sell at once: selling dearer than buying would.
        sell = min(step.sell, step.buy)
        bought = model.col("bought", step.hours * step.buy, 0.0, problem.import_kw)
        sold = model.col("sold", -step.hours * sell, 0.0, problem.export_kw)
        over = model.col("over", step.hours * (max(0.0, step.buy) + prices.site))
        spilt = model.col("spilt", step.hours * (prices.site - min(0.0, sell)))
        terms = [(bought, 1.0), (over, 1.0), (sold, -1.0), (spilt, -1.0)]
        up, down = [], []
        for columns in packs:
            if index < len(columns.charge):
                terms.append((columns.charge[index], -1.0))
                terms.append((columns.discharge[index], 1.0))
                up += [(at, -1.0) for at in columns.up[index].values()]
                down += [(at, 1.0) for at in columns.down[index].values()]
        model.row("meter", step.house_kw, step.house_kw, *terms)
        grid = (bought, 1.0), (sold, -1.0)
        if up:
            model.row("export", -problem.export_kw, INF, *grid, *up)
        if down:
            model.row("import", -INF, problem.import_kw, *grid, *down)
        if peak is not None:
            model.row("peak", -INF, 0.0, (bought, 1.0), (over, 1.0), (peak, -1.0))


def _reserves(
    model: Model, problem: p.Problem, packs: list[Columns], prices: Prices
) -> list[list[list[int]]]:
    """What all packs keep for each service, and the share that is missed: one for a
    whole block where it is only offered, one for each step where it is sold."""
    found: list[list[list[int]]] = []
    for number, reserve in enumerate(problem.reserves):
        blocks: list[list[int]] = []
        size = max(reserve.up_kw, reserve.down_kw)
        for first, end in reserve.blocks:
            shares: list[int] = []
            for index in range(first, end):
                model.step = index
                hours = problem.steps[index].hours
                if reserve.per_kw_h is None:
                    cost = prices.reserve * size * hours
                    shares.append(model.col(f"missed{number}", cost, 0.0, 1.0))
                elif not shares:
                    whole = sum(problem.steps[i].hours for i in range(first, end))
                    cost = reserve.per_kw_h * size * whole
                    shares.append(model.col(f"missed{number}", cost, 0.0, 1.0))
                for kw, side in ((reserve.up_kw, "up"), (reserve.down_kw, "down")):
                    if kw <= 0.0:
                        continue
                    terms = [(shares[-1], kw)]
                    for columns in packs:
                        kept = columns.up if side == "up" else columns.down
                        if index < len(kept):
                            terms.append((kept[index][number], 1.0))
                    model.row(f"{side}{number}", kw, INF, *terms)
            blocks.append(shares)
        found.append(blocks)
    return found
