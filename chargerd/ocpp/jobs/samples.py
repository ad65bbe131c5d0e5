"""The file of the DataCollector: samples are appended off the loop, in two halves.

Owns the file's place and size: when the newer half is full, the older one is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from chargerd.config import Config
from chargerd.ocpp.effects import OcppError

HEADER = "time,evse,measurand,phase,value"
HALF_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AppendSamples:
    """CSV rows in the order they were taken. Yields how many were written."""

    rows: tuple[str, ...]


def files(config: Config) -> tuple[Path, Path]:
    """The older half and the newer one; either may be missing."""
    folder = config.store.path.parent
    return folder / "data-collector.old.csv", folder / "data-collector.csv"


def appender(
    config: Config,
) -> Callable[[AppendSamples], AsyncIterator[int]]:
    older, newer = files(config)

    async def append(task: AppendSamples) -> AsyncIterator[int]:
        try:
            yield await asyncio.to_thread(_append, older, newer, task.rows)
        except OSError as error:
            raise OcppError(f"{newer}: {error}") from error

    return append


def _append(older: Path, newer: Path, rows: tuple[str, ...]) -> int:
    fresh = not newer.exists()
    if not fresh and newer.stat().st_size >= HALF_BYTES:
        newer.replace(older)
        fresh = True
    lines = [HEADER, *rows] if fresh else rows
    with newer.open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    return len(rows)
