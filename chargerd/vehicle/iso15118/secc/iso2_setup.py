"""ISO 15118-2 until the vehicle is authorised: session, services, payment.

Owns what is offered and that the station's own word authorises. Decides no power.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.iso2_course import (
    Iso2Course,
    Paused,
    modes,
    payments,
    processing,
    said,
)
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED

CHARGE_SERVICE = 1  # [V2G2] Table 105
# From the insulation test to the end of power the cable is live: no pause.
LIVE = frozenset(
    {"cable_check", "precharge", "power", "current_demand"}
    | {"dc_again", "dc_power", "ac_power", "charging", "ac_again"}
)


# --- until the vehicle is authorised --------------------------------------------------


def session_setup(session: Iso2Course, request: m.SessionSetupReq) -> str:
    code = session.open(request.EVCCID)
    before, told = session.before, session.header.SessionID
    if before is not None and told == before.id:
        session.id = before.id
        return "OK_OldSessionJoined"
    return code


def session_setup_res(session: Iso2Course, code: str) -> Complex:
    return m.SessionSetupRes(
        ResponseCode=said(code),
        EVSEID=session.setup.evse_id,
        EVSETimeStamp=session.setup.utc_s(session.view.now_mono),
    )


def ok(session: Iso2Course, request: Any) -> str:
    return "OK"


def discovery_res(session: Iso2Course, code: str) -> Complex:
    setup = session.setup
    return m.ServiceDiscoveryRes(
        ResponseCode=said(code),
        PaymentOptionList=m.PaymentOptionList(PaymentOption=payments(setup)),
        ChargeService=m.ChargeService(
            ServiceID=CHARGE_SERVICE,
            ServiceName="Charge",
            ServiceCategory="EVCharging",
            FreeService=setup.free,
            SupportedEnergyTransferMode=m.SupportedEnergyTransferMode(
                EnergyTransferMode=modes(setup)
            ),
        ),
    )


def detail(session: Iso2Course, request: m.ServiceDetailReq) -> str:
    session.detail = request.ServiceID
    known = request.ServiceID == CHARGE_SERVICE
    return "OK" if known else "FAILED_ServiceIDInvalid"


def detail_res(session: Iso2Course, code: str) -> Complex:
    """The charging service has no parameters."""
    return m.ServiceDetailRes(ResponseCode=said(code), ServiceID=session.detail)


def selection(session: Iso2Course, request: m.PaymentServiceSelectionReq) -> str:
    chosen = [one.ServiceID for one in request.SelectedServiceList.SelectedService]
    if request.SelectedPaymentOption not in payments(session.setup):
        return "FAILED_PaymentSelectionInvalid"
    if any(service != CHARGE_SERVICE for service in chosen):
        return "FAILED_ServiceSelectionInvalid"
    if not chosen:
        return "FAILED_NoChargeServiceSelected"
    session.payment = request.SelectedPaymentOption
    return "OK"


def selection_res(session: Iso2Course, code: str) -> Complex:
    return m.PaymentServiceSelectionRes(ResponseCode=said(code))


def authorization(session: Iso2Course, request: m.AuthorizationReq) -> str:
    """The station's own word decides; the vehicle only asks for it."""
    if session.view.authorised:
        session.finished("AuthorizationReq")
        session.go("parameters")
    elif not session.ongoing("AuthorizationReq"):
        session.end(Cause.NOT_AUTHORISED)
        return "FAILED"
    return "OK"


def authorization_res(session: Iso2Course, code: str) -> Complex:
    waiting = session.processing == "Ongoing"
    return m.AuthorizationRes(
        ResponseCode=said(code),
        EVSEProcessing=(
            "Ongoing_WaitingForCustomerInteraction" if waiting else processing(session)
        ),
    )


# --- the end --------------------------------------------------------------------------


def session_stop(session: Iso2Course, request: m.SessionStopReq) -> str:
    """Terminate at any time; a pause only when the cable is not live."""
    if request.ChargingSession == "Pause":
        if session.at in LIVE or session.at == FAILED:
            return "FAILED"
        session.left = Paused(
            session.id, session.payment, session.vehicle.mode, session.schedule_id
        )
        session.end(Cause.VEHICLE_PAUSE)
    return "OK"


def session_stop_res(session: Iso2Course, code: str) -> Complex:
    return m.SessionStopRes(ResponseCode=said(code))
