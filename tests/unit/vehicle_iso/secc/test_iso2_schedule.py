"""ISO 15118-2 schedules: entries, prices, the vehicle's plan, and when they end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.model import EnergySchedule, SchedulePart
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.secc.iso2_schedule import (
    DAY_S,
    Plan,
    Step,
    fits,
    plan,
    same,
    schedule_list,
)
from chargerd.vehicle.iso15118.secc.iso2_values import number, physical
from tests.unit.vehicle_iso.secc.car2 import Car, power
from tests.unit.vehicle_iso.secc.plant import TICK_S

NOW, TOP_W = 1_000.0, 20_000.0


def schedule(*parts: tuple[float, float, float | None], until: float) -> EnergySchedule:
    """(start, W, price) each, seconds from now."""
    return EnergySchedule(
        tuple(SchedulePart(NOW + start, w, 0.0, price) for start, w, price in parts),
        NOW + until,
        "EUR",
    )


def steps(found: Plan) -> list[tuple[int, float]]:
    return [(step.start_s, step.power_w) for step in found.steps]


# --- what is offered ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "wanted", "end_s"),
    [
        (None, [(0, 20_000.0)], DAY_S),
        (schedule(until=600.0), [(0, 20_000.0)], DAY_S),
        (schedule((-9.0, 5e3, None), until=-1.0), [(0, 20_000.0)], DAY_S),
        (schedule((0.0, 5e3, None), until=600.0), [(0, 5e3)], 600),
        (
            schedule(
                (-60.0, 1e3, None), (-9.0, 5e3, None), (300.0, 9e3, None), until=900
            ),
            [(0, 5e3), (300, 9e3)],
            900,
        ),
        (schedule((60.0, 5e3, None), until=600.0), [(0, 5e3)], 600),
        (schedule((0.0, 9e9, None), until=600.0), [(0, 20_000.0)], 600),
        (schedule((0.0, -5.0, None), until=600.0), [(0, 0.0)], 600),
        (
            schedule((0.0, 1e3, None), (9.2, 2e3, None), (9.7, 3e3, None), until=60.0),
            [(0, 1e3), (9, 3e3)],
            60,
        ),
        (schedule((0.0, 5e3, None), until=9e6), [(0, 5e3)], DAY_S),
        (schedule((0.0, 5e3, None), (9e7, 1e3, None), until=9e8), [(0, 5e3)], DAY_S),
    ],
)
def test_a_plan_is_the_schedule_from_now_on(
    given_: EnergySchedule | None, wanted: list[tuple[int, float]], end_s: int
) -> None:
    found = plan(given_, TOP_W, NOW, None)
    assert (steps(found), found.end_s, found.at_mono) == (wanted, end_s, NOW)


def test_no_more_entries_than_the_vehicle_can_hold() -> None:
    many = schedule(*((i * 60.0, 1e3 + i, None) for i in range(2_000)), until=2e5)
    found = plan(many, TOP_W, NOW, 12)
    assert (len(found.steps), found.end_s) == (12, 720)
    assert len(plan(many, TOP_W, NOW, None).steps) == 1_024
    assert len(plan(many, TOP_W, NOW, 0).steps) == 1_024  # said nothing


def test_starts_and_the_last_duration() -> None:
    """[V2G2-329], [V2G2-331]."""
    found = plan(
        schedule((0.0, 5e3, None), (300.0, 9e3, None), until=900.0), TOP_W, NOW, None
    )
    only = schedule_list([found], tariff=True).SAScheduleTuple[0]
    told = [
        (e.TimeInterval.start, e.TimeInterval.duration, number(e.PMax))  # type: ignore[attr-defined]
        for e in only.PMaxSchedule.PMaxScheduleEntry
    ]
    assert told == [(0, None, 5e3), (300, 600, 9e3)]
    assert only.SalesTariff is None  # no prices


def test_prices_are_levels_and_one_is_the_cheapest() -> None:
    found = plan(
        schedule((0.0, 5e3, 0.3), (300.0, 9e3, -0.1), (600.0, 9e3, 0.3), until=900.0),
        TOP_W,
        NOW,
        None,
    )
    tariff = schedule_list([found], tariff=True).SAScheduleTuple[0].SalesTariff
    assert tariff is not None
    assert (tariff.NumEPriceLevels, tariff.SalesTariffID) == (2, 1)
    assert [entry.EPriceLevel for entry in tariff.SalesTariffEntry] == [2, 1, 2]
    silent = schedule_list([found], tariff=False).SAScheduleTuple[0].SalesTariff
    assert silent is None


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=400))
def test_levels_keep_the_order_of_prices(prices: list[float]) -> None:
    found = Plan(
        NOW,
        tuple(Step(i, 1e3, price) for i, price in enumerate(prices)),
        len(prices),
    )
    tariff = schedule_list([found], tariff=True).SAScheduleTuple[0].SalesTariff
    assert tariff is not None
    levels = [entry.EPriceLevel or 0 for entry in tariff.SalesTariffEntry]
    assert 1 <= min(levels) <= max(levels) <= 255
    assert max(levels) == tariff.NumEPriceLevels
    for (one, cheap), (other, dear) in zip(
        sorted(zip(prices, levels, strict=True)),
        sorted(zip(prices, levels, strict=True))[1:],
        strict=False,
    ):
        assert one == other or cheap <= dear
        assert one != other or cheap == dear


# --- what the vehicle answers ---------------------------------------------------------


def profile(*entries: tuple[int, float], unit: Any = "W") -> m.ChargingProfile:
    return m.ChargingProfile(
        ProfileEntry=[
            m.ProfileEntry(
                ChargingProfileEntryStart=start,
                ChargingProfileEntryMaxPower=physical(m, w, unit),
            )
            for start, w in entries
        ]
    )


OFFERED = Plan(NOW, (Step(0, 10e3), Step(300, 5e3)), 900)


@pytest.mark.parametrize(
    ("entries", "good"),
    [
        ([(0, 10e3), (300, 5e3)], True),
        ([(0, 10.01e3)], False),
        ([(0, 10e3)], False),  # runs on, above the second step
        ([(0, 10e3), (299, 5e3)], True),
        ([(0, 10e3), (301, 5e3)], False),
        ([(0, 5e3), (900, 60e3)], True),  # where nothing is said nothing is exceeded
        ([(0, 5e3), (899, 60e3)], False),
        ([(300, 5e3), (0, 5e3)], False),
        ([(0, 5e3), (0, 5e3)], False),
    ],
)
def test_the_vehicle_s_plan(entries: list[tuple[int, float]], good: bool) -> None:
    """[V2G2-224], [V2G2-225]."""
    assert fits(OFFERED, profile(*entries)) is good


def test_power_in_another_unit_is_no_plan() -> None:
    assert not fits(OFFERED, profile((0, 1.0), unit="A"))
    assert fits(OFFERED, None)


@given(st.floats(0.0, 4e5))
def test_pmax_itself_always_fits(top_w: float) -> None:
    offered = plan(None, top_w, NOW, None)
    told = schedule_list([offered], tariff=False).SAScheduleTuple[0]
    pmax = told.PMaxSchedule.PMaxScheduleEntry[0].PMax
    entry = m.ProfileEntry(
        ChargingProfileEntryStart=0, ChargingProfileEntryMaxPower=pmax
    )
    assert fits(offered, m.ChargingProfile(ProfileEntry=[entry]))


# --- when it holds no more ------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "holds"),
    [
        (Plan(NOW + 60.0, (Step(0, 10e3), Step(240, 5e3)), 840), True),
        (Plan(NOW + 60.0, (Step(0, 10.5e3), Step(240, 5.5e3)), 840), True),
        (Plan(NOW + 60.0, (Step(0, 10e3),), 840), False),
        (Plan(NOW + 60.0, (Step(0, 5e3),), 840), False),
        (Plan(NOW + 60.0, (Step(0, 10e3), Step(240, 5e3), Step(839, 0.0)), 840), False),
        (Plan(NOW + 60.0, (Step(0, 10e3), Step(240, 5e3), Step(840, 0.0)), 900), True),
        (Plan(NOW + 60.0, (Step(0, 10e3),), 240), True),
    ],
)
def test_a_plan_that_changed(newest: Plan, holds: bool) -> None:
    assert same(OFFERED, newest, TOP_W, tariff=True) is holds


def test_other_prices_are_another_plan_where_they_were_told() -> None:
    dear = replace(OFFERED, steps=(Step(0, 10e3, 0.3), Step(300, 5e3, 0.3)))
    cheap = replace(OFFERED, steps=(Step(0, 10e3, 0.3), Step(300, 5e3, 0.2)))
    assert same(dear, dear, TOP_W, tariff=True)
    assert not same(dear, cheap, TOP_W, tariff=True)
    assert same(dear, cheap, TOP_W, tariff=False)


def _tell(car: Car, given_: EnergySchedule | None) -> None:
    car.session.command(replace(car.plant.offer(), schedule=given_), car.plant.now)


@pytest.mark.req("K16.FR.04")
def test_the_station_negotiates_again_when_its_schedule_changed() -> None:
    car = Car()
    car.to("current_demand")
    now = car.plant.now
    less = EnergySchedule((SchedulePart(now, 5e3, 0.0),), now + 3_600.0)
    status = _keep(car, None, 4.0)
    assert status.EVSENotification == "None"
    status = _keep(car, less, 4.5)
    assert status.EVSENotification == "None"
    status = _keep(car, less, 1.5)
    assert (status.EVSENotification, status.EVSEStatusCode) == (
        "ReNegotiation",
        "EVSE_Ready",
    )
    assert car.say(power("Renegotiate", top_w=None)).ResponseCode == "OK"
    _tell(car, less)
    response = car.say(car.parameters())
    entry = response.SASchedules.SAScheduleTuple[0].PMaxSchedule.PMaxScheduleEntry[0]
    assert number(entry.PMax) == 5e3
    refused = car.say(power("Start", top_w=6e3)).ResponseCode
    assert refused == "FAILED_ChargingProfileInvalid"


def _keep(car: Car, given_: EnergySchedule | None, seconds: float) -> Any:
    """Some seconds of the loop under one schedule; the last status."""
    status = None
    for _ in range(round(seconds / TICK_S)):
        offer = replace(car.plant.step(car.session.state()), schedule=given_)
        car.session.command(offer, car.plant.now)
        status = car.say(car.demand()).DC_EVSEStatus
    return status


def test_a_schedule_that_comes_back_is_no_reason() -> None:
    car = Car()
    car.to("current_demand")
    now = car.plant.now
    less = EnergySchedule((SchedulePart(now, 5e3, 0.0),), now + 3_600.0)
    _keep(car, less, 4.0)
    car.loop(1)
    status = _keep(car, less, 4.0)
    assert status.EVSENotification == "None"


def test_a_stop_comes_before_a_negotiation() -> None:
    car = Car()
    car.to("current_demand")
    now = car.plant.now
    less = EnergySchedule((SchedulePart(now, 5e3, 0.0),), now + 3_600.0)
    _keep(car, less, 6.0)
    car.plant.energise = False
    status = _keep(car, less, TICK_S)
    assert status.EVSENotification == "StopCharging"


def test_the_end_of_the_coverage_is_the_end_of_the_schedule() -> None:
    car = Car()
    car.to("parameters")
    now = car.plant.now
    short = EnergySchedule((SchedulePart(now, 20e3, 0.0),), now + 20.0)
    _tell(car, short)
    car.say(car.parameters())
    car.to("current_demand")
    assert car.plant.now < now + 19.0
    _keep(car, short, now + 24.0 - car.plant.now)
    status = car.say(car.demand()).DC_EVSEStatus
    assert status.EVSENotification == "None"
    assert _keep(car, short, 2.0).EVSENotification == "ReNegotiation"


def test_ac_negotiates_again_too() -> None:
    car = Car()
    car.to_charging()
    now = car.plant.now
    less = EnergySchedule((SchedulePart(now, 5e3, 0.0),), now + 3_600.0)
    status = None
    for _ in range(round(6.0 / TICK_S)):
        offer = replace(car.plant.step(car.session.state()), schedule=less)
        car.session.command(offer, car.plant.now)
        status = car.say(m.ChargingStatusReq()).AC_EVSEStatus
    assert status is not None
    assert status.EVSENotification == "ReNegotiation"
