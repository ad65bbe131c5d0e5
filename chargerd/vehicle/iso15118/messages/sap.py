"""SupportedAppProtocol: the handshake that chooses the schema set of the session."""

from __future__ import annotations

from typing import Literal

from chargerd.vehicle.iso15118.messages.declare import (
    UNSIGNED_BYTE,
    UNSIGNED_INT,
    Complex,
    Enumeration,
    Global,
    Integer,
    Schema,
    String,
    element,
    elements,
)

APP_PROTOCOL = "urn:iso:15118:2:2010:AppProtocol"

PROTOCOL_NAMESPACE = String(max=100)
PRIORITY = Integer(1, 20)
ResponseCode = Literal[
    "OK_SuccessfulNegotiation",
    "OK_SuccessfulNegotiationWithMinorDeviation",
    "Failed_NoNegotiation",
]
RESPONSE_CODE = Enumeration(ResponseCode)


class AppProtocol(Complex, namespace=APP_PROTOCOL):
    """One protocol the vehicle offers; Priority 1 is its first wish."""

    ProtocolNamespace: str = element(PROTOCOL_NAMESPACE)
    VersionNumberMajor: int = element(UNSIGNED_INT)
    VersionNumberMinor: int = element(UNSIGNED_INT)
    SchemaID: int = element(UNSIGNED_BYTE)
    Priority: int = element(PRIORITY)


class SupportedAppProtocolReq(Complex, namespace=APP_PROTOCOL):
    """The vehicle's offer."""

    AppProtocol: list[AppProtocol] = elements(AppProtocol, 1, 20)


class SupportedAppProtocolRes(Complex, namespace=APP_PROTOCOL):
    """The station's choice: the SchemaID of one offered protocol."""

    ResponseCode: ResponseCode = element(RESPONSE_CODE)
    SchemaID: int | None = element(UNSIGNED_BYTE, default=None)


TYPES = (AppProtocol, SupportedAppProtocolReq, SupportedAppProtocolRes)

SCHEMA = Schema(
    "sap",
    (
        Global("supportedAppProtocolReq", APP_PROTOCOL, SupportedAppProtocolReq),
        Global("supportedAppProtocolRes", APP_PROTOCOL, SupportedAppProtocolRes),
    ),
    TYPES,
)
