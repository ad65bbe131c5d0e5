"""What one EVSE's tick gets from the cycle, and what it gives back. Values only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chargerd.evse import session
from chargerd.model import (
    CertificateAsk,
    DispatchSignal,
    EnergySchedule,
    EvseReport,
    SiteState,
    VehicleOffer,
)
from chargerd.model_grid import NO_RULES, GridRules
from chargerd.plan import Plan
from chargerd.scheduler import allot
from chargerd.scheduler.blackout import Place
from firmware_bridge.api import Command


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a tick of one EVSE gets from the cycle."""

    site: SiteState
    signals: tuple[DispatchSignal, ...] = ()
    station_evses: int = 1
    other_charge_w: float = 0.0
    other_discharge_w: float = 0.0
    station_faults: frozenset[str] = frozenset()
    share: allot.Share = allot.ALL
    place: Place = Place.GRID
    open_grid: bool = False
    discharge_left_wh: float = math.inf  # of the owner's cap for the month
    plan: Plan | None = None
    departure_mono: float | None = None  # the owner's next standing departure
    certificate_service: bool = False  # the central system can be asked for some
    schedule: EnergySchedule | None = None  # a frame for vehicles that plan
    rules: GridRules = NO_RULES  # of the network operator
    ramp_down: bool = False  # a safe stop has begun
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a tick of one EVSE gives."""

    command: Command
    offer: VehicleOffer
    report: EvseReport
    events: tuple[session.Event | CertificateAsk, ...]
