"""Writing that is whole or not at all, and on the flash when it returns."""

from __future__ import annotations

import os
from pathlib import Path


def append_whole(path: Path, data: bytes, at: int) -> None:
    """Append behind the first `at` bytes; what a full disk took only in part is cut off
    again, and of a new file the name comes first. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        if at == 0:
            sync_folder(path.parent)
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fdatasync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), at)
            raise


def sync_folder(folder: Path) -> None:
    """The names of new files are on the flash, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
