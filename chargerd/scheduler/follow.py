"""A slow trim so that the meter, not the stage, equals the setpoint.

Pure. Corrects efficiency and calibration by a bounded integral; must never chase a
stale meter, a vehicle that takes less than offered, or a setpoint still on the move.
"""

from __future__ import annotations

from dataclasses import dataclass

GAIN_PER_S = 0.5
MIN_W = 200.0
SHARE_MAX = 0.08
BOUND_W = 150.0
SETTLE_S = 0.6


@dataclass(frozen=True, slots=True)
class State:
    """`trim_w` is added to the setpoint's magnitude before it becomes a current."""

    trim_w: float = 0.0
    power_w: float = 0.0
    steady_mono: float = 0.0
    meter_mono: float = 0.0


def step(
    state: State,
    power_w: float,
    meter_w: float | None,
    meter_mono: float,
    now_mono: float,
    *,
    limited: bool,
) -> State:
    """Move the trim once per new meter reading taken after the setpoint settled.

    `meter_w` None = no fresh reading; `limited` = something but the setpoint holds the
    current down. A turn of direction forgets the trim.
    """
    if power_w * state.power_w < 0.0 or abs(power_w) < MIN_W:
        return State(0.0, power_w, now_mono, meter_mono)
    moved = abs(power_w - state.power_w) > 20.0
    if moved:
        return State(state.trim_w, power_w, now_mono, meter_mono)
    stale = meter_w is None or meter_mono <= state.meter_mono
    if stale or limited or meter_mono - state.steady_mono < SETTLE_S:
        return state
    dt_s = min(meter_mono - state.meter_mono, 0.5)
    error = power_w - meter_w if meter_w is not None else 0.0
    bound = BOUND_W + SHARE_MAX * abs(power_w)
    trim = min(max(state.trim_w + GAIN_PER_S * dt_s * error, -bound), bound)
    return State(trim, state.power_w, state.steady_mono, meter_mono)


def apply(state: State, power_w: float) -> float:
    """The trimmed power: never across zero, never a flow where 0 W is asked."""
    if power_w > 0.0:
        return max(0.0, power_w + state.trim_w)
    if power_w < 0.0:
        return min(0.0, power_w + state.trim_w)
    return 0.0
