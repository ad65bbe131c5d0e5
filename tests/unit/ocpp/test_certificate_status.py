"""OCSP responses for the chains that vehicles are shown (M06)."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from chargerd.ocpp.effects import CallError, OcppError
from chargerd.ocpp.jobs.certificates import CHAIN, V2G, Held, Inventory, KeepStaple
from tests.unit.ocpp.certificate_kit import held, name
from tests.unit.ocpp.station_rig import START, V21, V201, Rig

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
URL = "http://ocsp.example/"
HOUR_S, DAY_S = 3600.0, 86_400.0
GOOD = {"status": "Accepted", "ocspResult": base64.b64encode(b"DER").decode()}


def chain(serial: str = "7", *subs: str, url: str = URL) -> Held:
    children = tuple(name(each, url) for each in subs)
    return held(CHAIN, serial, children=children, signing=V2G, url=url)


def station(*here: Held, version: str = V21) -> Rig:
    rig = Rig(version=version).boot()
    rig.hold(*here)
    rig.observe()
    rig.run_s(2.0)
    return rig


def asked(rig: Rig) -> list[str]:
    rows = rig.payloads("GetCertificateStatus")
    return [row["ocspRequestData"]["serialNumber"] for row in rows]


def answer(rig: Rig, value: Any = None, *, days: float = 7) -> None:
    """The CSMS has the response to the last request; it is kept."""
    send = rig.last("GetCertificateStatus")
    rig.answer(send, GOOD)
    serial = send.payload["ocspRequestData"]["serialNumber"]
    (task,) = [each for each in rig.works.values() if isinstance(each, KeepStaple)]
    assert task == KeepStaple(serial, b"DER", rig.now.utc)
    staples = dict(rig.inventory.staples) | {serial: rig.now.utc + timedelta(days=days)}
    rig.inventory = Inventory(rig.inventory.held, tuple(staples.items()))
    rig.worked(KeepStaple, value or rig.inventory)
    rig.works.clear()


@req("M06.FR.06")
@BOTH
def test_each_certificate_of_a_chain_is_asked_for(version: str) -> None:
    rig = station(chain("7", "8", "9"), version=version)
    assert asked(rig) == ["7", "8", "9"]
    data = rig.payloads("GetCertificateStatus")[0]["ocspRequestData"]
    assert data == {
        "hashAlgorithm": "SHA256", "issuerNameHash": "aa" * 32,
        "issuerKeyHash": "bb" * 32, "serialNumber": "7", "responderURL": URL,
    }  # fmt: skip


@pytest.mark.parametrize("url", ["", "http://" + "x" * 2000])
def test_without_a_responder_there_is_nobody_to_ask(url: str) -> None:
    assert asked(station(chain(url=url))) == []


def test_2_0_1_carries_shorter_addresses() -> None:
    long = "http://" + "x" * 600
    assert asked(station(chain(url=long), version=V201)) == []
    assert asked(station(chain(url=long))) == ["7"]


@req("M06.FR.10")
@pytest.mark.parametrize(("life_days", "again_days"), [(7, 6.0), (30, 6.0), (3, 2.0)])
def test_it_is_asked_for_again_before_a_week_or_its_end(
    life_days: float, again_days: float
) -> None:
    rig = station(chain())
    answer(rig, days=life_days)
    rig.run_s(again_days * DAY_S - 1200, step_s=600)
    assert asked(rig) == ["7"]
    rig.run_s(2400, step_s=600)
    assert asked(rig) == ["7", "7"]


def test_what_was_kept_is_not_asked_for_after_a_restart() -> None:
    rig = station(chain())
    answer(rig)
    again = rig.restarted().boot()
    again.inventory = rig.inventory
    again.hold(*rig.inventory.held)
    again.inventory = rig.inventory
    again.call_later("GetInstalledCertificateIds")
    again.observe()
    again.run_s(2.0)
    assert asked(again) == []


@req("M06.FR.07")
def test_a_new_certificate_is_asked_for_at_once_with_its_cas() -> None:
    rig = station(chain("7"))
    answer(rig)
    rig.clear()
    rig.hold(chain("a", "b"))
    rig.run_s(2.0)
    assert asked(rig) == ["a", "b"]


@pytest.mark.parametrize(
    "said",
    [
        {"status": "Failed"},
        {"status": "Accepted", "ocspResult": "no base 64!"},
        {"status": "Accepted"},
        CallError("GenericError"),
    ],
)
def test_no_response_is_asked_for_again_in_an_hour(said: Any) -> None:
    rig = station(chain())
    rig.answer(rig.last("GetCertificateStatus"), said)
    assert not rig.works
    rig.run_s(HOUR_S - 60, step_s=60)
    assert asked(rig) == ["7"]
    rig.run_s(120, step_s=60)
    assert asked(rig) == ["7", "7"]


def test_bad_news_is_not_shown_but_logged() -> None:
    rig = station(chain())
    answer(rig, OcppError("OCSP response: the certificate is REVOKED"))
    assert "REVOKED" in rig.log[-1]
    rig.run_s(2 * HOUR_S, step_s=60)
    assert len(asked(rig)) > 1


def test_offline_nobody_is_asked() -> None:
    rig = Rig(utc=START).boot()
    rig.link(False)
    rig.hold(chain())
    rig.observe()
    rig.run_s(2.0)
    assert asked(rig) == []
