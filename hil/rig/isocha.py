"""Bender isoCHA425HV register map (insulation monitor of a DC charger). Pure.

Modbus RTU 19200 8E1. Values are four registers: float32, alarm/test byte, unit and
validity byte, channel. A value is valid only after the device measured for a while.
The relay alarm is reported in `alarm`; it is not wired to a contactor on this bench.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping

from hil.rig import modbus
from hil.rig.bench import InsulationBench
from hil.rig.faults import WIRE_KINDS, Faults

KINDS: Mapping[str, str] = {
    **WIRE_KINDS,
    **modbus.KINDS,
    "resistance": "insulation is `ohm` (default 20000)",
    "device_error": "the device reports its own error, self-tests fail",
    "invalid": "values never become valid",
    "frozen": "answers the values of the moment the fault began",
}
NO_ALARM, PREWARNING, DEVICE_ERROR, ALARM = 0, 1, 2, 5
OHM, VOLT, FARAD = 2, 4, 8
VALID, BIGGER, INVALID = 0, 2, 3
RANGE_OHM = 10e6
SELF_TEST, SELF_TEST_KEY, SELF_TEST_S = 8005, 0x5445, 2.0
DEVICE_ON, R1_KOHM, R2_KOHM = 3026, 3005, 3007
NAME = "isoCHA425HV".ljust(20)
CONFIG = {
    3000: 0, 3005: 600, 3007: 120, 3008: 0, 3009: 0, 3010: 0, 3011: 0, 3012: 0,
    3013: 0, 3014: 0, 3018: 0, 3019: 0, 3020: 0, 3021: 0, 3023: 1, 3024: 1, 3025: 1,
    3026: 1, 3027: 0, 3028: 0,
}  # fmt: skip


class IsoCha:
    """The monitor across DC+ , DC- and earth."""

    def __init__(
        self, bench: InsulationBench, faults: Faults, seed: int, now: float
    ) -> None:
        self.bench = bench
        self.faults = faults
        self.config = dict(CONFIG)
        self.resistance_ohm = 5e6
        self.voltage_v = 0.0
        self.self_tests = 0
        self._random = random.Random(seed)
        self._now = now
        self._measuring_since = now
        self._test_until = now
        self._frozen: list[int] | None = None
        self._changed_at = now
        self._shown_ohm = self.resistance_ohm

    @property
    def on(self) -> bool:
        return self.config[DEVICE_ON] == 1

    @property
    def testing(self) -> bool:
        return self._now < self._test_until

    def step(self, now: float, plugged: bool, voltage_v: float) -> None:
        """What it measures now; an insulation step is seen after `measure_s`."""
        self._now = now
        self.voltage_v = voltage_v
        true_ohm = 2.5e6 if plugged else 5e6
        if "resistance" in self.faults:
            true_ohm = max(0.0, self.faults.number("resistance", "ohm", 20_000.0))
        if true_ohm != self.resistance_ohm:
            self.resistance_ohm = true_ohm
            self._changed_at = now
        if now - self._changed_at >= self.bench.measure_s / 2:
            self._shown_ohm = self.resistance_ohm
        if "frozen" not in self.faults:
            self._frozen = None

    @property
    def valid(self) -> bool:
        settled = self._now - self._measuring_since >= self.bench.measure_s
        return self.on and settled and "invalid" not in self.faults

    @property
    def alarm(self) -> int:
        """Alarm code of the insulation value."""
        if "device_error" in self.faults:
            return DEVICE_ERROR
        if not self.valid:
            return NO_ALARM
        if self._shown_ohm < self.config[R2_KOHM] * 1000:
            return ALARM
        if self._shown_ohm < self.config[R1_KOHM] * 1000:
            return PREWARNING
        return NO_ALARM

    def _value(self, value: float, unit: int, channel: int, valid: int) -> list[int]:
        test = 2 if self.testing else 0
        words = list(struct.unpack(">HH", struct.pack(">f", value)))
        alarm = self.alarm if unit == OHM else NO_ALARM
        return [*words, (alarm | test << 6) << 8 | unit | valid << 6, channel]

    def _values(self) -> list[int]:
        """Registers 1000 to 1031."""
        valid = VALID if self.valid else INVALID
        ohm = self._shown_ohm * (1 + self._random.gauss(0, 0.004))
        over = BIGGER if valid == VALID and ohm > RANGE_OHM else valid
        volts = self.voltage_v + self._random.gauss(0, 0.1)
        blocks: dict[int, list[int]] = {
            1000: self._value(min(ohm, RANGE_OHM), OHM, 1, over),
            1008: self._value(volts, VOLT, 76, valid),
            1016: self._value(volts / 2, VOLT, 102, valid),
            1020: self._value(-volts / 2, VOLT, 102, valid),
            1028: self._value(min(ohm * 1.02, RANGE_OHM), OHM, 71, over),
        }
        words = [0] * 32
        for start, block in blocks.items():
            words[start - 1000 : start - 996] = block
        return words

    def read(self, function: int, address: int, count: int) -> list[int]:
        if function != modbus.READ_HOLDING:
            raise modbus.ModbusError(modbus.ILLEGAL_FUNCTION)
        if address >= 1000 and address + count <= 1032:
            words = self._frozen or self._values()
            if "frozen" in self.faults:
                self._frozen = words
            return words[address - 1000 :][:count]
        fixed = dict(self.config)
        fixed |= {
            9800 + i: ord(NAME[2 * i]) << 8 | ord(NAME[2 * i + 1]) for i in range(10)
        }
        fixed |= dict(enumerate((435, 520, 2024, 5, 17, 102), 9820))
        try:
            return [fixed[address + i] for i in range(count)]
        except KeyError as error:
            raise modbus.ModbusError(modbus.ILLEGAL_ADDRESS) from error

    def write(self, address: int, values: list[int]) -> None:
        if address == SELF_TEST and values == [SELF_TEST_KEY]:
            self.self_tests += 1
            self._test_until = self._now + SELF_TEST_S
            return
        if any(address + i not in self.config for i in range(len(values))):
            raise modbus.ModbusError(modbus.ILLEGAL_ADDRESS)
        was_on = self.on
        for i, value in enumerate(values):
            self.config[address + i] = value
        if self.config[R2_KOHM] > self.config[R1_KOHM]:
            self.config[R1_KOHM] = self.config[R2_KOHM]
        if self.on and not was_on:
            self._measuring_since = self._now
