"""What tests of the S2 door share: a resource manager, and a CEM that says what the
test says. All that is sent must parse with s2-python. Owns no test."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from s2python.s2_parser import S2Parser

from chargerd.clock import Now
from chargerd.grid.s2 import Manager
from chargerd.grid.s2_words import FRBC, PEBC
from chargerd.model import DispatchSignal
from tests.unit.grid.openadr3_stand import sized
from tests.unit.grid.stand import at, config

Json = dict[str, Any]
ANYBODY = "3f2a7c1e-0000-4000-8000-00000000000a"


class Stand:
    """EVSE 1 of two, rated 6 kW both ways; the report's vehicle has 22 of 40 kWh."""

    def __init__(self, **changes: Any) -> None:
        made = config(s2={"url": "ws://127.0.0.1:1/s2", **changes})
        if made.grid.s2 is None:
            raise AssertionError("not configured")
        self.count = 0
        self.manager = Manager(made.grid.s2, "CS1", made.evse[0], self.new_id)
        self.mono = 100.0
        self.signals: list[DispatchSignal] = []

    def new_id(self) -> UUID:
        self.count += 1
        return UUID(int=self.count, version=4)

    @property
    def now(self) -> Now:
        return at(self.mono)

    def said(self) -> list[Json]:
        """All that was sent since; each parses."""
        texts = list(self.manager.to_send)
        self.manager.to_send.clear()
        for text in texts:
            S2Parser.parse_as_any_message(text)
        return [json.loads(text) for text in texts]

    def kinds(self) -> list[str]:
        return [m["message_type"] for m in self.said()]

    def tell(self, kind: str, **fields: Any) -> list[Json]:
        """A message of the CEM, and what it brought about at once."""
        message = {"message_type": kind, "message_id": str(self.new_id()), **fields}
        self.manager.receive(json.dumps(message), self.now)
        return self.said()

    def statuses(self, said: list[Json]) -> list[str]:
        """Of receptions and instructions."""
        return [m.get("status") or m.get("status_type") or "" for m in said]

    def tick(self, seconds: float = 0.0) -> list[DispatchSignal]:
        self.mono += seconds
        self.signals = self.manager.tick(self.now)
        return self.signals

    def up(self, control: str = FRBC) -> None:
        """Agreed, described, and a vehicle is there."""
        self.manager.report(sized())
        self.manager.begin(self.now)
        self.tell("Handshake", role="CEM")
        self.tell("HandshakeResponse", selected_protocol_version="0.0.2-beta")
        self.tell("SelectControlType", control_type=control)
        self.tick()
        self.described = {m["message_type"]: m for m in self.said()}

    def mode(self, name: str) -> str:
        return str(self.manager._ids.modes[name])

    def frbc(self, name: str, factor: float, in_s: float = 0.0, **more: Any) -> Json:
        """Fields of an FRBC.Instruction."""
        return {
            "id": str(self.new_id()),
            "actuator_id": str(self.manager._ids.actuator),
            "operation_mode": self.mode(name),
            "operation_mode_factor": factor,
            "execution_time": at(self.mono + in_s).utc.isoformat(),
            "abnormal_condition": False,
            **more,
        }

    def pebc(self, *elements: tuple[float, float, float], **more: Any) -> Json:
        """Fields of a PEBC.Instruction: seconds, lower, upper."""
        envelope = {
            "id": str(self.new_id()),
            "commodity_quantity": "ELECTRIC.POWER.L1",
            "power_envelope_elements": [
                {"duration": int(s * 1000), "lower_limit": low, "upper_limit": high}
                for s, low, high in elements
            ],
        }
        return {
            "id": str(self.new_id()),
            "execution_time": self.now.utc.isoformat(),
            "abnormal_condition": False,
            "power_constraints_id": str(self.manager._constraints),
            "power_envelopes": [envelope],
            **more,
        }

    def asked(self) -> dict[str, list[tuple[float, Any]]]:
        """By source: start after now, and the wish or (cap in, cap out)."""
        return {
            s.source: [
                (
                    p.start_mono - self.mono,
                    (p.limit_w, p.discharge_limit_w)
                    if p.setpoint_w is None
                    else p.setpoint_w,
                )
                for p in s.segments
            ]
            for s in self.tick()
        }


__all__ = ["ANYBODY", "FRBC", "PEBC", "Stand"]
