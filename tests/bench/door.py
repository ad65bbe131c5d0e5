"""The one way every grid door is measured: a message on its socket -> the wire of the
power stage. Owns no door."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from tests.bench.row import Row, percentile
from tests.bench.station import first_after
from tests.process import Plant, until

SIGNALS = 150
GOAL_MS = "<= 100"  # refs: a remote setpoint accepted -> command on the bridge, p99
# Asks for a power; when it was on the socket, or None for "at once".
Send = Callable[[float], Awaitable[float | None]]


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
        before = time.monotonic()
        on_socket = await send(power_w)
        sent.append(before if on_socket is None else on_socket)
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
