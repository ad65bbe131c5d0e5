"""Block H: who is awaited, where, until when, and what the central system hears."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chargerd.config import Config
from chargerd.model import ActiveFault, SessionPhase, StartRequest, StopReason, Token
from tests.unit.ocpp.auth_kit import (
    ACCEPTED,
    OTHER,
    answers,
    ask,
    asked,
    group,
    id_token,
    reply,
)
from tests.unit.ocpp.station_rig import CARD, EVSE, V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import statuses

P = SessionPhase
req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
FRIEND = Token("F41E9D", "ISO14443")  # of CARD's group
FAULT = (ActiveFault("GroundFault", 1, datetime(2026, 11, 23, tzinfo=UTC)),)


def mixed(*types: str) -> Config:
    """An EVSE for each connector type."""
    rows = [
        {"id": n + 1, **EVSE, "connectors": [{"id": 1, "type": kind}]}
        for n, kind in enumerate(types)
    ]
    return Config.model_validate({"station": {"id": "CP1"}, "evse": rows})


def rig_of(
    evses: int = 1,
    version: str = V21,
    conf: Config | None = None,
    **presets: Any,
) -> Rig:
    """Registered, all EVSEs free and told."""
    made = conf or config(evses=evses, device_model=presets)
    rig = Rig(made, version=version).boot()
    all_free(rig)
    return rig


def all_free(rig: Rig) -> None:
    for evse in rig.conf.evse:
        rig.observe(evse_id=evse.id)
    rig.clear()


def tick(rig: Rig, seconds: float = 1.0) -> None:
    rig.run_s(seconds)


def reserve(
    rig: Rig,
    number: int = 1,
    evse_id: int | None = None,
    *,
    token: Token = CARD,
    kind: str = "",
    family: str = "",
    for_s: float = 3600,
) -> str:
    ends = rig.now.utc + timedelta(seconds=for_s)
    request: dict[str, Any] = {
        "id": number,
        "expiryDateTime": ends.isoformat(),
        "idToken": id_token(token),
    }
    if evse_id is not None:
        request["evseId"] = evse_id
    if kind:
        request["connectorType"] = kind
    if family:
        request |= group(family)
    answer = rig.call("ReserveNow", request)
    assert isinstance(answer, dict)
    status: str = answer["status"]
    return status


def cancel(rig: Rig, number: int = 1) -> str:
    answer = rig.call("CancelReservation", {"reservationId": number})
    assert isinstance(answer, dict)
    status: str = answer["status"]
    return status


def updates(rig: Rig) -> list[tuple[int, str]]:
    return [
        (p["reservationId"], p["reservationUpdateStatus"])
        for p in rig.payloads("ReservationStatusUpdate")
    ]


def may_charge(
    rig: Rig,
    token: Token,
    evse_id: int = 1,
    info: Mapping[str, Any] | None = None,
) -> bool:
    rig.clear()
    ask(rig, token, evse_id)
    if rig.payloads("Authorize"):
        reply(rig, {**ACCEPTED, **(info or {})})
    return asked(rig).accepted


# H01: an EVSE, a type, or any.


@BOTH
@req("H01.FR.03", "H01.FR.23", "H03.FR.01")
def test_one_evse_is_reserved(version: str) -> None:
    rig = rig_of(2, version)
    assert reserve(rig, 1, 2) == "Accepted"
    assert statuses(rig) == []  # the answer comes first
    tick(rig)
    assert statuses(rig) == [(2, "Reserved")]
    assert not may_charge(rig, OTHER, 2)
    assert may_charge(rig, OTHER, 1)
    assert may_charge(rig, CARD, 2)


@req("H01.FR.23")
def test_all_connectors_of_the_evse_are_reserved() -> None:
    two = [{"id": 1, "type": "cCCS2"}, {"id": 2, "type": "cG105"}]
    rig = rig_of(conf=config(evse={"connectors": two}))
    reserve(rig, 1, 1)
    tick(rig)
    assert statuses(rig) == [(1, "Reserved"), (1, "Reserved")]


@BOTH
@req(
    "H01.FR.04", "H01.FR.07", "H01.FR.18", "H01.FR.20", "H03.FR.03", "H03.FR.09",
)  # fmt: skip
def test_one_of_two_stays_free_for_who_reserved_any(version: str) -> None:
    rig = rig_of(2, version)
    assert reserve(rig) == "Accepted"
    tick(rig)
    assert statuses(rig) == []  # one may go
    assert may_charge(rig, OTHER, 1)
    rig.observe(P.STARTING, evse_id=1, authorised=True, token=OTHER)
    rig.clear()
    tick(rig)
    assert statuses(rig) == [(2, "Reserved")]
    assert not may_charge(rig, OTHER, 2)
    assert may_charge(rig, CARD, 2)
    rig.clear()
    tick(rig)
    assert statuses(rig) == [(2, "Available")]


@BOTH
@req("H01.FR.06", "H01.FR.09", "H01.FR.24", "H03.FR.02")
def test_one_of_a_type_stays_free(version: str) -> None:
    rig = rig_of(version=version, conf=mixed("cCCS2", "cG105", "cCCS2"))
    assert reserve(rig, 1, kind="cG105") == "Accepted"
    tick(rig)
    assert statuses(rig) == [(2, "Reserved")]
    assert reserve(rig, 2, kind="cCCS2") == "Accepted"
    rig.clear()
    tick(rig)
    assert statuses(rig) == []
    assert reserve(rig, 3, kind="cCCS2", token=FRIEND) == "Accepted"
    tick(rig)
    assert statuses(rig) == [(1, "Reserved"), (3, "Reserved")]
    assert reserve(rig, 4, kind="cCCS2") == "Occupied"
    assert reserve(rig, 5) == "Occupied"
    assert not may_charge(rig, OTHER, 1)
    assert not may_charge(rig, FRIEND, 2)
    assert may_charge(rig, CARD, 2)
    assert may_charge(rig, FRIEND, 3)


@BOTH
@pytest.mark.parametrize(
    ("seen", "status"),
    [
        pytest.param({"faults": FAULT}, "Faulted", marks=req("H01.FR.12")),
        pytest.param({"operative": False}, "Unavailable", marks=req("H01.FR.14")),
        pytest.param({"phase": P.CONNECTED}, "Occupied", marks=req("H01.FR.11")),
        pytest.param(
            {"phase": P.ENERGY, "authorised": True}, "Occupied", marks=req("H01.FR.11")
        ),
    ],
)
@pytest.mark.parametrize("evse_id", [None, 1])
def test_what_is_not_free_cannot_be_reserved(
    version: str, seen: dict[str, Any], status: str, evse_id: int | None
) -> None:
    rig = rig_of(version=version)
    rig.observe(**seen)
    assert reserve(rig, 1, evse_id) == status
    assert "reservation" not in rig.saved


def test_where_none_works_it_is_unavailable() -> None:
    rig = rig_of(2)
    rig.observe(evse_id=1, faults=FAULT)
    rig.observe(evse_id=2, operative=False)
    assert reserve(rig) == "Unavailable"


def test_what_has_not_reported_yet_is_unavailable() -> None:
    assert reserve(Rig().boot(), 1, 1) == "Unavailable"


@req("H01.FR.11")
def test_what_is_reserved_is_occupied() -> None:
    rig = rig_of(2)
    reserve(rig, 1, 1)
    tick(rig)
    assert reserve(rig, 2, 1, token=OTHER) == "Occupied"
    assert reserve(rig, 3, token=OTHER) == "Accepted"  # the other one
    assert reserve(rig, 4, 2, token=FRIEND) == "Occupied"


@BOTH
@pytest.mark.parametrize(
    ("presets", "more", "reason"),
    [
        pytest.param(
            {"Enabled": False}, {"evseId": 1}, "NotEnabled", marks=req("H01.FR.01")
        ),
        pytest.param(
            {"NonEvseSpecific": False}, {}, "MissingParam", marks=req("H01.FR.19")
        ),
        ({}, {"evseId": 9}, "UnknownEvse"),
        ({}, {"connectorType": "sType2"}, "UnknownConnectorType"),
        ({}, {"evseId": 1, "connectorType": "sType2"}, "UnknownConnectorType"),
        ({}, {"expiryDateTime": "2026-11-23T08:00:00Z"}, "InvalidValue"),
        ({}, {"expiryDateTime": "soon"}, "InvalidValue"),
    ],
)
def test_refusals(
    version: str, presets: dict[str, bool], more: dict[str, Any], reason: str
) -> None:
    rig = rig_of(
        version=version, **{f"ReservationCtrlr.{k}": on for k, on in presets.items()}
    )
    request = {
        "id": 1,
        "expiryDateTime": "2026-11-23T09:00:00Z",
        "idToken": id_token(CARD),
        **more,
    }
    answer = rig.call("ReserveNow", request)
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == reason


@BOTH
@req("H01.FR.02")
def test_the_same_id_replaces(version: str) -> None:
    rig = rig_of(2, version)
    reserve(rig, 1, 1)
    tick(rig)
    assert reserve(rig, 1, 2, token=OTHER) == "Accepted"
    rig.clear()
    tick(rig)
    assert sorted(statuses(rig)) == [(1, "Available"), (2, "Reserved")]
    assert may_charge(rig, OTHER, 2)


def test_what_cannot_replace_leaves_the_old_one() -> None:
    rig = rig_of(2)
    reserve(rig, 1, 1)
    rig.observe(P.CONNECTED, evse_id=2)
    assert reserve(rig, 1, 2, token=OTHER) == "Occupied"
    assert not may_charge(rig, OTHER, 1)


@BOTH
@pytest.mark.parametrize(
    "by",
    [
        pytest.param("card", marks=req("E01.FR.13", "E02.FR.03", "E03.FR.03")),
        pytest.param("remote start", marks=req("F02.FR.06")),
    ],
)
@req("H01.FR.15", "H03.FR.09")
def test_the_transaction_tells_that_the_reservation_is_over(
    version: str, by: str
) -> None:
    rig = rig_of(version=version)
    reserve(rig, 7, 1)
    if by == "card":
        assert may_charge(rig, CARD)
    else:
        assert remote(rig, CARD, 1) == "Accepted"
    rig.observe(P.STARTING, authorised=True)
    rig.observe(P.ENERGY, authorised=True)
    first, *more = rig.events()
    assert first["reservationId"] == 7
    assert all("reservationId" not in event for event in more)
    tick(rig, 120)
    assert updates(rig) == []
    assert cancel(rig, 7) == "Rejected"


@BOTH
@pytest.mark.parametrize(
    "seen",
    [
        pytest.param({"faults": FAULT}, marks=req("H01.FR.16")),
        pytest.param({"operative": False}, marks=req("H01.FR.17")),
    ],
)
def test_an_evse_that_breaks_down_ends_its_reservation(
    version: str, seen: dict[str, Any]
) -> None:
    rig = rig_of(2, version)
    reserve(rig, 7, 1)
    reserve(rig, 8, 2)
    tick(rig)
    rig.observe(evse_id=1, **seen)
    assert updates(rig) == [(7, "Removed")]
    assert cancel(rig, 7) == "Rejected"
    assert cancel(rig, 8) == "Accepted"


def test_any_evse_will_do_until_none_is_left() -> None:
    rig = rig_of(2)
    reserve(rig, 7)
    reserve(rig, 8)
    rig.observe(evse_id=1, operative=False)
    assert updates(rig) == [(8, "Removed")]
    rig.observe(evse_id=2, operative=False)
    assert updates(rig) == [(8, "Removed"), (7, "Removed")]


# H02.


@BOTH
@req("H02.FR.01")
def test_only_what_is_known_can_be_cancelled(version: str) -> None:
    rig = rig_of(version=version)
    assert cancel(rig) == "Rejected"
    reserve(rig, 1)
    assert cancel(rig, 2) == "Rejected"


@BOTH
@req("H02.FR.02", "H02.FR.03", "H02.FR.04")
def test_cancelled_the_evse_is_free(version: str) -> None:
    rig = rig_of(version=version)
    reserve(rig, 1, 1)
    tick(rig)
    rig.clear()
    assert cancel(rig) == "Accepted"
    tick(rig)
    assert statuses(rig) == [(1, "Available")]
    assert may_charge(rig, OTHER)
    assert updates(rig) == []


@BOTH
@req("H02.FR.05", "H02.FR.06")
def test_cancelled_any_evse_is_free(version: str) -> None:
    rig = rig_of(3, version)
    reserve(rig, 1)
    reserve(rig, 2)
    reserve(rig, 3, 3)
    tick(rig)
    assert [status for _, status in statuses(rig)] == ["Reserved"] * 3
    rig.clear()
    assert cancel(rig, 1) == "Accepted"
    tick(rig)
    assert sorted(statuses(rig)) == [(1, "Available"), (2, "Available")]
    assert may_charge(rig, OTHER, 1)
    assert not may_charge(rig, OTHER, 3)


# H03.


@pytest.mark.parametrize(
    ("where", "evse_id"),
    [
        pytest.param({"evse_id": 1}, 1, marks=req("H03.FR.04")),
        pytest.param({"kind": "cG105"}, 1, marks=req("H03.FR.05")),
        pytest.param({}, 1, marks=req("H03.FR.06")),
    ],
)
@req("H03.FR.08")
def test_one_of_the_group_may_come_instead(where: dict[str, Any], evse_id: int) -> None:
    for family, good in (("", False), ("STRANGE", False), ("HOME", True)):
        rig = rig_of()
        assert reserve(rig, 1, family="HOME", **where) == "Accepted"
        info = group(family) if family else {}
        assert may_charge(rig, FRIEND, evse_id, info) is good
        assert rig.payloads("Authorize")


@req("H03.FR.07")
def test_the_group_may_be_known_here() -> None:
    rig = rig_of(**{"AuthCtrlr.LocalPreAuthorize": True})
    row = {"idToken": id_token(FRIEND), "idTokenInfo": {**ACCEPTED, **group("HOME")}}
    request = {
        "versionNumber": 1,
        "updateType": "Full",
        "localAuthorizationList": [row],
    }
    rig.call("SendLocalList", request)
    reserve(rig, 1, 1, family="HOME")
    assert may_charge(rig, FRIEND)
    assert not rig.payloads("Authorize")


@BOTH
@pytest.mark.parametrize(
    ("plugged", "status"), [(False, "Available"), (True, "Occupied")]
)
@req("H03.FR.09", "H03.FR.10")
def test_who_comes_uses_it_up(version: str, plugged: bool, status: str) -> None:
    rig = rig_of(version=version)
    reserve(rig, 1, 1)
    tick(rig)
    if plugged:
        rig.observe(P.CONNECTED)
        assert statuses(rig) == [(1, "Reserved")]
    assert may_charge(rig, CARD)
    rig.clear()
    phase = P.STARTING if plugged else P.IDLE
    rig.observe(phase, authorised=True)
    assert statuses(rig) == [(1, status)]
    assert cancel(rig) == "Rejected"


@pytest.mark.parametrize(
    ("version", "told"), [(V21, [(1, "NoTransaction")]), (V201, [])]
)
@req("H03.FR.11")
def test_who_comes_and_does_not_plug_in(version: str, told: list[Any]) -> None:
    rig = rig_of(version=version, **{"TxCtrlr.EVConnectionTimeOut": 60})
    reserve(rig, 1, 1)
    assert may_charge(rig, CARD)
    tick(rig, 59)
    assert updates(rig) == []
    tick(rig, 3)
    assert updates(rig) == told
    rig.observe(P.STARTING, authorised=True)
    assert all("reservationId" not in event for event in rig.events())


def test_a_vehicle_that_has_finished_does_not_keep_others_out_of_it() -> None:
    """Its driver may not begin anew where that is the last place left."""
    rig = rig_of(2)
    reserve(rig, 1)
    assert may_charge(rig, OTHER, 1)
    for phase, stop in ((P.STARTING, None), (P.FINISHED, StopReason.LOCAL)):
        rig.observe(phase, evse_id=1, authorised=True, token=OTHER, stop=stop)
    rig.observe(evse_id=2, operative=False)
    assert updates(rig) == []
    assert not may_charge(rig, OTHER, 1)
    assert may_charge(rig, CARD, 1)


def test_of_two_reservations_the_one_for_that_evse_is_used_up() -> None:
    rig = rig_of(2)
    reserve(rig, 1)
    reserve(rig, 2, 1)
    assert may_charge(rig, CARD, 1)
    assert (cancel(rig, 2), cancel(rig, 1)) == ("Rejected", "Accepted")


def test_what_is_used_up_is_free_for_nobody_else_meanwhile() -> None:
    """The heart has yet to begin there; the other one stays reserved."""
    rig = rig_of(2)
    reserve(rig, 1)
    reserve(rig, 2, token=FRIEND)
    tick(rig)
    assert may_charge(rig, CARD, 1)
    rig.observe(evse_id=2)
    assert statuses(rig) == []
    assert not may_charge(rig, OTHER, 2)


def test_a_free_token_at_another_evse_uses_nothing_up() -> None:
    rig = rig_of(2)
    reserve(rig, 1, 2)
    assert may_charge(rig, CARD, 1)
    assert cancel(rig, 1) == "Accepted"


def test_a_vehicle_that_waits_for_its_card_keeps_the_reservation() -> None:
    rig = rig_of()
    reserve(rig, 1)
    rig.observe(P.CONNECTED)
    tick(rig)
    assert updates(rig) == []
    assert not may_charge(rig, OTHER)
    assert may_charge(rig, CARD)


# H04, and the disk.


@BOTH
@req("H04.FR.01", "H04.FR.02", "H04.FR.03")
def test_it_expires(version: str) -> None:
    rig = rig_of(version=version)
    reserve(rig, 1, 1, for_s=60)
    tick(rig, 59)
    assert updates(rig) == []
    assert not may_charge(rig, OTHER)
    tick(rig, 3)
    assert updates(rig) == [(1, "Expired")]
    assert statuses(rig)[-1] == (1, "Available")
    assert may_charge(rig, OTHER)


@req("B01.FR.13", "B11.FR.05")
def test_it_survives_a_restart_without_card_numbers() -> None:
    rig = rig_of()
    reserve(rig, 1, 1, family="HOME", for_s=600)
    assert CARD.value not in str(rig.saved["reservation"])
    again = rig.restarted().boot()
    again.observe(evse_id=1)
    assert statuses(again)[-1] == (1, "Reserved")
    assert not may_charge(again, OTHER)
    tick(again, 600)
    assert updates(again) == [(1, "Expired")]
    assert again.saved["reservation"] == {}


@pytest.mark.parametrize(
    "value", [None, 7, {}, {"id": 1}, {"id": 1, "expires": "soon"}]
)
def test_garbage_on_the_disk_reserves_nothing(value: Any) -> None:
    rig = Rig(config(), {"reservation": {"1": value}}).boot()
    all_free(rig)
    tick(rig)
    assert may_charge(rig, OTHER)


# F01, F02: remote starts.


def remote(rig: Rig, token: Token, evse_id: int | None, **more: Any) -> str:
    rig.clear()
    request = {"remoteStartId": 3, "idToken": id_token(token), **more}
    request |= {"evseId": evse_id} if evse_id else {}
    answer = rig.call("RequestStartTransaction", request)
    assert isinstance(answer, dict)
    status: str = answer["status"]
    assert bool(rig.asked()) is (status == "Accepted")
    return status


@BOTH
@req("F01.FR.21", "F01.FR.22", "F02.FR.23", "F02.FR.24", "H03.FR.09")
def test_a_remote_start_must_fit_the_reservation(version: str) -> None:
    cases: list[tuple[Token, str, str, bool]] = [
        (OTHER, "", "", False),
        (OTHER, "", "HOME", False),
        (OTHER, "HOME", "", False),
        (OTHER, "HOME", "STRANGE", False),
        (OTHER, "HOME", "HOME", True),
        (CARD, "", "", True),
    ]
    for token, family, given, good in cases:
        rig = rig_of(version=version)
        reserve(rig, 1, 1, family=family)
        more = group(given) if given else {}
        assert remote(rig, token, 1, **more) == ("Accepted" if good else "Rejected")
        assert cancel(rig) == ("Rejected" if good else "Accepted")


def test_a_remote_start_that_is_checked_first_uses_nothing_up_yet() -> None:
    rig = rig_of(**{"AuthCtrlr.AuthorizeRemoteStart": True})
    reserve(rig, 1, 1)
    assert remote(rig, CARD, 1) == "Accepted"
    (start,) = rig.asked()
    assert isinstance(start, StartRequest)
    assert not start.authorised
    assert cancel(rig) == "Accepted"


def test_a_remote_start_anywhere_leaves_reserved_evses_alone() -> None:
    rig = rig_of(2)
    reserve(rig, 1, 1)
    assert remote(rig, OTHER, None) == "Accepted"
    assert rig.asked()[0].evse_id == 2
    assert answers(rig) == []
