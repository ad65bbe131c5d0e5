"""Block N, monitors: set, cleared, watched, told (N03 to N08).

Owns which monitor is looked at when, and the NotifyEvents of monitors. At 20 Hz it only
compares texts; measured values are brought up to date once a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal, stamp
from chargerd.ocpp.blocks.fault_events import FaultEvents
from chargerd.ocpp.blocks.monitor import (
    HARD,
    PERIODIC,
    THRESHOLDS,
    Alert,
    Monitor,
    Watch,
)
from chargerd.ocpp.blocks.monitor_check import LEAST_SEVERE, read
from chargerd.ocpp.blocks.monitor_store import MonitorStore
from chargerd.ocpp.blocks.streams import EventStreams
from chargerd.ocpp.blocks.variables import Variables, too_much
from chargerd.ocpp.effects import Answer, Payload
from chargerd.ocpp.variable import Refused

CTRLR = "MonitoringCtrlr"
LONGEST_VALUE = 2500  # actualValue
SLICE = 50  # events of a NotifyEvent


class Monitoring(Block):
    def __init__(
        self,
        desk: Desk,
        store: MonitorStore,
        streams: EventStreams,
        variables: Variables,
        fault_events: FaultEvents,
    ) -> None:
        self._desk = desk
        self._store = store
        self._streams = streams
        self._variables = variables
        self._faults = fault_events
        level = desk.saved.get("monitoring", {}).get("level")
        self._level = level if isinstance(level, int) else LEAST_SEVERE
        self._watches: dict[int, Watch] = {}
        self._alerts: dict[int, list[Watch]] = {}  # by EVSE, 0 = the station
        self._periodic: list[Watch] = []
        self._show()

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ClearVariableMonitoring": self.clear,
            "SetMonitoringBase": self.set_base,
            "SetMonitoringLevel": self.set_level,
            "SetVariableMonitoring": self.set_monitors,
        }

    def begin(self, now: Now) -> None:
        told = self._desk.saved.get("monitor_on", {})
        for monitor in self._store.active().values():
            self._add(Watch(monitor, on=str(monitor.id) in told), now)

    def _show(self) -> None:
        self._desk.model.update(CTRLR, "ActiveMonitoringBase", self._store.base)
        self._desk.model.update(CTRLR, "ActiveMonitoringLevel", str(self._level))

    # Which are watched.

    def _add(self, watch: Watch, now: Now) -> None:
        monitor = watch.monitor
        self._watches[monitor.id] = watch
        self._streams.want(monitor, now)
        watch.schedule(now, streamed=self._streams.is_open(monitor.id))
        self._sort()

    def _drop(self, monitor_id: int, now: Now) -> None:
        """Nothing more is told of it, not even that it is cleared (N07.FR.12)."""
        watch = self._watches.pop(monitor_id)
        self._streams.close(monitor_id, now)
        if watch.on:
            self._desk.save("monitor_on", str(monitor_id), None)
        self._sort()

    def _sort(self) -> None:
        self._alerts, self._periodic = {}, []
        for watch in self._watches.values():
            if watch.monitor.kind in PERIODIC:
                self._periodic.append(watch)
            else:
                evse_id = watch.monitor.variable.evse_id
                self._alerts.setdefault(evse_id, []).append(watch)

    # What the CSMS asks.

    def set_monitors(self, request: Payload, now: Now) -> Answer:
        """SetVariableMonitoring (N04, N11)."""
        items = request["setMonitoringData"]
        kind = "SetVariableMonitoring"
        refused = too_much(self._desk.model, request, len(items), kind, CTRLR)
        if refused:
            return refused
        self._variables.refresh_all(now)
        return {"setMonitoringResult": [self._set(item, now) for item in items]}

    def _set(self, item: Payload, now: Now) -> Payload:
        found = self._read(item)
        names = ("type", "severity", "component", "variable")
        made: Payload = {name: item[name] for name in names}
        if isinstance(found, Refused):
            return {**made, **refusal(found.reason, found.text, found.status)}
        monitor = self._store.put(found, item)
        self._replace(monitor, now)
        return {**made, "status": "Accepted", "id": monitor.id}

    def _read(self, item: Payload) -> Monitor | Refused:
        if not self._desk.model.flag(CTRLR, "Enabled"):
            return Refused("Rejected", "NotEnabled", f"{CTRLR}.Enabled is false")
        found = read(self._desk.model, item, self._store.active())
        if isinstance(found, Refused):
            return found
        if not found.id and self._store.full:
            return Refused("Rejected", "OutOfMemory", "too many monitors")
        if found.stream and self._streams.full and not self._streams.wants(found.id):
            return Refused("Rejected", "OutOfMemory", "too many event streams")
        return found

    def _replace(self, monitor: Monitor, now: Now) -> None:
        """N07.FR.11: a threshold that moved is told, if it is or was exceeded."""
        old = self._watches.get(monitor.id)
        if old is not None:
            self._drop(monitor.id, now)
        was_on = old is not None and old.on and monitor.kind in THRESHOLDS
        watch = Watch(monitor, on=was_on)
        self._add(watch, now)
        if not self._told_of(watch):
            return
        alert = watch.look()
        if alert is None and was_on:
            alert = Alert("Alerting")
        if alert is not None:
            self._notify([(watch, alert)], now)

    def clear(self, request: Payload, now: Now) -> Answer:
        """ClearVariableMonitoring (N06)."""
        ids, kind = request["id"], "ClearVariableMonitoring"
        refused = too_much(self._desk.model, request, len(ids), kind, CTRLR)
        if refused:
            return refused
        results = [{"id": each, "status": self._clear(each, now)} for each in ids]
        return {"clearMonitoringResult": results}

    def _clear(self, monitor_id: int, now: Now) -> str:
        watch = self._watches.get(monitor_id)
        if watch is None:
            return "NotFound"
        if watch.monitor.notification == HARD:
            return "Rejected"
        self._drop(monitor_id, now)
        self._store.clear(monitor_id)
        return "Accepted"

    def set_base(self, request: Payload, now: Now) -> Answer:
        """SetMonitoringBase (N03)."""
        self._store.set_base(request["monitoringBase"])
        active = self._store.active()
        for monitor_id, watch in list(self._watches.items()):
            if active.get(monitor_id) != watch.monitor:
                self._drop(monitor_id, now)
        for monitor_id, monitor in active.items():
            if monitor_id not in self._watches:
                self._add(Watch(monitor), now)
        self._show()
        return {"status": "Accepted"}

    def set_level(self, request: Payload, now: Now) -> Answer:
        """SetMonitoringLevel (N05)."""
        level = request["severity"]
        if level > LEAST_SEVERE:
            return refusal("InvalidValue", "a severity is 0 to 9")
        self._level = level
        self._desk.save("monitoring", "level", level)
        self._show()
        return {"status": "Accepted"}

    # Looking.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        for evse_id in (view.config.id, 0):
            changed = [
                watch
                for watch in self._alerts.get(evse_id, ())
                # Measured values are not up to date before the first second.
                if watch.seen not in (None, watch.monitor.variable.value)
            ]
            if changed:
                self._look(changed, now)

    def on_second(self, now: Now) -> None:
        if not self._alerts:
            return
        self._variables.refresh_all(now)
        self._look((w for some in self._alerts.values() for w in some), now)

    def _look(self, watches: Iterable[Watch], now: Now) -> None:
        found = []
        for watch in watches:
            alert = watch.look() if self._told_of(watch) else None
            if alert is not None:
                found.append((watch, alert))
        self._notify(found, now)

    def _told_of(self, watch: Watch) -> bool:
        """Whether an event of it would be told now. If not it is not looked at: what
        is still so when it is told of again is told then."""
        monitor, desk = watch.monitor, self._desk
        if monitor.severity > self._level:  # N05.FR.03, N07.FR.15
            return False
        if not desk.model.flag(CTRLR, "Enabled"):
            return False
        if not (desk.online and desk.accepted):  # N07.FR.04, N08.FR.03
            queued = desk.model.number(CTRLR, "OfflineQueuingSeverity")
            if monitor.severity > queued:
                return False
        if monitor.transaction and not self._transaction(watch):
            return False
        return all(view.report is not None for view in self._views(watch))

    def _views(self, watch: Watch) -> list[EvseView]:
        evse_id = watch.monitor.variable.evse_id
        views = self._desk.evses
        return [views[evse_id]] if evse_id else list(views.values())

    def _transaction(self, watch: Watch) -> str:
        running = [view.transaction_id for view in self._views(watch)]
        return next(filter(None, running), "")

    # Periodic ones.

    def next_timer(self) -> float:
        return min((w.due_mono for w in self._periodic), default=math.inf)

    def on_timer(self, now: Now) -> None:
        due = [w for w in self._periodic if w.due_mono <= now.mono]
        if not due:
            return
        self._variables.refresh_all(now)
        found = []
        for watch in due:
            monitor = watch.monitor
            streamed = self._streams.is_open(monitor.id)
            watch.schedule(now, streamed=streamed)
            if not self._told_of(watch):
                continue
            if streamed:
                self._streams.put(monitor.id, self._actual(monitor), now)
            else:
                found.append((watch, Alert("Periodic")))
        self._notify(found, now)

    # Telling.

    def _notify(self, found: list[tuple[Watch, Alert]], now: Now) -> None:
        events = [self._event(watch, alert, now) for watch, alert in found]
        for start in range(0, len(events), SLICE):
            payload = {
                "generatedAt": stamp(now.utc),
                "seqNo": 0,
                "eventData": events[start : start + SLICE],
            }
            self._desk.send("NotifyEvent", payload, now)

    def _event(self, watch: Watch, alert: Alert, now: Now) -> Payload:
        monitor = watch.monitor
        event: Payload = {
            "eventId": self._desk.next_number("event"),
            "timestamp": stamp(now.utc),
            "trigger": alert.trigger,
            "actualValue": self._actual(monitor),
            "component": monitor.variable.component(),
            "variable": monitor.variable.named(),
            "variableMonitoringId": monitor.id,
            "eventNotificationType": monitor.notification,
            "severity": monitor.severity,
        }
        if alert.cleared:
            event["cleared"] = True
        cause = self._cause(watch, alert)
        if cause is not None:
            event["cause"] = cause
        if monitor.transaction:
            event["transactionId"] = self._transaction(watch)
        if alert.trigger == "Alerting":
            watch.event_id = None if alert.cleared else event["eventId"]
            kept = None if alert.cleared else True
            self._desk.save("monitor_on", str(monitor.id), kept)
        return event

    def _cause(self, watch: Watch, alert: Alert) -> int | None:
        """Its own beginning, or the fault that holds the EVSE (N07.FR.05)."""
        if alert.cleared:
            return watch.event_id
        evse_id = watch.monitor.variable.evse_id
        if alert.trigger == "Periodic" or not evse_id:
            return None
        return self._faults.cause(evse_id)

    def _actual(self, monitor: Monitor) -> str:
        """N07.FR.10: nothing of what may only be written."""
        if monitor.variable.mutability("Actual") == "WriteOnly":
            return ""
        return monitor.variable.value[:LONGEST_VALUE]
