"""One readable line per message, and one JSON line for programs. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hil.csms.ledger import samples
from hil.csms.wire import Message

ARROWS = {"in": "<-", "out": "->"}
UNITS = {"Energy": "Wh", "Power": "W", "Voltage": "V", "Current": "A", "SoC": "%"}
WIDTH = 160


def line(identity: str, message: Message, at: datetime) -> str:
    """`12:34:56.789 CS1 <- TransactionEvent  Updated 7: ...`; `<-` from the station."""
    mark = {"result": " =", "error": " !", "result_error": " !"}.get(message.kind, "")
    head = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {identity}"
    text = f"{head} {ARROWS[message.direction]} {message.action}{mark}"
    return f"{text}  {gist(message)}"[:WIDTH].rstrip()


def json_line(identity: str, message: Message, at: datetime) -> str:
    """The whole message as one JSON object."""
    fields = {
        "utc": at.isoformat(timespec="milliseconds"),
        "station": identity,
        "direction": message.direction,
        "kind": message.kind,
        "action": message.action,
        "payload": message.payload,
    }
    return json.dumps(fields)


def gist(message: Message) -> str:
    """What matters of a payload, in words where we know the action."""
    payload = message.payload
    if message.kind == "call" and message.action in GISTS:
        try:
            return GISTS[message.action](payload)
        except (LookupError, TypeError, AttributeError):
            pass  # a payload the schema refuses is shown as it is
    return json.dumps(payload) if payload else ""


def _transaction(payload: dict[str, Any]) -> str:
    info = payload["transactionInfo"]
    words = [
        f"{payload['eventType']} {payload['seqNo']}: {payload['triggerReason']}",
        info.get("chargingState", ""),
        info.get("operationMode", ""),
        info.get("stoppedReason", ""),
        "offline" if payload.get("offline") else "",
        _meter(payload.get("meterValue", [])),
    ]
    return ", ".join(word for word in words if word)


def _meter(meter_values: list[dict[str, Any]]) -> str:
    """The newest value of each measurand, shortened."""
    newest = {name: value for name, _, value in samples(meter_values)}
    shown = []
    for name, value in newest.items():
        unit = UNITS.get(name.split(".")[0], "")
        shown.append(f"{_short(name)} {value:.10g} {unit}".rstrip())
    return " ".join(shown)


def _short(measurand: str) -> str:
    words = measurand.split(".")
    return ".".join(word for word in words if word not in ("Active", "Register"))


def _profile(payload: dict[str, Any]) -> str:
    profile = payload["chargingProfile"]
    periods = profile["chargingSchedule"][0]["chargingSchedulePeriod"]
    names = ("operationMode", "setpoint", "limit", "dischargeLimit")
    first = ", ".join(f"{key} {periods[0][key]}" for key in names if key in periods[0])
    more = f" (+{len(periods) - 1} periods)" if len(periods) > 1 else ""
    kind = f"{profile['chargingProfilePurpose']} {profile['chargingProfileKind']}"
    return f"EVSE {payload['evseId']} {kind} {profile['id']}: {first}{more}"


def _update(payload: dict[str, Any]) -> str:
    values = payload["scheduleUpdate"].items()
    shown = ", ".join(f"{key} {value}" for key, value in values)
    return f"profile {payload['chargingProfileId']}: {shown}"


def _event(payload: dict[str, Any]) -> str:
    shown = []
    for data in payload["eventData"]:
        component, variable = data["component"], data["variable"]["name"]
        evse = component.get("evse", {}).get("id", "")
        shown.append(f"{component['name']}{evse}.{variable}={data['actualValue']}")
    return ", ".join(shown)


def _status(payload: dict[str, Any]) -> str:
    where = f"EVSE {payload['evseId']} connector {payload['connectorId']}"
    return f"{where}: {payload['connectorStatus']}"


def _token(payload: dict[str, Any]) -> str:
    token = payload["idToken"]
    return f"{token['idToken']} ({token['type']})"


GISTS = {
    "Authorize": _token,
    "NotifyEvent": _event,
    "SetChargingProfile": _profile,
    "StatusNotification": _status,
    "TransactionEvent": _transaction,
    "UpdateDynamicSchedule": _update,
}
