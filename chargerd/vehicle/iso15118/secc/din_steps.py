"""What DIN 70121's own messages mean, and how they are answered.

Owns the words that DIN does not share with ISO 15118-2; iso2_dc.py has the rest. Only
external payment and DC over its own pins are offered: there is nothing else in CCS.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.messages import din as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc import iso2_dc as dc
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.iso2_base import TwoSession
from chargerd.vehicle.iso15118.secc.station import Energy

CHARGE_SERVICE = 1
ENERGY_TRANSFER: m.EVSESupportedEnergyTransfer = "DC_extended"
DAY_S = 86_400
PMAX_MAX_W = 32_767  # a short without multiplier: what is above cannot be told
CP_STATE = "CPState"  # V2G_SECC_CPState_Detection, in Times.ongoing_s
NO_EVSE_ID = b"\x00"  # "cannot provide one", as charging stations in the field send it


def evse_id(text: str) -> bytes:
    """EVSEID of DIN 91286 ("+49*123*456"): a digit a nibble, "*" is A.

    An ISO 15118 id has letters and cannot be said so: NO_EVSE_ID. Read in EVerest's
    and EcoG's configurations (49A80737A45678).
    """
    plain = text.removeprefix("+")
    if not plain or not plain.isascii() or plain.strip("0123456789*"):
        return NO_EVSE_ID
    nibbles = plain.replace("*", "A")
    return bytes.fromhex(nibbles + "A" * (len(nibbles) % 2))[:32]


def said(code: str) -> m.ResponseCode:
    return code  # type: ignore[return-value]  # the tests hold every code to the schema


def processing(session: TwoSession) -> m.EVSEProcessing:
    return "Ongoing" if session.processing == "Ongoing" else "Finished"


# --- until the vehicle is authorised --------------------------------------------------


def session_setup(session: TwoSession, request: m.SessionSetupReq) -> str:
    return session.open(request.EVCCID)


def session_setup_res(session: TwoSession, code: str) -> Complex:
    return m.SessionSetupRes(
        ResponseCode=said(code),
        EVSEID=evse_id(session.setup.evse_id),
        DateTimeNow=session.setup.utc_s(session.view.now_mono),
    )


def ok(session: TwoSession, request: Any) -> str:
    return "OK"


def discovery_res(session: TwoSession, code: str) -> Complex:
    return m.ServiceDiscoveryRes(
        ResponseCode=said(code),
        PaymentOptions=m.PaymentOptions(PaymentOption=["ExternalPayment"]),
        ChargeService=m.ServiceCharge(
            ServiceTag=m.ServiceTag(
                ServiceID=CHARGE_SERVICE, ServiceCategory="EVCharging"
            ),
            FreeService=session.setup.free,
            EnergyTransferType=ENERGY_TRANSFER,
        ),
    )


def detail(session: TwoSession, request: m.ServiceDetailReq) -> str:
    session.detail = request.ServiceID
    known = request.ServiceID == CHARGE_SERVICE
    return "OK" if known else "FAILED_ServiceIDInvalid"


def detail_res(session: TwoSession, code: str) -> Complex:
    """The charging service has no parameters."""
    return m.ServiceDetailRes(ResponseCode=said(code), ServiceID=session.detail)


def selection(session: TwoSession, request: m.ServicePaymentSelectionReq) -> str:
    chosen = {one.ServiceID for one in request.SelectedServiceList.SelectedService}
    if request.SelectedPaymentOption != "ExternalPayment":
        return "FAILED_PaymentSelectionInvalid"
    return "OK" if chosen == {CHARGE_SERVICE} else "FAILED_ServiceSelectionInvalid"


def selection_res(session: TwoSession, code: str) -> Complex:
    return m.ServicePaymentSelectionRes(ResponseCode=said(code))


def authentication(session: TwoSession, request: m.ContractAuthenticationReq) -> str:
    """The station's own word decides; the vehicle only asks for it."""
    if session.view.authorised:
        session.finished("ContractAuthenticationReq")
        session.go("parameters")
    elif not session.ongoing("ContractAuthenticationReq"):
        session.end(Cause.NOT_AUTHORISED)
        return "FAILED"
    return "OK"


def authentication_res(session: TwoSession, code: str) -> Complex:
    return m.ContractAuthenticationRes(
        ResponseCode=said(code), EVSEProcessing=processing(session)
    )


# --- parameters -----------------------------------------------------------------------


def parameters(session: TwoSession, request: m.ChargeParameterDiscoveryReq) -> str:
    mode, told = request.EVRequestedEnergyTransferType, request.EVChargeParameter
    if mode != ENERGY_TRANSFER or Energy.DC not in session.setup.energies:
        return "FAILED_WrongEnergyTransferType"
    right = isinstance(told, m.DC_EVChargeParameter) and dc.parameters(session, told)
    if not right:
        return dc.PARAMETER
    session.vehicle.mode = mode
    session.path.lock()
    if session.broken:
        return dc.BROKEN
    if not session.view.authorised:
        more = session.ongoing("ChargeParameterDiscoveryReq")
        return "OK" if more else dc.BROKEN
    session.finished("ChargeParameterDiscoveryReq")
    session.go("cable_check")
    return "OK"


def pmax_w(session: TwoSession) -> int:
    """The one schedule's power; the live limits are the loop's."""
    return min(PMAX_MAX_W, round(session.setup.ratings.charge_max_w))


def parameters_res(session: TwoSession, code: str) -> Complex:
    """SASchedules is mandatory even while processing goes on."""
    entry = m.PMaxScheduleEntry(
        TimeInterval=m.RelativeTimeInterval(start=0, duration=DAY_S),
        PMax=pmax_w(session),
    )
    schedule = m.SAScheduleTuple(
        SAScheduleTupleID=session.schedule_id,
        PMaxSchedule=m.PMaxSchedule(
            PMaxScheduleID=session.schedule_id, PMaxScheduleEntry=[entry]
        ),
    )
    return m.ChargeParameterDiscoveryRes(
        ResponseCode=said(code),
        EVSEProcessing=processing(session),
        SASchedules=m.SAScheduleList(SAScheduleTuple=[schedule]),
        EVSEChargeParameter=dc.charge_parameter(session),
    )


def cable_check(session: TwoSession, request: m.CableCheckReq) -> str:
    """The vehicle shows C or D soon after it asks [V2G-DC-547]."""
    waits = not session.view.energised_pilot
    if waits and not session.ongoing(CP_STATE):
        session.end(Cause.CABLE_CHECK)
        return dc.BROKEN
    return dc.cable_check(session, request)


# --- power ----------------------------------------------------------------------------


def power_delivery(session: TwoSession, request: m.PowerDeliveryReq) -> str:
    parameter = request.EVPowerDeliveryParameter
    if isinstance(parameter, m.DC_EVPowerDeliveryParameter):
        dc.ev_status(session, parameter.DC_EVStatus)
    if not request.ReadyToChargeState:
        session.path.stop(Cause.VEHICLE_STOP)
        return "OK"
    if session.at != "power":
        session.end(Cause.SEQUENCE)
        return "FAILED_SequenceError"
    code = _profile(session, request.ChargingProfile)
    if code != "OK":
        return code
    session.go("current_demand")
    # DIN has no word for a contactor that fails.
    return "OK" if dc.start(session) == "OK" else "FAILED_PowerDeliveryNotApplied"


def _profile(session: TwoSession, profile: m.ChargingProfile | None) -> str:
    """As in ISO 15118-2 [V2G2-224], [V2G2-225], [V2G2-479]."""
    if profile is None:
        return "OK"
    if profile.SAScheduleTupleID != session.schedule_id:
        return "FAILED_TariffSelectionInvalid"
    top_w = pmax_w(session)
    fits = all(e.ChargingProfileEntryMaxPower <= top_w for e in profile.ProfileEntry)
    return "OK" if fits else "FAILED_ChargingProfileInvalid"


def power_delivery_res(session: TwoSession, code: str) -> Complex:
    return m.PowerDeliveryRes(ResponseCode=said(code), EVSEStatus=dc.status(session))


def current_demand_res(session: TwoSession, code: str) -> Complex:
    return m.CurrentDemandRes(ResponseCode=said(code), **dc.loop_values(session))


# --- what DIN has in its schema and does not use --------------------------------------


def _ac_status(session: TwoSession) -> m.AC_EVSEStatus:
    return m.AC_EVSEStatus(
        PowerSwitchClosed=False,
        RCD=False,
        NotificationMaxDelay=0,
        EVSENotification="None",
    )


def payment_details_res(session: TwoSession, code: str) -> Complex:
    return m.PaymentDetailsRes(
        ResponseCode=said(code),
        GenChallenge="",
        DateTimeNow=session.setup.utc_s(session.view.now_mono),
    )


def charging_status_res(session: TwoSession, code: str) -> Complex:
    return m.ChargingStatusRes(
        ResponseCode=said(code),
        EVSEID=evse_id(session.setup.evse_id),
        SAScheduleTupleID=session.schedule_id,
        ReceiptRequired=False,
        AC_EVSEStatus=_ac_status(session),
    )


def receipt_res(session: TwoSession, code: str) -> Complex:
    return m.MeteringReceiptRes(
        ResponseCode=said(code), AC_EVSEStatus=_ac_status(session)
    )


def installation_res(session: TwoSession, code: str) -> Complex:
    return m.CertificateInstallationRes(ResponseCode=said(code), **_nothing())


def update_res(session: TwoSession, code: str) -> Complex:
    return m.CertificateUpdateRes(ResponseCode=said(code), RetryCounter=0, **_nothing())


def _nothing() -> dict[str, Any]:
    return {
        "Id": "id1",
        "ContractSignatureCertChain": m.CertificateChain(Certificate=b""),
        "ContractSignatureEncryptedPrivateKey": b"",
        "DHParams": b"",
        "ContractID": "",
    }


# --- the end --------------------------------------------------------------------------


def session_stop_res(session: TwoSession, code: str) -> Complex:
    return m.SessionStopRes(ResponseCode=said(code))
