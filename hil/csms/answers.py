"""What the small CSMS answers when nobody overrides it. Pure: the time is passed in."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hil.csms.link import Peer
from hil.csms.wire import Refusal

Payload = dict[str, Any]

# What a station tells and the CSMS only acknowledges.
ACKNOWLEDGED = frozenset(
    {
        "BatterySwap",
        "ClearedChargingLimit",
        "ClosePeriodicEventStream",
        "FirmwareStatusNotification",
        "LogStatusNotification",
        "MeterValues",
        "NotifyChargingLimit",
        "NotifyCustomerInformation",
        "NotifyDERAlarm",
        "NotifyDERStartStop",
        "NotifyDisplayMessages",
        "NotifyEvent",
        "NotifyMonitoringReport",
        "NotifyPriorityCharging",
        "NotifyReport",
        "NotifySettlement",
        "NotifyWebPaymentStarted",
        "PublishFirmwareStatusNotification",
        "ReportChargingProfiles",
        "ReportDERControl",
        "ReservationStatusUpdate",
        "SecurityEventNotification",
        "StatusNotification",
    }
)
# Answers that depend on nothing.
FIXED: dict[str, Payload] = {
    "DataTransfer": {"status": "UnknownVendorId"},
    "GetCertificateStatus": {"status": "Failed"},
    "NotifyEVChargingNeeds": {"status": "Processing"},  # no vehicle waits for more
    "NotifyEVChargingSchedule": {"status": "Accepted"},
    "OpenPeriodicEventStream": {"status": "Accepted"},
    "SignCertificate": {"status": "Accepted"},
}


def stamp(utc: datetime) -> str:
    """RFC 3339 with milliseconds and Z, as OCPP likes it."""
    return utc.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def token_status(peer: Peer, id_token: str) -> str:
    """The table of cards: blocked, then known (None = all). Case does not count."""
    token, csms = id_token.casefold(), peer.csms
    if token in {blocked.casefold() for blocked in csms.blocked}:
        return "Blocked"
    known = csms.known_tokens
    if known is None or token in {other.casefold() for other in known}:
        return "Accepted"
    return "Unknown"


def _boot(peer: Peer, payload: Payload, utc: datetime) -> Payload:
    csms = peer.csms
    return {
        "currentTime": stamp(utc),
        "interval": csms.boot_interval_s,
        "status": csms.boot_status,
    }


def _heartbeat(peer: Peer, payload: Payload, utc: datetime) -> Payload:
    return {"currentTime": stamp(utc)}


def _authorize(peer: Peer, payload: Payload, utc: datetime) -> Payload:
    status = token_status(peer, payload["idToken"]["idToken"])
    answer: Payload = {"idTokenInfo": {"status": status}}
    if "certificate" in payload or "iso15118CertificateHashData" in payload:
        answer["certificateStatus"] = peer.csms.certificate_status
    allowed = peer.csms.allowed_energy_transfer
    if allowed and peer.version == "ocpp2.1" and status == "Accepted":
        answer["allowedEnergyTransfer"] = list(allowed)
    return answer


def _transaction(peer: Peer, payload: Payload, utc: datetime) -> Payload:
    if "idToken" not in payload:
        return {}
    status = token_status(peer, payload["idToken"]["idToken"])
    return {"idTokenInfo": {"status": status}}


def _ev_certificate(peer: Peer, payload: Payload, utc: datetime) -> Payload:
    """The request goes to whoever makes certificates; its answer back as it is."""
    service = peer.csms.ev_certificates
    if service is None:
        return {"status": "Failed", "exiResponse": ""}
    answer = service(base64.b64decode(payload["exiRequest"]))
    return {"status": "Accepted", "exiResponse": base64.b64encode(answer).decode()}


def _pull(peer: Peer, payload: Payload, utc: datetime) -> Payload:
    """K28.FR.07 and .12: the newest dynamic values, or Rejected for unknown ids."""
    for dynamic in peer.dynamic.values():
        if dynamic.profile_id == payload["chargingProfileId"]:
            return {"status": "Accepted", "scheduleUpdate": dict(dynamic.values)}
    return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidProfile"}}


MADE: dict[str, Callable[[Peer, Payload, datetime], Payload]] = {
    "Authorize": _authorize,
    "BootNotification": _boot,
    "Get15118EVCertificate": _ev_certificate,
    "Heartbeat": _heartbeat,
    "PullDynamicScheduleUpdate": _pull,
    "TransactionEvent": _transaction,
}


def default_answer(
    peer: Peer, action: str, payload: Payload, utc: datetime
) -> Payload | Refusal:
    """The answer to a valid CALL of the station; NotSupported for what no station
    asks, or what this CSMS does not do."""
    if action in MADE:
        return MADE[action](peer, payload, utc)
    if action in FIXED:
        return dict(FIXED[action])
    if action in ACKNOWLEDGED:
        return {}
    return Refusal("NotSupported", f"this CSMS does not do {action}")
