"""Block B's messages about the device model: B05 to B08.

Owns the answers of SetVariables, GetVariables, GetBaseReport and GetReport, and the
slicing of NotifyReport. The values are `device_model.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, stamp
from chargerd.ocpp.device_model import Variable
from chargerd.ocpp.effects import Answer, CallError, Payload

SLICE = 50  # variables per NotifyReport: about 15 kB


class Variables(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Mapping[str, Handler]:
        return {
            "GetBaseReport": self.base_report,
            "GetReport": self.report,
            "GetVariables": self.get_variables,
            "SetVariables": self.set_variables,
        }

    def _too_many(self, count: int, kind: str) -> CallError | None:
        most = self._desk.model.number("DeviceDataCtrlr", "ItemsPerMessage", kind)
        if count <= most:
            return None
        return CallError(
            "OccurrenceConstraintViolation",
            f"{count} items, at most {most} (B05.FR.11)",
        )

    def set_variables(self, request: Payload, now: Now) -> Answer:
        items = request["setVariableData"]
        refused = self._too_many(len(items), "SetVariables")
        if refused:
            return refused
        results = []
        for item in items:
            result, saved = self._desk.model.set(item)
            if saved:
                self._desk.save("device_model", *saved)
            results.append(result)
        return {"setVariableResult": results}

    def get_variables(self, request: Payload, now: Now) -> Answer:
        items = request["getVariableData"]
        refused = self._too_many(len(items), "GetVariables")
        if refused:
            return refused
        self._refresh(now)
        return {"getVariableResult": [self._desk.model.get(item) for item in items]}

    def _refresh(self, now: Now) -> None:
        """Bring the measured values up to date, only when somebody looks."""
        model = self._desk.model
        model.update("ClockCtrlr", "DateTime", stamp(now.utc))
        for evse_id, view in self._desk.evses.items():
            power = view.report.decision.power_w if view.report else 0.0
            model.update("EVSE", "Power", f"{max(0.0, power):.0f}", evse_id)
            model.update("EVSE", "DischargePower", f"{max(0.0, -power):.0f}", evse_id)
            model.update("EVSE", "ActiveTransactionId", view.transaction_id, evse_id)

    def base_report(self, request: Payload, now: Now) -> Answer:
        """GetBaseReport (B07)."""
        self._refresh(now)
        chosen = list(self._desk.model.inventory(request["reportBase"]))
        self._report(request["requestId"], chosen, now)
        return {"status": "Accepted"}

    def report(self, request: Payload, now: Now) -> Answer:
        """GetReport (B08)."""
        wanted = request.get("componentVariable", [])
        refused = self._too_many(len(wanted), "GetReport")
        if refused:
            return refused
        self._refresh(now)
        chosen = self._desk.model.select(wanted, request.get("componentCriteria", []))
        if not chosen:
            return {"status": "EmptyResultSet"}
        self._report(request["requestId"], chosen, now)
        return {"status": "Accepted"}

    def _report(self, request_id: int, chosen: Sequence[Variable], now: Now) -> None:
        for number, start in enumerate(range(0, len(chosen), SLICE)):
            part = chosen[start : start + SLICE]
            self._desk.send(
                "NotifyReport",
                {
                    "requestId": request_id,
                    "generatedAt": stamp(now.utc),
                    "seqNo": number,
                    "tbc": start + SLICE < len(chosen),
                    "reportData": [variable.report() for variable in part],
                },
                now,
                while_gated=True,  # B02: a Pending station may be asked for reports
            )
