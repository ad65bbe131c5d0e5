"""Eastron SDM630-V2 register map: float32, high word first, function 4. Pure.

Measures true values with noise in the last digits, so that a frozen meter can be told
from a steady one. Energies are float32 kWh as in the real device: near 800 kWh one
step is 0.06 Wh, near 10 MWh it is 1 Wh.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping

from hil.rig import modbus
from hil.rig.faults import WIRE_KINDS, Faults

KINDS: Mapping[str, str] = {
    **WIRE_KINDS,
    **modbus.KINDS,
    "frozen": "answers the values of the moment the fault began",
    "sign": "power, currents and energies count the wrong way round",
    "gain": "power, currents and energies are `gain` times true (default 1.5)",
    "nan": "power reads NaN",
    "spike": "power reads `power_w` (default 1e9)",
}
TOP = 0x0400
FLOAT32_MAX = 3.4e38


class Sdm630:
    """A meter in front of a load; positive = import."""

    def __init__(
        self,
        faults: Faults,
        seed: int,
        *,
        refresh_s: float = 0.1,
        import_kwh: float = 812.0,
        export_kwh: float = 345.0,
    ) -> None:
        self.faults = faults
        self.refresh_s = refresh_s
        self.import_kwh = import_kwh
        self.export_kwh = export_kwh
        self._random = random.Random(seed)
        self._values: dict[int, float] = {}
        self._refresh_at = 0.0
        self._energy_ws = 0.0
        self._since_s = 0.0

    def step(
        self, now: float, dt_s: float, phases_w: tuple[float, float, float],
        voltage_v: float, frequency_hz: float,
    ) -> None:  # fmt: skip
        """Integrate true power; renew the registers every `refresh_s`."""
        factor = self._factor()
        kwh = sum(phases_w) * factor * dt_s / 3.6e6
        self.import_kwh += max(0.0, kwh)
        self.export_kwh += max(0.0, -kwh)
        self._energy_ws += sum(phases_w) * dt_s
        self._since_s += dt_s
        if now < self._refresh_at or self._since_s <= 0:
            return
        self._refresh_at = now + self.refresh_s
        # what the display shows is the mean power since the last refresh
        total_w = sum(phases_w)
        mean_w = self._energy_ws / self._since_s
        share = [w / total_w if abs(total_w) > 1e-9 else 1 / 3 for w in phases_w]
        self._energy_ws = self._since_s = 0.0
        if "frozen" not in self.faults:
            means = [mean_w * s * factor for s in share]
            self._values = self._measure(means, voltage_v, frequency_hz)

    def _factor(self) -> float:
        factor = -1.0 if "sign" in self.faults else 1.0
        if "gain" in self.faults:
            factor *= self.faults.number("gain", "gain", 1.5)
        return factor

    def _measure(
        self, means: list[float], voltage_v: float, frequency_hz: float
    ) -> dict[int, float]:
        noise = self._random.gauss
        volts = [max(0.0, voltage_v + noise(0, 0.05)) for _ in means]
        watts = [w * (1 + noise(0, 2e-4)) + noise(0, 0.2) for w in means]
        amps = [w / v if v > 1 else 0.0 for w, v in zip(watts, volts, strict=True)]
        total_w = sum(watts)
        out: dict[int, float] = {0x0034: total_w, 0x003C: noise(0, 0.5)}
        for i in range(3):
            out[0x0000 + 2 * i] = volts[i]
            out[0x0006 + 2 * i] = abs(amps[i])
            out[0x000C + 2 * i] = watts[i]
            out[0x0012 + 2 * i] = abs(watts[i])
            out[0x0018 + 2 * i] = noise(0, 0.2)
            out[0x001E + 2 * i] = 1.0 if watts[i] >= 0 else -1.0
            out[0x015A + 2 * i] = self.import_kwh / 3
            out[0x0160 + 2 * i] = self.export_kwh / 3
        out[0x0030] = sum(abs(a) for a in amps)
        out[0x0038] = abs(total_w)
        out[0x003E] = 1.0 if total_w >= 0 else -1.0
        out[0x0046] = max(0.0, frequency_hz + noise(0, 0.002))
        out[0x0048], out[0x004A] = self.import_kwh, self.export_kwh
        out[0x0156] = self.import_kwh + self.export_kwh
        out[0x0500], out[0x0502] = max(0.0, total_w), max(0.0, -total_w)
        return out

    def read(self, function: int, address: int, count: int) -> list[int]:
        """Registers; unused places inside the map read 0.0, as on the device."""
        if function != modbus.READ_INPUT:
            raise modbus.ModbusError(modbus.ILLEGAL_FUNCTION)
        if count > 80:
            raise modbus.ModbusError(modbus.ILLEGAL_VALUE)
        in_map = address + count <= TOP or 0x0500 <= address <= 0x0504 - count
        if not in_map:
            raise modbus.ModbusError(modbus.ILLEGAL_ADDRESS)
        first = address - address % 2
        words: list[int] = []
        for register in range(first, address + count, 2):
            words += struct.unpack(">HH", struct.pack(">f", self._shown(register)))
        return words[address - first :][:count]

    def _shown(self, register: int) -> float:
        if register == 0x0034 and "nan" in self.faults:
            return float("nan")
        value = self._values.get(register, 0.0)
        if register == 0x0034 and "spike" in self.faults:
            value = self.faults.number("spike", "power_w", 1e9)
        return min(max(value, -FLOAT32_MAX), FLOAT32_MAX)

    def write(self, address: int, values: list[int]) -> None:
        raise modbus.ModbusError(modbus.ILLEGAL_FUNCTION)
