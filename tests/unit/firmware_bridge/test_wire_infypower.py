"""Infy CAN codec: the worked identifiers of the public drivers, and the sign."""

from __future__ import annotations

import pytest

from firmware_bridge.api import StageMode
from firmware_bridge.units import BridgeError
from firmware_bridge.wire import infypower as wire


@pytest.mark.parametrize(
    ("command", "destination", "device", "expected"),
    [
        (wire.READ, 0x3F, wire.SINGLE, 0x02A33FF0),
        (wire.WRITE, 0x3F, wire.SINGLE, 0x02A43FF0),
        (wire.READ, 0x00, wire.GROUP, 0x02E300F0),
        (wire.WRITE, 0x00, wire.GROUP, 0x02E400F0),
    ],
)
def test_worked_identifiers(
    command: int, destination: int, device: int, expected: int
) -> None:
    assert wire.frame_id(command, destination, device=device) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (wire.encode_read(wire.Code.CURRENT), "1002000000000000"),
        (wire.encode_write(wire.Code.CURRENT, 15_500), "1002000000003c8c"),
        (wire.encode_write(wire.Code.STATUS, wire.ON), "11100000000000a0"),
        (wire.encode_write(wire.Code.WORKING_MODE, wire.INVERTER), "21100000000000a1"),
    ],
)
def test_payloads(data: bytes, expected: str) -> None:
    assert data.hex() == expected


def test_reply_swaps_the_addresses() -> None:
    reply = wire.decode_reply(0x02A3F005, bytes.fromhex("1001000000061a80"))
    assert reply == wire.Reply(5, wire.READ, 0x1001, wire.OK, 400_000)


def test_reply_carries_the_error() -> None:
    reply = wire.decode_reply(0x02A4F005 | 7 << 26, bytes.fromhex("21100000000000a1"))
    assert reply is not None
    assert (reply.error, reply.command) == (wire.ERROR_BUSY, wire.WRITE)


@pytest.mark.parametrize(
    ("identifier", "data"),
    [
        (0x02A33FF0, "1001000000000000"),  # our own question
        (0x02A3F105, "1001000000000000"),  # another controller's
        (0x02A5F005, "1001000000000000"),  # another command
        (0x0223F005, "1001000000000000"),  # another device number
        (0x02A3F0F1, "1001000000000000"),  # from a controller
        (0x02A3F005, "10010000000000"),  # short
        (0x102, "1001000000000000"),
    ],
)
def test_what_is_not_for_us_is_dropped(identifier: int, data: str) -> None:
    assert wire.decode_reply(identifier, bytes.fromhex(data)) is None


@pytest.mark.parametrize(
    ("byte", "bit", "fault"),
    [
        (7, 0, "OverCurrentFailure"),
        (7, 5, "StageFault"),
        (6, 1, "StageFault"),
        (6, 4, "HighTemperature"),
        (6, 5, "OverVoltage"),
        (5, 3, "PowerLoss"),
        (5, 5, "PowerLoss"),
        (5, 6, "StageFault"),
    ],
)
def test_status_faults(byte: int, bit: int, fault: str) -> None:
    word = 1 << (7 - byte) * 8 + bit
    assert wire.decode_status(word).faults == {fault}


def test_status_on_and_derated() -> None:
    assert wire.decode_status(0) == wire.Status(True, False, frozenset())
    assert not wire.decode_status(1 << 8).on  # byte 6 bit 0
    assert wire.decode_status(1 << 16).derated  # byte 5 bit 0


def test_sign_current_out_of_the_vehicle_is_negative() -> None:
    assert wire.signed_current_a(12_345, StageMode.CHARGE) == pytest.approx(12.345)
    assert wire.signed_current_a(12_345, StageMode.DISCHARGE) == pytest.approx(-12.345)
    assert str(wire.signed_current_a(0, StageMode.DISCHARGE)) == "0.0"


def test_temperature_below_zero() -> None:
    assert wire.temperature_c(25_500) == 25.5
    assert wire.temperature_c(0xFFFF_FFFF - 9_999) == -10.0


@pytest.mark.parametrize("value", [-0.001, float("nan"), float("inf"), 1e400])
def test_only_finite_magnitudes_go_out(value: float) -> None:
    with pytest.raises(BridgeError):
        wire.milli(value, "x")


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_only_32_bits_go_out(value: int) -> None:
    with pytest.raises(BridgeError):
        wire.encode_write(wire.Code.CURRENT, value)
