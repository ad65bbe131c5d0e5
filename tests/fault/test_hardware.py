"""The fault table with real processes: each fault ends power, is told, and lets go.

Three stands run side by side. Two have a row of cases per EVSE: faults of the board on
AC sessions, which start in a second, and those of stage and insulation on DC. In the
third all hardware dies at once.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chargerd.faults import Clear, lookup
from hil.csms.dispatch import set_setpoint
from tests.lane import RESTS_W, Lane
from tests.process import Plant, station

pytestmark = [pytest.mark.story, pytest.mark.process, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Case:
    """`ask` is the rig's question without its connector; `fault` "" = none is due."""

    ask: dict[str, Any]
    fault: str
    within_s: float = 1.0  # until 0 W, as the rig sees it


def error(name: str, fault: str = "", within_s: float = 1.0) -> Case:
    return Case({"verb": "error", "error": name}, fault or name, within_s)


def device(role: str, kind: str, fault: str, within_s: float = 1.0) -> Case:
    ask = {"verb": "fault", "device": role, "kind": kind}
    return Case(ask, fault, within_s)


AC_1 = (
    error("EmergencyStop"),
    error("PilotFault"),
    error("DiodeFault"),
    error("ProximityFault"),
    error("ConnectorLockFailure"),
    error("CableOverTempStop"),
    error("OverVoltage"),
    error("OverCurrentFailure"),
    error("GroundFailure"),  # the last: only a technician clears it
)
AC_2 = (
    error("PilotLost"),
    device("mcu", "reboot", ""),
    error("StageLost", within_s=2.0),
    error("PowerLoss"),
)


@dataclass
class FaultLane(Lane):
    restarts: bool = True  # a new session without a new plug is tried where allowed

    async def run(self, case: Case) -> None:
        """Fault, 0 W, its name and words, its end by the table, and the next session.

        The vehicle is plugged and power flows when this begins; unplugged at its end.
        """
        self.log.append(str(case.ask))
        mark = len(self.plant.peer.messages)
        await self.rig(**case.ask)
        await self.wait_rest(case.within_s)
        if case.fault:
            await self.wait_fault(case.fault)
            shown = (await self.active())[case.fault]
            row = lookup(case.fault)
            assert (shown["driver_text"], shown["technician_text"], shown["mrec"]) == (
                row.driver,
                row.technician,
                row.mrec,
            )
            await self.told(case.fault, mark, cleared=False)
        await self.rig(**{**case.ask, "on": False})
        await self.let_go(case, mark)

    async def let_go(self, case: Case, mark: int) -> None:
        row = lookup(case.fault)
        if not (case.fault and row.ends_session):
            await self.wait_power(row.clear_after_s + 6.0)  # goes on by itself
        elif row.clear is Clear.GONE:
            await self.wait_clean(row.clear_after_s + 3.0)
            await self.wait_phase("finished")
            if self.restarts:
                await self.swipe()  # a new session without a new plug
                await self.wait_power()
        else:
            assert case.fault in await self.active()
        await self.unplug()
        if row.clear is Clear.RESET:
            assert list(await self.active()) == [case.fault]
            return
        await self.wait_clean(3.0)
        if case.fault:
            await self.told(case.fault, mark, cleared=True)


async def ac_lane(plant: Plant, evse: int, cases: tuple[Case, ...]) -> None:
    lane = FaultLane(plant, evse)
    for case in cases:
        lane.log.append(f"start before {case.ask}")
        await lane.start_ac()
        await lane.run(case)


async def dc_faults(lane: FaultLane, *cases: Case) -> None:
    for case in cases:
        lane.log.append(f"start before {case.ask}")
        await lane.start_dc(-5000.0)
        await lane.run(case)
    truth = await lane.plant.truth(lane.evse)
    assert truth["contactor_breaks_under_load"] == 0  # the stage always went first


async def dc_board_and_contactor(plant: Plant) -> None:
    """EVSE 1: a garbled MCU line, a leak, a welded contactor."""
    lane = FaultLane(plant, 1, restarts=False)  # it takes 6 s here
    await dc_faults(
        lane,
        device("mcu", "corrupt", "PilotLost"),
        error("ResistanceFault", within_s=3.0),
    )
    lane.log.append("weld")
    mark = len(plant.peer.messages)
    await lane.start_dc(-5000.0)
    await lane.rig(verb="error", error="EVSEContactorFault")
    await lane.swipe()
    await lane.wait_rest(3.0)
    await lane.wait_fault("EVSEContactorFault", 10.0)
    await lane.told("EVSEContactorFault", mark, cleared=False)
    await lane.rig(verb="error", error="EVSEContactorFault", on=False)
    await lane.wait_phase("finished")
    await lane.unplug()
    assert list(await lane.active()) == ["EVSEContactorFault"]  # a technician's matter


async def dc_stage_and_insulation(plant: Plant) -> None:
    """EVSE 2: a stage that refuses, one that runs away, a monitor that is gone."""
    lane = FaultLane(plant, 2, restarts=False)
    lane.log.append("mode_refused")
    await lane.start_dc(5000.0)
    await lane.rig(verb="fault", device="stage", kind="mode_refused")
    await set_setpoint(plant.peer, 2, -5000.0, 600)
    await lane.wait_rest(3.0)
    await asyncio.sleep(1.0)
    assert abs(await lane.power_w()) < RESTS_W
    await lane.rig(verb="fault", device="stage", kind="mode_refused", on=False)
    await lane.wait_power()
    lane.log.append("ignore_current")
    await lane.rig(verb="fault", device="stage", kind="ignore_current")
    await set_setpoint(plant.peer, 2, -1000.0, 600)
    await lane.wait_fault("OverCurrentFailure", 4.0)
    await lane.wait_rest(3.0)
    await lane.rig(verb="fault", device="stage", kind="ignore_current", on=False)
    await lane.unplug()
    await lane.wait_clean(3.0)
    await dc_faults(lane, error("InsulationLost", within_s=4.0))


async def ac_stand(folder: Path) -> None:
    async with station(folder) as plant:
        await asyncio.gather(ac_lane(plant, 1, AC_1), ac_lane(plant, 2, AC_2))
        assert not plant.csms.violations


async def dc_stand(folder: Path) -> None:
    async with station(folder) as plant:
        await asyncio.gather(
            dc_board_and_contactor(plant), dc_stage_and_insulation(plant)
        )
        assert not plant.csms.violations


async def all_hardware_dies(folder: Path) -> None:
    """Every wire goes while power flows out, and comes back: the daemon lives on."""
    async with station(folder) as plant:
        lane = Lane(plant, 1, ["every wire"])
        await lane.start_dc(-5000.0)
        plant.stand.kill("rig", signal.SIGKILL)
        await plant.stand.end("rig")
        plant.stand.rig.close()
        for name in ("PilotLost", "StageLost", "MeterLost"):
            await lane.wait_fault(name, 4.0)
        assert (await plant.status())["decision"]["power_w"] == 0.0
        await plant.stand.start_rig()
        await lane.wait_phase("idle", 25.0)  # another rig: its vehicle is not there
        await lane.wait_clean(15.0)
        assert abs(await lane.power_w()) < RESTS_W
        await plant.peer.wait_connected(timeout=60.0)
        await lane.start_ac()
        assert not plant.csms.violations


@pytest.mark.asyncio
async def test_each_fault_ends_power_is_told_and_lets_go(tmp_path: Path) -> None:
    await asyncio.gather(
        ac_stand(tmp_path / "ac"),
        dc_stand(tmp_path / "dc"),
        all_hardware_dies(tmp_path / "dies"),
    )
