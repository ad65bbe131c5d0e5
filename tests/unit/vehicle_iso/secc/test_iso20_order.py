"""ISO 15118-20: order, session ids, FAILED answers, timers, and what ends power."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import codec_for
from chargerd.vehicle.iso15118.messages import ac, common, dc, wpt
from chargerd.vehicle.iso15118.messages.common_types import (
    DisplayParameters,
    ListOfRootCertificateIDs,
    MessageHeader,
    MeterInfo,
)
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.messages.xmldsig import X509IssuerSerial
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc.iso20 import HANDLERS, Iso20Session
from chargerd.vehicle.iso15118.secc.iso20_failed import REQUESTS, failed
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car20 import SETUP_20, Car, r, value
from tests.unit.vehicle_iso.secc.plant import TICK_S

DC_STATES = (
    "setup",
    "authorization_setup",
    "authorization",
    "service_discovery",
    "service_detail",
    "parameters_dc",
    "schedule_dc",
    "cable_check",
    "pre_charge_first",
    "pre_charge",
    "started_dc",
    "loop_dc",
)
AC_STATES = ("parameters_ac", "schedule_ac", "ready_ac", "started_ac", "loop_ac")
STATES = [(6, state) for state in DC_STATES] + [(5, state) for state in AC_STATES]
HEADER = MessageHeader(SessionID=bytes(8), TimeStamp=0)


class Silent(Car):
    """Builds requests and sends none."""

    def say(self, kind: type[Complex], **fields: Any) -> Any:
        return kind(
            Header=MessageHeader(SessionID=self.id, TimeStamp=0),
            **fields,
        )


def all_requests(energy: int = 6, parameter_set: int = 1) -> dict[str, Any]:
    """One request of each kind, as they are said in a session that goes well."""
    car = Silent(energy, parameter_set)
    other = Silent({6: 5, 5: 6}[energy], parameter_set)
    chain = common.SignedCertificateChain(Id="c", Certificate=b"")
    root = X509IssuerSerial(X509IssuerName="", X509SerialNumber=1)
    data = common.SignedMeteringData(
        Id="m",
        SessionID=bytes(8),
        MeterInfo=MeterInfo(MeterID="", ChargedEnergyReadingWh=0),
        Dynamic_SMDTControlMode=common.Dynamic_SMDTControlMode(),
    )
    found = [
        car.setup(),
        car.say(common.AuthorizationSetupReq),
        car.authorise(),
        car.say(
            common.CertificateInstallationReq,
            OEMProvisioningCertificateChain=chain,
            ListOfRootCertificateIDs=ListOfRootCertificateIDs(RootCertificateID=[root]),
            MaximumContractCertificateChains=1,
        ),
        car.say(common.ServiceDiscoveryReq),
        car.detail(),
        car.select(),
        car.parameters(),
        other.parameters(),
        car.schedule(),
        car.cable_check(),
        car.precharge(),
        car.power(),
        loop_request(car),
        loop_request(other),
        car.say(common.MeteringConfirmationReq, SignedMeteringData=data),
        car.welding(),
        car.say(
            common.VehicleCheckInReq, EVCheckInStatus="CheckIn", ParkingMethod="Manual"
        ),
        car.say(common.VehicleCheckOutReq, EVCheckOutStatus="CheckOut", CheckOutTime=1),
        car.stop(),
    ]
    return {type(message).__name__: message for message in found}


def loop_request(car: Silent) -> Any:
    fields: dict[str, Any] = {
        "DisplayParameters": DisplayParameters(PresentSOC=40),
        "MeterInfoRequested": True,
        "CLReqControlMode": car.mode(),
    }
    if car.direct:
        return car.say(dc.DC_ChargeLoopReq, EVPresentVoltage=r(380.0), **fields)
    return car.say(ac.AC_ChargeLoopReq, **fields)


def send(car: Car, message: Any) -> Any:
    """Any message, with the right session."""
    message.Header = MessageHeader(SessionID=car.id, TimeStamp=0)
    car.answer = car.session.request(message, car.plant.now, exi.encode(message))
    return car.coded(car.answer.message)


# --- the tables agree -----------------------------------------------------------------


def test_the_tables_know_the_same_requests() -> None:
    in_graph = {name for row in at.GRAPH.rows.values() for name in row}
    assert in_graph == set(HANDLERS) == set(REQUESTS) == set(all_requests())


def test_every_state_that_is_led_to_exists_and_can_be_left() -> None:
    reached = {
        state for row in at.GRAPH.rows.values() for led in row.values() for state in led
    }
    assert reached - {at.ENDED} <= set(at.GRAPH.rows)
    assert set(at.GRAPH.rows) - {at.SETUP, at.FAILED} <= reached
    for state, row in at.GRAPH.rows.items():
        assert "SessionStopReq" in row or state == at.SETUP, state


# --- order ----------------------------------------------------------------------------


@pytest.mark.parametrize(("energy", "state"), STATES)
def test_out_of_order_is_refused_whole_and_ends_the_session(
    energy: int, state: str
) -> None:
    """[V2G20-459]: the answer of the request's own type; then only SessionStop."""
    for name, message in all_requests(energy).items():
        if name in at.GRAPH.rows[state]:
            continue
        car = Car(energy)
        car.to(state)
        answer = send(car, message)
        assert type(answer).__name__ == name.replace("Req", "Res")
        assert answer.ResponseCode == "FAILED_SequenceError"
        assert not car.answer.close
        assert car.at == at.FAILED
        assert car.state.stop_cause == "sequence"
        car.run(1.2)
        assert car.state.phase is not VehiclePhase.ENERGY
        again = car.setup()
        assert again.ResponseCode == "FAILED_SequenceError"
        assert car.answer.close


@pytest.mark.parametrize(("energy", "state"), STATES[1:])
def test_another_session_is_refused(energy: int, state: str) -> None:
    """[V2G20-460]"""
    car = Car(energy)
    car.to(state)
    car.id = bytes(range(9, 17))
    name = next(iter(at.GRAPH.rows[state]))
    message = all_requests(energy)[name]
    answer = send(car, message)
    assert answer.ResponseCode == "FAILED_UnknownSession"
    assert car.state.stop_cause == "session_id"
    car.run(1.2)
    assert car.state.phase is not VehiclePhase.ENERGY


@pytest.mark.parametrize(("energy", "state"), STATES[1:])
def test_a_session_may_be_stopped_in_every_state(energy: int, state: str) -> None:
    car = Car(energy)
    car.to(state)
    answer = car.stop()
    assert answer.ResponseCode == "OK"
    assert car.answer.close
    car.plant.ev_closed = False
    car.run(12.0)
    assert car.state.phase is VehiclePhase.ENDED
    assert car.state.faults == frozenset()
    assert not car.plant.locked


def test_after_failed_only_a_stop() -> None:
    car = Car()
    car.to("pre_charge")
    car.cable_check()
    assert car.at == at.FAILED
    assert car.stop().ResponseCode == "OK"
    assert car.answer.close


def test_no_power_after_failed() -> None:
    car = Car()
    car.energise()
    car.loop(2)
    car.cable_check()
    car.run(1.2)
    assert car.loop().ResponseCode == "FAILED_SequenceError"
    assert not car.state.demand.close_dc or (
        car.state.phase is VehiclePhase.STOPPING  # the vehicle's weld check
    )


@pytest.mark.parametrize("energy", [5, 6])
@pytest.mark.parametrize("parameter_set", [1, 2])
def test_every_failed_answer_can_be_sent(energy: int, parameter_set: int) -> None:
    for message in all_requests(energy, parameter_set).values():
        answer = failed(message, "FAILED", HEADER)
        assert exi.decode(codec_for(answer).name, exi.encode(answer)) == answer


def test_messages_that_are_no_requests_of_ours_close() -> None:
    car = Car()
    car.to("authorization_setup")
    stranger = common.SessionSetupRes(
        Header=HEADER, ResponseCode="OK", EVSEID="DE*ABC*E1"
    )
    answer = car.session.request(stranger, car.plant.now)
    assert (answer.message, answer.close) == (None, True)
    with pytest.raises(V2gError):
        failed(
            wpt.WPT_FinePositioningSetupReq.__new__(wpt.WPT_FinePositioningSetupReq),
            "FAILED",
            HEADER,
        )


def test_a_session_needs_a_random_id() -> None:
    for weak in (lambda _: bytes(8), lambda _: b"short"):
        with pytest.raises(V2gError):
            Iso20Session(SETUP_20, weak, 0.0)


# --- time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energy", "state", "silence_s"),
    [
        (6, "authorization", 60.0),
        (6, "started_dc", 5.0),
        (5, "started_ac", 5.0),
        (6, "loop_dc", 0.5),
        (5, "loop_ac", 0.5),
    ],
)
def test_silence_ends_the_session(energy: int, state: str, silence_s: float) -> None:
    car = Car(energy)
    car.to(state)
    while car.plant.now + TICK_S < car.said_mono + silence_s - 0.01:
        car.run()
        assert not car.session.on_timer(car.plant.now)
    car.run(0.1)
    assert car.session.on_timer(car.plant.now)
    assert not car.state.demand.close_dc
    assert not car.state.demand.close_ac
    assert car.state.stop_cause == "silent"
    assert "VehicleTimeout" in car.state.faults


def test_a_connection_without_a_session_ends() -> None:
    car = Car()
    car.run(17.9)
    assert not car.session.on_timer(car.plant.now)
    car.run(0.2)
    assert car.session.on_timer(car.plant.now)


def test_a_cable_check_does_not_last_for_ever() -> None:
    car = Car()
    car.to("cable_check")
    car.plant.ohm = None
    car.plant.pilot = PilotState.C
    for _ in range(37):
        assert car.cable_check().EVSEProcessing == "Ongoing"
        car.run(1.0)
    car.run(1.5)
    assert car.cable_check().ResponseCode == "FAILED"
    assert "CableCheckFault" in car.state.faults


@pytest.mark.parametrize("ohm", [5_000.0, 99_000.0])
def test_bad_insulation_fails_the_cable_check(ohm: float) -> None:
    car = Car()
    car.to("cable_check")
    car.plant.ohm = ohm
    car.plant.pilot = PilotState.C
    codes = set()
    for _ in range(60):
        answer = car.cable_check()
        codes.add(answer.ResponseCode)
        if answer.ResponseCode == "FAILED":
            break
        car.run(0.2)
    assert codes == {"OK", "FAILED"}
    assert not car.state.demand.close_dc


def test_a_precharge_that_never_matches_ends() -> None:
    car = Car()
    car.to("pre_charge_first")
    car.plant.broken.add("stage_voltage")
    codes = []
    for _ in range(50):
        codes.append(car.precharge().ResponseCode)
        assert not car.state.demand.close_dc
        car.run(0.2)
    assert codes[0] == "OK"
    assert "FAILED" in codes
    assert "PreChargeFailure" in car.state.faults


@pytest.mark.parametrize("volts", [0.0, -380.0, 421.0, 5_000.0])
def test_a_precharge_target_must_be_possible(volts: float) -> None:
    car = Car()
    car.to("pre_charge_first")
    assert car.precharge(volts).ResponseCode == "FAILED_WrongChargeParameter"


@pytest.mark.parametrize(
    "change",
    [{"EVMaximumVoltage": 100.0}, {"EVMinimumVoltage": 600.0}],
)
def test_voltages_that_do_not_meet(change: dict[str, float]) -> None:
    car = Car()
    car.to("parameters_dc")
    answer = car.parameters(**change)
    assert answer.ResponseCode == "FAILED_WrongChargeParameter"


def test_parameters_of_another_service() -> None:
    car = Car(6)
    car.to("parameters_dc")
    car.energy = 2
    assert car.parameters().ResponseCode == "FAILED_WrongChargeParameter"


# --- power delivery -------------------------------------------------------------------


def test_a_start_is_answered_when_power_can_flow() -> None:
    car = Car()
    car.to("pre_charge")
    car.precharge()
    assert car.power("Start").ResponseCode == "OK"
    assert car.answer.hold_s == 1.5 < car.answer.within_s + 0.1
    assert not car.session.may_send(car.plant.now)
    car.run(1.0)
    assert car.session.may_send(car.plant.now)
    assert car.state.phase is VehiclePhase.ENERGY


def test_a_stop_is_answered_when_the_current_has_gone() -> None:
    car = Car()
    car.energise()
    car.loop(3)
    kept = car.plant.offer()
    car.power("Stop")
    car.session.command(kept, car.plant.now)
    assert not car.session.may_send(car.plant.now)  # still 20 A
    car.run(0.1)
    assert car.session.may_send(car.plant.now)


def test_no_start_without_the_stations_word() -> None:
    for energy, state in ((6, "pre_charge"), (5, "ready_ac")):
        car = Car(energy)
        car.to(state)
        if energy == 6:
            car.match()
        car.offer(energise=False)
        answer = car.power("Start")
        assert answer.ResponseCode.startswith("FAILED")
        car.run(0.5)
        assert not car.state.demand.close_ac


@pytest.mark.parametrize("processing", ["Finished", "Ongoing"])
@pytest.mark.parametrize(
    "progress", ["Start", "Stop", "Standby", "ScheduleRenegotiation"]
)
@pytest.mark.parametrize(
    ("energy", "state"),
    [each for each in STATES if each[1] in at.POWER]
    + [
        (6, "reschedule_dc"),
        (6, "restart_dc"),
        (5, "reschedule_ac"),
        (5, "restart_ac"),
    ],
)
def test_every_word_of_power_delivery_in_every_state_has_an_answer(
    energy: int, state: str, progress: str, processing: str
) -> None:
    """One that may start power only comes where the way to it is done."""
    car = Car(energy)
    again = state.startswith("re") and state != "ready_ac"
    car.to(f"loop_{state[-2:]}" if again else state)
    if again:
        car.power("ScheduleRenegotiation")
    if state.startswith("restart"):
        car.schedule()
    assert car.at == state
    code = car.power(progress, EVProcessing=processing).ResponseCode
    early = state in ("cable_check", "pre_charge_first")
    if progress == "Stop":
        assert code == "OK"
    elif progress == "Standby":
        assert (code == "OK") is (state in at.STARTED)
        assert not code.startswith("FAILED")
    elif progress == "ScheduleRenegotiation":
        assert (code == "OK") is (state in at.STARTED)
    else:
        assert (code == "OK") is not (early or state in at.RESCHEDULES)
    assert not (early and car.state.demand.close_dc)


def test_a_vehicle_may_still_think_about_its_profile() -> None:
    car = Car()
    car.to("pre_charge")
    car.match()
    answer = car.power("Start", EVProcessing="Ongoing", EVPowerProfile=None)
    assert answer.ResponseCode == "OK"
    assert car.at == "pre_charge"
    assert car.power("Start").ResponseCode == "OK"


@pytest.mark.parametrize(
    ("energy", "channel", "code"),
    [
        (6, "Discharge", "OK"),
        (6, "Charge", "OK"),
        (2, "Charge", "OK"),
        (2, "Discharge", "FAILED_PowerDeliveryNotApplied"),
    ],
)
def test_channels(energy: int, channel: Any, code: str) -> None:
    """[V2G20-2123]: one channel serves both ways."""
    car = Car(energy)
    car.to("pre_charge")
    car.match()
    answer = car.power("Start", BPT_ChannelSelection=channel)
    assert answer.ResponseCode == code


def test_a_welded_contactor_of_the_vehicle_is_a_fault() -> None:
    car = Car()
    car.energise()
    car.power("Stop")
    car.run(0.2)
    for _ in range(5):
        assert value(car.welding().EVSEPresentVoltage) == 380.0
        car.run(0.5)
    car.welding("Finished")
    car.run(3.0)
    assert "EVContactorFault" in car.state.faults


# --- what ends power, whatever the vehicle says ---------------------------------------


def lose_pilot(car: Car) -> None:
    car.plant.pilot = PilotState.B


def unplug(car: Car) -> None:
    car.plant.pilot = PilotState.A


def emergency(car: Car) -> None:
    car.plant.emergency_stop = True


def fault(car: Car) -> None:
    car.plant.fault_stop = True


def silent_station(car: Car) -> None:
    car.plant.broken.add("silent")


def leak(car: Car) -> None:
    car.plant.ohm = 20_000.0


def open_contactor(car: Car) -> None:
    car.plant.broken.add("contactor")
    car.plant.dc_closed = False


def unlock(car: Car) -> None:
    car.plant.broken.add("lock")
    car.plant.locked = False


@pytest.mark.parametrize(
    ("break_it", "cause"),
    [
        (lose_pilot, "pilot_left"),
        (unplug, "pilot_left"),
        (emergency, "emergency_stop"),
        (fault, "station_fault"),
        (silent_station, "station_silent"),
        (leak, "insulation"),
        (open_contactor, "station_contactor"),
        (unlock, "lock"),
    ],
)
def test_power_ends(break_it: Any, cause: str) -> None:
    car = Car()
    car.energise()
    car.loop(2)
    break_it(car)
    car.run(0.1)
    assert car.state.phase is not VehiclePhase.ENERGY
    assert car.state.stop_cause == cause
    answer = car.loop()
    told = answer.EVSEStatus.EVSENotification if answer.EVSEStatus else None
    assert answer.ResponseCode == "FAILED" or told == "Terminate"


@pytest.mark.parametrize(("energy", "state"), STATES)
def test_an_unplug_in_every_state(energy: int, state: str) -> None:
    car = Car(energy)
    car.to(state)
    car.plant.pilot = PilotState.A
    car.session.unplugged(car.plant.now)
    assert not car.state.demand.close_dc
    assert not car.state.demand.close_ac
    car.plant.ev_closed = False
    state_after = car.run(6.0)
    assert not state_after.demand.lock
    assert state_after.phase in (VehiclePhase.ENDED, VehiclePhase.FAULT)
    assert state_after.stop_cause in ("unplugged", "pilot_left")


@pytest.mark.parametrize(("energy", "state"), STATES)
def test_a_lost_connection_in_every_state(energy: int, state: str) -> None:
    car = Car(energy)
    car.to(state)
    car.session.disconnected(car.plant.now)
    assert not car.state.demand.close_dc
    assert not car.state.demand.close_ac
    assert car.state.stop_cause == "disconnected"


def test_a_connection_that_closes_after_the_end_is_no_fault() -> None:
    car = Car()
    car.to("service_detail")
    car.stop()
    car.session.disconnected(car.plant.now)
    assert car.state.faults == frozenset()
