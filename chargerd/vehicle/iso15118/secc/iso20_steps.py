"""ISO 15118-20 handlers of the session's frame: from SessionSetup to SessionStop.

Each takes the course, the request and the newest view, and says yes (Reply) or no
(Refusal). Power is iso20_power.py's. Must never authorise: the station does.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.messages.common_types import Processing
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc import iso20_schedule as schedule
from chargerd.vehicle.iso15118.secc import iso20_services as services
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.dc_steps import DcPath
from chargerd.vehicle.iso15118.secc.dc_table import DcTimes
from chargerd.vehicle.iso15118.secc.iso20_course import (
    NO_SESSION,
    Course,
    Paused,
    Refusal,
    Reply,
)
from chargerd.vehicle.iso15118.secc.iso20_needs import schedule_window
from chargerd.vehicle.iso15118.secc.limits import Control
from chargerd.vehicle.iso15118.secc.quirks import quirks_of
from chargerd.vehicle.iso15118.secc.station import Station

PRE_CHARGE_S = 9.0  # inside the vehicle's 10 s
DC_TIMES = replace(DcTimes(), precharge_s=PRE_CHARGE_S)


def session_setup(
    course: Course, message: common.SessionSetupReq, now: Station
) -> Reply | Refusal:
    """A paused session is taken up only by the same vehicle with the same id."""
    asked = message.Header.SessionID
    known = Paused(asked, message.EVCCID)
    joined = asked != NO_SESSION and course.paused == known
    course.session_id = asked if joined else course.fresh_id
    course.evccid = message.EVCCID
    course.quirks = quirks_of(message.EVCCID)
    answer = common.SessionSetupRes(
        Header=course.header(now),
        ResponseCode="OK_OldSessionJoined" if joined else "OK_NewSessionEstablished",
        EVSEID=now.setup.evse_id,
    )
    return Reply(answer, at.JOINED if joined else at.AUTHORIZATION_SETUP)


def authorization_setup(
    course: Course, message: common.AuthorizationSetupReq, now: Station
) -> Reply | Refusal:
    """By other means than the vehicle: card, remote start."""
    return Reply(
        common.AuthorizationSetupRes(
            Header=course.header(now),
            ResponseCode="OK",
            AuthorizationServices=["EIM"],
            CertificateInstallationService=False,
            EIM_ASResAuthorizationMode=common.EIM_ASResAuthorizationMode(),
        )
    )


def authorization(
    course: Course, message: common.AuthorizationReq, now: Station
) -> Reply | Refusal:
    """The station's own word, at each request anew; a contract was not offered."""
    header = course.header(now)
    if message.SelectedAuthorizationService != "EIM":
        answer = common.AuthorizationRes(
            Header=header,
            ResponseCode="WARNING_AuthorizationSelectionInvalid",
            EVSEProcessing="Finished",
        )
        return Reply(answer, at.AUTHORIZATION)
    processing: Processing = "Finished"
    if not now.authorised:
        processing = "Ongoing_WaitingForCustomerInteraction"
    answer = common.AuthorizationRes(
        Header=header, ResponseCode="OK", EVSEProcessing=processing
    )
    return Reply(answer, at.SERVICE_DISCOVERY if now.authorised else at.AUTHORIZATION)


def service_discovery(
    course: Course, message: common.ServiceDiscoveryReq, now: Station
) -> Reply | Refusal:
    wanted = message.SupportedServiceIDs
    offered = services.service_list(now.setup, wanted.ServiceID if wanted else None)
    if offered is None:
        return Refusal("FAILED_ServiceIDInvalid", Cause.PARAMETER)
    return Reply(
        common.ServiceDiscoveryRes(
            Header=course.header(now),
            ResponseCode="OK",
            ServiceRenegotiationSupported=True,
            EnergyTransferServiceList=offered,
        )
    )


def service_detail(
    course: Course, message: common.ServiceDetailReq, now: Station
) -> Reply | Refusal:
    found = services.parameters(now.setup, message.ServiceID)
    if found is None:
        return Refusal("FAILED_ServiceIDInvalid", Cause.PARAMETER)
    return Reply(
        common.ServiceDetailRes(
            Header=course.header(now),
            ResponseCode="OK",
            ServiceID=message.ServiceID,
            ServiceParameterList=found,
        )
    )


def service_selection(
    course: Course, message: common.ServiceSelectionReq, now: Station
) -> Reply | Refusal:
    """From here on there is a power path; it does nothing yet."""
    selected = message.SelectedEnergyTransferService
    if selected.ServiceID not in services.ENERGIES:
        return Refusal("FAILED_NoEnergyTransferServiceSelected", Cause.PARAMETER)
    choice = services.choose(now.setup, selected)
    if choice is None or message.SelectedVASList is not None:
        return Refusal("FAILED_ServiceSelectionInvalid", Cause.PARAMETER)
    course.choice = choice
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
    if old is not None and old.next_timer() is not None:
        return False
    if old is not None and old.faults:
        return False
    if course.choice.direct:
        sensed = now.setup.outlet_sensed
        course.path = DcPath(now, outlet_sensed=sensed, times=DC_TIMES)
    else:
        course.path = AcPath(now)
    course.renewing = False
    return True


def schedule_exchange(
    course: Course, message: common.ScheduleExchangeReq, now: Station
) -> Reply | Refusal:
    """The needs are taken, the frame is told; Ongoing while an old path still ends."""
    choice = course.choice
    dynamic, plan = message.Dynamic_SEReqControlMode, message.Scheduled_SEReqControlMode
    mode = dynamic if dynamic is not None else plan
    if choice is None or mode is None:
        return Refusal("FAILED", Cause.PARAMETER)
    if (choice.control is Control.DYNAMIC) is (dynamic is None):
        return Refusal("FAILED_WrongChargeParameter", Cause.PARAMETER)
    course.window = schedule_window(course.window, mode)
    duration_s = schedule.DAY_S
    if mode.DepartureTime is not None:
        course.departure_mono = now.now_mono + mode.DepartureTime
        duration_s = max(1, min(duration_s, mode.DepartureTime))
    if course.notify == "ScheduleRenegotiation":
        course.notify = None
    offered = schedule.power(choice, now)
    course.schedules = {schedule.TUPLE_ID: offered}
    ready = renew_path(course, now)
    if ready and course.path is not None:
        course.path.lock()
    plans = None
    if plan is not None:
        plans = schedule.scheduled(offered, choice, now, duration_s)
    answer = common.ScheduleExchangeRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEProcessing="Finished" if ready else "Ongoing",
        Dynamic_SEResControlMode=schedule.dynamic() if plan is None else None,
        Scheduled_SEResControlMode=plans,
    )
    return Reply(answer, None if ready else course.state)


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
        course.renewing, course.notify = True, None
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
