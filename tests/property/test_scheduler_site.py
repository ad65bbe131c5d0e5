"""Many EVSEs on one connection: never over the fuse in any tick, nor over the export.

Random houses, phases, sessions and signals from a seed. Held after every tick: commands
and plant, by total and by phase, fit beside the house that was last seen.
"""

from __future__ import annotations

import random

import pytest

from chargerd import config
from chargerd.model import OperationMode, Priority, StartRequest, VehicleOffer
from chargerd.scheduler import share
from tests.unit.scheduler.stand import TOKEN, Stand, make_signal

METER = config.Device(driver="x", at="serial:/dev/null")
FUSE_A = 40.0
VOLTS = 230.0
ROUNDING_W = 1.0


class Site(Stand):
    """A stand whose site meter knows phases; the house lies on them unevenly."""

    def __init__(self, seed: int, count: int, *, fuse: bool) -> None:
        self.chance = random.Random(seed)
        site = config.Site(
            import_w=15_000,
            export_w=4000,
            export_permit="TEST",
            meter=METER,
            fuse_a=FUSE_A if fuse else None,
        )
        super().__init__(count, site=site, with_site=True, ac_phase=1)
        self.site = site
        self.house = [500.0, 500.0, 500.0]
        self.splits = {i: share.split(1, 1 + i % 3) for i in self.vehicles}
        for evse_id, runner in self.cycle._runners.items():
            runner.split = self.splits[evse_id]
        self.bridge.site_phases = self.phases
        self.bridge.house_w = sum(self.house)

    def phases(self) -> tuple[float, ...]:
        powers = self.bridge.power_w
        return tuple(
            load + sum(powers[i] * s[phase] for i, s in self.splits.items())
            for phase, load in enumerate(self.house)
        )

    def load(self) -> None:
        """The house changes at a tick's end: seen by the next reading."""
        self.house = [self.chance.uniform(-2000.0, 6000.0) for _ in range(3)]
        self.bridge.house_w = sum(self.house)


def check(stand: Site, house: list[float], *, fuse: bool) -> None:
    """Commands of this tick beside the house it saw."""
    watts = {i: stand.decision(i).power_w for i in stand.vehicles}
    total, ours = sum(house), sum(watts.values())
    assert ours <= max(0.0, stand.site.import_w - total) + ROUNDING_W
    assert ours >= -max(0.0, stand.site.export_w + total) - ROUNDING_W
    if not fuse:
        return
    for phase, load in enumerate(house):
        mine = {i: w * stand.splits[i][phase] for i, w in watts.items()}
        into = sum(max(0.0, w) for w in mine.values())
        out = sum(max(0.0, -w) for w in mine.values())
        assert into <= max(0.0, FUSE_A * VOLTS - load) + ROUNDING_W
        assert out <= max(0.0, FUSE_A * VOLTS + load) + ROUNDING_W


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_never_over_the_fuse_in_any_tick(seed: int, fuse: bool) -> None:
    count = 2 + seed % 4
    stand = Site(seed, count, fuse=fuse)
    chance = stand.chance
    for evse_id in stand.vehicles:
        stand.start(evse_id)
    seen = [list(stand.house)] * 2
    for _ in range(400):
        if chance.random() < 0.10:
            stand.load()
        if chance.random() < 0.15:
            evse_id = chance.choice([0, *stand.vehicles])
            signal = make_signal(
                stand.mono,
                chance.uniform(-9000.0, 9000.0),
                chance.choice([0.3, 2.0, 30.0]),
                evse_id,
                source=chance.choice(["a", "b"]),
                priority=chance.choice(list(Priority)),
                mode=chance.choice(
                    [OperationMode.CENTRAL_SETPOINT, OperationMode.CHARGING_ONLY]
                ),
            )
            stand.cycle.signal(signal)
        if chance.random() < 0.02:
            evse_id = chance.choice(list(stand.vehicles))
            stand.unplug(evse_id)
            stand.beat()
            seen.append(list(stand.house))
            stand.plug(evse_id)
            stand.cycle.request(StartRequest(evse_id, TOKEN))
        stand.beat()
        seen.append(list(stand.house))  # a reading is used one tick later
        check(stand, seen[-2], fuse=fuse)


def test_two_that_want_all_get_half_each_and_the_third_takes_its_part() -> None:
    stand = Site(1, 3, fuse=False)
    stand.house = [1000.0, 1000.0, 1000.0]
    stand.bridge.house_w = 3000.0
    stand.start(1)
    stand.start(2)
    stand.run(5.0)
    assert stand.decision(1).power_w == pytest.approx(6000.0, abs=20.0)
    assert stand.decision(2).power_w == pytest.approx(6000.0, abs=20.0)
    stand.start(3)
    stand.run(5.0)
    for evse_id in (1, 2, 3):
        assert stand.decision(evse_id).power_w == pytest.approx(4000.0, abs=20.0)


def test_a_limit_for_the_whole_station_is_shared_too() -> None:
    stand = Site(1, 2, fuse=False)
    stand.start(1)
    stand.run(2.0)
    limit = make_signal(
        stand.mono,
        None,
        60.0,
        0,
        mode=OperationMode.EXTERNAL_LIMITS,
        limit_w=6000.0,
        discharge_limit_w=-3000.0,
    )
    stand.cycle.signal(limit)
    stand.start(2)
    stand.run(5.0)
    assert stand.decision(1).power_w == pytest.approx(3000.0, abs=20.0)
    assert stand.decision(2).power_w == pytest.approx(3000.0, abs=20.0)
    for evse_id in (1, 2):
        stand.setpoint(-6000.0, 60.0, evse_id=evse_id, source="b")
    stand.run(5.0)
    assert stand.decision(1).power_w == pytest.approx(-1500.0, abs=20.0)
    assert stand.decision(2).power_w == pytest.approx(-1500.0, abs=20.0)


def test_a_full_phase_is_kept_while_another_has_room() -> None:
    stand = Site(1, 2, fuse=True)  # EVSE 1 on L2, EVSE 2 on L3
    stand.house = [0.0, 7000.0, 0.0]
    stand.bridge.house_w = 7000.0
    stand.start(1)
    stand.start(2)
    stand.run(5.0)
    room_w = FUSE_A * VOLTS - 7000.0
    assert stand.decision(1).power_w == pytest.approx(room_w, abs=20.0)
    assert stand.decision(2).power_w > 5000.0


def test_one_that_starts_is_offered_its_part_before_anything_flows() -> None:
    stand = Site(1, 2, fuse=False)
    stand.house, stand.bridge.house_w = [3000.0] * 3, 9000.0
    stand.start(1)
    stand.run(3.0)
    assert stand.decision(1).power_w == pytest.approx(6000.0, abs=20.0)
    offers: list[VehicleOffer] = []
    stand.vehicles[2].offer = offers.append  # type: ignore[method-assign]
    stand.plug(2)
    stand.cycle.request(StartRequest(2, TOKEN))
    stand.run(0.5)  # it is still being greeted: no power path is closed
    assert stand.decision(2).power_w == 0.0
    assert offers[-1].charge_a > 5.0


def test_what_one_feeds_another_may_take_until_it_ends() -> None:
    """Import is tight: 4 kW are left of it, EVSE 1 feeds 6 kW, EVSE 2 takes 7 kW."""
    stand = Site(1, 2, fuse=False)
    stand.house, stand.bridge.house_w = [11_000.0, 0.0, 0.0], 11_000.0
    stand.start(1)
    stand.start(2)
    stand.setpoint(-6000.0, 600.0, evse_id=1)
    stand.setpoint(7000.0, 600.0, evse_id=2)
    stand.run(5.0)
    assert stand.decision(1).power_w == pytest.approx(-6000.0)
    assert stand.decision(2).power_w == pytest.approx(7000.0)
    stand.unplug(1)
    stand.beat()
    assert stand.decision(1).power_w == 0.0
    assert stand.decision(2).power_w <= 4000.0 + ROUNDING_W  # in that very tick
