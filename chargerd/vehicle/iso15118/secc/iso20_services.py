"""ISO 15118-20 energy services: what is offered, and what the vehicle has chosen.

Owns service ids and parameter sets (ISO 15118-20 8.4.3.2). Every service is offered in
both control modes, dynamic first: in it a dispatch needs no word of the vehicle.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd.vehicle.iso15118.messages.common import (
    Parameter,
    ParameterSet,
    SelectedService,
    Service,
    ServiceList,
    ServiceParameterList,
)
from chargerd.vehicle.iso15118.secc.limits import Control
from chargerd.vehicle.iso15118.secc.station import Energy, Ratings, Setup

IDS: dict[Energy, int] = {
    Energy.AC: 1,
    Energy.DC: 2,
    Energy.AC_BPT: 5,
    Energy.DC_BPT: 6,
}
ENERGIES = {number: energy for energy, number in IDS.items()}
BIDIRECTIONAL = frozenset({Energy.AC_BPT, Energy.DC_BPT})
DIRECT = frozenset({Energy.DC, Energy.DC_BPT})

DC_EXTENDED = 2  # Connector: the combined connector's DC pins
PRICING_NONE = 0
CHANNEL_UNIFIED = 1  # one channel both ways
GRID_FOLLOWING = 1  # GeneratorMode
ISLANDING_PASSIVE = 2  # GridCodeIslandingDetectionMethod

# Parameter set id -> control mode. MobilityNeedsMode is 1 (the vehicle's) in all:
# 2 is for stations that know the driver's needs ([V2G20-2663]: dynamic only).
SETS: dict[int, Control] = {1: Control.DYNAMIC, 2: Control.SCHEDULED}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the vehicle has selected."""

    energy: Energy
    control: Control

    @property
    def bidirectional(self) -> bool:
        return self.energy in BIDIRECTIONAL

    @property
    def direct(self) -> bool:
        """DC: the station's own inverter, cable check, precharge."""
        return self.energy in DIRECT


def service_list(setup: Setup, wanted: list[int] | None) -> ServiceList | None:
    """Energy services in the station's order; None = none that the vehicle wants."""
    services = [
        Service(ServiceID=IDS[energy], FreeService=setup.free)
        for energy in setup.energies
        if wanted is None or IDS[energy] in wanted
    ]
    return ServiceList(Service=services) if services else None


def parameters(setup: Setup, service_id: int) -> ServiceParameterList | None:
    """The parameter sets of one service; None = not offered."""
    energy = ENERGIES.get(service_id)
    if energy is None or energy not in setup.energies:
        return None
    sets = [
        ParameterSet(
            ParameterSetID=number,
            Parameter=_parameters(energy, control, setup.ratings),
        )
        for number, control in SETS.items()
    ]
    return ServiceParameterList(ParameterSet=sets)


def _parameters(energy: Energy, control: Control, ratings: Ratings) -> list[Parameter]:
    values: dict[str, int] = {}
    if energy in DIRECT:
        values["Connector"] = DC_EXTENDED
    else:
        values["Connector"] = 2 if ratings.ac_phases == 3 else 1
        # [K] an integer here: so do the recorded sessions.
        values["EVSENominalVoltage"] = round(ratings.ac_phase_v)
    values["ControlMode"] = control.value
    values["MobilityNeedsMode"] = 1
    values["Pricing"] = PRICING_NONE
    if energy in BIDIRECTIONAL:
        values["BPTChannel"] = CHANNEL_UNIFIED
        values["GeneratorMode"] = GRID_FOLLOWING
    if energy is Energy.AC_BPT:
        values["GridCodeIslandingDetectionMethod"] = ISLANDING_PASSIVE
    return [Parameter(Name=name, intValue=value) for name, value in values.items()]


def choose(setup: Setup, selected: SelectedService) -> Choice | None:
    """The vehicle's choice; None = not one of those offered."""
    energy = ENERGIES.get(selected.ServiceID)
    control = SETS.get(selected.ParameterSetID)
    if energy is None or energy not in setup.energies or control is None:
        return None
    return Choice(energy, control)
