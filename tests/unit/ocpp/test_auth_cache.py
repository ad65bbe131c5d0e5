"""C10 to C12: what is remembered of tokens, for how long, and what goes first."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import ActiveFault, SessionPhase, Token
from chargerd.ocpp.blocks import auth_cache
from tests.unit.ocpp.auth_kit import (
    ACCEPTED,
    OTHER,
    ask,
    asked,
    good,
    group,
    known,
    reply,
)
from tests.unit.ocpp.station_rig import CARD, START, V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import get_one, item

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
PRE = {"AuthCtrlr.LocalPreAuthorize": True}


def entries(rig: Rig) -> list[dict[str, Any]]:
    return [entry["info"] for entry in rig.saved.get("auth_cache", {}).values()]


def learn(rig: Rig, token: Token, info: dict[str, Any]) -> None:
    ask(rig, token)
    reply(rig, info)


@req("C10.FR.02", "C10.FR.12")
def test_it_survives_a_restart_without_card_numbers() -> None:
    rig = known()
    assert CARD.value not in str(rig.saved)
    assert good(rig.restarted())


@BOTH
@pytest.mark.parametrize("status", ["Accepted", "Blocked", "Expired", "Invalid"])
@req("C10.FR.01", "C10.FR.04", "C12.FR.06")
def test_it_keeps_the_last_word_whatever_it_was(version: str, status: str) -> None:
    rig = known(version)
    rig.link()
    learn(rig, CARD, {"status": status})
    assert entries(rig) == [{"status": status}]
    rig.link(up=False)
    assert good(rig) is (status == "Accepted")


@req("C10.FR.14")
def test_it_keeps_all_fields_but_additional_info() -> None:
    rig = Rig().boot()
    info: dict[str, Any] = {
        "status": "Accepted",
        "chargingPriority": 3,
        "language1": "ja",
        "language2": "en",
        "evseId": [1],
        "personalMessage": {"format": "UTF8", "content": "hello"},
        "cacheExpiryDateTime": "2027-01-01T00:00:00Z",
        **group("G"),
    }
    more = [{"additionalIdToken": "x", "type": "y"}]
    told = {**info, "groupIdToken": {**info["groupIdToken"], "additionalInfo": more}}
    learn(rig, CARD, told)
    assert entries(rig) == [info]


@BOTH
@pytest.mark.parametrize("status", ["Accepted", "Blocked"])
@req("C10.FR.05", "C12.FR.06")
def test_a_transactions_answer_teaches_it(version: str, status: str) -> None:
    rig = known(version)
    rig.link()
    rig.observe(SessionPhase.STARTING, authorised=True)
    rig.answer(rig.last("TransactionEvent"), {"idTokenInfo": {"status": status}})
    assert entries(rig) == [{"status": status}]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("Central", marks=req("C05.FR.02")),
        pytest.param("NoAuthorization", marks=req("C02.FR.03")),
    ],
)
def test_some_kinds_are_never_kept(kind: str) -> None:
    rig = Rig().boot()
    token = Token("" if kind == "NoAuthorization" else "T", kind)
    rig.observe(SessionPhase.STARTING, authorised=True, token=token)
    rig.answer(rig.last("TransactionEvent"), {"idTokenInfo": ACCEPTED})
    assert entries(rig) == []


@req("C04.FR.03")
def test_key_codes_are_kept_as_digests() -> None:
    rig = Rig().boot()
    learn(rig, Token("123456", "KeyCode"), ACCEPTED)
    assert entries(rig) == [ACCEPTED]
    assert "123456" not in str(rig.saved)


# How long.


@pytest.mark.parametrize(
    ("life_s", "after_s", "is_good"),
    [(10, 9, True), (10, 11, False), (0, 100_000_000, True)],
)
@req("C10.FR.08", "C10.FR.10")
def test_it_forgets_after_its_life_time(
    life_s: int, after_s: float, is_good: bool
) -> None:
    rig = known(**{"AuthCacheCtrlr.LifeTime": life_s})
    rig.pass_s(after_s)
    assert good(rig) is is_good
    assert len(entries(rig)) == is_good


def test_a_new_word_begins_a_new_life() -> None:
    rig = known(**{"AuthCacheCtrlr.LifeTime": 10})
    rig.link()
    rig.pass_s(8)
    learn(rig, CARD, ACCEPTED)
    rig.link(up=False)
    rig.pass_s(8)
    assert good(rig)


@pytest.mark.parametrize(
    ("expiry", "is_good"),
    [
        ("2026-11-23T08:00:05Z", False),
        ("2026-11-23T07:00:00Z", False),
        ("2026-12-01T00:00:00Z", True),
        ("soon", False),
    ],
)
@req("C10.FR.13")
def test_the_csms_says_how_long_a_card_is_known(expiry: str, is_good: bool) -> None:
    rig = known(**{"AuthCacheCtrlr.LifeTime": 1})
    rig.link()
    learn(rig, CARD, {"status": "Accepted", "cacheExpiryDateTime": expiry})
    rig.link(up=False)
    rig.pass_s(10)
    assert good(rig) is is_good
    assert len(entries(rig)) == is_good


@pytest.mark.parametrize(
    ("field", "value"), [("at", "for ever"), ("at", 1), ("info", {}), ("used", None)]
)
def test_garbage_on_the_disk_is_no_card(field: str, value: Any) -> None:
    rig = known()
    for entry in rig.saved["auth_cache"].values():
        entry[field] = value
    assert not good(rig.restarted())


# How many.


@pytest.mark.parametrize(
    ("policy", "first_out"), [("LRU", "00000001"), ("FIFO", "00000000")]
)
@req("C10.FR.07")
def test_refused_tokens_go_first_then_the_oldest(policy: str, first_out: str) -> None:
    rig = Rig(config(device_model={**PRE, "AuthCacheCtrlr.Policy": policy})).boot()
    for n in range(500):
        rig.pass_s(1)
        learn(rig, Token(f"{n:08X}"), ACCEPTED if n != 250 else {"status": "Blocked"})
    rig.pass_s(1)
    assert good(rig, Token("00000000"))  # used again
    learn(rig, Token("NEW1"), ACCEPTED)
    assert len(entries(rig)) == 500
    assert {"status": "Blocked"} not in entries(rig)
    learn(rig, Token("NEW2"), ACCEPTED)
    assert len(entries(rig)) == 500
    assert good(rig, Token("NEW2"))
    rig.link(up=False)
    for name in ("00000000", "00000001"):
        assert good(rig, Token(name)) is (name != first_out)


def test_long_answers_do_not_fill_the_disk() -> None:
    rig = Rig(config(device_model=PRE)).boot()
    text = {"format": "UTF8", "content": "x" * 1000}
    for n in range(250):
        learn(rig, Token(f"{n}"), {**ACCEPTED, "personalMessage": text})
    told = get_one(rig, item("AuthCacheCtrlr", "Storage"))
    assert 200_000 < int(told["attributeValue"]) <= 250_000
    assert good(rig, Token("249"))


@pytest.mark.parametrize("in_the", ["info", "tariff"])
def test_one_answer_larger_than_the_cache_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, in_the: str
) -> None:
    """Lists in an answer have no bound; the others stay."""
    monkeypatch.setattr(auth_cache, "CACHE_BYTES", 2_000)
    rig = Rig().boot()
    learn(rig, CARD, ACCEPTED)
    ask(rig, OTHER)
    evses = {"evseId": list(range(1_000))} if in_the == "info" else {}
    prices = [{"priceKwh": 0.25} for _ in range(200)]
    tariff = {"tariffId": "t", "currency": "EUR", "energy": {"prices": prices}}
    more = {"tariff": tariff} if in_the == "tariff" else {}
    reply(rig, {**ACCEPTED, **evses}, **more)
    assert entries(rig) == [ACCEPTED]


def test_its_size_is_told() -> None:
    rig = Rig(config(device_model=PRE)).boot()
    assert get_one(rig, item("AuthCacheCtrlr", "Storage"))["attributeValue"] == "0"
    learn(rig, CARD, ACCEPTED)
    one = int(get_one(rig, item("AuthCacheCtrlr", "Storage"))["attributeValue"])
    assert 50 < one < 500
    learn(rig, OTHER, ACCEPTED)
    two = int(get_one(rig, item("AuthCacheCtrlr", "Storage"))["attributeValue"])
    assert two == 2 * one
    again = rig.restarted().boot()
    told = get_one(again, item("AuthCacheCtrlr", "Storage"))
    assert told["attributeValue"] == str(two)
    again.call("ClearCache")
    told = get_one(again, item("AuthCacheCtrlr", "Storage"))
    assert told["attributeValue"] == "0"


# On and off, and cleared.


@req("C10.FR.11")
def test_switched_off_it_knows_and_learns_nothing() -> None:
    rig = Rig(config(device_model={"AuthCacheCtrlr.Enabled": False})).boot()
    learn(rig, CARD, ACCEPTED)
    assert entries(rig) == []
    rig.link(up=False)
    assert not good(rig)


@BOTH
@req("C11.FR.01", "C11.FR.02", "C11.FR.03")
def test_clear_cache(version: str) -> None:
    rig = known(version)
    assert rig.call("ClearCache") == {"status": "Accepted"}
    assert entries(rig) == []
    assert not good(rig)


@req("C11.FR.04")
def test_clear_cache_without_a_cache_is_rejected() -> None:
    rig = Rig(config(device_model={"AuthCacheCtrlr.Enabled": False})).boot()
    answer = rig.call("ClearCache")
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "NotEnabled"


@req("C11.FR.05")
def test_clear_cache_fails_while_the_disk_does() -> None:
    """The tokens would be back after a restart."""
    rig = known()
    rig.observe(faults=(ActiveFault("StoreFault", 0, START),))
    answer = rig.call("ClearCache")
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert good(rig)


# Online.


@pytest.mark.parametrize("disabled", [False, True])
@req("C10.FR.03", "C12.FR.05")
def test_a_refused_token_is_asked_about_again(disabled: bool) -> None:
    presets = {**PRE, "AuthCacheCtrlr.DisablePostAuthorize": disabled}
    rig = Rig(config(device_model=presets)).boot()
    learn(rig, CARD, {"status": "Blocked"})
    rig.clear()
    ask(rig)
    assert bool(rig.payloads("Authorize")) is not disabled
    if disabled:
        assert not asked(rig).accepted
    else:
        reply(rig)
        assert asked(rig).accepted
