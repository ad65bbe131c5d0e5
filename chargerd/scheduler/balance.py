"""Following the site meter: zero export, zero import, or any power at the connection.

Pure. One step per new meter reading; between readings the output stands. The gain
falls with the meter's delay and with every hunt that is seen, so that a late meter
makes the loop slow, never unstable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chargerd.model import Band

DEADBAND_W = 100.0
GAIN_MAX = 0.8
GAIN_MIN = 0.05
HUNT = 0.5  # a reversal takes so much of the gain ...
REGAIN_PER_S = 0.005  # ... and each quiet second gives so much back


@dataclass(frozen=True, slots=True)
class State:
    """`output_w` is the wish; `calm` <= 1 is what hunting has left of the gain."""

    output_w: float
    reading_mono: float
    calm: float = 1.0
    sign: int = 0  # of the last correction outside the deadband


def start(power_w: float) -> State:
    """Take over without a jump from what is on the wire."""
    return State(power_w, -math.inf)


def gain(delay_s: float, period_s: float) -> float:
    """The share of an error that one step may correct.

    A loop of n steps delay is stable below 2 sin(pi / (4 n + 2)) and without overshoot
    at about 1 / (1 + 2.7 n): the usual bound of a pure integrator with dead time.
    """
    steps = delay_s / max(period_s, 0.05)
    return max(GAIN_MIN, GAIN_MAX / (1.0 + 2.7 * steps))


def goal_w(band: Band, grid_w: float, before_w: float | None) -> float | None:
    """Where the connection is to be brought, None = nowhere.

    The loop corrects in steps: between threshold and target it goes on until the target
    is reached, as one whole step would have.
    """
    if grid_w > band.high_w:
        return band.high_to_w
    if grid_w < band.low_w:
        return band.low_to_w
    if before_w == band.high_to_w and grid_w > before_w + DEADBAND_W:
        return before_w
    if before_w == band.low_to_w and grid_w < before_w - DEADBAND_W:
        return before_w
    return None


def step(
    state: State,
    target_w: float,
    grid_w: float,
    reading_mono: float,
    delay_s: float,
    own_w: float,
    followers: int,
    bounds: tuple[float, float],
) -> State:
    """`grid_w` = power at the connection as it is when all commands are done.

    `delay_s` = what the reading may be late beyond its stamp; `own_w` = on the wire.
    """
    if reading_mono <= state.reading_mono:
        return state
    period_s = min(reading_mono - state.reading_mono, 10.0)
    regain = 1.0 + REGAIN_PER_S * period_s
    error_w = grid_w - target_w
    if abs(error_w) <= DEADBAND_W:
        return State(state.output_w, reading_mono, min(1.0, state.calm * regain))
    sign = -1 if error_w > 0.0 else 1
    hunts = state.sign * sign < 0
    calm = max(GAIN_MIN, state.calm * HUNT) if hunts else state.calm * regain
    calm = min(1.0, calm)
    share = error_w * gain(delay_s, period_s) * calm / max(1, followers)
    low, high = bounds
    output_w = min(max(own_w - share, low), high)
    if output_w * own_w < 0.0:
        output_w = 0.0  # stop at zero: the next reading says whether to go on
    return State(output_w, reading_mono, calm, sign)
