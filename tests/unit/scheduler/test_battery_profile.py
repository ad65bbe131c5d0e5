"""Batteries by data: C-rate, window, taper, sources and packs that stay."""

from __future__ import annotations

import asyncio
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from chargerd import config, config_load
from chargerd.config_battery import Battery
from chargerd.config_plan import SitePlan
from chargerd.model import PromiseRequest, SessionPhase
from chargerd.scheduler.battery_profile import Profiles
from chargerd.scheduler.planner import horizon
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.child import Child
from chargerd.scheduler.planner.door import PlanDoor
from tests.unit.planner.test_envelope import EVSE, NOW, PRICES, SITE
from tests.unit.scheduler.stand import Stand

FILES = sorted(
    (Path(__file__).parents[3] / "config" / "batteries").glob("*.toml"),
    key=lambda path: path.stem,
)


def load(name: str) -> Battery:
    path = next(path for path in FILES if path.stem == name)
    return Battery.model_validate(tomllib.loads(path.read_text()))


def stand(battery: Battery, soc_pct: float = 60.0, **owner: object) -> Stand:
    values = {"departure": "", "floor_soc_pct": 0.0, "target_soc_pct": 100.0} | owner
    s = Stand(owner=config.Owner.model_validate(values), profiles=Profiles(battery, {}))
    s.vehicles[1].soc_pct = soc_pct
    s.start()
    s.run(6.0)
    return s


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_read(path: Path) -> None:
    battery = Battery.model_validate(tomllib.loads(path.read_text()))
    assert battery.chemistry


def test_a_solid_state_pack_loads_without_a_change_of_code() -> None:
    battery = load("solid-state")
    s = stand(battery, 85.0)
    assert s.decision().power_w > 7000.0  # 85 % is below its knee, at its full power
    evse = replace(EVSE, profile=battery)
    found = horizon.make(replace(SITE, evses=(evse,)), PRICES, SitePlan(), NOW)
    assert found is not None
    assert found.problem.packs[0].knee == pytest.approx(0.92 * 40.0)


@pytest.mark.parametrize(
    ("battery", "wish_w", "power_w"),
    [
        (Battery(charge_c=0.1), 7000.0, 0.1 * 40_000 / 0.94),
        (Battery(discharge_c=0.05), -7000.0, -0.05 * 40_000 * 0.94),
        (Battery(high_pct=60.0), 7000.0, 0.0),
        (Battery(high_pct=60.0), -3000.0, -3000.0),
        (Battery(low_pct=60.0), -7000.0, 0.0),
        (Battery(low_pct=60.0), 3000.0, 3000.0),
        (Battery(), 7000.0, 7000.0),
    ],
)
def test_c_rate_and_window(battery: Battery, wish_w: float, power_w: float) -> None:
    s = stand(battery)
    s.setpoint(wish_w)
    s.run(6.0)
    assert s.decision().power_w == pytest.approx(power_w, abs=1.0)


def test_a_fuel_cell_vehicle_only_feeds() -> None:
    s = stand(load("fuel-cell"))
    assert s.decision().power_w == 0.0
    s.setpoint(5000.0)
    s.run(6.0)
    assert s.decision().power_w == 0.0
    s.setpoint(-5000.0)
    s.run(6.0)
    assert s.decision().power_w == pytest.approx(-5000.0)


def test_the_vehicles_id_chooses() -> None:
    profiles = Profiles(Battery(), {"A1": Battery(chemistry="mine")})
    assert profiles.of("A1").chemistry == "mine"
    assert profiles.of("") == profiles.of("other") == Battery()


def test_a_pack_that_stays_waits_for_its_plan() -> None:
    assert stand(load("second-life")).decision().power_w == 0.0
    assert stand(load("second-life"), 15.0).decision().power_w > 0.0  # below its window


def test_a_pack_that_stays_is_planned_without_a_departure() -> None:
    free = replace(EVSE, promise=None, energy_wh=30_000.0)
    stays = replace(free, profile=load("second-life"))
    wear = SitePlan(wear_per_kwh=0.01)
    assert horizon.make(replace(SITE, evses=(free,)), PRICES, wear, NOW) is None
    found = horizon.make(replace(SITE, evses=(stays,)), PRICES, wear, NOW)
    assert found is not None
    pack = found.problem.packs[0]
    assert pack.target == pack.energy == 30.0
    assert pack.ceiling == pytest.approx(0.85 * 40.0)
    assert found.edges_mono[-1] == PRICES.until_mono


def test_a_packs_own_wear_counts_before_the_sites() -> None:
    evse = replace(EVSE, profile=Battery(wear_per_kwh=3.0, calendar_per_kwh_h=0.5))
    found = horizon.make(replace(SITE, evses=(evse,)), PRICES, SitePlan(), NOW)
    assert found is not None
    assert (found.problem.packs[0].wear, found.problem.packs[0].calendar) == (3.0, 0.5)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="low_pct must be below"):
        Battery(low_pct=50.0, high_pct=50.0)


def test_files_beside_the_configuration(tmp_path: Path) -> None:
    shipped = FILES[0].parents[1] / "ccs.toml"
    text = shipped.read_text(encoding="utf-8").replace("[vehicle.battery] ", "# ")
    text += '\n[vehicle]\nbattery = "lfp.toml"\nbatteries = { A1 = "none.toml" }\n'
    path = tmp_path / "chargerd.toml"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "lfp.toml").write_text('chemistry = "LFP"', encoding="utf-8")
    with pytest.raises(config_load.ConfigError, match=r"vehicle\.batteries\.A1"):
        config_load.load(path, {})
    (tmp_path / "none.toml").write_text("charge_c = 1.0", encoding="utf-8")
    vehicle = config_load.load(path, {}).vehicle
    assert vehicle.battery.chemistry == "LFP"
    assert vehicle.batteries["A1"].charge_c == 1.0


def test_a_promise_asks_no_charge_of_a_source() -> None:
    s = stand(load("fuel-cell"))
    s.cycle.request(PromiseRequest(1, s.mono + 3600.0, 90.0))
    s.setpoint(-5000.0)
    s.run(6.0)
    assert s.decision().power_w == pytest.approx(-5000.0)
    assert "PromiseOutOfReach" not in {f.name for f in s.report().snapshot.faults}


@pytest.mark.parametrize(("fuel", "feeds"), [(0.1, True), (0.45, False)])
def test_a_source_is_planned_to_feed_where_its_fuel_is_cheaper(
    fuel: float, feeds: bool
) -> None:
    solver = pytest.importorskip("chargerd.scheduler.planner.solver")
    battery = load("fuel-cell").model_copy(update={"wear_per_kwh": fuel})
    evse = replace(EVSE, promise=None, profile=battery, charge_w=0.0)
    found = horizon.make(replace(SITE, evses=(evse,)), PRICES, SitePlan(), NOW)
    assert found is not None
    trace = solver.solve(found.problem).traces[0]
    assert max(trace.power_kw) == 0.0
    # Sold at 0.4 at most, and the house (0.7 kW) buys at 0.5: the fuel at 0.45 feeds
    # the house alone.
    assert (min(trace.power_kw) < -3.0) is feeds
    assert min(trace.power_kw) < 0.0
    assert min(trace.energy_kwh) >= EVSE.floor_wh / 1000.0 - 1e-6


def test_a_pack_that_stays_starts_by_itself_and_follows_its_plan() -> None:
    pytest.importorskip("highspy")
    battery = load("second-life").model_copy(update={"wear_per_kwh": 1.0})
    tariff = {
        "currency": "JPY",
        "parts": [
            {"begins": "07:00", "buy_per_kwh": 45, "sell_per_kwh": 40},
            {"begins": "23:00", "buy_per_kwh": 10, "sell_per_kwh": 5},
        ],
    }
    values = {"import_w": 20_000, "export_w": 20_000, "export_permit": "TEST"}
    s = Stand(
        site=config.Site.model_validate(values | {"tariff": tariff}),  # 17:00 in Tokyo
        profiles=Profiles(battery),
    )
    s.run(1.0)
    s.plug()
    s.run(4.0)  # and nobody shows a card
    assert s.phase() is SessionPhase.SUSPENDED_EVSE
    door = PlanDoor(
        SitePlan(),
        s.cycle.outlook,
        s.cycle.plan,
        s.now,
        tariff=s.cycle.prices,
        child=InProcess(),
    )
    asyncio.run(door.look())
    s.run(70.0)
    assert s.decision().source == "plan.highs"
    assert s.decision().power_w < -3000.0  # sells at 40 what it buys at 10 later
    (plan,) = door.plans()
    assert plan.parts[-1].end_wh == pytest.approx(plan.start_wh, abs=50.0)


class InProcess(Child):
    """The solver without its process."""

    async def solve(self, problem: p.Problem, deadline_s: float) -> p.Solution:
        from chargerd.scheduler.planner.solver import solve

        return solve(problem)


def test_a_pack_wired_to_one_evse_is_its_alone(tmp_path: Path) -> None:
    shipped = FILES[0].parents[1] / "chargerd.toml"
    text = shipped.read_text(encoding="utf-8").replace("# battery =", "battery =", 1)
    text = text.replace("batteries/", f"{FILES[0].parent}/", 1)
    path = tmp_path / "chargerd.toml"
    path.write_text(text, encoding="utf-8")
    first, other = config_load.load(path, {}).evse
    assert first.battery is not None
    assert first.battery.stationary
    assert other.battery is None
