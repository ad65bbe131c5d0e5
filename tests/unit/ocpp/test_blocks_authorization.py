"""Block C: who may start and stop, with and without the central system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chargerd.model import (
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
    VehicleState,
)
from chargerd.ocpp.effects import CallError, Durability
from tests.unit.ocpp.auth_kit import (
    ACCEPTED,
    OTHER,
    answers,
    ask,
    asked,
    good,
    group,
    id_token,
    known,
    reply,
)
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req
PRE = {"AuthCtrlr.LocalPreAuthorize": True}
UNKNOWN = {"AuthCtrlr.OfflineTxForUnknownIdEnabled": True}
MASTER = {"AuthCtrlr.MasterPassGroupId": "MASTER"}


def listed(rig: Rig, token: Token, info: dict[str, Any]) -> None:
    """Put it on the local list."""
    row = {"idToken": id_token(token), "idTokenInfo": info}
    rig.call(
        "SendLocalList",
        {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [row]},
    )


def cached(rig: Rig, token: Token, info: dict[str, Any]) -> None:
    ask(rig, token)
    reply(rig, info)
    rig.clear()


# Online (C01, C04, C06, C08).


@BOTH
@pytest.mark.parametrize(
    ("info", "accepted"),
    [
        ({"status": "Accepted"}, True),
        ({"status": "Invalid"}, False),
        ({"status": "ConcurrentTx"}, False),
        pytest.param(
            {"status": "Accepted", "evseId": [2]}, False, marks=req("C01.FR.21")
        ),
        ({"status": "Accepted", "evseId": [1, 2]}, True),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("ISO14443", marks=req("C01.FR.02", "C08.FR.01")),
        pytest.param("KeyCode", marks=req("C01.FR.02")),
        pytest.param("Local", marks=req("C06.FR.02")),
        "MacAddress",
    ],
)
def test_online_the_csms_decides(
    version: str, info: Any, accepted: bool, kind: str
) -> None:
    rig = Rig(version=version).boot()
    token = Token(CARD.value, kind)
    ask(rig, token)
    send = rig.last("Authorize")
    assert send.durability is Durability.NOW_OR_NEVER
    assert send.payload["idToken"] == {"idToken": CARD.value, "type": kind}
    assert answers(rig) == []
    rig.answer(send, {"idTokenInfo": info})
    assert asked(rig).accepted is accepted


@req("C01.FR.21")
def test_where_a_token_is_good_is_remembered() -> None:
    rig = Rig(config(evses=2)).boot()
    ask(rig, CARD, 2)
    reply(rig, {"status": "Accepted", "evseId": [2]})
    rig.link(up=False)
    assert good(rig, CARD, 2)
    assert not good(rig, CARD, 1)


@req("C01.FR.25")
def test_tokens_are_equal_by_value_and_type() -> None:
    rig = known()
    assert good(rig, Token(CARD.value.lower(), CARD.kind))
    assert not good(rig, Token(CARD.value, "ISO15693"))
    rig.link()
    more = [{"additionalIdToken": "x", "type": "y"}]
    row = {"idToken": {**id_token(OTHER), "additionalInfo": more}}
    rows = [{**row, "idTokenInfo": ACCEPTED}]
    rig.call(
        "SendLocalList",
        {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": rows},
    )
    rig.link(up=False)
    assert good(rig, OTHER)


@pytest.mark.parametrize(
    ("modes", "allowed"),
    [(None, True), (["DC"], False), (["DC", "DC_BPT"], True)],
)
def test_allowed_energy_transfer_may_forbid_discharge(
    modes: list[str] | None, allowed: bool
) -> None:
    rig = Rig().boot()
    ask(rig)
    answer: dict[str, Any] = {"idTokenInfo": {"status": "Accepted"}}
    if modes is not None:
        answer["allowedEnergyTransfer"] = modes
    rig.answer(rig.last("Authorize"), answer)
    assert asked(rig).discharge_allowed is allowed


def test_v2x_switched_off_forbids_discharge() -> None:
    rig = Rig(config(device_model={"V2XChargingCtrlr.Enabled": False})).boot()
    ask(rig)
    rig.answer(rig.last("Authorize"), {"idTokenInfo": {"status": "Accepted"}})
    assert asked(rig).discharge_allowed is False


@BOTH
def test_no_answer_falls_back_to_the_offline_rules(version: str) -> None:
    rig = known(version)
    rig.link()
    ask(rig)
    rig.answer(rig.last("Authorize"), CallError("GenericError", "timeout"))
    assert asked(rig).accepted


@BOTH
@pytest.mark.parametrize("learn", [cached, listed])
@req("C01.FR.05", "C12.FR.04", "C13.FR.03")
def test_local_pre_authorize_asks_nobody(
    version: str, learn: Callable[[Rig, Token, dict[str, Any]], None]
) -> None:
    """Also where a token that is known is not good enough offline."""
    presets = {**PRE, "AuthCtrlr.LocalAuthorizeOffline": False}
    rig = Rig(config(device_model=presets), version=version).boot()
    learn(rig, CARD, ACCEPTED)
    assert good(rig)


@BOTH
@req("C01.FR.05")
def test_without_it_a_known_token_is_asked_about(version: str) -> None:
    rig = known(version)
    rig.link()
    ask(rig)
    assert rig.payloads("Authorize")
    assert answers(rig) == []


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("unknown", [False, True])
def test_the_csms_may_wish_not_to_be_asked(online: bool, unknown: bool) -> None:
    presets = {
        "AuthCtrlr.DisableRemoteAuthorization": True,
        "AuthCtrlr.OfflineTxForUnknownIdEnabled": unknown,
    }
    rig = Rig(config(device_model=presets)).boot()
    listed(rig, CARD, ACCEPTED)
    rig.link(up=online)
    assert good(rig, CARD)
    assert good(rig, OTHER) is (unknown and not online)


# Key codes (C04).


@req("C04.FR.06")
def test_who_tries_key_codes_waits_longer_and_longer() -> None:
    rig = Rig().boot()
    waits = []
    for n in range(12):
        code = Token(f"{n:06}", "KeyCode")
        waited = 0
        while not rig.payloads("Authorize"):
            ask(rig, code)
            if answers(rig):
                assert "wait" in answers(rig)[-1].info
                rig.clear()
                rig.pass_s(10)
                waited += 10
        reply(rig, {"status": "Invalid"})
        rig.clear()
        waits.append(waited)
    assert waits == [0, 0, 0, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    ask(rig, CARD)  # cards are no codes
    assert rig.payloads("Authorize")


def test_refused_cards_are_no_wrong_codes() -> None:
    rig = Rig().boot()
    for _ in range(5):
        ask(rig, CARD)
        reply(rig, {"status": "Invalid"})
    rig.clear()
    ask(rig, Token("1234", "KeyCode"))
    assert rig.payloads("Authorize")


def test_a_right_code_ends_the_wait() -> None:
    rig = Rig().boot()
    for status in ("Invalid", "Invalid", "Accepted", "Invalid", "Invalid"):
        ask(rig, Token("1234", "KeyCode"))
        reply(rig, {"status": status})
        rig.clear()
    ask(rig, Token("1234", "KeyCode"))
    assert rig.payloads("Authorize")


# Groups (C09).


@BOTH
@req("C09.FR.03")
def test_the_group_is_handed_over(version: str) -> None:
    """With it the heart lets another token of the group stop (test_session)."""
    rig = Rig(version=version).boot()
    ask(rig)
    reply(rig, {**ACCEPTED, **group("G1")})
    assert asked(rig).token.group == "G1"


@BOTH
@pytest.mark.parametrize(
    ("info", "asks"),
    [
        pytest.param(None, True, marks=req("C09.FR.05")),
        pytest.param({**ACCEPTED, **group("G1")}, False, marks=req("C09.FR.07")),
        ({**ACCEPTED, **group("G2")}, True),
        pytest.param(
            {"status": "Blocked", **group("G1")}, True, marks=req("C09.FR.11")
        ),
    ],
)
@pytest.mark.parametrize("learn", [cached, listed])
def test_a_token_of_the_group_that_runs(
    version: str,
    info: dict[str, Any] | None,
    asks: bool,
    learn: Callable[[Rig, Token, dict[str, Any]], None],
) -> None:
    rig = Rig(version=version).boot()
    if info is not None:
        learn(rig, OTHER, info)
    token = Token(CARD.value, CARD.kind, "G1")
    rig.observe(P.ENERGY, authorised=True, token=token)
    rig.clear()
    ask(rig, OTHER)
    assert bool(rig.payloads("Authorize")) is asks
    if asks:
        reply(rig, {"status": "Blocked", **group("G1")})
    assert asked(rig).accepted is not asks


# Offline (C13, C15).


@BOTH
@req("C12.FR.02")
def test_offline_a_known_card_starts(version: str) -> None:
    rig = known(version)
    assert good(rig)
    rig.observe(P.STARTING, authorised=True)
    (event,) = rig.events()
    assert event["idToken"] == id_token()
    assert event["offline"] is True


@pytest.mark.parametrize(
    "presets",
    [
        {"AuthCtrlr.LocalAuthorizeOffline": False},
        {"AuthCacheCtrlr.Enabled": False},
        {"AuthCacheCtrlr.LifeTime": 10},
    ],
)
def test_offline_refusals(presets: dict[str, Any]) -> None:
    rig = known(**presets)
    rig.pass_s(11)
    assert not good(rig)


@BOTH
@req("C15.FR.01", "C15.FR.08")
def test_offline_unknown_cards_only_where_allowed(version: str) -> None:
    rig = Rig(version=version)
    assert not good(rig)
    rig = Rig(config(device_model=UNKNOWN), version=version)
    assert good(rig)
    assert rig.saved.get("auth_cache", {}) == {}


@req("C13.FR.04")
def test_offline_a_token_that_was_refused_is_not_unknown() -> None:
    rig = Rig(config(device_model=UNKNOWN)).boot()
    cached(rig, CARD, {"status": "Blocked"})
    rig.link(up=False)
    assert not good(rig)
    assert good(rig, OTHER)


@BOTH
@req("C15.FR.02")
def test_what_was_begun_offline_is_told_later(version: str) -> None:
    rig = Rig(config(device_model=UNKNOWN), version=version).boot()
    rig.link(up=False)
    assert good(rig)
    rig.observe(P.STARTING, authorised=True)
    (event,) = [send for send in rig.sent if send.action == "TransactionEvent"]
    assert event.durability is Durability.DURABLE
    assert event.payload["offline"] is True
    assert event.payload["idToken"] == id_token()


# Master pass (C16).


@BOTH
@pytest.mark.parametrize("how", ["asked", "cached", "listed"])
@pytest.mark.parametrize("name", ["MASTER", "Master"])
@req("C16.FR.02", "C16.FR.03", "C12.FR.09")
def test_a_master_pass_ends_all_and_starts_nothing(
    version: str, how: str, name: str
) -> None:
    rig = Rig(config(evses=3, device_model=MASTER), version=version).boot()
    info = {**ACCEPTED, **group(name)}
    if how == "listed":
        listed(rig, OTHER, info)
    elif how == "cached":
        cached(rig, OTHER, info)
    rig.observe(evse_id=1)
    rig.observe(P.ENERGY, evse_id=2, authorised=True)
    rig.observe(P.STARTING, evse_id=3, authorised=True)
    rig.clear()
    ask(rig, OTHER, 1)
    if how == "asked":
        reply(rig, info)
    assert not asked(rig).accepted
    stops = [r for r in rig.asked() if isinstance(r, StopRequest)]
    assert stops == [StopRequest(n, StopReason.MASTER_PASS) for n in (2, 3)]


@pytest.mark.parametrize(
    "learn",
    [
        pytest.param(cached, marks=req("C16.FR.04")),
        pytest.param(listed, marks=req("C16.FR.05")),
    ],
)
def test_a_known_master_pass_needs_no_question(
    learn: Callable[[Rig, Token, dict[str, Any]], None],
) -> None:
    rig = Rig(config(device_model=MASTER)).boot()
    learn(rig, OTHER, {**ACCEPTED, **group("MASTER")})
    rig.observe(P.ENERGY, authorised=True)
    rig.link(up=False)
    rig.clear()
    ask(rig, OTHER)
    assert StopRequest(1, StopReason.MASTER_PASS) in rig.asked()


def test_a_master_pass_that_is_blocked_ends_nothing() -> None:
    rig = Rig(config(device_model=MASTER)).boot()
    rig.observe(P.ENERGY, authorised=True)
    ask(rig, OTHER)
    reply(rig, {"status": "Blocked", **group("MASTER")})
    assert not [r for r in rig.asked() if isinstance(r, StopRequest)]


@BOTH
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("how", ["told", "cached", "listed"])
@req("C16.FR.03", "C12.FR.09")
def test_a_master_pass_starts_nothing_from_afar(
    version: str, how: str, check: bool
) -> None:
    """And ends nothing: nobody has presented it. F01.FR.02 starts without a check;
    that is no reason to start what may never start."""
    presets = {**MASTER, "AuthCtrlr.AuthorizeRemoteStart": check}
    rig = Rig(config(evses=2, device_model=presets), version=version).boot()
    if how != "told":
        learn = cached if how == "cached" else listed
        learn(rig, OTHER, {**ACCEPTED, **group("Master")})
    rig.observe(P.CONNECTED, evse_id=1)
    rig.observe(P.ENERGY, evse_id=2, authorised=True)
    rig.clear()
    call = {"remoteStartId": 7, "idToken": id_token(OTHER)}
    for more in ({}, {"evseId": 1}):
        request = {**call, **more, **(group("master") if how == "told" else {})}
        answer = rig.call("RequestStartTransaction", request)
        assert isinstance(answer, dict)
        assert answer["status"] == "Rejected"
    rig.run_s(1)
    assert not [r for r in rig.asked() if isinstance(r, StartRequest | StopRequest)]


@BOTH
@req("C16.FR.08")
def test_its_transactions_say_so(version: str) -> None:
    rig = Rig(config(device_model=MASTER), version=version).boot()
    rig.observe(P.ENERGY, authorised=True)
    rig.observe(P.FINISHED, authorised=True, stop=StopReason.MASTER_PASS)
    assert rig.events()[-1]["eventType"] == "Ended"
    assert rig.events()[-1]["transactionInfo"]["stoppedReason"] == "MasterPass"


# Nobody is asked (C02).


@pytest.mark.parametrize("online", [False, True])
def test_without_authorization_everybody_may(online: bool) -> None:
    rig = Rig(config(device_model={"AuthCtrlr.Enabled": False})).boot()
    rig.link(up=online)
    assert good(rig)


@BOTH
@req("C02.FR.01")
def test_a_start_without_a_token_says_so(version: str) -> None:
    rig = Rig(version=version).boot()
    nobody = Token("", "NoAuthorization")
    assert good(rig, nobody)
    rig.observe(P.STARTING, authorised=True, token=nobody)
    token = {"idToken": "", "type": "NoAuthorization"}
    assert rig.events()[0]["idToken"] == token


# Central tokens (C05).


@BOTH
@req("C05.FR.01", "C05.FR.03", "C05.FR.05")
def test_nobody_is_asked_about_a_central_token(version: str) -> None:
    presets = {"AuthCtrlr.AuthorizeRemoteStart": True}
    rig = Rig(config(device_model=presets), version=version).boot()
    rig.observe(P.CONNECTED)
    token = {"idToken": "APP-7", "type": "Central"}
    request = {"evseId": 1, "remoteStartId": 9, "idToken": token}
    assert rig.call("RequestStartTransaction", request) == {"status": "Accepted"}
    (start,) = rig.asked()
    assert start == StartRequest(1, Token("APP-7", "Central"), 9, connect_s=60.0)
    rig.observe(
        P.STARTING, authorised=True, token=Token("APP-7", "Central"), remote_start_id=9
    )
    (event,) = rig.events()
    assert event["idToken"] == token
    assert event["transactionInfo"]["remoteStartId"] == 9
    assert rig.payloads("Authorize") == []


# What the answer to Started says of the token (E05).


@BOTH
@pytest.mark.parametrize(
    ("token", "stops"), [(CARD, True), (Token(CARD.value, "Local"), False)]
)
@req("C01.FR.25")
def test_a_refused_starter_is_known_by_value_and_type(
    version: str, token: Token, stops: bool
) -> None:
    """What a vehicle adds to the token of the event does not count."""
    rig = Rig(version=version).boot()
    vehicle = VehicleState(protocol="iso15118-20", vehicle_id="DEVCC0A1B2C3D4E")
    rig.observe(P.STARTING, authorised=True, token=CARD, vehicle=vehicle)
    sent = rig.last("TransactionEvent")
    assert sent.payload["idToken"]["additionalInfo"]
    request = {
        **sent.payload,
        "idToken": {**sent.payload["idToken"], **id_token(token)},
    }
    answer = {"idTokenInfo": {"status": "Invalid"}}
    rig.station.result(sent.handle, sent.action, request, answer, rig.now)
    rig.drain()
    assert (StopRequest(1, StopReason.DEAUTHORIZED) in rig.asked()) is stops
