"""One EVSE of the rig with fake time: MCU, stage, plant and vehicle together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hil.ev.base import Given, Seen
from hil.rig.bench import (
    EvseBench,
    InsulationBench,
    Limits,
    McuBench,
    MeterBench,
    ReaderBench,
    StageBench,
    VehicleBench,
)
from hil.rig.evse import EvseRig, Grid
from hil.rig.faults import RigError
from hil.rig.mcu import frame
from hil.rig.view import evse_state, grid_power_w, sample

STEP_S = 0.005
WRITE = 0x02A43FF0
CLOSE_DC, CLOSE_AC = 1 << 40, 1 << 41
BENCH = EvseBench(
    id=1,
    mcu=McuBench(link="m"),
    stage=StageBench(link="s"),
    vehicle=VehicleBench(link="v"),
    insulation=InsulationBench(link="i"),
    meter=MeterBench(unit=1),
    reader=ReaderBench(link="r"),
)


class Battery:
    """A vehicle whose contactor is closed from the start; counts what it gets."""

    kind = "battery"

    def __init__(self, **given: Any) -> None:
        self.given = Given(pilot_state="C", contactor_closed=True, emf_v=370.0)
        self.given = replace(self.given, **given)
        self.seen = Seen()
        self.frames: list[tuple[int, bytes]] = []
        self.wh = 0.0

    def step(self, now_s: float, dt_s: float, seen: Seen) -> Given:
        self.seen = seen
        self.wh += seen.dc_voltage_v * seen.dc_current_a * dt_s / 3600
        return self.given

    def can(self, frame_id: int, data: bytes, now_s: float) -> None:
        self.frames.append((frame_id, data))

    def unplugged(self) -> None: ...

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def fault(self, kind: str, on: bool, **args: Any) -> None: ...
    def state(self) -> dict[str, Any]:
        return {"soc_pct": 60.0}


class Bench:
    """An EVSE, its host's heartbeat, and fake time."""

    def __init__(self, **limits: float) -> None:
        self.now = 100.0
        self.events: list[tuple[str, dict[str, Any]]] = []
        ceiling: dict[str, Any] = {
            "voltage_v": 500.0,
            "current_a": 75.0,
            "power_w": 22_000.0,
            **limits,
        }
        self.evse = EvseRig(
            BENCH,
            Limits(**ceiling),
            Grid(50.0, 230.0, 500.0),
            1,
            self.now,
            lambda name, **facts: self.events.append((name, facts)),
        )
        self.word: int | None = 0
        self.car = Battery()
        self.evse.plug_in(self.car)
        self.run(0.6)

    def run(self, seconds: float) -> None:
        for i in range(round(seconds / STEP_S)):
            self.now += STEP_S
            if self.word is not None and i % 20 == 0:
                heartbeat = frame(0x06, self.word.to_bytes(8, "big"))
                self.evse.mcu.receive(heartbeat, self.now)
            self.evse.step(self.now, STEP_S)

    def write(self, code: int, value: int) -> None:
        data = code.to_bytes(2, "big") + bytes(2) + value.to_bytes(4, "big")
        assert self.evse.stage.receive(WRITE, data, self.now)

    def power(self, amps: float, *, discharge: bool = False) -> None:
        self.word = CLOSE_DC
        self.run(0.1)
        self.write(0x2110, 0xA1 if discharge else 0xA0)
        self.write(0x1001, 450_000)
        self.write(0x1132, 300_000)
        self.write(0x1002, round(amps * 1000))
        self.write(0x1110, 0xA0)
        self.run(1.0)


@pytest.mark.parametrize(("discharge", "sign"), [(False, 1), (True, -1)])
def test_power_flows_both_ways(discharge: bool, sign: int) -> None:
    bench = Bench()
    bench.power(15.0, discharge=discharge)
    assert bench.evse.plant.current_a == pytest.approx(sign * 15.0)
    assert bench.car.seen.dc_current_a == pytest.approx(sign * 15.0)
    total_w = sum(bench.evse.phases_w())
    assert total_w * sign > 4000
    assert grid_power_w(bench.evse.grid, {1: bench.evse}) == pytest.approx(
        500 + total_w
    )


def test_the_meter_counts_what_the_plant_books() -> None:
    bench = Bench()
    meter, books = bench.evse.meter, bench.evse.plant.energies
    before_wh = 1000 * (meter.import_kwh - meter.export_kwh)
    true_wh = books.ac_import_wh - books.ac_export_wh
    bench.power(15.0, discharge=True)
    bench.run(3.0)
    counted = 1000 * (meter.import_kwh - meter.export_kwh) - before_wh
    true_wh = books.ac_import_wh - books.ac_export_wh - true_wh
    assert counted == pytest.approx(true_wh, rel=1e-6)
    sent_wh = books.dc_charge_wh - books.dc_discharge_wh
    assert bench.car.wh == pytest.approx(sent_wh, rel=2e-2)


def test_a_silent_host_ends_at_zero_in_the_lease() -> None:
    bench = Bench()
    bench.power(15.0, discharge=True)
    bench.word = None
    bench.run(0.35)
    plant = bench.evse.plant
    assert (plant.dc.closed, plant.current_a) == (False, 0.0)
    assert plant.dc.breaks_under_load == 1
    opened = bench.events[-1]
    assert opened[0] == "contactor"
    assert opened[1]["safe_state"] is True
    assert opened[1]["current_a"] == pytest.approx(-15.0)


def test_a_polite_stop_counts_no_break() -> None:
    bench = Bench()
    bench.power(15.0)
    bench.write(0x1110, 0xA1)
    bench.run(0.1)
    bench.word = 0
    bench.run(0.2)
    assert not bench.evse.plant.dc.closed
    assert bench.evse.plant.dc.breaks_under_load == 0


@pytest.mark.parametrize(
    ("limit", "value"), [("current_a", 14.0), ("power_w", 5000.0), ("voltage_v", 360.0)]
)
def test_the_ceiling_opens_and_stays_open(limit: str, value: float) -> None:
    bench = Bench(**{limit: value})
    bench.power(15.0)
    assert limit in bench.evse.ceiling_hit
    assert not bench.evse.plant.dc.closed
    bench.word = CLOSE_DC
    bench.run(1.0)
    assert not bench.evse.plant.dc.closed
    assert ("ceiling_hit", {"text": bench.evse.ceiling_hit}) in bench.events


def test_welded_contactor_shows_in_the_mirror() -> None:
    bench = Bench()
    bench.word = CLOSE_DC
    bench.run(0.1)
    bench.evse.faults["contactor"].set("dc_weld", True, {})
    bench.word = 0
    bench.run(0.5)
    assert bench.evse.mcu.inputs.dc_closed
    bench.evse.faults["contactor"].set("dc_weld", False, {})
    bench.run(0.1)
    assert not bench.evse.mcu.inputs.dc_closed


def test_mains_off_stops_stage_and_outlet_but_not_the_mcu() -> None:
    bench = Bench()
    bench.power(15.0)
    bench.evse.faults["mains"].set("off", True, {})
    bench.run(0.05)
    assert bench.evse.plant.current_a == 0.0
    assert sum(bench.evse.phases_w()) == pytest.approx(8.0)
    assert not bench.evse.mcu.safe


def test_outlet_flows_on_l1_only_when_closed() -> None:
    bench = Bench()
    bench.car.given = Given(pilot_state="C", ac_power_w=3600.0)
    bench.run(0.1)
    assert bench.evse.plant.outlet_w == 0.0
    bench.word = CLOSE_AC
    bench.run(0.1)
    one, two, three = bench.evse.phases_w()
    assert one - two == pytest.approx(3600.0)
    assert two == three
    assert bench.car.seen.ac_live


def test_a_vehicle_that_feeds_in_is_seen_by_the_meter() -> None:
    bench = Bench()
    bench.car.given = Given(pilot_state="C", ac_power_w=-3600.0)
    bench.word = CLOSE_AC
    bench.run(1.0)
    books = bench.evse.plant.energies
    assert sum(bench.evse.phases_w()) == pytest.approx(-3600.0 + 15.0 + 8.0)
    assert books.ac_export_wh > 0.9
    assert books.ac_path_wh < -0.9
    assert bench.evse.plug_out()  # under load


def test_pulled_under_load() -> None:
    bench = Bench()
    with pytest.raises(RigError, match="plug_out first"):
        bench.evse.plug_in(Battery())
    bench.power(15.0)
    assert bench.evse.plug_out()
    bench.run(0.05)
    assert bench.evse.pulled_under_load == 1
    assert bench.evse.plant.current_a == 0.0
    assert bench.evse.mcu.pilot_state == "A"
    with pytest.raises(RigError, match="no vehicle"):
        bench.evse.plug_out()


def test_vehicle_bus_and_its_faults() -> None:
    bench = Bench()
    bench.car.given = replace(bench.car.given, frames=((0x100, b"a"),))
    assert bench.evse.step(bench.now, STEP_S).vehicle == ((0x100, b"a"),)
    bench.evse.can(0x108, b"b", bench.now)
    assert bench.car.frames == [(0x108, b"b")]
    bench.evse.faults["vehicle"].set("silent", True, {})
    assert bench.evse.step(bench.now, STEP_S).vehicle == ()
    bench.evse.faults["vehicle"].set("comm_loss", True, {})
    bench.evse.can(0x109, b"c", bench.now)
    assert len(bench.car.frames) == 1


def test_waiting_is_plugged_without_power() -> None:
    bench = Bench()
    assert bench.evse.waiting()
    bench.power(10.0)
    assert not bench.evse.waiting()


def test_state_and_sample_tell_the_truth() -> None:
    bench = Bench()
    bench.power(15.0, discharge=True)
    state = evse_state(bench.evse, bench.now)
    assert state["dc"]["current_a"] == pytest.approx(-15.0)
    assert state["contactors"]["dc"] is True
    assert state["ev"] == {"kind": "battery", "soc_pct": 60.0}
    line = sample(bench.evse.grid, {1: bench.evse})["evses"]["1"]
    assert line["ac_w"] < -4000
    assert line["soc_pct"] == 60.0
    assert line["stage"]["discharge"] is True


def islanded(load_w: float, amps: float) -> Bench:
    """A battery behind an open relay, asked to make the house's voltage."""
    bench = Bench()
    grid = bench.evse.grid
    grid.relay, grid.relay_open, grid.voltage_v = True, True, 0.0
    bench.evse.island_load_w = load_w
    bench.power(amps, discharge=True)
    assert bench.evse.plant.current_a == 0.0  # dead: no firmware has allowed it
    asked = (0b11 << 62).to_bytes(8, "big")
    bench.evse.mcu.receive(frame(0x22, asked), bench.now)
    bench.run(0.5)
    return bench


def test_in_an_island_the_loads_say_what_flows() -> None:
    bench = islanded(2000.0, 15.0)
    assert bench.evse.feeds
    assert bench.evse.plant.ac_w == pytest.approx(-2000.0, abs=1.0)
    bench.evse.island_load_w = 3500.0
    bench.run(0.1)
    assert bench.evse.plant.ac_w == pytest.approx(-3500.0, abs=1.0)


def test_too_much_load_and_the_voltage_is_gone() -> None:
    bench = islanded(6000.0, 15.0)  # 15 A at 370 V are 5.5 kW
    assert not bench.evse.feeds
    assert bench.evse.plant.current_a == 0.0
    assert bench.evse.island_trips == 1
    assert "island_tripped" in dict(bench.events)
