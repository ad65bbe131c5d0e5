"""Revoked certificates of vehicles: asked for once, kept for a week (M07)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chargerd.model import Revocable
from chargerd.ocpp.blocks import chain_status
from chargerd.ocpp.effects import CallError
from tests.unit.ocpp.certificate_kit import name
from tests.unit.ocpp.station_rig import V201, Rig

req = pytest.mark.req
DAY_S = 86_400.0
ACTION = "GetCertificateChainStatus"
LEAF = Revocable(name("00A1"), "OCSP", ("http://ocsp.example/",))
SUB = Revocable(name("b2"), "CRL", ("http://crl.example/1", "http://crl.example/2"))


def ask(rig: Rig, *chain: Revocable) -> list[bool]:
    """What is told, now and later."""
    told: list[bool] = []
    rig.station.chain_status(chain, told.append, rig.now)
    rig.drain()
    return told


def asked(rig: Rig) -> list[list[str]]:
    return [
        [row["certificateHashData"]["serialNumber"] for row in rows]
        for rows in (p["certificateStatusRequests"] for p in rig.payloads(ACTION))
    ]


def answer(rig: Rig, *statuses: str, days: float = 30) -> None:
    send = rig.last(ACTION)
    until = (rig.now.utc + timedelta(days=days)).isoformat()
    rows = [
        {"certificateHashData": row["certificateHashData"], "source": row["source"],
         "status": status, "nextUpdate": until}
        for row, status in zip(
            send.payload["certificateStatusRequests"], statuses, strict=True
        )
    ]  # fmt: skip
    rig.answer(send, {"certificateStatus": rows})


@req("M07.FR.11")
def test_the_chain_is_asked_for_as_its_cas_say() -> None:
    rig = Rig().boot()
    told = ask(rig, LEAF, SUB)
    rows = rig.payloads(ACTION)[0]["certificateStatusRequests"]
    assert [(row["source"], tuple(row["urls"])) for row in rows] == [
        ("OCSP", LEAF.urls), ("CRL", SUB.urls),
    ]  # fmt: skip
    assert told == []
    answer(rig, "Good", "Good")
    assert told == [False]


@pytest.mark.parametrize(
    ("statuses", "revoked"),
    [(("Revoked", "Good"), True), (("Good", "Revoked"), True),
     (("Unknown", "Good"), False), (("Failed", "Failed"), False)],
)  # fmt: skip
def test_one_revoked_certificate_is_enough(
    statuses: tuple[str, str], revoked: bool
) -> None:
    rig = Rig().boot()
    told = ask(rig, LEAF, SUB)
    answer(rig, *statuses)
    assert told == [revoked]


@req("M07.FR.09", "M07.FR.10")
@pytest.mark.parametrize(("days", "kept_days"), [(30, 7), (2, 2)])
@pytest.mark.parametrize("status", ["Good", "Revoked"])
def test_an_answer_is_kept_until_its_end_but_a_week_at_most(
    status: str, days: float, kept_days: float
) -> None:
    rig = Rig().boot()
    ask(rig, LEAF)
    answer(rig, status, days=days)
    again = rig.restarted(after_s=kept_days * DAY_S - 60).boot()
    assert ask(again, LEAF) == [status == "Revoked"]
    assert asked(again) == []
    late = rig.restarted(after_s=kept_days * DAY_S + 60).boot()
    assert ask(late, LEAF) == []
    assert asked(late) == [["00A1"]]


@req("M07.FR.11")
def test_only_what_is_not_known_is_asked_for() -> None:
    rig = Rig().boot()
    ask(rig, LEAF)
    answer(rig, "Good")
    told = ask(rig, LEAF, SUB)
    assert asked(rig)[-1] == ["b2"]
    answer(rig, "Good")
    assert told == [False]


def test_a_status_that_failed_is_asked_for_again() -> None:
    rig = Rig().boot()
    ask(rig, LEAF)
    answer(rig, "Failed")
    ask(rig, LEAF)
    assert len(asked(rig)) == 2


def test_an_answer_about_another_certificate_counts_for_nothing() -> None:
    rig = Rig().boot()
    told = ask(rig, LEAF)
    send = rig.last(ACTION)
    row: dict[str, Any] = send.payload["certificateStatusRequests"][0]
    data = {**row["certificateHashData"], "serialNumber": "ff"}
    until = (rig.now.utc + timedelta(days=3)).isoformat()
    rig.answer(send, {"certificateStatus": [
        {"certificateHashData": data, "source": "OCSP", "status": "Revoked",
         "nextUpdate": until},
    ]})  # fmt: skip
    assert told == [False]
    assert rig.saved.get(chain_status.SPACE, {}) == {}


@pytest.mark.parametrize("case", ["offline", "2.0.1", "error"])
def test_where_nobody_knows_the_vehicle_goes_on(case: str) -> None:
    rig = Rig(version=V201).boot() if case == "2.0.1" else Rig().boot()
    if case == "offline":
        rig.link(False)
    told = ask(rig, LEAF)
    if case == "error":
        rig.answer(rig.last(ACTION), CallError("InternalError"))
    assert told == [False]


def test_the_cache_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_status, "KNOWN_MAX", 3)
    rig = Rig().boot()
    for number in range(1, 6):
        ask(rig, Revocable(name(f"{number:x}"), "OCSP", LEAF.urls))
        answer(rig, "Good", days=number)
    assert len(rig.saved[chain_status.SPACE]) == 3
    assert ask(rig, Revocable(name("5"), "OCSP", LEAF.urls)) == [False]
