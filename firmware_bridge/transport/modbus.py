"""Modbus TCP and RTU clients. The only file that imports pymodbus (not semver: pinned).

One link per connection or RS-485 line: its users take turns. Every answer is checked
for error, function and count; after a miss on a serial line late bytes are let go by,
as RTU has no transaction id. `run` connects once and raises when the link is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import termios
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from firmware_bridge.transport.address import ModbusRtuAddress, ModbusTcpAddress
from firmware_bridge.transport.serial import settable_parity
from firmware_bridge.units import BridgeError

T = TypeVar("T")

TCP_TIMEOUT_S = 0.5
RTU_TURNAROUND_S = 0.25  # a slave's time to think, on top of the characters
RTU_LONGEST_BYTES = 85  # question of 8 and answer of 36 registers
MISSES_TO_REOPEN = 10  # in a row, over all units: the adapter itself may hang
QUIET_CHARACTERS = 3.5  # Modbus over serial line V1.02, 2.5.1.1

# Its errors come back to us as exceptions; printed again they would flood the journal.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class RegisterDevice(Protocol):
    """What register-based drivers need of a link."""

    async def read_input(self, unit: int, address: int, count: int) -> list[int]: ...
    async def read_holding(self, unit: int, address: int, count: int) -> list[int]: ...
    async def write(self, unit: int, address: int, values: list[int]) -> None: ...


class ModbusLink:
    """`RegisterDevice` on one TCP connection or one RTU line."""

    def __init__(
        self,
        address: ModbusTcpAddress | ModbusRtuAddress,
        timeout_s: float | None = None,
    ) -> None:
        self._lock = asyncio.Lock()
        self._lost = asyncio.Event()
        self._up = asyncio.Event()
        self._misses = 0
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._address = address
        if isinstance(address, ModbusTcpAddress):
            self.name = f"{address.host}:{address.port}"
            self.timeout_s = timeout_s or TCP_TIMEOUT_S
            self._quiet_s = self._settle_s = 0.0
        else:
            self.name = address.line.path
            character_s = 11 / address.line.baud
            slowest_s = RTU_TURNAROUND_S + RTU_LONGEST_BYTES * character_s
            self.timeout_s = timeout_s or slowest_s
            self._quiet_s = QUIET_CHARACTERS * character_s
            self._settle_s = self.timeout_s

    @property
    def connected(self) -> bool:
        """The line is open. Says nothing of any device on it."""
        return self._client is not None

    async def read_input(self, unit: int, address: int, count: int) -> list[int]:
        """FC04. BridgeError: not connected, no answer, refused, wrong answer."""
        return await self._read(
            4,
            lambda client: client.read_input_registers(
                address, count=count, device_id=unit
            ),
            unit,
            address,
            count,
        )

    async def read_holding(self, unit: int, address: int, count: int) -> list[int]:
        """FC03. Errors as `read_input`."""
        return await self._read(
            3,
            lambda client: client.read_holding_registers(
                address, count=count, device_id=unit
            ),
            unit,
            address,
            count,
        )

    async def write(self, unit: int, address: int, values: list[int]) -> None:
        """FC16. Errors as `read_input`."""
        async with self._lock:
            await self._ask(
                16,
                lambda client: client.write_registers(address, values, device_id=unit),
                f"unit {unit} write {address:04X}",
            )

    async def run(self) -> None:
        """Connect, stay, and raise BridgeError when the connection is lost."""
        self._lost.clear()
        self._misses = 0
        client = self._new_client()
        try:
            async with asyncio.timeout(2 * self.timeout_s + 1.0):
                if not await _heeding_cancel(client.connect()):
                    raise BridgeError(f"{self.name}: cannot connect")
            self._client = client
            self._up.set()
            await self._lost.wait()
            raise BridgeError(f"{self.name}: connection lost")
        except (ModbusException, termios.error) as error:
            raise BridgeError(f"{self.name}: {error}") from error
        finally:
            self._client = None
            self._up.clear()
            client.close()

    def _new_client(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        """No reconnect and no retry inside the library: the bridge's loop does both."""
        if isinstance(self._address, ModbusTcpAddress):
            return AsyncModbusTcpClient(
                self._address.host,
                port=self._address.port,
                timeout=self.timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._on_connect,
            )
        line = self._address.line
        return AsyncModbusSerialClient(
            line.path,
            baudrate=line.baud,
            parity=settable_parity(line),
            stopbits=line.stop_bits,
            timeout=self.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._on_connect,
        )

    def _on_connect(self, connected: bool) -> None:
        if not connected:
            self._lost.set()

    async def _read(
        self,
        function: int,
        question: Callable[
            [AsyncModbusTcpClient | AsyncModbusSerialClient], Awaitable[ModbusPDU]
        ],
        unit: int,
        address: int,
        count: int,
    ) -> list[int]:
        what = f"unit {unit} registers {address:04X}+{count}"
        async with self._lock:
            answer = await self._ask(function, question, what)
            registers = list(answer.registers)
            if len(registers) != count:
                await self._missed()
                raise BridgeError(f"{self.name} {what}: {len(registers)} came back")
            return registers

    async def _ask(
        self,
        function: int,
        question: Callable[
            [AsyncModbusTcpClient | AsyncModbusSerialClient], Awaitable[ModbusPDU]
        ],
        what: str,
    ) -> ModbusPDU:
        """One question and its answer; the lock is held by the caller."""
        client = await self._opened()
        if client is None or not client.connected:
            raise BridgeError(f"{self.name} {what}: not connected")
        await asyncio.sleep(self._quiet_s)
        try:
            async with asyncio.timeout(2 * self.timeout_s):
                answer = await _heeding_cancel(question(client))
        except (ModbusException, OSError) as error:  # TimeoutError is an OSError
            await self._missed()
            raise BridgeError(f"{self.name} {what}: no answer") from error
        if answer.isError():
            self._misses = 0
            code = getattr(answer, "exception_code", "?")
            raise BridgeError(f"{self.name} {what}: refused, exception {code}")
        if answer.function_code != function:
            await self._missed()
            raise BridgeError(f"{self.name} {what}: answer to another question")
        self._misses = 0
        return answer

    async def _opened(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient | None:
        """The client; a line that is just being opened is waited for."""
        if self._client is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timeout_s):
                    await self._up.wait()
        return self._client

    async def _missed(self) -> None:
        """Count, and let a late answer go by before anybody asks again."""
        self._misses += 1
        if self._misses >= MISSES_TO_REOPEN:
            self._lost.set()
        await asyncio.sleep(self._settle_s)


async def _heeding_cancel(question: Awaitable[T]) -> T:
    """pymodbus awaits by `asyncio.wait_for`: in Python 3.11 a cancel that meets the
    answer, or an error, is lost there (gh-86296), and we would go on for ever."""
    task = asyncio.current_task()
    told = task.cancelling() if task else 0
    try:
        return await question
    finally:
        if task and task.cancelling() > told:
            raise asyncio.CancelledError
