"""Dispatch helpers, default answers and the command line of the small CSMS."""

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime

import pytest

from hil.csms import CallFailed, Csms, CsmsError, Message, Refusal
from hil.csms import dispatch as to
from hil.csms.__main__ import COMMANDS, arguments, main, obey
from hil.csms.answers import default_answer
from hil.csms.gist import gist, json_line, line
from hil.csms.judge import actions, check
from hil.csms.link import Peer
from tests.unit.hil_csms.station import BOOT, event, station

ACCEPTED = {"status": "Accepted"}
STARTED = event(0, "Started", "T7", evse={"id": 1})


@pytest.mark.asyncio
async def test_a_port_that_is_taken_is_said_in_a_line() -> None:
    async with await Csms.start() as csms:
        with pytest.raises(SystemExit, match="--port"):
            await main(arguments(["--port", str(csms.port)]))


@pytest.mark.asyncio
async def test_setpoint_is_a_tx_profile_with_the_exact_names() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        peer = await csms.wait_station(2.0)
        with pytest.raises(CsmsError, match="no running transaction"):
            await to.set_setpoint(peer, 1, -7000.0, 600)
        await cs.call("TransactionEvent", STARTED)
        answer = await to.set_setpoint(
            peer, 1, -7000.0, 600, limit_w=3000.0, discharge_limit_w=-8000.0
        )
        assert answer == ACCEPTED
        action, payload = cs.asked[-1]
        assert (action, payload["evseId"]) == ("SetChargingProfile", 1)
        profile = payload["chargingProfile"]
        assert profile["chargingProfilePurpose"] == "TxProfile"
        assert profile["transactionId"] == "T7"
        schedule = profile["chargingSchedule"][0]
        assert (schedule["duration"], schedule["chargingRateUnit"]) == (600, "W")
        assert schedule["startSchedule"].endswith("Z")
        assert schedule["chargingSchedulePeriod"] == [
            {
                "startPeriod": 0,
                "operationMode": "CentralSetpoint",
                "setpoint": -7000.0,
                "limit": 3000.0,
                "dischargeLimit": -8000.0,
            }
        ]
        await to.set_setpoint(peer, 1, 5000.0, 90.4, maxOfflineDuration=30)
        profile = cs.asked[-1][1]["chargingProfile"]
        assert profile["maxOfflineDuration"] == 30
        assert profile["chargingSchedule"][0]["duration"] == 90
        period = profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        assert set(period) == {"startPeriod", "operationMode", "setpoint"}
        assert csms.violations == []


@pytest.mark.asyncio
async def test_dynamic_setpoint_then_updates_and_pulls() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        peer = await csms.wait_station(2.0)
        await cs.call("TransactionEvent", STARTED)
        await to.dynamic_setpoint(peer, 1, -1000.0, seconds=60, pull_s=5)
        profile = cs.asked[-1][1]["chargingProfile"]
        assert profile["chargingProfileKind"] == "Dynamic"
        assert profile["dynUpdateInterval"] == 5
        assert "startSchedule" not in profile["chargingSchedule"][0]
        assert profile["chargingSchedule"][0]["duration"] == 60
        await to.dynamic_setpoint(peer, 1, -2500.0)
        assert cs.asked[-1] == (
            "UpdateDynamicSchedule",
            {"chargingProfileId": profile["id"], "scheduleUpdate": {"setpoint": -2500}},
        )
        asked = {"chargingProfileId": profile["id"]}
        pulled = (await cs.call("PullDynamicScheduleUpdate", asked))[2]
        assert pulled == {**ACCEPTED, "scheduleUpdate": {"setpoint": -2500.0}}
        asked = {"chargingProfileId": 999}
        assert (await cs.call("PullDynamicScheduleUpdate", asked))[2]["status"] == (
            "Rejected"
        )
        await cs.call("TransactionEvent", event(1, "Ended", "T7"))
        await cs.call("TransactionEvent", {**STARTED, **event(0, "Started", "T8")})
        await cs.call("TransactionEvent", event(1, transaction="T8", evse={"id": 1}))
        await to.dynamic_setpoint(peer, 1, 0.0)
        assert cs.asked[-1][0] == "SetChargingProfile"
        cs.answers["SetChargingProfile"] = {"status": "Rejected"}
        await to.clear_profiles(peer)
        assert (await to.dynamic_setpoint(peer, 1, 0.0))["status"] == "Rejected"
        assert peer.dynamic == {}
        assert csms.violations == []


@pytest.mark.asyncio
async def test_charging_only_in_both_versions() -> None:
    async with await Csms.start() as csms:
        async with station(csms) as cs:
            peer = await csms.wait_station(2.0)
            purpose = "ChargingStationMaxProfile"
            await to.charging_only(peer, 0, 11_000.0, purpose=purpose)
            profile = cs.asked[-1][1]["chargingProfile"]
            assert profile["chargingProfilePurpose"] == purpose
            assert "transactionId" not in profile
            period = profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]
            assert period == {
                "startPeriod": 0,
                "operationMode": "ChargingOnly",
                "limit": 11_000.0,
            }
        async with station(csms, identity="OLD", versions=["ocpp2.0.1"]) as cs:
            peer = await csms.wait_station(2.0, identity="OLD")
            await cs.call("TransactionEvent", STARTED)
            await to.charging_only(peer, 1, 3000.0, 60)
            profile = cs.asked[-1][1]["chargingProfile"]
            period = profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]
            assert period == {"startPeriod": 0, "limit": 3000.0}
            for refused in (to.set_setpoint, to.dynamic_setpoint):
                with pytest.raises(CsmsError, match=r"needs ocpp2\.1"):
                    await refused(peer, 1, 1.0)
        assert csms.violations == []


@pytest.mark.asyncio
async def test_questions_and_remote_control() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        peer = await csms.wait_station(2.0)
        variable = to._variable("V2XChargingCtrlr.Enabled", 1)
        result = {**variable, "attributeStatus": "Accepted", "attributeValue": "true"}
        unknown = {**to._variable("X.Y[z]", 1), "attributeStatus": "UnknownComponent"}
        assert unknown["variable"] == {"name": "Y", "instance": "z"}
        cs.answers["GetVariables"] = {"getVariableResult": [result, unknown]}
        values = await to.get_variables(
            peer, "V2XChargingCtrlr.Enabled", "X.Y[z]", evse_id=1
        )
        assert values == {"V2XChargingCtrlr.Enabled": "true", "X.Y[z]": None}
        with pytest.raises(CsmsError, match="asked for 1"):
            await to.get_variables(peer, "A.B")
        with pytest.raises(CsmsError, match="Component"):
            await to.get_variables(peer, "nonsense")
        done = {**to._variable("A.B", None), "attributeStatus": "RebootRequired"}
        cs.answers["SetVariables"] = {"setVariableResult": [done]}
        assert await to.set_variables(peer, {"A.B": "1"}) == {"A.B": "RebootRequired"}
        cs.answers["GetCompositeSchedule"] = {"status": "Rejected"}
        assert await to.composite(peer, 1, 60) == {"status": "Rejected"}
        await to.remote_start(peer, 1, remote_start_id=9)
        assert cs.asked[-1][1]["idToken"] == {"idToken": "REMOTE", "type": "Central"}
        await to.remote_stop(peer, "T7")
        assert cs.asked[-1] == ("RequestStopTransaction", {"transactionId": "T7"})
        await to.clear_profiles(peer, 101)
        assert cs.asked[-1][1] == {"chargingProfileId": 101}
        await to.clear_profiles(peer, evse_id=1, purpose="TxProfile")
        assert cs.asked[-1][1] == {
            "chargingProfileCriteria": {
                "evseId": 1,
                "chargingProfilePurpose": "TxProfile",
            }
        }
        assert csms.violations == []


@pytest.mark.parametrize("version", ["ocpp2.1", "ocpp2.0.1"])
def test_default_answers_are_valid(version) -> None:
    peer = Peer(Csms([version], None), "CS1")
    peer.version = version
    payload = {"idToken": {"idToken": "A", "type": "ISO14443"}, "chargingProfileId": 1}
    refused = set()
    for action in actions(version):
        answer = default_answer(peer, action, payload, datetime.now(UTC))
        if isinstance(answer, Refusal):
            refused.add(action)
        else:
            assert check(version, action, answer, answer=True) == [], action
    assert {"SetVariables", "Reset", "SetChargingProfile"} <= refused
    assert not refused & {"TransactionEvent", "NotifyEvent", "BootNotification"}


@pytest.mark.parametrize(
    ("action", "payload", "text"),
    [
        ("TransactionEvent", STARTED, "Started 0: MeterValuePeriodic"),
        (
            "TransactionEvent",
            event(3, wh=(1500.0, 2.0), offline=True),
            "Updated 3: MeterValuePeriodic, offline, "
            "Energy.Import 1500 Wh Energy.Export 2000 Wh",
        ),
        ("Authorize", {"idToken": {"idToken": "A", "type": "B"}}, "A (B)"),
        ("Authorize", {"idToken": 5}, '{"idToken": 5}'),
        (
            "UpdateDynamicSchedule",
            {"chargingProfileId": 3, "scheduleUpdate": {"setpoint": -5}},
            "profile 3: setpoint -5",
        ),
        (
            "StatusNotification",
            {"evseId": 1, "connectorId": 1, "connectorStatus": "Occupied"},
            "EVSE 1 connector 1: Occupied",
        ),
        ("Heartbeat", {}, ""),
    ],
)
def test_gists(action, payload, text) -> None:
    assert gist(Message("in", action, payload, 0.0)) == text


def test_lines() -> None:
    at = datetime(2026, 11, 23, 8, 0, 0, 5000, UTC)
    message = Message("out", "Heartbeat", {"currentTime": "x"}, 0.0, "result")
    shown = line("CS1", message, at)
    assert shown == '08:00:00.005 CS1 -> Heartbeat =  {"currentTime": "x"}'
    fields = json.loads(json_line("CS1", message, at))
    assert fields["payload"] == {"currentTime": "x"}
    assert (fields["direction"], fields["kind"]) == ("out", "result")


@pytest.mark.asyncio
async def test_typed_commands() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        await cs.call("TransactionEvent", STARTED)
        good = [
            ({"call": "ClearCache"}, "ClearCache"),
            ({"setpoint": -7000, "seconds": 60}, "SetChargingProfile"),
            ({"dynamic": -5000, "evse": 1}, "SetChargingProfile"),
            ({"dynamic": -4000}, "UpdateDynamicSchedule"),
            ({"limit": 3000}, "SetChargingProfile"),
            ({"start": 1}, "RequestStartTransaction"),
            ({"stop": 1, "station": "CS1"}, "RequestStopTransaction"),
        ]
        for command, action in good:
            assert await obey(csms, json.dumps(command)) == ACCEPTED, command
            assert cs.asked[-1][0] == action
        bad = ["{", "[]", "{}", "5", '{"stop": 9}', '{"call": "Nonsense"}']
        bad += ['{"call": "ClearCache", "station": "X"}', '{"call": 5}']
        for text in bad:
            assert "error" in await obey(csms, text), text
        assert await obey(csms, '{"drop": 1}') == {"dropped": "CS1"}
        verbs = {next(v for v in COMMANDS if v in c) for c, _ in good}
        assert verbs | {"drop"} == set(COMMANDS)


def test_arguments() -> None:
    args = arguments(["--port", "0", "--version", "ocpp2.0.1", "--block", "A"])
    assert (args.port, args.version, args.block) == (0, ["ocpp2.0.1"], ["A"])


@pytest.mark.process
@pytest.mark.asyncio
async def test_the_program_prints_obeys_and_ends() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hil.csms", "--port", "0", "--password", "secret-of-16-chars"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin
    assert program.stdout
    try:
        async with asyncio.timeout(15):
            ready = (await program.stdout.readline()).decode()
            assert ready.startswith("csms ready ws://127.0.0.1:")

            class Address:
                port = int(ready.strip().rstrip("/").rsplit(":", 1)[1])

            async with station(Address, password="secret-of-16-chars"):
                shown = (await program.stdout.readline()).decode()
                assert "CS1 <- BootNotification" in shown
                await program.stdout.readline()
                program.stdin.write(b'{"call": "ClearCache"}\n')
                lines = [(await program.stdout.readline()).decode() for _ in "123"]
                assert "-> ClearCache" in lines[0]
                assert lines[2] == '= {"status": "Accepted"}\n'
            program.send_signal(signal.SIGTERM)
            assert await program.wait() == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


@pytest.mark.asyncio
async def test_a_lost_link_fails_the_helpers_too() -> None:
    async with await Csms.start() as csms:
        async with station(csms) as cs:
            peer = await csms.wait_station(2.0)
            assert cs.asked == []
        await peer.wait_connected(up=False, timeout=2.0)
        with pytest.raises(CallFailed, match="NotConnected"):
            await to.remote_stop(peer, "T7")
        assert BOOT["reason"] == peer.messages[0].payload["reason"]
