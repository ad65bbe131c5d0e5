"""The safety controller on its UART, by docs/protocol-mcu.md."""

from __future__ import annotations

import pytest

from hil.rig.bench import McuBench
from hil.rig.mcu import Inputs, Mcu, crc8, frame

T0 = 100.0
PWM, CLOSE_DC, CLOSE_AC = 1 << 63, 1 << 40, 1 << 41
D1, D2, LOCK = 1 << 63, 1 << 62, 1 << 61


def control(word: int) -> bytes:
    return frame(0x06, word.to_bytes(8, "big"))


def duty(permille: int) -> int:
    return PWM | permille << 48


def board(**inputs: object) -> Mcu:
    """A board that has left its start-up safe state at T0 + 1."""
    mcu = Mcu(McuBench(link="x"), T0)
    mcu.inputs = Inputs(**inputs)  # type: ignore[arg-type]
    mcu.step(T0 + 0.9)
    mcu.receive(control(0), T0 + 1)
    mcu.step(T0 + 1)
    return mcu


def frames(mcu: Mcu, now: float) -> dict[int, int]:
    """The board's next periodic frames by COM as 64-bit words."""
    raw = mcu.step(now)
    assert len(raw) % 12 == 0
    out = {}
    for i in range(0, len(raw), 12):
        one = raw[i : i + 12]
        assert (one[0], one[11]) == (0xA5, 0x03)
        assert crc8(one[1:10]) == one[10]
        out[one[1]] = int.from_bytes(one[2:10], "big")
    return out


def test_crc_is_sae_j1850() -> None:
    assert crc8(b"123456789") == 0x4B


def test_starts_in_its_safe_state_and_waits_for_all_open() -> None:
    mcu = Mcu(McuBench(link="x"), T0)
    assert mcu.step(T0 + 0.1) == b""  # still booting
    state = frames(mcu, T0 + 0.3)[0x07]
    assert state >> 58 & 3 == 1
    assert state >> 8 & 0xFF == 2
    mcu.receive(control(CLOSE_DC), T0 + 0.4)
    mcu.step(T0 + 0.4)
    assert mcu.safe
    assert not mcu.close_dc
    mcu.receive(control(0), T0 + 0.5)
    mcu.step(T0 + 0.5)
    assert not mcu.safe


def test_host_silence_opens_everything_but_the_lock() -> None:
    mcu = board()
    mcu.receive(control(duty(50) | CLOSE_DC | CLOSE_AC), T0 + 1)
    mcu.receive(frame(0x20, (D1 | D2 | LOCK).to_bytes(8, "big")), T0 + 1)
    mcu.step(T0 + 1.29)
    assert (mcu.close_dc, mcu.close_ac, mcu.d1, mcu.d2) == (True,) * 4
    mcu.step(T0 + 1.301)
    assert (mcu.close_dc, mcu.close_ac, mcu.d1, mcu.d2) == (False,) * 4
    assert (mcu.reason, mcu.duty, mcu.lock_command) == (2, 1.0, True)
    mcu.step(T0 + 1.4)
    assert mcu.locked


def test_chademo_pins_do_not_come_back_in_the_safe_state() -> None:
    mcu = board()
    mcu.step(T0 + 2)
    assert mcu.safe
    mcu.receive(frame(0x20, (D1 | D2).to_bytes(8, "big")), T0 + 2)
    assert (mcu.d1, mcu.d2) == (False, False)


def test_period_is_100_ms() -> None:
    mcu = board()
    sent = []
    for i in range(100):
        now = T0 + 1 + i / 100
        mcu.receive(control(0), now)
        if mcu.step(now):
            sent.append(now)
    assert len(sent) == 10


@pytest.mark.parametrize(("pilot", "code"), [("A", 1), ("B", 2), ("C", 3), ("D", 4)])
def test_pilot_codes(pilot: str, code: int) -> None:
    mcu = board(pilot=pilot)
    assert frames(mcu, T0 + 1.2)[0x07] >> 40 & 7 == code


def test_state_f_and_short() -> None:
    mcu = board(pilot="C")
    mcu.receive(control(duty(0)), T0 + 1)
    assert mcu.pilot_state == "F"
    assert mcu.duty == 0.0
    mcu.inputs = Inputs(pilot="C", cp_short=True)
    mcu.step(T0 + 1.01)
    assert (mcu.pilot_state, mcu.reason) == ("E", 0x0D)


@pytest.mark.parametrize(
    ("inputs", "reason", "bits"),
    [
        ({"emergency_stop": True}, 0x10, (1, 16)),
        ({"rcm_tripped": True}, 0x14, (1, 22)),
        ({"cp_short": True}, 0x0D, (1, 43)),
        ({"temperature_c": 110.0}, 0x07, (0, 43)),
        ({"pilot_invalid": True}, 0x0C, (7, 40)),
    ],
)
def test_a_tripped_input_holds_the_safe_state(
    inputs: dict[str, object], reason: int, bits: tuple[int, int]
) -> None:
    mcu = board()
    mcu.receive(control(CLOSE_DC), T0 + 1)
    mcu.inputs = Inputs(**inputs)  # type: ignore[arg-type]
    mcu.step(T0 + 1.005)
    assert (mcu.close_dc, mcu.reason) == (False, reason)
    mcu.receive(control(0), T0 + 1.1)
    state = frames(mcu, T0 + 1.2)[0x07]
    value, shift = bits
    assert state >> shift & (7 if shift == 40 else 3 if shift < 40 else 1) == value
    assert state >> 8 & 0xFF == reason
    mcu.inputs = Inputs()
    mcu.receive(control(0), T0 + 1.25)
    mcu.step(T0 + 1.25)
    assert mcu.reason == 0


def test_a_missing_diode_shows_only_with_a_square_wave() -> None:
    mcu = board(pilot="C", diode_fault=True)
    mcu.receive(control(0), T0 + 1.1)
    mcu.step(T0 + 1.1)
    assert not mcu.safe
    mcu.receive(control(duty(50)), T0 + 1.2)
    mcu.step(T0 + 1.2)
    assert mcu.reason == 0x0E
    mcu.receive(control(0), T0 + 1.3)
    mcu.step(T0 + 1.3)
    assert mcu.reason == 0x0E  # latched while the vehicle is there
    mcu.inputs = Inputs(pilot="A", diode_fault=True)
    mcu.step(T0 + 1.31)
    mcu.receive(control(0), T0 + 1.32)
    assert mcu.reason == 0


def test_lock_motor_takes_time_and_may_jam() -> None:
    mcu = board()
    mcu.receive(frame(0x20, LOCK.to_bytes(8, "big")), T0 + 1)
    mcu.step(T0 + 1.2)
    assert not mcu.locked
    mcu.step(T0 + 1.31)
    assert mcu.locked
    mcu.inputs = Inputs(lock_jammed=True)
    mcu.receive(frame(0x20, bytes(8)), T0 + 1.4)
    mcu.step(T0 + 2)
    assert mcu.locked


def test_mirror_contacts_pp_and_chademo_pins_are_reported() -> None:
    mcu = board(
        dc_closed=True, pp=3, proximity=True, permission=True, temperature_c=-12.3
    )
    mcu.receive(frame(0x20, (D1 | LOCK).to_bytes(8, "big")), T0 + 1)
    mcu.receive(control(0), T0 + 1.1)
    out = frames(mcu, T0 + 1.2)
    assert (out[0x07] >> 24 & 3, out[0x07] >> 26 & 3) == (2, 1)
    assert out[0x07] >> 32 & 7 == 3
    assert out[0x21] >> 57 == 0b1010011  # d1, -, lock commanded, -, -, pin 7, pin 4
    assert out[0x08] >> 48 == ((-123 & 0x3FFF) << 2)
    assert out[0x08] >> 32 & 0xFFFF == 0x1FFF << 2


@pytest.mark.parametrize(
    "noise", [b"\xa5", b"\x00\xff", b"\xa5" * 5, frame(0x06, bytes(8))[:-1] + b"\x00"]
)
def test_resynchronises_after_noise(noise: bytes) -> None:
    mcu = board()
    mcu.receive(noise + control(CLOSE_AC), T0 + 1)
    mcu.receive(control(CLOSE_AC), T0 + 1)
    assert mcu.close_ac


def test_inquiry_and_reboot() -> None:
    mcu = board()
    answer = mcu.receive(frame(0xFF, b"\x0a" + bytes(7)), T0 + 1)
    assert (answer[1], answer[5]) == (0x0A, 0x81)
    mcu.receive(control(CLOSE_DC), T0 + 1)
    mcu.power_up(T0 + 1.1)
    assert not mcu.close_dc
    assert mcu.receive(control(0), T0 + 1.2) == b""
    assert mcu.safe


OPEN_GRID, MAKE_ISLAND = 1 << 63, 1 << 62


def grid_control(word: int) -> bytes:
    return frame(0x22, word.to_bytes(8, "big"))


@pytest.mark.parametrize(
    ("asked", "seen", "island"),
    [
        (OPEN_GRID | MAKE_ISLAND, {"grid_open": True, "house_alive": False}, True),
        (OPEN_GRID, {"grid_open": True, "house_alive": False}, False),
        (OPEN_GRID | MAKE_ISLAND, {"grid_open": False, "house_alive": False}, False),
        (OPEN_GRID | MAKE_ISLAND, {"grid_open": True, "house_alive": True}, False),
        (OPEN_GRID | MAKE_ISLAND, {"house_alive": False}, False),  # no relay fitted
    ],
)
def test_an_island_begins_behind_an_open_relay_on_a_dead_house_alone(
    asked: int, seen: dict[str, bool], island: bool
) -> None:
    mcu = board(line_alive=False, **seen)
    mcu.receive(grid_control(asked), T0 + 1.05)
    mcu.step(T0 + 1.06)
    assert mcu.island is island


def test_an_island_ends_with_the_mirror_and_with_the_host() -> None:
    for gone in ("mirror", "host"):
        mcu = board(grid_open=True, house_alive=False, line_alive=False)
        mcu.receive(grid_control(OPEN_GRID | MAKE_ISLAND), T0 + 1.05)
        mcu.step(T0 + 1.06)
        mcu.inputs.house_alive = True  # by itself: it goes on
        mcu.step(T0 + 1.1)
        assert mcu.island
        if gone == "mirror":
            mcu.inputs.grid_open = False
        mcu.step(T0 + (1.15 if gone == "mirror" else 1.5))
        assert not mcu.island
        assert mcu.open_grid  # nothing closes because of that


def test_the_relay_closes_onto_a_living_line_only_and_never_onto_an_island() -> None:
    mcu = board(grid_open=True, house_alive=False, line_alive=False)
    mcu.receive(grid_control(OPEN_GRID), T0 + 1.05)
    mcu.step(T0 + 1.06)
    mcu.receive(grid_control(0), T0 + 1.07)
    mcu.step(T0 + 1.08)
    assert mcu.open_grid
    mcu.inputs.line_alive = True
    mcu.receive(grid_control(MAKE_ISLAND), T0 + 1.09)
    mcu.step(T0 + 1.1)
    assert (mcu.island, mcu.open_grid) == (True, True)
    mcu.receive(grid_control(0), T0 + 1.11)
    mcu.step(T0 + 1.12)
    assert (mcu.island, mcu.open_grid) == (False, False)


def test_a_reset_leaves_the_relay_where_it_is() -> None:
    mcu = board(grid_open=True, house_alive=False, line_alive=True)
    mcu.receive(grid_control(OPEN_GRID), T0 + 1.05)
    mcu.step(T0 + 1.06)
    mcu.power_up(T0 + 1.1)
    mcu.step(T0 + 1.5)
    assert mcu.open_grid
