"""One link after another: the shell follows the station to another central system."""

from __future__ import annotations

import pytest

from chargerd.ocpp.connection import Connection
from chargerd.ocpp.effects import Reconnect
from tests.unit.ocpp.fakes import FakeCsms, make_bench, with_client


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
            bench.station.link_to = Connection.of(bench.client._config, "CS1")
            await csms.until(lambda: csms.links)

        await with_client(bench, body)
