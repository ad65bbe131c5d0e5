"""Arbitration, stage by stage: one row per rule, from a snapshot that allows all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from chargerd.evse.session import RUNNING
from chargerd.model import (
    ActiveFault,
    DispatchSignal,
    OperationMode,
    Priority,
    Promise,
    Session,
    SessionPhase,
    SiteState,
    Snapshot,
    Token,
    VehicleLimits,
    VehiclePhase,
    VehicleState,
)
from chargerd.plan import Plan, PlanPart
from chargerd.scheduler import bounds, words
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.decide import decide
from chargerd.scheduler.promise import Line
from chargerd.scheduler.terms import Carry, Context, Unit, Verdict
from firmware_bridge.api import (
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)
from tests.unit.scheduler.stand import T0, at, make_signal

NOW = at(10.0)
MONO = NOW.mono
VOLTS = 400.0
UNIT = Unit(
    charge_w=7000.0,
    discharge_w=6000.0,
    efficiency=1.0,
    voltage_max_v=500.0,
    ac_volts=230.0,
    ac_current_max_a=32.0,
    target_pct=80.0,
    floor_pct=20.0,
    lifetime_s=0.3,
    failsafe_import_w=1500.0,
)
FREE = Context(
    fresh=True,
    stops_power=False,
    no_discharge=False,
    battery=Estimate(60.0, 40_000.0),
)
LIMITS = VehicleLimits(
    MONO,
    charge_a=50.0,
    discharge_a=-50.0,
    voltage_max_v=450.0,
    voltage_min_v=250.0,
    discharge_allowed=True,
)
VEHICLE = VehicleState(
    "chademo",
    VehiclePhase.ENERGY,
    LIMITS,
    soc_pct=60.0,
    soc_at_mono=MONO,
    capacity_wh=40_000.0,
)
SITE = SiteState(20_000.0, -20_000.0, True, "TEST", frequency_hz=50.0)
SNAP = Snapshot(
    now=NOW,
    evse_id=1,
    telemetry=Telemetry(
        pilot=Reading(PilotReading(PilotState.A, chademo_proximity=True), MONO),
        stage=Reading(StageReading(VOLTS, 0.0, StageMode.CHARGE, True), MONO),
    ),
    vehicle=VEHICLE,
    session=Session(
        1, phase=SessionPhase.ENERGY, id="x", token=Token("A"), authorised=True
    ),
    site=SITE,
)


def ask(power_w: float | None, **values: object) -> DispatchSignal:
    return make_signal(MONO - 1.0, power_w, 60.0, **values)  # type: ignore[arg-type]


def run(power_w: float | None, ctx: Context = FREE, **changes: object) -> Verdict:
    signals = () if power_w is None else (ask(power_w),)
    signals += changes.pop("more", ())  # type: ignore[operator]
    snap = replace(SNAP, signals=signals, **changes)  # type: ignore[arg-type]
    return decide(snap, UNIT, ctx)


def vehicle(**values: object) -> VehicleState:
    return replace(VEHICLE, **values)  # type: ignore[arg-type]


def limits(**values: object) -> VehicleState:
    return vehicle(limits=replace(LIMITS, **values))  # type: ignore[arg-type]


def session(**values: object) -> Session:
    return replace(SNAP.session, **values)  # type: ignore[arg-type]


def site(**values: object) -> SiteState:
    return replace(SITE, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({}, -6000.0, 7000.0),
        ({"vehicle": limits(charge_a=10.0)}, -6000.0, 4000.0),
        ({"vehicle": limits(discharge_a=-5.0)}, -2000.0, 7000.0),
        ({"vehicle": limits(discharge_allowed=False)}, 0.0, 7000.0),
        ({"vehicle": limits(charge_a=0.0)}, -6000.0, 0.0),
        ({"vehicle": limits(at_mono=MONO - 1.1)}, 0.0, 0.0),
        ({"vehicle": vehicle(limits=None)}, 0.0, 0.0),
        ({"vehicle": vehicle(soc_pct=None)}, 0.0, 7000.0),
        ({"vehicle": vehicle(soc_at_mono=MONO - 11.0)}, 0.0, 7000.0),
        ({"session": session(discharge_authorised=False)}, 0.0, 7000.0),
        ({"site": site(discharge_permitted=False)}, 0.0, 7000.0),
        ({"site": site(frequency_hz=55.0)}, 0.0, 7000.0),
        ({"site": site(frequency_hz=60.1)}, -6000.0, 7000.0),
        ({"site": site(frequency_hz=None)}, -6000.0, 7000.0),
        ({"site": site(import_limit_w=5000.0)}, -6000.0, 5000.0),
        ({"site": site(import_limit_w=5000.0, others_w=2000.0)}, -6000.0, 3000.0),
        ({"site": site(import_limit_w=5000.0, others_w=9000.0)}, -6000.0, 0.0),
        ({"site": site(export_limit_w=0.0)}, 0.0, 7000.0),
        ({"site": site(export_limit_w=0.0, others_w=900.0)}, -900.0, 7000.0),
        ({"site": site(export_limit_w=-1000.0, others_w=-3000.0)}, 0.0, 7000.0),
        (
            {"site": site(export_limit_w=0.0, others_w=5000.0, others_least_w=900.0)},
            -900.0,
            7000.0,
        ),
        ({"site": site(meter_age_s=2.9)}, -6000.0, 7000.0),
        ({"site": site(meter_age_s=3.1)}, 0.0, 1500.0),
        ({"more": (ask(None, limit_w=3000.0),)}, -6000.0, 3000.0),
        ({"more": (ask(None, discharge_limit_w=-500.0),)}, -500.0, 7000.0),
        ({"more": (ask(None, limit_w=0.0, discharge_limit_w=0.0),)}, 0.0, 0.0),
        ({"more": (ask(None, mode=OperationMode.CHARGING_ONLY),)}, 0.0, 7000.0),
    ],
)
def test_bounds(changes: dict[str, object], low: float, high: float) -> None:
    verdict = run(None, **changes)
    assert (verdict.hard_low_w, verdict.hard_high_w) == (low, high)


def test_a_vehicle_s_currents_count_at_the_ac_side() -> None:
    """Charging costs the losses, discharging loses them."""
    snap = replace(SNAP, vehicle=limits(charge_a=10.0, discharge_a=-5.0))
    verdict = decide(snap, replace(UNIT, efficiency=0.8), FREE)
    assert (verdict.hard_low_w, verdict.hard_high_w) == (-1600.0, 5000.0)


@pytest.mark.parametrize(
    ("stage_v", "vehicle_v", "volts"),
    [
        (400.0, 450.0, 400.0),
        (50.0, 450.0, 450.0),  # not connected yet
        (None, 450.0, 450.0),
        (None, 600.0, 500.0),  # the EVSE's own maximum
        (None, 0.0, 500.0),
        (None, None, 500.0),
    ],
)
def test_the_voltage_that_power_is_counted_with(
    stage_v: float | None, vehicle_v: float | None, volts: float
) -> None:
    stage = None
    if stage_v is not None:
        value = StageReading(stage_v, 0.0, StageMode.CHARGE, True)
        stage = Reading(value, MONO)
    car = vehicle(limits=None)
    if vehicle_v is not None:
        car = limits(voltage_max_v=vehicle_v)
    snap = replace(SNAP, vehicle=car, telemetry=replace(SNAP.telemetry, stage=stage))
    assert bounds.dc_volts(snap, UNIT) == volts


@pytest.mark.parametrize(
    ("ctx", "low", "high"),
    [
        ({"derated": True}, -3000.0, 3500.0),
        ({"no_discharge": True}, 0.0, 7000.0),
        ({"no_discharge": True, "derated": True}, 0.0, 3500.0),
        ({"stops_power": True}, 0.0, 0.0),
        ({"fresh": False}, 0.0, 0.0),
    ],
)
def test_bounds_of_safety(ctx: dict[str, bool], low: float, high: float) -> None:
    verdict = run(None, replace(FREE, **ctx))  # type: ignore[arg-type]
    # What an EVSE offers stands also while a gate keeps its power at zero.
    assert (verdict.offer_low_w, verdict.offer_high_w) == (low, high)


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"session": session(discharge_authorised=False)}, "authorisation"),
        ({"site": site(discharge_permitted=False)}, "config.site.export_permit"),
        ({"site": site(frequency_hz=55.0)}, "der.frequency"),
        ({"vehicle": vehicle(soc_pct=None)}, "chademo.soc"),
        ({"vehicle": limits(discharge_allowed=False)}, "chademo"),
    ],
)
def test_who_refuses_discharge_is_named(
    changes: dict[str, object], source: str
) -> None:
    verdict = run(-5000.0, **changes)
    assert verdict.source == source
    assert not verdict.discharge_permitted
    assert verdict.able_low_w == 0.0


@pytest.mark.parametrize("power_w", [-5000.0, 5000.0])
@pytest.mark.parametrize(
    ("changes", "ctx", "source"),
    [
        ({}, replace(FREE, fresh=False), "telemetry"),
        (
            {"faults": (ActiveFault("EmergencyStop", 1, T0),)},
            replace(FREE, stops_power=True),
            "EmergencyStop",
        ),
        ({"session": session(authorised=False)}, FREE, "session.energy"),
        ({"session": session(phase=SessionPhase.STOPPING)}, FREE, "session.stopping"),
        ({"session": session(phase=SessionPhase.FINISHED)}, FREE, "session.finished"),
        ({"vehicle": vehicle(phase=VehiclePhase.PRECHARGE)}, FREE, "vehicle.precharge"),
        ({"vehicle": vehicle(phase=VehiclePhase.STOPPING)}, FREE, "vehicle.stopping"),
    ],
)
def test_no_power_at_all(
    power_w: float, changes: dict[str, object], ctx: Context, source: str
) -> None:
    verdict = run(power_w, ctx, **changes)
    assert verdict.wanted_w == 0.0
    assert (verdict.hard_low_w, verdict.hard_high_w) == (0.0, 0.0)
    assert verdict.source == source
    assert any(reason.won and reason.source == source for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("signals", "power_w", "source"),
    [
        ((), 7000.0, "plan"),
        ((ask(-5000.0),), -5000.0, "ocpp.tx"),
        ((ask(-9000.0),), -6000.0, "permit"),
        ((ask(0.0),), 0.0, "ocpp.tx"),
        ((ask(None, mode=OperationMode.IDLE),), 0.0, "ocpp.tx"),
        ((ask(-3000.0, mode=OperationMode.CHARGING_ONLY),), 0.0, "ocpp.tx"),
        ((ask(-3000.0, mode=OperationMode.EXTERNAL_LIMITS),), 7000.0, "plan"),
        (
            (
                ask(-5000.0, source="mqtt", priority=Priority.LOCAL),
                ask(2000.0, priority=Priority.SETPOINT),
            ),
            2000.0,
            "ocpp.tx",
        ),
        (
            (
                ask(2000.0, source="afrr", priority=Priority.RESERVE),
                ask(-2000.0),
            ),
            2000.0,
            "afrr",
        ),
        ((ask(-6000.0, evse_id=0),), -6000.0, "ocpp.tx"),
    ],
)
def test_who_wishes(
    signals: tuple[DispatchSignal, ...], power_w: float, source: str
) -> None:
    verdict = run(None, more=signals)
    assert verdict.wanted_w == pytest.approx(power_w)
    # A bound that binds is named; the rating and the permit are both 6 kW here.
    assert verdict.source in (source, "rating")


def test_newest_of_the_same_rank_wins() -> None:
    older = replace(ask(1000.0, source="a"), received_mono=1.0)
    newer = replace(ask(2000.0, source="b"), received_mono=2.0)
    for pair in ((older, newer), (newer, older)):
        assert run(None, more=pair).source == "b"


def test_a_cap_of_low_rank_narrows_a_setpoint_of_high_rank() -> None:
    cap = ask(None, source="mqtt", priority=Priority.LOCAL, discharge_limit_w=-1000.0)
    verdict = run(None, more=(ask(-5000.0, priority=Priority.EMERGENCY), cap))
    assert verdict.wanted_w == -1000.0
    assert verdict.source == "mqtt"


def test_station_caps_count_the_other_evses() -> None:
    ctx = replace(FREE, other_charge_w=3000.0, other_discharge_w=-500.0)
    cap = ask(None, evse_id=0, limit_w=4000.0, discharge_limit_w=-1500.0)
    verdict = run(None, ctx, more=(cap,))
    assert (verdict.hard_low_w, verdict.hard_high_w) == (-1000.0, 1000.0)


def test_station_setpoint_is_divided() -> None:
    ctx = replace(FREE, station_evses=4)
    assert run(None, ctx, more=(ask(-4000.0, evse_id=0),)).wanted_w == -1000.0


@pytest.mark.parametrize(
    ("soc", "done", "power_w"),
    [(None, False, 7000.0), (79.9, False, 7000.0), (80.0, False, 0.0),
     (78.5, True, 0.0), (77.9, True, 7000.0)],
)  # fmt: skip
def test_plan_charges_to_the_target(
    soc: float | None, done: bool, power_w: float
) -> None:
    ctx = replace(FREE, battery=Estimate(soc, 40_000.0), carry=Carry(plan_done=done))
    assert run(None, ctx).wanted_w == power_w


@pytest.mark.parametrize(
    ("soc", "low"), [(20.0, 0.0), (20.9, -6000.0), (25.0, -6000.0)]
)
def test_floor_bars_discharge(soc: float, low: float) -> None:
    ctx = replace(FREE, battery=Estimate(soc, 40_000.0))
    assert run(-6000.0, ctx).low_w == low


def test_floor_has_a_band() -> None:
    held = replace(
        FREE, battery=Estimate(20.9, 40_000.0), carry=Carry(Line(floor_held=True))
    )
    assert run(-6000.0, held).low_w == 0.0


def test_promise_forces_inside_the_bounds_that_are_left() -> None:
    wish = Promise(MONO + 60.0, 90.0)
    verdict = run(-5000.0, session=session(promise=wish))
    assert verdict.carry.line.must_charge
    assert verdict.wanted_w == 7000.0
    assert verdict.source == "promise"
    capped = run(
        -5000.0,
        session=session(promise=wish),
        more=(ask(None, source="ocpp.site", limit_w=2000.0),),
    )
    assert capped.wanted_w == 2000.0


@pytest.mark.parametrize(
    ("state", "cable_a", "import_w", "power_w"),
    [
        (PilotState.C, None, 20_000.0, 7360.0),
        (PilotState.B, None, 20_000.0, 7360.0),
        (PilotState.C, 13.0, 20_000.0, 2990.0),
        (PilotState.C, None, 2300.0, 2300.0),
        (PilotState.C, None, 1300.0, 0.0),  # under 6 A nothing can be offered
        (PilotState.A, None, 20_000.0, 0.0),
    ],
)
def test_ac_path(
    state: PilotState, cable_a: float | None, import_w: float, power_w: float
) -> None:
    reading = PilotReading(state, ac_closed=False, cable_limit_a=cable_a)
    verdict = run(
        None,
        telemetry=Telemetry(pilot=Reading(reading, MONO)),
        vehicle=VehicleState(),
        site=site(import_limit_w=import_w),
    )
    assert verdict.wanted_w == pytest.approx(power_w)


def test_ac_path_never_discharges() -> None:
    reading = PilotReading(PilotState.C, ac_closed=True)
    verdict = run(
        -3000.0,
        telemetry=Telemetry(pilot=Reading(reading, MONO)),
        vehicle=VehicleState(),
    )
    assert verdict.wanted_w == 0.0
    assert not verdict.discharge_permitted


def test_what_cannot_be_offered_is_said() -> None:
    reading = PilotReading(PilotState.C, ac_closed=False)
    verdict = run(
        None,
        telemetry=Telemetry(pilot=Reading(reading, MONO)),
        vehicle=VehicleState(),
        site=site(import_limit_w=1300.0),
    )
    assert (verdict.source, verdict.high_w) == ("pilot.6A", 0.0)
    assert won(verdict)["pilot.6A"] == "less than 6 A cannot be offered"


@pytest.mark.parametrize(
    ("wish", "changes", "asleep"),
    [
        ({"sleep": True}, {}, True),
        ({}, {}, False),
        ({"sleep": True}, {"session": session(authorised=False)}, False),  # a gate
        ({"sleep": True}, {"session": session(promise=Promise(MONO + 60.0, 90.0))},
         False),  # the promise charges
        ({"sleep": True}, {"vehicle": limits(charge_w=5000.0, discharge_w=-4000.0)},
         False),  # AC: there is no stage to rest
    ],
)  # fmt: skip
def test_the_stage_may_sleep_only_where_nothing_flows(
    wish: dict[str, bool], changes: dict[str, object], asleep: bool
) -> None:
    idle = ask(None, mode=OperationMode.IDLE)
    (segment,) = idle.segments
    idle = replace(idle, segments=(replace(segment, **wish),))  # type: ignore[arg-type]
    verdict = run(None, more=(idle,), **changes)
    assert verdict.sleep is asleep
    assert verdict.decision(SNAP, 0.0).asleep is asleep
    assert not verdict.decision(SNAP, 1.0).asleep  # the ramp is not down yet


def test_what_an_evse_can_do_does_not_shrink_with_the_site() -> None:
    """Others' shares rest on it; without permission there is nothing to share."""
    tight = {"import_limit_w": 3000.0, "export_limit_w": -500.0}
    verdict = run(None, site=site(**tight))
    assert (verdict.hard_low_w, verdict.hard_high_w) == (-500.0, 3000.0)
    assert (verdict.able_low_w, verdict.able_high_w) == (-6000.0, 7000.0)


def won(verdict: Verdict) -> dict[str, str]:
    return {reason.source: reason.note for reason in verdict.reasons if reason.won}


def test_reasons_name_the_bound_that_the_power_sits_on() -> None:
    cap = ask(None, source="ocpp.site", limit_w=3000.0)
    assert set(won(run(None, more=(cap,)))) == {"plan", "ocpp.site"}
    assert set(won(run(-9000.0))) == {"rating", "ocpp.tx"}
    only = ask(None, source="limit", limit_w=0.0, mode=OperationMode.CHARGING_ONLY)
    stopped = won(run(None, more=(only,)))  # the plan would charge
    assert stopped["limit"] == "ChargingOnly: limit of this signal, no discharge"
    assert won(run(-5000.0)) == {"ocpp.tx": "asks for -5.00 kW (CentralSetpoint)"}
    wish = Promise(MONO + 60.0, 90.0)
    forced = run(-5000.0, session=session(promise=wish), more=(cap,))
    assert set(won(forced)) == {"promise", "ocpp.site"}  # the setpoint has lost
    assert any(" short" in note for note in won(forced).values())


def test_reasons_show_a_signal_that_is_outranked() -> None:
    local = ask(2000.0, source="cli", priority=Priority.LOCAL)
    notes = {r.source: r.note for r in run(-5000.0, more=(local,)).reasons}
    assert notes["cli"] == "asks for +2.00 kW (CentralSetpoint); outranked by ocpp.tx"


def test_reasons_name_the_fault_that_stops_the_power() -> None:
    harmless = ActiveFault("CableOverTempDerate", 1, T0)
    stops = ActiveFault("EmergencyStop", 1, T0)
    ctx = replace(FREE, stops_power=True)
    verdict = run(-5000.0, ctx, faults=(harmless, stops))
    assert won(verdict) == {"EmergencyStop": "a fault is present"}


def test_every_gate_has_its_words() -> None:
    for phase in SessionPhase:
        if phase not in RUNNING:
            assert "fault" not in words.gate(f"session.{phase.value}")
    for state in set(VehiclePhase) - {VehiclePhase.ENERGY}:
        note = words.gate(f"vehicle.{state.value}")
        assert note != words.gate("SomeFault"), state


def test_lease_ends_with_the_signal_that_won() -> None:
    short = make_signal(MONO - 1.0, -1000.0, 1.2)
    assert run(None, more=(short,)).valid_until_mono == pytest.approx(MONO + 0.2)
    assert run(None).valid_until_mono == pytest.approx(MONO + 0.3)


def test_the_plan_turns_at_most_once_a_minute() -> None:
    """A noisy plan, or an energy corridor's edge, must not wear the contacts out."""
    carry, shown = Carry(), []
    for second in range(130):
        wish = 3000.0 if second % 2 else 0.0
        part = PlanPart(0.0, wish, -7000.0, 7000.0, 0.0, 40_000.0, 24_000.0)
        plan = Plan(1, (part,), 0.0, MONO + 1e4, "highs", 24_000.0)
        now = replace(NOW, mono=MONO + second)
        limits = replace(LIMITS, at_mono=now.mono)
        car = replace(VEHICLE, limits=limits, soc_at_mono=now.mono)
        snap = replace(SNAP, now=now, vehicle=car)
        verdict = decide(snap, UNIT, replace(FREE, carry=carry, plan=plan))
        carry = verdict.carry
        shown.append(verdict.wanted_w)
    turns = sum(a != b for a, b in pairwise(shown))
    assert turns == 2


def test_a_plan_may_move_within_its_direction() -> None:
    powers = []
    carry = Carry()
    for wish in (3000.0, 2000.0, 5000.0):
        part = PlanPart(0.0, wish, -7000.0, 7000.0, 0.0, 40_000.0, 24_000.0)
        plan = Plan(1, (part,), 0.0, MONO + 1e4, "highs", 24_000.0)
        verdict = decide(SNAP, UNIT, replace(FREE, carry=carry, plan=plan))
        carry = verdict.carry
        powers.append(verdict.wanted_w)
    assert powers == [3000.0, 2000.0, 5000.0]
