"""Pilot UART codec against tables written from docs/protocol-mcu.md."""

from __future__ import annotations

import pytest

from firmware_bridge.api import PilotOutputs, PilotState
from firmware_bridge.units import BridgeError
from firmware_bridge.wire import chargebyte as wire


def state(**bits: int) -> bytes:
    """A ChargeState word: keyword b<low> = value."""
    word = 0
    for name, value in bits.items():
        word |= value << int(name[1:])
    return word.to_bytes(8, "big")


def test_crc_is_sae_j1850() -> None:
    assert wire.crc8_j1850(b"123456789") == 0x4B  # the catalogued check value


@pytest.mark.parametrize(
    ("pins", "data"),
    [
        # steady 12 V: PWM inactive, duty field 1000 = 0x3E8
        (PilotOutputs(), "03e8000000000000"),
        (PilotOutputs(duty=0.05), "8032000000000000"),
        (PilotOutputs(duty=0.0), "8000000000000000"),  # state F
        (PilotOutputs(close_dc=True), "03e8010000000000"),
        (PilotOutputs(close_ac=True), "03e8020000000000"),
    ],
)
def test_charge_control(pins: PilotOutputs, data: str) -> None:
    frame = wire.encode_charge_control(pins)
    assert len(frame) == 12
    assert (frame[0], frame[1], frame[11]) == (0xA5, 0x06, 0x03)
    assert frame[2:10].hex() == data


@pytest.mark.parametrize(
    ("pins", "first"),
    [
        (PilotOutputs(), 0x00),
        (PilotOutputs(chademo_d1=True), 0x80),
        (PilotOutputs(chademo_d2=True), 0x40),
        (PilotOutputs(lock=True), 0x20),
    ],
)
def test_chademo_control(pins: PilotOutputs, first: int) -> None:
    frame = wire.encode_chademo_control(pins)
    assert frame[1] == 0x20
    assert frame[2:10] == bytes((first,)) + bytes(7)


@pytest.mark.parametrize("duty", [-0.01, 1.01, float("nan"), float("inf")])
def test_duty_out_of_range_is_refused(duty: float) -> None:
    with pytest.raises(BridgeError):
        wire.encode_charge_control(PilotOutputs(duty=duty))


def test_inquiry() -> None:
    assert wire.encode_inquiry(wire.Com.FIRMWARE)[:4].hex() == "a5ff0a00"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, PilotState.UNKNOWN),
        (1, PilotState.A),
        (2, PilotState.B),
        (3, PilotState.C),
        (4, PilotState.D),
        (5, PilotState.E),
        (6, PilotState.F),
        (7, PilotState.UNKNOWN),
    ],
)
def test_pilot_states(code: int, expected: PilotState) -> None:
    decoded = wire.decode_charge_state(state(b40=code))
    assert decoded.pilot_state is expected
    assert decoded.pilot_invalid == (code == 7)


def test_duty_is_steady_when_pwm_is_off() -> None:
    assert wire.decode_charge_state(state(b48=50)).duty == 1.0
    assert wire.decode_charge_state(state(b63=1, b48=50)).duty == pytest.approx(0.05)
    assert wire.decode_charge_state(state(b63=1, b48=0)).duty == 0.0


@pytest.mark.parametrize(
    ("bits", "field", "value"),
    [
        ({"b43": 1}, "cp_short", True),
        ({"b44": 1}, "diode_fault", True),
        ({"b32": 3}, "cable_limit_a", 32.0),
        ({"b32": 4}, "cable_limit_a", 63.0),
        ({"b32": 0}, "cable_limit_a", None),
        ({"b32": 7}, "proximity_invalid", True),
        ({"b30": 1}, "hv_ready", True),
        ({"b24": 1}, "contactors", (False, None, None)),
        ({"b24": 2, "b26": 1}, "contactors", (True, False, None)),
        ({"b26": 3}, "contactors", (None, None, None)),
        ({"b22": 1}, "rcm_tripped", True),
        ({"b22": 3}, "rcm_tripped", False),
        ({"b16": 1}, "emergency_stop", True),
        ({"b20": 1}, "emergency_stop", True),
        ({"b16": 3, "b18": 3, "b20": 3}, "emergency_stop", False),
        ({"b58": 0}, "safe_state", False),
        ({"b58": 1}, "safe_state", True),
        ({"b58": 3}, "safe_state", False),
        ({"b8": 0x02}, "safe_state_reason", "communication timeout"),
        ({"b8": 0x03}, "safe_state_reason", "temperature sensor 1"),
        ({"b8": 0x0A}, "safe_state_reason", "over-temperature 4"),
        ({"b8": 0x10}, "safe_state_reason", "emergency stop 1"),
        ({"b8": 0x15}, "safe_state_reason", "residual current self-test"),
        ({"b8": 0x7F}, "safe_state_reason", "code 7F"),
    ],
)
def test_charge_state_fields(bits: dict[str, int], field: str, value: object) -> None:
    assert getattr(wire.decode_charge_state(state(**bits)), field) == value


def test_temperatures() -> None:
    # 25.0 degC, -12.5 degC, unused, 90.1 degC with "charging stopped"
    words = [250 << 2, (-125 & 0x3FFF) << 2, 0x1FFF << 2, 901 << 2 | 1]
    decoded = wire.decode_temperatures(b"".join(w.to_bytes(2, "big") for w in words))
    assert decoded.values_c == (25.0, -12.5, 90.1)
    assert decoded.hottest_c == 90.1
    assert decoded.charging_stopped
    assert not decoded.self_test_failed


def test_a_failed_sensor_gives_no_value() -> None:
    words = [300 << 2 | 2, 0x1FFF << 2, 0x1FFF << 2, 0x1FFF << 2]
    decoded = wire.decode_temperatures(b"".join(w.to_bytes(2, "big") for w in words))
    assert decoded.self_test_failed
    assert decoded.hottest_c is None


@pytest.mark.parametrize(
    ("bit", "field"),
    [
        (63, "d1"),
        (62, "d2"),
        (61, "lock_commanded"),
        (60, "locked"),
        (59, "lock_fault"),
        (58, "proximity"),
        (57, "permission"),
    ],
)
def test_chademo_state(bit: int, field: str) -> None:
    decoded = wire.decode_chademo_state((1 << bit).to_bytes(8, "big"))
    fields = ("d1", "d2", "lock_commanded", "locked", "lock_fault", "proximity")
    assert getattr(decoded, field)
    on = [name for name in (*fields, "permission") if getattr(decoded, name)]
    assert on == [field]


def test_firmware() -> None:
    decoded = wire.decode_firmware(bytes((1, 4, 7, 0x81, 3, 0, 0, 0)))
    assert decoded == wire.Firmware("1.4.7", 0x81, 3)


@pytest.mark.parametrize("length", [0, 7, 9])
def test_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(BridgeError):
        wire.decode_charge_state(bytes(length))
    with pytest.raises(BridgeError):
        wire.encode_frame(7, bytes(length))


def test_every_single_bit_flip_is_refused() -> None:
    good = wire.encode_frame(0x07, bytes(range(8)))
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert wire.Framer().receive(bytes(bad)) == [], f"bit {bit} went unnoticed"


def test_a_frame_behind_a_broken_one_is_found() -> None:
    good = wire.encode_frame(0x07, bytes(8))
    broken = good[:10] + bytes((good[10] ^ 1,)) + good[11:]
    framer = wire.Framer()
    assert framer.receive(broken + good) == [wire.Frame(0x07, bytes(8))]
    assert framer.bad == 1


def test_replay_is_indistinguishable() -> None:
    """The protocol has no sequence number: said here so that nobody believes it does.
    The guard is the age of a reading, and the MCU's own 300 ms timer."""
    frame = wire.encode_frame(0x07, bytes(8))
    framer = wire.Framer()
    assert framer.receive(frame) == framer.receive(frame) != []


@pytest.mark.parametrize(
    ("pins", "first"),
    [
        (PilotOutputs(), 0x00),
        (PilotOutputs(open_grid=True), 0x80),
        (PilotOutputs(open_grid=True, form_grid=True), 0xC0),
    ],
)
def test_grid_control(pins: PilotOutputs, first: int) -> None:
    assert wire.encode_grid_control(pins)[1:10] == bytes((0x22, first, *bytes(7)))


@pytest.mark.parametrize(
    ("bit", "field"),
    [(63, "relay_open"), (62, "line_alive"), (61, "house_alive"), (60, "island")],
)
def test_grid_state(bit: int, field: str) -> None:
    decoded = wire.decode_grid_state((1 << bit).to_bytes(8, "big"))
    told = {name for name in decoded.__slots__ if getattr(decoded, name)}
    assert told == {field}
