"""ISO 15118-2 until the vehicle is authorised: session, services, payment.

Owns what is offered and that the station's own word authorises. Decides no power.
"""

from __future__ import annotations

from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc import iso2_contract as contract
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.iso2_course import (
    CERTIFICATE_SERVICE,
    CHARGE_SERVICE,
    Iso2Course,
    Paused,
    modes,
    payments,
    processing,
    said,
)
from chargerd.vehicle.iso15118.secc.iso2_graph import FAILED

CERTIFICATE_SETS = {1: "Installation", 2: "Update"}  # [V2G2] Table 106
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
        session.id, session.joined = before.id, before
        return "OK_OldSessionJoined"
    return code


def session_setup_res(session: Iso2Course, code: str) -> Complex:
    return m.SessionSetupRes(
        ResponseCode=said(code),
        EVSEID=session.setup.evse_id,
        EVSETimeStamp=session.setup.utc_s(session.view.now_mono),
    )


def discovery(session: Iso2Course, request: m.ServiceDiscoveryReq) -> str:
    """No value is added beside contract certificates, and those only with contracts."""
    ways, session.offered = payments(session), ()
    asked = request.ServiceCategory in (None, "ContractCertificate")
    if asked and "Contract" in ways and session.view.offer.certificate_service:
        session.offered = (CERTIFICATE_SERVICE,)
    return "OK" if ways and modes(session) else "FAILED"


def discovery_res(session: Iso2Course, code: str) -> Complex:
    setup = session.setup
    services = [
        m.Service(
            ServiceID=service,
            ServiceName="Certificate",
            ServiceCategory="ContractCertificate",
            FreeService=True,
        )
        for service in session.offered
    ]
    return m.ServiceDiscoveryRes(
        ResponseCode=said(code),
        PaymentOptionList=m.PaymentOptionList(
            PaymentOption=payments(session) or ["ExternalPayment"]
        ),
        ChargeService=m.ChargeService(
            ServiceID=CHARGE_SERVICE,
            ServiceName="Charge",
            ServiceCategory="EVCharging",
            FreeService=setup.free,
            SupportedEnergyTransferMode=m.SupportedEnergyTransferMode(
                EnergyTransferMode=modes(session) or ["DC_extended"]
            ),
        ),
        ServiceList=m.ServiceList(Service=services) if services else None,
    )


def detail(session: Iso2Course, request: m.ServiceDetailReq) -> str:
    session.detail = request.ServiceID
    known = request.ServiceID in (CHARGE_SERVICE, *session.offered)
    return "OK" if known else "FAILED_ServiceIDInvalid"


def detail_res(session: Iso2Course, code: str) -> Complex:
    """The charging service has no parameters."""
    ways = None
    if session.detail in session.offered:
        ways = m.ServiceParameterList(
            ParameterSet=[
                m.ParameterSet(
                    ParameterSetID=number,
                    Parameter=[m.Parameter(Name="Service", stringValue=word)],
                )
                for number, word in CERTIFICATE_SETS.items()
            ]
        )
    return m.ServiceDetailRes(
        ResponseCode=said(code), ServiceID=session.detail, ServiceParameterList=ways
    )


def selection(session: Iso2Course, request: m.PaymentServiceSelectionReq) -> str:
    pays = request.SelectedPaymentOption
    if pays not in payments(session):
        return "FAILED_PaymentSelectionInvalid"
    if not all(
        _is_offered(session, one) for one in request.SelectedServiceList.SelectedService
    ):
        return "FAILED_ServiceSelectionInvalid"
    chosen = {one.ServiceID for one in request.SelectedServiceList.SelectedService}
    if CHARGE_SERVICE not in chosen:
        return "FAILED_NoChargeServiceSelected"
    session.payment, session.chosen = pays, frozenset(chosen)
    session.go("contract" if pays == "Contract" else "authorization")
    return "OK"


def _is_offered(session: Iso2Course, chosen: m.SelectedService) -> bool:
    if chosen.ServiceID == CHARGE_SERVICE:
        return True
    known = chosen.ParameterSetID is None or chosen.ParameterSetID in CERTIFICATE_SETS
    return chosen.ServiceID in session.offered and known


def selection_res(session: Iso2Course, code: str) -> Complex:
    return m.PaymentServiceSelectionRes(ResponseCode=said(code))


def authorization(session: Iso2Course, request: m.AuthorizationReq) -> str:
    """The station's own word decides; the vehicle only asks for it."""
    code = contract.proved(session, request) if session.payment == "Contract" else "OK"
    code = contract.refused(session) or code
    if code != "OK":
        session.end(Cause.NOT_AUTHORISED)
        return code
    if session.view.authorised:
        session.finished("AuthorizationReq")
        session.go("parameters")
    elif not session.ongoing("AuthorizationReq"):
        session.end(Cause.NOT_AUTHORISED)
        return "FAILED"
    return "OK"


def authorization_res(session: Iso2Course, code: str) -> Complex:
    customer = session.processing == "Ongoing" and session.payment != "Contract"
    return m.AuthorizationRes(
        ResponseCode=said(code),
        EVSEProcessing=(
            "Ongoing_WaitingForCustomerInteraction" if customer else processing(session)
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
        if session.path.cause is Cause.VEHICLE_STOP:  # the stop was for this pause
            session.path.cause = Cause.VEHICLE_PAUSE
    return "OK"


def session_stop_res(session: Iso2Course, code: str) -> Complex:
    return m.SessionStopRes(ResponseCode=said(code))
