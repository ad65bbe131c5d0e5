"""The OpenADR 2.0b VEN's core: events to signals, lists that differ, failing VTNs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargerd.config_grid import Openadr2
from chargerd.grid.openadr2_events import share
from chargerd.grid.openadr2_words import Call, Refused, seconds, utc
from chargerd.model import EvseReport, OperationMode, Priority, Reason
from tests.unit.grid.openadr2_stand import POWER, URL, Stand, event, signal
from tests.unit.grid.stand import report

SET, LIMIT = ("openadr2.set", 0), ("openadr2.limit", 0)


def opts(call: Call | None) -> list[tuple[str, str, int]]:
    """What an oadrCreatedEvent says."""
    if call is None:
        return []
    responses = call.payload["event_responses"]
    return [(r["event_id"], r["opt_type"], r["response_code"]) for r in responses]


def sized(evse_id: int = 1, **changes: Any) -> EvseReport:
    """With a vehicle of 40 kWh at 55 %."""
    made = report(evse_id, **changes)
    vehicle = replace(made.snapshot.vehicle, capacity_wh=40_000.0)
    return replace(made, snapshot=replace(made.snapshot, vehicle=vehicle))


# -- events to signals ---------------------------------------------------------------


def simple(level: int) -> dict[str, Any]:
    return {"name": "SIMPLE", "type": "level", "intervals": [["PT1H", str(level)]]}


def control(kind: str, value: float, **changes: Any) -> dict[str, Any]:
    return signal(value, name="LOAD_CONTROL", type=f"x-loadControl{kind}", **changes)


CHARGE_W, DISCHARGE_W = 7000.0, 6000.0  # of an EVSE; the station has two


@pytest.mark.parametrize(
    ("told", "key", "value"),
    [
        (signal(-3000), SET, -3000.0),
        (signal(2.5, scale="k"), SET, 2500.0),
        (signal(-9e6), SET, -2 * DISCHARGE_W),
        (simple(1), LIMIT, CHARGE_W),
        (simple(2), LIMIT, 0.0),
        (simple(3), LIMIT, 0.0),
        (control("Capacity", 0.25), LIMIT, CHARGE_W / 2),
        (control("Setpoint", 1400, **POWER), LIMIT, 1400.0),
        (control("Setpoint", -1400, **POWER), LIMIT, 0.0),
    ],
)
def test_what_a_signal_means(
    told: dict[str, Any], key: tuple[str, int], value: float
) -> None:
    stand = Stand()
    stand.up(event("E1", told))
    found = stand.wishes()
    assert list(found) == [key]
    assert found[key][0] == (0.0, pytest.approx(value))


def test_level_0_says_nothing() -> None:
    stand = Stand()
    assert opts(stand.up(event("E1", simple(0)))) == [("E1", "optIn", 200)]
    assert stand.wishes() == {}


def test_a_negative_level_discharges_and_the_sign_can_be_turned() -> None:
    stand = Stand(levels=(0.5, -0.5, -1.0))
    stand.up(event("E1", simple(3)))
    assert stand.wishes()[SET][0][1] == pytest.approx(-2 * DISCHARGE_W)
    stand = Stand(positive="generation")
    stand.up(event("E1", signal(3000)))
    assert stand.wishes()[SET][0][1] == -3000.0


def test_intervals_follow_each_other_and_the_signal_ends_with_them() -> None:
    stand = Stand()
    stand.up(event("E1", signal(-1000, -2000), start="2026-11-25T12:03:20Z"))
    (made,) = stand.tick().signals
    assert [(s.start_mono, s.setpoint_w) for s in made.segments] == [
        (100.0, None),
        (200.0, -1000.0),
        (800.0, -2000.0),
    ]
    assert made.segments[0].mode is OperationMode.EXTERNAL_LIMITS  # says nothing
    assert made.priority is Priority.SETPOINT
    assert made.valid_until_mono == 1000.0  # hold_s; renewed as long as the VTN talks
    stand.mono = 850.0
    stand.tell(event("E1", signal(-1000, -2000), start="2026-11-25T12:03:20Z"))
    (made,) = stand.tick().signals
    assert made.valid_until_mono == 1400.0


def test_of_two_wishes_the_better_priority_counts_and_of_caps_the_least() -> None:
    stand = Stand()
    stand.up(
        event("low", signal(1000), priority="0"),
        event("high", signal(-2000), priority="1"),
        event("mid", signal(3000), priority="2"),
        event("a", control("Capacity", 0.5)),
        event("b", control("Capacity", 0.2)),
    )
    found = stand.wishes()
    assert found[SET][0][1] == -2000.0
    assert found[LIMIT][0][1] == pytest.approx(0.4 * CHARGE_W)


def test_targets() -> None:
    stand = Stand(resources=["left", "right"])
    call = stand.up(
        event("E1", resources=["right"]),
        event("E2", signal(1000), resources=["left", "right"]),
        event("E3", resources=["elsewhere"]),
        event("E4", vens=["another"]),
        event("E5", signal(500), vens=["007"], priority="9"),
    )
    assert opts(call)[2:4] == [("E3", "optOut", 462), ("E4", "optOut", 462)]
    found = stand.wishes()
    assert {key: value[0][1] for key, value in found.items()} == {
        ("openadr2.set", 2): -3000.0,
        SET: 1000.0,
    }


def test_a_charge_state_is_a_power_that_leads_there() -> None:
    stand = Stand()
    stand.ven.report(sized(1))
    stored = {"name": "CHARGE_STATE", "item": "energyReal", "unit": "Wh", "scale": "k"}
    stand.up(event("E1", signal(23, **stored, intervals=[["PT30M", "23"]])))
    assert stand.wishes() == {("openadr2.set", 1): [(0.0, pytest.approx(2000.0))]}
    share_of = {"name": "CHARGE_STATE", "type": "multiplier"}
    stand.tell(event("E2", signal(0.5, **share_of, intervals=[["PT30M", "0.5"]])))
    left_s = 1900.0 - stand.mono
    power_w = pytest.approx(-2000.0 * 3600.0 / left_s)
    assert stand.wishes() == {("openadr2.set", 1): [(0.0, power_w)]}


def test_a_test_event_is_answered_and_not_followed() -> None:
    stand = Stand()
    assert opts(stand.up(event(test="true"))) == [("E1", "optIn", 200)]
    assert stand.wishes() == {}


def test_the_start_is_delayed_by_a_part_that_is_this_vens_own() -> None:
    stand = Stand()
    stand.up(event(start_after="PT5M"))
    delay_s = share("007/E1") * 300.0
    assert 0.0 < delay_s < 300.0
    assert stand.wishes()[SET][1] == (pytest.approx(delay_s, abs=1e-3), -3000.0)
    assert share("007/E1") != share("008/E1")


# -- lists -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "alive", "cancelled"),
    [
        ([["a", "b"], ["b"]], {"b"}, {"implied": 1}),
        ([["a", "b"], []], set(), {"implied": 2}),
        ([["a"], ["a!"]], set(), {"told": 1}),
        ([["a"], ["b"], ["a"]], {"a"}, {"implied": 2}),
        ([["a!"]], set(), {}),
    ],
)
def test_what_is_not_in_the_list_is_cancelled(
    lists: list[list[str]], alive: set[str], cancelled: dict[str, int]
) -> None:
    def made(name: str) -> dict[str, Any]:
        return event(name[0], status="cancelled" if "!" in name else "active")

    stand = Stand()
    stand.up(*map(made, lists[0]))
    stand.tick()
    for names in lists[1:]:
        stand.tell(*map(made, names))
    assert stand.ven.events.alive.keys() == alive
    assert dict(stand.ven.events.cancelled) == cancelled


def test_a_cancelled_discharge_is_withdrawn_at_once() -> None:
    stand = Stand()
    stand.up(event())
    assert stand.wishes()
    stand.tell()
    (over,) = stand.tick().signals
    assert (over.source, over.segments) == ("openadr2.set", ())
    assert over.valid_until_mono == stand.mono


def test_an_empty_answer_to_the_question_for_all_is_an_empty_list() -> None:
    """As openleadr's VTN does it; to a poll it only means that there is no news."""
    stand = Stand()
    stand.up(event())
    stand.mono += 5.0
    stand.answer(stand.expect("poll"))
    assert stand.ven.events.alive
    stand.mono += 60.0
    stand.answer(stand.expect("events"))
    assert not stand.ven.events.alive


def test_a_modification_takes_the_place_and_an_old_one_is_refused() -> None:
    stand = Stand()
    stand.up(event())
    stand.tell(event("E1", signal(1500), modification="2"))
    assert stand.wishes()[SET][0][1] == 1500.0
    call = stand.tell(event("E1", signal(9000), modification="1"))
    assert opts(call) == [("E1", "optIn", 450)]
    assert stand.ven.status()["refused"] == {"replayed": 1}
    stand.tell(event("E1", signal(9000), modification="2"))  # known: not read anew
    assert stand.wishes()[SET][0][1] == 1500.0


def test_no_answer_where_none_is_wanted() -> None:
    assert Stand().up(event(response="never")) is None


# -- promises ------------------------------------------------------------------------


def test_opts_out_when_no_vehicle_can_give() -> None:
    stand = Stand()
    idle = report(power_w=0.0)
    assert idle.flexibility is not None
    stand.ven.report(replace(idle, flexibility=replace(idle.flexibility, up_w=0.0)))
    call = stand.up(event(), event("later", start="2026-11-25T14:00:00Z"))
    assert opts(call) == [("E1", "optOut", 200), ("later", "optIn", 200)]
    assert stand.ven.status()["refused"] == {"promise": 1}
    assert SET not in stand.wishes()


def test_leaves_an_event_that_the_promise_stands_above() -> None:
    stand = Stand()
    stand.ven.report(report())
    stand.up(event())
    won = (Reason("promise", "must-charge", 6000.0, 6000.0, won=True),)
    stand.ven.report(report(power_w=6000.0, reasons=won))
    stand.tick()
    stand.mono += 9.0
    stand.tick()
    assert stand.ven.events.alive["E1"].followed
    stand.mono += 1.5
    (over,) = stand.tick().signals
    assert over.segments == ()
    call = stand.expect("opt")
    found = {k: call.payload[k] for k in ("event_id", "opt_type", "opt_reason")}
    assert found == {"event_id": "E1", "opt_type": "optOut", "opt_reason": "mustRun"}
    stand.answer(call, "oadrCreatedOpt")
    assert opts(stand.tell(event())) == [("E1", "optOut", 200)]  # it stays so
    assert stand.wishes() == {}


# -- prices ----------------------------------------------------------------------------

YEN = {"item": "currencyPerKWh", "unit": "JPY", "scale": "none"}


def price(*values: float, **changes: Any) -> dict[str, Any]:
    return signal(*values, name="ELECTRICITY_PRICE", type="price", **YEN, **changes)


def test_prices_of_several_events_are_one_series_for_the_planner() -> None:
    stand = Stand()
    day = event("P1", price(20, 30), length="PT20M")
    more = event("P2", price(40), length="PT10M", start="2026-11-25T12:21:40Z")
    apart = event("P3", price(99), length="PT10M", start="2026-11-25T20:00:00Z")
    stand.up(more, apart, day)
    work = stand.tick()
    assert work.signals == []
    assert work.prices is not None
    parts = [(p.start_mono, p.buy_per_kwh) for p in work.prices.parts]
    assert parts == [(100.0, 20.0), (700.0, 30.0), (1300.0, 40.0)]
    assert work.prices.until_mono == 1900.0
    assert (work.prices.currency, work.prices.source) == ("JPY", "openadr2")
    stand.tell()
    over = stand.tick().prices
    assert over is not None
    assert over.until_mono == stand.mono  # the tariff counts again
    stand.tell()
    assert stand.tick().prices is None


@pytest.mark.parametrize("length", ["P7D", ""])
def test_a_price_of_many_days_is_told_on_each(length: str) -> None:
    stand = Stand()
    flat = {**price(20), "intervals": [["", "20"]]}
    stand.up(event("P1", flat, length=length))
    for day in range(3):
        stand.mono = 100.0 + day * 86_400.0 + 3600.0
        stand.tell(event("P1", flat, length=length))
        found = stand.tick().prices
        assert found is not None
        assert [p.buy_per_kwh for p in found.parts] == [20.0]
        assert found.until_mono >= stand.mono + 3600.0


# -- the VTN fails, forgets, restarts --------------------------------------------------


def test_failures_wait_longer_and_three_of_them_register_anew() -> None:
    stand = Stand()
    stand.up()
    waits = []
    for _ in range(5):
        stand.mono += 60.0
        call = stand.next()
        while call is not None and call.kind not in ("poll", "events", "register"):
            stand.answer(call)
            call = stand.next()
        assert call is not None
        began = stand.mono
        stand.fail(call)
        while stand.next() is None:
            stand.mono += 1.0
        waits.append(stand.mono - began)
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert stand.expect("register").payload["registration_id"] == "R1"


@pytest.mark.parametrize("code", ["200", "452"])
def test_reports_are_offered_until_the_vtn_has_heard(code: str) -> None:
    stand = Stand(sync_s=60)
    stand.register()
    stand.fail(stand.expect("reports"))
    offers: list[float] = []
    for second in range(300):
        stand.mono = 101.0 + second
        while (call := stand.next()) is not None:
            if call.kind == "reports":
                offers.append(stand.mono)
            if call.kind == "reports" and len(offers) < 3:
                stand.fail(call)
            else:
                stand.answer(call, code=code if call.kind == "reports" else "200")
    assert offers == [101.0, 161.0, 221.0]
    assert stand.ven.registered


@pytest.mark.parametrize("code", ["463", "452"])
def test_a_vtn_that_does_not_know_us_is_told(code: str) -> None:
    stand = Stand()
    stand.up(event())
    stand.mono += 5.0
    stand.answer(stand.expect("poll"), code=code)
    stand.mono += 2.0
    call = stand.register(registration_id="R2")
    assert (call.payload["ven_id"], call.payload["registration_id"]) == ("007", "R1")
    assert stand.wishes()[SET][0][1] == -3000.0  # until the new list is there
    stand.answer(stand.expect("reports"))
    stand.tell()
    (over,) = stand.tick().signals
    assert over.segments == ()


def test_asked_to_register_anew_it_answers_first() -> None:
    stand = Stand()
    stand.up()
    stand.mono += 5.0
    stand.answer(stand.expect("poll"), "oadrRequestReregistration")
    assert stand.expect("answer").message == "oadrResponse"
    stand.mono += 2.0
    stand.register()


def test_a_vtn_that_always_asks_to_register_anew_is_not_stormed() -> None:
    stand = Stand()
    asked_s = []
    while stand.mono < 400.0:
        call = stand.next()
        if call is None:
            stand.mono += 1.0
        elif call.kind == "register":
            asked_s.append(stand.mono - 100.0)
            stand.answer(call, ven_id="007", registration_id="R1", poll="PT1S")
        elif call.kind != "answer":
            stand.answer(call, "oadrRequestReregistration")
    assert asked_s == [0.0, 2.0, 6.0, 14.0, 30.0, 62.0, 122.0, 182.0, 242.0]


def test_a_registration_that_the_vtn_cancels_ends_all_events() -> None:
    stand = Stand()
    stand.up(event())
    stand.tick()
    stand.mono += 5.0
    stand.answer(stand.expect("poll"), "oadrCancelPartyRegistration")
    assert stand.expect("answer").message == "oadrCanceledPartyRegistration"
    (over,) = stand.tick().signals
    assert over.segments == ()
    assert stand.next() is None  # not at once again
    stand.mono += 60.0
    assert stand.expect("register").payload["registration_id"] is None


def test_a_refused_registration_is_tried_without_the_old_one() -> None:
    stand = Stand(saved={"ven_id": "old", "registration_id": "R0"})
    call = stand.expect("register")
    assert (call.payload["ven_id"], call.payload["registration_id"]) == ("old", "R0")
    stand.answer(call, "oadrCreatedPartyRegistration", code="452")
    stand.mono += 2.0
    payload = stand.register().payload
    assert (payload["ven_id"], payload["registration_id"]) == (None, None)


def test_without_a_word_for_the_hold_nothing_goes_on() -> None:
    stand = Stand(hold_s=120)
    stand.up(event())
    first = stand.tick().signals[0]
    assert first.valid_until_mono == stand.mono + 120.0
    stand.mono += 90.0
    again = stand.tick().signals[0]
    assert again.valid_until_mono == first.valid_until_mono
    stand.mono += 31.0
    assert [s.segments for s in stand.tick().signals] == [()]


def test_another_vtn_is_not_heard() -> None:
    stand = Stand(vtn_id="VTN1")
    stand.answer(stand.expect("register"), vtn_id="VTN2", ven_id="x", poll="PT5S")
    assert not stand.ven.registered
    assert stand.ven.status()["refused"] == {"another VTN": 1}


# -- over restarts, and clocks ---------------------------------------------------------


def test_a_restart_goes_on_with_what_is_left_of_the_hold() -> None:
    stand = Stand()
    hour = event("E1", signal(-3000, intervals=[["PT1H", "-3000"]]))
    stand.up(hour, event("no", signal(1, name="BID_LOAD")))
    saved = stand.tick().save
    assert saved is not None
    assert stand.tick().save is None  # not written again and again
    again = Stand(saved=saved)
    again.mono = 400.0
    (made,) = again.tick().signals
    assert made.segments[0].setpoint_w == -3000.0
    assert made.valid_until_mono == pytest.approx(1000.0)
    refused = {e.id: e.code for e in again.ven.events.alive.values() if not e.opt_in}
    assert refused == {"no": 460}
    late = Stand(saved=saved)
    late.mono = 1001.0
    assert late.tick().signals == []
    again.up(hour)
    assert again.ven.events.accepted == 0  # known


def test_without_the_time_of_day_the_vtns_clock_counts() -> None:
    stand = Stand()
    stand.trusted = False
    stand.up(event(start="2026-11-25T13:01:40Z"))
    assert stand.tick().signals == []
    stand.date = "2026-11-25T13:01:40+00:00"
    stand.mono += 60.0
    stand.tell(event(start="2026-11-25T13:01:40Z"))
    (made,) = stand.tick().signals
    assert made.segments[0].setpoint_w == -3000.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("PT15M", 900.0),
        ("P1DT1H", 90_000.0),
        ("P1W", 604_800.0),
        ("PT0S", 0.0),
        ("PT1.5S", 1.5),
        ("", 0.0),
        ("P", 0.0),
    ],
)
def test_durations(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["-PT1M", "P1Y", "P1M", "1h", "PT", "PTS", 5, "P1D1D"])
def test_durations_that_are_none(text: Any) -> None:
    with pytest.raises(Refused):
        seconds(text)


@pytest.mark.parametrize("text", ["2026-11-25T12:00:00", "1999-01-01T00:00:00Z", "", 1])
def test_times_that_are_none(text: Any) -> None:
    with pytest.raises(Refused):
        utc(text)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"url": "http://vtn.example/x"}, "without TLS"),
        ({"certificate": "/x.pem"}, "belong together"),
        ({"sign": True}, "needs certificate"),
        ({"resources": ["a", "a"]}, "twice"),
        ({"ven_name": "<x>"}, "pattern"),
        ({"vtn_fingerprint": "AA:BB"}, "pattern"),
    ],
)
def test_a_configuration_that_cannot_be(values: dict[str, Any], word: str) -> None:
    Openadr2.model_validate(URL)
    with pytest.raises(ValueError, match=word):
        Openadr2.model_validate({**URL, **values})
