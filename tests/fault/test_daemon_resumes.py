"""E17 with real processes: a daemon killed while it charges goes on with transaction,
session and vehicle."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from hil.csms.dispatch import set_setpoint
from hil.csms.link import Peer
from tests.process import Plant, station, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


async def set_variable(peer: Peer, variable: str, value: str) -> None:
    wanted = {
        "component": {"name": "TxCtrlr"},
        "variable": {"name": variable},
        "attributeValue": value,
    }
    answer = await peer.call("SetVariables", {"setVariableData": [wanted]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"


async def flows(plant: Plant) -> bool:
    return await plant.power_w() > 4000.0


@pytest.mark.asyncio
@pytest.mark.req("E17.FR.10", "E17.FR.11", "E17.FR.14")
async def test_a_killed_daemon_goes_on_charging(tmp_path: Path) -> None:
    async with station(tmp_path) as plant:
        await set_variable(plant.peer, "ResumptionTimeout", "300")
        await set_variable(plant.peer, "AllowEnergyTransferResumption", "true")
        await plant.start_session()
        await set_setpoint(plant.peer, 1, 6000.0, 600)
        await until("energy flows", lambda: flows(plant), 15.0)
        ledger = plant.peer.ledger
        (old,) = ledger.transactions.values()
        plant.stand.kill("daemon", signal.SIGKILL)
        await plant.stand.end("daemon")
        mark = len(plant.peer.messages)
        await plant.stand.start_daemon()
        resumed = await plant.peer.expect(
            "TransactionEvent", lambda p: p["triggerReason"] == "TxResumed", 20.0,
            since=mark,
        )  # fmt: skip
        info = resumed.payload["transactionInfo"]
        assert info["transactionId"] == old.transaction_id
        await set_setpoint(plant.peer, 1, 6000.0, 600)
        await until("energy flows again", lambda: flows(plant), 20.0)
        assert len(ledger.transactions) == 1
        assert not plant.csms.violations
