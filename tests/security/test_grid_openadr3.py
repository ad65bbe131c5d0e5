"""Hostile OpenADR 3 VTNs: whatever comes is refused or bounded, and what is gone from
the list is gone from the dispatch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.openadr3_events import MOST_EVENTS, MOST_KEPT, MOST_TOGETHER
from chargerd.grid.openadr3_read import KNOWN
from chargerd.grid.openadr3_words import Refused, parse
from chargerd.scheduler.signals import check
from tests.security.anything import JSON
from tests.unit.grid.openadr3_stand import Stand, event, interval, payload, sized

TIMES = st.sampled_from(
    ["0001-01-01", "2026-11-25T12:00:00Z", "2099-01-01T00:00:00Z", "x", None, 5]
)
LENGTHS = st.sampled_from(
    ["PT1M", "PT0S", "P9999Y", "P9Y", "", "-PT1M", None, "PT0.1S"]
)


def bounded(stand: Stand) -> None:
    """Every signal is one that the heart takes, within ratings and hold."""
    work = stand.tick()
    for made in work.signals:
        check(made)
        assert made.valid_until_mono <= stand.mono + 900.0
        for segment in made.segments:
            assert -12_000.0 <= (segment.setpoint_w or 0.0) <= 14_000.0
            assert (segment.limit_w or 0.0) >= 0.0
            assert (segment.discharge_limit_w or 0.0) <= 0.0
    json.dumps(work.save, allow_nan=False)


@given(st.sampled_from(sorted(event())), JSON)
def test_any_value_anywhere_in_an_event(key: str, value: Any) -> None:
    stand = Stand()
    stand.tell(event("E1", **{key: value}), event("E2"))
    assert "E2" in stand.ven.events.alive
    bounded(stand)


@given(
    st.sampled_from([*sorted(KNOWN), "ALERT_FLEX_ALERT", "X"]),
    st.lists(JSON | st.floats(0, 50), max_size=3),
    TIMES,
    LENGTHS,
    LENGTHS,
    LENGTHS,
)
def test_any_payload_at_any_time(
    kind: str, values: list[Any], at: Any, length: Any, span: Any, random: Any
) -> None:
    stand = Stand()
    stand.ven.report(sized())
    period = {"start": at, "duration": length, "randomizeStart": random}
    rows = [interval(payload(kind, *values)), interval(payload(kind, *values), ident=1)]
    stand.tell(event("E1", *rows, intervalPeriod=period, duration=span))
    bounded(stand)


@given(JSON)
def test_any_answer_to_any_question(body: Any) -> None:
    stand = Stand(client_id="me", client_secret="x")
    for _ in range(12):
        call = stand.next()
        if call is None:
            stand.mono += 61.0
            continue
        stand.answer(call, body)
    bounded(stand)
    stand.ven.status()


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)), max_size=6))
def test_no_wish_outlives_its_place_in_the_list(lists: list[dict[str, int]]) -> None:
    """Whatever lists came before: only what the newest one has is asked for."""
    stand = Stand()
    power_w = {"a": 1000.0, "b": 2000.0, "c": 4000.0}
    always = {"start": "2026-11-25T12:00:00Z", "duration": "P1D"}
    for wanted in lists:
        stand.tell(
            *(
                event(
                    i,
                    interval(payload("DISPATCH_SETPOINT", power_w[i] / 1e3)),
                    intervalPeriod=always,
                    modificationDateTime=f"2026-11-25T12:00:0{m}Z",
                )
                for i, m in wanted.items()
            )
        )
        asked = {
            s.setpoint_w
            for made in stand.tick().signals
            for s in made.segments
            if s.setpoint_w is not None
        }
        assert asked <= {power_w[i] for i in wanted}
        assert stand.ven.events.alive.keys() == wanted.keys()


def test_a_flood_of_events_is_bounded() -> None:
    stand = Stand()
    stand.rest_until_events()
    for _ in range(5):
        call = stand.calls[-1]
        rows = [event(f"E{len(stand.calls)}-{n}") for n in range(50)]
        stand.answer(call, rows)
        following = stand.next()
        if following is None:
            break
    assert len(stand.ven.events.alive) == MOST_EVENTS
    assert stand.ven.status()["refused"] == {"flood": 1}


def dear(number: int, *kinds: str) -> dict[str, Any]:
    """As many values as are taken, in cycles of seconds, for ever."""
    rows = [
        interval(*(payload(kind, 1.0 + n) for kind in kinds), ident=n)
        for n in range(16 // len(kinds))
    ]
    period = {"start": f"2021-01-01T00:00:{number % 60:02d}Z", "duration": "PT7S"}
    return event(f"E{number}", *rows, duration="P9999Y", intervalPeriod=period)


@pytest.mark.parametrize(
    "kinds",
    [
        ("PRICE", "GHG"),
        ("IMPORT_CAPACITY_LIMIT", "EXPORT_CAPACITY_LIMIT"),
        ("DISPATCH_SETPOINT",),
    ],
)
def test_the_dearest_list_is_bounded_in_what_it_costs(kinds: tuple[str, ...]) -> None:
    """By what is reckoned with, not by a clock: each value a bounded number of times,
    though it would begin 25,000 times in two days."""
    stand = Stand()
    rows = [dear(n, *kinds) for n in range(MOST_EVENTS)]
    stand.rest_until_events()
    stand.answer(stand.calls[-1], rows[:50])
    call = stand.next()
    assert call is not None
    stand.answer(call, rows[50:])
    alive = list(stand.ven.events.alive.values())
    assert len(alive) == MOST_EVENTS
    most = MOST_TOGETHER // len(alive)
    reckoned = sum(len(list(e.spans(0.0, 172_800.0, most))) for e in alive)
    assert reckoned <= 2 * MOST_TOGETHER
    bounded(stand)


def test_what_is_kept_of_all_events_is_bounded() -> None:
    """It is written from the loop."""
    stand = Stand()
    stand.tell(*(event(f"E{n}", eventName="x" * 50_000) for n in range(8)))
    assert sum(e.size for e in stand.ven.events.alive.values()) <= MOST_KEPT
    assert stand.ven.status()["refused"] == {"flood": 3}


def test_contradictory_events_with_one_id_the_first_counts() -> None:
    stand = Stand()
    other = interval(payload("DISPATCH_SETPOINT", 5))
    stand.tell(event("E1"), event("E1", other))
    (made,) = stand.tick().signals
    assert made.segments[0].setpoint_w == -3000.0
    assert stand.ven.status()["refused"] == {"contradictory": 1}


def test_what_is_refused_is_counted_once_not_at_each_poll() -> None:
    stand = Stand()
    bad = event("E1", interval(payload("DISPATCH_SETPOINT", 1e9)))
    for _ in range(5):
        stand.tell(bad)
    assert stand.ven.status()["refused"] == {"range": 1}


def test_an_event_too_large_to_be_kept_is_refused() -> None:
    stand = Stand()
    stand.tell(event("E1", eventName="x" * 100_000))
    assert stand.ven.status()["refused"] == {"size": 1}


def test_an_id_that_would_leave_its_path_is_refused() -> None:
    stand = Stand(version="3.0")
    stand.vens = [{"id": "../admin", "venName": "charger"}]
    stand.tell()
    assert not any("admin" in call.url for call in stand.calls)
    assert stand.ven.status()["refused"] == {"malformed": 1}


@pytest.mark.parametrize(
    "text", [b"[NaN]", b"[Infinity]", b"[" * 100_000, b"\xff", b"[" + b"9" * 5000]
)
def test_no_number_json_knows_not(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse(text)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize("text", [b"[" + b"0," * 20_000 + b"0]", b"{}," * 20_000])
def test_more_values_than_are_read_in_a_moment(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse(text)
    assert refused.value.reason == "size"


def test_an_unauthorised_answer_is_counted_and_asked_again_later() -> None:
    stand = Stand()
    for _ in range(20):
        call = stand.next()
        if call is not None:
            stand.answer(call, None, 401)
        stand.mono += 1.0
    assert 0 < sum(stand.ven.status()["refused"].values()) < 6


@given(JSON, st.sampled_from(["heard_utc", "events", "baselines", "membership"]))
def test_a_store_that_was_spoilt_does_no_harm(value: Any, key: str) -> None:
    good = {
        "heard_utc": "2026-11-25T12:01:00Z",
        "events": [{"raw": event(), "seen": "2026-11-25T12:01:00+00:00"}],
        "baselines": {"x": 1.0},
        "membership": {"groups": ["a"]},
    }
    for spoilt in ({**good, key: value}, {**good, "events": [{"raw": value}]}):
        stand = Stand(saved=spoilt, programs=["demand"])
        bounded(stand)
        stand.tell()
