"""The whole daemon before a full CSMS that is not ours: PyPI `arthexis`, OCPP 2.0.1.

Basic authentication of its own (security profile 1), its own rules and database.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hil.stand import Stand
from tests.interop.full_station import V201, Full
from tests.interop.partner import Partner, install, partner
from tests.process import PASSWORD, TOKEN, until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.process,
    pytest.mark.timeout(300),
]
SCRIPT = Path(__file__).with_name("arthexis_csms.py")
Payload = dict[str, Any]


@dataclass
class Before:
    """`full` has what tests do to station and rig; its referee is not there."""

    full: Full
    csms: Partner

    async def call(self, action: str, payload: Payload) -> Payload:
        done: Payload = await self.csms.ask("call", action, payload)
        assert done["status"] == "completed", done
        answer: Payload = done["response"]
        return answer

    async def table(self) -> Payload:
        found: Payload = await self.csms.ask("table")
        return found

    async def until(self, what: str, condition: Callable[[Payload], Any]) -> Payload:
        """The CSMS's table, once `condition` holds for it."""

        async def holds() -> Payload | None:
            table = await self.table()
            return table if condition(table) else None

        found: Payload = await until(what, holds, 25.0, 0.2)
        return found

    async def transaction(self, number: int, **wanted: Any) -> Payload:
        """The CSMS's transaction with this place in its table."""

        def fits(table: Payload) -> bool:
            rows = table["transactions"]
            return len(rows) > number and wanted.items() <= rows[number].items()

        table = await self.until(f"transaction {number}: {wanted}", fits)
        row: Payload = table["transactions"][number]
        return row


@asynccontextmanager
async def before_arthexis(folder: Path) -> AsyncIterator[Before]:
    python = await asyncio.to_thread(install, "arthexis", "2.0.0")
    stand = Stand(folder)
    words = [str(folder), str(stand.csms_port), "BENCH-1", PASSWORD, TOKEN]
    async with partner(python, SCRIPT, *words) as csms:
        assert await csms.hear(60.0) == {"ready": True}
        try:
            await stand.start_rig()
            url = f"ws://127.0.0.1:{stand.link_port}/ws/ocpp"
            await stand.start_daemon(CHARGERD__OCPP__URL=url)
            full = Full(stand, None, V201)  # type: ignore[arg-type]
            made = Before(full, csms)
            await made.until("link", lambda table: table["links"] == [V201])
            yield made
        finally:
            await stand.stop()


@pytest.mark.asyncio
async def test_whole_transactions(tmp_path: Path) -> None:
    async with before_arthexis(tmp_path) as b:
        await b.until(
            "boot and two connectors",
            lambda table: (
                [row[0] for row in table["inbound"]].count("StatusNotification") >= 2
            ),
        )
        await charges_by_card(b)
        await starts_remotely_and_ends_offline(b)
        await dies_while_charging(b)
        await refuses_a_stranger(b)
        table = await b.until("every message answered", no_more_than_cut)
        assert table["inbound"][0][0] == "BootNotification"
        assert len(table["transactions"]) == 3


def no_more_than_cut(table: Payload) -> bool:
    """None refused; the two cuts of the story may each have cost one answer."""
    kinds = [row[1] for row in table["inbound"]]
    assert set(kinds) <= {"result", ""}, table["inbound"]
    return kinds.count("") <= 2


async def charges_by_card(b: Before) -> None:
    full = b.full
    await full.plug_in()
    await full.swipe()
    await full.phase_is("energy")
    row = await b.transaction(0, recovery_state="active", id_tag=TOKEN)
    assert row["connector__number"] == 1001  # its way to say EVSE 1, connector 1
    assert [TOKEN, True] in (await b.table())["authorizations"]
    profile = {
        "id": 7,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "transactionId": row["remote_id"],
        "chargingSchedule": [
            {
                "id": 1,
                "chargingRateUnit": "W",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3000.0}],
            }
        ],
    }
    request = {"evseId": 1, "chargingProfile": profile}
    assert await b.call("SetChargingProfile", request) == {"status": "Accepted"}
    await full.power_near(3000.0)
    request = {"evseId": 1, "duration": 600}
    schedule = await b.call("GetCompositeSchedule", request)
    assert schedule["schedule"]["chargingSchedulePeriod"][0]["limit"] == 3000.0
    wanted = {"requestedMessage": "MeterValues", "evse": {"id": 1}}
    assert await b.call("TriggerMessage", wanted) == {"status": "Accepted"}
    await b.until("meter values", lambda table: table["batches"] >= 1)
    stop = {"transactionId": row["remote_id"]}
    assert await b.call("RequestStopTransaction", stop) == {"status": "Accepted"}
    await b.transaction(0, recovery_state="completed")
    await full.plug_out()


async def starts_remotely_and_ends_offline(b: Before) -> None:
    """What happened while the link was down is in the CSMS's table afterwards."""
    full = b.full
    token = {"idToken": TOKEN, "type": "ISO14443"}
    start = {"evseId": 1, "remoteStartId": 5, "idToken": token}
    assert (await b.call("RequestStartTransaction", start))["status"] == "Accepted"
    await full.plug_in()
    await full.phase_is("energy")
    await b.transaction(1, recovery_state="active")
    await full.stand.rig.ask(verb="ws", up=False)

    async def offline() -> bool:
        status = await full.stand.local.ask(verb="status")
        return not status["station"]["ocpp_connected"]

    await until("the daemon knows that it is offline", offline, 20.0)
    await full.plug_out()
    await full.stand.rig.ask(verb="ws", up=True)
    await b.transaction(1, recovery_state="completed")


async def dies_while_charging(b: Before) -> None:
    """kill -9: the transaction comes to an end all the same, once. The CSMS learns
    here that it shall take known tokens only: it reads that when a link comes up."""
    full = b.full
    await full.plug_in()
    await full.swipe()
    await full.phase_is("energy")
    await b.transaction(2, recovery_state="active")
    await b.csms.ask("restrict")
    full.stand.kill("daemon", signal.SIGKILL)
    await full.stand.end("daemon")
    await full.stand.rig.ask(verb="plug_out", connector=1)
    url = f"ws://127.0.0.1:{full.stand.link_port}/ws/ocpp"
    await full.stand.start_daemon(CHARGERD__OCPP__URL=url)
    await b.transaction(2, recovery_state="completed")


async def refuses_a_stranger(b: Before) -> None:
    await b.full.phase_is("idle")
    await b.full.plug_in()
    await b.full.phase_is("connected")
    await b.full.stand.rig.ask(verb="swipe", token="DEADBEEF01", connectors=[1])
    await b.until(
        "a refusal", lambda table: ["DEADBEEF01", False] in table["authorizations"]
    )
    assert (await b.full.status())["phase"] == "connected"
    await b.full.plug_out()
