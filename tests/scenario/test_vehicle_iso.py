"""ISO 15118 with real processes: daemon, rig, central system and cars that talk.

Two stands, one after the other: ISO 15118-20 over TLS 1.3, then what is older. On each,
two EVSEs live side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hil.csms.dispatch import set_setpoint
from hil.csms.server import Csms
from hil.pki.profiles import Profile
from hil.stand import CCS, Stand
from tests.cps import Cps
from tests.lane import Lane
from tests.process import PASSWORD, Plant
from tests.v2g_car import DcCar

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

LEAVE_S = 0.4  # MCU frame 0.1 s, tick, contactor, and this machine
SILENT_S = 0.5 + LEAVE_S  # TIMES_20: a loop's silence
AC = '["AC_BPT", "AC"]'


@asynccontextmanager
async def station(
    folder: Path, profile: Profile, **environment: str
) -> AsyncIterator[Plant]:
    """A CCS station with TLS: EVSE 1 with contracts, both with cards."""
    stand = Stand(folder)
    stand.make_pki(profile)
    csms = await Csms.start("127.0.0.1", stand.csms_port, password=PASSWORD)
    environment["CHARGERD__VEHICLE__ISO15118__AUTHORISE"] = '["PnC", "EIM"]'
    try:
        await stand.start_rig()
        await stand.start_daemon(config=str(CCS), **environment)
        peer = await csms.wait_station(15, booted=True)
        yield Plant(stand, csms, peer)
        assert not csms.violations
    finally:
        await stand.stop()
        await csms.stop()


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


# -- ISO 15118-20 --------------------------------------------------------------------


async def contract_car(lane: Lane) -> None:
    """DC_BPT, dynamic, paid by contract: it turns, is pulled, comes back, falls
    silent."""
    lane.log.append("contract")
    await plug(lane, protocols=["iso15118-20"], authorise="contract")
    await lane.wait_phase("energy", 25.0)
    await power(lane, -4000.0)
    await power(lane, 4000.0)
    told = await car(lane)
    assert (told["protocol"], told["service"]) == ("iso15118-20", "DC_BPT")
    assert told["security"] == "TLSv1.3"
    asked = await lane.plant.peer.expect("Authorize", by_contract, since=0)
    assert asked.payload["iso15118CertificateHashData"]
    lane.log.append("pulled under power")
    began = time.monotonic()
    await lane.rig(verb="plug_out")
    await lane.wait_rest(1.0)
    assert time.monotonic() - began < LEAVE_S + 0.5
    await lane.wait_phase("idle")
    assert not await lane.active()  # a pull is no fault
    lane.log.append("plugged in again")
    await plug(lane, protocols=["iso15118-20"], authorise="contract")
    await lane.wait_phase("energy", 25.0)
    await power(lane, 4000.0)
    lane.log.append("silent")
    await lane.rig(verb="fault", device="ev", kind="silent")
    began = time.monotonic()
    await lane.wait_rest(3.0)
    assert time.monotonic() - began < SILENT_S + 0.5
    await lane.wait_fault("VehicleTimeout")
    await lane.unplug()
    await lane.wait_clean(8.0)


async def ac_car(lane: Lane) -> None:
    """AC_BPT, dynamic, paid by card: the station's target leads in both directions."""
    lane.log.append("AC_BPT")
    await plug(
        lane,
        protocols=["iso15118-20"],
        services=["AC_BPT"],
        ac_phases=1,
        ac_max_a=32.0,
    )
    await lane.swipe()
    await lane.wait_phase("energy", 25.0)
    await power(lane, -3000.0)
    await power(lane, 3000.0)
    assert (await car(lane))["service"] == "AC_BPT"
    await lane.swipe()  # the driver stops it
    await lane.wait_phase("finished")
    await lane.wait_rest(3.0)
    assert not await lane.active()
    await lane.unplug()


async def newest(folder: Path) -> None:
    ac = {"CHARGERD__EVSE__1__ISO15118__ENERGIES": AC}
    async with station(folder, Profile.ISO20, **ac) as plant:
        await asyncio.gather(contract_car(Lane(plant, 1)), ac_car(Lane(plant, 2)))


# -- ISO 15118-2 and DIN 70121 --------------------------------------------------------


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
    lane.log.append("stops itself")
    await lane.rig(verb="plug_out")
    await lane.wait_phase("idle")
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
        return not (await plant.truth(lane.evse))["dc_closed"]

    await lane.wait("the contactor opens", open_, 2.0)
    driver.writer.close()
    await lane.unplug()


async def oldest(folder: Path) -> None:
    async with station(folder, Profile.ISO2) as plant:
        await asyncio.gather(new_contract_car(Lane(plant, 1)), by_hand(Lane(plant, 2)))


@pytest.mark.asyncio
async def test_vehicles_that_talk(tmp_path: Path) -> None:
    await newest(tmp_path / "20")
    await oldest(tmp_path / "2")
