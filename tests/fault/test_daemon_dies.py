"""Law 2 with real processes: whatever becomes of the daemon, the power ends at 0 W."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.process import Plant, station, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

LEASE_S = 0.3  # the MCU's communication timeout and the daemon's command lifetime
MARGIN_S = 0.25  # contactor travel, the rig's step, a busy machine
IDLE_W = 120.0  # what the stage takes for itself


def first_rest(trace: list[dict[str, Any]], after_mono: float) -> float | None:
    """When the vehicle's current ended for good, as the rig saw it; None: not yet."""
    rest = None
    for row in trace:
        if row["kind"] != "sample" or row["t_mono"] < after_mono:
            continue
        flows = abs(row["evses"]["1"]["dc_a"]) > 0.5
        rest = None if flows else rest or row["t_mono"]
    return rest


async def rest_after(plant: Plant, after_mono: float) -> float:
    """The same, as soon as the trace (20 Hz) shows it."""

    async def found() -> float | None:
        return first_rest(plant.trace(), after_mono)

    return float(await until("current ends", found, 5.0))


async def rests(plant: Plant) -> bool:
    return abs(await plant.power_w()) < IDLE_W


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_power_ends_inside_the_lease(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with station(tmp_path) as plant:
        await plant.start_session()
        await plant.discharge(-5000.0)
        at = time.monotonic()
        plant.stand.kill("daemon", number)
        assert await rest_after(plant, at) - at <= LEASE_S + MARGIN_S
        await until("0 W at the terminals", lambda: rests(plant), 2.0)
        truth = await plant.truth()
        assert not truth["contactors"]["dc"]
        if number is signal.SIGSTOP:
            plant.stand.kill("daemon", signal.SIGCONT)
            await until("the daemon is back", plant.status, 5.0)
            assert await rests(plant)
        else:
            await plant.stand.end("daemon")
            await goes_on_cleanly(plant)
        assert not plant.csms.violations


async def goes_on_cleanly(plant: Plant) -> None:
    """After a restart: 0 W, the old transaction closed, a new session possible."""
    first = plant.peer.ledger
    assert len(first.transactions) == 1
    mark = len(plant.peer.messages)
    await plant.stand.start_daemon()
    ended = await plant.peer.expect(
        "TransactionEvent", lambda p: p["eventType"] == "Ended", 20.0, since=mark
    )
    assert ended.payload["transactionInfo"]["stoppedReason"] in (
        "PowerLoss",
        "Reboot",
        "Other",
    )
    (old,) = first.transactions.values()
    assert old.complete, old
    await plant.stand.rig.ask(verb="plug_out", connector=1)
    await until("unplugged", lambda: plant_idle(plant), 5.0)
    await plant.start_session()
    assert len(first.transactions) == 2


async def plant_idle(plant: Plant) -> bool:
    return bool((await plant.status())["phase"] == "idle")


@pytest.mark.asyncio
async def test_sigterm_ramps_down_and_opens_in_order(tmp_path: Path) -> None:
    async with station(tmp_path) as plant:
        await plant.start_session()
        await plant.discharge(-5000.0)
        status = await plant.stand.end("daemon", 30.0)  # TimeoutStopSec
        assert status == 0
        truth = await plant.truth()
        assert not truth["contactors"]["dc"]
        assert truth["contactor_breaks_under_load"] == 0
        assert not plant.csms.violations
