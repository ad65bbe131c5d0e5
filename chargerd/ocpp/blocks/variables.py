"""Block B's messages about the device model: B05 to B08.

Owns the answers of SetVariables, GetVariables, GetBaseReport and GetReport, and the
slicing of NotifyReport. The values are `device_model.py`'s; what else a value has to
fit, and what follows from it, other blocks say (`Block.guards`, `Block.variable_set`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks import transaction_rules as rules
from chargerd.ocpp.blocks.block import Block, Guard, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal, stamp
from chargerd.ocpp.device_model import DeviceModel, result
from chargerd.ocpp.effects import Answer, CallError, Payload
from chargerd.ocpp.variable import Refused, Variable

SLICE = 50  # variables per NotifyReport,
SLICE_TEXT = 16_000  # or fewer, where values are long
MAX_WAITING = 400  # NotifyReports not answered yet; then reports are refused


class Variables(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._blocks: Sequence[Block] = ()
        self._guards: dict[str, Guard] = {}
        self._waiting = 0

    def routes(self) -> Mapping[str, Handler]:
        return {
            "GetBaseReport": self.base_report,
            "GetReport": self.report,
            "GetVariables": self.get_variables,
            "SetVariables": self.set_variables,
        }

    def attach(self, blocks: Sequence[Block]) -> None:
        """All blocks of the station, this one too."""
        self._blocks = blocks
        for block in blocks:
            self._guards |= block.guards()

    def set_variables(self, request: Payload, now: Now) -> Answer:
        """SetVariables (B05)."""
        items = request["setVariableData"]
        refused = too_much(self._desk.model, request, len(items), "SetVariables")
        return refused or {"setVariableResult": [self._set(i, now) for i in items]}

    def _set(self, item: Payload, now: Now) -> Payload:
        value, attribute = item["attributeValue"], item.get("attributeType", "Actual")
        longest = self._desk.model.number("DeviceDataCtrlr", "ConfigurationValueSize")
        found = self._desk.model.settable(item)
        if isinstance(found, Variable) and len(value) > longest:
            found = Refused("Rejected", "TooLargeElement", f"at most {longest}")
        if isinstance(found, Variable):
            guard = self._guards.get(f"{found.component_name}.{found.row.variable}")
            found = (guard and guard(found, value)) or found
        if isinstance(found, Refused):
            return result(item, found)
        self._desk.keep(found, value, attribute)
        for block in self._blocks:
            block.variable_set(found, now)
        return result(item, Refused("Accepted", "", ""))

    def get_variables(self, request: Payload, now: Now) -> Answer:
        """GetVariables (B06)."""
        items = request["getVariableData"]
        refused = too_much(self._desk.model, request, len(items), "GetVariables")
        if refused:
            return refused
        self.refresh_all(now)
        return {"getVariableResult": [self._desk.model.get(item) for item in items]}

    def refresh_all(self, now: Now) -> None:
        """Bring the measured values up to date, only when somebody looks."""
        for block in self._blocks:
            block.refresh(now)

    def refresh(self, now: Now) -> None:
        model = self._desk.model
        model.update("ClockCtrlr", "DateTime", stamp(now.utc))
        running = []
        for evse_id, view in self._desk.evses.items():
            self._power(view.report, evse_id)
            model.update("EVSE", "ActiveTransactionId", view.transaction_id, evse_id)
            running += [view.transaction_id] if view.transaction_id else []
            if view.report is not None:
                self._measured(view.report, evse_id)
        model.update("ChargingStation", "ActiveTransactionId", ",".join(running))

    def _power(self, report: EvseReport | None, evse_id: int) -> None:
        """Target is what was wished before ramp and envelope (N07.FR.22)."""
        power_w = report.decision.power_w if report else 0.0
        wanted_w = report.decision.wanted_w if report else 0.0
        for name, sign in (("Power", 1.0), ("DischargePower", -1.0)):
            variable = self._desk.model.variable("EVSE", name, evse_id=evse_id)
            variable.values["Actual"] = f"{max(0.0, sign * power_w):.0f}"
            variable.values["Target"] = f"{max(0.0, sign * wanted_w):.0f}"

    def _measured(self, report: EvseReport, evse_id: int) -> None:
        model, snapshot = self._desk.model, report.snapshot
        state = rules.charging_state(snapshot.session)
        model.update("EVSE", "ChargingState", state, evse_id)
        pilot, stage = snapshot.telemetry.pilot, snapshot.telemetry.stage
        if pilot is not None:
            name = pilot.value.pilot_state.value
            model.update("CPPWMController", "State", name, evse_id)
        if stage is not None:
            voltage_v = f"{stage.value.voltage_v:.1f}"
            model.update("EVSE", "DCVoltage", voltage_v, evse_id)

    def base_report(self, request: Payload, now: Now) -> Answer:
        """GetBaseReport (B07)."""
        self.refresh_all(now)
        chosen = list(self._desk.model.inventory(request["reportBase"]))
        return self._report(request["requestId"], chosen, now)

    def report(self, request: Payload, now: Now) -> Answer:
        """GetReport (B08)."""
        wanted = request.get("componentVariable", [])
        refused = too_much(self._desk.model, request, len(wanted), "GetReport")
        if refused:
            return refused
        self.refresh_all(now)
        chosen = self._desk.model.select(wanted, request.get("componentCriteria", []))
        if not chosen:
            return refusal("NotFound", status="EmptyResultSet")
        return self._report(request["requestId"], chosen, now)

    def _report(self, request_id: int, chosen: list[Variable], now: Now) -> Answer:
        if self._waiting >= MAX_WAITING:  # B07.FR.13, B08.FR.16
            return refusal("OutOfMemory", "earlier reports are still on their way")
        slices = [[each.report() for each in part] for part in _slices(chosen)]
        self._waiting += len(slices)
        self._desk.report(
            "NotifyReport", request_id, "reportData", slices, now, self._reported
        )
        return {"status": "Accepted"}

    def _reported(self, request: Payload, answer: Answer, now: Now) -> None:
        self._waiting -= 1


def too_much(
    model: DeviceModel,
    request: Payload,
    count: int,
    kind: str,
    component: str = "DeviceDataCtrlr",
) -> CallError | None:
    """ItemsPerMessage and BytesPerMessage (B06.FR.16, .17; B08.FR.17, .18; N06.FR.06,
    .07)."""
    most = model.number(component, "ItemsPerMessage", kind)
    if count > most:
        return CallError(
            "OccurrenceConstraintViolation", f"{count} items, at most {most}"
        )
    size = _bytes(request)
    most = model.number(component, "BytesPerMessage", kind)
    if size > most:
        return CallError("FormatViolation", f"{size} bytes, at most {most}")
    return None


def _bytes(payload: Payload) -> int:
    return len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())


def _slices(chosen: list[Variable]) -> Iterator[list[Variable]]:
    part: list[Variable] = []
    size = 0
    for variable in chosen:
        more = sum(map(len, (*variable.values.values(), *variable.row.values)))
        if part and (len(part) >= SLICE or size + more > SLICE_TEXT):
            yield part
            part, size = [], 0
        part.append(variable)
        size += more
    if part:
        yield part
