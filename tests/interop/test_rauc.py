"""The installer against a fake RAUC and logind on a real D-Bus (dbus-daemon)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs.rauc import INSTALLER, Rauc

pytestmark = [pytest.mark.interop, pytest.mark.asyncio]


class Fakes:
    """The part of RAUC's installer and of logind that a client needs."""

    properties: ClassVar = {
        "Compatible": "charger",
        "BootSlot": "rootfs.0",
        "LastError": "signature verification failed",
    }

    def __init__(self, system: MessageBus) -> None:
        self.result = 0
        self.installed: list[str] = []
        self.reboots: list[bool] = []
        self._system = system
        system.add_message_handler(self._heard)

    def _heard(self, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        match message.member:
            case "Info":
                kind = "fridge" if "fridge" in message.body[0] else "charger"
                return Message.new_method_return(message, "ss", [kind, "2.4.1"])
            case "Get":
                value = Variant("s", self.properties[message.body[1]])
                return Message.new_method_return(message, "v", [value])
            case "InstallBundle":
                self.installed.append(message.body[0])
                asyncio.get_running_loop().call_later(0.01, self._completed)
            case "Reboot":
                self.reboots.append(message.body[0])
            case _:
                return None
        return Message.new_method_return(message)

    def _completed(self) -> None:
        self._system.send(
            Message.new_signal("/", INSTALLER, "Completed", "i", [self.result])
        )


@asynccontextmanager
async def bus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MessageBus]:
    """A D-Bus of our own in the system bus's place."""
    program = shutil.which("dbus-daemon")
    assert program, "install dbus-daemon"
    address = f"unix:path={tmp_path / 'bus'}"
    daemon = await asyncio.create_subprocess_exec(
        program, "--session", "--nofork", "--nopidfile", f"--address={address}",
        "--print-address", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert daemon.stdout is not None
    await daemon.stdout.readline()  # it listens
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    connection = await MessageBus(bus_address=address).connect()
    try:
        yield connection
    finally:
        connection.disconnect()
        daemon.terminate()
        await daemon.wait()


async def test_a_bundle_is_read_installed_and_booted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bus(tmp_path, monkeypatch) as system:
        fake = Fakes(system)
        await system.request_name("de.pengutronix.rauc")
        await system.request_name("org.freedesktop.login1")
        rauc, file = Rauc(), tmp_path / "fw.raucb"
        assert await rauc.version(file) == "2.4.1"
        assert await rauc.slot() == "rootfs.0"
        await rauc.install(file)
        assert fake.installed == [str(file)]
        await rauc.reboot()
        assert fake.reboots == [False]
        with pytest.raises(OcppError, match="'fridge'"):
            await rauc.version(tmp_path / "fridge.raucb")
        fake.result = 1
        with pytest.raises(OcppError, match="signature verification failed"):
            await rauc.install(file)


async def test_without_rauc_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bus(tmp_path, monkeypatch):
        with pytest.raises(OcppError, match="D-Bus: Info"):
            await Rauc().version(tmp_path / "fw.raucb")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    with pytest.raises(OcppError, match="D-Bus"):
        await Rauc().slot()
