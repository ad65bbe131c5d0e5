"""Frequency with real processes: grid -> meter -> daemon -> stage -> grid, each way.

A service that the station gives by itself (FCR of config/policies/de.toml), a curve
that the central system installs, aFRR on top of it, and the mandatory droop above all.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hil.csms.dispatch import set_profile, set_setpoint, transaction_of
from tests.lane import Lane
from tests.process import Plant, station

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

DE = Path(__file__).parents[2] / "config" / "policies" / "de.toml"
SERVICE = {
    "CHARGERD__SITE__NOMINAL_HZ": "50",
    "CHARGERD__SITE__GRID_CODE": str(DE),
    "CHARGERD__SITE__FREQUENCY_SERVICE__NAME": "fcr",
    "CHARGERD__SITE__FREQUENCY_SERVICE__POWER_W": "4000",
    "CHARGERD__SITE__FREQUENCY_SERVICE__BASELINE_W": "0",
}
FULL_S = 5.0  # goal for FCR on the simulated vehicle (refs: 30 s by the market)


async def grid(plant: Plant, hertz: float) -> None:
    await plant.stand.rig.ask(verb="grid", frequency_hz=hertz)


async def at(lane: Lane, power_w: float, within_s: float) -> float:
    """Seconds until the meter shows it, within 200 W."""
    began = time.monotonic()

    async def near() -> bool:
        return abs(await lane.power_w() - power_w) < 200.0

    await lane.wait(f"{power_w} W", near, within_s)
    return time.monotonic() - began


async def fcr(lane: Lane) -> None:
    """Full power both ways inside the goal, nothing inside the dead band."""
    plant = lane.plant
    await lane.rig(verb="plug_in", ev="chademo", soc=60.0)
    await lane.swipe()
    await lane.wait_phase("energy", 25.0)
    await at(lane, 0.0, 10.0)
    for hertz, power_w in ((49.8, -4000.0), (50.1, 2000.0), (50.0, 0.0)):
        await grid(plant, hertz)
        await at(lane, power_w, FULL_S)


def curve(baseline_w: float) -> dict[str, Any]:
    """-10 kW at 49.8 Hz, 0 at 50 Hz; aFRR of +-100 moves +-2 kW."""
    return {
        "startPeriod": 0,
        "operationMode": "LocalFrequency",
        "v2xBaseline": baseline_w,
        "v2xFreqWattCurve": [
            {"frequency": 49.8, "power": -10_000.0},
            {"frequency": 50.0, "power": 0.0},
        ],
        "v2xSignalWattCurve": [
            {"signal": -100, "power": -2000.0},
            {"signal": 100, "power": 2000.0},
        ],
    }


async def by_the_central_system(lane: Lane) -> None:
    """The same heart on a profile's curve, and an aFRR signal beside it (Q08)."""
    plant = lane.plant
    schedule = {
        "id": 1,
        "chargingRateUnit": "W",
        "startSchedule": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "chargingSchedulePeriod": [curve(1000.0)],
    }
    made = {
        "id": 801,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "transactionId": transaction_of(plant.peer, lane.evse),
        "chargingSchedule": [schedule],
    }
    assert await set_profile(plant.peer, lane.evse, made) == {"status": "Accepted"}
    await at(lane, 1000.0, FULL_S)
    await grid(plant, 49.9)
    await at(lane, 1000.0 - 5000.0, FULL_S)  # half way between the points: -5.0 kW
    ask = {"timestamp": datetime.now(UTC).isoformat(), "signal": 50}
    answer = await plant.peer.call("AFRRSignal", ask)
    assert answer["status"] == "Accepted"
    await at(lane, 1000.0 - 5000.0 + 1000.0, FULL_S)
    await grid(plant, 50.0)


async def by_the_network_operator(lane: Lane) -> None:
    """A DER control cuts what a setpoint may feed, is told, and goes again (R)."""
    plant = lane.plant
    limit = {"priority": 0, "pctMaxDischargePower": 25.0}
    made = {
        "isDefault": True, "controlId": "cap", "controlType": "LimitMaxDischarge",
        "limitMaxDischarge": limit,
    }  # fmt: skip
    answer = await plant.peer.call("SetDERControl", made)
    assert answer == {"status": "Accepted"}
    await at(lane, -2500.0, FULL_S)

    async def told() -> bool:
        return any(m.action == "NotifyDERAlarm" for m in plant.peer.messages)

    await lane.wait("NotifyDERAlarm", told, 5.0)
    gone = {"isDefault": True, "controlId": "cap"}
    assert await plant.peer.call("ClearDERControl", gone) == {"status": "Accepted"}
    await at(lane, -6000.0, FULL_S)


async def service(folder: Path) -> None:
    async with station(folder, **SERVICE) as plant:
        await fcr(Lane(plant, 2))
        assert not plant.csms.violations


async def curves(folder: Path) -> None:
    code = {name: SERVICE[name] for name in list(SERVICE)[:2]}
    async with station(folder, **code) as plant:
        lane = Lane(plant, 1)
        await lane.start_dc(-3000.0)
        await by_the_central_system(lane)
        await set_setpoint(plant.peer, lane.evse, -6000.0, 600, stack_level=2)
        await at(lane, -6000.0, FULL_S)
        await by_the_network_operator(lane)
        await grid(plant, 50.7)  # LFSM-O: 0.5 Hz of droop 5 % takes 20 % of 10 kW
        await at(lane, -6000.0 + 0.2 * 10_000.0, FULL_S)
        await grid(plant, 52.0)  # beyond the band nothing is fed
        await at(lane, 0.0, 2.0)
        assert not plant.csms.violations


@pytest.mark.asyncio
async def test_frequency(tmp_path: Path) -> None:
    await asyncio.gather(service(tmp_path / "service"), curves(tmp_path / "curves"))
