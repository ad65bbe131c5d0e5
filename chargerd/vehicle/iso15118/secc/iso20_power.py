"""ISO 15118-20 handlers of power: parameters, cable check, precharge, start, welding.

Each takes the course, the request and the newest view, and says yes (Reply) or no
(Refusal). The loop is iso20_loop.py's. What may close a contactor is the path's matter.
"""

from __future__ import annotations

from chargerd.model import VehicleLimits
from chargerd.vehicle.iso15118.messages import ac, common, dc
from chargerd.vehicle.iso15118.messages.common_types import ResponseCode, V2GRequest
from chargerd.vehicle.iso15118.secc import iso20_asks, iso20_schedule
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc import iso20_needs as needs
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.iso20_course import (
    Course,
    Refusal,
    Reply,
    Standby,
)
from chargerd.vehicle.iso15118.secc.iso20_parameters import ac_offer, dc_offer
from chargerd.vehicle.iso15118.secc.iso20_steps import renew_path
from chargerd.vehicle.iso15118.secc.limits import number, rational
from chargerd.vehicle.iso15118.secc.quirks import quirks_of
from chargerd.vehicle.iso15118.secc.station import Station

START_HOLD_S = 1.5  # inside the vehicle's 2 s for PowerDelivery
STOP_HOLD_S = 1.0

_WRONG = Refusal("FAILED_WrongChargeParameter", Cause.PARAMETER)
_LOST = Refusal("FAILED", Cause.SEQUENCE)  # no such path: a request of another service


# --- parameters -----------------------------------------------------------------------


def dc_parameters(
    course: Course, message: dc.DC_ChargeParameterDiscoveryReq, now: Station
) -> Reply | Refusal:
    """Limits of both sides; the connector is locked from here on."""
    mode, choice = message.DC_CPDReqEnergyTransferMode, course.choice
    both = isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode)
    if choice is None or not choice.direct or both is not choice.bidirectional:
        return _WRONG
    course.quirks |= quirks_of(course.evccid, needs.discharge_sign(mode))
    ev = needs.dc_parameters(mode, negative=course.negative)
    if ev.voltage_max_v < now.voltage_min_v or ev.voltage_min_v > now.voltage_max_v:
        return _WRONG
    course.ev = ev
    _lock(course, now)
    answer = dc.DC_ChargeParameterDiscoveryRes(
        Header=course.header(now),
        ResponseCode="OK",
        DC_CPDResEnergyTransferMode=dc_offer(choice, now),
    )
    return Reply(answer)


def ac_parameters(
    course: Course, message: ac.AC_ChargeParameterDiscoveryReq, now: Station
) -> Reply | Refusal:
    """Limits of both sides; the connector is locked from here on."""
    mode, choice = message.AC_CPDReqEnergyTransferMode, course.choice
    both = isinstance(mode, ac.BPT_AC_CPDReqEnergyTransferMode)
    if choice is None or choice.direct or both is not choice.bidirectional:
        return _WRONG
    course.quirks |= quirks_of(course.evccid, needs.discharge_sign(mode))
    course.ev = needs.ac_parameters(mode, negative=course.negative)
    _lock(course, now)
    answer = ac.AC_ChargeParameterDiscoveryRes(
        Header=course.header(now),
        ResponseCode="OK",
        AC_CPDResEnergyTransferMode=ac_offer(choice, now),
    )
    return Reply(answer)


def _lock(course: Course, now: Station) -> None:
    """A resumed session has no path before this; a renewed one may have an old one."""
    if renew_path(course, now) and course.path is not None:
        course.path.lock()


# --- before energy --------------------------------------------------------------------


def cable_check(
    course: Course, message: dc.DC_CableCheckReq, now: Station
) -> Reply | Refusal:
    path = course.path
    if not isinstance(path, DcPath):
        return _LOST
    if not now.authorised:
        return Refusal("FAILED", Cause.STATION)
    path.check_cable(course.ev.voltage_max_v, now.voltage_max_v)
    if path.ended:
        return Refusal("FAILED", path.cause or Cause.CABLE_CHECK)
    answer = dc.DC_CableCheckRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEProcessing="Finished" if path.tested else "Ongoing",
    )
    return Reply(answer, at.PRE_CHARGE_FIRST if path.tested else at.CABLE_CHECK)


def pre_charge(
    course: Course, message: dc.DC_PreChargeReq, now: Station
) -> Reply | Refusal:
    """The stage goes to the battery's voltage, then the contactor closes."""
    path = course.path
    if not isinstance(path, DcPath):
        return _LOST
    target_v = number(message.EVTargetVoltage) or 0.0
    highest_v = min(course.ev.voltage_max_v, now.voltage_max_v)
    if not 0.0 < target_v <= highest_v:
        return _WRONG
    path.precharge(target_v)
    if path.ended:
        return Refusal("FAILED", path.cause or Cause.PRECHARGE)
    answer = dc.DC_PreChargeRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEPresentVoltage=rational(path.outlet_v),
    )
    return Reply(answer)


# --- power delivery -------------------------------------------------------------------


def power_delivery(
    course: Course, message: common.PowerDeliveryReq, now: Station
) -> Reply | Refusal:
    direct = isinstance(course.path, DcPath)
    progress = message.ChargeProgress
    if progress == "Stop":
        return _stop(course, now, at.WELDING if direct else at.STOPPED)
    if progress == "ScheduleRenegotiation":
        if course.state not in at.STARTED:
            return Refusal("FAILED_ScheduleRenegotiation", Cause.SEQUENCE)
        course.asked_by_station = iso20_asks.out_of_date(course, now)
        return _delivery(course, now, at.RESCHEDULE_DC if direct else at.RESCHEDULE_AC)
    started = at.STARTED_DC if direct else at.STARTED_AC
    if progress == "Standby":
        return _standby(course, now, started)
    if course.state in at.NOT_TO_START:
        return Refusal("FAILED_SequenceError", Cause.SEQUENCE)
    if message.EVProcessing != "Finished":
        return _delivery(course, now, course.state)
    return _start(course, message, now, started)


def _standby(course: Course, now: Station, started: str) -> Reply:
    """The contactor stays closed, no power flows until the next Start [K]."""
    if course.state not in at.STARTED or not now.setup.standby:
        return _delivery(course, now, course.state, "WARNING_StandbyNotAllowed")
    course.standby = Standby(had_power=iso20_asks.has_power(now))
    return _delivery(course, now, started)


def _delivery(
    course: Course,
    now: Station,
    following: str,
    code: ResponseCode = "OK",
    hold_s: float = 0.0,
) -> Reply:
    answer = common.PowerDeliveryRes(Header=course.header(now), ResponseCode=code)
    return Reply(answer, following, hold_s)


def _start(
    course: Course, message: common.PowerDeliveryReq, now: Station, following: str
) -> Reply | Refusal:
    path, choice = course.path, course.choice
    if path is None or choice is None:
        return _LOST
    if course.state not in at.STARTED:
        profile = message.EVPowerProfile
        course.plan = iso20_schedule.chosen(profile, course.plans) or course.plan
        wrong = iso20_schedule.check(profile, choice, course.plan)
        if wrong is not None:
            return Refusal(wrong, Cause.PARAMETER)
        course.vehicle_plan = iso20_schedule.told_plan(
            profile, course.plan, course.asked
        )
    # One channel serves both ways: there is nothing to switch [V2G20-2123].
    if message.BPT_ChannelSelection == "Discharge" and not choice.bidirectional:
        return Refusal("FAILED_PowerDeliveryNotApplied", Cause.PARAMETER)
    if not now.authorised:
        return Refusal("FAILED_PowerDeliveryNotApplied", Cause.STATION)
    if not path.start():
        stuck = path.cause is Cause.STATION_CONTACTOR
        code: ResponseCode = "FAILED_PowerDeliveryNotApplied"
        return Refusal(
            "FAILED_ContactorError" if stuck else code, path.cause or Cause.SEQUENCE
        )
    course.standby = None
    if course.confirmed_mono is None:
        course.confirmed_mono = now.now_mono
    if path.energy:  # a new plan, or the end of standby
        return _delivery(course, now, following)
    # Power flows with the first loop message: only then the vehicle's limits are fresh.
    course.limits = VehicleLimits(
        at_mono=now.now_mono,
        voltage_max_v=course.ev.voltage_max_v,
        voltage_min_v=course.ev.voltage_min_v,
    )
    return _delivery(course, now, following, hold_s=START_HOLD_S)


def _stop(course: Course, now: Station, following: str) -> Reply | Refusal:
    """The answer waits until the current has gone: then contactors may open."""
    course.standby = None
    if course.path is not None:
        course.path.stop(Cause.VEHICLE_STOP)
    return _delivery(course, now, following, hold_s=STOP_HOLD_S)


# --- after energy ---------------------------------------------------------------------


def welding(
    course: Course, message: dc.DC_WeldingDetectionReq, now: Station
) -> Reply | Refusal:
    """The vehicle looks whether its own voltage goes; then our contactor opens."""
    path = course.path
    if not isinstance(path, DcPath):
        return _LOST
    finished = message.EVProcessing == "Finished"
    volts = rational(path.outlet_v)
    if finished:
        path.release()
    answer = dc.DC_WeldingDetectionRes(
        Header=course.header(now), ResponseCode="OK", EVSEPresentVoltage=volts
    )
    over = finished or course.state == at.STOPPED
    return Reply(answer, at.STOPPED if over else at.WELDING)


def stops(message: V2GRequest) -> bool:
    """Requests that only lead out: right in every state of the power path."""
    if isinstance(message, common.PowerDeliveryReq):
        return message.ChargeProgress == "Stop"
    return isinstance(message, common.SessionStopReq | dc.DC_WeldingDetectionReq)
