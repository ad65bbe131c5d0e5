"""The Modbus server: framing, functions, exceptions, faults on the line."""

from __future__ import annotations

import struct

import pytest

from hil.rig import modbus
from hil.rig.faults import WIRE_KINDS, Faults, RigError
from hil.rig.modbus import ModbusError, RtuServer, TcpServer, Unit, with_crc


class Memory:
    """Registers 0..9; register 9 cannot be written."""

    def __init__(self) -> None:
        self.words = list(range(100, 110))

    def read(self, function: int, address: int, count: int) -> list[int]:
        if address + count > 10:
            raise ModbusError(modbus.ILLEGAL_ADDRESS)
        return self.words[address : address + count]

    def write(self, address: int, values: list[int]) -> None:
        if address + len(values) > 9:
            raise ModbusError(modbus.ILLEGAL_ADDRESS)
        self.words[address : address + len(values)] = values


def unit(number: int = 3) -> Unit:
    faults = Faults("m", {**WIRE_KINDS, **modbus.KINDS})
    return Unit(number, Memory(), faults)


def test_crc_of_the_specification() -> None:
    assert with_crc(bytes.fromhex("010300000001")) == bytes.fromhex("010300000001840A")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("0300000002", "0304 0064 0065"),
        ("0400090001", "0402 006d"),
        ("0300090002", "8302"),
        ("0300000000", "8303"),
        ("030000007e", "8303"),
        ("0600010007", "0600010007"),
        ("0600090007", "8602"),
        ("10000100020400070008", "1000010002"),
        ("100001000203000700", "9003"),
        ("10000000000000", "9003"),
        ("1000", "9001"),
        ("2b0e0100", "ab01"),
        ("03", "8301"),
    ],
)
def test_pdus(question: str, answer: str) -> None:
    memory = Memory()
    assert modbus.answer_pdu(memory, bytes.fromhex(question)) == bytes.fromhex(answer)


def test_write_many_is_stored() -> None:
    memory = Memory()
    modbus.answer_pdu(memory, bytes.fromhex("10000100020400070008"))
    assert memory.words[1:3] == [7, 8]


READ = with_crc(bytes.fromhex("030300000001"))
ANSWER = with_crc(bytes.fromhex("0303020064"))


def test_rtu_answers_whole_frames_only() -> None:
    server = RtuServer(unit())
    assert server.receive(READ[:4], 1.0) == []
    assert server.receive(READ[4:], 1.01) == [ANSWER]
    assert server.receive(READ + READ, 2.0) == [ANSWER, ANSWER]


@pytest.mark.parametrize(
    "line",
    [
        READ[:-1] + bytes([READ[-1] ^ 1]),  # wrong CRC
        with_crc(bytes.fromhex("040300000001")),  # another unit
        READ[1:],
    ],
)
def test_rtu_silence(line: bytes) -> None:
    server = RtuServer(unit())
    assert server.receive(line, 1.0) == []
    assert server.receive(READ, 2.0) == [ANSWER]  # a gap starts afresh


def test_tcp_glued_split_and_unknown_units() -> None:
    server = TcpServer({3: unit(3)})
    ask = struct.pack(">HHHB", 7, 0, 6, 3) + bytes.fromhex("0300000001")
    other = struct.pack(">HHHB", 8, 0, 6, 4) + bytes.fromhex("0300000001")
    got = [frame for _, frame in server.receive(ask + other + ask[:5])]
    assert got == [struct.pack(">HHHB", 7, 0, 5, 3) + bytes.fromhex("03020064")]
    assert len(server.receive(ask[5:])) == 1


@pytest.mark.parametrize("head", ["0001000100060303", "0001000000010303"])
def test_tcp_refuses_what_is_not_modbus(head: str) -> None:
    with pytest.raises(ModbusError):
        TcpServer({3: unit()}).receive(bytes.fromhex(head))


@pytest.mark.parametrize(
    ("kind", "args", "answer"),
    [
        ("comm_loss", {}, None),
        ("wrong_id", {}, (4, bytes.fromhex("03020064"))),
        ("exception", {}, (3, bytes.fromhex("8304"))),
        ("exception", {"code": 6}, (3, bytes.fromhex("8306"))),
    ],
)
def test_unit_faults(
    kind: str, args: dict[str, float], answer: tuple[int, bytes] | None
) -> None:
    device = unit()
    device.faults.set(kind, True, args)
    assert device.answer(bytes.fromhex("0300000001")) == answer


DATA = bytes(range(8))


@pytest.mark.parametrize(
    ("kind", "args", "chunks"),
    [
        ("silent", {}, []),
        ("comm_loss", {}, []),
        ("slow", {"ms": 250}, [(0.25, DATA)]),
        ("short", {}, [(0.0, DATA[:-1])]),
        ("split", {"ms": 20}, [(0.0, DATA[:4]), (0.02, DATA[4:])]),
        ("corrupt", {}, [(0.0, DATA[:4] + b"\x00" + DATA[5:])]),
    ],
)
def test_wire_faults(
    kind: str, args: dict[str, float], chunks: list[tuple[float, bytes]]
) -> None:
    faults = Faults("x", WIRE_KINDS)
    assert faults.distort(DATA) == [(0.0, DATA)]
    faults.set(kind, True, args)
    assert faults.distort(DATA) == chunks
    faults.set(kind, False, {})
    assert faults.distort(DATA) == [(0.0, DATA)]


def test_corrupt_every_third() -> None:
    faults = Faults("x", WIRE_KINDS)
    faults.set("corrupt", True, {"every": 3})
    wrong = [faults.distort(DATA)[0][1] != DATA for _ in range(6)]
    assert wrong == [False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("nope", {}),
        ("slow", {"msec": 5}),
        ("slow", {"ms": "x"}),
        ("slow", {"ms": float("inf")}),
    ],
)
def test_faults_refuse_what_they_do_not_know(kind: str, args: dict[str, float]) -> None:
    with pytest.raises(RigError, match="x "):
        Faults("x", WIRE_KINDS).set(kind, True, args)
