"""Block C: who may start, with and without the central system."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import (
    Authorisation,
    AuthQuestion,
    SessionPhase,
    StopReason,
    StopRequest,
)
from chargerd.ocpp.effects import CallError, Durability
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config

BOTH = pytest.mark.parametrize("version", [V21, V201])
QUESTION = AuthQuestion(1, CARD)


def asked(rig: Rig) -> Authorisation:
    found = [r for r in rig.asked() if isinstance(r, Authorisation)]
    (answer,) = found
    return answer


def ask(rig: Rig) -> None:
    rig.station.ask(QUESTION, rig.now)
    rig.drain()


def known(version: str = V21, **presets: Any) -> Rig:
    """A rig whose cache knows the card, offline."""
    rig = Rig(config(device_model=presets), version=version).boot()
    ask(rig)
    rig.answer(rig.last("Authorize"), {"idTokenInfo": {"status": "Accepted"}})
    rig.link(up=False)
    rig.clear()
    return rig


@BOTH
@pytest.mark.parametrize(
    ("info", "accepted"),
    [
        ({"status": "Accepted"}, True),
        ({"status": "Invalid"}, False),
        ({"status": "ConcurrentTx"}, False),
        ({"status": "Accepted", "evseId": [2]}, False),
        ({"status": "Accepted", "evseId": [1, 2]}, True),
    ],
)
def test_online_the_csms_decides(version: str, info: Any, accepted: bool) -> None:
    rig = Rig(version=version).boot()
    ask(rig)
    send = rig.last("Authorize")
    assert send.durability is Durability.NOW_OR_NEVER
    assert send.payload["idToken"] == {"idToken": CARD.value, "type": "ISO14443"}
    rig.answer(send, {"idTokenInfo": info})
    assert asked(rig).accepted is accepted


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
def test_the_group_is_handed_over(version: str) -> None:
    rig = Rig(version=version).boot()
    ask(rig)
    group = {"idToken": "G1", "type": "Central"}
    rig.answer(
        rig.last("Authorize"),
        {"idTokenInfo": {"status": "Accepted", "groupIdToken": group}},
    )
    assert asked(rig).token.group == "G1"


@BOTH
def test_offline_a_known_card_starts(version: str) -> None:
    rig = known(version)
    ask(rig)
    assert asked(rig).accepted
    assert rig.payloads("Authorize") == []


def test_the_cache_survives_a_restart_without_card_numbers() -> None:
    rig = known()
    assert CARD.value not in str(rig.saved)
    again = rig.restarted()
    ask(again)
    assert asked(again).accepted


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
    ask(rig)
    assert not asked(rig).accepted


def test_offline_unknown_cards_only_where_allowed() -> None:
    rig = Rig()
    ask(rig)
    assert not asked(rig).accepted
    rig = Rig(config(device_model={"AuthCtrlr.OfflineTxForUnknownIdEnabled": True}))
    ask(rig)
    assert asked(rig).accepted


def test_no_answer_falls_back_to_the_offline_rules() -> None:
    rig = known()
    rig.link()
    ask(rig)
    rig.answer(rig.last("Authorize"), CallError("GenericError", "timeout"))
    assert asked(rig).accepted


def test_local_pre_authorize_asks_nobody() -> None:
    rig = known(**{"AuthCtrlr.LocalPreAuthorize": True})
    rig.link()
    ask(rig)
    assert asked(rig).accepted
    assert rig.payloads("Authorize") == []


@BOTH
def test_a_blocked_card_leaves_the_cache(version: str) -> None:
    rig = known(version)
    rig.link()
    ask(rig)
    rig.answer(rig.last("Authorize"), {"idTokenInfo": {"status": "Blocked"}})
    assert rig.saved["auth_cache"] == {}


def test_a_transactions_answer_teaches_the_cache() -> None:
    rig = Rig().boot()
    rig.observe(SessionPhase.STARTING, authorised=True)
    rig.answer(rig.last("TransactionEvent"), {"idTokenInfo": {"status": "Accepted"}})
    rig.link(up=False)
    ask(rig)
    assert asked(rig).accepted


@BOTH
def test_clear_cache(version: str) -> None:
    rig = known(version)
    assert rig.call("ClearCache") == {"status": "Accepted"}
    ask(rig)
    assert not asked(rig).accepted


def test_the_cache_is_bounded() -> None:
    rig = Rig().boot()
    for n in range(520):
        token = {"idToken": f"{n:08X}", "type": "ISO14443"}
        rig.station._parts.authorization.learn(token, {"status": "Accepted"}, rig.now)
    rig.drain()
    assert len(rig.saved["auth_cache"]) == 500


@pytest.mark.parametrize(
    ("expiry", "accepted"),
    [("2026-11-23T08:00:05Z", False), ("2026-12-01T00:00:00Z", True), ("soon", False)],
)
def test_the_csms_says_how_long_a_card_is_known(expiry: str, accepted: bool) -> None:
    rig = Rig().boot()
    ask(rig)
    info = {"status": "Accepted", "cacheExpiryDateTime": expiry}
    rig.answer(rig.last("Authorize"), {"idTokenInfo": info})
    rig.link(up=False)
    rig.pass_s(10)
    rig.clear()
    ask(rig)
    assert asked(rig).accepted is accepted


def test_garbage_in_the_saved_cache_is_no_card() -> None:
    rig = known()
    for entry in rig.saved["auth_cache"].values():
        entry["until"] = "for ever"
    again = rig.restarted()
    ask(again)
    assert not asked(again).accepted


def test_clear_cache_without_a_cache_is_rejected() -> None:
    rig = Rig(config(device_model={"AuthCacheCtrlr.Enabled": False})).boot()
    assert rig.call("ClearCache") == {"status": "Rejected"}


def test_master_pass_stops_and_never_starts() -> None:
    rig = Rig(config(device_model={"AuthCtrlr.MasterPassGroupId": "MASTER"})).boot()
    rig.observe(SessionPhase.ENERGY, authorised=True)
    ask(rig)
    group = {"idToken": "MASTER", "type": "Central"}
    rig.answer(
        rig.last("Authorize"),
        {"idTokenInfo": {"status": "Accepted", "groupIdToken": group}},
    )
    assert StopRequest(1, StopReason.MASTER_PASS) in rig.asked()
    assert not asked(rig).accepted


def test_without_authorization_everybody_may() -> None:
    rig = Rig(config(device_model={"AuthCtrlr.Enabled": False})).boot()
    ask(rig)
    assert asked(rig).accepted
    assert rig.payloads("Authorize") == []
