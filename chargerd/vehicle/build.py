"""From the configuration to the vehicle doors of a station: which EVSE gets which.

Opens nothing. Codec and TLS of ISO 15118 are 13 MiB: only a station that talks it loads
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chargerd.clock import Clock
from chargerd.config import Config, Evse
from chargerd.model import VehicleDoor
from chargerd.vehicle.chademo.shell import ChademoDoor
from chargerd.vehicle.chademo.view import Ratings
from chargerd.vehicle.slac.client import SlacClient
from chargerd.vehicle.slac.door import SlacDoor
from firmware_bridge.api import CanBus

if TYPE_CHECKING:
    from chargerd.vehicle.iso15118.build import Security
    from chargerd.vehicle.iso15118.door import Judge, SeccDoor


@dataclass(frozen=True, slots=True)
class Doors:
    """`by_evse`: what the heart talks to; `talking`: the same doors without modem."""

    by_evse: dict[int, VehicleDoor]
    talking: dict[int, SeccDoor] = field(default_factory=dict)
    _security: Security | None = None

    def problem(self) -> str:
        """What is wrong with the certificates for vehicles; "" = nothing."""
        return "" if self._security is None else self._security.problem()

    def reload(self) -> None:
        """Read the certificates anew; connections that stand go on. Blocks."""
        if self._security is not None:
            self._security.load()

    def margins(self) -> dict[int, dict[str, Any]]:
        """How near answers to vehicles came to their limits, by EVSE."""
        return {evse_id: _margins(door) for evse_id, door in self.talking.items()}


def build(
    config: Config, buses: Mapping[int, CanBus], clock: Clock, judge: Judge
) -> Doors:
    """`buses`: the vehicles' CAN buses. `judge`: is one of these certificates revoked?
    Raises V2gError."""
    doors: dict[int, VehicleDoor] = {
        evse.id: ChademoDoor(
            config.vehicle.chademo, _dc_ratings(evse), buses[evse.id], clock
        )
        for evse in config.evse
        if evse.id in buses
    }
    if not any(evse.iso15118 for evse in config.evse):
        return Doors(doors)
    from chargerd.vehicle.iso15118 import build as secc

    security = secc.security_of(config, clock)
    talking: dict[int, SeccDoor] = {}
    for evse in config.evse:
        port = evse.iso15118
        if port is not None:
            door = secc.door(config, evse, port, security, clock, judge)
            talking[evse.id] = door
            doors[evse.id] = _behind_modem(door, port.slac, clock)
    return Doors(doors, talking, security)


def problem(config: Config) -> str:
    """What is wrong with the certificates that the configuration names."""
    if not any(evse.iso15118 for evse in config.evse):
        return ""
    from chargerd.vehicle.iso15118.build import Security

    found = Security(config.vehicle.iso15118, Clock()).problem()
    return found and f"vehicle.iso15118: {found}"


def _behind_modem(door: VehicleDoor, unit: Path | None, clock: Clock) -> VehicleDoor:
    """Where there is a power line, its SLAC unit tells of the link."""
    if unit is None:
        return door
    return SlacDoor(door, SlacClient(unit, lambda: clock.now().mono))


def _dc_ratings(evse: Evse) -> Ratings:
    """The EVSE's DC side as a vehicle door needs it."""
    return Ratings(
        voltage_min_v=evse.voltage_min_v,
        voltage_max_v=evse.voltage_max_v,
        charge_max_a=evse.current_max_a,
        discharge_max_a=evse.current_max_a if evse.discharge_w > 0 else 0.0,
    )


def _margins(door: SeccDoor) -> dict[str, Any]:
    """The least time an answer to a vehicle had left, ms, by request."""
    found = door.margins()
    least = {name: round(s * 1e3, 3) for name, s in found.worst_s.items()}
    return {"late_answers": found.late, "refused": door.refused, "margins_ms": least}
