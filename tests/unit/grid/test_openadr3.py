"""The OpenADR 3 VEN's core: events to signals, lists that differ, membership.

Rules: OpenADR 3.1.1 User Guide 7.3 (timing), 8.10 (capacities).
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from chargerd.grid.openadr3_words import Refused, seconds, share, start
from chargerd.model import Priority
from tests.unit.grid.openadr3_stand import Stand, event, interval, payload, sized
from tests.unit.grid.stand import report

SET, LIMIT, ALERT = ("openadr3.set", 0), ("openadr3.limit", 0), ("openadr3.alert", 0)
CHARGE_W, DISCHARGE_W = 7000.0, 6000.0  # of an EVSE; the station has two


def one(kind: str, value: Any, unit: str = "", **changes: Any) -> dict[str, Any]:
    described = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind}
    changes = {"payloadDescriptors": [{**described, "units": unit}], **changes}
    return event("E1", interval(payload(kind, value)), **changes)


@pytest.mark.parametrize(
    ("told", "key", "value"),
    [
        (one("DISPATCH_SETPOINT", -3), SET, -3000.0),
        (one("DISPATCH_SETPOINT", 2500, "W"), SET, 2500.0),
        (one("DISPATCH_SETPOINT", -9e5, "KW"), SET, -2 * DISCHARGE_W),
        (one("SIMPLE", 1), LIMIT, (CHARGE_W, None)),
        (one("SIMPLE", 2), LIMIT, (0.0, None)),
        (one("IMPORT_CAPACITY_LIMIT", 4.0, "KW"), LIMIT, (4000.0, None)),
        (one("EXPORT_CAPACITY_LIMIT", 2.0, "KW"), LIMIT, (None, -2000.0)),
        (one("EXPORT_CAPACITY_LIMIT", 0), LIMIT, (None, 0.0)),
        (one("IMPORT_CAPACITY_SUBSCRIPTION", 3.0), LIMIT, (3000.0, None)),
        (one("ALERT_GRID_EMERGENCY", "help"), LIMIT, (0.0, None)),
        (one("ALERT_BLACK_START", "help"), LIMIT, (0.0, None)),
    ],
)
def test_what_a_payload_asks(told: dict[str, Any], key: Any, value: Any) -> None:
    stand = Stand()
    assert stand.asked(told) == {key: [(0.0, value)]}


@pytest.mark.parametrize("kind", ["OLS", "CURVE", "SIMPLE", "ALERT_WIND", "PRICE"])
def test_what_asks_for_no_power(kind: str) -> None:
    """Unknown types are left out, SIMPLE 0 is normal, alerts are for people."""
    value = "storm" if kind == "ALERT_WIND" else 0
    stand = Stand()
    assert stand.asked(one(kind, value)) == {}
    assert stand.ven.status()["refused"] == {}
    texts = {"ALERT_WIND": "storm"} if kind == "ALERT_WIND" else {}
    assert stand.ven.alerts(stand.now) == texts


def test_levels_and_alerts_may_discharge() -> None:
    stand = Stand(levels=[0.5, 0.0, -0.5], alert=-1.0)
    assert stand.asked(one("SIMPLE", 3)) == {SET: [(0.0, -DISCHARGE_W)]}
    stand.tell(one("ALERT_FLEX_ALERT", "x", modificationDateTime="2026-11-25T13"))
    stand.mono += 1.0
    signals = {s.source: s for s in stand.tick().signals}
    assert signals["openadr3.alert"].priority is Priority.EMERGENCY
    assert signals["openadr3.alert"].segments[0].setpoint_w == -2 * DISCHARGE_W
    assert signals["openadr3.set"].segments == ()  # withdrawn


def test_charge_state_by_fraction_percent_and_kwh() -> None:
    """From 22 kWh of 40 in ten minutes: towards the target, within the rating."""
    for value, unit, power_w in (
        (0.56, "PERCENT", 2400.0),
        (56, "PERCENTAGE", 2400.0),
        (22.4, "KWH", 2400.0),
        (0.0, "PERCENT", -DISCHARGE_W),
    ):
        stand = Stand()
        stand.ven.report(sized())
        found = stand.asked(one("CHARGE_STATE_SETPOINT", value, unit))
        assert found == {("openadr3.set", 1): [(0.0, pytest.approx(power_w))]}


def test_relative_setpoints_keep_what_they_are_relative_to() -> None:
    stand = Stand()
    stand.ven.report(report(1, power_w=4000.0))
    told = one("DISPATCH_SETPOINT_RELATIVE", -1.5, "KW")
    assert stand.asked(told) == {SET: [(0.0, 2500.0)]}
    stand.ven.report(report(1, power_w=2500.0))  # it followed
    stand.mono += 20.0
    assert stand.asked() == {SET: [(0.0, 2500.0)]}


def test_capacities_count_over_events() -> None:
    """A limit stands above the subscription of another event; after it, the latter and
    what is reserved count (8.10.1)."""
    limit = one("IMPORT_CAPACITY_LIMIT", 5)
    always = {"start": "0001-01-01", "duration": "P9999Y"}
    base = one("IMPORT_CAPACITY_SUBSCRIPTION", 2, intervalPeriod=always) | {"id": "E2"}
    more = one("IMPORT_CAPACITY_RESERVATION", 1, intervalPeriod=always) | {"id": "E3"}
    found = Stand().asked(limit, base, more)
    assert found == {LIMIT: [(0.0, (5000.0, None)), (600.0, (3000.0, None))]}


def test_intervals_follow_each_other_or_say_when() -> None:
    told = event(
        "E1",
        interval(payload("DISPATCH_SETPOINT", -1)),
        interval(payload("DISPATCH_SETPOINT", -2), duration="PT1M"),
        interval(payload("DISPATCH_SETPOINT", -3), start="2026-11-25T12:15:00Z"),
    )
    assert Stand().asked(told)[SET] == [
        (0.0, -1000.0),
        (600.0, -2000.0),
        (660.0, (None, None)),
        (800.0, -3000.0),
    ]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        ("PT5M", [(0.0, -1000.0)]),
        ("PT25M", [(0.0, -1000.0), (600.0, 2000.0), (1200.0, -1000.0)]),
    ],
)
def test_an_events_duration_cuts_or_repeats(length: str, expected: Any) -> None:
    pair = [interval(payload("DISPATCH_SETPOINT", v)) for v in (-1, 2)]
    stand = Stand(hold_s=3600)
    assert stand.asked(event("E1", *pair, duration=length))[SET] == expected


def test_a_daily_cycle_for_ever_is_read_far_into_it() -> None:
    """24 hourly prices that began years ago (7.3, event.duration)."""
    hours = [interval(payload("PRICE", h), ident=h) for h in range(24)]
    told = event(
        "E1",
        *hours,
        intervalPeriod={"start": "2021-01-01T00:00:00Z", "duration": "PT1H"},
        duration="P9999Y",
    )
    stand = Stand()
    stand.tell(told)
    series = stand.tick().prices
    assert series is not None
    assert [p.buy_per_kwh for p in series.parts][:14] == [*range(12, 24), 0, 1]
    assert series.until_mono - stand.mono > 86_400.0


def test_prices_with_export_and_co2() -> None:
    told = event(
        "E1",
        interval(
            payload("PRICE", 20, 30, 40),
            payload("EXPORT_PRICE", 8),
            payload("GHG", 450.0, 400.0, 350.0),
        ),
        payloadDescriptors=[
            {"payloadType": "PRICE", "units": "KWH", "currency": "JPY"}
        ],
    )
    stand = Stand()
    stand.tell(told)
    series = stand.tick().prices
    assert series is not None
    assert series.currency == "JPY"
    rows = [(p.buy_per_kwh, p.sell_per_kwh, p.co2_g_per_kwh) for p in series.parts]
    assert rows == [(20.0, 8.0, 450.0), (30.0, 8.0, 400.0), (40.0, 8.0, 350.0)]
    assert [p.start_mono for p in series.parts] == pytest.approx([100.0, 300.0, 500.0])
    stand.tell()
    over = stand.tick().prices
    assert over is not None
    assert over.until_mono <= stand.mono


def test_do_it_now_begins_when_it_is_first_told() -> None:
    told = one("DISPATCH_SETPOINT", -2)
    told["intervalPeriod"] = {"start": "0001-01-01T00:00:00", "duration": "PT10M"}
    stand = Stand()
    stand.tell(told)
    began = stand.mono
    stand.tick()
    stand.mono += 400.0
    stand.tell(told)
    assert stand.tick().signals[0].valid_until_mono == pytest.approx(began + 600.0)


def test_randomised_start_is_this_vens_own_in_both_directions() -> None:
    told = one("DISPATCH_SETPOINT", -2)
    told["intervalPeriod"] |= {
        "start": "2026-11-25T12:10:00Z",
        "randomizeStart": "PT5M",
    }
    shifts = set()
    for name in ("a", "b", "c", "d", "e", "f"):
        stand = Stand(ven_name=name)
        stand.tell(told)
        (made,) = stand.tick().signals
        shift_s = made.segments[1].start_mono - 600.0  # 12:10
        assert shift_s == pytest.approx(300.0 * share(f"{name}/E1"))
        shifts.add(round(shift_s))
    assert len(shifts) == 6
    assert min(shifts) < 0 < max(shifts)


def test_the_lower_number_wins_and_none_is_last() -> None:
    low = one("DISPATCH_SETPOINT", 1, priority=5)
    high = one("DISPATCH_SETPOINT", 2, priority=0) | {"id": "E2"}
    none = one("DISPATCH_SETPOINT", 3) | {"id": "E3"}
    assert Stand().asked(low, high, none)[SET][0] == (0.0, 2000.0)
    assert Stand().asked(low, none)[SET][0] == (0.0, 1000.0)


@pytest.mark.parametrize(
    ("targets", "evse", "refused"),
    [
        (None, 0, {}),
        ([], 0, {}),
        (["group-1"], 0, {}),  # 3.1: the VTN shows only what is ours
        (["evse2"], 2, {}),
        (["evse1", "evse2"], 0, {}),
        (["north"], 2, {}),  # a target that the VTN gave to the second resource
        ([{"type": "VEN_NAME", "values": ["charger"]}], 0, {}),
        ([{"type": "RESOURCE_NAME", "values": ["evse1"]}], 1, {}),
        ([{"type": "VEN_NAME", "values": ["other"]}], None, {"target": 1}),
    ],
)
def test_targets(targets: Any, evse: int | None, refused: dict[str, int]) -> None:
    stand = Stand()
    stand.vens = [{"id": "V1", "venName": "charger"}]
    stand.resources = [
        {"id": "R1", "resourceName": "evse1"},
        {"id": "R2", "resourceName": "evse2", "targets": ["north"]},
    ]
    found = stand.asked(event(targets=targets))
    assert set(found) == (set() if evse is None else {("openadr3.set", evse)})
    assert stand.ven.status()["refused"] == refused


def test_a_target_that_moves_takes_its_event_along() -> None:
    stand = Stand()
    stand.vens = [{"id": "V1", "venName": "charger"}]
    north = {"id": "R1", "resourceName": "evse1", "targets": ["north"]}
    stand.resources = [north, {"id": "R2", "resourceName": "evse2"}]
    always = {"start": "2026-11-25T12:00:00Z", "duration": "P1D"}
    told = event(targets=["north"], intervalPeriod=always)
    assert list(stand.asked(told)) == [("openadr3.set", 1)]
    stand.resources = [{**north, "resourceName": "evse2"}]
    stand.mono += 600.0  # it is looked at anew
    found = stand.asked(told)
    assert found == {
        ("openadr3.set", 1): [],
        ("openadr3.set", 2): [(0.0, -3000.0)],
    }


def test_own_groups_refuse_others() -> None:
    stand = Stand(targets=["group-1"])
    ours, theirs = event(targets=["group-1"]), event("E2", targets=["group-2"])
    assert list(stand.asked(ours, theirs)) == [SET]
    assert stand.ven.status()["refused"] == {"target": 1}


def test_only_the_programs_that_are_followed() -> None:
    stand = Stand(programs=["demand"])
    other = event("E2", programID="P2")
    stand.tell(event(), other)
    assert set(stand.ven.events.alive) == {"E1"}
    assert stand.ven.status()["refused"] == {"program": 1}


# -- lists that differ ---------------------------------------------------------------


def test_a_deleted_event_ends_at_once() -> None:
    stand = Stand()
    stand.asked(event())
    stand.tell()
    (made,) = stand.tick().signals
    assert (made.source, made.segments) == ("openadr3.set", ())
    assert made.valid_until_mono <= stand.mono
    assert (stand.ven.status()["accepted"], stand.ven.status()["deleted"]) == (1, 1)
    assert stand.tick().signals == []  # withdrawn once


def test_a_changed_event_changes_and_an_older_one_does_not() -> None:
    stand = Stand()
    stand.asked(event())
    newer = one("DISPATCH_SETPOINT", 1, modificationDateTime="2026-11-25T12:30:00Z")
    assert stand.asked(newer)[SET][0][1] == 1000.0
    stand.mono += 20.0
    assert stand.asked(event())[SET][0][1] == 1000.0
    assert stand.ven.status()["refused"] == {"replayed": 1}


@pytest.mark.parametrize("second", ["2026-11-25T12:01:40.123Z", "12:22:12", None])
def test_stamps_of_any_form_let_a_change_in(second: str | None) -> None:
    """As texts, "40.123Z" would come before "40Z"."""
    stand = Stand()
    stand.asked(event())
    newer = one("DISPATCH_SETPOINT", 1, modificationDateTime=second)
    assert stand.asked(newer)[SET][0][1] == 1000.0


def test_cancelled_by_a_window_without_length() -> None:
    """7.9: start "0001-01-01", duration "PT0S"."""
    stand = Stand()
    stand.asked(event())
    none = {"start": "0001-01-01", "duration": "PT0S"}
    stand.tell(event(intervalPeriod=none, modificationDateTime="2026-11-25T12:30:00Z"))
    assert stand.tick().signals[0].segments == ()
    assert stand.ven.events.alive == {}


def test_wishes_end_in_silence_and_caps_do_not() -> None:
    long = {"start": "2026-11-25T12:00:00Z", "duration": "PT5H"}
    cap = one("IMPORT_CAPACITY_LIMIT", 5, intervalPeriod=long) | {"id": "E2"}
    stand = Stand()
    stand.tell(event(intervalPeriod=long), cap)
    heard = stand.mono
    assert {s.valid_until_mono for s in stand.tick().signals} == {heard + 900.0}
    for _ in range(100):
        stand.mono += 20.0
        if (call := stand.next()) is not None:
            stand.ven.failed(call, "timeout", stand.now)
        stand.tick()
    stand.mono += 20.0
    assert set(stand.asked()) == {LIMIT}
    assert not stand.ven.status()["connected"]


def test_failures_wait_longer_each_time() -> None:
    stand = Stand()
    waits = []
    for _ in range(8):
        while (call := stand.next()) is None:
            stand.mono += 0.5
        stand.ven.failed(call, "timeout", stand.now)
        waits.append(stand.mono)
    gaps = [b - a for a, b in pairwise(waits)]
    assert gaps == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_pages_make_one_list() -> None:
    many = [event(f"E{n}") for n in range(60)]
    stand = Stand()
    stand.rest_until_events()
    for skip in (0, 50):
        call = stand.calls[-1] if not skip else stand.next()
        assert call is not None
        assert f"skip={skip}&" in call.url
        stand.answer(call, many[skip : skip + 50])
    assert len(stand.ven.events.alive) == 60


def test_without_a_clock_the_vtns_date_counts() -> None:
    stand = Stand()
    stand.trusted = False
    stand.tell(event())
    assert stand.tick().signals == []
    stand.mono += 60.0
    call = stand.next()
    assert call is not None
    date = stand.now.utc.replace(hour=12, minute=4, second=0)
    stand.answer(call, [event()], date=date)
    assert stand.asked()[SET] == [(0.0, -3000.0)]


# -- token and membership ------------------------------------------------------------


def test_client_credentials() -> None:
    stand = Stand(client_id="me", client_secret="CANARY", scope="read_targets")
    call = stand.next()
    assert call is not None
    assert (call.method, call.url) == ("GET", "http://127.0.0.1:1/v3/auth/server")
    stand.answer(call, {"tokenURL": "https://auth.example/token"})
    call = stand.next()
    assert call is not None
    assert call.url == "https://auth.example/token"
    assert call.body == (
        b"grant_type=client_credentials&client_id=me&client_secret=CANARY"
        b"&scope=read_targets"
    )
    assert "CANARY" not in repr(call)
    token = {"token_type": "Bearer", "expires_in": 100}
    stand.answer(call, {**token, "access_token": "T1"})
    call = stand.next()
    assert call is not None
    assert call.headers["Authorization"] == "Bearer T1"
    stand.mono += 81.0
    renewed = stand.next()
    assert renewed is not None
    assert renewed.kind == "token"
    # A token that the VTN does not like is not shown again.
    stand.answer(renewed, {**token, "access_token": "T2"})
    call = stand.next()
    assert call is not None
    stand.answer(call, None, 401)
    stand.mono += 2.0
    again = stand.next()
    assert again is not None
    assert again.kind == "token"


@pytest.mark.parametrize(
    "url", ["http://evil.example/token", "ftp://x", "https://[", "", None]
)
def test_the_secret_does_not_go_without_tls(url: Any) -> None:
    stand = Stand(client_id="me", client_secret="x")
    call = stand.next()
    assert call is not None
    stand.answer(call, {"tokenURL": url})
    stand.mono += 2.0
    call = stand.next()
    assert call is not None
    assert call.kind == "auth"
    assert stand.ven.status()["refused"] == {"token url": 1}


def test_a_token_server_that_has_moved_is_found_again() -> None:
    stand = Stand(client_id="me", client_secret="x")
    kinds = []
    for body, status in (({"tokenURL": "https://old.example"}, 200), (None, 404)) * 2:
        call = stand.next()
        assert call is not None
        kinds.append(call.kind)
        stand.answer(call, body, status)
        stand.mono += 5.0
    assert kinds == ["auth", "token"] * 2


@pytest.mark.parametrize(
    ("version", "paths"),
    [
        ("3.1", ["/vens", "/resources?venID=V1", "/resources", "/resources"]),
        (
            "3.0",
            ["/vens", "/vens/V1/resources", "/vens/V1/resources", "/vens/V1/resources"],
        ),
    ],
)
def test_we_make_ourselves_known(version: str, paths: list[str]) -> None:
    stand = Stand(version=version)
    stand.tell()
    made = [call.url.removeprefix("http://127.0.0.1:1/v3") for call in stand.calls]
    assert made == ["/vens?venName=charger", *paths, "/events?skip=0&limit=50"]
    bodies = [json.loads(call.body) for call in stand.calls if call.method == "POST"]
    words = ["VEN", "RESOURCE", "RESOURCE"]
    if version == "3.1":
        words = ["VEN_VEN_REQUEST", "VEN_RESOURCE_REQUEST", "VEN_RESOURCE_REQUEST"]
    assert [body["objectType"] for body in bodies] == words
    assert [body.get("resourceName") for body in bodies] == [None, "evse1", "evse2"]


def test_a_vtn_without_vens_is_followed() -> None:
    stand = Stand()
    call = stand.next()
    assert call is not None
    stand.answer(call, None, 404)
    assert stand.asked(event()) == {SET: [(0.0, -3000.0)]}


@pytest.mark.parametrize("reason", ["size", "malformed"])
def test_what_a_vtn_says_of_us_may_be_no_answer(reason: str) -> None:
    """Its events are asked for all the same."""
    stand = Stand(programs=["demand"])
    for kind in ("programs", "find ven"):
        call = stand.next()
        assert call is not None
        assert call.kind == kind
        stand.ven.failed(call, reason, stand.now)
        stand.mono += 60.0
    call = stand.next()
    assert call is not None
    assert call.kind == "events"


def test_half_a_list_of_programs_forgets_none() -> None:
    stand = Stand(programs=["demand"])
    assert stand.asked(event()) == {SET: [(0.0, -3000.0)]}
    stand.mono += 601.0
    rows = [{"id": f"X{n}", "programName": f"other {n}"} for n in range(50)]
    for body, status in ((rows, 200), (None, 500)):
        call = stand.next()
        assert call is not None
        assert call.kind == "programs"
        stand.answer(call, body, status)
    stand.rest_until_events()
    stand.answer(stand.calls[-1], [event(intervals=[interval(payload("SIMPLE", 2))])])
    assert stand.ven.status()["refused"] == {"programs 500": 1}
    assert set(stand.ven.events.alive) == {"E1"}


# -- over restarts -------------------------------------------------------------------


def test_events_live_on_in_the_next_run() -> None:
    stand = Stand(programs=["demand"])
    stand.ven.report(report(1, power_w=4000.0))
    stand.tell(one("DISPATCH_SETPOINT_RELATIVE", -1, priority=0), event("E2"))
    kept = stand.tick().save
    again = Stand(saved=json.loads(json.dumps(kept)), programs=["demand"])
    again.mono = stand.mono + 60.0
    again.ven.report(report(1, power_w=0.0))
    (made,) = again.tick().signals
    assert made.segments[0].setpoint_w == 3000.0  # not from 0 W
    assert made.valid_until_mono <= stand.mono + 900.0
    assert set(again.ven.events.alive) == {"E1", "E2"}
    again.tell(event("E2"))
    assert set(again.ven.events.alive) == {"E2"}


# -- words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("PT1H", 3600.0), ("P1DT2M", 86_520.0), ("P2W", 1_209_600.0), ("PT0.5S", 0.5)],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text, 9.0) == value
    assert seconds(None, 9.0) == 9.0
    assert seconds("P9999Y", 9.0) == float("inf")


@pytest.mark.parametrize("text", ["", "PT", "-PT1H", "P1M", "1H", 5, "PT1H\n"])
def test_durations_that_are_none(text: Any) -> None:
    if text == "":
        assert seconds(text, 9.0) == 9.0
        return
    with pytest.raises(Refused):
        seconds(text, 9.0)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "0001-01-01T00:00:00", "0000-01-01", None]
)
def test_now(text: Any) -> None:
    assert start({"start": text}) is None
