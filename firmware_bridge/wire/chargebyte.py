"""Pilot UART of the chargebyte safety controller: framer and codec, sans-I/O.

Owns every bit of docs/protocol-mcu.md (chargebyte-docs, safety protocol; ra-utils
cb_protocol). The protocol has a CRC but neither sequence number nor stamp: a replayed
frame cannot be told from a fresh one, so age is the only guard (the driver's work).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from firmware_bridge.api import PilotOutputs, PilotState
from firmware_bridge.units import BridgeError, finite

START = 0xA5
END = 0x03
FRAME_BYTES = 12
TEMPERATURE_UNUSED = 0x1FFF  # of the 14-bit value

_STATES = {
    1: PilotState.A,
    2: PilotState.B,
    3: PilotState.C,
    4: PilotState.D,
    5: PilotState.E,
    6: PilotState.F,
}
_CABLE_LIMITS_A = {1: 13.0, 2: 20.0, 3: 32.0, 4: 63.0}
_REASONS = {
    0x0: "",
    0x1: "internal",
    0x2: "communication timeout",
    0xB: "proximity pilot",
    0xC: "control pilot",
    0xD: "control pilot short",
    0xE: "control pilot diode",
    0xF: "high-voltage switch",
    0x14: "residual current",
    0x15: "residual current self-test",
}
_REASONS |= {code: f"temperature sensor {code - 2}" for code in range(0x3, 0x7)}
_REASONS |= {code: f"over-temperature {code - 6}" for code in range(0x7, 0xB)}
_REASONS |= {code: f"emergency stop {code - 0xF}" for code in range(0x10, 0x13)}


class Com(IntEnum):
    """Frame types; those of CHAdeMO and the grid are this project's extension."""

    CHARGE_CONTROL = 0x06
    CHARGE_STATE = 0x07
    TEMPERATURES = 0x08
    FIRMWARE = 0x0A
    GIT_HASH = 0x0B
    CHADEMO_CONTROL = 0x20
    CHADEMO_STATE = 0x21
    GRID_CONTROL = 0x22
    GRID_STATE = 0x23
    INQUIRY = 0xFF


@dataclass(frozen=True, slots=True)
class Frame:
    """One valid frame: CRC and end mark were right, the type may be unknown."""

    com: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ChargeState:
    """COM 07. `contactors` by number: True closed, None undefined or not fitted."""

    duty: float  # 1.0 = steady +12 V, 0.0 = state F
    pilot_state: PilotState
    pilot_invalid: bool
    cp_short: bool
    diode_fault: bool
    cable_limit_a: float | None
    proximity_invalid: bool
    hv_ready: bool
    contactors: tuple[bool | None, bool | None, bool | None]
    rcm_tripped: bool
    emergency_stop: bool
    safe_state: bool
    safe_state_reason: str


@dataclass(frozen=True, slots=True)
class Temperatures:
    """COM 08: the channels fitted and healthy, degrees Celsius."""

    values_c: tuple[float, ...]
    self_test_failed: bool
    charging_stopped: bool

    @property
    def hottest_c(self) -> float | None:
        return max(self.values_c, default=None)


@dataclass(frozen=True, slots=True)
class ChademoState:
    """COM 21: pins as the board sees them."""

    d1: bool
    d2: bool
    lock_commanded: bool
    locked: bool
    lock_fault: bool
    proximity: bool
    permission: bool


@dataclass(frozen=True, slots=True)
class GridState:
    """COM 23: the disconnecting relay, and the island behind it."""

    relay_open: bool  # its mirror contact
    line_alive: bool  # before the relay: the grid
    house_alive: bool  # behind it
    island: bool  # the stage is let make the house's voltage


@dataclass(frozen=True, slots=True)
class Firmware:
    """COM 0A: answer to an inquiry. `platform` 0x81 is the Charge SOM."""

    version: str
    platform: int
    kind: int


def crc8_j1850(data: bytes) -> int:
    """CRC8 SAE J1850: polynomial 1D, init FF, final xor FF."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def encode_frame(com: int, data: bytes) -> bytes:
    """Twelve bytes for the wire. `data` must be 8 bytes."""
    if len(data) != 8:
        raise BridgeError(f"pilot frame {com:02X}: {len(data)} data bytes, need 8")
    body = bytes((com,)) + data
    return bytes((START,)) + body + bytes((crc8_j1850(body), END))


class Framer:
    """Incremental: the same bytes in any split give the same frames.

    After a bad frame one byte is dropped and the search for A5 goes on, so a frame
    behind garbage is never lost with it. `bad` counts frames and bytes refused.
    """

    def __init__(self) -> None:
        self.bad = 0
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[Frame]:
        self._buffer += data
        frames: list[Frame] = []
        while True:
            start = self._buffer.find(START)
            if start < 0:
                self._buffer.clear()
                return frames
            del self._buffer[:start]
            if len(self._buffer) < FRAME_BYTES:
                return frames
            raw = bytes(self._buffer[:FRAME_BYTES])
            if raw[11] == END and crc8_j1850(raw[1:10]) == raw[10]:
                frames.append(Frame(raw[1], raw[2:10]))
                del self._buffer[:FRAME_BYTES]
            else:
                self.bad += 1
                del self._buffer[:1]


def encode_charge_control(pins: PilotOutputs) -> bytes:
    """COM 06. Duty 1.0 = PWM off (+12 V steady); 0.0 = PWM on at 0 (state F)."""
    duty = finite(pins.duty, "pilot duty")
    if not 0.0 <= duty <= 1.0:
        raise BridgeError(f"pilot duty {duty}: must be 0..1")
    word = round(duty * 1000) << 48
    if duty < 1.0:
        word |= 1 << 63
    if pins.close_dc:
        word |= 1 << 40
    if pins.close_ac:
        word |= 1 << 41
    return encode_frame(Com.CHARGE_CONTROL, word.to_bytes(8, "big"))


def encode_chademo_control(pins: PilotOutputs) -> bytes:
    """COM 20: d1 = 12 V on pin 2, d2 = pin 10 low, lock."""
    word = pins.chademo_d1 << 63 | pins.chademo_d2 << 62 | pins.lock << 61
    return encode_frame(Com.CHADEMO_CONTROL, word.to_bytes(8, "big"))


def encode_grid_control(pins: PilotOutputs) -> bytes:
    """COM 22: asks for the relay to open, and for an island behind it."""
    word = pins.open_grid << 63 | pins.form_grid << 62
    return encode_frame(Com.GRID_CONTROL, word.to_bytes(8, "big"))


def encode_inquiry(com: Com) -> bytes:
    """COM FF: asks for firmware version or git hash."""
    return encode_frame(Com.INQUIRY, bytes((com, 0, 0, 0, 0, 0, 0, 0)))


def decode_charge_state(data: bytes) -> ChargeState:
    """COM 07. Unknown codes become the safer reading, never an error."""
    word = _word(data)
    active = bool(_bits(word, 63, 1))
    pilot = _bits(word, 40, 3)
    proximity = _bits(word, 32, 3)
    reason = _bits(word, 8, 8)
    return ChargeState(
        duty=min(1.0, _bits(word, 48, 10) / 1000) if active else 1.0,
        pilot_state=_STATES.get(pilot, PilotState.UNKNOWN),
        pilot_invalid=pilot == 7,
        cp_short=bool(_bits(word, 43, 1)),
        diode_fault=bool(_bits(word, 44, 1)),
        cable_limit_a=_CABLE_LIMITS_A.get(proximity),
        proximity_invalid=proximity == 7,
        hv_ready=bool(_bits(word, 30, 1)),
        contactors=(_contactor(word, 0), _contactor(word, 1), _contactor(word, 2)),
        rcm_tripped=_bits(word, 22, 2) == 1,
        emergency_stop=any(_bits(word, 16 + 2 * n, 2) == 1 for n in range(3)),
        safe_state=_bits(word, 58, 2) in (1, 2),
        safe_state_reason=_REASONS.get(reason, f"code {reason:02X}"),
    )


def decode_temperatures(data: bytes) -> Temperatures:
    """COM 08: 14-bit signed tenths of a degree; unused channels are left out."""
    _word(data)
    values = []
    failed = stopped = False
    for index in range(0, 8, 2):
        raw = int.from_bytes(data[index : index + 2], "big")
        tenths = raw >> 2
        if tenths == TEMPERATURE_UNUSED:
            continue
        stopped |= bool(raw & 1)
        if raw & 2:
            failed = True
            continue
        values.append((tenths - 0x4000 if tenths & 0x2000 else tenths) / 10)
    return Temperatures(tuple(values), failed, stopped)


def decode_chademo_state(data: bytes) -> ChademoState:
    """COM 21."""
    word = _word(data)
    return ChademoState(*(bool(_bits(word, bit, 1)) for bit in range(63, 56, -1)))


def decode_grid_state(data: bytes) -> GridState:
    """COM 23."""
    word = _word(data)
    return GridState(*(bool(_bits(word, bit, 1)) for bit in range(63, 59, -1)))


def decode_firmware(data: bytes) -> Firmware:
    """COM 0A."""
    _word(data)
    return Firmware(f"{data[0]}.{data[1]}.{data[2]}", data[3], data[4])


def _word(data: bytes) -> int:
    if len(data) != 8:
        raise BridgeError(f"pilot frame: {len(data)} data bytes, need 8")
    return int.from_bytes(data, "big")


def _bits(word: int, low: int, count: int) -> int:
    return word >> low & (1 << count) - 1


def _contactor(word: int, number: int) -> bool | None:
    return {1: False, 2: True}.get(_bits(word, 24 + 2 * number, 2))
