"""Ports, links and a clock that tests move by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from firmware_bridge.units import BridgeError


class FakeClock:
    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def step(self, seconds: float) -> float:
        self.now += seconds
        return self.now


class FakeSerial:
    """api.SerialPort that keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.down = False
        self._listeners: list[Callable[[bytes, float], None]] = []

    def send(self, data: bytes) -> None:
        if self.down:
            raise BridgeError("fake: not open")
        self.sent.append(data)

    def subscribe(self, listener: Callable[[bytes, float], None]) -> None:
        self._listeners.append(listener)

    async def run(self) -> None:
        raise BridgeError("fake: never runs")

    def deliver(self, data: bytes, at_mono: float) -> None:
        for listener in self._listeners:
            listener(data, at_mono)

    def take(self) -> list[bytes]:
        taken, self.sent = self.sent, []
        return taken


class FakeBus:
    """api.CanBus that keeps what was sent and lets a script answer."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.down = False
        self.answer: Callable[[int, bytes], Iterable[tuple[int, bytes]]] | None = None
        self._listeners: list[Callable[[int, bytes, float], None]] = []

    def send(self, frame_id: int, data: bytes, *, extended: bool = False) -> None:
        if self.down:
            raise BridgeError("fake: bus down")
        assert extended
        self.sent.append((frame_id, data))

    def subscribe(self, listener: Callable[[int, bytes, float], None]) -> None:
        self._listeners.append(listener)

    async def run(self) -> None:
        raise BridgeError("fake: never runs")

    def deliver(self, frame_id: int, data: bytes, at_mono: float) -> None:
        for listener in self._listeners:
            listener(frame_id, data, at_mono)

    def take(self) -> list[tuple[int, bytes]]:
        taken, self.sent = self.sent, []
        return taken


class FakeLink:
    """RegisterDevice on a dict of registers; a missing one is 'no answer'."""

    def __init__(self, registers: dict[int, int] | None = None) -> None:
        self.registers = registers or {}
        self.written: list[tuple[int, int, list[int]]] = []
        self.asked: list[tuple[int, int, int]] = []
        self.silent = False

    async def read_input(self, unit: int, address: int, count: int) -> list[int]:
        self.asked.append((unit, address, count))
        if self.silent:
            raise BridgeError("fake: no answer")
        return [self.registers[address + n] for n in range(count)]

    read_holding = read_input

    async def write(self, unit: int, address: int, values: list[int]) -> None:
        if self.silent:
            raise BridgeError("fake: no answer")
        self.written.append((unit, address, values))
