"""One EVSE of a stand and what its driver, its vehicle and its hardware do there.

Waits only for conditions; each wait names the EVSE and the step it belongs to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from chargerd.faults import lookup
from hil.csms.dispatch import set_setpoint
from tests.process import Plant, until

FLOWS_W = 1200.0
RESTS_W = 150.0  # what stage and controller take for themselves
OVERLOAD = "SchedulerOverrun"  # of the machine that runs the test
FAST_CAR: dict[str, Any] = {
    "wake_s": 0.1,
    "k_delay_s": 0.2,
    "contactor_s": 0.1,
    "request_delay_s": 0.1,
    "soc_false_frames": 2,
    "weld_check_s": 0.3,
    "ramp_a_per_s": 100.0,
}


@dataclass
class Lane:
    """One EVSE of a stand and what its driver does there."""

    plant: Plant
    evse: int
    log: list[str] = field(default_factory=list)

    async def rig(self, **question: Any) -> None:
        if question["verb"] == "fault":
            question["device"] = f"evse{self.evse}-{question['device']}"
        else:
            question["connector"] = self.evse
        await self.plant.stand.rig.ask(**question)

    async def swipe(self) -> None:
        token = f"04A2B3C4D{self.evse}"
        await self.plant.stand.rig.ask(
            verb="swipe", token=token, connectors=[self.evse]
        )

    async def phase(self) -> str:
        return str((await self.plant.status(self.evse))["phase"])

    async def active(self) -> dict[str, dict[str, Any]]:
        """Faults present on this EVSE, by name."""
        answer = await self.plant.stand.local.ask(verb="faults")
        mine = [f for f in answer["active"] if f["evse_id"] == self.evse]
        return {f["name"]: f for f in mine if f["name"] != OVERLOAD}

    async def power_w(self) -> float:
        return float((await self.plant.truth(self.evse))["ac_power_w"])

    async def wait(
        self, what: str, condition: Callable[[], Awaitable[Any]], limit_s: float = 10.0
    ) -> None:
        await until(f"EVSE {self.evse}, {self.log[-1:]}: {what}", condition, limit_s)

    async def wait_power(self, limit_s: float = 12.0) -> None:
        async def flows() -> bool:
            return abs(await self.power_w()) > FLOWS_W

        await self.wait("power flows", flows, limit_s)

    async def wait_rest(self, limit_s: float) -> None:
        async def rests() -> bool:
            return abs(await self.power_w()) < RESTS_W

        await self.wait("0 W", rests, limit_s)

    async def wait_fault(self, name: str, limit_s: float = 3.0) -> None:
        async def shown() -> bool:
            return name in await self.active()

        await self.wait(name, shown, limit_s)

    async def wait_clean(self, limit_s: float) -> None:
        async def clean() -> bool:
            return not await self.active()

        await self.wait("no fault", clean, limit_s)

    async def wait_phase(self, phase: str, limit_s: float = 10.0) -> None:
        async def reached() -> bool:
            return await self.phase() == phase

        await self.wait(phase, reached, limit_s)

    async def start_ac(self) -> None:
        await self.rig(verb="plug_in", ev="basic", soc=50.0, react_s=0.2, stop_s=0.5)
        await self.swipe()
        await self.wait_power()

    async def start_dc(self, power_w: float) -> None:
        await self.rig(verb="plug_in", ev="chademo", soc=60.0, **FAST_CAR)
        await self.swipe()
        await self.wait_phase("energy", 20.0)
        await set_setpoint(self.plant.peer, self.evse, power_w, 600)
        await self.wait_power()

    async def unplug(self) -> None:
        await self.rig(verb="plug_out")
        await self.wait_phase("idle")

    async def told(self, name: str, mark: int, *, cleared: bool) -> None:
        """The CSMS got the fault's NotifyEvent, with the code of the table."""
        row = lookup(name)
        code = row.mrec or row.uec

        def fits(payload: dict[str, Any]) -> bool:
            return any(
                event.get("techCode") == code
                and event["component"]["name"] == row.component
                and event["component"].get("evse", {}).get("id") == self.evse
                and event.get("cleared", False) is cleared
                for event in payload["eventData"]
            )

        await self.plant.peer.expect("NotifyEvent", fits, since=mark)
