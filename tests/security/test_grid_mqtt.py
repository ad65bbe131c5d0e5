"""Hostile MQTT: each bad command is refused, counted by reason, and changes nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.config_grid import Mqtt
from chargerd.grid.errors import GridError
from chargerd.grid.mqtt import Core
from chargerd.grid.mqtt_link import topics_ok
from chargerd.grid.mqtt_words import MAX_BYTES, Refused
from chargerd.model import DispatchSignal, PromiseRequest
from tests.unit.grid.stand import at, config

ALL = (*Mqtt().commands, "session", "operative")
BASE = "chargerd/CS1/evse"


def core(**values: Any) -> Core:
    asked = config(mqtt={"commands_per_s": 50, **values})
    assert asked.grid.mqtt is not None
    return Core(asked.grid.mqtt, asked.station, asked.evse)


@pytest.mark.parametrize(
    ("reason", "topic", "payload"),
    [
        ("size", "1/setpoint_w/set", b"1" * (MAX_BYTES + 1)),
        ("size", "1/setpoint_w/set", b"[" * 1_000_000),
        ("malformed", "1/setpoint_w/set", b"[" * MAX_BYTES),
        ("malformed", "1/setpoint_w/set", b""),
        ("malformed", "1/setpoint_w/set", b"\xff\xfe"),
        ("malformed", "1/setpoint_w/set", b'"3000"'),
        ("malformed", "1/setpoint_w/set", b"true"),
        ("malformed", "1/setpoint_w/set", b"{}"),
        ("malformed", "1/setpoint_w/set", b"[1]"),
        ("malformed", "1/setpoint_w/set", b'{"value": 1, "evse": 2}'),
        ("malformed", "1/setpoint_w/set", b'{"value": 1, "ttl_s": "1"}'),
        ("malformed", "1/setpoint_w/set", b'{"value": 1, "ttl_s": null}'),
        ("malformed", "1/mode/set", b"explode"),
        ("malformed", "1/mode/set", b"7"),
        ("malformed", "1/enable/set", b"maybe"),
        ("malformed", "1/enable/set", b"2"),
        ("malformed", "1/setpoint_w/set", b'{"value": 1, "sent_utc": "2026-11-25"}'),
        (
            "malformed",
            "1/setpoint_w/set",
            b'{"value": 1, "sent_utc": "%s"}' % (b"9" * 99),
        ),
        (
            "malformed",
            "1/setpoint_w/set",
            b'{"value": 1, "sent_utc": "1969-01-01T00:00:00Z"}',
        ),
        ("contradictory", "1/setpoint_w/set", b'{"value": 1, "value": -1}'),
        ("contradictory", "1/promise/set", b'{"soc_pct": 80}'),
        (
            "contradictory",
            "1/promise/set",
            b'{"soc_pct":80,"departure_in_s":9,"departure_utc":"2026-11-25T13:00:00Z"}',
        ),
        ("contradictory", "1/promise/set", b'{"value": null, "soc_pct": 80}'),
        ("malformed", "1/setpoint_w/set", b"NaN"),
        ("range", "1/setpoint_w/set", b'{"value": NaN}'),
        ("range", "1/setpoint_w/set", b"-Infinity"),
        ("range", "1/setpoint_w/set", b"1e400"),
        ("range", "1/setpoint_w/set", b"-6000.1"),
        ("range", "1/setpoint_w/set", b"9" * 400),
        ("range", "1/charge_limit_w/set", b"-1"),
        ("range", "1/discharge_limit_w/set", b"-1"),
        ("range", "1/max_current_a/set", b"-6"),
        ("range", "0/max_current_a/set", b"6"),
        ("range", "0/promise/set", b'{"soc_pct": 80, "departure_in_s": 9}'),
        ("range", "1/promise/set", b'{"soc_pct": 101, "departure_in_s": 9}'),
        ("range", "1/promise/set", b'{"soc_pct": 80, "departure_in_s": 1e9}'),
        (
            "range",
            "1/promise/set",
            b'{"soc_pct":80,"departure_utc":"2026-11-25T11:00:00Z"}',
        ),
        ("range", "1/setpoint_w/set", b'{"value": 1, "ttl_s": 86401}'),
        ("range", "1/setpoint_w/set", b'{"value": 1, "ttl_s": -1}'),
        ("stale", "1/setpoint_w/set", b'{"value":1,"sent_utc":"2026-11-25T13:00:00Z"}'),
        ("stale", "1/setpoint_w/set", b'{"value":1,"sent_utc":"2026-11-24T11:00:00Z"}'),
        ("unauthorised", "1/session/set", b"start"),
        ("unauthorised", "1/operative/set", b"ON"),
        ("unauthorised", "1/no_such/set", b"1"),
        ("unknown", "3/setpoint_w/set", b"1"),
        ("unknown", "01/setpoint_w/set", b"1"),
        ("unknown", "1/setpoint_w/set/more", b"1"),
        ("unknown", "../1/setpoint_w/set", b"1"),
        ("unknown", "1/SETPOINT/set", b"1"),
    ],
)
def test_refused_and_counted(reason: str, topic: str, payload: bytes) -> None:
    door = core()
    with pytest.raises(Refused):
        door.receive(f"{BASE}/{topic}", payload, at(100.0))
    assert door.status() == {"accepted": 0, "refused": {reason: 1}}


def test_a_retained_command_is_a_replay() -> None:
    door = core()
    with pytest.raises(Refused, match="every connect"):
        door.receive(f"{BASE}/1/setpoint_w/set", b"1", at(100.0), retained=True)
    assert door.refused == {"retained": 1}


def test_a_promise_by_the_clock_needs_a_clock() -> None:
    door = core()
    text = json.dumps({"soc_pct": 80, "departure_utc": "2026-11-25T13:00:00Z"}).encode()
    with pytest.raises(Refused):
        door.receive(f"{BASE}/1/promise/set", text, at(100.0, trusted=False))
    assert door.refused == {"clock": 1}


PART = '{"start_utc": "2026-11-25T12:00:00Z", "buy_per_kwh": 1}'
LATER = '{"start_utc": "2026-11-25T13:00:00Z", "buy_per_kwh": 1}'
UNTIL = '"until_utc": "2026-11-25T14:00:00Z"'


@pytest.mark.parametrize(
    ("reason", "payload"),
    [
        ("size", '{"parts":[' + ",".join([PART] * 1000) + "]}"),
        ("malformed", "3"),
        ("malformed", "{}"),
        ("malformed", f'{{"parts": [], {UNTIL}}}'),
        ("malformed", f'{{"parts": {{}}, {UNTIL}}}'),
        ("malformed", f'{{"parts": [3], {UNTIL}}}'),
        ("malformed", f'{{"parts": [{PART}]}}'),
        ("malformed", f'{{"parts": [{PART}], {UNTIL}, "currency": "yen!"}}'),
        ("malformed", f'{{"parts": [{{"start_utc": "now"}}], {UNTIL}}}'),
        ("malformed", f'{{"parts": [{{"x": 1}}], {UNTIL}}}'),
        ("range", f'{{"parts": [{PART.replace("1}", "1e9}")}], {UNTIL}}}'),
        ("range", f'{{"parts": [{PART.replace("1}", "NaN}")}], {UNTIL}}}'),
        ("contradictory", f'{{"parts": [{LATER},{PART}], {UNTIL}}}'),
        ("contradictory", f'{{"parts": [{PART},{PART}], {UNTIL}}}'),
        ("contradictory", f'{{"parts": [{LATER}], {UNTIL.replace("14:", "13:")}}}'),
        ("stale", f'{{"parts": [{PART}], {UNTIL.replace("14:", "11:")}}}'),
        ("stale", f'{{"parts": [{PART}], {UNTIL.replace("2026", "2027")}}}'),
    ],
)
def test_prices_that_are_none(reason: str, payload: str) -> None:
    door = core()
    with pytest.raises(Refused):
        door.receive("chargerd/CS1/prices/set", payload.encode(), at(100.0))
    assert door.refused == {reason: 1}


@pytest.mark.parametrize("name", ["a/b", "a+", "#", "x\0"])
def test_a_station_id_that_would_open_other_topics(name: str) -> None:
    with pytest.raises(GridError, match="MQTT topic"):
        topics_ok([name])


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(ALL),
    payload=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["value", "ttl_s", "sent_utc", "soc_pct", "departure_in_s", "x"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    evse_id=st.integers(0, 3),
)
def test_any_payload_ends_in_a_bounded_signal_or_a_refusal(
    name: str, payload: bytes, evse_id: int
) -> None:
    door = core(commands=ALL)
    try:
        found = door.receive(f"{BASE}/{evse_id}/{name}/set", payload, at(100.0))
    except Refused:
        assert sum(door.refused.values()) == 1
        return
    if isinstance(found, PromiseRequest) and found.departure_mono is not None:
        assert 100.0 < found.departure_mono <= 100.0 + 7 * 86_400
        assert 0.0 <= found.soc_pct <= 100.0
    if isinstance(found, DispatchSignal):
        assert 100.0 <= found.valid_until_mono <= 100.0 + 86_400.0
        most_w = 12_000.0 if evse_id == 0 else 6_000.0
        for segment in found.segments:
            assert abs(segment.setpoint_w or 0.0) <= most_w
            assert 0.0 <= (segment.limit_w or 0.0) < math.inf
            assert -math.inf < (segment.discharge_limit_w or 0.0) <= 0.0
