"""The OCPP shell against a CSMS on loopback: links, order, disk, hostile peers."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from chargerd.clock import Clock
from chargerd.model import (
    AuthQuestion,
    DispatchSignal,
    Priority,
    ResetRequest,
    Token,
)
from chargerd.ocpp.client import LARGE_BYTES
from chargerd.ocpp.effects import (
    Ask,
    CallError,
    Dispatch,
    Durability,
    Gate,
    Later,
    LearnTime,
    OcppError,
    Reply,
    Save,
    Send,
    SetGate,
)
from chargerd.ocpp.link import MAX_UNSENT, Session
from chargerd.ocpp.rpc import Rpc
from chargerd.ocpp.schemas import Schemas
from tests.unit.ocpp.fakes import (
    BEAT,
    FakeCsms,
    FakeEntry,
    FakeOutbox,
    FakeStation,
    make_bench,
    with_client,
)
from tests.unit.ocpp.station_rig import report

OPEN = SetGate(Gate.OPEN)
RESET = '[2,"a","Reset",{"type":"Immediate"}]'
ACCEPTED = {"status": "Accepted"}


def event(number: int) -> dict[str, Any]:
    return {
        "eventType": "Updated",
        "timestamp": "2026-11-23T08:00:00Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": {"transactionId": "t1"},
    }


def durable(number: int, handle: int = 0) -> Send:
    return Send("TransactionEvent", event(number), Durability.DURABLE, handle)


def beat(handle: int) -> Send:
    return Send("Heartbeat", {}, Durability.NOW_OR_NEVER, handle)


@pytest.mark.asyncio
async def test_boot_then_answers_then_effects() -> None:
    station = FakeStation(answers={"Reset": ACCEPTED})
    boot = Send(
        "BootNotification",
        {
            "reason": "PowerUp",
            "chargingStation": {"model": "M", "vendorName": "V"},
        },
        Durability.NOW_OR_NEVER,
        1,
        while_gated=True,
        first=True,
    )
    station.on_link = [SetGate(Gate.BOOT), boot]
    csms = FakeCsms()
    csms.answer = lambda frame: BEAT | {"interval": 300, "status": "Accepted"}
    async with csms.running():
        bench = make_bench(csms, station=station)
        await with_client(bench, lambda: _boot_and_reset(bench))


async def _boot_and_reset(bench: Any) -> None:
    await bench.station.until(lambda: bench.station.results)
    handle, action, answer = bench.station.results[0]
    assert (handle, action, answer["status"]) == (1, "BootNotification", "Accepted")
    signal = DispatchSignal("ocpp.tx", 1, Priority.SETPOINT, (), 0.0, 1.0)
    bench.station.effects = [
        Dispatch(signal),
        Ask(ResetRequest()),
        Save("device_model", "A.B", "1"),
    ]
    assert await bench.csms.ask(RESET) == [3, "a", ACCEPTED]
    assert bench.signals == [signal]
    assert bench.requests == [ResetRequest()]
    assert bench.saves == [Save("device_model", "A.B", "1")]


@pytest.mark.asyncio
async def test_errors_are_answered_and_the_link_lives() -> None:
    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms)

        async def body() -> None:
            await csms.until(lambda: csms.links)
            for text, code in [
                (RESET, "NotSupported"),
                ('[2,"a","Explode",{}]', "NotImplemented"),
                ('[2,"a","Reset",{"type":"' + "x" * 1_000_000 + '"}]', "RpcFramew"),
                ('[2,"a","Reset",' + "[" * 200_000, "RpcFrameworkError"),
                ("nonsense", "RpcFrameworkError"),
            ]:
                assert (await csms.ask(text))[2].startswith(code)
            assert len(csms.links) == 1

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_a_station_that_refuses_is_an_error_answer() -> None:
    class Refusing(FakeStation):
        def call(self, action: str, payload: Any, now: Any) -> Any:
            raise OcppError("no", "SecurityError")

    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms, station=Refusing())

        async def body() -> None:
            await csms.until(lambda: csms.links)
            assert (await csms.ask(RESET))[:4] == [4, "a", "SecurityError", "no"]

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_durable_messages_are_on_disk_first_and_go_after() -> None:
    csms = FakeCsms()
    csms.answer = lambda frame: {}
    async with csms.running():
        bench = make_bench(csms, station=FakeStation(on_link=[OPEN]))
        on_disk_at_arrival: list[bool] = []

        def answer(frame: list[Any]) -> Any:
            rows = bench.outbox.rows.values()
            frame[3].pop("offline", None)  # where it was made before the link
            on_disk_at_arrival.append(
                any(json.loads(row.body) == frame[3] for row in rows)
            )
            return {}

        csms.answer = answer

        async def body() -> None:
            bench.station.effects = [durable(n, handle=n + 1) for n in range(50)]
            await csms.until(lambda: csms.links)
            bench.client.ask(AuthQuestion(1, Token("x")))  # drains the effects
            await bench.station.until(lambda: len(bench.station.results) == 50)
            assert [f[3]["seqNo"] for f in csms.frames] == list(range(50))
            assert all(on_disk_at_arrival)
            assert await bench.client.flush(5.0)
            assert bench.outbox.rows == {}

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_what_an_earlier_run_left_is_sent_first_and_in_order() -> None:
    outbox = FakeOutbox()
    for number in range(1, 81):
        body = json.dumps(event(number)).encode()
        outbox.rows[number] = FakeEntry(number, "TransactionEvent", body)
    outbox.rows[40] = FakeEntry(40, "TransactionEvent", b"\x00 damaged")
    outbox.newest = 80
    csms = FakeCsms()
    csms.answer = lambda frame: {}
    async with csms.running():
        bench = make_bench(csms, outbox=outbox, station=FakeStation(on_link=[OPEN]))

        async def body() -> None:
            bench.station.effects = [durable(81)]
            bench.client.ask(AuthQuestion(1, Token("x")))
            await csms.until(lambda: len(csms.frames) == 80)
            await bench.station.until(lambda: len(bench.station.results) == 81)
            assert {r[0] for r in bench.station.results} == {0}  # handles do not last
            numbers_sent = [frame[3]["seqNo"] for frame in csms.frames]
            assert numbers_sent == [n for n in range(1, 82) if n != 40]

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_an_event_stored_under_2_1_leaves_on_a_2_0_1_link() -> None:
    outbox = FakeOutbox()
    new = event(1) | {"triggerReason": "OperationModeChanged"}
    new["transactionInfo"] = {"transactionId": "t1", "operationMode": "Idle"}
    outbox.rows[1] = FakeEntry(1, "TransactionEvent", json.dumps(new).encode())
    csms = FakeCsms(["ocpp2.0.1"])
    csms.answer = lambda frame: {}
    async with csms.running():
        bench = make_bench(csms, outbox=outbox, station=FakeStation(on_link=[OPEN]))

        async def body() -> None:
            await csms.until(lambda: csms.frames)
            assert csms.frames[0][3]["triggerReason"] == "ChargingRateChanged"
            assert csms.frames[0][3]["transactionInfo"] == {"transactionId": "t1"}

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_a_broken_disk_costs_durability_not_the_message() -> None:
    outbox = FakeOutbox()
    csms = FakeCsms()
    csms.answer = lambda frame: {}
    async with csms.running():
        bench = make_bench(csms, outbox=outbox, station=FakeStation(on_link=[OPEN]))

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            outbox.broken = True
            bench.station.effects = [durable(1, handle=9)]
            bench.client.ask(AuthQuestion(1, Token("x")))
            await bench.station.until(lambda: bench.station.results)
            assert bench.station.results == [(9, "TransactionEvent", {})]

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_reconnect_resends_what_was_in_flight_and_fails_what_may_die() -> None:
    csms = FakeCsms()
    csms.answer = lambda frame: None
    async with csms.running():
        bench = make_bench(csms, station=FakeStation(on_link=[OPEN]))

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            bench.station.effects = [durable(1), beat(handle=4)]
            bench.client.ask(AuthQuestion(1, Token("x")))
            await csms.until(lambda: csms.frames)
            first = csms.frames[0][2]
            csms.answer = lambda frame: {} if frame[2] == "TransactionEvent" else BEAT
            csms.links[0].transport.abort()
            await csms.until(
                lambda: (
                    "TransactionEvent" in csms.actions()[1:]
                    or (first == "TransactionEvent" and len(csms.frames) > 1)
                )
            )
            assert bench.station.links[:3] == [
                (True, "ocpp2.1"), (False, "ocpp2.1"), (True, "ocpp2.1"),
            ]  # fmt: skip
            handle, action, answer = bench.station.results[0]
            assert (handle, action) == (4, "Heartbeat")
            assert isinstance(answer, CallError)

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_a_mute_csms_is_left_and_burns_no_attempt() -> None:
    """S12: the socket stands, pongs come, but nobody answers."""
    csms = FakeCsms()
    csms.answer = lambda frame: None if len(csms.links) < 4 else {}
    async with csms.running():
        bench = make_bench(
            csms,
            station=FakeStation(on_link=[OPEN]),
            number={"MessageTimeout": 0.02, "MessageAttempts": 2},
        )

        async def body() -> None:
            bench.station.effects = [durable(1, handle=2)]
            bench.client.ask(AuthQuestion(1, Token("x")))
            await csms.until(lambda: len(csms.links) >= 3)
            assert bench.station.results == []  # still to be delivered
            assert len(bench.outbox.rows) == 1

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_offline_a_volatile_message_fails_at_once() -> None:
    csms = FakeCsms()
    bench = make_bench(csms, url="")

    async def body() -> None:
        bench.station.effects = [beat(handle=3)]
        bench.client.ask(AuthQuestion(1, Token("x")))
        await bench.station.until(lambda: bench.station.results)
        assert isinstance(bench.station.results[0][2], CallError)
        assert not bench.client.up

    await with_client(bench, body)


@pytest.mark.asyncio
async def test_station_timers_run_without_a_link() -> None:
    bench = make_bench(FakeCsms(), url="")

    async def body() -> None:
        bench.station.timer = time.monotonic() + 60.0
        bench.client.ask(AuthQuestion(1, Token("x")))
        for _ in range(5):
            await asyncio.sleep(0)  # the pump sleeps now, until the late deadline
        bench.station.timer = time.monotonic() + 0.01
        bench.client.ask(AuthQuestion(1, Token("x")))
        await bench.station.until(lambda: bench.station.timer is None)

    await with_client(bench, body)


@pytest.mark.asyncio
async def test_an_invalid_message_of_ours_is_dropped_not_sent() -> None:
    csms = FakeCsms()
    csms.answer = lambda frame: BEAT
    async with csms.running():
        bench = make_bench(csms, station=FakeStation(on_link=[OPEN]))

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            bad = Send("TransactionEvent", {"seqNo": 1}, Durability.DURABLE, 5)
            never = Send("TransactionEvent", {"x": float("nan")}, Durability.DURABLE)
            bench.station.effects = [bad, never, beat(handle=6)]
            bench.client.ask(AuthQuestion(1, Token("x")))
            await bench.station.until(lambda: len(bench.station.results) == 2)
            codes = {h: a for h, _, a in bench.station.results}
            assert codes[5].code == "OccurrenceConstraintViolation"
            assert codes[6] == BEAT
            assert csms.actions() == ["Heartbeat"]
            assert await bench.client.flush(5.0)
            assert bench.outbox.rows == {}

        await with_client(bench, body)


class _Stuck:
    """A WebSocket whose peer does not read."""

    async def send(self, text: str) -> None:
        await asyncio.Event().wait()


@pytest.mark.asyncio
async def test_a_peer_that_asks_but_never_reads_is_left() -> None:
    rpc = Rpc("ocpp2.1", Schemas("ocpp2.1"), lambda: "x")
    session = Session(_Stuck(), rpc)  # type: ignore[arg-type]
    session.put("first")
    with pytest.raises(TimeoutError):
        await session.write(0.01)
    for _ in range(MAX_UNSENT - 1):
        session.put("answer")
        await session.room(0.01)
    session.put("one too many")
    with pytest.raises(TimeoutError):
        await session.room(0.01)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (("ocpp2.1", "ocpp2.0.1"), "ocpp2.1"),
        (("ocpp2.0.1",), "ocpp2.0.1"),
    ],
)
async def test_version_negotiation(offered: tuple[str, ...], agreed: str) -> None:
    csms = FakeCsms(offered)
    async with csms.running():
        bench = make_bench(csms)

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            assert bench.station.links[0] == (True, agreed)

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_an_answer_that_needs_a_job_goes_to_its_call_alone() -> None:
    """Others are answered meanwhile; what is owed dies with its link."""
    csms = FakeCsms()
    promised = Later(7, "ClearCache")
    async with csms.running():
        station = FakeStation(answers={"ClearCache": promised})
        bench = make_bench(csms, station=station)

        def reply(handle: int) -> None:
            station.effects = [Reply(handle, {"status": "Accepted"})]
            bench.client.ask(AuthQuestion(1, Token("x")))

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            await csms.links[0].send('[2,"a","ClearCache",{}]')
            assert (await csms.ask('[2,"b","Reset",{"type":"OnIdle"}]'))[1] == "b"
            reply(7)
            await csms.until(lambda: len(csms.frames) == 2)
            assert csms.frames[1] == [3, "a", {"status": "Accepted"}]
            await csms.links[0].send('[2,"c","ClearCache",{}]')
            await bench.station.until(lambda: len(bench.station.calls) == 3)
            await csms.links[0].close()
            await bench.station.until(lambda: len(bench.station.links) == 3)
            reply(7)
            assert (await csms.ask('[2,"d","Reset",{"type":"OnIdle"}]'))[1] == "d"
            assert len(csms.frames) == 3

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_a_csms_of_another_version_is_left() -> None:
    csms = FakeCsms(["ocpp1.6"])

    async with csms.running(select_subprotocol=lambda link, offered: None):
        bench = make_bench(csms)

        async def body() -> None:
            await csms.until(lambda: len(csms.links) == 2)
            assert csms.links[0].close_code == 1002
            assert bench.station.links == []

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_a_refused_password_is_one_security_event() -> None:
    csms = FakeCsms()
    refusals: list[int] = []

    def refuse(link: Any, request: Any) -> Any:
        refusals.append(1)
        csms.changed.set()
        return link.respond(401, "who are you\n")

    async with csms.running(process_request=refuse):
        bench = make_bench(csms, password="x" * 16)

        async def body() -> None:
            await csms.until(lambda: len(refusals) >= 3)
            assert bench.station.events == ["FailedToAuthenticateAtCsms"]
            assert "identity or password" in bench.client.why_down
            bench.client.security_event("MaintenanceLoginFailed", "uid 1")
            bench.client.security_event("MaintenanceLoginFailed", "uid 1")
            assert len(bench.station.events) == 3  # those of the house all count

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_sends_and_reports_reach_the_station() -> None:
    csms = FakeCsms()
    stream = '[6,"a","NotifyPeriodicEventStream",{"id":1,"pending":0,"data":[]}]'
    good = stream.replace("[]", '[{"t":1.0,"v":"230"}]').replace(
        '"pending"', '"basetime":"2026-11-23T08:00:00Z","pending"'
    )
    async with csms.running():
        bench = make_bench(csms)

        async def body() -> None:
            await bench.station.until(lambda: bench.station.links)
            await csms.links[0].send(stream)
            await csms.links[0].send(good)
            await bench.station.until(lambda: bench.station.sends)
            assert bench.station.sends == ["NotifyPeriodicEventStream"]
            signal = DispatchSignal("ocpp.tx", 1, Priority.SETPOINT, (), 0.0, 1.0)
            bench.station.effects = [Dispatch(signal)]
            bench.client.report(report(Clock().now()))
            assert bench.signals == [signal]
            assert csms.frames == []  # a SEND is never answered

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_basic_authentication_and_identity_in_the_url() -> None:
    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms, identity="RDAM|123", password="sekrit-sekrit-16")

        async def body() -> None:
            await csms.until(lambda: csms.links)
            request = csms.links[0].request
            assert request is not None
            assert request.path == "/ocpp/RDAM%7C123"
            assert (
                request.headers["Authorization"]
                == "Basic UkRBTXwxMjM6c2Vrcml0LXNla3JpdC0xNg=="
            )
            assert "Sec-WebSocket-Extensions" not in request.headers

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_the_clock_learns_from_the_csms() -> None:
    csms = FakeCsms()
    async with csms.running():
        bench = make_bench(csms)

        async def body() -> None:
            now = Clock().now().utc
            bench.station.effects = [LearnTime(now.replace(year=2031))]
            bench.client.ask(AuthQuestion(1, Token("x")))
            learned = bench.client._clock.now()
            assert learned.trusted
            assert learned.utc.year == 2031
            await csms.until(lambda: csms.links)

        await with_client(bench, body)


@pytest.mark.asyncio
async def test_a_large_message_is_parsed_off_the_loop() -> None:
    """Law 7: the loop goes on while 145 kB are parsed and validated."""
    station = FakeStation(answers={"SetChargingProfile": ACCEPTED})
    csms = FakeCsms()
    text = json.dumps([2, "a", "SetChargingProfile", large_profile()])
    assert len(text) > 4 * LARGE_BYTES
    async with csms.running():
        bench = make_bench(csms, station=station)

        async def body() -> None:
            await csms.until(lambda: csms.links)
            assert await csms.ask(text) == [3, "a", ACCEPTED]
            periods = station.calls[0][1]["chargingProfile"]["chargingSchedule"][2]
            assert len(periods["chargingSchedulePeriod"]) == 300
            assert station.prepared == ["SetChargingProfile"]

        await with_client(bench, body)


def large_profile() -> dict[str, Any]:
    periods = [
        {
            "startPeriod": n * 60,
            "limit": 11000.5,
            "setpoint": -7000.25 - n,
            "operationMode": "CentralSetpoint",
            "dischargeLimit": -8000.0,
            "numberPhases": 3,
        }
        for n in range(300)
    ]
    schedules = [
        {
            "id": n,
            "chargingRateUnit": "W",
            "startSchedule": "2026-11-23T08:00:00Z",
            "chargingSchedulePeriod": periods,
        }
        for n in range(3)
    ]
    return {
        "evseId": 1,
        "chargingProfile": {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "transactionId": "t1",
            "chargingSchedule": schedules,
        },
    }
