"""A test stand in fake time: one scripted V2H car, ideal hardware, our sequence.

The car follows the timeline measured in a real start and stop (docs/vehicle-chademo.md,
column "seen"): frames 65 ms before our answer, k after 3.92 s, request 1.7 s after d2,
discharge limit 0 to 15 A in 0.7 s, weld check 2.9 s. Knobs break either side.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from chargerd.config import Chademo
from chargerd.model import VehicleOffer, VehiclePhase
from chargerd.vehicle.chademo.sequence import Sequence
from chargerd.vehicle.chademo.steps import Step
from chargerd.vehicle.chademo.view import Ratings
from firmware_bridge.api import (
    InsulationReading,
    PilotReading,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)

TICK_S = 0.01
OFFER_EVERY = 5  # 20 Hz
RATINGS = Ratings(150.0, 500.0, 30.0, 30.0)


@dataclass
class Car:
    """Its pins and frames. Every value is a knob; `hide` withholds frame ids."""

    first_frame_s: float = 0.5
    k_s: float = 3.92
    close_s: float = 0.12  # d2 to closed
    request_s: float = 1.70  # d2 to request
    weld_check_s: float = 2.9
    battery_v: float = 350.0
    max_a: int = 15
    protocol: int = 2
    target_v: int = 410
    max_v: int = 435
    min_v: int = 0
    rate_constant: int = 100
    soc: int = 60
    false_soc: int = 10  # frames with SoC 3
    fault_bits: int = 0
    flags: int = 0x80  # 102.5 besides 5.0 and 5.3: discharge compatible
    min_discharge_v: int = 250
    levels: tuple[int, int] = (30, 80)
    minutes: int = 255
    capacity: int = 0xDE  # 22.2 kWh
    ramp_a_per_s: float = 20.0
    hide: set[int] = field(default_factory=set)
    enabled_knob: bool = True
    k_knob: bool = True
    closes: bool = True
    opens: bool = True
    asks: bool = True

    permission: bool = False
    enabled: bool = False
    closed: bool = False
    request_a: float = 0.0
    discharge_a: float = 0.0
    d1_s: float | None = None
    d2_s: float | None = None
    stop_s: float | None = None
    cycles: int = 0
    powered: bool = False  # the station has cleared 109.5.5
    heard: dict[int, bytes] = field(default_factory=dict)
    heard_at: dict[int, float] = field(default_factory=dict)

    def hear(self, frame_id: int, data: bytes, now: float) -> None:
        self.heard[frame_id], self.heard_at[frame_id] = data, now

    def told(self, frame_id: int, byte: int) -> int:
        return self.heard[frame_id][byte] if frame_id in self.heard else 0

    def step(self, now: float, d1: bool, d2: bool) -> None:
        if not d1:
            self.permission = self.enabled = False
            self.closed &= not self.opens
            self.d1_s = self.d2_s = self.stop_s = None
            self.request_a = self.discharge_a = 0.0
            self.cycles, self.powered = 0, False
            self.heard.clear()
            return
        if self.d1_s is None:
            self.d1_s = now
        if now - self.d1_s >= self.k_s and 0x108 in self.heard and self.stop_s is None:
            self.permission, self.enabled = self.k_knob, self.enabled_knob
        if not d2:
            self.d2_s = None
            self.closed &= not self.opens
        elif self.d2_s is None:
            self.d2_s = now
        self._power(now)
        self._stop(now)

    def _power(self, now: float) -> None:
        if self.d2_s is None or self.stop_s is not None:
            self.request_a = self.discharge_a = 0.0
            return
        if self.closes and now - self.d2_s >= self.close_s:
            self.closed = True
        if not self.asks or now - self.d2_s < self.request_s:
            return
        step_a = self.ramp_a_per_s * TICK_S
        most_a = min(self.max_a, self.told(0x108, 3))
        self.request_a = min(most_a, self.request_a + step_a)
        charging = bool(self.told(0x109, 5) & 1)
        if charging and self.told(0x109, 4) & 1:
            self.discharge_a = min(15.0, self.discharge_a + step_a)

    def _stop(self, now: float) -> None:
        """109.5.5 after the start, or our own wish, ends it."""
        halt = bool(self.told(0x109, 5) & 0x20)
        self.powered |= 0x109 in self.heard and not halt
        asked = self.powered and halt
        if (asked or not self.enabled) and self.closed and self.stop_s is None:
            self.stop_s = now
        if self.stop_s is not None:
            self.enabled = False
            if now - self.stop_s >= 0.2:
                self.permission = False
                self.closed &= not self.opens

    def contactor_open(self, now: float) -> bool:
        """102.5.3: open, and the weld check is over."""
        if self.closed:
            return False
        return self.stop_s is None or now - self.stop_s >= self.weld_check_s

    def frames(self, now: float) -> Iterator[tuple[int, bytes]]:
        if self.d1_s is None or now - self.d1_s < self.first_frame_s:
            return
        soc = 3 if self.cycles < self.false_soc else self.soc
        self.cycles += 1
        flags = self.flags | self.enabled | self.contactor_open(now) << 3
        for frame_id, body in (
            (0x100, struct.pack("<BBHHBB", 0, 0, self.min_v, self.max_v,
                                self.rate_constant, 0)),
            (0x101, struct.pack("<BBBBBHB", 0, 255, self.minutes, 60, 0,
                                self.capacity, 0)),
            (0x102, struct.pack("<BHBBBBB", self.protocol, self.target_v,
                                int(self.request_a), self.fault_bits, flags, soc, 0)),
            (0x200, struct.pack("<BBBBHBB", 255 - int(self.discharge_a), 0, 0, 0,
                                self.min_discharge_v, *self.levels)),
            (0x201, struct.pack("<BHHBBB", 2, 120, 100, 0, 0, 0)),
        ):  # fmt: skip
            if frame_id not in self.hide:
                yield frame_id, body


class Stand:
    """Runs car, ideal hardware and the sequence; records what was demanded and sent."""

    def __init__(
        self,
        car: Car | None = None,
        config: Chademo | None = None,
        ratings: Ratings = RATINGS,
    ) -> None:
        self.car = car or Car()
        self.sequence = Sequence(config or Chademo(), ratings)
        self.now = 1000.0
        self.energise = True
        self.setpoint_a = 10.0
        self.charge_a = 30.0
        self.fault_stop = False
        self.offers = True
        self.plugged = True
        self.lock_works = True
        self.contactor_works = True
        self.stage_raises = True
        self.insulation_ohm: float | None = 1_000_000.0
        self.pilot: dict[str, Any] = {}
        self.stage: dict[str, Any] = {}
        self.insulation: dict[str, Any] = {}
        self.silent: set[str] = set()  # devices whose readings no longer renew
        self.actual_a: float | None = None  # forces the measured current
        self.stage_v = self.stage_a = 0.0
        self.locked = False
        self.dc_closed = False
        self.sent: list[tuple[float, int, bytes]] = []
        self.steps: list[tuple[float, Step]] = []
        self._lock_s = 0.0
        self._ticks = 0
        self.car_tick = 0  # its 100 ms against ours, in ticks
        self._readings: dict[str, Reading[Any]] = {}

    @property
    def step(self) -> Step:
        return self.sequence._session.step

    def at(self, step: Step) -> float:
        """When `step` was first entered, seconds of this stand's clock."""
        return next(at for at, seen in self.steps if seen is step)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.tick()

    def until(self, what: Callable[[], bool], within_s: float = 60.0) -> None:
        for _ in range(round(within_s / TICK_S)):
            if what():
                return
            self.tick()
        state = self.sequence.state()
        raise AssertionError(f"not within {within_s} s: {self.step} {state}")

    def until_step(self, step: Step, within_s: float = 60.0) -> None:
        self.until(lambda: self.step is step, within_s)

    def until_phase(self, phase: VehiclePhase, within_s: float = 60.0) -> None:
        self.until(lambda: self.sequence.state().phase is phase, within_s)

    def start(self) -> None:
        """To ENERGY, with SoC known and the ramps over."""
        self.until_phase(VehiclePhase.ENERGY)
        self.run(3.0)

    def tick(self) -> None:
        self.now += TICK_S
        self._ticks += 1
        self._plant()
        demand = self.sequence.state().demand
        if self.plugged:
            self.car.step(self.now, demand.d1, demand.d2)
            if self._ticks % 10 == self.car_tick:
                for frame_id, body in self.car.frames(self.now):
                    self.sequence.receive(frame_id, body, self.now)
        if self.offers and self._ticks % OFFER_EVERY == 0:
            self.sequence.command(self.offer(), self.now)
        due = self.sequence.next_timer()
        if due is not None and self.now >= due:
            self.sequence.on_timer(self.now)
        for frame_id, body in self.sequence.to_send():
            self.sent.append((self.now, frame_id, body))
            self.car.hear(frame_id, body, self.now)
        if not self.steps or self.steps[-1][1] is not self.step:
            self.steps.append((self.now, self.step))

    def _plant(self) -> None:
        state = self.sequence.state()
        demand = state.demand
        if demand.lock != self.locked:
            self._lock_s += TICK_S
            if self._lock_s >= 0.3 and self.lock_works:
                self.locked, self._lock_s = demand.lock, 0.0
        self.dc_closed = demand.close_dc and self.contactor_works
        wanted_a, limits = 0.0, state.limits
        if state.phase is VehiclePhase.ENERGY and limits is not None:
            if self.setpoint_a >= 0.0:
                wanted_a = min(self.setpoint_a, limits.requested_a or 0.0)
            elif limits.discharge_allowed:
                wanted_a = max(self.setpoint_a, limits.discharge_a)
        joined = self.dc_closed and self.car.closed and self.plugged
        self.stage_a = wanted_a if joined else 0.0
        if self.actual_a is not None:
            self.stage_a = self.actual_a
        if joined:
            self.stage_v = self.car.battery_v
        elif demand.current_a > 0.0 and self.stage_raises:
            self.stage_v = demand.voltage_v
        else:
            self.stage_v *= 0.95

    def connector_v(self) -> float:
        if self.plugged and self.car.closed:
            return self.car.battery_v
        return self.stage_v if self.dc_closed else 0.0

    def offer(self) -> VehicleOffer:
        pilot = PilotReading(
            dc_closed=self.dc_closed,
            chademo_proximity=self.plugged,
            chademo_permission=self.car.permission and self.plugged,
            locked=self.locked,
        )
        stage = StageReading(self.stage_v, self.stage_a, StageMode.CHARGE, True)
        insulation = InsulationReading(
            self.insulation_ohm, voltage_v=self.connector_v()
        )
        for name, value in (
            ("pilot", replace(pilot, **self.pilot)),
            ("stage", replace(stage, **self.stage)),
            ("insulation", replace(insulation, **self.insulation)),
        ):
            if name not in self.silent:
                self._readings[name] = Reading(value, self.now)
        return VehicleOffer(
            at_mono=self.now,
            energise=self.energise,
            charge_a=self.charge_a,
            discharge_a=-30.0,
            setpoint_a=self.setpoint_a,
            fault_stop=self.fault_stop,
            telemetry=Telemetry(**self._readings),
        )
