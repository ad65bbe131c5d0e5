"""A CHAdeMO V2H vehicle: pins, sequence, requests and misbehaviours. Pure.

Owns the vehicle's half of the start and stop sequences (project refs, grid 4.3) and
says its frames every 100 ms. Knows the station by pins and frames only, as a car does.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from hil.ev.base import Given, Seen
from hil.ev.battery import Battery
from hil.ev.chademo_frames import Heard, Says, Timetable
from hil.ev.chademo_traits import FAULTS, SLOWNESS, Traits, fault_arguments
from hil.ev.chademo_watch import Stop, View, Watch

SAFE_OPEN_A = 5.0  # contactors may open at or below
DEAD_V = 10.0  # the weld check wants the line at or below


class ChademoEv:
    """Steps through asleep, checking, ready, closing, energised, stopping,
    weld_check, done. `fault()` kinds are the keys of FAULTS, with their arguments."""

    kind = "chademo"
    faults = tuple(FAULTS)

    def __init__(self, battery: Battery, traits: Traits, seed: int = 0) -> None:
        self.battery = battery
        self.traits = traits
        self.heard = Heard()
        self.watch = Watch()
        self.phase = "asleep"
        self.stop: Stop | None = None
        self.permission = False
        self.enabled = False
        self.request_a = 0.0
        self.discharge_a = 0.0
        self.paused = False
        self.opened_under_load = 0
        self.history: deque[tuple[float, str]] = deque(maxlen=50)
        self._active: dict[str, dict[str, int]] = {}
        self._random = random.Random(seed)
        self._since_s = 0.0  # the phase began
        self._d1_lost_s: float | None = None
        self._contactor = False  # commanded
        self._welded = False
        self._contactor_open = True  # 102.5.3
        self._running = False  # the station cleared 109.5.5 in this session
        self._open_at_s: float | None = None
        self._timetable: Timetable | None = None  # None = no frames
        self._session_frames = 0

    def step(self, now_s: float, dt_s: float, seen: Seen) -> Given:
        """Take what flowed, judge, move the sequence, ramp, and say what is due."""
        current_a = seen.dc_current_a if self._closed(seen) else 0.0
        self.battery.step(current_a, dt_s)
        self._welded = "weld" in self._active and self._closed(seen)
        self._judge(now_s, seen)
        self._sequence(now_s, seen)
        self._ramp(now_s, dt_s, seen)
        return Given(
            pilot_state="A",  # a CHAdeMO connector has no control pilot
            proximity=True,
            permission=self.permission and "no_k" not in self._active,
            contactor_closed=self._closed(seen),
            emf_v=self.battery.emf_v,
            resistance_ohm=self.battery.resistance_ohm,
            frames=self._due_frames(now_s),
        )

    def can(self, frame_id: int, data: bytes, now_s: float) -> None:
        if self.phase != "asleep":
            self.heard.take(frame_id, data, now_s)

    def unplugged(self) -> None:
        """Nothing to close."""

    def pause(self) -> None:
        """Request and discharge limit go to 0 A; the session stays."""
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def fault(self, kind: str, on: bool, **args: Any) -> None:
        """Begin or end one misbehaviour; ValueError for unknown kinds or arguments."""
        full = fault_arguments(kind, args)
        if on:
            self._active[kind] = full
        else:
            self._active.pop(kind, None)

    def state(self) -> dict[str, Any]:
        """True values, for the rig's `state` verb."""
        return {
            "kind": self.kind,
            "phase": self.phase,
            "permission": self.permission,
            "enabled": self.enabled,
            "paused": self.paused,
            "contactor_commanded": self._contactor,
            "request_a": round(self.request_a, 3),
            "discharge_a": round(self.discharge_a, 3),
            "stop_reason": self.stop.reason if self.stop else "",
            "opened_under_load": self.opened_under_load,
            "faults": sorted(self._active),
            **self.battery.state(),
        }

    # -- sequence ---------------------------------------------------------------

    def _enter(self, phase: str, now_s: float) -> None:
        self.phase, self._since_s = phase, now_s
        self.history.append((now_s, phase))

    def _sequence(self, now_s: float, seen: Seen) -> None:
        if self.phase == "asleep":
            if seen.d1:
                self._wake(now_s)
            return
        if not seen.d1:
            self._d1_gone(now_s)
            return
        self._d1_lost_s = None
        lasted_s = now_s - self._since_s
        getattr(self, f"_in_{self.phase}")(now_s, lasted_s, seen)

    def _wake(self, now_s: float) -> None:
        """A new session: what latched in the last one is forgotten."""
        self.heard, self.stop = Heard(), None
        self.watch.reset()
        self.enabled = self.permission = self._contactor = self._running = False
        self._contactor_open = not self._welded
        self._open_at_s = self._d1_lost_s = None
        begin_s = now_s + self.traits.wake_s * self._slowness()
        self._timetable = Timetable(begin_s, self._random)
        self._session_frames = 0
        self._enter("checking", now_s)

    def _d1_gone(self, now_s: float) -> None:
        """The coil has no supply any more; frames linger, then the car sleeps."""
        if self._d1_lost_s is None:
            self._d1_lost_s = now_s
            if self.phase not in ("done", "weld_check"):
                self.stop = self.stop or Stop("d1_lost")
            self.permission = self.enabled = self._contactor = False
            self._contactor_open = not self._welded
            self._enter("done", now_s)
        if now_s - self._d1_lost_s >= self.traits.linger_s:
            self._timetable = None
            self._enter("asleep", now_s)

    def _in_checking(self, now_s: float, lasted_s: float, seen: Seen) -> None:
        heard = self.heard
        known = heard.age_s(now_s) is not None
        fits = heard.available_v >= self._target_v()
        if known and fits and lasted_s >= self.traits.k_delay_s * self._slowness():
            self.permission = self.enabled = True
            self._enter("ready", now_s)

    def _in_ready(self, now_s: float, lasted_s: float, seen: Seen) -> None:
        if seen.d2 and self.heard.locked:
            self._enter("closing", now_s)
        elif lasted_s > self.traits.d2_timeout_s:
            self._halt(Stop("no_d2"), now_s)

    def _in_closing(self, now_s: float, lasted_s: float, seen: Seen) -> None:
        if not seen.d2:
            self._halt(Stop("d2_lost"), now_s)
        elif lasted_s > self.traits.close_timeout_s * self._slowness():
            self._halt(Stop("contactor_did_not_close", system=True), now_s)
        elif lasted_s >= self.traits.contactor_s * self._slowness():
            self._contactor = True
            if self._closed(seen):
                self._contactor_open = False
                self._enter("energised", now_s)

    def _in_energised(self, now_s: float, lasted_s: float, seen: Seen) -> None:
        if not seen.d2:
            self._halt(Stop("d2_lost"), now_s)
        elif not self.heard.stop_control:
            self._running = True
        elif self._running:
            self._halt(Stop("station_stopped"), now_s)

    def _in_stopping(self, now_s: float, lasted_s: float, seen: Seen) -> None:
        """Open once the current is gone; under load only when it never goes."""
        small = abs(seen.dc_current_a) <= SAFE_OPEN_A
        patience_s = 0.5 if self.stop and self.stop.fault_bit is not None else 2.0
        if self._open_at_s is None and (small or lasted_s >= patience_s):
            self.enabled = self.permission = False
            self._open_at_s = now_s + self.traits.open_delay_s
        if self._open_at_s is not None and now_s >= self._open_at_s:
            self.opened_under_load += not small
            self._contactor = False
            self._enter("weld_check", now_s)

    def _in_weld_check(self, now_s: float, lasted_s: float, seen: Seen) -> None:
        """The line must die now that the contactor is open, else it is welded."""
        dead = seen.dc_voltage_v <= DEAD_V
        if dead and lasted_s >= self.traits.weld_check_s:
            self._contactor_open = True
            self._enter("done", now_s)
        elif lasted_s >= self.traits.weld_timeout_s:
            self.stop = Stop("weld", system=True)
            self._enter("done", now_s)

    def _in_done(self, now_s: float, lasted_s: float, seen: Seen) -> None:
        """Nothing to do until d1 falls."""

    def _halt(self, stop: Stop, now_s: float) -> None:
        """Begin the stop; the first cause stays."""
        self.stop = self.stop or stop
        self.request_a = self.discharge_a = 0.0
        if stop.reason != "station_stopped":
            self.enabled = False
        if stop.fault_bit is not None or stop.system:
            self.permission = False
        if self._contactor and self.phase == "energised":
            self._open_at_s = None
            self._enter("stopping", now_s)
        else:
            self.permission = self.enabled = self._contactor = False
            self._enter("done", now_s)

    # -- judgement --------------------------------------------------------------

    def _judge(self, now_s: float, seen: Seen) -> None:
        if self.phase not in ("checking", "ready", "closing", "energised"):
            return
        stop = self._own_stop() or self.watch.told(self.heard)
        stop = stop or self.watch.silent(self.heard, now_s)
        if stop is None and self.phase == "energised":
            view = View(
                seen.dc_voltage_v,
                seen.dc_current_a,
                self.request_a,
                self.discharge_a,
                self.battery.max_v,
                self.battery.min_v,
                self.battery.temperature_c,
                self.battery.too_hot_c,
            )
            stop = self.watch.energised(self.heard, view, now_s)
        if stop is not None:
            self._halt(stop, now_s)

    def _own_stop(self) -> Stop | None:
        if "fault_bit" in self._active:
            return Stop("fault_bit", self._active["fault_bit"]["n"])
        for kind in ("stop_now", "shift"):
            if kind in self._active:
                return Stop(kind)
        return None

    def _closed(self, seen: Seen) -> bool:
        """The main contacts: the coil needs d1 and d2; a weld needs nothing."""
        driven = self._contactor and seen.d1 and seen.d2
        return self._welded or (driven and "wont_close" not in self._active)

    # -- requests ---------------------------------------------------------------

    def _ramp(self, now_s: float, dt_s: float, seen: Seen) -> None:
        step_a = self.traits.ramp_a_per_s * dt_s / self._slowness()
        want_a = self._charge_target_a(now_s)
        lower_a = max(want_a, self.request_a - step_a)
        self.request_a = min(want_a, self.request_a + step_a)
        if want_a < lower_a <= self.heard.available_a:
            self.request_a = lower_a  # our own wish falls by the ramp
        want_a = self._discharge_target_a(now_s, seen)
        self.discharge_a = min(self.discharge_a + step_a, want_a)

    def _live(self, now_s: float) -> bool:
        delay_s = self.traits.request_delay_s
        energised = self.phase == "energised" and now_s - self._since_s >= delay_s
        return energised and not self.paused

    def _charge_target_a(self, now_s: float) -> float:
        if not self._live(now_s) or self.battery.soc_pct >= self.traits.max_level_pct:
            return 0.0
        own_a = min(self.traits.max_charge_a, self.battery.charge_limit_a())
        extra_a = self._active.get("over_request", {}).get("amps", 0)
        return min(own_a, self.heard.available_a) + extra_a

    def _discharge_target_a(self, now_s: float, seen: Seen) -> float:
        low = self.battery.soc_pct <= self.traits.min_level_pct
        allowed = self._discharge_compatible() and self.heard.discharge_compatible
        sagging = seen.dc_voltage_v <= self.traits.min_discharge_v
        if not (self._live(now_s) and allowed) or low or sagging:
            return 0.0
        return min(self.traits.max_discharge_a, self.battery.discharge_limit_a())

    def _discharge_compatible(self) -> bool:
        forbidden = "discharge_forbidden" in self._active
        return self.traits.discharge_compatible and not forbidden

    def _slowness(self) -> float:
        return SLOWNESS if "slow" in self._active else 1.0

    # -- frames -----------------------------------------------------------------

    def _due_frames(self, now_s: float) -> tuple[tuple[int, bytes], ...]:
        """The frames whose time has come, built from what is true now."""
        frames = []
        for frame_id in self._timetable.due(now_s) if self._timetable else ():
            if not (self._old() and frame_id in (0x110, 0x201)):
                frames.append((frame_id, self._says().frame(frame_id)))
                self._session_frames += frame_id == 0x102
        return () if "silent" in self._active else tuple(frames)

    def _says(self) -> Says:
        battery, traits, stop = self.battery, self.traits, self.stop
        bit = stop.fault_bit if stop else None
        power_w = max(500.0, max(self.request_a, self.discharge_a) * battery.emf_v)
        room_wh = battery.capacity_wh - battery.stored_wh
        return Says(
            min_battery_v=int(battery.min_v),
            max_battery_v=int(battery.max_v) + 5,
            capacity_wh=battery.capacity_wh,
            max_minutes=traits.max_minutes,
            charge_minutes=int(60.0 * room_wh / power_w),
            protocol_number=traits.protocol_number,
            target_v=self._target_v(),
            request_a=int(self.request_a + 1e-6),
            fault_bits=0 if bit is None else 1 << bit,
            enabled=self.enabled,
            shift_not_p="shift" in self._active,
            system_fault=stop is not None and stop.system,
            contactor_open=self._contactor_open,
            stop_before_charge="stop_now" in self._active and not self._running,
            discharge_compatible=self._discharge_compatible(),
            soc_raw=self._soc_raw(),
            discharge_a=int(self.discharge_a + 1e-6),
            min_discharge_v=int(traits.min_discharge_v),
            min_level_raw=self._level_raw(traits.min_level_pct),
            max_level_raw=self._level_raw(traits.max_level_pct),
            sequence_number=traits.sequence_number,
            discharge_minutes=int(60.0 * battery.stored_wh / power_w),
            available_wh=battery.stored_wh,
        )

    def _target_v(self) -> int:
        return int(self.battery.max_v) + 1

    def _old(self) -> bool:
        return self.traits.old_protocol or "old_protocol" in self._active

    def _level_raw(self, percent: float) -> int:
        if not self._old():
            return round(percent)
        return round(self.battery.capacity_wh * percent / 100.0 / 100.0)

    def _soc_raw(self) -> int:
        """Raw percent; the first frames of a session are false, as in real cars."""
        if self._session_frames < self.traits.soc_false_frames:
            return 3 if self._session_frames == 0 else 1
        lie = self._active.get("soc_lie")
        return lie["soc"] if lie else int(self.battery.soc_pct)
