"""S37 with real processes: a meter that lies is found inside 3 s and power ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.process import Plant, station, until

pytestmark = [pytest.mark.story, pytest.mark.process, pytest.mark.timeout(150)]

FOUND_S = 3.0
CASES = [
    ({"kind": "silent"}, "MeterLost"),
    ({"kind": "frozen"}, "MeterFrozen"),
    ({"kind": "sign"}, "MeterImplausible"),
    ({"kind": "gain", "gain": 1.5}, "MeterImplausible"),
]


@pytest.mark.asyncio
async def test_each_lie_is_found_and_power_ends(tmp_path: Path) -> None:
    async with station(tmp_path) as plant:
        for fault, name in CASES:
            await one_lie(plant, fault, name)


async def one_lie(plant: Plant, fault: dict[str, object], name: str) -> None:
    await plant.start_session()
    await plant.discharge(-5000.0)
    at = time.monotonic()
    await plant.stand.rig.ask(verb="fault", device="evse1-meter", **fault)

    async def safe() -> bool:
        return abs(await plant.current_a()) < 0.5

    await until(f"0 A after {fault}", safe, 6.0)
    assert time.monotonic() - at <= FOUND_S + 0.6  # the loop of this test looks too
    assert name in await plant.faults(), fault
    await plant.stand.rig.ask(verb="fault", device="evse1-meter", on=False, **fault)
    await plant.stand.rig.ask(verb="plug_out", connector=1)

    async def clean() -> bool:
        status = await plant.status()
        return status["phase"] == "idle" and not await plant.faults()

    await until(f"clean again after {fault}", clean, 15.0)
