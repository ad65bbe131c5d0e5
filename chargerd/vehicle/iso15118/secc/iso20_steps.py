"""ISO 15118-20 handlers of the session's frame: setup, services, schedule, stop.

Each takes the course, the request and the newest view, and says yes (Reply) or no
(Refusal). Power is iso20_power.py's, authorisation iso20_authorise.py's.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc import iso20_plan, iso20_schedule
from chargerd.vehicle.iso15118.secc import iso20_services as services
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.dc_table import DcTimes
from chargerd.vehicle.iso15118.secc.iso20_course import (
    NEVER,
    NO_SESSION,
    Course,
    Refusal,
    Reply,
)
from chargerd.vehicle.iso15118.secc.iso20_needs import schedule_window
from chargerd.vehicle.iso15118.secc.limits import EvLimits
from chargerd.vehicle.iso15118.secc.quirks import quirks_of
from chargerd.vehicle.iso15118.secc.station import Station

PRE_CHARGE_S = 9.0  # inside the vehicle's 10 s
DC_TIMES = replace(DcTimes(), precharge_s=PRE_CHARGE_S)


def session_setup(
    course: Course, message: common.SessionSetupReq, now: Station
) -> Reply | Refusal:
    """A paused session is taken up only by the same vehicle with the same id."""
    asked, paused = message.Header.SessionID, course.paused
    joined = (
        paused is not None
        and asked != NO_SESSION
        and (asked, message.EVCCID, course.peer)
        == (paused.session_id, paused.evccid, paused.peer)
    )
    course.session_id = asked if joined else course.fresh_id
    course.evccid = message.EVCCID
    course.quirks = quirks_of(message.EVCCID)
    if joined and paused is not None:
        course.choice, course.proof = paused.choice, paused.proof
    answer = common.SessionSetupRes(
        Header=course.header(now),
        ResponseCode="OK_OldSessionJoined" if joined else "OK_NewSessionEstablished",
        EVSEID=now.setup.evse_id,
    )
    return Reply(answer, at.JOINED if joined else at.AUTHORIZATION_SETUP)


# --- services -------------------------------------------------------------------------


def service_discovery(
    course: Course, message: common.ServiceDiscoveryReq, now: Station
) -> Reply | Refusal:
    wanted = message.SupportedServiceIDs
    ids = wanted.ServiceID if wanted is not None else None
    energies = services.energy_list(now, ids)
    if energies is None:
        return Refusal("FAILED_ServiceIDInvalid", Cause.PARAMETER)
    known = services.ENERGIES
    course.able |= {known[number] for number in ids or () if number in known}
    course.offered.clear()
    course.listed = services.allowed(now)
    return Reply(
        common.ServiceDiscoveryRes(
            Header=course.header(now),
            ResponseCode="OK",
            ServiceRenegotiationSupported=True,
            EnergyTransferServiceList=energies,
            VASList=services.extra_list(now.setup, ids),
        )
    )


def service_detail(
    course: Course, message: common.ServiceDetailReq, now: Station
) -> Reply | Refusal:
    """What is told here can be selected, and nothing else [V2G20-433]."""
    number = message.ServiceID
    energy = services.ENERGIES.get(number)
    if energy is not None and energy in course.listed:
        found = services.choices(energy, now)
        course.able.add(energy)
        course.offered.update({(number, each): found[each] for each in found})
        sets = services.parameter_list(found, now.setup.ratings)
    elif number == services.PARKING and now.setup.parking:
        sets = services.parking_list()
    else:
        return Refusal("FAILED_ServiceIDInvalid", Cause.PARAMETER)
    return Reply(
        common.ServiceDetailRes(
            Header=course.header(now),
            ResponseCode="OK",
            ServiceID=number,
            ServiceParameterList=sets,
        )
    )


def service_selection(
    course: Course, message: common.ServiceSelectionReq, now: Station
) -> Reply | Refusal:
    """From here on there is a power path; it does nothing yet."""
    selected, extras = message.SelectedEnergyTransferService, message.SelectedVASList
    if selected.ServiceID not in services.ENERGIES:
        return Refusal("FAILED_NoEnergyTransferServiceSelected", Cause.PARAMETER)
    choice = course.offered.get((selected.ServiceID, selected.ParameterSetID))
    known = services.PARKING if now.setup.parking else None
    wanted = extras.SelectedService if extras is not None else []
    if choice is None or any(
        each.ServiceID != known or each.ParameterSetID not in (1, 2) for each in wanted
    ):
        return Refusal("FAILED_ServiceSelectionInvalid", Cause.PARAMETER)
    course.choice = choice
    course.ev, course.limits, course.plan = EvLimits(), None, None
    renew_path(course, now)
    answer = common.ServiceSelectionRes(Header=course.header(now), ResponseCode="OK")
    return Reply(answer, at.PARAMETERS_DC if choice.direct else at.PARAMETERS_AC)


def renew_path(course: Course, now: Station) -> bool:
    """Whether the path is the chosen service's own.

    After a service renegotiation the old path first ends: contactor open, outlet dead.
    """
    if course.choice is None:
        return False
    old = course.path
    if old is not None and not course.renewing:
        return True
    if old is not None and (old.next_timer() is not None or old.faults):
        return False
    if course.choice.direct:
        sensed = now.setup.outlet_sensed
        course.path = DcPath(now, outlet_sensed=sensed, times=DC_TIMES)
    else:
        course.path = AcPath(now)
    course.renewing = False
    return True


# --- schedule -------------------------------------------------------------------------


def schedule_exchange(
    course: Course, message: common.ScheduleExchangeReq, now: Station
) -> Reply | Refusal:
    """The needs are taken, the plan is told; Ongoing while an old path still ends, or
    the lock still moves."""
    choice = course.choice
    dynamic, frame = (
        message.Dynamic_SEReqControlMode,
        message.Scheduled_SEReqControlMode,
    )
    mode = dynamic if dynamic is not None else frame
    if choice is None or mode is None:
        return Refusal("FAILED", Cause.PARAMETER)
    if choice.dynamic is (dynamic is None):
        return Refusal("FAILED_WrongChargeParameter", Cause.PARAMETER)
    course.window = schedule_window(course.window, mode)
    if not course.asking:
        course.asking, course.asked = True, course.asked + 1
    course.max_entries = message.MaximumSupportingPoints
    duration_s = iso20_plan.DAY_S
    if mode.DepartureTime:
        course.departure_mono = now.now_mono + mode.DepartureTime
        duration_s = min(duration_s, mode.DepartureTime)
    points = message.MaximumSupportingPoints
    plans = iso20_plan.options(choice, now, points=points, duration_s=duration_s)
    course.plans, course.plan = tuple(plans), plans[0]
    course.moved_mono = NEVER
    ready = renew_path(course, now)
    if ready and course.path is not None:
        course.path.lock()
        ready = not _locking(course, now)
    ready = ready and not now.offer.schedule_awaited
    course.asking = not ready
    answer = common.ScheduleExchangeRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEProcessing="Finished" if ready else "Ongoing",
        Dynamic_SEResControlMode=(
            iso20_schedule.dynamic(plans[0], choice, now) if choice.dynamic else None
        ),
        Scheduled_SEResControlMode=(
            None if choice.dynamic else iso20_schedule.scheduled(plans, choice)
        ),
    )
    return Reply(answer, None if ready else course.state)


def _locking(course: Course, now: Station) -> bool:
    """An AC connector whose lock still moves; in DC CableCheck waits for it."""
    moving = now.pilot is not None and now.pilot.locked is False
    return isinstance(course.path, AcPath) and moving


# --- parking --------------------------------------------------------------------------


def vehicle_check_in(
    course: Course, message: common.VehicleCheckInReq, now: Station
) -> Reply | Refusal:
    """There is nothing to steer towards at a cable."""
    if not now.setup.parking:
        return Refusal("FAILED_SequenceError", Cause.SEQUENCE)
    answer = common.VehicleCheckInRes(Header=course.header(now), ResponseCode="OK")
    return Reply(answer, course.state)


def vehicle_check_out(
    course: Course, message: common.VehicleCheckOutReq, now: Station
) -> Reply | Refusal:
    """The vehicle may leave once the power path is at rest."""
    if not now.setup.parking:
        return Refusal("FAILED_SequenceError", Cause.SEQUENCE)
    rests = course.path is None or course.path.next_timer() is None
    answer = common.VehicleCheckOutRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSECheckOutStatus="Completed" if rests else "Scheduled",
    )
    return Reply(answer, course.state)


# --- the end --------------------------------------------------------------------------


def session_stop(
    course: Course, message: common.SessionStopReq, now: Station
) -> Reply | Refusal:
    """Terminate from anywhere; pause and a new service only while nothing is live."""
    state, wish = course.state, message.ChargingSession
    if wish == "Pause" and (state in at.LIVE or course.choice is None):
        return Refusal("FAILED_PauseNotAllowed", Cause.SEQUENCE)
    if wish == "ServiceRenegotiation":
        # Before a service was chosen this would step around Authorization.
        if state not in at.SELECTED or course.choice is None:
            return Refusal("FAILED_NoServiceRenegotiationSupported", Cause.SEQUENCE)
        _end_path(course, Cause.VEHICLE_STOP)
        course.renewing, course.standby = True, None
        return Reply(_stopped(course, now), at.SERVICE_DISCOVERY)
    course.pausing = wish == "Pause" and state != at.FAILED
    cause = Cause.VEHICLE_PAUSE if course.pausing else Cause.VEHICLE_STOP
    if course.cause is None:
        course.cause = cause
    _end_path(course, cause)
    return Reply(_stopped(course, now), at.ENDED, close=True)


def _stopped(course: Course, now: Station) -> common.SessionStopRes:
    return common.SessionStopRes(Header=course.header(now), ResponseCode="OK")


def _end_path(course: Course, cause: Cause) -> None:
    if course.path is not None:
        course.path.stop(cause)
        course.path.release(cause)
