"""The stop conditions of a CHAdeMO session, as one table over one view.

Owns when a session must end and how long each condition may last; never acts itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chargerd.vehicle.chademo.causes import VEHICLE_FAULTS, StopCause
from chargerd.vehicle.chademo.steps import RUNNING, Step, span
from chargerd.vehicle.chademo.view import View

DEVIATION_A = 10.0
DEVIATION_HOLD_S = 2.0  # ours, inside the vehicle's 5 s
VOLTAGE_MARGIN_V = 10.0
BUS_HOLD_S = 1.0
INVALID_HOLD_S = 10.0  # ours: how long the insulation value may be invalid


@dataclass(frozen=True, slots=True)
class Rule:
    """`cause` stops the session when `bad` held for `hold_s` in one of `steps`."""

    cause: StopCause
    steps: frozenset[Step]
    bad: Callable[[View], bool]
    hold_s: float = 0.0


def _vehicle_says(name: str) -> Callable[[View], bool]:
    return lambda v: v.peer.status is not None and name in v.peer.status.faults


def _over_current(v: View) -> bool:
    """10 A more than the vehicle asked for, either way; it bears that for 5 s."""
    limits = v.peer.discharge
    discharge_a = limits.discharge_a if limits and v.peer.v2h else 0.0
    above = v.current_a > v.peer.request_a + DEVIATION_A
    return above or v.current_a < discharge_a - DEVIATION_A


def _opened_by_itself(v: View) -> bool:
    """102.5.3 rises while 102.5.0 still says that the vehicle is in it."""
    enabled = v.peer.status is not None and v.peer.status.enabled
    return enabled and v.peer.contactor_flag and v.peer.contactor_open


def _fell_open(v: View) -> bool:
    """Our contactor is open though nobody, no safe state either, has opened it."""
    return v.pilot is not None and v.pilot.dc_closed is False and not v.pilot.safe_state


def _insulation_bad(v: View) -> bool:
    if v.insulation is None:
        return False
    ohm = v.insulation.resistance_ohm
    return v.insulation.alarm or (ohm is not None and ohm < v.times.insulation_ohm)


def _insulation_lost(v: View) -> bool:
    if v.insulation is None:
        return not v.station_silent
    return v.insulation.device_fault


_ANY = span(Step.WAKE, Step.OPEN)
_TALKING = span(Step.READY, Step.OPEN)
_TALKING_RUN = span(Step.READY, Step.ENERGY)
_PERMITTED = span(Step.LOCK, Step.ENERGY)
_LOCKED = span(Step.PROVE, Step.OPEN)
_HOT = span(Step.FIRST_JOIN, Step.RAMP_DOWN)
_TAKEN = span(Step.MATCH, Step.ENERGY)
_JOINED = frozenset({Step.REQUEST, Step.ENERGY})
_ENERGY = frozenset({Step.ENERGY})

# In order of importance: the first that holds names the stop.
RULES: tuple[Rule, ...] = (
    Rule(
        StopCause.EMERGENCY_STOP,
        _ANY,
        lambda v: v.pilot is not None and v.pilot.emergency_stop,
    ),
    Rule(
        StopCause.PILOT_LOST, _ANY, lambda v: v.pilot is None and not v.station_silent
    ),
    Rule(
        StopCause.UNPLUGGED,
        _ANY,
        lambda v: v.pilot is not None and not v.pilot.chademo_proximity,
    ),
    Rule(
        StopCause.STATION_SAFE_STATE,
        _ANY,
        lambda v: v.pilot is not None and v.pilot.safe_state,
    ),
    Rule(
        StopCause.LOCK,
        _LOCKED,
        lambda v: v.pilot is not None and v.pilot.locked is not True,
    ),
    Rule(
        StopCause.STAGE_LOST,
        _LOCKED,
        lambda v: v.stage is None and not v.station_silent,
    ),
    Rule(StopCause.INSULATION, _HOT, _insulation_bad),
    Rule(StopCause.INSULATION_LOST, _HOT, _insulation_lost),
    Rule(
        StopCause.INSULATION_LOST,
        _HOT,
        lambda v: v.insulation is not None and v.insulation.resistance_ohm is None,
        INVALID_HOLD_S,
    ),
    Rule(
        StopCause.STATION_CONTACTOR,
        _JOINED,
        _fell_open,
    ),
    Rule(
        StopCause.OVER_VOLTAGE,
        _JOINED,
        lambda v: v.voltage_v > v.threshold_v + VOLTAGE_MARGIN_V,
        0.2,
    ),
    Rule(
        StopCause.UNDER_VOLTAGE,
        _ENERGY,
        lambda v: v.current_a < -1.0 and v.voltage_v < v.lower_v - VOLTAGE_MARGIN_V,
        1.0,
    ),
    Rule(StopCause.OVER_CURRENT, _ENERGY, _over_current, DEVIATION_HOLD_S),
    Rule(StopCause.STATION_FAULT, RUNNING, lambda v: v.offer.fault_stop),
    *(
        Rule(cause, _TALKING_RUN, _vehicle_says(name))
        for name, cause in VEHICLE_FAULTS.items()
    ),
    Rule(
        StopCause.VEHICLE_SYSTEM,
        _TALKING_RUN,
        lambda v: v.peer.status is not None and v.peer.status.system_fault,
    ),
    Rule(
        StopCause.NOT_IN_PARK,
        _TALKING_RUN,
        lambda v: v.peer.status is not None and v.peer.status.not_in_park,
    ),
    Rule(
        StopCause.NORMAL_STOP,
        span(Step.READY, Step.REQUEST),
        lambda v: v.peer.status is not None and v.peer.status.normal_stop,
    ),
    Rule(
        StopCause.VEHICLE_STOP,
        _PERMITTED,
        lambda v: v.peer.status is not None and not v.peer.status.enabled,
    ),
    Rule(
        StopCause.PERMISSION_LOST,
        _PERMITTED,
        lambda v: v.pilot is not None and not v.pilot.chademo_permission,
    ),
    Rule(
        StopCause.TARGET_ZERO,
        _PERMITTED,
        lambda v: v.peer.status is not None and v.peer.status.target_voltage_v <= 0.0,
    ),
    Rule(
        StopCause.EV_CONTACTOR,
        _TAKEN,
        _opened_by_itself,
    ),
    Rule(StopCause.VEHICLE_SILENT, _TALKING, lambda v: v.peer.silent(v.now_mono)),
    Rule(StopCause.BUS_LOST, _TALKING, lambda v: v.bus_failing, BUS_HOLD_S),
    Rule(StopCause.TIME_OVER, _ENERGY, lambda v: v.time_over),
    Rule(
        StopCause.STATION_SILENT,
        RUNNING,
        lambda v: v.station_silent,
    ),
    Rule(StopCause.STATION, RUNNING, lambda v: not v.offer.energise),
)


class Monitor:
    """Remembers since when each rule has been bad; made new for each session."""

    def __init__(self) -> None:
        self._since_mono: dict[int, float] = {}

    def check(self, step: Step, view: View) -> tuple[StopCause, ...]:
        """All causes due now, the most important first."""
        due = []
        for number, rule in enumerate(RULES):
            if step not in rule.steps or not rule.bad(view):
                self._since_mono.pop(number, None)
                continue
            since = self._since_mono.setdefault(number, view.now_mono)
            if view.now_mono - since >= rule.hold_s:
                due.append(rule.cause)
        return tuple(due)
