"""Signs, limits and who sets the current: the one place where the wire's numbers turn.

On the wire limits are positive magnitudes, and only targets and present values carry a
sign (negative = discharge, [V2G20-1034], [V2G20-1035]). Inside, charge >= 0 and
discharge <= 0. A limit of 0 or of the wrong sign is no flow, never the other way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from chargerd.model import VehicleLimits
from chargerd.vehicle.iso15118.messages.common_types import RationalNumber

WIRE_MAX = 1.0e9  # beyond this a number is nonsense, whatever its unit
SHORT_MAX = 32_767
EXPONENT_MIN = -3
VOLTS_MIN = 50.0  # below this a power limit says nothing about the current
DISCHARGE_HYSTERESIS_V = 5.0  # ours: above the vehicle's minimum before it is back


class Control(Enum):
    """Who leads: the vehicle along a schedule, or the station at every moment.

    The values are ISO 15118-20's ControlMode. -2 and DIN are always SCHEDULED.
    """

    SCHEDULED = 1
    DYNAMIC = 2


# --- numbers on the wire --------------------------------------------------------------


def finite(value: float) -> float:
    """A number that can be worked with: NaN is 0, infinity is WIRE_MAX."""
    if math.isnan(value):
        return 0.0
    return max(-WIRE_MAX, min(WIRE_MAX, value))


def rational(value: float) -> RationalNumber:
    """Value as Value x 10^Exponent, as exact as a short allows (at worst 2e-4)."""
    value = finite(value)
    exponent = 0
    if value != round(value):
        exponent = EXPONENT_MIN
    while abs(round(value / 10.0**exponent)) > SHORT_MAX:
        exponent += 1
    return RationalNumber(Exponent=exponent, Value=round(value / 10.0**exponent))


def number(wire: RationalNumber | None) -> float | None:
    """A RationalNumber's value, bounded; None stays None."""
    if wire is None:
        return None
    return finite(float(wire.Value) * 10.0 ** float(wire.Exponent))


def charge(magnitude: float | None) -> float | None:
    """A charge limit of the wire: >= 0."""
    return None if magnitude is None else max(0.0, magnitude)


def discharge(magnitude: float | None, *, negative_sent: bool = False) -> float | None:
    """A discharge limit of the wire as ours: <= 0.

    `negative_sent`: this vehicle is known to send them negative (quirks.py).
    """
    if magnitude is None:
        return None
    if negative_sent:
        magnitude = abs(magnitude)
    return -magnitude if magnitude > 0.0 else 0.0


def magnitude(limit: float) -> float:
    """Our limit, of either direction, for the wire: >= 0."""
    return abs(limit)


# --- what the vehicle allows ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvLimits:
    """The vehicle's limits in our signs; None = it said nothing about it.

    Discharge is positive permission: said nothing means none. `target_*` only in
    SCHEDULED: `target_a` is signed, negative = discharge.
    """

    charge_w: float | None = None
    charge_a: float | None = None
    discharge_w: float | None = None
    discharge_a: float | None = None
    voltage_max_v: float = 0.0
    voltage_min_v: float = 0.0
    target_a: float | None = None
    target_v: float | None = None
    charge_min_w: float | None = None  # it can do nothing, or at least this
    discharge_min_w: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Energy the vehicle asks for, Wh from now on; negative = it has too much.

    `soc_*` in percent. None = said nothing. `complete`: it wants no more charge.
    """

    max_wh: float | None = None
    min_wh: float | None = None
    v2x_min_wh: float | None = None
    soc_pct: float | None = None
    soc_min_pct: float | None = None
    target_wh: float | None = None
    v2x_max_wh: float | None = None
    soc_target_pct: float | None = None
    soc_max_pct: float | None = None
    complete: bool = False

    @property
    def may_charge(self) -> bool:
        """Not complete, and EVMaximumEnergyRequest is not used up."""
        return not self.complete and (self.max_wh is None or self.max_wh > 0.0)

    @property
    def may_discharge(self) -> bool:
        """Above the floor: EVMinimumV2XEnergyRequest, EVMinimumEnergyRequest and
        MinimumSOC; each that is said must leave something."""
        floors = (self.v2x_min_wh, self.min_wh)
        if any(wh is not None and wh >= 0.0 for wh in floors):
            return False
        if self.soc_min_pct is None or self.soc_pct is None:
            return True
        return self.soc_pct > self.soc_min_pct


def _tighter_charge(*limits: float | None) -> float:
    return min((x for x in limits if x is not None), default=0.0)


def _tighter_discharge(*limits: float | None) -> float:
    return max((x for x in limits if x is not None), default=0.0)


def _amps(power_w: float | None, volts: float) -> float | None:
    return None if power_w is None or volts < VOLTS_MIN else power_w / volts


def dc_limits(
    ev: EvLimits,
    window: Window,
    control: Control,
    *,
    at_mono: float,
    volts: float,
    bidirectional: bool,
    discharging: bool = False,
) -> VehicleLimits:
    """What the vehicle allows of DC current now, and what it asks for.

    DYNAMIC: the station drives the current inside these limits, nothing is asked.
    SCHEDULED: EVTargetCurrent is the setpoint, of either sign. `volts` is the present
    output voltage; `discharging` = it was allowed a moment ago (hysteresis).
    """
    charge_a = _tighter_charge(ev.charge_a, _amps(ev.charge_w, volts))
    discharge_a = 0.0
    if bidirectional and ev.discharge_a is not None and ev.discharge_w != 0.0:
        discharge_a = _tighter_discharge(ev.discharge_a, _amps(ev.discharge_w, volts))
    margin_v = 0.0 if discharging else DISCHARGE_HYSTERESIS_V
    filled = volts > ev.voltage_min_v + margin_v
    allowed = discharge_a < 0.0 and window.may_discharge and filled
    target_a = ev.target_a if control is Control.SCHEDULED else None
    return VehicleLimits(
        at_mono=at_mono,
        charge_a=charge_a if window.may_charge else 0.0,
        discharge_a=discharge_a if allowed else 0.0,
        voltage_max_v=ev.voltage_max_v,
        voltage_min_v=ev.voltage_min_v,
        requested_a=None if target_a is None else max(0.0, target_a),
        discharge_allowed=allowed,
        requested_discharge_a=None if target_a is None else min(0.0, target_a),
    )


def ac_limits(
    ev: EvLimits, window: Window, *, at_mono: float, bidirectional: bool
) -> VehicleLimits:
    """What the vehicle allows of AC power now. In A it says nothing."""
    discharge_w = ev.discharge_w if bidirectional and ev.discharge_w else 0.0
    allowed = discharge_w < 0.0 and window.may_discharge
    charge_w = ev.charge_w if ev.charge_w is not None else 0.0
    return VehicleLimits(
        at_mono=at_mono,
        discharge_allowed=allowed,
        charge_w=charge_w if window.may_charge else 0.0,
        discharge_w=discharge_w if allowed else 0.0,
    )


def ac_target(
    setpoint_w: float,
    station: tuple[float, float],
    ev: VehicleLimits,
    least: tuple[float, float] = (0.0, 0.0),
) -> float:
    """EVSETargetActivePower, W: the setpoint inside both sides' limits, signed.

    `station` and `least` are (discharge <= 0, charge >= 0); below `least` the vehicle
    can do nothing, and is asked for nothing.
    """
    low_w = max(station[0], ev.discharge_w or 0.0)
    high_w = min(station[1], ev.charge_w or 0.0)
    target_w = max(min(0.0, low_w), min(max(0.0, high_w), finite(setpoint_w)))
    return 0.0 if least[0] < target_w < least[1] else target_w
