"""108.3 and the vehicle's own limit: numbers over time, no sequence."""

from __future__ import annotations

import pytest

from chargerd.vehicle.chademo.charge import ChargeCurrent


@pytest.mark.parametrize(
    ("cap_a", "setpoint_a", "expected"),
    [
        (30.0, 10.0, 12.0),
        (30.0, 10.2, 13.0),
        (30.0, 30.0, 30.0),
        (10.0, 10.0, 10.0),  # a cap is a cap
        (9.5, 30.0, 10.0),  # the stage holds the half ampere
        (30.0, 0.0, 0.0),
        (0.0, 10.0, 0.0),
        (100.0, 100.0, 32.0),  # never above the rating
    ],
)
def test_advertised(cap_a: float, setpoint_a: float, expected: float) -> None:
    charge = ChargeCurrent(32.9)
    assert charge.advertised_a == 32.0  # before power: what we can
    charge.update(cap_a, setpoint_a, 0.0, 10.0)
    assert charge.advertised_a == expected


def test_limit_is_the_rating_until_the_request_settles_below() -> None:
    charge = ChargeCurrent(30.0)
    for tick in range(40):  # ramping: 20 A/s up to 12 A, and there it stays
        charge.update(30.0, 20.0, min(12.0, float(tick)), tick * 0.05)
        if tick < 30:
            assert charge.limit_a == 30.0
    assert charge.limit_a == 12.0


def test_limit_is_lifted_slowly_when_the_vehicle_takes_all() -> None:
    charge = ChargeCurrent(30.0)
    for tick in range(40):
        charge.update(30.0, 20.0, 12.0, tick * 0.05)
    assert charge.limit_a == 12.0
    charge.update(30.0, 12.0, 14.0, 2.05)
    assert charge.limit_a == pytest.approx(12.5)
    charge.update(30.0, 12.0, 14.0, 3.05)
    assert charge.limit_a == pytest.approx(17.5)


def test_no_offer_says_nothing_about_the_vehicle() -> None:
    charge = ChargeCurrent(30.0)
    for tick in range(100):
        charge.update(30.0, 0.0, 0.0, tick * 0.05)
    assert charge.limit_a == 30.0
