"""A file that is being downloaded: what is there of it, and of which version.

Owns the note beside the file by which a download goes on after a break or a restart.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chargerd.ocpp.jobs.address import TransferError
from chargerd.trust.files import replace_file

BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """`file` grows to at most `most` bytes. `source`: where it comes from."""

    file: Path
    source: str
    most: int

    @property
    def _note(self) -> Path:
        return self.file.with_name(f"{self.file.name}.from")

    @property
    def _source(self) -> str:
        """A digest: the address may hold a password."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def known(self) -> tuple[int, str]:
        """Bytes that are there of this source, and their validator ("" = none)."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if note["source"] == self._source:
                return self.file.stat().st_size, str(note["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""
        return 0, ""

    def open(self, offset: int, validator: str) -> BinaryIO:
        """To write on from `offset`; what lies behind it goes."""
        note = {"source": self._source, "validator": validator}
        replace_file(self._note, json.dumps(note).encode())
        out = self.file.open("r+b" if offset else "wb")
        out.truncate(offset)
        out.seek(offset)
        return out

    def check(self, size: int) -> None:
        if size > self.most:
            raise TransferError(f"more than {self.most} bytes")
