"""自立運転 in the loop: one vehicle feeds the house, others rest, the grid comes back.

The stand plays the firmware: it opens and closes the relay as it is asked, and refuses
to close onto a grid that is away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from chargerd import config
from chargerd.config_grid_code import GridCode
from chargerd.model import IslandRequest, Snapshot, VehiclePhase
from chargerd.scheduler.battery import Estimate
from chargerd.scheduler.blackout import Blackout, Place
from chargerd.scheduler.island import Phase
from chargerd.scheduler.terms import Context, Unit, Verdict
from firmware_bridge.api import (
    MeterReading,
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    Telemetry,
)
from tests.unit.scheduler.stand import Stand, make_evse
from tests.unit.scheduler.test_decide import (
    FREE,
    SNAP,
    UNIT,
    limits,
    run,
    session,
    vehicle,
)

METER = config.Device(driver="x", at="serial:/dev/null")


class House(Stand):
    """Mains and relay; the EVSE's own meter sits behind the relay."""

    def __init__(self, count: int = 1, **owner: object) -> None:
        site = config.Site(
            import_w=20_000,
            export_w=5000,
            export_permit="TEST",
            meter=METER,
            nominal_hz=50,
            grid_code=GridCode(reconnect_s=20.0),
            blackout=config.Blackout(**owner.pop("blackout", {})),  # type: ignore[arg-type]
        )
        wish = config.Owner(departure="", blackout_reserve_pct=50.0, **owner)  # type: ignore[arg-type]
        super().__init__(count, site=site, owner=wish, with_site=True)
        self.mains = True
        self.fitted: bool = True

    def beat(self, dt_s: float = 0.05) -> None:
        asked = any(c.pins.open_grid for c in self.bridge.commands.values())
        forming = any(c.stage.form_grid for c in self.bridge.commands.values())
        for evse_id, pilot in self.bridge.pilot.items():
            was = pilot.grid_open is True
            opened = asked or (was and not self.mains)
            mirror = opened if self.fitted else None
            self.bridge.pilot[evse_id] = replace(pilot, grid_open=mirror)
        relay_open = any(p.grid_open for p in self.bridge.pilot.values())
        assert not forming or relay_open  # else the firmware would have refused
        self.bridge.site_volts = 230.0 if self.mains else 0.0
        house_lives = self.mains and not relay_open
        self.bridge.own_volts = 230.0 if house_lives or forming else 0.0
        super().beat(dt_s)

    def forming(self) -> list[int]:
        return [i for i, c in self.bridge.commands.items() if c.stage.form_grid]


def test_a_blackout_from_its_begin_to_its_end() -> None:
    stand = House()
    stand.start()
    assert stand.decision().power_w > 5000.0
    stand.mains = False
    stand.run(2.5)
    assert stand.decision().power_w == 0.0
    assert stand.forming() == []
    stand.run(15.0)  # PowerLoss clears, the line is proven dead
    assert stand.cycle.blackout.state.phase is Phase.ISLANDED
    assert stand.forming() == [1]
    command = stand.bridge.commands[1]
    assert command.stage.mode is StageMode.DISCHARGE
    assert stand.decision().source == "island"
    assert stand.decision().power_w < -5000.0  # the most that the house may take
    stand.mains = True
    stand.run(19.0)
    assert stand.forming() == [1]  # not yet: the grid must be well so long
    stand.run(2.0)
    assert stand.forming() == []
    stand.run(20.0)
    assert stand.cycle.blackout.place(1) is Place.GRID
    assert stand.decision().power_w > 5000.0


def test_a_start_in_a_blackout_waits_for_a_grid_that_is_well() -> None:
    """The grid has just come back; nobody knows for how long it has been well."""
    stand = House()
    stand.bridge.pilot[1] = replace(stand.bridge.pilot[1], grid_open=True)
    for _ in range(4):  # the driver leaves the relay as it is
        Stand.beat(stand)
    assert stand.bridge.commands[1].pins.open_grid
    stand.start()
    stand.run(14.0)
    assert stand.bridge.pilot[1].grid_open
    assert stand.decision().power_w == 0.0
    stand.run(10.0)
    assert stand.cycle.blackout.place(1) is Place.GRID


def test_the_reserve_serves_the_house_and_the_floor_stays() -> None:
    stand = House(floor_soc_pct=30.0)
    stand.vehicles[1].soc_pct = 45.0  # below the reserve of 50 %
    stand.start()
    stand.setpoint(-3000.0, 600.0)
    stand.run(3.0)
    assert stand.decision().power_w == 0.0  # the reserve is not for sale
    stand.mains = False
    stand.run(20.0)
    assert stand.forming() == [1]
    stand.vehicles[1].soc_pct = 30.0
    stand.run(3.0)
    assert stand.forming() == []


def test_one_feeds_and_the_others_rest() -> None:
    stand = House(2)
    stand.start(1)
    stand.start(2)
    stand.mains = False
    stand.run(20.0)
    assert stand.forming() == [1]
    assert stand.decision(2).power_w == 0.0
    assert stand.decision(2).source == "grid.lost"
    stand.unplug(1)
    stand.run(5.0)
    assert stand.forming() == [2]


def test_a_signal_of_the_grid_has_no_say_in_an_island() -> None:
    stand = House()
    stand.start()
    stand.setpoint(7000.0, 600.0, limit_w=7000.0, discharge_limit_w=0.0)
    stand.mains = False
    stand.run(20.0)
    assert stand.decision().source == "island"


def test_by_hand_only_where_it_is_so_configured() -> None:
    stand = House(blackout={"automatic": False})
    stand.start()
    stand.mains = False
    stand.run(20.0)
    assert stand.forming() == []
    stand.cycle.request(IslandRequest())
    stand.run(1.0)
    assert stand.forming() == [1]
    stand.mains = True
    stand.run(30.0)
    assert stand.cycle.blackout.place(1) is Place.GRID
    stand.mains = False
    stand.run(20.0)
    assert stand.forming() == []  # the wish was for that blackout


@dataclass
class One:
    """One EVSE as a blackout sees it, the relay open."""

    evse_id: int = 1
    snapshot: Snapshot | None = SNAP
    context: Context = FREE
    unit: Unit = UNIT
    verdict: Verdict | None = field(default_factory=lambda: run(None))


@pytest.mark.parametrize(
    ("snap", "ctx", "fed"),
    [
        ({}, {}, True),
        ({}, {"stops_power": True}, False),
        ({}, {"no_discharge": True}, False),
        ({}, {"fresh": False}, False),
        ({}, {"battery": Estimate(None, 40_000.0)}, False),
        ({}, {"battery": Estimate(21.0, 40_000.0)}, False),  # 1 % above the floor
        ({}, {"battery": Estimate(21.1, 40_000.0)}, True),
        ({"session": session(authorised=False)}, {}, False),
        ({"vehicle": vehicle(phase=VehiclePhase.PRECHARGE)}, {}, False),
        ({"vehicle": vehicle(limits=None)}, {}, False),
        ({"vehicle": limits(discharge_allowed=False)}, {}, False),
    ],
)
def test_who_may_feed_the_house(
    snap: dict[str, object], ctx: dict[str, object], *, fed: bool
) -> None:
    pilot = Reading(PilotReading(PilotState.C, grid_open=True), 0.0)
    seen = replace(SNAP, telemetry=Telemetry(pilot=pilot), **snap)  # type: ignore[arg-type]
    one = One(snapshot=seen, context=replace(FREE, **ctx))  # type: ignore[arg-type]
    site = config.Site(
        import_w=20_000, nominal_hz=50, blackout=config.Blackout(), meter=METER
    )
    blackout = Blackout((make_evse(1),), site)
    for tick in range(60):
        mono = 100.0 + tick * 0.1
        meter = Reading(MeterReading(0.0, 0.0, 0.0, voltage_v=(0.0,)), mono)
        blackout.look(meter, {1: one}, mono)
    assert blackout.place(1) is (Place.FEED if fed else Place.REST)


def test_without_a_relay_there_is_no_island() -> None:
    stand = House()
    stand.fitted = False
    stand.start()
    stand.mains = False
    stand.run(30.0)
    assert stand.forming() == []
    assert stand.decision().power_w == 0.0


@pytest.mark.parametrize("dip_s", [0.1, 0.5, 0.9])
def test_a_dip_is_no_blackout(dip_s: float) -> None:
    stand = House()
    stand.start()
    stand.mains = False
    stand.run(dip_s)
    stand.mains = True
    stand.run(15.0)
    assert stand.cycle.blackout.state.phase is Phase.GRID
    assert stand.decision().power_w > 5000.0
