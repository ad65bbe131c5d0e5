"""Meter and insulation register maps: scaling, sign, refusals."""

from __future__ import annotations

import math
import struct

import pytest

from firmware_bridge.units import BridgeError
from firmware_bridge.wire import isocha, sdm630
from firmware_bridge.wire.ascii_token import TokenFramer


def words(value: float) -> list[int]:
    return list(struct.unpack(">HH", struct.pack(">f", value)))


def meter_blocks(
    values: dict[int, float], layout: tuple[sdm630.Block, ...] = sdm630.SDM630
) -> list[tuple[sdm630.Block, list[int]]]:
    return [
        (
            block,
            [
                word
                for offset in range(0, block.count, 2)
                for word in words(values.get(block.address + offset, 0.0))
            ],
        )
        for block in layout
    ]


VALUES = {
    0x00: 230.0, 0x02: 231.0, 0x04: 229.0,
    0x06: 10.0, 0x08: 8.0, 0x0A: 0.0,
    0x0C: -2300.0, 0x0E: 1848.0, 0x10: 0.0,
    0x34: -452.0, 0x3C: 120.0, 0x3E: -0.97, 0x46: 50.02, 0x48: 12.5, 0x4A: 3.25,
}  # fmt: skip


def test_float32_is_high_word_first() -> None:
    assert sdm630.float32([0x4366, 0x0000]) == 230.0


def test_meter_reading() -> None:
    reading = sdm630.decode(meter_blocks(VALUES))
    assert reading.power_w == -452.0  # export is negative on this wire already
    assert (reading.import_wh, reading.export_wh) == (12_500.0, 3_250.0)
    assert reading.frequency_hz == pytest.approx(50.02)
    assert reading.voltage_v == (230.0, 231.0, 229.0)
    assert reading.phase_power_w == (-2300.0, 1848.0, 0.0)
    assert reading.reactive_var == 120.0
    assert reading.power_factor == pytest.approx(-0.97)
    assert reading.current_a == (-10.0, 8.0, 0.0)  # magnitudes get the phase's sign


def test_small_meter_has_no_phases() -> None:
    reading = sdm630.decode(meter_blocks({0x34: 77.0, 0x48: 1.0}, sdm630.SDM72))
    assert (reading.power_w, reading.import_wh) == (77.0, 1000.0)
    assert (reading.voltage_v, reading.frequency_hz) == ((), None)
    assert reading.reactive_var is None


@pytest.mark.parametrize("address", sorted(VALUES))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38])
def test_meter_refuses_what_no_grid_has(address: int, value: float) -> None:
    with pytest.raises(BridgeError):
        sdm630.decode(meter_blocks(VALUES | {address: value}))


@pytest.mark.parametrize("address", [0x00, 0x46, 0x48, 0x4A])
def test_meter_refuses_negative_magnitudes(address: int) -> None:
    with pytest.raises(BridgeError):
        sdm630.decode(meter_blocks(VALUES | {address: -1.0}))


def test_meter_refuses_the_answer_to_another_block() -> None:
    blocks = meter_blocks(VALUES)
    swapped = [(blocks[0][0], blocks[2][1]), *blocks[1:]]
    with pytest.raises(BridgeError):
        sdm630.decode(swapped)


def test_blocks_of_a_map_have_lengths_of_their_own() -> None:
    for layout in (sdm630.SDM630, sdm630.SDM72):
        counts = [block.count for block in layout]
        assert len(set(counts)) == len(counts)


def value(number: float, high: int = 0, low: int = isocha.UNIT_OHM) -> list[int]:
    return [*words(number), high << 8 | low, 1]


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        (isocha.UNIT_OHM, 1.5e6),
        (isocha.UNIT_OHM | 2 << 6, 1.5e6),  # true value is bigger: a lower bound
        (isocha.UNIT_OHM | 1 << 6, 0.0),  # true value is smaller: no bound at all
        (isocha.UNIT_OHM | 3 << 6, None),
    ],
)
def test_worst_resistance(low: int, expected: float | None) -> None:
    decoded = isocha.decode_value(value(1.5e6, low=low), isocha.UNIT_OHM, "R")
    assert isocha.worst_resistance_ohm(decoded) == expected


def test_alarm_and_test_bits() -> None:
    decoded = isocha.decode_value(value(9e4, high=0x85), isocha.UNIT_OHM, "R")
    assert decoded.alarm == isocha.Alarm.ALARM
    assert decoded.testing


@pytest.mark.parametrize(
    "registers",
    [
        value(1.0)[:3],
        value(math.nan),
        value(math.inf),
        value(400.0, low=isocha.UNIT_VOLT),  # the voltage's answer, come late
    ],
)
def test_isocha_refuses(registers: list[int]) -> None:
    with pytest.raises(BridgeError):
        isocha.decode_value(registers, isocha.UNIT_OHM, "R")


def test_isocha_nan_is_fine_while_invalid() -> None:
    registers = value(math.nan, low=isocha.UNIT_OHM | 3 << 6)
    decoded = isocha.decode_value(registers, isocha.UNIT_OHM, "R")
    assert isocha.worst_resistance_ohm(decoded) is None


@pytest.mark.parametrize(
    ("data", "tokens", "bad"),
    [
        (b"\x0204aabbcc\r\n", ["04AABBCC"], 0),
        (b"noise\x0204AABBCC\r\n\x02DEADBEEF\r\n", ["04AABBCC", "DEADBEEF"], 0),
        (b"\x0204AABB\x0211223344\r\n", ["11223344"], 1),
        (b"\x02\r\n", [], 1),
        (b"\x02Lobby-Card_7\r\n", ["Lobby-Card_7"], 0),  # text keeps its case
        (b"\x02A\r\n", [], 1),  # too short
        (b"\x0204AA'; DROP\r\n", [], 1),
        (b"\x02\xff\xfe\x00\r\n", [], 1),
        (b"\x02" + b"A" * 100_000 + b"\r\n", [], 1),
        (b"04AABBCC\r\n", [], 0),  # no STX: not a token
    ],
)
def test_tokens(data: bytes, tokens: list[str], bad: int) -> None:
    framer = TokenFramer()
    assert framer.receive(data) == tokens
    assert framer.bad == bad
