"""ISO 15118-2: order, session ids, time, and the end of connections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages import xmldsig
from chargerd.vehicle.iso15118.secc.dc_table import DcStep
from chargerd.vehicle.iso15118.secc.flow import TIMES_2
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED, GRAPH, OVER
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car2 import Car, power, select
from tests.unit.vehicle_iso.secc.ev2 import SESSION_ID

# --- order, ids, time -----------------------------------------------------------------


@pytest.mark.parametrize(
    "at", ["discovery", "authorization", "power", "current_demand"]
)
def test_a_wrong_session_id(at: str) -> None:
    car = Car()
    car.to(at)
    car.id = b"\x01" * 8
    assert car.say(m.AuthorizationReq()).ResponseCode == "FAILED_UnknownSession"
    assert car.answer.message.Header.SessionID == SESSION_ID  # type: ignore[union-attr]
    assert car.state.stop_cause == "session_id"
    car.run(3.0)
    assert not car.state.demand.close_dc


def test_the_session_can_be_stopped_by_its_own_vehicle_only() -> None:
    car = Car()
    car.to("selection")
    car.id = bytes(7)
    stop = m.SessionStopReq(ChargingSession="Terminate")
    assert car.say(stop).ResponseCode == "FAILED_UnknownSession"
    assert not car.answer.close


CHAIN = m.CertificateChain(Certificate=b"1")
ROOTS = m.ListOfRootCertificateIDs(
    RootCertificateID=[
        xmldsig.X509IssuerSerial(X509IssuerName="CN=1", X509SerialNumber=1)
    ]
)


def _all_requests(car: Car) -> dict[str, Any]:
    return {
        "SessionSetupReq": car.setup(),
        "ServiceDiscoveryReq": m.ServiceDiscoveryReq(),
        "ServiceDetailReq": m.ServiceDetailReq(ServiceID=1),
        "PaymentServiceSelectionReq": select(),
        "CertificateInstallationReq": m.CertificateInstallationReq(
            Id="id1", OEMProvisioningCert=b"1", ListOfRootCertificateIDs=ROOTS
        ),
        "CertificateUpdateReq": m.CertificateUpdateReq(
            Id="id1",
            ContractSignatureCertChain=CHAIN,
            eMAID="0" * 14,
            ListOfRootCertificateIDs=ROOTS,
        ),
        "PaymentDetailsReq": m.PaymentDetailsReq(
            eMAID="0" * 14, ContractSignatureCertChain=CHAIN
        ),
        "AuthorizationReq": m.AuthorizationReq(),
        "MeteringReceiptReq": m.MeteringReceiptReq(
            SessionID=car.id, MeterInfo=m.MeterInfo(MeterID="1")
        ),
        "ChargeParameterDiscoveryReq": car.parameters(),
        "CableCheckReq": car.cable_check(),
        "PreChargeReq": car.precharge(),
        "PowerDeliveryReq": power("Start"),
        "CurrentDemandReq": car.demand(),
        "WeldingDetectionReq": car.welding(),
        "ChargingStatusReq": m.ChargingStatusReq(),
        "SessionStopReq": m.SessionStopReq(ChargingSession="Terminate"),
    }


STATES = ["setup", "discovery", "selection", "authorization", "parameters"]
STATES += ["cable_check", "precharge", "power", "current_demand", "welding"]


@pytest.mark.parametrize("at", STATES)
def test_every_message_out_of_order_is_answered_whole(at: str) -> None:
    for name in _all_requests(Car()):
        if GRAPH.following(at, name) is not None:
            continue
        car = Car()
        car.to(at)
        if at == "setup":
            car.id = car.session.id
        response = car.say(_all_requests(car)[name])
        assert response.ResponseCode == "FAILED_SequenceError"
        assert type(response).__name__ == name.replace("Req", "Res")
        assert car.session.at == FAILED
        again = car.say(car.demand())
        assert again.ResponseCode == "FAILED_SequenceError"
        car.run(2.5)
        assert not car.state.demand.close_dc
        stop = car.say(m.SessionStopReq(ChargingSession="Terminate"))
        assert (stop.ResponseCode, car.answer.close) == ("OK", True)
        assert car.session.at == OVER


@pytest.mark.parametrize("at", STATES[1:])
def test_terminate_is_legal_in_every_state(at: str) -> None:
    car = Car()
    car.to(at)
    assert car.say(m.SessionStopReq(ChargingSession="Terminate")).ResponseCode == "OK"
    assert car.answer.close
    car.plant.ev_closed = False
    car.run(3.0)
    assert car.state.phase is VehiclePhase.ENDED
    assert not car.state.demand.close_dc


def test_ac_answers_dc_messages_whole() -> None:
    for name in ("CableCheckReq", "PreChargeReq", "CurrentDemandReq"):
        car = Car()
        car.to_charging()
        response = car.say(_all_requests(car)[name])
        assert response.ResponseCode == "FAILED_SequenceError"
        assert not car.state.demand.close_ac


@pytest.mark.parametrize("body", [None, m.SessionStopRes(ResponseCode="OK")])
def test_what_is_no_request_closes_the_connection(body: Any) -> None:
    car = Car()
    car.to("current_demand")
    assert car.say(body) is None
    assert car.answer.close
    assert car.state.phase is VehiclePhase.STOPPING


@pytest.mark.parametrize("at", STATES[1:])
def test_a_silent_vehicle_is_given_up_after_a_minute(at: str) -> None:
    car = Car()
    car.to(at)
    at_mono = car.plant.now
    car.session.request(_header_only(car), at_mono)  # restarts the clock
    assert not car.session.on_timer(at_mono + 59.9)
    offer = replace(car.plant.offer(), at_mono=at_mono + 60.0)
    car.session.command(offer, at_mono + 60.0)
    assert car.session.on_timer(at_mono + 60.1)
    assert not car.state.demand.close_dc
    assert car.session.at == OVER


def _header_only(car: Car) -> Any:
    """A legal request that keeps the state where it can, else the sequence error."""
    header = m.MessageHeader(SessionID=car.id)
    return m.V2G_Message(
        Header=header, Body=m.Body(BodyElement=m.ServiceDetailReq(ServiceID=1))
    )


def test_a_connection_without_a_session_is_closed() -> None:
    car = Car()
    assert car.session.next_timer() == pytest.approx(car.plant.now + 18.0)
    assert not car.session.on_timer(car.plant.now + 17.9)
    assert car.session.on_timer(car.plant.now + 18.0)


def test_a_lost_connection_ends_power_at_once() -> None:
    car = Car()
    car.to("current_demand")
    car.session.disconnected(car.plant.now)
    assert not car.state.demand.close_dc
    assert car.state.stop_cause == "disconnected"
    assert car.state.faults == {"VehicleTimeout"}


def test_a_connection_that_ends_after_the_stop_is_no_fault() -> None:
    car = Car()
    car.to("welding")
    car.plant.ev_closed = False
    car.run(0.5)
    car.session.disconnected(car.plant.now)
    car.run(1.0)
    assert car.state.phase is VehiclePhase.ENDED
    assert car.state.faults == frozenset()


@pytest.mark.parametrize("at", STATES)
def test_unplugged_in_every_state(at: str) -> None:
    car = Car()
    car.to(at)
    car.plant.pilot = PilotState.A
    car.session.unplugged(car.plant.now)
    car.run(0.5)
    assert not car.state.demand.close_dc
    assert not car.state.demand.lock
    assert car.session.path.step.value == DcStep.DONE.value


@pytest.mark.parametrize(
    ("at", "name", "within_s"),
    [
        ("current_demand", "CurrentDemandReq", 0.025),
        ("power", "PowerDeliveryReq", 4.5),
        ("discovery", "ServiceDiscoveryReq", 1.5),
    ],
)
def test_each_answer_names_its_time(at: str, name: str, within_s: float) -> None:
    car = Car()
    car.to(at)
    car.say(_all_requests(car)[name])
    assert (car.answer.request, car.answer.within_s) == (name, within_s)
    assert TIMES_2.answer(name) == within_s


def test_every_state_of_the_graph_can_be_left() -> None:
    known = set(GRAPH.rows)
    for state, row in GRAPH.rows.items():
        assert state == OVER or row
        for following in row.values():
            assert set(following) <= known
