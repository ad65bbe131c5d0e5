"""The plan as a linear programme, solved by HiGHS. Runs in the planner's child only.

Owns the formulation. Never infeasible: what could be missed has a price, in the strict
order departure > least energy > site cap > reserve, each 10 times the next and all of
them above any price of energy.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import highspy

from chargerd.scheduler.planner import problem as p

INF = highspy.kHighsInf
WEAR_OF_CHARGE = 0.2  # of the wear of a kWh taken out, beside it
PRIMAL = 4  # of HiGHS's simplex strategies: 3 times faster than dual on a site of 10
EARLY = 1e-4  # of the highest price, per kWh and hour: soon rather than late


@dataclass(slots=True)
class Model:
    """Columns and rows while they are written down."""

    cost: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    row_low: list[float] = field(default_factory=list)
    row_high: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    index: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def col(self, cost: float = 0.0, low: float = 0.0, high: float = INF) -> int:
        self.cost.append(cost)
        self.low.append(low)
        self.high.append(high)
        return len(self.cost) - 1

    def row(self, low: float, high: float, *terms: tuple[int, float]) -> None:
        for index, value in terms:
            self.index.append(index)
            self.value.append(value)
        self.starts.append(len(self.index))
        self.row_low.append(low)
        self.row_high.append(high)


@dataclass(frozen=True, slots=True)
class _Prices:
    """What a missed kWh costs, by what is missed; from the prices of energy alone."""

    reserve: float
    site: float
    floor: float
    departure: float
    early: float


@dataclass(frozen=True, slots=True)
class Columns:
    charge: list[int]
    discharge: list[int]


def solve(problem: p.Problem) -> p.Solution:
    """The cheapest plan. PlannerError if HiGHS gives none."""
    began = time.process_time()
    model, packs = write(problem)
    values = _run(model)
    traces = []
    for pack, columns in zip(problem.packs, packs, strict=True):
        pairs = zip(columns.charge, columns.discharge, strict=True)
        power = [_net_kw(values[c], values[d], pack.efficiency) for c, d in pairs]
        traces.append(p.roll(pack, problem.steps, power))
    found = tuple(traces)
    spent = time.process_time() - began
    return p.Solution("highs", found, p.cost(problem, found), spent)


def write(problem: p.Problem) -> tuple[Model, list[Columns]]:
    """The programme, and where each pack's powers stand in it."""
    model = Model()
    prices = _prices(problem)
    packs = [_pack(model, problem, pack, prices) for pack in problem.packs]
    _site(model, problem, packs, prices)
    return model, packs


def _net_kw(charge_kw: float, discharge_kw: float, efficiency: float) -> float:
    """The one power that moves the battery's energy as both together would."""
    gain = charge_kw * efficiency - discharge_kw / efficiency
    net = gain / efficiency if gain > 0.0 else gain * efficiency
    return 0.0 if abs(net) < 1e-6 else net


def _prices(problem: p.Problem) -> _Prices:
    energy = [abs(v) for step in problem.steps for v in (step.buy, step.sell)]
    wear = [v for pack in problem.packs for v in (pack.wear, pack.shortfall)]
    top = max([*energy, *wear, problem.demand_per_kw, 1e-3])
    return _Prices(10 * top, 100 * top, 1e3 * top, 1e5 * top, EARLY * max(energy))


def _pack(model: Model, problem: p.Problem, pack: p.Pack, prices: _Prices) -> Columns:
    """One battery: energy balance, taper, floor, target, ageing, reserve."""
    charge, discharge = [], []
    eta = pack.efficiency
    least = min(pack.floor, pack.energy)
    most = min(pack.capacity, max(pack.ceiling, pack.energy))
    behind = pack.energy < pack.floor
    before: int | None = None
    hours = 0.0
    line = p.lowest(problem, pack) if pack.rate < 1.0 else []
    for index, step in enumerate(problem.steps[: pack.steps]):
        early = prices.early * hours
        c = model.col(
            step.hours * (pack.wear * WEAR_OF_CHARGE + early), 0.0, pack.charge_kw
        )
        d = model.col(step.hours * pack.wear, 0.0, pack.discharge_kw)
        e = model.col(0.0, least, most)
        charge.append(c)
        discharge.append(d)
        terms = [(e, 1.0), (c, -eta * step.hours), (d, step.hours / eta)]
        start = pack.energy if before is None else 0.0
        if before is not None:
            terms.append((before, -1.0))
        model.row(start, start, *terms)
        _taper(model, pack, c, e, most)
        if step.buy < 0.0 and pack.discharge_kw > 0.0 and pack.charge_kw > 0.0:
            # Paid to import: not by going round in a circle.
            model.row(-INF, 1.0, (c, 1 / pack.charge_kw), (d, 1 / pack.discharge_kw))
        if behind:
            short = model.col(prices.floor * step.hours)
            model.row(pack.floor, INF, (e, 1.0), (short, 1.0))
        if line and least < line[index] <= most:
            # Below it the promise charges by itself: no plan could go there.
            short = model.col(prices.site * step.hours)
            model.row(line[index], INF, (e, 1.0), (short, 1.0))
        _age(model, pack, step, e, most)
        if pack.reserve is not None:
            _keep(model, pack, pack.reserve, step, (c, d, e), prices)
        before, hours = e, hours + step.hours
    if before is not None:
        short = model.col(prices.departure)
        model.row(pack.target, INF, (before, 1.0), (short, 1.0))
        model.cost[before] -= pack.left
    return Columns(charge, discharge)


def _taper(model: Model, pack: p.Pack, c: int, e: int, most: float) -> None:
    """Above the knee the battery takes less the fuller it is: linear in its energy."""
    span = pack.capacity - pack.knee
    if most > pack.knee and span > 0.0 and pack.charge_kw > 0.0:
        slope = pack.charge_kw / span
        model.row(-INF, slope * pack.capacity, (c, 1.0), (e, slope))


def _age(model: Model, pack: p.Pack, step: p.Step, e: int, most: float) -> None:
    """Ageing by standing full, and what the driver misses who leaves early."""
    if pack.calendar > 0.0 and most > pack.calendar_from:
        over = model.col(pack.calendar * step.hours)
        model.row(-INF, pack.calendar_from, (e, 1.0), (over, -1.0))
    if pack.hazard_per_h > 0.0 and pack.shortfall > 0.0:
        missed = model.col(pack.hazard_per_h * step.hours * pack.shortfall)
        model.row(pack.target, INF, (e, 1.0), (missed, 1.0))


def _keep(
    model: Model,
    pack: p.Pack,
    reserve: p.Reserve,
    step: p.Step,
    columns: tuple[int, int, int],
    prices: _Prices,
) -> None:
    """Room in power and in energy for a service; `up` feeds the grid."""
    c, d, e = columns
    price = prices.reserve if reserve.per_kw_h is None else reserve.per_kw_h
    for size, up in ((reserve.up_kw, True), (reserve.down_kw, False)):
        if size <= 0.0:
            continue
        missed = model.col(price * step.hours, 0.0, size)
        if up:
            model.row(size - pack.discharge_kw, INF, (c, 1.0), (d, -1.0), (missed, 1.0))
            per = reserve.hold_h / pack.efficiency
            model.row(size * per + pack.floor, INF, (e, 1.0), (missed, per))
        else:
            model.row(size - pack.charge_kw, INF, (c, -1.0), (d, 1.0), (missed, 1.0))
            per = reserve.hold_h * pack.efficiency
            model.row(size * per - pack.capacity, INF, (e, -1.0), (missed, per))


def _site(
    model: Model, problem: p.Problem, packs: list[Columns], prices: _Prices
) -> None:
    """The connection: what is bought and sold, its caps, and the peak."""
    peak = None
    if problem.demand_per_kw > 0.0:
        peak = model.col(problem.demand_per_kw, problem.peak_kw)
    for index, step in enumerate(problem.steps):
        # One meter cannot buy and sell at once: selling dearer than buying would.
        sell = min(step.sell, step.buy)
        bought = model.col(step.hours * step.buy, 0.0, problem.import_kw)
        sold = model.col(-step.hours * sell, 0.0, problem.export_kw)
        over = model.col(step.hours * (max(0.0, step.buy) + prices.site))
        spilt = model.col(step.hours * (prices.site - min(0.0, sell)))
        terms = [(bought, 1.0), (over, 1.0), (sold, -1.0), (spilt, -1.0)]
        for columns in packs:
            if index < len(columns.charge):
                terms.append((columns.charge[index], -1.0))
                terms.append((columns.discharge[index], 1.0))
        model.row(step.house_kw, step.house_kw, *terms)
        if peak is not None:
            model.row(-INF, 0.0, (bought, 1.0), (over, 1.0), (peak, -1.0))


def _run(model: Model) -> list[float]:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(model.cost), len(model.row_low)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = model.cost, model.low, model.high
    lp.row_lower_, lp.row_upper_ = model.row_low, model.row_high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = model.starts
    lp.a_matrix_.index_ = model.index
    lp.a_matrix_.value_ = model.value
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("simplex_strategy", PRIMAL)
    solver.passModel(lp)
    solver.run()
    status = solver.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise p.PlannerError(f"HiGHS: {solver.modelStatusToString(status)}")
    return list(solver.getSolution().col_value)
