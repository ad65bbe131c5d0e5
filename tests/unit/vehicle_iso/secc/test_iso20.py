"""ISO 15118-20: whole sessions in every service and control mode."""

from __future__ import annotations

import pytest

from chargerd.model import VehiclePhase
from firmware_bridge.api import PilotState
from tests.unit.vehicle_iso.secc.car20 import EVCCID, SESSION_ID, Car, value


def test_a_dc_bpt_dynamic_session() -> None:
    car = Car(6, 1)
    setup = car.setup()
    assert setup.ResponseCode == "OK_NewSessionEstablished"
    assert setup.EVSEID == "DE*ABC*E1"
    assert setup.Header.SessionID == SESSION_ID
    assert setup.Header.TimeStamp == 1_000_001_000
    car.energise()
    state = car.run()
    assert state.protocol == "iso15118-20"
    assert state.phase is VehiclePhase.ENERGY
    assert state.demand.close_dc
    assert state.demand.lock
    assert state.demand.voltage_v == 420.0
    assert state.demand.cutoff_v == 250.0
    limits = state.limits
    assert limits is not None
    assert limits.charge_a == 100.0
    assert limits.discharge_a == -50.0
    assert limits.discharge_allowed
    assert limits.requested_a is None  # the station drives
    assert 0.0 < car.plant.now - limits.at_mono < 0.2  # of the newest message
    assert (state.soc_pct, state.capacity_wh) == (40.0, 60_000.0)
    assert state.departure_mono == pytest.approx(car.plant.now + 3_600.0, abs=5.0)
    assert state.vehicle_id == EVCCID
    car.plant.setpoint_a = -20.0
    response = car.loop(3)
    assert response.ResponseCode == "OK"
    assert value(response.EVSEPresentCurrent) == -20.0
    assert value(response.EVSEPresentVoltage) == 380.0
    mode = response.CLResControlMode
    assert type(mode).__name__ == "BPT_Dynamic_DC_CLResControlMode"
    assert value(mode.EVSEMaximumChargeCurrent) == 50.0
    assert value(mode.EVSEMaximumDischargeCurrent) == 30.0  # a magnitude
    assert value(mode.EVSEMaximumDischargePower) == 10_000.0  # under 30 A x 380 V
    assert value(mode.EVSEMinimumVoltage) == 150.0


def test_a_dc_session_ends_in_order() -> None:
    car = Car()
    car.energise()
    car.loop(3)
    assert car.power("Stop").ResponseCode == "OK"
    assert car.answer.hold_s > 0.0
    assert car.run(0.1).phase is VehiclePhase.STOPPING
    assert car.session.may_send(car.plant.now)
    assert value(car.welding().EVSEPresentVoltage) == 380.0
    car.plant.ev_closed = False
    car.plant.pilot = PilotState.B
    car.run(0.4)
    assert value(car.welding("Finished").EVSEPresentVoltage) < 60.0
    car.run(0.1)
    assert not car.state.demand.close_dc
    assert car.stop().ResponseCode == "OK"
    assert car.answer.close
    state = car.run(1.0)
    assert state.phase is VehiclePhase.ENDED
    assert state.faults == frozenset()
    assert state.stop_cause == "vehicle_stop"
    assert not car.plant.locked
    assert car.session.next_timer() is None


@pytest.mark.parametrize("parameter_set", [1, 2])
@pytest.mark.parametrize("energy", [1, 2, 5, 6, 8, 9])
def test_every_service_in_both_control_modes(energy: int, parameter_set: int) -> None:
    car = Car(energy, parameter_set)
    car.energise()
    response = car.loop(5)
    assert response.ResponseCode == "OK"
    state = car.state
    assert state.phase is VehiclePhase.ENERGY
    assert (state.demand.close_dc, state.demand.close_ac) == (
        car.direct,
        not car.direct,
    )
    limits = state.limits
    assert limits is not None
    assert limits.discharge_allowed is car.both
    assert (limits.requested_a is not None) is (car.direct and not car.dynamic)
    assert car.power("Stop").ResponseCode == "OK"
    car.plant.ev_closed = False
    car.run(0.4)
    if car.direct:
        assert car.welding("Finished").ResponseCode == "OK"
    car.plant.pilot = PilotState.B
    assert car.stop().ResponseCode == "OK"
    car.run(2.0)
    assert car.state.phase is VehiclePhase.ENDED
    assert car.state.faults == frozenset()
