"""Block G: the status of connectors, and ChangeAvailability.

Owns what each connector's AvailabilityState is, when the CSMS hears of it (G01, B04),
the persistent wishes for the station, an EVSE or a connector (G03, G04), and the holds
of other blocks. 2.1 reports by NotifyEvent, 2.0.1 by StatusNotification.
"""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.clock import Now
from chargerd.model import AvailabilityRequest, EvseReport
from chargerd.ocpp.blocks.block import Block, Handler, Trigger
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal, stamp
from chargerd.ocpp.blocks.fault_events import FaultEvents
from chargerd.ocpp.effects import Answer, Durability, Payload
from chargerd.ocpp.v2 import dialect

WORST_FIRST = ("Faulted", "Unavailable", "Occupied", "Reserved", "Available")
STATION = 0


def status_of(view: EvseView, connector_id: int) -> str:
    """ConnectorStatusEnumType of one connector (G01.FR.01, .08)."""
    if view.report is None:
        return "Unavailable"
    snapshot = view.report.snapshot
    if view.faulted:
        return "Faulted"
    session = snapshot.session
    if session.id and session.connector_id == connector_id:  # a kept one, too (E10)
        # Who plugs in at a reserved connector has not yet shown the right token.
        return "Occupied" if session.authorised or not view.reserved else "Reserved"
    if not snapshot.operative:
        return "Unavailable"
    return "Reserved" if view.reserved else "Available"


class Availability(Block):
    def __init__(self, desk: Desk, fault_events: FaultEvents) -> None:
        self._desk = desk
        self._faults = fault_events
        self._told: dict[tuple[int, int], str] = {}
        saved = desk.saved.get("availability", {})  # "0", "1" or "1:1" -> operative
        self._wishes = {key: bool(value) for key, value in saved.items()}
        self._holds: dict[int, set[str]] = {evse_id: set() for evse_id in desk.evses}
        self._asked: dict[int, bool] = {}
        self._keys: dict[int, tuple[object, ...]] = {}

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ChangeAvailability": self.change,
        }

    # What is wished.

    def begin(self, now: Now) -> None:
        """Ask for what was set before the restart (B01.FR.07, G03.FR.08)."""
        self._ask_heart()

    def hold(self, evse_id: int, why: str) -> None:
        """No new session there until `release`; not remembered over a restart."""
        self._holds[evse_id].add(why)
        self._ask_heart()

    def release(self, evse_id: int, why: str) -> None:
        self._holds[evse_id].discard(why)
        self._ask_heart()

    def _wished(self, evse_id: int) -> bool:
        """Station, EVSE and its connector: all must be Operative (G04.FR.08)."""
        connector_id = self._desk.evses[evse_id].config.connectors[0].id
        keys = (str(STATION), str(evse_id), f"{evse_id}:{connector_id}")
        return all(self._wishes.get(key, True) for key in keys)

    def _ask_heart(self) -> None:
        for evse_id, holds in self._holds.items():
            operative = self._wished(evse_id) and not holds
            self._desk.evses[evse_id].closed = not operative
            if self._asked.get(evse_id, True) != operative:
                self._desk.ask(AvailabilityRequest(evse_id, operative))
            self._asked[evse_id] = operative

    def change(self, request: Payload, now: Now) -> Answer:
        """ChangeAvailability (G03, G04). A connector stands for its only EVSE."""
        at = request.get("evse", {})
        evse_id, key = at.get("id", STATION), str(at.get("id", STATION))
        if evse_id != STATION:
            view = self._desk.evses.get(evse_id)
            if view is None:
                return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
            connectors = [connector.id for connector in view.config.connectors]
            if at.get("connectorId", connectors[0]) not in connectors:
                return refusal("UnknownConnectorId")
            if "connectorId" in at:
                if len(connectors) > 1:
                    return refusal("UnsupportedRequest", "ask for the whole EVSE")
                key = f"{evse_id}:{at['connectorId']}"
        operative = request["operationalStatus"] == "Operative"
        ids = list(self._desk.evses) if evse_id == STATION else [evse_id]
        self._wishes[key] = operative
        self._desk.save("availability", key, operative)
        self._ask_heart()
        waits = not operative and any(self._is_busy(self._desk.evses[n]) for n in ids)
        return {"status": "Scheduled" if waits else "Accepted"}

    def _is_busy(self, view: EvseView) -> bool:
        """Operative still, for the sake of a transaction, or of a driver with an
        accepted token, whose transaction may begin later (TxStartPoint)."""
        done = view.report is not None and not view.report.snapshot.operative
        return bool(view.transaction_id or view.runs) and not done

    # What is.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        snapshot = report.snapshot
        session = snapshot.session
        key = (
            session.phase,
            session.connector_id,
            session.authorised,
            snapshot.faults,
            snapshot.operative,
            view.reserved,
            self._desk.online and self._desk.accepted,
        )
        if key == self._keys.get(view.config.id):
            return
        self._keys[view.config.id] = key
        statuses = []
        for connector in view.config.connectors:
            status = status_of(view, connector.id)
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
            self._desk.send(
                "StatusNotification",
                {
                    "timestamp": stamp(now.utc),
                    "connectorStatus": status,
                    "evseId": evse_id,
                    "connectorId": connector_id,
                },
                now,
                Durability.NOW_OR_NEVER,
                while_gated=while_gated,
            )
            return
        event: Payload = {
            "trigger": "Delta",
            "actualValue": status,
            "component": {
                "name": "Connector",
                "evse": {"id": evse_id, "connectorId": connector_id},
            },
            "variable": {"name": "AvailabilityState"},
        }
        cause = self._faults.cause(evse_id) if status == "Faulted" else None
        if cause is not None:
            event["cause"] = cause
        self._desk.event(event, now, Durability.NOW_OR_NEVER, while_gated=while_gated)

    def triggers(self) -> Mapping[str, Trigger]:
        return {"StatusNotification": self._trigger}

    def _trigger(self, at: Payload, now: Now) -> str:
        """Of one connector, or of all that are meant (F06.FR.11)."""
        sent = False
        for view in self._desk.evses.values():
            if view.report is None or at.get("id", view.config.id) != view.config.id:
                continue
            for connector in view.config.connectors:
                if at.get("connectorId", connector.id) == connector.id:
                    status = status_of(view, connector.id)
                    place = (view.config.id, connector.id)
                    self.notify(*place, status, now, while_gated=True)
                    sent = True
        return "Accepted" if sent else "Rejected"

    def registered(self, now: Now) -> None:
        """All connectors report (B01.FR.05)."""
        self._told.clear()
        self._keys.clear()

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        threshold_s = self._desk.model.number("OCPPCommCtrlr", "OfflineThreshold")
        if up and offline_s > threshold_s:  # B04
            self._told.clear()
        self._keys.clear()


def _worst(statuses: list[str]) -> str:
    return next((s for s in WORST_FIRST if s in statuses), "Available")
