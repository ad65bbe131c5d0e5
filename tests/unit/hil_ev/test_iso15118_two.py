"""Whole ISO 15118-2 and DIN 70121 sessions in memory: our EVCC against our SECC."""

from __future__ import annotations

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118 import sap
from chargerd.vehicle.iso15118.secc.iso2 import Iso2Session
from hil.ev.iso15118.profile import Profile
from tests.unit.hil_ev.bench15118 import Bench
from tests.unit.vehicle_iso.secc.plant import SETUP

SESSION_ID = bytes.fromhex("1122334455667788")


def bench(profile: Profile) -> Bench:
    return Bench(
        profile,
        lambda _protocol, _now: Iso2Session(SETUP, lambda _size: SESSION_ID),
        (sap.ISO2,),
        SETUP,
    )


def test_dc_session_of_iso15118_2() -> None:
    """From SAP to a dead outlet; the battery took what flowed."""
    b = bench(Profile(protocols=("iso15118-2",), services=("DC",)))
    b.to_energy()
    b.run(3.0)
    assert b.state.phase is VehiclePhase.ENERGY
    assert b.plant.current_a > 10.0
    assert b.car.battery.energy_in_wh > 1.0
    b.leave()
    assert b.evcc.why == ""
    b.run(3.0)
    assert b.state.phase is VehiclePhase.ENDED
    assert not b.car.closed
    assert b.car.opened_under_load == 0
    assert not b.plant.dc_closed
