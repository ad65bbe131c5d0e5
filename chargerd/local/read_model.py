"""What people may see: the newest report of each EVSE, decisions and faults over time.

Pure: reports in, plain JSON-able values out. A report costs microseconds, for the cycle
calls it at 20 Hz. Never shows a token's value.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargerd.clock import Now
from chargerd.faults import lookup
from chargerd.local.promised import promised
from chargerd.model import (
    NEVER_S,
    ActiveFault,
    Decision,
    DispatchSignal,
    EvseReport,
    Promise,
    Segment,
    Session,
)
from chargerd.records.decisions import bounds, decision
from firmware_bridge.api import Reading

Json = dict[str, Any]
_SAME_W = 50.0  # a wish that moved less than this is the same decision


@dataclass(slots=True)
class _Span:
    """One decision for as long as it said the same."""

    key: tuple[Any, ...]
    anchor_w: float  # the wish it began with: a slow drift ends the span
    from_utc: datetime
    to_utc: datetime
    decision: Decision  # the newest of the span


@dataclass(slots=True)
class _FaultSpan:
    fault: ActiveFault
    gone_utc: datetime | None = None


class ReadModel:
    """One reporter of the cycle: `read_model.report` is called each tick and EVSE."""

    def __init__(
        self,
        evse_ids: Iterable[int],
        *,
        keep: int = 200,
        over: Callable[[Decision, datetime, datetime], None] | None = None,
    ) -> None:
        """`over`: is told of each decision that has ended, from when until when."""
        self.evse_ids = tuple(evse_ids)
        self._over = over
        self._newest: dict[int, EvseReport] = {}
        self._why: dict[int, deque[_Span]] = {
            evse_id: deque(maxlen=keep) for evse_id in self.evse_ids
        }
        self._faults: deque[_FaultSpan] = deque(maxlen=keep)
        self._present: dict[tuple[int, str], _FaultSpan] = {}
        self._seen: dict[int, tuple[ActiveFault, ...]] = {}

    def report(self, report: EvseReport) -> None:
        """Take the newest report; never raises for an EVSE it was not told of."""
        evse_id = report.snapshot.evse_id
        self._newest[evse_id] = report
        spans = self._why.get(evse_id)
        if spans is not None:
            ended = _extend(spans, report)
            if ended is not None and self._over is not None:
                self._over(ended.decision, ended.from_utc, ended.to_utc)
        if report.snapshot.faults != self._seen.get(evse_id, ()):
            self._seen[evse_id] = report.snapshot.faults
            self._note_faults(evse_id, report)

    def status(self) -> list[Json]:
        """One summary per EVSE, in order of the configuration."""
        return [self._status(evse_id) for evse_id in self.evse_ids]

    def why(self, evse_id: int, last: int) -> Json:
        """The decision now with every reason, beside the measured power; and the `last`
        newest spans with their last decision, newest first."""
        spans = list(self._why.get(evse_id, ()))[::-1][: max(1, last)]
        history = [_told(span) for span in spans]
        report = self._newest.get(evse_id)
        meter = report.snapshot.telemetry.meter if report else None
        return {
            "evse_id": evse_id,
            "meter_w": meter.value.power_w if meter else None,
            "now": history[0] if history else None,
            "history": history,
        }

    def why_at(self, evse_id: int, utc: datetime) -> Json | None:
        """The decision in force then; None when it is older than what is kept here."""
        found = None
        for span in self._why.get(evse_id, ()):
            if span.from_utc <= utc:
                found = span
        return _told(found) if found else None

    def flex(self, evse_id: int) -> Json:
        """What the EVSE could do beside what it does; magnitudes, at the AC side."""
        report = self._newest.get(evse_id)
        found = report.flexibility if report else None
        if report is None or found is None:
            return {"evse_id": evse_id, "flexibility": None}
        now = report.snapshot.now
        leaves = math.isfinite(found.until_mono)
        return {
            "evse_id": evse_id,
            "power_w": report.decision.power_w,
            "flexibility": {
                "age_s": round(now.mono - found.at_mono, 3),
                "up_w": found.up_w,
                "down_w": found.down_w,
                "up_wh": found.up_wh,
                "down_wh": found.down_wh,
                "reserve_up_w": found.reserve_up_w,
                "reserve_down_w": found.reserve_down_w,
                "until_utc": _iso(now.utc_at(found.until_mono)) if leaves else None,
                "bounded_by": [name for name in found.reasons if name],
            },
        }

    def promised(self, evse_id: int) -> Json:
        """How the driver's promise stands."""
        report = self._newest.get(evse_id)
        if report is None:
            return {"evse_id": evse_id, "phase": "unknown", "promise": None}
        return promised(report)

    def signals(self, evse_id: int) -> Json:
        """The dispatch signals that live now, the highest rank first."""
        report = self._newest.get(evse_id)
        if report is None:
            return {"evse_id": evse_id, "signals": []}
        mono = report.snapshot.now.mono
        live = [
            (signal, segment)
            for signal in report.snapshot.signals
            if (segment := signal.at(mono)) is not None
        ]
        live.sort(key=lambda pair: (-pair[0].priority, -pair[0].received_mono))
        return {
            "evse_id": evse_id,
            "signals": [_signal(signal, segment, mono) for signal, segment in live],
        }

    def session(self, evse_id: int) -> Json:
        report = self._newest.get(evse_id)
        if report is None:
            return {"evse_id": evse_id, "phase": "unknown"}
        now = report.snapshot.now
        return {**_session(report.snapshot.session, now), "vehicle": _vehicle(report)}

    def faults(self, last: int) -> Json:
        """Active faults with what to do, and the newest `last` that came and went."""
        active = [_fault(span) for span in self._present.values()]
        history = list(self._faults)[::-1][: max(0, last)]
        return {"active": active, "history": [_fault(span) for span in history]}

    def meter(self, evse_id: int) -> Json:
        """Every device's newest reading with its age in seconds, and their health."""
        report = self._newest.get(evse_id)
        if report is None:
            return {"evse_id": evse_id}
        mono = report.snapshot.now.mono
        telemetry = report.snapshot.telemetry
        return {
            "evse_id": evse_id,
            "meter": _reading(telemetry.meter, mono),
            "stage": _reading(telemetry.stage, mono),
            "insulation": _reading(telemetry.insulation, mono),
            "pilot": _reading(telemetry.pilot, mono),
            "signed": _reading(telemetry.signed, mono),
            "health": [_plain(device) for device in telemetry.health],
        }

    def connection(self) -> Json | None:
        """Power at the grid connection once all commands are obeyed, null while the
        site's meter is silent, and its reading's age; None where there is no meter."""
        site = next((r.snapshot.site for r in self._newest.values()), None)
        if site is None or site.meter_age_s is None:
            return None
        heard = site.meter_age_s < NEVER_S
        age_s = round(site.meter_age_s, 3) if heard else None
        return {"grid_w": site.grid_w, "age_s": age_s}

    def _status(self, evse_id: int) -> Json:
        report = self._newest.get(evse_id)
        if report is None:
            return {"evse_id": evse_id, "phase": "unknown"}
        snapshot, session = report.snapshot, report.snapshot.session
        meter, pilot = snapshot.telemetry.meter, snapshot.telemetry.pilot
        mono = snapshot.now.mono
        return {
            "evse_id": evse_id,
            "utc": _iso(snapshot.now.utc),
            "operative": snapshot.operative,
            "pilot_state": pilot.value.pilot_state.value if pilot else "?",
            "phase": session.phase.value,
            "session_id": session.id,
            "vehicle": _vehicle(report),
            "meter_w": meter.value.power_w if meter else None,
            "meter_age_s": round(meter.age_s(mono), 3) if meter else None,
            "decision": {**bounds(report.decision), "why": _why(report.decision)},
            "energy_in_wh": session.energy_in_wh,
            "energy_out_wh": session.energy_out_wh,
            "promise": _promise(session.promise, snapshot.now),
            "faults": [fault.name for fault in snapshot.faults],
        }

    def _note_faults(self, evse_id: int, report: EvseReport) -> None:
        present = {(f.evse_id, f.name): f for f in report.snapshot.faults}
        for key, fault in present.items():
            if key not in self._present:
                self._present[key] = _FaultSpan(fault)
                self._faults.append(self._present[key])
        for key in list(self._present):
            # A station fault (EVSE 0) is gone when no EVSE's snapshot names it.
            named = key in present or (
                key[0] == 0
                and any(
                    key == (f.evse_id, f.name) for s in self._seen.values() for f in s
                )
            )
            if key[0] in (evse_id, 0) and not named:
                self._present.pop(key).gone_utc = report.snapshot.now.utc


def _extend(spans: deque[_Span], report: EvseReport) -> _Span | None:
    """Change-compressed: a decision that says the same only grows longer. Returns the
    span that has ended by this report."""
    newest = report.decision
    key = (
        newest.source,
        newest.mode,
        tuple((r.stage, r.source) for r in newest.reasons if r.won),
    )
    utc = report.snapshot.now.utc
    if spans:
        span = spans[-1]
        if span.key == key and abs(newest.wanted_w - span.anchor_w) <= _SAME_W:
            span.to_utc, span.decision = utc, newest
            return None
    ended = spans[-1] if spans else None
    spans.append(_Span(key, newest.wanted_w, utc, utc, newest))
    return ended


def _told(span: _Span) -> Json:
    return {
        "from_utc": _iso(span.from_utc),
        "to_utc": _iso(span.to_utc),
        **decision(span.decision),
    }


def _why(value: Decision) -> str:
    """One line: the reasons that shaped the result, in the order they spoke."""
    won = [reason for reason in value.reasons if reason.won]
    words = dict.fromkeys(f"{r.source}: {r.note}" if r.note else r.source for r in won)
    return "; ".join(words) or value.source


def _session(session: Session, now: Now) -> Json:
    return {
        "evse_id": session.evse_id,
        "connector_id": session.connector_id,
        "phase": session.phase.value,
        "session_id": session.id,
        "plugged_utc": _iso(session.plugged_utc),
        "authorised": session.authorised,
        "discharge_authorised": session.discharge_authorised,
        "started_by": session.token.kind if session.token else None,
        "stop_reason": session.stop_reason.value if session.stop_reason else None,
        "energy_in_wh": session.energy_in_wh,
        "energy_out_wh": session.energy_out_wh,
        "promise": _promise(session.promise, now),
    }


def _promise(promise: Promise | None, now: Now) -> Json | None:
    if promise is None:
        return None
    return {
        "departure_utc": _iso(now.utc_at(promise.departure_mono)),
        "departure_in_s": round(promise.departure_mono - now.mono, 1),
        "target_soc_pct": promise.target_soc_pct,
        "floor_soc_pct": promise.floor_soc_pct,
        "reachable_soc_pct": promise.reachable_soc_pct,
        "slack_s": promise.slack_s,
        "forced": promise.forced,
    }


def _signal(signal: DispatchSignal, segment: Segment, mono: float) -> Json:
    ends = math.isfinite(signal.valid_until_mono)
    return {
        "source": signal.source,
        "evse_id": signal.evse_id,
        "priority": signal.priority.name,
        "age_s": round(mono - signal.received_mono, 1),
        "ends_in_s": round(signal.valid_until_mono - mono, 1) if ends else None,
        "mode": segment.mode.value,
        "setpoint_w": segment.setpoint_w,
        "limit_w": segment.limit_w,
        "discharge_limit_w": segment.discharge_limit_w,
        "follow_w": segment.follow_w,
        "from_w": segment.band.low_w if segment.band else None,
        "to_w": segment.band.high_w if segment.band else None,
        "curve": segment.curve.kind if segment.curve else None,
    }


def _vehicle(report: EvseReport) -> Json:
    vehicle = report.snapshot.vehicle
    limits = vehicle.limits
    return {
        "protocol": vehicle.protocol,
        "phase": vehicle.phase.value,
        "data_link": vehicle.data_link.value,
        "soc_pct": vehicle.soc_pct,
        "capacity_wh": vehicle.capacity_wh,
        "charge_a": limits.charge_a if limits else None,
        "discharge_a": limits.discharge_a if limits else None,
        "discharge_allowed": limits.discharge_allowed if limits else False,
        "stop_cause": vehicle.stop_cause,
    }


def _fault(span: _FaultSpan) -> Json:
    row = lookup(span.fault.name)
    return {
        "name": span.fault.name,
        "evse_id": span.fault.evse_id,
        "since_utc": _iso(span.fault.since_utc),
        "gone_utc": _iso(span.gone_utc),
        "info": span.fault.info,
        "mrec": row.mrec,
        "stops_power": row.stops_power,
        "driver_text": row.driver,
        "technician_text": row.technician,
    }


def _reading(reading: Reading[Any] | None, mono: float) -> Json | None:
    if reading is None:
        return None
    values: Json = _plain(reading.value)
    return {**values, "age_s": round(reading.age_s(mono), 3)}


def _plain(value: Any) -> Any:
    """A frozen value of the bridge or the model as JSON can hold it."""
    if hasattr(value, "__dataclass_fields__"):
        plain = {n: _plain(getattr(value, n)) for n in value.__dataclass_fields__}
        if isinstance(getattr(type(value), "power_w", None), property):
            plain["power_w"] = value.power_w
        return plain
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "value") and hasattr(value, "name"):  # an Enum
        return value.value
    return value


def finite_only(value: Any) -> Any:
    """The same JSON values with None for infinity and NaN (an open bound)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite_only(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_only(item) for item in value]
    return value


def _iso(utc: datetime | None) -> str | None:
    return utc.isoformat(timespec="milliseconds") if utc else None
