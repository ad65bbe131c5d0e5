"""A scripted CHAdeMO station with an ideal power stage, for the vehicle's tests.

Its frames are written out here byte by byte: neither simulator nor product code.
"""

from dataclasses import dataclass, field, replace

from hil.ev.base import Given, Seen
from hil.ev.chademo import ChademoEv

DT_S = 0.005


@dataclass
class Station:
    """`run()` steps vehicle and line with fake time; the fields are the controls."""

    ev: ChademoEv
    now_s: float = 100.0
    d1: bool = False
    d2: bool = False
    talks: bool = True
    available_v: int = 500
    available_a: int = 75
    locked: bool = True
    discharge_ok: bool = True
    charging: bool = False
    stop_control: bool = True
    status_bits: int = 0  # more bits of 109.5
    wish_a: float | None = None  # None = follow the request; negative = discharge
    voltage_offset_v: int = 0
    holds_voltage: bool = False  # the output stays up after the contactor opened
    given: Given = field(default_factory=Given)
    seen: Seen = field(default_factory=Seen)
    sent: list[tuple[float, int, bytes]] = field(default_factory=list)

    def newest(self, frame_id: int) -> bytes:
        return next(data for _, i, data in reversed(self.sent) if i == frame_id)

    def run(self, seconds: float, until=lambda: False) -> bool:
        """Step until `until()` or the time is over; True when `until()` came."""
        for _ in range(round(seconds / DT_S)):
            if until():
                return True
            self._step()
        return until()

    def _step(self) -> None:
        self.now_s += DT_S
        if self.talks and round(self.now_s / DT_S) % 20 == 0:
            for frame_id, data in self.frames():
                self.ev.can(frame_id, data, self.now_s)
        self.seen = self._line()
        self.given = self.ev.step(self.now_s, DT_S, self.seen)
        self.sent += [(self.now_s, i, data) for i, data in self.given.frames]

    def _line(self) -> Seen:
        pins = replace(self.seen, d1=self.d1, d2=self.d2)
        if not self.given.contactor_closed:
            decay = 1.0 if self.holds_voltage else 0.95
            volts = self.seen.dc_voltage_v * decay
            return replace(pins, dc_voltage_v=volts, dc_current_a=0.0)
        amps = 0.0
        if self.charging:
            amps = self.newest(0x102)[3] if self.wish_a is None else self.wish_a
        volts = self.given.emf_v + amps * self.given.resistance_ohm
        return replace(pins, dc_voltage_v=volts, dc_current_a=amps)

    def frames(self) -> list[tuple[int, bytes]]:
        volts = max(0, round(self.seen.dc_voltage_v) + self.voltage_offset_v)
        amps = round(self.seen.dc_current_a)
        status = self.charging | self.locked << 2 | self.stop_control << 5
        return [
            (
                0x108,
                bytes([1, *le(self.available_v), self.available_a, *le(410), 0, 0]),
            ),
            (
                0x109,
                bytes([2, *le(volts), max(0, amps), self.discharge_ok])
                + bytes([status | self.status_bits, 0xFF, 60]),
            ),
            (0x208, bytes([0xFF - max(0, -amps), *le(250), 0xFF - 30, 0, 0, *le(280)])),
            (0x209, bytes([1, 60, 0, 0, 0, 0, 0, 0])),
        ]

    def start(self) -> None:
        """The whole start sequence up to running power."""
        self.d1 = True
        permitted = self.run(6.0, lambda: self.given.permission)
        self.run(0.5)
        self.d2 = True
        closed = self.run(4.0, lambda: self.given.contactor_closed)
        asked = self.run(4.0, lambda: self.newest(0x102)[3] > 0)
        assert permitted
        assert closed
        assert asked
        self.charging, self.stop_control = True, False
        self.run(0.2)


def le(value: int) -> bytes:
    return value.to_bytes(2, "little")
