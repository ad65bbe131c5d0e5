"""A Mosquitto broker of a test's own: with passwords, an access list, TLS if asked.

Starts /usr/sbin/mosquitto (Debian package `mosquitto`); ends only what it started.
"""

from __future__ import annotations

import asyncio
import getpass
import shutil
import signal
import subprocess
from pathlib import Path

import aiomqtt
import pytest

from hil.stand import free_port

BINARY = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")

needs_mosquitto = pytest.mark.skipif(
    BINARY is None, reason="apt-get install mosquitto mosquitto-clients"
)


class Mosquitto:
    """`start` and `stop` as often as wanted, always on the same port."""

    def __init__(self, folder: Path, *, config: str = "allow_anonymous true\n") -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "mosquitto.conf"
        user = f"user {getpass.getuser()}\n"  # else root becomes one that reads nothing
        self._file.write_text(f"listener {self.port} 127.0.0.1\n{user}{config}")
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it listens."""
        self._spawn()
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return

    def _spawn(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._child = subprocess.Popen(
                [str(BINARY), "-c", str(self._file)], stdout=log, stderr=log
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Everything retained is forgotten: there is no persistence."""
        if self._child is not None:
            self.send(number)
            self._child.wait(10)
            self._child = None

    def send(self, number: signal.Signals) -> None:
        """A signal that it outlives."""
        if self._child is not None:
            self._child.send_signal(number)


def password_file(folder: Path, **users: str) -> Path:
    """Mosquitto's own tool hashes them."""
    path = folder / "passwords"
    path.touch()
    for name, password in users.items():
        subprocess.run(
            ["mosquitto_passwd", "-b", str(path), name, password], check=True
        )
    return path


async def collect(
    client: aiomqtt.Client, seen: dict[str, aiomqtt.Message], until: str, value: bytes
) -> aiomqtt.Message:
    """Read until `until` holds `value` (b"" = anything); keeps the newest of each."""
    held = seen.get(until)
    if held is not None and value in (b"", held.payload):
        return held
    async with asyncio.timeout(30):
        async for message in client.messages:
            seen[str(message.topic)] = message
            if str(message.topic) == until and value in (b"", message.payload):
                return message
    raise AssertionError(f"{until} never was {value!r}")
