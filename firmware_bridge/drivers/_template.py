"""Blueprint of a driver: copy it, rename it, enter it in `catalog.py`.

This one is a meter that answers its power in watts in input registers 0 and 1, as
signed 32 bits, high word first, import positive. Say here which device, which document
the map is from, and whether it was verified on hardware.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from firmware_bridge.api import MeterReading, Reading
from firmware_bridge.drivers.polling import poll_for_ever
from firmware_bridge.health import Stats
from firmware_bridge.transport.modbus import RegisterDevice
from firmware_bridge.units import BridgeError, Range

POLL_S = 0.2
POWER_W = Range(-2e6, 2e6)


def decode(registers: list[int]) -> MeterReading:
    """Registers to a reading: in a real driver this is `wire/<device>.py`, with tables
    and a sign test. Raises BridgeError for what the device cannot have measured."""
    raw = registers[0] << 16 | registers[1]
    power_w = float(raw - (1 << 32) if raw & 1 << 31 else raw)
    if power_w not in POWER_W:
        raise BridgeError(f"template meter: {power_w} W is out of range")
    return MeterReading(power_w=power_w, import_wh=0.0, export_wh=0.0)


class TemplateMeter:
    """`api.Meter`. The device keeps no state that we would have to restore."""

    def __init__(
        self,
        link: RegisterDevice,
        unit: int,
        stats: Stats,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._unit = unit
        self._stats = stats
        self._poll_s = poll_s
        self._clock = clock
        self._reading: Reading[MeterReading] | None = None

    def reading(self) -> Reading[MeterReading] | None:
        """The last whole answer; its age is the caller's business."""
        return self._reading

    async def run(self) -> None:
        """Poll until three misses in a row: the bridge then starts this again."""
        await poll_for_ever(self.poll, self._poll_s, self._stats, self._clock)

    async def poll(self) -> None:
        """One question, one stamp. Public, so that tests need no running loop."""
        asked = self._clock()
        registers = await self._link.read_input(self._unit, 0, 2)
        self._reading = Reading(decode(registers), asked)
