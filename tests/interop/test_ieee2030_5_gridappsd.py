"""IEEE 2030.5 with two partners: PyPI `py20305` is the client that the daemon runs,
GridAPPS-D's models (PyPI `gridappsd-2030-5`) are the server's documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.stand import free_port
from tests.interop.partner import Partner, install, partner
from tests.interop.test_openadr2_openleadr import pki
from tests.process import patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

SERVER = Path(__file__).with_name("gridappsd_server.py")
MORE = ("--no-deps", "xsdata<23", "lxml", "typing-extensions", "cryptography", "cffi")
MORE = (*MORE, "pycparser")


def environment(port: int, ca: Path, certificate: Path, key: Path) -> dict[str, str]:
    prefix = "CHARGERD__GRID__IEEE2030_5__"
    values = {
        "URL": f"https://127.0.0.1:{port}",
        "CA": str(ca),
        "CERTIFICATE": str(certificate),
        "KEY": str(key),
        "EDITION": "2018",
        "POST_S": "5",
        "HOLD_S": "60",
    }
    return {prefix + key: value for key, value in values.items()}


async def seen(server: Partner, key: str, word: str = "") -> list[str]:
    async def there() -> list[str]:
        found = (await server.ask("seen")).get(key, [])
        return [one["xml"] for one in found if word in one["xml"]]

    found: list[str] = await until(f"{key} with {word!r}", there, 40.0)
    return found


@pytest.mark.asyncio
async def test_a_utility_commands_the_vehicle(tmp_path: Path) -> None:
    python = install("gridappsd_2030_5", "0.0.2a37", *MORE)
    files = ca, certificate, key = pki(tmp_path)
    port = free_port()
    words = (str(port), *map(str, files), str(certificate))
    async with (
        partner(python, SERVER, *words) as server,
        station(
            tmp_path,
            bench=patient_bench(tmp_path),
            **environment(port, ca, certificate, key),
        ) as plant,
    ):
        # 15 % of the station's 20 kW may go out: hundredths of a per cent.
        await server.ask("default", {"opModMaxLimW": 1500})

        async def up() -> bool:
            return bool((await plant.grid("ieee2030_5"))["connected"])

        await until("the server is known", up, 60.0)
        await plant.start_session()

        # opModTargetW: 2.5 kW out of the DER. Its reception and start are told.
        first = await server.ask("control", {"opModTargetW": 2500, "seconds": 600})
        await plant.flows(-2700.0, -2200.0)
        await seen(server, "DERControlResponse", first.upper())

        # It supersedes: 2 kW into it.
        second = await server.ask("control", {"opModTargetW": -2000, "seconds": 20})
        await plant.flows(1800.0, 2200.0)

        # Cancelled by the server: it ends. Then the default's cap stands above a wish.
        await server.ask("clear")
        await plant.flows(2300.0, 20_000.0)
        await server.ask("control", {"opModTargetW": 6000, "seconds": 600})
        await plant.flows(-3300.0, -2700.0)
        assert (await plant.grid("ieee2030_5"))["modes"] == ["p_lim", "target_w"]
        assert second != first

        await seen(server, "DERStatus")
        await seen(server, "DERCapability")
        await seen(server, "MirrorUsagePoint")
        assert set((await server.ask("seen"))["wrong"]) == set()
