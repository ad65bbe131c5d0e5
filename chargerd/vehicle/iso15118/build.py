"""From the configuration to a door: one EVSE's ratings, energies and services.

Owns the translation of the configuration's words; opens nothing.
"""

from __future__ import annotations

import secrets

from chargerd.clock import Clock
from chargerd.config import Config, Evse, Iso15118Port
from chargerd.vehicle.iso15118.door import SeccDoor
from chargerd.vehicle.iso15118.secc.sessions import Sessions, protocols
from chargerd.vehicle.iso15118.secc.station import Energy, Ratings, Setup


def door(config: Config, evse: Evse, port: Iso15118Port, clock: Clock) -> SeccDoor:
    """The door of one EVSE."""
    words = config.vehicle.iso15118

    def utc_offset_s() -> float:
        now = clock.now()
        return now.utc.timestamp() - now.mono

    setup = setup_of(config, evse, port)
    return SeccDoor(
        evse.id,
        port.interface,
        protocols(words.protocols, setup.energies),
        Sessions(setup, secrets.token_bytes, utc_offset_s),
        clock,
        sdp_port=port.sdp_port,
        plain=words.plain,
    )


def setup_of(config: Config, evse: Evse, port: Iso15118Port) -> Setup:
    """What one EVSE is and offers."""
    words = config.vehicle.iso15118
    energies = tuple(Energy(name) for name in port.energies)
    return Setup(
        evse_id=port.evse_id,
        ratings=ratings(evse, energies),
        energies=energies,
        free=words.free,
        meter_id=f"{config.station.id}-{evse.id}"[:32],
        outlet_sensed=words.voltage_sense == "connector"
        and evse.devices.insulation is not None,
    )


def ratings(evse: Evse, energies: tuple[Energy, ...]) -> Ratings:
    """The EVSE's limits; an AC side only where AC is offered."""
    ac = Energy.AC in energies or Energy.AC_BPT in energies
    discharges = evse.discharge_w > 0
    return Ratings(
        voltage_min_v=evse.voltage_min_v,
        voltage_max_v=evse.voltage_max_v,
        charge_max_a=evse.current_max_a,
        discharge_max_a=evse.current_max_a if discharges else 0.0,
        charge_max_w=evse.charge_w,
        discharge_max_w=evse.discharge_w,
        ac_phases=evse.ac_phases if ac else 0,
        ac_phase_v=evse.ac_voltage_v,
        ac_max_a=evse.ac_current_max_a if ac else 0.0,
    )
