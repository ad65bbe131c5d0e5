"""A real rig process, spoken to as a daemon and a test system would: on its wires."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hil.stand import BENCH, Stand, StandError

pytestmark = pytest.mark.process


@asynccontextmanager
async def stand(folder: Path, *args: str) -> AsyncIterator[Stand]:
    one = Stand(folder)
    try:
        await one.start_rig(BENCH, *args)
        yield one
    finally:
        await one.stop()


@contextmanager
def line(path: Path) -> Iterator[int]:
    """A host's end of a serial link."""
    handle = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield handle
    finally:
        os.close(handle)


def hear(handle: int, want: bytes, seconds: float = 3.0) -> bytes:
    """Everything up to and with `want`."""
    data, end = b"", time.monotonic() + seconds
    while want not in data:
        left = end - time.monotonic()
        assert left > 0, f"never heard {want!r}, but {data!r}"
        if select.select([handle], [], [], left)[0]:
            data += os.read(handle, 4096)
    return data


def crc8(data: bytes) -> int:
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def charge_control(word: int) -> bytes:
    body = b"\x06" + word.to_bytes(8, "big")
    return b"\xa5" + body + bytes((crc8(body), 0x03))


async def modbus(port: int, unit: int, address: int, count: int) -> bytes:
    """The register bytes of one FC04 question over TCP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(struct.pack(">HHHBBHH", 77, 0, 6, unit, 4, address, count))
        async with asyncio.timeout(2):
            head = await reader.readexactly(9)
            assert head[:2] == (77).to_bytes(2, "big")
            return await reader.readexactly(head[8])
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_every_kind_of_wire(tmp_path: Path) -> None:
    async with stand(tmp_path) as one:
        with line(tmp_path / "evse1-mcu") as mcu:
            os.write(mcu, charge_control(0))
            state = hear(mcu, b"\xa5\x07")
            assert b"\xa5\x07" in state
        with line(tmp_path / "evse1-mcu") as mcu:  # a restarted daemon
            os.write(mcu, charge_control(0))
            hear(mcu, b"\xa5\x07")
        with line(tmp_path / "evse2-stage") as can:
            os.write(can, b"C\rS4\rO\r")
            os.write(can, b"T02A33FF081010000000000000\r")
            assert b"T02A3F03F8" in hear(can, b"T02A3F03F81010000000000001\r")
        with line(tmp_path / "evse1-insulation") as rtu:
            asked = time.monotonic()
            os.write(rtu, bytes.fromhex("030326480001") + b"\x00\x00")  # wrong CRC
            assert not select.select([rtu], [], [], 0.1)[0]
            os.write(rtu, _with_crc(bytes.fromhex("030326480001")))
            hear(rtu, b"\x03\x03\x02is")
            assert time.monotonic() - asked > 0.1 + 15 * 11 / 19_200
        with line(tmp_path / "evse2-reader") as reader:
            await one.rig.ask(verb="swipe", token="04a1b2c3", connectors=[2])
            assert hear(reader, b"\r\n") == b"\x0204a1b2c3\r\n"
        port = 15020 + one.offset
        volts, hertz = await modbus(port, 1, 0, 2), await modbus(port, 10, 0x46, 2)
        assert struct.unpack(">f", volts)[0] == pytest.approx(230, abs=2)
        assert struct.unpack(">f", hertz)[0] == pytest.approx(50, abs=0.1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(modbus(port, 99, 0, 2), 0.3)


def _with_crc(body: bytes) -> bytes:
    crc = 0xFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return body + crc.to_bytes(2, "little")


@pytest.mark.asyncio
async def test_verbs_trace_and_end(tmp_path: Path) -> None:
    async with stand(tmp_path, "--log", str(tmp_path / "wire.log")) as one:
        ask = one.rig.ask
        assert (await ask(verb="plug_in", connector=1, ev="external", id=7))["id"] == 7
        await ask(verb="pilot", connector=1, state="C")
        await ask(verb="grid", frequency_hz=49.8, voltage_v=228)
        await ask(verb="load", power_w=1234)
        await ask(verb="error", error="EmergencyStop", connector=2)
        await ask(
            verb="fault", device="evse1-meter", kind="silent", on=True, seconds=1.0
        )
        port = 15020 + one.offset
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(modbus(port, 1, 0, 2), 0.2)
        await _until(lambda s: "evse1-meter" not in s["faults"], one)
        await modbus(port, 1, 0, 2)
        state = await _until(lambda s: s["evses"]["2"]["mcu"]["reason"] == 16, one)
        assert state["evses"]["1"]["pilot"] == "C"
        assert state["grid"]["frequency_hz"] == 49.8
        assert state["grid"]["house_load_w"] == 1234
        await ask(verb="fault", device="all", kind="", on=False)
        assert (await ask(verb="state"))["faults"] == {}
        help_ = await ask(verb="help")
        assert "derate" in help_["devices"]["evse1-stage"]
        assert "EmergencyStop" in help_["errors"]
        for wrong in WRONG:
            with pytest.raises(StandError):
                await ask(**wrong)
        assert (await ask(verb="plug_out", connector=1))["forced"] is False
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hil.rig", "--bench", str(BENCH),
            "--dir", str(tmp_path), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await other.communicate()
        assert other.returncode == 2
        assert f"pid {one.children['rig'].pid}" in errors.decode()
        one.rig.close()
        assert await one.end("rig") == 0
    left = set(os.listdir(tmp_path))
    assert left == {"rig.lock", "rig.log", "trace.jsonl", "wire.log"}
    assert (tmp_path / "rig.log").read_text() == ""
    lines = [json.loads(x) for x in (tmp_path / "trace.jsonl").read_text().splitlines()]
    verbs = [x["verb"] for x in lines if x.get("event") == "verb"]
    assert verbs[:3] == ["plug_in", "pilot", "grid"]
    samples = [x["t_mono"] for x in lines if x["kind"] == "sample"]
    rate = (len(samples) - 1) / (samples[-1] - samples[0])
    assert 8 < rate < 21
    assert "modbus-tcp >" in (tmp_path / "wire.log").read_text()


WRONG: list[dict[str, Any]] = [
    {"verb": "nope"},
    {"verb": "plug_in", "connector": 9, "ev": "basic"},
    {"verb": "plug_in", "connector": 2, "ev": "iso15118", "tls": True},
    {"verb": "plug_in", "connector": 2, "ev": "boat"},
    {"verb": "plug_in", "connector": 2, "ev": "basic", "wings": 2},
    {"verb": "plug_in", "connector": 1, "ev": "basic"},  # taken
    {"verb": "plug_out", "connector": 2},
    {"verb": "pause", "connector": 2},
    {"verb": "pilot", "connector": 1, "state": "G"},
    {"verb": "swipe", "token": "x\u0002y"},
    {"verb": "swipe", "token": "04", "connectors": []},
    {"verb": "ws", "up": "no"},
    {"verb": "ws", "up": False, "how": "melt"},
    {"verb": "error", "error": "BadLuck"},
    {"verb": "error", "error": "EmergencyStop", "on": 1},
    {"verb": "grid", "frequency_hz": 1e400},
    {"verb": "load"},
    {"verb": "fault", "device": "evse1-toaster", "kind": "silent"},
    {"verb": "fault", "device": "evse1-meter", "kind": "melted"},
    {"verb": "fault", "device": "evse2-ev", "kind": "silent"},
]


async def _until(test: Any, one: Stand) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            state = await one.rig.ask(verb="state")
            if test(state):
                return state
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_bad_lines_do_no_harm(tmp_path: Path) -> None:
    async with stand(tmp_path) as one:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        for bad in (b"{", b"[]", b"\xff\xfe", b"[" * 5000, b'{"verb": 5}', b""):
            writer.write(bad + b"\n")
            assert json.loads(await reader.readline())["ok"] is False
        writer.write(b"x" * 100_000 + b"\n")
        assert json.loads(await reader.readline())["ok"] is False
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        assert (await one.rig.ask(verb="help"))["ok"]


@pytest.mark.asyncio
async def test_the_link_to_the_csms(tmp_path: Path) -> None:
    served: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with stand(tmp_path) as one:
        note = await one.rig.ask(verb="ws", up=True)
        assert "nobody" in note["note"]
        server = await asyncio.start_server(echo, "127.0.0.1", one.csms_port)
        reader, writer = await asyncio.open_connection("127.0.0.1", one.link_port)
        writer.write(b"one")
        assert await asyncio.wait_for(reader.readexactly(3), 2) == b"one"
        frozen = await one.rig.ask(verb="ws", up=False, how="freeze")
        assert (frozen["connections"], frozen["cut"]) == (1, 0)
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(3), 0.2)
        await one.rig.ask(verb="ws", up=True)
        assert await asyncio.wait_for(reader.readexactly(3), 2) == b"two"
        await one.rig.ask(verb="fault", device="csms-link", kind="delay", ms=150)
        start = time.monotonic()
        writer.write(b"six")
        assert await asyncio.wait_for(reader.readexactly(3), 3) == b"six"
        assert time.monotonic() - start >= 0.3  # there and back
        assert (await one.rig.ask(verb="ws", up=False))["cut"] == 1
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 2)
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection("127.0.0.1", one.link_port)
        await one.rig.ask(verb="ws", up=True)
        _, again = await asyncio.open_connection("127.0.0.1", one.link_port)
        for end in (again, writer):
            end.close()
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()
        server.close()
    await asyncio.wait(served, timeout=3)


@pytest.mark.asyncio
async def test_a_killed_rig_is_replaced(tmp_path: Path) -> None:
    async with stand(tmp_path) as one:
        one.kill("rig", signal.SIGKILL)
        await one.children["rig"].wait()
        assert (tmp_path / "evse1-mcu").is_symlink()
        await one.start_rig(BENCH)
        with line(tmp_path / "evse1-mcu") as mcu:
            hear(mcu, b"\xa5\x07")
