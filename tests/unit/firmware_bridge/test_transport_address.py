"""Address strings of the configuration."""

from __future__ import annotations

import pytest

from firmware_bridge.drivers import catalog
from firmware_bridge.health import Stats
from firmware_bridge.transport.address import (
    Address,
    CanAddress,
    ModbusRtuAddress,
    ModbusTcpAddress,
    SerialAddress,
    parse_address,
)
from firmware_bridge.transport.ports import Ports, open_can
from firmware_bridge.units import BridgeError
from tests.unit.firmware_bridge.specs import Device


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("serial:/dev/ttyS1", SerialAddress("/dev/ttyS1")),
        ("serial:/dev/ttyS1?baud=9600", SerialAddress("/dev/ttyS1", 9600)),
        (
            "serial:/dev/ttyS1?baud=9600&parity=O&stop=2",
            SerialAddress("/dev/ttyS1", 9600, "O", 2),
        ),
        ("modbus-tcp:10.0.0.5:1502", ModbusTcpAddress("10.0.0.5", 1502)),
        ("modbus-tcp:meter.local", ModbusTcpAddress("meter.local", 502)),
        ("modbus-tcp:[fe80::1]:502", ModbusTcpAddress("fe80::1", 502)),
        ("modbus-tcp:[::1]", ModbusTcpAddress("::1", 502)),
        (
            "modbus-rtu:/dev/ttyS2?baud=19200&parity=E",
            ModbusRtuAddress(SerialAddress("/dev/ttyS2", 19200, "E")),
        ),
        ("modbus-rtu:/dev/ttyS2", ModbusRtuAddress(SerialAddress("/dev/ttyS2", 9600))),
        ("can:socketcan/can0", CanAddress("socketcan", "can0")),
        (
            "can:slcan/dev/ttyACM0?bitrate=125000",
            CanAddress("slcan", "/dev/ttyACM0", 125_000),
        ),
        (
            "can:slcan//tmp/x/stage?bitrate=500000&baud=921600",
            CanAddress("slcan", "/tmp/x/stage", 500_000, 921_600),
        ),
        ("can:udp/239.74.163.2", CanAddress("udp", "239.74.163.2")),
    ],
)
def test_good_addresses(at: str, expected: Address) -> None:
    assert parse_address(at) == expected


@pytest.mark.parametrize(
    ("at", "hint"),
    [
        ("", "starts with"),
        ("/dev/ttyS1", "starts with"),
        ("usb:1", "starts with"),
        ("serial:ttyS1", "absolute path"),
        ("serial:/dev/ttyS1?baud=fast", "baud"),
        ("serial:/dev/ttyS1?baud=99999999999999999999", "baud"),
        ("serial:/dev/ttyS1?parity=X", "parity"),
        ("serial:/dev/ttyS1?speed=9600", "unknown option speed"),
        ("modbus-tcp::502", "host"),
        ("modbus-tcp:host:0", "port"),
        ("modbus-tcp:host:70000", "port"),
        ("modbus-tcp:host:port", "port"),
        ("can:can0", "e.g."),
        ("can:pcan/usb", "e.g."),
        ("can:slcan/dev/ttyACM0", "bitrate"),
        ("can:slcan/dev/ttyACM0?bitrate=123", "bitrate"),
        ("can:socketcan/", "e.g."),
    ],
)
def test_bad_addresses_say_what_is_wrong(at: str, hint: str) -> None:
    with pytest.raises(BridgeError, match=hint) as caught:
        parse_address(at)
    assert repr(at[:200]) in str(caught.value)


def test_units_of_one_connection_share_one_link() -> None:
    ports = Ports()
    first = ports.modbus("modbus-tcp:127.0.0.1:502")
    assert ports.modbus("modbus-tcp:127.0.0.1:502") is first
    assert ports.modbus("modbus-tcp:127.0.0.1:503") is not first
    assert len(ports.running) == 2


def test_one_line_cannot_serve_two_kinds_of_device() -> None:
    ports = Ports()
    ports.serial("serial:/dev/ttyS1?baud=115200")
    with pytest.raises(BridgeError, match="taken"):
        ports.serial("serial:/dev/ttyS1?baud=9600")
    with pytest.raises(BridgeError, match="taken"):
        ports.modbus("modbus-rtu:/dev/ttyS1")


@pytest.mark.parametrize("at", ["serial:/dev/ttyS1", "modbus-tcp:h:1"])
def test_can_needs_a_can_address(at: str) -> None:
    with pytest.raises(BridgeError, match="can:"):
        open_can(at)


def test_unknown_driver_names_the_known_ones() -> None:
    with pytest.raises(BridgeError, match="eastron_sdm630") as caught:
        catalog.make(
            catalog.METERS, Device("sdm", "modbus-tcp:h:1"), Ports(), Stats("evse1.m")
        )
    assert "evse1.m" in str(caught.value)


def test_every_driver_refuses_an_address_of_the_wrong_kind() -> None:
    wrong = {
        "pilot": (catalog.PILOTS, "can:socketcan/can0"),
        "stage": (catalog.STAGES, "serial:/dev/ttyS1"),
        "meter": (catalog.METERS, "serial:/dev/ttyS1"),
        "insulation": (catalog.INSULATION, "serial:/dev/ttyS1"),
        "reader": (catalog.READERS, "modbus-tcp:h:1"),
    }
    for role, names in catalog.DRIVERS.items():
        known, at = wrong[role]
        for name in names:
            with pytest.raises(BridgeError, match="address"):
                catalog.make(known, Device(name, at), Ports(), Stats(role))
