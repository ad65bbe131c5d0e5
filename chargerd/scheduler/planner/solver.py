"""HiGHS: solves what lp.py writes, from where the last question ended.

Runs in the planner's child only: the daemon never imports the solver. Between two
questions it keeps the basis alone, by name and time, never the model: the steps of the
next one have moved on, and vehicles have come and gone.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate, pairwise

import highspy

from chargerd.scheduler.planner import losses, lp
from chargerd.scheduler.planner import problem as p

DUAL = 1  # of HiGHS's simplex strategies
BASIC = highspy.HighsBasisStatus.kBasic
OPTIMAL = highspy.HighsModelStatus.kOptimal
AT_LOW = highspy.HighsBasisStatus.kLower


class Solver:
    """`solve` one question after the other; `forget` makes the next one a first one."""

    def __init__(self) -> None:
        self._starts: list[float] = []  # of the last question's steps
        self._cols: dict[lp.Name, highspy.HighsBasisStatus] = {}
        self._rows: dict[lp.Name, highspy.HighsBasisStatus] = {}

    def forget(self) -> None:
        self._cols, self._rows = {}, {}

    def solve(self, problem: p.Problem) -> p.Solution:
        """The cheapest plan. PlannerError if HiGHS gives none."""
        began = time.process_time()
        written = lp.write(problem)
        model = written.model
        highs = _load(model)
        starts = _starts(problem)
        if self._cols:
            highs.setBasis(self._begin(model, starts))
        highs.run()
        if self._cols and highs.getModelStatus() != OPTIMAL:
            highs.clearSolver()  # a beginning that led nowhere: from nothing
            highs.run()
        status = highs.getModelStatus()
        if status != OPTIMAL:
            self.forget()
            raise p.PlannerError(f"HiGHS: {highs.modelStatusToString(status)}")
        basis = highs.getBasis()
        self._starts = starts
        self._cols = dict(zip(model.cols, basis.col_status, strict=True))
        self._rows = dict(zip(model.rows, basis.row_status, strict=True))
        values = list(highs.getSolution().col_value)
        iterations = int(highs.getInfo().simplex_iteration_count)
        found = losses.refine(problem, _read(problem, written, values))
        spent = time.process_time() - began
        return replace(found, cpu_s=spent, iterations=iterations)

    def _begin(self, model: lp.Model, starts: list[float]) -> highspy.HighsBasis:
        """The last basis, moved to this question's steps."""
        basis = highspy.HighsBasis()
        middles = [(a + b) / 2.0 for a, b in pairwise(starts)]
        before = [bisect_right(self._starts, mid) - 1 for mid in middles]

        def old(name: lp.Name) -> lp.Name:
            of, what, step = name
            return of, what, before[step] if step >= 0 else step

        basis.col_status = [self._cols.get(old(n), AT_LOW) for n in model.cols]
        basis.row_status = [self._rows.get(old(n), BASIC) for n in model.rows]
        basis.valid = basis.alien = True
        return basis


def solve(problem: p.Problem) -> p.Solution:
    """One question alone."""
    return Solver().solve(problem)


def _starts(problem: p.Problem) -> list[float]:
    """When each step begins, and the end of the last."""
    lengths = (step.hours * 3600.0 for step in problem.steps)
    return list(accumulate(lengths, initial=problem.start_s))


def _load(model: lp.Model) -> highspy.Highs:
    whole = highspy.HighsLp()
    whole.num_col_, whole.num_row_ = len(model.cost), len(model.row_low)
    whole.col_cost_, whole.col_lower_ = model.cost, model.low
    whole.col_upper_ = model.high
    whole.row_lower_, whole.row_upper_ = model.row_low, model.row_high
    whole.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    whole.a_matrix_.start_ = model.starts
    whole.a_matrix_.index_ = model.index
    whole.a_matrix_.value_ = model.value
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("simplex_strategy", DUAL)
    highs.passModel(whole)
    return highs


def _read(
    problem: p.Problem,
    written: lp.Written,
    values: list[float],
) -> p.Solution:
    traces = []
    for pack, columns in zip(problem.packs, written.packs, strict=True):
        pairs = zip(columns.charge, columns.discharge, strict=True)
        power = [_net_kw(values[c], values[d], pack.efficiency) for c, d in pairs]
        kept = [
            tuple(sum(max(0.0, values[at]) for at in step.values()) for step in side)
            for side in (columns.up, columns.down)
        ]
        traces.append(p.roll(pack, problem.steps, power, *kept))
    shares = tuple(
        tuple(1.0 - max(values[at] for at in block) for block in blocks)
        for blocks in written.missed
    )
    found = tuple(traces)
    total = p.cost(problem, found) - p.earned(problem, shares)
    return p.Solution("highs", found, total, shares=shares)


def _net_kw(charge_kw: float, discharge_kw: float, efficiency: float) -> float:
    """The one power that moves the battery's energy as both together would."""
    gain = charge_kw * efficiency - discharge_kw / efficiency
    net = gain / efficiency if gain > 0.0 else gain * efficiency
    return 0.0 if abs(net) < 1e-6 else net
