"""Elements of the device model's messages, short ways to ask them, what was told."""

from __future__ import annotations

from typing import Any

from tests.unit.ocpp.station_rig import Rig

COMM = "OCPPCommCtrlr"


def item(
    component: str, variable: str, value: str | None = None, **more: Any
) -> dict[str, Any]:
    name, _, part_instance = component.partition("[")
    part: dict[str, Any] = {"name": name}
    if part_instance:
        part["instance"] = part_instance.removesuffix("]")
    if "evse" in more:
        part["evse"] = more.pop("evse")
    named: dict[str, Any] = {"name": variable}
    if "instance" in more:
        named["instance"] = more.pop("instance")
    made: dict[str, Any] = {"component": part, "variable": named, **more}
    if value is not None:
        made["attributeValue"] = value
    return made


def set_one(rig: Rig, made: dict[str, Any]) -> dict[str, Any]:
    answer = rig.call("SetVariables", {"setVariableData": [made]})
    assert isinstance(answer, dict)
    (result,) = answer["setVariableResult"]
    assert isinstance(result, dict)
    return result


def get_one(rig: Rig, made: dict[str, Any]) -> dict[str, Any]:
    answer = rig.call("GetVariables", {"getVariableData": [made]})
    assert isinstance(answer, dict)
    (result,) = answer["getVariableResult"]
    assert isinstance(result, dict)
    return result


def reported(rig: Rig) -> list[dict[str, Any]]:
    """All rows of the reports sent so far."""
    return [row for r in rig.payloads("NotifyReport") for row in r["reportData"]]


def events(rig: Rig) -> list[dict[str, Any]]:
    """All events of the NotifyEvents sent so far."""
    return [e for p in rig.payloads("NotifyEvent") for e in p["eventData"]]


def statuses(rig: Rig) -> list[tuple[int, str]]:
    """(EVSE, status) as told so far, by either message."""
    by_status = [
        (p["evseId"], p["connectorStatus"]) for p in rig.payloads("StatusNotification")
    ]
    by_event = [
        (event["component"]["evse"]["id"], event["actualValue"])
        for event in events(rig)
        if event["variable"]["name"] == "AvailabilityState"
    ]
    return by_status + by_event
