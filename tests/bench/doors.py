"""Each grid door: a message on its socket -> the command on the power stage's wire.

Real processes: the partner is here, the daemon and the rig are not. `latencies`
is the one way every door is measured; a door adds its function to DOORS.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiomqtt

from tests.bench.row import Row, percentile
from tests.bench.station import first_after
from tests.interop.mosquitto import BINARY, Mosquitto
from tests.process import Plant, station, until

SIGNALS = 150
GOAL_MS = "<= 100"  # refs: a remote setpoint accepted -> command on the bridge, p99
Send = Callable[[float], Awaitable[None]]


async def latencies(plant: Plant, send: Send, count: int = SIGNALS) -> list[float]:
    """Milliseconds from `send(power_w)` to the changed setpoint at EVSE 1's stage.

    Signals come at every phase of the tick; each asks for another power.
    """
    await send(-3000.0)  # the turn of direction waits a second: not measured

    async def flows() -> bool:
        return await plant.power_w() < -2500.0

    await until("the first setpoint of this door", flows, 20.0)
    chance = random.Random(1)
    sent: list[float] = []
    for index in range(count):
        await asyncio.sleep(chance.uniform(0.25, 0.35))
        power_w = -2500.0 - 2000.0 * (index % 2) - chance.uniform(0, 500)
        sent.append(time.monotonic())
        await send(power_w)
    await asyncio.sleep(0.5)
    trace = plant.trace()
    seen = [first_after(trace, at) for at in sent]
    return [(x - at) * 1e3 for x, at in zip(seen, sent, strict=True) if x is not None]


def rows(name: str, values: list[float], count: int = SIGNALS) -> list[Row]:
    """p50 and p99, and how many arrived at all."""
    note = f"{len(values)} of {count} seen on the wire"
    return [
        Row(f"{name} -> stage's wire, p50", percentile(values, 0.5), "ms"),
        Row(
            f"{name} -> stage's wire, p99",
            percentile(values, 0.99),
            "ms",
            GOAL_MS,
            note,
        ),
    ]


async def broker_alone(port: int, count: int = SIGNALS) -> list[float]:
    """The same client, Mosquitto and a subscriber, without us: ms."""
    found = []
    async with (
        aiomqtt.Client("127.0.0.1", port) as writer,
        aiomqtt.Client("127.0.0.1", port) as reader,
    ):
        await reader.subscribe("alone")
        messages = aiter(reader.messages)
        for _ in range(count):
            await asyncio.sleep(0.02)
            began = time.monotonic()
            await writer.publish("alone", "-3000")
            await anext(messages)
            found.append((time.monotonic() - began) * 1e3)
    return found


async def mqtt(folder: Path) -> list[Row]:
    """A setpoint by the local API, over Mosquitto."""
    if BINARY is None:
        return [
            Row("MQTT: no mosquitto here", float("nan"), "", note="apt-get install")
        ]
    broker = Mosquitto(folder / "broker")
    await broker.start()
    prefix = "CHARGERD__GRID__MQTT__"
    environment = {
        f"{prefix}PORT": str(broker.port),
        f"{prefix}TLS": "false",
        f"{prefix}COMMANDS_PER_S": "50",
        "CHARGERD__STATION__ID": "CS-0001",
    }
    try:
        alone = await broker_alone(broker.port)
        async with (
            station(folder / "stand", **environment) as plant,
            aiomqtt.Client("127.0.0.1", broker.port) as client,
        ):
            await plant.start_session()

            async def send(power_w: float) -> None:
                topic = "chargerd/CS-0001/evse/1/setpoint_w/set"
                await client.publish(topic, f"{power_w:.1f}")

            measured = await latencies(plant, send)
    finally:
        broker.stop()
    return [
        *rows("MQTT setpoint", measured),
        Row("of which Mosquitto and client alone, p50", percentile(alone, 0.5), "ms"),
        Row("of which Mosquitto and client alone, p99", percentile(alone, 0.99), "ms"),
    ]


DOORS = (mqtt,)


def run() -> list[Row]:
    """For `make bench`."""
    found: list[Row] = []
    for door in DOORS:
        with tempfile.TemporaryDirectory(prefix="chargerd-bench-") as name:
            found += asyncio.run(door(Path(name)))
    return found
