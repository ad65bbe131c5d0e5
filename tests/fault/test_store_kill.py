"""kill -9 at random moments: what `append` returned is there once, what was removed
is gone, ids never repeat. The child tells each step on a pipe after it happened."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from chargerd.store import Store

CHILD = """
import asyncio, sys
from pathlib import Path
from chargerd.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]))
    while True:
        ids = []
        for n in range(4):
            number = await store.outbox.append("k", b"x" * 300, thinnable=False)
            print("append", number, flush=True)
            ids.append(number)
        print("removing", *ids[:2], flush=True)
        await store.outbox.remove(ids[:2])
        print("removed", *ids[:2], flush=True)

asyncio.run(main())
"""


@pytest.mark.process
@pytest.mark.asyncio
async def test_nothing_lost_and_nothing_twice_over_kills(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    chance = random.Random(2026)
    held: set[int] = set()
    used: set[int] = set()
    for _ in range(8):
        said = _run_and_kill(path, chance.randrange(1, 150))
        appended, removed = said["append"], said["removed"]
        torn = said["removing"] - removed  # asked for, not yet answered
        assert not appended & used, "an id was used twice"
        used |= appended
        held = (held | appended) - removed

        store = await Store.open(path)
        assert store.fault == ""
        found = {entry.id for entry in await store.outbox.batch(0, 100_000)}
        await store.close()
        assert held - found in (set(), torn), "an append that returned was lost"
        # An append in progress when the signal struck may or may not have happened.
        assert len(found - held) <= 1
        held = found
        used |= found
    assert len(used) > 50


def _run_and_kill(path: Path, lines: int) -> dict[str, set[int]]:
    """Let the child take `lines` steps, kill it; returns what it said, by verb."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True
    )
    if child.stdout is None:
        raise RuntimeError("no pipe")
    lines_said = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    lines_said += child.stdout.readlines()
    child.stdout.close()
    child.wait(timeout=10)
    said: dict[str, set[int]] = {"append": set(), "removing": set(), "removed": set()}
    for line in lines_said:
        verb, *numbers = line.split()
        said[verb].update(map(int, numbers))
    return said
