"""Reserves: from hours in the configuration to blocks, steps, and what is offered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from chargerd import config
from chargerd.clock import Now
from chargerd.config_plan import Reserve, SitePlan
from chargerd.scheduler.planner import horizon, reserve, rule, shape
from tests.unit.planner.test_envelope import HOUR, NOW, PRICES, SITE, WEAR

TOKYO = ZoneInfo("Asia/Tokyo")
EVENING = Now(NOW, datetime(2026, 11, 23, 12, 0, tzinfo=UTC))  # 21:00 there


def row(**values: object) -> Reserve:
    return Reserve.model_validate({"name": "fcr", "up_w": 3000.0} | values)


@pytest.mark.parametrize(
    ("values", "hours"),
    [
        # 4 h blocks of the whole day, the one that has begun from now on.
        ({}, [(0, 3), (3, 7), (7, 11), (11, 15)]),
        ({"begins": "17:00", "ends": "20:00"}, [(20, 23), (44, 47)]),
        ({"begins": "20:00", "ends": "23:00"}, [(0, 2), (23, 26), (47, 50)]),
        ({"begins": "22:00", "ends": "06:00"}, [(1, 5), (5, 9), (25, 29), (29, 33)]),
        ({"begins": "00:00", "ends": "01:00"}, [(3, 4), (27, 28)]),
        (
            {"begins": "21:30", "ends": "22:30", "block_s": 1800},
            [(0.5, 1), (1, 1.5), (24.5, 25), (25, 25.5)],
        ),
    ],
)
def test_blocks_lie_on_local_time(
    values: dict[str, object], hours: list[tuple[float, float]]
) -> None:
    found = [
        ((start - NOW) / HOUR, (end - NOW) / HOUR)
        for start, end in reserve.blocks(row(**values), TOKYO, EVENING)
    ]
    assert found[: len(hours)] == hours


def site(**values: object) -> config.Site:
    return config.Site.model_validate(values)


def test_a_frequency_service_is_a_reserve_that_is_sold() -> None:
    points = [[-0.2, -1.0], [0.2, 1.0]]
    given = site(
        nominal_hz=50,
        grid_code={"services": {"fcr": {"points": points, "hold_s": 900}}},
        frequency_service={"name": "fcr", "power_w": 4000},
        plan={"reserve": [{"name": "afrr", "up_w": 1000, "per_kw_h": 2.0}]},
    )
    first, other = reserve.windows(given, TOKYO, EVENING)
    assert (first.up_w, first.down_w, first.hold_s) == (4000.0, 4000.0, 900.0)
    assert (first.per_kw_h, len(first.blocks_mono)) == (None, 1)
    assert (other.name, other.per_kw_h) == ("afrr", 2.0)
    # Hours mean nothing while the time of day is not known.
    unsure = replace(EVENING, trusted=False)
    assert [w.name for w in reserve.windows(given, TOKYO, unsure)] == ["frequency.fcr"]


def test_from_configuration_to_the_plans_corridor_and_the_offer() -> None:
    plan = {"reserve": [{"name": "peak", "up_w": 2000, "begins": "22:00",
                         "ends": "23:00", "hold_s": 1800}]}  # fmt: skip
    windows = reserve.windows(site(plan=plan), TOKYO, EVENING)
    found = horizon.make(SITE, PRICES, WEAR, NOW, windows)
    assert found is not None
    ((first, end),) = found.problem.reserves[0].blocks
    edges = found.edges_mono
    assert (edges[first], edges[end]) == (NOW + HOUR, NOW + 2 * HOUR)
    solution = rule.solve(found.problem)
    (made,) = shape.plans(found, solution, 0.0, "JPY", NOW)
    kept = [(made.at(NOW + h * HOUR) or made.parts[0]).up_w for h in (0.5, 1.5)]
    assert kept == [0.0, 2000.0]
    (offer,) = shape.offers(found, solution, EVENING)
    assert offer == {
        "name": "peak",
        "sold": True,
        "from_utc": "2026-11-23T13:00:00+00:00",
        "until_utc": "2026-11-23T14:00:00+00:00",
        "up_w": 2000.0,
        "down_w": 0.0,
    }


def test_the_solver_sells_what_pays_and_keeps_it_free() -> None:
    solver = pytest.importorskip("chargerd.scheduler.planner.solver")
    rows = (row(up_w=3000.0, down_w=3000.0, per_kw_h=50.0, name="fcr"),)
    plan = SitePlan(wear_per_kwh=0.02, reserve=rows)
    windows = reserve.windows(site(plan=plan.model_dump()), TOKYO, EVENING)
    found = horizon.make(SITE, PRICES, plan, NOW, windows)
    assert found is not None
    solution = solver.solve(found.problem)
    assert solution.shares[0][0] == pytest.approx(1.0)  # the first block: 3 h
    (made,) = shape.plans(found, solution, 0.0, "JPY", NOW)
    for part in made.parts:
        if part.start_mono < NOW + 3 * HOUR - 1.0:
            assert part.low_w - 1.0 <= part.wish_w <= part.high_w + 1.0
            assert (part.up_w, part.down_w) == pytest.approx((3000.0, 3000.0))
