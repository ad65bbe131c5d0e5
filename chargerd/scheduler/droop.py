"""The grid's frequency and voltage: mandatory curves, and services sold.

Pure. The mandatory curve only narrows: over-frequency takes discharge away, under-
frequency takes charge away, counted from the power at the moment the band was left.
A service is a wish like any signal's. Must never act on an old measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chargerd.config_grid_code import FrequencyService, GridCode, Service
from chargerd.model import (
    Curve,
    DispatchSignal,
    OperationMode,
    Priority,
    Segment,
    SiteState,
)
from chargerd.model_grid import nominal

PLAUSIBLE_HZ = 15.0
_TO_90_PCT = math.log(10.0)  # a first-order lag is at 90 % after so many time constants
_GONE = 1.0e-3  # W: a shift this small is none


@dataclass(frozen=True, slots=True)
class State:
    """`shift_w` is what the curve has taken so far: + from discharge, - from charge."""

    shift_w: float = 0.0
    from_w: float = 0.0  # power when the band was left
    at_mono: float | None = None


REST = State()


def measured(site: SiteState, max_age_s: float) -> float | None:
    """The frequency, when it is young and can be true."""
    hertz = site.frequency_hz
    if hertz is None or not site.frequency_age_s <= max_age_s:
        return None
    if abs(hertz - nominal(hertz, None)) <= PLAUSIBLE_HZ:
        return hertz
    return None


def asked_w(code: GridCode, rating_w: float, hertz: float, nominal_hz: float) -> float:
    """How far the mandatory curve moves power at this frequency."""
    off_hz = hertz - nominal_hz
    side = code.over if off_hz > 0.0 else code.under
    if side is None:
        return 0.0
    beyond_hz = max(0.0, abs(off_hz) - side.deadband_hz)
    share = beyond_hz / (nominal_hz * side.droop_pct / 100.0)
    return math.copysign(rating_w * min(share, 2.0), off_hz)


def step(
    state: State,
    code: GridCode,
    rating_w: float,
    asked: float,
    power_w: float,
    now_mono: float,
) -> State:
    """On the curve with its response time; back inside the band, back slowly."""
    if asked == 0.0 and state.shift_w == 0.0:
        return REST
    begun_mono = now_mono if state.at_mono is None else state.at_mono
    dt_s = max(0.0, now_mono - begun_mono)
    shift = state.shift_w
    if asked * shift < 0.0:
        shift = 0.0  # the frequency has crossed the band: the other curve begins
    from_w = state.from_w
    if shift == 0.0:  # at rest: what it may begin counts from the rating
        from_w = power_w or -math.copysign(rating_w, asked)
    if asked != 0.0:
        tau_s = code.response_s / _TO_90_PCT
        left = math.exp(-dt_s / tau_s) if tau_s > 0.0 else 0.0
        shift = asked + (shift - asked) * left
        if shift == 0.0:  # the first tick of a lag: the event has begun
            shift = math.copysign(2.0 * _GONE, asked)
    else:
        back_w = rating_w * dt_s / code.recover_s if code.recover_s > 0.0 else math.inf
        size = abs(shift) - back_w
        shift = math.copysign(size, shift) if size > _GONE else 0.0
    return State(shift, from_w, now_mono) if shift else REST


def bounds(state: State) -> tuple[float, float]:
    """(low, high) that the shift leaves; infinite on the side it does not touch."""
    reached_w = state.from_w + state.shift_w
    if state.shift_w > 0.0:
        return min(0.0, reached_w), math.inf
    if state.shift_w < 0.0:
        return -math.inf, max(0.0, reached_w)
    return -math.inf, math.inf


def volt_watt(code: GridCode, rating_w: float, volts: float, nominal_v: float) -> float:
    """The discharge bound (<= 0) that voltage leaves."""
    if not code.volt_watt or nominal_v <= 0.0:
        return -math.inf
    share = Curve("voltage", code.volt_watt).at(volts / nominal_v)
    return -rating_w * min(1.0, max(0.0, share))


def service_curve(service: Service, power_w: float, nominal_hz: float) -> Curve:
    """A service's share points as W over Hz."""
    return Curve(
        "frequency",
        tuple((nominal_hz + off, share * power_w) for off, share in service.points),
    )


def standing(
    wanted: FrequencyService, code: GridCode, nominal_hz: float
) -> DispatchSignal:
    """The configured service as a signal of the whole station that never dies."""
    curve = service_curve(code.services[wanted.name], wanted.power_w, nominal_hz)
    segment = Segment(
        0.0, OperationMode.LOCAL_FREQUENCY, wanted.baseline_w, curve=curve
    )
    return DispatchSignal(
        f"frequency.{wanted.name}", 0, Priority.RESERVE, (segment,), 0.0, math.inf
    )


def span_w(curve: Curve) -> tuple[float, float]:
    """The most a curve may ask: (out of the vehicle <= 0, into it >= 0)."""
    powers = [power for _, power in curve.points] or [0.0]
    return min(0.0, *powers), max(0.0, *powers)
