"""What tests of the OpenADR 2.0b door share: events as the reader gives them, and a VEN
with a VTN that says what the test says. Owns no test."""

from __future__ import annotations

from typing import Any

from chargerd.clock import Now
from chargerd.grid.openadr2 import Ven
from chargerd.grid.openadr2_words import Call
from chargerd.grid.work import Work
from tests.unit.grid.stand import at, config

CONTEXT = "http://market"
POWER = {"item": "powerReal", "unit": "W", "scale": "none"}
URL = {"url": "http://127.0.0.1:1/x", "ven_name": "charger"}


def signal(*values: Any, **changes: Any) -> dict[str, Any]:
    """LOAD_DISPATCH setpoints, each for ten minutes."""
    return {
        "name": "LOAD_DISPATCH",
        "type": "setpoint",
        **POWER,
        "intervals": [["PT10M", str(value)] for value in values],
        **changes,
    }


def event(
    ident: str = "E1", *signals: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """From 12:01:40 (mono 100) on, for an hour, by default 3 kW out of the vehicle."""
    return {
        "id": ident,
        "modification": "0",
        "priority": "1",
        "status": "active",
        "test": "",
        "context": CONTEXT,
        "response": "always",
        "start": "2026-11-25T12:01:40Z",
        "length": "PT1H",
        "start_after": "",
        "resources": [],
        "vens": [],
        "signals": list(signals) or [signal(-3000.0)],
        **changes,
    }


class Stand:
    """A VEN of two EVSEs, and a VTN that says what the test says."""

    def __init__(self, saved: dict[str, Any] | None = None, **changes: Any) -> None:
        made = config(openadr2={**URL, **changes})
        if made.grid.openadr2 is None:
            raise AssertionError("not configured")
        self.ven = Ven(made.grid.openadr2, made.evse, saved or {})
        self.mono = 100.0
        self.trusted = True
        self.date = ""

    @property
    def now(self) -> Now:
        return at(self.mono, trusted=self.trusted)

    def next(self) -> Call | None:
        return self.ven.next(self.now)

    def answer(self, call: Call, kind: str = "oadrResponse", **body: Any) -> None:
        body = {"code": "200", "request_id": "Q1", **body}
        answer = {"type": kind, "body": body, "date": self.date}
        self.ven.answered(call, answer, self.ven.read(answer), self.now)

    def fail(self, call: Call, error: str = "timeout") -> None:
        self.ven.answered(call, {"error": error}, [], self.now)

    def expect(self, kind: str) -> Call:
        """The next call is of that kind."""
        call = self.next()
        if call is None or call.kind != kind:
            raise AssertionError(f"expected {kind}, got {call}")
        return call

    def register(self, **body: Any) -> Call:
        call = self.expect("register")
        given = {"ven_id": "007", "registration_id": "R1", "poll": "PT5S", **body}
        self.answer(call, "oadrCreatedPartyRegistration", **given)
        return call

    def up(self, *events: dict[str, Any]) -> Call | None:
        """Registered, its reports offered, the first list told. What it answers."""
        self.register()
        self.answer(self.expect("reports"), "oadrRegisteredReport")
        return self.tell(*events)

    def tell(self, *events: dict[str, Any]) -> Call | None:
        """The newest list, at the next question for it."""
        call = self.next()
        for _ in range(60):
            if call is not None and call.kind == "events":
                break
            if call is not None:
                self.answer(call)
            else:
                self.mono += 5.0
            call = self.next()
        else:
            raise AssertionError("never asked for the list")
        self.answer(call, "oadrDistributeEvent", events=list(events))
        found = self.next()
        if found is not None and found.kind == "answer":
            self.answer(found)
            return found
        if found is not None:
            self.answer(found)
        return None

    def tick(self) -> Work:
        job = self.ven.tick(self.now)
        return Work() if job is None else self.ven.reckoned(job(), self.now)

    def wishes(self) -> dict[tuple[str, int], list[tuple[float, float | None]]]:
        """By source and EVSE: start after now, and the wish or the cap."""
        found = {}
        for one in self.tick().signals:
            found[one.source, one.evse_id] = [
                (
                    s.start_mono - self.mono,
                    s.limit_w if s.setpoint_w is None else s.setpoint_w,
                )
                for s in one.segments
            ]
        return found
