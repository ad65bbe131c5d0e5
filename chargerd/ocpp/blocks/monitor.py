"""One monitor of block N: what it watches, and whether there is something to tell.

Owns the rules of the seven monitor types (N07, N08). Sends nothing, keeps nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chargerd.clock import Now
from chargerd.ocpp.variable import Variable

THRESHOLDS = frozenset(
    {"UpperThreshold", "LowerThreshold", "TargetDelta", "TargetDeltaRelative"}
)
PERIODIC = frozenset({"Periodic", "PeriodicClockAligned"})
NUMERIC = frozenset({"integer", "decimal"})
HARD, PRESET, CUSTOM = "HardWiredMonitor", "PreconfiguredMonitor", "CustomMonitor"
SHORTEST_S = 1.0  # between NotifyEvents of a periodic monitor


@dataclass(frozen=True, slots=True)
class Stream:
    """When the values of a stream leave (N15.FR.06 to .08); 0 = not by that."""

    interval_s: int = 0
    values: int = 0


@dataclass(frozen=True, slots=True)
class Monitor:
    """As set. `kind`: a MonitorEnumType value; `notification`: whose it is."""

    id: int
    variable: Variable
    kind: str
    value: float
    severity: int
    transaction: bool = False  # only while a transaction runs there
    notification: str = CUSTOM
    stream: Stream | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell. `cleared`: the value is back within its bounds."""

    trigger: str
    cleared: bool = False


class Watch:
    """A monitor and what it has seen so far."""

    __slots__ = ("base", "due_mono", "event_id", "monitor", "on", "seen")

    def __init__(self, monitor: Monitor, *, on: bool = False) -> None:
        self.monitor = monitor
        self.on = on  # a threshold that is exceeded, as told
        self.seen: str | None = None  # the value that was looked at last
        self.base: str | None = None  # of a Delta: the value last told, or at first
        self.event_id: int | None = None  # that told `on`
        self.due_mono = math.inf  # of a periodic one

    def look(self) -> Alert | None:
        """Compare the value of now with what was told; remembers that it looked."""
        variable = self.monitor.variable
        self.seen = variable.value
        if self.monitor.kind == "Delta":
            return self._delta(variable)
        if self.monitor.kind in THRESHOLDS:
            exceeded = self._exceeded(variable)
            if exceeded is not None and exceeded is not self.on:
                self.on = exceeded
                return Alert("Alerting", cleared=not exceeded)
        return None

    def _delta(self, variable: Variable) -> Alert | None:
        value, base = variable.value, self.base
        if base is None:
            self.base = value
            return None
        if value == base:
            return None
        number, before = number_of(value), number_of(base)
        numeric = variable.row.kind in NUMERIC
        if numeric and number is not None and before is not None:
            small = abs(number - before) <= self.monitor.value
            if small:
                return None
        self.base = value
        return Alert("Delta")

    def _exceeded(self, variable: Variable) -> bool | None:
        """None while there is no number to judge."""
        number, value = number_of(variable.value), self.monitor.value
        if number is None:
            return None
        if self.monitor.kind == "UpperThreshold":
            return number > value
        if self.monitor.kind == "LowerThreshold":
            return number < value
        target = number_of(variable.values.get("Target", ""))
        if target is None:
            return None
        if self.monitor.kind == "TargetDeltaRelative":
            value *= abs(target)
        return abs(number - target) > value

    def schedule(self, now: Now, *, streamed: bool) -> None:
        """When a periodic monitor is due next."""
        monitor = self.monitor
        if monitor.kind not in PERIODIC:
            return
        every_s = monitor.value if streamed else max(monitor.value, SHORTEST_S)
        if monitor.kind == "PeriodicClockAligned":
            now_s = now.utc.timestamp()
            # Half a step on: what is due now is not due again at once.
            number = math.floor((now_s + 1e-3) / every_s) + 1
            self.due_mono = now.mono + (number * every_s - now_s)
        elif self.due_mono <= now.mono and self.due_mono + every_s > now.mono:
            self.due_mono += every_s  # in step: a late timer adds up to nothing
        else:
            self.due_mono = now.mono + every_s


def number_of(text: str) -> float | None:
    """None for what is no finite number."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
