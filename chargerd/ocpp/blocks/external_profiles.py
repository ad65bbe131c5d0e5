"""A grid door's signal as an external system's charging profile (K11, K27, K29, Q06).

Owns the shape of such a profile and when two of them say the same. The heart obeys the
signal by itself: the profile is how the CSMS sees it. Pure; sends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from chargerd.clock import Now
from chargerd.model import DispatchSignal, OperationMode, Segment
from chargerd.ocpp.blocks.desk import stamp
from chargerd.ocpp.composite import CONSTRAINTS
from chargerd.ocpp.effects import Payload

GENERATION = "LocalGeneration"
MOST_PERIODS = 100
LASTING_S = 86_400.0 * 366  # what lives longer has no end to tell
# Doors of a grid operator; all others are an energy management's.
OPERATORS = ("openadr", "ieee2030_5")
OURS = ("ocpp.", "config.")


@dataclass(frozen=True, slots=True)
class External:
    """One purpose of one signal, at `number` in the store."""

    number: int
    signal: DispatchSignal
    purpose: str
    source: str  # ChargingLimitSource: "SO", "EMS"

    @property
    def evse_id(self) -> int:
        return self.signal.evse_id


def source_of(name: str) -> str:
    return "SO" if name.startswith(OPERATORS) else "EMS"


def purposes(signal: DispatchSignal) -> list[str]:
    """What the signal is to OCPP: nothing, constraints, generation, or both."""
    if signal.source.startswith(OURS):
        return []
    found = []
    if any(_power(segment) for segment in signal.segments):
        found.append(CONSTRAINTS)
    if any(segment.generation_w is not None for segment in signal.segments):
        found.append(GENERATION)
    return found


def _power(segment: Segment) -> Payload:
    """The power fields, in W; a wish counts only as an external system's setpoint."""
    fields = {"limit": segment.limit_w, "dischargeLimit": segment.discharge_limit_w}
    if segment.mode is OperationMode.EXTERNAL_SETPOINT and segment.curve is None:
        fields["setpoint"] = segment.setpoint_w
        fields["setpointReactive"] = segment.setpoint_var
    return {name: value for name, value in fields.items() if value is not None}


def _period(item: External, segment: Segment, start_s: float) -> Payload:
    start: Payload = {"startPeriod": max(0, round(start_s))}
    if item.purpose == GENERATION:
        return {**start, "limit": segment.generation_w or 0.0}
    power = _power(segment)
    wish = "setpoint" in power or "setpointReactive" in power
    mode = OperationMode.EXTERNAL_SETPOINT if wish else OperationMode.EXTERNAL_LIMITS
    return {**start, "operationMode": mode.value, **power}


def is_single(item: External) -> bool:
    """A value rather than a schedule (K29.FR.04, Q06.FR.02, .04)."""
    return len(item.signal.segments) == 1


def profile(item: External, now: Now, *, dynamic: bool) -> Payload:
    """ChargingProfileType. `dynamic`: a single value is told as one (not in 2.0.1)."""
    signal, dynamic = item.signal, dynamic and is_single(item)
    begin_mono = signal.segments[0].start_mono
    schedule: Payload = {
        "id": item.number,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [
            _period(item, segment, segment.start_mono - begin_mono)
            for segment in signal.segments[:MOST_PERIODS]
        ],
    }
    from_mono = signal.received_mono if dynamic else begin_mono
    lasts_s = signal.valid_until_mono - from_mono
    if lasts_s < LASTING_S:
        schedule["duration"] = max(1, math.ceil(lasts_s))
    if not dynamic:
        schedule["startSchedule"] = stamp(now.utc_at(begin_mono))
    return {
        "id": item.number,
        "stackLevel": 0,
        "chargingProfilePurpose": item.purpose,
        "chargingProfileKind": "Dynamic" if dynamic else "Absolute",
        "chargingSchedule": [schedule],
    }


def alike(old: External, new: External, percent: float, rating_w: float) -> bool:
    """No value has moved by more than LimitChangeSignificance; nothing else has.

    A lease that is only renewed says the same. `percent` of the old value, or of the
    rating where that is 0.
    """
    if is_single(old) and is_single(new):
        begins = [(0.0, 0.0)]
    else:
        begins = [
            (a.start_mono, b.start_mono)
            for a, b in zip(old.signal.segments, new.signal.segments, strict=False)
        ]
    if len(old.signal.segments) != len(new.signal.segments):
        return False
    if any(abs(a - b) > 1.0 for a, b in begins):
        return False
    return all(
        _near(_period(old, a, 0.0), _period(new, b, 0.0), percent, rating_w)
        for a, b in zip(old.signal.segments, new.signal.segments, strict=True)
    )


def _near(old: Payload, new: Payload, percent: float, rating_w: float) -> bool:
    if old.keys() != new.keys() or old.get("operationMode") != new.get("operationMode"):
        return False
    names = [name for name in old if name not in ("startPeriod", "operationMode")]
    return all(
        not significant(old[name], new[name], percent, rating_w) for name in names
    )


def significant(old_w: float, new_w: float, percent: float, rating_w: float) -> bool:
    """Whether the change is larger than LimitChangeSignificance (SC.03)."""
    return abs(new_w - old_w) > (abs(old_w) or rating_w) * percent / 100.0


def schedules(items: Iterable[External], now: Now, *, dynamic: bool) -> list[Payload]:
    """The chargingSchedule of a NotifyChargingLimit."""
    return [profile(i, now, dynamic=dynamic)["chargingSchedule"][0] for i in items]
