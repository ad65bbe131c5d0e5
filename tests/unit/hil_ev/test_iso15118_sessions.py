"""Whole sessions in memory, every protocol and mode: our EVCC against our SECC."""

from __future__ import annotations

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
