"""Every message a station says, before a referee with its own schemas: `ocpp-rpc`.

What the stations of the unit tests say and hear is recorded, and said again by the
real client over a real link; then a real station answers every action there is. SEND
(type 6) is left out: ocpp-rpc 2.2.1 does not know it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from chargerd.ocpp.effects import Gate, Send, SetGate
from chargerd.ocpp.v2 import dialect
from tests import ocpp_payloads as made
from tests.interop.referee import Referee, referee
from tests.interop.test_strict_csms import door
from tests.unit.ocpp.fakes import Bench, FakeCsms, make_bench
from tests.unit.ocpp.station_rig import Rig

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
BLOCKS = ROOT / "chargerd" / "ocpp" / "blocks"
VERSIONS = ["ocpp2.1", "ocpp2.0.1"]
Row = dict[str, Any]

# Named in a block, and never said by a station of ours.
NEVER_SAID = {
    "PublishFirmwareStatusNotification": "a Local Controller's; TriggerMessage names it"
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """What stations say and hear in the unit tests of the door."""
    file = tmp_path_factory.mktemp("said") / "messages.jsonl"
    words = ["-q", "-p", "tests.interop.recorder", "-p", "no:randomly"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *words, "tests/unit/ocpp"],
        cwd=ROOT,
        env={**os.environ, "CHARGERD_RECORD": str(file)},
        stdout=subprocess.DEVNULL,
        timeout=540,
        check=False,  # whether they pass is not the question here
    )
    return [json.loads(line) for line in file.read_text().splitlines()]


def fits(version: str, name: str, payload: Any) -> bool:
    """For what tests make up as the CSMS's side: some is wrong on purpose."""
    return bool(Draft4Validator(made.schema(version, name)).is_valid(payload))


@asynccontextmanager
async def link(version: str) -> AsyncIterator[tuple[Referee, Bench]]:
    """Our client, with a station that says what it is told to."""
    async with referee(version) as csms:
        to = FakeCsms()
        to.port = csms.port
        bench = make_bench(to, versions=[version])
        bench.station.numbers["MessageTimeout"] = 30
        running = asyncio.create_task(bench.client.run())
        try:
            yield csms, bench
            assert not running.done(), running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.asyncio
@pytest.mark.parametrize("version", VERSIONS)
async def test_what_stations_call_and_answer(recorded: list[Row], version: str) -> None:
    rows = [row for row in recorded if row["version"] == version]
    calls = [row for row in rows if row["kind"] == "call"]
    async with link(version) as (csms, bench):
        for row in calls:
            heard, name = row["heard"], f"{row['action']}Response"
            if not heard or not fits(version, name, heard):
                heard = made.smallest(version, name)
            await csms.answer(row["action"], heard)
        await csms.until("link", lambda: csms.links)
        sends = [Send(row["action"], row["said"]) for row in calls]
        bench.station.effects += [SetGate(Gate.OPEN), *sends]
        bench.client.security_event("drains it", "")
        await csms.until("all calls", lambda: len(csms.calls) == len(calls))
        assert csms.calls == [(row["action"], row["said"]) for row in calls]

        for row in rows:
            if row["kind"] != "answer":
                continue
            action, asked = row["action"], row["heard"]
            if not fits(version, f"{action}Request", asked):
                asked = made.smallest(version, f"{action}Request")
            bench.station.answers[action] = row["said"]
            assert await csms.call(action, asked) == row["said"], action
        assert csms.breaches == []
        assert bench.station.failures == 0


def test_the_record_has_every_message_we_may_say(recorded: list[Row]) -> None:
    source = "\n".join(file.read_text() for file in BLOCKS.glob("*.py"))
    station = Rig().station
    said = {row["action"] for row in recorded if row["kind"] in ("call", "tell")}
    for action in made.actions("ocpp2.1"):
        if f'"{action}"' not in source or action in NEVER_SAID:
            continue
        assert action in said or station.handles(action), action
    answered = {
        row["action"]
        for row in recorded
        if (row["kind"], row["version"]) == ("answer", "ocpp2.1")
    }
    assert answered >= {a for a in made.actions("ocpp2.1") if station.handles(a)}


@pytest.mark.asyncio
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_action_gets_an_answer(version: str) -> None:
    """From a real station to the smallest request there is."""
    async with door(version) as d:
        await d.csms.until("boot", lambda: d.csms.got("Heartbeat") or d.csms.calls)
        station = Rig(version=version).station
        for action in made.actions(version):
            if action in ("Reset", "SetNetworkProfile"):
                continue  # these end the link
            request = made.smallest(version, f"{action}Request")
            answer = await d.csms.call(action, request)
            old = version == dialect.V201 and action in dialect.ONLY_21
            if station.handles(action) and not old:
                assert "error" not in answer, (action, answer)
            else:
                assert answer["error"] in ("NotSupported", "NotImplemented"), action
