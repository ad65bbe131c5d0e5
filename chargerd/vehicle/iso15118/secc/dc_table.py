"""The steps of a DC power path as a table: pins, phases, times, voltages.

Owns every limit, and that the contactor is closed only in steps behind a passed cable
check and a matched voltage. Holds no logic. Sources: IEC 61851-23:2023 CC.4.1.2 and
6.3.1.105, 6.3.1.109 (as other stacks quote them), ISO 15118-2 Table 109.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118.secc.causes import Cause


class DcStep(Enum):
    """In the order of a session that goes well."""

    IDLE = "idle"
    LOCK = "lock"  # lock asked for, not yet asked to test
    WAIT = "wait"  # test asked: locked, pilot in C or D, outlet below 60 V
    TEST = "test"  # test voltage, insulation resistance
    SINK = "sink"  # below 60 V again
    TESTED = "tested"  # the cable check has passed
    MATCH = "match"  # stage to the battery's voltage, contactor open
    JOIN = "join"  # contactor closes
    JOINED = "joined"  # voltage is at the outlet, the vehicle may close its own
    ENERGY = "energy"
    RAMP_DOWN = "ramp_down"  # current to nearly zero
    WELD = "weld"  # the vehicle opens its contactors; ours show its voltage
    RELEASE = "release"  # contactor open, outlet below 60 V
    UNLOCK = "unlock"
    LIVE = "live"  # voltage stays on the connector: it stays locked
    DONE = "done"


@dataclass(frozen=True, slots=True)
class DcTimes:
    """Limits in s, V, A and ohm. The time limits are the station's own ones, below
    those of the vehicle (ISO 15118-2 Table 109)."""

    lock_s: float = 10.0
    cable_check_s: float = 38.0
    precharge_s: float = 5.0
    contactor_s: float = 2.0
    ramp_down_s: float = 1.0
    weld_s: float = 10.0  # ours: then the contactor opens without the vehicle's word
    discharge_s: float = 2.0  # ours: the outlet's fall after the vehicle is done
    blind_release_s: float = 4.0  # ours: nobody saw the vehicle open its contactors
    unwanted_s: float = 10.0  # ours: energy ends so long after the station's stop
    live_s: float = 10.0  # ours: then the connector counts as live
    unlock_s: float = 3.0
    settle_s: float = 0.2  # ours: a voltage must stay for this long

    test_a: float = 2.0
    test_share: float = 0.9  # of the test voltage must be reached
    insulation_ohm: float = 100_000.0
    touch_v: float = 60.0  # below this hands are safe
    match_v: float = 10.0  # inside the vehicle's own 20 V
    over_v: float = 10.0  # ours: above the vehicle's own ceiling
    open_a: float = 1.0  # contactors may open below this


class Isolation(Enum):
    """isolationLevelType; what the last cable check said."""

    INVALID = "Invalid"
    VALID = "Valid"
    WARNING = "Warning"
    FAULT = "Fault"


@dataclass(frozen=True, slots=True)
class Row:
    """One step: what the heart sees, and the pins it holds."""

    phase: VehiclePhase
    lock: bool = True
    close_dc: bool = False
    insulation: bool = True


_HAND, _CABLE = VehiclePhase.HANDSHAKE, VehiclePhase.CABLE_CHECK
_PRE, _STOP = VehiclePhase.PRECHARGE, VehiclePhase.STOPPING

ROWS: dict[DcStep, Row] = {
    DcStep.IDLE: Row(_HAND, lock=False, insulation=False),
    DcStep.LOCK: Row(_HAND, insulation=False),
    DcStep.WAIT: Row(_CABLE),
    DcStep.TEST: Row(_CABLE),
    DcStep.SINK: Row(_CABLE),
    DcStep.TESTED: Row(_CABLE),
    DcStep.MATCH: Row(_PRE),
    DcStep.JOIN: Row(_PRE, close_dc=True),
    DcStep.JOINED: Row(_PRE, close_dc=True),
    DcStep.ENERGY: Row(VehiclePhase.ENERGY, close_dc=True),
    DcStep.RAMP_DOWN: Row(_STOP, close_dc=True),
    DcStep.WELD: Row(_STOP, close_dc=True),
    DcStep.RELEASE: Row(_STOP),
    DcStep.UNLOCK: Row(_STOP, lock=False, insulation=False),
    DcStep.LIVE: Row(VehiclePhase.FAULT),
    DcStep.DONE: Row(VehiclePhase.ENDED, lock=False, insulation=False),
}

_ORDER = tuple(DcStep)


def span(first: DcStep, last: DcStep) -> frozenset[DcStep]:
    """All steps from `first` to `last`, both included."""
    return frozenset(_ORDER[_ORDER.index(first) : _ORDER.index(last) + 1])


RUNNING = span(DcStep.IDLE, DcStep.ENERGY)
PERMITTED = span(DcStep.TEST, DcStep.ENERGY)  # locked, pilot in C or D all along
CLOSED = span(DcStep.JOIN, DcStep.WELD)  # the only steps that hold the contactor

# Out at once, without waiting for the vehicle's weld check.
AT_ONCE = frozenset(
    {
        Cause.STATION_SAFE_STATE,
        Cause.STATION_SILENT,
        Cause.PILOT_LEFT,
        Cause.LOCK,
        Cause.STATION_CONTACTOR,
        Cause.INSULATION,
        Cause.EMERGENCY_STOP,
        Cause.OVER_VOLTAGE,
        Cause.SILENT,
        Cause.DISCONNECTED,
        Cause.UNPLUGGED,
        Cause.PILOT_LOST,
        Cause.STAGE_LOST,
        Cause.INSULATION_LOST,
    }
)


def cable_check_voltage(ev_max_v: float, evse_max_v: float) -> float:
    """Test voltage in V (IEC 61851-23:2023 CC.4.1.2)."""
    if ev_max_v <= 500.0:
        return min(500.0, ev_max_v + 50.0, evse_max_v)
    return min(evse_max_v, 1.1 * ev_max_v)
