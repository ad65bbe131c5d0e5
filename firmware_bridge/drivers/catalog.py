"""The drivers by role and name: what `driver = "..."` in the configuration may say.

Owns the names; a new driver needs one factory and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from firmware_bridge.api import (
    InsulationMonitor,
    Meter,
    Pilot,
    PowerStage,
    TokenReader,
)
from firmware_bridge.drivers.ascii_reader import AsciiReader
from firmware_bridge.drivers.bender_isocha425 import POLL_S as ISOCHA_POLL_S
from firmware_bridge.drivers.bender_isocha425 import BenderIsocha425
from firmware_bridge.drivers.chargebyte import ChargebytePilot
from firmware_bridge.drivers.eastron_sdm630 import (
    RTU_POLL_S,
    TCP_POLL_S,
    EastronMeter,
)
from firmware_bridge.drivers.eastron_sdm630ev import SigningEastron
from firmware_bridge.drivers.infypower_beg import POLL_S as INFY_POLL_S
from firmware_bridge.drivers.infypower_beg import InfypowerBeg
from firmware_bridge.health import Stats
from firmware_bridge.transport.ports import Ports
from firmware_bridge.units import BridgeError
from firmware_bridge.wire import sdm630


class DeviceSpec(Protocol):
    """A device description, as in the configuration. `poll_s` None: driver's own."""

    @property
    def driver(self) -> str: ...
    @property
    def at(self) -> str: ...
    @property
    def unit(self) -> int: ...
    @property
    def poll_s(self) -> float | None: ...


class StoppablePilot(Pilot, Protocol):
    """A pilot that can send its safe frame now."""

    def stop(self) -> None: ...


class StoppableStage(PowerStage, Protocol):
    """A stage that can be switched off now."""

    def stop(self) -> None: ...


T = TypeVar("T")
Factory = Callable[[DeviceSpec, Ports, Stats], T]


def _chargebyte(spec: DeviceSpec, ports: Ports, stats: Stats) -> StoppablePilot:
    stats.stale_s = 0.5
    return ChargebytePilot(ports.serial(spec.at), stats, ports.clock)


def _infypower(*, islands: bool) -> Factory[StoppableStage]:
    def make(spec: DeviceSpec, ports: Ports, stats: Stats) -> StoppableStage:
        bus, poll_s = ports.can(spec.at), spec.poll_s or INFY_POLL_S
        return InfypowerBeg(bus, stats, ports.clock, poll_s, islands=islands)

    return make


def _eastron_poll_s(spec: DeviceSpec, stats: Stats) -> float:
    tcp = spec.at.startswith("modbus-tcp:")
    poll_s = spec.poll_s or (TCP_POLL_S if tcp else RTU_POLL_S)
    stats.stale_s = 3 * poll_s + 0.5
    return poll_s


def _eastron(blocks: tuple[sdm630.Block, ...]) -> Factory[Meter]:
    def make(spec: DeviceSpec, ports: Ports, stats: Stats) -> Meter:
        poll_s = _eastron_poll_s(spec, stats)
        link = ports.modbus(spec.at)
        return EastronMeter(link, spec.unit, stats, poll_s, blocks, ports.clock)

    return make


def _signing_eastron(spec: DeviceSpec, ports: Ports, stats: Stats) -> Meter:
    poll_s = _eastron_poll_s(spec, stats)
    link = ports.modbus(spec.at)
    return SigningEastron(link, spec.unit, stats, poll_s, ports.clock)


def _isocha(spec: DeviceSpec, ports: Ports, stats: Stats) -> InsulationMonitor:
    poll_s = spec.poll_s or ISOCHA_POLL_S
    stats.stale_s = 3 * poll_s + 0.5
    link = ports.modbus(spec.at)
    return BenderIsocha425(link, spec.unit, stats, poll_s, ports.clock)


def _ascii_reader(spec: DeviceSpec, ports: Ports, stats: Stats) -> TokenReader:
    stats.stale_s = float("inf")  # says nothing until a card is held to it
    return AsciiReader(ports.serial(spec.at), stats)


PILOTS: dict[str, Factory[StoppablePilot]] = {"chargebyte": _chargebyte}
STAGES: dict[str, Factory[StoppableStage]] = {
    "infypower_beg": _infypower(islands=False),
    "infypower_beg_island": _infypower(islands=True),
}
METERS: dict[str, Factory[Meter]] = {
    "eastron_sdm630": _eastron(sdm630.SDM630),
    "eastron_sdm630ev": _signing_eastron,
    "eastron_sdm72dm": _eastron(sdm630.SDM72),
}
INSULATION: dict[str, Factory[InsulationMonitor]] = {"bender_isocha425": _isocha}
READERS: dict[str, Factory[TokenReader]] = {"ascii_reader": _ascii_reader}

# Printable: role -> names. The vehicle's bus has no driver of its own.
DRIVERS: dict[str, tuple[str, ...]] = {
    "pilot": tuple(PILOTS),
    "stage": tuple(STAGES),
    "meter": tuple(METERS),
    "insulation": tuple(INSULATION),
    "reader": tuple(READERS),
}


def make(
    role: dict[str, Factory[T]], spec: DeviceSpec, ports: Ports, stats: Stats
) -> T:
    """The driver that `spec` names. BridgeError: unknown name, wrong address."""
    factory = role.get(spec.driver)
    if factory is None:
        raise BridgeError(
            f"{stats.name}: no driver {spec.driver!r}; known: {', '.join(role)}"
        )
    try:
        return factory(spec, ports, stats)
    except BridgeError as error:
        raise BridgeError(f"{stats.name}: {error}") from error
