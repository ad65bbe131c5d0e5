"""What the InfyPower modules last said, put together as one stage's reading.

Pure: answers and their times in, a reading out. Owns the sign of the current: it comes
from the modules' own mode, never from what they were told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from firmware_bridge.api import Reading, StageMode, StageReading
from firmware_bridge.wire import infypower as wire
from firmware_bridge.wire.infypower import Code

PAIR_S = 0.5  # voltage and current this far apart make no reading
MODULE_LOST_S = 1.0
_MODULE_CODES = (Code.STATUS, Code.INVERTING, Code.WORKING_MODE)


@dataclass(slots=True)
class Module:
    """One module's state; times say when each part was heard."""

    status: wire.Status | None = None
    mode: StageMode | None = None
    mode_mono: float = -math.inf
    heard_mono: float = -math.inf
    obeyed_mono: float = -math.inf  # took the last working mode it was sent


class ModulesView:
    """Collects answers. System voltage and current come from one module for all."""

    def __init__(self) -> None:
        self.heard_mono = -math.inf
        self.count = 1
        self._modules: dict[int, Module] = {}
        self._voltage: tuple[float, float] | None = None  # V, when
        self._current: tuple[int, float] | None = None  # mA magnitude, when
        self._temperature_c: float | None = None
        self._reading: Reading[StageReading] | None = None

    def receive(self, reply: wire.Reply, now: float) -> None:
        """One good answer; writes only count as a sign of life."""
        self.heard_mono = now
        if reply.command == wire.READ:
            self._receive_system(reply, now)
        if reply.code in _MODULE_CODES and reply.module < wire.BROADCAST:
            module = self._modules.setdefault(reply.module, Module())
            module.heard_mono = now
            self._receive_module(module, reply, now)

    def _receive_system(self, reply: wire.Reply, now: float) -> None:
        """Items one module answers for all, some under the broadcast address."""
        if reply.code == Code.VOLTAGE:
            self._voltage = reply.value / 1000, now
        elif reply.code == Code.CURRENT:
            self._current = reply.value, now
            self._combine(now)
        elif reply.code == Code.MODULES:
            self.count = max(1, min(reply.value & 0xFFFF, wire.BROADCAST))
        elif reply.code == Code.AMBIENT:
            self._temperature_c = wire.temperature_c(reply.value)

    def _receive_module(self, module: Module, reply: wire.Reply, now: float) -> None:
        """Items that each module answers for itself."""
        if reply.command != wire.READ:
            if reply.code == Code.WORKING_MODE:
                module.obeyed_mono = now
        elif reply.code == Code.STATUS:
            module.status = wire.decode_status(reply.value)
        elif reply.code == Code.INVERTING:
            inverting = reply.value & 1
            module.mode = StageMode.DISCHARGE if inverting else StageMode.CHARGE
            module.mode_mono = now

    def reading(self) -> Reading[StageReading] | None:
        return self._reading

    def still_since(self, since_mono: float, still_a: float) -> bool:
        """The current was heard after `since_mono`, and it was next to nothing."""
        if self._current is None or self._current[1] < since_mono:
            return False
        return self._current[0] / 1000 < still_a

    def all_in(self, mode: StageMode, since_mono: float) -> bool:
        """Since `since_mono` every living module took `mode`, and one reads it back."""
        seen = [m for m in self._modules.values() if m.mode_mono >= since_mono]
        return (
            any(m.mode is mode for m in seen)
            and all(m.mode is mode for m in seen)
            and all(
                max(m.obeyed_mono, m.mode_mono) >= since_mono
                for m in self._living(since_mono)
            )
        )

    def any_not_in(self, mode: StageMode, since_mono: float) -> bool:
        """Some module has reported another mode after `since_mono`."""
        return any(
            m.mode is not mode and m.mode_mono >= since_mono
            for m in self._modules.values()
        )

    def addresses(self) -> tuple[int, ...]:
        """Modules heard so far, by their own address."""
        return tuple(sorted(self._modules))

    def _living(self, now: float) -> list[Module]:
        return [
            m for m in self._modules.values() if now - m.heard_mono <= MODULE_LOST_S
        ]

    def _combine(self, now: float) -> None:
        if self._voltage is None or self._current is None:
            return
        if now - self._voltage[1] > PAIR_S:
            return
        living = [m for m in self._living(now) if m.status is not None]
        modes = {m.mode for m in living if m.mode is not None}
        if not modes:
            return  # without the modules' own mode the current has no sign
        direction = max(modes, key=lambda mode: mode is StageMode.DISCHARGE)
        faults = {name for m in living if m.status for name in m.status.faults}
        if len(modes) > 1 or len(living) < self.count:
            faults.add("StageFault")  # modules disagree, or one is silent
        on = any(m.status is not None and m.status.on for m in living)
        value = StageReading(
            voltage_v=self._voltage[0],
            current_a=wire.signed_current_a(self._current[0], direction),
            mode=direction if on else StageMode.OFF,
            on=on,
            derated=any(m.status is not None and m.status.derated for m in living),
            faults=frozenset(faults),
            temperature_c=self._temperature_c,
        )
        self._reading = Reading(value, min(self._voltage[1], self._current[1]))
