"""The station's hardware as one object: owns devices and transports, runs, fans out.

`apply` is synchronous: the first frame is on the wire when it returns. Every device and
transport runs under its own restart loop, so a dead meter never touches the pilot. When
cancelled, stages go off first and pilots are safe last. Knows no OCPP, vehicle or grid.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from firmware_bridge.api import (
    CanBus,
    Command,
    DeviceHealth,
    InsulationMonitor,
    Meter,
    MeterReading,
    Reading,
    SigningMeter,
    Telemetry,
    TokenReader,
)
from firmware_bridge.drivers import catalog
from firmware_bridge.drivers.catalog import DeviceSpec, StoppablePilot, StoppableStage
from firmware_bridge.health import Stats
from firmware_bridge.restart import keep_running
from firmware_bridge.transport.ports import Ports, open_can
from firmware_bridge.units import BridgeError

__all__ = ["StationBridge", "build_bridge", "open_can"]

MAX_LEASE_S = 2.0  # whatever a command says: the longest life of a setpoint
CONTACTOR_GRACE_S = 0.08  # leaving: between stage off and contactors open
DRAIN_S = 0.03  # leaving: for the last bytes to leave their buffers


class DevicesSpec(Protocol):
    """Devices by role, as in the configuration."""

    @property
    def pilot(self) -> DeviceSpec: ...
    @property
    def stage(self) -> DeviceSpec | None: ...
    @property
    def meter(self) -> DeviceSpec: ...
    @property
    def insulation(self) -> DeviceSpec | None: ...
    @property
    def chademo(self) -> DeviceSpec | None: ...
    @property
    def reader(self) -> DeviceSpec | None: ...


class EvseSpec(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def devices(self) -> DevicesSpec: ...


class Runs(Protocol):
    async def run(self) -> None: ...


@dataclass(slots=True)
class EvseDevices:
    """One EVSE's devices; `stats` in the order they were built."""

    pilot: StoppablePilot
    meter: Meter
    stage: StoppableStage | None = None
    insulation: InsulationMonitor | None = None
    vehicle_bus: CanBus | None = None
    reader: TokenReader | None = None
    stats: dict[str, Stats] = field(default_factory=dict)

    def running(self) -> list[tuple[Runs, Stats]]:
        found: list[tuple[Runs | None, str]] = [
            (self.pilot, "pilot"),
            (self.stage, "stage"),
            (self.meter, "meter"),
            (self.insulation, "insulation"),
            (self.reader, "reader"),
        ]
        return [(device, self.stats[role]) for device, role in found if device]


class StationBridge:
    """`api.Bridge`. Await `run` once; cancel it to leave safely."""

    def __init__(
        self,
        evses: dict[int, EvseDevices],
        transports: dict[str, Callable[[], Awaitable[None]]],
        site_meter: tuple[Meter, Stats] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._evses = evses
        self._site_meter = site_meter
        self._clock = clock
        self._leaving = False
        self._transports = [(run, Stats(name)) for name, run in transports.items()]

    def apply(self, evse_id: int, command: Command) -> None:
        """Fan out one EVSE's intent, stage first. Refused parts are counted and their
        devices' old leases run out. BridgeError: unknown EVSE, lease not a number."""
        evse = self._evse(evse_id)
        if math.isnan(command.valid_until_mono):
            raise BridgeError(f"evse {evse_id}: a lease that ends at NaN")
        if self._leaving:
            return
        until = min(command.valid_until_mono, self._clock() + MAX_LEASE_S)
        if evse.stage is not None:
            try:
                evse.stage.drive(command.stage, until)
            except BridgeError as error:
                evse.stats["stage"].failed(str(error))
        try:
            evse.pilot.drive(command.pins, until)
        except BridgeError as error:
            evse.stats["pilot"].failed(str(error))
        if evse.insulation is not None:
            evse.insulation.enable(command.insulation_on)
        if isinstance(evse.meter, SigningMeter):
            evse.meter.follow(command.session_id)

    def telemetry(self, evse_id: int) -> Telemetry:
        """What the EVSE's devices last said. BridgeError: unknown EVSE."""
        evse = self._evse(evse_id)
        now, meter = self._clock(), evse.meter
        return Telemetry(
            pilot=evse.pilot.reading(),
            stage=None if evse.stage is None else evse.stage.reading(),
            meter=meter.reading(),
            insulation=None if evse.insulation is None else evse.insulation.reading(),
            signed=meter.signed() if isinstance(meter, SigningMeter) else None,
            health=tuple(stats.health(now) for stats in evse.stats.values()),
        )

    def site_meter(self) -> Reading[MeterReading] | None:
        """The meter at the grid connection; None: none fitted, or never answered."""
        return None if self._site_meter is None else self._site_meter[0].reading()

    def health(self) -> tuple[DeviceHealth, ...]:
        """Counters of every device."""
        stats = [s for evse in self._evses.values() for s in evse.stats.values()]
        stats += [] if self._site_meter is None else [self._site_meter[1]]
        now = self._clock()
        return tuple(counters.health(now) for counters in stats)

    def line_restarts(self) -> dict[str, tuple[int, str]]:
        """Transports by address: how often each was reopened, and why last."""
        return {s.name: (s.restarts, s.last_error) for _, s in self._transports}

    def vehicle_bus(self, evse_id: int) -> CanBus | None:
        """The vehicle's CAN bus. The bridge runs it: nobody else awaits its `run`."""
        return self._evse(evse_id).vehicle_bus

    def reader(self, evse_id: int) -> TokenReader | None:
        """The EVSE's token reader. The bridge runs it: callers only subscribe."""
        return self._evse(evse_id).reader

    async def run(self) -> None:
        """Run all until cancelled; then stages off, pilots safe, lines closed."""
        self._leaving = False
        async with asyncio.TaskGroup() as lines:
            for run, stats in self._transports:
                lines.create_task(keep_running(run, stats, clock=self._clock))
            try:
                await asyncio.sleep(0)  # lines open first: no miss at the start
                async with asyncio.TaskGroup() as devices:
                    for device, stats in self._devices():
                        devices.create_task(
                            keep_running(device.run, stats, clock=self._clock)
                        )
            finally:
                await self._leave()

    def _devices(self) -> list[tuple[Runs, Stats]]:
        found = [pair for evse in self._evses.values() for pair in evse.running()]
        return found + ([] if self._site_meter is None else [self._site_meter])

    async def _leave(self) -> None:
        """The lines are still open: current to zero, then contactors, then nothing."""
        self._leaving = True
        for evse in self._evses.values():
            if evse.stage is not None:
                evse.stage.stop()
        await asyncio.sleep(CONTACTOR_GRACE_S)
        for evse in self._evses.values():
            evse.pilot.stop()
        await asyncio.sleep(DRAIN_S)

    def _evse(self, evse_id: int) -> EvseDevices:
        evse = self._evses.get(evse_id)
        if evse is None:
            raise BridgeError(f"no EVSE {evse_id}; known: {sorted(self._evses)}")
        return evse


def build_bridge(
    evses: Iterable[EvseSpec],
    site_meter: DeviceSpec | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> StationBridge:
    """The bridge for these device descriptions; opens nothing before `run`.

    BridgeError: unknown driver, address that cannot be, two devices on one line.
    """
    ports = Ports(clock)
    built = {evse.id: _build_evse(evse, ports) for evse in evses}
    site = None
    if site_meter is not None:
        stats = Stats("site.meter")
        site = catalog.make(catalog.METERS, site_meter, ports, stats), stats
    return StationBridge(built, ports.running, site, clock)


def _build_evse(spec: EvseSpec, ports: Ports) -> EvseDevices:
    devices = spec.devices
    stats = {
        role: Stats(f"evse{spec.id}.{role}")
        for role in ("pilot", "stage", "meter", "insulation", "reader")
        if getattr(devices, role) is not None
    }
    evse = EvseDevices(
        pilot=catalog.make(catalog.PILOTS, devices.pilot, ports, stats["pilot"]),
        meter=catalog.make(catalog.METERS, devices.meter, ports, stats["meter"]),
        stats=stats,
    )
    if devices.stage is not None:
        evse.stage = catalog.make(catalog.STAGES, devices.stage, ports, stats["stage"])
    if devices.insulation is not None:
        evse.insulation = catalog.make(
            catalog.INSULATION, devices.insulation, ports, stats["insulation"]
        )
    if devices.reader is not None:
        evse.reader = catalog.make(
            catalog.READERS, devices.reader, ports, stats["reader"]
        )
    if devices.chademo is not None:
        try:
            evse.vehicle_bus = ports.can(devices.chademo.at)
        except BridgeError as error:
            raise BridgeError(f"evse{spec.id}.chademo: {error}") from error
    return evse
