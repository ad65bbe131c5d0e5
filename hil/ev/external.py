"""A vehicle moved by hand: its pilot and its contactor are what the `pilot` verb says.

Pure. For a vehicle whose protocol runs in another program: it moves this one's pins.
"""

from __future__ import annotations

from typing import Any

from hil.ev.base import Given, Seen
from hil.ev.battery import Battery

STATES = "ABCDEF"


class ExternalEv:
    """Draws `power_w` (negative = feeds in) while it shows C or D and the AC output is
    live. Behind its DC contactor is its battery."""

    kind = "external"
    faults: tuple[str, ...] = ()

    def __init__(self, battery: Battery, *, power_w: float = 3_680.0) -> None:
        self.battery = battery
        self.power_w = power_w
        self.pilot_state = "B"
        self.paused = False
        self.energy_in_wh = 0.0
        self._before = "B"
        self._closed = False

    def set_pilot(
        self, state: str, contactor: bool | None = None, power_w: float | None = None
    ) -> None:
        """Show `state` from now on; A to F. None: the others stay as they are."""
        if contactor is not None:
            self._closed = contactor
        if power_w is not None:
            self.power_w = power_w
        if state not in STATES or len(state) != 1:
            raise ValueError(f"pilot state {state!r}: use one of {', '.join(STATES)}")
        self.pilot_state = state

    def step(self, now_s: float, dt_s: float, seen: Seen) -> Given:
        flowed_w = seen.ac_power_w
        self.energy_in_wh += max(0.0, flowed_w) * dt_s / 3600.0
        dc_a = seen.dc_current_a if self._closed else 0.0
        self.battery.step(self.battery.current_for(flowed_w) + dc_a, dt_s)
        draws = seen.ac_live and not self.paused and self.pilot_state in "CD"
        return Given(
            self.pilot_state,
            contactor_closed=self._closed,
            emf_v=self.battery.emf_v,
            resistance_ohm=self.battery.resistance_ohm,
            ac_power_w=self.power_w if draws and not self._closed else 0.0,
        )

    def can(self, frame_id: int, data: bytes, now_s: float) -> None:
        """No CAN on this connector."""

    def unplugged(self) -> None:
        """Nothing to close."""

    def pause(self) -> None:
        """C (or D) becomes B, as any car pauses."""
        if not self.paused:
            self.paused, self._before = True, self.pilot_state
        if self.pilot_state in "CD":
            self.pilot_state = "B"

    def resume(self) -> None:
        if self.paused:
            self.paused, self.pilot_state = False, self._before

    def fault(self, kind: str, on: bool, **args: Any) -> None:
        raise ValueError(f"fault {kind}: an external vehicle has none; use pilot")

    def state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "phase": self.pilot_state,
            "contactor_closed": self._closed,
            "ac_energy_in_wh": round(self.energy_in_wh, 4),
            **self.battery.state(),
        }
