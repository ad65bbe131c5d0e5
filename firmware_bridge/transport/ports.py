"""Opens transports by address and shares them: one object per line, bus or connection.

Owns no I/O itself: it makes the objects, the bridge runs them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from firmware_bridge.api import CanBus, SerialPort
from firmware_bridge.transport.address import (
    CanAddress,
    ModbusRtuAddress,
    ModbusTcpAddress,
    SerialAddress,
    parse_address,
)
from firmware_bridge.transport.can_python import SlcanCan, UdpCan
from firmware_bridge.transport.can_socket import CanSocket
from firmware_bridge.transport.modbus import ModbusLink
from firmware_bridge.transport.serial import SerialLine
from firmware_bridge.units import BridgeError

Clock = Callable[[], float]


def open_can(at: str, clock: Clock = time.monotonic) -> CanBus:
    """The bus of a `can:` address. It moves frames while somebody awaits its `run`."""
    address = parse_address(at)
    if not isinstance(address, CanAddress):
        raise BridgeError(f"address {at!r}: this device needs a can: address")
    if address.kind == "socketcan":
        return CanSocket(address.channel, clock)
    if address.kind == "slcan":
        return SlcanCan(address, clock)
    return UdpCan(address.channel, clock)


class Ports:
    """All transports of a station. `running` lists what must be run, by name."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._buses: dict[str, CanBus] = {}
        self._links: dict[ModbusTcpAddress | ModbusRtuAddress, ModbusLink] = {}
        self._paths: set[str] = set()
        self.running: dict[str, Callable[[], Awaitable[None]]] = {}

    def serial(self, at: str) -> SerialPort:
        """A line of its own: two devices on one plain serial line are an error."""
        address = parse_address(at)
        if not isinstance(address, SerialAddress):
            raise BridgeError(f"address {at!r}: this device needs a serial: address")
        self._claim(address.path, at)
        port = SerialLine(address, self.clock)
        self.running[at] = port.run
        return port

    def can(self, at: str) -> CanBus:
        bus = self._buses.get(at)
        if bus is None:
            bus = self._buses[at] = open_can(at, self.clock)
            self.running[at] = bus.run
        return bus

    def modbus(self, at: str) -> ModbusLink:
        """Shared by all units of one connection or line, whose settings must agree."""
        address = parse_address(at)
        if not isinstance(address, ModbusTcpAddress | ModbusRtuAddress):
            raise BridgeError(f"address {at!r}: this device needs a modbus- address")
        link = self._links.get(address)
        if link is None:
            if isinstance(address, ModbusRtuAddress):
                self._claim(address.line.path, at)
            link = self._links[address] = ModbusLink(address)
            self.running[at] = link.run
        return link

    def _claim(self, path: str, at: str) -> None:
        if path in self._paths:
            raise BridgeError(f"address {at!r}: {path} is taken by another device")
        self._paths.add(path)
