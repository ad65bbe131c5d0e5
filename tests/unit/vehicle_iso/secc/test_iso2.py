"""ISO 15118-2: whole sessions, and each message up to the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.secc.iso2 import Iso2Session
from chargerd.vehicle.iso15118.secc.iso2_course import Paused
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED
from chargerd.vehicle.iso15118.secc.iso2_values import number
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car2 import Car, power, select
from tests.unit.vehicle_iso.secc.ev2 import SESSION_ID
from tests.unit.vehicle_iso.secc.plant import SETUP, TICK_S

# --- whole sessions -------------------------------------------------------------------


def test_a_dc_session() -> None:
    car = Car()
    car.to("current_demand")
    assert car.state.protocol == "iso15118-2"
    assert car.state.phase is VehiclePhase.ENERGY
    assert car.state.demand.close_dc
    response = car.loop(20)
    assert response.ResponseCode == "OK"
    assert response.DC_EVSEStatus.EVSEStatusCode == "EVSE_Ready"
    assert number(response.EVSEPresentVoltage) == 380.0
    assert number(response.EVSEPresentCurrent) == 20.0
    assert number(response.EVSEMaximumCurrentLimit) == 20.0  # what was decided
    assert response.MeterInfo.MeterReading == 5_000
    limits = car.state.limits
    assert limits is not None
    assert (limits.requested_a, limits.charge_a) == (20.0, 100.0)
    assert limits.voltage_max_v == 420.0
    assert limits.discharge_a == 0.0
    assert car.state.demand.voltage_v == 410.0
    assert car.state.soc_pct == 40.0
    assert car.state.capacity_wh == 60_000.0
    assert car.state.vehicle_id == "02AABBCCDDEE"
    assert car.say(power("Stop")).ResponseCode == "OK"
    assert car.run(0.1).phase is VehiclePhase.STOPPING
    car.plant.ev_closed = False
    car.plant.pilot = PilotState.B
    car.run(0.4)
    assert number(car.say(car.welding()).EVSEPresentVoltage) < 60.0
    stop = car.say(m.SessionStopReq(ChargingSession="Terminate"))
    assert stop.ResponseCode == "OK"
    assert car.answer.close
    assert car.run(0.5).phase is VehiclePhase.ENDED
    assert car.state.faults == frozenset()
    assert car.state.stop_cause == "vehicle_stop"
    assert not car.plant.locked
    assert car.session.next_timer() is None


def test_an_ac_session() -> None:
    car = Car()
    car.to_charging()
    assert car.state.demand.close_ac
    assert car.state.phase is VehiclePhase.ENERGY
    limits = car.state.limits
    assert limits is not None
    assert limits.charge_w == pytest.approx(16.0 * 3 * 230.0)
    told = replace(car.plant.offer(), charge_w=22_000.0, setpoint_w=6_900.0)
    car.session.command(told, car.plant.now)
    response = car.say(m.ChargingStatusReq())
    assert response.ResponseCode == "OK"
    assert number(response.EVSEMaxCurrent) == pytest.approx(10.0)
    assert car.say(power("Stop")).ResponseCode == "OK"
    assert not car.state.demand.close_ac
    assert car.say(m.SessionStopReq(ChargingSession="Terminate")).ResponseCode == "OK"
    car.run(1.5)
    assert car.state.phase is VehiclePhase.ENDED


def test_renegotiation_comes_back_without_a_new_cable_check() -> None:
    car = Car()
    car.to("current_demand")
    car.loop(5)
    assert car.say(power("Renegotiate")).ResponseCode == "OK"
    assert car.session.at == "dc_again"
    assert car.say(car.parameters()).EVSEProcessing == "Finished"
    assert car.state.demand.close_dc
    assert car.say(power("Start")).ResponseCode == "OK"
    assert car.loop(3).ResponseCode == "OK"


def test_renegotiation_in_ac() -> None:
    car = Car()
    car.to_charging()
    assert car.say(power("Renegotiate")).ResponseCode == "OK"
    assert car.say(car.ac_parameters()).ResponseCode == "OK"
    assert car.say(power("Start")).ResponseCode == "OK"
    assert car.say(m.ChargingStatusReq()).ResponseCode == "OK"


def test_a_paused_session_is_joined_again() -> None:
    car = Car()
    car.to("current_demand")
    car.say(power("Stop"))
    car.plant.ev_closed = False
    car.run(0.4)
    assert car.say(m.SessionStopReq(ChargingSession="Pause")).ResponseCode == "OK"
    assert isinstance(car.session, Iso2Session)
    paused = car.session.paused()
    assert paused == Paused(SESSION_ID, "ExternalPayment", "DC_extended", 1)
    assert car.state.stop_cause == "vehicle_pause"  # the link stays
    again = Car(paused=paused)
    again.id = paused.id
    assert again.say(again.setup()).ResponseCode == "OK_OldSessionJoined"
    other = Car(paused=replace(paused, id=bytes(range(8))))
    other.id = bytes(range(1, 9))
    assert other.say(other.setup()).ResponseCode == "OK_NewSessionEstablished"
    assert other.answer.message.Header.SessionID == SESSION_ID  # type: ignore[union-attr]


def _joined(paused: Paused) -> Car:
    car = Car(replace(SETUP, authorise=(Authorise.EIM,)), paused=paused)
    car.id = paused.id
    return car


def test_a_joined_session_keeps_its_way_to_pay_and_its_mode() -> None:
    """[V2G2-741]."""
    car = _joined(Paused(SESSION_ID, "ExternalPayment", "DC_extended", 1))
    car.to("discovery")
    service = car.say(m.ServiceDiscoveryReq()).ChargeService
    assert service.SupportedEnergyTransferMode.EnergyTransferMode == ["DC_extended"]
    car.to("parameters")
    code = car.say(car.ac_parameters()).ResponseCode
    assert code == "FAILED_WrongEnergyTransferMode"
    car = _joined(Paused(SESSION_ID, "Contract", "DC_extended", 1))
    car.to("discovery")
    assert car.say(m.ServiceDiscoveryReq()).ResponseCode == "FAILED"
    car = _joined(Paused(SESSION_ID, "", "", 1))  # paused before it chose
    car.to("current_demand")


@pytest.mark.parametrize("at", ["cable_check", "precharge", "power", "current_demand"])
def test_no_pause_while_the_cable_is_live(at: str) -> None:
    car = Car()
    car.to(at)
    assert car.say(m.SessionStopReq(ChargingSession="Pause")).ResponseCode == "FAILED"
    assert not car.state.demand.close_dc or car.state.phase is VehiclePhase.STOPPING


# --- setup to authorisation -----------------------------------------------------------


def test_the_session_is_new_and_named() -> None:
    car = Car()
    response = car.say(car.setup())
    assert response.ResponseCode == "OK_NewSessionEstablished"
    assert response.EVSEID == "DE*ABC*E1"
    assert response.EVSETimeStamp == 1_000_001_000
    assert car.answer.within_s == 1.5
    assert car.id == SESSION_ID


@pytest.mark.parametrize(
    ("energies", "phases", "modes"),
    [
        ((Energy.DC,), 0, ["DC_extended", "DC_combo_core"]),
        ((Energy.DC_BPT, Energy.DC), 0, ["DC_extended", "DC_combo_core"]),
        ((Energy.AC,), 1, ["AC_single_phase_core"]),
        ((Energy.AC,), 3, ["AC_three_phase_core"]),
    ],
)
def test_what_is_offered(
    energies: tuple[Energy, ...], phases: int, modes: list[str]
) -> None:
    ratings = replace(SETUP.ratings, ac_phases=phases)
    car = Car(replace(SETUP, energies=energies, ratings=ratings))
    car.to("discovery")
    response = car.say(m.ServiceDiscoveryReq())
    offered = response.ChargeService.SupportedEnergyTransferMode.EnergyTransferMode
    assert offered == modes
    assert response.PaymentOptionList.PaymentOption == ["ExternalPayment"]
    assert response.ServiceList is None


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (m.ServiceDetailReq(ServiceID=7), "FAILED_ServiceIDInvalid"),
        (m.ServiceDetailReq(ServiceID=2), "FAILED_ServiceIDInvalid"),
        (select("Contract"), "FAILED_PaymentSelectionInvalid"),
        (select("ExternalPayment", 1, 2), "FAILED_ServiceSelectionInvalid"),
        (select("ExternalPayment", 9), "FAILED_ServiceSelectionInvalid"),
    ],
)
def test_what_is_not_offered_is_refused(request_: Any, code: str) -> None:
    car = Car()
    car.to("selection")
    assert car.say(request_).ResponseCode == code
    assert car.session.at == FAILED


def test_contracts_are_not_offered_even_where_wanted() -> None:
    car = Car(replace(SETUP, authorise=(Authorise.PNC, Authorise.EIM)))
    car.to("discovery")
    response = car.say(m.ServiceDiscoveryReq())
    assert response.PaymentOptionList.PaymentOption == ["ExternalPayment"]
    assert car.say(select("Contract")).ResponseCode == "FAILED_PaymentSelectionInvalid"


def test_a_stop_is_answered_when_the_current_has_gone() -> None:
    car = Car()
    car.to("current_demand")
    car.loop(5)
    car.say(power("Stop"))
    assert car.answer.hold_s == 1.0
    assert not car.session.may_send(car.plant.now)
    car.run(0.1)
    assert car.session.may_send(car.plant.now)


def test_the_vehicle_waits_for_authorisation() -> None:
    car = Car()
    car.plant.energise = False
    car.run(TICK_S)
    car.to("authorization")
    response = car.say(m.AuthorizationReq())
    assert response.EVSEProcessing == "Ongoing_WaitingForCustomerInteraction"
    assert car.session.at == "authorization"
    car.plant.energise = True
    car.run(1.0)
    assert car.say(m.AuthorizationReq()).EVSEProcessing == "Finished"
    assert car.session.at == "parameters"


def test_nobody_authorises() -> None:
    car = Car()
    car.plant.energise = False
    car.run(TICK_S)
    car.to("authorization")
    for _ in range(54):
        assert car.say(m.AuthorizationReq()).ResponseCode == "OK"
        car.run(1.0)
    car.run(1.1)
    assert car.say(m.AuthorizationReq()).ResponseCode == "FAILED"
    assert car.state.stop_cause == "not_authorised"


# --- parameters -----------------------------------------------------------------------


def test_parameters_tell_both_sides() -> None:
    car = Car()
    car.to("parameters")
    response = car.say(car.parameters())
    told = response.EVSEChargeParameter
    assert number(told.EVSEMaximumCurrentLimit) == 60.0
    assert number(told.EVSEMaximumPowerLimit) == 20_000.0
    assert number(told.EVSEMaximumVoltageLimit) == 500.0
    assert number(told.EVSEMinimumVoltageLimit) == 150.0
    entry = response.SASchedules.SAScheduleTuple[0].PMaxSchedule.PMaxScheduleEntry[0]
    assert number(entry.PMax) == 20_000.0
    assert car.state.departure_mono == pytest.approx(car.plant.now + 3_600.0)
    car.run(0.1)
    assert car.plant.locked


def test_no_departure_is_no_departure() -> None:
    car = Car()
    car.to("parameters")
    car.say(car.parameters(told=car.dc_parameters(DepartureTime=0)))
    assert car.state.departure_mono is None


def test_the_heart_sees_what_the_vehicle_needs() -> None:
    car = Car()
    car.to("parameters")
    told = car.dc_parameters(EVEnergyRequest=car.pv(18_000.0, "Wh"), FullSOC=94)
    car.say(car.parameters(told=told))
    needs = car.state.needs
    assert needs is not None
    assert (needs.energy, needs.target_wh, needs.max_soc_pct) == ("DC", 18_000.0, 94.0)
    car = Car()
    car.to("parameters")
    car.say(car.ac_parameters())
    needs = car.state.needs
    assert needs is not None
    assert (needs.energy, needs.target_wh) == ("AC", 20_000.0)
    assert needs.min_charge_w == pytest.approx(6.0 * 3 * 230.0)


def test_ac_parameters_tell_both_sides() -> None:
    car = Car()
    car.to("parameters")
    response = car.say(car.ac_parameters())
    assert number(response.EVSEChargeParameter.EVSEMaxCurrent) == 32.0
    assert number(response.EVSEChargeParameter.EVSENominalVoltage) == 230.0


def test_parameters_wait_for_authorisation() -> None:
    car = Car()
    car.to("parameters")
    car.plant.energise = False
    car.run(TICK_S)
    response = car.say(car.parameters())
    assert (response.EVSEProcessing, response.SASchedules) == ("Ongoing", None)
    for _ in range(54):
        car.run(1.0)
        assert car.say(car.parameters()).ResponseCode == "OK"
    car.run(1.1)
    assert car.say(car.parameters()).ResponseCode == "FAILED"


def _wrong(car: Car, name: str) -> Any:
    says: dict[str, Callable[[], Any]] = {
        "mode": lambda: car.parameters("DC_unique"),
        "ac_in_dc": lambda: m.ChargeParameterDiscoveryReq(
            RequestedEnergyTransferMode="DC_extended",
            EVChargeParameter=car.ac_parameters().EVChargeParameter,
        ),
        "dc_in_ac": lambda: car.parameters("AC_three_phase_core"),
        "volts": lambda: car.parameters(
            told=car.dc_parameters(EVMaximumVoltageLimit=car.pv(100.0, "V"))
        ),
        "amperes": lambda: car.parameters(
            told=car.dc_parameters(EVMaximumCurrentLimit=car.pv(-1.0, "A"))
        ),
        "watts": lambda: car.parameters(
            told=car.dc_parameters(EVMaximumPowerLimit=car.pv(-1.0, "W"))
        ),
        "ac_amperes": lambda: car.ac_parameters(EVMaxCurrent=-1.0),
        "ac_volts": lambda: car.ac_parameters(EVMaxVoltage=0.0),
        "ac_min": lambda: car.ac_parameters(EVMinCurrent=40.0),
    }
    return says[name]()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("mode", "FAILED_WrongEnergyTransferMode"),
        ("ac_in_dc", "FAILED_WrongChargeParameter"),
        ("dc_in_ac", "FAILED_WrongChargeParameter"),
        ("volts", "FAILED_WrongChargeParameter"),
        ("amperes", "FAILED_WrongChargeParameter"),
        ("watts", "FAILED_WrongChargeParameter"),
        ("ac_amperes", "FAILED_WrongChargeParameter"),
        ("ac_volts", "FAILED_WrongChargeParameter"),
        ("ac_min", "FAILED_WrongChargeParameter"),
    ],
)
def test_parameters_that_cannot_be(name: str, code: str) -> None:
    car = Car()
    car.to("parameters")
    assert car.say(_wrong(car, name)).ResponseCode == code
    car.run(0.5)
    assert car.state.phase is VehiclePhase.FAULT
    assert car.state.faults == {"V2gFault"}


def test_another_mode_in_a_renegotiation() -> None:
    car = Car()
    car.to("current_demand")
    car.say(power("Renegotiate"))
    response = car.say(car.parameters("DC_combo_core"))
    assert response.ResponseCode == "FAILED_WrongEnergyTransferMode"
