"""K15, K17 to K20: what a vehicle needs is told, and what the answer leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import (
    StopReason,
    StopRequest,
    VehicleLimits,
    VehicleNeeds,
    VehicleState,
)
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
    AC_DEVICES,
    BOTH,
    install,
    profile,
)
from tests.unit.ocpp.station_rig import V201, Rig, config

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


@pytest.mark.req("K20.FR.01", "K20.FR.05")
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


@pytest.mark.parametrize("why", ["power flows", "no talk any more"])
def test_without_a_question_nothing_is_held_back_for_ever(why: str) -> None:
    """A vehicle that is charged by its pilot after all may get a TxProfile."""
    stand = Stand(OLD)
    assert stand.tx()["status"] == "Rejected"
    if why == "power flows":
        stand.seen(phase=P.ENERGY)
    else:
        stand.vehicle = replace(OLD, protocol="")
        stand.seen(phase=P.STARTING)
    assert stand.schedules()[-1].awaited_until_mono == 0.0
    assert stand.tx() == {"status": "Accepted"}
