"""A control-pilot safety controller on its UART (docs/protocol-mcu.md). Pure.

Bytes and `now` in, bytes and pins out. Falls to its safe state by itself when the host
goes quiet or an input trips, and must never close a contactor while in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hil.rig.bench import McuBench

START, END, FRAME_BYTES = 0xA5, 0x03, 12
CONTROL, STATE, TEMPERATURES = 0x06, 0x07, 0x08
FIRMWARE, GIT_HASH, INQUIRY = 0x0A, 0x0B, 0xFF
CHADEMO_CONTROL, CHADEMO_STATE = 0x20, 0x21
GRID_CONTROL, GRID_STATE = 0x22, 0x23
PERIOD_S = 0.1
CP_CODE = {"?": 0, "A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 6}
REASONS = {
    0x00: "none", 0x02: "communication timeout", 0x07: "over-temperature",
    0x0C: "CP", 0x0D: "CP short", 0x0E: "diode", 0x10: "emergency stop 1",
    0x14: "RCM error",
}  # fmt: skip
UNUSED_TEMPERATURE = 0x1FFF
OVER_TEMPERATURE_C = 100.0
FIRMWARE_VERSION = bytes((0, 9, 1, 0x81, 0x04, 0, 0, 0))
GIT = bytes.fromhex("5a1d0b39c4e27f60")


def crc8(data: bytes) -> int:
    """CRC8 SAE J1850: polynomial 1D, init FF, final xor FF."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def frame(com: int, content: bytes) -> bytes:
    """One 12-byte frame."""
    body = bytes((com,)) + content
    return bytes((START,)) + body + bytes((crc8(body), END))


@dataclass(slots=True)
class Inputs:
    """What the board senses. `pilot` is the state the vehicle shows, A without one."""

    pilot: str = "A"
    pp: int = 0
    proximity: bool = False
    permission: bool = False
    dc_closed: bool = False
    ac_closed: bool = False
    emergency_stop: bool = False
    rcm_tripped: bool = False
    diode_fault: bool = False
    cp_short: bool = False
    pilot_invalid: bool = False
    lock_jammed: bool = False
    temperature_c: float = 25.0
    grid_open: bool | None = None  # mirror of the grid relay; None: none fitted
    line_alive: bool = True  # before it
    house_alive: bool = True  # behind it


class Mcu:
    """One board. Read `duty`, `close_dc`, `close_ac`, `d1`, `d2`, `locked`, `open_grid`
    and `island` from it."""

    def __init__(self, bench: McuBench, now: float) -> None:
        self.bench = bench
        self.inputs = Inputs()
        self.good_frames = 0
        self.bad_frames = 0
        self.safe_entries = 0
        self.boots = 0
        self.reason = 0x02
        self.locked = False  # feedback
        self.lock_command = False
        self.open_grid = False  # outlives a reset: the relay is bistable
        self._open_asked = False
        self._lock_due = now
        self._buffer = b""
        self._diode_seen = False
        self.power_up(now)

    def power_up(self, now: float) -> None:
        """Reset: outputs off, silent for a moment, safe until the host speaks."""
        self.reason = 0x02
        self._alive_at = now + self.bench.boot_s
        self._next_send = self._alive_at
        self._last_control = now
        self.boots += 1
        self._off()

    def _off(self) -> None:
        self.pwm, self.duty_permille = False, 1000
        self.close_dc = self.close_ac = False
        self.d1 = self.d2 = False
        self.island = self._island_asked = False

    @property
    def safe(self) -> bool:
        return self.reason != 0

    @property
    def duty(self) -> float:
        """What the pilot wire carries: 1.0 steady +12 V, 0.0 steady -12 V."""
        return self.duty_permille / 1000.0 if self.pwm else 1.0

    @property
    def pilot_state(self) -> str:
        """The pilot as measured: E on a short, F while we drive -12 V."""
        if self.inputs.cp_short:
            return "E"
        return "F" if self.pwm and self.duty_permille == 0 else self.inputs.pilot

    def receive(self, data: bytes, now: float) -> bytes:
        """Bytes from the host; returns answers to inquiries."""
        if now < self._alive_at:
            self._buffer = b""
            return b""
        self._buffer = (self._buffer + data)[-1024:]
        out = b""
        while True:
            start = self._buffer.find(START)
            self._buffer = self._buffer[start:] if start >= 0 else b""
            if len(self._buffer) < FRAME_BYTES:
                return out
            raw = self._buffer[:FRAME_BYTES]
            if raw[11] != END or crc8(raw[1:10]) != raw[10]:
                self.bad_frames += 1
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[FRAME_BYTES:]
            self.good_frames += 1
            out += self._handle(raw[1], raw[2:10], now)

    def _handle(self, com: int, content: bytes, now: float) -> bytes:
        word = int.from_bytes(content, "big")
        if com == CONTROL:
            self._control(word, now)
        elif com == CHADEMO_CONTROL and self.bench.chademo_pins:
            self._chademo(word, now)
        elif com == GRID_CONTROL and self.inputs.grid_open is not None:
            self._open_asked = bool(word >> 63)
            self._island_asked = bool(word >> 62 & 1)
        elif com == INQUIRY and content[0] == FIRMWARE:
            return frame(FIRMWARE, FIRMWARE_VERSION)
        elif com == INQUIRY and content[0] == GIT_HASH:
            return frame(GIT_HASH, GIT)
        return b""

    def _control(self, word: int, now: float) -> None:
        self._last_control = now
        want_dc, want_ac = bool(word >> 40 & 1), bool(word >> 41 & 1)
        if self.safe and not (want_dc or want_ac) and not self._cause():
            self.reason = 0
        if self.safe:
            return
        self.pwm = bool(word >> 63)
        self.duty_permille = min(1000, word >> 48 & 0x3FF)
        self.close_dc, self.close_ac = want_dc, want_ac

    def _chademo(self, word: int, now: float) -> None:
        lock = bool(word >> 61 & 1)
        if lock != self.lock_command:
            self.lock_command = lock
            self._lock_due = now + self.bench.lock_s
        self.d1 = bool(word >> 63) and not self.safe
        self.d2 = bool(word >> 62 & 1) and not self.safe

    def _cause(self) -> int:
        """The reason that holds the board in its safe state now, 0 = none."""
        seen = self.inputs
        for tripped, reason in (
            (seen.emergency_stop, 0x10),
            (seen.rcm_tripped, 0x14),
            (seen.cp_short, 0x0D),
            (self._diode_seen, 0x0E),
            (seen.pilot_invalid, 0x0C),
            (seen.temperature_c >= OVER_TEMPERATURE_C, 0x07),
        ):
            if tripped:
                return reason
        return 0

    def step(self, now: float) -> bytes:
        """Watch the inputs and the clock; returns the frames that are due."""
        if now < self._alive_at:
            return b""
        self._watch_diode()
        cause = self._cause()
        if not cause and now - self._last_control > self.bench.comm_timeout_s:
            cause = 0x02
        if cause and not self.safe:
            self.safe_entries += 1
            self._off()
        if cause:
            self.reason = cause
        self._watch_grid()
        if not self.inputs.lock_jammed and now >= self._lock_due:
            self.locked = self.lock_command
        if now < self._next_send:
            return b""
        self._next_send = max(self._next_send + PERIOD_S, now)
        out = frame(STATE, self._state()) + frame(TEMPERATURES, self._temperatures())
        if self.bench.chademo_pins:
            out += frame(CHADEMO_STATE, self._chademo_state())
        if self.inputs.grid_open is not None:
            out += frame(GRID_STATE, self._grid_state())
        return out

    def _watch_grid(self) -> None:
        """The interlock: an island begins behind an open relay on a dead house alone,
        and ends when the mirror does. The relay closes onto a living line only, and
        never onto an island."""
        seen = self.inputs
        behind = seen.grid_open is True and self._island_asked and not self.safe
        self.island = behind and (self.island or not seen.house_alive)
        may_close = seen.line_alive and not self.island and not self.safe
        if self._open_asked and not self.safe:
            self.open_grid = True
        elif may_close and not self._open_asked:
            self.open_grid = False

    def _grid_state(self) -> bytes:
        seen = self.inputs
        bits = seen.grid_open, seen.line_alive, seen.house_alive, self.island
        word = sum(int(bool(bit)) << (63 - i) for i, bit in enumerate(bits))
        return word.to_bytes(8, "big")

    def _watch_diode(self) -> None:
        """A missing diode shows only while a square wave meets a vehicle; it latches
        until the vehicle is gone or the diode is back."""
        if not self.inputs.diode_fault or self.inputs.pilot == "A":
            self._diode_seen = False
        elif 0.0 < self.duty < 1.0 and self.inputs.pilot in "BCD":
            self._diode_seen = True

    def _state(self) -> bytes:
        seen = self.inputs
        cp = 7 if seen.pilot_invalid else CP_CODE[self.pilot_state]
        word = int(self.pwm) << 63 | int(self.safe) << 58
        word |= (self.duty_permille if self.pwm else 1000) << 48
        word |= int(seen.cp_short) << 43 | int(self._diode_seen) << 44 | cp << 40
        word |= seen.pp << 32 | int(not self.safe) << 30
        word |= (2 if seen.dc_closed else 1) << 24 | (2 if seen.ac_closed else 1) << 26
        word |= int(seen.rcm_tripped) << 22
        word |= int(seen.emergency_stop) << 16 | 3 << 18 | 3 << 20
        word |= self.reason << 8
        return word.to_bytes(8, "big")

    def _temperatures(self) -> bytes:
        celsius = self.inputs.temperature_c
        tenths = round(min(max(celsius, -99.0), 400.0) * 10) & 0x3FFF
        first = tenths << 2 | int(celsius >= OVER_TEMPERATURE_C)
        unused = UNUSED_TEMPERATURE << 2
        return b"".join(x.to_bytes(2, "big") for x in (first, unused, unused, unused))

    def _chademo_state(self) -> bytes:
        seen = self.inputs
        bits = (
            self.d1, self.d2, self.lock_command, self.locked, seen.lock_jammed,
            seen.proximity, seen.permission,
        )  # fmt: skip
        word = sum(int(bit) << (63 - i) for i, bit in enumerate(bits))
        return word.to_bytes(8, "big")
