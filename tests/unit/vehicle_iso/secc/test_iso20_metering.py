"""ISO 15118-20 meter readings and their confirmation by the vehicle."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.messages.common_types import MeterInfo
from hil.pki.make import Pki, make_pki
from hil.pki.profiles import Profile
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car
from tests.unit.vehicle_iso.secc.test_iso20_authorise import ContractCar, sealed

EVERY_S = 10.0
WRONG = "FAILED_MeteringSignatureNotValid"


def running(energy: int = 6, parameter_set: int = 1) -> Car:
    car = Car(energy, parameter_set, setup=replace(SETUP_20, receipt_s=EVERY_S))
    car.energise()
    return car


def signed_data(car: Car, info: MeterInfo, **change: Any) -> common.SignedMeteringData:
    mode: dict[str, Any] = {"Dynamic_SMDTControlMode": common.Dynamic_SMDTControlMode()}
    if not car.dynamic:
        mode = {
            "Scheduled_SMDTControlMode": common.Scheduled_SMDTControlMode(
                SelectedScheduleTupleID=1
            )
        }
    fields = {"Id": "m", "SessionID": car.id, "MeterInfo": info, **mode, **change}
    return common.SignedMeteringData(**fields)


def confirm(car: Car, info: MeterInfo, **change: Any) -> Any:
    data = signed_data(car, info, **change)
    return car.say(common.MeteringConfirmationReq, SignedMeteringData=data)


def wish(response: Any) -> str | None:
    status = response.EVSEStatus
    return None if status is None else str(status.EVSENotification)


def test_the_meter_is_told_when_the_vehicle_asks() -> None:
    car = running()
    assert car.loop().MeterInfo is None
    info = car.loop(meter=True).MeterInfo
    assert (info.MeterID, info.ChargedEnergyReadingWh) == ("M1", 5_000)
    assert info.BPT_DischargedEnergyReadingWh == 0
    assert info.MeterTimestamp == int(1e9 + car.plant.now - 0.05)
    one_way = running(2)
    info = one_way.loop(meter=True).MeterInfo
    assert info.BPT_DischargedEnergyReadingWh is None


def test_no_reading_without_a_fresh_meter() -> None:
    car = running()
    car.plant.broken.add("silent")
    car.run()
    assert car.loop(meter=True).MeterInfo is None


@pytest.mark.parametrize(("energy", "parameter_set"), [(6, 1), (6, 2), (5, 1)])
def test_a_confirmation_is_asked_for_in_its_time(
    energy: int, parameter_set: int
) -> None:
    car = running(energy, parameter_set)
    for _ in range(2):
        assert wish(car.loop(190)) is None
        answer = car.loop(15)
        assert wish(answer) == "MeteringConfirmation"
        assert answer.MeterInfo is not None
        assert confirm(car, answer.MeterInfo).ResponseCode == "OK"
        assert car.at.startswith("loop")
        assert wish(car.loop()) is None


def test_without_receipts_none_is_asked_for() -> None:
    car = Car()
    car.energise()
    assert wish(car.loop(250)) is None


def test_a_confirmation_may_be_some_loops_behind() -> None:
    car = running()
    info = car.loop(meter=True).MeterInfo
    car.loop(15, meter=True)
    assert confirm(car, info).ResponseCode == "OK"


def test_what_was_not_told_is_not_confirmed() -> None:
    for change in (
        {"ChargedEnergyReadingWh": 4_999},
        {"MeterID": "M2"},
        {"MeterTimestamp": 1},
    ):
        car = running()
        info = car.loop(meter=True).MeterInfo
        fields = {
            name: getattr(info, name)
            for name in (
                "MeterID",
                "ChargedEnergyReadingWh",
                "BPT_DischargedEnergyReadingWh",
                "MeterTimestamp",
            )
        }
        other = MeterInfo(**{**fields, **change})
        assert confirm(car, other).ResponseCode == WRONG, change


def test_the_session_and_the_schedule_must_be_right() -> None:
    car = running()
    info = car.loop(meter=True).MeterInfo
    assert confirm(car, info, SessionID=bytes(range(2, 10))).ResponseCode == WRONG
    car = running(6, 2)
    info = car.loop(meter=True).MeterInfo
    other = common.Scheduled_SMDTControlMode(SelectedScheduleTupleID=9)
    answer = confirm(car, info, Scheduled_SMDTControlMode=other)
    assert answer.ResponseCode == WRONG
    car = running(6, 2)
    info = car.loop(meter=True).MeterInfo
    car.parameter_set = 1  # it speaks of dynamic control
    assert confirm(car, info).ResponseCode == WRONG


def test_before_power_there_is_nothing_to_confirm() -> None:
    car = Car()
    car.to("cable_check")
    info = MeterInfo(MeterID="M1", ChargedEnergyReadingWh=0)
    assert confirm(car, info).ResponseCode == "FAILED_SequenceError"


@pytest.fixture(scope="module")
def pki() -> Pki:
    return make_pki(Profile.ISO20, datetime.fromtimestamp(1_000_001_000, UTC))


def contract_running(pki: Pki) -> ContractCar:
    car = ContractCar(pki, receipt_s=EVERY_S)
    car.plant.energise = True
    car.run()
    assert car.show().EVSEProcessing == "Finished"
    car.energise()
    return car


def test_with_a_contract_its_key_signs(pki: Pki) -> None:
    car = contract_running(pki)
    info = car.loop(meter=True).MeterInfo
    data = signed_data(car, info)
    car.signature = sealed(pki.contract, "SignedMeteringData", data)
    assert confirm(car, info).ResponseCode == "OK"
    assert confirm(car, info).ResponseCode == WRONG  # not signed


def test_another_key_does_not(pki: Pki) -> None:
    car = contract_running(pki)
    info = car.loop(meter=True).MeterInfo
    data = signed_data(car, info)
    car.signature = sealed(pki.oem, "SignedMeteringData", data)
    assert confirm(car, info).ResponseCode == WRONG


def test_confirmations_alone_do_not_keep_power_up() -> None:
    """A vehicle that is silent in the loop for 0.5 s loses its power."""
    car = running()
    info = car.loop(meter=True).MeterInfo
    for _ in range(8):
        assert confirm(car, info).ResponseCode == "OK"
        car.run(0.05)
    car.run(0.1)
    assert car.session.on_timer(car.plant.now)
    assert not car.state.demand.close_dc
    assert car.state.stop_cause == "silent"
