"""The control modes of IEEE 2030.5 that a station can follow, as py20305 names them.

Pure. In the protocol power out of the DER is positive; here it is negative. What a
value means is IEEE 2030.5-2023's DERControlBase, as py20305's translators read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chargerd.grid.errors import GridError
from chargerd.model import Curve

FAR_S = 366 * 86_400.0  # no event is longer
MOST_W = 1e9
Params = Mapping[str, Any]


class Refused(GridError):
    """`reason` is the counter's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rated:
    """The station as one DER."""

    charge_w: float
    discharge_w: float
    nominal_hz: float


@dataclass(frozen=True, slots=True)
class Mode:
    """One control mode as it is on. None = says nothing about it."""

    end_mono: float  # infinite for a default control
    wish_w: float | None = None
    limit_w: float | None = None
    discharge_limit_w: float | None = None
    curve: Curve | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A mode's parameters, and what they are read against."""

    params: Params
    rated: Rated
    now_w: float  # what the station does
    end_mono: float

    def number(self, key: str, low: float, high: float) -> float:
        value = self.params.get(key)
        if not is_number(value):
            raise Refused("malformed")
        found = float(value or 0.0)
        if not low <= found <= high:
            raise Refused("range")
        return found

    def wish(self, power_w: float) -> Mode:
        rated = self.rated
        bounded = min(rated.charge_w, max(-rated.discharge_w, power_w))
        return Mode(self.end_mono, wish_w=bounded)


def read(
    message: Params, rated: Rated, now_w: float, now_mono: float
) -> tuple[str, Mode | None]:
    """A mode's name, and what it wants now; None = it is off. Raises Refused."""
    name, params = message.get("mode"), message.get("params")
    if not isinstance(name, str) or not isinstance(params, dict):
        raise Refused("malformed")
    reader = _READERS.get(name)
    if reader is None:
        raise Refused("mode")
    end_mono = _end_mono(message.get("end_s"), now_mono)
    # py20305 takes a mode back by its switch.
    switches = ("WSetEna", *(key for key in params if key.endswith("_enable")))
    if any(params.get(key, 1) in (0, False) for key in switches):
        return name, None
    return name, reader(Asked(params, rated, now_w, end_mono))


def _end_mono(end_s: Any, now_mono: float) -> float:
    if end_s is None:
        return math.inf
    if not is_number(end_s):
        raise Refused("malformed")
    if not 0.0 < end_s <= FAR_S:
        raise Refused("stale")
    return now_mono + float(end_s)


def is_number(value: Any) -> bool:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return good and math.isfinite(value)


def _percent_out(asked: Asked) -> Mode:
    """opModMaxLimW: per cent of the rating out of the DER."""
    share = asked.number("p_lim_w", 0.0, 100.0) / 100.0
    return Mode(asked.end_mono, discharge_limit_w=-share * asked.rated.discharge_w)


def _percent_in(asked: Asked) -> Mode:
    """opModMaxLimPctWAbsorb."""
    share = asked.number("pct", 0.0, 100.0) / 100.0
    return Mode(asked.end_mono, limit_w=share * asked.rated.charge_w)


def _watts_out(key: str) -> Callable[[Asked], Mode]:
    """opModMaxLimWInject; opModExpLimW and opModGenLimW of CSIP-AUS."""

    def made(asked: Asked) -> Mode:
        power_w = asked.number(key, 0.0, MOST_W)
        return Mode(asked.end_mono, discharge_limit_w=-power_w)

    return made


def _watts_in(key: str) -> Callable[[Asked], Mode]:
    """opModMaxLimWAbsorb; opModImpLimW and opModLoadLimW of CSIP-AUS."""

    def made(asked: Asked) -> Mode:
        return Mode(asked.end_mono, limit_w=asked.number(key, 0.0, MOST_W))

    return made


def _fixed(asked: Asked) -> Mode:
    """opModFixedW: per cent of the rating of its direction."""
    share = asked.number("WSet", -100.0, 100.0) / 100.0
    rated = asked.rated
    return asked.wish(-share * (rated.discharge_w if share > 0.0 else rated.charge_w))


def _target(asked: Asked) -> Mode:
    """opModTargetW."""
    return asked.wish(-asked.number("watts", -MOST_W, MOST_W))


def _delta(asked: Asked) -> Mode:
    """opModDeltaW: against what the station does at this moment."""
    return asked.wish(asked.now_w - asked.number("delta_w", -MOST_W, MOST_W))


def _connect(asked: Asked) -> Mode | None:
    """opModConnect and opModEnergize, or a permit: without it no power at all."""
    on = asked.params.get("connected", asked.params.get("permit"))
    if not isinstance(on, bool):
        raise Refused("malformed")
    return None if on else Mode(asked.end_mono, limit_w=0.0, discharge_limit_w=-0.0)


def _droop(asked: Asked) -> Mode:
    """opModFreqDroop: dead bands in Hz; kOF and kUF are per-unit frequency for per-unit
    power. Low frequency takes power out of the vehicle, high frequency puts it in."""
    nominal_hz, rated = asked.rated.nominal_hz, asked.rated
    high_hz = nominal_hz + asked.number("pf_dbof", 0.0, 5.0)
    low_hz = nominal_hz - asked.number("pf_dbuf", 0.0, 5.0)
    over_hz = nominal_hz * asked.number("pf_kof", 0.001, 1.0)
    under_hz = nominal_hz * asked.number("pf_kuf", 0.001, 1.0)
    rated_w = rated.discharge_w or rated.charge_w
    points = (
        (low_hz - under_hz, -rated_w),
        (low_hz, 0.0),
        (high_hz, 0.0),
        (high_hz + over_hz, rated_w),
    )
    return Mode(asked.end_mono, curve=Curve("frequency", points))


_READERS: dict[str, Callable[[Asked], Mode | None]] = {
    "p_lim": _percent_out,
    "p_lim_inj": _watts_out("p_lim_watts"),
    "p_lim_abs": _watts_in("p_lim_watts"),
    "pct_absorb": _percent_in,
    "fixed_w": _fixed,
    "target_w": _target,
    "delta_w": _delta,
    "droop": _droop,
    "connect": _connect,
    "permit": _connect,
    "exp_lim": _watts_out("exp_lim_w"),
    "gen_lim": _watts_out("gen_lim_w"),
    "imp_lim": _watts_in("imp_lim_w"),
    "load_lim": _watts_in("load_lim_w"),
}
