"""Block O: messages of the central system on the displays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chargerd.model import ActiveFault, SessionPhase
from chargerd.ocpp.table.display import MOST_MESSAGES
from tests.unit.ocpp.station_rig import START, V21, V201, Rig, config
from tests.unit.ocpp.tariff_kit import QUIET, charge, stop, welcome

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req
TARIFF_TEXT = {"TariffCostCtrlr.TariffFallbackMessage": "ask at the desk"}


def station(version: str = V21, evses: int = 1, **presets: Any) -> Rig:
    rig = Rig(config(evses=evses, device_model={**QUIET, **presets}), version=version)
    for evse_id in range(1, evses + 1):
        rig.observe(evse_id=evse_id)
    return rig.boot()


def message(
    number: int = 1, text: str = "", priority: str = "NormalCycle", **more: Any
) -> dict[str, Any]:
    content: dict[str, Any] = {"format": "UTF8", "content": text or f"text {number}"}
    return {"id": number, "priority": priority, "message": content, **more}


def content(text: str, language: str = "", form: str = "UTF8") -> dict[str, Any]:
    made = {"format": form, "content": text}
    return {**made, "language": language} if language else made


def put(rig: Rig, told: dict[str, Any]) -> str:
    answer = rig.call("SetDisplayMessage", {"message": told})
    assert isinstance(answer, dict), answer
    status: str = answer["status"]
    return status


def shown(rig: Rig, evse_id: int = 0) -> list[str]:
    """The central system's texts on one display."""
    texts = rig.station.texts(rig.now)
    return [t.content for t in texts if (t.evse_id, t.kind) == (evse_id, "message")]


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def ids(rig: Rig, **wanted: Any) -> list[int]:
    """By GetDisplayMessages."""
    rig.clear()
    rig.call("GetDisplayMessages", {"requestId": 5, **wanted})
    return [
        info["id"]
        for payload in rig.payloads("NotifyDisplayMessages")
        for info in payload["messageInfo"]
    ]


# Which are taken.


@pytest.mark.parametrize(
    ("told", "presets", "status"),
    [
        (message(), {}, "Accepted"),
        pytest.param(message(priority="InFront"),
                     {"SupportedPriorities": "NormalCycle"}, "NotSupportedPriority",
                     marks=req("O01.FR.01")),
        pytest.param(message(state="Faulted"), {"SupportedStates": "Idle,Charging"},
                     "NotSupportedState", marks=req("O01.FR.02")),
        pytest.param({**message(), "message": content("<b>", form="HTML")}, {},
                     "NotSupportedMessageFormat", marks=req("O01.FR.03")),
        ({**message(), "messageExtra": [content("<b>", form="HTML")]}, {},
         "NotSupportedMessageFormat"),
        pytest.param({**message(), "message": content("x", "xx")}, {},
                     "LanguageNotSupported", marks=req("O01.FR.18", "O01.FR.17")),
        ({**message(), "messageExtra": [content("x", "de-CH"), content("x", "xx")]},
         {}, "LanguageNotSupported"),
        ({**message(), "message": content("x", "en-US")}, {}, "Accepted"),
        (message(endDateTime=at(-1)), {}, "Rejected"),
        (message(startDateTime=at(20), endDateTime=at(10)), {}, "Rejected"),
        (message(startDateTime="soon"), {}, "Rejected"),
        (message(), {"Enabled": False}, "Rejected"),
        pytest.param(message(display={"name": "Display", "evse": {"id": 9}}), {},
                     "Rejected", marks=req("O01.FR.22")),
        pytest.param(message(display={"name": "Lamp"}), {}, "Rejected",
                     marks=req("O01.FR.22")),
    ],
)  # fmt: skip
def test_which_messages_are_taken(
    told: dict[str, Any], presets: dict[str, Any], status: str
) -> None:
    named = {f"DisplayMessageCtrlr.{name}": value for name, value in presets.items()}
    rig = station(**named)
    assert put(rig, told) == status
    assert ids(rig) == ([1] if status == "Accepted" else [])


@pytest.mark.parametrize(
    ("more", "presets", "status"),
    [
        pytest.param({"priority": "InFront"}, {"SupportedPriorities": "NormalCycle"},
                     "NotSupportedPriority", marks=req("O02.FR.03")),
        pytest.param({"state": "Faulted"}, {"SupportedStates": "Idle"},
                     "NotSupportedState", marks=req("O02.FR.04")),
        pytest.param({"message": content("<b>", form="HTML")}, {},
                     "NotSupportedMessageFormat", marks=req("O02.FR.05")),
        pytest.param({"message": content("x", "xx")}, {}, "LanguageNotSupported",
                     marks=req("O02.FR.12")),
        pytest.param({"transactionId": "other"}, {}, "UnknownTransaction",
                     marks=req("O02.FR.01")),
        ({}, {}, "Accepted"),
    ],
)  # fmt: skip
def test_which_messages_for_a_transaction_are_taken(
    more: dict[str, Any], presets: dict[str, Any], status: str
) -> None:
    named = {f"DisplayMessageCtrlr.{name}": value for name, value in presets.items()}
    rig = station(**named)
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    assert put(rig, message(**{"transactionId": number, **more})) == status


def test_2_0_1_has_no_word_for_a_language() -> None:
    rig = station(V201)
    assert put(rig, {**message(), "message": content("x", "xx")}) == "Rejected"


@BOTH
@req("O01.FR.11", "O02.FR.11")
def test_only_so_many_are_kept(version: str) -> None:
    rig = station(version)
    for number in range(MOST_MESSAGES):
        assert put(rig, message(number)) == "Accepted"
    assert put(rig, message(999)) == "Rejected"
    assert put(rig, message(0, "new")) == "Accepted"  # in the place of the old one
    variable = {"component": {"name": "DisplayMessageCtrlr"},
                "variable": {"name": "DisplayMessages"}}  # fmt: skip
    answer = rig.call("GetVariables", {"getVariableData": [variable]})
    assert isinstance(answer, dict)
    assert answer["getVariableResult"][0]["attributeValue"] == str(MOST_MESSAGES)


# What is shown.


@BOTH
@req("O01.FR.12", "O02.FR.14")
def test_normal_messages_take_turns(version: str) -> None:
    rig = station(version)
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    put(rig, message(1))
    put(rig, message(2, transactionId=number))
    seen = []
    for _ in range(4):
        seen += shown(rig)
        rig.pass_s(10)
    assert seen == ["text 1", "text 2"] * 2


@req("O01.FR.13", "O01.FR.14", "O02.FR.15", "O02.FR.16")
def test_those_in_front_take_turns_before_all_others() -> None:
    rig = station()
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    put(rig, message(1))
    put(rig, message(2, priority="InFront"))
    assert shown(rig) == ["text 2"]
    put(rig, message(3, priority="InFront", transactionId=number))
    seen = []
    for _ in range(4):
        seen += shown(rig)
        rig.pass_s(10)
    assert sorted(seen[:2]) == ["text 2", "text 3"]
    assert seen[2:] == seen[:2]


@pytest.mark.parametrize("of_transaction", [False, True])
@req("O01.FR.15", "O02.FR.17")
def test_one_that_is_always_in_front_hides_all(*, of_transaction: bool) -> None:
    """Also what the station itself would show."""
    rig = station(**TARIFF_TEXT)
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    at_1 = {"display": {"name": "Display", "evse": {"id": 1}}}
    more = {**at_1, **({"transactionId": number} if of_transaction else {})}
    put(rig, message(1, priority="InFront", **at_1))
    kinds = [t.kind for t in rig.station.texts(rig.now)]
    assert kinds == ["message", "tariff"]
    put(rig, message(2, "evacuate", "AlwaysFront", **more))
    for _ in range(3):
        assert [t.content for t in rig.station.texts(rig.now)] == ["evacuate"]
        rig.pass_s(10)


@pytest.mark.parametrize("of_transaction", [False, True])
@req("O01.FR.16", "O02.FR.18")
def test_the_newest_of_those_replaces_the_one_before(*, of_transaction: bool) -> None:
    rig = station()
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    more = {"transactionId": number} if of_transaction else {}
    put(rig, message(1, priority="AlwaysFront", **more))
    put(rig, message(2, priority="AlwaysFront", **more))
    assert ids(rig) == [2]
    assert shown(rig) == ["text 2"]


@pytest.mark.parametrize("of_transaction", [False, True])
@req("O01.FR.06", "O02.FR.06", "O01.FR.07", "O02.FR.07")
def test_messages_have_their_time(*, of_transaction: bool) -> None:
    rig = station()
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    more = {"transactionId": number} if of_transaction else {}
    put(rig, message(startDateTime=at(10), endDateTime=at(20), **more))
    assert shown(rig) == []
    rig.run_s(9.5)
    assert shown(rig) == []
    rig.run_s(1)
    assert shown(rig) == ["text 1"]
    assert ids(rig) == [1]
    rig.run_s(10.5)
    assert shown(rig) == []
    assert ids(rig) == []  # it is gone


def test_a_message_is_not_shown_after_its_end_even_if_no_evse_reports() -> None:
    rig = station()
    put(rig, message(endDateTime=at(20)))
    rig.pass_s(21)
    assert shown(rig) == []


STATES: list[tuple[str, dict[str, Any]]] = [
    ("Charging", {"phase": P.ENERGY, "authorised": True, "power_w": 6000.0}),
    ("Discharging", {"phase": P.ENERGY, "authorised": True, "power_w": -6000.0}),
    ("Suspended", {"phase": P.SUSPENDED_EV, "authorised": True}),
    ("Idle", {}),
    ("Unavailable", {"operative": False}),
    ("Faulted", {"faults": (ActiveFault("EmergencyStop", 1, START),)}),
]


@pytest.mark.parametrize(("state", "report"), STATES)
@req("O01.FR.12")
def test_a_message_may_be_for_a_state(state: str, report: dict[str, Any]) -> None:
    rig = station()
    for name in (name for name, _ in STATES):
        put(rig, message(STATES_ID[name], name, state=name))
    if "authorised" in report:
        charge(rig)
    rig.observe(**report)
    seen = set()
    for _ in range(6):
        seen |= set(shown(rig))
        rig.pass_s(10)
    assert state in seen
    assert seen - {state} <= (
        {"Idle"} if state in ("Unavailable", "Faulted") else set()
    )


STATES_ID = {name: number for number, (name, _) in enumerate(STATES)}


@pytest.mark.parametrize(
    ("languages", "text"),
    [
        pytest.param(("de",), "hallo", marks=req("O01.FR.08", "O02.FR.08")),
        (("pt", "fr"), "salut"),
        (("de-AT",), "hallo"),
        pytest.param(("nl",), "hello", marks=req("O01.FR.09", "O02.FR.09")),
        ((), "hello"),
    ],
)
@pytest.mark.parametrize("of_transaction", [False, True])
def test_in_the_drivers_language(
    languages: tuple[str, ...], text: str, *, of_transaction: bool
) -> None:
    rig = station()
    names = zip(("language1", "language2"), languages, strict=False)
    welcome(rig, **dict(names))
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    place = {"display": {"name": "Display", "evse": {"id": 1}}}
    told = {
        "id": 1, "priority": "InFront", "message": content("salut", "fr"),
        "messageExtra": [content("hello", "en"), content("hallo", "de-DE")],
        **({"transactionId": number} if of_transaction else place),
    }  # fmt: skip
    assert put(rig, told) == "Accepted"
    assert shown(rig, 0 if of_transaction else 1) == [text]


def test_without_a_driver_in_the_stations_language() -> None:
    rig = station(**{"DisplayMessageCtrlr.Language": "fr"})
    told = {**message(), "message": content("hello", "en")}
    put(rig, {**told, "messageExtra": [content("salut", "fr")]})
    assert shown(rig) == ["salut"]


@req("O01.FR.20", "O01.FR.23")
def test_which_display_it_is_on() -> None:
    rig = station(evses=2)
    put(rig, message(1))
    put(rig, message(2, display={"name": "Display", "evse": {"id": 2}}))
    put(rig, message(3, "main", "InFront", display={"name": "Display"}))
    assert (shown(rig), shown(rig, 1), shown(rig, 2)) == (["main"], [], ["text 2"])


@req("O01.FR.21")
def test_each_display_is_reported() -> None:
    rig = station(evses=2)
    rig.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    rig.run_s(5)
    rows = [r for p in rig.payloads("NotifyReport") for r in p["reportData"]]
    found = [r["component"] for r in rows if r["component"]["name"] == "Display"]
    assert found == [
        {"name": "Display"},
        {"name": "Display", "evse": {"id": 1}},
        {"name": "Display", "evse": {"id": 2}},
    ]


# Its life.


@BOTH
@req("O02.FR.02")
def test_it_ends_with_its_transaction(version: str) -> None:
    rig = station(version)
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    put(rig, message(1, transactionId=number))
    put(rig, message(2))
    stop(rig)
    rig.run_s(2)
    assert ids(rig) == [2]


@BOTH
@req("O01.FR.10", "O02.FR.10")
def test_messages_outlive_a_restart(version: str) -> None:
    rig = station(version, **{"TxCtrlr.ResumptionTimeout": 3600})
    charge(rig)
    number = rig.station._desk.evses[1].transaction_id
    put(rig, message(1, transactionId=number))
    put(rig, message(2))
    again = rig.restarted()
    again.boot()
    assert ids(again) == [1, 2]
    again.observe(P.IDLE)
    again.run_s(1)
    assert ids(again) == [1, 2]  # the transaction may go on
    again.run_s(30)
    assert ids(again) == [2]


def test_a_damaged_message_is_left_out() -> None:
    rig = Rig(config(), {"display": {"1": 5, "2": {"id": 2}, "3": message(3)}})
    rig.boot()
    rig.drain()
    assert ids(rig) == [3]
    assert list(rig.saved["display"]) == ["3"]


@BOTH
@req("O06.FR.01")
def test_the_same_id_replaces(version: str) -> None:
    rig = station(version)
    put(rig, message(1, "old", "InFront", state="Idle"))
    assert put(rig, message(1, "new")) == "Accepted"
    rig.call("GetDisplayMessages", {"requestId": 5})
    assert rig.last("NotifyDisplayMessages").payload["messageInfo"] == [
        message(1, "new")
    ]


# What the CSMS asks.


@BOTH
@req("O03.FR.01", "O03.FR.02", "O03.FR.03", "O03.FR.04", "O03.FR.05")
def test_all_messages_are_told_in_slices(version: str) -> None:
    rig = station(version)
    for number in range(25):
        put(rig, message(number))
    answer = rig.call("GetDisplayMessages", {"requestId": 7})
    assert answer == {"status": "Accepted"}
    parts = rig.payloads("NotifyDisplayMessages")
    assert [len(p["messageInfo"]) for p in parts] == [10, 10, 5]
    assert [p.get("tbc", False) for p in parts] == [True, True, False]
    assert {p["requestId"] for p in parts} == {7}
    assert [i["id"] for p in parts for i in p["messageInfo"]] == list(range(25))


@BOTH
@req("O03.FR.06", "O04.FR.07")
def test_without_messages_all_are_unknown(version: str) -> None:
    rig = station(version)
    for wanted in ({}, {"id": [1]}, {"priority": "InFront"}):
        request = {"requestId": 7, **wanted}
        assert rig.call("GetDisplayMessages", request) == {"status": "Unknown"}
    assert rig.payloads("NotifyDisplayMessages") == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"id": [1, 3, 99]}, [1, 3]),
        ({"priority": "InFront"}, [2, 3]),
        ({"state": "Idle"}, [3]),
        ({"priority": "InFront", "id": [1, 2]}, [2]),
    ],
)
@req("O04.FR.01", "O04.FR.03")
def test_some_messages_are_told(wanted: dict[str, Any], found: list[int]) -> None:
    rig = station()
    put(rig, message(1))
    put(rig, message(2, priority="InFront"))
    put(rig, message(3, priority="InFront", state="Idle"))
    request = {"requestId": 1, **wanted}
    assert rig.call("GetDisplayMessages", request) == {"status": "Accepted"}
    assert ids(rig, **wanted) == found


@req("O04.FR.02")
@pytest.mark.parametrize("wanted", [{"id": [9]}, {"state": "Faulted"}])
def test_what_matches_nothing_is_unknown(wanted: dict[str, Any]) -> None:
    rig = station()
    put(rig, message(1))
    request = {"requestId": 1, **wanted}
    assert rig.call("GetDisplayMessages", request) == {"status": "Unknown"}


@req("O04.FR.04", "O04.FR.05", "O04.FR.06")
def test_some_messages_in_slices() -> None:
    rig = station()
    for number in range(12):
        put(rig, message(number, priority="InFront" if number else "NormalCycle"))
    rig.call("GetDisplayMessages", {"requestId": 3, "priority": "InFront"})
    parts = rig.payloads("NotifyDisplayMessages")
    assert [(len(p["messageInfo"]), p.get("tbc")) for p in parts] == [
        (10, True), (1, None),
    ]  # fmt: skip
    assert {p["requestId"] for p in parts} == {3}


@BOTH
@req("O05.FR.01", "O05.FR.02")
def test_a_message_is_cleared_once(version: str) -> None:
    rig = station(version)
    put(rig, message(1))
    assert rig.call("ClearDisplayMessage", {"id": 1}) == {"status": "Accepted"}
    assert rig.call("ClearDisplayMessage", {"id": 1}) == {"status": "Unknown"}
    assert shown(rig) == []
    assert rig.saved["display"] == {}


@req("O05.FR.03")
def test_what_a_broken_disk_would_bring_back_is_not_cleared() -> None:
    rig = station()
    put(rig, message(1))
    rig.observe(faults=(ActiveFault("StoreFault", 0, START),))
    answer = rig.call("ClearDisplayMessage", {"id": 1})
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert ids(rig) == [1]


def test_2_0_1_hears_what_it_knows() -> None:
    rig = station()
    put(rig, {**message(1), "messageExtra": [content("x", "en")]})
    put(rig, {**message(2), "message": content("x", form="QRCODE")})
    old = Rig(config(), rig.saved, version=V201).boot()
    assert ids(old) == [1]
    old.call("ClearDisplayMessage", {"id": 1})
    old.clear()
    old.call("GetDisplayMessages", {"requestId": 5})
    assert old.payloads("NotifyDisplayMessages") == [{"requestId": 5}]
