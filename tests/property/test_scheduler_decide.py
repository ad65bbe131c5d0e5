"""Law 3 as properties: stages only narrow, permissions are positive, 0 never flips."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.config_grid_code import Droop, GridCode
from chargerd.model import (
    Curve,
    DispatchSignal,
    OperationMode,
    Priority,
    Promise,
    Segment,
    Session,
    SessionPhase,
    SiteState,
    Snapshot,
    Token,
    VehicleLimits,
    VehiclePhase,
    VehicleState,
)
from chargerd.scheduler import droop, envelope
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.decide import decide
from chargerd.scheduler.ledger import Ledger
from chargerd.scheduler.terms import Carry, Context, Unit, Verdict, Wish
from firmware_bridge.api import (
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)
from tests.unit.scheduler.stand import at

NOW = at(10.0)
UNIT = Unit(
    charge_w=7400.0,
    discharge_w=6000.0,
    efficiency=0.94,
    voltage_max_v=500.0,
    ac_volts=230.0,
    ac_current_max_a=32.0,
    target_pct=80.0,
    floor_pct=20.0,
    lifetime_s=0.3,
    failsafe_import_w=1500.0,
    reserve_pct=25.0,
    release_s=10.0,
    service_hold_s=900.0,
    code=GridCode(
        over=Droop(deadband_hz=0.2, droop_pct=5.0),
        under=Droop(deadband_hz=0.2, droop_pct=5.0),
        volt_watt=((1.05, 1.0), (1.1, 0.0)),
    ),
)
CURVES = (
    Curve("frequency", ((49.5, -4000.0), (50.0, 0.0), (50.5, 4000.0))),
    Curve("signal", ((-1.0, -3000.0), (1.0, 3000.0))),
    Curve("voltage", ((220.0, -3000.0), (240.0, 3000.0))),
)
watts = st.floats(-20_000, 20_000)
up = st.floats(0, 20_000)
down = st.floats(-20_000, 0)


@st.composite
def signals(draw: st.DrawFn) -> DispatchSignal:
    segment = Segment(
        NOW.mono - 1.0,
        draw(st.sampled_from(list(OperationMode))),
        draw(st.none() | watts),
        draw(st.none() | up),
        draw(st.none() | down),
        draw(st.sampled_from([None, *CURVES])),
        draw(st.none() | st.floats(-1, 1)),
        draw(st.none() | watts),
    )
    return DispatchSignal(
        draw(st.sampled_from(["ocpp.tx", "ocpp.site", "mqtt", "cli"])),
        draw(st.sampled_from([0, 1])),
        draw(st.sampled_from(list(Priority))),
        (segment,),
        draw(st.floats(0, 10)),
        NOW.mono + 60.0,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    limits = VehicleLimits(
        NOW.mono - draw(st.sampled_from([0.0, 0.5, 2.0])),
        charge_a=draw(st.floats(0, 50)),
        discharge_a=draw(st.floats(-50, 0)),
        voltage_max_v=410.0,
        voltage_min_v=250.0,
        discharge_allowed=draw(st.booleans()),
    )
    promise = draw(
        st.none()
        | st.builds(
            Promise,
            st.floats(NOW.mono - 10, NOW.mono + 20_000),
            st.floats(0, 100),
            st.floats(0, 50),
        )
    )
    return Snapshot(
        now=NOW,
        evse_id=1,
        telemetry=Telemetry(
            pilot=Reading(PilotReading(PilotState.A, chademo_proximity=True), NOW.mono),
            stage=Reading(StageReading(350.0, 0.0, StageMode.CHARGE, True), NOW.mono),
        ),
        vehicle=VehicleState(
            "chademo",
            draw(st.sampled_from([VehiclePhase.ENERGY] * 4 + list(VehiclePhase))),
            draw(st.none() | st.just(limits)),
            soc_pct=draw(st.none() | st.floats(0, 100)),
            soc_at_mono=NOW.mono - draw(st.sampled_from([0.0, 60.0])),
        ),
        session=Session(
            1,
            phase=draw(st.sampled_from([SessionPhase.ENERGY] * 4 + list(SessionPhase))),
            id="x",
            token=Token("A"),
            authorised=draw(st.sampled_from([True, True, True, False])),
            discharge_authorised=draw(st.booleans()),
            promise=promise,
        ),
        site=SiteState(
            import_limit_w=draw(up),
            export_limit_w=draw(down),
            discharge_permitted=draw(st.booleans()),
            others_w=draw(watts),
            meter_age_s=draw(st.sampled_from([None, 0.1, 5.0])),
            frequency_hz=draw(st.sampled_from([None, 50.0, 60.1, 55.0, 49.5, 50.4])),
            frequency_age_s=draw(st.sampled_from([0.0, 0.0, 9.0])),
            voltage_v=draw(st.sampled_from([None, 230.0, 250.0])),
            grid_w=draw(st.none() | watts),
            meter_mono=NOW.mono - 0.1,
        ),
        signals=tuple(draw(st.lists(signals(), max_size=4))),
    )


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    soc = draw(st.none() | st.floats(0, 100))
    wish = Wish("mqtt", draw(watts), NOW.mono - draw(st.sampled_from([1.0, -60.0])))
    return Context(
        fresh=draw(st.sampled_from([True, True, True, False])),
        stops_power=draw(st.sampled_from([False, False, False, True])),
        no_discharge=draw(st.sampled_from([False, False, True])),
        derated=draw(st.booleans()),
        battery=Estimate(soc, draw(st.none() | st.just(40_000.0))),
        rate=draw(st.floats(0.1, 0.95)),
        carry=Carry(
            plan_done=draw(st.booleans()),
            wish=draw(st.sampled_from([Wish(), wish])),
            der=draw(st.sampled_from([droop.REST, droop.State(500.0, -3000.0, 1.0)])),
        ),
        station_evses=draw(st.integers(1, 4)),
        other_charge_w=draw(up),
        other_discharge_w=draw(down),
        power_w=draw(st.floats(-6000, 7400)),
        share_low_w=draw(st.sampled_from([-math.inf, -2000.0, 0.0])),
        share_high_w=draw(st.sampled_from([math.inf, 3000.0, 0.0])),
        discharge_left_wh=draw(st.sampled_from([math.inf, 0.0])),
        islanded=draw(st.booleans()),
    )


def _power(verdict: Verdict) -> float:
    return envelope.clamp(
        verdict.wanted_w,
        envelope.Ratings(UNIT.charge_w, UNIT.discharge_w),
        verdict.hard_low_w,
        verdict.hard_high_w,
        power_permitted=verdict.power_permitted,
        discharge_permitted=verdict.discharge_permitted,
    )


@settings(max_examples=100, deadline=None)
@given(snapshots(), contexts())
def test_bounds_are_nested_and_around_zero(snap: Snapshot, ctx: Context) -> None:
    verdict = decide(snap, UNIT, ctx)
    assert -UNIT.discharge_w <= verdict.hard_low_w <= 0.0
    assert 0.0 <= verdict.hard_high_w <= UNIT.charge_w
    assert verdict.hard_low_w <= verdict.low_w <= verdict.high_w <= verdict.hard_high_w
    assert verdict.low_w <= verdict.wanted_w <= verdict.high_w
    assert verdict.reasons
    assert any(reason.won for reason in verdict.reasons)
    assert _power(verdict) == verdict.wanted_w


@settings(max_examples=100, deadline=None)
@given(snapshots(), contexts())
def test_a_missing_permission_means_no_discharge(snap: Snapshot, ctx: Context) -> None:
    verdict = decide(snap, UNIT, ctx)
    limits = snap.vehicle.limits
    grid_says = ctx.islanded or (  # no grid, none of its rules
        snap.session.discharge_authorised
        and snap.site.discharge_permitted
        and (snap.site.frequency_hz != 55.0 or snap.site.frequency_age_s > 2.0)
    )
    first_four = (
        ctx.fresh
        and not ctx.stops_power
        and not ctx.no_discharge
        and limits is not None
        and limits.discharge_allowed
        and snap.vehicle.soc_pct is not None
        and grid_says
    )
    if not first_four and snap.vehicle.phase is VehiclePhase.ENERGY:
        assert not verdict.discharge_permitted
        assert verdict.hard_low_w == 0.0
        assert _power(replace(verdict, wanted_w=-5000.0, hard_low_w=-6000.0)) == 0.0
    unknown = ctx.battery.soc_pct is None or (snap.site.meter_age_s or 0.0) > 3.0
    if not first_four or unknown or not snap.session.authorised:
        assert verdict.wanted_w >= 0.0
    if any(
        (g := s.at(NOW.mono)) and g.mode is OperationMode.CHARGING_ONLY
        for s in snap.signals
    ):
        assert verdict.wanted_w >= 0.0


@settings(max_examples=100, deadline=None)
@given(snapshots(), contexts(), st.booleans(), st.floats(0, 8000))
def test_tighter_limits_never_give_more(
    snap: Snapshot, ctx: Context, charge: bool, limit: float
) -> None:
    """Monotone, and 0 on one side never makes power flow on the other."""
    before = decide(snap, UNIT, ctx)
    segment = Segment(
        0.0,
        OperationMode.EXTERNAL_LIMITS,
        limit_w=limit if charge else None,
        discharge_limit_w=None if charge else -limit,
    )
    cap = DispatchSignal("cap", 1, Priority.LOCAL, (segment,), 0.0, NOW.mono + 9.0)
    after = decide(replace(snap, signals=(*snap.signals, cap)), UNIT, ctx)
    if charge:
        assert after.wanted_w <= before.wanted_w + 1e-6 or after.carry.line.must_charge
        assert after.wanted_w <= limit + 1e-6
        assert after.wanted_w >= min(0.0, before.wanted_w) - 1e-6
    else:
        assert after.wanted_w >= -limit - 1e-6
        assert after.wanted_w >= before.wanted_w - 1e-6
        assert after.wanted_w <= max(0.0, before.wanted_w) + 1e-6


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(numbers, numbers), max_size=8))
def test_the_ledger_only_narrows(caps: list[tuple[float, float]]) -> None:
    ledger = Ledger(-6000.0, 7400.0, "rating")
    low, high = ledger.low, ledger.high
    for bounds in caps:
        ledger.cap("site", "x", *bounds)
        assert low <= ledger.low <= 0.0 <= ledger.high <= high
        low, high = ledger.low, ledger.high


@given(numbers, numbers, numbers, st.booleans(), st.booleans())
def test_the_envelope_lets_nothing_out(
    power: float, low: float, high: float, power_ok: bool, discharge_ok: bool
) -> None:
    out = envelope.clamp(
        power,
        envelope.Ratings(7400.0, 6000.0),
        low,
        high,
        power_permitted=power_ok,
        discharge_permitted=discharge_ok,
    )
    assert math.isfinite(out)
    assert -6000.0 <= out <= 7400.0
    assert out == 0.0 or (out > 0.0) == (power > 0.0)
    if not power_ok:
        assert out == 0.0
    if not discharge_ok:
        assert out >= 0.0
    if out > 0.0:
        assert out <= high
    if out < 0.0:
        assert out >= low


@settings(max_examples=100, deadline=None)
@given(snapshots(), contexts(), numbers, numbers)
def test_nan_from_a_vehicle_or_meter_never_comes_out(
    snap: Snapshot, ctx: Context, amps: float, others: float
) -> None:
    limits = snap.vehicle.limits
    if limits is not None:
        limits = replace(limits, charge_a=amps, discharge_a=-amps)
    snap = replace(
        snap,
        vehicle=replace(snap.vehicle, limits=limits),
        site=replace(snap.site, others_w=others),
    )
    verdict = decide(snap, UNIT, ctx)
    assert math.isfinite(verdict.wanted_w)
    assert math.isfinite(_power(verdict))
