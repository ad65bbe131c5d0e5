"""The CHAdeMO shell: frames and offers through, a bad bus and a flood survived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from chargerd.clock import Clock, Now
from chargerd.config import Chademo
from chargerd.model import VehicleDoor, VehicleOffer, VehiclePhase
from chargerd.vehicle.chademo import ChademoDoor, Ratings
from firmware_bridge.api import PilotReading, Reading, Telemetry
from firmware_bridge.units import BridgeError

STATUS = bytes.fromhex("029a010000083c00")
LIMITS = bytes.fromhex("00000000b3016400")


class FakeClock(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.mono = 100.0

    def now(self) -> Now:
        return Now(self.mono, datetime(2026, 1, 1, tzinfo=UTC))


class Bus:
    """A CAN bus in memory; `broken` makes every send fail."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.broken = False
        self.six = asyncio.Event()
        self.listener: Callable[[int, bytes, float], None] = lambda *_: None

    def send(self, frame_id: int, data: bytes, *, extended: bool = False) -> None:
        if self.broken:
            raise BridgeError("vehicle bus: queue full")
        self.sent.append((frame_id, data))
        if len(self.sent) >= 6:
            self.six.set()

    def subscribe(self, listener: Callable[[int, bytes, float], None]) -> None:
        self.listener = listener

    async def run(self) -> None:
        await asyncio.Event().wait()


class Rig:
    def __init__(self) -> None:
        self.clock, self.bus = FakeClock(), Bus()
        ratings = Ratings(150.0, 500.0, 30.0, 30.0)
        self.door = ChademoDoor(Chademo(), ratings, self.bus, self.clock)

    def offer(self) -> None:
        pilot = PilotReading(chademo_proximity=True)
        telemetry = Telemetry(pilot=Reading(pilot, self.clock.mono))
        self.door.offer(
            VehicleOffer(self.clock.mono, energise=True, telemetry=telemetry)
        )

    def hear(self, frame_id: int, data: bytes) -> None:
        self.bus.listener(frame_id, data, self.clock.mono)

    @contextmanager
    def running(self) -> Iterator[asyncio.Task[None]]:
        task = asyncio.get_running_loop().create_task(self.door.run())
        try:
            yield task
        finally:
            task.cancel()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_it_is_a_vehicle_door() -> None:
    door: VehicleDoor = Rig().door
    assert door.state().phase is VehiclePhase.NONE


def test_offer_acts_at_once_without_a_loop() -> None:
    rig = Rig()
    rig.offer()
    assert rig.door.state().demand.d1
    assert rig.door.counters.d1_operations == 1


@pytest.mark.asyncio
async def test_frames_in_and_answers_out() -> None:
    rig = Rig()
    with rig.running():
        await turns()
        rig.offer()
        rig.hear(0x100, LIMITS)
        rig.hear(0x102, STATUS)
        await turns()
        assert [frame_id for frame_id, _ in rig.bus.sent] == [0x108, 0x109]
        rig.clock.mono += 0.1
        rig.offer()
        assert [frame_id for frame_id, _ in rig.bus.sent] == [0x108, 0x109] * 2


@pytest.mark.asyncio
async def test_timer_sends_without_new_offers() -> None:
    rig = Rig()
    real = Clock()
    rig.door = ChademoDoor(Chademo(), Ratings(150.0, 500.0, 30.0, 30.0), rig.bus, real)
    pilot = PilotReading(chademo_proximity=True)
    with rig.running():
        await turns()
        now = real.now().mono
        telemetry = Telemetry(pilot=Reading(pilot, now))
        rig.door.offer(VehicleOffer(now, energise=True, telemetry=telemetry))
        rig.bus.listener(0x100, LIMITS, now)
        rig.bus.listener(0x102, STATUS, now)
        async with asyncio.timeout(2.0):
            await rig.bus.six.wait()
        assert real.now().mono - now >= 0.19


@pytest.mark.asyncio
async def test_a_bus_that_does_not_send_stops_the_session() -> None:
    rig = Rig()
    with rig.running():
        await turns()
        rig.offer()
        rig.hear(0x100, LIMITS)
        rig.hear(0x102, STATUS)
        await turns()
        rig.bus.broken = True
        for _ in range(15):
            rig.clock.mono += 0.1
            rig.hear(0x102, STATUS)
            await turns(3)
            rig.offer()
        assert rig.door.state().stop_cause == "bus_lost"
        assert rig.door.state().faults == {"VehicleTimeout"}


@pytest.mark.asyncio
async def test_a_short_full_queue_is_no_stop() -> None:
    rig = Rig()
    with rig.running():
        await turns()
        rig.offer()
        rig.hear(0x100, LIMITS)
        rig.hear(0x102, STATUS)
        await turns()
        for count in range(40):
            rig.bus.broken = count % 8 == 0
            rig.clock.mono += 0.1
            rig.hear(0x102, STATUS)
            await turns(3)
            rig.offer()
        assert rig.door.state().stop_cause in ("", "no_permission")


@pytest.mark.asyncio
async def test_a_flood_neither_starves_the_loop_nor_grows() -> None:
    rig = Rig()
    others = 0
    with rig.running():
        await turns()
        rig.offer()
        for _ in range(50):
            for _ in range(200):
                rig.hear(0x102, b"\xff" * 8)
                rig.hear(0x7FF, b"")
            await asyncio.sleep(0)
            others += 1
        await turns()
    assert others == 50
    assert rig.door.dropped >= 50 * 200
    counted = rig.door.counters
    assert counted.bad + counted.unknown <= 50 * 64
    assert counted.bad > 0
    assert rig.door.state().demand.d1


@pytest.mark.asyncio
async def test_cancel_ends_run() -> None:
    rig = Rig()
    with rig.running() as task:
        await turns()
    with pytest.raises(asyncio.CancelledError):
        await task
