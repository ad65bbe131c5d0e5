"""Ramp, trim, envelope, ledger, signals cell, house load: tables with a fake clock."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from chargerd.model import Curve, DispatchSignal
from chargerd.scheduler import envelope, follow, ramp, share, signals
from chargerd.scheduler.ledger import Ledger
from chargerd.scheduler.signals import MAX_SIGNALS, SchedulerError, Signals
from firmware_bridge.api import MeterReading, Reading
from tests.unit.scheduler.stand import make_signal

SLOW = ramp.Settings(up_w_per_s=1000.0)


@pytest.mark.parametrize(
    ("power", "wanted", "expected"),
    [
        (0.0, 5000.0, 100.0),
        (0.0, -5000.0, -100.0),
        (1000.0, 5000.0, 1100.0),
        (1000.0, 1050.0, 1050.0),
        (1000.0, 0.0, 800.0),  # twice as fast to zero
        (-1000.0, 0.0, -800.0),
        (100.0, -5000.0, 0.0),  # a turn stops at zero
        (1000.0, math.nan, 800.0),
    ],
)
def test_ramp_steps(power: float, wanted: float, expected: float) -> None:
    state = ramp.State(power, 0.0)
    assert ramp.step(state, wanted, 0.1, SLOW, hold=False) == pytest.approx(expected)


def test_grid_gradient_binds_in_both_directions() -> None:
    settings = ramp.Settings(1000.0, grid_w_per_s=500.0)
    state = ramp.State(1000.0, 0.0)
    assert ramp.step(state, 0.0, 0.1, settings, hold=False) == pytest.approx(950.0)


def test_a_late_tick_earns_no_jump() -> None:
    assert ramp.step(ramp.State(), 9000.0, 60.0, SLOW, hold=False) == 250.0


@pytest.mark.parametrize(("hold", "seconds"), [(True, 1.0), (False, 0.0)])
def test_turn_waits_at_zero_unless_reserve(hold: bool, seconds: float) -> None:
    settings = ramp.Settings(1.0e6)
    state = ramp.follow(ramp.State(), 3000.0, 0.0, settings)
    turned = None
    for tick in range(1, 60):
        now = tick * 0.05
        power = ramp.step(state, -3000.0, now, settings, hold=hold)
        state = ramp.follow(state, power, now, settings)
        if power < 0.0 and turned is None:
            turned = now
    assert turned is not None
    assert turned == pytest.approx(seconds + 0.1, abs=0.051)


def _settle(gain: float, ticks: int, *, limited: bool = False) -> float:
    state, power = follow.State(), 5000.0
    for tick in range(ticks):
        now = tick * 0.2
        meter = follow.apply(state, power) * gain
        state = follow.step(state, power, meter, now, now, limited=limited)
    return follow.apply(state, power) * gain


def test_trim_brings_the_meter_to_the_setpoint() -> None:
    assert _settle(0.96, 60) == pytest.approx(5000.0, abs=25.0)
    assert _settle(1.04, 60) == pytest.approx(5000.0, abs=25.0)


def test_trim_is_bounded_and_not_wound_up_by_a_limited_vehicle() -> None:
    assert _settle(0.5, 200) <= (5000.0 * 1.08 + 150.0) * 0.5 + 1.0
    assert _settle(0.9, 200, limited=True) == pytest.approx(4500.0)


def test_trim_ignores_a_stale_meter_and_forgets_at_a_turn() -> None:
    state = follow.State(trim_w=100.0, power_w=5000.0, steady_mono=0.0, meter_mono=2.0)
    assert follow.step(state, 5000.0, None, 3.0, 3.0, limited=False) is state
    turned = follow.step(state, -5000.0, 5000.0, 3.0, 3.0, limited=False)
    assert turned.trim_w == 0.0
    assert follow.apply(state, 0.0) == 0.0
    assert follow.apply(replace(state, trim_w=-900.0), 300.0) == 0.0


@pytest.mark.parametrize(
    ("power_w", "meter_w", "meter_mono", "limited", "trim_w", "steady_mono"),
    [
        (5000.0, 4900.0, 10.65, False, 125.0, 10.0),  # half the error a second
        (5000.0, 5100.0, 10.65, False, 75.0, 10.0),
        (5000.0, 4900.0, 10.5, False, 100.0, 10.0),  # not settled yet
        (5000.0, 4900.0, 10.0, False, 100.0, 10.0),  # the reading is known
        (5000.0, 4900.0, 10.65, True, 100.0, 10.0),
        (5015.0, 4900.0, 10.65, False, 128.75, 10.0),  # a small move is none
        (5030.0, 4900.0, 10.65, False, 100.0, 10.7),  # settles anew
        (150.0, 0.0, 10.65, False, 0.0, 10.7),
        (-5000.0, 5000.0, 10.65, False, 0.0, 10.7),
        (5000.0, 0.0, 10.65, False, 550.0, 10.0),  # 150 W and 8 %
        (5000.0, 9000.0, 10.65, False, -550.0, 10.0),
    ],
)
def test_one_step_of_the_trim(
    power_w: float,
    meter_w: float,
    meter_mono: float,
    limited: bool,
    trim_w: float,
    steady_mono: float,
) -> None:
    state = follow.State(100.0, 5000.0, 10.0, 10.0)
    state = follow.step(state, power_w, meter_w, meter_mono, 10.7, limited=limited)
    assert (state.trim_w, state.steady_mono) == pytest.approx((trim_w, steady_mono))


def test_the_trim_counts_the_time_between_two_readings() -> None:
    state = follow.State(100.0, 250.0, 9.0, 10.0)  # it trims from 200 W on
    state = follow.step(state, 250.0, 150.0, 10.2, 10.2, limited=False)
    assert state.trim_w == pytest.approx(110.0)


@pytest.mark.parametrize(
    ("power_w", "trim_w", "told_w"),
    [
        (3000.0, 100.0, 3100.0),
        (-3000.0, 100.0, -2900.0),
        (-3000.0, -100.0, -3100.0),
        (-300.0, 400.0, 0.0),  # never across zero
        (300.0, -400.0, 0.0),
        (0.0, 100.0, 0.0),
    ],
)
def test_the_trimmed_power(power_w: float, trim_w: float, told_w: float) -> None:
    assert follow.apply(follow.State(trim_w=trim_w), power_w) == told_w


@pytest.mark.parametrize(
    ("power_w", "since", "turned"),
    [
        (199.0, 10.0, True),
        (-199.0, 10.0, True),
        (201.0, 10.0, False),  # outside the band the hold does not count
        (199.0, 10.1, False),  # 1 s inside it
    ],
)
def test_calm_is_a_second_inside_the_band(
    power_w: float, since: float, turned: bool
) -> None:
    settings = ramp.Settings(1.0e6)
    state = ramp.follow(ramp.State(direction=1), power_w, since, settings)
    state = replace(state, direction=1, power_w=0.0)
    power = ramp.step(state, -3000.0, 11.0, settings, hold=True)
    assert power == (-3000.0 if turned else 0.0)


@pytest.mark.parametrize(
    ("power", "low", "high", "ok", "discharge", "expected"),
    [
        (5000.0, -6000.0, 7000.0, True, True, 5000.0),
        (9000.0, -6000.0, 7000.0, True, True, 7000.0),
        (9000.0, -6000.0, 8000.0, True, True, 7400.0),
        (-5000.0, -6000.0, 7000.0, True, True, -5000.0),
        (-9000.0, -9000.0, 7000.0, True, True, -6000.0),
        (-5000.0, -6000.0, 7000.0, True, False, 0.0),
        (-5000.0, 0.0, 7000.0, True, True, 0.0),
        (5000.0, -6000.0, 7000.0, False, True, 0.0),
        (math.nan, -6000.0, 7000.0, True, True, 0.0),
        (5000.0, -6000.0, math.nan, True, True, 0.0),
        (5000.0, 6000.0, 7000.0, True, True, 5000.0),
        (-5000.0, -6000.0, -5500.0, True, True, -5000.0),
        (5000.0, -6000.0, -100.0, True, True, 0.0),
        (-5000.0, 100.0, 7000.0, True, True, 0.0),
    ],
)
def test_envelope(
    power: float, low: float, high: float, ok: bool, discharge: bool, expected: float
) -> None:
    ratings = envelope.Ratings(7400.0, 6000.0)
    out = envelope.clamp(
        power, ratings, low, high, power_permitted=ok, discharge_permitted=discharge
    )
    assert out == expected


@pytest.mark.parametrize(
    ("caps", "bounds", "sure"),
    [
        ([], (-6000.0, "rating", 7000.0, "rating"), 7000.0),
        ([(-500.0, 900.0)], (-500.0, "a", 900.0, "a"), 900.0),
        ([(-500.0, 900.0), (-800.0, 1000.0)], (-500.0, "a", 900.0, "a"), 900.0),
        ([(-500.0, 900.0), (-500.0, 900.0)], (-500.0, "a", 900.0, "a"), 900.0),
        ([(-9000.0, 9000.0)], (-6000.0, "rating", 7000.0, "rating"), 7000.0),
        ([(500.0, -500.0)], (0.0, "a", 0.0, "a"), 0.0),  # beyond zero is zero
        ([(math.nan, math.nan)], (0.0, "a", 0.0, "a"), 0.0),
    ],
)
def test_a_ledger_only_narrows_and_the_first_is_named(
    caps: list[tuple[float, float]],
    bounds: tuple[float, str, float, str],
    sure: float,
) -> None:
    ledger = Ledger(-6000.0, 7000.0, "rating")
    for name, (low, high) in zip("abc", caps, strict=False):
        ledger.cap("site", name, low, high)
    assert (ledger.low, ledger.low_by, ledger.high, ledger.high_by) == bounds
    assert ledger.sure == sure
    assert ledger.bound_at(ledger.low) == (bounds[1] if bounds[0] else "")
    assert ledger.bound_at(ledger.high) == (bounds[3] if bounds[2] else "")
    assert ledger.bound_at(1.0) == ledger.bound_at(-1.0) == ""


def test_what_does_not_last_is_not_counted_on() -> None:
    ledger = Ledger(-6000.0, 7000.0, "rating")
    ledger.cap("site", "now", -9000.0, 100.0, lasts=False)
    assert (ledger.high, ledger.sure) == (100.0, 7000.0)
    ledger.count_on(3000.0)
    ledger.count_on(5000.0)
    assert ledger.sure == 3000.0
    ledger.count_on(-1.0)
    assert ledger.sure == 0.0
    shown = ledger.reasons(("now",))[1]
    assert (shown.low_w, shown.high_w, shown.won) == (-6000.0, 100.0, True)


@pytest.mark.parametrize(("low", "lifted"), [(3000.0, 3000.0), (9000.0, 7000.0)])
def test_a_lift_stays_under_the_upper_bound(low: float, lifted: float) -> None:
    ledger = Ledger(-6000.0, 7000.0, "rating")
    ledger.lift("promise", "promise", low, "must charge")
    assert (ledger.low, ledger.low_by) == (lifted, "promise")
    assert (ledger.high, ledger.high_by) == (7000.0, "rating")
    said = ledger.reasons(())[-1]
    assert (said.source, said.low_w, said.wish_w) == ("promise", lifted, lifted)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"power_w": math.nan}, "setpoint_w"),
        ({"power_w": math.inf}, "setpoint_w"),
        ({"power_w": -1e308}, "setpoint_w"),
        ({"power_w": 0.0, "limit_w": -1.0}, "limit_w"),
        ({"power_w": 0.0, "limit_w": math.nan}, "limit_w"),
        ({"power_w": 0.0, "discharge_limit_w": 1.0}, "discharge_limit_w"),
        ({"power_w": 0.0, "source": ""}, "source"),
        ({"power_w": 0.0, "seconds": math.inf}, "times"),
        ({"power_w": 0.0, "mono": math.nan}, "times|start"),
    ],
)
def test_signals_refuse(values: dict[str, object], text: str) -> None:
    cell = Signals()
    signal = make_signal(**({"mono": 0.0} | values))  # type: ignore[arg-type]
    with pytest.raises(SchedulerError, match=text):
        cell.put(signal, 0.0)
    assert cell.refused == 1
    assert cell.live(1, 0.0) == ()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"follow_w": math.nan}, "follow_w"),
        ({"signal": math.inf}, "signal"),
        ({"setpoint_var": -1e9}, "setpoint_var"),
        ({"curve": Curve("frequency", ())}, "points"),
        ({"curve": Curve("frequency", ((50.0, 0.0),) * 101)}, "points"),
        ({"curve": Curve("frequency", ((50.0, math.nan),))}, "curve point"),
        ({"curve": Curve("frequency", ((math.nan, 0.0),))}, "curve point"),
        ({"curve": Curve("frequency", ((50.0, 1e9),))}, "curve point"),
        ({"curve": Curve("frequency", ((50.0, 0.0), (49.0, 1.0)))}, "ascend"),
    ],
)
def test_curves_and_their_like_are_checked(
    values: dict[str, object], text: str
) -> None:
    signal = make_signal(0.0, 0.0)
    segment = replace(signal.segments[0], **values)  # type: ignore[arg-type]
    with pytest.raises(SchedulerError, match=text):
        signals.check(replace(signal, segments=(segment,)))


def test_segments_must_be_in_order() -> None:
    signal = make_signal(0.0, 0.0)
    segments = (replace(signal.segments[0], start_mono=5.0), signal.segments[0])
    with pytest.raises(SchedulerError, match="before the last"):
        signals.check(replace(signal, segments=segments))


def test_newest_per_source_and_evse_and_withdrawal() -> None:
    cell = Signals()
    cell.put(make_signal(0.0, 1.0), 0.0)
    cell.put(make_signal(0.0, 2.0), 0.0)
    cell.put(make_signal(0.0, 3.0, evse_id=2), 0.0)
    cell.put(make_signal(0.0, 4.0, evse_id=0), 0.0)
    assert [_wish(s) for s in cell.live(1, 1.0)] == [2.0, 4.0]
    assert [_wish(s) for s in cell.live(2, 1.0)] == [3.0, 4.0]
    cell.put(make_signal(0.0, 9.0, seconds=0.0), 1.0)
    assert [_wish(s) for s in cell.live(1, 1.0)] == [4.0]


def _wish(signal: DispatchSignal) -> float | None:
    return signal.segments[0].setpoint_w


def test_a_signal_is_let_go_before_it_dies() -> None:
    cell = Signals()
    cell.put(make_signal(0.0, 1.0, seconds=10.0), 0.0)
    assert cell.next_change_mono(0.0) == pytest.approx(10.0 - signals.GUARD_S)
    assert cell.live(1, 9.8)
    assert not cell.live(1, 9.95)
    assert cell.next_change_mono(20.0) == math.inf


def test_sources_are_bounded_and_the_dead_make_room() -> None:
    cell = Signals()
    for number in range(MAX_SIGNALS):
        cell.put(make_signal(0.0, 1.0, source=f"s{number}", seconds=5.0), 0.0)
    with pytest.raises(SchedulerError, match="more than"):
        cell.put(make_signal(0.0, 1.0, source="new"), 0.0)
    cell.put(make_signal(6.0, 1.0, source="new"), 6.0)
    assert len(cell.live(1, 6.0)) == 1


def test_track_reads_between_samples() -> None:
    track = share.Track()
    for mono, power in ((1.0, 100.0), (2.0, 200.0), (2.0, 999.0)):
        track.add(mono, power)
    assert track.at(1.5) == pytest.approx(150.0)
    assert track.at(0.0) == 100.0
    assert track.at(9.0) == 200.0


def test_house_waits_for_the_meters_it_is_compared_with() -> None:
    track, house = share.Track(), share.House()
    track.add(1.0, 1000.0)
    site = Reading(MeterReading(1900.0, 0.0, 0.0), 1.1)
    house.update(site, [(track, share.SPLIT_3)], 1.1)
    assert house.power_w == 0.0
    track.add(1.2, 1800.0)
    house.update(site, [(track, share.SPLIT_3)], 1.2)
    assert house.power_w == pytest.approx(1900.0 - 1400.0)
    late = Reading(MeterReading(5000.0, 0.0, 0.0), 2.0)
    house.update(late, [(track, share.SPLIT_3)], 2.0)
    house.update(late, [(track, share.SPLIT_3)], 2.6)
    assert house.power_w == pytest.approx(3200.0)


@pytest.mark.parametrize(
    ("phases", "phase", "expected"),
    [
        (3, 0, (1 / 3, 1 / 3, 1 / 3)),
        (1, 1, (1.0, 0.0, 0.0)),
        (1, 2, (0.0, 1.0, 0.0)),
        (1, 3, (0.0, 0.0, 1.0)),
    ],
)
def test_how_power_lies_on_the_phases(
    phases: int, phase: int, expected: tuple[float, ...]
) -> None:
    assert share.split(phases, phase) == expected


def test_a_newer_reading_of_the_site_waits_its_turn() -> None:
    track, house = share.Track(), share.House()
    seen = [
        Reading(MeterReading(w, 0.0, 0.0), t) for w, t in ((900.0, 1.0), (1.0, 1.2))
    ]
    house.update(seen[0], [(track, share.SPLIT_3)], 1.0)
    track.add(1.1, 500.0)
    house.update(seen[1], [(track, share.SPLIT_3)], 1.2)
    assert (house.power_w, house.at_mono) == (400.0, 1.0)
    track.add(1.3, 500.0)
    house.update(seen[1], [(track, share.SPLIT_3)], 1.3)
    assert (house.power_w, house.at_mono) == (-499.0, 1.2)
    house.update(seen[1], [(track, share.SPLIT_3)], 1.4)
    house.update(None, [(track, share.SPLIT_3)], 1.5)
    assert (house.power_w, house.at_mono) == (-499.0, 1.2)


def test_every_evse_s_meter_is_waited_for() -> None:
    tracks = [(share.Track(), share.SPLIT_3) for _ in range(2)]
    house = share.House()
    site = Reading(MeterReading(900.0, 0.0, 0.0), 1.0)
    tracks[0][0].add(1.1, 500.0)
    house.update(site, tracks, 1.2)
    assert house.at_mono == -math.inf
    tracks[1][0].add(1.1, 300.0)
    house.update(site, tracks, 1.2)
    assert house.power_w == 100.0


@pytest.mark.parametrize(
    ("meter", "phase_w"),
    [
        ({"phase_power_w": (2000.0, 300.0, -100.0)}, (1000.0, 300.0, -100.0)),
        (  # apparent power is what a fuse feels
            {"phase_power_w": (2000.0, 300.0, -100.0),
             "current_a": (10.0, 2.0, 1.0), "voltage_v": (230.0, 231.0, 229.0)},
            (1300.0, 462.0, 229.0),
        ),
        ({"phase_power_w": (2200.0,)}, ()),
        ({}, ()),
    ],
)  # fmt: skip
def test_the_house_on_each_phase(
    meter: dict[str, tuple[float, ...]], phase_w: tuple[float, ...]
) -> None:
    track, house = share.Track(), share.House()
    track.add(1.0, 1000.0)
    site = Reading(MeterReading(2200.0, 0.0, 0.0, **meter), 1.0)  # type: ignore[arg-type]
    house.update(site, [(track, share.split(1, 1))], 1.0)
    assert house.phase_w == pytest.approx(phase_w)
    assert house.power_w == 1200.0


@pytest.mark.parametrize(
    ("others", "import_tight", "expected"),
    [
        ([], True, (500.0, 500.0)),
        ([(1000.0, 4000.0)], True, (500.0, 4500.0)),
        ([(4000.0, 1000.0)], True, (500.0, 4500.0)),
        ([(4000.0, 1000.0)], False, (1500.0, 4500.0)),  # room for our export
        ([(3000.0, -2000.0)], True, (-1500.0, 3500.0)),
        ([(-3000.0, -2000.0)], True, (-2500.0, -1500.0)),  # room for our import
        ([(-3000.0, -2000.0)], False, (-2500.0, 500.0)),
        ([(0.0, 2000.0), (-1000.0, 0.0)], False, (-500.0, 2500.0)),
    ],
)
def test_others(
    others: list[tuple[float, float]], import_tight: bool, expected: tuple[float, float]
) -> None:
    found = share.others_w(500.0, others, import_tight=import_tight)
    assert found == expected
