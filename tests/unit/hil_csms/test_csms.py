"""The small CSMS against a tiny client: RPC rules, judging, hooks, both versions."""

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hil.csms import CallFailed, Csms, CsmsError, Refusal
from tests.unit.hil_csms.station import BOOT, event, station

pytestmark = pytest.mark.asyncio
TOKEN = {"idToken": "DEADBEEF", "type": "ISO14443"}


def texts(csms) -> list[str]:
    return [broken.text for broken in csms.violations]


@pytest.mark.parametrize("version", ["ocpp2.1", "ocpp2.0.1"])
async def test_boot_heartbeat_and_a_call(version) -> None:
    async with await Csms.start() as csms, station(csms, versions=[version]) as cs:
        peer = await csms.wait_station(2.0, booted=True)
        assert (peer.identity, peer.version, peer.boot) == ("CS1", version, "Accepted")
        assert "currentTime" in (await cs.call("Heartbeat", {}))[2]
        answer = await peer.call("ClearCache", {})
        assert answer == {"status": "Accepted"}
        assert cs.asked == [("ClearCache", {})]
        assert [(m.direction, m.kind, m.action) for m in peer.messages] == [
            ("in", "call", "BootNotification"),
            ("out", "result", "BootNotification"),
            ("in", "call", "Heartbeat"),
            ("out", "result", "Heartbeat"),
            ("out", "call", "ClearCache"),
            ("in", "result", "ClearCache"),
        ]
        assert csms.violations == []


async def test_the_stations_order_of_versions_counts() -> None:
    async with (
        await Csms.start() as csms,
        station(csms, versions=["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]) as cs,
    ):
        assert cs.ws.subprotocol == "ocpp2.0.1"
    async with (
        await Csms.start(versions=["ocpp2.1"]) as csms,
        station(csms, versions=["ocpp2.0.1", "ocpp2.1"]) as cs,
    ):
        assert cs.ws.subprotocol == "ocpp2.1"
    with pytest.raises(CsmsError, match=r"ocpp1\.6"):
        await Csms.start(versions=["ocpp1.6"])


async def test_no_common_version_is_closed_at_once() -> None:
    async with await Csms.start() as csms:
        async with station(csms, versions=["ocpp1.6"], boot=False) as cs:
            assert cs.ws.subprotocol is None
            await cs.ws.wait_closed()
            with pytest.raises(ConnectionClosed):
                await cs.send("[]")
        assert csms.refused == ["CS1: no common subprotocol"]
        assert csms.peers == {}


@pytest.mark.parametrize("password", [None, "wrong", "öä"])
async def test_basic_auth_refuses(password) -> None:
    async with await Csms.start(password="secret-of-16-chars") as csms:
        with pytest.raises(InvalidStatus) as refusal:
            async with station(csms, password=password):
                pass
        assert refusal.value.response.status_code == 401
        assert len(csms.refused) == 1


async def test_basic_auth_accepts() -> None:
    async with (
        await Csms.start(password="secret:16-chars!") as csms,
        station(csms, password="secret:16-chars!"),
    ):
        assert (await csms.wait_station(2.0)).connected


@pytest.mark.parametrize(
    ("frame", "code", "text"),
    [
        ([2, "1", "Nonsense", {}], "NotImplemented", "no action of ocpp2.1"),
        ([2, "1", "Heartbeat", []], "FormatViolation", "wrong type"),
        ([2, "1", "Heartbeat", {"x": 1}], "FormatViolation", "x"),
        (
            [2, "1", "Authorize", {}],
            "OccurrenceConstraintViolation",
            "idToken",
        ),
        (
            [2, "1", "Authorize", {"idToken": 5}],
            "TypeConstraintViolation",
            "AuthorizeRequest.idToken",
        ),
        (
            [2, "1", "TransactionEvent", event(0, wh=(10**400, 2))],
            "PropertyConstraintViolation",
            "not a finite number",
        ),
        (
            '[2, "1", "TransactionEvent", '
            + json.dumps(event(0, wh=(1, 2))).replace('"value": 1', '"value": 1e400')
            + "]",
            "PropertyConstraintViolation",
            "not a finite number",
        ),
    ],
)
async def test_bad_calls_are_refused_and_noted(frame, code, text) -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        await cs.send(frame)
        reply = await cs.reply()
        assert reply[:3] == [4, "1", code]
        assert text in texts(csms)[0]
        assert "currentTime" in (await cs.call("Heartbeat", {}))[2]
        assert csms.peers["CS1"].events == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[[]]",
        "[9, 1]",
        '[2, "1", "Heartbeat"]',
        '[2, 1, "Heartbeat", {}]',
        f'[2, "{"x" * 37}", "Heartbeat", {{}}]',
        '[2, "1", "Heartbeat", {"a": NaN}]',
        "[" * 100_000,
        '[2, "1", "Heartbeat", {"a": ' + "[" * 400 + "]" * 400 + "}]",
        b"\x00\x01",
    ],
)
async def test_broken_frames_get_a_framework_error(text) -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        await cs.send(text)
        assert (await cs.reply())[:3] == [4, "-1", "RpcFrameworkError"]
        assert len(csms.violations) == 1
        assert "currentTime" in (await cs.call("Heartbeat", {}))[2]


@pytest.mark.parametrize("status", ["Pending", "Rejected", None])
async def test_nothing_but_boot_before_accepted(status) -> None:
    async with await Csms.start() as csms, station(csms, boot=False) as cs:
        if status:
            csms.boot_status, csms.boot_interval_s = status, 7
            answer = await cs.boot()
            assert (answer["status"], answer["interval"]) == (status, 7)
        assert (await cs.call("Heartbeat", {}))[2] == "SecurityError"
        assert "before Accepted" in texts(csms)[0]
        csms.boot_status = "Accepted"
        await cs.boot()
        assert (await cs.call("Heartbeat", {}))[0] == 3
        assert len(csms.violations) == 1


async def test_triggered_messages_may_come_while_pending() -> None:
    async with await Csms.start() as csms, station(csms, boot=False) as cs:
        csms.boot_status = "Pending"
        await cs.boot()
        peer = await csms.wait_station(2.0)
        await peer.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await peer.call(
            "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}
        )
        assert (await cs.call("Heartbeat", {}))[0] == 3
        report = {"requestId": 1, "generatedAt": "2026-11-23T08:00:00Z", "seqNo": 0}
        assert (await cs.call("NotifyReport", report))[0] == 3
        assert csms.violations == []


async def test_a_csms_that_knows_its_stations_needs_no_boot() -> None:
    async with await Csms.start() as csms, station(csms, boot=False) as cs:
        csms.accept_without_boot = True
        assert (await cs.call("Heartbeat", {}))[0] == 3
        assert csms.violations == []


async def test_tokens() -> None:
    async with await Csms.start() as csms, station(csms) as cs:

        async def status(token: str) -> str:
            asked = {"idToken": {**TOKEN, "idToken": token}}
            return (await cs.call("Authorize", asked))[2]["idTokenInfo"]["status"]

        csms.blocked = {"DEADBEEF"}
        assert await status("deadbeef") == "Blocked"
        assert await status("OTHER") == "Accepted"
        csms.known_tokens = {"Card1"}
        assert await status("OTHER") == "Unknown"
        assert await status("CARD1") == "Accepted"
        reply = await cs.call("TransactionEvent", event(0, "Started", idToken=TOKEN))
        assert reply[2] == {"idTokenInfo": {"status": "Blocked"}}
        csms.allowed_energy_transfer = ("DC_BPT",)
        asked = {"idToken": {**TOKEN, "idToken": "card1"}}
        answer = (await cs.call("Authorize", asked))[2]
        assert answer["allowedEnergyTransfer"] == ["DC_BPT"]
        assert csms.violations == []


async def test_overrides() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        csms.answer("Heartbeat", {"currentTime": "1970-01-01T00:00:00Z"})
        answer = (await cs.call("Heartbeat", {}))[2]
        assert answer == {"currentTime": "1970-01-01T00:00:00Z"}
        csms.answer("Heartbeat", Refusal("InternalError", "no"))
        assert (await cs.call("Heartbeat", {}))[2:4] == ["InternalError", "no"]
        csms.answer("Heartbeat", lambda peer, payload: {"currentTime": peer.identity})
        assert (await cs.call("Heartbeat", {}))[2] == {"currentTime": "CS1"}
        csms.answer("Heartbeat", None)
        assert (await cs.call("Heartbeat", {}))[2]["currentTime"].endswith("Z")
        csms.answer("Heartbeat", {"nonsense": 1})
        await cs.call("Heartbeat", {})
        assert {broken.direction for broken in csms.violations} == {"out"}


async def test_mute_and_slow() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        csms.mute = {"Heartbeat"}
        await cs.send([2, "lost", "Heartbeat", {}])
        assert (await cs.call("Authorize", {"idToken": TOKEN}))[0] == 3
        csms.mute = True
        await cs.send([2, "lost2", "Authorize", {"idToken": TOKEN}])
        peer = await csms.wait_station(2.0)
        await peer.expect("Authorize", since=len(peer.messages) - 1)
        csms.mute, csms.latency_s = False, 0.2
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert (await cs.call("Heartbeat", {}))[1] != "lost"
        assert loop.time() - before >= 0.2
        assert csms.violations == []


async def test_two_open_calls_of_the_station_are_a_violation() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        csms.latency_s = 0.1
        await cs.send([2, "a", "Heartbeat", {}])
        await cs.send([2, "b", "Heartbeat", {}])
        assert [(await cs.reply())[1] for _ in "ab"] == ["a", "b"]
        assert texts(csms) == ["a CALL while another one is open"]


async def test_our_calls_go_one_at_a_time() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        peer = await csms.wait_station(2.0)
        cs.answers["ClearCache"] = None
        first = asyncio.create_task(peer.call("ClearCache", {}, 0.2))
        second = asyncio.create_task(peer.call("GetLocalListVersion", {}, 2.0))
        cs.answers["GetLocalListVersion"] = {"versionNumber": 3}
        await asyncio.sleep(0.05)
        assert [action for action, _ in cs.asked] == ["ClearCache"]
        with pytest.raises(CallFailed) as failure:
            await first
        assert failure.value.code == "Timeout"
        assert await second == {"versionNumber": 3}


async def test_message_ids_must_be_new_unless_it_is_a_retry() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        await cs.call("TransactionEvent", event(0), "same")
        await cs.call("TransactionEvent", event(0), "same")
        assert csms.violations == []
        await cs.call("TransactionEvent", event(1), "same")
        assert texts(csms) == ["message id same used again"]


async def test_answers_of_the_station_are_judged() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        peer = await csms.wait_station(2.0)
        cs.answers["ClearCache"] = {"status": "Perhaps"}
        with pytest.raises(CallFailed, match="BadAnswer"):
            await peer.call("ClearCache", {})
        cs.answers["ClearCache"] = ("NotSupported", "no cache")
        with pytest.raises(CallFailed) as failure:
            await peer.call("ClearCache", {})
        assert (failure.value.code, failure.value.description) == (
            "NotSupported",
            "no cache",
        )
        await cs.send([3, "never-asked", {}])
        await cs.call("Heartbeat", {})
        assert len(csms.violations) == 2
        assert "never-asked" in texts(csms)[1]


async def test_our_own_mistakes_do_not_leave_unless_wanted() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        peer = await csms.wait_station(2.0)
        with pytest.raises(CsmsError, match="breaks the schema"):
            await peer.call("SetChargingProfile", {"evseId": 1})
        assert cs.asked == []
        await peer.call("SetChargingProfile", {"evseId": 1}, checked=False)
        assert cs.asked == [("SetChargingProfile", {"evseId": 1})]
        await peer.send_raw("[2, hostile")
        assert len(csms.violations) == 1


async def test_drop_and_reconnect_keep_the_peer() -> None:
    async with await Csms.start() as csms:
        async with station(csms) as cs:
            peer = await csms.wait_station(2.0)
            cs.answers["ClearCache"] = None
            call = asyncio.create_task(peer.call("ClearCache", {}))
            await asyncio.sleep(0.05)
            await peer.drop()
            assert not peer.connected
            with pytest.raises(CallFailed, match="NotConnected"):
                await call
            with pytest.raises(CallFailed, match="NotConnected"):
                await peer.call("ClearCache", {})
            await asyncio.wait_for(cs.ws.wait_closed(), 2.0)
            assert cs.ws.close_code == 1006
        async with station(csms, boot=False) as cs:
            assert await csms.wait_station(2.0, identity="CS1") is peer
            assert peer.connections == 2
            assert (await cs.call("Heartbeat", {}))[0] == 3
            await peer.drop(1001, "later")
            assert cs.ws.close_code == 1001
        assert csms.violations == []


async def test_a_second_connection_replaces_the_first() -> None:
    async with (
        await Csms.start() as csms,
        station(csms) as old,
        station(csms, boot=False) as new,
    ):
        await asyncio.wait_for(old.ws.wait_closed(), 2.0)
        assert (await new.call("Heartbeat", {}))[0] == 3
        assert csms.peers["CS1"].connected


async def test_expect() -> None:
    async with await Csms.start() as csms, station(csms) as cs:
        peer = await csms.wait_station(2.0)
        await cs.call("TransactionEvent", event(0, "Started"))
        later = asyncio.create_task(
            peer.expect("TransactionEvent", lambda p: p["seqNo"] == 1, 2.0)
        )
        mark = len(peer.messages)
        await asyncio.sleep(0)
        await cs.call("TransactionEvent", event(1))
        assert (await later).payload["seqNo"] == 1
        assert (await peer.expect("TransactionEvent")).payload["seqNo"] == 0
        news = await peer.expect("TransactionEvent", since=mark)
        assert news.payload["seqNo"] == 1
        with pytest.raises(CsmsError, match="no TransactionEvent that fits"):
            await peer.expect("TransactionEvent", lambda p: p["seqNo"] == 9, 0.05)
        assert [e["seqNo"] for e in peer.events] == [0, 1]


async def test_wait_station_says_why_nobody_came() -> None:
    async with await Csms.start(password="secret-of-16-chars") as csms:
        with pytest.raises(InvalidStatus):
            async with station(csms):
                pass
        with pytest.raises(CsmsError, match="wrong or missing credentials"):
            await csms.wait_station(0.05)


async def test_send_is_judged() -> None:
    stream = {
        "id": 1,
        "pending": 0,
        "basetime": "2026-11-23T08:00:00Z",
        "data": [{"t": 0, "v": "1"}],
    }
    async with await Csms.start() as csms:
        async with station(csms) as cs:
            await cs.send([6, "s1", "NotifyPeriodicEventStream", stream])
            peer = await csms.wait_station(2.0)
            assert (await peer.expect("NotifyPeriodicEventStream")).kind == "send"
            assert csms.violations == []
        async with station(csms, identity="CS2", versions=["ocpp2.0.1"]) as cs:
            await cs.send([6, "s1", "NotifyPeriodicEventStream", stream])
            await cs.call("Heartbeat", {})
            assert "SEND exists in 2.1 only" in texts(csms)


async def test_a_path_without_identity_is_refused() -> None:
    async with await Csms.start() as csms:
        with pytest.raises(InvalidStatus) as refusal:
            async with station(csms, identity=""):
                pass
        assert refusal.value.response.status_code == 404


async def test_boot_payload_is_judged_too() -> None:
    async with await Csms.start() as csms, station(csms, boot=False) as cs:
        reply = await cs.call("BootNotification", {**BOOT, "reason": "Because"})
        assert reply[0] == 4
        assert csms.peers["CS1"].boot == ""


@pytest.mark.parametrize("version", ["ocpp2.1", "ocpp2.0.1"])
async def test_contracts_and_certificates_of_vehicles(version) -> None:
    """C07, M01: what the CSMS thinks of a chain, and who makes certificates."""
    row = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "ab",
        "issuerKeyHash": "cd",
        "serialNumber": "01",
        "responderURL": "http://ocsp.example/",
    }
    contract = {
        "idToken": {"idToken": "DE8AACA2B3C4D5", "type": "eMAID"},
        "iso15118CertificateHashData": [row],
    }
    request = {
        "iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef",
        "action": "Install",
        "exiRequest": "gJg=",
    }
    async with await Csms.start() as csms, station(csms, versions=[version]) as cs:
        answer = (await cs.call("Authorize", contract))[2]
        assert answer["certificateStatus"] == "Accepted"
        csms.certificate_status = "CertificateRevoked"
        answer = (await cs.call("Authorize", contract))[2]
        assert answer["certificateStatus"] == "CertificateRevoked"
        plain = (await cs.call("Authorize", {"idToken": TOKEN}))[2]
        assert "certificateStatus" not in plain
        answer = (await cs.call("Get15118EVCertificate", request))[2]
        assert answer == {"status": "Failed", "exiResponse": ""}
        csms.ev_certificates = lambda exi: exi + b"!"
        answer = (await cs.call("Get15118EVCertificate", request))[2]
        assert answer == {"status": "Accepted", "exiResponse": "gJgh"}
        assert csms.violations == []
