"""SupportedAppProtocol: which protocol the two sides will speak.

Owns both messages, the table of protocols and the choice by the vehicle's priority.
Must never decide what the station offers: configuration and the TLS handshake do.
Source: ISO 15118-2 section 8.2, ISO 15118-20 section 8.2; V2G20-1235, V2G20-2356.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import sap as messages

MAX_OFFERS = 20  # AppProtocol maxOccurs


class ResponseCode(StrEnum):
    """responseCodeType of the SupportedAppProtocol schema."""

    OK = "OK_SuccessfulNegotiation"
    OK_MINOR_DEVIATION = "OK_SuccessfulNegotiationWithMinorDeviation"
    FAILED = "Failed_NoNegotiation"


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol that a station can speak. `schema` is the codec's name for it."""

    namespace: str
    major: int
    minor: int
    schema: str
    needs_mutual_tls_1_3: bool = False


DIN = Protocol("urn:din:70121:2012:MsgDef", 2, 0, "din")
ISO2 = Protocol("urn:iso:15118:2:2013:MsgDef", 2, 0, "iso2")
ISO20_AC = Protocol("urn:iso:std:iso:15118:-20:AC", 1, 0, "ac", True)
ISO20_DC = Protocol("urn:iso:std:iso:15118:-20:DC", 1, 0, "dc", True)
ISO20_ACDP = Protocol("urn:iso:std:iso:15118:-20:ACDP", 1, 0, "acdp", True)
ISO20_WPT = Protocol("urn:iso:std:iso:15118:-20:WPT", 1, 0, "wpt", True)
PROTOCOLS = (DIN, ISO2, ISO20_AC, ISO20_DC, ISO20_ACDP, ISO20_WPT)


@dataclass(frozen=True, slots=True)
class Offer:
    """One AppProtocol of the vehicle; `priority` 1 is what it likes best."""

    namespace: str
    major: int
    minor: int
    schema_id: int
    priority: int


def name_of(spoken: Protocol | Offer) -> str:
    """ "namespace,major,minor", as OCPP writes it."""
    return f"{spoken.namespace},{spoken.major},{spoken.minor}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer. Without a common protocol, `protocol` and `schema_id` are None."""

    code: ResponseCode
    protocol: Protocol | None = None
    schema_id: int | None = None


def speakable(
    protocols: Iterable[Protocol], *, mutual_tls_1_3: bool
) -> tuple[Protocol, ...]:
    """What may be chosen on this connection.

    ISO 15118-20 is never chosen on plain TCP, TLS 1.2 or without the vehicle's
    certificate: `mutual_tls_1_3` is the handshake's own result, not configuration.
    """
    return tuple(
        protocol
        for protocol in protocols
        if mutual_tls_1_3 or not protocol.needs_mutual_tls_1_3
    )


def choose(
    offers: Collection[Offer],
    protocols: Collection[Protocol],
    broken: Collection[Protocol] = (),
) -> Choice:
    """The vehicle's best offer that the station speaks; what is `broken` comes last.

    The namespace and the major version must be equal; another minor version is said
    in the code. Unknown namespaces (a maker's own beside DIN's) are passed over.
    Equal priorities go by the vehicle's order. A schema id that was given twice names
    no single offer: those offers are passed over, too.
    """
    if len(offers) > MAX_OFFERS:
        return Choice(ResponseCode.FAILED)
    known = {(p.namespace, p.major): p for p in protocols}
    ids = [offer.schema_id for offer in offers]
    last = {(p.namespace, p.major) for p in broken}
    order = sorted(offers, key=lambda o: ((o.namespace, o.major) in last, o.priority))
    for offer in order:
        protocol = known.get((offer.namespace, offer.major))
        if protocol is None or ids.count(offer.schema_id) > 1:
            continue
        same = offer.minor == protocol.minor
        code = ResponseCode.OK if same else ResponseCode.OK_MINOR_DEVIATION
        return Choice(code, protocol, offer.schema_id)
    return Choice(ResponseCode.FAILED)


def decode_request(data: bytes) -> list[Offer]:
    """The vehicle's offers in its order; V2gError: close the connection."""
    message = exi.decode("sap", data)
    if not isinstance(message, messages.SupportedAppProtocolReq):
        raise V2gError("SupportedAppProtocolRes from the vehicle: close the connection")
    return [
        Offer(
            each.ProtocolNamespace,
            each.VersionNumberMajor,
            each.VersionNumberMinor,
            each.SchemaID,
            each.Priority,
        )
        for each in message.AppProtocol
    ]


def encode_request(offers: Iterable[Offer]) -> bytes:
    """The vehicle's offers as EXI."""
    return exi.encode(
        messages.SupportedAppProtocolReq(
            AppProtocol=[
                messages.AppProtocol(
                    ProtocolNamespace=offer.namespace,
                    VersionNumberMajor=offer.major,
                    VersionNumberMinor=offer.minor,
                    SchemaID=offer.schema_id,
                    Priority=offer.priority,
                )
                for offer in offers
            ]
        )
    )


def encode_response(choice: Choice) -> bytes:
    """The station's answer as EXI; without a protocol there is no SchemaID."""
    return exi.encode(
        messages.SupportedAppProtocolRes(
            ResponseCode=choice.code.value, SchemaID=choice.schema_id
        )
    )


def decode_response(data: bytes) -> tuple[ResponseCode, int | None]:
    """The station's code and the chosen SchemaID, for the vehicle's side."""
    message = exi.decode("sap", data)
    if not isinstance(message, messages.SupportedAppProtocolRes):
        raise V2gError("SupportedAppProtocolReq from the station: close the connection")
    return ResponseCode(message.ResponseCode), message.SchemaID
