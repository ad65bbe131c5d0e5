"""Driver of Eastron SDM630-V2, SDM72D-V2 and SDM72DM meters on Modbus: `api.Meter`.

Owns the polling; a reading is replaced only by a whole, plausible one. Register map
from public drivers, not verified on hardware.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from firmware_bridge.api import MeterReading, Reading
from firmware_bridge.drivers.polling import poll_for_ever
from firmware_bridge.health import Stats
from firmware_bridge.transport.modbus import RegisterDevice
from firmware_bridge.wire import sdm630 as wire

TCP_POLL_S = 0.2
RTU_POLL_S = 0.5  # four questions take about 0.2 s at 9600 baud


class EastronMeter:
    """`api.Meter` on one unit of a Modbus link. `blocks` is the model's map."""

    def __init__(
        self,
        link: RegisterDevice,
        unit: int,
        stats: Stats,
        poll_s: float = TCP_POLL_S,
        blocks: Sequence[wire.Block] = wire.SDM630,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._unit = unit
        self._stats = stats
        self._poll_s = poll_s
        self._blocks = blocks
        self._clock = clock
        self._reading: Reading[MeterReading] | None = None

    def reading(self) -> Reading[MeterReading] | None:
        return self._reading

    async def run(self) -> None:
        await poll_for_ever(self.poll, self._poll_s, self._stats, self._clock)

    async def poll(self) -> None:
        """Ask once. The stamp is the time of the first question, never too young."""
        asked = self._clock()
        answers = [
            (block, await self._link.read_input(self._unit, block.address, block.count))
            for block in self._blocks
        ]
        self._reading = Reading(wire.decode(answers), asked)
