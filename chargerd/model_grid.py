"""Rules of the network operator, for the time being: they hold whoever dispatches.

Also `Curve`, which signals have too. Owns only values; what they do is in
`scheduler/grid_rules.py`. Shares: powers of the EVSE's rating, reactive power of the
most it can give, voltages of the nominal one. `name` says whose rule it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NOMINAL_HZ = (50.0, 60.0)


def nominal(near_hz: float, configured_hz: float | None) -> float:
    """The grid's nominal frequency, the nearer one when none is configured."""
    if configured_hz is not None:
        return configured_hz
    return min(NOMINAL_HZ, key=lambda value: abs(value - near_hz))


@dataclass(frozen=True, slots=True)
class Curve:
    """Power over Hz, over a signal's number, or over V. Points ascend in x, W signed.
    Grid rules have shares over Hz, V, power or time in the same form.

    Straight between two points, flat outside them. Two points with the same x are a
    step: the later one holds at x.
    """

    kind: Literal["frequency", "signal", "voltage", "power", "time"]
    points: tuple[tuple[float, float], ...]

    def at(self, x: float) -> float:
        """The power at `x`; of an empty curve, or for NaN, 0 W."""
        if not self.points or x != x:
            return 0.0
        x0, w0 = self.points[0]
        if x < x0:
            return w0
        for x1, w1 in self.points:
            if x < x1:
                return w0 + (w1 - w0) * (x - x0) / (x1 - x0)
            x0, w0 = x1, w1
        return w0


@dataclass(frozen=True, slots=True)
class FrequencyDroop:
    """Takes the place of the grid code's own droop. Per unit of frequency over power:
    0.05 = 5 % of the nominal frequency moves 100 % of the rating."""

    name: str
    over_hz: float
    under_hz: float
    over_droop: float
    under_droop: float
    response_s: float


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """Back to normal only after `delay_s` between `low` and `high`, and then slowly."""

    low: float
    high: float
    delay_s: float = 0.0
    gradient_per_s: float | None = None  # share of the rating; None = at once


@dataclass(frozen=True, slots=True)
class FeedCurve:
    """The most that may be fed back, over frequency or voltage."""

    name: str
    curve: Curve  # to a share, 0..1
    of_available: bool = False  # a share of what could be fed now, not of the rating
    response_s: float = 0.0  # to 90 % of a new value
    hysteresis: Hysteresis | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """No power once the grid has been beyond a value for that value's time."""

    name: str
    quantity: Literal["frequency", "voltage"]
    over: bool  # too high; else too low
    curve: Curve  # to seconds
    momentary: bool = False  # ends with the deviation: nothing has tripped


@dataclass(frozen=True, slots=True)
class MeanVoltage:
    """Trips when the mean of ten minutes is above a value for so long (EN 50549-1,
    4.9.3.4)."""

    name: str
    above: float
    delay_s: float


@dataclass(frozen=True, slots=True)
class PowerWatch:
    """Trips when more is fed back than the curve of time allows."""

    name: str
    curve: Curve  # seconds since `above` was passed, to a share
    above: float


@dataclass(frozen=True, slots=True)
class EnterService:
    """When power may flow again after a trip, and how fast it grows."""

    name: str
    low_hz: float
    high_hz: float
    low_volts: float
    high_volts: float
    delay_s: float = 0.0
    ramp_s: float = 0.0  # 0 to 100 %


@dataclass(frozen=True, slots=True)
class Reactive:
    """Reactive power beside the active: the first that is not None holds.

    + as a coil takes it (under-excited), as everywhere in this program. A power
    factor is signed the same way; its size is cos phi.
    """

    name: str
    share: float | None = None  # fixed
    over_volts: Curve | None = None  # share over voltage
    over_power: Curve | None = None  # share over power fed back (negative: taken)
    # 1 - cos phi with the factor's sign, over power fed back: so a curve that goes from
    # one sign to the other passes through 1.
    factor_over_power: Curve | None = None
    charge_factor: float | None = None
    discharge_factor: float | None = None
    of_available: bool = False  # shares of what is left beside the active power
    response_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GridRules:
    """All rules in force at once; the default is none."""

    droop: FrequencyDroop | None = None
    feed_curves: tuple[FeedCurve, ...] = ()
    feed_name: str = ""
    feed_share: float | None = None  # of the rating: the most that may be fed back
    trips: tuple[Trip, ...] = ()
    mean: MeanVoltage | None = None
    watch: PowerWatch | None = None
    enter: EnterService | None = None
    ramp_s: float = 0.0  # 0 to 100 %, always; 0 = the EVSE's own
    soft_s: float = 0.0  # 0 to 100 % after a trip
    soft_name: str = ""
    reactive: Reactive | None = None


NO_RULES = GridRules()


@dataclass(frozen=True, slots=True)
class GridRulesRequest:
    """From now on these rules hold for an EVSE (0: for all), until others come."""

    rules: GridRules
    evse_id: int = 0
