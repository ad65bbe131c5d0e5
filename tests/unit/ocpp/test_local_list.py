"""Block D: the list the central system keeps here; C13, C14: what it is good for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.model import Token
from chargerd.ocpp.effects import Save
from tests.unit.ocpp.auth_kit import ACCEPTED, OTHER, ask, asked, good, id_token, reply
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import get_one, item

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
BLOCKED = {"status": "Blocked"}
PRE = {"AuthCtrlr.LocalPreAuthorize": True}


def row(token: Token = CARD, info: Any = ACCEPTED) -> dict[str, Any]:
    made: dict[str, Any] = {"idToken": id_token(token)}
    return made if info is None else {**made, "idTokenInfo": info}


def send(rig: Rig, version: int, *rows: dict[str, Any], kind: str = "Full") -> str:
    request: dict[str, Any] = {"versionNumber": version, "updateType": kind}
    if rows:
        request["localAuthorizationList"] = list(rows)
    answer = rig.call("SendLocalList", request)
    rig.pass_s(1)  # the disk gets it in slices
    assert isinstance(answer, dict)
    status: str = answer["status"]
    return status


def number(rig: Rig) -> int:
    answer = rig.call("GetLocalListVersion")
    assert isinstance(answer, dict)
    found: int = answer["versionNumber"]
    return found


def has(rig: Rig, *tokens: Token) -> list[bool]:
    """Are they good, offline?"""
    online = rig.station._desk.online
    rig.link(up=False)
    found = [good(rig, token) for token in tokens]
    if online:
        rig.link()
    return found


def count(rig: Rig) -> int:
    told = get_one(rig, item("LocalAuthListCtrlr", "Entries"))
    return int(told["attributeValue"])


# D: changes.


@BOTH
@req("D01.FR.02", "D01.FR.12", "D01.FR.15", "D02.FR.01")
def test_full_replaces_all(version: str) -> None:
    rig = Rig(version=version).boot()
    assert send(rig, 5, row(CARD), row(Token("B"))) == "Accepted"
    assert send(rig, 3, row(OTHER)) == "Accepted"  # a lower number is fine
    assert number(rig) == 3
    assert count(rig) == 1
    assert has(rig, CARD, Token("B"), OTHER) == [False, False, True]


@req("D01.FR.04")
def test_full_without_a_list_empties_it() -> None:
    rig = Rig().boot()
    send(rig, 5, row())
    assert send(rig, 6) == "Accepted"
    assert (number(rig), count(rig)) == (6, 0)
    assert has(rig, CARD) == [False]


@req("D01.FR.05")
def test_differential_without_a_list_changes_the_version_only() -> None:
    rig = Rig().boot()
    send(rig, 5, row())
    assert send(rig, 6, kind="Differential") == "Accepted"
    assert (number(rig), has(rig, CARD)) == (6, [True])


@BOTH
@req("D01.FR.16", "D01.FR.17")
def test_differential_adds_changes_and_removes(version: str) -> None:
    rig = Rig(version=version).boot()
    a, b, c = (Token(name) for name in "ABC")
    send(rig, 1, row(a), row(b))
    rows = row(a, BLOCKED), row(b, None), row(c), row(Token("never there"), None)
    assert send(rig, 2, *rows, kind="Differential") == "Accepted"
    assert (number(rig), count(rig)) == (2, 2)
    assert has(rig, a, b, c) == [False, False, True]


@BOTH
@pytest.mark.parametrize("version_number", [4, 5])
@req("D01.FR.19")
def test_an_old_differential_is_a_mismatch(version: str, version_number: int) -> None:
    rig = Rig(version=version).boot()
    send(rig, 5, row())
    rows = row(CARD, None), row(OTHER)
    assert send(rig, version_number, *rows, kind="Differential") == "VersionMismatch"
    assert (number(rig), has(rig, CARD, OTHER)) == (5, [True, False])


@BOTH
@pytest.mark.parametrize(
    ("version_number", "rows", "kind"),
    [
        pytest.param(0, [row(OTHER)], "Full", marks=req("D01.FR.18")),
        (-1, [row(OTHER)], "Differential"),
        pytest.param(6, [row(OTHER), row(OTHER)], "Full", marks=req("D01.FR.06")),
        pytest.param(
            6,
            [row(Token("ab")), row(Token("AB"), None)],
            "Differential",
            marks=req("D01.FR.06"),
        ),
        (6, [row(OTHER, None)], "Full"),
        pytest.param(
            6, [row(Token(f"{n}")) for n in range(1001)], "Full", marks=req("D01.FR.11")
        ),
    ],
)
def test_what_does_not_fit_changes_nothing(
    version: str, version_number: int, rows: list[dict[str, Any]], kind: str
) -> None:
    rig = Rig(version=version).boot()
    send(rig, 5, row())
    assert send(rig, version_number, *rows, kind=kind) in ("Failed", "VersionMismatch")
    assert (number(rig), count(rig), has(rig, CARD)) == (5, 1, [True])


def test_the_list_is_bounded() -> None:
    rig = Rig().boot()
    for part in range(5):
        rows = [row(Token(f"{part}-{n}")) for n in range(1000)]
        assert send(rig, part + 1, *rows, kind="Differential") == "Accepted"
    assert send(rig, 6, row(), kind="Differential") == "Failed"
    assert (number(rig), count(rig)) == (5, 5000)
    assert send(rig, 6, row(Token("0-0"), BLOCKED), kind="Differential") == "Accepted"
    others = row(Token("0-1"), None), row(OTHER)  # one goes, one comes
    assert send(rig, 7, *others, kind="Differential") == "Accepted"
    assert (number(rig), count(rig)) == (7, 5000)


@BOTH
@req("D02.FR.02")
def test_without_a_list_the_version_is_0(version: str) -> None:
    assert number(Rig(version=version).boot()) == 0


@req("D01.FR.13", "D02.FR.03")
def test_switched_off_there_is_no_list() -> None:
    rig = Rig().boot()
    send(rig, 5, row())
    rig.station._desk.model.update("LocalAuthListCtrlr", "Enabled", "false")
    assert number(rig) == 0
    assert send(rig, 6, row(OTHER)) == "Failed"
    assert has(rig, CARD) == [False]
    rig.station._desk.model.update("LocalAuthListCtrlr", "Enabled", "true")
    assert (number(rig), has(rig, CARD, OTHER)) == (5, [True, False])


@req("D01.FR.09")
def test_nothing_else_changes_it() -> None:
    rig = Rig().boot()
    send(rig, 5, row())
    ask(rig)
    reply(rig, BLOCKED)
    rig.call("ClearCache")
    assert (number(rig), has(rig, CARD)) == (5, [True])


# The disk.


@req("D01.FR.10")
def test_it_survives_a_restart_without_card_numbers() -> None:
    rig = Rig().boot()
    rows = [row(Token(f"{n}")) for n in range(300)]
    send(rig, 5, *rows, row(), row(OTHER, BLOCKED))
    send(rig, 6, row(Token("7"), None), kind="Differential")
    assert CARD.value not in str(rig.saved)
    again = rig.restarted()
    assert has(again, CARD, OTHER, Token("7"), Token("8")) == [True, False, False, True]
    assert number(again.boot()) == 6
    assert count(again) == 301


def test_a_crash_in_between_leaves_no_list_rather_than_a_part() -> None:
    rig = Rig().boot()
    send(rig, 5, *[row(Token(f"{n}")) for n in range(600)])
    rows = [row(Token(f"{n}")) for n in range(600, 900)]
    request = {"versionNumber": 6, "updateType": "Full", "localAuthorizationList": rows}
    assert rig.call("SendLocalList", request) == {"status": "Accepted"}
    again = rig.restarted()  # before the disk has all of it
    assert number(again.boot()) == 0
    assert has(again, Token("1"), Token("700")) == [False, False]
    again.pass_s(1)  # the rest is swept away
    assert set(again.saved["local_list"]) == {"version"}
    send(again, 7, row())
    assert has(again.restarted(), CARD, Token("1"), Token("700")) == [
        True,
        False,
        False,
    ]


@settings(max_examples=30)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 400), st.booleans(), max_size=40),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 1000),
)
def test_whenever_it_is_killed_the_list_is_whole_or_not_there(
    changes: list[dict[int, bool]], cut: int
) -> None:
    """Law: after any number of writes, version and list on the disk fit together."""
    rig = Rig().boot()
    states: dict[int, set[int]] = {0: set()}
    for version, part in enumerate(changes, start=1):
        rows = [
            row(Token(f"{n}"), ACCEPTED if add else None) for n, add in part.items()
        ]
        request: dict[str, Any] = {
            "versionNumber": version,
            "updateType": "Differential",
        }
        request |= {"localAuthorizationList": rows} if rows else {}
        rig.call("SendLocalList", request)
        if version % 2:
            rig.pass_s(1)
        removed = {n for n, add in part.items() if not add}
        states[version] = states[version - 1] - removed | (part.keys() - removed)
    saves = [e for e in rig.effects if isinstance(e, Save)]
    disk: dict[str, Any] = {}
    for save in saves[: cut % (len(saves) + 1)]:
        if save.namespace == "local_list":
            disk[save.key] = save.value
            if save.value is None:
                del disk[save.key]
    again = Rig(saved={"local_list": disk}).boot()
    wanted = states[number(again)]
    assert count(again) == len(wanted)
    names = [*sorted(wanted)[:3], *sorted(set(range(401)) - wanted)[:3]]
    assert has(again, *(Token(f"{n}") for n in names)) == [n in wanted for n in names]


def test_a_large_list_is_prepared_beside_the_loop() -> None:
    """The thread's part changes nothing; without it the result is the same."""
    rig = Rig().boot()
    request = {
        "versionNumber": 6,
        "updateType": "Full",
        "localAuthorizationList": [row(), row(OTHER)],
    }
    rig.station.prepare("SendLocalList", request)
    assert number(rig) == 0
    assert send(rig, 5, row(Token("X"))) == "Accepted"  # another one was faster
    assert has(rig, CARD, Token("X")) == [False, True]
    rig.station.prepare("SendLocalList", request)
    rig.call("SendLocalList", request)
    assert has(rig, CARD, OTHER, Token("X")) == [True, True, False]


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
CHANGES = st.lists(
    st.tuples(st.booleans(), st.dictionaries(NAMES, st.sampled_from([True, False])))
)


@settings(max_examples=30)
@given(CHANGES)
def test_any_changes_give_what_a_dictionary_gives(
    changes: list[tuple[bool, dict[str, bool]]],
) -> None:
    """Law: Full replaces, Differential updates and removes, also after a restart."""
    rig = Rig().boot()
    model: set[str] = set()
    for version, (full, part) in enumerate(changes, start=1):
        kept = part if not full else dict.fromkeys(part, True)
        rows = [row(Token(n), ACCEPTED if add else None) for n, add in kept.items()]
        send(rig, version, *rows, kind="Full" if full else "Differential")
        model = set() if full else model
        model |= {name for name, add in kept.items() if add}
        model -= {name for name, add in kept.items() if not add}
    for one in (rig, rig.restarted()):
        assert [n for n in "abcde" if has(one, Token(n)) == [True]] == sorted(model)


# C13: offline.


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("checks", [False, True])
@pytest.mark.parametrize(
    ("info", "is_good"),
    [
        (ACCEPTED, "always"),
        (BLOCKED, "never"),
        ({**ACCEPTED, "cacheExpiryDateTime": "2026-11-23T07:00:00Z"}, "unchecked"),
        ({**ACCEPTED, "cacheExpiryDateTime": "2026-11-24T07:00:00Z"}, "always"),
        (None, "unknown"),
    ],
)
@req("C13.FR.02", "C13.FR.03", "C13.FR.04", "C13.FR.05", "C13.FR.06")
def test_offline_the_list_decides(
    info: Any, is_good: str, checks: bool, unknown: bool
) -> None:
    presets = {
        "AuthCtrlr.OfflineTxForUnknownIdEnabled": unknown,
        "LocalAuthListCtrlr.SupportsExpiryDateTime": checks,
    }
    rig = Rig(config(device_model=presets)).boot()
    send(rig, 1, *([] if info is None else [row(CARD, info)]))
    wanted = {
        "always": True,
        "never": False,
        "unchecked": not checks,
        "unknown": unknown,
    }
    assert has(rig, CARD) == [wanted[is_good]]


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("listed", [ACCEPTED, BLOCKED])
@req("C13.FR.01", "C14.FR.01")
def test_the_list_comes_before_the_cache(listed: Any, online: bool) -> None:
    presets = {**PRE, "LocalAuthListCtrlr.DisablePostAuthorize": True}
    rig = Rig(config(device_model=presets)).boot()
    ask(rig)
    reply(rig, BLOCKED if listed == ACCEPTED else ACCEPTED)
    send(rig, 1, row(CARD, listed))
    rig.link(up=online)
    assert good(rig) is (listed == ACCEPTED)


# C14: online.


PAST = {**ACCEPTED, "cacheExpiryDateTime": "2026-11-23T07:00:00Z"}


@BOTH
@pytest.mark.parametrize(
    ("info", "presets", "is_asked"),
    [
        pytest.param(ACCEPTED, {}, False, marks=req("C14.FR.02", "C14.FR.04")),
        pytest.param(BLOCKED, {}, True, marks=req("C14.FR.03")),
        (BLOCKED, {"DisablePostAuthorize": True}, False),
        pytest.param(PAST, {}, True, marks=req("C14.FR.05")),
        (PAST, {"DisablePostAuthorize": True}, True),
        pytest.param(
            PAST, {"SupportsExpiryDateTime": False}, False, marks=req("C14.FR.02")
        ),
    ],
)
def test_online_an_accepted_token_of_the_list_starts(
    version: str, info: Any, presets: dict[str, bool], is_asked: bool
) -> None:
    more = {f"LocalAuthListCtrlr.{name}": on for name, on in presets.items()}
    rig = Rig(config(device_model={**PRE, **more}), version=version).boot()
    send(rig, 1, row(CARD, info))
    rig.clear()
    ask(rig)
    assert bool(rig.payloads("Authorize")) is is_asked
    if not is_asked:
        assert asked(rig).accepted is (info["status"] == "Accepted")


def test_without_local_pre_authorize_the_csms_is_asked() -> None:
    rig = Rig().boot()
    send(rig, 1, row())
    ask(rig)
    assert rig.payloads("Authorize")
