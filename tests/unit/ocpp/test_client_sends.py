"""Unconfirmed messages (SEND) of the OCPP shell: they leave, or are lost (N15)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.effects import Gate, SetGate, Tell
from tests.unit.ocpp.fakes import FakeCsms, FakeStation, make_bench, with_client

req = pytest.mark.req
STREAM = "NotifyPeriodicEventStream"
RESET = '[2,"a","Reset",{"type":"Immediate"}]'


def told(number: int) -> Tell:
    data = [{"t": 0, "v": "1"}]
    at = "2026-11-23T08:00:00Z"
    payload = {"id": number, "pending": 0, "basetime": at, "data": data}
    return Tell(STREAM, payload)


@req("N15.FR.01")
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("version", "arrives"), [("ocpp2.1", [1, 3]), ("ocpp2.0.1", [])]
)
async def test_a_send_leaves_once_and_is_not_answered(
    version: str, arrives: list[int]
) -> None:
    station = FakeStation(answers={"Reset": {"status": "Accepted"}})
    station.on_link = [SetGate(Gate.OPEN)]
    csms = FakeCsms([version])
    async with csms.running():
        bench = make_bench(csms, station=station)

        async def body() -> None:
            await csms.until(lambda: bool(csms.links))
            broken = Tell(STREAM, {"id": 2})  # breaks its schema: not sent
            station.effects = [told(1), broken, told(3)]
            await csms.links[-1].send(RESET)
            await csms.until(lambda: any(frame[0] == 3 for frame in csms.frames))
            if arrives:
                await csms.until(lambda: len(sends(csms)) == len(arrives))
            assert [frame[3]["id"] for frame in sends(csms)] == arrives

        await with_client(bench, body)


def sends(csms: FakeCsms) -> list[list[Any]]:
    return [frame for frame in csms.frames if frame[0] == 6]
