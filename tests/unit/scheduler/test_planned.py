"""The plan's place in the arbitration: below everything but idle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd import config
from chargerd.model import OperationMode
from chargerd.plan import Plan, PlanPart
from chargerd.scheduler.planner.outlook import of_evse
from tests.unit.scheduler.stand import Stand


def stand(**owner: object) -> Stand:
    values = {"departure": "", "floor_soc_pct": 20.0, "target_soc_pct": 80.0} | owner
    stand = Stand(owner=config.Owner.model_validate(values))
    stand.start()
    return stand


def plan(stand: Stand, wish_w: float, seconds: float = 3600.0, **part: float) -> None:
    whole = PlanPart(stand.mono, wish_w, -7000.0, 7000.0, 10_000.0, 39_000.0, 24_000.0)
    whole = replace(whole, note="20 in, 8 out", **part)
    made = Plan(1, (whole,), stand.mono, stand.mono + seconds, "highs", 24_000.0)
    session_id = stand.report().snapshot.session.id
    stand.cycle.plan(replace(made, session_id=session_id))


@pytest.mark.parametrize(
    ("wish", "mode"),
    [
        (3000.0, OperationMode.CHARGING_ONLY),
        (0.0, OperationMode.IDLE),
        (-3000.0, OperationMode.EXTERNAL_SETPOINT),
    ],
)
def test_it_is_followed(wish: float, mode: OperationMode) -> None:
    s = stand()
    plan(s, wish)
    s.run(6.0)
    assert s.decision().power_w == pytest.approx(wish)
    assert (s.decision().source, s.decision().mode) == ("plan.highs", mode)
    reason = next(r for r in s.decision().reasons if r.stage == "plan")
    assert reason.won
    assert "20 in, 8 out" in reason.note


def test_dispatch_stands_above_it() -> None:
    s = stand()
    plan(s, 3000.0)
    s.setpoint(-2000.0)
    s.run(6.0)
    assert s.decision().source == "ocpp.tx"
    assert s.decision().power_w == pytest.approx(-2000.0)


def test_the_owners_floor_stands_above_it() -> None:
    s = stand(floor_soc_pct=60.0)
    plan(s, -3000.0)
    s.run(6.0)
    assert s.decision().power_w == 0.0


def test_it_stops_at_its_energy_corridor() -> None:
    s = stand()
    plan(s, -3000.0, low_wh=30_000.0)
    s.run(6.0)
    assert s.decision().power_w == 0.0


def test_after_its_end_the_station_charges_to_the_target_again() -> None:
    s = stand()
    plan(s, 0.0, seconds=5.0)
    s.run(4.0)
    assert s.decision().source == "plan.highs"
    s.run(8.0)
    assert s.decision().source != "plan.highs"
    assert s.decision().power_w > 5000.0


def test_the_next_vehicle_does_not_inherit_it() -> None:
    s = stand()
    plan(s, -3000.0)
    s.run(1.0)
    s.unplug()
    s.run(3.0)
    s.start()
    assert s.decision().source != "plan.highs"
    assert s.decision().power_w > 0.0


def test_a_plan_that_comes_after_its_vehicle_left_is_none() -> None:
    s = stand()
    late = replace(s.cycle.outlook().evses[0], power_w=0.0)
    s.unplug()
    s.run(3.0)
    s.start()
    part = PlanPart(s.mono, -3000.0, -7000.0, 7000.0, 0.0, 39_000.0, 24_000.0)
    end = s.mono + 900.0
    made = Plan(1, (part,), s.mono, end, "highs", 0.0, session_id=late.session_id)
    s.cycle.plan(made)
    s.run(3.0)
    assert s.decision().power_w > 0.0


def test_unknown_energy_means_charge() -> None:
    s = stand()
    plan(s, -3000.0)
    s.vehicles[1].soc_pct = None
    s.run(15.0)
    assert s.decision().power_w > 0.0


def test_a_plan_for_nobody_is_ignored() -> None:
    s, other = stand(), stand()
    s.cycle.plan(Plan(9, (), 0.0, 1e9, "highs", 0.0))
    for each in (s, other):
        each.run(0.1)
    assert s.decision() == other.decision()


def test_the_outlook_says_what_is_there() -> None:
    s = Stand(2, with_site=True)
    assert s.cycle.outlook().evses == ()
    s.start()
    s.run(5.0)
    (evse,) = s.cycle.outlook().evses
    assert evse.energy_wh == pytest.approx(24_000.0, rel=0.02)
    assert (evse.charge_w, evse.discharge_w) == (7400.0, -7400.0)
    assert evse.floor_wh == pytest.approx(8_000.0)
    assert of_evse(s.cycle._runners[2]) is None


def test_who_cannot_be_planned_for_is_house_but_not_the_houses_habit() -> None:
    s = Stand(count=2, with_site=True)
    s.vehicles[2].capacity_wh = None
    for evse_id in (1, 2):
        s.start(evse_id)
    s.setpoint(3000.0, 600.0, evse_id=2)
    s.run(10.0)
    seen = s.cycle.outlook()
    assert [evse.evse_id for evse in seen.evses] == [1]
    assert seen.unplanned_w == pytest.approx(3000.0, abs=5.0)
    assert seen.house_w - seen.unplanned_w == pytest.approx(s.bridge.house_w, abs=50.0)
