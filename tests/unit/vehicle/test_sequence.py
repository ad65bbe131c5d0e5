"""The CHAdeMO sequence against the scripted car: start, power, stop, start again."""

from __future__ import annotations

import itertools

import pytest

from chargerd.config import Chademo
from chargerd.model import VehicleDemand, VehiclePhase, VehicleState
from chargerd.vehicle.chademo.steps import Step
from chargerd.vehicle.chademo.view import Ratings
from tests.unit.vehicle.stand import Car, Stand


def frames(stand: Stand, frame_id: int) -> list[tuple[float, bytes]]:
    return [(at, body) for at, seen, body in stand.sent if seen == frame_id]


def last(stand: Stand, frame_id: int) -> bytes:
    return frames(stand, frame_id)[-1][1]


def test_nothing_happens_without_vehicle_or_wish() -> None:
    stand = Stand()
    stand.plugged = False
    stand.run(2.0)
    assert stand.sequence.state() == VehicleState()
    stand.plugged, stand.energise = True, False
    stand.run(2.0)
    assert stand.sequence.state() == VehicleState()
    assert stand.sequence.next_timer() is None
    assert stand.sent == []


@pytest.mark.parametrize("sense", ["connector", "stage"])
def test_start_goes_through_every_phase_in_order(sense: str) -> None:
    stand = Stand(config=Chademo(voltage_sense=sense))  # type: ignore[arg-type]
    phases: list[VehiclePhase] = []
    demands: dict[VehiclePhase, VehicleDemand] = {}
    for _ in range(1200):
        stand.tick()
        state = stand.sequence.state()
        if not phases or phases[-1] is not state.phase:
            phases.append(state.phase)
        demands[state.phase] = state.demand
    assert phases == [
        VehiclePhase.NONE,
        VehiclePhase.HANDSHAKE,
        VehiclePhase.CABLE_CHECK,
        VehiclePhase.PRECHARGE,
        VehiclePhase.ENERGY,
    ]
    assert stand.sequence.state().protocol == "chademo"
    energy = demands[VehiclePhase.ENERGY]
    assert energy == VehicleDemand(
        d1=True,
        d2=True,
        lock=True,
        close_dc=True,
        insulation_on=True,
        voltage_v=410.0,  # the vehicle's target
        cutoff_v=250.0,  # 200.4-5
    )


def test_times_of_the_start() -> None:
    """k 3.92 s after d1, d2 within 20 s of k, request within 4 s, 109.5.0 in 0.5 s."""
    stand = Stand()
    stand.start()
    assert stand.at(Step.LOCK) - stand.at(Step.WAKE) == pytest.approx(3.95, abs=0.1)
    assert stand.at(Step.CLOSE) - stand.at(Step.LOCK) < 20.0
    asked = stand.at(Step.ENERGY)
    on = next(at for at, body in frames(stand, 0x109) if body[5] & 1)
    assert 0.0 <= on - asked <= 0.5
    assert next(body for at, body in frames(stand, 0x109) if at == on)[5] & 0x21 == 1


def test_test_voltage_is_the_threshold_and_the_output_is_dead_before_and_after() -> (
    None
):
    stand = Stand()
    stand.stage = {"voltage_v": 10.5}  # still bleeding
    stand.until_step(Step.PROVE)
    stand.run(1.0)
    assert stand.step is Step.PROVE
    assert stand.sequence.state().demand.voltage_v == 0.0
    stand.stage = {}
    stand.until_step(Step.TEST)
    assert stand.stage_v < 10.0
    demand = stand.sequence.state().demand
    assert (demand.voltage_v, demand.current_a) == (435.0, 2.0)
    stand.until_step(Step.SINK)
    assert not stand.sequence.state().demand.close_dc
    stand.until_step(Step.CLOSE)
    assert stand.stage_v < 20.0


def test_station_is_silent_until_the_vehicle_has_spoken() -> None:
    stand = Stand()
    stand.until_step(Step.READY)
    first_vehicle = stand.now
    stand.run(0.3)
    assert stand.sent[0][0] - first_vehicle <= 0.1
    assert [frame_id for _, frame_id, _ in stand.sent[:4]] == [
        0x108,
        0x109,
        0x208,
        0x209,
    ]


def test_every_frame_every_100_ms_in_order() -> None:
    stand = Stand()
    stand.start()
    for frame_id in (0x108, 0x109, 0x208, 0x209):
        ats = [at for at, _ in frames(stand, frame_id)]
        gaps = {round(b - a, 3) for a, b in itertools.pairwise(ats)}
        assert gaps <= {0.09, 0.1, 0.11}
    order = [frame_id for _, frame_id, _ in stand.sent]
    assert order == [0x108, 0x109, 0x208, 0x209] * (len(order) // 4)


@pytest.mark.parametrize(
    ("config", "flags", "rated_a"),
    [
        (Chademo(discharge=False), 0x80, 30.0),
        (Chademo(), 0x80, 0.0),
        (Chademo(), 0x00, 30.0),
    ],
    ids=["we may not", "we cannot", "it cannot"],
)
def test_no_discharge_frames_unless_both_can(
    config: Chademo, flags: int, rated_a: float
) -> None:
    ratings = Ratings(150.0, 500.0, 30.0, rated_a)
    stand = Stand(Car(flags=flags), config, ratings)
    stand.setpoint_a = -10.0
    stand.start()
    limits = stand.sequence.state().limits
    assert limits is not None
    assert not limits.discharge_allowed
    assert limits.discharge_a == 0.0
    assert {frame_id for _, frame_id, _ in stand.sent} == {0x108, 0x109}
    assert last(stand, 0x109)[4] == 0
    assert stand.stage_a == 0.0


def test_extended_frames_of_protocol_2_0() -> None:
    stand = Stand(config=Chademo(protocol_number=3, maker_code=9))
    stand.until_step(Step.READY)
    stand.sequence.receive(0x110, bytes.fromhex("0300000000000000"), stand.now)
    stand.sequence.receive(0x700, bytes.fromhex("0b00000000000000"), stand.now)
    stand.run(0.2)
    ids = [frame_id for _, frame_id, _ in stand.sent[-6:]]
    assert ids == [0x108, 0x109, 0x118, 0x208, 0x209, 0x708]
    assert last(stand, 0x708)[0] == 9


def test_charge_follows_and_reports() -> None:
    stand = Stand()
    stand.start()
    state = stand.sequence.state()
    assert state.soc_pct == 60.0
    assert state.capacity_wh == 22_200.0
    assert state.limits is not None
    assert state.limits.charge_a == 30.0
    assert state.limits.voltage_max_v == 410.0
    assert stand.stage_a == 10.0
    assert last(stand, 0x108)[3] == 12  # setpoint and a little room
    assert last(stand, 0x109)[1:4] == bytes((350 & 0xFF, 350 >> 8, 10))
    assert last(stand, 0x208)[0] == 0xFF


def test_charge_is_inhibited_in_the_next_frame_and_comes_back() -> None:
    stand = Stand()
    stand.start()
    stand.charge_a, at = 0.0, stand.now
    stand.until(lambda: stand.car.request_a == 0.0, 0.3)
    assert stand.now - at <= 0.2
    assert last(stand, 0x108)[3] == 0
    stand.run(5.0)
    assert stand.sequence.state().phase is VehiclePhase.ENERGY
    stand.charge_a, at = 30.0, stand.now
    stand.until(lambda: stand.stage_a >= 10.0, 3.0)
    assert 0.4 <= stand.now - at <= 1.3  # 20 A/s and two cycles


def test_taper_of_the_vehicle_becomes_its_limit() -> None:
    stand = Stand()
    stand.setpoint_a = 20.0
    stand.start()
    stand.run(2.0)
    limits = stand.sequence.state().limits
    assert limits is not None
    assert limits.requested_a == 15.0  # the car's own maximum
    assert limits.charge_a == 15.0
    stand.car.max_a = 30
    stand.run(5.0)
    limits = stand.sequence.state().limits
    assert limits is not None
    assert limits.charge_a == 30.0


def test_derated_stage_does_not_let_the_request_run_away() -> None:
    """A car faults when 10 A of its request do not come for 5 s."""
    stand = Stand()
    stand.setpoint_a, stand.car.max_a = 28.0, 30
    stand.actual_a, stand.stage = 6.0, {"derated": True}
    stand.start()
    assert last(stand, 0x108)[3] == 8


def test_discharge_sign_and_frames() -> None:
    stand = Stand()
    stand.setpoint_a = -12.0
    stand.start()
    limits = stand.sequence.state().limits
    assert limits is not None
    assert limits.discharge_allowed
    assert limits.discharge_a == -15.0
    assert stand.stage_a == -12.0
    assert last(stand, 0x108)[3] == 0  # no request while we draw
    assert last(stand, 0x109)[3] == 0
    assert last(stand, 0x109)[4] == 1
    assert last(stand, 0x208)[0] == 0xFF - 12
    assert last(stand, 0x208)[3] == 0xFF - 30
    assert int.from_bytes(last(stand, 0x208)[6:8], "little") == 250


def test_discharge_limit_follows_the_vehicle_and_our_rating() -> None:
    stand = Stand()
    stand.setpoint_a = -30.0
    stand.start()
    for raw, expected in ((0xFF - 4, -4.0), (0xFF - 40, -30.0)):
        stand.car.hide = {0x200}
        body = bytes((raw, 0, 0, 0, 250, 0, 30, 80))
        stand.sequence.receive(0x200, body, stand.now)
        limits = stand.sequence.state().limits
        assert limits is not None
        assert limits.discharge_a == expected


def denied(stand: Stand) -> bool:
    limits = stand.sequence.state().limits
    return limits is not None and not limits.discharge_allowed


@pytest.mark.parametrize(
    "knob",
    [
        {"flags": 0x00},  # 102.5.7 withdrawn
        {"levels": (60, 90)},  # SoC at 200.6
        {"battery_v": 250.0},  # at 200.4-5
        {"hide": {0x200}},  # not heard for a second
        {"soc": 101},  # SoC no longer known
        {"levels": (133, 178), "capacity": 0},  # unit needs a capacity not given
        {"rate_constant": 0},
    ],
    ids=lambda knob: "-".join(knob),
)
def test_discharge_needs_every_permission(knob: dict[str, object]) -> None:
    stand = Stand()
    stand.setpoint_a = -10.0
    stand.start()
    assert not denied(stand)
    for name, value in knob.items():
        setattr(stand.car, name, value)
    stand.run(1.5)
    assert denied(stand)
    assert stand.stage_a == 0.0
    assert stand.sequence.state().phase is VehiclePhase.ENERGY  # discharge only


def test_vehicle_that_gives_no_current() -> None:
    stand = Stand()
    stand.start()
    stand.car.hide = {0x200}
    stand.sequence.receive(0x200, bytes.fromhex("ff000000fa001e50"), stand.now)
    assert denied(stand)


def test_discharge_at_the_voltage_floor_does_not_flutter() -> None:
    stand = Stand(Car(battery_v=256.0))
    stand.setpoint_a = -10.0
    stand.start()
    assert not denied(stand)
    stand.car.battery_v = 249.0  # sags under load
    stand.run(0.2)
    assert denied(stand)
    stand.car.battery_v = 254.0  # recovers without load
    stand.run(2.0)
    assert denied(stand)
    stand.car.battery_v = 256.0
    stand.run(0.2)
    assert not denied(stand)


def test_full_for_200_7_stops_charging_only() -> None:
    stand = Stand(Car(soc=80))
    stand.start()
    limits = stand.sequence.state().limits
    assert limits is not None
    assert limits.charge_a == 0.0
    assert limits.discharge_allowed
    assert last(stand, 0x108)[3] == 0


def test_first_soc_values_are_dropped() -> None:
    stand = Stand(Car(false_soc=18))
    seen = set()
    for _ in range(900):
        stand.tick()
        seen.add(stand.sequence.state().soc_pct)
    assert seen == {None, 60.0}


def test_extended_request_current() -> None:
    stand = Stand(Car(max_a=0))
    stand.until_step(Step.REQUEST)
    stand.car.hide = {0x102}
    body = bytearray.fromhex("029a01ff00813c00")
    stand.sequence.receive(0x102, bytes(body), stand.now)
    assert stand.step is Step.REQUEST  # FF alone says nothing
    stand.sequence.receive(0x110, bytes.fromhex("0219000000000000"), stand.now)
    limits = stand.sequence.state().limits
    assert limits is not None
    assert limits.requested_a == 25.0
    assert stand.step is Step.ENERGY


def test_v2h_car_that_only_gives_is_enough_to_begin() -> None:
    stand = Stand(Car(asks=False))
    stand.until_step(Step.REQUEST)
    stand.car.hide = {0x200}
    stand.sequence.receive(0x200, bytes.fromhex("f5000000fa001e50"), stand.now)
    assert stand.step is Step.ENERGY


def test_standby_keeps_the_session() -> None:
    stand = Stand()
    stand.setpoint_a = 0.0
    stand.start()
    stand.run(380.0)
    assert stand.sequence.state().phase is VehiclePhase.ENERGY
    assert {body[3] for _, body in frames(stand, 0x109)[-3000:]} == {0}


def test_configured_pulse_against_the_leaf_time_limit() -> None:
    stand = Stand(config=Chademo(current_pulse_s=60.0))
    stand.setpoint_a = -5.0
    stand.start()
    stand.sent.clear()
    stand.run(120.0)
    shown = [body[3] for _, body in frames(stand, 0x109)]
    assert 16 <= shown.count(1) <= 24  # a second a minute
    assert set(shown) == {0, 1}
    assert {body[0] for _, body in frames(stand, 0x208)} == {0xFF - 5}  # stays true


def test_normal_stop_in_the_whole_order() -> None:
    stand = Stand()
    stand.start()
    stand.energise = False
    begin = stand.now
    seen: list[VehicleDemand] = []
    for _ in range(1000):
        stand.tick()
        demand = stand.sequence.state().demand
        pins = VehicleDemand(demand.d1, demand.d2, demand.lock, demand.close_dc)
        if not seen or seen[-1] != pins:
            seen.append(pins)
    assert seen == [
        VehicleDemand(d1=True, d2=True, lock=True, close_dc=True),
        VehicleDemand(d1=True, d2=False, lock=True, close_dc=False),
        VehicleDemand(d1=False, d2=False, lock=False, close_dc=False),
    ]
    state = stand.sequence.state()
    assert state.phase is VehiclePhase.ENDED
    assert (state.stop_cause, state.faults) == ("station", frozenset())
    assert state.limits is not None
    assert (state.limits.charge_a, state.limits.discharge_a) == (0.0, 0.0)

    def first(bit: int, on: bool) -> float:
        return next(
            at
            for at, body in frames(stand, 0x109)
            if at > begin and bool(body[5] & bit) is on
        )

    stopped, idle = first(0x20, True), first(0x01, False)
    assert stopped - begin <= 0.15
    assert 0.05 <= idle - stopped <= 0.6  # 5.5 = 1 is seen before 5.0 = 0
    assert stand.at(Step.RELEASE) - idle == pytest.approx(2.9, abs=0.3)
    assert stand.at(Step.UNLOCK) - stand.at(Step.RELEASE) >= 0.5


def test_lock_stays_shut_until_the_line_is_dead() -> None:
    stand = Stand()
    stand.start()
    stand.energise = False
    while stand.locked:
        stand.tick()
        if not stand.sequence.state().demand.lock:
            assert stand.connector_v() < 60.0
    assert stand.stage_v < 60.0


def test_protocol_0_9_has_no_contactor_flag() -> None:
    stand = Stand(Car(protocol=1, flags=0x00))
    stand.start()
    assert stand.at(Step.MATCH) - stand.at(Step.CLOSE) >= 2.0
    stand.energise = False
    stand.until_phase(VehiclePhase.ENDED, 10.0)


# -- starting again ---------------------------------------------------------------


def ended(cause: str = "station") -> Stand:
    stand = Stand()
    stand.start()
    if cause == "station":
        stand.energise = False
    else:
        stand.car.enabled_knob = False
    stand.until_phase(VehiclePhase.ENDED, 10.0)
    assert stand.sequence.state().stop_cause == cause
    return stand


def test_a_new_wish_starts_again_at_once() -> None:
    stand = ended()
    stand.run(3.0)
    stand.energise = True
    stand.until_phase(VehiclePhase.ENERGY)
    assert stand.sequence.counters.d1_operations == 2
    assert stand.sequence.counters.sessions == 2
    assert stand.sequence.state().stop_cause == ""


def test_a_held_wish_does_not_restart_what_the_vehicle_ended() -> None:
    stand = ended("vehicle_stop")
    stand.car.enabled_knob = True
    stand.run(60.0)
    assert stand.sequence.state().phase is VehiclePhase.ENDED
    assert stand.sequence.counters.d1_operations == 1


def test_a_held_wish_wakes_again_after_rewake_after_s() -> None:
    stand = Stand(config=Chademo(rewake_after_s=60.0))
    stand.start()
    stand.car.enabled_knob = False
    stand.until_phase(VehiclePhase.ENDED, 10.0)
    stand.car.enabled_knob = True
    stand.until_phase(VehiclePhase.ENERGY, 70.0)
    wakes = [at for at, step in stand.steps if step is Step.WAKE]
    assert wakes[1] - wakes[0] == pytest.approx(60.0, abs=0.1)


def test_replug_is_a_new_vehicle() -> None:
    stand = ended("vehicle_stop")
    stand.plugged = False
    stand.run(0.2)
    assert stand.sequence.state() == VehicleState()
    stand.car = Car()
    stand.plugged = True
    stand.until_phase(VehiclePhase.ENERGY)
    assert stand.sequence.counters.d1_operations == 2


@pytest.mark.parametrize("gap_s", [0.2, 1.0, 5.0])
def test_pulled_under_power_and_back(gap_s: float) -> None:
    stand = Stand()
    stand.start()
    stand.plugged = False
    stand.run(gap_s)
    stand.plugged = True
    stand.car = Car()
    stand.until_phase(VehiclePhase.ENERGY, 30.0)
    assert stand.sequence.counters.d1_operations == 2


def test_sleeping_vehicle_is_polled_rarely() -> None:
    """Each wake costs the car's relays and its 12 V battery."""
    stand = Stand(Car(first_frame_s=1e9), Chademo(rewake_after_s=60.0))
    stand.run(150.0)
    assert stand.sequence.counters.d1_operations == 3
    for _ in range(20):  # not even a nervous thumb wakes it more often
        stand.energise = not stand.energise
        stand.run(1.0)
    assert stand.sequence.counters.d1_operations == 3


def test_no_start_into_a_standing_fault() -> None:
    for block in ({"emergency_stop": True}, {"safe_state": True}):
        stand = Stand()
        stand.pilot = block
        stand.run(2.0)
        assert stand.sequence.counters.d1_operations == 0
        stand.pilot = {}
        stand.run(0.2)
        assert stand.sequence.counters.d1_operations == 1
    stand = Stand()
    stand.fault_stop = True
    stand.run(2.0)
    assert stand.sequence.counters.d1_operations == 0


def test_garbage_is_only_counted() -> None:
    stand = Stand()
    stand.start()
    before = stand.sequence.counters
    state = stand.sequence.state()
    for frame_id, data in ((0x102, b""), (0x100, bytes(9)), (0x200, b"\xff" * 8)):
        stand.sequence.receive(frame_id, data, stand.now)
    for frame_id in (0x202, 0x7FF, 1 << 28):
        stand.sequence.receive(frame_id, b"\xff" * 64, stand.now)
    after = stand.sequence.counters
    assert (after.bad, after.unknown) == (before.bad + 3, before.unknown + 3)
    assert after.frames == before.frames
    assert stand.sequence.state() == state


def test_an_older_time_does_not_turn_the_clock_back() -> None:
    stand = Stand()
    stand.start()
    stand.sequence.on_timer(stand.now - 500.0)
    stand.sequence.command(stand.offer(), stand.now - 500.0)
    stand.run(1.0)
    assert stand.sequence.state().phase is VehiclePhase.ENERGY


@pytest.mark.parametrize("said_v", [350, 30])
def test_battery_voltage_of_frame_103_where_nobody_measures_it(said_v: int) -> None:
    stand = Stand()
    stand.until_step(Step.CLOSE)
    stand.insulation = {"voltage_v": None}
    body = said_v.to_bytes(2, "little") + bytes(6)
    stand.sequence.receive(0x103, body, stand.now)
    stand.run(4.0)
    assert (stand.sequence.state().phase is VehiclePhase.ENERGY) == (said_v == 350)
    assert stand.sequence.state().demand.close_dc == (said_v == 350)
