"""Vehicles with real processes: what each kind does, and two of them on one connection.

A stand with an AC car and a V2H car of their own minds, and one with two V2H cars that
share the grid connection with a house. One stand a test: with more of them at once the
machine is late, not the station.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hil.csms.dispatch import charging_only, set_setpoint
from tests.lane import RESTS_W, Lane
from tests.process import Plant, patient_bench, station

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

LEAVE_S = 0.3  # MCU frame 0.1 s, tick, contactor, and this machine
PWM_S = 5.0  # the duty changes no faster


async def wait_near(lane: Lane, power_w: float, limit_s: float = 8.0) -> None:
    async def near() -> bool:
        return abs(await lane.power_w() - power_w) < 200.0

    await lane.wait(f"{power_w} W", near, limit_s)


async def wait_duty(lane: Lane, duty: float, limit_s: float) -> float:
    """When the pilot carries `duty` (as the vehicle sees it)."""

    async def shown() -> bool:
        seen = (await lane.plant.truth(lane.evse))["duty"]
        return abs(float(seen) - duty) < 0.002

    await lane.wait(f"duty {duty}", shown, limit_s)
    return time.monotonic()


# -- an AC car, and a pilot moved by hand ------------------------------------------


async def basic_car(lane: Lane) -> None:
    """Charges by duty, follows limits every 5 s, pauses, is pulled under load."""
    peer = lane.plant.peer
    lane.log.append("basic")
    await lane.start_ac()
    assert (await lane.plant.truth(lane.evse))["pilot"] == "C"
    await charging_only(peer, lane.evse, 2300.0)
    first = await wait_duty(lane, 10 / 60, PWM_S + 1.0)
    await wait_near(lane, 2300.0, 2.0)
    await charging_only(peer, lane.evse, 1840.0)
    second = await wait_duty(lane, 8 / 60, PWM_S + 1.0)
    assert second - first >= PWM_S - 0.3
    await wait_near(lane, 1840.0, 2.0)
    await lane.rig(verb="pause")
    await lane.wait_rest(2.0)
    await lane.wait_phase("suspended_ev", 4.0)
    await lane.rig(verb="resume")
    await wait_near(lane, 1840.0)
    await charging_only(peer, lane.evse, 1000.0)  # 6 A are the least that PWM can say
    await wait_duty(lane, 1.0, 1.0)
    await lane.wait_rest(3.5)
    await charging_only(peer, lane.evse, 3000.0)
    await wait_near(lane, 3000.0)
    await pulled_under_load(lane)


async def all_open(lane: Lane) -> bool:
    closed = (await lane.plant.truth(lane.evse))["contactors"]
    return not (closed["ac"] or closed["dc"])


async def pulled_under_load(lane: Lane) -> None:
    mark = len(lane.plant.peer.messages)
    await lane.unplug()
    await lane.wait_rest(0.5)
    await lane.wait("contactors open", lambda: all_open(lane), 0.5)
    ended = await lane.plant.peer.expect(
        "TransactionEvent",
        lambda p: p["eventType"] == "Ended" and p["evse"]["id"] == lane.evse,
        since=mark,
    )
    assert ended.payload["transactionInfo"]["stoppedReason"] == "EVDisconnected"
    await lane.wait_clean(3.0)


async def pilot_by_hand(lane: Lane) -> None:
    """Power flows in C and D only, and ends within the tick when they are left."""
    lane.log.append("external")
    await lane.rig(verb="plug_in", ev="external", power_w=3000.0)
    await lane.swipe()
    await lane.wait_phase("starting")
    assert not (await lane.plant.truth(lane.evse))["contactors"]["ac"]
    left_at = []
    for ready, left in (("C", "B"), ("D", "B"), ("C", "E"), ("C", "F"), ("C", "A")):
        lane.log.append(f"pilot {ready} to {left}")
        await lane.rig(verb="pilot", state=ready)
        await wait_near(lane, 3000.0, 4.0)
        at = time.monotonic()
        await lane.rig(verb="pilot", state=left)
        await lane.wait("contactor open", lambda: all_open(lane), 1.0)
        left_at.append(at)
    await lane.unplug()
    await lane.wait("the trace shows it", lambda: all_opened(lane, left_at))


async def all_opened(lane: Lane, left_at: list[float]) -> bool:
    """After each of `left_at` the AC contactor opened in time, by the rig's trace."""
    opened = [
        row["t_mono"]
        for row in lane.plant.trace()
        if (row.get("contactor"), row.get("evse")) == ("ac", lane.evse)
        and not row["closed"]
    ]
    return all(any(0.0 <= t - at <= LEAVE_S for t in opened) for at in left_at)


# -- a V2H car of its own mind -----------------------------------------------------


async def wilful_car(lane: Lane) -> None:
    """Pauses, forbids discharge, lies about its SoC, asks for too much, is pulled."""
    plant, evse = lane.plant, lane.evse
    lane.log.append("pause while discharging")
    await lane.start_dc(-5000.0)
    await lane.rig(verb="pause")
    await lane.wait_rest(2.0)
    await lane.wait_phase("suspended_ev", 4.0)
    await lane.rig(verb="resume")
    await wait_near(lane, -5000.0)
    for kind, more in (("discharge_forbidden", {}), ("soc_lie", {"soc": 5})):
        lane.log.append(kind)
        await lane.rig(verb="fault", device="ev", kind=kind, **more)
        await lane.wait_rest(2.0)
        assert await lane.phase() != "finished"
        await lane.rig(verb="fault", device="ev", kind=kind, on=False)
        await wait_near(lane, -5000.0)
    lane.log.append("over_request")
    await set_setpoint(plant.peer, evse, 4000.0, 600)
    await wait_near(lane, 4000.0)
    await lane.rig(verb="fault", device="ev", kind="over_request", amps=50)
    most_w = 0.0
    for _ in range(30):
        most_w = max(most_w, await lane.power_w())
        await asyncio.sleep(0.05)
    assert most_w <= 4300.0  # what it asks for is a limit, never a wish
    await lane.rig(verb="fault", device="ev", kind="over_request", on=False)
    lane.log.append("pulled while discharging")
    await set_setpoint(plant.peer, evse, -5000.0, 600)
    await wait_near(lane, -5000.0)
    await pulled_under_load(lane)


# -- two of them and a house -------------------------------------------------------


async def grid_w(plant: Plant) -> float:
    state = await plant.stand.rig.ask(verb="state")
    return float(state["grid"]["power_w"])


async def load(plant: Plant, power_w: float) -> None:
    await plant.stand.rig.ask(verb="load", power_w=power_w)


def beyond_caps_s(plant: Plant, since_mono: float, cap_w: float) -> float:
    """The longest time the grid connection was outside +-cap, by the rig's trace."""
    longest, since = 0.0, None
    for row in plant.trace():
        if row["kind"] != "sample" or row["t_mono"] < since_mono:
            continue
        outside = abs(row["grid"]["power_w"]) > cap_w * 1.02
        since = (since or row["t_mono"]) if outside else None
        longest = max(longest, row["t_mono"] - since if since else 0.0)
    return longest


async def two_cars_and_a_house(plant: Plant) -> None:
    """Site caps are 10 kW both ways; EVSE 1 charges, EVSE 2 discharges."""
    one, two = Lane(plant, 1), Lane(plant, 2)
    began = time.monotonic()
    await load(plant, 3000.0)
    await asyncio.gather(one.start_dc(7000.0), two.start_dc(-6000.0))
    await wait_near(one, 7000.0)
    await wait_near(two, -6000.0)
    await load(plant, 6000.0)  # room for EVSE 1 only because of EVSE 2
    await asyncio.sleep(1.0)
    await wait_near(one, 7000.0)
    await set_setpoint(plant.peer, 2, 0.0, 600)
    await two.wait_rest(2.0)
    await wait_near(one, 4000.0, 3.0)
    await load(plant, 0.0)
    for evse in (1, 2):
        await set_setpoint(plant.peer, evse, -8000.0, 600)
    await two.wait("export", lambda: exports(plant, -9500.0))
    await asyncio.sleep(1.0)
    assert await grid_w(plant) >= -10_200.0
    assert beyond_caps_s(plant, began, 10_000.0) <= 0.6  # meters are read each 0.2 s


async def exports(plant: Plant, power_w: float) -> bool:
    return await grid_w(plant) <= power_w


async def blind_site(plant: Plant) -> None:
    """The site meter says nothing: no export after 3 s, one fail-safe cap for all."""
    one, two = Lane(plant, 1), Lane(plant, 2)
    fault: dict[str, Any] = {
        "verb": "fault",
        "device": "site-meter",
        "kind": "silent",
    }
    at = time.monotonic()
    await plant.stand.rig.ask(**fault)
    await asyncio.gather(one.wait_rest(4.0), two.wait_rest(4.0))
    assert time.monotonic() - at <= 3.6
    for evse in (1, 2):
        await set_setpoint(plant.peer, evse, 5000.0, 600)
    await one.wait("fail-safe import", lambda: imports(plant, 1300.0))
    for _ in range(20):
        assert await grid_w(plant) <= 1500.0 + 2 * RESTS_W
        await asyncio.sleep(0.05)
    await plant.stand.rig.ask(**fault, on=False)
    await one.wait("both charge", lambda: imports(plant, 9000.0))


async def imports(plant: Plant, power_w: float) -> bool:
    return await grid_w(plant) >= power_w


async def leave_each_its_way(plant: Plant) -> None:
    """One car stops by itself: no fault. The other falls silent: a fault, 0 W."""
    one, two = Lane(plant, 1), Lane(plant, 2)
    mark = len(plant.peer.messages)
    await one.rig(verb="fault", device="ev", kind="stop_now")
    await two.rig(verb="fault", device="ev", kind="silent")
    await one.wait_rest(1.0)
    await two.wait_rest(2.5)
    await two.wait_fault("VehicleTimeout")
    await two.told("VehicleTimeout", mark, cleared=False)
    await one.wait_phase("finished")
    assert not await one.active()
    ended = await plant.peer.expect(
        "TransactionEvent",
        lambda p: p["eventType"] == "Ended" and p["evse"]["id"] == 1,
        since=mark,
    )
    assert ended.payload["transactionInfo"]["stoppedReason"] == "StoppedByEV"


@pytest.mark.story
@pytest.mark.asyncio
async def test_vehicles_of_their_own_minds(tmp_path: Path) -> None:
    async with station(tmp_path, bench=patient_bench(tmp_path)) as plant:

        async def ac() -> None:
            await basic_car(Lane(plant, 1))
            await pilot_by_hand(Lane(plant, 1))

        await asyncio.gather(ac(), wilful_car(Lane(plant, 2)))
        assert not plant.csms.violations


@pytest.mark.asyncio
async def test_vehicles_on_one_connection(tmp_path: Path) -> None:
    async with station(tmp_path, bench=patient_bench(tmp_path)) as plant:
        await two_cars_and_a_house(plant)
        await blind_site(plant)
        await leave_each_its_way(plant)
        assert not plant.csms.violations
