"""How child processes end: always, whoever waits for it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from chargerd.process import end

STUBBORN = "import sys, time; sys.stdin.read(); print(1, flush=True); time.sleep(60)"
OBEDIENT = "import sys; sys.stdin.read()"
TALKATIVE = "import sys; sys.stdout.write('x' * 1_000_000); sys.stdin.read()"


async def child(text: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", text, stdin=PIPE, stdout=PIPE
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "patience_s", "status"), [(OBEDIENT, 20.0, 0), (STUBBORN, 0.0, -9)]
)
async def test_it_ends_by_its_stdin_or_by_force(
    text: str, patience_s: float, status: int
) -> None:
    process = await child(text)
    await end(process, patience_s)
    assert process.returncode == status
    await end(process, patience_s)  # no second time
    await end(None, patience_s)


@pytest.mark.asyncio
async def test_who_is_cancelled_while_it_waits_leaves_none_behind() -> None:
    process = await child(STUBBORN)
    waiting = asyncio.create_task(end(process, 60.0))
    assert process.stdout is not None
    async with asyncio.timeout(20.0):
        await process.stdout.readline()  # its stdin is closed
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert process.returncode == -9


@pytest.mark.asyncio
@pytest.mark.timeout(20)
async def test_what_it_said_and_nobody_read_does_not_hold_its_end() -> None:
    """Python 3.11's wait() ends with the pipes, and one that is full is not read."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TALKATIVE, stdin=PIPE, stdout=PIPE, limit=16
    )
    assert process.stdout is not None
    await process.stdout.readexactly(1)  # the reader has more than it takes
    await end(process, 0.0)
    assert process.returncode == -9
