"""Stations with tariffs, and drivers who bring one of their own."""

from __future__ import annotations

from typing import Any

from chargerd.model import SessionPhase, Token
from chargerd.ocpp.effects import Answer
from tests.unit.ocpp.auth_kit import ask, reply
from tests.unit.ocpp.cost_kit import energy, tariff
from tests.unit.ocpp.station_rig import CARD, Rig, config

P = SessionPhase
CTRLR = "TariffCostCtrlr"
QUIET = {"SampledDataCtrlr.TxUpdatedInterval": 0}
ONE = tariff("T1", energy=energy(1.0))


def station(evses: int = 1, **presets: Any) -> Rig:
    rig = Rig(config(evses=evses, device_model={**QUIET, **presets}))
    for evse_id in range(1, evses + 1):
        rig.observe(evse_id=evse_id)
    return rig.boot()


def set_default(rig: Rig, told: dict[str, Any] = ONE, evse_id: int = 0) -> str:
    answer = rig.call("SetDefaultTariff", {"evseId": evse_id, "tariff": told})
    assert isinstance(answer, dict), answer
    status: str = answer["status"]
    return status


def assigned(answer: Answer) -> dict[str, list[int]]:
    """EVSEs by tariff, of a GetTariffs answer."""
    assert isinstance(answer, dict)
    rows = answer.get("tariffAssignments", [])
    return {row["tariffId"]: row["evseIds"] for row in rows}


def tariffs(rig: Rig, evse_id: int = 0) -> dict[str, list[int]]:
    return assigned(rig.call("GetTariffs", {"evseId": evse_id}))


def welcome(
    rig: Rig, told: dict[str, Any] | None = None, token: Token = CARD, **info: Any
) -> None:
    """The card is shown, and the central system accepts it."""
    ask(rig, token)
    more = {"tariff": told} if told else {}
    reply(rig, {"status": "Accepted", **info}, **more)


def charge(rig: Rig, **more: Any) -> None:
    """The vehicle is there and takes energy; the register stands at 1,000 Wh."""
    for phase in (P.CONNECTED, P.STARTING, P.ENERGY):
        rig.observe(phase, authorised=phase is not P.CONNECTED, **more)


def stop(rig: Rig, wh: float = 0.0, **more: Any) -> dict[str, Any]:
    """Energy, the end, and the event that tells it."""
    rig.observe(P.ENERGY, authorised=True, import_wh=1000.0 + wh, **more)
    rig.observe(P.IDLE, import_wh=1000.0 + wh, **more)
    event = rig.events()[-1]
    assert event["eventType"] == "Ended", event
    return event


def named(rig: Rig) -> list[str]:
    """The tariffId of each event that has one."""
    return [
        event["transactionInfo"]["tariffId"]
        for event in rig.events()
        if "tariffId" in event["transactionInfo"]
    ]


def total(event: dict[str, Any]) -> float:
    cost: float = event["costDetails"]["totalCost"]["total"]["exclTax"]
    return cost


def problems(rig: Rig) -> list[str]:
    return [
        event["actualValue"]
        for payload in rig.payloads("NotifyEvent")
        for event in payload["eventData"]
        if event["component"]["name"] == CTRLR
    ]
