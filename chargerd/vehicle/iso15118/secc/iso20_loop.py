"""ISO 15118-20 charge loop answers, built from the newest view; nothing waits.

Owns which limits, targets and flags the vehicle sees. Limits go out as magnitudes,
present values and targets with their sign (limits.py).
"""

from __future__ import annotations

from typing import Any

from chargerd.model import VehicleLimits
from chargerd.vehicle.iso15118.messages import ac, dc
from chargerd.vehicle.iso15118.messages.common_types import (
    CLResControlMode,
    EVSEStatus,
    MeterInfo,
)
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.iso20_course import Course
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import (
    Control,
    ac_target,
    magnitude,
    rational,
)
from chargerd.vehicle.iso15118.secc.station import Station

NEAR = 0.98  # of a limit counts as reached
NEAR_V = 2.0
METER_MAX_WH = 2**63 - 1


def status(course: Course) -> EVSEStatus | None:
    """What the station asks of the vehicle; None = nothing."""
    if course.notify is None:
        return None
    return EVSEStatus(NotificationMaxDelay=0, EVSENotification=course.notify)


def meter(now: Station, choice: Choice | None) -> MeterInfo | None:
    """The meter's registers; None without a fresh reading."""
    if now.meter is None:
        return None
    both = choice is not None and choice.bidirectional
    exported = _wh(now.meter.export_wh) if both else None
    return MeterInfo(
        MeterID=now.setup.meter_id[:32],
        ChargedEnergyReadingWh=_wh(now.meter.import_wh),
        BPT_DischargedEnergyReadingWh=exported,
        MeterTimestamp=now.setup.utc_s(now.now_mono),
    )


def _wh(register: float) -> int:
    return max(0, min(METER_MAX_WH, round(register)))


def dc_answer(
    course: Course, path: DcPath, choice: Choice, now: Station, *, with_meter: bool
) -> dc.DC_ChargeLoopRes:
    """Present values and limits of this moment."""
    power_w = now.voltage_v * now.current_a
    limit_w = now.charge_w if power_w >= 0.0 else now.discharge_w
    limit_a = now.charge_a if now.current_a >= 0.0 else now.discharge_a
    return dc.DC_ChargeLoopRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEStatus=status(course),
        MeterInfo=meter(now, choice) if with_meter else None,
        EVSEPresentCurrent=rational(now.current_a),
        EVSEPresentVoltage=rational(path.outlet_v),
        EVSEPowerLimitAchieved=abs(power_w) >= NEAR * abs(limit_w),
        EVSECurrentLimitAchieved=abs(now.current_a) >= NEAR * abs(limit_a),
        EVSEVoltageLimitAchieved=now.voltage_v >= now.voltage_max_v - NEAR_V,
        CLResControlMode=_dc_mode(choice, now),
    )


def _dc_mode(choice: Choice, now: Station) -> CLResControlMode:
    charge: dict[str, Any] = {
        "EVSEMaximumChargePower": rational(magnitude(now.charge_w)),
        "EVSEMinimumChargePower": rational(0.0),
        "EVSEMaximumChargeCurrent": rational(magnitude(now.charge_a)),
        "EVSEMaximumVoltage": rational(now.voltage_max_v),
    }
    dynamic = choice.control is Control.DYNAMIC
    if not choice.bidirectional:
        if dynamic:
            return dc.Dynamic_DC_CLResControlMode(**charge)
        return dc.Scheduled_DC_CLResControlMode(**charge)
    both = {
        **charge,
        "EVSEMaximumDischargePower": rational(magnitude(now.discharge_w)),
        "EVSEMinimumDischargePower": rational(0.0),
        "EVSEMaximumDischargeCurrent": rational(magnitude(now.discharge_a)),
        "EVSEMinimumVoltage": rational(now.voltage_min_v),
    }
    if dynamic:
        return dc.BPT_Dynamic_DC_CLResControlMode(**both)
    return dc.BPT_Scheduled_DC_CLResControlMode(**both)


def ac_answer(
    course: Course,
    choice: Choice,
    vehicle: VehicleLimits,
    now: Station,
    *,
    with_meter: bool,
) -> ac.AC_ChargeLoopRes:
    """The target of this moment: the dispatch itself, inside both sides' limits."""
    return ac.AC_ChargeLoopRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEStatus=status(course),
        MeterInfo=meter(now, choice) if with_meter else None,
        CLResControlMode=_ac_mode(course, choice, vehicle, now),
    )


def _ac_mode(
    course: Course, choice: Choice, vehicle: VehicleLimits, now: Station
) -> CLResControlMode:
    bounds = (now.ac_discharge_w if choice.bidirectional else 0.0, now.ac_charge_w)
    energy = course.path is not None and course.path.energy
    wish_w = now.offer.setpoint_w if energy else 0.0
    target_w = ac_target(wish_w, bounds, vehicle)
    values: dict[str, Any] = {"EVSETargetActivePower": rational(target_w)}
    if now.meter is not None:
        values["EVSEPresentActivePower"] = rational(now.meter.power_w)
    if choice.control is Control.DYNAMIC:
        if choice.bidirectional:
            return ac.BPT_Dynamic_AC_CLResControlMode(**values)
        return ac.Dynamic_AC_CLResControlMode(**values)
    if choice.bidirectional:
        return ac.BPT_Scheduled_AC_CLResControlMode(**values)
    return ac.Scheduled_AC_CLResControlMode(**values)
