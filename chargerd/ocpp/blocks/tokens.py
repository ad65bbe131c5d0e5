"""Identities as OCPP writes them, and what the central system says of them.

Owns how tokens are compared and kept: as a digest, so that a stolen disk hands out no
cards. Decides nothing, and puts no identity into a log.
"""

from __future__ import annotations

import hashlib

from chargerd.model import EvseReport, Token
from chargerd.ocpp.blocks.needs_message import ISO_20
from chargerd.ocpp.effects import Payload

# The kinds that nobody is asked about, and that no cache keeps (C02, C03, C05).
UNCHECKED_KINDS = frozenset({"Central", "NoAuthorization"})


def id_token(token: Token) -> Payload:
    made: Payload = {"idToken": token.value, "type": token.kind}
    if token.details:  # C18.FR.04, .06
        made["additionalInfo"] = [
            {"additionalIdToken": value, "type": name} for name, value in token.details
        ]
    return made


def with_vehicle(token: Payload, report: EvseReport) -> Payload:
    """The vehicle's own id beside the token: an ISO 15118-20 transaction may become
    bidirectional, and who may is a matter of the vehicle (Q01.FR.02)."""
    vehicle = report.snapshot.vehicle
    if vehicle.protocol != ISO_20 or not vehicle.vehicle_id:
        return token
    vehicle_id = {"additionalIdToken": vehicle.vehicle_id, "type": "EVCCID"}
    return {**token, "additionalInfo": [*token.get("additionalInfo", ()), vehicle_id]}


def group_of(info: Payload) -> str:
    """The group in an IdTokenInfoType, or in a request with groupIdToken."""
    group: str = info.get("groupIdToken", {}).get("idToken", "")
    return group


def digest(kind: str, value: str) -> str:
    """Equal for equal tokens: value and type count, letter case and additionalInfo do
    not (C01.FR.25). The separators of an eMAID are optional (ISO 15118-2, annex H)."""
    if kind == "eMAID":
        value = value.replace("-", "")
    return hashlib.sha256(f"{kind}:{value.upper()}".encode()).hexdigest()[:32]


def digest_of(id_token: Payload) -> str:
    return digest(id_token["type"], id_token["idToken"])


def kept(info: Payload) -> Payload:
    """All of an IdTokenInfoType but what a cache leaves out (C10.FR.14)."""
    group = info.get("groupIdToken")
    if group is None or "additionalInfo" not in group:
        return info
    plain = {k: v for k, v in group.items() if k != "additionalInfo"}
    return {**info, "groupIdToken": plain}
