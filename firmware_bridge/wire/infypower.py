"""InfyPower BEC/BEG CAN protocol V1.04: identifiers, codes, status word, sans-I/O.

Source: the public EVerest and chargebyte drivers, not verified on hardware. The wire
carries magnitudes: `signed_current_a` is where discharge becomes negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from firmware_bridge.api import StageMode
from firmware_bridge.units import BridgeError, finite

READ = 0x23
WRITE = 0x24
BROADCAST = 0x3F
CONTROLLER = 0xF0
SINGLE = 0x0A  # device number: one module, or all of them by broadcast
GROUP = 0x0B

OK = 0
ERROR_BUSY = 7  # "in start processing": ask again later
ERROR_TEXTS = {2: "command invalid", 3: "data invalid", ERROR_BUSY: "starting"}

ON = 0xA0
OFF = 0xA1
RECTIFIER = 0xA0
INVERTER = 0xA1


class Code(IntEnum):
    """Payload bytes 0 and 1. Some codes mean one thing read and another written."""

    VOLTAGE = 0x1001  # mV, actual / setpoint
    CURRENT = 0x1002  # mA magnitude, actual / limit
    MODULES = 0x1010
    AMBIENT = 0x1106  # 0.001 degC
    STATUS = 0x1110  # read: status word; written: on/off
    INVERTING = 0x1111  # bit 0: discharge mode
    POWER_FACTOR = 0x2105  # written: cos phi x 1000, signed; which sign leads is [K]
    CUTOFF = 0x1132  # written: stop the discharge below, mV
    WORKING_MODE = 0x2110  # written: rectifier or inverter


@dataclass(frozen=True, slots=True)
class Reply:
    """A module's answer. `value` is unsigned, as on the wire."""

    module: int
    command: int  # READ or WRITE
    code: int
    error: int
    value: int


@dataclass(frozen=True, slots=True)
class Status:
    """The status word (1110 read) in the house's terms."""

    on: bool
    derated: bool
    faults: frozenset[str]


# (bit of the 32-bit word, fault). Byte 7 is the low byte. "Communication interrupted"
# (bit 15) is no fault: the module is off by itself and `on` says so.
_FAULT_BITS = (
    (0, "OverCurrentFailure"),  # output short
    (5, "StageFault"),  # discharge abnormal
    (9, "StageFault"),  # fault
    (10, "StageFault"),  # protection
    (11, "StageFault"),  # fan
    (12, "HighTemperature"),
    (13, "OverVoltage"),
    (17, "StageFault"),  # module id twice on the bus
    (19, "PowerLoss"),  # input phase lost
    (20, "PowerLoss"),  # input unbalanced
    (21, "PowerLoss"),  # input under-voltage
    (22, "StageFault"),  # input over-voltage
)
_DC_OFF_BIT = 8
_POWER_LIMITED_BIT = 16


def frame_id(
    command: int,
    destination: int = BROADCAST,
    source: int = CONTROLLER,
    device: int = SINGLE,
    error: int = OK,
) -> int:
    """29 bits: error 28..26, device 25..22, command 21..16, destination, source."""
    return error << 26 | device << 22 | command << 16 | destination << 8 | source


def encode_read(code: int) -> bytes:
    return code.to_bytes(2, "big") + bytes(6)


def encode_write(code: int, value: int) -> bytes:
    """`value` in the code's own unit, 0..2^32-1."""
    if not 0 <= value <= 0xFFFF_FFFF:
        raise BridgeError(f"Infy {code:04X}: value {value} does not fit 32 bits")
    return code.to_bytes(2, "big") + bytes(2) + value.to_bytes(4, "big")


def per_mille(value: float, what: str) -> int:
    """A signed share of one as the wire's 32-bit number of thousandths."""
    value = finite(value, what)
    if not -1.0 <= value <= 1.0:
        raise BridgeError(f"{what}: {value} is not in -1..1")
    return round(value * 1000) & 0xFFFF_FFFF


def milli(value: float, what: str) -> int:
    """V or A to the wire's mV or mA: finite and never negative."""
    value = finite(value, what)
    if value < 0:
        raise BridgeError(f"{what}: {value} is negative; the wire carries magnitudes")
    return round(value * 1000)


def decode_reply(identifier: int, data: bytes) -> Reply | None:
    """None for every frame that is not an answer to this controller."""
    device = identifier >> 22 & 0xF
    command = identifier >> 16 & 0x3F
    if identifier >> 8 & 0xFF != CONTROLLER or identifier & 0xFF > BROADCAST:
        return None
    if device not in (SINGLE, GROUP) or command not in (READ, WRITE) or len(data) != 8:
        return None
    return Reply(
        module=identifier & 0xFF,
        command=command,
        code=int.from_bytes(data[:2], "big"),
        error=identifier >> 26 & 0x7,
        value=int.from_bytes(data[4:], "big"),
    )


def decode_status(word: int) -> Status:
    return Status(
        on=not word >> _DC_OFF_BIT & 1,
        derated=bool(word >> _POWER_LIMITED_BIT & 1),
        faults=frozenset(name for bit, name in _FAULT_BITS if word >> bit & 1),
    )


def signed_current_a(value_ma: int, mode: StageMode) -> float:
    """The module reads back a magnitude; out of the vehicle is negative."""
    sign = -1 if mode is StageMode.DISCHARGE else 1
    return sign * value_ma / 1000


def temperature_c(value: int) -> float:
    """0.001 degC as a signed 32-bit number."""
    return (value - 0x1_0000_0000 if value & 0x8000_0000 else value) / 1000
