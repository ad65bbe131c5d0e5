"""The periods of a charging schedule, read and judged by themselves.

Owns the slow part of a SetChargingProfile: up to 3 x 1024 periods. Pure and without
state of the station, so that it may run beside the loop (law 7); the loop then only
looks at what was found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chargerd.model import OperationMode
from chargerd.ocpp.blocks.v2x_check import check_power
from chargerd.ocpp.effects import Payload, Refusal
from chargerd.ocpp.profiles import PHASE_KEYS, Period, Supply, parse_period

KEPT = 3  # schedules of one profile
PARTS = {part: name for name, *parts in PHASE_KEYS.values() for part in parts}
_MARKS = (*PARTS, "phaseToUse", "numberPhases")


@dataclass(slots=True)
class Reading:
    """What is in a schedule; each number is the index of the first period with it."""

    periods: tuple[Period, ...] = ()
    modes: dict[OperationMode, int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)  # of _MARKS
    phases: tuple[int, int] | None = None  # the fewest told, and where
    asleep: int | None = None  # evseSleep
    awake: int | None = None  # the same in another mode than Idle
    wrong: tuple[int, Refusal] | None = None  # whatever the station is


def read(raw: list[Payload], unit: str, supply: Supply) -> Reading:
    """`raw`: chargingSchedulePeriod as received and schema-checked."""
    found = Reading()
    periods: list[Period] = []
    modes, fields = found.modes, found.fields
    for index, values in enumerate(raw):
        period = parse_period(values, unit, supply)
        periods.append(period)
        if period.mode not in modes:
            modes[period.mode] = index
        if found.wrong is None:
            found.wrong = _wrong(index, values, period, unit)
        if len(values) < 3:
            continue  # no more than a start and a limit: the usual one, at its quickest
        for name in _MARKS:
            if name in values and name not in fields:
                fields[name] = index
        count = values.get("numberPhases")
        if count is not None and (found.phases is None or count < found.phases[0]):
            found.phases = count, index
        if values.get("evseSleep"):
            found.asleep = index if found.asleep is None else found.asleep
            if period.mode is not OperationMode.IDLE and found.awake is None:
                found.awake = index
    found.periods = tuple(periods)
    return found


def _wrong(
    index: int, values: Payload, period: Period, unit: str
) -> tuple[int, Refusal] | None:
    if unit != "W" and period.mode is OperationMode.LOCAL_FREQUENCY:
        return index, Refusal("InvalidSchedule", "LocalFrequency counts in W (Q08)")
    if "limit" not in values or len(values) > 2:  # K01.FR.146
        for name, whole in PARTS.items():
            if name in values and whole not in values:
                return index, Refusal("PhaseConflict", f"{name} without {whole}")
    try:
        check_power(values, period)
    except Refusal as refused:
        return index, refused
    return None


class Reader:
    """Remembers what it read last: first beside the loop, then on it."""

    def __init__(self) -> None:
        self._known: list[tuple[Payload, Supply, Reading]] = []

    def read(self, schedule: Payload, supply: Supply) -> Reading:
        """The reading of this very ChargingSchedule."""
        for known, its_supply, reading in self._known:
            if known is schedule and its_supply == supply:
                return reading
        raw = schedule["chargingSchedulePeriod"]
        reading = read(raw, schedule["chargingRateUnit"], supply)
        self._known = [*self._known[1 - KEPT :], (schedule, supply, reading)]
        return reading
