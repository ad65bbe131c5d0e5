"""The seam between a simulated vehicle and the rig: what each sees of the other.

A vehicle is stepped by the rig every few milliseconds. It owns its battery, its pins
and its CAN frames; the rig owns the cable and the electrical solution. No I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Seen:
    """What the connector shows the vehicle in this step."""

    pilot_duty: float = 1.0  # 1.0 = steady 12 V, 0 = -12 V (state F)
    d1: bool = False  # CHAdeMO pin 2 at 12 V
    d2: bool = False  # CHAdeMO pin 10 pulled low
    locked: bool = False
    dc_voltage_v: float = 0.0  # at the connector, station side
    dc_current_a: float = 0.0  # signed: positive into the vehicle
    ac_live: bool = False  # the AC output contactor is closed and the grid is there
    ac_power_w: float = 0.0  # what really flows on the AC path into the vehicle


@dataclass(frozen=True, slots=True)
class Given:
    """What the vehicle shows the connector in this step.

    The battery behind a closed vehicle contactor is a voltage source `emf_v` with
    `resistance_ohm`. `ac_power_w` is the power its on-board charger wants now; negative
    = it feeds in.
    """

    pilot_state: str = "A"
    proximity: bool = False  # CHAdeMO pin 7
    permission: bool = False  # CHAdeMO pin 4 (k)
    contactor_closed: bool = False
    emf_v: float = 0.0
    resistance_ohm: float = 0.1
    ac_power_w: float = 0.0
    frames: tuple[tuple[int, bytes], ...] = field(default=())


class Ev(Protocol):
    """A vehicle model. `kind` is the word `plug_in` uses."""

    kind: str

    def step(self, now_s: float, dt_s: float, seen: Seen) -> Given: ...
    def can(self, frame_id: int, data: bytes, now_s: float) -> None: ...
    def unplugged(self) -> None:
        """The connector was pulled; the model is dropped after this."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def fault(self, kind: str, on: bool, **args: Any) -> None: ...
    def state(self) -> dict[str, Any]: ...
