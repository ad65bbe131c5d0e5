"""Sessions of another kind with real processes: a fuel-cell vehicle that only feeds,
and a second-life pack that starts by itself and follows its plan.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hil.csms.dispatch import set_setpoint
from tests.lane import FAST_CAR, RESTS_W, Lane
from tests.process import patient_bench, station

pytestmark = [pytest.mark.story, pytest.mark.process, pytest.mark.timeout(150)]

TOKYO = ZoneInfo("Asia/Tokyo")  # vehicle.promise.timezone
EVSE = "CHARGERD__EVSE__"


def environment() -> dict[str, str]:
    """EVSE 1 for a source, EVSE 2 with a pack; dear now, cheap in three hours."""
    pytest.importorskip("highspy")
    now = datetime.now(TOKYO)
    hours = [(now + timedelta(hours=h)).strftime("%H:00") for h in (-2, 3)]
    part = "CHARGERD__SITE__TARIFF__PARTS__"
    return {
        f"{EVSE}0__BATTERY__CHARGE_C": "0",
        f"{EVSE}0__BATTERY__WEAR_PER_KWH": "60",  # fuel that no price here pays for
        f"{EVSE}1__BATTERY__STATIONARY": "true",
        f"{EVSE}1__BATTERY__WEAR_PER_KWH": "1",
        "CHARGERD__SITE__TARIFF__CURRENCY": "JPY",
        f"{part}0__BEGINS": hours[0],
        f"{part}0__BUY_PER_KWH": "45",
        f"{part}0__SELL_PER_KWH": "40",
        f"{part}1__BEGINS": hours[1],
        f"{part}1__BUY_PER_KWH": "10",
        f"{part}1__SELL_PER_KWH": "5",
    }


async def near(lane: Lane, power_w: float, limit_s: float) -> None:
    async def there() -> bool:
        return abs(await lane.power_w() - power_w) < 200.0

    await lane.wait(f"{power_w} W", there, limit_s)


async def pack(lane: Lane) -> None:
    """No card, no departure: plugged in, planned, dispatched."""
    lane.log.append("pack")
    await lane.rig(verb="plug_in", ev="chademo", soc=60.0, **FAST_CAR)

    async def sells() -> bool:
        decision = (await lane.plant.status(lane.evse)).get("decision") or {}
        planned = decision.get("source") == "plan.highs"
        return planned and await lane.power_w() < -3000.0

    await lane.wait("it sells by plan", sells, 40.0)


async def source(lane: Lane) -> None:
    """Fed out on demand, never charged."""
    lane.log.append("fuel cell")
    await lane.rig(verb="plug_in", ev="chademo", soc=60.0, profile="fuel_cell",
                   **FAST_CAR)  # fmt: skip
    await lane.swipe()
    await lane.wait_phase("energy", 20.0)
    await set_setpoint(lane.plant.peer, lane.evse, -2500.0, 600)
    await near(lane, -2500.0, 10.0)
    await set_setpoint(lane.plant.peer, lane.evse, 4000.0, 600, stack_level=1)

    async def rests() -> bool:
        decided = (await lane.plant.status(lane.evse))["decision"]["power_w"]
        return decided == 0.0 and abs(await lane.power_w()) < RESTS_W

    await lane.wait("a source is not charged", rests, 10.0)


@pytest.mark.asyncio
async def test_a_source_and_a_pack_that_stays(tmp_path: Path) -> None:
    bench = patient_bench(tmp_path)
    async with station(tmp_path, bench=bench, **environment()) as plant:
        await source(Lane(plant, 1))
        await pack(Lane(plant, 2))
        assert not plant.csms.violations
