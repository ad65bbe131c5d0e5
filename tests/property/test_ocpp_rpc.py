"""Laws of the RPC core, whatever arrives: one answer per CALL, no exception, flat."""

from __future__ import annotations

import itertools
import json
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chargerd.ocpp.effects import CallError, OcppError
from chargerd.ocpp.frame import MAX_DEPTH, _deep
from chargerd.ocpp.rpc import CallIn, Outcome, Reply, Rpc
from chargerd.ocpp.schemas import Schemas, Violation, compile_schema

SCHEMAS = {version: Schemas(version) for version in ("ocpp2.1", "ocpp2.0.1")}
VERSIONS = st.sampled_from(sorted(SCHEMAS))
ACTIONS = ["Reset", "SetChargingProfile", "GetVariables", "DataTransfer", "Explode", ""]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=40)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FRAMES = st.lists(
    st.sampled_from([2, 3, 4, 5, 6, "a", "id-1", *ACTIONS]) | VALUES, max_size=6
).map(json.dumps)


def make(version: str) -> Rpc:
    ids = (f"id-{n}" for n in itertools.count(1))
    return Rpc(version, SCHEMAS[version], ids.__next__)


def check_answers(text: str, events: list[Any]) -> None:
    """At most one text leaves, it is a valid error frame, and never answers one."""
    sent = [json.loads(event.text) for event in events if isinstance(event, Reply)]
    assert len(sent) <= 1
    for frame in sent:
        assert frame[0] in (4, 5)
        assert len(frame) == 5
        assert 1 <= len(frame[1]) <= 36
        assert len(frame[3]) <= 255


@settings(max_examples=150)
@given(VERSIONS, st.text() | st.binary() | FRAMES)
def test_nothing_that_arrives_raises(version: str, data: str | bytes) -> None:
    rpc = make(version)
    rpc.call("Heartbeat", {}, 0.0, 30.0)
    events = rpc.receive(data, 1.0)
    assert events
    check_answers(str(data), events)
    for event in events:
        if isinstance(event, CallIn):
            json.loads(rpc.answer(event, CallError("NotSupported")))


@settings(max_examples=80)
@given(VERSIONS, st.sampled_from(ACTIONS), VALUES, st.integers(0, 400))
def test_a_cut_or_changed_call_gets_exactly_one_answer(
    version: str, action: str, payload: Any, cut: int
) -> None:
    text = json.dumps([2, "a", action, payload])
    for data in (text, text[: max(0, len(text) - cut)]):
        rpc = make(version)
        answers = []
        for event in rpc.receive(data, 0.0):
            if isinstance(event, Reply):
                answers.append(json.loads(event.text))
            if isinstance(event, CallIn):
                answers.append(json.loads(rpc.answer(event, CallError("NotSupported"))))
        assert len(answers) == 1
        assert answers[0][0] == 4
        assert answers[0][1] in ("a", "-1")


@settings(max_examples=200)
@given(VALUES, st.integers(0, 80), st.text('[]{}"\\ a', max_size=60))
def test_depth_is_what_the_parser_sees(value: Any, nest: int, noise: str) -> None:
    """Strings with brackets, quotes and backslashes do not count, real ones do."""
    for _ in range(nest):
        value = [noise, value]
    text = json.dumps(value)
    assert _deep(text.encode()) is (depth(value) > MAX_DEPTH)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


# Our compiler against the jsonschema package, the oracle

LEAF = st.sampled_from(
    [
        {"type": "integer", "minimum": 0, "maximum": 9},
        {"type": "number", "minimum": -1.5},
        {"type": "string", "maxLength": 3},
        {"type": "string", "enum": ["A", "B"]},
        {"type": "boolean"},
        {},
    ]
)
TREE = st.recursive(
    LEAF,
    lambda inner: (
        st.builds(
            lambda items, low: {"type": "array", "items": items, "minItems": low},
            inner,
            st.integers(0, 2),
        )
        | st.builds(
            lambda properties, closed: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties)[:1],
                **({"additionalProperties": False} if closed else {}),
            },
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.booleans(),
        )
    ),
    max_leaves=5,
)
SMALL = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 11)
    | st.sampled_from([0.5, 1.0, -2.0, "A", "B", "abc", "abcd", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(TREE, SMALL)
def test_our_compiler_agrees_with_jsonschema(
    schema: dict[str, Any], value: Any
) -> None:
    wanted = jsonschema.Draft6Validator(schema).is_valid(value)
    try:
        compile_schema(schema)(value)
        got = True
    except Violation:
        got = False
    assert got is wanted


class TwoWay(RuleBasedStateMachine):
    """CALLs of both sides cross in any order: counts always add up."""

    def __init__(self) -> None:
        super().__init__()
        self.rpc = make("ocpp2.1")
        self.now = 0.0
        self.asked = 0
        self.answered = 0
        self.started = 0
        self.ended = 0
        self.own_id = ""

    def feed(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, CallIn):
                self.rpc.answer(event, {"status": "Accepted"})
                self.answered += 1
            elif isinstance(event, Reply) and json.loads(event.text)[0] == 4:
                self.answered += 1
            elif isinstance(event, Outcome):
                self.ended += 1

    @rule(good=st.booleans())
    def peer_asks(self, good: bool) -> None:
        self.asked += 1
        payload = {"type": "Immediate"} if good else {"type": 5}
        text = json.dumps([2, f"p{self.asked}", "Reset", payload])
        self.feed(self.rpc.receive(text, self.now))

    @rule()
    def we_ask(self) -> None:
        if self.rpc.busy:
            try:
                self.rpc.call("Heartbeat", {}, self.now, 30.0)
            except OcppError:
                return
            raise AssertionError("two CALLs outstanding")
        self.own_id = json.loads(self.rpc.call("Heartbeat", {}, self.now, 30.0))[1]
        self.started += 1

    @rule(kind=st.sampled_from([3, 4]), mine=st.booleans(), good=st.booleans())
    def peer_answers(self, kind: int, mine: bool, good: bool) -> None:
        beat = {"currentTime": "2026-11-23T08:00:00Z" if good else 7}
        rest = [beat] if kind == 3 else ["GenericError", "", {}]
        message_id = self.own_id if mine and self.own_id else "x"
        self.feed(self.rpc.receive(json.dumps([kind, message_id, *rest]), self.now))

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.feed(self.rpc.on_timer(self.now))

    @invariant()
    def counts_add_up(self) -> None:
        assert self.answered == self.asked
        assert self.started - self.ended == int(self.rpc.busy)
        assert self.rpc._owed == set()


TwoWay.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestTwoWay = TwoWay.TestCase
