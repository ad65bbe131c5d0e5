"""R05: what a DER control does to power, told once when it begins and when it ends.

Owns the one alarm of the station (the message has no EVSE). Reads who won from the
decision's reasons; decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd.clock import Now
from chargerd.model import EvseReport, Reason
from chargerd.model_grid import nominal
from chargerd.ocpp.blocks.der_rules import PREFIX
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.effects import Durability, Payload

HOLD_S = 5.0  # without the control in power's way: the alarm has ended
_FIXED = {"HF": "OverFrequency", "LF": "UnderFrequency", "HV": "OverVoltage",
          "LV": "UnderVoltage"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    kind: str  # DERControlEnumType
    fault: str = ""  # GridEventFaultEnumType, "" = not the grid's
    note: str = ""


class Alarms:
    """Fed with every report; sends NotifyDERAlarm."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen: dict[int, Alarm] = {}  # by EVSE: what holds its power now
        self._told: Alarm | None = None
        self._last_mono = 0.0  # when a control was last seen

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        reason = _holder(report)
        if reason is None:
            self._seen.pop(view.config.id, None)
            return
        kind = reason.source.removeprefix(PREFIX)
        self._last_mono = now.mono
        known = self._seen.get(view.config.id)
        if known is None or known.kind != kind:
            self._seen[view.config.id] = self._alarm(kind, reason, report, view)
            self._begin(now)

    def _alarm(
        self, kind: str, reason: Reason, report: EvseReport, view: EvseView
    ) -> Alarm:
        fault = _fault(kind, report, view, self._desk.config.site.nominal_hz)
        if kind == "EnterService" and self._told is not None:
            fault = self._told.fault  # what it waits for after
        return Alarm(kind, fault, reason.note)

    def _begin(self, now: Now) -> None:
        """A new control takes over: only its beginning is told (R05.FR.03, .04)."""
        first = self._seen[min(self._seen)]
        if self._told is None or self._told.kind != first.kind:
            self._told = first
            self._send(first, now, ended=False)

    def on_second(self, now: Now) -> None:
        told = self._told
        if told is None:
            return
        if self._seen:
            self._begin(now)  # the EVSE it was told for may be free by now
        elif now.mono - self._last_mono >= HOLD_S:
            self._told = None
            self._send(told, now, ended=True)

    def _send(self, alarm: Alarm, now: Now, *, ended: bool) -> None:
        payload: Payload = {"controlType": alarm.kind, "timestamp": stamp(now.utc)}
        if alarm.fault:
            payload["gridEventFault"] = alarm.fault
        if ended:
            payload["alarmEnded"] = True
        elif alarm.note:
            payload["extraInfo"] = alarm.note[:200]
        self._desk.send("NotifyDERAlarm", payload, now, Durability.DURABLE)


def _holder(report: EvseReport) -> Reason | None:
    """The DER rule that shapes power now."""
    for reason in report.decision.reasons:
        if reason.won and reason.source.startswith(PREFIX):
            return reason
    return None


def _fault(
    kind: str, report: EvseReport, view: EvseView, configured_hz: float | None
) -> str:
    if kind[:2] in _FIXED:
        return _FIXED[kind[:2]]
    site = report.snapshot.site
    if kind in ("FreqDroop", "FreqWatt") and site.frequency_hz is not None:
        high = site.frequency_hz > nominal(site.frequency_hz, configured_hz)
        return "OverFrequency" if high else "UnderFrequency"
    if kind == "VoltWatt" and site.voltage_v is not None:
        high = site.voltage_v > view.config.ac_voltage_v
        return "OverVoltage" if high else "UnderVoltage"
    return ""
