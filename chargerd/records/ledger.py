"""The chain on disk: numbered files of JSON lines; too many, and the oldest go.

Blocking file work: never on the loop. One writer; readers may read at any time. A torn
last line (power cut) is cut off when writing goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from chargerd.records import chain
from chargerd.records.chain import Link, Record, Verdict
from chargerd.records.errors import RecordsError
from chargerd.records.files import append_whole

FILE_BYTES = 4 * 1024 * 1024
FILES = 64  # 256 MiB: years of two EVSEs
SUFFIX = ".jsonl"


class Ledger:
    """`append` writes durably; `links` and `verify` read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._bytes = 0
        self._number = 0
        self.head = chain.START
        self.torn_bytes = 0  # cut off at the start, from the last power cut
        self.lost = ""  # why a new chain had to begin

    def append(self, records: Sequence[Record]) -> None:
        """On the flash when it returns. Raises OSError, and RecordsError for what JSON
        cannot hold; nothing of it is kept then."""
        if not records:
            return
        if self._path is None:
            self._resume()
        if self._path is None or self._bytes >= FILE_BYTES:
            self._begin()
        number, head, lines = self._number, self.head, []
        for record in records:
            number += 1
            try:
                line, head = chain.link(number, head, record)
            except (TypeError, ValueError) as error:
                raise RecordsError(f"a record is no JSON: {error}") from error
            lines.append(line)
        data = "".join(lines).encode()
        if self._path is None:
            raise RecordsError("no file is open")
        append_whole(self._path, data, self._bytes)
        self._bytes += len(data)
        self._number, self.head = number, head

    def links(self) -> Iterator[Link]:
        """Every record, oldest first; RecordsError at one that cannot be read."""
        for place, line in self._lines():
            try:
                yield chain.read(line)
            except chain.BadLine as error:
                raise RecordsError(f"{place}: {error}") from error

    def verify(self, head: str = "") -> Verdict:
        return chain.verify(self._lines(), head)

    def _lines(self) -> Iterator[tuple[str, str]]:
        """(file and line, text); a torn last line is none."""
        for path in self._paths():
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # the writer took the oldest one away meanwhile
                continue
            text = data[: data.rfind(b"\n") + 1].decode("utf-8", "replace")
            for number, line in enumerate(text.splitlines(), 1):
                yield f"{path.name}:{number}", line

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]" * 8 + SUFFIX))

    def _resume(self) -> None:
        """Go on behind the last whole line. Where it cannot be read a new chain
        begins in a new file, and `verify` will name the place."""
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = self._paths()
        if not paths:
            return
        data = paths[-1].read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            self.torn_bytes = len(data) - end
            with paths[-1].open("r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())
        if end == 0 and len(paths) > 1:
            paths[-1].unlink()
            self._resume()
            return
        lines = data[:end].splitlines()
        if lines:
            try:
                last = chain.read(lines[-1].decode())
            except (chain.BadLine, UnicodeDecodeError) as error:
                self.lost = f"{paths[-1]}: {error}; a new chain begins"
                return
            self._number, self.head = last.number, last.hash
        self._path, self._bytes = paths[-1], end

    def _begin(self) -> None:
        paths = self._paths()
        number = int(paths[-1].stem) + 1 if paths else 1
        self._path, self._bytes = self._folder / f"{number:08d}{SUFFIX}", 0
        while len(paths) >= FILES:
            paths.pop(0).unlink(missing_ok=True)
