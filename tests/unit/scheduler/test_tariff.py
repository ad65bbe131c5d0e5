"""The tariff as a schedule: 24 h in local time, days that are not 24 h long."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from chargerd.clock import Now
from chargerd.config import Tariff
from chargerd.model import EnergySchedule, SchedulePart, VehicleSchedule
from chargerd.scheduler.tariff import HORIZON_S, REMAKE_S, Prices, plan
from tests.unit.scheduler.stand import Stand

TOKYO, LONDON = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/London")
TARIFF = Tariff.model_validate(
    {
        "currency": "JPY",
        "parts": [
            {"begins": "23:00", "buy_per_kwh": 28.0},
            {"begins": "07:00", "buy_per_kwh": 35.0, "sell_per_kwh": 16.0},
        ],
    }
)


def at(text: str, *, trusted: bool = True) -> Now:
    return Now(1000.0, datetime.fromisoformat(text).replace(tzinfo=UTC), trusted)


@pytest.mark.parametrize(
    ("utc", "zone", "parts"),
    [
        # 12:00 in Tokyo: dear for 11 h, cheap for 8 h, dear again
        ("2026-11-25T03:00", TOKYO, [(0, 35.0), (11, 28.0), (19, 35.0)]),
        ("2026-11-25T14:00", TOKYO, [(0, 28.0), (8, 35.0)]),  # 23:00 sharp
        ("2026-11-24T16:00", TOKYO, [(0, 28.0), (6, 35.0), (22, 28.0)]),  # 01:00
        # the clocks go back at 02:00: the night is an hour longer
        ("2026-10-24T23:00", LONDON, [(0, 28.0), (8, 35.0)]),
        # and forward: an hour shorter
        ("2026-03-28T23:00", LONDON, [(0, 28.0), (7, 35.0), (23, 28.0)]),
    ],
)
def test_the_next_day(
    utc: str, zone: ZoneInfo, parts: list[tuple[float, float]]
) -> None:
    made = plan(TARIFF, zone, at(utc), 9_000.0, -6_000.0)
    hours = [((p.start_mono - 1000.0) / 3600.0, p.buy_per_kwh) for p in made.parts]
    assert hours == parts
    assert made.until_mono == 1000.0 + HORIZON_S
    assert made.currency == "JPY"
    assert {(p.charge_w, p.discharge_w) for p in made.parts} == {(9_000.0, -6_000.0)}


@pytest.mark.parametrize("begins", [("01:00", "02:00"), ("01:30", "02:00")])
def test_a_part_in_the_hour_that_clocks_skip_is_none(begins: tuple[str, ...]) -> None:
    """01:00 to 02:00 in London; as 01:30 begins after 02:00, it would be the last."""
    rows = [{"begins": row, "buy_per_kwh": n} for n, row in enumerate(begins, 1)]
    tariff = Tariff.model_validate({"currency": "GBP", "parts": rows})
    made = plan(tariff, LONDON, at("2026-03-28T23:00"), 1.0, 0.0)
    hours = [((p.start_mono - 1000.0) / 3600.0, p.buy_per_kwh) for p in made.parts]
    assert hours == [(0.0, 2.0), (2.0, 2.0)]


def test_one_price_all_day() -> None:
    flat = Tariff.model_validate(
        {"currency": "EUR", "parts": [{"begins": "12:00", "buy_per_kwh": 0.3}]}
    )
    made = plan(flat, TOKYO, at("2026-11-25T03:30"), 1.0, 0.0)
    assert [p.buy_per_kwh for p in made.parts] == [0.3, 0.3]
    assert made.parts[0].start_mono == 1000.0


def test_without_tariff_or_time_there_is_none() -> None:
    assert Prices(None, TOKYO).schedule(1, at("2026-11-25T03:00"), 1.0, 0.0) is None
    unknown = at("2026-11-25T03:00", trusted=False)
    assert Prices(TARIFF, TOKYO).schedule(1, unknown, 1.0, 0.0) is None


def test_it_stays_the_same_for_a_while() -> None:
    prices, now = Prices(TARIFF, TOKYO), at("2026-11-25T03:00")
    first = prices.schedule(1, now, 1.0, 0.0)
    soon = Now(now.mono + REMAKE_S - 1.0, now.utc)
    assert prices.schedule(1, soon, 1.0, 0.0) is first
    assert prices.schedule(2, soon, 5.0, 0.0) is not first
    later = Now(now.mono + REMAKE_S, now.utc)
    assert prices.schedule(1, later, 1.0, 0.0) is not first


def test_the_vehicle_is_told() -> None:
    stand = Stand()
    stand.cycle._prices = Prices(TARIFF, TOKYO)
    stand.plug()
    stand.run(0.2)
    told = stand.vehicles[1].last.schedule
    assert told is not None
    assert told.parts[0].charge_w == 7400.0
    assert told.parts[0].discharge_w == -7400.0


def test_the_central_systems_schedule_reaches_the_vehicle_inside_the_ratings() -> None:
    """And the wait for it; without one the owner's frame holds again."""
    stand = Stand()
    stand.plug()
    stand.run(0.2)
    parts = (SchedulePart(stand.mono, 99_000.0, -99_000.0), SchedulePart(9e9, 5.0, 0.0))
    told = EnergySchedule(parts, 1e10)
    stand.cycle.request(VehicleSchedule(1, told, stand.mono + 1.0))
    stand.run(0.1)
    offer = stand.vehicles[1].last
    assert offer.schedule_awaited
    assert offer.schedule is not None
    first, last = offer.schedule.parts
    assert (first.charge_w, first.discharge_w) == (7_400.0, -7_400.0)
    assert (last.charge_w, last.discharge_w) == (5.0, 0.0)
    stand.run(1.0)
    again = stand.vehicles[1].last
    assert not again.schedule_awaited
    assert again.schedule is offer.schedule  # the same value: no new question
    stand.cycle.request(VehicleSchedule(1, None))
    stand.run(0.1)
    assert stand.vehicles[1].last.schedule is None
