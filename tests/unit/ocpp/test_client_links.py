"""One link after another: the shell follows the station to another central system."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from chargerd.clock import Clock, Now
from chargerd.model import AuthQuestion, Token
from chargerd.ocpp.client import MAX_OWED, OcppClient
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import (
    CallError,
    Durability,
    Gate,
    Later,
    Payload,
    Reconnect,
    Send,
    SetGate,
)
from chargerd.ocpp.link import Session
from chargerd.ocpp.station import OcppStation
from tests.cancel import Spoils
from tests.unit.ocpp.fakes import (
    BEAT,
    FakeCsms,
    FakeOutbox,
    FakeStation,
    make_bench,
    with_client,
)
from tests.unit.ocpp.station_rig import config


@pytest.mark.req("B10.FR.06")
@pytest.mark.asyncio
async def test_the_old_csms_is_left_before_the_new_one_is_dialled() -> None:
    old, new = FakeCsms(), FakeCsms()
    async with old.running(), new.running():
        bench = make_bench(old)

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            bench.station.link_to = Connection(f"ws://127.0.0.1:{new.port}/x", "CS1", 0)
            bench.station.effects = [Reconnect("another network profile")]
            bench.client._drain(bench.client._clock.now())
            await bench.station.until(lambda: len(bench.station.links) == 3)
            assert bench.station.links == [
                (True, "ocpp2.1"), (False, "ocpp2.1"), (True, "ocpp2.1"),
            ]  # fmt: skip
            assert old.links[0].close_code is not None
            assert len(new.links) == 1

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_the_station_hears_of_attempts_that_fail() -> None:
    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms)
        bench.station.link_to = Connection("ws://127.0.0.1:1/x", "CS1", 0)

        async def body() -> None:
            await bench.station.until(lambda: bench.station.failures >= 2)
            assert "Connect call failed" in bench.client.why_down
            bench.station.link_to = Connection.of(bench.client._config, "CS1")
            await csms.until(lambda: csms.links)

        await with_client(bench, body)


def test_a_station_without_a_central_system_says_so() -> None:
    assert make_bench(FakeCsms()).client.why_down == ""
    assert "names none" in make_bench(FakeCsms(), url="").client.why_down


@pytest.mark.asyncio
async def test_a_link_that_breaks_when_we_are_to_end_does_not_hide_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    csms, spoils = FakeCsms(), Spoils(ConnectionResetError())
    monkeypatch.setattr(Session, "until_hang_up", spoils)
    async with csms.running():
        bench = make_bench(csms)
        assert await spoils.ends(bench.client.run())
        assert len(csms.links) == 1


def answer(frame: list[Any]) -> dict[str, Any]:
    """The CSMS's answer to a CALL of the station."""
    if frame[2] == "BootNotification":
        return BEAT | {"interval": 300, "status": "Accepted"}
    return {}


REPORT = {"requestId": 77, "reportBase": "SummaryInventory"}
TRIGGER = {"requestedMessage": "Heartbeat"}


@pytest.mark.req("General.FR.05")
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("action", "request_", "result"),
    [
        ("GetBaseReport", REPORT, "NotifyReport"),
        ("GetReport", {"requestId": 77}, "NotifyReport"),
        pytest.param(
            "TriggerMessage", TRIGGER, "Heartbeat", marks=pytest.mark.req("F06.FR.04")
        ),
    ],
)
async def test_the_answer_comes_before_the_result(
    action: str, request_: dict[str, Any], result: str
) -> None:
    csms = FakeCsms()
    csms.answer = answer
    async with csms.running():
        conf = config(url=f"ws://127.0.0.1:{csms.port}/x", security_profile=0)
        client = OcppClient(
            conf.ocpp, OcppStation(conf, {}), FakeOutbox(), Clock(), print, print, print
        )
        running = asyncio.create_task(client.run())
        await csms.until(lambda: len(csms.frames) >= 2)  # boot, and it was accepted
        call = json.dumps([2, "a", action, request_])
        assert await csms.ask(call) == [3, "a", {"status": "Accepted"}]
        await csms.until(lambda: csms.frames[-1][0] == 2)
        sent = csms.frames[-1]
        assert sent[2] == result
        assert sent[3].get("requestId") == request_.get("requestId")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.asyncio
async def test_reconnect_effect_flushes_the_answer_first() -> None:
    station = FakeStation(answers={"Reset": {"status": "Accepted"}})
    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms, station=station)

        async def body() -> None:
            await csms.until(lambda: csms.links)
            station.effects = [Reconnect("new password")]
            text = '[2,"a","Reset",{"type":"Immediate"}]'
            assert await csms.ask(text) == [3, "a", {"status": "Accepted"}]
            await csms.until(lambda: len(csms.links) == 2)
            assert csms.links[0].close_code == 1000

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_nothing_new_starts_on_a_link_that_ends() -> None:
    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms, station=FakeStation(on_link=[SetGate(Gate.OPEN)]))

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            beat = Send("Heartbeat", {}, Durability.NOW_OR_NEVER, 4)
            bench.station.effects = [Reconnect("new password"), beat]
            bench.client.ask(AuthQuestion(1, Token("x")))
            await bench.station.until(lambda: len(bench.station.links) == 3)
            assert csms.frames == []
            assert isinstance(bench.station.results[0][2], CallError)

        await with_client(bench, body)


class Promising(FakeStation):
    def call(self, action: str, payload: Payload, now: Now) -> Later:
        self.calls.append((action, payload))
        return Later(len(self.calls), action)


@pytest.mark.asyncio
async def test_a_flood_of_requests_that_need_a_job_is_refused() -> None:
    csms = FakeCsms()
    async with csms.running():
        station = Promising()
        bench = make_bench(csms, station=station)

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            for number in range(MAX_OWED):
                await csms.links[0].send(f'[2,"{number}","ClearCache",{{}}]')
            frame = await csms.ask('[2,"more","ClearCache",{}]')
            assert frame[:3] == [4, "more", "GenericError"]
            assert len(station.calls) == MAX_OWED

        await with_client(bench, body)


@pytest.mark.req("B10.FR.03")
@pytest.mark.asyncio
async def test_a_dead_central_system_gives_way_to_the_next_profile() -> None:
    """The whole way: attempt, failure, next slot, link, BootNotification."""
    csms = FakeCsms()
    csms.answer = answer
    async with csms.running():
        presets = {
            "OCPPCommCtrlr.NetworkProfileConnectionAttempts": 1,
            "OCPPCommCtrlr.NetworkConfigurationPriority": "1,2",
            "OCPPCommCtrlr.RetryBackOffWaitMinimum": 1,
            "OCPPCommCtrlr.RetryBackOffRandomRange": 0,
            "NetworkConfiguration[2].OcppCsmsUrl": f"ws://127.0.0.1:{csms.port}/two",
        }
        conf = config(
            url="ws://127.0.0.1:1/one", security_profile=0, device_model=presets
        )
        station = OcppStation(conf, {})
        client = OcppClient(
            conf.ocpp, station, FakeOutbox(), Clock(), print, print, print
        )
        running = asyncio.create_task(client.run())
        await csms.until(lambda: csms.frames)
        assert csms.frames[0][2] == "BootNotification"
        assert station._desk.model.text("OCPPCommCtrlr", "ActiveNetworkProfile") == "2"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
