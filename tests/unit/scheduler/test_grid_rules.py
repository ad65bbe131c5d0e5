"""The network operator's rules at one EVSE: what each does to power, and when.

Curves and trip times in the shapes of IEEE 1547-2018 and VDE-AR-N 4105 (OCPP 2.1
part 2, R 2.7); the values are the tests' own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.model import Curve, GridRulesRequest
from chargerd.model_grid import (
    EnterService,
    FeedCurve,
    FrequencyDroop,
    GridRules,
    Hysteresis,
    MeanVoltage,
    PowerWatch,
    Reactive,
    Trip,
)
from chargerd.scheduler import bounds, grid_rules, grid_trips
from chargerd.scheduler.decide import decide
from chargerd.scheduler.grid_rules import Plate
from chargerd.scheduler.grid_trips import Grid
from chargerd.scheduler.terms import Verdict
from firmware_bridge.api import MeterReading, Reading, StageMode
from tests.unit.scheduler.stand import Stand
from tests.unit.scheduler.test_decide import FREE, MONO, SITE, SNAP, UNIT, ask

WELL = Grid(hertz=50.0, volts_low=1.0, volts_high=1.0, feed_share=0.0)
HIGH_HZ = Trip(
    "hf",
    "frequency",
    over=True,
    curve=Curve("frequency", ((51.0, 10.0), (51.5, 10.0), (51.5, 1.0), (52.5, 0.0))),
)
LOW_V = Trip(
    "lv",
    "voltage",
    over=False,
    curve=Curve("voltage", ((0.5, 0.2), (0.9, 2.2))),
)
ENTER = EnterService("es", 49.9, 50.1, 0.92, 1.06, delay_s=60.0, ramp_s=100.0)
SOON = replace(ENTER, delay_s=20.0, ramp_s=0.0)


def fold(
    rules: GridRules, course: Iterator[tuple[float, Grid]], reenter_s: float = 300.0
) -> list[tuple[float, str]]:
    """(time, who stops power) whenever that changes."""
    state, told, out = grid_rules.REST, "", []
    for mono, grid in course:
        state = grid_rules.step(state, rules, grid, mono, reenter_s)
        name = grid_trips.stop_name(state.trips, rules)
        if name != told:
            out.append((round(mono, 2), name))
            told = name
    return out


def course(
    seconds: float, seen: Callable[[float], Grid], step_s: float = 0.1
) -> Iterator[tuple[float, Grid]]:
    return ((n * step_s, seen(n * step_s)) for n in range(int(seconds / step_s)))


def hertz(value: float) -> Grid:
    return replace(WELL, hertz=value)


def volts(value: float) -> Grid:
    return replace(WELL, volts_low=value, volts_high=max(1.0, value))


@pytest.mark.parametrize(
    ("trip", "grid", "after_s"),
    [
        (HIGH_HZ, hertz(51.0), None),  # on the edge is inside
        (HIGH_HZ, hertz(51.2), 10.0),
        (HIGH_HZ, hertz(51.6), 0.9),  # between (51.5, 1 s) and (52.5, 0 s)
        (HIGH_HZ, hertz(52.0), 0.5),
        (HIGH_HZ, hertz(55.0), 0.0),
        (HIGH_HZ, hertz(45.0), None),
        (LOW_V, volts(0.95), None),
        (LOW_V, volts(0.7), 1.2),  # half way between (0.5, 0.2 s) and (0.9, 2.2 s)
        (LOW_V, volts(0.1), 0.2),
        (HIGH_HZ, replace(WELL, hertz=None), None),
    ],
)
def test_a_trip_comes_after_the_curve_s_time(
    trip: Trip, grid: Grid, after_s: float | None
) -> None:
    rules = GridRules(trips=(trip,))
    found = fold(rules, course(20.0, lambda t: grid if t >= 1.0 else WELL))
    if after_s is None:
        assert found == []
    else:
        ((at_s, name),) = found
        assert name == trip.name
        assert at_s == pytest.approx(1.0 + after_s, abs=0.11)


def test_time_beyond_a_level_counts_while_the_value_moves_beyond_it() -> None:
    """5 s at 51.2 and then 51.4: beyond 51.2 all the time, so 10 s in all."""
    rules = GridRules(trips=(HIGH_HZ,))

    def rising(at_s: float) -> Grid:
        return hertz(51.2 if at_s < 5.0 else 51.4)

    def back_and_again(at_s: float) -> Grid:
        return WELL if 5.0 <= at_s < 5.5 else hertz(51.2)

    def falling(at_s: float) -> Grid:
        return hertz(51.6 if at_s < 0.5 else 51.2)

    assert fold(rules, course(30.0, rising)) == [(10.0, "hf")]
    assert fold(rules, course(30.0, back_and_again)) == [(15.5, "hf")]
    assert fold(rules, course(30.0, falling)) == [(10.0, "hf")]


@given(st.lists(st.floats(49.0, 53.0), min_size=1, max_size=60))
def test_trips_are_those_of_a_slow_oracle(values: list[float]) -> None:
    """Trip when for some level the value was beyond it for the level's time."""
    rules, step_s = GridRules(trips=(HIGH_HZ,)), 0.5
    values = [round(value, 2) for value in values]

    def oracle(slack_s: float) -> float:
        for end in range(len(values)):
            for start in range(end, -1, -1):
                level = min(values[start : end + 1])
                if level <= 51.0:
                    break
                if (end - start) * step_s >= HIGH_HZ.curve.at(level) + slack_s:
                    return end * step_s
        return math.inf

    found = fold(
        rules,
        ((n * step_s, hertz(value)) for n, value in enumerate(values)),
        reenter_s=math.inf,
    )
    at_s = found[0][0] if found else math.inf
    assert oracle(-1e-6) <= at_s <= oracle(1e-6)


def test_power_comes_back_after_the_window_s_delay_and_grows() -> None:
    rules = GridRules(trips=(HIGH_HZ,), enter=ENTER)

    def event(at_s: float) -> Grid:
        if at_s < 2.0:
            return hertz(53.0)
        return hertz(50.5 if at_s < 10.0 else 50.0)  # 50.5 Hz is outside the window

    assert fold(rules, course(80.0, event)) == [
        (0.0, "hf"), (10.0, "es"), (70.0, ""),
    ]  # fmt: skip
    state = grid_trips.State(entered_mono=70.0)
    assert grid_trips.growth(state, rules, 95.0) == (0.25, "es")
    assert grid_trips.growth(state, rules, 170.0)[0] == 1.0
    soft = replace(rules, soft_s=200.0, soft_name="soft")
    assert grid_trips.growth(state, soft, 120.0) == (0.25, "soft")


def test_power_grows_on_both_sides_after_it_came_back() -> None:
    rules = GridRules(feed_curves=(FREQ_WATT,), enter=ENTER)
    state = grid_rules.step(grid_rules.REST, rules, WELL, 70.0, 0.0)
    assert list(grid_rules.caps(state, rules, WELL, 70.0)) == []
    entered = replace(state, trips=grid_trips.State(entered_mono=70.0))
    (cap,) = grid_rules.caps(entered, rules, WELL, 95.0)
    assert (cap.name, cap.low, cap.high) == ("es", -0.25, 0.25)
    assert list(grid_rules.caps(entered, rules, WELL, 170.0)) == []


@pytest.mark.parametrize(
    ("setpoint_w", "power_w"), [(7000.0, 700.0), (-6000.0, -600.0)]
)
def test_each_side_grows_to_its_own_rating(setpoint_w: float, power_w: float) -> None:
    """A tenth of the ramp's 100 s is over."""
    state = grid_rules.State(grid_trips.State(entered_mono=MONO))
    verdict = at(GridRules(enter=ENTER), setpoint_w, 10.1, state=state)
    assert verdict.wanted_w == pytest.approx(power_w, rel=0.02)
    assert verdict.source == "es"


def test_without_a_window_the_grid_code_s_delay_counts() -> None:
    rules = GridRules(trips=(HIGH_HZ,))
    found = fold(rules, course(40.0, lambda t: hertz(53.0) if t < 1.0 else WELL), 30.0)
    assert found == [(0.0, "hf"), (31.0, "")]


def test_a_momentary_cessation_ends_with_its_cause() -> None:
    rules = GridRules(trips=(replace(LOW_V, momentary=True),), enter=ENTER)
    found = fold(rules, course(9.0, lambda t: volts(0.1) if 1.0 <= t < 3.0 else WELL))
    assert found == [(1.2, "lv"), (3.0, "")]


def test_unknown_is_not_well() -> None:
    rules = GridRules(trips=(HIGH_HZ,), enter=ENTER)

    def blind(at_s: float) -> Grid:
        return hertz(53.0) if at_s < 1.0 else replace(WELL, volts_low=None)

    assert fold(rules, course(300.0, blind, 1.0)) == [(0.0, "hf")]


def test_unknown_is_not_well_without_a_window_either() -> None:
    """The delay counts from the moment the grid is seen again."""
    rules = GridRules(trips=(HIGH_HZ,))

    def blind(at_s: float) -> Grid:
        return hertz(53.0) if at_s < 1.0 else replace(WELL, hertz=None)

    def back(at_s: float) -> Grid:
        return blind(at_s) if at_s < 100.0 else WELL

    found = fold(rules, course(300.0, back, 1.0), 30.0)
    assert found == [(0.0, "hf"), (130.0, "")]


def test_the_power_watch_trips_off_its_curve() -> None:
    """VDE-AR-N 4105 5.5.2: more than agreed may be fed for a while only."""
    curve = Curve("time", ((0.0, 1.0), (10.0, 0.5)))
    rules = GridRules(watch=PowerWatch("pm", curve, 0.5))
    feeds = replace(WELL, feed_share=0.75)
    assert fold(rules, course(20.0, lambda t: feeds)) == [(5.1, "pm")]
    at_limit = replace(WELL, feed_share=0.5)
    assert fold(rules, course(20.0, lambda t: at_limit)) == []


def test_the_mean_of_ten_minutes_trips_where_no_moment_would() -> None:
    """At 1.12 from nominal on the mean is 1.10 after 500 s; 3 s later it must trip."""
    rules = GridRules(mean=MeanVoltage("mean", 1.1, 3.0), enter=ENTER)

    def high(at_s: float) -> Grid:
        return volts_high(1.12 if at_s < 600.0 else 1.0)

    found = fold(rules, course(1400.0, high, 1.0))
    assert found[0] == (pytest.approx(505.0, abs=5.0), "mean")
    assert [name for _, name in found] == ["mean", "es", ""]
    assert 600.0 + 60.0 <= found[2][0] <= 600.0 + 60.0 + 130.0
    assert fold(rules, course(1400.0, lambda t: volts_high(1.09), 1.0)) == []
    peaks = course(1400.0, lambda t: volts_high(1.3 if t % 60 < 10 else 1.0), 1.0)
    assert fold(rules, peaks) == []


def volts_high(value: float) -> Grid:
    return replace(WELL, volts_high=value)


def at(
    rules: GridRules,
    setpoint_w: float,
    seconds: float = 10.0,
    *,
    plate: Plate = grid_rules.NO_PLATE,
    measured_w: float = 0.0,
    state: grid_rules.State = grid_rules.REST,
    **site: object,
) -> Verdict:
    """The verdict after so long at one place of the grid."""
    unit = replace(UNIT, plate=plate)
    unit = replace(unit, code=grid_rules.overlaid(unit.code, rules, 50.0))
    verdict, power_w = None, setpoint_w
    ctx = replace(FREE, rules=rules, ruled=state)
    for tick in range(int(seconds / 0.1)):
        now = replace(SNAP.now, mono=MONO + tick * 0.1)
        limits = replace(SNAP.vehicle.limits, at_mono=now.mono)  # type: ignore[type-var]
        meter = Reading(MeterReading(measured_w, 0.0, 0.0), now.mono)
        snap = replace(
            SNAP,
            now=now,
            signals=(ask(setpoint_w),),
            vehicle=replace(SNAP.vehicle, limits=limits, soc_at_mono=now.mono),
            telemetry=replace(SNAP.telemetry, meter=meter),
            site=replace(
                SITE,
                **{"voltage_v": 230.0, "voltage_low_v": 230.0, **site},  # type: ignore[arg-type]
            ),
        )
        verdict = decide(snap, unit, replace(ctx, power_w=power_w))
        power_w = verdict.wanted_w
        ctx = replace(ctx, carry=verdict.carry, ruled=verdict.ruled)
    assert verdict is not None
    return verdict


FREQ_WATT = FeedCurve("fw", Curve("frequency", ((50.2, 1.0), (51.2, 0.0))))
VOLT_WATT = FeedCurve("vw", Curve("voltage", ((1.06, 1.0), (1.1, 0.2))))
FIXED_PF = Reactive("pf", charge_factor=0.9, discharge_factor=-0.95)
PLATE = Plate(10_000.0, 0.8)


@pytest.mark.parametrize(
    ("rules", "setpoint_w", "site", "power_w", "source"),
    [
        (GridRules(feed_curves=(FREQ_WATT,)), -6000.0, {}, -6000.0, "ocpp.tx"),
        (
            GridRules(feed_curves=(FREQ_WATT,)), -6000.0,
            {"frequency_hz": 50.7}, -3000.0, "fw",
        ),
        (
            GridRules(feed_curves=(FREQ_WATT,)), 5000.0,
            {"frequency_hz": 50.7}, 5000.0, "ocpp.tx",
        ),
        (
            GridRules(feed_curves=(VOLT_WATT,)), -6000.0,
            {"voltage_v": 230.0 * 1.08}, -3600.0, "vw",
        ),
        (
            GridRules(feed_curves=(replace(VOLT_WATT, of_available=True),),
                      feed_share=0.5, feed_name="md"),
            -6000.0, {"voltage_v": 230.0 * 1.08}, -3000.0, "md",
        ),
        (GridRules(feed_share=0.5, feed_name="md"), -6000.0, {}, -3000.0, "md"),
        (GridRules(feed_share=0.0, feed_name="md"), -6000.0, {}, 0.0, "md"),
        (
            GridRules(droop=FrequencyDroop("fd", 50.5, 49.8, 0.05, 0.05, 0.0)),
            -6000.0, {"frequency_hz": 51.0}, -4800.0, "fd",  # 0.5 Hz of 2.5 Hz
        ),
        (
            GridRules(droop=FrequencyDroop("fd", 50.5, 49.8, 0.05, 0.04, 0.0)),
            7000.0, {"frequency_hz": 49.3}, 5250.0, "fd",  # 0.5 Hz of 2 Hz
        ),
        (GridRules(trips=(HIGH_HZ,)), -6000.0, {"frequency_hz": 51.9}, 0.0, "hf"),
        (GridRules(trips=(HIGH_HZ,)), 5000.0, {"frequency_hz": 51.9}, 0.0, "hf"),
        (GridRules(trips=(LOW_V,)), 5000.0, {"voltage_low_v": 150.0}, 0.0, "lv"),
    ],
)  # fmt: skip
def test_rules_narrow_what_flows(
    rules: GridRules,
    setpoint_w: float,
    site: dict[str, float],
    power_w: float,
    source: str,
) -> None:
    verdict = at(rules, setpoint_w, **site)  # type: ignore[arg-type]
    assert verdict.wanted_w == pytest.approx(power_w, abs=1.0)
    assert verdict.source == (source if source != "ocpp.tx" else verdict.source)
    won = [r.source for r in verdict.reasons if r.won]
    assert source in won or source == "ocpp.tx"
    assert verdict.hard_low_w <= 0.0 <= verdict.hard_high_w


def test_a_may_trip_curve_rides_through_what_the_grid_code_would_end() -> None:
    """2.5 Hz off, the code feeds nothing; with the operator's curve for as long as it
    says."""
    far = {"frequency_hz": 52.6}
    assert at(GridRules(), -6000.0, 1.0, **far).wanted_w == 0.0  # type: ignore[arg-type]
    ride = replace(HIGH_HZ, curve=Curve("frequency", ((51.0, 5.0), (53.0, 5.0))))
    rules = GridRules(trips=(ride,))
    assert at(rules, -6000.0, 4.0, **far).wanted_w == -6000.0  # type: ignore[arg-type]
    assert at(rules, -6000.0, 6.0, **far).wanted_w == 0.0  # type: ignore[arg-type]


def test_a_curve_s_response_time_is_to_90_pct_and_its_return_waits() -> None:
    slow = replace(FREQ_WATT, response_s=5.0)
    state = grid_rules.step(
        grid_rules.REST, GridRules(feed_curves=(slow,)), hertz(50.0), 0.0, 0.0
    )
    for n in range(1, 51):
        rules = GridRules(feed_curves=(slow,))
        state = grid_rules.step(state, rules, hertz(51.2), n * 0.1, 0.0)
    assert dict(state.shares)["fw"].share == pytest.approx(0.1, abs=0.005)
    back = Hysteresis(49.9, 50.1, delay_s=10.0, gradient_per_s=0.01)
    rules = GridRules(feed_curves=(replace(slow, hysteresis=back),))
    shares = []
    for n in range(400):
        here = hertz(50.15 if n < 100 else 50.0)
        state = grid_rules.step(state, rules, here, 5.0 + n * 0.1, 0.0)
        shares.append(dict(state.shares)["fw"].share)
    assert shares[199] == pytest.approx(0.1, abs=0.005)  # 10 s outside, 10 s inside
    assert shares[399] == pytest.approx(0.3, abs=0.01)  # then 1 % a second


@pytest.mark.parametrize(
    ("rule", "power_w", "grid", "var"),
    [
        (FIXED_PF, 3000.0, WELL, 3000.0 * math.tan(math.acos(0.9))),
        (FIXED_PF, -3000.0, WELL, -3000.0 * math.tan(math.acos(0.95))),
        (Reactive("x", share=-0.5), -3000.0, WELL, -3000.0),
        (Reactive("x", share=-0.5, of_available=True), -9000.0, WELL, -2179.4),
        (
            Reactive("x", over_volts=Curve("voltage", ((1.0, 0.0), (1.1, 0.5)))),
            -3000.0, volts(1.05), 1500.0,
        ),
        (
            Reactive("x", over_volts=Curve("voltage", ((1.0, 0.0), (1.1, 0.5)))),
            -3000.0, replace(WELL, volts_high=None), 0.0,
        ),
        (
            Reactive("x", over_power=Curve("power", ((0.0, 0.0), (1.0, 0.4)))),
            -3000.0, WELL, 1200.0,
        ),
        (
            Reactive("x", factor_over_power=Curve("power", ((0.5, 0.0), (1.0, 0.1)))),
            -6000.0, WELL, 6000.0 * math.tan(math.acos(0.9)),
        ),
        (
            Reactive("x", factor_over_power=Curve("power", ((0.5, 0.0), (1.0, 0.1)))),
            -3000.0, WELL, 0.0,
        ),
    ],
)  # fmt: skip
def test_reactive_power_beside_what_flows(
    rule: Reactive, power_w: float, grid: Grid, var: float
) -> None:
    state = grid_rules.step(grid_rules.REST, GridRules(reactive=rule), grid, 0.0, 0.0)
    found = grid_rules.reactive(rule, PLATE, state, power_w, 6000.0)
    assert found == pytest.approx(var, abs=0.1)


@pytest.mark.parametrize(
    ("rule", "power_w", "left_w"),
    [
        (FIXED_PF, 3000.0, 9000.0),
        (FIXED_PF, -3000.0, 9500.0),
        (Reactive("x", charge_factor=0.9), -3000.0, 10_000.0),  # none on this side
        (Reactive("x", charge_factor=0.5), 3000.0, 8000.0),  # the plate's least
        (Reactive("x", share=1.0), -3000.0, 8000.0),
        (Reactive("x"), -3000.0, 10_000.0),
    ],
)
def test_active_power_that_apparent_power_leaves(
    rule: Reactive, power_w: float, left_w: float
) -> None:
    found = grid_rules.beside_w(rule, PLATE, grid_rules.REST, power_w, 6000.0)
    assert found == pytest.approx(left_w)


def test_a_reactive_curve_has_its_response_time() -> None:
    curve = Curve("voltage", ((1.0, 0.0), (1.1, 0.5)))
    rules = GridRules(reactive=Reactive("x", over_volts=curve, response_s=5.0))
    state = grid_rules.step(grid_rules.REST, rules, volts(1.0), 0.0, 0.0)
    for n in range(1, 51):
        state = grid_rules.step(state, rules, volts(1.1), n * 0.1, 0.0)
    assert state.var is not None
    assert state.var.share == pytest.approx(0.45, abs=0.005)


def test_reactive_power_goes_to_the_stage_and_leaves_less_active() -> None:
    rules = GridRules(reactive=FIXED_PF)
    verdict = at(rules, -3000.0, plate=PLATE)
    assert verdict.setpoint_var == pytest.approx(-3000.0 * math.tan(math.acos(0.95)))
    assert at(rules, -3000.0).setpoint_var is None  # an inverter that cannot
    small = Plate(6000.0, 0.8)
    verdict = at(GridRules(reactive=Reactive("x", share=1.0)), -6000.0, plate=small)
    assert verdict.wanted_w == pytest.approx(-4800.0)  # 6 kVA beside 3.6 kvar
    assert verdict.source == "x"
    verdict = at(GridRules(reactive=FIXED_PF), -6000.0, plate=small)
    assert verdict.wanted_w == pytest.approx(-5700.0)  # 6 kVA at 0.95
    assert verdict.setpoint_var == pytest.approx(-5700.0 * math.tan(math.acos(0.95)))


@pytest.mark.parametrize(
    ("ctx", "plate", "var"),
    [
        ({"power_w": -1000.0}, PLATE, -1000.0 * math.tan(math.acos(0.95))),
        ({"power_w": 1000.0}, PLATE, -3000.0 * math.tan(math.acos(0.95))),  # turns
        ({"power_w": -1000.0, "islanded": True}, PLATE, 7.0),
        ({"power_w": -1000.0, "rules": GridRules()}, PLATE, 7.0),
        ({"power_w": -1000.0}, grid_rules.NO_PLATE, 7.0),
    ],
)
def test_reactive_power_goes_with_what_flows_on_the_way_to_what_is_wanted(
    ctx: dict[str, Any], plate: Plate, var: float
) -> None:
    context = replace(FREE, **{"rules": GridRules(reactive=FIXED_PF), **ctx})
    unit = replace(UNIT, plate=plate)
    found = bounds.reactive(SNAP, unit, context, grid_rules.REST, -3000.0, 7.0)
    assert found == pytest.approx(var)


def test_rules_reach_the_wire_and_go_again() -> None:
    stand = Stand()
    stand.start()
    stand.setpoint(-5000.0)
    stand.run(5.0)
    assert stand.bridge.power_w[1] == pytest.approx(-5000.0, abs=150.0)
    rules = GridRules(feed_share=0.25, feed_name="md")
    stand.cycle.request(GridRulesRequest(rules))
    stand.run(0.1)  # a rule is not ramped to
    assert stand.bridge.power_w[1] == pytest.approx(-0.25 * 7400.0, abs=150.0)
    stand.cycle.request(GridRulesRequest(GridRules()))
    stand.run(5.0)
    assert stand.bridge.power_w[1] == pytest.approx(-5000.0, abs=150.0)


def test_a_trip_ends_with_its_rule() -> None:
    """Rules that come later begin anew."""
    stand = Stand()
    stand.start()
    trips = GridRulesRequest(GridRules(trips=(HIGH_HZ,), enter=SOON))
    stand.cycle.request(trips)
    stand.setpoint(-5000.0, 3600.0)
    stand.bridge.hertz = 53.0
    stand.run(1.0)
    assert stand.bridge.power_w[1] == 0.0
    stand.bridge.hertz = 50.0
    stand.cycle.request(GridRulesRequest(GridRules()))
    stand.run(1.0)
    stand.cycle.request(trips)
    stand.run(5.0)
    assert stand.bridge.power_w[1] == pytest.approx(-5000.0, abs=150.0)


def test_gradients_slow_every_change() -> None:
    stand = Stand()
    stand.start()
    stand.cycle.request(GridRulesRequest(GridRules(ramp_s=74.0)))  # 100 W/s
    stand.run(1.0)
    begun_w = stand.bridge.power_w[1]
    stand.setpoint(-5000.0)
    stand.run(2.0)
    assert begun_w - stand.bridge.power_w[1] <= 250.0


def test_a_trip_outlives_the_session() -> None:
    """Unplugging and plugging in again does not shorten the delay."""
    stand = Stand()
    stand.start()
    stand.cycle.request(GridRulesRequest(GridRules(trips=(HIGH_HZ,), enter=SOON)))
    stand.bridge.hertz = 53.0
    stand.run(1.0)
    stand.bridge.hertz = 50.0
    stand.unplug()
    stand.run(2.0)
    stand.start()
    stand.setpoint(-5000.0, 3600.0)
    stand.run(10.0)
    assert stand.bridge.commands[1].stage.mode is not StageMode.DISCHARGE
    assert stand.bridge.power_w[1] == 0.0
    stand.run(15.0)
    assert stand.bridge.power_w[1] < -500.0


def test_after_a_restart_power_waits_for_the_window() -> None:
    """A trip may have been missed: the grid must be well for the whole delay."""
    stand = Stand()
    stand.beat()
    stand.cycle.request(GridRulesRequest(GridRules(enter=SOON)))
    stand.start()
    stand.setpoint(-5000.0, 3600.0)
    stand.run(10.0)
    assert stand.bridge.power_w[1] == 0.0
    assert stand.decision().source == "es"
    stand.run(15.0)
    assert stand.bridge.power_w[1] < -500.0
