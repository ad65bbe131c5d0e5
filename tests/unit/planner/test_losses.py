"""The stage's fixed loss: what is worth being on for, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.scheduler.planner import problem as p
from tests.unit.planner.problems import pack, problem

losses = pytest.importorskip("chargerd.scheduler.planner.losses", reason="needs numpy")
solver = pytest.importorskip("chargerd.scheduler.planner.solver", reason="no highspy")

IDLE = 0.09


def test_a_loss_counts_both_ways_and_full_power_is_as_efficient_as_told() -> None:
    one = pack(idle_kw=IDLE)
    assert p.gain_kw(one, 6.0) == pytest.approx(6.0 * 0.9)
    assert p.gain_kw(one, -6.0) == pytest.approx(-6.0 / 0.9)
    assert p.gain_kw(one, 0.4) / 0.4 < 0.75
    assert -0.4 / p.gain_kw(one, -0.4) < 0.78
    assert p.gain_kw(one, 0.0) == 0.0


@pytest.mark.parametrize(("house_kw", "feeds"), [(0.3, False), (3.0, True)])
def test_a_house_too_small_is_not_fed(house_kw: float, feeds: bool) -> None:
    # A kWh in the battery is worth 0.16: at full power it saves 0.18, at 0.3 kW 0.14.
    one = pack(energy=30.0, target=10.0, left=0.16, idle_kw=IDLE)
    trace = solver.solve(problem([0.2] * 6, one, house_kw=house_kw)).traces[0]
    assert (min(trace.power_kw) < -0.1) is feeds
    plain = solver.solve(problem([0.2] * 6, replace(one, idle_kw=0.0), house_kw=0.3))
    assert min(plain.traces[0].power_kw) == pytest.approx(-0.3)  # blind to the loss


def test_what_is_needed_is_charged_with_few_hours_on() -> None:
    # A demand charge would flatten; being on costs more than that saves.
    one = pack(energy=18.0, idle_kw=0.5)
    trace = solver.solve(problem([0.2] * 6, one, demand_per_kw=0.02)).traces[0]
    assert sum(kw > 0.0 for kw in trace.power_kw) <= 2
    assert trace.energy_kwh[-1] >= 20.0 - 0.05


@settings(max_examples=25, deadline=None)
@given(
    buys=st.lists(st.floats(0.05, 0.5), min_size=6, max_size=6),
    energy=st.floats(5.0, 38.0),
    target=st.floats(5.0, 38.0),
    house_kw=st.floats(-3.0, 3.0),
    up_kw=st.floats(0.0, 4.0),
)
def test_it_is_never_dearer_and_keeps_what_the_programme_keeps(
    buys: list[float], energy: float, target: float, house_kw: float, up_kw: float
) -> None:
    one = pack(energy=energy, target=target, idle_kw=IDLE, wear=0.02)
    sold = (p.Reserve("fcr", up_kw, 0.0, 0.25, ((0, 6),)),) if up_kw > 0.1 else ()
    question = problem(buys, one, house_kw=house_kw, reserves=sold, import_kw=9.0)
    found = solver.solve(question)
    blind = solver.solve(replace(question, packs=(replace(one, idle_kw=0.0),)))
    before = p.roll(one, question.steps, list(blind.traces[0].power_kw))
    trace = found.traces[0]
    assert trace.up_kw == pytest.approx(blind.traces[0].up_kw)
    for index, kw in enumerate(trace.power_kw):
        assert -6.0 + trace.up_kw[index] - 1e-6 <= kw <= 6.0 + 1e-6
    if sold:  # it may buy the energy of a reserve that the other only seemed to have
        return
    money = p.cost(question, (trace,)) + _missed(one, trace)
    assert money <= p.cost(question, (before,)) + _missed(one, before) + 0.02


def _missed(one: p.Pack, trace: p.Trace) -> float:
    return 50.0 * max(0.0, one.target - trace.energy_kwh[-1])
