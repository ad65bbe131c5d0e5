"""OpenADR 3 reports: what events ask for, per EVSE.

Pure. With closed intervals a report follows them; else one goes out every `report_s`.
Forecasts are not made. Values that are not known are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chargerd.clock import Now
from chargerd.grid import openadr3_words as words
from chargerd.grid.openadr3_read import Event
from chargerd.grid.openadr3_words import Json, Refused
from chargerd.grid.readings import fresh
from chargerd.model import EvseReport
from firmware_bridge.api import MeterReading

MOST_PENDING = 128  # intervals of one event that wait for their report
UNITS = {
    "READING": "KW",
    "DEMAND": "KW",
    "USAGE": "KWH",
    "SETPOINT": "KW",
    "UP_REGULATION_AVAILABLE": "KW",
    "DOWN_REGULATION_AVAILABLE": "KW",
    "STORAGE_USABLE_CAPACITY": "KWH",
    "STORAGE_CHARGE_LEVEL": "PERCENT",
    "STORAGE_MAX_CHARGE_POWER": "KW",
    "STORAGE_MAX_DISCHARGE_POWER": "KW",
    "OPERATING_STATE": "",
}
_IDLE_W = 100.0


@dataclass(slots=True)
class _Progress:
    """What became of one event's reports."""

    at_s: float  # the end of the last interval, after the event's start
    registers: dict[int, float]  # net Wh at that time
    pending: dict[str, list[Json]] = field(default_factory=dict)  # by resource
    count: int = 0  # intervals that wait
    sent: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    kinds: tuple[str, ...]
    every: int  # intervals a report; 0 = at any time
    repeat: int  # -1 = for ever


class Reports:
    """By event."""

    def __init__(
        self, ven_name: str, resources: Mapping[str, int], every_s: float, version: str
    ) -> None:
        self._ven_name, self._resources = ven_name, resources
        self._every_s, self._version = every_s, version
        self._progress: dict[str, _Progress] = {}

    def tick(
        self, events: Iterable[Event], reports: Mapping[int, EvseReport], now: Now
    ) -> list[Json]:
        """Bodies to post now."""
        found, alive = [], set()
        for event in events:
            if not event.reports:
                continue
            alive.add(event.id)
            asked = self._asked(event)
            body = self._follow(event, asked, reports, now) if asked else None
            if body is not None:
                found.append(body)
        for ident in self._progress.keys() - alive:
            del self._progress[ident]
        return found

    def _asked(self, event: Event) -> _Asked | None:
        """All its descriptors, in one report: they share the first one's timing."""
        kinds, first = [], None
        for row in event.reports:
            try:
                kind = words.text(row, "payloadType")
                every = words.whole(row, "frequency", -1)
                repeat = words.whole(row, "repeat", 1)
            except Refused:
                continue
            if kind in UNITS and row.get("historical") is not False:
                kinds.append(kind)
                open_ended = row.get("reportIntervals") == "OPEN_INTERVALS"
                every = 0 if open_ended or not event.bounds else every
                first = first or (every, repeat)
        if first is None:
            return None
        every, repeat = first
        count = len(event.bounds)
        return _Asked(
            tuple(dict.fromkeys(kinds)), every if every >= 0 else count, repeat
        )

    def _follow(
        self,
        event: Event,
        asked: _Asked,
        reports: Mapping[int, EvseReport],
        now: Now,
    ) -> Json | None:
        now_s = (now.utc - event.start).total_seconds()
        progress = self._progress.get(event.id)
        if progress is None:
            if now_s >= 0.0:
                self._progress[event.id] = _Progress(now_s, _registers(reports))
            return None
        ended = self._ended(event, asked, progress.at_s, now_s)
        if ended is None:
            return None
        ident, begin_s, end_s = ended
        self._close(progress, event, asked, (ident, begin_s, end_s), reports)
        progress.at_s, progress.registers = end_s, _registers(reports)
        over = asked.repeat >= 0 and progress.sent >= asked.repeat and asked.every > 0
        if over or progress.count < max(1, asked.every):
            return None
        body = self._body(event, asked, progress, begin_s, end_s)
        progress.pending, progress.count = {}, 0
        progress.sent += 1
        return body

    def _ended(
        self, event: Event, asked: _Asked, at_s: float, now_s: float
    ) -> tuple[int, float, float] | None:
        """The interval that has just come to its end: id, start, end."""
        if not asked.every:
            due = now_s - at_s >= self._every_s
            return (0, at_s, now_s) if due else None
        cycle_s = event.cycle_s
        loops = event.length_s > cycle_s
        base_s = now_s // cycle_s * cycle_s if loops and cycle_s else 0.0
        for cycle_base_s in (base_s - cycle_s, base_s) if base_s else (base_s,):
            for ident, begin_s, end_s in event.bounds:
                if at_s < cycle_base_s + end_s <= now_s:
                    begin = max(at_s, cycle_base_s + begin_s)
                    return ident, begin, cycle_base_s + end_s
        return None

    def _close(
        self,
        progress: _Progress,
        event: Event,
        asked: _Asked,
        span: tuple[int, float, float],
        reports: Mapping[int, EvseReport],
    ) -> None:
        ident, begin_s, end_s = span
        progress.count += 1
        for name, evse_id in self._resources.items():
            report = reports.get(evse_id)
            if report is None or (event.evse_ids and evse_id not in event.evse_ids):
                continue
            was_wh = progress.registers.get(evse_id)
            used_wh = None if was_wh is None else _net(report, was_wh)
            payloads = [
                {"type": kind, "values": [value]}
                for kind in asked.kinds
                if (value := _value(kind, report, used_wh, end_s - begin_s)) is not None
            ]
            intervals = progress.pending.setdefault(name, [])
            period = _period(event.start, begin_s, end_s)
            intervals.append(
                {"id": ident, "intervalPeriod": period, "payloads": payloads}
            )
            del intervals[:-MOST_PENDING]

    def _body(
        self,
        event: Event,
        asked: _Asked,
        progress: _Progress,
        begin_s: float,
        end_s: float,
    ) -> Json:
        body: Json = {
            "eventID": event.id,
            "clientName": self._ven_name,
            "reportName": "chargerd",
            "payloadDescriptors": [_descriptor(kind) for kind in asked.kinds],
            "resources": [
                {
                    "resourceName": name,
                    "intervalPeriod": _period(event.start, begin_s, end_s),
                    "intervals": intervals,
                }
                for name, intervals in progress.pending.items()
            ],
        }
        if self._version == "3.0":
            body["programID"] = event.raw.get("programID")
        return body


def _descriptor(kind: str) -> Json:
    found = {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": kind}
    return found | {"units": UNITS[kind]} if UNITS[kind] else found


def _period(start: datetime, begin_s: float, end_s: float) -> Json:
    begins = start + timedelta(seconds=begin_s)
    stamp = begins.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"start": stamp, "duration": f"PT{max(0.0, end_s - begin_s):.0f}S"}


def _meter(report: EvseReport) -> MeterReading | None:
    return fresh(report.snapshot.telemetry.meter, report.snapshot.now.mono)


def _register(report: EvseReport) -> float | None:
    counted = report.snapshot.counted_wh
    if counted is None or _meter(report) is None:
        return None
    return counted[0] - counted[1]


def _registers(reports: Mapping[int, EvseReport]) -> dict[int, float]:
    found = {evse_id: _register(report) for evse_id, report in reports.items()}
    return {evse_id: wh for evse_id, wh in found.items() if wh is not None}


def _net(report: EvseReport, was_wh: float) -> float | None:
    now_wh = _register(report)
    return None if now_wh is None else now_wh - was_wh


def _value(
    kind: str, report: EvseReport, used_wh: float | None, length_s: float
) -> Any | None:
    """None = not known. Positive = into the vehicle."""
    meter, vehicle = _meter(report), report.snapshot.vehicle
    found: float | None = None
    match kind:
        case "READING":
            found = None if meter is None else meter.power_w / 1e3
        case "DEMAND":
            mean = used_wh is not None and length_s >= 1.0
            found = (used_wh or 0.0) * 3.6 / length_s if mean else None
        case "USAGE":
            found = None if used_wh is None else used_wh / 1e3
        case "SETPOINT":
            found = report.decision.power_w / 1e3
        case "STORAGE_USABLE_CAPACITY":
            found = None if vehicle.capacity_wh is None else vehicle.capacity_wh / 1e3
        case "STORAGE_CHARGE_LEVEL":
            found = None if vehicle.soc_pct is None else vehicle.soc_pct / 1e2
        case "OPERATING_STATE":
            return _state(report)
        case _:
            found = _flexible(kind, report)
    return None if found is None else round(found, 4)


def _flexible(kind: str, report: EvseReport) -> float | None:
    flexibility, power_w = report.flexibility, report.decision.power_w
    if flexibility is None:
        return None
    match kind:
        case "UP_REGULATION_AVAILABLE":
            return flexibility.up_w / 1e3
        case "DOWN_REGULATION_AVAILABLE":
            return flexibility.down_w / 1e3
        case "STORAGE_MAX_CHARGE_POWER":
            return max(0.0, flexibility.down_w + power_w) / 1e3
    return max(0.0, flexibility.up_w - power_w) / 1e3


def _state(report: EvseReport) -> str:
    if any(
        fault.evse_id in (0, report.snapshot.evse_id)
        for fault in report.snapshot.faults
    ):
        return "ERROR"
    running = abs(report.decision.power_w) >= _IDLE_W
    return "RUNNING_NORMAL" if running else "IDLE_NORMAL"
