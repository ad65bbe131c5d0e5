"""OpenADR 2.0b's words: checked values out of texts, and the messages that we send.

Pure. Texts from a VTN go back into XML unescaped, so an id may hold no markup.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chargerd.grid.errors import GridError

Json = dict[str, Any]
_ID = re.compile(r"[^<>&\"'\x00-\x20\x7f]{1,128}")
_DURATION = re.compile(
    r"(-?)P(?:(\d{1,4})W)?(?:(\d{1,5})D)?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9}(?:\.\d+)?)S)?)?"
)
_SECONDS = (604_800.0, 86_400.0, 3600.0, 60.0, 1.0)
_SCALES = {"": 1.0, "none": 1.0, "m": 1e-3, "c": 1e-2, "d": 0.1}
_SCALES |= {"k": 1e3, "M": 1e6, "G": 1e9}

# OpenADR 2.0b's response codes, as openleadr's STATUS_CODES has them.
OK, SEQUENCE, INVALID_ID, INVALID_DATA = 200, 450, 452, 454
NOT_SUPPORTED, MISMATCH, NOT_REGISTERED = 460, 462, 463


class Refused(GridError):
    """What is not followed. `reason` is the counter's name, `code` the VTN's answer."""

    def __init__(self, reason: str, code: int, text: str) -> None:
        super().__init__(text)
        self.reason, self.code = reason, code


def identifier(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Refused("malformed", INVALID_ID, f"{key} is no id")
    return value


def safe(value: Any) -> str:
    """A request's id as it may go back; "" where it may not."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = values.get(key) or []
    if not isinstance(found, list) or not all(isinstance(t, str) for t in found):
        raise Refused("malformed", INVALID_DATA, f"{key} is no list of texts")
    return tuple(found)


def objects(values: Mapping[str, Any], key: str) -> list[Json]:
    """The objects in a list; what is none is left out."""
    found = values.get(key)
    return [o for o in found if isinstance(o, dict)] if isinstance(found, list) else []


def whole(values: Mapping[str, Any], key: str, default: int) -> int:
    """0 to 2^31; `default` where it is not given."""
    value = values.get(key, "")
    if value == "":
        return default
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value):
        raise Refused("malformed", INVALID_DATA, f"{key} is no number")
    return int(value)


def number(text: Any) -> float:
    try:
        value = float(text) if isinstance(text, str) and len(text) <= 40 else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e12:
        raise Refused("range", INVALID_DATA, "a payload is no number to follow")
    return value


def scale(text: Any) -> float:
    """siScaleCode."""
    found = _SCALES.get(text) if isinstance(text, str) else None
    if found is None:
        raise Refused("malformed", INVALID_DATA, "an unknown siScaleCode")
    return found


def seconds(text: Any, default: float = 0.0) -> float:
    """An ISO 8601 duration without years and months, never negative."""
    if text in ("", None, "P"):  # openleadr writes "P" for none
        return default
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or not re.search(r"\d", text) or match[1]:
        raise Refused("malformed", INVALID_DATA, "a duration is malformed")
    parts = match.groups()[1:]
    return sum(float(p or 0) * s for p, s in zip(parts, _SECONDS, strict=True))


def utc(text: Any) -> datetime:
    """A time with its offset, of this century."""
    try:
        found = datetime.fromisoformat(text if isinstance(text, str) else "")
        moment = found.astimezone(UTC) if found.utcoffset() is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not 2020 <= moment.year < 2100:
        raise Refused("malformed", INVALID_DATA, "a time is malformed")
    return moment


@dataclass(frozen=True, slots=True)
class Call:
    """One message for the VEN's process to send. `kind` is the core's own word."""

    kind: str
    service: str
    message: str
    payload: Json

    def wire(self) -> Json:
        return {
            "service": self.service,
            "message": self.message,
            "payload": self.payload,
        }


_NEW_ID = {"new": "id"}


def _response(request_id: str, code: int = OK) -> Json:
    text = "OK" if code == OK else "ERROR"
    return {"response_code": code, "response_description": text} | {
        "request_id": request_id
    }


def register(ven_name: str, ven_id: str, registration_id: str, *, sign: bool) -> Call:
    payload = {
        "request_id": _NEW_ID,
        "ven_name": ven_name,
        "ven_id": ven_id or None,
        "registration_id": registration_id or None,
        "http_pull_model": True,
        "xml_signature": sign,
        "report_only": False,
        "profile_name": "2.0b",
        "transport_name": "simpleHttp",
        "transport_address": None,
    }
    return Call("register", "EiRegisterParty", "oadrCreatePartyRegistration", payload)


def poll(ven_id: str) -> Call:
    return Call("poll", "OadrPoll", "oadrPoll", {"ven_id": ven_id})


def request_events(ven_id: str) -> Call:
    """Asks for all of them."""
    payload = {"request_id": _NEW_ID, "ven_id": ven_id, "reply_limit": None}
    return Call("events", "EiEvent", "oadrRequestEvent", payload)


@dataclass(frozen=True, slots=True)
class Answer:
    """To one event."""

    event_id: str
    modification: int
    opt_in: bool
    code: int = OK


def created_event(ven_id: str, request_id: str, answers: Iterable[Answer]) -> Call:
    responses = [
        {
            **_response(request_id, a.code),
            "event_id": a.event_id,
            "modification_number": a.modification,
            "opt_type": "optIn" if a.opt_in else "optOut",
        }
        for a in answers
    ]
    payload = {
        "ven_id": ven_id,
        "response": _response(request_id),
        "event_responses": responses,
    }
    return Call("answer", "EiEvent", "oadrCreatedEvent", payload)


def opt_out(
    ven_id: str, event_id: str, modification: int, resources: Iterable[str], now: str
) -> Call:
    """After it was accepted: the vehicle's own need comes first."""
    payload = {
        "request_id": _NEW_ID,
        "ven_id": ven_id,
        "opt_id": _NEW_ID,
        "opt_type": "optOut",
        "opt_reason": "mustRun",
        "created_date_time": {"utc": now},
        "event_id": event_id,
        "modification_number": modification,
        "targets": [{"resource_id": name} for name in resources],
    }
    return Call("opt", "EiOpt", "oadrCreateOpt", payload)


def respond(ven_id: str, service: str, request_id: str) -> Call:
    payload = {"ven_id": ven_id, "response": _response(request_id)}
    return Call("answer", service, "oadrResponse", payload)


def no_reports(ven_id: str, request_id: str) -> Call:
    """The VTN offers reports of its own; we want none."""
    payload = {
        "ven_id": ven_id,
        "report_requests": [],
        "response": _response(request_id),
    }
    return Call("answer", "EiReport", "oadrRegisteredReport", payload)


def cancelled_registration(ven_id: str, registration_id: str, request_id: str) -> Call:
    payload = {
        "ven_id": ven_id,
        "registration_id": registration_id,
        "response": _response(request_id),
    }
    message = "oadrCanceledPartyRegistration"
    return Call("answer", "EiRegisterParty", message, payload)
