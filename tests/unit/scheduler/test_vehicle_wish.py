"""What the driver told the vehicle becomes a promise; the owner's own comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd import config
from chargerd.model import Promise, PromiseRequest, VehicleNeeds, VehicleState
from chargerd.scheduler.promise import of_vehicle
from tests.unit.scheduler.stand import Stand

SAYS = VehicleState(
    departure_mono=5000.0,
    capacity_wh=40_000.0,
    needs=VehicleNeeds(target_wh=8_000.0),
)


@pytest.mark.parametrize(
    ("needs", "target_pct", "floor_pct"),
    [
        (VehicleNeeds(target_wh=8_000.0), 70.0, 20.0),  # 50 % + 20 %
        (VehicleNeeds(target_wh=80_000.0), 100.0, 20.0),
        (VehicleNeeds(target_wh=-8_000.0), 30.0, 20.0),  # it has too much
        (VehicleNeeds(target_soc_pct=85.0, target_wh=1.0), 85.0, 20.0),
        (VehicleNeeds(target_soc_pct=85.0, min_soc_pct=40.0), 85.0, 40.0),
    ],
)
def test_a_wish(needs: VehicleNeeds, target_pct: float, floor_pct: float) -> None:
    wish = of_vehicle(replace(SAYS, needs=needs), 50.0, 20.0)
    assert wish == Promise(5000.0, target_pct, floor_pct, by_vehicle=True)


@pytest.mark.parametrize(
    ("changes", "soc_pct"),
    [
        ({"departure_mono": None}, 50.0),
        ({"needs": None}, 50.0),
        ({"needs": VehicleNeeds()}, 50.0),
        ({"capacity_wh": None}, 50.0),
        ({"capacity_wh": 0.0}, 50.0),
        ({}, None),
    ],
)
def test_half_a_wish_is_none(changes: dict[str, object], soc_pct: float | None) -> None:
    assert of_vehicle(replace(SAYS, **changes), soc_pct, 20.0) is None  # type: ignore[arg-type]


def running(**owner: object) -> Stand:
    """In energy; the vehicle wants 8 kWh more in 4 h."""
    stand = Stand(owner=config.Owner(departure="", **owner))  # type: ignore[arg-type]
    vehicle = stand.vehicles[1]
    said, departs = vehicle.state, stand.mono + 4 * 3600.0

    def state() -> VehicleState:
        needs = VehicleNeeds(target_wh=8_000.0)
        return replace(said(), departure_mono=departs, needs=needs)

    vehicle.state = state  # type: ignore[method-assign]
    stand.start()
    return stand


def promised(stand: Stand) -> Promise | None:
    return stand.report().snapshot.session.promise


def test_the_vehicles_wish_is_promised_and_not_told_back() -> None:
    stand = running()
    wish = promised(stand)
    assert wish is not None
    assert wish.by_vehicle
    assert wish.target_soc_pct == pytest.approx(80.0, abs=1.0)
    assert wish.slack_s is not None
    assert stand.vehicles[1].last.promise is None


def test_the_owners_wish_comes_first_and_is_told() -> None:
    stand = running()
    stand.cycle.request(PromiseRequest(1, stand.mono + 7200.0, 95.0))
    stand.run(2.0)
    wish = promised(stand)
    assert wish is not None
    assert (wish.by_vehicle, wish.target_soc_pct) == (False, 95.0)
    assert stand.vehicles[1].last.promise == wish


def test_it_can_be_switched_off() -> None:
    assert promised(running(from_vehicle=False)) is None


def test_it_ends_with_the_session() -> None:
    stand = running()
    stand.unplug()
    stand.run(1.0)
    assert promised(stand) is None
