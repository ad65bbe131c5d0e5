"""The OCPP door against a strict CSMS with its own schemas: npm `ocpp-rpc`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from chargerd.clock import Clock
from chargerd.config import Ocpp
from chargerd.model import (
    Authorisation,
    AuthQuestion,
    OperationMode,
    SessionPhase,
    StopReason,
)
from chargerd.ocpp.client import OcppClient
from chargerd.ocpp.station import OcppStation
from tests.interop.referee import Referee, referee
from tests.unit.ocpp.fakes import FakeOutbox
from tests.unit.ocpp.station_rig import CARD, config, report

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]


@dataclass
class Door:
    """Our door with a heart that repeats `state` at 20 Hz."""

    csms: Referee
    client: OcppClient
    clock: Clock
    signals: list[Any]
    requests: asyncio.Queue[Any]
    state: dict[str, Any] = field(default_factory=dict)
    phase: SessionPhase = SessionPhase.IDLE

    async def beat(self) -> None:
        while True:
            self.client.report(report(self.clock.now(), self.phase, **self.state))
            await asyncio.sleep(0.05)

    def events(self, kind: str) -> list[dict[str, Any]]:
        events = self.csms.got("TransactionEvent")
        return [event for event in events if event["eventType"] == kind]


@asynccontextmanager
async def door(protocol: str) -> AsyncIterator[Door]:
    async with referee(protocol) as csms:
        conf = config(
            url=f"ws://127.0.0.1:{csms.port}/ocpp",
            security_profile=1,
            password="x" * 16,
        )
        clock = Clock()
        signals: list[Any] = []
        requests: asyncio.Queue[Any] = asyncio.Queue()
        station = OcppStation(conf, {}, "PowerUp")
        client = OcppClient(
            _ocpp(conf), station, FakeOutbox(), clock,
            signals.append, requests.put_nowait, lambda save: None,
        )  # fmt: skip
        made = Door(csms, client, clock, signals, requests)
        tasks = [asyncio.create_task(client.run()), asyncio.create_task(made.beat())]
        try:
            yield made
            for task in tasks:
                assert not task.done(), task
            assert csms.breaches == []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _ocpp(conf: Any) -> Ocpp:
    section: Ocpp = conf.ocpp
    return section


def setpoint_profile(protocol: str, transaction_id: str) -> dict[str, Any]:
    period: dict[str, Any] = {"startPeriod": 0}
    if protocol == "ocpp2.1":
        period |= {"operationMode": "CentralSetpoint", "setpoint": -5000.0}
    else:
        period |= {"limit": 3000.0}
    return {
        "evseId": 1,
        "chargingProfile": {
            "id": 7,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "transactionId": transaction_id,
            "chargingSchedule": [
                {
                    "id": 1,
                    "chargingRateUnit": "W",
                    "chargingSchedulePeriod": [period],
                }
            ],
        },
    }


def variable(name: str, **more: Any) -> dict[str, Any]:
    component = {"name": "OCPPCommCtrlr"}
    return {"component": component, "variable": {"name": name}, **more}


@pytest.mark.asyncio
@pytest.mark.parametrize("protocol", ["ocpp2.1", "ocpp2.0.1"])
async def test_boot_configuration_and_reports(protocol: str) -> None:
    async with door(protocol) as d:
        csms = d.csms
        await csms.until("connector status", lambda: _status(csms))
        assert csms.links[0] == {"identity": "CP1", "protocol": protocol}
        assert csms.calls[0][0] == "BootNotification"

        got = await csms.call(
            "GetVariables", {"getVariableData": [variable("HeartbeatInterval")]}
        )
        assert got["getVariableResult"][0]["attributeStatus"] == "Accepted"
        changed = await csms.call(
            "SetVariables",
            {"setVariableData": [variable("HeartbeatInterval", attributeValue="60")]},
        )
        assert changed["setVariableResult"][0]["attributeStatus"] == "Accepted"

        request = {"requestId": 5, "reportBase": "FullInventory"}
        accepted = await csms.call("GetBaseReport", request)
        assert accepted == {"status": "Accepted"}
        await csms.until("last NotifyReport", lambda: _last_report(csms))
        reports = csms.got("NotifyReport")
        assert [part["seqNo"] for part in reports] == list(range(len(reports)))

        await csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await csms.until("Heartbeat", lambda: csms.got("Heartbeat"))
        unknown = await csms.call("ClearDisplayMessage", {"id": 1})
        assert unknown == {"status": "Unknown"}
        if protocol == "ocpp2.1":
            swap = {"requestId": 1, "idToken": {"idToken": "A1", "type": "Local"}}
            refused = await csms.call("RequestBatterySwap", swap)
            assert refused["error"] == "NotSupported"


def _status(csms: Referee) -> bool:
    """2.1 reports AvailabilityState by NotifyEvent, 2.0.1 by StatusNotification."""
    return bool(csms.got("StatusNotification") or csms.got("NotifyEvent"))


def _last_report(csms: Referee) -> bool:
    reports = csms.got("NotifyReport")
    return bool(reports) and not reports[-1].get("tbc", False)


@pytest.mark.asyncio
@pytest.mark.parametrize("protocol", ["ocpp2.1", "ocpp2.0.1"])
async def test_a_session_with_a_setpoint(protocol: str) -> None:
    async with door(protocol) as d:
        csms = d.csms
        await csms.until("connector status", lambda: _status(csms))

        d.phase = SessionPhase.CONNECTED
        d.client.ask(AuthQuestion(1, CARD))
        await csms.until("Authorize", lambda: csms.got("Authorize"))
        async with asyncio.timeout(5):
            answer = await d.requests.get()
        assert isinstance(answer, Authorisation)
        assert answer.accepted

        d.state, d.phase = {"authorised": True}, SessionPhase.ENERGY
        await csms.until("Started", lambda: d.events("Started"))
        transaction = d.events("Started")[0]["transactionInfo"]["transactionId"]

        profile = setpoint_profile(protocol, transaction)
        before = len(d.signals)
        result = await csms.call("SetChargingProfile", profile)
        assert result["status"] == "Accepted", result
        segment = d.signals[before:][-1].segments[0]
        if protocol == "ocpp2.1":
            assert segment.setpoint_w == -5000.0
            assert segment.mode is OperationMode.CENTRAL_SETPOINT
        else:
            assert segment.limit_w == 3000.0
        composite = await csms.call(
            "GetCompositeSchedule", {"duration": 600, "evseId": 1}
        )
        assert composite["status"] == "Accepted"
        assert composite["schedule"]["chargingSchedulePeriod"]

        d.state |= {"stop": StopReason.LOCAL, "stop_token": CARD}
        d.phase = SessionPhase.FINISHED
        await asyncio.sleep(0.2)
        d.state, d.phase = {}, SessionPhase.IDLE
        await csms.until("Ended", lambda: d.events("Ended"))
        numbers = [event["seqNo"] for event in csms.got("TransactionEvent")]
        assert numbers == sorted(numbers) == list(range(len(numbers)))
