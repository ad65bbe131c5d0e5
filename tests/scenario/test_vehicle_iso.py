"""ISO 15118-2 with real processes: a car that has a contract made for it and pays with
it, is pulled under power and comes back; beside it one whose pilot leaves C, and one
that pauses."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hil.csms.dispatch import set_setpoint
from hil.pki.profiles import Profile
from hil.stand import CCS
from tests.cps import Cps
from tests.lane import Lane
from tests.process import patient_bench, station
from tests.v2g_car import DcCar

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

LEAVE_S = 0.4  # MCU frame 0.1 s, tick, contactor, and this machine


async def plug(lane: Lane, **car: Any) -> None:
    """A car of the rig's own, with TLS and a contract's certificates at hand."""
    stand = lane.plant.stand
    values: dict[str, Any] = {
        "ev": "iso15118",
        "interface": "lo",
        "sdp_port": stand.sdp_port(lane.evse),
        "soc": 60.0,
        "tls": True,
        "pki": str(stand.pki),
        "patience": 20,  # the machine of the tests is slower than a vehicle's limits
        **car,
    }
    await lane.rig(verb="plug_in", **values)


async def power(lane: Lane, power_w: float, limit_s: float = 12.0) -> None:
    """Ask for power, and wait until it flows."""
    lane.log.append(f"{power_w} W")
    await set_setpoint(lane.plant.peer, lane.evse, power_w, 600)

    async def near() -> bool:
        return abs(await lane.power_w() - power_w) < 300.0

    await lane.wait(f"{power_w} W", near, limit_s)


async def car(lane: Lane) -> dict[str, Any]:
    """What the car says of itself."""
    found: dict[str, Any] = (await lane.plant.truth(lane.evse))["ev"]
    return found


def by_contract(payload: dict[str, Any]) -> bool:
    return bool(payload["idToken"]["type"] == "eMAID")


async def new_contract_car(lane: Lane) -> None:
    """It has a contract made for it, pays with it, and is refused with it later."""
    plant, csms = lane.plant, lane.plant.csms
    if plant.stand.pki is None:
        raise AssertionError("a PKI is needed")
    csms.ev_certificates = Cps(plant.stand.pki)
    lane.log.append("installs a contract")
    values = {
        "protocols": ["iso15118-2"],
        "services": ["DC"],
        "authorise": "contract",
        "install": True,
    }
    await plug(lane, **values)
    await lane.wait_phase("energy", 25.0)
    await power(lane, 4000.0)
    emaid = (await car(lane))["station"]["installed"]
    asked = await plant.peer.expect("Authorize", by_contract, since=0)
    assert asked.payload["idToken"]["idToken"] == emaid
    lane.log.append("pulled under power")
    began = time.monotonic()
    await lane.rig(verb="plug_out")
    await lane.wait_rest(1.0)
    assert time.monotonic() - began < LEAVE_S + 0.5
    await lane.wait_phase("idle")
    assert "VehicleTimeout" not in await lane.active()  # a pull is no fault
    lane.log.append("plugged in again")
    await plug(lane, **values)
    await lane.wait_phase("energy", 25.0)
    await lane.unplug()
    lane.log.append("blocked")
    csms.blocked.add(emaid)
    await plug(lane, **values)

    async def refused() -> bool:
        return "FAILED" in (await car(lane))["why"]

    await lane.wait("the car is told", refused, 20.0)
    assert await lane.phase() == "connected"
    await lane.unplug()


async def by_hand(lane: Lane) -> None:
    """A car that goes on asking for current when its pilot has left C."""
    plant = lane.plant
    lane.log.append("leaves C under power")
    await lane.rig(verb="plug_in", ev="external", soc=50.0)
    await lane.swipe()

    async def pins(state: str, closed: bool) -> None:
        await lane.rig(verb="pilot", state=state, contactor=closed)

    driver = DcCar(pins, battery_v=float((await car(lane))["emf_v"]))
    await driver.connect(plant.stand.sdp_port(lane.evse))
    await driver.authorise()
    await driver.prepare()
    await driver.start()
    await set_setpoint(plant.peer, lane.evse, 5000.0, 600)
    for _ in range(40):
        await driver.demand(20.0)
        await asyncio.sleep(0.05)
    assert await lane.power_w() > 3000.0
    await pins("B", True)
    began = time.monotonic()
    await lane.wait_rest(2.0)
    assert time.monotonic() - began < LEAVE_S + 0.5

    async def open_() -> bool:
        return not (await plant.truth(lane.evse))["contactors"]["dc"]

    await lane.wait("the contactor opens", open_, 2.0)
    driver.writer.close()
    await lane.unplug()


async def pausing_car(lane: Lane) -> None:
    """It sleeps and comes back: one transaction, no second card."""
    lane.log.append("pauses")
    mark = len(lane.plant.peer.messages)
    await plug(
        lane,
        protocols=["iso15118-2"],
        services=["DC"],
        pause_after_s=2.0,
        pause_s=2.0,
    )
    await lane.swipe()
    await lane.wait_phase("energy", 25.0)
    await lane.wait_phase("suspended_ev", 15.0)
    lane.log.append("comes back")
    await lane.wait_phase("energy", 25.0)
    assert (await car(lane))["sessions"] == 2
    assert not await lane.active()
    events = [
        message.payload
        for message in lane.plant.peer.messages[mark:]
        if message.action == "TransactionEvent" and message.direction == "in"
        if message.payload.get("evse", {}).get("id") == lane.evse
    ]
    started = [e["transactionInfo"] for e in events if e["eventType"] == "Started"]
    assert len(started) == 1
    ended = [e["transactionInfo"] for e in events if e["eventType"] == "Ended"]
    assert started[0]["transactionId"] not in [e["transactionId"] for e in ended]
    await lane.unplug()


async def second_lane(lane: Lane) -> None:
    await by_hand(lane)
    await pausing_car(lane)


@pytest.mark.asyncio
async def test_cars_of_iso15118_2(tmp_path: Path) -> None:
    async with station(
        tmp_path,
        tls=True,
        profile=Profile.ISO2,
        bench=patient_bench(tmp_path),
        config=str(CCS),
        CHARGERD__VEHICLE__ISO15118__AUTHORISE='["PnC", "EIM"]',
    ) as plant:
        first, second = Lane(plant, 1), Lane(plant, 2)
        await asyncio.gather(new_contract_car(first), second_lane(second))
        assert not plant.csms.violations
