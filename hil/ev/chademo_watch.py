"""What a CHAdeMO vehicle watches by itself while energised, and when it stops. Pure.

Limits follow the public facts (project refs, grid 4.3); those marked [K] there are
parameters. Judges only; the vehicle acts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hil.ev.chademo_frames import Heard

OVER_VOLTAGE, UNDER_VOLTAGE, CURRENT_DEVIATION, OVER_TEMPERATURE, VOLTAGE_DEVIATION = (
    range(5)
)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the vehicle stops; `fault_bit` is its bit in 102.4, `system` sets 102.5.2."""

    reason: str
    fault_bit: int | None = None
    system: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """The vehicle's own measurements and what it asked for, in one step."""

    voltage_v: float
    current_a: float  # positive into the vehicle
    request_a: float
    discharge_a: float  # allowed, positive
    max_v: float
    min_v: float
    temperature_c: float
    too_hot_c: float


@dataclass(slots=True)
class Watch:
    """Conditions with hold times; remembers only since when each has been true."""

    deviation_a: float = 10.0
    deviation_v: float = 10.0
    deviation_s: float = 5.0
    silent_s: float = 1.0
    voltage_margin_v: float = 5.0
    voltage_s: float = 0.2
    _since: dict[str, float] = field(default_factory=dict)

    def reset(self) -> None:
        self._since.clear()

    def silent(self, heard: Heard, now_s: float) -> Stop | None:
        """The station's 108 or 109 stopped coming, after it had begun."""
        age_s = heard.age_s(now_s)
        if age_s is None or age_s <= self.silent_s:
            return None
        return Stop("station_silent", system=True)

    def told(self, heard: Heard) -> Stop | None:
        """The station says that something is wrong (109.5.1, .3, .4)."""
        if heard.malfunction:
            return Stop("station_malfunction")
        if heard.incompatible:
            return Stop("battery_incompatible")
        if heard.system_malfunction:
            return Stop("station_system_malfunction")
        return None

    def energised(self, heard: Heard, view: View, now_s: float) -> Stop | None:
        """The first condition that has been true for its hold time."""
        due = None
        for stop, bad, hold_s in self._conditions(heard, view):
            if not bad:
                self._since.pop(stop.reason, None)
                continue
            since_s = self._since.setdefault(stop.reason, now_s)
            if due is None and now_s - since_s >= hold_s:
                due = stop
        return due

    def _conditions(
        self, heard: Heard, view: View
    ) -> Iterator[tuple[Stop, bool, float]]:
        """(what to do, is it bad now, how long it may last in seconds)."""
        margin_v, hold_s = self.voltage_margin_v, self.deviation_s
        high = view.voltage_v > view.max_v + margin_v
        low = view.voltage_v < view.min_v - margin_v
        hot = view.temperature_c >= view.too_hot_c
        apart = abs(heard.present_v - view.voltage_v) > self.deviation_v
        lies = apart and heard.charging  # before that it still matches the voltage
        yield Stop("over_voltage", OVER_VOLTAGE), high, self.voltage_s
        yield Stop("under_voltage", UNDER_VOLTAGE), low, self.voltage_s
        yield Stop("over_temperature", OVER_TEMPERATURE), hot, 0.0
        over = view.current_a - view.request_a >= self.deviation_a
        yield Stop("too_much_charge", CURRENT_DEVIATION), over, hold_s
        deep = -view.current_a - view.discharge_a >= self.deviation_a
        yield Stop("too_much_discharge", CURRENT_DEVIATION), deep, hold_s
        discharging = heard.present_discharge_a > 0
        short = view.request_a - view.current_a >= self.deviation_a
        starved = short and heard.charging and not discharging
        yield Stop("too_little_charge", CURRENT_DEVIATION), starved, hold_s
        yield Stop("voltage_reported_wrong", VOLTAGE_DEVIATION), lies, hold_s
