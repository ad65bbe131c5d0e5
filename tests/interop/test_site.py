"""Two stations on one connection over Mosquitto: never over the fuse, whoever dies."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.interop.mosquitto import Mosquitto, needs_mosquitto, password_file
from tests.process import Plant, patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300), needs_mosquitto]

ENV = "CHARGERD__GRID__SITE__"
SITE_W, SAFE_W, METER_W = 8000.0, 1500.0, 100.0
LEASE_S = 8.0


# As docs/site.md shows it: a station speaks for itself, CS-A coordinates.
ACCESS = """
pattern read site/coordinator/+/beacon
pattern write site/member/%u/ask
pattern read site/member/%u/lease
pattern write site/station/%u/status
user CS-A
topic write site/coordinator/CS-A/beacon
topic read site/member/+/ask
topic write site/member/+/lease
"""
PASSWORD = "site-password-1"


def environment(broker: Mosquitto, name: str) -> dict[str, str]:
    """Two 6 kW chargers on 8 kW; DC vehicles follow a cut within a second."""
    values = {
        "PORT": str(broker.port),
        "TLS": "false",
        "USERNAME": name,
        "PASSWORD": PASSWORD,
        "KEEPALIVE_S": "3",
        "MEMBERS": '["CS-A", "CS-B"]',
        "COORDINATORS": '["CS-A"]',
        "SAFE_W": str(SAFE_W),
        "CHARGE_W": str(SITE_W),
        "LEASE_S": str(LEASE_S),
        "EVERY_S": "1",
        "FALL_S": "1.5",
    }
    found = {ENV + key: value for key, value in values.items()}
    return {**found, "CHARGERD__STATION__ID": name}


@dataclass
class Pair:
    """Both stations, and the worst that the connection ever saw."""

    broker: Mosquitto
    plants: dict[str, Plant]
    worst_w: float = 0.0
    powers: list[float] = field(default_factory=list)

    async def watch(self) -> None:
        while True:
            self.powers = [await plant.power_w() for plant in self.plants.values()]
            self.worst_w = max(self.worst_w, sum(self.powers))
            await asyncio.sleep(0.1)

    async def until(
        self, what: str, low_w: float, high_w: float, each_w: float = 0.0
    ) -> None:
        """The sum stays a while within a band, and each station over `each_w`."""

        async def there() -> bool:
            for _ in range(10):
                if not low_w <= sum(self.powers) <= high_w or (
                    min(self.powers) < each_w
                ):
                    return False
                await asyncio.sleep(0.1)
            return True

        await until(f"{what}: {low_w}..{high_w} W", there, 60.0)


@asynccontextmanager
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    (tmp_path / "acl").write_text(ACCESS)
    users = password_file(tmp_path, **{"CS-A": PASSWORD, "CS-B": PASSWORD})
    broker = Mosquitto(
        tmp_path / "broker",
        config=(
            f"allow_anonymous false\npassword_file {users}\nacl_file {tmp_path}/acl\n"
        ),
    )
    await broker.start()
    try:
        async with (
            _plant(tmp_path, broker, "CS-A") as a,
            _plant(tmp_path, broker, "CS-B") as b,
        ):
            both = Pair(broker, {"CS-A": a, "CS-B": b})
            watch = asyncio.create_task(both.watch())
            try:
                yield both
            finally:
                watch.cancel()
    finally:
        broker.stop()


@asynccontextmanager
async def _plant(tmp_path: Path, broker: Mosquitto, name: str) -> AsyncIterator[Plant]:
    async with station(
        tmp_path / name, bench=patient_bench(tmp_path), **environment(broker, name)
    ) as plant:
        await plant.start_session()
        yield plant


async def coordinator(plant: Plant) -> dict[str, Any]:
    station_ = (await plant.stand.local.ask(verb="status"))["station"]
    found: dict[str, Any] = station_["grid"]["site"]["coordinator"]
    return found


@pytest.mark.asyncio
async def test_never_over_the_fuse_whoever_dies(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        each_w = 2 * SAFE_W
        await both.until("shared out", SITE_W * 0.9, SITE_W + METER_W, each_w)
        assert (await coordinator(both.plants["CS-A"]))["heard"] == 2

        both.broker.stop(signal.SIGKILL)
        await both.until("no broker: safe", SAFE_W, 2 * SAFE_W + METER_W)
        await both.broker.start()
        await both.until("shared again", SITE_W * 0.9, SITE_W + METER_W, each_w)

        both.plants["CS-A"].stand.kill("daemon", signal.SIGKILL)
        await both.until("no coordinator: B safe, A dead", 0.0, SAFE_W + METER_W)
        await both.plants["CS-A"].stand.start_daemon(**environment(both.broker, "CS-A"))
        await both.until("B has what A leaves", SITE_W * 0.5, SITE_W + METER_W)
        assert both.worst_w <= SITE_W + METER_W
