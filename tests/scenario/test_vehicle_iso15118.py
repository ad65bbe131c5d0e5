"""ISO 15118 vehicles of the bench with real processes: a car that pays by contract and
gives back in DC, and beside it one whose on-board charger feeds in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hil.csms.dispatch import set_setpoint
from hil.stand import CCS
from tests.lane import Lane
from tests.process import patient_bench, station

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

AUTHORISE = '["PnC", "EIM"]'
AC_AT_2 = {
    "CHARGERD__EVSE__1__ISO15118__ENERGIES": '["AC_BPT", "AC"]',
    "CHARGERD__EVSE__1__AC_PHASES": "3",
}


async def plug_in(lane: Lane, profile: str, **keys: Any) -> None:
    """`patience`: the machine of the tests is slower than a vehicle's limits."""
    stand = lane.plant.stand
    await lane.rig(
        verb="plug_in",
        ev="iso15118",
        profile=profile,
        soc=50.0,
        pki=str(stand.pki),
        sdp_port=stand.sdp_port(lane.evse),
        patience=20,
        **keys,
    )


async def car(lane: Lane) -> dict[str, Any]:
    """The vehicle's own view."""
    seen: dict[str, Any] = (await lane.plant.truth(lane.evse))["ev"]
    return seen


async def gives(lane: Lane, power_w: float) -> None:
    """A setpoint of the central system, followed; the battery empties."""
    await set_setpoint(lane.plant.peer, lane.evse, power_w, 600)

    async def near() -> bool:
        return abs(await lane.power_w() - power_w) < 300.0

    await lane.wait(f"{power_w} W", near, 12.0)
    before = (await car(lane))["energy_out_wh"]

    async def emptier() -> bool:
        return bool((await car(lane))["energy_out_wh"] > before + 1.0)

    await lane.wait("energy out of the battery", emptier, 10.0)


async def by_contract(lane: Lane) -> None:
    """No card: the contract pays. Stopped by its setpoint's end, replugged, pulled."""
    lane.log.append("-20 DC_BPT by contract")
    await plug_in(lane, "iso20_pnc")
    await lane.wait_phase("energy", 30.0)
    seen = await car(lane)
    assert (seen["protocol"], seen["service"]) == ("iso15118-20", "DC_BPT")
    assert seen["security"] == "TLSv1.3"
    await gives(lane, -4000.0)
    await lane.unplug()
    await lane.wait_rest(2.0)


async def feeds_in(lane: Lane) -> None:
    """The vehicle's own inverter; paid by card. The card ends it in order."""
    lane.log.append("-20 AC_BPT by card")
    await plug_in(lane, "iso20_ac_bpt")
    await lane.swipe()
    await lane.wait_phase("energy", 30.0)
    assert (await car(lane))["service"] == "AC_BPT"
    await gives(lane, -3000.0)
    await lane.swipe()

    async def over() -> bool:
        return bool((await car(lane))["phase"] in ("done", "asleep"))

    await lane.wait("the session's end", over, 15.0)
    assert (await car(lane))["why"] == ""
    await lane.wait_rest(2.0)
    await lane.unplug()


@pytest.mark.asyncio
async def test_two_cars_that_give_back(tmp_path: Path) -> None:
    async with station(
        tmp_path,
        tls=True,
        bench=patient_bench(tmp_path),
        config=str(CCS),
        CHARGERD__VEHICLE__ISO15118__AUTHORISE=AUTHORISE,
        **AC_AT_2,
    ) as plant:
        await asyncio.gather(by_contract(Lane(plant, 1)), feeds_in(Lane(plant, 2)))
        assert not plant.csms.violations
        await _silent(Lane(plant, 1))


async def _silent(lane: Lane) -> None:
    """Silent in its loop: the station ends the power, and says who was it."""
    lane.log.append("goes silent")
    await plug_in(lane, "goes_silent")
    await lane.swipe()
    await lane.wait_fault("VehicleTimeout", 30.0)
    await lane.wait_rest(3.0)
    assert not (await lane.plant.truth(lane.evse))["contactors"]["dc"]
    await lane.unplug()
