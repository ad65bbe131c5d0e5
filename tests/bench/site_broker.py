"""200 real site doors in this process at a real Mosquitto, whose death they survive.

Owns the wishes (each always wants 11 kW) and the sum of what the hearts were told.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt

from chargerd.clock import Now
from chargerd.config import Config
from chargerd.grid.ports import Ports
from chargerd.grid.site_door import SiteDoor, build
from chargerd.grid.site_member import Wish
from chargerd.model import DispatchSignal
from tests.bench.row import Row
from tests.interop.mosquitto import BINARY, Mosquitto

MEMBERS = 200
SAFE_W, SITE_W, WISH_W = 1400.0, MEMBERS * 4000.0, 11_000.0
LEASE_S, FALL_S, EVERY_S = 20.0, 5.0, 2.0
NAMES = [f"CS-{n:03d}" for n in range(MEMBERS)]


def configuration(name: str, port: int) -> Config:
    """One station of the site."""
    device = {"driver": "none", "at": "serial:/dev/null"}
    site = {
        "port": port,
        "tls": False,
        "keepalive_s": 5,
        "members": NAMES,
        "coordinators": NAMES[:1],
        "safe_w": SAFE_W,
        "charge_w": SITE_W,
        "lease_s": LEASE_S,
        "fall_s": FALL_S,
        "every_s": EVERY_S,
    }
    return Config.model_validate(
        {
            "station": {"id": name},
            "evse": [{"id": 1, "devices": {"pilot": device, "meter": device}}],
            "grid": {"site": site},
        }
    )


class Hearts:
    """What each station's heart was told last."""

    def __init__(self) -> None:
        self.told: dict[str, DispatchSignal] = {}
        self.worst_w = 0.0

    def ports(self, name: str) -> Ports:
        def signal_(value: DispatchSignal) -> bool:
            self.told[name] = value
            return True

        return Ports(
            signal=signal_,
            request=lambda request: True,
            now=lambda: Now(time.monotonic(), datetime.now(UTC)),
            save=lambda namespace, key, value: None,
            saved={},
            prices=lambda series: True,
        )

    def sum_w(self) -> float:
        """All limits in force now."""
        mono = time.monotonic()
        total = 0.0
        for told in self.told.values():
            segment = told.at(mono)
            total += (segment.limit_w or 0.0) if segment else 0.0
        self.worst_w = max(self.worst_w, total)
        return total

    async def until(self, low_w: float, high_w: float) -> float:
        """Seconds until the sum is in a band."""
        began = time.monotonic()
        while not low_w <= self.sum_w() <= high_w:
            if time.monotonic() - began > 120.0:
                return float("nan")
            await asyncio.sleep(0.1)
        return time.monotonic() - began


def door(name: str, port: int, hearts: Hearts) -> SiteDoor:
    made = build(configuration(name, port), hearts.ports(name))
    if not isinstance(made, SiteDoor):
        raise TypeError("not a site door")
    wish = Wish(charge_w=WISH_W, least_w=SAFE_W)
    made._wishes.wish = lambda now_mono: wish  # type: ignore[method-assign]
    return made


async def deliveries(port: int) -> float:
    """Messages a second that the broker sent out, by its own count over 10 s."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("$SYS/broker/messages/sent")
        messages = aiter(client.messages)
        seen: list[tuple[float, float]] = []
        while len(seen) < 4:  # the first is retained: of an unknown time
            message: Any = await anext(messages)
            seen.append((time.monotonic(), float(message.payload)))
    (began, first), (ended, last) = seen[1], seen[-1]
    return (last - first) / (ended - began)


async def measure(folder: Path) -> list[Row]:
    broker = Mosquitto(folder, config="allow_anonymous true\nsys_interval 5\n")
    await broker.start()
    hearts = Hearts()
    doors = [door(name, broker.port, hearts) for name in NAMES]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(made.run()) for made in doors]
        started = await hearts.until(0.99 * SITE_W, SITE_W)
        cpu_s, began = time.process_time(), time.monotonic()
        rate = await deliveries(broker.port)
        cpu = (time.process_time() - cpu_s) / (time.monotonic() - began) * 100.0
        broker.stop(signal.SIGKILL)
        fell = await hearts.until(0.0, MEMBERS * SAFE_W)
        await broker.start()
        back = await hearts.until(0.99 * SITE_W, SITE_W)
        for task in tasks:
            task.cancel()
    broker.stop()
    name = f"{MEMBERS} doors at Mosquitto"
    return [
        Row(f"{name}: start -> shared out", started, "s"),
        Row(f"{name}: deliveries", rate, "1/s"),
        Row(f"{name}: CPU of all doors together", cpu, "%"),
        Row(f"{name}: broker killed -> all safe", fell, "s", f"<= {LEASE_S:g}"),
        Row(f"{name}: broker back -> shared out", back, "s"),
        Row(f"{name}: worst excess", hearts.worst_w - SITE_W, "W", "<= 0"),
    ]


def run() -> list[Row]:
    """Rows of the part `site`."""
    if BINARY is None:
        return [Row("doors at Mosquitto: it is not installed", float("nan"), "")]
    with tempfile.TemporaryDirectory(prefix="chargerd-bench-") as name:
        return asyncio.run(measure(Path(name)))
