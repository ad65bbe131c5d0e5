"""Frequency and voltage: curves right at any spacing, mandatory shifts, services.

LFSM-O of VDE-AR-N 4105: from 50.2 Hz, 40 % of the rating a hertz (droop 5 %); FCR: full
at +-200 mHz; IEEE 1547-2018: deadband 36 mHz, droop 5 %, open loop 5 s (refs/grid, 2).
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from chargerd import config
from chargerd.config_grid_code import Droop, FrequencyService, GridCode
from chargerd.model import Curve, DispatchSignal, OperationMode, Priority, Segment
from chargerd.scheduler import droop
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.decide import decide
from chargerd.scheduler.terms import Carry, Context, Verdict
from tests.unit.scheduler.stand import Stand
from tests.unit.scheduler.test_decide import FREE, MONO, SITE, SNAP, UNIT

POLICIES = Path(__file__).parents[3] / "config" / "policies"


def policy(name: str) -> GridCode:
    return GridCode.model_validate(tomllib.loads((POLICIES / name).read_text()))


DE, JP, US = policy("de.toml"), policy("jp.toml"), policy("us.toml")


@pytest.mark.parametrize(
    ("points", "x", "power_w"),
    [
        (((49.8, -10_000.0), (50.0, 0.0)), 49.9, -5000.0),
        (((49.8, -10_000.0), (50.0, 0.0)), 49.0, -10_000.0),
        (((49.8, -10_000.0), (50.0, 0.0)), 51.0, 0.0),
        (((49.0, -8000.0), (49.9, -1000.0), (50.1, 1000.0)), 49.45, -4500.0),
        (((49.0, -8000.0), (49.9, -1000.0), (50.1, 1000.0)), 50.0, 0.0),
        (((0.0, 0.0), (0.0, 7.0), (1.0, 7.0)), 0.0, 7.0),  # a step: the later holds
        (((0.0, 1.0),), 5.0, 1.0),
        ((), 5.0, 0.0),
        (((0.0, 1.0), (1.0, 2.0)), math.nan, 0.0),
    ],
)
def test_a_curve_is_straight_between_its_points(
    points: tuple[tuple[float, float], ...], x: float, power_w: float
) -> None:
    assert Curve("frequency", points).at(x) == pytest.approx(power_w)


@pytest.mark.parametrize(
    ("code", "hertz", "nominal_hz", "watts"),
    [
        (DE, 50.2, 50.0, 0.0),
        (DE, 50.7, 50.0, 2000.0),  # 0.5 Hz x 40 %/Hz of 10 kW
        (DE, 49.3, 50.0, -2000.0),
        (US, 60.036, 60.0, 0.0),
        (US, 60.336, 60.0, 1000.0),  # 0.3 Hz of 60 Hz x 5 %
        (US, 59.664, 60.0, -1000.0),
        (JP, 51.0, 50.0, 0.0),  # no default curve there
        (DE, 80.0, 50.0, 20_000.0),  # never more than from full to full
    ],
)
def test_the_mandatory_curve(
    code: GridCode, hertz: float, nominal_hz: float, watts: float
) -> None:
    asked = droop.asked_w(code, 10_000.0, hertz, nominal_hz)
    assert asked == pytest.approx(watts, abs=1e-6)


QUICK = GridCode(over=Droop(deadband_hz=0.2, droop_pct=5.0), recover_s=100.0)


def test_a_shift_counts_from_the_power_when_the_band_was_left() -> None:
    state = droop.step(droop.REST, QUICK, 10_000.0, 1000.0, -3000.0, 1.0)
    assert droop.bounds(state) == (-2000.0, math.inf)
    later = droop.step(state, QUICK, 10_000.0, 2000.0, -2000.0, 1.05)
    assert droop.bounds(later) == (-1000.0, math.inf)  # not from -2000
    beyond = droop.step(later, QUICK, 10_000.0, 9000.0, -1000.0, 1.1)
    assert droop.bounds(beyond) == (0.0, math.inf)  # it takes away, it makes nothing


def test_at_rest_the_rating_is_the_reference() -> None:
    """Who begins in an event gives up the curve's share of the rating, not all."""
    over = droop.step(droop.REST, QUICK, 10_000.0, 1000.0, 0.0, 1.0)
    assert droop.bounds(over) == (-9000.0, math.inf)
    under = droop.step(droop.REST, QUICK, 10_000.0, -1000.0, 0.0, 1.0)
    assert droop.bounds(under) == (-math.inf, 9000.0)


def test_back_in_the_band_power_returns_slowly() -> None:
    state = droop.step(droop.REST, QUICK, 10_000.0, 1000.0, -3000.0, 1.0)
    back = droop.step(state, QUICK, 10_000.0, 0.0, -2000.0, 6.0)
    assert back.shift_w == pytest.approx(500.0)  # 5 s of 100 W/s
    assert droop.step(back, QUICK, 10_000.0, 0.0, -2500.0, 12.0) == droop.REST


def test_the_other_side_begins_anew() -> None:
    state = droop.step(droop.REST, QUICK, 10_000.0, 1000.0, -3000.0, 1.0)
    other = droop.step(state, QUICK, 10_000.0, -700.0, 4000.0, 1.05)
    assert droop.bounds(other) == (-math.inf, 3300.0)


def test_open_loop_response_is_90_pct_after_its_time() -> None:
    state, mono = droop.REST, 0.0
    while mono <= 5.0 + 1e-9:
        state = droop.step(state, US, 10_000.0, 1000.0, -3000.0, mono)
        mono += 0.05
    assert state.shift_w == pytest.approx(900.0, rel=0.01)


def at_frequency(
    hertz: float | None, setpoint_w: float, code: GridCode = DE, **site: object
) -> Verdict:
    """Ten seconds at one frequency, the wire obeying."""
    segment = Segment(0.0, OperationMode.CENTRAL_SETPOINT, setpoint_w)
    ask = DispatchSignal("x", 1, Priority.SETPOINT, (segment,), 0.0, math.inf)
    unit = replace(UNIT, code=code)
    snap = replace(
        SNAP,
        signals=(ask,),
        site=replace(SITE, frequency_hz=hertz, **site),  # type: ignore[arg-type]
    )
    verdict, power, carry = None, setpoint_w, Carry()
    for tick in range(200):
        now = replace(SNAP.now, mono=MONO + tick * 0.05)
        limits = replace(SNAP.vehicle.limits, at_mono=now.mono)  # type: ignore[type-var]
        vehicle = replace(SNAP.vehicle, limits=limits, soc_at_mono=now.mono)
        here = replace(snap, now=now, vehicle=vehicle)
        verdict = decide(here, unit, replace(FREE, carry=carry, power_w=power))
        power, carry = verdict.wanted_w, verdict.carry
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(
    ("hertz", "setpoint_w", "power_w"),
    [
        (50.0, -6000.0, -6000.0),
        (50.7, -6000.0, -6000.0 + 0.2 * 6000.0),
        (51.4, -6000.0, -6000.0 + 0.48 * 6000.0),
        (51.6, -6000.0, 0.0),  # beyond the band nothing is fed
        (50.7, 5000.0, 5000.0),  # charging helps: nothing to take
        (49.3, 7000.0, 7000.0 - 0.2 * 7000.0),
        (49.3, -6000.0, -6000.0),
        (None, -6000.0, -6000.0),
    ],
)
def test_the_default_curve_narrows_whoever_dispatches(
    hertz: float | None, setpoint_w: float, power_w: float
) -> None:
    verdict = at_frequency(hertz, setpoint_w)
    assert verdict.wanted_w == pytest.approx(power_w, abs=1.0)
    if power_w not in (0.0, setpoint_w):
        assert verdict.source == "der.droop.de"


def test_an_old_frequency_moves_nothing() -> None:
    verdict = at_frequency(50.7, -6000.0, frequency_age_s=2.5)
    assert verdict.wanted_w == -6000.0


@pytest.mark.parametrize(
    ("volts", "low"), [(230.0, -6000.0), (254.0, -3131.0), (258.0, 0.0)]
)
def test_volt_watt(volts: float, low: float) -> None:
    """Japan's voltage-rise suppression: 109 % to 112 % of nominal."""
    verdict = at_frequency(50.0, -6000.0, JP, voltage_v=volts)
    assert verdict.wanted_w == pytest.approx(low, abs=30.0)


def service(name: str, code: GridCode, **values: object) -> DispatchSignal:
    wanted = FrequencyService(name=name, power_w=4000.0, **values)  # type: ignore[arg-type]
    return droop.standing(wanted, code, 50.0)


@pytest.mark.parametrize(
    ("name", "code", "hertz", "power_w"),
    [
        ("fcr", DE, 50.0, 0.0),
        ("fcr", DE, 50.005, 0.0),
        ("fcr", DE, 49.9, -2000.0),
        ("fcr", DE, 50.1, 2000.0),
        ("fcr", DE, 49.7, -4000.0),
        ("primary", JP, 49.8, -4000.0),
        ("primary_hokkaido", JP, 49.85, -2000.0),
    ],
)
def test_services_are_symmetric_about_their_baseline(
    name: str, code: GridCode, hertz: float, power_w: float
) -> None:
    snap = replace(
        SNAP,
        signals=(service(name, code, baseline_w=0.0),),
        site=replace(SITE, frequency_hz=hertz),
    )
    verdict = decide(snap, replace(UNIT, code=code), FREE)
    assert verdict.wanted_w == pytest.approx(power_w, abs=10.0)
    assert not verdict.hold_turn


@pytest.mark.parametrize(
    ("soc", "ctx", "base_w"),
    [
        (60.0, {}, 3000.0),  # the plan charges: 7 kW less the 4 kW sold
        (85.0, {}, 0.0),  # the plan rests
        (21.0, {}, 3000.0),  # 4 kW for 15 min are not there: fill up
        (99.0, {}, -2000.0),  # no room for 4 kW x 15 min: give some back
    ],
)
def test_the_plan_as_baseline_leaves_room_in_power_and_energy(
    soc: float, ctx: dict[str, object], base_w: float
) -> None:
    snap = replace(
        SNAP,
        signals=(service("fcr", DE),),
        vehicle=replace(SNAP.vehicle, soc_pct=soc),
    )
    unit = replace(UNIT, code=DE, service_hold_s=900.0)
    context = replace(FREE, battery=Estimate(soc, 40_000.0), **ctx)  # type: ignore[arg-type]
    assert decide(snap, unit, context).wanted_w == pytest.approx(base_w)


@pytest.mark.parametrize(
    ("signal", "power_w"),
    [(0.0, -1000.0), (50.0, 1500.0), (-100.0, -6000.0), (None, -1000.0)],
)
def test_afrr_adds_its_curve_to_the_setpoint(
    signal: float | None, power_w: float
) -> None:
    """Q05: v2xSignalWattCurve over AFRRSignal, with the setpoint as baseline."""
    curve = Curve("signal", ((-100.0, -5000.0), (0.0, 0.0), (100.0, 5000.0)))
    segment = Segment(
        0.0, OperationMode.CENTRAL_FREQUENCY, -1000.0, curve=curve, signal=signal
    )
    ask = DispatchSignal("afrr", 1, Priority.RESERVE, (segment,), 0.0, math.inf)
    verdict = decide(replace(SNAP, signals=(ask,)), UNIT, FREE)
    assert verdict.wanted_w == pytest.approx(power_w)


def test_a_frequency_service_without_a_frequency_leaves_the_choice() -> None:
    snap = replace(
        SNAP,
        signals=(service("fcr", DE, baseline_w=None),),
        site=replace(SITE, frequency_hz=None),
    )
    assert decide(snap, UNIT, FREE).source == "plan"


def test_in_the_loop_power_follows_frequency_within_its_ramp() -> None:
    """Two EVSEs share one service; full power at 49.8 Hz in less than FCR's 30 s."""
    site = config.Site(
        import_w=20_000,
        export_w=20_000,
        export_permit="TEST",
        nominal_hz=50,
        grid_code=DE,
        frequency_service=FrequencyService(name="fcr", power_w=4000, baseline_w=0),
    )
    stand = Stand(2, site=site)
    stand.start(1)
    stand.start(2)
    stand.run(2.0)
    assert abs(stand.decision(1).power_w) < 250.0  # the stand's 50.00 to 50.01 Hz
    stand.bridge.hertz = 49.8
    stand.run(1.0)
    assert stand.decision(1).power_w == pytest.approx(-2000.0, abs=110.0)
    assert stand.decision(2).power_w == pytest.approx(-2000.0, abs=110.0)
    stand.bridge.hertz = 50.2
    stand.run(1.0)  # no pause at zero
    assert stand.decision(1).power_w == pytest.approx(2000.0, abs=110.0)


def test_context_defaults_are_the_safe_side() -> None:
    assert decide(SNAP, UNIT, Context()).wanted_w == 0.0
