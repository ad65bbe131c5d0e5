"""What tests of the OpenADR 3 door share: events as a VTN has them, and a VEN with a
VTN that says what the test says. Owns no test."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from chargerd.clock import Now
from chargerd.grid.openadr3 import Ven
from chargerd.grid.openadr3_calls import Call
from chargerd.grid.work import Work
from chargerd.model import EvseReport
from tests.unit.grid.stand import at, config, report

URL = {"url": "http://127.0.0.1:1/v3", "ven_name": "charger"}
Json = dict[str, Any]
START = "2026-11-25T12:01:40Z"  # mono 100


def payload(kind: str, *values: Any) -> dict[str, Any]:
    return {"type": kind, "values": list(values)}


def interval(
    *payloads: dict[str, Any], ident: int = 0, **period: Any
) -> dict[str, Any]:
    found: dict[str, Any] = {"id": ident, "payloads": list(payloads)}
    return found | ({"intervalPeriod": period} if period else {})


def event(
    ident: str = "E1", *intervals: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """From mono 100 on, ten minutes an interval, by default 3 kW out of the vehicle."""
    return {
        "id": ident,
        "programID": "P1",
        "objectType": "EVENT",
        "createdDateTime": START,
        "modificationDateTime": START,
        "priority": None,
        "targets": None,
        "intervalPeriod": {"start": START, "duration": "PT10M"},
        "intervals": list(intervals) or [interval(payload("DISPATCH_SETPOINT", -3.0))],
        **changes,
    }


def sized(evse_id: int = 1, **changes: Any) -> EvseReport:
    """With a vehicle of 40 kWh at 55 %."""
    made = report(evse_id, **changes)
    vehicle = replace(made.snapshot.vehicle, capacity_wh=40_000.0)
    return replace(made, snapshot=replace(made.snapshot, vehicle=vehicle))


class Stand:
    """A VEN of two EVSEs, and a VTN that says what the test says."""

    def __init__(self, saved: dict[str, Any] | None = None, **changes: Any) -> None:
        made = config(openadr3={**URL, **changes})
        if made.grid.openadr3 is None:
            raise AssertionError("not configured")
        self.ven = Ven(made.grid.openadr3, made.evse, saved or {})
        self.name = made.grid.openadr3.ven_name
        self.mono = 100.0
        self.trusted = True
        self.vens: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        self.programs = [{"id": "P1", "programName": "demand"}]
        self.calls: list[Call] = []

    @property
    def now(self) -> Now:
        return at(self.mono, trusted=self.trusted)

    def next(self) -> Call | None:
        call = self.ven.next(self.now)
        if call is not None:
            self.calls.append(call)
        return call

    def answer(
        self,
        call: Call,
        body: Any = None,
        status: int = 200,
        date: datetime | None = None,
    ) -> None:
        self.ven.answered(call, status, body, date, self.now)
        job = self.ven.to_judge(self.now)
        if job is not None:
            self.ven.judged(job())

    def serve(self, call: Call) -> None:
        """As a good VTN would, but for events."""
        match call.kind:
            case "programs":
                self.answer(call, self.programs)
            case "find ven":
                self.answer(call, self.vens)
            case "make ven":
                self.answer(call, {"id": "V1", "venName": self.name}, 201)
            case "find resources":
                self.answer(call, self.resources)
            case "make resource":
                self.answer(call, {"id": "R1"}, 201)
            case "report":
                self.answer(call, {"id": "RP1"}, 201)
            case _:
                raise AssertionError(f"not expected: {call.kind}")

    def tell(self, *events: Any) -> None:
        """The newest list, at the next question for it."""
        for _ in range(100):
            call = self.next()
            if call is None:
                self.mono += 5.0
            elif call.kind == "events":
                self.answer(call, list(events))
                return
            else:
                self.serve(call)
        raise AssertionError("never asked for events")

    def rest_until_events(self) -> None:
        """The newest call asks for events, and has no answer yet."""
        while (call := self.next()) is not None and call.kind != "events":
            self.serve(call)

    def tick(self) -> Work:
        job = self.ven.tick(self.now)
        return Work() if job is None else self.ven.reckoned(job(), self.now)

    def asked(self, *events: Any) -> dict[tuple[str, int], list[tuple[float, Any]]]:
        """By source and EVSE: start after now, and the wish or (cap in, cap out)."""
        if events:
            self.tell(*events)
        found = {}
        for one in self.tick().signals:
            found[one.source, one.evse_id] = [
                (
                    s.start_mono - self.mono,
                    (s.limit_w, s.discharge_limit_w)
                    if s.setpoint_w is None
                    else s.setpoint_w,
                )
                for s in one.segments
            ]
        return found
