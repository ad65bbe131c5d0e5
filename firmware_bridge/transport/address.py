"""Transport addresses: the `at` strings of the configuration, parsed and checked.

Pure text to values; opens nothing. Every error names the string and what is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from firmware_bridge.units import BridgeError

BITRATES = (10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000, 1_000_000)
_BAUD_MAX = 4_000_000


@dataclass(frozen=True, slots=True)
class SerialAddress:
    """A serial line, 8 data bits. `serial:/dev/ttyS1?baud=115200&parity=N&stop=1`."""

    path: str
    baud: int = 115_200
    parity: str = "N"
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class ModbusTcpAddress:
    """`modbus-tcp:host:port`, IPv6 hosts in square brackets."""

    host: str
    port: int = 502


@dataclass(frozen=True, slots=True)
class ModbusRtuAddress:
    """`modbus-rtu:/dev/ttyS2?baud=19200&parity=E`."""

    line: SerialAddress


@dataclass(frozen=True, slots=True)
class CanAddress:
    """`can:socketcan/can0`, `can:slcan/dev/ttyACM0?bitrate=125000`, `can:udp/GROUP`.

    A SocketCAN interface has the bit rate it was brought up with; `bitrate` is slcan's.
    """

    kind: str
    channel: str
    bitrate: int = 0
    baud: int = 115_200


Address = SerialAddress | ModbusTcpAddress | ModbusRtuAddress | CanAddress


def parse_address(at: str) -> Address:
    """Raises BridgeError with the string, the fault and an example."""
    scheme, _, rest = at.partition(":")
    target, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    address: Address
    if scheme == "serial":
        address = _serial(at, target, options)
    elif scheme == "modbus-tcp":
        address = _modbus_tcp(at, target)
    elif scheme == "modbus-rtu":
        address = ModbusRtuAddress(_serial(at, target, options, baud=9600))
    elif scheme == "can":
        address = _can(at, target, options)
    else:
        raise _wrong(at, "starts with serial:, modbus-tcp:, modbus-rtu: or can:")
    if options:
        raise _wrong(at, f"unknown option {', '.join(sorted(options))}")
    return address


def _serial(
    at: str, target: str, options: dict[str, str], baud: int = 115_200
) -> SerialAddress:
    if not target.startswith("/"):
        raise _wrong(at, "the device is an absolute path, e.g. /dev/ttyS1")
    parity = options.pop("parity", "N")
    if parity not in ("N", "E", "O"):
        raise _wrong(at, "parity is N, E or O")
    return SerialAddress(
        path=target,
        baud=_whole(at, options, "baud", baud, _BAUD_MAX),
        parity=parity,
        stop_bits=_whole(at, options, "stop", 1, 2),
    )


def _modbus_tcp(at: str, target: str) -> ModbusTcpAddress:
    host, colon, port = target.rpartition(":")
    if not colon or "]" in port:
        host, port = target, "502"
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise _wrong(at, f"port {port!r} is not 1..65535")
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise _wrong(at, "host is missing, e.g. modbus-tcp:192.168.1.20:502")
    return ModbusTcpAddress(host, int(port))


def _can(at: str, target: str, options: dict[str, str]) -> CanAddress:
    kind, slash, channel = target.partition("/")
    if kind not in ("socketcan", "slcan", "udp") or not slash or not channel:
        raise _wrong(at, "e.g. can:socketcan/can0 can:slcan/dev/ttyACM0?bitrate=125000")
    if kind != "slcan":
        return CanAddress(kind, channel)
    bitrate = _whole(at, options, "bitrate", 0, max(BITRATES))
    if bitrate not in BITRATES:
        raise _wrong(at, f"bitrate is one of {', '.join(map(str, BITRATES))}")
    baud = _whole(at, options, "baud", 115_200, _BAUD_MAX)
    return CanAddress(kind, "/" + channel.lstrip("/"), bitrate, baud)


def _whole(
    at: str, options: dict[str, str], key: str, default: int, highest: int
) -> int:
    text = options.pop(key, str(default))
    if not text.isascii() or not text.isdigit() or int(text[:12]) > highest:
        raise _wrong(at, f"{key} {text[:20]!r} is not a number up to {highest}")
    return int(text)


def _wrong(at: str, what: str) -> BridgeError:
    return BridgeError(f"address {at[:200]!r}: {what}")
