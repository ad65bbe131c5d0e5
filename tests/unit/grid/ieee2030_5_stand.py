"""What tests of the IEEE 2030.5 door share: the core, and a process that says what the
test says. Owns no test."""

from __future__ import annotations

from typing import Any

from chargerd.clock import Now
from chargerd.grid.ieee2030_5 import Controls
from chargerd.model import DispatchSignal
from tests.unit.grid.stand import at, config

FILES = {"ca": "/ca.pem", "certificate": "/c.pem", "key": "/c.key"}
URL = {"url": "https://127.0.0.1:1", **FILES}


class Stand:
    """Two EVSEs of 6 kW both ways: one DER of 12 kW."""

    def __init__(self, **changes: Any) -> None:
        made = config(ieee2030_5={**URL, **changes})
        if made.grid.ieee2030_5 is None:
            raise AssertionError("not configured")
        self.controls = Controls(made.grid.ieee2030_5, made.evse, 50.0)
        self.mono = 100.0
        self.last: dict[str, DispatchSignal] = {}
        self.say(connected=True, lfdi="ab" * 20)
        self.say(heard_s=0.0)

    @property
    def now(self) -> Now:
        return at(self.mono)

    def say(self, **message: Any) -> None:
        self.controls.receive(message, self.now)

    def set(self, mode: str, end_s: float | None = 600.0, **params: Any) -> None:
        self.say(mode=mode, params=params, end_s=end_s)

    def asked(self) -> dict[str, Any]:
        """By source: the wish, (cap in, cap out) or the curve's points, of now."""
        for signal in self.controls.tick(self.now):
            self.last[signal.source] = signal
        found = {}
        for source, signal in self.last.items():
            segment = signal.at(self.mono)
            if segment is None:
                continue
            if segment.curve is not None:
                found[source] = segment.curve.points
            elif segment.setpoint_w is not None:
                found[source] = segment.setpoint_w
            else:
                found[source] = (segment.limit_w, segment.discharge_limit_w)
        return found
