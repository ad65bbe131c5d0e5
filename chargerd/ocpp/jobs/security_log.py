"""The security log: a text file that rolls over, one event a line (A04.FR.04).

Owns `security.log` beside the state database, and the files that it rolls into. Never
holds a secret: who raises an event says no value.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from chargerd.config import Config
from chargerd.ocpp.effects import OcppError
from chargerd.trust.files import open_to_append

MAX_BYTES = 256 * 1024
OLD_FILES = 3  # of the same size


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line, without its end. Yields a Written."""

    line: str


@dataclass(frozen=True, slots=True)
class Written:
    """`is_new`: there was no log before."""

    is_new: bool


class SecurityLog:
    """Appends in order; the newest file is the one without a number."""

    def __init__(self, config: Config) -> None:
        self.file = file_of(config)
        self._lock = asyncio.Lock()

    async def __call__(self, task: LogEvent) -> AsyncIterator[Written]:
        async with self._lock:
            yield await asyncio.to_thread(self._append, task.line)

    def _append(self, line: str) -> Written:
        """Raises OcppError when the disk refuses."""
        try:
            is_new = not self.file.exists() and not _old(self.file, 1).exists()
            if self.file.exists() and self.file.stat().st_size >= MAX_BYTES:
                for number in range(OLD_FILES, 0, -1):
                    before = _old(self.file, number - 1)
                    if before.exists():
                        before.replace(_old(self.file, number))
            with open_to_append(self.file) as out:
                out.write(f"{line}\n".encode())
        except OSError as error:
            raise OcppError(f"security log {self.file}: {error}") from error
        return Written(is_new)


def file_of(config: Config) -> Path:
    return config.store.path.parent / "security.log"


def files_of(config: Config) -> list[Path]:
    """All that there are, oldest first: together they are the log."""
    named = [_old(file_of(config), number) for number in range(OLD_FILES, -1, -1)]
    return [file for file in named if file.is_file()]


def _old(newest: Path, number: int) -> Path:
    """The file before the newest, and so on; 0 is the newest itself."""
    return newest.with_name(f"{newest.name}.{number}") if number else newest
