"""Starts exi_jar_server.py in the wheel's own venv and asks it: bytes and XML.

The venv is made on first use (PyPI `iso15118`, whose exact pins do not go with ours).
Owns no comparison.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

WHEEL = "iso15118==0.31.2"
VENV = Path(__file__).parents[2] / "out" / "interop" / "iso15118-venv"
SERVER = Path(__file__).with_name("exi_jar_server.py")


class JarRefusedError(Exception):
    """The jar gave an error instead of an answer; the text is the jar's."""


def install() -> Path:
    """The Python of the wheel's venv; skips without Java."""
    if shutil.which("java") is None:
        pytest.skip("Java is not installed (Debian: default-jre-headless)")
    python = VENV / "bin" / "python"
    if not list(VENV.glob("lib/python3*/site-packages/iso15118/shared/EXICodec.jar")):
        VENV.parent.mkdir(parents=True, exist_ok=True)
        commands: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", VENV],
            [python, "-m", "pip", "install", "--quiet", WHEEL],
        ]
        for command in commands:
            subprocess.run(command, check=True, timeout=300, capture_output=True)
    return python


class Jar:
    """One JVM; use as a context. `way` is "xsd", "jar" or "face", see the server."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [install(), SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        if self._answer() != {"ready": True}:
            raise RuntimeError("the jar's server did not start")

    def __enter__(self) -> Jar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def encode(
        self, schema: str, text: str, *, way: str = "xsd", fragment: bool = False
    ) -> bytes:
        """XML, or for way "face" the wheel's JSON, to EXI."""
        return bytes.fromhex(
            self._ask(way=way, schema=schema, text=text, fragment=fragment)["hex"]
        )

    def decode(
        self, schema: str, data: bytes, *, way: str = "xsd", fragment: bool = False
    ) -> str:
        """EXI to XML, or for way "face" to the wheel's JSON."""
        return str(
            self._ask(way=way, schema=schema, hex=data.hex(), fragment=fragment)["text"]
        )

    def _ask(self, **question: Any) -> dict[str, Any]:
        if self._process.stdin is None:
            raise RuntimeError("the jar's server has no stdin")
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise JarRefusedError(answer["error"])
        return answer

    def _answer(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise RuntimeError("the jar's server has no stdout")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the jar's server ended ({self._process.poll()})")
        answer: dict[str, Any] = json.loads(line)
        return answer
