"""Hostile VTNs: whatever comes is refused or bounded, and what is gone from the list is
gone from the dispatch."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chargerd.grid.openadr2_events import MOST_EVENTS, MOST_INTERVALS
from chargerd.scheduler.signals import check
from tests.security.anything import JSON
from tests.unit.grid.openadr2_stand import POWER, Stand, event, signal
from tests.unit.grid.test_openadr2 import opts

KEYS = st.sampled_from(sorted(event()))
NUMBERS = st.floats(allow_nan=True).map(str) | st.sampled_from(["1e999", "-0", "٣"])


def bounded(stand: Stand) -> None:
    """Every signal is one that the heart takes, within ratings and hold."""
    for made in stand.tick().signals:
        check(made)
        assert made.valid_until_mono <= stand.mono + 900.0
        for segment in made.segments:
            assert abs(segment.setpoint_w or 0.0) <= 12_000.0
            assert (segment.limit_w or 0.0) >= 0.0


@given(KEYS, JSON)
def test_any_value_anywhere_in_an_event(key: str, value: Any) -> None:
    stand = Stand()
    stand.up(event("E1", **{key: value}), event("E2", signal(1000)))
    assert "E2" in stand.ven.events.alive
    bounded(stand)


@given(
    st.sampled_from(["SIMPLE", "LOAD_DISPATCH", "LOAD_CONTROL", "CHARGE_STATE"]),
    st.sampled_from(["level", "setpoint", "multiplier", "x-loadControlCapacity"]),
    st.lists(
        st.tuples(st.sampled_from(["PT1M", "PT0S", "P9D", "", "-PT1M"]), NUMBERS),
        max_size=4,
    ),
    st.sampled_from(["none", "k", "G", "x", ""]),
)
def test_any_signal(
    name: str, kind: str, intervals: list[tuple[str, str]], scale: str
) -> None:
    stand = Stand()
    words = {**POWER, "scale": scale, "name": name, "type": kind}
    stand.up(event("E1", signal(0, **words, intervals=[list(i) for i in intervals])))
    bounded(stand)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)), max_size=6))
def test_no_wish_outlives_its_place_in_the_list(lists: list[dict[str, int]]) -> None:
    """Whatever lists came before: only what the newest one has is asked for."""
    stand = Stand(resources=["r1", "r2"])
    power_w = {"a": 1000.0, "b": 2000.0, "c": 4000.0}
    stand.up()
    for wanted in lists:
        stand.tell(
            *(
                event(i, signal(power_w[i], intervals=[["PT1H", str(power_w[i])]]))
                | {"modification": str(m)}
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
    stand.up(*(event(f"E{n}") for n in range(500)))
    assert len(stand.ven.events.alive) == MOST_EVENTS
    assert stand.ven.status()["refused"] == {"flood": 1}
    saved = stand.tick().save
    assert len(json.dumps(saved)) < 100_000


def test_too_many_intervals_are_refused() -> None:
    stand = Stand()
    many = signal(*([1] * (MOST_INTERVALS + 1)))
    assert opts(stand.up(event("E1", many))) == [("E1", "optOut", 454)]


def test_too_many_intervals_together_are_refused_and_a_known_event_stays() -> None:
    stand = Stand()
    first, *large = [
        event(f"E{n}", signal(intervals=[["PT1S", "1"]] * count))
        for n, count in enumerate((512, 400, 400))
    ]
    stand.up(first)
    told = stand.tell(first, *large)
    assert opts(told) == [
        ("E0", "optIn", 200),
        ("E1", "optIn", 200),
        ("E2", "optOut", 454),
    ]
    assert stand.ven.status()["refused"] == {"flood": 1}


def test_an_event_too_large_to_be_kept_is_refused() -> None:
    stand = Stand()
    large = event(resources=["x" * 100_000])
    assert opts(stand.up(large)) == [("E1", "optOut", 454)]
    assert len(json.dumps(stand.tick().save)) < 1000


def test_contradictory_events_with_one_id_the_first_counts() -> None:
    stand = Stand()
    stand.up(event("E1", signal(-1000)), event("E1", signal(5000)))
    (made,) = stand.tick().signals
    assert made.segments[0].setpoint_w == -1000.0
    assert stand.ven.status()["refused"] == {"contradictory": 1}


def test_markup_does_not_go_back_to_the_vtn() -> None:
    stand = Stand()
    evil = "x</ei:eventID><ei:optType>optIn"
    assert stand.up(event(evil)) is None
    assert stand.ven.status()["refused"] == {"malformed": 1}
    stand = Stand()
    stand.answer(stand.expect("register"), ven_id="<", registration_id="R", poll="")
    assert not stand.ven.registered


def test_a_strange_market_context_is_refused() -> None:
    stand = Stand(market_contexts=["http://ours"])
    assert opts(stand.up(event())) == [("E1", "optOut", 460)]
    assert stand.tick().signals == []


def test_polls_never_run_away() -> None:
    """A VTN that always has more is asked a few times in a row, then at its pace."""
    stand = Stand()
    stand.up()
    stand.mono += 5.0
    asked = 0
    while (call := stand.next()) is not None:
        stand.answer(call, "oadrDistributeEvent", events=[])
        asked += 1
        assert asked < 20
    assert asked == 8


def test_a_poll_period_that_would_end_every_command_or_never_rest() -> None:
    for asked, used in (("PT0S", 1.0), ("P7D", 300.0), ("PT15S", 15.0)):
        stand = Stand()
        stand.register(poll=asked)
        assert stand.ven.status()["poll_s"] == used


@given(JSON, JSON, st.sampled_from(["heard_utc", "events", "ven_id"]))
def test_a_store_that_was_spoilt_does_no_harm(one: Any, two: Any, key: str) -> None:
    entry = {"raw": one, "opt_in": two, "code": 200}
    good = {"heard_utc": "2026-11-25T12:01:00Z", "events": [entry], "ven_id": "007"}
    for spoilt in (good, {**good, key: one}):
        stand = Stand(saved=spoilt)
        bounded(stand)
        stand.register()
