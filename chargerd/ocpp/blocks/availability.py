"""Block G: connector status and ChangeAvailability.

Owns what each connector's AvailabilityState is, when the CSMS hears of it (G01, B04),
and the persistent Inoperative wish (G03, G04). 2.1 reports by NotifyEvent, 2.0.1 by
StatusNotification.
"""

from __future__ import annotations

from collections.abc import Mapping

from chargerd import faults
from chargerd.clock import Now
from chargerd.model import AvailabilityRequest, EvseReport, SessionPhase
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal, stamp
from chargerd.ocpp.effects import Answer, Durability, Payload
from chargerd.ocpp.v2 import dialect

WORST_FIRST = ("Faulted", "Unavailable", "Occupied", "Available")
STATION = 0


def status_of(report: EvseReport, connector_id: int) -> str:
    """ConnectorStatusEnumType of one connector (G01.FR.01, .08)."""
    snapshot = report.snapshot
    if any(faults.lookup(fault.name).stops_power for fault in snapshot.faults):
        return "Faulted"
    session = snapshot.session
    if session.phase is not SessionPhase.IDLE and session.connector_id == connector_id:
        return "Occupied"
    return "Available" if snapshot.operative else "Unavailable"


class Availability(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: dict[tuple[int, int], str] = {}
        self._saved: dict[str, bool] = {
            key: bool(value)
            for key, value in desk.saved.get("availability", {}).items()
            if key.isdecimal()
        }
        self._keys: dict[int, tuple[object, ...]] = {}

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ChangeAvailability": self.change,
        }

    def begin(self, now: Now) -> None:
        """Ask for what was set before the restart (G03.FR.08)."""
        for key, operative in sorted(self._saved.items()):
            if int(key) == STATION or int(key) in self._desk.evses:
                self._desk.ask(AvailabilityRequest(int(key), operative))

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        snapshot = report.snapshot
        session = snapshot.session
        key = (
            session.phase,
            session.connector_id,
            snapshot.faults,
            snapshot.operative,
            self._desk.online and self._desk.accepted,
        )
        if key == self._keys.get(view.config.id):
            return
        self._keys[view.config.id] = key
        statuses = []
        for connector in view.config.connectors:
            status = status_of(report, connector.id)
            statuses.append(status)
            self._desk.model.update(
                "Connector", "AvailabilityState", status, view.config.id, connector.id
            )
            if key[-1]:
                self._tell(view.config.id, connector.id, status, now)
        view.status = _worst(statuses)
        self._desk.model.update(
            "EVSE", "AvailabilityState", view.status, view.config.id
        )
        known = [v.status for v in self._desk.evses.values() if v.status]
        self._desk.model.update(
            "ChargingStation",
            "AvailabilityState",
            "Available" if "Available" in known else _worst(known),
        )

    def _tell(self, evse_id: int, connector_id: int, status: str, now: Now) -> None:
        place = (evse_id, connector_id)
        if self._told.get(place) != status:
            self._told[place] = status
            self.notify(evse_id, connector_id, status, now)

    def notify(
        self,
        evse_id: int,
        connector_id: int,
        status: str,
        now: Now,
        *,
        while_gated: bool = False,
    ) -> None:
        if self._desk.version == dialect.V201:
            action, payload = _by_status(evse_id, connector_id, status, now)
        else:
            event_id = self._desk.next_number("event")
            action, payload = _by_event(evse_id, connector_id, status, event_id, now)
        self._desk.send(
            action, payload, now, Durability.NOW_OR_NEVER, while_gated=while_gated
        )

    def _forget_told(self) -> None:
        """All connectors report again: after a boot or a long offline (B01, B04)."""
        self._told.clear()
        self._keys.clear()

    def registered(self, now: Now) -> None:
        self._forget_told()  # B01.FR.05

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        threshold_s = self._desk.model.number("OCPPCommCtrlr", "OfflineThreshold")
        if up and offline_s > threshold_s:  # B04
            self._told.clear()
        self._keys.clear()

    def change(self, request: Payload, now: Now) -> Answer:
        """ChangeAvailability (G03, G04). A connector stands for its only EVSE."""
        at = request.get("evse", {})
        evse_id = at.get("id", STATION)
        views = list(self._desk.evses.values())
        if evse_id:
            view = self._desk.evses.get(evse_id)
            if view is None:
                return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
            views = [view]
            connectors = [connector.id for connector in view.config.connectors]
            if at.get("connectorId", connectors[0]) not in connectors:
                return refusal("UnknownConnectorId")
            if "connectorId" in at and len(connectors) > 1:
                return refusal("UnsupportedRequest", "ask for the whole EVSE")
        operative = request["operationalStatus"] == "Operative"
        self._desk.save("availability", str(evse_id), operative)
        self._desk.ask(AvailabilityRequest(evse_id, operative))
        waits = not operative and any(view.transaction_id for view in views)
        return {"status": "Scheduled" if waits else "Accepted"}


def _worst(statuses: list[str]) -> str:
    return next((s for s in WORST_FIRST if s in statuses), "Available")


def _by_status(
    evse_id: int, connector_id: int, status: str, now: Now
) -> tuple[str, Payload]:
    return "StatusNotification", {
        "timestamp": stamp(now.utc),
        "connectorStatus": status,
        "evseId": evse_id,
        "connectorId": connector_id,
    }


def _by_event(
    evse_id: int, connector_id: int, status: str, event_id: int, now: Now
) -> tuple[str, Payload]:
    event = {
        "eventId": event_id,
        "timestamp": stamp(now.utc),
        "trigger": "Delta",
        "actualValue": status,
        "eventNotificationType": "HardWiredNotification",
        "component": {
            "name": "Connector",
            "evse": {"id": evse_id, "connectorId": connector_id},
        },
        "variable": {"name": "AvailabilityState"},
    }
    return "NotifyEvent", {
        "generatedAt": stamp(now.utc),
        "seqNo": 0,
        "eventData": [event],
    }
