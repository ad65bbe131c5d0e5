"""ISO 15118-2 from ChargeParameterDiscovery to the loops, in DC and AC.

Owns what the parameters, PowerDelivery and the two loops mean. Drives nothing itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chargerd.model import VehicleNeeds
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc import iso2_contract as contract
from chargerd.vehicle.iso15118.secc import iso2_dc as dc
from chargerd.vehicle.iso15118.secc import iso2_schedule as schedules
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.iso2_course import (
    Iso2Course,
    modes,
    processing,
    said,
)
from chargerd.vehicle.iso15118.secc.iso2_values import number, physical
from chargerd.vehicle.iso15118.secc.limits import EvLimits

# Where PowerDelivery and ChargeParameterDiscovery lead, by the state they come in.
_STARTS = {"power": "current_demand", "dc_power": "current_demand"}
_AGAIN = {"current_demand": "dc_again", "charging": "ac_again"}
_AFTER_PARAMETERS = {"dc_again": "dc_power", "ac_again": "ac_power"}


# --- parameters -----------------------------------------------------------------------


def parameters(session: Iso2Course, request: m.ChargeParameterDiscoveryReq) -> str:
    mode, told = request.RequestedEnergyTransferMode, request.EVChargeParameter
    again = session.at in _AFTER_PARAMETERS
    if mode not in modes(session) or (again and mode != session.vehicle.mode):
        return "FAILED_WrongEnergyTransferMode"
    if not understood(session, told, mode):
        return dc.PARAMETER
    session.vehicle.mode = mode
    if told.DepartureTime:  # 0: as soon as possible, no departure is planned [K]
        departure_mono = session.view.now_mono + told.DepartureTime
        session.vehicle.departure_mono = departure_mono
    _asks(session, request)
    session.path.lock()
    if session.broken:
        return "FAILED"
    awaited = session.view.offer.schedule_awaited
    if not session.view.authorised or unlocked(session) or awaited:
        more = session.ongoing("ChargeParameterDiscoveryReq")
        return "OK" if more else "FAILED"
    session.finished("ChargeParameterDiscoveryReq")
    session.asking = False
    session.make_plan(request.MaxEntriesSAScheduleTuple)
    first = "ac_power" if mode.startswith("AC") else "cable_check"
    session.go(_AFTER_PARAMETERS.get(session.at, first))
    return "OK"


def _asks(session: Iso2Course, request: m.ChargeParameterDiscoveryReq) -> None:
    """A question for a schedule, once however often it is repeated."""
    if not session.asking:
        session.asking, session.asked = True, session.asked + 1
    vehicle = session.vehicle
    if vehicle.needs is not None:
        vehicle.needs = replace(
            vehicle.needs,
            asked=session.asked,
            asked_by_station=session.asked_by_station,
            max_entries=request.MaxEntriesSAScheduleTuple,
        )


def unlocked(session: Iso2Course) -> bool:
    """An AC connector whose lock still moves; in DC CableCheck waits for it."""
    pilot = session.view.pilot
    waits = pilot is not None and pilot.locked is False
    return isinstance(session.path, AcPath) and waits


def understood(session: Iso2Course, told: m.EVChargeParameter, mode: str) -> bool:
    """The limits fit the mode and can be; the power path is the mode's."""
    if mode.startswith("DC"):
        if not isinstance(told, m.DC_EVChargeParameter):
            return False
        return not isinstance(session.path, AcPath) and dc.parameters(session, told)
    if not isinstance(told, m.AC_EVChargeParameter):
        return False
    if not isinstance(session.path, AcPath):
        session.path = AcPath(session.view)
        session.path.turn(session.view)
    ratings, vehicle = session.setup.ratings, session.vehicle
    amperes, volts = number(told.EVMaxCurrent), number(told.EVMaxVoltage)
    if amperes < 0.0 or volts <= 0.0 or number(told.EVMinCurrent) > amperes:
        return False
    phases = min(ratings.ac_phases, 3 if mode == "AC_three_phase_core" else 1)
    phases_v = phases * ratings.ac_phase_v
    vehicle.at_mono = session.view.now_mono
    vehicle.limits = EvLimits(charge_w=amperes * phases_v)
    vehicle.needs = VehicleNeeds(
        energy="AC",
        target_wh=number(told.EAmount),
        min_charge_w=max(0.0, number(told.EVMinCurrent)) * phases_v,
    )
    return True


def schedule_list(session: Iso2Course) -> m.SAScheduleList | None:
    if not session.plans:
        return None
    return schedules.schedule_list(session.plans, tariff=session.priced)


def parameters_res(session: Iso2Course, code: str) -> Complex:
    finished = code == "OK" and session.processing == "Finished"
    parameter: m.EVSEChargeParameter = (
        ac_parameter(session)
        if isinstance(session.path, AcPath)
        else dc.charge_parameter(session)
    )
    return m.ChargeParameterDiscoveryRes(
        ResponseCode=said(code),
        EVSEProcessing=processing(session),
        SASchedules=schedule_list(session) if finished else None,
        EVSEChargeParameter=parameter,
    )


# --- power ----------------------------------------------------------------------------


def power_delivery(session: Iso2Course, request: m.PowerDeliveryReq) -> str:
    at, progress = session.at, request.ChargeProgress
    parameter = request.EVPowerDeliveryParameter
    if isinstance(parameter, m.DC_EVPowerDeliveryParameter):
        dc.ev_status(session, parameter.DC_EVStatus)
    if progress == "Stop":
        session.path.stop(Cause.VEHICLE_STOP)
        return "OK"
    if progress == "Renegotiate":
        if at not in _AGAIN:
            session.end(Cause.SEQUENCE)
            return "FAILED_SequenceError"
        session.asked_by_station = session.notification == "ReNegotiation"
        session.go(_AGAIN[at])
        return "OK"
    if at not in (*_STARTS, "ac_power"):
        session.end(Cause.SEQUENCE)
        return "FAILED_SequenceError"
    if not session.choose(request.SAScheduleTupleID):
        return "FAILED_TariffSelectionInvalid"
    if session.plan is None or not schedules.fits(
        session.plan, request.ChargingProfile
    ):
        return "FAILED_ChargingProfileInvalid"
    session.vehicle.plan = schedules.told_plan(
        session.plan, request.ChargingProfile, session.asked, session.schedule_id - 1
    )
    session.go(_STARTS.get(at, "charging"))
    if isinstance(session.path, AcPath):
        return "OK" if session.path.start() else "FAILED_PowerDeliveryNotApplied"
    return dc.start(session)


def power_delivery_res(session: Iso2Course, code: str) -> Complex:
    return m.PowerDeliveryRes(ResponseCode=said(code), EVSEStatus=status(session))


def status(session: Iso2Course) -> m.EVSEStatus:
    """The power path's own status."""
    if isinstance(session.path, AcPath):
        return ac_status(session)
    status: m.EVSEStatus = dc.status(session)
    return status


def current_demand_res(session: Iso2Course, code: str) -> Complex:
    return m.CurrentDemandRes(
        ResponseCode=said(code), **_loop(session, code), **dc.loop_values(session)
    )


def _loop(session: Iso2Course, code: str) -> dict[str, Any]:
    """What both loops tell."""
    reading = meter(session)
    return {
        "EVSEID": session.setup.evse_id,
        "SAScheduleTupleID": session.schedule_id,
        "MeterInfo": reading,
        "ReceiptRequired": code == "OK" and contract.ask_receipt(session, reading),
    }


def receipt_res(session: Iso2Course, code: str) -> Complex:
    return m.MeteringReceiptRes(ResponseCode=said(code), EVSEStatus=status(session))


def meter(session: Iso2Course) -> m.MeterInfo | None:
    """The AC meter's import register, Wh; None when it says nothing now."""
    reading, setup = session.view.meter, session.setup
    if reading is None or not setup.meter_id:
        return None
    return m.MeterInfo(
        MeterID=setup.meter_id[:32],
        MeterReading=max(0, round(reading.import_wh)),
        TMeter=setup.utc_s(session.view.now_mono),
    )


# --- AC -------------------------------------------------------------------------------


def ac_status(session: Iso2Course) -> m.AC_EVSEStatus:
    return m.AC_EVSEStatus(
        NotificationMaxDelay=0,
        EVSENotification=session.notification,  # type: ignore[arg-type]  # a str
        RCD="GroundFailure" in session.path.faults,
    )


def ac_parameter(session: Iso2Course) -> m.AC_EVSEChargeParameter:
    ratings = session.setup.ratings
    return m.AC_EVSEChargeParameter(
        AC_EVSEStatus=ac_status(session),
        EVSENominalVoltage=physical(m, ratings.ac_phase_v, "V"),
        EVSEMaxCurrent=physical(m, ratings.ac_max_a, "A"),
    )


def charging_status(session: Iso2Course, request: m.ChargingStatusReq) -> str:
    session.vehicle.at_mono = session.view.now_mono
    return "FAILED" if session.broken else "OK"


def ac_offered_a(session: Iso2Course) -> float:
    """The current per phase the vehicle may draw now, A: what was decided."""
    view, ratings = session.view, session.setup.ratings
    phases = 1 if session.vehicle.mode == "AC_single_phase_core" else ratings.ac_phases
    if not view.authorised or phases < 1:
        return 0.0
    watts = max(0.0, min(view.offer.setpoint_w, view.offer.charge_w))
    return min(ratings.ac_max_a, watts / (phases * ratings.ac_phase_v))


def charging_status_res(session: Iso2Course, code: str) -> Complex:
    return m.ChargingStatusRes(
        ResponseCode=said(code),
        EVSEMaxCurrent=physical(m, ac_offered_a(session), "A"),
        AC_EVSEStatus=ac_status(session),
        **_loop(session, code),
    )
