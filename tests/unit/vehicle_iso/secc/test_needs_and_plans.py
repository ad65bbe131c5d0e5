"""A vehicle asks for a schedule, waits for it, and answers with its plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import EnergySchedule, SchedulePart
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.secc.iso2_values import number
from tests.unit.vehicle_iso.secc import car2
from tests.unit.vehicle_iso.secc.car20 import Car as Car20
from tests.unit.vehicle_iso.secc.car20 import value


def offer(car: Any, **values: Any) -> None:
    """What the station tells from now on."""
    if isinstance(car, Car20):
        car.saying = values
        car.run()
    else:
        car.session.command(replace(car.plant.offer(), **values), car.plant.now)


def frame(car: Any, *powers_w: float, **prices: Any) -> EnergySchedule:
    """An hour for each power, from now on."""
    now = car.plant.now
    parts = tuple(
        SchedulePart(now + 3600.0 * n, power_w, 0.0, **prices)
        for n, power_w in enumerate(powers_w)
    )
    return EnergySchedule(parts, now + 3600.0 * len(parts))


# --- ISO 15118-2 ----------------------------------------------------------------------


def test_a_question_is_counted_once_and_says_who_wanted_it() -> None:
    car = car2.Car()
    car.to("parameters")
    assert car.session.state().needs is None
    request = car.parameters()
    request.MaxEntriesSAScheduleTuple = 12
    car.say(request)
    needs = car.session.state().needs
    assert needs is not None
    assert (needs.asked, needs.asked_by_station, needs.max_entries) == (1, False, 12)
    car.to("current_demand")
    car.say(car2.power("Renegotiate", top_w=None))
    car.say(car.parameters())
    needs = car.session.state().needs
    assert needs is not None
    assert (needs.asked, needs.asked_by_station) == (2, False)


@pytest.mark.req("K16.FR.02", "K16.FR.03")
def test_a_question_that_the_station_wanted() -> None:
    """A new frame: the loop asks for it, and the next answer tells it."""
    car = car2.Car()
    car.to("current_demand")
    less = frame(car, 5e3)
    for _ in range(500):
        car.plant.step(car.session.state())
        offer(car, schedule=less)
        if car.say(car.demand()).DC_EVSEStatus.EVSENotification == "ReNegotiation":
            break
    car.say(car2.power("Renegotiate", top_w=None))
    offer(car, schedule=less)
    response = car.say(car.parameters())
    entry = response.SASchedules.SAScheduleTuple[0].PMaxSchedule.PMaxScheduleEntry[0]
    assert number(entry.PMax) == 5e3
    needs = car.session.state().needs
    assert needs is not None
    assert (needs.asked, needs.asked_by_station) == (2, True)


@pytest.mark.req("K15.FR.09")
def test_a_vehicle_waits_for_the_schedule_that_is_to_come() -> None:
    car = car2.Car()
    car.to("parameters")
    for _ in range(2):
        offer(car, schedule_awaited=True)
        response = car.say(car.parameters())
        assert response.EVSEProcessing == "Ongoing"
        assert response.SASchedules is None
    offer(car, schedule=frame(car, 7e3))
    response = car.say(car.parameters())
    assert response.EVSEProcessing == "Finished"
    assert car.session.state().needs.asked == 1  # type: ignore[union-attr]
    car.to("power")
    car.match()
    refused = car.say(car2.power("Start", top_w=8e3)).ResponseCode
    assert refused == "FAILED_ChargingProfileInvalid"
    assert car.session.state().plan is None


@pytest.mark.parametrize("own", [True, False])
def test_the_plan_of_the_vehicle_or_the_schedule_it_chose(own: bool) -> None:
    car = car2.Car()
    car.to("parameters")
    told_mono = car.plant.now
    offer(car, schedule=frame(car, 7e3, 3e3))
    car.say(car.parameters())
    car.to("power")
    car.match()
    request = car2.power("Start", top_w=2e3 if own else None)
    assert car.say(request).ResponseCode == "OK"
    plan = car.session.state().plan
    assert plan is not None
    assert (plan.number, plan.own) == (1, own)
    assert plan.until_mono == pytest.approx(told_mono + 7_200.0, abs=2.0)
    powers = [power_w for _, power_w in plan.parts]
    assert powers == ([2e3] if own else [7e3, 3e3])


def test_levels_are_told_as_they_came() -> None:
    car = car2.Car()
    car.to("parameters")
    now = car.plant.now
    parts = (
        SchedulePart(now, 7e3, 0.0, level=2),
        SchedulePart(now + 900.0, 3e3, 0.0, level=0),
    )
    offer(car, schedule=EnergySchedule(parts, now + 3600.0))
    (only,) = car.say(car.parameters()).SASchedules.SAScheduleTuple
    tariff = only.SalesTariff
    assert tariff.NumEPriceLevels == 3
    assert [entry.EPriceLevel for entry in tariff.SalesTariffEntry] == [3, 1]


# --- ISO 15118-20 ---------------------------------------------------------------------


@pytest.mark.parametrize("control", [1, 2])
def test_a_schedule_exchange_is_a_question(control: int) -> None:
    """What ServiceSelection tells is not yet one."""
    car = Car20(6, control)
    car.to("schedule_dc")
    needs = car.state.needs
    assert needs is not None
    assert needs.asked == 0
    car.schedule()
    needs = car.state.needs
    assert needs is not None
    assert (needs.asked, needs.dynamic) == (1, control == 1)
    assert needs.max_entries is not None
    assert needs.target_wh == 20e3
    car.energise()
    if control == 2:
        car.power("ScheduleRenegotiation")
        car.schedule(departure_s=7_200)
        assert car.state.needs.asked == 2
        assert not car.state.needs.asked_by_station


@pytest.mark.req("K16.FR.02", "K16.FR.03")
def test_a_new_schedule_is_negotiated_and_known_as_ours() -> None:
    car = Car20(6, 2)
    car.energise()
    car.loop(600)
    car.plant.charge_a = 20.0
    car.loop(110)
    assert car.power("ScheduleRenegotiation").ResponseCode == "OK"
    car.schedule()
    assert (car.state.needs.asked, car.state.needs.asked_by_station) == (2, True)


@pytest.mark.req("K18.FR.20", "K18.FR.09")
def test_a_scheduled_vehicle_waits_for_its_schedule_and_plans_in_it() -> None:
    car = Car20(6, 2)
    car.to("schedule_dc")
    offer(car, schedule_awaited=True)
    assert car.schedule().EVSEProcessing == "Ongoing"
    offer(car, schedule=frame(car, 7e3))
    answer = car.schedule()
    assert answer.EVSEProcessing == "Finished"
    assert car.state.needs.asked == 1
    (only,) = answer.Scheduled_SEResControlMode.ScheduleTuple
    entry = only.ChargingSchedule.PowerSchedule.PowerScheduleEntries.PowerScheduleEntry
    assert value(entry[0].Power) == 7e3
    told_mono = car.plant.now
    car.to("pre_charge")
    car.match()
    assert car.power("Start", EVPowerProfile=car.profile((6e3, 1e3))).ResponseCode == (
        "OK"
    )
    plan = car.state.plan
    assert plan is not None
    assert (plan.number, plan.own) == (1, True)
    starts = [start - told_mono for start, _ in plan.parts]
    assert starts == pytest.approx([0.0, 600.0], abs=1.0)
    assert [power_w for _, power_w in plan.parts] == [6e3, 1e3]
    assert plan.until_mono == pytest.approx(told_mono + 1_200.0, abs=1.0)


@pytest.mark.req("K19.FR.10")
def test_a_dynamic_vehicles_own_profile_is_left_out() -> None:
    car = Car20(6, 1)
    car.to("schedule_dc")
    offer(car, schedule=frame(car, 7e3, 3e3))
    car.schedule(departure_s=7_200)
    car.to("pre_charge")
    car.match()
    assert car.power("Start", EVPowerProfile=car.profile((1e3,))).ResponseCode == "OK"
    plan = car.state.plan
    assert plan is not None
    assert not plan.own
    assert [power_w for _, power_w in plan.parts] == [7e3, 3e3]


@pytest.mark.req("K19.FR.09")
@pytest.mark.parametrize("control", [3, 4])
def test_price_levels_of_the_central_system_reach_the_vehicle(control: int) -> None:
    """As they came; sets 3 and 4 have prices, in dynamic and in scheduled control."""
    car = Car20(6, control)
    car.to("service_discovery")
    car.say(common.ServiceDiscoveryReq)
    car.saying = {"schedule": frame(car, 7e3, level=4)}
    car.run()
    car.choose()
    car.parameters()
    answer = car.schedule(3_600)
    if answer.Dynamic_SEResControlMode is not None:
        told = answer.Dynamic_SEResControlMode.PriceLevelSchedule
    else:
        (only,) = answer.Scheduled_SEResControlMode.ScheduleTuple
        told = only.ChargingSchedule.PriceLevelSchedule
    (entry,) = told.PriceLevelScheduleEntries.PriceLevelScheduleEntry
    assert (entry.PriceLevel, told.NumberOfPriceLevels) == (4, 5)


# --- up to three schedules ------------------------------------------------------------


def choice(car: Any) -> EnergySchedule:
    """Three, with their first powers; a fourth is never told."""
    first, *others = (frame(car, power_w) for power_w in (7e3, 5e3, 9e3, 2e3))
    return replace(first, others=tuple(others))


@pytest.mark.req("K15.FR.22")
@pytest.mark.parametrize(("tuple_id", "top_w", "code"), [
    (1, 7e3, "OK"),
    (1, 8e3, "FAILED_ChargingProfileInvalid"),
    (2, 5e3, "OK"),
    (2, 6e3, "FAILED_ChargingProfileInvalid"),
    (3, 9e3, "OK"),
    (4, 1e3, "FAILED_TariffSelectionInvalid"),
])  # fmt: skip
def test_a_vehicle_chooses_one_of_three_schedules(
    tuple_id: int, top_w: float, code: str
) -> None:
    car = car2.Car()
    car.to("parameters")
    told = choice(car)
    offer(car, schedule=told)
    tuples = car.say(car.parameters()).SASchedules.SAScheduleTuple
    powers = [t.PMaxSchedule.PMaxScheduleEntry[0].PMax for t in tuples]
    assert [t.SAScheduleTupleID for t in tuples] == [1, 2, 3]
    assert [number(power_w) for power_w in powers] == [7e3, 5e3, 9e3]
    car.to("power")
    car.match()
    request = car2.power("Start", schedule=tuple_id, top_w=top_w)
    assert car.say(request).ResponseCode == code
    plan = car.session.state().plan
    if code != "OK":
        assert plan is None
        return
    assert plan is not None
    assert plan.option == tuple_id - 1
    told_again = replace(told, others=told.others)
    for _ in range(200):  # the same words are no reason to negotiate again
        car.plant.step(car.session.state())
        offer(car, schedule=told_again)
        response = car.say(car.demand())
        assert response.SAScheduleTupleID == tuple_id
        assert response.DC_EVSEStatus.EVSENotification == "None"


@pytest.mark.req("K18.FR.24")
@pytest.mark.parametrize(("tuple_id", "top_w", "code"), [
    (1, 7e3, "OK"),
    (2, 5e3, "OK"),
    (2, 6e3, "FAILED_EVPowerProfileInvalid"),
    (3, 9e3, "OK"),
    (4, 1e3, "FAILED_ScheduleSelectionInvalid"),
])  # fmt: skip
def test_a_20_vehicle_chooses_one_of_three_schedules(
    tuple_id: int, top_w: float, code: str
) -> None:
    car = Car20(6, 2)
    car.to("schedule_dc")
    offer(car, schedule=choice(car))
    tuples = car.schedule().Scheduled_SEResControlMode.ScheduleTuple
    assert [t.ScheduleTupleID for t in tuples] == [1, 2, 3]
    entries = [t.ChargingSchedule.PowerSchedule.PowerScheduleEntries for t in tuples]
    powers = [value(each.PowerScheduleEntry[0].Power) for each in entries]
    assert powers == [7e3, 5e3, 9e3]
    car.to("pre_charge")
    car.match()
    answer = car.power("Start", EVPowerProfile=car.profile((top_w,), tuple_id))
    assert answer.ResponseCode == code
    plan = car.state.plan
    assert (plan.option if plan else None) == (tuple_id - 1 if code == "OK" else None)


def test_in_dynamic_control_there_is_nothing_to_choose() -> None:
    car = Car20(6, 1)
    car.to("schedule_dc")
    offer(car, schedule=choice(car))
    assert car.schedule().ResponseCode == "OK"
