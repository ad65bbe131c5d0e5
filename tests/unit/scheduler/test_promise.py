"""The must-charge line, the floor, the reach, and what is known of the battery."""

from __future__ import annotations

import math
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from chargerd.model import Promise
from chargerd.scheduler import battery, promise
from chargerd.scheduler.battery import Estimate, Rate
from chargerd.scheduler.promise import FREE, Line, Plant
from tests.unit.scheduler.stand import at

PLANT = Plant(power_w=10_000.0, efficiency=1.0, rate=1.0)
HALF = Estimate(50.0, 40_000.0)


@pytest.mark.parametrize(
    ("energy", "target", "seconds"),
    [
        (20_000.0, 30_000.0, 3600.0),
        (30_000.0, 20_000.0, 0.0),
        (20_000.0, 32_000.0, 1.2 * 3600.0),
        (32_000.0, 36_000.0, 8_000 / 10_000 * math.log(2.0) * 3600.0),
        (34_000.0, 36_000.0, 8_000 / 10_000 * math.log(6 / 4) * 3600.0),
        (24_000.0, 36_000.0, (0.8 + 0.8 * math.log(2.0)) * 3600.0),
    ],
)
def test_need(energy: float, target: float, seconds: float) -> None:
    need = promise.need_s(energy, target, 40_000.0, PLANT)
    assert need == pytest.approx(seconds)


def test_need_without_power_is_for_ever_and_full_is_finite() -> None:
    assert promise.need_s(0.0, 1.0, 40_000.0, replace(PLANT, power_w=0.0)) == math.inf
    assert math.isfinite(promise.need_s(0.0, 40_000.0, 40_000.0, PLANT))


@pytest.mark.parametrize("left_s", [600.0, 3600.0, 9000.0])
def test_reach_is_the_inverse_of_need(left_s: float) -> None:
    reach = promise.reachable_wh(10_000.0, 40_000.0, 40_000.0, PLANT, left_s)
    assert promise.need_s(10_000.0, reach, 40_000.0, PLANT) == pytest.approx(
        left_s, rel=1e-3
    )


def draw(
    left_s: float,
    *,
    estimate: Estimate = HALF,
    target: float = 75.0,
    floor: float = 20.0,
    before: Line = FREE,
    plant: Plant = PLANT,
) -> Line:
    wish = Promise(left_s, target)
    return promise.draw(wish, estimate, plant, floor, 7000.0, before, 0.0)


@pytest.mark.parametrize(
    ("left_s", "must", "discharge"),
    [
        (7200.0, False, True),
        (3700.0, False, True),
        (3679.0, False, True),
        (3677.5, False, False),  # one second of discharge would cross the line
        (3676.0, True, False),
        (600.0, True, False),
        (-1.0, False, True),  # departure has passed
    ],
)
def test_line(left_s: float, must: bool, discharge: bool) -> None:
    line = draw(left_s)  # needs 3600 s, margin 5 + 72 s
    assert (line.must_charge, line.discharge_ok) == (must, discharge)


def test_forced_charge_does_not_flutter() -> None:
    forced = draw(3600.0)
    assert draw(3700.0, before=forced).must_charge
    assert not draw(4200.0, before=forced).must_charge


def test_force_ends_at_the_target_and_what_was_met_is_not_spent() -> None:
    forced = draw(60.0)
    met = draw(60.0, estimate=Estimate(75.0, 40_000.0), before=forced)
    assert not met.must_charge
    assert not met.discharge_ok


def test_unreachable_says_how_far() -> None:
    line = draw(1800.0)
    assert line.must_charge
    assert line.reachable_pct == pytest.approx(62.5, abs=0.1)
    assert draw(7200.0).reachable_pct == 75.0


def test_slower_vehicle_moves_the_line() -> None:
    assert not draw(4000.0).must_charge
    assert draw(4000.0, plant=replace(PLANT, rate=0.8)).must_charge


@pytest.mark.parametrize(
    ("estimate", "must", "discharge"),
    [
        (Estimate(), True, False),
        (Estimate(50.0, None), True, False),
        (Estimate(80.0, None), False, False),
    ],
)
def test_unknown_battery_leans_to_charging(
    estimate: Estimate, must: bool, discharge: bool
) -> None:
    line = draw(90_000.0, estimate=estimate)
    assert (line.must_charge, line.discharge_ok) == (must, discharge)


@pytest.mark.parametrize(
    ("soc", "held", "ok"),
    [(25.0, False, True), (20.0, False, False), (20.5, False, True),
     (20.5, True, False), (21.2, True, True)],
)  # fmt: skip
def test_floor_without_a_promise(soc: float, held: bool, ok: bool) -> None:
    before = Line(discharge_ok=not held, floor_held=held)
    estimate = Estimate(soc, 40_000.0)
    line = promise.draw(None, estimate, PLANT, 20.0, 7000.0, before, 0.0)
    assert line.discharge_ok is ok
    assert line.floor_held is not ok


@pytest.mark.parametrize(
    ("departure", "hours"),
    [("18:00", 1.0), ("17:00", 24.0), ("07:30", 14.5), ("", None)],
)
def test_next_departure(departure: str, hours: float | None) -> None:
    now = at(0.0)  # 08:00 UTC is 17:00 in Tokyo
    found = promise.next_departure(departure, ZoneInfo("Asia/Tokyo"), now)
    expected = None if hours is None else now.mono + hours * 3600.0
    assert found == (None if expected is None else pytest.approx(expected))


def test_no_departure_by_a_clock_nobody_vouches_for() -> None:
    now = replace(at(0.0), trusted=False)
    assert promise.next_departure("07:30", ZoneInfo("Asia/Tokyo"), now) is None


def _estimate(*steps: tuple[float | None, float, float]) -> Estimate:
    found = Estimate()
    for soc, in_wh, out_wh in steps:
        found = battery.estimate(found, soc, 40_000.0, in_wh, out_wh, 0.9)
    return found


@pytest.mark.parametrize(
    ("steps", "soc"),
    [
        ([(60.0, 0, 0)], 60.0),
        ([(60.0, 0, 0), (60.0, 222.2, 0)], 60.5),
        ([(60.0, 0, 0), (60.0, 2000.0, 0)], 60.99),
        ([(60.0, 0, 0), (60.0, 0, 90.0)], 59.75),
        ([(60.0, 0, 0), (60.0, 0, 900.0)], 59.5),
        # It rose by one while charging: that is just 61. Fallen by one while feeding
        # out it was just 60, and at most what was counted.
        ([(60.0, 0, 0), (60.0, 400.0, 0), (61.0, 400.0, 0)], 61.0),
        ([(60.0, 0, 0), (61.0, 600.0, 0)], 61.0),
        ([(60.0, 0, 0), (59.0, 0, 100.0)], 59.72),
        ([(60.0, 0, 0), (59.0, 0, 500.0)], 58.61),
        ([(60.0, 0, 0), (59.0, 400.0, 0)], 59.0),  # fell while charging: a new gauge
        ([(60.0, 0, 0), (57.0, 0, 100.0)], 57.0),
        ([(60.0, 0, 0), (62.0, 100.0, 0)], 61.5),
        ([(60.0, 0, 0), (None, 0, 0)], None),
        ([(60.0, 0, 0), (101.0, 0, 0)], None),
    ],
)
def test_estimate_between_steps(
    steps: list[tuple[float | None, float, float]], soc: float | None
) -> None:
    found = _estimate(*steps).soc_pct
    assert found == (None if soc is None else pytest.approx(soc, abs=0.01))


def _rate(ratios: list[float], seconds: int = 12) -> float:
    rate, now = Rate(), 0.0
    for ratio in ratios:
        for _ in range(seconds):
            now += 1.0
            rate.add(7000.0, 7000.0 * ratio, 7000.0, now)
    return rate.value


def test_rate_is_the_worst_of_the_hour_and_never_above_095() -> None:
    assert _rate([]) == 0.95
    assert _rate([1.0] * 10) == 0.95
    assert _rate([0.99] * 10 + [0.7] * 3) == pytest.approx(0.7, abs=0.03)
    assert _rate([0.7] + [0.99] * 40) == 0.95, "under 5 % of the time"
    assert _rate([0.0] * 5) == 0.10


def test_rate_half_an_hour_of_full_power_counts_up_to_098() -> None:
    assert _rate([1.0] * 140) == 0.95
    assert _rate([1.0] * 160) == 0.98
    assert _rate([0.96] * 160) == pytest.approx(0.96)
    assert _rate([1.0] * 160 + [0.8] * 20) == pytest.approx(0.8)
    assert _rate([0.7] * 30 + [1.0] * 310) == 0.98, "what is over an hour old is gone"


def test_rate_long_ticks_say_the_same() -> None:
    assert _rate([1.0] * 40, 60) == _rate([1.0] * 200) == 0.98
    assert _rate([0.8] * 3, 60) == pytest.approx(_rate([0.8] * 15))


def test_rate_part_load_hides_no_lost_power() -> None:
    """A charger that is down to 5.7 kW still delivers 4 kW, and for hours."""
    rate = Rate()
    for second in range(60):
        rate.add(7000.0, 5740.0, 7000.0, float(second))
    for second in range(60, 9000):
        rate.add(4000.0, 3990.0, 7000.0, float(second))
    assert rate.value == pytest.approx(0.82)
    for second in range(9000, 9060):
        rate.add(4000.0, 2000.0, 7000.0, float(second))
    assert rate.value == pytest.approx(0.82), "under 5 % of the time"
    for second in range(9060, 9600):
        rate.add(4000.0, 2000.0, 7000.0, float(second))
    assert rate.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("told_w", "soc", "volts", "counted"),
    [
        (5000.0, 60.0, 350.0, 6000.0),  # a slow vehicle moves the line too
        (5000.0, 85.0, 350.0, 5000.0),  # its taper is its own
        (6400.0, 85.0, 350.0, 6000.0),  # trimmed up
        (6000.0, 85.0, 405.0, 0.0),  # its voltage may hold the current down
        (0.0, 85.0, 350.0, 0.0),  # AC: nobody tells a stage
        (6000.0, 85.0, 0.0, 0.0),
        (6000.0, None, 350.0, 0.0),
    ],
)
def test_above_the_knee_only_the_charger_is_learnt(
    told_w: float, soc: float | None, volts: float, counted: float
) -> None:
    assert battery.counted_w(6000.0, told_w, soc, 80.0, volts, 410.0) == counted
    assert battery.counted_w(-6000.0, told_w, soc, 80.0, volts, 410.0) == 0.0


def test_rate_a_turn_to_discharge_and_back_is_not_steady() -> None:
    """The same command after a break: what flows then is still on its way to it."""
    rate, now = Rate(), 0.0
    for _turn in range(5):
        for step in range(1500):  # 75 s of ticks
            now += 0.05
            late_w = -4000.0 if step < 60 else 2500.0  # 3 s until the vehicle follows
            rate.add(2500.0, late_w, 2500.0, now)
        for _ in range(1200):
            now += 0.05
            rate.add(0.0, -2500.0, 2500.0, now)
    assert rate.value == 0.95


def test_rate_one_sample_is_no_slot() -> None:
    rate = Rate()
    for tick in range(140):  # 7 s of ticks: settled for 2 s
        rate.add(7000.0, 7000.0 if tick > 101 else 700.0, 7000.0, tick * 0.05)
    assert rate.value == 0.95


def test_rate_ignores_discharge_small_power_and_transients() -> None:
    rate = Rate()
    for second in range(100):
        rate.add(-7000.0, -100.0, 7000.0, float(second))
        rate.add(300.0, 0.0, 7000.0, float(second))
    for second in range(100, 200):
        rate.add(5000.0 + 100.0 * (second % 2), 0.0, 7000.0, float(second))
    assert rate.value == 0.95
