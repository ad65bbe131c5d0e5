"""ISO 15118-20: pause and resume, a new service in the same session."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.secc.iso20_course import Paused
from chargerd.vehicle.iso15118.secc.station import Energy
from hil.pki.make import make_pki
from hil.pki.profiles import Profile
from tests.unit.vehicle_iso.secc.car20 import EVCCID, SESSION_ID, SETUP_20, Car
from tests.unit.vehicle_iso.secc.test_iso20_authorise import ContractCar

CERTIFICATE = b"the vehicle's TLS certificate"


def end_power(car: Car) -> None:
    assert car.power("Stop").ResponseCode == "OK"
    car.run(0.2)
    car.plant.ev_closed = False
    if car.direct:
        car.run(0.3)
        assert car.welding("Finished").ResponseCode == "OK"
    car.run(2.0)


def paused(energy: int = 6, **session: Any) -> Paused:
    car = Car(energy, **session)
    car.energise()
    end_power(car)
    assert car.stop("Pause").ResponseCode == "OK"
    assert car.answer.close
    found = car.session.paused()
    assert isinstance(found, Paused)
    assert car.state.stop_cause == "vehicle_pause"
    return found


def resumed(old: Paused, **session: Any) -> Car:
    car = Car(6, paused=old, **session)
    car.id = old.session_id
    return car


@pytest.mark.parametrize("energy", [5, 6])
def test_a_resumed_session_goes_on_with_its_service(energy: int) -> None:
    """[K] straight to parameter discovery, as libiso15118 and OCC do."""
    old = paused(energy, peer=CERTIFICATE)
    assert (old.session_id, old.evccid) == (SESSION_ID, EVCCID)
    car = resumed(old, peer=CERTIFICATE)
    car.energy = energy
    answer = car.setup()
    assert answer.ResponseCode == "OK_OldSessionJoined"
    assert answer.Header.SessionID == SESSION_ID
    assert car.parameters().ResponseCode == "OK"
    car.energise()
    assert car.loop(3).ResponseCode == "OK"
    assert car.state.phase is VehiclePhase.ENERGY


@pytest.mark.parametrize("request_kind", ["authorization", "services"])
def test_a_resumed_session_may_choose_anew(request_kind: str) -> None:
    car = resumed(paused())
    car.setup()
    if request_kind == "authorization":
        answer = car.say(common.AuthorizationSetupReq)
    else:
        answer = car.say(common.ServiceDiscoveryReq)
    assert answer.ResponseCode == "OK"
    car.energise()
    assert car.loop().ResponseCode == "OK"


def test_a_resumed_session_needs_the_stations_word_again() -> None:
    car = resumed(paused())
    car.plant.energise = False
    car.run()
    car.setup()
    car.parameters()
    assert car.schedule().ResponseCode == "OK"
    assert car.cable_check().ResponseCode == "FAILED"
    assert not car.state.demand.close_dc


def test_only_the_same_vehicle_resumes() -> None:
    old = paused(peer=CERTIFICATE)
    for evccid, session_id, peer in (
        ("WMIVOTHER", old.session_id, CERTIFICATE),
        (EVCCID, bytes(range(9, 17)), CERTIFICATE),
        (EVCCID, bytes(8), CERTIFICATE),
        (EVCCID, old.session_id, b"another certificate"),
        (EVCCID, old.session_id, b""),
    ):
        car = Car(6, paused=old, peer=peer)
        car.id = session_id
        answer = car.setup(evccid)
        assert answer.ResponseCode == "OK_NewSessionEstablished"
        car.id = answer.Header.SessionID
        refused = car.parameters()
        assert refused.ResponseCode == "FAILED_SequenceError"


def test_a_paused_contract_is_remembered() -> None:
    pki = make_pki(Profile.ISO20, datetime.fromtimestamp(1_000_001_000, UTC))
    car = ContractCar(pki)
    car.plant.energise = True
    car.run()
    car.show()
    car.energise()
    end_power(car)
    car.stop("Pause")
    old = car.session.paused()
    assert old is not None
    assert old.proof is not None
    again = resumed(old)
    assert again.state.contract is None
    again.setup()
    assert again.state.contract == old.proof.contract


@pytest.mark.parametrize(
    "at", ["cable_check", "pre_charge_first", "pre_charge", "started_dc", "loop_dc"]
)
def test_no_pause_while_the_cable_is_live(at: str) -> None:
    car = Car()
    car.to(at)
    assert car.stop("Pause").ResponseCode == "FAILED_PauseNotAllowed"
    assert car.session.paused() is None
    car.run(1.5)
    assert car.state.phase is not VehiclePhase.ENERGY


def test_no_pause_before_a_service_is_chosen() -> None:
    car = Car()
    car.to("service_detail")
    assert car.stop("Pause").ResponseCode == "FAILED_PauseNotAllowed"


def test_an_unplugged_session_is_not_resumed() -> None:
    car = Car()
    car.energise()
    end_power(car)
    car.stop("Pause")
    car.session.unplugged(car.plant.now)
    assert car.session.paused() is None


# --- a new service --------------------------------------------------------------------


def test_a_new_service_gets_a_new_path_and_a_new_cable_check() -> None:
    """[V2G20-1477]"""
    car = Car(6, 1)
    car.energise()
    end_power(car)
    assert car.stop("ServiceRenegotiation").ResponseCode == "OK"
    assert not car.answer.close
    assert car.at == "service_discovery"
    assert not car.state.demand.close_dc
    car.energy, car.parameter_set = 2, 2
    car.to("cable_check")
    assert not car.state.demand.close_dc
    assert car.precharge().ResponseCode == "FAILED_SequenceError"
    again = Car(6, 1)
    again.energise()
    end_power(again)
    again.stop("ServiceRenegotiation")
    again.energy, again.parameter_set = 2, 2
    again.to("parameters_dc")
    assert again.state.limits is None  # nothing of the old service counts
    again.energise()
    limits = again.loop(3).CLResControlMode
    assert type(limits).__name__ == "Scheduled_DC_CLResControlMode"
    assert again.state.needs is not None
    assert again.state.needs.energy == "DC"


def test_the_old_path_ends_before_the_new_one_begins() -> None:
    """A vehicle that skips the weld check is asked to wait until the outlet is dead."""
    car = Car(6, 1)
    car.energise()
    car.loop(3)
    car.power("Stop")
    assert car.stop("ServiceRenegotiation").ResponseCode == "OK"
    assert car.state.phase is VehiclePhase.STOPPING
    car.to("schedule_dc")
    assert car.schedule().EVSEProcessing == "Ongoing"
    assert car.at == "schedule_dc"
    car.plant.ev_closed = False
    state = car.run(5.0)
    assert state.phase is VehiclePhase.HANDSHAKE
    assert not state.demand.lock
    assert car.schedule().EVSEProcessing == "Finished"
    assert car.state.demand.lock
    car.energise()
    assert car.loop(3).ResponseCode == "OK"


def test_a_new_service_needs_an_old_one() -> None:
    """Else it would step around Authorization."""
    for at in ("authorization_setup", "authorization", "service_detail"):
        car = Car()
        car.to(at)
        answer = car.stop("ServiceRenegotiation")
        assert answer.ResponseCode == "FAILED_NoServiceRenegotiationSupported"


@pytest.mark.parametrize("at", ["cable_check", "pre_charge", "loop_dc"])
def test_no_new_service_while_power_may_flow(at: str) -> None:
    car = Car()
    car.to(at)
    answer = car.stop("ServiceRenegotiation")
    assert answer.ResponseCode == "FAILED_NoServiceRenegotiationSupported"


def wish(car: Car) -> str | None:
    status = car.loop().EVSEStatus
    return None if status is None else str(status.EVSENotification)


def listed(car: Car) -> list[int]:
    answer = car.say(common.ServiceDiscoveryReq)
    return [each.ServiceID for each in answer.EnergyTransferServiceList.Service]


@pytest.mark.req("Q02.FR.06", "Q02.FR.07")
def test_a_permission_that_comes_later_leads_to_a_new_choice_of_services() -> None:
    """Charging only first, then both ways (OCPP Q02): the vehicle is asked until it has
    been told of the other services, whatever it chooses then."""
    car = Car(2, 1)
    car.plant.both_ways = False
    car.run()
    car.energise()
    assert car.state.needs is not None
    assert car.state.needs.energies == ("DC",)
    assert wish(car) is None
    car.plant.both_ways = True
    car.run()
    assert wish(car) == "ServiceRenegotiation"
    end_power(car)
    assert car.stop("ServiceRenegotiation").ResponseCode == "OK"
    assert 6 in listed(car)
    car.energy = 6
    asked = car.state.needs.asked
    car.energise()
    assert wish(car) is None
    assert (car.state.needs.energy, car.state.needs.asked) == ("DC_BPT", asked + 1)
    assert car.state.needs.energies == ("DC", "DC_BPT")


@pytest.mark.req("Q01.FR.05")
def test_a_permission_that_goes_takes_the_services_with_it() -> None:
    car = Car(6, 1)
    car.energise()
    assert wish(car) is None
    car.plant.both_ways = False
    car.run()
    assert wish(car) == "ServiceRenegotiation"
    end_power(car)
    car.stop("ServiceRenegotiation")
    assert 6 not in listed(car)
    assert car.detail(6).ResponseCode == "FAILED_ServiceIDInvalid"


def test_a_station_that_can_nothing_else_offers_it_anyway() -> None:
    car = Car(6, 1, setup=replace(SETUP_20, energies=(Energy.DC_BPT,)))
    car.plant.both_ways = False
    car.run()
    car.energise()
    assert wish(car) is None
