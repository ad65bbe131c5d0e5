"""Flexibility told each second, the month's cap, the reserve: rows and a loop."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chargerd.clock import Now
from chargerd.config import Owner
from chargerd.model import Flexibility, OperationMode, Promise, Session, VehicleNeeds
from chargerd.scheduler import flex, month
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.decide import decide
from chargerd.scheduler.terms import Context, Unit
from tests.unit.scheduler.stand import Stand, make_signal
from tests.unit.scheduler.test_decide import FREE, MONO, SITE, SNAP, UNIT

HALF = Estimate(50.0, 40_000.0)


def see(
    power_w: float,
    ctx: Context = FREE,
    unit: Unit = UNIT,
    promise: Promise | None = None,
    **changes: object,
) -> Flexibility:
    session: Session = replace(SNAP.session, promise=promise)
    snap = replace(SNAP, session=session, **changes)  # type: ignore[arg-type]
    ctx = replace(ctx, battery=HALF, rate=0.95, power_w=power_w)
    return flex.see(snap, unit, ctx, decide(snap, unit, ctx), power_w)


@pytest.mark.parametrize(
    ("power_w", "up_w", "down_w"),
    [(0.0, 6000.0, 7000.0), (5000.0, 11_000.0, 2000.0), (-4000.0, 2000.0, 11_000.0)],
)
def test_power_both_ways(power_w: float, up_w: float, down_w: float) -> None:
    told = see(power_w)
    assert (told.up_w, told.down_w) == (up_w, down_w)
    assert told.up_wh == pytest.approx(0.30 * 40_000.0)  # to the floor of 20 %
    assert told.down_wh == pytest.approx(0.50 * 40_000.0)
    assert told.until_mono == math.inf
    assert told.reasons == ("rating", "rating")


@pytest.mark.parametrize(
    ("changes", "up_wh", "down_wh"),
    [
        ({}, 12_000.0 * 0.9, 20_000.0 / 0.9),  # the losses are ours
        ({"vehicle": replace(SNAP.vehicle, needs=VehicleNeeds(max_soc_pct=80.0))},
         12_000.0 * 0.9, 12_000.0 / 0.9),
        ({"vehicle": replace(SNAP.vehicle, needs=VehicleNeeds(max_soc_pct=40.0))},
         12_000.0 * 0.9, 0.0),
        ({"vehicle": replace(SNAP.vehicle, needs=VehicleNeeds())},
         12_000.0 * 0.9, 20_000.0 / 0.9),
    ],
)  # fmt: skip
def test_energy_both_ways(
    changes: dict[str, object], up_wh: float, down_wh: float
) -> None:
    told = see(0.0, unit=replace(UNIT, efficiency=0.9), **changes)
    assert told.up_wh == pytest.approx(up_wh)
    assert told.down_wh == pytest.approx(down_wh)


@pytest.mark.parametrize(
    "battery", [Estimate(None, 40_000.0), Estimate(50.0, None), Estimate(None, None)]
)
def test_energy_that_nobody_knows_is_not_offered(battery: Estimate) -> None:
    ctx = replace(FREE, battery=battery)
    told = flex.see(SNAP, UNIT, ctx, decide(SNAP, UNIT, ctx), 0.0)
    assert (told.up_wh, told.down_wh) == (0.0, 0.0)


def test_the_reserve_is_not_for_sale() -> None:
    told = see(0.0, unit=replace(UNIT, reserve_pct=40.0))
    assert told.up_wh == pytest.approx(0.10 * 40_000.0)


def test_without_a_permit_only_charging_can_be_put_off() -> None:
    told = see(5000.0, site=replace(SITE, discharge_permitted=False))
    assert told.up_w == 5000.0
    assert told.up_wh == 0.0  # no promise: nobody said for how long
    wish = Promise(MONO + 7200.0, 60.0)
    told = see(5000.0, promise=wish, site=replace(SITE, discharge_permitted=False))
    slack_h = 2.0 - 0.10 * 40_000.0 / (7000.0 * 0.95)
    assert told.up_wh == pytest.approx(5000.0 * slack_h, rel=0.03)


def test_what_is_given_must_come_back_before_departure() -> None:
    wish = Promise(MONO + 3 * 3600.0, 70.0)
    told = see(0.0, promise=wish)
    need_h = 0.20 * 40_000.0 / (7000.0 * 0.95)
    slack_h = 3.0 - need_h
    expected = 6000.0 * slack_h / (1.0 + 6000.0 / (7000.0 * 0.95))
    assert told.up_wh == pytest.approx(expected, rel=0.03)
    assert told.up_wh < expected  # the margin of the line
    assert told.until_mono == wish.departure_mono


def test_a_forced_charge_offers_nothing_up() -> None:
    told = see(7000.0, promise=Promise(MONO + 600.0, 90.0))
    assert (told.up_w, told.up_wh) == (0.0, 0.0)


def test_unknown_energy_is_none() -> None:
    snap = SNAP
    ctx = replace(FREE, battery=Estimate())
    told = flex.see(snap, UNIT, ctx, decide(snap, UNIT, ctx), 3000.0)
    assert told.up_wh == told.down_wh == 0.0
    assert told.up_w == 3000.0


def test_the_loop_tells_it_each_second() -> None:
    stand = Stand()
    stand.start()
    stand.setpoint(-3000.0)
    stand.run(3.0)
    told = [r.flexibility for r in stand.reports if r.flexibility is not None]
    times = sorted({t.at_mono for t in told})
    assert all(0.95 <= b - a <= 1.1 for a, b in itertools.pairwise(times))
    newest = told[-1]
    assert newest.up_w == pytest.approx(7400.0 - 3000.0, abs=10.0)
    assert newest.down_w == pytest.approx(7400.0 + 3000.0, abs=10.0)


def utc(day: int, mon: int = 11, trusted: bool = True) -> Now:
    return Now(1000.0, datetime(2026, mon, day, 12, tzinfo=UTC), trusted)


def test_a_month_counts_and_begins_anew() -> None:
    now = month.add(month.EMPTY, 500.0, UTC, utc(30))
    assert now == month.Month("2026-11", 500.0)
    now = month.add(now, 100.0, UTC, utc(1, 12, trusted=False))
    assert now == month.Month("2026-11", 600.0)  # no clock: no new month
    assert month.left_wh(now, 1.0) == 400.0
    assert month.left_wh(now, None) == math.inf
    now = month.add(now, 100.0, UTC, utc(1, 12))
    assert now == month.Month("2026-12", 100.0)


def test_the_cap_ends_discharge_and_survives_a_restart() -> None:
    owner = Owner(departure="", discharge_kwh_per_month=0.02)
    stand = Stand(owner=owner)
    stand.start()
    stand.setpoint(-6000.0, 600.0)
    stand.run(30.0)
    decision = stand.decision()
    assert decision.power_w == 0.0
    assert decision.source == "config.discharge_cap"
    spent_wh = stand.report().snapshot.session.energy_out_wh
    assert 20.0 <= spent_wh < 22.0
    again = Stand(owner=owner, discharged=month.Month("2026-11", spent_wh))
    again.start()
    again.cycle.signal(
        make_signal(again.mono, -6000.0, 60.0, mode=OperationMode.EXTERNAL_SETPOINT)
    )
    again.run(5.0)
    assert again.decision().power_w == 0.0
    assert again.report().snapshot.session.energy_out_wh == 0.0


def test_the_blackout_reserve_is_a_floor() -> None:
    stand = Stand(owner=Owner(departure="", blackout_reserve_pct=70.0))
    stand.start()
    stand.setpoint(-6000.0)
    stand.run(5.0)  # the vehicle is at 60 %
    assert stand.decision().power_w == 0.0


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"name": "2026-11", "discharged_wh": 7}, month.Month("2026-11", 7.0)),
        ({"name": "2026-11", "discharged_wh": 0.0}, month.Month("2026-11", 0.0)),
        ({"name": "2026-11", "discharged_wh": -1.0}, month.EMPTY),
        ({"name": "2026-11", "discharged_wh": math.inf}, month.EMPTY),
        ({"name": "2026-11", "discharged_wh": "7"}, month.EMPTY),
        ({"name": 11, "discharged_wh": 7.0}, month.EMPTY),
        ({"name": "2026-11"}, month.EMPTY),
        ({"name": "2026-11", "discharged_wh": math.nan}, month.EMPTY),
        ({}, month.EMPTY),
        (3, month.EMPTY),
        (None, month.EMPTY),
    ],
)
def test_a_month_from_the_store(value: object, kept: month.Month) -> None:
    assert month.read(value) == kept
