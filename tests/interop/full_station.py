"""The whole daemon and the rig before the strict CSMS: one stand per version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.stand import Stand, StandError
from tests.interop.referee import Referee, referee
from tests.process import TOKEN, until

V21, V201 = "ocpp2.1", "ocpp2.0.1"
Payload = dict[str, Any]


def variable(name: str, **more: Any) -> Payload:
    """A GetVariables or SetVariables item from "Component.Variable[instance]"."""
    component, variable_name = name.split(".")
    variable_name, bracket, instance = variable_name.partition("[")
    what: Payload = {"name": variable_name}
    if bracket:
        what["instance"] = instance.rstrip("]")
    return {"component": {"name": component}, "variable": what, **more}


@dataclass
class Full:
    """What a test does to the station and what it looks at."""

    stand: Stand
    csms: Referee
    protocol: str

    @property
    def is_21(self) -> bool:
        return self.protocol == V21

    async def status(self, evse: int = 1) -> Payload:
        answer = await self.stand.local.ask(verb="status")
        found: Payload = next(e for e in answer["evses"] if e["evse_id"] == evse)
        return found

    async def phase_is(self, *phases: str) -> None:
        async def there() -> bool:
            return (await self.status())["phase"] in phases

        await until(f"phase {phases}", there, 25.0)

    async def power_near(self, power_w: float, within_w: float = 350.0) -> None:
        """The true power at the terminals, as the rig knows it."""

        async def near() -> bool:
            state = await self.stand.rig.ask(verb="state")
            seen = float(state["evses"]["1"]["ac_power_w"])
            return abs(seen - power_w) < within_w

        await until(f"{power_w} W at the terminals", near, 12.0)

    async def plug_in(self) -> None:
        await self.stand.rig.ask(
            verb="plug_in", connector=1, ev="chademo", soc=60.0, capacity_wh=40_000.0
        )

    async def plug_out(self) -> None:
        await self.stand.rig.ask(verb="plug_out", connector=1)
        await self.phase_is("idle")

    async def plug_out_through_reset(self, since: int) -> Payload:
        """The daemon starts over meanwhile; its BootNotification. The local socket is
        asked anew after it: until then the one that ends may still answer."""
        await self.stand.rig.ask(verb="plug_out", connector=1)
        boot = await self.said("BootNotification", since)
        self.stand.local.close()

        async def idle() -> bool:
            try:
                return bool((await self.status())["phase"] == "idle")
            except (OSError, StandError):
                return False

        await until("idle after the reset", idle, 20.0)
        return boot

    async def swipe(self) -> None:
        await self.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])

    def events(self, kind: str = "", since: int = 0) -> list[Payload]:
        """TransactionEvents, of one eventType, after the first `since` calls."""
        return [
            params
            for action, params in self.csms.calls[since:]
            if action == "TransactionEvent" and kind in ("", params["eventType"])
        ]

    async def event(self, kind: str, since: int, **info: Any) -> Payload:
        """The first such event whose fields (its own or transactionInfo's) fit."""

        def fitting() -> list[Payload]:
            return [
                event
                for event in self.events(kind, since)
                if info.items() <= {**event, **event["transactionInfo"]}.items()
            ]

        await self.csms.until(f"TransactionEvent {kind} {info}", fitting)
        return fitting()[0]

    async def said(self, action: str, since: int) -> Payload:
        """The first CALL of the station with this action after the first `since`."""

        def calls() -> list[Payload]:
            return [p for name, p in self.csms.calls[since:] if name == action]

        await self.csms.until(action, calls)
        return calls()[0]

    async def set(self, name: str, value: str) -> str:
        data = [variable(name, attributeValue=value)]
        answer = await self.csms.call("SetVariables", {"setVariableData": data})
        return str(answer["setVariableResult"][0]["attributeStatus"])

    async def get(self, name: str) -> str:
        data = [variable(name)]
        answer = await self.csms.call("GetVariables", {"getVariableData": data})
        return str(answer["getVariableResult"][0].get("attributeValue"))

    async def profile(
        self, number: int, power_w: float, transaction_id: str, **more: Any
    ) -> Payload:
        """A TxProfile: a setpoint in 2.1, a limit in 2.0.1."""
        period: Payload = {"startPeriod": 0, "limit": power_w}
        if self.is_21:
            period = {
                "startPeriod": 0,
                "operationMode": "CentralSetpoint",
                "setpoint": power_w,
            }
        schedule = {
            "id": number,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [period],
        }
        chosen = {
            "id": number,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "transactionId": transaction_id,
            "chargingSchedule": [schedule],
            **more,
        }
        request = {"evseId": 1, "chargingProfile": chosen}
        return await self.csms.call("SetChargingProfile", request)


@asynccontextmanager
async def full_station(folder: Path, protocol: str) -> AsyncIterator[Full]:
    """Rig, referee and daemon, connected; breaches fail the test at the end."""
    stand = Stand(folder)
    async with referee(protocol, stand.csms_port) as csms:
        try:
            await stand.start_rig()
            await stand.start_daemon()
            await csms.until("link", lambda: csms.links)
            yield Full(stand, csms, protocol)
            assert csms.breaches == []
        finally:
            await stand.stop()
