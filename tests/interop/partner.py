"""A partner library in a venv of its own: install it, talk to a script in it by lines.

Owns no judgement. A script reads one JSON value a line and answers each with one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.process import until

OUT = Path(__file__).parents[2] / "out" / "interop"
LINE_MAX = 1 << 20


def install(name: str, version: str, *more: str) -> Path:
    """The Python of a venv with `name` (as its .dist-info spells it) and what else its
    script needs; skips where it cannot be had."""
    venv = OUT / name
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=120)
    if not list(venv.glob(f"lib/python3*/site-packages/{name}-{version}.dist-info")):
        pip = [python, "-m", "pip", "install", "--quiet", f"{name}=={version}", *more]
        done = subprocess.run(pip, capture_output=True, timeout=180, check=False)
        if done.returncode:
            pytest.skip(f"{name} {version} cannot be installed here")
    return python


class Partner:
    """The script, running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, verb: str, *arguments: Any, limit_s: float = 30.0) -> Any:
        """One line out, one line back; "error" in it fails the test."""
        if self._process.stdin is None:
            raise AssertionError("no pipe")
        self._process.stdin.write(json.dumps([verb, *arguments]).encode() + b"\n")
        return await self.hear(limit_s, verb)

    async def hear(self, limit_s: float = 30.0, verb: str = "start") -> Any:
        """The next line that it says."""
        if self._process.stdout is None:
            raise AssertionError("no pipe")
        line = await asyncio.wait_for(self._process.stdout.readline(), limit_s)
        if not line:
            raise AssertionError(f"{verb}: the partner has died")
        return json.loads(line)

    async def seen(self, key: str, count: int = 1) -> Any:
        """All that it has seen of a kind, once there are so many."""

        async def there() -> Any:
            found = (await self.ask("seen")).get(key, [])
            return len(found) >= count and found

        return await until(f"{count} of {key}", there, 30.0)


@asynccontextmanager
async def partner(python: Path, script: Path, *words: str) -> AsyncIterator[Partner]:
    process = await asyncio.create_subprocess_exec(
        python,
        script,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_MAX,
    )
    try:
        yield Partner(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
