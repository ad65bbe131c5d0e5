"""Signed meter values (J02.FR.21, .23, .24): the meter's own text on its way.

Pure. The text is OCMF and holds begin and end of the transaction, so it goes with the
value of Transaction.End. It is never changed and never made here.
"""

from __future__ import annotations

import base64
import json

from chargerd.model import EvseReport
from chargerd.ocpp.effects import Payload
from firmware_bridge.api import SignedReading

REGISTER = "Energy.Active.Import.Register"
MAX_TEXT = 24_576  # characters: 32,768 in base64, the most the schema takes
MAX_KEY = 1_800


def signed_reading(report: EvseReport, session_id: str) -> SignedReading | None:
    """What the meter signed for this session; None = nothing (yet)."""
    told = report.snapshot.telemetry.signed
    if told is None or not session_id or told.value.session_id != session_id:
        return None
    return told.value if 0 < len(told.value.text) <= MAX_TEXT else None


def failed(report: EvseReport, session_id: str) -> bool:
    """The meter has said that there will be no text for this session."""
    told = report.snapshot.telemetry.signed
    if told is None:
        return True
    over = told.value.session_id == session_id and told.value.open_id != session_id
    return over and not told.value.text


def signed_value(signed: SignedReading, *, with_key: bool) -> Payload:
    """A SignedMeterValueType."""
    value: Payload = {
        "signedMeterData": _base64(signed.text),
        "encodingMethod": "OCMF",
    }
    method = _method(signed.text)
    if method:
        value["signingMethod"] = method[:50]
    if with_key and 0 < len(signed.public_key) <= MAX_KEY:
        value["publicKey"] = _base64(_named(signed.public_key))
    return value


def put_in(values: list[Payload], signed: Payload) -> None:
    """Into the import register of Transaction.End, where that is asked for."""
    for value in reversed(values):
        for sample in value["sampledValue"]:
            if sample["measurand"] == REGISTER and (
                sample["context"] == "Transaction.End"
            ):
                sample["signedMeterValue"] = signed
                return


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _method(text: str) -> str:
    """SA of the signature section; absent, OCMF means secp256r1 (table 22)."""
    try:
        found = json.loads(text.rsplit("|", maxsplit=1)[-1])
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    return str(found.get("SA", "ECDSA-secp256r1-SHA256"))


def _named(key_hex: str) -> str:
    """J02.FR.23 for a SubjectPublicKeyInfo; a bare point has no such name."""
    return f"oca:base16:asn1:{key_hex}" if key_hex[:2] == "30" else key_hex
