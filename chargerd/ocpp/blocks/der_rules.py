"""DER controls as rules of the heart: what each control type asks of power (R 2.7).

Owns the checks of a control's values, with their reasons, and the signs and units of
the conversion. Pure. [K] where the text names no unit: curves and windows of voltage
are in per cent of nominal (as IEEE 2030.5's), ramp rates in seconds for 0 to 100 %.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Literal

from chargerd.model import Curve
from chargerd.model_grid import (
    EnterService,
    FeedCurve,
    FrequencyDroop,
    GridRules,
    Hysteresis,
    MeanVoltage,
    PowerWatch,
    Reactive,
    Trip,
    nominal,
)
from chargerd.ocpp.blocks.der_controls import Control
from chargerd.ocpp.effects import Payload, Refusal

FIELDS = {  # R04.FR.16; all others come as `curve`
    "EnterService": "enterService",
    "FixedPFAbsorb": "fixedPFAbsorb",
    "FixedPFInject": "fixedPFInject",
    "FixedVar": "fixedVar",
    "FreqDroop": "freqDroop",
    "Gradients": "gradient",
    "LimitMaxDischarge": "limitMaxDischarge",
}
ALL_FIELDS = (*FIELDS.values(), "curve")
DEFAULT_ONLY = ("EnterService", "Gradients")  # R04.FR.15
_TRIPS: dict[str, tuple[Literal["frequency", "voltage"], bool, bool]] = {
    # what is watched, too high?, momentary?
    "HFMayTrip": ("frequency", True, False),
    "HFMustTrip": ("frequency", True, False),
    "LFMustTrip": ("frequency", False, False),
    "HVMayTrip": ("voltage", True, False),
    "HVMustTrip": ("voltage", True, False),
    "HVMomCess": ("voltage", True, True),
    "LVMayTrip": ("voltage", False, False),
    "LVMustTrip": ("voltage", False, False),
    "LVMomCess": ("voltage", False, True),
}
_UNITS = {  # of y
    "FreqWatt": ("PctMaxW", "PctWAvail"),
    "VoltWatt": ("PctMaxW", "PctWAvail"),
    "VoltVar": ("PctMaxVar", "PctVarAvail"),
    "WattVar": ("PctMaxVar", "PctVarAvail"),
}
_MEAN = ("hv10MinMeanValue", "hv10MinMeanTripDelay")
PREFIX = "ocpp.der."
HERTZ = (40.0, 70.0)
PERCENT = (0.0, 200.0)  # of nominal voltage
LONGEST_S = 86_400.0
Points = tuple[tuple[float, float], ...]


def name_of(kind: str) -> str:
    """The rule's name in decisions: by it the alarms find it again."""
    return PREFIX + kind


def rules(running: Mapping[str, Control], station_id: str) -> GridRules:
    """All running controls (by type) at once. They have passed `check`."""

    def body(kind: str) -> Payload | None:
        return running[kind].body if kind in running else None

    limit, gradient = body("LimitMaxDischarge"), body("Gradients")
    feed = None if limit is None else limit.get("pctMaxDischargePower")
    return GridRules(
        droop=_each(body("FreqDroop"), _droop),
        feed_curves=tuple(
            _feed_curve(kind, running[kind].body)
            for kind in ("FreqWatt", "VoltWatt")
            if kind in running
        ),
        feed_name=name_of("LimitMaxDischarge"),
        feed_share=None if feed is None else feed / 100.0,
        trips=tuple(_trip(k, running[k].body) for k in _TRIPS if k in running),
        mean=_mean(body("HVMustTrip")),
        watch=_watch(body("PowerMonitoringMustTrip"), limit),
        enter=_each(body("EnterService"), lambda b: _enter(b, station_id)),
        ramp_s=gradient["gradient"] if gradient else 0.0,
        soft_s=gradient["softGradient"] if gradient else 0.0,
        soft_name=name_of("Gradients"),
        reactive=_reactive(running),
    )


def check(kind: str, values: Payload, nominal_hz: float | None) -> None:
    """Raises Refusal for what cannot be carried out as it is written."""
    _BY_KIND.get(kind, _check_curve)(kind, values, nominal_hz)


def _each(values: Payload | None, made: Callable[[Payload], Any]) -> Any:
    return None if values is None else made(values)


def _within(values: Payload, name: str, low: float, high: float) -> None:
    value = values.get(name)
    if value is not None and not low <= value <= high:
        raise Refusal("ValueOutOfRange", f"{name} must be {low:g} to {high:g}")


# Frequency droop.


def _check_droop(kind: str, values: Payload, nominal_hz: float | None) -> None:
    hertz = nominal(values["overFreq"], nominal_hz)
    _within(values, "overFreq", hertz + 0.001, hertz + 5.0)
    _within(values, "underFreq", hertz - 5.0, hertz - 0.001)
    _within(values, "overDroop", 0.005, 1.0)
    _within(values, "underDroop", 0.005, 1.0)
    _within(values, "responseTime", 0.0, 60.0)


def _droop(values: Payload) -> FrequencyDroop:
    return FrequencyDroop(
        name_of("FreqDroop"),
        float(values["overFreq"]),
        float(values["underFreq"]),
        float(values["overDroop"]),
        float(values["underDroop"]),
        float(values["responseTime"]),
    )


# Curves.


def points(values: Payload) -> Points:
    """In order of x as the curve has them: of a step the far side stays the far one."""
    found = tuple((float(p["x"]), float(p["y"])) for p in values["curveData"])
    return found[::-1] if found[0][0] > found[-1][0] else found


def _check_curve(kind: str, values: Payload, nominal_hz: float | None) -> None:
    found = points(values)
    if any(b[0] < a[0] for a, b in pairwise(found)):
        raise Refusal("InvalidCurve", "the points' x must ascend, or descend")
    unit, known = values["yUnit"], _UNITS.get(kind, ("Not_Applicable",))
    if unit not in known:
        raise Refusal("InvalidCurve", f"yUnit of {kind} is {' or '.join(known)}")
    _check_extras(kind, values)
    low, high = _x_range(kind)
    y_low, y_high = _y_range(kind)
    for x, y in found:
        if not low <= x <= high:
            raise Refusal("ValueOutOfRange", f"x must be {low:g} to {high:g}")
        if not y_low <= y <= y_high:
            raise Refusal("ValueOutOfRange", f"y must be {y_low:g} to {y_high:g}")
    if kind == "WattPF" and any(abs(y) < 0.5 for _, y in found):
        raise Refusal("ValueOutOfRange", "a power factor is 0.5 to 1, either sign")
    _check_turns(kind, found)


def _check_turns(kind: str, found: Points) -> None:
    """The farther from nominal, the shorter: a curve that turns back has no sense."""
    if kind not in _TRIPS:
        return
    over = _TRIPS[kind][1]
    times = [y for _, y in found]
    if times != sorted(times, reverse=over):
        raise Refusal("InvalidCurve", "the time must fall away from nominal")


def _check_extras(kind: str, values: Payload) -> None:
    """Members that would be ignored are refused: nobody may rely on them."""
    mean = values.get("voltageParams")
    if mean is not None:
        _check_mean(kind, mean)
    _within(values, "responseTime", 0.0, 600.0)
    if values.get("responseTime") and kind not in ("FreqWatt", "VoltVar", "VoltWatt"):
        raise Refusal("UnsupportedParam", f"responseTime of {kind}")
    extra = values.get("reactivePowerParams")
    if extra is not None:
        if kind != "VoltVar":
            raise Refusal("InvalidValue", "reactivePowerParams is for VoltVar")
        if extra.get("autonomousVRefEnable"):
            raise Refusal("UnsupportedParam", "autonomousVRefEnable")
        _within(extra, "vRef", 80.0, 120.0)
    hysteresis = values.get("hysteresis")
    if hysteresis is not None:
        if kind not in ("FreqWatt", "VoltWatt"):
            raise Refusal("UnsupportedParam", f"hysteresis of {kind}")
        for name in ("hysteresisDelay", "hysteresisGradient"):
            _within(hysteresis, name, 0.0, LONGEST_S)


def _check_mean(kind: str, values: Payload) -> None:
    if kind != "HVMustTrip" or "powerDuringCessation" in values:
        raise Refusal("UnsupportedParam", f"voltageParams of {kind}")
    if len(values) != len(_MEAN):
        raise Refusal("MissingParam", " and ".join(_MEAN))
    _within(values, _MEAN[0], 100.0, PERCENT[1])
    _within(values, _MEAN[1], 0.0, LONGEST_S)


def _mean(values: Payload | None) -> MeanVoltage | None:
    found = (values or {}).get("voltageParams")
    if found is None:
        return None
    above, delay_s = (float(found[name]) for name in _MEAN)
    return MeanVoltage(name_of("HVMustTrip"), above / 100.0, delay_s)


def _x_range(kind: str) -> tuple[float, float]:
    if kind == "FreqWatt" or kind[:2] in ("HF", "LF"):
        return HERTZ
    if kind == "PowerMonitoringMustTrip":
        return (0.0, LONGEST_S)
    if kind in ("WattPF", "WattVar"):
        return (-100.0, 100.0)
    return PERCENT


def _y_range(kind: str) -> tuple[float, float]:
    if kind in _TRIPS:
        return (0.0, LONGEST_S)
    if kind in ("VoltVar", "WattVar"):
        return (-100.0, 100.0)
    return (-1.0, 1.0) if kind == "WattPF" else (0.0, 100.0)


def _curve(
    kind: Literal["frequency", "voltage", "power", "time"],
    found: Points,
    x_by: float = 1.0,
    y_by: float = 1.0,
) -> Curve:
    return Curve(kind, tuple((x * x_by, y * y_by) for x, y in found))


def _feed_curve(kind: str, values: Payload) -> FeedCurve:
    of_hertz = kind == "FreqWatt"
    x_by = 1.0 if of_hertz else 0.01
    back = values.get("hysteresis")
    far = HERTZ if of_hertz else PERCENT
    return FeedCurve(
        name_of(kind),
        _curve("frequency" if of_hertz else "voltage", points(values), x_by, 0.01),
        values["yUnit"] == "PctWAvail",
        float(values.get("responseTime", 0.0)),
        None if back is None else _hysteresis(back, x_by, far),
    )


def _hysteresis(values: Payload, x_by: float, far: tuple[float, float]) -> Hysteresis:
    gradient = values.get("hysteresisGradient")
    return Hysteresis(
        values.get("hysteresisLow", far[0]) * x_by,
        values.get("hysteresisHigh", far[1]) * x_by,
        float(values.get("hysteresisDelay", 0.0)),
        gradient / 100.0 if gradient else None,
    )


def _trip(kind: str, values: Payload) -> Trip:
    quantity, over, momentary = _TRIPS[kind]
    x_by = 1.0 if quantity == "frequency" else 0.01
    return Trip(
        name_of(kind), quantity, over, _curve(quantity, points(values), x_by), momentary
    )


# The rest.


def _check_limit(kind: str, values: Payload, nominal_hz: float | None) -> None:
    _within(values, "pctMaxDischargePower", 0.0, 100.0)
    nested = values.get("powerMonitoringMustTrip")
    if nested is not None:
        _check_curve("PowerMonitoringMustTrip", nested, nominal_hz)
    elif "pctMaxDischargePower" not in values:
        raise Refusal("MissingParam", "pctMaxDischargePower")


def _watch(values: Payload | None, limit: Payload | None) -> PowerWatch | None:
    """Of its own, or with the limit that it watches over."""
    name, above = "PowerMonitoringMustTrip", None
    if limit is not None:
        above = limit.get("pctMaxDischargePower")
        if values is None and "powerMonitoringMustTrip" in limit:
            name, values = "LimitMaxDischarge", limit["powerMonitoringMustTrip"]
    if values is None:
        return None
    found = points(values)
    above = found[-1][1] if above is None else above
    return PowerWatch(name_of(name), _curve("time", found, 1.0, 0.01), above / 100.0)


def _check_enter(kind: str, values: Payload, nominal_hz: float | None) -> None:
    hertz = nominal(values["highFreq"], nominal_hz)
    _within(values, "lowFreq", HERTZ[0], hertz)
    _within(values, "highFreq", hertz, HERTZ[1])
    _within(values, "lowVoltage", PERCENT[0], 100.0)
    _within(values, "highVoltage", 100.0, PERCENT[1])
    for name in ("delay", "randomDelay", "rampRate"):
        _within(values, name, 0.0, LONGEST_S)


def _enter(values: Payload, station_id: str) -> EnterService:
    """The random part is the same at each time, and another at each station: so a
    street does not come back at once."""
    part = zlib.crc32(station_id.encode()) / 0xFFFFFFFF
    delay_s = values.get("delay", 0.0) + part * values.get("randomDelay", 0.0)
    return EnterService(
        name_of("EnterService"),
        float(values["lowFreq"]),
        float(values["highFreq"]),
        values["lowVoltage"] / 100.0,
        values["highVoltage"] / 100.0,
        delay_s,
        float(values.get("rampRate", 0.0)),
    )


def _check_gradient(kind: str, values: Payload, nominal_hz: float | None) -> None:
    _within(values, "gradient", 0.0, LONGEST_S)
    _within(values, "softGradient", 0.0, LONGEST_S)


def _check_factor(kind: str, values: Payload, nominal_hz: float | None) -> None:
    _within(values, "displacement", 0.5, 1.0)


def _check_var(kind: str, values: Payload, nominal_hz: float | None) -> None:
    _within(values, "setpoint", -100.0, 100.0)
    if values["unit"] not in ("PctMaxVar", "PctVarAvail"):
        raise Refusal("InvalidValue", "unit of FixedVar is PctMaxVar or PctVarAvail")


_BY_KIND: dict[str, Callable[[str, Payload, float | None], None]] = {
    "EnterService": _check_enter,
    "FixedPFAbsorb": _check_factor,
    "FixedPFInject": _check_factor,
    "FixedVar": _check_var,
    "FreqDroop": _check_droop,
    "Gradients": _check_gradient,
    "LimitMaxDischarge": _check_limit,
}


def _reactive(running: Mapping[str, Control]) -> Reactive | None:
    """One at a time: of several types the one with the lowest priority value.

    Signs: OCPP's + is reactive power given, as by a capacitor; ours is taken. Of power
    factors OCPP's + is absorbing, as ours.
    """
    fixed = [k for k in ("FixedPFAbsorb", "FixedPFInject") if k in running]
    kinds = [k for k in ("FixedVar", "VoltVar", "WattPF", "WattVar") if k in running]
    if not fixed and not kinds:
        return None
    first = min([*fixed, *kinds], key=lambda kind: running[kind].priority)
    values, name = running[first].body, name_of(first)
    if first in fixed:
        return Reactive(
            name,
            charge_factor=_factor(running.get("FixedPFAbsorb")),
            discharge_factor=_factor(running.get("FixedPFInject")),
        )
    if first == "FixedVar":
        available = values["unit"] == "PctVarAvail"
        return Reactive(name, share=-values["setpoint"] / 100.0, of_available=available)
    found, available = points(values), values["yUnit"] == "PctVarAvail"
    if first == "WattPF":
        off = tuple((x, (1.0 - abs(y)) * (-1.0 if y < 0.0 else 1.0)) for x, y in found)
        return Reactive(name, factor_over_power=_curve("power", off, 0.01))
    if first == "WattVar":
        over_power = _curve("power", found, 0.01, -0.01)
        return Reactive(name, over_power=over_power, of_available=available)
    reference = values.get("reactivePowerParams", {}).get("vRef", 100.0) / 100.0
    over_volts = _curve("voltage", found, 0.01 * reference, -0.01)
    response_s = float(values.get("responseTime", 0.0))
    return Reactive(
        name, over_volts=over_volts, of_available=available, response_s=response_s
    )


def _factor(control: Control | None) -> float | None:
    if control is None:
        return None
    size = float(control.body["displacement"])
    return size if control.body["excitation"] else -size
