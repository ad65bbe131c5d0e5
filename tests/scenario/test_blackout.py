"""自立運転 with real processes: the grid goes, a vehicle feeds the house, and back.

The rig's firmware has the relay, its mirror and the interlock; the daemon only asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lane import Lane
from tests.process import Plant, patient_bench, station, until

pytestmark = [pytest.mark.story, pytest.mark.process, pytest.mark.timeout(150)]

BLACKOUT = {
    "CHARGERD__SITE__BLACKOUT__AUTOMATIC": "true",
    "CHARGERD__SITE__NOMINAL_HZ": "50",
    "CHARGERD__SITE__GRID_CODE__RECONNECT_S": "5",
    "CHARGERD__EVSE__0__DEVICES__STAGE__DRIVER": "infypower_beg_island",
}
HOUSE_W = 1800.0


async def grid_of(plant: Plant) -> dict[str, Any]:
    found: dict[str, Any] = (await plant.stand.rig.ask(verb="state"))["grid"]
    return found


async def house_lives(plant: Plant) -> bool:
    seen = await grid_of(plant)
    return bool(seen["relay_open"] and seen["house_v"] > 200.0)


@pytest.mark.asyncio
async def test_the_house_lives_on_without_the_grid(tmp_path: Path) -> None:
    bench = patient_bench(tmp_path)
    async with station(tmp_path, bench=bench, **BLACKOUT) as plant:
        lane, rig = Lane(plant, 1), plant.stand.rig
        await rig.ask(verb="load", power_w=HOUSE_W)
        await lane.start_dc(-3000.0)

        await rig.ask(verb="grid", voltage_v=0.0)
        await until("the house lives", lambda: house_lives(plant), 40.0)

        async def carried() -> bool:
            return abs(await lane.power_w() + HOUSE_W) < 60.0

        await lane.wait("the vehicle carries the house, not the setpoint", carried, 5.0)
        assert (await grid_of(plant))["power_w"] == 0.0  # nothing into the dead grid
        said = (await plant.status(1))["decision"]
        assert said["source"] == "island"

        await rig.ask(verb="load", power_w=2500.0)  # a kettle: followed at once

        async def more() -> bool:
            return abs(await lane.power_w() + 2500.0) < 60.0

        await lane.wait("the load is followed", more, 3.0)

        await rig.ask(verb="grid", voltage_v=230.0)

        async def back() -> bool:
            return not (await grid_of(plant))["relay_open"]

        await until("the relay has closed", back, 30.0)
        assert (await plant.truth(1))["island"]["trips"] == 0
        events = [row for row in plant.trace() if row.get("event") == "grid_relay"]
        assert [row["open"] for row in events] == [True, False]
        await lane.wait_power(20.0)  # the setpoint again, beside the grid
