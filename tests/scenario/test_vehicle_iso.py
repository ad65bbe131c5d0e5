"""ISO 15118 with real processes: the daemon's door, the rig's wires, a car on ::1."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path
from typing import Any

import pytest

from hil.csms.dispatch import set_setpoint
from hil.stand import CCS
from tests.lane import Lane
from tests.process import Plant, station
from tests.v2g_car import DcCar

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def car_on(plant: Plant, **values: Any) -> DcCar:
    async def pins(state: str, closed: bool) -> None:
        await plant.stand.rig.ask(
            verb="pilot", connector=1, state=state, contactor=closed
        )

    return DcCar(pins, **values)


async def plugged(plant: Plant) -> DcCar:
    """A car with its card shown, at the parameters."""
    await plant.stand.rig.ask(verb="plug_in", connector=1, ev="external", soc=50.0)
    await plant.stand.rig.ask(verb="swipe", token="04A2B3C4D5", connectors=[1])
    emf_v = float((await plant.truth())["ev"]["emf_v"])
    car = car_on(plant, battery_v=emf_v)
    await car.connect(plant.stand.sdp_port(1))
    await car.authorise()
    return car


async def charge(plant: Plant) -> None:
    lane = Lane(plant, 1)
    lane.log.append("-2 DC")
    car = await plugged(plant)
    await car.prepare()
    await car.start()
    await set_setpoint(plant.peer, 1, 5000.0, 600)
    car.took_s.clear()
    for _ in range(100):
        await car.demand(20.0)
        await asyncio.sleep(0.05)
    assert await lane.power_w() > 4000.0
    assert statistics.median(car.took_s) < 0.1
    await car.stop()
    await lane.wait_rest(2.0)
    await lane.wait_phase("finished")
    assert not await lane.active()
    await lane.unplug()


@pytest.mark.asyncio
async def test_iso15118_2(tmp_path: Path) -> None:
    async with station(tmp_path, config=str(CCS)) as plant:
        await charge(plant)
        assert not plant.csms.violations
