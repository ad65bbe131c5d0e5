"""DC requests that DIN 70121 and ISO 15118-2 share, by the same words.

Owns what CableCheck, PreCharge, CurrentDemand and WeldingDetection mean and what a
station says of itself in DC. Must never drive anything: dc_steps.py holds the pins.
"""

from __future__ import annotations

from typing import Any

from chargerd.model import VehicleNeeds
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.dc_table import DcStep, Isolation
from chargerd.vehicle.iso15118.secc.iso2_base import (
    TwoSession,
)
from chargerd.vehicle.iso15118.secc.iso2_values import maybe, number, physical
from chargerd.vehicle.iso15118.secc.limits import EvLimits

DC_MODES = ("DC_extended", "DC_combo_core")  # CCS: DC over its own pins
FRESH_ENERGY_S = 0.5  # our setpoint is not live before
RIPPLE_A = 1.0
TOLERANCE_A = 1.0
VEHICLE_FAULTS = frozenset({"V2gFault", "VehicleTimeout", "EVContactorFault"})
PARAMETER, BROKEN = "FAILED_WrongChargeParameter", "FAILED"


# --- what the vehicle says ------------------------------------------------------------


def ev_status(session: TwoSession, status: Any) -> None:
    """SoC; an error code ends power in order."""
    vehicle = session.vehicle
    vehicle.soc_pct = float(status.EVRESSSOC)
    vehicle.soc_at_mono = session.view.now_mono
    if status.EVErrorCode not in ("NO_ERROR", "NoData"):
        session.end(Cause.VEHICLE_FAULT)


def parameters(session: TwoSession, told: Any) -> bool:
    """The vehicle's DC limits; False when they cannot be."""
    volts = number(told.EVMaximumVoltageLimit)
    amperes = number(told.EVMaximumCurrentLimit)
    watts = maybe(told.EVMaximumPowerLimit)
    ratings = session.setup.ratings
    possible = volts >= ratings.voltage_min_v and amperes >= 0.0
    if not possible or (watts is not None and watts < 0.0):
        return False
    vehicle = session.vehicle
    vehicle.at_mono = session.view.now_mono
    vehicle.limits = EvLimits(charge_w=watts, charge_a=amperes, voltage_max_v=volts)
    vehicle.capacity_wh = maybe(told.EVEnergyCapacity)
    vehicle.needs = VehicleNeeds(
        energy="DC",
        target_wh=maybe(told.EVEnergyRequest),
        max_soc_pct=None if told.FullSOC is None else float(told.FullSOC),
    )
    ev_status(session, told.DC_EVStatus)
    return True


def dc_path(session: TwoSession) -> DcPath:
    """The session's path; only DC states lead here."""
    path = session.path
    if not isinstance(path, DcPath):
        raise TypeError(f"{session.at} is no state of a session in AC")
    return path


# --- requests -------------------------------------------------------------------------


def cable_check(session: TwoSession, request: Any) -> str:
    """Ongoing until the insulation test has passed; FAILED when it has not."""
    ev_status(session, request.DC_EVStatus)
    path = dc_path(session)
    path.check_cable(session.vehicle.limits.voltage_max_v, session.view.voltage_max_v)
    if path.tested:
        session.finished("CableCheckReq")
        session.go("precharge")
        return "OK"
    if not session.ongoing("CableCheckReq"):
        session.end(Cause.CABLE_CHECK)
    return BROKEN if path.ended else "OK"


def precharge(session: TwoSession, request: Any) -> str:
    """The battery's voltage at the outlet; the vehicle sees when it has come."""
    ev_status(session, request.DC_EVStatus)
    target_v = number(request.EVTargetVoltage)
    top_v = min(session.vehicle.limits.voltage_max_v, session.view.voltage_max_v)
    path = dc_path(session)
    if not 0.0 < target_v <= top_v:
        session.end(Cause.PARAMETER)
    path.precharge(target_v)
    return BROKEN if path.ended else "OK"


def start(session: TwoSession) -> str:
    """PowerDelivery(Start)."""
    path = dc_path(session)
    if path.cause is Cause.STATION_CONTACTOR:
        return "FAILED_ContactorError"
    if not session.view.authorised or not path.start():
        session.end(Cause.PARAMETER)
        return "FAILED_PowerDeliveryNotApplied"
    return "OK"


def current_demand(session: TwoSession, request: Any) -> str:
    """The vehicle's target and limits; never waits."""
    vehicle, before = session.vehicle, session.vehicle.limits
    volts = maybe(request.EVMaximumVoltageLimit)
    amperes = maybe(request.EVMaximumCurrentLimit)
    watts = maybe(request.EVMaximumPowerLimit)
    vehicle.at_mono = session.view.now_mono
    vehicle.limits = EvLimits(
        charge_w=before.charge_w if watts is None else max(0.0, watts),
        charge_a=before.charge_a if amperes is None else max(0.0, amperes),
        voltage_max_v=before.voltage_max_v if volts is None else max(0.0, volts),
        target_a=max(0.0, number(request.EVTargetCurrent)),
        target_v=max(0.0, number(request.EVTargetVoltage)),
    )
    session.done = bool(request.ChargingComplete)
    path = dc_path(session)
    path.ev_max_v = vehicle.limits.voltage_max_v
    ev_status(session, request.DC_EVStatus)
    return BROKEN if session.broken else "OK"


def welding(session: TwoSession, request: Any) -> str:
    """The vehicle looks at the voltage; nothing to judge until it is done."""
    ev_status(session, request.DC_EVStatus)
    return "OK"


# --- what the station says ------------------------------------------------------------


def outlet_v(session: TwoSession) -> float:
    """EVSEPresentVoltage; 0 in a session in AC, whose answer can only be FAILED."""
    path = session.path
    return path.outlet_v if isinstance(path, DcPath) else 0.0


def status_code(session: TwoSession) -> str:
    """DC_EVSEStatusCode."""
    path = session.path
    if path.cause is Cause.EMERGENCY_STOP:
        return "EVSE_EmergencyShutdown"
    if path.faults - VEHICLE_FAULTS or session.view.offer.fault_stop:
        return "EVSE_Malfunction"
    if path.step in (DcStep.WAIT, DcStep.TEST, DcStep.SINK):
        return "EVSE_IsolationMonitoringActive"
    return "EVSE_Shutdown" if session.stop_wanted else "EVSE_Ready"


def status(session: TwoSession) -> Any:
    """DC_EVSEStatus. A stop that is asked for is wanted now: delay 0."""
    path = session.path
    isolation = path.isolation if isinstance(path, DcPath) else Isolation.INVALID
    return session.messages.DC_EVSEStatus(
        EVSEIsolationStatus=isolation.value,
        EVSEStatusCode=status_code(session),
        NotificationMaxDelay=0,
        EVSENotification=session.notification,
    )


def charge_parameter(session: TwoSession) -> Any:
    """DC_EVSEChargeParameter: what the station can in its whole life."""
    m, ratings = session.messages, session.setup.ratings
    return m.DC_EVSEChargeParameter(
        DC_EVSEStatus=status(session),
        EVSEMaximumCurrentLimit=physical(m, ratings.charge_max_a, "A"),
        EVSEMaximumPowerLimit=physical(m, ratings.charge_max_w, "W"),
        EVSEMaximumVoltageLimit=physical(m, session.view.voltage_max_v, "V"),
        EVSEMinimumCurrentLimit=physical(m, 0.0, "A"),
        EVSEMinimumVoltageLimit=physical(m, session.view.voltage_min_v, "V"),
        EVSEPeakCurrentRipple=physical(m, RIPPLE_A, "A"),
    )


def cable_check_res(session: TwoSession, code: str) -> Complex:
    response: Complex = session.messages.CableCheckRes(
        ResponseCode=code,
        DC_EVSEStatus=status(session),
        EVSEProcessing=session.processing,
    )
    return response


def precharge_res(session: TwoSession, code: str) -> Complex:
    m = session.messages
    response: Complex = m.PreChargeRes(
        ResponseCode=code,
        DC_EVSEStatus=status(session),
        EVSEPresentVoltage=physical(m, outlet_v(session), "V"),
    )
    return response


def welding_res(session: TwoSession, code: str) -> Complex:
    m = session.messages
    response: Complex = m.WeldingDetectionRes(
        ResponseCode=code,
        DC_EVSEStatus=status(session),
        EVSEPresentVoltage=physical(m, outlet_v(session), "V"),
    )
    return response


def offered_a(session: TwoSession) -> float:
    """The current the vehicle may ask for now, A.

    In ENERGY that is what the station has decided: the vehicle's target leads, so a
    dispatch acts by the limit. Before, its bound.
    """
    view, path = session.view, session.path
    if not isinstance(path, DcPath) or not path.energy:
        return view.charge_a
    if view.now_mono - path.since_mono < FRESH_ENERGY_S:
        return view.charge_a
    return max(0.0, min(view.charge_a, view.offer.setpoint_a))


def loop_values(session: TwoSession) -> dict[str, Any]:
    """The elements of CurrentDemandRes that both protocols have."""
    m, view, ev = session.messages, session.view, session.vehicle.limits
    volts, limit_a, asked_a = outlet_v(session), offered_a(session), ev.target_a or 0.0
    watts = min(view.charge_w, limit_a * volts) if volts > 0.0 else view.charge_w
    return {
        "DC_EVSEStatus": status(session),
        "EVSEPresentVoltage": physical(m, volts, "V"),
        "EVSEPresentCurrent": physical(m, view.current_a, "A"),
        "EVSECurrentLimitAchieved": asked_a > limit_a + TOLERANCE_A,
        "EVSEVoltageLimitAchieved": volts >= view.voltage_max_v,
        "EVSEPowerLimitAchieved": asked_a * volts > view.charge_w,
        "EVSEMaximumVoltageLimit": physical(m, view.voltage_max_v, "V"),
        "EVSEMaximumCurrentLimit": physical(m, limit_a, "A"),
        "EVSEMaximumPowerLimit": physical(m, watts, "W"),
    }
