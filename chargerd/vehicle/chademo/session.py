"""What one session remembers from d1 to the end: values only.

Made new at each wake, so that nothing of the last session can count in this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chargerd.vehicle.chademo.causes import AT_ONCE, BY_VEHICLE, FAULTS, StopCause
from chargerd.vehicle.chademo.charge import ChargeCurrent
from chargerd.vehicle.chademo.monitor import Monitor
from chargerd.vehicle.chademo.peer import Peer
from chargerd.vehicle.chademo.steps import Step

SAME_EVENT_S = 0.5  # ours


@dataclass(frozen=True, slots=True)
class Pins:
    """What is switched on. `&`: stopping never switches on what was off."""

    d1: bool = False
    d2: bool = False
    lock: bool = False
    close_dc: bool = False

    def __and__(self, other: Pins) -> Pins:
        return Pins(
            self.d1 and other.d1,
            self.d2 and other.d2,
            self.lock and other.lock,
            self.close_dc and other.close_dc,
        )


@dataclass(slots=True)
class Session:
    """The `_mono` values say when the step, d1, ready, energy and stop began."""

    charge: ChargeCurrent
    d1_mono: float
    step: Step = Step.IDLE
    step_mono: float = 0.0
    ready_mono: float = 0.0
    energy_mono: float = 0.0
    stop_mono: float = 0.0
    peer: Peer = field(default_factory=Peer)
    monitor: Monitor = field(default_factory=Monitor)
    cause: StopCause | None = None
    faults: set[str] = field(default_factory=set)
    start_told_mono: float | None = None  # 109.5.5 = 0 was first sent
    hurry: bool = False  # contactors open without waiting for the weld check
    live: bool = False  # voltage stayed on the connector
    pins: Pins = field(default_factory=Pins)
    battery_v: float = 0.0
    may_discharge: bool = False
    steady_since_mono: float | None = None

    def note(self, cause: StopCause, now_mono: float) -> None:
        """The first cause names the stop; each may add its fault and its hurry.

        The vehicle often sees our trouble first: an emergency stop takes d1 away, and
        its frame is here before the pilot's. So its own end yields to ours for a while.
        """
        if self.cause is None:
            self.stop_mono = now_mono
        early = now_mono - self.stop_mono <= SAME_EVENT_S
        yields = self.cause in BY_VEHICLE and cause in AT_ONCE and early
        if self.cause is None or yields:
            self.cause = cause
        self.hurry |= cause in AT_ONCE
        if cause in FAULTS:
            self.faults.add(FAULTS[cause])

    def steady(self, condition: bool, for_s: float, now_mono: float) -> bool:
        """True once `condition` has held for `for_s` in this step."""
        if not condition:
            self.steady_since_mono = None
            return False
        if self.steady_since_mono is None:
            self.steady_since_mono = now_mono
        return now_mono - self.steady_since_mono >= for_s
