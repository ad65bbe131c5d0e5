"""PyPI `openadr3` 0.5.0 (python-oa3) as business logic and judge of what we post:
events to the vehicle and their deletion, capacities, reports, a refused token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hil.stand import free_port
from tests.interop.partner import install, partner
from tests.process import patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

VTN = Path(__file__).with_name("openadr3_vtn.py")


@pytest.mark.asyncio
async def test_business_logic_commands_the_vehicle(tmp_path: Path) -> None:
    python = install("openadr3", "0.5.0")
    port = free_port()
    prefix = "CHARGERD__GRID__OPENADR3__"
    ours = {
        f"{prefix}URL": f"http://127.0.0.1:{port}",
        f"{prefix}VEN_NAME": "chargerd",
        f"{prefix}CLIENT_ID": "ven-1",
        f"{prefix}CLIENT_SECRET": "secret",
        f"{prefix}POLL_S": "1",
        f"{prefix}REPORT_S": "1",
    }
    async with (
        partner(python, VTN, str(port)) as vtn,
        station(tmp_path, bench=patient_bench(tmp_path), **ours) as plant,
    ):
        await vtn.ask("seen")
        (ven,) = await vtn.seen("vens")
        assert ven["venName"] == "chargerd"
        resources = await vtn.seen("resources")
        assert resources[0]["resourceName"] == "evse1"
        await plant.start_session()

        wanted = [{"payloadType": k, "frequency": 0} for k in ("READING", "DEMAND")]
        wanted += [{"payloadType": "STORAGE_CHARGE_LEVEL", "frequency": 0}]
        discharge = {"kind": "DISPATCH_SETPOINT", "value": -3.0, "seconds": 3600}
        await vtn.ask("event", {**discharge, "reportDescriptors": wanted})
        await plant.flows(-3300.0, -2700.0)
        reports = await vtn.seen("reports", 2)
        values = {
            p["type"]: p["values"][0]
            for p in reports[-1]["resources"][0]["intervals"][0]["payloads"]
        }
        assert 0.4 < values["STORAGE_CHARGE_LEVEL"] < 0.7

        # A capacity stands above the wish.
        cap = {"kind": "EXPORT_CAPACITY_LIMIT", "value": 1.5, "seconds": 3600}
        await vtn.ask("event", cap)
        await plant.flows(-1700.0, -1000.0)

        # What is not understood is refused and the others go on.
        await vtn.ask("event", {**discharge, "kind": "SIMPLE", "value": 7})
        await vtn.ask("event", {**discharge, "kind": "OLS", "value": 0.5})

        async def refused() -> Any:
            return (await plant.grid("openadr3"))["refused"].get("range")

        await until("SIMPLE 7 is refused", refused, 10.0)
        await plant.flows(-1700.0, -1000.0)

        # Deleted: it ends. The VTN refuses our token: a new one is asked for.
        await vtn.ask("clear")
        await plant.flows(-500.0, 20_000.0)
        before = (await vtn.ask("seen"))["tokens"]
        await vtn.ask("forbid", True)

        async def renewed() -> bool:
            return bool((await vtn.ask("seen"))["tokens"] > before)

        await until("a new token", renewed, 30.0)
        await vtn.ask("forbid", False)
        await vtn.ask("event", discharge)
        await plant.flows(-3300.0, -2700.0)
        assert (await vtn.ask("seen"))["wrong"] == []
