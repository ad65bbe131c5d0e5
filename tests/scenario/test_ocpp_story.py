"""The central system's side with real processes: boot, bad links, offline, kill -9.

Two stands, many steps each: a start of a daemon and a CHAdeMO start are slow.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hil.csms import CallFailed, Csms, Message, Peer
from hil.csms.dispatch import (
    charging_only,
    clear_profiles,
    composite,
    dynamic_setpoint,
    get_variables,
    profile,
    remote_start,
    set_profile,
    set_setpoint,
    set_variables,
    transaction_of,
)
from hil.stand import Stand
from tests.process import PASSWORD, TOKEN, Plant, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]

PRESETS = {
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": "1",
    "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
    "SampledDataCtrlr.TxUpdatedInterval": "1",
    "TxCtrlr.EVConnectionTimeOut": "2",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
}
REQUIRED = [  # part 2, section 2 and appendix: what every 2.1 station here must have
    "AlignedDataCtrlr.Interval", "AlignedDataCtrlr.Measurands",
    "AlignedDataCtrlr.TxEndedInterval", "AlignedDataCtrlr.TxEndedMeasurands",
    "AuthCtrlr.AuthorizeRemoteStart", "AuthCtrlr.LocalAuthorizeOffline",
    "AuthCtrlr.LocalPreAuthorize", "ClockCtrlr.DateTime", "ClockCtrlr.TimeSource",
    "DeviceDataCtrlr.BytesPerMessage[GetReport]",
    "DeviceDataCtrlr.BytesPerMessage[GetVariables]",
    "DeviceDataCtrlr.BytesPerMessage[SetVariables]",
    "DeviceDataCtrlr.ItemsPerMessage[GetReport]",
    "DeviceDataCtrlr.ItemsPerMessage[GetVariables]",
    "DeviceDataCtrlr.ItemsPerMessage[SetVariables]",
    "OCPPCommCtrlr.FileTransferProtocols",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
    "OCPPCommCtrlr.MessageTimeout[Default]",
    "OCPPCommCtrlr.NetworkConfigurationPriority",
    "OCPPCommCtrlr.NetworkProfileConnectionAttempts", "OCPPCommCtrlr.OfflineThreshold",
    "OCPPCommCtrlr.ResetRetries", "OCPPCommCtrlr.RetryBackOffRandomRange",
    "OCPPCommCtrlr.RetryBackOffRepeatTimes", "OCPPCommCtrlr.RetryBackOffWaitMinimum",
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect", "OCPPCommCtrlr.WebSocketPingInterval",
    "SampledDataCtrlr.TxEndedInterval", "SampledDataCtrlr.TxEndedMeasurands",
    "SampledDataCtrlr.TxStartedMeasurands", "SampledDataCtrlr.TxUpdatedInterval",
    "SampledDataCtrlr.TxUpdatedMeasurands", "SecurityCtrlr.CertificateEntries",
    "SecurityCtrlr.OrganizationName", "SecurityCtrlr.SecurityProfile",
    "SmartChargingCtrlr.Entries[ChargingProfiles]",
    "SmartChargingCtrlr.LimitChangeSignificance",
    "SmartChargingCtrlr.PeriodsPerSchedule", "SmartChargingCtrlr.ProfileStackLevel",
    "SmartChargingCtrlr.RateUnit", "TxCtrlr.EVConnectionTimeOut",
    "TxCtrlr.StopTxOnEVSideDisconnect", "TxCtrlr.StopTxOnInvalidId",
    "TxCtrlr.TxStartPoint", "TxCtrlr.TxStopPoint",
]  # fmt: skip


@asynccontextmanager
async def parts(
    folder: Path, boot_status: str = "Accepted", **environment: str
) -> AsyncIterator[Plant]:
    """Rig, CSMS and daemon, connected; the boot may still be open."""
    stand = Stand(folder)
    csms = await Csms.start("127.0.0.1", stand.csms_port, password=PASSWORD)
    csms.boot_status, csms.boot_interval_s = boot_status, 1
    presets = {f"CHARGERD__OCPP__DEVICE_MODEL__{k}": v for k, v in PRESETS.items()}
    try:
        await stand.start_rig()
        await stand.start_daemon(**presets, **environment)
        yield Plant(stand, csms, await csms.wait_station(15))
        assert csms.violations == []
    finally:
        await stand.stop()
        await csms.stop()


def said(peer: Peer, since: int = 0) -> list[Message]:
    """What the station asked or told."""
    return [
        m for m in peer.messages[since:] if m.direction == "in" and m.asks(m.action)
    ]


def states(messages: list[Message]) -> dict[int, str]:
    """EVSE -> the newest AvailabilityState told."""
    found = {}
    for message in messages:
        for event in message.payload.get("eventData", ()):
            if event["variable"]["name"] == "AvailabilityState":
                found[event["component"]["evse"]["id"]] = event["actualValue"]
    return found


async def link(plant: Plant, up: bool) -> None:
    """Cut or restore the link and wait until both sides know."""
    await plant.stand.rig.ask(verb="ws", up=up)
    await plant.peer.wait_connected(up)

    async def known() -> bool:
        status = await plant.stand.local.ask(verb="status")
        return bool(status["station"]["ocpp_connected"] is up)

    await until(f"the daemon knows: link up={up}", known, 15.0)


async def phase(plant: Plant, *wanted: str, limit_s: float = 15.0) -> None:
    async def there() -> bool:
        return (await plant.status())["phase"] in wanted

    await until(f"phase {wanted}", there, limit_s)


async def power(plant: Plant, low_w: float, high_w: float) -> None:
    async def inside() -> bool:
        return low_w <= await plant.power_w() <= high_w

    await until(f"{low_w} to {high_w} W at the terminals", inside, 10.0)


@pytest.mark.asyncio
async def test_boot_and_bad_partners(tmp_path: Path) -> None:
    rejected = {"boot_status": "Rejected", "CHARGERD__OCPP__MESSAGE_TIMEOUT_S": "2"}
    async with parts(tmp_path, **rejected) as plant:
        await boots_when_accepted(plant)
        await shows_its_variables(plant)
        await refuses_a_blocked_card(plant)
        await starts_remotely_and_gives_up(plant)
        await leaves_a_mute_csms(plant)
        await survives_a_wrong_password(plant)
        await stays_unavailable_over_a_restart(plant)


async def boots_when_accepted(plant: Plant) -> None:
    """B01 to B03: nothing but BootNotification, at the interval; then everything."""
    csms, peer = plant.csms, plant.peer
    await plant.stand.rig.ask(verb="plug_in", connector=1, ev="chademo", soc=60.0)

    async def booted_twice() -> bool:
        return len(said(peer)) >= 2

    await until("a second BootNotification", booted_twice)
    boots = said(peer)
    assert boots[-1].t_mono - boots[-2].t_mono >= 0.9
    assert boots[0].payload == {
        "reason": "PowerUp",
        "chargingStation": {
            "model": "virtual-bench",
            "vendorName": "chargerd",
            "serialNumber": "VB-0001",
            "firmwareVersion": boots[0].payload["chargingStation"]["firmwareVersion"],
        },
    }
    csms.boot_status, csms.boot_interval_s = "Pending", 60
    await until("Pending told", lambda: answered(peer, "Pending"))
    interval = "OCPPCommCtrlr.HeartbeatInterval"
    assert await get_variables(peer, interval) == {interval: "300"}
    assert (await remote_start(peer, 1))["status"] == "Rejected"  # B02.FR.05
    csms.boot_status, csms.boot_interval_s = "Accepted", 120
    assert {m.action for m in said(peer)} == {"BootNotification"}
    mark = len(peer.messages)
    wanted = {"requestedMessage": "BootNotification"}
    assert (await peer.call("TriggerMessage", wanted))["status"] == "Accepted"
    boot = await peer.expect("BootNotification", since=mark)
    assert boot.payload["reason"] == "Triggered"
    await until("all states told", lambda: told(peer, mark, {1: "Occupied"}))
    await peer.expect(
        "SecurityEventNotification",
        lambda p: p["type"] in ("StartupOfTheDevice", "ResetOrReboot"),
        since=mark,
    )
    assert await get_variables(peer, interval) == {interval: "120"}


async def answered(peer: Peer, boot: str) -> bool:
    return peer.boot == boot


async def told(peer: Peer, since: int, wanted: dict[int, str]) -> bool:
    return wanted.items() <= states(peer.messages[since:]).items()


async def shows_its_variables(plant: Plant) -> None:
    values = await get_variables(plant.peer, *REQUIRED)
    assert {name for name, value in values.items() if value is None} == set()
    assert PRESETS.items() <= {**values, **await rest(plant.peer)}.items()


async def rest(peer: Peer) -> dict[str, str | None]:
    return await get_variables(peer, "AuthCtrlr.OfflineTxForUnknownIdEnabled")


async def refuses_a_blocked_card(plant: Plant) -> None:
    plant.csms.blocked = {TOKEN}
    mark = len(plant.peer.messages)
    await plant.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])
    asked = await plant.peer.expect("Authorize", since=mark)
    assert asked.payload["idToken"] == {"idToken": TOKEN, "type": "ISO14443"}
    await get_variables(plant.peer, *REQUIRED[:1])  # a round trip later
    await phase(plant, "connected")
    assert plant.peer.events == []
    plant.csms.blocked = set()
    await plant.stand.rig.ask(verb="plug_out", connector=1)
    await phase(plant, "idle")


async def starts_remotely_and_gives_up(plant: Plant) -> None:
    """F02, E03.FR.05: nobody plugs in within EVConnectionTimeOut."""
    peer = plant.peer
    new = {"TxCtrlr.TxStartPoint": "Authorized"}
    assert await set_variables(peer, new) == {"TxCtrlr.TxStartPoint": "Accepted"}
    mark, at = len(peer.messages), time.monotonic()
    assert (await remote_start(peer, 1, remote_start_id=5))["status"] == "Accepted"
    ended = await peer.expect(
        "TransactionEvent", lambda p: p["eventType"] == "Ended", since=mark
    )
    assert ended.t_mono - at >= 1.9
    started = peer.events[0]
    assert started["eventType"] == "Started"
    assert started["triggerReason"] == "RemoteStart"
    assert started["transactionInfo"]["remoteStartId"] == 5
    assert started["transactionInfo"]["chargingState"] == "Idle"
    assert ended.payload["triggerReason"] == "EVConnectTimeout"
    assert ended.payload["transactionInfo"]["stoppedReason"] == "Timeout"


async def leaves_a_mute_csms(plant: Plant) -> None:
    """Connected, pings answered, but no word: the station dials again."""
    peer, links = plant.peer, plant.peer.connections
    plant.csms.mute = True
    await plant.stand.rig.ask(verb="plug_in", connector=2, ev="chademo")

    async def dialled() -> bool:
        return peer.connections > links

    await until("a new connection", dialled, 10.0)
    plant.csms.mute = False
    mark = len(peer.messages)
    await plant.stand.rig.ask(verb="plug_out", connector=2)
    await peer.expect("NotifyEvent", since=mark)


async def survives_a_wrong_password(plant: Plant) -> None:
    csms, peer = plant.csms, plant.peer
    csms.password = "another-password-0002"
    turned_away = len(csms.refused)
    await peer.drop()

    async def tried_twice() -> bool:
        return len(csms.refused) >= turned_away + 2

    await until("two attempts", tried_twice, 10.0)
    csms.password = PASSWORD
    mark = len(peer.messages)
    await peer.wait_connected(timeout=15)
    log = (plant.stand.folder / "security.log").read_text()
    assert log.count("FailedToAuthenticateAtCsms") == 1  # not critical: not sent
    assert "BootNotification" not in [m.action for m in said(peer, mark)]  # B04


async def stays_unavailable_over_a_restart(plant: Plant) -> None:
    peer = plant.peer
    request = {"operationalStatus": "Inoperative", "evse": {"id": 2}}
    mark = len(peer.messages)
    assert (await peer.call("ChangeAvailability", request))["status"] == "Accepted"
    await until("told", lambda: told(peer, mark, {2: "Unavailable"}))
    await plant.stand.end("daemon")
    mark = len(peer.messages)
    await plant.stand.start_daemon()
    boot = await peer.expect("BootNotification", timeout=15, since=mark)
    assert boot.payload["reason"] == "LocalReset"
    await until("told", lambda: told(peer, mark, {1: "Available", 2: "Unavailable"}))


def same_when_repeated(peer: Peer, transaction_id: str) -> None:
    """An event whose answer was cut off comes again: the same event, not a new one."""
    known: dict[int, tuple[str, str]] = {}
    for event in peer.events:
        if event["transactionInfo"]["transactionId"] == transaction_id:
            what = event["timestamp"], event["eventType"]
            assert known.setdefault(event["seqNo"], what) == what


@pytest.mark.asyncio
async def test_offline_dispatch_and_a_crash(tmp_path: Path) -> None:
    async with parts(tmp_path) as plant:
        await charges_and_ends_offline(plant)
        await follows_a_dead_man(plant)
        await holds_back_when_offline_too_long(plant)
        await speaks_2_0_1(plant)
        await loses_nothing_to_a_crash(plant)


async def charges_and_ends_offline(plant: Plant) -> None:
    """E12: start and end without the link; later all of it, in order, once."""
    peer = plant.peer
    await until("accepted", lambda: answered(peer, "Accepted"))
    purpose = "TxDefaultProfile"
    answer = await charging_only(peer, 1, 2000.0, purpose=purpose, stack_level=0)
    assert answer == {"status": "Accepted"}
    await link(plant, up=False)
    await plant.start_session()
    await power(plant, 1700.0, 2200.0)  # the profile holds offline, too
    await plant.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])
    await phase(plant, "finished")
    assert peer.events == []
    await link(plant, up=True)
    await peer.expect("TransactionEvent", lambda p: p["eventType"] == "Ended")
    (transaction,) = peer.ledger.transactions.values()
    assert transaction.complete
    assert transaction.in_order
    assert transaction.duplicates == []
    assert transaction.seq_nos == list(range(len(transaction.seq_nos)))
    assert transaction.offline_events == len(transaction.seq_nos)
    assert transaction.import_wh > 0.0
    assert transaction.stopped_reason == "Local"
    await clear_profiles(peer, evse_id=1, purpose=purpose)
    await plant.stand.rig.ask(verb="plug_out", connector=1)
    await phase(plant, "idle")


async def follows_a_dead_man(plant: Plant) -> None:
    """K28: a Dynamic setpoint that nobody renews lets go by itself."""
    peer = plant.peer
    mark = len(peer.messages)
    await plant.start_session()
    await peer.expect(
        "TransactionEvent", lambda p: p["eventType"] == "Started", since=mark
    )
    answer = await dynamic_setpoint(peer, 1, -5000.0, seconds=5)
    assert answer == {"status": "Accepted"}
    await power(plant, -5300.0, -4700.0)
    await power(plant, 0.0, 11_000.0)
    await clear_profiles(peer, evse_id=1)


async def holds_back_when_offline_too_long(plant: Plant) -> None:
    """K01.FR.101: maxOfflineDuration; then [ocpp] offline_limit_w, here 0 W."""
    peer = plant.peer
    answer = await set_setpoint(peer, 1, -4000.0, 600, maxOfflineDuration=2)
    assert answer == {"status": "Accepted"}
    await power(plant, -4300.0, -3700.0)
    await link(plant, up=False)
    await power(plant, -100.0, 300.0)
    await link(plant, up=True)
    await power(plant, -4300.0, -3700.0)


async def speaks_2_0_1(plant: Plant) -> None:
    """The same transaction goes on over a link of the older version."""
    peer = plant.peer
    plant.csms.versions = ("ocpp2.0.1",)
    await peer.drop()
    await peer.wait_connected(timeout=15)
    assert peer.version == "ocpp2.0.1"
    answer = await charging_only(peer, 1, -3000.0)
    assert answer["status"] == "Rejected"
    with pytest.raises(CallFailed, match=r"NotSupported|NotImplemented"):
        await peer.call("UpdateDynamicSchedule", {}, checked=False)
    await peer.expect("TransactionEvent", since=len(peer.messages))
    plant.csms.versions = ("ocpp2.1",)
    await peer.drop()
    await peer.wait_connected(timeout=15)


async def loses_nothing_to_a_crash(plant: Plant) -> None:
    """kill -9 with events on disk only: nothing lost, doubled or renumbered."""
    peer, stand = plant.peer, plant.stand
    made = profile(
        77,
        {"startSchedule": "2026-01-01T00:00:00Z",
         "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 4000.0}]},
        purpose="TxDefaultProfile",
        stack_level=3,
    )  # fmt: skip
    assert (await set_profile(peer, 2, made))["status"] == "Accepted"
    transaction_id = transaction_of(peer, 1)
    await link(plant, up=False)
    await asyncio.sleep(2.5)  # two samples are queued
    stand.kill("daemon", signal.SIGKILL)
    await stand.end("daemon")
    presets = {f"CHARGERD__OCPP__DEVICE_MODEL__{k}": v for k, v in PRESETS.items()}
    await stand.start_daemon(**presets)
    await asyncio.sleep(1.0)  # it closes what the crash cut off while it is offline
    mark = len(peer.messages)
    await stand.rig.ask(verb="ws", up=True)
    ended = await peer.expect(
        "TransactionEvent", lambda p: p["eventType"] == "Ended", 20.0, since=mark
    )
    assert said(peer, mark)[0].action == "BootNotification"
    assert ended.payload["offline"]
    assert ended.payload["transactionInfo"]["transactionId"] == transaction_id
    assert ended.payload["transactionInfo"]["stoppedReason"] == "Reboot"
    transaction = peer.ledger.transactions[transaction_id]
    assert transaction.complete
    assert transaction.in_order
    same_when_repeated(peer, transaction_id)
    assert transaction.offline_events >= 3
    schedule = (await composite(peer, 2, 60))["schedule"]
    assert schedule["chargingSchedulePeriod"][0]["limit"] == 4000.0
    await phase(plant, "connected", "finished")
    assert abs(await plant.power_w()) < 120.0
