"""An ISO 15118-20 session as the heart sees it: VehicleState, and nothing else.

Owns the words, decides nothing: what may close a contactor is the path's matter.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.model import (
    VehicleDemand,
    VehicleLimits,
    VehicleNeeds,
    VehiclePhase,
    VehicleState,
)
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.iso20_authorise import settled
from chargerd.vehicle.iso15118.secc.iso20_course import Course
from chargerd.vehicle.iso15118.secc.station import Energy, Station


def state(course: Course, now: Station) -> VehicleState:
    """The whole view as one value."""
    path = course.path
    cause = course.cause or (path.cause if path is not None else None)
    faults = frozenset(course.faults | (path.faults if path is not None else set()))
    return VehicleState(
        protocol="iso15118-20",
        phase=_phase(course, faults),
        limits=_limits(course),
        demand=_demand(course, now),
        soc_pct=course.window.soc_pct,
        soc_at_mono=course.soc_at_mono,
        capacity_wh=course.capacity_wh,
        departure_mono=course.departure_mono,
        vehicle_id=course.evccid,
        stop_cause=cause.value if cause is not None else "",
        faults=faults,
        contract=course.proof.contract if course.proof is not None else None,
        certificate_question=None if settled(course, now) else course.question,
        needs=_needs(course),
        plan=course.vehicle_plan,
    )


def _phase(course: Course, faults: frozenset[str]) -> VehiclePhase:
    path = course.path
    if path is None:
        if course.state != at.ENDED:
            return VehiclePhase.HANDSHAKE
        return VehiclePhase.FAULT if faults else VehiclePhase.ENDED
    if path.phase is not VehiclePhase.ENDED:
        return path.phase
    if faults:
        return VehiclePhase.FAULT
    # A new service is being chosen: the vehicle is still talking.
    return VehiclePhase.HANDSHAKE if course.renewing else VehiclePhase.ENDED


def _limits(course: Course) -> VehicleLimits | None:
    """A vehicle at rest allows nothing."""
    known = course.limits
    if known is None or course.standby is None:
        return known
    return replace(
        known,
        charge_a=0.0,
        discharge_a=0.0,
        discharge_allowed=False,
        charge_w=None if known.charge_w is None else 0.0,
        discharge_w=None if known.discharge_w is None else 0.0,
    )


def _demand(course: Course, now: Station) -> VehicleDemand:
    path, ev = course.path, course.ev
    if path is None:
        return VehicleDemand()
    if isinstance(path, AcPath):
        return path.demand()
    tops = (ev.voltage_max_v, ev.target_v or 0.0, now.voltage_max_v)
    ceiling_v = min((top for top in tops if top > 0.0), default=0.0)
    return path.demand(ceiling_v, max(ev.voltage_min_v, now.voltage_min_v))


def _needs(course: Course) -> VehicleNeeds | None:
    choice, window, ev = course.choice, course.window, course.ev
    if choice is None:
        return None
    return VehicleNeeds(
        energy=choice.energy.value,
        dynamic=choice.dynamic,
        by_station=choice.by_station,
        target_wh=window.target_wh,
        max_wh=window.max_wh,
        min_wh=window.min_wh,
        v2x_max_wh=window.v2x_max_wh,
        v2x_min_wh=window.v2x_min_wh,
        target_soc_pct=window.soc_target_pct,
        min_soc_pct=window.soc_min_pct,
        max_soc_pct=window.soc_max_pct,
        min_charge_w=ev.charge_min_w,
        min_discharge_w=ev.discharge_min_w,
        asked=course.asked,
        asked_by_station=course.asked_by_station,
        max_entries=course.max_entries,
        energies=tuple(each.value for each in Energy if each in course.able),
    )
