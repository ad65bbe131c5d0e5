"""The bridge: fan-out, order, isolation, leases, and a safe leave."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from firmware_bridge.api import (
    Bridge,
    Command,
    InsulationReading,
    MeterReading,
    PilotOutputs,
    PilotReading,
    Reading,
    SignedReading,
    StageMode,
    StageReading,
    StageSetpoint,
)
from firmware_bridge.bridge import EvseDevices, StationBridge, build_bridge
from firmware_bridge.health import Stats
from firmware_bridge.restart import keep_running
from firmware_bridge.units import BridgeError
from tests.unit.firmware_bridge.fakes import FakeClock
from tests.unit.firmware_bridge.specs import Device, Devices, Evse

COMMAND = Command(
    100.3,
    PilotOutputs(close_dc=True),
    StageSetpoint(StageMode.CHARGE, 400.0, 5.0),
    insulation_on=True,
)


class Recorder:
    """All roles at once: writes down what it is told."""

    def __init__(self, name: str, journal: list[tuple[str, object]]) -> None:
        self.name = name
        self.journal = journal
        self.refuses = False
        self.until = math.nan
        self.runs = 0
        self.fails = False

    def note(self, what: object) -> None:
        if self.refuses:
            raise BridgeError(f"{self.name} refuses")
        self.journal.append((self.name, what))

    def stop(self) -> None:
        self.journal.append((self.name, "stop"))

    async def run(self) -> None:
        self.runs += 1
        if self.fails:
            raise BridgeError(f"{self.name} is dead")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.journal.append((self.name, "ended"))


class Pilot(Recorder):
    def drive(self, pins: PilotOutputs, valid_until_mono: float) -> None:
        self.note(pins)
        self.until = valid_until_mono

    def reading(self) -> Reading[PilotReading] | None:
        return Reading(PilotReading(), 99.0)


class Stage(Recorder):
    def drive(self, setpoint: StageSetpoint, valid_until_mono: float) -> None:
        self.note(setpoint)
        self.until = valid_until_mono

    def reading(self) -> Reading[StageReading] | None:
        return None


class Meter(Recorder):
    def reading(self) -> Reading[MeterReading] | None:
        return Reading(MeterReading(-5.0, 0.0, 0.0), 98.0)


class Signer(Meter):
    def follow(self, session_id: str) -> None:
        self.note(session_id)

    def signed(self) -> Reading[SignedReading] | None:
        return Reading(SignedReading("OCMF|...", "S-1"), 97.0)


class Monitor(Recorder):
    def enable(self, on: bool) -> None:
        self.journal.append((self.name, on))

    def reading(self) -> Reading[InsulationReading] | None:
        return None


class Station:
    def __init__(self, *, signs: bool = False) -> None:
        self.clock = FakeClock()
        self.journal: list[tuple[str, object]] = []
        self.pilot = Pilot("pilot", self.journal)
        self.stage = Stage("stage", self.journal)
        self.meter = (Signer if signs else Meter)("meter", self.journal)
        self.monitor = Monitor("monitor", self.journal)
        self.line = Recorder("line", self.journal)
        roles = ("pilot", "stage", "meter", "insulation")
        self.stats = {role: Stats(f"evse1.{role}") for role in roles}
        devices = EvseDevices(
            pilot=self.pilot,
            meter=self.meter,
            stage=self.stage,
            insulation=self.monitor,
            stats=self.stats,
        )
        site = Meter("site", self.journal), Stats("site.meter")
        self.bridge = StationBridge(
            {1: devices}, {"line": self.line.run}, site, self.clock
        )


def test_it_is_the_bridge_of_the_contract() -> None:
    bridge: Bridge = Station().bridge
    reading = bridge.site_meter()
    assert reading is not None
    assert reading.value.power_w == -5.0


def test_apply_fans_out_at_once_stage_first() -> None:
    station = Station()
    station.bridge.apply(1, COMMAND)
    assert station.journal == [
        ("stage", COMMAND.stage),
        ("pilot", COMMAND.pins),
        ("monitor", True),
    ]
    assert station.pilot.until == station.stage.until == 100.3


def test_a_meter_that_signs_is_told_of_the_session_and_asked_for_its_text() -> None:
    station = Station(signs=True)
    station.bridge.apply(1, replace(COMMAND, session_id="S-1"))
    assert station.journal[-1] == ("meter", "S-1")
    signed = station.bridge.telemetry(1).signed
    assert signed is not None
    assert signed.value.session_id == "S-1"
    assert Station().bridge.telemetry(1).signed is None


@pytest.mark.parametrize("broken", ["pilot", "stage"])
def test_one_refusal_does_not_stop_the_others(broken: str) -> None:
    station = Station()
    getattr(station, broken).refuses = True
    station.bridge.apply(1, COMMAND)
    assert len(station.journal) == 2
    assert station.stats[broken].bad == 1
    health = {h.name: h for h in station.bridge.telemetry(1).health}
    assert health[f"evse1.{broken}"].last_error == f"{broken} refuses"


@pytest.mark.parametrize(
    ("asked", "granted"), [(100.3, 100.3), (1e9, 102.0), (math.inf, 102.0), (5.0, 5.0)]
)
def test_no_lease_is_longer_than_two_seconds(asked: float, granted: float) -> None:
    station = Station()
    station.bridge.apply(1, Command(asked))
    assert station.stage.until == station.pilot.until == granted


def test_a_lease_that_is_no_number_is_refused() -> None:
    station = Station()
    with pytest.raises(BridgeError, match="NaN"):
        station.bridge.apply(1, Command(math.nan))
    assert station.journal == []


def test_unknown_evse() -> None:
    bridge = Station().bridge
    with pytest.raises(BridgeError, match=r"no EVSE 7; known: \[1\]"):
        bridge.apply(7, COMMAND)
    with pytest.raises(BridgeError):
        bridge.telemetry(7)


def test_health_by_age_of_good_answers() -> None:
    station = Station()
    station.stats["meter"].answered(station.clock.now)
    health = {h.name: h.ok for h in station.bridge.health()}
    assert health == {
        "evse1.pilot": False,
        "evse1.stage": False,
        "evse1.meter": True,
        "evse1.insulation": False,
        "site.meter": False,
    }
    station.clock.step(1.5)
    assert not any(h.ok for h in station.bridge.health())


@pytest.mark.asyncio
async def test_cancelled_stages_go_off_then_pilots_then_lines() -> None:
    station = Station()
    task = asyncio.get_running_loop().create_task(station.bridge.run())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    order = [entry for entry in station.journal if entry[1] != "ended"]
    assert order == [("stage", "stop"), ("pilot", "stop")]
    assert station.journal[-1] == ("line", "ended")  # open until the last frame
    station.bridge.apply(1, COMMAND)  # too late: nothing is driven any more
    assert station.journal[-1] == ("line", "ended")


@pytest.mark.asyncio
async def test_run_again_drives_again() -> None:
    station = Station()
    for _ in range(2):
        task = asyncio.get_running_loop().create_task(station.bridge.run())
        await asyncio.sleep(0.01)
        station.bridge.apply(1, COMMAND)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert station.journal.count(("stage", COMMAND.stage)) == 2


@pytest.mark.asyncio
async def test_a_dead_meter_restarts_alone() -> None:
    station = Station()
    station.meter.fails = True
    task = asyncio.get_running_loop().create_task(station.bridge.run())
    await asyncio.sleep(0.15)
    assert station.meter.runs == 2
    assert station.pilot.runs == station.stage.runs == station.line.runs == 1
    assert station.stats["meter"].restarts == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def waits(
    outcomes: list[Callable[[], None]], stats: Stats, clock: FakeClock
) -> list[float]:
    """The pauses keep_running makes over these runs."""
    slept: list[float] = []
    left = iter(outcomes)

    async def run() -> None:
        try:
            outcome = next(left)
        except StopIteration:
            raise KeyError("over") from None
        outcome()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with pytest.raises(KeyError):
        await keep_running(run, stats, clock=clock, sleep=sleep)
    return slept


def dies() -> None:
    raise BridgeError("no answer")


@pytest.mark.asyncio
async def test_back_off_doubles_to_two_seconds() -> None:
    stats = Stats("x")
    assert await waits([dies] * 7, stats, FakeClock()) == [
        0.1,
        0.2,
        0.4,
        0.8,
        1.6,
        2.0,
        2.0,
    ]
    assert (stats.restarts, stats.last_error) == (7, "no answer")


@pytest.mark.asyncio
async def test_a_good_answer_or_a_long_run_resets_the_back_off() -> None:
    stats, clock = Stats("x"), FakeClock()

    def answers() -> None:
        stats.answered(clock.now)
        raise OSError("line lost")

    def lives() -> None:
        clock.step(11.0)

    runs = [dies, dies, answers, dies, lives, dies]
    assert await waits(runs, stats, clock) == [0.1, 0.2, 0.1, 0.2, 0.1, 0.2]


def test_build_from_plain_descriptions() -> None:
    stage = Device("infypower_beg", "can:slcan/dev/x?bitrate=125000")
    evse = Evse(
        2,
        Devices(
            stage=stage,
            insulation=Device("bender_isocha425", "modbus-rtu:/dev/y", 3),
            reader=Device("ascii_reader", "serial:/dev/z?baud=9600"),
            chademo=Device("chademo", "can:slcan/dev/v?bitrate=500000"),
        ),
    )
    site = Device("eastron_sdm630", "modbus-tcp:127.0.0.1:1", 10)
    bridge = build_bridge([evse], site)
    assert [h.name for h in bridge.health()] == [
        "evse2.pilot",
        "evse2.stage",
        "evse2.meter",
        "evse2.insulation",
        "evse2.reader",
        "site.meter",
    ]
    assert bridge.vehicle_bus(2) is not None
    assert bridge.reader(2) is not None
    assert set(bridge.line_restarts()) == {
        "serial:/dev/none-mcu",
        "modbus-tcp:127.0.0.1:1",  # shared by the EVSE's and the site's meter
        "can:slcan/dev/x?bitrate=125000",
        "modbus-rtu:/dev/y",
        "serial:/dev/z?baud=9600",
        "can:slcan/dev/v?bitrate=500000",
    }


def test_build_of_a_small_board() -> None:
    bridge = build_bridge([Evse(1)])
    telemetry = bridge.telemetry(1)
    assert (telemetry.pilot, telemetry.stage, telemetry.insulation) == (None,) * 3
    assert bridge.site_meter() is None
    assert bridge.vehicle_bus(1) is None


@pytest.mark.parametrize(
    ("devices", "hint"),
    [
        (Devices(pilot=Device("yeti", "serial:/dev/x")), "evse1.pilot.*chargebyte"),
        (Devices(meter=Device("eastron_sdm630", "serial:/dev/x")), "modbus-"),
        (Devices(reader=Device("ascii_reader", "serial:/dev/none-mcu")), "taken"),
    ],
)
def test_build_errors_name_the_device(devices: Devices, hint: str) -> None:
    with pytest.raises(BridgeError, match=hint):
        build_bridge([Evse(1, devices)])


@pytest.mark.asyncio
async def test_a_station_whose_every_device_is_missing_lives_and_leaves() -> None:
    bridge = build_bridge([Evse(1)])
    run: Callable[[], Awaitable[None]] = bridge.run
    task = asyncio.ensure_future(run())
    await asyncio.sleep(0.25)
    assert not task.done()
    restarts = bridge.line_restarts()
    assert restarts["serial:/dev/none-mcu"][0] >= 1
    assert "cannot open" in restarts["serial:/dev/none-mcu"][1]
    assert not any(h.ok for h in bridge.health())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
