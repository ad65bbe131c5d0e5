"""Whole sessions in memory, every protocol and mode: our EVCC against our SECC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.model import VehiclePhase
from hil.ev.iso15118.profile import Profile
from tests.unit.hil_ev.bench15118 import Bench


def car(protocol: str, service: str, control: str = "dynamic", **more: Any) -> Profile:
    return Profile(protocols=(protocol,), services=(service,), control=control, **more)


DC_CARS = {
    "din": car("din70121", "DC"),
    "iso2": car("iso15118-2", "DC"),
    "iso20 dynamic": car("iso15118-20", "DC"),
    "iso20 scheduled": car("iso15118-20", "DC", "scheduled"),
    "iso20 bpt dynamic": car("iso15118-20", "DC_BPT"),
    "iso20 bpt scheduled": car("iso15118-20", "DC_BPT", "scheduled"),
}
AC_CARS = {
    "iso2": car("iso15118-2", "AC"),
    "iso20 dynamic": car("iso15118-20", "AC"),
    "iso20 scheduled": car("iso15118-20", "AC", "scheduled"),
    "iso20 bpt dynamic": car("iso15118-20", "AC_BPT"),
    "iso20 bpt scheduled": car("iso15118-20", "AC_BPT", "scheduled"),
}


def ends_well(b: Bench) -> None:
    b.leave()
    assert b.evcc.why == ""
    b.run(3.0)
    assert b.state.phase is VehiclePhase.ENDED
    assert not b.car.closed
    assert not b.plant.dc_closed
    assert b.car.opened_under_load == 0
    assert b.car.pilot == "B"


@pytest.mark.parametrize("name", DC_CARS)
def test_a_dc_session(name: str) -> None:
    """From SAP to a dead outlet; the battery took what flowed."""
    b = Bench(DC_CARS[name])
    b.to_energy()
    b.run(3.0)
    assert b.state.phase is VehiclePhase.ENERGY
    assert b.plant.current_a > 10.0
    assert b.car.battery.energy_in_wh > 1.0
    ends_well(b)


@pytest.mark.parametrize("name", AC_CARS)
def test_an_ac_session(name: str) -> None:
    """The on-board charger follows what the station allows."""
    b = Bench(AC_CARS[name])
    b.to_energy()
    b.run(3.0)
    assert b.state.phase is VehiclePhase.ENERGY
    assert b.car.ac_w == pytest.approx(6_000.0, rel=0.02)
    assert b.car.ac_energy_in_wh > 1.0
    ends_well(b)


# --- more than one way through -------------------------------------------------------


@pytest.mark.parametrize("name", [*(k for k in DC_CARS if k != "din")])
def test_a_new_schedule_keeps_the_contactor(name: str) -> None:
    """Renegotiation by the vehicle: no second cable check, power goes on."""
    b = Bench(replace(DC_CARS[name], renew_after_s=2.0))
    b.to_energy()
    closings = [b.plant.dc_closed]
    for _ in range(700):
        b.step()
        if b.plant.dc_closed is not closings[-1]:
            closings.append(b.plant.dc_closed)
    assert closings == [True]
    assert "PowerDeliveryReq" in b.evcc.worst_s
    assert b.plant.current_a > 10.0
    ends_well(b)


@pytest.mark.parametrize("name", ["iso2", "iso20 bpt dynamic"])
def test_a_paused_session_is_taken_up_again(name: str) -> None:
    """The same session id on a new connection, and energy again."""
    b = Bench(replace(DC_CARS[name], pause_after_s=2.0))
    b.to_energy()
    b.run(20.0, lambda: b.gone)
    first = b.evcc.speaker
    assert first is not None
    assert first.paused
    assert b.evcc.why == ""
    b.run(5.0)
    assert not b.plant.dc_closed
    b.connect(first.id)
    b.to_energy()
    again = b.evcc.speaker
    assert again is not None
    assert again.id == first.id
    b.run(1.0)
    assert b.plant.current_a > 10.0


def test_dynamic_control_gives_back_at_a_word_of_the_station() -> None:
    """The station drives the current itself; energy and charge fall."""
    b = Bench(DC_CARS["iso20 bpt dynamic"])
    b.plant.setpoint_a = -20.0
    before_pct = b.car.battery.soc_pct
    b.to_energy()
    b.run(5.0)
    assert b.plant.current_a == pytest.approx(-20.0)
    assert b.car.battery.energy_out_wh > 5.0
    assert b.car.battery.soc_pct < before_pct
    ends_well(b)


def test_scheduled_control_gives_back_when_the_vehicle_wants_to() -> None:
    """Its target is negative and inside the station's limit."""
    b = Bench(replace(DC_CARS["iso20 bpt scheduled"], feed=True))
    b.plant.setpoint_a = -20.0
    b.to_energy()
    b.run(3.0)
    limits = b.state.limits
    assert limits is not None
    assert limits.requested_discharge_a is not None
    assert -40.0 <= limits.requested_discharge_a < -10.0


def test_below_its_floor_it_gives_nothing() -> None:
    b = Bench(replace(DC_CARS["iso20 bpt dynamic"], min_soc_pct=60.0))
    b.to_energy()
    b.run(1.0)
    limits = b.state.limits
    assert limits is not None
    assert limits.discharge_a == 0.0
    assert not limits.discharge_allowed


@pytest.mark.parametrize("name", ["iso20 bpt dynamic", "iso20 bpt scheduled"])
def test_ac_feeds_in_at_a_word_of_the_station(name: str) -> None:
    b = Bench(AC_CARS[name])
    b.setpoint_w = -5_000.0
    b.to_energy()
    b.run(3.0)
    assert b.car.ac_w == pytest.approx(-5_000.0, rel=0.02)
    assert b.car.ac_energy_out_wh > 1.0
    assert b.car.battery.energy_out_wh > b.car.ac_energy_out_wh  # the charger's loss


@pytest.mark.parametrize("name", AC_CARS)
def test_an_ac_vehicle_waits_for_a_slow_lock(name: str) -> None:
    b = Bench(AC_CARS[name])
    b.plant.broken.add("lock")
    b.run(5.0)
    exchange = ("ScheduleExchangeReq", "ChargeParameterDiscoveryReq")
    assert b.evcc.last_request in exchange
    b.plant.broken.clear()
    b.to_energy()


def test_a_full_vehicle_ends_the_session_by_itself() -> None:
    b = Bench(DC_CARS["iso20 dynamic"], soc_pct=89.99, capacity_wh=600.0)
    b.to_energy()
    b.run(30.0, lambda: b.gone)
    assert b.evcc.why == ""
    assert b.car.battery.soc_pct >= 90.0


def test_iso15118_20_is_not_even_offered_without_tls_1_3() -> None:
    b = Bench(DC_CARS["iso20 dynamic"], mutual=False)
    assert b.evcc.closing
    assert b.evcc.why == "it has no protocol for this connection"
