"""Files that are there whole or not at all, whatever happens meanwhile.

Owns atomic replacement: written beside, on the disk, then renamed. New files can be
read by their owner only. Blocks: off the loop.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def replace_file(file: Path, content: bytes | None) -> None:
    """Write it anew, or remove it (None); on the disk when this returns."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if content is None:
        file.unlink(missing_ok=True)
    else:
        fresh = file.with_name(f"{file.name}.new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    sync(file.parent)


def open_to_append(file: Path) -> BinaryIO:
    """A file that only we may read; made where it is not there yet."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(handle, "ab")


def sync(folder: Path) -> None:
    """What was renamed or removed there stays so."""
    with _opened(folder) as handle:
        os.fsync(handle)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)
