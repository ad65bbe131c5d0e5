"""DIN 70121: whole sessions, each message, order and time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.messages import din as m
from chargerd.vehicle.iso15118.secc.din import TIMES_DIN
from chargerd.vehicle.iso15118.secc.din_graph import GRAPH
from chargerd.vehicle.iso15118.secc.din_steps import evse_id
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED, OVER
from chargerd.vehicle.iso15118.secc.iso2_values import number
from chargerd.vehicle.iso15118.secc.station import Energy
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car_din import DinCar, power, select
from tests.unit.vehicle_iso.secc.ev2 import SESSION_ID
from tests.unit.vehicle_iso.secc.plant import SETUP, TICK_S

# --- whole sessions -------------------------------------------------------------------


def test_a_session() -> None:
    car = DinCar()
    car.to("current_demand")
    assert car.state.protocol == "din70121"
    assert car.state.phase is VehiclePhase.ENERGY
    assert car.state.demand.close_dc
    response = car.loop(20)
    assert response.ResponseCode == "OK"
    assert response.DC_EVSEStatus.EVSEStatusCode == "EVSE_Ready"
    assert response.DC_EVSEStatus.EVSEIsolationStatus == "Valid"
    assert number(response.EVSEPresentVoltage) == 380.0
    assert number(response.EVSEPresentCurrent) == 20.0
    assert number(response.EVSEMaximumCurrentLimit) == 20.0  # what was decided
    limits = car.state.limits
    assert limits is not None
    assert (limits.requested_a, limits.charge_a) == (20.0, 100.0)
    assert (limits.discharge_a, limits.discharge_allowed) == (0.0, False)
    assert car.state.soc_pct == 40.0
    assert car.state.vehicle_id == "02AABBCCDDEE"
    assert car.say(power(False)).ResponseCode == "OK"
    assert car.answer.hold_s == 1.0
    car.run(0.1)
    assert car.session.may_send(car.plant.now)
    car.plant.ev_closed = False
    car.plant.pilot = PilotState.B
    car.run(0.4)
    assert number(car.say(car.welding()).EVSEPresentVoltage) < 60.0
    assert car.say(m.SessionStop()).ResponseCode == "OK"
    assert car.answer.close
    assert car.run(0.5).phase is VehiclePhase.ENDED
    assert car.state.faults == frozenset()
    assert car.session.next_timer() is None
    assert car.session.paused() is None


def test_what_is_offered() -> None:
    car = DinCar()
    response = car.say(car.setup())
    assert response.ResponseCode == "OK_NewSessionEstablished"
    assert (response.EVSEID, response.DateTimeNow) == (b"\x00", 1_000_001_000)
    assert car.id == SESSION_ID
    response = car.say(m.ServiceDiscoveryReq(ServiceCategory="EVCharging"))
    assert response.PaymentOptions.PaymentOption == ["ExternalPayment"]
    service = response.ChargeService
    assert service.ServiceTag.ServiceID == 1
    assert service.EnergyTransferType == "DC_extended"
    assert response.ServiceList is None
    assert car.say(m.ServiceDetailReq(ServiceID=1)).ResponseCode == "OK"
    assert car.session.at == "selection"


def test_parameters_tell_both_sides() -> None:
    car = DinCar()
    car.to("parameters")
    response = car.say(car.parameters())
    told = response.EVSEChargeParameter
    assert number(told.EVSEMaximumCurrentLimit) == 60.0
    assert number(told.EVSEMaximumPowerLimit) == 20_000.0
    entry = response.SASchedules.SAScheduleTuple[0].PMaxSchedule.PMaxScheduleEntry[0]
    assert entry.PMax == 20_000
    assert car.state.capacity_wh == 60_000.0
    assert car.state.needs is not None
    assert car.state.needs.energy == "DC"


def test_a_schedule_cannot_say_more_than_a_short() -> None:
    ratings = replace(SETUP.ratings, charge_max_w=50_000.0)
    car = DinCar(replace(SETUP, ratings=ratings))
    car.to("parameters")
    schedule = car.say(car.parameters()).SASchedules.SAScheduleTuple[0]
    assert schedule.PMaxSchedule.PMaxScheduleEntry[0].PMax == 32_767


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("+49*123*456*789", "49A123A456A789"),
        ("49*80737*45678", "49A80737A45678"),
        ("49*123*45", "49A123A45A"),
        ("DE*ABC*E1", "00"),
        ("", "00"),
        ("+", "00"),
        ("٤٩*123", "00"),
        ("1" * 80, "11" * 32),
    ],
)
def test_the_evse_id(text: str, wire: str) -> None:
    assert evse_id(text) == bytes.fromhex(wire)


# --- refusals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (m.ServiceDetailReq(ServiceID=7), "FAILED_ServiceIDInvalid"),
        (select("Contract"), "FAILED_PaymentSelectionInvalid"),
        (select("ExternalPayment", 1, 2), "FAILED_ServiceSelectionInvalid"),
        (select("ExternalPayment", 9), "FAILED_ServiceSelectionInvalid"),
    ],
)
def test_what_is_not_offered_is_refused(request_: Any, code: str) -> None:
    car = DinCar()
    car.to("selection")
    assert car.say(request_).ResponseCode == code
    assert car.session.at == FAILED


def test_the_vehicle_waits_for_authorisation_and_then_goes() -> None:
    car = DinCar()
    car.plant.energise = False
    car.run(TICK_S)
    car.to("authorization")
    for _ in range(54):
        response = car.say(m.ContractAuthenticationReq())
        assert (response.ResponseCode, response.EVSEProcessing) == ("OK", "Ongoing")
        car.run(1.0)
    car.run(1.1)
    assert car.say(m.ContractAuthenticationReq()).ResponseCode == "FAILED"
    assert car.state.stop_cause == "not_authorised"


def test_authorisation_comes_late() -> None:
    car = DinCar()
    car.plant.energise = False
    car.run(TICK_S)
    car.to("authorization")
    assert car.say(m.ContractAuthenticationReq()).EVSEProcessing == "Ongoing"
    car.plant.energise = True
    car.run(TICK_S)
    assert car.say(m.ContractAuthenticationReq()).EVSEProcessing == "Finished"
    assert car.session.at == "parameters"


@pytest.mark.parametrize(
    ("mode", "change", "code"),
    [
        ("DC_core", {}, "FAILED_WrongEnergyTransferType"),
        ("AC_single_phase_core", {}, "FAILED_WrongEnergyTransferType"),
        (
            "DC_extended",
            {"EVMaximumVoltageLimit": 100},
            "FAILED_WrongChargeParameter",
        ),
        ("DC_extended", {"EVMaximumCurrentLimit": -1}, "FAILED_WrongChargeParameter"),
    ],
)
def test_parameters_that_cannot_be(
    mode: str, change: dict[str, int], code: str
) -> None:
    car = DinCar()
    car.to("parameters")
    values = {
        name: m.PhysicalValue(Multiplier=0, Value=value)
        for name, value in change.items()
    }
    request = car.parameters(mode, car.dc_parameters(**values))
    assert car.say(request).ResponseCode == code
    assert car.state.faults == {"V2gFault"}


def test_ac_limits_for_dc() -> None:
    car = DinCar()
    car.to("parameters")
    told = m.AC_EVChargeParameter(
        DepartureTime=0,
        EAmount=car.pv(1_000.0, "Wh"),
        EVMaxVoltage=car.pv(250.0, "V"),
        EVMaxCurrent=car.pv(16.0, "A"),
        EVMinCurrent=car.pv(6.0, "A"),
    )
    response = car.say(car.parameters(told=told))
    assert response.ResponseCode == "FAILED_WrongChargeParameter"


def test_a_station_without_dc() -> None:
    car = DinCar(replace(SETUP, energies=(Energy.AC,)))
    car.to("parameters")
    response = car.say(car.parameters())
    assert response.ResponseCode == "FAILED_WrongEnergyTransferType"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (power(True, schedule=2), "FAILED_TariffSelectionInvalid"),
        (power(True, top_w=20_001), "FAILED_ChargingProfileInvalid"),
    ],
)
def test_power_delivery_refused(request_: Any, code: str) -> None:
    car = DinCar()
    car.to("power")
    car.match()
    assert car.say(request_).ResponseCode == code
    car.run(3.0)
    assert not car.state.demand.close_dc


def test_no_contactor_no_power() -> None:
    car = DinCar()
    car.to("power")
    car.plant.broken.add("contactor")
    car.run(3.0)
    assert car.say(power(True)).ResponseCode == "FAILED_PowerDeliveryNotApplied"
    assert car.state.faults == {"EVSEContactorFault"}


def test_a_profile_may_be_left_out() -> None:
    car = DinCar()
    car.to("power")
    car.match()
    assert car.say(power(True, top_w=None)).ResponseCode == "OK"


# --- order, ids, time -----------------------------------------------------------------


def _all_requests(car: DinCar) -> dict[str, Any]:
    return {
        "SessionSetupReq": car.setup(),
        "ServiceDiscoveryReq": m.ServiceDiscoveryReq(),
        "ServiceDetailReq": m.ServiceDetailReq(ServiceID=1),
        "ServicePaymentSelectionReq": select(),
        "ContractAuthenticationReq": m.ContractAuthenticationReq(),
        "ChargeParameterDiscoveryReq": car.parameters(),
        "CableCheckReq": car.cable_check(),
        "PreChargeReq": car.precharge(),
        "PowerDeliveryReq": power(True),
        "CurrentDemandReq": car.demand(),
        "WeldingDetectionReq": car.welding(),
        "SessionStopReq": m.SessionStop(),
    }


STATES = ["setup", "discovery", "selection", "authorization", "parameters"]
STATES += ["cable_check", "precharge", "power", "current_demand", "welding"]


@pytest.mark.parametrize("at", STATES)
def test_every_message_out_of_order_is_answered_whole(at: str) -> None:
    for name in _all_requests(DinCar()):
        if GRAPH.following(at, name) is not None:
            continue
        car = DinCar()
        car.to(at)
        if at == "setup":
            car.id = car.session.id
        response = car.say(_all_requests(car)[name])
        assert response.ResponseCode == "FAILED_SequenceError"
        assert type(response).__name__ == name.replace("Req", "Res")
        again = car.say(car.demand())
        assert again.ResponseCode == "FAILED_SequenceError"
        car.run(2.5)
        assert not car.state.demand.close_dc
        assert car.say(m.SessionStop()).ResponseCode == "OK"
        assert (car.answer.close, car.session.at) == (True, OVER)


ROOTS = m.ListOfRootCertificateIDs(RootCertificateID=["root"])
CHAIN = m.CertificateChain(Certificate=b"1")
UNUSED: list[Any] = [
    m.PaymentDetailsReq(ContractID="1", ContractSignatureCertChain=CHAIN),
    m.ChargingStatusReq(),
    m.MeteringReceiptReq(SessionID=b"1", MeterInfo=m.MeterInfo(MeterID="1")),
    m.CertificateInstallationReq(
        OEMProvisioningCert=b"1", ListOfRootCertificateIDs=ROOTS, DHParams=b"1"
    ),
    m.CertificateUpdateReq(
        ContractSignatureCertChain=CHAIN,
        ContractID="1",
        ListOfRootCertificateIDs=ROOTS,
        DHParams=b"1",
    ),
]


@pytest.mark.parametrize("request_", UNUSED, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("at", ["authorization", "current_demand"])
def test_what_din_does_not_use_is_out_of_order(at: str, request_: Any) -> None:
    car = DinCar()
    car.to(at)
    response = car.say(request_)
    assert response.ResponseCode == "FAILED_SequenceError"
    assert type(response).__name__ == type(request_).__name__.replace("Req", "Res")
    assert car.session.at == FAILED


@pytest.mark.parametrize("at", STATES[1:])
def test_a_wrong_session_id(at: str) -> None:
    car = DinCar()
    car.to(at)
    car.id = b"\x01" * 8
    assert car.say(m.SessionStop()).ResponseCode == "FAILED_UnknownSession"
    assert not car.answer.close
    assert car.state.stop_cause in ("session_id", "vehicle_stop")
    car.run(3.0)
    assert not car.state.demand.close_dc


@pytest.mark.parametrize("at", STATES[1:])
def test_a_silent_vehicle_is_given_up_after_a_minute(at: str) -> None:
    car = DinCar()
    car.to(at)
    car.say(car.welding())  # restarts the clock, whatever its answer
    at_mono = car.plant.now
    assert not car.session.on_timer(at_mono + 59.9)
    assert car.session.on_timer(at_mono + 60.1)
    assert car.session.at == OVER


@pytest.mark.parametrize(
    ("name", "within_s"),
    [("CurrentDemandReq", 0.025), ("PowerDeliveryReq", 1.5), ("PreChargeReq", 1.5)],
)
def test_each_answer_names_its_time(name: str, within_s: float) -> None:
    car = DinCar()
    car.to("power")
    car.say(_all_requests(car)[name])
    assert (car.answer.request, car.answer.within_s) == (name, within_s)
    assert TIMES_DIN.answer(name) == within_s


def test_the_vehicle_shows_c_soon_after_it_asks_for_the_cable_check() -> None:
    car = DinCar()
    car.to("cable_check")
    assert car.say(car.cable_check()).ResponseCode == "OK"
    car.run(1.4)
    assert car.say(car.cable_check()).ResponseCode == "OK"
    car.run(0.2)
    response = car.say(car.cable_check())
    assert response.ResponseCode == "FAILED"
    assert car.state.faults == {"CableCheckFault"}


def test_the_station_asks_to_stop() -> None:
    car = DinCar()
    car.to("current_demand")
    car.loop(5)
    car.plant.energise = False
    car.run(TICK_S)
    status = car.say(car.demand()).DC_EVSEStatus
    assert status.EVSEStatusCode == "EVSE_Shutdown"
    assert status.EVSENotification == "StopCharging"
