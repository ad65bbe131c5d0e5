"""A car that charges on AC by the control pilot alone (IEC 61851-1 annex A). Pure.

It obeys the duty cycle, ramps, and never feeds back. It sees no CAN.
"""

from __future__ import annotations

from typing import Any

from hil.ev.base import Given, Seen
from hil.ev.battery import Battery

MIN_CURRENT_A = 6.0


def duty_to_current_a(duty: float) -> float:
    """Amperes per phase a PWM duty (0..1) allows; 0 = no charging (Table A.8)."""
    percent = round(duty * 100.0, 3)
    if percent < 8.0 or percent > 97.0:
        return 0.0
    if percent < 10.0:
        return MIN_CURRENT_A
    if percent <= 85.0:
        return percent * 0.6
    return min(80.0, (percent - 64.0) * 2.5)


class BasicEv:
    """Charges at min(duty, `max_a`) on `phases`; to C `react_s` after the PWM came.

    Gone PWM (steady +12 V): no power and back to B within `stop_s` (<= 3 s). State E
    or F, or a dead AC line: no power at once (within 100 ms, here one step).
    `asleep`: does not react to PWM until state F was there for `wake_step_s`
    (IEC 61851-1 A.5.3).
    """

    kind = "basic"
    faults = ("ignore_duty", "stuck_c")

    def __init__(
        self,
        battery: Battery,
        *,
        max_a: float = 16.0,
        phases: int = 1,
        voltage_v: float = 230.0,
        react_s: float = 1.0,
        stop_s: float = 1.0,
        ramp_a_per_s: float = 10.0,
        efficiency: float = 0.92,
        target_soc_pct: float = 100.0,
        asleep: bool = False,
        wake_step_s: float = 3.0,
    ) -> None:
        if min(phases, voltage_v, efficiency) <= 0:
            raise ValueError("phases, voltage_v, efficiency: must be above 0")
        self.battery = battery
        self.max_a = max_a
        self.volts = voltage_v * phases
        self.react_s, self.stop_s = react_s, stop_s
        self.ramp_a_per_s = ramp_a_per_s
        self.efficiency = efficiency
        self.target_soc_pct = target_soc_pct
        self.current_a = 0.0
        self.pilot_state = "B"
        self.paused = False
        self.asleep, self.wake_step_s = asleep, wake_step_s
        self._state_f_s = 0.0
        self.energy_in_wh = 0.0
        self._active: set[str] = set()
        self._since_s: float | None = None  # the wish to change B <-> C, since
        self._duty = 1.0

    def step(self, now_s: float, dt_s: float, seen: Seen) -> Given:
        """One step: take what flowed, decide the pilot state, ramp the wish."""
        self._duty = seen.pilot_duty
        self._sleep(dt_s)
        flowed_w = max(0.0, seen.ac_power_w)
        self.energy_in_wh += flowed_w * dt_s / 3600.0
        self.battery.step(self.battery.current_for(flowed_w * self.efficiency), dt_s)
        self._pilot(now_s)
        target_a = self._target_a(seen)
        rise_a = self.ramp_a_per_s * dt_s
        self.current_a = min(target_a, self.current_a + rise_a)
        return Given(self.pilot_state, ac_power_w=self.current_a * self.volts)

    def can(self, frame_id: int, data: bytes, now_s: float) -> None:
        """No CAN on this connector."""

    def unplugged(self) -> None:
        """Nothing to close."""

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def fault(self, kind: str, on: bool, **args: Any) -> None:
        """`ignore_duty`: draws `max_a` whatever the duty; `stuck_c`: never leaves C."""
        if kind not in self.faults or args:
            raise ValueError(f"fault {kind} {args}: a basic car knows {self.faults}")
        (self._active.add if on else self._active.discard)(kind)

    def state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "phase": self._phase(),
            "current_a": round(self.current_a, 3),
            "ac_energy_in_wh": round(self.energy_in_wh, 4),
            "faults": sorted(self._active),
            **self.battery.state(),
        }

    def _phase(self) -> str:
        if self.asleep:
            return "asleep"
        return "paused" if self.paused else self.pilot_state

    def _wants(self) -> bool:
        full = self.battery.soc_pct >= self.target_soc_pct
        idle = self.paused or self.asleep or full
        return not idle and duty_to_current_a(self._duty) > 0.0

    def _sleep(self, dt_s: float) -> None:
        """Wakes when the pilot comes back from a state F that was long enough."""
        if self._duty <= 0.0:
            self._state_f_s += dt_s
            return
        if self._state_f_s >= self.wake_step_s:
            self.asleep = False
        self._state_f_s = 0.0

    def _pilot(self, now_s: float) -> None:
        wanted = "C" if self._wants() else "B"
        if wanted == self.pilot_state or "stuck_c" in self._active:
            self._since_s = None
            return
        if self._since_s is None:
            self._since_s = now_s
        wait_s = self.react_s if wanted == "C" else self.stop_s
        at_once = self._duty <= 0.0 and wanted == "B"
        if at_once or now_s - self._since_s >= wait_s - 1e-9:
            self.pilot_state, self._since_s = wanted, None

    def _target_a(self, seen: Seen) -> float:
        if self.pilot_state != "C" or not seen.ac_live:
            return 0.0
        allowed = duty_to_current_a(self._duty)
        if "ignore_duty" in self._active:
            allowed = self.max_a
        elif not self._wants():
            return 0.0
        room_w = self.battery.charge_limit_a() * self.battery.emf_v
        return min(allowed, self.max_a, room_w / self.efficiency / self.volts)
