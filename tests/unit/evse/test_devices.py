"""What devices show: fault causes, the fault set's clearing, the meter's truth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.evse import causes, faultset, plausibility
from chargerd.model import StopReason, VehiclePhase, VehicleState
from firmware_bridge.api import (
    InsulationReading,
    MeterReading,
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
    StageSetpoint,
    Telemetry,
)
from tests.unit.scheduler.stand import at

FITTED = causes.Fitted(stage=True, insulation=True, mains_v=230.0)
PILOT = PilotReading(PilotState.A, dc_closed=True)
STAGE = StageReading(350.0, 20.0, StageMode.CHARGE, True)
METER = MeterReading(7400.0, 0.0, 0.0, 50.0, (230.0,))
IMD = InsulationReading(900_000.0)
GOOD = Telemetry(
    Reading(PILOT, 100.0),
    Reading(STAGE, 100.0),
    Reading(METER, 100.0),
    Reading(IMD, 100.0),
)
ENERGY = VehicleState("chademo", VehiclePhase.ENERGY)


def pilot(at_mono: float = 100.0, **values: object) -> Telemetry:
    return replace(GOOD, pilot=Reading(replace(PILOT, **values), at_mono))  # type: ignore[arg-type]


def imd(**values: object) -> Telemetry:
    return replace(GOOD, insulation=Reading(replace(IMD, **values), 100.0))  # type: ignore[arg-type]


def aged(**ages: float) -> Telemetry:
    values = {
        name: Reading(getattr(GOOD, name).value, 100.0 - age)
        for name, age in ages.items()
    }
    return replace(GOOD, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("telemetry", "found"),
    [
        (GOOD, set()),
        (aged(pilot=0.6), {"PilotLost"}),
        (replace(GOOD, pilot=None), {"PilotLost"}),
        (aged(stage=1.1), {"StageLost"}),
        (aged(insulation=5.1), {"InsulationLost"}),
        (imd(device_fault=True), {"InsulationLost"}),
        (imd(alarm=True, resistance_ohm=40_000.0), {"ResistanceFault"}),
        (imd(warning=True), set()),
        (pilot(faults=frozenset({"DiodeFault"})), {"DiodeFault"}),
        (pilot(emergency_stop=True), {"EmergencyStop"}),
        (pilot(temperature_c=79.0), set()),
        (pilot(temperature_c=80.0), {"CableOverTempDerate"}),
        (pilot(temperature_c=90.0), {"CableOverTempStop"}),
        (
            replace(
                GOOD,
                stage=Reading(replace(STAGE, faults=frozenset({"StageFault"})), 100),
            ),
            {"StageFault"},
        ),
        (
            replace(GOOD, meter=Reading(replace(METER, voltage_v=(20.0,)), 100.0)),
            {"PowerLoss"},
        ),
    ],
)
def test_causes(telemetry: Telemetry, found: set[str]) -> None:
    assert set(causes.find(telemetry, ENERGY, FITTED, 10.0, 100.0)) == found


def test_devices_have_time_after_a_start() -> None:
    assert not causes.find(Telemetry(), VehicleState(), FITTED, 2.9, 100.0)
    late = causes.find(Telemetry(), VehicleState(), FITTED, 3.0, 100.0)
    assert set(late) == {"PilotLost", "StageLost"}


def test_insulation_matters_only_with_a_vehicle_at_the_output() -> None:
    alarm = imd(alarm=True)
    assert not causes.find(alarm, VehicleState(), FITTED, 9.0, 100.0)


def test_vehicle_faults_come_through() -> None:
    broken = replace(ENERGY, faults=frozenset({"ChademoFault"}), stop_cause="x")
    found = causes.find(GOOD, broken, FITTED, 9.0, 100.0)
    assert found == {"ChademoFault": "x"}


@pytest.mark.parametrize(
    ("phase", "name", "held"),
    [
        (VehiclePhase.ENERGY, "StageLost", True),
        (VehiclePhase.STOPPING, "StageLost", True),
        (VehiclePhase.FAULT, "StageLost", False),  # the stage shows that itself
        (VehiclePhase.ENDED, "InsulationLost", False),
        (VehiclePhase.FAULT, "ChademoFault", True),  # until it is unplugged
        (VehiclePhase.FAULT, "EmergencyStop", True),
    ],
)
def test_a_protocol_that_is_over_holds_no_fault_that_passes(
    phase: VehiclePhase, name: str, held: bool
) -> None:
    over = replace(ENERGY, phase=phase, faults=frozenset({name}))
    assert (name in causes.find(GOOD, over, FITTED, 9.0, 100.0)) is held


@pytest.mark.parametrize(
    ("telemetry", "fresh"),
    [
        (GOOD, True),
        (aged(pilot=0.6), False),
        (aged(stage=1.1), False),
        (aged(meter=1.6), False),
        (replace(GOOD, meter=None), False),
        (pilot(safe_state=True), False),
        (pilot(emergency_stop=True), False),
    ],
)
def test_fresh(telemetry: Telemetry, fresh: bool) -> None:
    assert causes.is_fresh(telemetry, FITTED, 100.0) is fresh


@pytest.mark.parametrize(
    ("commanded", "closed", "safe", "wrong"),
    [
        (True, True, False, ""),
        (True, False, False, "open but driven closed"),
        (False, True, False, "closed but driven open"),
        (True, False, True, ""),
        (True, None, False, ""),
    ],
)
@pytest.mark.parametrize("name", ["DC", "AC"])
def test_contactor(
    name: str, commanded: bool, closed: bool | None, safe: bool, wrong: str
) -> None:
    contacts = {
        "dc_closed": False,
        "ac_closed": False,
        f"{name.lower()}_closed": closed,
    }
    driven = (commanded and name == "DC", commanded and name == "AC")

    def look(watch: causes.Watch, at_mono: float) -> tuple[causes.Watch, str]:
        telemetry = pilot(at_mono, **contacts, safe_state=safe)
        return causes.contactor(watch, driven, telemetry, at_mono)

    watch, first = look(causes.Watch(), 100.0)
    assert first == ""
    assert look(watch, 101.4)[1] == ""
    assert look(watch, 101.6)[1] == (f"{name} {wrong}" if wrong else "")
    calm, none = causes.contactor(watch, driven, pilot(101.6, dc_closed=None), 101.6)
    assert (calm, none) == (causes.Watch(), "")


def test_a_silent_board_does_not_contradict_a_later_command() -> None:
    telemetry = pilot(100.0, ac_closed=True)  # its last word; then we drive open
    watch = causes.Watch()
    for tenth in range(3, 40):
        now_mono = 100.0 + tenth / 10
        watch, wrong = causes.contactor(watch, (False, False), telemetry, now_mono)
        assert wrong == ""


@pytest.mark.parametrize(
    ("told", "flows_a", "wrong"),
    [
        (StageSetpoint(StageMode.CHARGE, 400.0, 20.0), 22.9, False),
        (StageSetpoint(StageMode.CHARGE, 400.0, 20.0), 23.1, True),
        (StageSetpoint(StageMode.CHARGE, 400.0, 20.0), 5.0, False),  # voltage-limited
        (StageSetpoint(StageMode.CHARGE, 400.0, 20.0), -3.1, True),
        (StageSetpoint(StageMode.DISCHARGE, 300.0, 10.0), -12.9, False),
        (StageSetpoint(StageMode.DISCHARGE, 300.0, 10.0), -13.1, True),
        (StageSetpoint(StageMode.DISCHARGE, 300.0, 10.0), 3.1, True),
        (StageSetpoint(), 3.1, True),
        (StageSetpoint(), -3.1, True),
        (StageSetpoint(), 2.9, False),
    ],
)
def test_a_stage_that_does_more_than_told(
    told: StageSetpoint, flows_a: float, wrong: bool
) -> None:
    reading = replace(STAGE, current_a=flows_a)
    now = replace(GOOD, stage=Reading(reading, 100.0))
    since, first = causes.runaway(None, told, now, 100.0)
    assert first == ""
    later = replace(GOOD, stage=Reading(reading, 101.6))
    assert bool(causes.runaway(since, told, later, 101.6)[1]) is wrong
    calm = replace(GOOD, stage=Reading(replace(STAGE, current_a=0.0), 101.6))
    assert causes.runaway(since, told, calm, 101.6) == (None, "")
    assert causes.runaway(since, told, now, 101.6) == (None, "")  # that is StageLost


def _walk(*steps: tuple[float, set[str], bool, bool]) -> faultset.FaultSet:
    faults = faultset.EMPTY
    for mono, names, unplugged, reset in steps:
        present = dict.fromkeys(names, "5 A")
        faults = faultset.step(
            faults, present, 1, at(mono), unplugged=unplugged, reset=reset
        )
    return faults


@pytest.mark.parametrize(
    ("name", "last", "remains"),
    [
        ("MeterLost", (4.9, False, False), True),
        ("MeterLost", (5.1, False, False), False),
        ("ResistanceFault", (99.0, False, False), True),
        ("ResistanceFault", (1.0, True, False), False),
        ("GroundFailure", (99.0, True, False), True),
        ("GroundFailure", (1.0, False, True), False),
    ],
)
def test_faults_clear_by_their_rule(
    name: str, last: tuple[float, bool, bool], remains: bool
) -> None:
    gone, unplugged, reset = last
    faults = _walk(
        (0.0, {name}, False, False),
        (1.0, set(), False, False),
        (1.0 + gone, set(), unplugged, reset),
    )
    assert bool(faults.active) is remains
    assert faults.cleared == (() if remains else (name,))


def test_fault_that_returns_keeps_its_begin_and_its_count_of_seconds_restarts() -> None:
    faults = _walk(
        (0.0, {"MeterLost"}, False, False),
        (1.0, set(), False, False),
        (5.0, {"MeterLost"}, False, False),
        (6.0, set(), False, False),
        (10.0, set(), False, False),
    )
    assert [f.since_utc for f in faults.active] == [at(0.0).utc]


def test_sum_of_effects() -> None:
    assert not _walk((0.0, {"CsmsLost"}, False, False)).stops_power
    pause = _walk((0.0, {"MeterLost"}, False, False))
    assert pause.stops_power
    assert pause.ends_session is None
    only = _walk((0.0, {"SocUnknown"}, False, False))
    assert (only.stops_power, only.no_discharge) == (False, True)
    worst = _walk((0.0, {"PilotFault", "GroundFailure"}, False, False))
    assert worst.ends_session is StopReason.GROUND_FAULT
    assert worst.active[0].info == "5 A"


def test_station_faults_belong_to_evse_0() -> None:
    faults = faultset.step(
        faultset.EMPTY,
        {"CsmsLost": ""},
        2,
        at(0.0),
        station=frozenset({"CsmsLost"}),
    )
    assert faults.active[0].evse_id == 0


def _meter(mono: float, power_w: float, noise: float | None = None) -> MeterReading:
    wobble = mono if noise is None else noise
    return MeterReading(
        power_w, 0.0, 0.0, 50.0 + wobble * 1e-4, (230.0 + wobble * 1e-3,)
    )


def _judge(
    dc_w: list[float], ac_w: list[float], noise: float | None = None
) -> tuple[set[str], float]:
    """Feed one sample each 0.2 s; returns the causes seen and when the first came."""
    state, seen, first = plausibility.State(), set[str](), -1.0
    for step, (dc, ac) in enumerate(zip(dc_w, ac_w, strict=True)):
        now = step * 0.2
        stage = replace(STAGE, current_a=dc / 350.0)
        state, found = plausibility.step(
            state,
            Reading(_meter(now, ac, noise), now),
            Reading(stage, now),
            0.94,
            now,
        )
        if found and first < 0.0:
            first = now
        seen |= set(found)
    return seen, first


@pytest.mark.parametrize("ac_w", [7000.0, -7000.0, 2000.0, -2000.0])
@pytest.mark.parametrize(("gain", "bad"), [(1.0, False), (1.5, True), (-1.0, True)])
def test_gain_and_sign(ac_w: float, gain: float, bad: bool) -> None:
    dc_w = ac_w * 0.94 if ac_w > 0 else ac_w / 0.94
    seen, first = _judge([dc_w] * 20, [ac_w * gain] * 20)
    assert seen == ({"MeterImplausible"} if bad else set())
    assert first < 2.0


def test_late_meter_on_a_ramp_is_no_alarm() -> None:
    ramp = [min(7000.0, 1500.0 * n) for n in range(30)]
    late = [0.0, 0.0, 0.0, *ramp[:-3]]
    assert _judge([w * 0.94 for w in ramp], late)[0] == set()


def test_low_power_is_no_alarm() -> None:
    assert _judge([0.0] * 20, [120.0] * 20)[0] == set()


def test_frozen_needs_identical_volts_and_hertz() -> None:
    assert _judge([0.0] * 20, [0.0] * 20)[0] == set()
    seen, first = _judge([0.0] * 20, [0.0] * 20, noise=1.0)
    assert seen == {"MeterFrozen"}
    assert first <= 2.2


def test_meter_of_power_alone_may_repeat_itself() -> None:
    state = plausibility.State()
    for step in range(30):
        reading = Reading(MeterReading(0.0, 0.0, 0.0), step * 0.2)
        state, found = plausibility.step(state, reading, None, 0.94, step * 0.2)
        assert not found


def test_a_silent_meter_does_not_lie_about_the_power_that_ended() -> None:
    state, seen = plausibility.State(), set[str]()
    for step in range(50):
        now = step * 0.2
        dc_w = 7000.0 * 0.94 if now < 3.0 else 0.0  # MeterLost takes the power away
        meter = Reading(_meter(min(now, 1.4), 7000.0), min(now, 1.4))
        stage = Reading(replace(STAGE, current_a=dc_w / 350.0), now)
        state, found = plausibility.step(state, meter, stage, 0.94, now)
        seen |= set(found)
    assert seen == {"MeterLost"}


def test_a_frozen_meter_does_not_lie_about_the_power_that_ended() -> None:
    state, seen, doubted = plausibility.State(), set[str](), False
    for step in range(60):
        now = step * 0.2
        dc_w = 7000.0 * 0.94 if now < 3.0 else 0.0  # MeterFrozen takes the power away
        thawed = now >= 8.0
        meter = _meter(now, 0.0) if thawed else _meter(0.0, 7000.0)
        stage = Reading(replace(STAGE, current_a=dc_w / 350.0), now)
        state, found = plausibility.step(state, Reading(meter, now), stage, 0.94, now)
        seen |= set(found)
        doubted = state.wrong_mono is not None
        assert doubted or now < 2.0 or thawed  # it counts for nothing else
    assert seen == {"MeterFrozen"}
    assert not doubted


def test_a_meter_that_freezes_on_a_ramp_is_frozen_not_a_liar() -> None:
    """It disagrees with the stage sooner than it has stood still for long enough."""
    ramp = [-min(5000.0, 1000.0 * n) for n in range(20)]
    state, seen = plausibility.State(), set[str]()
    for step, ac_w in enumerate(ramp):
        now = step * 0.2
        held = min(step, 2)  # from the third sample on it repeats itself
        meter = Reading(_meter(held * 0.2, ramp[held]), now)
        stage = Reading(replace(STAGE, current_a=ac_w / 0.94 / 350.0), now)
        state, found = plausibility.step(state, meter, stage, 0.94, now)
        seen |= set(found)
        assert not found or now >= 2.4
    assert seen == {"MeterFrozen"}


def test_silence() -> None:
    reading = Reading(METER, 10.0)
    assert not plausibility.step(plausibility.State(), reading, None, 0.94, 11.4)[1]
    found = plausibility.step(plausibility.State(), reading, None, 0.94, 11.6)[1]
    assert set(found) == {"MeterLost"}
