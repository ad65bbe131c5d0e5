"""The InfyPower driver: order of writes, direction, leases, several modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from firmware_bridge.api import StageMode, StageReading, StageSetpoint
from firmware_bridge.drivers.infypower_beg import InfypowerBeg
from firmware_bridge.health import Stats
from firmware_bridge.units import BridgeError
from tests.unit.firmware_bridge.fakes import FakeBus, FakeClock

CHARGE = StageSetpoint(StageMode.CHARGE, 400.0, 10.0)
DISCHARGE = StageSetpoint(StageMode.DISCHARGE, 250.0, 12.0)
POWER_FACTOR = 0x2105
VOLTAGE, CURRENT, STATUS = 0x1001, 0x1002, 0x1110
CUTOFF, MODE, INVERTING = 0x1132, 0x2110, 0x1111


class Modules:
    """The other end, written from the table: N modules that obey at once."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.on = False
        self.inverting = [False] * count
        self.current_ma = 0
        self.refuse_mode = 0
        self.mute = False
        self.silent: set[int] = set()
        self.status = 0

    def answer(self, identifier: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        if self.mute:
            return
        to, command = identifier >> 8 & 0xFF, identifier >> 16 & 0x3F
        code, value = int.from_bytes(data[:2], "big"), int.from_bytes(data[4:], "big")
        for module in range(self.count):
            if to not in (module, 0x3F) or module in self.silent:
                continue
            if code in (VOLTAGE, CURRENT, 0x1010, 0x1106) and module:
                continue  # one answer for the group
            error = 0
            if command == 0x24:
                error = self._write(module, code, value)
                result = value
            else:
                result = self._read(module, code)
            source = 0x3F if code in (VOLTAGE, CURRENT, 0x1010) else module
            yield (
                error << 26 | 0x0A << 22 | command << 16 | 0xF0 << 8 | source,
                data[:4] + result.to_bytes(4, "big"),
            )

    def _write(self, module: int, code: int, value: int) -> int:
        if code == STATUS:
            self.on = value == 0xA0
        elif code == MODE:
            if self.refuse_mode:
                self.refuse_mode -= 1
                return 7
            self.inverting[module] = value == 0xA1
        return 0

    def _read(self, module: int, code: int) -> int:
        return {
            VOLTAGE: 380_000,
            CURRENT: self.current_ma,
            0x1010: self.count,
            0x1106: 31_000,
            STATUS: self.status | (0 if self.on else 1 << 8),
            INVERTING: int(self.inverting[module]),
        }[code]


class Bench:
    def __init__(self, modules: int = 1) -> None:
        self.clock = FakeClock()
        self.bus = FakeBus()
        self.modules = Modules(modules)
        self.stats = Stats("stage")
        self.stage = InfypowerBeg(self.bus, self.stats, self.clock)

    def answer(self) -> list[tuple[int, int]]:
        """Let the modules answer all that was sent; the writes, as (code, value)."""
        writes = []
        while sent := self.bus.take():
            for identifier, data in sent:
                if identifier >> 16 & 0x3F == 0x24:
                    value = int.from_bytes(data[4:], "big")
                    writes.append((int.from_bytes(data[:2], "big"), value))
                for reply in self.modules.answer(identifier, data):
                    self.bus.deliver(*reply, self.clock.now)
        return writes

    def pass_time(self, seconds: float) -> list[tuple[int, int]]:
        writes = []
        for _ in range(round(seconds / 0.01)):
            self.clock.step(0.01)
            self.stage.on_timer(self.clock.now)
            writes += self.answer()
        return writes

    def drive(self, setpoint: StageSetpoint, lease_s: float = 0.3) -> None:
        self.stage.drive(setpoint, self.clock.now + lease_s)

    def reading(self) -> StageReading:
        reading = self.stage.reading()
        assert reading is not None
        return reading.value


def running(setpoint: StageSetpoint, modules: int = 1) -> Bench:
    bench = Bench(modules)
    bench.pass_time(0.1)
    bench.drive(setpoint, 1.0)
    bench.answer()
    bench.pass_time(0.05)
    assert bench.modules.on
    return bench


def test_start_goes_through_zero_mode_and_then_on() -> None:
    bench = Bench()
    bench.pass_time(0.1)
    bench.drive(CHARGE)
    assert bench.answer() == [
        (CURRENT, 0),
        (STATUS, 0xA1),
        (MODE, 0xA0),
        (CURRENT, 10_000),
        (VOLTAGE, 400_000),
        (STATUS, 0xA0),
    ]


def test_discharge_writes_the_cutoff_and_inverter_mode() -> None:
    bench = Bench()
    bench.pass_time(0.1)
    bench.drive(DISCHARGE)
    assert bench.answer()[2:] == [
        (MODE, 0xA1),
        (CURRENT, 12_000),
        (CUTOFF, 250_000),
        (STATUS, 0xA0),
    ]


def test_a_new_setpoint_is_on_the_wire_when_drive_returns() -> None:
    bench = running(CHARGE)
    bench.drive(StageSetpoint(StageMode.CHARGE, 410.0, 7.5))
    codes = [int.from_bytes(data[:2], "big") for _, data in bench.bus.take()]
    assert codes == [CURRENT, VOLTAGE]  # current first, only what changed


def test_direction_waits_for_the_current_to_end() -> None:
    bench = running(CHARGE)
    bench.modules.current_ma = 9_000
    bench.drive(DISCHARGE, 5.0)
    assert bench.answer() == [(CURRENT, 0), (STATUS, 0xA1)]
    assert MODE not in {code for code, _ in bench.pass_time(0.5)}
    bench.modules.current_ma = 400
    writes = bench.pass_time(0.1)
    assert writes.index((MODE, 0xA1)) < writes.index((STATUS, 0xA0))
    assert bench.modules.inverting == [True]


def test_refused_mode_is_tried_again() -> None:
    bench = Bench()
    bench.pass_time(0.1)
    bench.modules.refuse_mode = 3
    bench.drive(DISCHARGE, 5.0)
    writes = bench.answer() + bench.pass_time(0.5)
    assert writes.count((MODE, 0xA1)) == 4
    assert bench.modules.on
    assert bench.stats.bad == 3


def test_never_on_without_a_confirmed_mode() -> None:
    bench = Bench()
    bench.pass_time(0.1)
    bench.modules.refuse_mode = 1000
    bench.drive(DISCHARGE, 5.0)
    bench.answer()
    assert (STATUS, 0xA0) not in bench.pass_time(2.0)


def test_lease_end_is_current_zero_and_off_at_once() -> None:
    bench = running(CHARGE)
    bench.drive(CHARGE, 0.105)
    writes = bench.pass_time(0.12)
    assert (CURRENT, 0) in writes
    assert writes[-2:] == [(CURRENT, 0), (STATUS, 0xA1)]
    assert not bench.modules.on


def test_setpoints_are_refreshed_within_250_ms() -> None:
    bench = running(CHARGE)
    bench.drive(CHARGE, 10.0)
    bench.answer()
    writes = bench.pass_time(1.0)
    for item in ((CURRENT, 10_000), (VOLTAGE, 400_000), (STATUS, 0xA0)):
        assert writes.count(item) >= 4
    assert (MODE, 0xA0) not in writes  # never while it runs


def test_sign_of_the_reading_comes_from_the_modules() -> None:
    bench = running(CHARGE)
    bench.modules.current_ma = 10_000
    bench.pass_time(0.1)
    assert bench.reading().current_a == pytest.approx(10.0)
    assert bench.reading().mode is StageMode.CHARGE
    bench = running(DISCHARGE)
    bench.modules.current_ma = 12_000
    bench.pass_time(0.1)
    assert bench.reading().current_a == pytest.approx(-12.0)
    assert bench.reading().power_w == pytest.approx(-12.0 * 380.0)
    assert bench.reading().mode is StageMode.DISCHARGE


def test_a_module_that_turns_round_by_itself_is_switched_off() -> None:
    bench = running(CHARGE)
    bench.drive(CHARGE, 5.0)
    bench.modules.refuse_mode = 1000
    bench.modules.inverting = [True]
    writes = bench.pass_time(0.15)
    assert (STATUS, 0xA1) in writes
    assert not bench.modules.on


@pytest.mark.parametrize("volts", [0.0, 149.9])
def test_below_150_v_nothing_is_switched_on(volts: float) -> None:
    bench = Bench()
    bench.pass_time(0.1)
    bench.drive(StageSetpoint(StageMode.CHARGE, volts, 10.0))
    writes = bench.answer() + bench.pass_time(0.2)
    assert {value for code, value in writes if code == STATUS} == {0xA1}
    assert {value for code, value in writes if code == CURRENT} == {0}


def test_cutoff_is_never_under_the_module_s_own_minimum() -> None:
    bench = running(StageSetpoint(StageMode.DISCHARGE, 0.0, 5.0))
    bench.drive(StageSetpoint(StageMode.DISCHARGE, 0.0, 6.0), 5.0)
    assert (CUTOFF, 200_000) in bench.pass_time(0.3)


@pytest.mark.parametrize(
    "setpoint",
    [
        StageSetpoint(StageMode.CHARGE, 400.0, float("nan")),
        StageSetpoint(StageMode.CHARGE, float("inf"), 1.0),
        StageSetpoint(StageMode.CHARGE, 400.0, -5.0),
        StageSetpoint(StageMode.DISCHARGE, -400.0, 5.0),
        StageSetpoint(StageMode.CHARGE, 400.0, 5.0, power_factor=1.5),
        StageSetpoint(StageMode.CHARGE, 400.0, 5.0, power_factor=float("nan")),
        StageSetpoint(StageMode.DISCHARGE, 400.0, 5.0, form_grid=True),  # it cannot
    ],
)
def test_nonsense_is_refused_and_the_old_lease_runs_out(
    setpoint: StageSetpoint,
) -> None:
    bench = running(CHARGE)
    bench.drive(CHARGE, 0.1)
    bench.bus.take()
    with pytest.raises(BridgeError):
        bench.drive(setpoint, 5.0)
    assert bench.bus.take() == []
    bench.pass_time(0.15)
    assert not bench.modules.on


def test_too_much_current_is_clamped() -> None:
    bench = running(StageSetpoint(StageMode.CHARGE, 400.0, 500.0))
    bench.drive(StageSetpoint(StageMode.CHARGE, 400.0, 600.0), 5.0)
    assert (CURRENT, 73_300) in bench.pass_time(0.3)


def test_two_modules_share_and_must_agree() -> None:
    bench = running(DISCHARGE, modules=2)
    bench.pass_time(0.1)
    assert bench.modules.inverting == [True, True]
    assert bench.reading().faults == frozenset()
    bench.drive(StageSetpoint(StageMode.DISCHARGE, 250.0, 100.0), 5.0)
    assert (CURRENT, 100_000) in bench.answer()


def test_a_silent_module_is_a_stage_fault() -> None:
    bench = running(CHARGE, modules=2)
    bench.drive(CHARGE, 10.0)
    bench.modules.silent = {1}
    bench.pass_time(1.5)
    assert "StageFault" in bench.reading().faults


def test_status_bits_reach_the_reading() -> None:
    bench = running(CHARGE)
    bench.modules.status = 1 << 12 | 1 << 16
    bench.pass_time(0.2)
    assert bench.reading().faults == {"HighTemperature"}
    assert bench.reading().derated
    assert bench.reading().temperature_c == 31.0


def test_silence_is_counted_and_the_reading_ages() -> None:
    bench = running(CHARGE)
    bench.modules.mute = True
    bench.pass_time(2.5)
    assert bench.stats.bad == 2
    reading = bench.stage.reading()
    assert reading is not None
    assert reading.age_s(bench.clock.now) > 2.4
    assert not bench.stats.health(bench.clock.now).ok


def test_silent_modules_are_sent_nothing_but_off() -> None:
    """An adapter that hangs may deliver later what it was given while it hung."""
    bench = running(CHARGE)
    bench.drive(CHARGE, 10.0)
    bench.modules.mute = True
    bench.pass_time(0.6)
    bench.drive(StageSetpoint(StageMode.CHARGE, 400.0, 20.0), 10.0)
    writes = bench.answer() + bench.pass_time(1.0)
    assert set(writes) == {(CURRENT, 0), (STATUS, 0xA1)}
    bench.modules.mute = False
    assert (CURRENT, 20_000) in bench.pass_time(0.2)
    assert bench.modules.on


def test_a_dead_bus_is_counted_and_the_setpoint_follows_when_it_is_back() -> None:
    bench = running(CHARGE)
    bench.bus.down = True
    bench.drive(StageSetpoint(StageMode.CHARGE, 400.0, 3.0), 10.0)
    assert bench.stats.bad >= 1
    bench.bus.down = False
    assert (CURRENT, 3_000) in bench.pass_time(0.02)


def test_stop_switches_off_now() -> None:
    bench = running(CHARGE)
    bench.stage.stop()
    assert bench.answer() == [(CURRENT, 0), (STATUS, 0xA1)]


def test_a_power_factor_is_written_when_one_is_asked_for_and_taken_back() -> None:
    bench = running(CHARGE)
    bench.drive(replace(CHARGE, power_factor=-0.95))
    (_, data), *_ = bench.bus.take()
    assert data == bytes.fromhex("21050000fffffc4a")  # -950 thousandths
    bench.pass_time(1.5)  # the lease ends, the modules are off
    assert not bench.modules.on
    bench.drive(CHARGE, 1.0)
    assert (POWER_FACTOR, 1000) in bench.answer() + bench.pass_time(0.1)


def test_without_a_power_factor_nothing_is_said_of_it() -> None:
    bench = running(CHARGE)
    bench.drive(CHARGE, 2.0)
    codes = [code for code, _ in bench.pass_time(1.0)]
    assert CURRENT in codes
    assert POWER_FACTOR not in codes


def test_an_island_is_made_where_the_modules_can_be_told_to() -> None:
    bench = Bench()
    bench.stage = InfypowerBeg(bench.bus, bench.stats, bench.clock, islands=True)
    bench.drive(StageSetpoint(StageMode.DISCHARGE, 300.0, 5.0, form_grid=True), 5.0)
    bench.pass_time(0.5)
    assert bench.modules.on
    assert all(bench.modules.inverting)
