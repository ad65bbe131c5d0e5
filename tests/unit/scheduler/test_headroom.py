"""What a plan keeps free for a reserve, in dispatch: law and table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.model import Priority, PromiseRequest
from chargerd.plan import Plan, PlanPart
from chargerd.scheduler import headroom
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.ledger import Ledger
from chargerd.scheduler.terms import Context
from tests.unit.scheduler.stand import Stand
from tests.unit.scheduler.test_planned import plan, stand

KEPT = {"low_w": -2000.0, "high_w": 4000.0, "up_w": 5000.0, "down_w": 3000.0}


def reserved(**part: float) -> Stand:
    s = stand()
    plan(s, 1000.0, **(KEPT | part))
    s.run(6.0)
    return s


@pytest.mark.parametrize(
    ("wish", "priority", "part", "power"),
    [
        (-7000.0, Priority.SETPOINT, {}, -2000.0),
        (-1500.0, Priority.SETPOINT, {}, -1500.0),
        (7000.0, Priority.HOME, {}, 4000.0),
        (-7000.0, Priority.RESERVE, {}, -7000.0),
        (7000.0, Priority.EMERGENCY, {}, 7000.0),
        # No energy beside the reserve's: the battery waits, power or not.
        (-1500.0, Priority.SETPOINT, {"low_wh": 30_000.0}, 0.0),
        (3000.0, Priority.LOCAL, {"high_wh": 20_000.0}, 0.0),
        # Kept free on one side alone; and nothing kept: a plan bounds nobody.
        (7000.0, Priority.SETPOINT, {"down_w": 0.0}, 7000.0),
        (-7000.0, Priority.SETPOINT, {"up_w": 0.0}, -7000.0),
        (-7000.0, Priority.SETPOINT, {"up_w": 0.0, "down_w": 0.0}, -7000.0),
    ],
)
def test_only_the_reserves_own_signal_may_use_its_room(
    wish: float, priority: Priority, part: dict[str, float], power: float
) -> None:
    s = reserved(**part)
    s.setpoint(wish, priority=priority)
    s.run(6.0)
    assert s.decision().power_w == pytest.approx(power, abs=1.0)
    held_back = any(r.source == "reserve" for r in s.decision().reasons)
    assert held_back is (power != wish)


def test_the_promise_stands_above_it() -> None:
    s = reserved()
    s.cycle.request(PromiseRequest(1, s.mono + 1900.0, 70.0))
    s.setpoint(0.0)
    s.run(6.0)
    assert s.decision().source == "promise"
    assert s.decision().power_w > 7000.0


def test_flexibility_says_what_of_it_is_kept() -> None:
    s = reserved()
    found = s.report().flexibility
    assert found is not None
    assert (found.reserve_up_w, found.reserve_down_w) == (5000.0, 3000.0)
    assert found.up_w > 5000.0


watts = st.floats(-20_000.0, 20_000.0)
energies = st.floats(0.0, 40_000.0)
power_sizes = st.floats(0.0, 10_000.0)


@given(wish=watts, level=energies, low=power_sizes, high=power_sizes,
       up=power_sizes, down=power_sizes, floor=energies, top=energies)  # fmt: skip
def test_a_wish_only_comes_nearer_to_zero(
    wish: float, level: float, low: float, high: float,
    up: float, down: float, floor: float, top: float,
) -> None:  # fmt: skip
    part = PlanPart(0.0, 0.0, -low, high, floor, top, 0.0, "", up, down)
    ctx = Context(
        plan=Plan(1, (part,), 0.0, 10.0, "highs", level),
        battery=Estimate(level / 400.0, 40_000.0),
    )
    kept = headroom.keep(wish, Ledger(-2e4, 2e4, "rating"), ctx, 1.0)
    assert abs(kept) <= abs(wish)
    assert kept * wish >= 0.0
    if kept != wish:
        assert (up if wish < 0.0 else down) > 0.0


@pytest.mark.parametrize(
    ("wish", "soc_pct", "part", "kept"),
    [
        (-5000.0, 50.0, {}, -2000.0),
        (-5000.0, None, {}, 0.0),  # nobody knows whether there is energy to spare
        (5000.0, None, {}, 0.0),
        (-5000.0, 50.0, {"low_w": 500.0}, 0.0),  # held back, never pushed over
        (5000.0, 50.0, {"high_w": -500.0}, 0.0),
    ],
)
def test_one_wish(
    wish: float, soc_pct: float | None, part: dict[str, float], kept: float
) -> None:
    values = {"low_wh": 10_000.0, "high_wh": 30_000.0} | KEPT | part
    made = PlanPart(0.0, 0.0, end_wh=20_000.0, **values)
    ctx = Context(
        plan=Plan(1, (made,), 0.0, 10.0, "highs", 20_000.0),
        battery=Estimate(soc_pct, 40_000.0),
    )
    assert headroom.keep(wish, Ledger(-2e4, 2e4, "rating"), ctx, 1.0) == kept
