"""Device descriptions with the attributes that chargerd.config's have."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Device:
    driver: str
    at: str
    unit: int = 1
    poll_s: float | None = None


@dataclass(frozen=True)
class Devices:
    pilot: Device = field(
        default_factory=lambda: Device("chargebyte", "serial:/dev/none-mcu")
    )
    meter: Device = field(
        default_factory=lambda: Device("eastron_sdm630", "modbus-tcp:127.0.0.1:1")
    )
    stage: Device | None = None
    insulation: Device | None = None
    chademo: Device | None = None
    reader: Device | None = None


@dataclass(frozen=True)
class Evse:
    id: int
    devices: Devices = field(default_factory=Devices)
