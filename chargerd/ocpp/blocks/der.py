"""Block R: DER controls, from SetDERControl to rules of the heart (R01, R04).

Owns the messages about controls, their persistence over a power loss, and the timers of
scheduled ones. Which control runs is `der_controls.py`, what it does `der_rules.py`,
and what the CSMS hears of its effect `der_alarms.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chargerd.clock import Now
from chargerd.model import EvseReport, GridRulesRequest
from chargerd.model_grid import NO_RULES, GridRules
from chargerd.ocpp.blocks import der_rules
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.der_alarms import Alarms
from chargerd.ocpp.blocks.der_controls import (
    MOST,
    Control,
    Controls,
    Ended,
    Started,
    from_disk,
    to_disk,
)
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal, stamp
from chargerd.ocpp.effects import (
    Answer,
    Durability,
    OcppError,
    Payload,
    Refusal,
    Save,
)
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.table.der import KINDS, has_ac, has_dc
from chargerd.ocpp.table.row import Place
from chargerd.ocpp.variable import Variable

SPACE = "der"
PER_REPORT = 10  # controls in a ReportDERControl
MOST_SUPERSEDED = 24  # in an answer
CLOCK_STEP_S = 1.0
LATEST_S = 253_402_300_000.0  # the year 9999


class DerControl(Block):
    """All DER controls of the station. Raises nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._alarms = Alarms(desk)
        self._nominal_hz = desk.config.site.nominal_hz
        saved = desk.saved.get(SPACE, {}).values()
        found = [c for v in saved if (c := from_disk(v, self._fits)) is not None]
        self._controls = Controls(found)
        self._disk = self._controls.all()
        self._told: dict[int, GridRules] = dict.fromkeys(desk.evses, NO_RULES)
        self._due_mono = math.inf
        self._clock_s = 0.0

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ClearDERControl": self.clear,
            "GetDERControl": self.get,
            "SetDERControl": self.set,
        }

    def begin(self, now: Now) -> None:
        """What began or ended while we were down is told late, with its own time."""
        self._refresh(now)

    def _fits(self, control: Control) -> bool:
        try:
            der_rules.check(control.kind, control.body, self._nominal_hz)
        except Refusal:
            return False
        return control.kind in KINDS

    # What an EVSE can do.

    def _modes(self, view: EvseView) -> set[str]:
        """The control types of an EVSE, by its DC and AC components."""
        model, evse_id, found = self._desk.model, view.config.id, set[str]()
        place = Place(self._desk.config, view.config)
        if has_dc(place) and model.flag("DCDERCtrlr", "Enabled", evse_id):
            found |= set(model.members("DCDERCtrlr", "ModesSupported", evse_id))
        if has_ac(place):
            found |= set(model.members("ACDERCtrlr", "ModesSupported", evse_id))
        return found

    def _supports(self, kind: str) -> bool:
        return any(kind in self._modes(view) for view in self._desk.evses.values())

    # Messages of the CSMS.

    def set(self, request: Payload, now: Now) -> Answer:
        """SetDERControl (R04.FR.01-FR.17)."""
        kind = request["controlType"]
        if not self._supports(kind):
            return refusal("UnsupportedParam", kind, "NotSupported")
        try:
            control = self._parse(request, now)
        except Refusal as bad:
            return refusal(bad.reason, bad.text)
        except OcppError as error:
            return refusal("InvalidValue", str(error))
        if len(self._controls) >= MOST and control.id not in self._controls:
            return refusal("TooManyElements", f"at most {MOST} controls")
        superseded = self._controls.add(control, now.utc.timestamp())
        self._refresh(now)
        answer: Payload = {"status": "Accepted"}
        if superseded:
            answer["supersededIds"] = list(superseded[:MOST_SUPERSEDED])
        return answer

    def _parse(self, request: Payload, now: Now) -> Control:
        kind, is_default = request["controlType"], request["isDefault"]
        field = der_rules.FIELDS.get(kind, "curve")
        given = [name for name in der_rules.ALL_FIELDS if name in request]
        if given != [field]:
            raise Refusal("InvalidValue", f"{kind} comes as {field} alone")
        body = request[field]
        timed = [name for name in ("startTime", "duration") if name in body]
        if is_default and timed:
            raise Refusal("InvalidValue", f"a default has no {timed[0]}")
        if not is_default and kind in der_rules.DEFAULT_ONLY:
            raise Refusal("InvalidValue", f"{kind} is a default only")
        der_rules.check(kind, body, self._nominal_hz)
        control = Control(request["controlId"], kind, field, body, is_default, 0)
        if is_default:
            return control
        return _scheduled(control, timed, now)

    def get(self, request: Payload, now: Now) -> Answer:
        """GetDERControl (R04.FR.30-FR.37)."""
        kind = request.get("controlType")
        if kind is not None and not self._supports(kind):
            return refusal("UnsupportedParam", kind, "NotSupported")
        found = self._controls.matching(
            request.get("isDefault"), kind, request.get("controlId")
        )
        for first in range(0, len(found), PER_REPORT):
            part = found[first : first + PER_REPORT]
            report: Payload = {"requestId": request["requestId"]}
            if first + PER_REPORT < len(found):
                report["tbc"] = True
            for control in part:
                report.setdefault(control.field, []).append(_as_reported(control))
            self._desk.send("ReportDERControl", report, now)
        return {"status": "Accepted" if found else "NotFound"}

    def clear(self, request: Payload, now: Now) -> Answer:
        """ClearDERControl (R04.FR.41-FR.46)."""
        kind, control_id = request.get("controlType"), request.get("controlId")
        if kind is not None and not self._supports(kind):
            return refusal("UnsupportedParam", kind, "NotSupported")
        found = self._controls.matching(request["isDefault"], kind, control_id)
        self._controls.remove(found)
        self._refresh(now)
        everything = kind is None and control_id is None
        return {"status": "Accepted" if found or everything else "NotFound"}

    # Time.

    def next_timer(self) -> float:
        return self._due_mono

    def on_timer(self, now: Now) -> None:
        if now.mono >= self._due_mono:
            self._refresh(now)

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        self._alarms.observe(view, report, now)

    def variable_set(self, variable: Variable, now: Now) -> None:
        if variable.row.component == "DCDERCtrlr":  # it may have been switched
            self._refresh(now)

    def on_second(self, now: Now) -> None:
        """The clock may have been set."""
        if abs(now.utc.timestamp() - now.mono - self._clock_s) > CLOCK_STEP_S:
            self._refresh(now)
        self._alarms.on_second(now)

    def _refresh(self, now: Now) -> None:
        """Start and end what is due, tell CSMS, disk and heart, set the timer."""
        now_s = now.utc.timestamp()
        self._clock_s = now_s - now.mono
        for event in self._controls.step(now_s):
            self._tell(event, now)
        self._keep()
        for evse_id, view in self._desk.evses.items():
            rules = self._rules(view, now)
            if rules != self._told[evse_id]:
                self._told[evse_id] = rules
                self._desk.ask(GridRulesRequest(rules, evse_id))
        change_s = self._controls.next_change_s(now_s)
        self._due_mono = now.mono + (change_s - now_s)

    def _tell(self, event: Started | Ended, now: Now) -> None:
        """NotifyDERStartStop (R04.FR.20-FR.22), on the disk with what it tells: no
        crash can lose it or say it twice."""
        control, started = event.control, isinstance(event, Started)
        at_s = control.start_s if started else control.end_s
        payload: Payload = {
            "controlId": control.id,
            "started": started,
            "timestamp": stamp(datetime.fromtimestamp(at_s, UTC)),
        }
        if isinstance(event, Started) and event.supersedes:
            payload["supersededIds"] = list(event.supersedes[:MOST_SUPERSEDED])
        live = self._controls.all().get(control.id)
        record = None if live is None else to_disk(live)
        self._desk.send(
            "NotifyDERStartStop", payload, now, Durability.DURABLE,
            save=Save(SPACE, control.id, record),
        )  # fmt: skip
        if live is None:
            self._disk.pop(control.id, None)
        else:
            self._disk[control.id] = live

    def _keep(self) -> None:
        """Only what has changed goes to the disk (R01.FR.03)."""
        live = self._controls.all()
        for control_id in set(self._disk) - set(live):
            self._desk.save(SPACE, control_id, None)
        for control_id, control in live.items():
            if self._disk.get(control_id) != control:
                self._desk.save(SPACE, control_id, to_disk(control))
        self._disk = live

    def _rules(self, view: EvseView, now: Now) -> GridRules:
        """What runs and this EVSE can do, as rules."""
        now_s = now.utc.timestamp()
        if not len(self._controls):
            return NO_RULES
        running = {
            kind: control
            for kind in self._modes(view)
            if (control := self._controls.running(kind, now_s)) is not None
        }
        if not running:
            return NO_RULES
        station_id = self._desk.config.station.id
        return der_rules.rules(running, station_id)


def _scheduled(control: Control, timed: list[str], now: Now) -> Control:
    if len(timed) < 2:  # only defaults may lack them (2.37 DERCurveType)
        raise Refusal("MissingParam", "startTime and duration")
    start_s = parse_time(control.body["startTime"]).timestamp()
    end_s = start_s + control.body["duration"]
    if not 0.0 <= start_s < end_s <= LATEST_S or end_s <= now.utc.timestamp():
        raise Refusal("InvalidValue", "its time is over already")
    return replace(control, start_s=start_s, end_s=end_s)


def _as_reported(control: Control) -> dict[str, Any]:
    """A ...GetType element: curves have another shape than the others."""
    made: Payload = {"id": control.id}
    if control.field not in ("enterService", "gradient"):
        made["isDefault"] = control.is_default
        made["isSuperseded"] = control.superseded
    if control.field == "curve":
        made["curveType"] = control.kind
    name = "fixedPF" if control.field.startswith("fixedPF") else control.field
    return {**made, name: control.body}
