"""What the tests of monitors share: a variable, a monitor, and how it is set."""

from __future__ import annotations

from typing import Any

from chargerd.model import SessionPhase
from tests.unit.ocpp.station_rig import Rig, config
from tests.unit.ocpp.variable_kit import item

POWER = item("EVSE", "Power", evse={"id": 1})
STATE = item("Connector", "AvailabilityState", evse={"id": 1, "connectorId": 1})
STORE = item("Controller", "Problem", evse={"id": 1})
Row = dict[str, Any]


def monitored(**ocpp: Any) -> Rig:
    """An accepted station whose EVSE has reported, nothing told since."""
    rig = Rig(config(**ocpp)).boot()
    rig.observe()
    rig.clear()
    return rig


def data(on: Row = POWER, kind: str = "UpperThreshold", value: float = 3000, **m: Any):
    return {**on, "type": kind, "value": value, "severity": 3, **m}


def set_all(rig: Rig, *items: Row) -> list[Row]:
    answer = rig.call("SetVariableMonitoring", {"setMonitoringData": list(items)})
    assert isinstance(answer, dict), answer
    results: list[Row] = answer["setMonitoringResult"]
    return results


def set_one(
    rig: Rig, on: Row = POWER, kind: str = "UpperThreshold", **more: Any
) -> int:
    """The id it got."""
    (result,) = set_all(rig, data(on, kind, **more))
    assert result["status"] == "Accepted", result
    monitor_id: int = result["id"]
    return monitor_id


def charge(rig: Rig, power_w: float, **more: Any) -> None:
    """The EVSE charges with this power; the monitors have looked."""
    rig.observe(SessionPhase.ENERGY, authorised=True, power_w=power_w, **more)
    rig.run_s(1.0)


def events(rig: Rig) -> list[Row]:
    """Of monitors; forgets them."""
    found = [
        event
        for payload in rig.payloads("NotifyEvent")
        for event in payload["eventData"]
        if "variableMonitoringId" in event
    ]
    rig.sent.clear()
    return found


def brief(rig: Rig) -> list[tuple[str, str, bool]]:
    """Trigger, value and whether cleared, of each event."""
    return [
        (e["trigger"], e["actualValue"], e.get("cleared", False)) for e in events(rig)
    ]


def shown(rig: Rig, **request: Any) -> list[Row]:
    """The monitors of a GetMonitoringReport."""
    rig.clear()
    rig.call("GetMonitoringReport", {"requestId": 7, **request})
    return [
        monitor
        for payload in rig.payloads("NotifyMonitoringReport")
        for row in payload["monitor"]
        for monitor in row["variableMonitoring"]
    ]


def ids(rig: Rig, **request: Any) -> list[int]:
    return [monitor["id"] for monitor in shown(rig, **request)]
