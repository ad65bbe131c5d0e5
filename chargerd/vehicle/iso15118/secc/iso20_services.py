"""ISO 15118-20 services: what is offered, and what the vehicle has chosen.

Owns service ids and parameter sets. Every service is offered in both control modes
[V2G20-2656], dynamic first: in it a dispatch needs no word of the vehicle. Ids and
names as EVerest libiso15118 (common_types.hpp) and EcoG iso15118 have them; 8 and 9 are
Amendment 1's MCS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from chargerd.model import EnergySchedule
from chargerd.vehicle.iso15118.messages.common import (
    Parameter,
    ParameterSet,
    Service,
    ServiceList,
    ServiceParameterList,
)
from chargerd.vehicle.iso15118.secc.limits import Control
from chargerd.vehicle.iso15118.secc.station import Energy, Ratings, Setup, Station

IDS: dict[Energy, int] = {
    Energy.AC: 1,
    Energy.DC: 2,
    Energy.AC_BPT: 5,
    Energy.DC_BPT: 6,
    Energy.MCS: 8,
    Energy.MCS_BPT: 9,
}
ENERGIES = {number: energy for energy, number in IDS.items()}
BIDIRECTIONAL = frozenset({Energy.AC_BPT, Energy.DC_BPT, Energy.MCS_BPT})
ALTERNATING = frozenset({Energy.AC, Energy.AC_BPT})
MEGAWATT = frozenset({Energy.MCS, Energy.MCS_BPT})
PARKING = 66  # value added service ParkingStatus: check-in and check-out

AC_THREE_PHASE = 3  # Connector; [K] EVerest's stations and vehicles; EcoG's have 2
DC_EXTENDED = 2  # Connector: the combined connector's DC pins
MCS = 1  # Connector: the megawatt connector
CHANNEL_UNIFIED = 1  # one channel both ways
GRID_FOLLOWING = 1  # GeneratorMode
ISLANDING_PASSIVE = 2  # GridCodeIslandingDetectionMethod
PARKING_MANUAL_EXTERNAL = 4


class Pricing(Enum):
    """How prices are told; the values are ISO 15118-20's."""

    NONE = 0
    ABSOLUTE = 1  # in money
    LEVELS = 2  # cheaper or dearer, without money


@dataclass(frozen=True, slots=True)
class Choice:
    """One service in one parameter set.

    `by_station`: MobilityNeedsMode 2, the driver told the station what is needed;
    with dynamic control only [V2G20-2663].
    """

    energy: Energy
    control: Control
    pricing: Pricing = Pricing.NONE
    by_station: bool = False

    @property
    def bidirectional(self) -> bool:
        return self.energy in BIDIRECTIONAL

    @property
    def direct(self) -> bool:
        """DC: the station's own inverter, cable check, precharge."""
        return self.energy not in ALTERNATING

    @property
    def dynamic(self) -> bool:
        """The station sets the power."""
        return self.control is Control.DYNAMIC


def pricing(schedule: EnergySchedule | None) -> Pricing:
    """How the schedule's prices can be told."""
    parts = schedule.parts if schedule is not None else ()
    if any(part.level is not None for part in parts):
        return Pricing.LEVELS
    if schedule is None or not any(part.buy_per_kwh is not None for part in parts):
        return Pricing.NONE
    return Pricing.ABSOLUTE if schedule.currency else Pricing.LEVELS


def allowed(now: Station) -> tuple[Energy, ...]:
    """Those that may be used now; a station with nothing else has all of them."""
    energies = now.setup.energies
    if now.offer.both_ways:
        return energies
    one_way = tuple(each for each in energies if each not in BIDIRECTIONAL)
    return one_way or energies


def energy_list(now: Station, wanted: list[int] | None) -> ServiceList | None:
    """Energy services in the station's order; None = none that the vehicle wants."""
    services = [
        Service(ServiceID=IDS[energy], FreeService=now.setup.free)
        for energy in allowed(now)
        if wanted is None or IDS[energy] in wanted
    ]
    return ServiceList(Service=services) if services else None


def extra_list(setup: Setup, wanted: list[int] | None) -> ServiceList | None:
    """Value added services; None = none."""
    if not setup.parking or (wanted is not None and PARKING not in wanted):
        return None
    return ServiceList(Service=[Service(ServiceID=PARKING, FreeService=True)])


def choices(energy: Energy, now: Station) -> dict[int, Choice]:
    """Parameter set id -> what it means; those with more than the basics come last."""
    dynamic = Choice(energy, Control.DYNAMIC)
    scheduled = Choice(energy, Control.SCHEDULED)
    found = {1: dynamic, 2: scheduled}
    priced = pricing(now.offer.schedule)
    if priced is not Pricing.NONE:
        found[3] = replace(dynamic, pricing=priced)
        found[4] = replace(scheduled, pricing=priced)
    if now.offer.promise is not None:
        found[5] = replace(dynamic, by_station=True)
    return found


def parameter_list(found: dict[int, Choice], ratings: Ratings) -> ServiceParameterList:
    """An energy service's parameter sets for the wire."""
    sets = [
        ParameterSet(ParameterSetID=number, Parameter=_parameters(choice, ratings))
        for number, choice in found.items()
    ]
    return ServiceParameterList(ParameterSet=sets)


def parking_list() -> ServiceParameterList:
    """ParkingStatus: check-in and check-out, each a set of its own. [K]"""
    sets = [
        ParameterSet(
            ParameterSetID=intended,
            Parameter=_named(
                {
                    "IntendedService": intended,
                    "ParkingStatusType": PARKING_MANUAL_EXTERNAL,
                }
            ),
        )
        for intended in (1, 2)
    ]
    return ServiceParameterList(ParameterSet=sets)


def _parameters(choice: Choice, ratings: Ratings) -> list[Parameter]:
    values: dict[str, int] = {}
    if choice.energy in MEGAWATT:
        values["Connector"] = MCS
    elif choice.direct:
        values["Connector"] = DC_EXTENDED
    else:
        values["Connector"] = AC_THREE_PHASE if ratings.ac_phases == 3 else 1
        # [K] an integer here: so do the recorded sessions.
        values["EVSENominalVoltage"] = round(ratings.ac_phase_v)
    values["ControlMode"] = choice.control.value
    values["MobilityNeedsMode"] = 2 if choice.by_station else 1
    values["Pricing"] = choice.pricing.value
    if choice.bidirectional:
        values["BPTChannel"] = CHANNEL_UNIFIED
        values["GeneratorMode"] = GRID_FOLLOWING
    if choice.energy is Energy.AC_BPT:
        values["GridCodeIslandingDetectionMethod"] = ISLANDING_PASSIVE
    return _named(values)


def _named(values: dict[str, int]) -> list[Parameter]:
    return [Parameter(Name=name, intValue=value) for name, value in values.items()]
