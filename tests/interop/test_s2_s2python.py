"""PyPI `s2-python` as CEM: both control types drive the vehicle, instructions are
revoked, a dropped session ends what it asked, bad words are answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.stand import free_port
from tests.interop.partner import Partner, install, partner
from tests.process import patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

CEM = Path(__file__).with_name("s2_cem.py")
VERSION = "0.11.1"
FRBC, PEBC = "FILL_RATE_BASED_CONTROL", "POWER_ENVELOPE_BASED_CONTROL"


def environment(port: int, right: bool = True) -> dict[str, str]:
    prefix = "CHARGERD__GRID__S2__"
    values = {"URL": f"ws://127.0.0.1:{port}/s2", "EVERY_S": "1"}
    values["TOKEN"] = "pairing-token" if right else "wrong"
    return {prefix + key: value for key, value in values.items()}


async def ended(cem: Partner, ident: str, status: str) -> None:
    async def there() -> bool:
        told = await cem.seen("InstructionStatusUpdate")
        mine = [m["status_type"] for m in told if m["instruction_id"] == ident]
        return status in mine

    await until(f"{ident} {status}", there, 30.0)


@pytest.mark.asyncio
async def test_a_cem_commands_the_vehicle(tmp_path: Path) -> None:
    python = install("s2_python", VERSION, "websockets>=15")
    port = free_port()
    async with (
        partner(python, CEM, str(port)) as cem,
        station(tmp_path, bench=patient_bench(tmp_path), **environment(port)) as plant,
    ):
        (details,) = await cem.seen("ResourceManagerDetails")
        assert details["available_control_types"] == [FRBC, PEBC]
        await plant.start_session()
        await cem.ask("select", FRBC)

        async def able() -> bool:
            found = (await cem.ask("seen")).get("FRBC.SystemDescription", [])
            return (
                bool(found) and len(found[-1]["actuators"][0]["operation_modes"]) == 3
            )

        await until("a description of the vehicle", able, 30.0)
        level = (await cem.seen("FRBC.StorageStatus"))[-1]["present_fill_level"]
        assert 55.0 < level < 65.0

        first = await cem.ask("power", -3000.0)
        await plant.flows(-3300.0, -2700.0)
        await ended(cem, first, "STARTED")
        measured = await cem.seen("PowerMeasurement", 3)
        assert measured[-1]["values"][0]["commodity_quantity"] == "ELECTRIC.POWER.L1"

        second = await cem.ask("power", 2000.0)
        await plant.flows(1800.0, 2200.0)
        await ended(cem, first, "SUCCEEDED")
        await cem.ask("revoke", second)
        await ended(cem, second, "REVOKED")

        # Bad words are refused, and the session goes on.
        await cem.ask("raw", "no json")
        await cem.ask("raw", '{"message_type": "FRBC.Instruction", "x": 1e999}')
        await cem.ask("power", -2000.0)
        await plant.flows(-2300.0, -1700.0)
        refused = (await plant.grid("s2"))["refused"]
        assert refused == {"malformed": 1, "range": 1}

        # An envelope that leaves no way but out.
        await cem.ask("select", PEBC)
        await cem.seen("PEBC.PowerConstraints")
        await cem.ask("envelope", -4000.0, -1000.0)
        await plant.flows(-1300.0, -800.0)

        # The session is gone: so is what it asked. Then it is taken up anew.
        await cem.ask("drop")
        await plant.flows(-300.0, 20_000.0)
        assert len(await cem.seen("ResourceManagerDetails", 2)) == 2


@pytest.mark.asyncio
async def test_without_the_pairing_s_token_there_is_no_session(tmp_path: Path) -> None:
    python = install("s2_python", VERSION, "websockets>=15")
    port = free_port()
    async with (
        partner(python, CEM, str(port)) as cem,
        station(tmp_path, **environment(port, right=False)) as plant,
    ):

        async def turned_away() -> bool:
            return bool((await cem.ask("seen"))["refused"])

        await until("the CEM turns us away", turned_away, 30.0)
        assert not (await plant.grid("s2"))["agreed"]
