"""The demo's story and every answer of the spine, judged by npm `ocpp-rpc`, strict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.full_station import V21, V201, Full, Payload, full_station
from tests.process import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.process,
    pytest.mark.timeout(300),
]
REMOTE = {"idToken": "REMOTE-1", "type": "Central"}
TRIGGERS = {  # requestedMessage -> what the station then says
    "Heartbeat": "Heartbeat",
    "MeterValues": "MeterValues",
    "TransactionEvent": "TransactionEvent",
    "LogStatusNotification": "LogStatusNotification",
    "FirmwareStatusNotification": "FirmwareStatusNotification",
    "SignChargingStationCertificate": "SignCertificate",
}
REFUSED_TRIGGERS = {
    "BootNotification": "Rejected",  # F06.FR.17
    "PublishFirmwareStatusNotification": "NotImplemented",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("protocol", [V21, V201])
async def test_the_whole_station(tmp_path: Path, protocol: str) -> None:
    async with full_station(tmp_path, protocol) as full:
        await boots(full)
        await reports(full)
        await configures(full)
        transaction_id = await charges(full)
        await follows_profiles(full, transaction_id)
        if full.is_21:
            await follows_updates(full, transaction_id)
        await speaks_when_asked(full)
        await loses_the_link(full, transaction_id)
        await is_stopped(full, transaction_id)
        await changes_availability(full)
        await is_started_remotely(full)
        await starts_over(full)


async def boots(full: Full) -> None:
    csms = full.csms
    await csms.until("both connectors", lambda: len(connector_states(full)) == 2)
    assert csms.links[0] == {"identity": "BENCH-1", "protocol": full.protocol}
    assert csms.calls[0][0] == "BootNotification"
    boot = csms.calls[0][1]
    assert boot["reason"] == "PowerUp"
    station = boot["chargingStation"]
    assert station["model"] == "virtual-bench"
    assert station["vendorName"] == "chargerd"
    assert station["serialNumber"] == "VB-0001"
    assert station["firmwareVersion"]
    assert connector_states(full) == {(1, 1): "Available", (2, 1): "Available"}


def connector_states(full: Full) -> dict[tuple[int, int], str]:
    """The newest told state of each connector: NotifyEvent in 2.1, else
    StatusNotification."""
    states = {}
    for action, params in full.csms.calls:
        if action == "StatusNotification":
            states[params["evseId"], params["connectorId"]] = params["connectorStatus"]
        for event in params.get("eventData", ()):
            if event["variable"]["name"] == "AvailabilityState":
                evse = event["component"]["evse"]
                states[evse["id"], evse["connectorId"]] = event["actualValue"]
    return states


async def connector_is(full: Full, evse_id: int, state: str) -> None:
    await full.csms.until(
        f"EVSE {evse_id} {state}",
        lambda: connector_states(full)[evse_id, 1] == state,
    )


async def reports(full: Full) -> None:
    for number, base in enumerate(
        ("ConfigurationInventory", "FullInventory", "SummaryInventory"), 10
    ):
        request = {"requestId": number, "reportBase": base}
        assert await full.csms.call("GetBaseReport", request) == {"status": "Accepted"}
        parts = await full_report(full, number)
        assert [part["seqNo"] for part in parts] == list(range(len(parts)))
        assert all(part["reportData"] for part in parts)
    one = {"requestId": 20, "componentCriteria": ["Problem"]}
    assert (await full.csms.call("GetReport", one))["status"] == "EmptyResultSet"


async def full_report(full: Full, number: int) -> list[Payload]:
    def parts() -> list[Payload]:
        return [p for p in full.csms.got("NotifyReport") if p["requestId"] == number]

    await full.csms.until(
        f"report {number}", lambda: parts() and not parts()[-1].get("tbc", False)
    )
    return parts()


async def configures(full: Full) -> None:
    assert await full.set("SampledDataCtrlr.TxUpdatedInterval", "2") == "Accepted"
    assert await full.get("SampledDataCtrlr.TxUpdatedInterval") == "2"
    assert await full.set("OCPPCommCtrlr.HeartbeatInterval", "-5") == "Rejected"
    assert await full.set("OCPPCommCtrlr.NoSuch", "1") == "UnknownVariable"
    assert await full.set("NoSuchCtrlr.Enabled", "1") == "UnknownComponent"
    assert await full.set("RetryBackOffWaitMinimum.x", "1") == "UnknownComponent"
    for name in ("RetryBackOffWaitMinimum", "RetryBackOffRandomRange"):
        assert await full.set(f"OCPPCommCtrlr.{name}", "1") == "Accepted"


async def charges(full: Full) -> str:
    """Plug in, card, TransactionEvent Started; power flows."""
    since = len(full.csms.calls)
    await full.plug_in()
    await connector_is(full, 1, "Occupied")
    await full.swipe()
    authorize = await full.said("Authorize", since)
    assert authorize["idToken"] == {"idToken": "04A2B3C4D5", "type": "ISO14443"}
    started = await full.event("Started", since)
    assert started["seqNo"] == 0
    assert started["evse"] == {"id": 1, "connectorId": 1}
    assert started["idToken"]["idToken"] == "04A2B3C4D5"
    assert contexts(started) == {"Transaction.Begin"}
    await full.phase_is("energy")
    await full.event("Updated", since, chargingState="Charging")
    await full.event("Updated", since, triggerReason="MeterValuePeriodic")
    transaction_id: str = started["transactionInfo"]["transactionId"]
    return transaction_id


def contexts(event: Payload) -> set[str]:
    return {
        sample["context"]
        for value in event.get("meterValue", ())
        for sample in value["sampledValue"]
    }


async def follows_profiles(full: Full, transaction_id: str) -> None:
    """A profile is followed, changed, listed, shown as a schedule, and cleared."""
    csms = full.csms
    for power_w in (-5000.0, -3000.0) if full.is_21 else (3000.0, 2000.0):
        answer = await full.profile(7, power_w, transaction_id)
        assert answer == {"status": "Accepted"}, answer
        await full.power_near(power_w)
    if not full.is_21:
        answer = await full.profile(8, -3000.0, transaction_id)
        assert answer["status"] == "Rejected"
        await full.power_near(2000.0)
    request: dict[str, Any] = {"evseId": 1, "duration": 600, "chargingRateUnit": "W"}
    composite = await csms.call("GetCompositeSchedule", request)
    assert composite["status"] == "Accepted"
    (period, *_) = composite["schedule"]["chargingSchedulePeriod"]
    key, value = ("setpoint", -3000.0) if full.is_21 else ("limit", 2000.0)
    assert period[key] == value
    request = {"requestId": 30, "evseId": 1, "chargingProfile": {}}
    assert await csms.call("GetChargingProfiles", request) == {"status": "Accepted"}
    await csms.until("profiles", lambda: csms.got("ReportChargingProfiles"))
    report = csms.got("ReportChargingProfiles")[-1]
    assert (report["requestId"], report["chargingProfile"][0]["id"]) == (30, 7)
    wanted: dict[str, Any] = {"chargingProfileId": 7}
    assert await csms.call("ClearChargingProfile", wanted) == {"status": "Accepted"}
    answer = await csms.call("ClearChargingProfile", wanted)
    assert answer["status"] == "Unknown"
    request["requestId"] = 31
    answer = await csms.call("GetChargingProfiles", request)
    assert answer["status"] == "NoProfiles"
    answer = await full.profile(7, 2000.0, "no such transaction")
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == (
        "Rejected",
        "TxNotFound",
    )


async def follows_updates(full: Full, transaction_id: str) -> None:
    """A Dynamic profile and its update (K28); 2.1 only."""
    dynamic = {"chargingProfileKind": "Dynamic", "stackLevel": 1}
    answer = await full.profile(9, -4000.0, transaction_id, **dynamic)
    assert answer == {"status": "Accepted"}
    await full.power_near(-4000.0)
    update = {"chargingProfileId": 9, "scheduleUpdate": {"setpoint": -6000.0}}
    assert await full.csms.call("UpdateDynamicSchedule", update) == {
        "status": "Accepted"
    }
    await full.power_near(-6000.0)
    update["chargingProfileId"] = 99
    answer = await full.csms.call("UpdateDynamicSchedule", update)
    assert answer["status"] == "Rejected"


async def speaks_when_asked(full: Full) -> None:
    """TriggerMessage, every type, while a transaction runs."""
    csms = full.csms
    for wanted, action in TRIGGERS.items():
        since = len(csms.calls)
        request: Payload = {"requestedMessage": wanted}
        if wanted in ("MeterValues", "TransactionEvent"):
            request["evse"] = {"id": 1}
        assert await csms.call("TriggerMessage", request) == {"status": "Accepted"}
        if wanted == "TransactionEvent":
            event = await full.event("Updated", since, triggerReason="Trigger")
            assert contexts(event) == {"Trigger"}
            assert event["transactionInfo"]["chargingState"] == "Charging"
        else:
            await full.said(action, since)
    since = len(csms.calls)
    request = {
        "requestedMessage": "StatusNotification",
        "evse": {"id": 1, "connectorId": 1},
    }
    assert await csms.call("TriggerMessage", request) == {"status": "Accepted"}
    await full.said("NotifyEvent" if full.is_21 else "StatusNotification", since)
    for wanted, status in REFUSED_TRIGGERS.items():
        answer = await csms.call("TriggerMessage", {"requestedMessage": wanted})
        assert answer["status"] == status, wanted
    answer = await csms.call(
        "TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 9}}
    )
    assert answer["status"] == "Rejected"


async def loses_the_link(full: Full, transaction_id: str) -> None:
    """Power goes on; what happened meanwhile comes after, marked offline, in order."""
    csms, since, links = full.csms, len(full.csms.calls), len(full.csms.links)
    await full.stand.rig.ask(verb="ws", up=False)
    before = full.events()[-1]["seqNo"]

    async def queued() -> bool:
        status = await full.stand.local.ask(verb="status")
        return not status["station"]["ocpp_connected"]

    await until("the daemon knows that it is offline", queued, 20.0)
    await full.stand.rig.ask(verb="ws", up=True)
    await csms.until("a new link", lambda: len(csms.links) > links)
    await full.event("Updated", since, triggerReason="MeterValuePeriodic")
    assert "BootNotification" not in [name for name, _ in csms.calls[since:]]
    numbers = [
        event["seqNo"]
        for event in full.events()
        if event["transactionInfo"]["transactionId"] == transaction_id
    ]
    assert numbers == list(range(len(numbers)))
    assert numbers[-1] > before


async def is_stopped(full: Full, transaction_id: str) -> None:
    csms, since = full.csms, len(full.csms.calls)
    at = {"evseId": 1, "connectorId": 1}
    answer = await csms.call("UnlockConnector", at)
    assert answer["status"] == "OngoingAuthorizedTransaction"
    answer = await csms.call("RequestStopTransaction", {"transactionId": "nobody's"})
    assert answer["status"] == "Rejected"
    answer = await csms.call(
        "RequestStopTransaction", {"transactionId": transaction_id}
    )
    assert answer == {"status": "Accepted"}
    ended = await full.event("Ended", since, transactionId=transaction_id)
    assert ended["triggerReason"] == "RemoteStop"
    assert ended["transactionInfo"]["stoppedReason"] == "Remote"
    assert {"Transaction.Begin", "Transaction.End"} <= contexts(ended)
    await full.phase_is("finished")
    assert await csms.call("UnlockConnector", at) == {"status": "Unlocked"}
    answer = await csms.call("UnlockConnector", {**at, "connectorId": 4})
    assert answer["status"] == "UnknownConnector"
    await full.plug_out()


async def changes_availability(full: Full) -> None:
    csms = full.csms
    for wanted, seen in (("Inoperative", "Unavailable"), ("Operative", "Available")):
        request = {"operationalStatus": wanted, "evse": {"id": 2}}
        assert await csms.call("ChangeAvailability", request) == {"status": "Accepted"}
        await connector_is(full, 2, seen)
    request = {"operationalStatus": "Inoperative", "evse": {"id": 7}}
    assert (await csms.call("ChangeAvailability", request))["status"] == "Rejected"


async def is_started_remotely(full: Full) -> None:
    """Remote start before the plug; then Reset OnIdle waits for the transaction."""
    csms, since = full.csms, len(full.csms.calls)
    start = {"evseId": 1, "remoteStartId": 77, "idToken": REMOTE}
    answer = await csms.call("RequestStartTransaction", start)
    assert answer == {"status": "Accepted"}
    await full.plug_in()
    started = await full.event("Started", since)
    assert started["transactionInfo"]["remoteStartId"] == 77
    assert started["idToken"] == REMOTE
    answer = await csms.call("RequestStartTransaction", start)
    assert answer["status"] == "Rejected"
    await full.phase_is("energy")
    answer = await csms.call("Reset", {"type": "OnIdle"})
    assert answer == {"status": "Scheduled"}
    since = len(csms.calls)
    transaction_id = started["transactionInfo"]["transactionId"]
    await csms.call("RequestStopTransaction", {"transactionId": transaction_id})
    await full.event("Ended", since, transactionId=transaction_id)
    boot = await full.plug_out_through_reset(since)
    assert boot["reason"] == "ScheduledReset"


async def starts_over(full: Full) -> None:
    """Reset Immediate ends the transaction and starts the daemon in place."""
    csms = full.csms
    await full.phase_is("idle")
    since = len(csms.calls)
    await full.plug_in()
    await full.swipe()
    await full.event("Started", since)
    await full.phase_is("energy")
    since = len(csms.calls)
    assert await csms.call("Reset", {"type": "Immediate"}) == {"status": "Accepted"}
    ended = await full.event("Ended", since)
    assert ended["triggerReason"] == "ResetCommand"
    assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    boot = await full.plug_out_through_reset(since)
    assert boot["reason"] == "RemoteReset"
    assert await full.get("SampledDataCtrlr.TxUpdatedInterval") == "2"  # kept
    assert connector_states(full) == {(1, 1): "Available", (2, 1): "Available"}
