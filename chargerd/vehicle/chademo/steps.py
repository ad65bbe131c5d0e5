"""The CHAdeMO sequence as a table: steps, their pins, times and ways out.

Owns every time limit and which pin is on in which step, so that "contactor closed
before the cable check" cannot be written by accident. Holds no logic.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chargerd.model import VehiclePhase
from chargerd.vehicle.chademo.causes import StopCause


class Step(Enum):
    """In the order of a session that goes well."""

    IDLE = "idle"
    WAKE = "wake"  # d1 on, the vehicle's first frames
    READY = "ready"  # k and 102.5.0, compatibility
    LOCK = "lock"
    PROVE = "prove"  # output below 10 V: the vehicle's contactor is open
    TEST = "test"  # insulation test voltage, insulation resistance
    SINK = "sink"  # output below 20 V again
    FIRST_JOIN = "first_join"  # voltage_sense = "stage": our contactor goes first
    CLOSE = "close"  # d2 on, the vehicle closes its contactors
    MATCH = "match"  # our voltage meets the battery's
    JOIN = "join"  # our contactor closes
    REQUEST = "request"  # the vehicle asks for current
    ENERGY = "energy"
    RAMP_DOWN = "ramp_down"  # 109.5.5 = 1, current to nearly zero
    OPEN = "open"  # 109.5.0 = 0, vehicle opens its contactors and checks for welds
    RELEASE = "release"  # d2 off
    UNLOCK = "unlock"  # d1 off, lock open
    LIVE = "live"  # voltage stays on the connector: it stays locked
    DONE = "done"


class Close(Enum):
    """When our DC contactor is closed in a step."""

    NEVER = 0
    STAGE_SENSE = 1  # only with voltage_sense = "stage"
    ALWAYS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One step: pins, `late` = stop cause after its time, `way_out` of a stop."""

    phase: VehiclePhase
    way_out: Step
    late: StopCause | None = None
    d1: bool = True
    d2: bool = False
    lock: bool = True
    dc: Close = Close.NEVER
    insulation: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """Limits in seconds, A, V and ohm. Source: docs/vehicle-chademo.md."""

    wake_s: float = 8.0  # d1 to k with 102.5.0
    lock_s: float = 3.0  # ours
    cable_check_s: float = 20.0  # k to d2
    station_contactor_s: float = 2.0  # ours
    vehicle_contactor_s: float = 4.0
    old_contactor_s: float = 2.0  # protocol 0.9 has no 102.5.3: wait instead
    match_s: float = 5.0  # ours: an insulation monitor shows it a second late
    request_s: float = 4.0
    stop_seen_s: float = 0.1  # 109.5.5 = 1 is on the bus before 109.5.0 = 0
    ramp_down_s: float = 0.5
    open_s: float = 10.0
    d2_to_d1_s: float = 0.5
    blind_release_s: float = 4.0  # ours: d2 off, no word of the vehicle's contactor
    live_s: float = 10.0  # ours: then the connector counts as live
    unlock_s: float = 3.0  # ours
    settle_s: float = 0.2  # ours: a voltage must stay for this long

    dead_v: float = 10.0  # "vehicle contactor is open"
    sunk_v: float = 20.0
    touch_v: float = 60.0  # below this hands are safe
    match_v: float = 10.0
    test_share: float = 0.9  # of the test voltage must be reached
    test_a: float = 2.0
    insulation_ohm: float = 100_000.0
    open_a: float = 5.0  # contactors may open below this

    def limit_s(self, step: Step) -> float:
        """How long `step` may last from its own start; infinite where it may."""
        return {
            Step.LOCK: self.lock_s,
            Step.FIRST_JOIN: self.station_contactor_s,
            Step.CLOSE: self.vehicle_contactor_s,
            Step.MATCH: self.match_s,
            Step.JOIN: self.station_contactor_s,
            Step.REQUEST: self.request_s,
            Step.OPEN: self.open_s,
            Step.RELEASE: self.live_s,
            Step.UNLOCK: self.unlock_s,
        }.get(step, float("inf"))


_IDLE = VehiclePhase.NONE
_HAND = VehiclePhase.HANDSHAKE
_CABLE = VehiclePhase.CABLE_CHECK
_PRE = VehiclePhase.PRECHARGE
_STOP = VehiclePhase.STOPPING

_STAGE, _ALWAYS = Close.STAGE_SENSE, Close.ALWAYS
_OFF = Step.RELEASE

STEPS: dict[Step, Row] = {
    Step.IDLE: Row(_IDLE, Step.IDLE, d1=False, lock=False),
    Step.WAKE: Row(_HAND, Step.UNLOCK, StopCause.NO_CAN, lock=False),
    Step.READY: Row(_HAND, _OFF, StopCause.NO_PERMISSION, lock=False),
    Step.LOCK: Row(_HAND, _OFF, StopCause.LOCK, insulation=True),
    Step.PROVE: Row(_CABLE, _OFF, StopCause.CABLE_CHECK, insulation=True),
    Step.TEST: Row(_CABLE, _OFF, StopCause.CABLE_CHECK, insulation=True),
    Step.SINK: Row(_CABLE, _OFF, StopCause.CABLE_CHECK, insulation=True),
    Step.FIRST_JOIN: Row(
        _PRE, _OFF, StopCause.STATION_CONTACTOR, dc=_STAGE, insulation=True
    ),
    Step.CLOSE: Row(
        _PRE, _OFF, StopCause.EV_CONTACTOR, d2=True, dc=_STAGE, insulation=True
    ),
    Step.MATCH: Row(
        _PRE, _OFF, StopCause.PRECHARGE, d2=True, dc=_STAGE, insulation=True
    ),
    Step.JOIN: Row(
        _PRE, _OFF, StopCause.STATION_CONTACTOR, d2=True, dc=_ALWAYS, insulation=True
    ),
    Step.REQUEST: Row(
        _PRE, _OFF, StopCause.NO_REQUEST, d2=True, dc=_ALWAYS, insulation=True
    ),
    Step.ENERGY: Row(
        VehiclePhase.ENERGY, Step.RAMP_DOWN, d2=True, dc=_ALWAYS, insulation=True
    ),
    # Closed during the weld check, so that we see the vehicle's voltage go.
    Step.RAMP_DOWN: Row(_STOP, Step.OPEN, d2=True, dc=_ALWAYS, insulation=True),
    Step.OPEN: Row(
        _STOP, _OFF, StopCause.EV_CONTACTOR, d2=True, dc=_ALWAYS, insulation=True
    ),
    Step.RELEASE: Row(_STOP, Step.LIVE, StopCause.LIVE_CONNECTOR, insulation=True),
    Step.UNLOCK: Row(_STOP, Step.DONE, StopCause.LOCK, d1=False, lock=False),
    Step.LIVE: Row(VehiclePhase.FAULT, Step.UNLOCK, d1=False, insulation=True),
    Step.DONE: Row(VehiclePhase.ENDED, Step.DONE, d1=False, lock=False),
}

_ORDER = tuple(Step)


def span(first: Step, last: Step) -> frozenset[Step]:
    """All steps from `first` to `last`, both included."""
    return frozenset(_ORDER[_ORDER.index(first) : _ORDER.index(last) + 1])


STARTING = span(Step.WAKE, Step.REQUEST)
RUNNING = span(Step.WAKE, Step.ENERGY)
STOPPING = span(Step.RAMP_DOWN, Step.UNLOCK)
