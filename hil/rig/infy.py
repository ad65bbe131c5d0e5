"""InfyPower BEG power modules on CAN, protocol "BEC/BEG V1.04" from open drivers. Pure.

Frames and `now` in, answers out; `drive()` is what the power circuit does. The current
it reports is a magnitude, as on the real module. Times marked [K] are our assumption:
start-up, walk-in, and the refused mode change while the modules run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hil.rig.bench import StageBench
from hil.rig.faults import Faults, flip_bit
from hil.rig.plant import Drive

READ, WRITE = 0x23, 0x24
SINGLE, GROUP = 0x0A, 0x0B
BROADCAST = 0x3F
OK, BAD_COMMAND, BAD_DATA, STARTING = 0, 2, 3, 7
ON, OFF = 0xA0, 0xA1
RECTIFIER, INVERTER = 0xA0, 0xA1
VOLTAGE_MAX_V, VOLTAGE_MIN_V = 1000.0, 200.0
CURRENT_MAX_A, POWER_MAX_W = 73.3, 22_000.0  # one module
WALK_IN_S, WALK_IN_SHARE = 2.0, 0.25  # [K]
SYSTEM_ITEMS = frozenset({0x1001, 0x1002, 0x1010})  # one answer for all modules

STATUS_BITS: Mapping[str, tuple[int, int]] = {  # fault kind -> (byte, bit) of item 1110
    "output_short": (7, 0),
    "discharge_abnormal": (7, 5),
    "module_fault": (6, 1),
    "protection": (6, 2),
    "fan": (6, 3),
    "over_temperature": (6, 4),
    "over_voltage": (6, 5),
    "id_repeated": (5, 1),
    "phase_lost": (5, 3),
    "input_unbalanced": (5, 4),
    "input_under_voltage": (5, 5),
    "input_over_voltage": (5, 6),
}
STOPPING = frozenset(STATUS_BITS) - {"fan", "id_repeated", "input_unbalanced"}

KINDS: Mapping[str, str] = {
    "silent": "receives and obeys, but never answers",
    "comm_loss": "the CAN wire is cut; the module goes off after its own 10 s",
    "slow": "answers `ms` later (default 400)",
    "corrupt": "one bit of every answer's value is wrong",
    "wrong_id": "answers to another controller's address",
    "frozen": "answers the measured values of the moment the fault began",
    "gain": "measured current is `gain` times the true one (default 1.5)",
    "mode_refused": "every working-mode write is answered with error 7",
    "error": "every answer carries error `code` (default 2) and nothing is obeyed",
    "derate": "current limited to `factor` of the set one (default 0.5)",
    "ignore_off": "the off command is acknowledged, but the module runs on",
    "ignore_current": "the current write is acknowledged, but not obeyed",
    **{name: f"status bit {bit} of byte {b}" for name, (b, bit) in STATUS_BITS.items()},
}


@dataclass(slots=True)
class Measured:
    """What the modules sense, true values."""

    voltage_v: float = 0.0
    current_a: float = 0.0  # signed
    line_v: float = 230.0  # phase to neutral
    frequency_hz: float = 50.0
    ac_w: float = 0.0
    mains: bool = True
    island: bool = False  # the off-grid input: it makes the voltage itself
    ambient_c: float = 30.0


@dataclass(slots=True)
class Setpoint:
    """As last written by the host."""

    on: bool = False
    discharge: bool = False
    voltage_v: float = 0.0
    current_a: float = 0.0
    cutoff_v: float = 0.0
    walk_in: bool = False
    at: float = 0.0  # when it last changed or was repeated


def frame_id(error: int, device: int, command: int, to: int, by: int) -> int:
    return error << 26 | device << 22 | command << 16 | to << 8 | by


class Infy:
    """`modules` modules of group 0 sharing one output."""

    def __init__(self, bench: StageBench, faults: Faults, now: float) -> None:
        self.bench = bench
        self.faults = faults
        self.measured = Measured()
        self.setpoint = Setpoint(at=now)
        self.frames = 0
        self.refused = 0
        self.comm_offs = 0
        self.lost = False  # off because the controller went quiet
        self._last_frame = now
        self._started = now
        self._frozen: Measured | None = None

    # -- the wire ---------------------------------------------------------------

    def receive(self, ident: int, data: bytes, now: float) -> list[tuple[int, bytes]]:
        """One 29-bit frame from the bus; the frames that answer it."""
        device, command = ident >> 22 & 0xF, ident >> 16 & 0x3F
        to, by = ident >> 8 & 0xFF, ident & 0xFF
        mine = self._addressed(device, to)
        if self.faults.deaf or len(data) != 8 or not mine:
            return []
        if command not in (READ, WRITE):
            return []
        self.frames += 1
        self._last_frame = now
        self.lost = False
        error, content = self._obey(command, data, now)
        self.refused += error != OK
        system = int.from_bytes(data[:2], "big") in SYSTEM_ITEMS
        once = system or error == BAD_COMMAND
        reply_to = by ^ 0x01 if "wrong_id" in self.faults else by
        out = []
        for module in mine[:1] if once else mine:
            source = to if system or device == GROUP else module
            ident = frame_id(error & 7, device, command, reply_to, source)
            out.append((ident, content))
        return [] if self.faults.mute else out

    def _obey(self, command: int, data: bytes, now: float) -> tuple[int, bytes]:
        """Do what the frame asks: error code and payload of the answer."""
        item, value = int.from_bytes(data[:2], "big"), int.from_bytes(data[4:], "big")
        content = data
        if "error" in self.faults:
            return int(self.faults.number("error", "code", BAD_COMMAND)), data
        if command == WRITE:
            error = self._write(item, value, now)
        else:
            answer = self._read(item, now)
            error = BAD_COMMAND if answer is None else OK
            content = data[:4] + (answer or 0).to_bytes(4, "big")
        if "corrupt" in self.faults:
            content = flip_bit(content, 6)
        return error, content

    def _addressed(self, device: int, to: int) -> list[int]:
        """The modules a frame is for."""
        modules = list(range(self.bench.modules))
        if device == GROUP:
            return modules if to == 0 else []
        if device != SINGLE:
            return []
        return modules if to == BROADCAST else [m for m in modules if m == to]

    def _write(self, item: int, value: int, now: float) -> int:
        known: Mapping[int, Callable[[int, float], int]] = {
            0x1001: self._set_voltage,
            0x1002: self._set_current,
            0x1110: self._set_on,
            0x1122: self._set_walk_in,
            0x1126: lambda v, _: OK if v & 0xFF in (0xA0, 0xA1, 0xA2) else BAD_DATA,
            0x1132: self._set_cutoff,
            0x2105: lambda v, _: OK if abs(_signed(v)) <= 1000 else BAD_DATA,
            0x2110: self._set_mode,
        }
        if item not in known:
            return BAD_COMMAND
        error = known[item](value, now)
        if error == OK:
            self.setpoint.at = now
        return error

    def _set_voltage(self, value: int, _: float) -> int:
        if not VOLTAGE_MIN_V * 0.75 <= value / 1000 <= VOLTAGE_MAX_V:
            return BAD_DATA
        self.setpoint.voltage_v = value / 1000
        return OK

    def _set_current(self, value: int, _: float) -> int:
        if value / 1000 > CURRENT_MAX_A * self.bench.modules:
            return BAD_DATA
        if "ignore_current" not in self.faults:
            self.setpoint.current_a = value / 1000
        return OK

    def _set_cutoff(self, value: int, _: float) -> int:
        if value / 1000 > VOLTAGE_MAX_V:
            return BAD_DATA
        self.setpoint.cutoff_v = value / 1000
        return OK

    def _set_on(self, value: int, now: float) -> int:
        word = value & 0xFF
        if word == ON:
            if not self.setpoint.on:
                self._started = now
            self.setpoint.on = True
        elif word == OFF:
            self.setpoint.on = self.setpoint.on and "ignore_off" in self.faults
        else:
            return BAD_DATA
        return OK

    def _set_walk_in(self, value: int, _: float) -> int:
        if value & 0xFF not in (0xA0, 0xA1):
            return BAD_DATA
        self.setpoint.walk_in = value & 0xFF == 0xA1
        return OK

    def _set_mode(self, value: int, _: float) -> int:
        word = value & 0xFF
        if word not in (RECTIFIER, INVERTER):
            return BAD_DATA
        discharge = word == INVERTER
        if "mode_refused" in self.faults:
            return STARTING
        if self.setpoint.on and discharge != self.setpoint.discharge:
            return STARTING
        self.setpoint.discharge = discharge
        return OK

    def _read(self, item: int, now: float) -> int | None:
        """The value of a read item as u32, None for one that is unknown."""
        seen = self._frozen or self.measured
        amps = abs(seen.current_a) * self._gain()
        line_v = seen.line_v * 3**0.5
        phase_w = seen.ac_w / 3
        phase_a = abs(phase_w) / seen.line_v if seen.line_v > 1 else 0.0
        if item == 0x1010:
            return self.bench.modules
        if item == 0x1110:
            return int.from_bytes(self.status(now)[4:8], "big")
        if item == 0x1111:
            return int(self.setpoint.discharge)
        scaled = {
            0x1001: seen.voltage_v, 0x1002: amps,
            0x1103: line_v, 0x1104: line_v, 0x1105: line_v, 0x1106: seen.ambient_c,
            0x1130: VOLTAGE_MAX_V, 0x1131: VOLTAGE_MIN_V, 0x1132: CURRENT_MAX_A,
            0x1133: POWER_MAX_W,
            0x2101: seen.line_v, 0x2102: seen.line_v, 0x2103: seen.line_v,
            0x2104: phase_a, 0x2105: phase_a, 0x2106: phase_a,
            0x2107: seen.frequency_hz, 0x2108: seen.ac_w,
            0x2109: phase_w, 0x210A: phase_w, 0x210B: phase_w,
            0x210C: 0.0, 0x210D: 0.0, 0x210E: 0.0, 0x210F: 0.0,
            0x2110: abs(phase_w), 0x2111: abs(phase_w), 0x2112: abs(phase_w),
            0x2113: abs(seen.ac_w),
            0x4101: seen.voltage_v, 0x4102: amps,
        }  # fmt: skip
        value = scaled.get(item)
        return None if value is None else round(value * 1000) & 0xFFFF_FFFF

    def _gain(self) -> float:
        if "gain" not in self.faults:
            return 1.0
        return self.faults.number("gain", "gain", 1.5)

    def status(self, now: float) -> bytes:
        """Item 1110 as 8 bytes; bytes 5..7 carry the bits."""
        word = bytearray(8)
        for kind, (byte, bit) in STATUS_BITS.items():
            word[byte] |= (kind in self.faults) << bit
        off = not self.running(now)
        word[6] |= int(off)
        word[6] |= int(self.setpoint.walk_in) << 6
        word[6] |= int(self.lost) << 7
        word[5] |= int("derate" in self.faults)
        if not self._fed():
            word[5] |= 1 << 3 | 1 << 5 | 1 << 7
        elif not self.measured.island and self.measured.line_v < 180.0:
            word[5] |= 1 << 5
        return bytes(word)

    # -- the power side ---------------------------------------------------------

    def step(self, now: float) -> None:
        """The module's own clock: off when the controller went quiet."""
        if "frozen" not in self.faults:
            self._frozen = None
        elif self._frozen is None:
            m = self.measured
            self._frozen = Measured(
                m.voltage_v, m.current_a, m.line_v, m.frequency_hz, m.ac_w, m.mains
            )
        quiet_s = now - self._last_frame
        if self.setpoint.on and quiet_s > self.bench.comm_timeout_s:
            self.setpoint.on = False
            self.lost = True
            self.comm_offs += 1

    def running(self, now: float) -> bool:
        """The output is live: switched on, started, mains there, nothing tripped."""
        tripped = any(kind in self.faults for kind in STOPPING)
        ready = now - self._started >= self.bench.start_s
        return self.setpoint.on and ready and not tripped and self._fed()

    def _fed(self) -> bool:
        seen = self.measured
        made = seen.island and self.setpoint.discharge and self.setpoint.on
        return made or (seen.mains and seen.line_v > 150.0)

    def drive(self, now: float) -> Drive:
        """What the power circuit does now."""
        want = self.setpoint
        share = 1.0
        if "derate" in self.faults:
            share = self.faults.number("derate", "factor", 0.5)
        ramp = self.bench.ramp_a_per_s
        if want.walk_in and now - self._started < self.bench.start_s + WALK_IN_S:
            ramp *= WALK_IN_SHARE
        return Drive(
            on=self.running(now),
            discharge=want.discharge,
            voltage_v=want.cutoff_v if want.discharge else want.voltage_v,
            current_a=want.current_a * min(max(share, 0.0), 1.0),
            ramp_a_per_s=ramp,
            power_max_w=POWER_MAX_W * self.bench.modules,
        )


def _signed(value: int) -> int:
    """A u32 as i32."""
    return value - (1 << 32) if value & 0x8000_0000 else value
