"""ISO 15118-20 charge loop: limits in, limits and targets out; nothing waits.

Owns which limits, targets and flags the vehicle sees, built from the newest view alone.
Limits go out as magnitudes, present values and targets with their sign (limits.py).
"""

from __future__ import annotations

from typing import Any

from chargerd.model import VehicleLimits
from chargerd.vehicle.iso15118.messages import ac, dc
from chargerd.vehicle.iso15118.messages.common_types import (
    CLReqControlMode,
    CLResControlMode,
    DisplayParameters,
)
from chargerd.vehicle.iso15118.secc import iso20_asks, iso20_metering
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc import iso20_needs as needs
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.iso20_course import Course, Refusal, Reply
from chargerd.vehicle.iso15118.secc.iso20_schedule import aims
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import (
    ac_limits,
    ac_target,
    dc_limits,
    magnitude,
    number,
    rational,
)
from chargerd.vehicle.iso15118.secc.station import Station

NEAR = 0.98  # of a limit counts as reached
NEAR_V = 2.0
ACK_MAX_DELAY_S = 30  # how soon the vehicle should follow new aims; as libiso15118

_WRONG = Refusal("FAILED_WrongChargeParameter", Cause.PARAMETER)
_LOST = Refusal("FAILED", Cause.SEQUENCE)  # no such path: a request of another service
_DC_MODES = (dc.Scheduled_DC_CLReqControlMode, dc.Dynamic_DC_CLReqControlMode)
_AC_MODES = (ac.Scheduled_AC_CLReqControlMode, ac.Dynamic_AC_CLReqControlMode)
_ZERO = rational(0.0)


# --- DC -------------------------------------------------------------------------------


def dc_loop(
    course: Course, message: dc.DC_ChargeLoopReq, now: Station
) -> Reply | Refusal:
    """In dynamic mode the station drives the current itself, inside these limits."""
    path, choice, mode = course.path, course.choice, message.CLReqControlMode
    if not isinstance(path, DcPath) or choice is None:
        return _LOST
    if not isinstance(mode, _DC_MODES) or not needs.fits(mode, choice):
        return _WRONG
    course.ev = needs.dc_loop_limits(course.ev, mode, negative=course.negative)
    _said(course, message.DisplayParameters, mode, now)
    path.ev_max_v = course.ev.voltage_max_v
    before = course.limits
    course.limits = dc_limits(
        course.ev,
        course.window,
        choice.control,
        at_mono=now.now_mono,
        volts=now.voltage_v,
        bidirectional=choice.bidirectional,
        discharging=before is not None and before.discharge_allowed,
    )
    asked = message.MeterInfoRequested
    return Reply(_dc_answer(course, path, choice, now, asked=asked), _goes_on(course))


def _dc_answer(
    course: Course, path: DcPath, choice: Choice, now: Station, *, asked: bool
) -> dc.DC_ChargeLoopRes:
    """Present values and limits of this moment."""
    charge_a, discharge_a = _dc_bounds(choice, now)
    volts, amps = now.voltage_v, now.current_a
    charge_w = min(charge_a * volts, now.charge_w)
    discharge_w = max(discharge_a * volts, now.discharge_w)
    limit_a, limit_w = (charge_a, charge_w) if amps >= 0 else (discharge_a, discharge_w)
    values: dict[str, Any] = {
        "EVSEMaximumChargePower": rational(charge_w),
        "EVSEMinimumChargePower": _ZERO,
        "EVSEMaximumChargeCurrent": rational(charge_a),
        "EVSEMaximumVoltage": rational(now.voltage_max_v),
    }
    if choice.bidirectional:
        values["EVSEMaximumDischargePower"] = rational(magnitude(discharge_w))
        values["EVSEMinimumDischargePower"] = _ZERO
        values["EVSEMaximumDischargeCurrent"] = rational(magnitude(discharge_a))
        values["EVSEMinimumVoltage"] = rational(now.voltage_min_v)
    return dc.DC_ChargeLoopRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEStatus=iso20_asks.status(course, now),
        MeterInfo=_meter(course, now, asked=asked),
        EVSEPresentCurrent=rational(amps),
        EVSEPresentVoltage=rational(path.outlet_v),
        EVSEPowerLimitAchieved=abs(volts * amps) >= NEAR * abs(limit_w),
        EVSECurrentLimitAchieved=abs(amps) >= NEAR * abs(limit_a),
        EVSEVoltageLimitAchieved=volts >= now.voltage_max_v - NEAR_V,
        CLResControlMode=_dc_mode(choice, values, now),
    )


def _dc_bounds(choice: Choice, now: Station) -> tuple[float, float]:
    """A: (charge >= 0, discharge <= 0).

    Where the vehicle leads, what was decided is its limit: so a dispatch acts at once.
    """
    if choice.dynamic:
        return now.charge_a, now.discharge_a
    setpoint_a = now.offer.setpoint_a
    return (
        min(now.charge_a, max(0.0, setpoint_a)),
        max(now.discharge_a, min(0.0, setpoint_a)),
    )


def _dc_mode(choice: Choice, values: dict[str, Any], now: Station) -> CLResControlMode:
    if not choice.dynamic:
        if choice.bidirectional:
            return dc.BPT_Scheduled_DC_CLResControlMode(**values)
        return dc.Scheduled_DC_CLResControlMode(**values)
    if choice.by_station:
        values |= _driver(choice, now)
    if choice.bidirectional:
        return dc.BPT_Dynamic_DC_CLResControlMode(**values)
    return dc.Dynamic_DC_CLResControlMode(**values)


# --- AC -------------------------------------------------------------------------------


def ac_loop(
    course: Course, message: ac.AC_ChargeLoopReq, now: Station
) -> Reply | Refusal:
    """The vehicle's inverter follows EVSETargetActivePower: the dispatch itself."""
    path, choice, mode = course.path, course.choice, message.CLReqControlMode
    if not isinstance(path, AcPath) or choice is None:
        return _LOST
    if not isinstance(mode, _AC_MODES) or not needs.fits(mode, choice):
        return _WRONG
    course.ev = needs.ac_loop_limits(course.ev, mode, negative=course.negative)
    _said(course, message.DisplayParameters, mode, now)
    course.limits = ac_limits(
        course.ev,
        course.window,
        at_mono=now.now_mono,
        bidirectional=choice.bidirectional,
    )
    answer = ac.AC_ChargeLoopRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEStatus=iso20_asks.status(course, now),
        MeterInfo=_meter(course, now, asked=message.MeterInfoRequested),
        CLResControlMode=_ac_mode(course, choice, course.limits, now),
    )
    return Reply(answer, _goes_on(course))


def _ac_mode(
    course: Course, choice: Choice, vehicle: VehicleLimits, now: Station
) -> CLResControlMode:
    """Reactive power is left out: none is asked for."""
    bounds = (now.ac_discharge_w if choice.bidirectional else 0.0, now.ac_charge_w)
    least = (course.ev.discharge_min_w or 0.0, course.ev.charge_min_w or 0.0)
    live = course.path is not None and course.path.energy and course.standby is None
    wish_w = now.offer.setpoint_w if live else 0.0
    target_w = ac_target(wish_w, bounds, vehicle, least)
    values: dict[str, Any] = {"EVSETargetActivePower": rational(target_w)}
    if now.meter is not None:
        values["EVSEPresentActivePower"] = rational(now.meter.power_w)
    if not choice.dynamic:
        if choice.bidirectional:
            return ac.BPT_Scheduled_AC_CLResControlMode(**values)
        return ac.Scheduled_AC_CLResControlMode(**values)
    if choice.by_station:
        values |= _driver(choice, now)
    if choice.bidirectional:
        return ac.BPT_Dynamic_AC_CLResControlMode(**values)
    return ac.Dynamic_AC_CLResControlMode(**values)


# --- both -----------------------------------------------------------------------------


def _driver(choice: Choice, now: Station) -> dict[str, Any]:
    found = aims(choice, now)
    return {**found, "AckMaxDelay": ACK_MAX_DELAY_S} if found else found


def _meter(course: Course, now: Station, *, asked: bool) -> Any:
    if asked or iso20_asks.receipt_due(course, now):
        return iso20_metering.told(course, now)
    return None


def _goes_on(course: Course) -> str | None:
    """A vehicle at rest need not keep the pace of the loop."""
    if course.standby is None or course.state not in at.STARTED:
        return None
    return at.STARTED_DC if isinstance(course.path, DcPath) else at.STARTED_AC


def _said(
    course: Course,
    shown: DisplayParameters | None,
    mode: CLReqControlMode,
    now: Station,
) -> None:
    """Energy requests, state of charge, capacity and departure, where named."""
    course.window = needs.loop_window(course.window, mode, shown)
    if shown is not None and shown.PresentSOC is not None:
        course.soc_at_mono = now.now_mono
    if shown is not None and shown.BatteryEnergyCapacity is not None:
        course.capacity_wh = number(shown.BatteryEnergyCapacity)
    departure_s = getattr(mode, "DepartureTime", None)
    if departure_s is not None:
        course.departure_mono = now.now_mono + departure_s
