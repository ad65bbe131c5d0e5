"""Faults as NotifyEvent (N07): one event when a fault comes, one when it goes.

Owns the difference between what is present and what was told, and the components'
conditions in the device model. The codes are those of `chargerd.faults`, the one table.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd import faults
from chargerd.clock import Now
from chargerd.faults import Fault
from chargerd.model import ActiveFault, EvseReport
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.table.conditions import CONDITIONS, scope_of

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """A fault that is present, and the event that told it."""

    event_id: int
    evse_id: int
    stops_power: bool


class FaultEvents(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen: dict[int, tuple[ActiveFault, ...]] = {}
        self._told: dict[Key, Told] = {}

    def cause(self, evse_id: int) -> int | None:
        """The event of the first fault that holds this EVSE's power at 0 W."""
        for told in self._told.values():
            if told.stops_power and told.evse_id in (0, evse_id):
                return told.event_id
        return None

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
                self._raised(key, fault, now)
        for key in [key for key in self._told if key not in everywhere]:
            self._cleared(key, now)

    def _raised(self, key: Key, fault: ActiveFault, now: Now) -> None:
        row = faults.lookup(fault.name)
        # What else stops this EVSE came first: the later fault follows from it.
        before = self.cause(fault.evse_id) if fault.evse_id else None
        value = "true"
        if row.variable not in CONDITIONS:
            value = fault.info or value  # a measured one
        event = self._event(key, value)
        event["timestamp"] = stamp(fault.since_utc)  # when it came, not told
        if fault.info:
            event["techInfo"] = fault.info[:500]
        if before is not None:
            event["cause"] = before
        event_id = self._desk.event(event, now)
        self._told[key] = Told(event_id, fault.evse_id, row.stops_power)
        self._condition(row, fault.evse_id)

    def _cleared(self, key: Key, now: Now) -> None:
        told = self._told.pop(key)
        event = self._event(key, "false")
        self._desk.event({**event, "cleared": True, "cause": told.event_id}, now)
        self._condition(faults.lookup(key[0]), key[1])

    def _condition(self, row: Fault, evse_id: int) -> None:
        """True while any fault of this component's condition is present."""
        rows = [faults.lookup(name) for name, at in self._told if at == evse_id]
        names = [(other.component, other.variable) for other in rows]
        present = (row.component, row.variable) in names
        place = self._place(row.component, evse_id)
        if self._desk.model.has(row.component, row.variable, *place):
            value = "true" if present else "false"
            self._desk.model.update(row.component, row.variable, value, *place)

    def _place(self, component: str, evse_id: int) -> tuple[int, int]:
        if not evse_id or scope_of(component) != "connector":
            return evse_id, 0
        return evse_id, self._desk.evses[evse_id].config.connectors[0].id

    def _event(self, key: Key, value: str) -> Payload:
        row = faults.lookup(key[0])
        component: Payload = {"name": row.component}
        evse_id, connector_id = self._place(row.component, key[1])
        if evse_id:
            component["evse"] = {"id": evse_id}
            if connector_id:
                component["evse"]["connectorId"] = connector_id
        return {
            "trigger": "Alerting",
            "actualValue": value,
            "component": component,
            "variable": {"name": row.variable},
            "techCode": (row.mrec or row.uec)[:50],
            "severity": int(row.severity),
        }
