"""RAUC over D-Bus: reads, installs and activates bundles. With the extra `rauc`.

Owns the words of de.pengutronix.rauc (its introspection XML) and the reboot by logind.
RAUC checks the bundle's own signature and writes the slot that is not running.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chargerd.ocpp.effects import OcppError

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

RAUC, RAUC_PATH = "de.pengutronix.rauc", "/"
INSTALLER = "de.pengutronix.rauc.Installer"
LOGIN, LOGIN_PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
PROPERTIES = "org.freedesktop.DBus.Properties"
ANSWER_S = 60.0  # a bundle is read to be inspected
INSTALL_S = 3600.0


class Rauc:
    """Each call opens a connection of its own: updates are rare, buses restart."""

    async def version(self, file: Path) -> str:
        """Of the bundle; also says that it is one for this system."""
        async with _bus() as bus:
            found, wanted = await asyncio.gather(
                _call(bus, INSTALLER, "Info", "s", [str(file)]),
                _property(bus, "Compatible"),
            )
        compatible, version = found
        if compatible != wanted:
            raise OcppError(f"the bundle is for {compatible!r}, this is {wanted!r}")
        return str(version)

    async def slot(self) -> str:
        """That was booted."""
        async with _bus() as bus:
            return await _property(bus, "BootSlot")

    async def install(self, file: Path) -> None:
        """Done, and chosen for the next boot, when this returns."""
        from dbus_fast import Message, MessageType

        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def heard(message: Message) -> None:
            signal = message.message_type is MessageType.SIGNAL
            ours = (message.interface, message.member) == (INSTALLER, "Completed")
            if signal and ours and not ended.done():
                ended.set_result(int(message.body[0]))

        async with _bus() as bus:
            bus.add_message_handler(heard)
            rule = f"type='signal',interface='{INSTALLER}',member='Completed'"
            await _call(
                bus, "org.freedesktop.DBus", "AddMatch", "s", [rule],
                to="org.freedesktop.DBus", path="/org/freedesktop/DBus",
            )  # fmt: skip
            await _call(bus, INSTALLER, "InstallBundle", "sa{sv}", [str(file), {}])
            try:
                async with asyncio.timeout(INSTALL_S):
                    code = await ended
            except TimeoutError as error:
                raise OcppError(f"RAUC has not ended in {INSTALL_S:g} s") from error
            if code != 0:
                raise OcppError(f"RAUC: {await _property(bus, 'LastError')}")

    async def reboot(self) -> None:
        """Of the machine. systemd stops this daemon first, which is safe."""
        async with _bus() as bus:
            await _call(
                bus, f"{LOGIN}.Manager", "Reboot", "b", [False], to=LOGIN,
                path=LOGIN_PATH,
            )  # fmt: skip


@asynccontextmanager
async def _bus() -> AsyncIterator[MessageBus]:
    try:
        from dbus_fast import BusType, DBusError
        from dbus_fast.aio import MessageBus
    except ImportError as error:
        raise OcppError("the installer needs the extra chargerd[rauc]") from error
    try:
        bus = MessageBus(bus_type=BusType.SYSTEM)
        async with asyncio.timeout(ANSWER_S):
            await bus.connect()
    except (OSError, EOFError, TimeoutError, DBusError) as error:
        raise OcppError(f"D-Bus: {error!r}") from error
    try:
        yield bus
    finally:
        bus.disconnect()


async def _call(
    bus: MessageBus,
    interface: str,
    member: str,
    signature: str,
    body: list[Any],
    *,
    to: str = RAUC,
    path: str = RAUC_PATH,
) -> list[Any]:
    """What it answers. Raises OcppError."""
    from dbus_fast import DBusError, Message, MessageType

    message = Message(
        destination=to,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=body,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            reply = await bus.call(message)
    except (OSError, EOFError, TimeoutError, DBusError) as error:
        raise OcppError(f"D-Bus: {member}: {error!r}") from error
    if reply is None or reply.message_type is MessageType.ERROR:
        why = reply.body[0] if reply is not None and reply.body else "no answer"
        raise OcppError(f"D-Bus: {member}: {why}")
    return list(reply.body)


async def _property(bus: MessageBus, name: str) -> str:
    (variant,) = await _call(bus, PROPERTIES, "Get", "ss", [INSTALLER, name])
    return str(variant.value)
