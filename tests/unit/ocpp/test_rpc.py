"""OCPP-J framing: which message gets which answer, and what an own CALL ends with."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from chargerd.ocpp.effects import CallError, OcppError
from chargerd.ocpp.frame import MAX_BYTES, MAX_DEPTH
from chargerd.ocpp.rpc import CallIn, How, Outcome, Refused, Reply, Rpc, SendIn
from chargerd.ocpp.schemas import Schemas

SCHEMAS = {version: Schemas(version) for version in ("ocpp2.1", "ocpp2.0.1")}
BEAT = {"currentTime": "2026-11-23T08:00:00Z"}
RESET = '"Reset",{"type":"Immediate"}'
STREAM = {"id": 1, "pending": 0, "basetime": "2026-11-23T08:00:00Z", "data": []}


def make(version: str = "ocpp2.1") -> Rpc:
    ids = (f"id-{n}" for n in itertools.count(1))
    return Rpc(version, SCHEMAS[version], ids.__next__)


def replies(events: list[Any]) -> list[Any]:
    return [json.loads(event.text) for event in events if isinstance(event, Reply)]


@pytest.mark.req("General.FR.02")
def test_a_valid_call_is_handed_over_and_answered_once() -> None:
    rpc = make()
    (call,) = rpc.receive(f'[2,"a",{RESET}]', 0.0)
    assert call == CallIn("a", "Reset", {"type": "Immediate"})
    assert json.loads(rpc.answer(call, {"status": "Accepted"})) == [
        3,
        "a",
        {"status": "Accepted"},
    ]
    with pytest.raises(OcppError, match="answered twice"):
        rpc.answer(call, {"status": "Accepted"})


REFUSED = [
    # text, id of the CALLERROR, its code
    ("", "-1", "RpcFrameworkError"),
    ("hello", "-1", "RpcFrameworkError"),
    ("{}", "-1", "RpcFrameworkError"),
    ("[]", "-1", "RpcFrameworkError"),
    ("[2]", "-1", "RpcFrameworkError"),
    ("null", "-1", "RpcFrameworkError"),
    (f'["2","a",{RESET}]', "-1", "RpcFrameworkError"),
    (f'[true,"a",{RESET}]', "-1", "RpcFrameworkError"),
    (f"[2,17,{RESET}]", "-1", "RpcFrameworkError"),
    (f'[2,{{"a":1}},{RESET}]', "-1", "RpcFrameworkError"),
    (f'[2,"",{RESET}]', "-1", "RpcFrameworkError"),
    (f'[2,"{"x" * 37}",{RESET}]', "-1", "RpcFrameworkError"),
    (f'[2,"{"x" * 2_000_000}",{RESET}]', "-1", "RpcFrameworkError"),
    (f'[2,"{"x" * 36}",{RESET}', "x" * 36, "FormatViolation"),
    ('[2,"a","Reset"]', "a", "RpcFrameworkError"),
    (f'[2,"a",{RESET},{{}}]', "a", "RpcFrameworkError"),
    ('[2,"a",["Reset"],{}]', "a", "RpcFrameworkError"),
    ('[2,"a",{"Reset":1},{}]', "a", "RpcFrameworkError"),
    ('[2,"a",null,{}]', "a", "RpcFrameworkError"),
    ('[9,"a",{}]', "a", "MessageTypeNotSupported"),
    ('[2,"a","Explode",{}]', "a", "NotImplemented"),
    ('[2,"a","reset",{"type":"Immediate"}]', "a", "NotImplemented"),
    ('[2,"a","",{}]', "a", "NotImplemented"),
    ('[2,"a","NotifyPeriodicEventStream",{}]', "a", "NotImplemented"),
    ('[2,"a","Reset",{}]', "a", "OccurrenceConstraintViolation"),
    ('[2,"a","Reset",null]', "a", "OccurrenceConstraintViolation"),
    ('[2,"a","Reset",[]]', "a", "TypeConstraintViolation"),
    ('[2,"a","Reset","x"]', "a", "TypeConstraintViolation"),
    ('[2,"a","Reset",{"type":7}]', "a", "TypeConstraintViolation"),
    ('[2,"a","Reset",{"type":"Soon"}]', "a", "PropertyConstraintViolation"),
    (
        '[2,"a","Reset",{"type":"Immediate","evseId":-1}]',
        "a",
        "PropertyConstraintViolation",
    ),
    (
        '[2,"a","Reset",{"type":"Immediate","evseId":true}]',
        "a",
        "TypeConstraintViolation",
    ),
    (
        '[2,"a","Reset",{"type":"Immediate","evseId":1.5}]',
        "a",
        "TypeConstraintViolation",
    ),
    ('[2,"a","Reset",{"type":"Immediate","x":1}]', "a", "FormatViolation"),
    ('[2,"a","Reset",{"type":NaN}]', "a", "FormatViolation"),
    ('[2,"a","Reset",{"type":-Infinity}]', "a", "FormatViolation"),
    ('[2,"a","Reset",{"type":1e400}]', "a", "PropertyConstraintViolation"),
    ('[2,"a","Reset",{"type":-1e308}]', "a", "PropertyConstraintViolation"),
    (
        f'[2,"a","Reset",{{"type":{"9" * 5000}}}]',
        "a",
        "PropertyConstraintViolation",
    ),
    ('[2,"a","Reset",{"type":1000000000000001}]', "a", "PropertyConstraintViolation"),
    ('[2,"a","Reset",{"type":1.1e15}]', "a", "PropertyConstraintViolation"),
    ('[2,"a","Reset",{"type":"\\ud800"}]', "a", "FormatViolation"),
    ('[2,"a","Reset",{"type":"\n"}]', "a", "FormatViolation"),
    (f'[2,"a","Reset",{"[" * 100_000}', "a", "RpcFrameworkError"),
    (f'[2,"a","Reset",{"[" * 70}{"]" * 70}]', "a", "RpcFrameworkError"),
    (f'[2,"a","Reset",[{"1," * 60_000}1]]', "a", "RpcFrameworkError"),
    (f'[2,"a","Reset",{{"x":"{"y" * MAX_BYTES}"}}]', "a", "RpcFrameworkError"),
]


@pytest.mark.parametrize(
    ("text", "message_id", "code"), REFUSED, ids=[str(n) for n in range(len(REFUSED))]
)
def test_a_bad_call_gets_one_error_and_the_next_call_works(
    text: str, message_id: str, code: str
) -> None:
    rpc = make()
    events = rpc.receive(text, 0.0)
    (answer,) = replies(events)
    assert answer[:3] == [4, message_id, code]
    assert len(answer) == 5
    assert len(answer[3]) <= 255
    assert answer[4] == {}
    assert rpc.counters.refused == 1
    assert isinstance(rpc.receive(f'[2,"b",{RESET}]', 1.0)[0], CallIn)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    (answer,) = replies(make().receive(b'[2,"a","Reset",{"type":"\xff"}]', 0.0))
    assert answer[:3] == [4, "a", "FormatViolation"]


@pytest.mark.parametrize(
    "text",
    [
        "[3]",
        "[3,",
        '[4,"',
        "[4,{},1,2,3]x",
        '[3,"unknown",{}]',
        '[4,"unknown","GenericError","",{}]',
        '[5,"unknown","GenericError","",{}]',
        '[6,"a","Explode",{}]',
        '[6,"a","NotifyPeriodicEventStream",{}]',
        '[6,"a"]',
        '[3,"unknown",{},{}]',
    ],
)
def test_what_is_no_call_is_never_answered(text: str) -> None:
    """An error about an error could bounce between two stations for ever."""
    events = make().receive(text, 0.0)
    assert replies(events) == []
    assert isinstance(events[0], Refused)


def test_send_is_taken_in_2_1_only() -> None:
    text = json.dumps([6, "a", "NotifyPeriodicEventStream", _stream()])
    (event,) = make().receive(text, 0.0)
    assert event == SendIn("NotifyPeriodicEventStream", _stream())
    answer = replies(make("ocpp2.0.1").receive(text, 0.0))
    assert answer[0][:3] == [4, "a", "MessageTypeNotSupported"]


def _stream() -> dict[str, Any]:
    return STREAM | {"data": [{"t": 1.0, "v": "230.4"}]}


def test_own_send() -> None:
    rpc = make()
    text = rpc.send("NotifyPeriodicEventStream", _stream())
    assert json.loads(text)[:3] == [6, "id-1", "NotifyPeriodicEventStream"]
    assert not rpc.busy
    with pytest.raises(OcppError, match="unconfirmed"):
        rpc.send("Heartbeat", {})
    with pytest.raises(OcppError, match="not sent"):
        rpc.send("NotifyPeriodicEventStream", {})


def test_own_call_and_its_answer() -> None:
    rpc = make()
    assert rpc.call("Heartbeat", {}, 1.0, 30.0) == '[2,"id-1","Heartbeat",{}]'
    assert rpc.next_timer() == 31.0
    with pytest.raises(OcppError, match="still waits"):
        rpc.call("Heartbeat", {}, 1.0, 30.0)
    (end,) = rpc.receive(json.dumps([3, "id-1", BEAT]), 1.5)
    assert end == Outcome("Heartbeat", {}, BEAT, How.ANSWERED, 0.5)
    assert rpc.next_timer() is None
    # the same answer again matches nothing
    assert rpc.receive(json.dumps([3, "id-1", BEAT]), 1.6) == [
        Refused("id-1", "answer to nothing")
    ]
    assert rpc.counters.unmatched == 1


def test_own_call_refused_by_the_peer() -> None:
    rpc = make()
    rpc.call("Heartbeat", {}, 0.0, 30.0)
    (end,) = rpc.receive('[4,"id-1","SecurityError","no",{}]', 1.0)
    assert isinstance(end, Outcome)
    assert (end.answer, end.how) == (CallError("SecurityError", "no"), How.REFUSED)


@pytest.mark.parametrize(
    "text",
    [
        '[4,"id-1",{},[],{}]',
        '[4,"id-1","Made\\u0000Up","x",{}]',
        '[4,"id-1"]',
        '[4,"id-1",1e400,"",{}]',
    ],
)
def test_a_broken_error_still_ends_the_call(text: str) -> None:
    rpc = make()
    rpc.call("Heartbeat", {}, 0.0, 30.0)
    (end,) = rpc.receive(text, 1.0)
    assert isinstance(end, Outcome)
    assert isinstance(end.answer, CallError)
    assert end.how is How.REFUSED


@pytest.mark.parametrize(("version", "told"), [("ocpp2.1", True), ("ocpp2.0.1", False)])
@pytest.mark.parametrize(
    "text", ['[3,"id-1",{"currentTime":7}]', '[3,"id-1",{"currentTime":1e999}]']
)
def test_an_invalid_result_fails_the_call(version: str, told: bool, text: str) -> None:
    """2.1 tells the peer with CALLRESULTERROR; 2.0.1 has no such message."""
    rpc = make(version)
    rpc.call("Heartbeat", {}, 0.0, 30.0)
    events = rpc.receive(text, 1.0)
    assert isinstance(events[0], Outcome)
    assert events[0].how is How.REFUSED
    sent = replies(events)
    assert bool(sent) is told
    if told:
        assert sent[0][:2] == [5, "id-1"]


def test_calls_cross() -> None:
    rpc = make()
    rpc.call("Heartbeat", {}, 0.0, 30.0)
    (call,) = rpc.receive(f'[2,"id-1",{RESET}]', 0.1)  # the peer may use the same id
    assert isinstance(call, CallIn)
    assert rpc.busy
    rpc.answer(call, CallError("NotSupported"))
    assert rpc.busy


def test_an_id_in_use_is_refused() -> None:
    rpc = make()
    rpc.receive(f'[2,"a",{RESET}]', 0.0)
    (answer,) = replies(rpc.receive(f'[2,"a",{RESET}]', 0.0))
    assert answer[:3] == [4, "a", "RpcFrameworkError"]


@pytest.mark.parametrize(("heard", "how"), [(False, How.MUTE), (True, How.TIMEOUT)])
def test_timeout_tells_a_dead_link_from_a_lost_answer(heard: bool, how: How) -> None:
    rpc = make()
    rpc.call("Heartbeat", {}, 100.0, 30.0)
    if heard:
        rpc.receive('[3,"other",{}]', 101.0)
    assert rpc.on_timer(129.9) == []
    (end,) = rpc.on_timer(130.0)
    assert isinstance(end, Outcome)
    assert end.how is how
    assert not rpc.busy
    assert rpc.on_timer(131.0) == []


def test_link_loss_ends_what_waits() -> None:
    rpc = make()
    (call,) = rpc.receive(f'[2,"a",{RESET}]', 0.0)
    assert isinstance(call, CallIn)
    rpc.call("Heartbeat", {}, 0.0, 30.0)
    (end,) = rpc.lost(2.0)
    with pytest.raises(OcppError, match="answered twice"):
        rpc.answer(call, {"status": "Accepted"})
    assert isinstance(end, Outcome)
    assert end.how is How.LINK_LOST
    assert rpc.lost(3.0) == []


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Heartbeat", {"x": 1}, "FormatViolation"),
        ("Explode", {}, "NotImplemented"),
        ("StatusNotification", {}, "OccurrenceConstraintViolation"),
    ],
)
def test_an_invalid_own_call_is_not_sent(
    action: str, payload: dict[str, Any], code: str
) -> None:
    rpc = make()
    with pytest.raises(OcppError) as caught:
        rpc.call(action, payload, 0.0, 30.0)
    assert caught.value.code == code
    assert not rpc.busy


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"status": "Maybe"},
        {"status": float("nan")},
        {"status": object()},
        {1: 2},
        {"status": "Accepted", "customData": {"vendorId": "x", "y": float("inf")}},
    ],
)
def test_an_invalid_own_answer_becomes_internal_error(payload: dict[str, Any]) -> None:
    rpc = make()
    (call,) = rpc.receive(f'[2,"a",{RESET}]', 0.0)
    assert isinstance(call, CallIn)
    assert json.loads(rpc.answer(call, payload))[:3] == [4, "a", "InternalError"]


def test_an_odd_error_of_ours_is_still_a_valid_frame() -> None:
    rpc = make()
    (call,) = rpc.receive(f'[2,"a",{RESET}]', 0.0)
    assert isinstance(call, CallIn)
    text = rpc.answer(call, CallError("Nonsense", "\ud800" + "x" * 999))
    frame = json.loads(text)
    assert frame[2] == "InternalError"
    assert len(frame[3]) == 255
    text.encode()


def test_unmatched_answers_leave_nothing_behind() -> None:
    """S08: `ocpp` 2.1.0 keeps every one of them in a queue."""
    rpc = make()
    for number in range(2000):
        rpc.receive(f'[3,"{number}",{{}}]', 0.0)
    assert rpc.counters.unmatched == 2000
    assert not rpc.busy
    assert rpc._owed == set()


def test_numbers_of_a_profile_arrive_as_they_were() -> None:
    text = (
        '[2,"a","GetCompositeSchedule",{"duration":600,"evseId":0,'
        '"customData":{"vendorId":"x","a":[-0.0,1e15,-7000.5,{"b":null}]}}]'
    )
    (call,) = make().receive(text, 0.0)
    assert isinstance(call, CallIn)
    assert call.payload["customData"]["a"] == [0.0, 1e15, -7000.5, {"b": None}]


def test_brackets_in_strings_do_not_count_as_depth() -> None:
    text = json.dumps("[{" * 200 + '\\"[' * 50 + "\\\\")
    (call,) = make().receive(
        f'[2,"a","DataTransfer",{{"vendorId":"x","data":{text}}}]', 0.0
    )
    assert isinstance(call, CallIn)


@pytest.mark.parametrize(
    ("levels", "fine"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)]
)
def test_depth_to_the_level(levels: int, fine: bool) -> None:
    inner = levels - 2  # the message and its payload
    text = '[2,"a","DataTransfer",{"vendorId":"x","data":' + "[" * inner + "]" * inner
    (event, *_) = make().receive(text + "}]", 0.0)
    assert isinstance(event, CallIn) is fine


def test_unknown_version() -> None:
    with pytest.raises(OcppError, match=r"ocpp1\.6"):
        Rpc("ocpp1.6", SCHEMAS["ocpp2.1"], lambda: "x")
