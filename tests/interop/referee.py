"""Starts the strict CSMS (strict_csms.js on npm `ocpp-rpc`) and talks to it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "ocpp-rpc@2.2.1"
FOLDER = Path(__file__).parents[2] / "out" / "interop"
SCRIPT = Path(__file__).with_name("strict_csms.js")


def install() -> Path:
    """The folder of node modules, filled by npm on first use; skips without Node."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("Node and npm are not installed")
    modules = FOLDER / "node_modules"
    if not (modules / "ocpp-rpc" / "package.json").is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--prefix", FOLDER, PACKAGE],
            check=True,
            timeout=120,
            capture_output=True,
        )
    return modules


@dataclass
class Referee:
    """One strict CSMS. `breaches` must stay empty."""

    process: asyncio.subprocess.Process
    port: int = 0
    links: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    breaches: list[dict[str, Any]] = field(default_factory=list)
    _results: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        """Sort the script's lines until it ends."""
        stdout = self.process.stdout
        if stdout is None:
            raise RuntimeError("the referee has no stdout")
        async for line in stdout:
            value = json.loads(line)
            kind = value.pop("kind")
            if kind == "ready":
                self.port = value["port"]
            elif kind == "link":
                self.links.append(value)
            elif kind == "call":
                self.calls.append((value["action"], value["params"]))
            elif kind == "breach":
                self.breaches.append(value)
            elif kind == "result":
                self._results.put_nowait(value)
            self._changed.set()

    async def call(self, action: str, params: dict[str, Any]) -> dict[str, Any]:
        """A CALL to the station: its result, or {"error": code, "text": ...}."""
        return await self._order({"action": action, "params": params})

    async def answer(self, action: str, result: dict[str, Any]) -> None:
        """From now on the station's CALLs with this action get this result."""
        await self._order({"action": action, "answer": result})

    async def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        stdin = self.process.stdin
        if stdin is None:
            raise RuntimeError("the referee has no stdin")
        stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(10):
            await stdin.drain()
            value = await self._results.get()
        result: dict[str, Any] = value.get("result", value)
        return result

    def got(self, action: str) -> list[dict[str, Any]]:
        """The payloads of the station's CALLs with this action, oldest first."""
        return [params for name, params in self.calls if name == action]

    async def until(self, what: str, condition: Callable[[], Any]) -> None:
        """Wait for `condition`; fails with `what` and what had come so far."""
        try:
            async with asyncio.timeout(15):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            names = [name for name, _ in self.calls]
            pytest.fail(f"no {what}; got {names}; breaches {self.breaches}")


@asynccontextmanager
async def referee(protocol: str, port: int = 0) -> AsyncIterator[Referee]:
    """A running referee for one subprotocol, ended with the block."""
    modules = await asyncio.to_thread(install)
    process = await asyncio.create_subprocess_exec(
        "node",
        SCRIPT,
        str(port),
        protocol,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(modules)},
        limit=2**22,
    )
    one = Referee(process)
    reader = asyncio.create_task(one.read())
    try:
        await one.until("ready line", lambda: one.port)
        yield one
    finally:
        process.kill()
        await process.wait()
        await reader
