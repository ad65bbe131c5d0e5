"""The meter's and the insulation monitor's register maps, and their faults."""

from __future__ import annotations

import math
import struct

import pytest

from hil.rig import isocha, sdm630
from hil.rig.bench import InsulationBench
from hil.rig.faults import Faults
from hil.rig.isocha import IsoCha
from hil.rig.modbus import ModbusError
from hil.rig.sdm630 import Sdm630


def meter() -> Sdm630:
    return Sdm630(Faults("evse1-meter", sdm630.KINDS), seed=1)


def run(one: Sdm630, seconds: float, watts: float, start: float = 0.0) -> float:
    """Feed `watts` on three phases; returns the end time."""
    now = start
    for _ in range(round(seconds / 0.01)):
        now += 0.01
        one.step(now, 0.01, (watts / 3, watts / 3, watts / 3), 230.0, 50.0)
    return now


def value(one: Sdm630, address: int) -> float:
    words = one.read(4, address, 2)
    return float(struct.unpack(">f", struct.pack(">HH", *words))[0])


@pytest.mark.parametrize("watts", [0.0, 7000.0, -6000.0])
def test_values_and_signs(watts: float) -> None:
    one = meter()
    run(one, 1.0, watts)
    near = 2.0 + abs(watts) * 2e-3
    assert value(one, 0x0034) == pytest.approx(watts, abs=near)
    assert value(one, 0x000C) == pytest.approx(watts / 3, abs=near)
    assert value(one, 0x0006) == pytest.approx(abs(watts) / 690, rel=2e-3, abs=0.02)
    assert value(one, 0x0000) == pytest.approx(230.0, abs=1.0)
    assert value(one, 0x0046) == pytest.approx(50.0, abs=0.05)
    assert value(one, 0x0500) - value(one, 0x0502) == pytest.approx(watts, abs=near)


@pytest.mark.parametrize(("watts", "address"), [(7200.0, 0x0048), (-7200.0, 0x004A)])
def test_registers_only_grow_on_their_side(watts: float, address: int) -> None:
    one = meter()
    run(one, 0.1, 0.0)
    before = {a: value(one, a) for a in (0x0048, 0x004A)}
    run(one, 5.0, watts, start=0.1)
    other = 0x0048 + 0x004A - address
    assert value(one, other) == before[other]
    # float32 near 812 kWh has steps of 0.06 Wh
    assert value(one, address) - before[address] == pytest.approx(0.01, abs=4e-4)


def test_refreshes_every_100_ms_and_never_repeats() -> None:
    one = meter()
    seen = []
    now = 0.0
    for _ in range(100):
        now = run(one, 0.01, 5000.0, start=now)
        seen.append(tuple(one.read(4, 0, 70)))
    assert len(set(seen)) in (10, 11)


def test_frozen_is_bit_identical() -> None:
    one = meter()
    now = run(one, 0.5, 5000.0)
    one.faults.set("frozen", True, {})
    before = one.read(4, 0, 70)
    run(one, 2.0, -5000.0, start=now)
    assert one.read(4, 0, 70) == before


@pytest.mark.parametrize(
    ("kind", "args", "factor"),
    [("sign", {}, -1.0), ("gain", {}, 1.5), ("gain", {"gain": 0.5}, 0.5)],
)
def test_wrong_power(kind: str, args: dict[str, float], factor: float) -> None:
    one = meter()
    one.faults.set(kind, True, args)
    import_kwh, export_kwh = one.import_kwh, one.export_kwh
    run(one, 1.0, 6000.0)
    assert value(one, 0x0034) == pytest.approx(6000 * factor, rel=2e-3)
    net = one.import_kwh - import_kwh - (one.export_kwh - export_kwh)
    assert net == pytest.approx(factor * 6000 / 3.6e6)


def test_nan_and_spike() -> None:
    one = meter()
    one.faults.set("nan", True, {})
    assert math.isnan(value(one, 0x0034))
    one.faults.set("nan", False, {})
    one.faults.set("spike", True, {"power_w": -1e308})
    assert value(one, 0x0034) < -1e30


@pytest.mark.parametrize(
    ("function", "address", "count"),
    [(3, 0, 2), (4, 0, 81), (4, 0x3FF, 2), (4, 0x504, 2), (4, 0x9000, 2)],
)
def test_meter_exceptions(function: int, address: int, count: int) -> None:
    with pytest.raises(ModbusError):
        meter().read(function, address, count)
    with pytest.raises(ModbusError):
        meter().write(0, [1])


# -- insulation ---------------------------------------------------------------


def monitor() -> IsoCha:
    faults = Faults("evse1-insulation", isocha.KINDS)
    return IsoCha(InsulationBench(link="x"), faults, 1, 0.0)


def shown(one: IsoCha, address: int = 1000) -> tuple[float, int, int, int, int]:
    """Value, alarm, test, unit, validity."""
    words = one.read(3, address, 4)
    number = struct.unpack(">f", struct.pack(">HH", *words[:2]))[0]
    high, low = words[2] >> 8, words[2] & 0xFF
    return number, high & 7, high >> 6, low & 0x1F, low >> 6


def test_a_value_is_valid_only_after_measuring() -> None:
    one = monitor()
    one.step(1.0, True, 0.0)
    assert shown(one)[4] == 3
    one.step(2.0, True, 0.0)
    ohm, alarm, _, unit, validity = shown(one)
    assert (alarm, unit, validity) == (0, 2, 0)
    assert ohm == pytest.approx(2.5e6, rel=0.05)


def test_off_and_on_again() -> None:
    one = monitor()
    one.step(5.0, True, 0.0)
    one.write(3026, [0])
    assert shown(one)[4] == 3
    one.write(3026, [1])
    one.step(6.0, True, 0.0)
    assert shown(one)[4] == 3
    one.step(6.6, True, 0.0)
    assert shown(one)[4] == 0


def test_voltage() -> None:
    one = monitor()
    one.step(5.0, True, 405.0)
    volts, _, _, unit, _ = shown(one, 1008)
    assert unit == 4
    assert volts == pytest.approx(405.0, abs=1.0)


@pytest.mark.parametrize(
    ("kind", "args", "alarm", "validity"),
    [
        ("resistance", {"ohm": 20_000}, 5, 0),
        ("resistance", {"ohm": 300_000}, 1, 0),
        ("resistance", {"ohm": 50e6}, 0, 2),
        ("device_error", {}, 2, 0),
        ("invalid", {}, 0, 3),
    ],
)
def test_insulation_faults(
    kind: str, args: dict[str, float], alarm: int, validity: int
) -> None:
    one = monitor()
    one.step(5.0, True, 0.0)
    one.faults.set(kind, True, args)
    one.step(5.1, True, 0.0)
    one.step(6.0, True, 0.0)
    ohm, seen, _, _, seen_validity = shown(one)
    assert (seen, seen_validity) == (alarm, validity)
    if validity == 0 and kind == "resistance":
        assert ohm == pytest.approx(args["ohm"], rel=0.05)


def test_thresholds_are_the_hosts() -> None:
    one = monitor()
    one.faults.set("resistance", True, {"ohm": 300_000})
    one.step(5.0, True, 0.0)
    one.step(9.0, True, 0.0)
    one.write(3007, [400])
    assert shown(one)[1] == 5


def test_self_test_flag_leaves_within_30_s() -> None:
    one = monitor()
    one.step(5.0, True, 0.0)
    one.write(8005, [0x5445])
    assert shown(one)[2] == 2
    one.step(8.0, True, 0.0)
    assert shown(one)[2] == 0


def test_name_and_exceptions() -> None:
    one = monitor()
    name = b"".join(w.to_bytes(2, "big") for w in one.read(3, 9800, 10))
    assert name.strip() == b"isoCHA425HV"
    for function, address in ((4, 1000), (3, 1031), (3, 5000)):
        with pytest.raises(ModbusError):
            one.read(function, address, 4)
    with pytest.raises(ModbusError):
        one.write(8005, [1])
