"""The station's certificate for vehicles is broken: a fault everybody sees, no TLS, and
plain text serves only those whom it always serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chargerd import faults
from hil.stand import CCS
from tests.process import station, until
from tests.v2g_car import find

pytestmark = [pytest.mark.process, pytest.mark.timeout(60)]


@pytest.mark.asyncio
async def test_no_tls_and_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "chain.pem"
    broken.write_text("not a certificate")
    async with station(
        tmp_path,
        tls=True,
        config=str(CCS),
        CHARGERD__VEHICLE__ISO15118__CERTIFICATES__0__CHAIN=str(broken),
    ) as plant:
        local = plant.stand.local

        async def shown() -> list[str]:
            active = (await local.ask(verb="faults"))["active"]
            return [f["info"] for f in active if f["name"] == "SeccCertificateFault"]

        (info,) = set(await until("the fault", shown, 10.0))
        assert str(broken) in info
        await plant.peer.expect("NotifyEvent", tells, 5.0, since=0)
        rig = plant.stand.rig
        await rig.ask(verb="plug_in", connector=1, ev="external", soc=50.0)
        port = plant.stand.sdp_port(1)
        assert await find(port) == await find(port, tls=True)  # "no TLS" to both


def tells(payload: dict[str, Any]) -> bool:
    return any(
        event["component"]["name"] == "ISO15118Ctrlr"
        and event["variable"]["name"] == "Problem"
        and event["techCode"] == faults.lookup("SeccCertificateFault").uec
        for event in payload["eventData"]
    )
