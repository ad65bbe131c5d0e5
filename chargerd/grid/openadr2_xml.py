"""OpenADR 2.0b messages from a VTN: an XML tree -> plain JSON of what the core reads.

Pure, and of texts only: the core judges them. openleadr's own reading is not used: it
turns ids that look like numbers into numbers ("007" -> 7). Runs in the VEN's process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

Json = dict[str, Any]


class Element(Protocol):
    """What lxml and xml.etree have in common."""

    @property
    def tag(self) -> Any: ...
    @property
    def text(self) -> str | None: ...
    def iter(self) -> Iterator[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


def read(tree: Element) -> tuple[str, Json]:
    """The message's name and its content; ("", {}) for what is no OpenADR payload, or
    has a second signed object hidden somewhere: a signature could be that one's."""
    signed = list(_all(tree, "oadrSignedObject"))
    message = next(iter(signed[0]), None) if len(signed) == 1 else None
    if message is None:
        return "", {}
    body: Json = {
        "code": _text(message, "responseCode"),
        "description": _text(message, "responseDescription"),
        "request_id": _own(message, "requestID") or _text(message, "requestID"),
        "vtn_id": _own(message, "vtnID"),
        "ven_id": _own(message, "venID"),
        "registration_id": _own(message, "registrationID"),
    }
    frequency = _first(message, "oadrRequestedOadrPollFreq")
    if frequency is not None:
        body["poll"] = _text(frequency, "duration")
    body["events"] = [_event(found) for found in _all(message, "oadrEvent")]
    body["report_requests"] = [_request(r) for r in _all(message, "oadrReportRequest")]
    body["cancel_reports"] = [
        found.text or ""
        for cancel in _all(message, "oadrCancelReport")
        for found in _all(cancel, "reportRequestID")
    ]
    return _name(message), body


def _name(element: Element) -> str:
    """Without its namespace; "" for comments."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _all(element: Element, name: str) -> Iterator[Element]:
    """In document order, `element` itself included."""
    return (found for found in element.iter() if _name(found) == name)


def _first(element: Element, name: str) -> Element | None:
    return next(_all(element, name), None)


def _text(element: Element, name: str) -> str:
    found = _first(element, name)
    return (found.text or "").strip() if found is not None else ""


def _own(element: Element, name: str) -> str:
    """Of a direct child."""
    for found in element:
        if _name(found) == name:
            return (found.text or "").strip()
    return ""


def _event(event: Element) -> Json:
    period = _first(event, "eiActivePeriod")
    span = {"start": "", "length": "", "start_after": ""}
    if period is not None:
        span = {
            "start": _text(period, "date-time"),
            "length": _outer_duration(period),
            "start_after": _text(period, "startafter"),
        }
    targets = [t for t in event.iter() if _name(t) == "eiTarget"]
    signals = _first(event, "eiEventSignals")
    within = [] if signals is None else [_signal(s) for s in _all(signals, SIGNAL)]
    return {
        "id": _text(event, "eventID"),
        "modification": _text(event, "modificationNumber"),
        "priority": _text(event, "priority"),
        "status": _text(event, "eventStatus"),
        "test": _text(event, "testEvent"),
        "context": _text(event, "marketContext"),
        "response": _text(event, "oadrResponseRequired"),
        **span,
        "resources": [r.text or "" for t in targets for r in _all(t, "resourceID")],
        "vens": [r.text or "" for t in targets for r in _all(t, "venID")],
        "signals": within,
    }


SIGNAL = "eiEventSignal"


def _outer_duration(period: Element) -> str:
    """properties/duration/duration; there are more, of notification and ramps."""
    properties = _first(period, "properties")
    for found in properties if properties is not None else ():
        if _name(found) == "duration":
            return _own(found, "duration")
    return ""


def _signal(signal: Element) -> Json:
    intervals = _first(signal, "intervals")
    found: Json = {
        "name": _text(signal, "signalName"),
        "type": _text(signal, "signalType"),
        "item": "",
        "unit": "",
        "scale": "",
        "intervals": [
            [_text(one, "duration") or _inner(one), _payload(one)]
            for one in (() if intervals is None else _all(intervals, "interval"))
        ],
    }
    for child in signal:  # powerReal, energyReal, currencyPerKWh, ...
        if _first(child, "itemUnits") is not None:
            found["item"] = _name(child)
            found["unit"] = _text(child, "itemUnits")
            found["scale"] = _text(child, "siScaleCode")
    return found


def _inner(interval: Element) -> str:
    """duration/duration, where the outer one holds only white space."""
    outer = _first(interval, "duration")
    return _own(outer, "duration") if outer is not None else ""


def _payload(interval: Element) -> str:
    payload = _first(interval, "signalPayload")
    return _text(payload, "value") if payload is not None else ""


def _request(request: Element) -> Json:
    return {
        "id": _text(request, "reportRequestID"),
        "specifier": _text(request, "reportSpecifierID"),
        "granularity": _duration(request, "granularity"),
        "back": _duration(request, "reportBackDuration"),
        "r_ids": [found.text or "" for found in _all(request, "rID")],
    }


def _duration(element: Element, name: str) -> str:
    found = _first(element, name)
    return _own(found, "duration") if found is not None else ""
