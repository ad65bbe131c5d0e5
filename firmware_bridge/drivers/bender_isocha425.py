"""Driver of the Bender isoCHA425HV on Modbus RTU: `api.InsulationMonitor`.

Owns the polling and the on/off register. While the monitor is off, or still measuring,
the resistance is None. Registers from a public driver, not verified on hardware.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from firmware_bridge.api import InsulationReading, Reading
from firmware_bridge.drivers.polling import poll_for_ever
from firmware_bridge.health import Stats
from firmware_bridge.transport.modbus import RegisterDevice
from firmware_bridge.wire import isocha as wire

POLL_S = 1.0
READ_GAP_S = 0.01
WRITE_GAP_S = 0.02


class BenderIsocha425:
    """`api.InsulationMonitor` on one unit of a Modbus link."""

    def __init__(
        self,
        link: RegisterDevice,
        unit: int,
        stats: Stats,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._unit = unit
        self._stats = stats
        self._poll_s = poll_s
        self._clock = clock
        self._sleep = sleep
        self._wanted = False
        self._written: bool | None = None  # None: unknown, write before reading
        self._changed = asyncio.Event()
        self._reading: Reading[InsulationReading] | None = None

    def enable(self, on: bool) -> None:
        """Switched by the next poll, which this wakes. Not a lease: a running monitor
        endangers nobody."""
        if on != self._wanted:
            self._wanted = on
            self._changed.set()

    def reading(self) -> Reading[InsulationReading] | None:
        return self._reading

    async def run(self) -> None:
        self._written = None  # the monitor may have been power-cycled
        await poll_for_ever(
            self.poll, self._poll_s, self._stats, self._clock, self._pause
        )

    async def poll(self) -> None:
        """Switch if asked, then read resistance and voltage."""
        self._changed.clear()
        wanted = self._wanted
        if self._written is not wanted:
            await self._link.write(self._unit, wire.DEVICE_ON, [int(wanted)])
            self._written = wanted
            await self._sleep(WRITE_GAP_S)
        asked = self._clock()
        resistance = await self._value(wire.RESISTANCE, wire.UNIT_OHM, "resistance")
        await self._sleep(READ_GAP_S)
        voltage = await self._value(wire.VOLTAGE, wire.UNIT_VOLT, "voltage")
        usable = wanted and not resistance.testing
        value = InsulationReading(
            resistance_ohm=wire.worst_resistance_ohm(resistance) if usable else None,
            voltage_v=(
                None if voltage.validity is wire.Validity.INVALID else voltage.value
            ),
            warning=resistance.alarm in (wire.Alarm.PREWARNING, wire.Alarm.WARNING),
            alarm=resistance.alarm == wire.Alarm.ALARM,
            device_fault=resistance.alarm == wire.Alarm.DEVICE_ERROR,
        )
        self._reading = Reading(value, asked)

    async def _value(self, address: int, unit: int, what: str) -> wire.Value:
        registers = await self._link.read_holding(
            self._unit, address, wire.VALUE_REGISTERS
        )
        return wire.decode_value(registers, unit, what)

    async def _pause(self, seconds: float) -> None:
        """Sleep, or wake early because `enable` changed its mind."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
