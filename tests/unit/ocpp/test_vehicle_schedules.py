"""K15 to K19: the schedule a vehicle gets, and the plan it answers with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chargerd.clock import Now
from chargerd.model import (
    VehicleNeeds,
    VehiclePlan,
    VehicleState,
)
from chargerd.ocpp.v2 import dialect
from tests.unit.ocpp.needs_kit import (
    NEEDS,
    NEW,
    OLD,
    SCHEDULED,
    V2X,
    P,
    Stand,
)
from tests.unit.ocpp.profile_kit import (
    BOTH,
    T0,
    install,
    profile,
    segment,
)
from tests.unit.ocpp.station_rig import V21, Rig

# --- the schedule ---------------------------------------------------------------------

HOURS = [{"startPeriod": n * 3600, "limit": 4_000.0 - n * 1_000.0} for n in range(3)]


@pytest.mark.req("K16.FR.01", "K18.FR.20", "K03.FR.03")
@pytest.mark.parametrize(("vehicle", "needs"), [
    (OLD, NEEDS), (NEW, SCHEDULED), (NEW, V2X),
])  # fmt: skip
def test_the_schedule_of_the_csms_reaches_the_vehicle(
    vehicle: VehicleState, needs: VehicleNeeds
) -> None:
    """The composite one: the station's maximum narrows it."""
    stand = Stand(vehicle)
    cap = [{"startPeriod": 0, "limit": 3_500.0}]
    install(stand.rig, profile(9, purpose="ChargingStationMaxProfile", periods=cap), 0)
    stand.says(needs)
    stand.answer("Accepted")
    assert stand.tx(periods=HOURS) == {"status": "Accepted"}
    stand.rig.run_s(1.5)
    last = stand.schedules()[-1]
    assert last.awaited_until_mono == 0.0
    assert last.schedule is not None
    begin = last.schedule.parts[0].start_mono
    told = [(p.start_mono - begin, p.charge_w) for p in last.schedule.parts]
    assert [w for _, w in told] == [3_500.0, 3_000.0, 2_000.0]
    assert [s for s, _ in told] == pytest.approx([0.0, 3_600.0, 7_200.0], abs=2.0)
    count = len(stand.schedules())
    stand.rig.run_s(5.0)
    assert len(stand.schedules()) == count  # nothing new, nothing told
    stand.tx(periods=HOURS[:1])
    stand.rig.run_s(1.5)
    assert len(stand.schedules()) == count + 1


def test_the_vehicle_hears_of_a_clock_that_was_set() -> None:
    stand = Stand(NEW)
    stand.says(SCHEDULED)
    stand.answer("Processing")
    assert stand.tx(periods=HOURS) == {"status": "Accepted"}
    stand.rig.run_s(1.5)
    now = stand.rig.now
    stand.rig.now = Now(now.mono, now.utc + timedelta(hours=1))
    stand.rig.run_s(2.5)
    schedule = stand.schedules()[-1].schedule
    assert schedule is not None
    assert [part.charge_w for part in schedule.parts] == [3_000.0, 2_000.0]


def test_a_dynamic_limit_is_no_reason_to_negotiate() -> None:
    """It holds in the loop at once; what was agreed on leaves room for the next."""
    stand = Stand(NEW)
    stand.says(SCHEDULED)
    stand.answer("Processing")
    assert stand.tx(kind="Dynamic", periods=HOURS[:1]) == {"status": "Accepted"}
    assert segment(stand.rig).limit_w == 4_000.0
    stand.rig.run_s(1.5)
    schedule = stand.schedules()[-1].schedule
    assert schedule is not None
    assert [part.charge_w for part in schedule.parts] == [6_000.0]
    count = len(stand.schedules())
    for limit_w in (1_000.0, 5_000.0, 2_000.0):
        update = {"chargingProfileId": 10, "scheduleUpdate": {"limit": limit_w}}
        answer = stand.rig.call("UpdateDynamicSchedule", update)
        assert answer == {"status": "Accepted"}
        assert segment(stand.rig).limit_w == limit_w
        stand.rig.run_s(2.0)
    assert len(stand.schedules()) == count


def test_no_more_parts_than_the_vehicle_can_hold() -> None:
    stand = Stand(NEW)
    stand.says(replace(SCHEDULED, max_entries=2))
    stand.tx(periods=HOURS)
    stand.rig.run_s(1.5)
    schedule = stand.schedules()[-1].schedule
    assert schedule is not None
    assert len(schedule.parts) == 2
    ends = schedule.until_mono - schedule.parts[0].start_mono
    assert ends == pytest.approx(7_200.0, abs=2.0)  # the third begins there


def test_the_next_session_begins_without_a_schedule() -> None:
    stand = Stand(NEW)
    stand.says(SCHEDULED)
    stand.tx(periods=HOURS)
    stand.rig.run_s(1.5)
    stand.rig.observe(P.IDLE)
    last = stand.schedules()[-1]
    assert (last.schedule, last.awaited_until_mono) == (None, 0.0)


PRICES: list[Any] = [  # what the schedule says, (start, price, level) expected
    ({"absolutePriceSchedule": {
        "timeAnchor": T0, "priceScheduleID": 1, "currency": "EUR", "language": "en",
        "priceAlgorithm": "x", "priceRuleStacks": [
            {"duration": 600, "priceRule": [{
                "energyFee": {"exponent": -2, "value": 31},
                "powerRangeStart": {"exponent": 0, "value": 0}}]},
            {"duration": 900, "priceRule": [{
                "energyFee": {"exponent": -2, "value": 18},
                "powerRangeStart": {"exponent": 0, "value": 0}}]},
        ]}},
     [(0, 0.31, None), (600, 0.18, None), (1500, None, None)]),
    ({"priceLevelSchedule": {
        "timeAnchor": T0, "priceScheduleId": 1, "numberOfPriceLevels": 3,
        "priceLevelScheduleEntries": [
            {"duration": 600, "priceLevel": 2}, {"duration": 900, "priceLevel": 0}]}},
     [(0, None, 2), (600, None, 0), (1500, None, None)]),
    ({"salesTariff": {"id": 1, "salesTariffEntry": [
        {"relativeTimeInterval": {"start": 0}, "ePriceLevel": 3},
        {"relativeTimeInterval": {"start": 600}, "ePriceLevel": 1}]}},
     [(0, None, 2), (600, None, 0)]),
]  # fmt: skip


@pytest.mark.req("K19.FR.09")
@pytest.mark.parametrize(("fields", "expected"), PRICES)
def test_prices_of_the_csms_reach_the_vehicle(fields: Any, expected: Any) -> None:
    stand = Stand(NEW)
    stand.says(V2X)
    assert stand.tx(schedule=fields) == {"status": "Accepted"}
    stand.rig.run_s(1.5)
    schedule = stand.schedules()[-1].schedule
    assert schedule is not None
    found = [
        (round(p.start_mono - 1000.0), p.buy_per_kwh, p.level) for p in schedule.parts
    ]
    assert [row[1:] for row in found] == [row[1:] for row in expected]
    later = [start for start, *_ in found[1:]]
    assert later == pytest.approx([start for start, *_ in expected[1:]], abs=2)
    assert schedule.currency == ("EUR" if "absolutePriceSchedule" in fields else "")


# --- the vehicle's plan ---------------------------------------------------------------


def planned(vehicle: VehicleState = NEW, version: str = V21) -> Stand:
    stand = Stand(vehicle, version=version)
    stand.says(NEEDS if vehicle is OLD else SCHEDULED)
    stand.tx(periods=HOURS, schedule={"id": 7})
    stand.rig.run_s(1.5)
    return stand


@pytest.mark.req(
    "K15.FR.10", "K15.FR.21", "K16.FR.05", "K16.FR.14", "K17.FR.10", "K17.FR.18",
    "K18.FR.10",
)  # fmt: skip
@BOTH
@pytest.mark.parametrize("vehicle", [OLD, NEW])
def test_the_vehicles_plan_is_told(version: str, vehicle: VehicleState) -> None:
    stand = planned(vehicle, version)
    stand.plans((0.0, 3_000.0), (600.0, 1_000.0))
    (told,) = stand.rig.payloads("NotifyEVChargingSchedule")
    if version == V21:
        assert told["selectedChargingScheduleId"] == 7
    assert (told["evseId"], told["timeBase"]) == (1, "2026-11-23T08:00:01.500Z")
    assert told["chargingSchedule"] == {
        "id": 7, "chargingRateUnit": "W", "duration": 3600,
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 3_000.0},
            {"startPeriod": 600, "limit": 1_000.0},
        ],
    }  # fmt: skip
    stand.seen()
    assert len(stand.rig.payloads("NotifyEVChargingSchedule")) == 1
    stand.plans((0.0, 500.0), number=2)
    assert len(stand.rig.payloads("NotifyEVChargingSchedule")) == 2


def test_what_the_vehicle_gives_is_a_setpoint() -> None:
    stand = planned()
    stand.plans((0.0, -2_000.0))
    (told,) = stand.rig.payloads("NotifyEVChargingSchedule")
    assert told["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -2_000.0}
    ]


@pytest.mark.req("K15.FR.19", "K16.FR.13", "K17.FR.16", "K18.FR.19", "K19.FR.10")
@pytest.mark.parametrize("needs", [NEEDS, SCHEDULED, V2X])
def test_without_a_plan_of_its_own_the_chosen_schedule_is_told(needs: Any) -> None:
    stand = Stand(OLD if needs is NEEDS else NEW)
    stand.says(needs)
    stand.tx(periods=HOURS, schedule={"id": 7})
    stand.plans((0.0, 1.0), own=False)
    (told,) = stand.rig.payloads("NotifyEVChargingSchedule")
    assert told["selectedChargingScheduleId"] == 7
    schedule = told["chargingSchedule"]
    assert (schedule["id"], schedule["chargingSchedulePeriod"]) == (7, HOURS)


def test_a_plan_without_a_schedule_of_the_csms_is_not_told() -> None:
    stand = Stand(NEW)
    stand.says(SCHEDULED)
    stand.plans((0.0, 1.0))
    assert stand.rig.payloads("NotifyEVChargingSchedule") == []


@pytest.mark.req("K15.FR.14", "K16.FR.10", "K17.FR.14", "K18.FR.14")
@pytest.mark.parametrize("accepted", [True, False])
def test_an_accepted_plan_is_what_is_expected(accepted: bool) -> None:
    stand = planned()
    stand.plans((0.0, 3_000.0), (600.0, 9_000.0))
    status = "Accepted" if accepted else "Rejected"
    stand.rig.answer(stand.rig.last("NotifyEVChargingSchedule"), {"status": status})
    stand.rig.pass_s(2.0)
    answer = stand.rig.call("GetCompositeSchedule", {"evseId": 1, "duration": 4_000})
    assert isinstance(answer, dict)
    rows = answer["schedule"]["chargingSchedulePeriod"]
    limits = [row["limit"] for row in rows]
    assert limits == ([3_000.0, 4_000.0, 3_000.0] if accepted else [4_000.0, 3_000.0])


# --- up to three schedules ------------------------------------------------------------


def several(stand: Stand, *limits_w: float, **more: Any) -> dict[str, Any]:
    made = profile(purpose="TxProfile", transactionId=stand.transaction, **more)
    (plan,) = made["chargingSchedule"]
    made["chargingSchedule"] = [
        {**plan, "id": 20 + n, "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": limit_w}]}
        for n, limit_w in enumerate(limits_w)
    ]  # fmt: skip
    return install(stand.rig, made)


@pytest.mark.req("K15.FR.22", "K18.FR.24", "K15.FR.21", "K18.FR.10")
@pytest.mark.parametrize("vehicle", [OLD, NEW])
def test_a_vehicle_may_choose_from_three_schedules(vehicle: VehicleState) -> None:
    """The first with the first of each stack level, the second with the second; where
    one has no more, its last. From then on the station goes by the choice, too."""
    stand = Stand(vehicle)
    stand.says(NEEDS if vehicle is OLD else SCHEDULED)
    assert several(stand, 1_000.0, 2_000.0, 3_000.0) == {"status": "Accepted"}
    above = {"number": 11, "stackLevel": 1, "validTo": "2026-11-23T09:00:00Z"}
    assert several(stand, 4_000.0, 5_000.0, **above) == {"status": "Accepted"}
    stand.rig.run_s(1.5)
    told = stand.schedules()[-1].schedule
    assert told is not None
    powers = [
        [part.charge_w for part in option.parts] for option in (told, *told.others)
    ]
    assert powers == [
        [4_000.0, 1_000.0], [5_000.0, 2_000.0], [5_000.0, 3_000.0]
    ]  # fmt: skip
    assert segment(stand.rig).limit_w == 4_000.0
    now = stand.rig.now.mono
    plan = VehiclePlan(1, ((now, 900.0),), now + 600.0, option=1)
    stand.vehicle = replace(stand.vehicle, plan=plan)
    stand.seen()
    (chosen,) = stand.rig.payloads("NotifyEVChargingSchedule")
    assert chosen["selectedChargingScheduleId"] == 21
    assert segment(stand.rig).limit_w == 5_000.0
    count = len(stand.schedules())
    stand.rig.run_s(3.0)
    assert len(stand.schedules()) == count  # the same choice, nothing to negotiate


@pytest.mark.req("K01.FR.34")
def test_without_needs_there_is_no_choice() -> None:
    rig = Rig().boot()
    rig.observe(P.ENERGY, authorised=True)
    number = rig.events()[-1]["transactionInfo"]["transactionId"]
    made = profile(purpose="TxProfile", transactionId=number)
    made["chargingSchedule"] *= 2
    answer = install(rig, made)
    assert answer["statusInfo"]["reasonCode"] == "InvalidSchedule"


def rule(exponent: int, value: int) -> dict[str, Any]:
    return {
        "energyFee": {"exponent": exponent, "value": value},
        "powerRangeStart": {"exponent": 0, "value": 0},
    }


@pytest.mark.parametrize(("fields", "expected"), [
    ({"absolutePriceSchedule": {
        "timeAnchor": T0, "priceScheduleID": 1, "currency": "EUR", "language": "en",
        "priceAlgorithm": "x", "priceRuleStacks": [
            {"duration": 600, "priceRule": [rule(38, 9)]},
            {"duration": 600, "priceRule": [rule(5, 99)]}]}}, [None, None, None]),
    ({"priceLevelSchedule": {
        "timeAnchor": T0, "priceScheduleId": 1, "numberOfPriceLevels": 3,
        "priceLevelScheduleEntries": [{"duration": 600, "priceLevel": 99_999}]}},
     [254, None]),
    ({"absolutePriceSchedule": {
        "timeAnchor": "soon", "priceScheduleID": 1, "currency": "EUR",
        "language": "en", "priceAlgorithm": "x",
        "priceRuleStacks": [{"duration": 600, "priceRule": [rule(0, 1)]}]}}, [None]),
])  # fmt: skip
def test_prices_that_cannot_be_reach_no_vehicle(fields: Any, expected: Any) -> None:
    stand = Stand(NEW)
    stand.says(V2X)
    assert stand.tx(schedule=fields) == {"status": "Accepted"}
    stand.rig.run_s(1.5)
    schedule = stand.schedules()[-1].schedule
    assert schedule is not None
    assert [part.level for part in schedule.parts] == expected
    assert all(part.buy_per_kwh is None for part in schedule.parts)


def test_a_thousand_prices_are_cut_like_a_thousand_parts() -> None:
    stand = Stand(NEW)
    stand.says(replace(V2X, max_entries=1024))
    rows = [
        {"relativeTimeInterval": {"start": 60 * n}, "ePriceLevel": 1 + n % 9}
        for n in range(1024)
    ]
    tariff = {"salesTariff": {"id": 1, "salesTariffEntry": rows}}
    assert stand.tx(schedule=tariff) == {"status": "Accepted"}
    stand.rig.run_s(1.5)
    schedule = stand.schedules()[-1].schedule
    assert schedule is not None
    assert len(schedule.parts) == 100
    assert [part.level for part in schedule.parts[:4]] == [0, 1, 2, 3]


def test_2_0_1_gets_what_it_knows_of_messages_that_waited() -> None:
    """Queued under 2.1, reduced when they leave; twice is the same as once."""
    new = {"evseId": 1, "timestamp": T0, "chargingNeeds": {
        "requestedEnergyTransfer": "DC", "controlMode": "DynamicControl",
        "v2xChargingParameters": {}}}  # fmt: skip
    assert dialect.outgoing(dialect.V201, "NotifyEVChargingNeeds", new) is None
    current = {"evMaxCurrent": 9, "evMaxVoltage": 400}
    wanted = {"requestedEnergyTransfer": "DC", "dcChargingParameters": current}
    old = {**new, "chargingNeeds": {**wanted, "mobilityNeedsMode": "EVCC"}}
    reduced = dialect.outgoing(dialect.V201, "NotifyEVChargingNeeds", old)
    assert reduced == {"evseId": 1, "chargingNeeds": wanted}
    assert dialect.outgoing(dialect.V201, "NotifyEVChargingNeeds", reduced) == reduced
    both_ways = {**wanted, "requestedEnergyTransfer": "DC_BPT"}
    unknown = {"evseId": 1, "chargingNeeds": both_ways}
    assert dialect.outgoing(dialect.V201, "NotifyEVChargingNeeds", unknown) is None
    sun = {"chargingLimit": {"chargingLimitSource": "EMS", "isLocalGeneration": True}}
    assert dialect.outgoing(dialect.V201, "NotifyChargingLimit", sun) is None
