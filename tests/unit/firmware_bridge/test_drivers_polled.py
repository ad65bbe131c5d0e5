"""Meter, insulation monitor, reader, template, and the loop they share."""

from __future__ import annotations

import asyncio
import struct

import pytest

from firmware_bridge.drivers._template import TemplateMeter
from firmware_bridge.drivers.ascii_reader import AsciiReader
from firmware_bridge.drivers.bender_isocha425 import BenderIsocha425
from firmware_bridge.drivers.eastron_sdm630 import EastronMeter
from firmware_bridge.drivers.polling import poll_for_ever
from firmware_bridge.health import Stats
from firmware_bridge.units import BridgeError
from tests.unit.firmware_bridge.fakes import FakeClock, FakeLink, FakeSerial


def put(registers: dict[int, int], address: int, value: float) -> None:
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    registers[address], registers[address + 1] = high, low


def meter_registers(power_w: float = -3000.0) -> dict[int, int]:
    registers: dict[int, int] = dict.fromkeys(range(0x60), 0)
    for address, value in ((0x34, power_w), (0x46, 50.0), (0x48, 1.0), (0x4A, 2.0)):
        put(registers, address, value)
    return registers


@pytest.mark.asyncio
async def test_meter_asks_its_unit_and_keeps_the_sign() -> None:
    clock, link = FakeClock(), FakeLink(meter_registers())
    meter = EastronMeter(link, 7, Stats("m"), clock=clock)
    await meter.poll()
    reading = meter.reading()
    assert reading is not None
    assert reading.value.power_w == -3000.0
    assert reading.at_mono == clock.now
    assert link.asked == [(7, 0x34, 2), (7, 0, 18), (7, 0x46, 6), (7, 0x3C, 4)]


@pytest.mark.asyncio
async def test_meter_keeps_the_old_reading_when_the_new_one_is_nonsense() -> None:
    clock, link = FakeClock(), FakeLink(meter_registers())
    meter = EastronMeter(link, 1, Stats("m"), clock=clock)
    await meter.poll()
    before = meter.reading()
    put(link.registers, 0x34, float("nan"))
    clock.step(1.0)
    with pytest.raises(BridgeError):
        await meter.poll()
    assert meter.reading() is before
    assert before is not None
    assert before.age_s(clock.now) == 1.0


def monitor_registers(ohm: float, high: int = 0, low: int = 2) -> dict[int, int]:
    registers: dict[int, int] = {}
    put(registers, 1000, ohm)
    registers |= {1002: high << 8 | low, 1003: 1}
    put(registers, 1008, 401.0)
    return registers | {1010: 4, 1011: 76}


def monitor(link: FakeLink, clock: FakeClock) -> BenderIsocha425:
    async def no_wait(_: float) -> None:
        return

    return BenderIsocha425(link, 3, Stats("imd"), clock=clock, sleep=no_wait)


@pytest.mark.asyncio
async def test_monitor_is_switched_and_read() -> None:
    link = FakeLink(monitor_registers(2.5e6))
    device = monitor(link, FakeClock())
    await device.poll()
    reading = device.reading()
    assert reading is not None
    assert reading.value.resistance_ohm is None  # it is off
    device.enable(True)
    await device.poll()
    await device.poll()
    assert link.written == [(3, 3026, [0]), (3, 3026, [1])]
    reading = device.reading()
    assert reading is not None
    assert reading.value.resistance_ohm == 2.5e6
    assert reading.value.voltage_v == 401.0


@pytest.mark.parametrize(
    ("high", "warning", "alarm", "fault"),
    [
        (0, False, False, False),
        (1, True, False, False),
        (4, True, False, False),
        (5, False, True, False),
        (2, False, False, True),
    ],
)
@pytest.mark.asyncio
async def test_monitor_alarms(
    high: int, warning: bool, alarm: bool, fault: bool
) -> None:
    device = monitor(FakeLink(monitor_registers(1e5, high)), FakeClock())
    await device.poll()
    reading = device.reading()
    assert reading is not None
    value = reading.value
    assert (value.warning, value.alarm, value.device_fault) == (warning, alarm, fault)


@pytest.mark.asyncio
async def test_a_self_test_gives_no_resistance() -> None:
    device = monitor(FakeLink(monitor_registers(1e5, high=2 << 6)), FakeClock())
    device.enable(True)
    await device.poll()
    reading = device.reading()
    assert reading is not None
    assert reading.value.resistance_ohm is None


@pytest.mark.asyncio
async def test_monitor_is_switched_again_when_the_write_was_lost() -> None:
    link = FakeLink(monitor_registers(1e6))
    device = monitor(link, FakeClock())
    device.enable(True)
    link.silent = True
    with pytest.raises(BridgeError):
        await device.poll()
    link.silent = False
    await device.poll()
    assert link.written == [(3, 3026, [1])]


def test_reader_hands_tokens_over_and_counts_rubbish_without_showing_it() -> None:
    port, stats = FakeSerial(), Stats("reader")
    reader = AsciiReader(port, stats)
    tokens: list[str] = []
    reader.subscribe(tokens.append)
    port.deliver(b"\x0204aabb", 1.0)
    port.deliver(b"cc\r\n\x02CAFEBABE!\r\n", 1.1)
    assert tokens == ["04AABBCC"]
    assert (stats.good, stats.bad) == (1, 1)
    assert "CAFE" not in stats.last_error
    assert port.sent == []


@pytest.mark.asyncio
async def test_template_meter() -> None:
    link = FakeLink({0: 0xFFFF, 1: 0xFF9C})
    meter = TemplateMeter(link, 1, Stats("t"), clock=FakeClock())
    await meter.poll()
    reading = meter.reading()
    assert reading is not None
    assert reading.value.power_w == -100.0


@pytest.mark.asyncio
async def test_polling_paces_counts_and_gives_up_after_three() -> None:
    clock, stats = FakeClock(), Stats("p")
    slept: list[float] = []
    outcomes = iter([True, True, False, True, False, False, False])

    async def poll() -> None:
        clock.step(0.05)
        if not next(outcomes):
            raise BridgeError("no answer")

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        await asyncio.sleep(0)

    with pytest.raises(BridgeError, match="no answer"):
        await poll_for_ever(poll, 0.2, stats, clock, sleep)
    assert (stats.good, stats.bad) == (3, 4)
    assert slept == [0.15, 0.15, 0.1, 0.15, 0.1, 0.1]


@pytest.mark.asyncio
async def test_polling_gives_a_device_that_never_spoke_one_try() -> None:
    stats = Stats("p")

    async def poll() -> None:
        raise BridgeError("no answer")

    with pytest.raises(BridgeError, match="no answer"):
        await poll_for_ever(poll, 0.2, stats, FakeClock())
    assert stats.bad == 1


@pytest.mark.asyncio
async def test_enable_wakes_the_monitor_s_poll() -> None:
    link = FakeLink(monitor_registers(1e6))
    device = BenderIsocha425(link, 3, Stats("imd"), poll_s=30.0)
    task = asyncio.get_running_loop().create_task(device.run())
    await asyncio.sleep(0.06)
    device.enable(True)
    async with asyncio.timeout(2):  # far less than the poll period
        while link.written[-1:] != [(3, 3026, [1])]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
