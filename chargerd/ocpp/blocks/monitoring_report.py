"""Reports of monitors (N02): which ones, in slices of NotifyMonitoringReport."""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.monitor import PERIODIC, Monitor
from chargerd.ocpp.blocks.monitor_store import MonitorStore
from chargerd.ocpp.blocks.variables import too_much
from chargerd.ocpp.device_model import covers
from chargerd.ocpp.effects import Answer, Payload
from chargerd.ocpp.variable import Variable

SLICE = 20  # variables of a NotifyMonitoringReport
CRITERIA = {  # N02.FR.12 to .14, with errata 2.42
    "ThresholdMonitoring": frozenset({"UpperThreshold", "LowerThreshold"}),
    "DeltaMonitoring": frozenset({"Delta", "TargetDelta", "TargetDeltaRelative"}),
    "PeriodicMonitoring": PERIODIC,
}


class MonitoringReport(Block):
    def __init__(self, desk: Desk, store: MonitorStore) -> None:
        self._desk = desk
        self._store = store

    def routes(self) -> Mapping[str, Handler]:
        return {"GetMonitoringReport": self.report}

    def report(self, request: Payload, now: Now) -> Answer:
        """GetMonitoringReport (N02)."""
        wanted = request.get("componentVariable", [])
        refused = too_much(self._desk.model, request, len(wanted), "GetReport")
        if refused:
            return refused
        rows = self._rows(wanted, request.get("monitoringCriteria", []))
        if not rows:
            return refusal("NotFound", status="EmptyResultSet")
        slices = [rows[at : at + SLICE] for at in range(0, len(rows), SLICE)]
        request_id = request["requestId"]
        self._desk.report("NotifyMonitoringReport", request_id, "monitor", slices, now)
        return {"status": "Accepted"}

    def _rows(self, wanted: list[Payload], criteria: list[str]) -> list[Payload]:
        """A MonitoringDataType for each variable that has such monitors."""
        kinds = frozenset().union(*(CRITERIA[name] for name in criteria))
        by_variable: dict[Variable, list[Payload]] = {}
        for monitor in self._store.active().values():
            variable = monitor.variable
            if wanted and not any(covers(item, variable) for item in wanted):
                continue
            if not criteria or monitor.kind in kinds:
                by_variable.setdefault(variable, []).append(_shown(monitor))
        return [
            {
                "component": variable.component(),
                "variable": variable.named(),
                "variableMonitoring": shown,
            }
            for variable, shown in by_variable.items()
        ]


def _shown(monitor: Monitor) -> Payload:
    """A VariableMonitoringType."""
    return {
        "id": monitor.id,
        "transaction": monitor.transaction,
        "value": monitor.value,
        "type": monitor.kind,
        "severity": monitor.severity,
        "eventNotificationType": monitor.notification,
    }
