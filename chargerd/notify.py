"""sd_notify: one datagram to the service manager per state. No package needed.

Silent when not started by systemd (no NOTIFY_SOCKET). Never raises, never blocks.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends READY, STATUS, WATCHDOG and STOPPING; see sd_notify(3)."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        address = env.get("NOTIFY_SOCKET", "")
        # "@name" is Linux's abstract namespace: its first byte is zero.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(env)

    def ready(self, status: str = "running") -> None:
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={_line(text)}")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self, extend_s: float = 0.0) -> None:
        """Stop began; `extend_s` asks for more time than TimeoutStopSec."""
        text = "STOPPING=1\nSTATUS=stopping: power to 0 W"
        if extend_s > 0:
            text += f"\nEXTEND_TIMEOUT_USEC={int(extend_s * 1e6)}"
        self._send(text)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            ) as link:
                link.sendto(text.encode(), self._address)
        except OSError:
            return  # the manager is gone or busy: nothing here depends on it


def _watchdog_s(env: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC in seconds, None if unset, nonsense, or for another process."""
    pid = env.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None
    usec = env.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isascii() and usec.isdigit() and int(usec) else None


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
