"""K15 to K20: a vehicle's needs, its schedule, and the plan it answers with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import (
    SessionPhase,
    StopReason,
    StopRequest,
    VehicleLimits,
    VehicleNeeds,
    VehiclePlan,
    VehicleSchedule,
    VehicleState,
)
from tests.unit.ocpp.profile_kit import (
    AC_DEVICES,
    BOTH,
    T0,
    install,
    profile,
    segment,
)
from tests.unit.ocpp.station_rig import V21, V201, Rig, config

P = SessionPhase
NEEDS = VehicleNeeds(energy="DC", target_wh=20_000.0, asked=1, max_entries=12)
LIMITS = VehicleLimits(
    0.0, charge_a=120.0, discharge_a=-60.0, voltage_max_v=400.0, voltage_min_v=200.0
)
OLD = VehicleState(
    protocol="iso15118-2", soc_pct=40.0, capacity_wh=60_000.0, limits=LIMITS
)
NEW = replace(OLD, protocol="iso15118-20")
V2X = replace(
    NEEDS, energy="DC_BPT", dynamic=True, by_station=True, min_wh=-5_000.0,
    max_wh=30_000.0, v2x_min_wh=1_000.0, v2x_max_wh=9_000.0, target_soc_pct=80.4,
    min_charge_w=100.0, min_discharge_w=-200.0,
)  # fmt: skip
SCHEDULED = replace(V2X, dynamic=False)


class Stand:
    """A vehicle that has asked, plugged in at a station with a CSMS."""

    def __init__(
        self, vehicle: VehicleState, *, version: str = V21, online: bool = True,
        conf: Any = None,
    ) -> None:  # fmt: skip
        self.rig = Rig(conf, version=version).boot()
        self.vehicle = vehicle
        self.seen(phase=P.STARTING)
        if not online:
            self.rig.link(up=False)

    def seen(self, **more: Any) -> None:
        self.more = {"phase": P.ENERGY, "authorised": True, **more}
        self.rig.observe(vehicle=self.vehicle, **self.more)

    def says(self, needs: VehicleNeeds, **more: Any) -> None:
        changed = {k: v for k, v in more.items() if hasattr(self.vehicle, k)}
        rest = {k: v for k, v in more.items() if k not in changed}
        self.vehicle = replace(self.vehicle, needs=needs, **changed)
        self.seen(**rest)

    def plans(self, *parts: tuple[float, float], own: bool = True, number: int = 1) -> (
        VehiclePlan
    ):  # fmt: skip
        now = self.rig.now.mono
        told = tuple((now + start, power_w) for start, power_w in parts)
        plan = VehiclePlan(number, told, now + 3_600.0, own=own)
        self.vehicle = replace(self.vehicle, plan=plan)
        self.seen()
        return plan

    def told(self) -> list[Any]:
        return self.rig.payloads("NotifyEVChargingNeeds")

    def answer(self, status: str) -> None:
        send = self.rig.last("NotifyEVChargingNeeds")
        self.rig.answer(send, {"status": status})

    @property
    def transaction(self) -> str:
        number: str = self.rig.events()[-1]["transactionInfo"]["transactionId"]
        return number

    def schedules(self) -> list[VehicleSchedule]:
        return [a for a in self.rig.asked() if isinstance(a, VehicleSchedule)]

    def tx(self, **more: Any) -> dict[str, Any]:
        made = profile(purpose="TxProfile", transactionId=self.transaction, **more)
        return install(self.rig, made)


# --- the message ----------------------------------------------------------------------


@BOTH
@pytest.mark.req("K15.FR.01", "K15.FR.06")
def test_a_dc_vehicle_of_iso15118_2(version: str) -> None:
    stand = Stand(OLD, version=version)
    assert stand.told() == []
    departs = stand.rig.now.mono + 3_600.0
    stand.says(replace(NEEDS, max_soc_pct=90.0), departure_mono=departs)
    (told,) = stand.told()
    assert told == {
        "evseId": 1,
        "maxScheduleTuples": 12,
        "chargingNeeds": {
            "requestedEnergyTransfer": "DC",
            "departureTime": "2026-11-23T09:00:00.000Z",
            "dcChargingParameters": {
                "evMaxCurrent": 120,
                "evMaxVoltage": 400,
                "evEnergyCapacity": 60_000,
                "energyAmount": 20_000,
                "stateOfCharge": 40,
                "fullSoC": 90,
            },
        },
    }
    stand.seen()
    stand.rig.run_s(5.0)
    assert len(stand.told()) == 1


@BOTH
@pytest.mark.req("K15.FR.06")
@pytest.mark.parametrize("phases", [1, 3])
def test_an_ac_vehicle_of_iso15118_2(version: str, phases: int) -> None:
    conf = config(evse={"ac_phases": phases, "devices": AC_DEVICES})
    stand = Stand(replace(OLD, limits=None), version=version, conf=conf)
    limits = VehicleLimits(0.0, charge_w=16.0 * 230.0 * phases)
    asks = replace(NEEDS, energy="AC", min_charge_w=6.0 * 230.0 * phases)
    stand.says(asks, limits=limits)
    (told,) = stand.told()
    needs = told["chargingNeeds"]
    one = phases == 1
    wanted = "AC_single_phase" if one else "AC_three_phase"
    assert needs["requestedEnergyTransfer"] == wanted
    assert needs["acChargingParameters"] == {
        "energyAmount": 20_000, "evMinCurrent": 6, "evMaxCurrent": 16,
        "evMaxVoltage": 230,
    }  # fmt: skip


@pytest.mark.req("K18.FR.01", "K18.FR.06", "K19.FR.01", "K19.FR.06", "K17.FR.06")
@pytest.mark.parametrize(("needs", "mode"), [
    (V2X, "DynamicControl"), (SCHEDULED, "ScheduledControl"),
])  # fmt: skip
def test_a_vehicle_of_iso15118_20(needs: VehicleNeeds, mode: str) -> None:
    """The narrower of vehicle and EVSE; discharge as magnitudes."""
    stand = Stand(NEW)
    stand.says(needs)
    (told,) = stand.told()
    assert told["chargingNeeds"] == {
        "requestedEnergyTransfer": "DC_BPT",
        "controlMode": mode,
        "mobilityNeedsMode": "EVCC_SECC",
        "v2xChargingParameters": {
            "minChargePower": 100.0,
            "maxChargePower": 6000.0,
            "minDischargePower": 200.0,
            "maxDischargePower": 6000.0,
            "maxChargeCurrent": 120.0,
            "maxDischargeCurrent": 60.0,
            "minVoltage": 200.0,
            "maxVoltage": 400.0,
            "evTargetEnergyRequest": 20_000.0,
            "evMinEnergyRequest": -5_000.0,
            "evMaxEnergyRequest": 30_000.0,
            "evMinV2XEnergyRequest": 1_000.0,
            "evMaxV2XEnergyRequest": 9_000.0,
            "targetSoC": 80,
        },
    }


def test_2_0_1_hears_of_iso15118_20_as_of_2() -> None:
    stand = Stand(NEW, version=V201)
    stand.says(V2X)
    (told,) = stand.told()
    assert told["chargingNeeds"]["requestedEnergyTransfer"] == "DC"
    assert told["chargingNeeds"]["dcChargingParameters"]["evMaxCurrent"] == 120


@pytest.mark.req("K15.FR.20", "K17.FR.17", "K18.FR.21", "K19.FR.14")
@pytest.mark.parametrize("vehicle", [OLD, NEW])
def test_needs_of_a_time_without_link_carry_it(vehicle: VehicleState) -> None:
    stand = Stand(vehicle, online=False)
    stand.rig.pass_s(5.0)
    stand.says(NEEDS if vehicle is OLD else V2X)
    (told,) = stand.told()
    assert told["timestamp"] == "2026-11-23T08:00:05.000Z"


@pytest.mark.req("K15.FR.16", "K18.FR.16", "K19.FR.12")
def test_the_transaction_is_told_before_the_needs() -> None:
    rig = Rig().boot()
    rig.observe(P.CONNECTED, vehicle=replace(OLD, needs=NEEDS), authorised=False)
    assert rig.payloads("NotifyEVChargingNeeds") == []
    rig.observe(P.STARTING, vehicle=replace(OLD, needs=NEEDS), authorised=True)
    actions = [send.action for send in rig.sent]
    assert actions.count("NotifyEVChargingNeeds") == 1
    assert actions.index("TransactionEvent") < actions.index("NotifyEVChargingNeeds")


def test_a_vehicle_that_has_not_asked_is_not_told_of() -> None:
    stand = Stand(NEW)
    stand.says(replace(V2X, asked=0))
    stand.vehicle = replace(stand.vehicle, protocol="chademo")
    stand.says(V2X)
    assert stand.told() == []


# --- asked again ----------------------------------------------------------------------


@pytest.mark.req("K17.FR.01", "K20.FR.02")
def test_a_vehicle_that_asks_again_is_told_of_again() -> None:
    stand = Stand(NEW)
    stand.says(SCHEDULED)
    stand.says(replace(SCHEDULED, target_wh=9_000.0))  # on its way, not a question
    stand.rig.run_s(120.0)
    stand.says(replace(SCHEDULED, target_wh=1_000.0))
    assert len(stand.told()) == 1
    stand.says(replace(SCHEDULED, target_wh=9_000.0, asked=2))
    first, again = stand.told()
    assert again["chargingNeeds"] != first["chargingNeeds"]


@pytest.mark.req("K16.FR.09")
def test_a_question_that_the_csms_itself_has_caused_is_not_told() -> None:
    stand = Stand(NEW)
    stand.says(SCHEDULED)
    stand.says(replace(SCHEDULED, asked=2, asked_by_station=True))
    assert len(stand.told()) == 1
    stand.says(replace(SCHEDULED, asked=3))
    assert len(stand.told()) == 2


@pytest.mark.req("K20.FR.01", "K20.FR.03", "K20.FR.05")
@pytest.mark.parametrize(("change", "count"), [
    ({"target_wh": 15_000.0}, 2),  # 5 kWh less, but nothing was charged
    ({"target_wh": 19_500.0}, 1),
    ({"departs": 7_200.0}, 2),
    ({"departs": 3_630.0}, 1),
])  # fmt: skip
@pytest.mark.parametrize("online", [True, False])
def test_other_needs_in_dynamic_control(change: Any, count: int, online: bool) -> None:
    stand = Stand(NEW)
    begin = stand.rig.now.mono
    stand.says(V2X, departure_mono=begin + 3_600.0)
    stand.rig.run_s(70.0)
    if not online:
        stand.rig.link(up=False)
    departs = change.get("departs", 3_600.0)
    rest = {k: v for k, v in change.items() if k != "departs"}
    stand.says(replace(V2X, **rest), departure_mono=begin + departs)
    assert len(stand.told()) == count
    if count == 2:
        assert ("timestamp" in stand.told()[-1]) is not online


def test_charging_itself_changes_no_needs() -> None:
    """What is still wanted falls as what was taken rises."""
    stand = Stand(NEW)
    stand.says(V2X)
    stand.rig.run_s(70.0)
    kept = stand.rig._last[1]
    made = stand.rig.observe(**kept)
    charged = replace(made.snapshot.session, energy_in_wh=5_000.0)
    vehicle = replace(stand.vehicle, needs=replace(V2X, target_wh=15_000.0))
    snapshot = replace(made.snapshot, session=charged, vehicle=vehicle)
    stand.rig.station.observe(replace(made, snapshot=snapshot), stand.rig.now)
    stand.rig.drain()
    assert len(stand.told()) == 1


# --- the answer -----------------------------------------------------------------------


ONE_WAY = {"energy": "DC", "energies": ("DC", "DC_BPT")}


@pytest.mark.req("K18.FR.23", "K19.FR.16", "Q01.FR.06")
@pytest.mark.parametrize(
    "needs", [replace(V2X, **ONE_WAY), replace(SCHEDULED, **ONE_WAY)]
)
def test_a_refused_energy_transfer_ends_the_transaction(needs: VehicleNeeds) -> None:
    stand = Stand(NEW)
    stand.says(needs)
    stand.answer("Rejected")
    reason = StopReason.REQ_ENERGY_TRANSFER_REJECTED
    assert StopRequest(1, reason) in stand.rig.asked()
    stand.seen(phase=P.FINISHED, stop=reason)
    ended = stand.rig.events()[-1]
    assert (ended["eventType"], ended["triggerReason"]) == (
        "Ended",
        "AbnormalCondition",
    )
    assert ended["transactionInfo"]["stoppedReason"] == "ReqEnergyTransferRejected"


@pytest.mark.req("K15.FR.04", "K18.FR.04", "K19.FR.04")
@pytest.mark.parametrize(("vehicle", "needs", "status"), [
    (OLD, NEEDS, "Rejected"), (NEW, SCHEDULED, "NoChargingProfile"),
    (NEW, V2X, "NoChargingProfile"),
])  # fmt: skip
def test_without_a_schedule_the_default_profile_holds(
    vehicle: VehicleState, needs: VehicleNeeds, status: str
) -> None:
    stand = Stand(vehicle)
    install(stand.rig, profile(1))
    stand.says(needs)
    stand.answer(status)
    assert [a for a in stand.rig.asked() if isinstance(a, StopRequest)] == []
    last = stand.schedules()[-1]
    assert last.awaited_until_mono == 0.0
    assert last.schedule is not None
    assert last.schedule.parts[0].charge_w == 3_000.0


@pytest.mark.req("K15.FR.15", "K17.FR.15", "K18.FR.15", "K19.FR.11")
@pytest.mark.parametrize(("vehicle", "needs"), [
    (OLD, NEEDS), (NEW, SCHEDULED), (NEW, V2X),
])  # fmt: skip
def test_offline_the_default_profile_holds(
    vehicle: VehicleState, needs: VehicleNeeds
) -> None:
    stand = Stand(vehicle)
    install(stand.rig, profile(1))
    stand.rig.link(up=False)
    stand.says(needs)
    last = stand.schedules()[-1]
    assert last.awaited_until_mono == 0.0
    assert last.schedule is not None
    assert last.schedule.parts[0].charge_w == 3_000.0


@pytest.mark.req("K15.FR.05", "K18.FR.05", "K19.FR.05")
def test_a_vehicle_waits_for_what_was_promised_only() -> None:
    """Before it has asked, then for 10 s, and not when the CSMS needs time."""
    stand = Stand(NEW)
    assert stand.schedules()[-1].awaited_until_mono > stand.rig.now.mono + 60.0
    stand.says(SCHEDULED)
    awaited = stand.schedules()[-1].awaited_until_mono - stand.rig.now.mono
    assert awaited == pytest.approx(10.0)
    stand.answer("Accepted")
    assert stand.schedules()[-1].awaited_until_mono > stand.rig.now.mono
    stand.says(replace(SCHEDULED, asked=2))
    stand.answer("Processing")
    assert stand.schedules()[-1].awaited_until_mono == 0.0


def test_a_station_may_be_told_not_to_wait() -> None:
    stand = Stand(NEW, conf=config(schedule_wait_s=0))
    stand.says(SCHEDULED)
    assert {s.awaited_until_mono for s in stand.schedules()} <= {
        0.0, stand.rig.now.mono
    }  # fmt: skip


@pytest.mark.req("K15.FR.17", "K18.FR.17", "K19.FR.13")
@BOTH
def test_a_profile_that_comes_before_the_needs_is_refused(version: str) -> None:
    stand = Stand(OLD, version=version)
    answer = stand.tx()
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "InvalidMessageSeq"
    stand.says(NEEDS)
    assert stand.tx() == {"status": "Accepted"}


# --- the schedule ---------------------------------------------------------------------

HOURS = [{"startPeriod": n * 3600, "limit": 4_000.0 - n * 1_000.0} for n in range(3)]


@pytest.mark.req("K15.FR.03", "K16.FR.01", "K18.FR.03", "K19.FR.03", "K03.FR.03")
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
