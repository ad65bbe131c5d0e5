"""PyPI `pysunspec2` 1.3.7 as an energy manager finds, reads and commands the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargerd.grid.sunspec_points import MODELS, POINTS
from tests.interop.partner import Partner, install, partner
from tests.process import Plant, patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

EMS = Path(__file__).with_name("pysunspec2_ems.py")
PORT = "15021"
ENV = {
    "CHARGERD__GRID__SUNSPEC__PORT": PORT,
    "CHARGERD__GRID__SUNSPEC__CONTROLLERS": '["127.0.0.1/32"]',
    "CHARGERD__GRID__SUNSPEC__HEARTBEAT_S": "3",
}


async def flows(plant: Plant, power_w: float) -> None:
    async def there() -> bool:
        return abs(await plant.power_w() - power_w) < 300.0

    await until(f"{power_w} W at the terminals", there, 20.0)


async def let_go(plant: Plant, ems: Partner, power_w: float) -> None:
    """The command is over, and the plan has taken its place."""

    async def gone() -> bool:
        off = (await ems.ask("read", 704, "WSetEna"))["WSetEna"] == 0
        return bool(off and abs(await plant.power_w() - power_w) > 1000.0)

    await until(f"{power_w} W is over", gone, 20.0)


@pytest.mark.asyncio
async def test_an_energy_manager_commands_the_vehicle(tmp_path: Path) -> None:
    python = install("pysunspec2", "1.3.7")
    async with (
        station(tmp_path, bench=patient_bench(tmp_path), **ENV) as plant,
        partner(python, EMS, "127.0.0.1", PORT) as ems,
    ):
        found = await ems.ask("scan")
        assert found["base"] == 40_000
        assert [number for number, _ in found["models"]] == list(MODELS)
        theirs = await ems.ask("layout")
        ours = {p.name: [p.address, p.words] for p in POINTS if p.name[0].isdigit()}
        assert theirs == ours

        await plant.start_session()
        state = await ems.ask("read", 713, "SoC", "WHRtg")
        assert 59.0 <= state["SoC"] <= 61.0
        rated = await ems.ask("read", 702, "WMaxRtg", "WChaRteMaxRtg")
        assert rated == {"WMaxRtg": 10_000, "WChaRteMaxRtg": 10_000}

        order = {"WSetEna": 1, "WSetMod": 1, "WSet": 3000}
        assert await ems.ask("write", 704, order) == ""
        await flows(plant, -3000.0)

        async def measured() -> bool:
            return bool(2700 < (await ems.ask("read", 701, "W"))["W"] < 3300)

        await until("the manager reads the power", measured, 10.0)

        # A time of its own, then what was said to follow it.
        revert = {"WSetRvrt": -1500, "WSetEnaRvrt": 1, "WSetRvrtTms": 2}
        assert await ems.ask("write", 704, revert) == ""
        await flows(plant, 1500.0)
        assert (await ems.ask("read", 704, "WSet"))["WSet"] == -1500

        # A pulse that stops ends the command, and here nothing is to follow it.
        assert await ems.ask("write", 704, {"WSetEnaRvrt": 0, "WSetRvrtTms": 0}) == ""
        assert await ems.ask("write", 715, {"ControllerHb": 1}) == ""
        await let_go(plant, ems, 1500.0)

        refused = await ems.ask("write", 704, {"WSetPct": 200.0})
        assert "exception" in refused.lower(), refused
        grid = (await plant.stand.local.ask(verb="status"))["station"]["grid"]
        assert grid["sunspec"]["refused"] == {"range": 1}
