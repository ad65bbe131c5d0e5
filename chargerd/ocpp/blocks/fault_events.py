"""Faults as NotifyEvent (N07): one event when a fault comes, one when it goes.

Owns the difference between what is present and what was told. The codes are those of
`chargerd.faults`, the one table.
"""

from __future__ import annotations

from chargerd import faults
from chargerd.clock import Now
from chargerd.model import ActiveFault, EvseReport
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.effects import Durability, Payload

Key = tuple[str, int]


class FaultEvents(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen: dict[int, tuple[ActiveFault, ...]] = {}
        self._told: dict[Key, int] = {}  # present faults -> the event that told it

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        present = report.snapshot.faults
        if present == self._seen.get(view.config.id, ()):
            return
        self._seen[view.config.id] = present
        # A fault of the station is in every EVSE's list: one event for all of them.
        everywhere = {
            (fault.name, fault.evse_id): fault
            for seen in self._seen.values()
            for fault in seen
        }
        for key, fault in everywhere.items():
            if key not in self._told:
                event_id = self._desk.next_number("event")
                self._told[key] = event_id
                event = _event(fault.name, fault.evse_id, event_id, "true", now)
                event["timestamp"] = stamp(fault.since_utc)  # when it came, not told
                self._send(event, fault.info, now)
        for key in [key for key in self._told if key not in everywhere]:
            cause = self._told.pop(key)
            event = _event(*key, self._desk.next_number("event"), "false", now)
            self._send({**event, "cleared": True, "cause": cause}, "", now)

    def _send(self, event: Payload, info: str, now: Now) -> None:
        if info:
            event["techInfo"] = info[:500]
        message = {"generatedAt": stamp(now.utc), "seqNo": 0, "eventData": [event]}
        self._desk.send("NotifyEvent", message, now, Durability.QUEUED)


def _event(name: str, evse_id: int, event_id: int, value: str, now: Now) -> Payload:
    row = faults.lookup(name)
    component: Payload = {"name": row.component}
    if evse_id:
        component["evse"] = {"id": evse_id}
    return {
        "eventId": event_id,
        "timestamp": stamp(now.utc),
        "trigger": "Alerting",
        "actualValue": value,
        "eventNotificationType": "HardWiredNotification",
        "component": component,
        "variable": {"name": row.variable},
        "techCode": (row.mrec or name)[:50],
        "severity": int(row.severity),
    }
