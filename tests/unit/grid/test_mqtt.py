"""The MQTT door's core: commands become signals with a life; state and discovery."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chargerd.config_grid import Mqtt
from chargerd.grid.mqtt import PLAIN, Core
from chargerd.grid.mqtt_discovery import entities
from chargerd.grid.mqtt_words import Refused
from chargerd.model import (
    ActiveFault,
    AvailabilityRequest,
    DispatchSignal,
    OperationMode,
    Priority,
    PromiseRequest,
    Segment,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
)
from chargerd.plan import PricePart, PriceSeries
from tests.unit.grid.stand import UTC0, at, config, report

ALL = (*Mqtt().commands, "session", "operative")
NOW = 100.0


def core(**values: Any) -> Core:
    asked = config(mqtt={"commands": ALL, **values})
    assert asked.grid.mqtt is not None
    return Core(asked.grid.mqtt, asked.station, asked.evse)


def told(door: Core, name: str, payload: str, evse: int = 1, **more: Any) -> Any:
    mono = more.pop("mono", NOW)
    trusted = more.pop("trusted", True)
    topic = f"chargerd/CS1/evse/{evse}/{name}/set"
    now = at(mono, trusted=trusted)
    return door.receive(topic, payload.encode(), now, **more)


EXTERNAL = OperationMode.EXTERNAL_SETPOINT
LIMITS = OperationMode.EXTERNAL_LIMITS
OFF = Segment(NOW, OperationMode.IDLE, limit_w=0.0, discharge_limit_w=0.0)


@pytest.mark.parametrize(
    ("name", "payload", "source", "segment", "life_s"),
    [
        ("setpoint_w", "-3000", "setpoint", Segment(NOW, EXTERNAL, -3000.0), 900),
        ("setpoint_w", "6000.0", "setpoint", Segment(NOW, EXTERNAL, 6000.0), 900),
        (
            "setpoint_w",
            '{"value": -1500, "ttl_s": 30}',
            "setpoint",
            Segment(NOW, EXTERNAL, -1500.0),
            30,
        ),
        ("charge_limit_w", "0", "charge_limit", Segment(NOW, LIMITS, limit_w=0), 900),
        (
            "discharge_limit_w",
            "2000",  # a magnitude on the wire
            "discharge_limit",
            Segment(NOW, LIMITS, discharge_limit_w=-2000.0),
            900,
        ),
        (
            "max_current_a",
            "16",  # one phase, 230 V
            "max_current",
            Segment(NOW, LIMITS, limit_w=3680.0),
            900,
        ),
        ("enable", "OFF", "enable", OFF, 900),
        ("enable", "false", "enable", OFF, 900),
        ("enable", "0", "enable", OFF, 900),
        (
            "mode",
            "charge",
            "setpoint",
            Segment(NOW, OperationMode.CHARGING_ONLY, 7000.0),
            900,
        ),
        ("mode", "discharge", "setpoint", Segment(NOW, EXTERNAL, -6000.0), 900),
        ("mode", "off", "setpoint", Segment(NOW, OperationMode.IDLE), 900),
        (
            "mode",
            '{"value": "balance", "ttl_s": 60}',
            "setpoint",
            Segment(NOW, OperationMode.LOCAL_LOAD_BALANCING, follow_w=0.0),
            60,
        ),
    ],
)
def test_a_command_is_a_signal_with_a_life(
    name: str, payload: str, source: str, segment: Segment, life_s: float
) -> None:
    assert told(core(), name, payload) == DispatchSignal(
        f"mqtt.{source}", 1, Priority.LOCAL, (segment,), NOW, NOW + life_s
    )


@pytest.mark.parametrize(
    ("name", "payload", "source"),
    [
        ("setpoint_w", "null", "setpoint"),
        ("setpoint_w", '{"value": null}', "setpoint"),
        ("mode", "auto", "setpoint"),
        ("enable", "ON", "enable"),
        ("charge_limit_w", "null", "charge_limit"),
        ("setpoint_w", '{"value": 5, "ttl_s": 0}', "setpoint"),
    ],
)
def test_withdrawn(name: str, payload: str, source: str) -> None:
    signal = told(core(), name, payload)
    assert signal.source == f"mqtt.{source}"
    assert signal.valid_until_mono == NOW


def test_local_generation_bounds_nothing_and_must_be_named() -> None:
    signal = told(core(commands=("generation_w",)), "generation_w", "1500", evse=0)
    assert signal.segments == (Segment(NOW, LIMITS, generation_w=1500.0),)
    with pytest.raises(Refused, match=r"not in grid\.mqtt"):
        told(core(), "generation_w", "1500")


def test_the_whole_station() -> None:
    signal = told(core(), "setpoint_w", "-12000", evse=0)
    assert signal.evse_id == 0
    assert signal.segments[0].setpoint_w == -12_000.0


@pytest.mark.parametrize(
    ("name", "payload", "request_"),
    [
        (
            "promise",
            {"departure_in_s": 3600, "soc_pct": 80},
            PromiseRequest(1, NOW + 3600, 80.0),
        ),
        (
            "promise",
            {
                "departure_utc": "2026-11-25T13:00:00Z",
                "soc_pct": 80,
                "floor_soc_pct": 9,
            },
            PromiseRequest(1, 3600.0, 80.0, 9.0),
        ),
        ("promise", None, PromiseRequest(1, None)),
        ("session", "start", StartRequest(1, Token("mqtt", "Local"))),
        ("session", "stop", StopRequest(1, StopReason.LOCAL)),
        ("operative", False, AvailabilityRequest(1, operative=False)),
    ],
)
def test_requests(name: str, payload: Any, request_: Any) -> None:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    assert told(core(), name, text) == request_


def test_time_on_the_way_counts_against_the_life() -> None:
    door = core()
    sent = UTC0.isoformat()  # 100 s before now
    payload = json.dumps({"value": -100, "ttl_s": 130, "sent_utc": sent})
    assert told(door, "setpoint_w", payload).valid_until_mono == NOW + 30.0
    with pytest.raises(Refused, match="not newer"):
        told(door, "setpoint_w", payload)
    late = json.dumps({"value": -1, "ttl_s": 50, "sent_utc": "2026-11-25T12:00:01Z"})
    with pytest.raises(Refused, match="99 s ago"):
        told(door, "setpoint_w", late)
    far = json.dumps({"value": -1, "ttl_s": 50, "sent_utc": "2030-01-01T00:00:00Z"})
    with pytest.raises(Refused, match="in the future"):
        told(door, "setpoint_w", far)
    assert door.refused == {"replayed": 1, "stale": 2}


def test_without_a_trusted_clock_the_stamp_only_orders() -> None:
    door = core()
    payload = json.dumps({"value": 1, "ttl_s": 9, "sent_utc": "2030-01-01T00:00:00Z"})
    signal = told(door, "setpoint_w", payload, trusted=False)
    assert signal.valid_until_mono == NOW + 9.0
    with pytest.raises(Refused, match="not newer"):
        told(door, "setpoint_w", payload, trusted=False)


def test_a_stamp_of_the_future_is_forgotten_when_the_time_is_known() -> None:
    """It was taken while nobody could tell; kept, it would close the command."""
    door = core()
    far = json.dumps({"value": 1, "ttl_s": 9, "sent_utc": "2030-01-01T00:00:00Z"})
    told(door, "setpoint_w", far, trusted=False)
    sent = (UTC0 + timedelta(seconds=99)).isoformat()
    payload = json.dumps({"value": -100, "ttl_s": 9, "sent_utc": sent})
    assert told(door, "setpoint_w", payload).valid_until_mono == NOW + 8.0
    with pytest.raises(Refused, match="not newer"):
        told(door, "setpoint_w", payload)


def test_a_promise_to_no_vehicle_is_refused_not_dropped() -> None:
    door = core()
    given = report()
    nobody = replace(given.snapshot.session, phase=SessionPhase.IDLE)
    door.report(replace(given, snapshot=replace(given.snapshot, session=nobody)))
    wish = json.dumps({"departure_in_s": 3600, "soc_pct": 80})
    with pytest.raises(Refused, match="plug it in first"):
        told(door, "promise", wish)
    assert door.refused == {"no_vehicle": 1}
    told(door, "promise", "null")  # there is none, as is asked
    door.report(report(mono=NOW + 60.0))
    assert isinstance(told(door, "promise", wish, mono=NOW + 60.0), PromiseRequest)


def test_a_flood_is_cut_off_and_ends() -> None:
    door = core(commands_per_s=5.0)
    taken = 0
    for _ in range(100):
        with contextlib.suppress(Refused):
            told(door, "setpoint_w", "1")
            taken += 1
    assert (taken, door.refused) == (20, {"flood": 80})
    assert told(door, "setpoint_w", "1", evse=2).evse_id == 2  # others are heard
    assert told(door, "setpoint_w", "1", mono=NOW + 0.2).evse_id == 1


def test_state_is_told_each_second_and_news_at_once() -> None:
    door = core()
    list(door.greet())

    def topics(mono: float, **changes: Any) -> list[str]:
        return [out.topic for out in door.report(report(mono=mono, **changes))]

    first = topics(100.0)
    assert first[0] == "chargerd/CS1/evse/1/state"
    assert {f"chargerd/CS1/evse/1/{key}/state" for key in PLAIN} < set(first)
    assert topics(100.5) == []
    assert topics(101.0) == ["chargerd/CS1/evse/1/state"]  # nothing else changed
    assert topics(101.1, source="plan") == []  # not more often than EARLY_S
    assert topics(101.2, source="plan") == [
        "chargerd/CS1/evse/1/state",
        "chargerd/CS1/evse/1/source/state",
    ]
    assert topics(101.25, source="plan") == []


def test_what_the_state_says() -> None:
    out = core().report(report())[0]
    state = json.loads(out.payload)
    assert out.retain
    assert (state["power_w"], state["setpoint_w"]) == (-2990.0, -3000.0)
    assert state["high_w"] is None  # infinity is no JSON
    assert state["flexibility"] == {
        "up_w": 3000.0,
        "down_w": 9000.0,
        "reserve_up_w": 0.0,
        "reserve_down_w": 0.0,
        "up_wh": 10_000.0,
        "down_wh": 20_000.0,
        "until_s": None,
    }
    assert b"CANARY" not in out.payload


@pytest.mark.parametrize(
    ("phase", "fault", "letter"),
    [
        (SessionPhase.IDLE, "", "A"),
        (SessionPhase.CONNECTED, "", "B"),
        (SessionPhase.SUSPENDED_EV, "", "B"),
        (SessionPhase.FINISHED, "", "B"),
        (SessionPhase.ENERGY, "", "C"),
        (SessionPhase.ENERGY, "CsmsLost", "C"),  # stops nothing
        (SessionPhase.FINISHED, "GroundFailure", "F"),
    ],
)
def test_evcc_s_letter(phase: SessionPhase, fault: str, letter: str) -> None:
    given = report()
    session = replace(given.snapshot.session, phase=phase)
    faults = (ActiveFault(fault, 1, UTC0),) if fault else ()
    snapshot = replace(given.snapshot, session=session, faults=faults)
    out = core().report(replace(given, snapshot=snapshot))[0]
    assert json.loads(out.payload)["status"] == letter


def test_enabled_is_false_while_the_command_lives() -> None:
    door = core()
    told(door, "enable", '{"value": "OFF", "ttl_s": 5}')

    def word(mono: float) -> bytes:
        outs = door.report(report(mono=mono))
        return {o.topic: o.payload for o in outs}["chargerd/CS1/evse/1/enabled/state"]

    assert word(101.0) == b"false"
    assert word(106.0) == b"true"


def test_discovery_names_only_what_is_allowed() -> None:
    door = core(commands=("mode", "setpoint_w"))
    outs = {o.topic: json.loads(o.payload) for o in list(door.greet())[1:]}
    kinds = {topic.split("/")[1] for topic in outs}
    assert kinds == {"sensor", "binary_sensor", "number", "select"}
    number = outs["homeassistant/number/CS1_evse1/setpoint_w/config"]
    assert (number["min"], number["max"]) == (-6000.0, 7000.0)
    assert number["command_topic"] == "chargerd/CS1/evse/1/setpoint_w/set"
    assert number["availability_topic"] == "chargerd/CS1/status"
    ids = [payload["unique_id"] for payload in outs.values()]
    assert len(set(ids)) == len(ids)


NUMBERS = {
    "setpoint_w": (-6000.0, 7000.0),
    "charge_limit_w": (0.0, 7000.0),
    "discharge_limit_w": (0.0, 6000.0),
}


@pytest.mark.parametrize(
    ("command", "evse", "controls"),
    [
        ("setpoint_w", {}, {"number/setpoint_w"}),
        ("charge_limit_w", {}, {"number/charge_limit_w"}),
        ("discharge_limit_w", {}, {"number/discharge_limit_w"}),
        ("discharge_limit_w", {"discharge_w": 0.0}, set()),  # it has no such side
        ("mode", {}, {"select/wish"}),
        ("enable", {}, {"switch/enable"}),
        ("operative", {}, {"switch/operative"}),
        ("session", {}, {"button/start", "button/stop"}),
        ("promise", {}, set()),
    ],
)
def test_each_command_has_its_controls(
    command: str, evse: dict[str, float], controls: set[str]
) -> None:
    made = config(mqtt={"commands": [command]})
    assert made.grid.mqtt is not None
    evses = (made.evse[0].model_copy(update=evse),)
    station = made.station.model_copy(update={"id": "Süd 1/2"})
    outs = dict(entities(made.grid.mqtt, station, evses, "p/CS1", "1.0"))
    found = {}
    for topic, payload in outs.items():
        prefix, component, node, key, end = topic.split("/")
        assert (prefix, node, end) == ("homeassistant", "S_d_1_2_evse1", "config")
        assert None not in payload.values()
        if component not in ("sensor", "binary_sensor"):
            found[f"{component}/{key}"] = payload
            assert payload["command_topic"] == f"p/CS1/evse/1/{command}/set"
        if component == "number":
            assert (payload["min"], payload["max"]) == NUMBERS[key]
    assert found.keys() == controls


@pytest.mark.parametrize(("discharge_w", "gives"), [(6000.0, True), (0.0, False)])
def test_the_wish_to_discharge_is_for_those_that_can(
    discharge_w: float, gives: bool
) -> None:
    made = config(mqtt={"commands": ["mode"]})
    assert made.grid.mqtt is not None
    evses = (made.evse[0].model_copy(update={"discharge_w": discharge_w}),)
    outs = dict(entities(made.grid.mqtt, made.station, evses, "p/CS1", "1.0"))
    wish = outs["homeassistant/select/CS1_evse1/wish/config"]
    assert ("discharge" in wish["options"]) is gives
    assert "charge" in wish["options"]


def test_home_assistant_s_birth_brings_discovery_again() -> None:
    door = core()
    outs = door.receive("homeassistant/status", b"online", at(NOW))
    assert isinstance(outs, list)
    assert len(outs) == len(list(door.greet())) - 1
    assert door.receive("homeassistant/status", b"online", at(NOW), retained=True) == []
    silent = core(discovery="")
    assert [o.topic for o in silent.greet()] == ["chargerd/CS1/status"]
    assert silent.subscriptions == (
        "chargerd/CS1/evse/+/+/set",
        "chargerd/CS1/prices/set",
    )


def test_prices_are_for_the_planner() -> None:
    payload = {
        "currency": "JPY",
        "until_utc": "2026-11-25T14:00:00Z",
        "parts": [
            {"start_utc": "2026-11-25T12:00:00Z", "buy_per_kwh": 31.5},
            {
                "start_utc": "2026-11-25T22:00:00+09:00",
                "buy_per_kwh": -2,
                "sell_per_kwh": 8.5,
                "co2_g_per_kwh": 410,
            },
        ],
    }
    found = core().receive(
        "chargerd/CS1/prices/set", json.dumps(payload).encode(), at(NOW), retained=True
    )
    parts = (PricePart(0.0, 31.5), PricePart(3600.0, -2.0, 8.5, 410.0))
    assert found == PriceSeries("mqtt", parts, 7200.0, "JPY", 10)
