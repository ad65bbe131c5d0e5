"""The TCP gateway in front of the Modbus meters.

TCP protects the bytes it carries, so the fault `corrupt` hits the transaction id here:
the answer to another question, as from a confused gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from hil.rig.bench import Address
from hil.rig.modbus import ModbusError, TcpServer, Unit
from hil.rig.peers import Peers
from hil.rig.wires import WireLogger

NAME = "modbus-tcp"
TRANSACTION_ID_LOW = 1  # byte of the frame


class ModbusGateway:
    """Units by id on one address; a unit that is not there is silent."""

    def __init__(
        self, address: Address, units: Mapping[int, Unit], log: WireLogger
    ) -> None:
        self.address = address
        self.units = units
        self._log = log
        self._peers = Peers()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self.address.host, self.address.port
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._peers.end()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection; a stream that is not Modbus is closed."""
        server = TcpServer(self.units)
        with self._peers.serving(writer), contextlib.suppress(OSError, ModbusError):
            while data := await reader.read(1024):
                self._log(NAME, "<", data)
                for unit, answer in server.receive(data):
                    last_s = 0.0
                    for delay_s, part in unit.faults.distort(
                        answer, corrupt_at=TRANSACTION_ID_LOW
                    ):
                        await asyncio.sleep(delay_s - last_s)
                        last_s = delay_s
                        self._log(NAME, ">", part)
                        writer.write(part)
                        await writer.drain()
