"""Files the rig writes: the trace (JSON lines) and the wire log (text lines).

Times are `time.monotonic()`, comparable across processes of one machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any, TextIO


class Trace:
    """`kind: sample` lines at a fixed rate and `kind: event` lines as they happen."""

    PERIOD_S = 0.05

    def __init__(self, path: Path | None) -> None:
        self._file = _open(path)

    def event(self, event: str, **facts: Any) -> None:
        self._write({"t_mono": monotonic(), "kind": "event", "event": event, **facts})

    def sample(self, now: float, facts: dict[str, Any]) -> None:
        self._write({"t_mono": now, "kind": "sample", **facts})

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class WireLog:
    """Every byte on every wire: `t_mono link direction hex`; `<` is from the daemon."""

    def __init__(self, path: Path | None) -> None:
        self._file = _open(path)

    def __call__(self, wire: str, direction: str, data: bytes) -> None:
        if self._file is not None:
            stamp = f"{monotonic():.6f}"
            self._file.write(f"{stamp} {wire} {direction} {data.hex()}\n")

    @property
    def on(self) -> bool:
        return self._file is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _open(path: Path | None) -> TextIO | None:
    if path is None:
        return None
    return path.open("a", encoding="utf-8", buffering=1)
