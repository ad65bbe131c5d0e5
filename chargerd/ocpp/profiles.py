"""Charging profiles as flat frozen values: parsed once, in W, then only read.

Owns the reading of ChargingProfileType (OCPP 2.1 section 2 and K01) into tuples that
`composite.py` can search. Whether a profile may be installed is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from chargerd.model import Curve, OperationMode
from chargerd.ocpp.effects import OcppError, Payload

RECURRENCE_S = {"Daily": 86_400.0, "Weekly": 604_800.0}


@dataclass(frozen=True, slots=True)
class Supply:
    """The AC side that turns A into W (K01.FR.50: configured, not measured, volts)."""

    voltage_v: float
    phases: int

    def watts(self, amperes_per_phase: float, phases: int | None = None) -> float:
        return amperes_per_phase * self.voltage_v * min(phases or 3, self.phases)


@dataclass(frozen=True, slots=True)
class Period:
    """One ChargingSchedulePeriod in W; None = says nothing about it.

    In LocalFrequency `setpoint_w` is v2xBaseline, which the curves add to. Where the
    phases have limits of their own, `limit_w` is what three times the lowest gives:
    nothing here drives phases apart (K01.FR.147).
    """

    mode: OperationMode
    limit_w: float | None = None
    discharge_limit_w: float | None = None
    setpoint_w: float | None = None
    frequency: Curve | None = None
    signal: Curve | None = None  # of AFRRSignal
    phases: int | None = None  # numberPhases as told
    limit_phases_w: tuple[float, ...] = ()  # L1 to L3, where they were told apart
    setpoint_var: float | None = None  # setpointReactive, summed
    sleep: bool = False  # evseSleep, in Idle


@dataclass(frozen=True, slots=True)
class Profile:
    """A parsed profile. Times are POSIX seconds, offsets seconds from the anchor.

    `anchor_s` is None for Relative and Dynamic; with `local` it counts as if the local
    time were UTC. `starts_s` and `periods` belong together and ascend.
    """

    id: int
    evse_id: int
    purpose: str
    kind: str
    stack_level: int
    starts_s: tuple[float, ...]
    periods: tuple[Period, ...]
    anchor_s: float | None = None
    duration_s: float | None = None
    recurrence_s: float | None = None
    valid_from_s: float | None = None
    valid_to_s: float | None = None
    max_offline_s: float | None = None
    invalid_after_offline: bool = False
    dyn_interval_s: float | None = None
    transaction_id: str = ""
    soc_pct: float | None = None  # limitAtSoC
    soc_limit_w: float = 0.0
    local: bool = False  # useLocalTime: the anchor is a wall clock's time
    delay_s: float = 0.0  # randomizedDelay
    external: bool = False  # an external system's, told to the CSMS only


def parse_time(text: str) -> datetime:
    """An RFC 3339 time as UTC (no offset: UTC). Raises OcppError when it is none."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise OcppError(
            f"{text[:40]!r} is not a date and time", "FormatViolation"
        ) from None


def _posix(payload: Payload, name: str) -> float | None:
    text = payload.get(name)
    return None if text is None else parse_time(text).timestamp()


def _anchor(schedule: Payload) -> float | None:
    """startSchedule; as local time it says nothing of a zone (K01.FR.90)."""
    text = schedule.get("startSchedule")
    if text is None:
        return None
    if not schedule.get("useLocalTime"):
        return parse_time(text).timestamp()
    parse_time(text)  # the same errors
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# A field and its phases L2 and L3, as 2.1 names them.
PHASE_KEYS = {
    name: (name, f"{name}_L2", f"{name}_L3")
    for name in ("limit", "dischargeLimit", "setpoint", "setpointReactive")
}
_MODES = {mode.value: mode for mode in OperationMode}


def phase_sum_w(values: Payload, name: str, unit: str, supply: Supply) -> float | None:
    """A field of a period as total W; with _L2 or _L3 the plain one is L1 (2.1 K01).

    `numberPhases` counts phases "that can be used for charging": it never scales a
    discharge limit.
    """
    one, two, three = PHASE_KEYS[name]
    first = values.get(one)
    if first is None:
        return None
    phased = two in values or three in values
    total = first + values.get(two, 0.0) + values.get(three, 0.0) if phased else first
    if unit == "W":
        return float(total)
    if phased:
        return float(total * supply.voltage_v)
    phases = None if name == "dischargeLimit" else values.get("numberPhases")
    return supply.watts(float(first), phases)


def parse_period(values: Payload, unit: str, supply: Supply) -> Period:
    mode = _MODES[values.get("operationMode", "ChargingOnly")]
    if mode is OperationMode.IDLE:
        sleep = bool(values.get("evseSleep"))
        return Period(mode, 0.0, 0.0, 0.0, sleep=sleep)
    if mode is OperationMode.LOCAL_FREQUENCY:
        return Period(
            mode,
            setpoint_w=values.get("v2xBaseline"),
            frequency=_curve(values, "frequency", "v2xFreqWattCurve"),
            signal=_curve(values, "signal", "v2xSignalWattCurve"),
        )
    limit_w = phase_sum_w(values, "limit", unit, supply)
    each = _phase_limits_w(values, unit, supply)
    return Period(
        mode,
        min(each) * len(each) if each else limit_w,
        phase_sum_w(values, "dischargeLimit", unit, supply),
        phase_sum_w(values, "setpoint", unit, supply),
        phases=values.get("numberPhases"),
        limit_phases_w=each,
        setpoint_var=phase_sum_w(values, "setpointReactive", unit, supply),
    )


def _phase_limits_w(values: Payload, unit: str, supply: Supply) -> tuple[float, ...]:
    """limit, limit_L2 and limit_L3 where they are told apart, else none."""
    if "limit_L2" not in values and "limit_L3" not in values:
        return ()
    factor = 1.0 if unit == "W" else supply.voltage_v
    names = PHASE_KEYS["limit"]
    return tuple(values[name] * factor for name in names if name in values)


def _curve(
    values: Payload, kind: Literal["frequency", "signal"], name: str
) -> Curve | None:
    """Points in order of x, as they may come in any (K01.FR.112 names none)."""
    points = values.get(name)
    if not points:
        return None
    pairs = sorted((float(p[kind]), float(p["power"])) for p in points)
    return Curve(kind, tuple(pairs))


def parse_profile(
    payload: Payload,
    evse_id: int,
    supply: Supply,
    number: int = 0,
    periods: tuple[Period, ...] | None = None,
) -> Profile:
    """The flat form of a checked ChargingProfileType. Raises OcppError on bad times.

    `periods`: of the schedule, where they have been parsed before.

    Of its schedules the one at `number`, or the last one: more than one are for a
    vehicle to choose from (K01.FR.34, K18.FR.24).
    """
    schedules = payload["chargingSchedule"]
    schedule = schedules[min(number, len(schedules) - 1)]
    unit = schedule["chargingRateUnit"]
    raw = schedule["chargingSchedulePeriod"]
    soc = schedule.get("limitAtSoC")
    kind = payload["chargingProfileKind"]
    duration = schedule.get("duration")
    offline = payload.get("maxOfflineDuration")
    interval = payload.get("dynUpdateInterval")
    profile = Profile(
        id=int(payload["id"]),  # 10.0 is an integer to JSON
        evse_id=evse_id,
        purpose=payload["chargingProfilePurpose"],
        kind=kind,
        stack_level=payload["stackLevel"],
        starts_s=tuple(float(period["startPeriod"]) for period in raw),
        periods=tuple(parse_period(period, unit, supply) for period in raw)
        if periods is None
        else periods,
        anchor_s=_anchor(schedule),
        duration_s=None if duration is None else float(duration),
        valid_from_s=_posix(payload, "validFrom"),
        valid_to_s=_posix(payload, "validTo"),
        max_offline_s=None if offline is None else float(offline),
        invalid_after_offline=payload.get("invalidAfterOfflineDuration", False),
        dyn_interval_s=float(interval) if interval else None,
        transaction_id=payload.get("transactionId", ""),
        local=bool(schedule.get("useLocalTime")) and "startSchedule" in schedule,
        delay_s=float(schedule.get("randomizedDelay", 0)),
    )
    if kind == "Recurring":
        recurrence = RECURRENCE_S[payload["recurrencyKind"]]
        profile = replace(profile, recurrence_s=recurrence)
    if soc is None:
        return profile
    limit_w = phase_sum_w(soc, "limit", unit, supply) or 0.0
    return replace(profile, soc_pct=float(soc["soc"]), soc_limit_w=limit_w)


def delayed(profile: Profile, seed: str) -> Profile:
    """With each start but the first moved by 0 to `delay_s` (K01.FR.92 to .97).

    The same seed gives the same delays: they are fixed for a transaction. A period that
    would begin after a later one, or after the end, is left out.
    """
    if not profile.delay_s:
        return profile
    count = len(profile.starts_s)
    drawn = hashlib.shake_256(seed.encode()).digest(4 * count)
    moved = [
        start + profile.delay_s * (share / 2**32 if start else 0.0)
        for start, (share,) in zip(
            profile.starts_s, struct.iter_unpack("<I", drawn), strict=True
        )
    ]
    kept: list[int] = []
    first_later = math.inf if profile.duration_s is None else profile.duration_s
    for index in range(len(moved) - 1, -1, -1):
        if moved[index] < first_later:
            kept.append(index)
            first_later = moved[index]
    kept.reverse()
    return replace(
        profile,
        starts_s=tuple(moved[index] for index in kept),
        periods=tuple(profile.periods[index] for index in kept),
    )
