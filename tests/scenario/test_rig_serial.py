"""Serial details of the rig on real ptys: pacing, wrong speed, a meter of its own."""

from __future__ import annotations

import asyncio
import os
import termios
import time
from pathlib import Path

import pytest

from hil.rig.wires import Pty

pytestmark = pytest.mark.process


async def _heard(handle: int, count: int) -> bytes:
    data = b""
    os.set_blocking(handle, False)
    async with asyncio.timeout(3):
        while len(data) < count:
            try:
                data += os.read(handle, 4096)
            except BlockingIOError:
                await asyncio.sleep(0.001)
    return data


@pytest.mark.asyncio
async def test_character_time_both_ways(tmp_path: Path) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    pty = Pty(tmp_path / "line", lambda d, _: got.put_nowait(d), baud=9600)
    host = os.open(tmp_path / "line", os.O_RDWR | os.O_NOCTTY)
    try:
        start = time.monotonic()
        pty.send([(0.0, bytes(48)), (0.0, bytes(48))])
        assert await _heard(host, 96) == bytes(96)
        assert time.monotonic() - start >= 96 * 10 / 9600
        start = time.monotonic()
        os.write(host, bytes(48))
        assert await asyncio.wait_for(got.get(), 3) == bytes(48)
        assert time.monotonic() - start >= 48 * 10 / 9600
    finally:
        os.close(host)
        pty.close()
    assert not (tmp_path / "line").is_symlink()


@pytest.mark.asyncio
async def test_another_speed_is_garbage_both_ways(tmp_path: Path) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    pty = Pty(tmp_path / "line", lambda d, _: got.put_nowait(d), baud=115_200)
    host = os.open(tmp_path / "line", os.O_RDWR | os.O_NOCTTY)
    try:
        assert not pty.garbled
        mode = termios.tcgetattr(host)
        mode[4] = mode[5] = termios.B9600
        termios.tcsetattr(host, termios.TCSANOW, mode)
        assert pty.garbled
        pty.send([(0.0, b"hello")])
        heard = await _heard(host, 5)
        assert heard != b"hello"
        os.write(host, b"hello")
        assert await asyncio.wait_for(got.get(), 3) != b"hello"
    finally:
        os.close(host)
        pty.close()


@pytest.mark.asyncio
async def test_nobody_reads_and_nothing_blocks(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "line", lambda *_: None)
    try:
        for _ in range(200):
            pty.send([(0.0, bytes(1000))])
        assert pty.dropped_bytes > 100_000
    finally:
        pty.close()
