"""The power module on CAN: identifiers, items, errors, and its own clock."""

from __future__ import annotations

import pytest

from hil.rig.bench import StageBench
from hil.rig.faults import Faults
from hil.rig.infy import KINDS, Infy

T0 = 50.0
READ_ALL, WRITE_ALL = 0x02A33FF0, 0x02A43FF0
READ_GROUP, WRITE_GROUP = 0x02E300F0, 0x02E400F0


def stage(modules: int = 1) -> Infy:
    bench = StageBench(link="x", modules=modules)
    return Infy(bench, Faults("evse1-stage", KINDS), T0)


def item(code: int, value: int = 0) -> bytes:
    return code.to_bytes(2, "big") + bytes(2) + value.to_bytes(4, "big")


def write(infy: Infy, code: int, value: int, now: float = T0) -> int:
    """Broadcast a write; the error code of its answers."""
    answers = infy.receive(WRITE_ALL, item(code, value), now)
    errors = {ident >> 26 & 7 for ident, _ in answers}
    assert len(errors) == 1
    return errors.pop()


def read(infy: Infy, code: int, now: float = T0) -> int:
    ident, data = infy.receive(READ_ALL, item(code), now)[0]
    assert data[:2] == code.to_bytes(2, "big")
    assert ident >> 26 == 0
    return int.from_bytes(data[4:], "big")


def running(*, discharge: bool = False, amps: float = 10.0) -> Infy:
    infy = stage()
    write(infy, 0x2110, 0xA1 if discharge else 0xA0)
    write(infy, 0x1001, 400_000)
    write(infy, 0x1132, 300_000)
    write(infy, 0x1002, round(amps * 1000))
    write(infy, 0x1110, 0xA0)
    return infy


@pytest.mark.parametrize(
    ("ident", "answers"),
    [
        (READ_ALL, [0x02A3F03F]),
        (0x02A300F0, [0x02A3F000]),
        (0x02A302F0, []),  # there is no module 2
        (READ_GROUP, [0x02E3F000]),
        (0x02E301F0, []),  # group 1 is not ours
        (0x02A33FF1, [0x02A3F13F]),  # another controller gets its own answer
        (0x02A53FF0, []),  # not a command
    ],
)
def test_identifiers(ident: int, answers: list[int]) -> None:
    assert [i for i, _ in stage().receive(ident, item(0x1001), T0)] == answers


@pytest.mark.parametrize(
    ("code", "command", "count"),
    [
        (0x1001, 0x23, 1),
        (0x1002, 0x23, 1),
        (0x1010, 0x23, 1),
        (0x1110, 0x23, 3),
        (0x1111, 0x23, 3),
        (0x1002, 0x24, 1),
        (0x1110, 0x24, 3),
        (0x2110, 0x24, 3),
        (0x1132, 0x24, 3),
    ],
)
def test_how_many_modules_answer(code: int, command: int, count: int) -> None:
    infy = stage(modules=3)
    ident = READ_ALL if command == 0x23 else WRITE_ALL
    data = item(code, 0xA0)
    answers = infy.receive(ident, data, T0)
    assert len(answers) == count
    if count == 3:
        assert [i & 0xFF for i, _ in answers] == [0, 1, 2]


@pytest.mark.parametrize(
    ("code", "value", "error"),
    [
        (0x1001, 400_000, 0),
        (0x1001, 1_000_001, 3),
        (0x1001, 100_000, 3),
        (0x1002, 73_300, 0),
        (0x1002, 73_301, 3),
        (0x1132, 300_000, 0),
        (0x1132, 2_000_000, 3),
        (0x1110, 0xA0, 0),
        (0x1110, 0x01, 3),
        (0x1122, 0xA1, 0),
        (0x1126, 0xA2, 0),
        (0x1126, 0xA3, 3),
        (0x2105, 0xFFFF_FC18, 0),  # -1000
        (0x2105, 0xFFFF_FC17, 3),
        (0x2110, 0xA1, 0),
        (0x2110, 0xA2, 3),
        (0x9999, 0, 2),
    ],
)
def test_write_errors(code: int, value: int, error: int) -> None:
    assert write(stage(), code, value) == error


def test_every_read_item_of_the_table_answers() -> None:
    codes = [
        0x1001, 0x1002, 0x1010, 0x1103, 0x1104, 0x1105, 0x1106, 0x1110, 0x1111,
        0x1130, 0x1131, 0x1132, 0x1133, *range(0x2101, 0x210A), 0x210A, 0x210B,
        0x210C, 0x210D, 0x210E, 0x210F, 0x2110, 0x2111, 0x2112, 0x2113, 0x4101, 0x4102,
    ]  # fmt: skip
    infy = stage()
    for code in codes:
        read(infy, code)
    assert infy.refused == 0
    assert infy.receive(READ_ALL, item(0x7777), T0)[0][0] >> 26 == 2


def test_measured_values_are_milli_units_and_magnitudes() -> None:
    infy = stage()
    infy.measured.voltage_v, infy.measured.current_a = 371.5, -15.25
    assert read(infy, 0x1001) == 371_500
    assert read(infy, 0x1002) == 15_250
    assert read(infy, 0x1133) == 22_000_000
    infy.measured.ac_w = -5000.0
    assert read(infy, 0x2108) == 0x1_0000_0000 - 5_000_000


def test_start_takes_a_moment() -> None:
    infy = running()
    assert not infy.drive(T0 + 0.29).on
    assert infy.drive(T0 + 0.31).on
    assert read(infy, 0x1110, T0 + 0.2) >> 8 & 1 == 1
    assert read(infy, 0x1110, T0 + 0.4) >> 8 & 1 == 0


@pytest.mark.parametrize("discharge", [False, True])
def test_drive_follows_the_setpoint(discharge: bool) -> None:
    drive = running(discharge=discharge).drive(T0 + 1)
    assert (drive.discharge, drive.current_a) == (discharge, 10.0)
    assert drive.voltage_v == (300.0 if discharge else 400.0)


def test_mode_change_is_refused_while_on() -> None:
    infy = running()
    assert write(infy, 0x2110, 0xA1, T0 + 1) == 7
    assert write(infy, 0x2110, 0xA0, T0 + 1) == 0  # no change
    write(infy, 0x1110, 0xA1, T0 + 1)
    assert write(infy, 0x2110, 0xA1, T0 + 1) == 0
    assert read(infy, 0x1111, T0 + 1) == 1


def test_goes_off_10_s_after_the_last_frame() -> None:
    infy = running()
    infy.step(T0 + 9.9)
    assert infy.drive(T0 + 9.9).on
    infy.step(T0 + 10.1)
    assert not infy.drive(T0 + 10.1).on
    assert (infy.lost, infy.comm_offs) == (True, 1)
    assert read(infy, 0x1110, T0 + 10.2) >> 8 & 1 == 1  # and stays off


def test_walk_in_slows_the_start() -> None:
    infy = stage()
    write(infy, 0x1122, 0xA1)
    write(infy, 0x1110, 0xA0)
    assert infy.drive(T0 + 1).ramp_a_per_s == 25.0
    assert infy.drive(T0 + 3).ramp_a_per_s == 100.0


@pytest.mark.parametrize(
    ("kind", "bit"),
    [
        ("output_short", 0),
        ("discharge_abnormal", 5),
        ("module_fault", 9),
        ("fan", 11),
        ("over_temperature", 12),
        ("over_voltage", 13),
        ("derate", 16),
        ("id_repeated", 17),
        ("phase_lost", 19),
    ],
)
def test_status_bits(kind: str, bit: int) -> None:
    infy = running()
    assert read(infy, 0x1110, T0 + 1) >> bit & 1 == 0
    infy.faults.set(kind, True, {})
    assert read(infy, 0x1110, T0 + 1) >> bit & 1 == 1
    assert infy.drive(T0 + 1).on == (kind in ("fan", "id_repeated", "derate"))


def test_lost_mains_shows_and_stops() -> None:
    infy = running()
    infy.measured.mains = False
    assert not infy.drive(T0 + 1).on
    assert read(infy, 0x1110, T0 + 1) >> 16 & 0b1010_1000 == 0b1010_1000


def test_faults_on_the_wire() -> None:
    infy = running()
    infy.faults.set("silent", True, {})
    assert infy.receive(WRITE_ALL, item(0x1002, 5000), T0) == []
    assert infy.setpoint.current_a == 5.0  # it obeys
    infy.faults.set("silent", False, {})
    infy.faults.set("comm_loss", True, {})
    infy.receive(WRITE_ALL, item(0x1002, 6000), T0 + 1)
    assert infy.setpoint.current_a == 5.0
    infy.faults.set("comm_loss", False, {})
    infy.faults.set("mode_refused", True, {})
    assert write(infy, 0x2110, 0xA0) == 7
    infy.faults.set("wrong_id", True, {})
    assert infy.receive(READ_ALL, item(0x1001), T0)[0][0] >> 8 & 0xFF == 0xF1


def test_faults_of_measurement_and_obedience() -> None:
    infy = running()
    infy.measured.current_a = 10.0
    infy.faults.set("gain", True, {"gain": 1.5})
    assert read(infy, 0x1002) == 15_000
    infy.faults.set("gain", False, {})
    infy.faults.set("frozen", True, {})
    infy.step(T0)
    infy.measured.current_a = 3.0
    assert read(infy, 0x1002) == 10_000
    infy.faults.set("ignore_off", True, {})
    assert write(infy, 0x1110, 0xA1) == 0
    assert infy.drive(T0 + 1).on
    infy.faults.set("derate", True, {"factor": 0.3})
    assert infy.drive(T0 + 1).current_a == pytest.approx(3.0)
