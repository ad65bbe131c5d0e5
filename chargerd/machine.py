"""What the machine tells of itself. Reads, never changes anything."""

from __future__ import annotations

from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Changes with every start of the machine; "" where the kernel does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def seen(path: Path) -> bool:
    """Whether it is there for this user: where we may not enter we see nothing."""
    try:
        return path.exists()
    except OSError:
        return False
