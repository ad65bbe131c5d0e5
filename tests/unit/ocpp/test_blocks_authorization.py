"""Block C: who may start, with and without the central system."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import (
    SessionPhase,
    StopReason,
    StopRequest,
)
from chargerd.ocpp.effects import CallError, Durability
from tests.unit.ocpp.auth_kit import ask, asked, known
from tests.unit.ocpp.station_rig import CARD, V21, V201, Rig, config

BOTH = pytest.mark.parametrize("version", [V21, V201])
req = pytest.mark.req


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
