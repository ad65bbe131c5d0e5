"""PyPI `pychonet` 2.8.2 as HEMS commands the daemon, and the vehicle follows.

Its 0x027E table differs from the machine readable appendix 1.3.1: DA 41 "rapid charge"
and 45 "test" are codes of other classes, 46, 47 and 49 have no name; C8 is cut to four
bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.partner import Partner, install, partner
from tests.process import Plant, patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

HEMS = Path(__file__).with_name("pychonet_hems.py")
ADDRESS = "127.43.0.1"
ENV = {
    "CHARGERD__GRID__ECHONET__ADDRESS": ADDRESS,
    "CHARGERD__GRID__ECHONET__CONTROLLERS": '["127.0.0.1/32"]',
}


async def flows(plant: Plant, power_w: float) -> None:
    async def there() -> bool:
        return abs(await plant.power_w() - power_w) < 300.0

    await until(f"{power_w} W at the terminals", there, 20.0)


async def told(hems: Partner, epc: int, value: str) -> None:
    """By an announcement: nothing is asked."""

    async def known() -> Any:
        return (await hems.ask("pushed", epc))["value"] == value

    await until(f"{epc:#x} is announced as {value}", known, 10.0)


@pytest.mark.asyncio
async def test_a_hems_commands_the_vehicle(tmp_path: Path) -> None:
    python = install("pychonet", "2.8.2")
    async with (
        station(tmp_path, bench=patient_bench(tmp_path), **ENV) as plant,
        partner(python, HEMS, ADDRESS) as hems,
    ):
        assert ADDRESS in await hems.ask("search")  # it hears itself, too
        found = await hems.ask("discover")
        assert found["instances"] == [1, 2]
        assert {0xDA, 0xDC, 0xDD, 0xEB, 0xEC} <= set(found["set"])
        assert await hems.ask("get", 0xC7) == {str(0xC7): "Not Connected"}

        await plant.start_session()
        await told(hems, 0xC7, "Chargeable and Dischargeable")
        known = await hems.ask("get", 0xC5, 0xC6, 0xC7, 0xCC, 0xE1, 0xE4, 0xDB)
        assert known[str(0xC5)] == 10_000
        assert known[str(0xCC)] == "DC_AA_ChargeDischarge"
        assert 59 <= known[str(0xE4)] <= 61

        await hems.ask("set", [0xDD, 3, 1], [0xEC, 3000, 4])
        assert await hems.ask("set", [0xDA, 0x43, 1])
        await flows(plant, -3000.0)

        async def measured() -> bool:
            power_w = (await hems.ask("get", 0xD3))[str(0xD3)]
            return bool(-3300 < power_w < -2700)

        await until("the HEMS reads the meter", measured, 10.0)
        modes = await hems.ask("get", 0xDA, 0xE1)
        assert modes == {str(0xDA): "Discharge", str(0xE1): "Discharge"}

        await hems.ask("set", [0xDC, 3, 1], [0xEB, 2000, 4], [0xDA, 0x42, 1])
        await flows(plant, 2000.0)
        await hems.ask("set", [0xDA, 0x44, 1])
        await flows(plant, 0.0)

        status = (await plant.stand.local.ask(verb="status"))["station"]["grid"]
        assert status["echonet"]["refused"] == {}
        assert status["echonet"]["commands"]["1"]["by"] == "127.0.0.1"
