"""Vehicles that talk ISO 15118: AC in W, and who leads in DC. Signs end to end."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from chargerd.evse.actuate import Intent, Memory, actuate
from chargerd.model import (
    CertificateAnswer,
    CertificateQuestion,
    VehicleCertificate,
    VehicleDemand,
    VehicleLimits,
    VehiclePhase,
    VehicleState,
)
from chargerd.scheduler.decide import decide
from firmware_bridge.api import PilotReading, PilotState, Reading, StageMode, Telemetry
from tests.unit.evse.test_actuate import RATINGS, VEHICLE, telemetry
from tests.unit.scheduler.stand import Stand
from tests.unit.scheduler.test_decide import FREE, MONO, SNAP, UNIT, ask, run
from tests.unit.scheduler.test_decide import VEHICLE as SEEN

AC = VehicleLimits(MONO, charge_w=5000.0, discharge_w=-4000.0, discharge_allowed=True)
AC_PILOT = Telemetry(pilot=Reading(PilotReading(PilotState.C, ac_closed=True), MONO))


@pytest.mark.parametrize(
    ("wish_w", "limits", "power_w"),
    [
        (4000.0, {}, 4000.0),
        (9000.0, {}, 5000.0),  # what the vehicle takes
        (-3000.0, {}, -3000.0),
        (-9000.0, {}, -4000.0),  # what it gives
        (-3000.0, {"discharge_allowed": False}, 0.0),
        (-3000.0, {"discharge_w": None}, 0.0),
        (9000.0, {"charge_w": 0.0}, 0.0),  # 0 never flips the direction
        (-9000.0, {"discharge_w": 0.0}, 0.0),
        (9000.0, {"charge_w": 50_000.0}, 7000.0),  # the EVSE's rating
        (-9000.0, {"discharge_w": -50_000.0}, -6000.0),
    ],
)
def test_ac_by_talk(wish_w: float, limits: dict[str, object], power_w: float) -> None:
    told = replace(AC, **limits)  # type: ignore[arg-type]
    seen = replace(SEEN, protocol="iso15118-20", limits=told)
    verdict = run(wish_w, telemetry=AC_PILOT, vehicle=seen)
    assert verdict.wanted_w == power_w


@pytest.mark.parametrize("wish_w", [9000.0, -9000.0])
def test_ac_by_talk_flows_through_the_outlet(wish_w: float) -> None:
    """The power stage can do more than the contactor and the cable beside it."""
    told = replace(AC, charge_w=9000.0, discharge_w=-9000.0)
    snap = replace(
        SNAP,
        signals=(ask(wish_w),),
        telemetry=AC_PILOT,
        vehicle=replace(SEEN, protocol="iso15118-20", limits=told),
    )
    verdict = decide(snap, replace(UNIT, ac_current_max_a=16.0), FREE)
    assert verdict.wanted_w == math.copysign(16.0 * 230.0, wish_w)


def test_ac_by_talk_needs_its_soc_to_discharge() -> None:
    seen = replace(SEEN, limits=AC, soc_pct=None)
    assert run(-3000.0, telemetry=AC_PILOT, vehicle=seen).wanted_w == 0.0


def test_a_talking_vehicle_gets_no_power_before_energy() -> None:
    seen = replace(SEEN, limits=AC, phase=VehiclePhase.HANDSHAKE)
    verdict = run(3000.0, telemetry=AC_PILOT, vehicle=seen)
    assert verdict.wanted_w == 0.0
    assert verdict.offer_high_w == 7000.0
    assert SNAP.session.authorised


INTENT = Intent(
    now_mono=100.0,
    valid_until_mono=200.0,
    offer_low_w=-4000.0,
    offer_high_w=5000.0,
    energise=True,
    power_permitted=True,
)


@pytest.mark.parametrize("power_w", [3000.0, -3000.0, 0.0])
def test_ac_is_told_in_watts_and_the_stage_stays_off(power_w: float) -> None:
    talks = replace(VEHICLE, limits=AC, demand=VehicleDemand(close_ac=True, lock=True))
    seen = telemetry(state=PilotState.C)
    intent = replace(INTENT, power_w=power_w)
    _, command, offer = actuate(Memory(), intent, talks, seen, RATINGS)
    assert command.stage.mode is StageMode.OFF
    assert command.pins.close_ac
    assert not command.pins.close_dc
    assert (offer.setpoint_w, offer.charge_w, offer.discharge_w) == (
        power_w,
        5000.0,
        -4000.0,
    )


@pytest.mark.parametrize(
    "changes", [{"power_permitted": False}, {"energise": False}, {"unplugged": True}]
)
def test_without_permission_no_setpoint_and_no_contactor(
    changes: dict[str, bool],
) -> None:
    talks = replace(VEHICLE, limits=AC, demand=VehicleDemand(close_ac=True))
    intent = replace(INTENT, power_w=3000.0, **changes)  # type: ignore[arg-type]
    state = PilotState.A if "unplugged" in changes else PilotState.C
    seen = telemetry(state=state)
    _, command, offer = actuate(Memory(), intent, talks, seen, RATINGS)
    assert not command.pins.close_ac
    if "unplugged" not in changes:
        assert offer.setpoint_w == 0.0


def test_the_lock_does_not_move_between_pwm_and_talk() -> None:
    """It was locked for PWM when the card was shown; then the vehicle began to talk."""
    greeted = replace(
        VEHICLE,
        protocol="iso15118-20",
        phase=VehiclePhase.HANDSHAKE,
        demand=VehicleDemand(),
    )
    silent = VehicleState()
    seen = telemetry(state=PilotState.B)
    for vehicle, ac_path in ((silent, True), (greeted, False)):
        intent = replace(INTENT, ac_path=ac_path)
        _, command, _ = actuate(Memory(), intent, vehicle, seen, RATINGS)
        assert command.pins.lock
        idle = replace(intent, energise=False)
        _, command, _ = actuate(Memory(), idle, vehicle, seen, RATINGS)
        assert not command.pins.lock


DC = VehicleLimits(
    100.0,
    charge_a=18.0,
    discharge_a=-12.0,
    voltage_max_v=410.0,
    voltage_min_v=250.0,
    discharge_allowed=True,
)


@pytest.mark.parametrize(
    ("target_a", "power_w", "mode", "amps"),
    [
        (None, 3600.0, StageMode.CHARGE, 9.0),  # dynamic: the station leads
        (None, -3240.0, StageMode.DISCHARGE, 10.0),
        (5.0, 3600.0, StageMode.CHARGE, 5.0),  # scheduled: the vehicle's target
        (-5.0, -3240.0, StageMode.DISCHARGE, 5.0),
        (-5.0, 3600.0, StageMode.CHARGE, 0.0),  # two wills: nothing flows
        (5.0, -3240.0, StageMode.DISCHARGE, 0.0),
    ],
)
def test_who_leads_in_dc(
    target_a: float | None, power_w: float, mode: StageMode, amps: float
) -> None:
    asked = replace(
        DC,
        requested_a=None if target_a is None else max(0.0, target_a),
        requested_discharge_a=None if target_a is None else min(0.0, target_a),
    )
    intent = replace(INTENT, power_w=power_w)
    seen = replace(VEHICLE, limits=asked)
    stage = actuate(Memory(), intent, seen, telemetry(), RATINGS)[1].stage
    assert stage.mode is mode
    assert stage.current_a == pytest.approx(amps)


def test_a_certificate_question_goes_out_once_and_its_answer_comes_back() -> None:
    stand = Stand()
    stand.plug()
    stand.run(0.2)
    vehicle = stand.vehicles[1]
    said = vehicle.state

    def asks(number: int | None):  # type: ignore[no-untyped-def]
        question = None
        if number is not None:
            question = CertificateQuestion(number, "urn:x", update=False, exi=b"x")
        return lambda: replace(said(), certificate_question=question)

    def numbers() -> list[int]:
        return [q.question.number for q in stand.questions if hasattr(q, "question")]

    vehicle.state = asks(1)  # type: ignore[method-assign]
    stand.run(0.3)
    assert numbers() == [1]
    answer = CertificateAnswer(1, b"answer")
    stand.cycle.request(VehicleCertificate(1, answer))
    stand.run(0.3)
    assert vehicle.last.certificate_answer == answer
    vehicle.state = asks(2)  # type: ignore[method-assign]
    stand.run(0.3)
    assert numbers() == [1, 2]
    assert vehicle.last.certificate_answer is None
    vehicle.state = asks(None)  # type: ignore[method-assign]
    stand.run(0.1)
    vehicle.state = asks(2)  # type: ignore[method-assign]
    stand.run(0.1)
    assert numbers() == [1, 2, 2]  # a new session may count as the last one did
