"""Renewing certificates: by the CSMS's request (A02), by date (A03); new passwords."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.effects import CallError, OcppError, Reconnect
from chargerd.ocpp.jobs.certificates import (
    CHAIN,
    STATION,
    V2G,
    V2G20,
    Csr,
    Inventory,
    MakeKey,
    Settle,
    Settled,
    Subject,
    Taken,
    TakeSigned,
)
from tests.unit.ocpp.certificate_kit import held, name
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import get_one, item, set_one

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
MUTUAL = {"url": "wss://one/ocpp", "security_profile": 3}
TYPES = {
    STATION: "SignChargingStationCertificate", V2G: "SignV2GCertificate",
    V2G20: "SignV2G20Certificate",
}  # fmt: skip
ACCEPTED = {"status": "Accepted"}
DAY_S = 86_400.0


def station(version: str = V21, **ocpp: Any) -> Rig:
    rig = Rig(config(**{**MUTUAL, **ocpp}), version=version)
    rig.station.connection()
    rig.boot()
    rig.worked(Settle, Settled())
    rig.works.clear()
    return rig


def trigger(rig: Rig, use: str = STATION) -> Any:
    return rig.call("TriggerMessage", {"requestedMessage": TYPES[use]})


def csr(rig: Rig, root: Any = None, text: str = "a CSR") -> dict[str, Any]:
    """The key is made; what was sent to the CSMS."""
    rig.worked(MakeKey, Csr(text, root))
    rig.works.clear()
    return rig.last("SignCertificate").payload


def asked(version: str = V21, use: str = STATION, **ocpp: Any) -> Rig:
    """A station whose request the CSMS has accepted."""
    rig = station(version, **ocpp)
    trigger(rig, use)
    csr(rig)
    rig.answer(rig.last("SignCertificate"), ACCEPTED)
    return rig


def signed(rig: Rig, value: Any, **more: Any) -> Any:
    request = {"certificateChain": "a chain", "certificateType": STATION, **more}
    promised = rig.call_later("CertificateSigned", request)
    rig.worked(TakeSigned, value)
    rig.works.clear()
    return rig.replied(promised)


def requests(rig: Rig) -> int:
    return len(rig.payloads("SignCertificate"))


# The request.


@req("A02.FR.02", "A02.FR.03", "A02.FR.13", "A03.FR.13")
@BOTH
def test_a_trigger_makes_a_key_and_sends_its_request(version: str) -> None:
    rig = station(version)
    assert trigger(rig) == ACCEPTED
    assert requests(rig) == 0  # the answer first
    (task,) = rig.works.values()
    assert task == MakeKey(STATION, Subject("CP1", "chargerd"))
    sent = csr(rig)
    assert (sent["csr"], sent["certificateType"]) == ("a CSR", STATION)


@req("A00.FR.511")
def test_the_serial_number_is_the_name() -> None:
    made = config(**MUTUAL)
    station = made.station.model_copy(update={"serial": "SN-0815"})
    rig = Rig(made.model_copy(update={"station": station})).boot()
    rig.works.clear()
    assert trigger(rig) == ACCEPTED
    (task,) = rig.works.values()
    assert task.subject.name == "SN-0815"


@pytest.mark.parametrize(
    ("use", "domain"),
    [
        pytest.param(V2G, "CPO", marks=req("A02.FR.22")),
        pytest.param(V2G20, "CPO", marks=req("A02.FR.23")),
    ],
)
@req("A02.FR.27", "A03.FR.23")
def test_certificates_for_vehicles_name_their_root(use: str, domain: str) -> None:
    presets = {
        "ISO15118Ctrlr.SeccId": "DE-ABC-S-1",
        "ISO15118Ctrlr.OrganizationName": "ABC",
        "ISO15118Ctrlr.CountryName": "DE",
    }
    rig = station(device_model=presets)
    assert trigger(rig, use) == ACCEPTED
    (task,) = rig.works.values()
    assert task == MakeKey(use, Subject("DE-ABC-S-1", "ABC", "DE", domain))
    sent = csr(rig, name("5f"))
    assert sent["certificateType"] == use
    assert sent["hashRootCertificate"]["serialNumber"] == "5f"


def test_certificates_for_vehicles_only_where_they_are_wanted() -> None:
    rig = station()
    found = item("ISO15118Ctrlr", "V2GCertificateInstallationEnabled", "false")
    assert set_one(rig, found)["attributeStatus"] == "Accepted"
    assert trigger(rig, V2G) == {"status": "Rejected"}
    assert trigger(rig) == ACCEPTED


@req("A02.FR.24", "A03.FR.20")
def test_every_request_has_a_number_of_its_own_also_after_a_restart() -> None:
    rig = station()
    numbers = []
    for _ in range(2):
        trigger(rig)
        numbers.append(csr(rig)["requestId"])
        rig = rig.restarted()
        rig.station.connection()
        rig.boot()
        rig.works.clear()
    assert len(set(numbers)) == 2


def test_2_0_1_has_no_numbers_and_no_second_kind_for_vehicles() -> None:
    rig = station(V201)
    trigger(rig)
    assert set(csr(rig, name())) == {"csr", "certificateType"}


def test_a_key_that_cannot_be_made_is_no_request() -> None:
    rig = station()
    trigger(rig)
    rig.worked(MakeKey, OcppError("disk full"))
    assert requests(rig) == 0
    assert trigger(rig) == ACCEPTED  # not blocked for ever


# Asking again.


@req("A02.FR.17", "A02.FR.18", "A02.FR.19", "A03.FR.17", "A03.FR.18", "A03.FR.19")
def test_it_is_asked_again_after_twice_the_wait_then_no_more() -> None:
    presets = {
        "SecurityCtrlr.CertSigningWaitMinimum": 60,
        "SecurityCtrlr.CertSigningRepeatTimes": 2,
    }
    rig = asked(device_model=presets)
    for quiet_s in (59, 119):
        rig.pass_s(quiet_s)
        before = requests(rig)
        rig.pass_s(1)
        assert requests(rig) == before + 1
        rig.answer(rig.last("SignCertificate"), ACCEPTED)
    rig.pass_s(100_000)
    assert requests(rig) == 3
    assert {row["csr"] for row in rig.payloads("SignCertificate")} == {"a CSR"}
    trigger(rig)  # until the CSMS asks for it
    csr(rig)
    assert requests(rig) == 4


def test_an_answer_that_never_came_counts_as_accepted() -> None:
    rig = station()
    trigger(rig)
    csr(rig)
    rig.answer(rig.last("SignCertificate"), CallError("GenericError"))
    rig.pass_s(60)
    assert requests(rig) == 2


def test_a_request_under_way_outlives_a_restart() -> None:
    rig = asked().restarted()
    rig.station.connection()
    rig.boot()
    rig.works.clear()
    rig.pass_s(61)
    assert requests(rig) == 1
    number = rig.last("SignCertificate").payload["requestId"]
    assert signed(rig, Taken(), requestId=number) == ACCEPTED


@req("A02.FR.21")
def test_plug_and_charge_rests_when_its_certificate_is_refused() -> None:
    rig = station(device_model={"ISO15118Ctrlr.PnCEnabled": True})
    trigger(rig, V2G)
    csr(rig)
    rig.answer(rig.last("SignCertificate"), {"status": "Rejected"})
    wanted = item("ISO15118Ctrlr", "PnCEnabled")
    assert get_one(rig, wanted)["attributeValue"] == "false"
    rig.pass_s(100_000)
    assert requests(rig) == 1
    again = rig.restarted().boot()
    assert get_one(again, wanted)["attributeValue"] == "true"


# The signed chain.


@req("A02.FR.08", "A03.FR.08")
@BOTH
def test_a_good_chain_is_used_at_once(version: str) -> None:
    rig = asked(version)
    assert signed(rig, Taken()) == ACCEPTED
    (again,) = [e for e in rig.effects if isinstance(e, Reconnect)]
    assert "certificate" in again.why
    assert rig.effects.index(again) == len(rig.effects) - 1  # after the answer
    assert "ReconfigurationOfSecurityParameters" in rig.log[-1]


def test_a_chain_for_vehicles_needs_no_new_link() -> None:
    rig = asked(use=V2G)
    assert signed(rig, Taken(), certificateType=V2G) == ACCEPTED
    assert not [e for e in rig.effects if isinstance(e, Reconnect)]


@req("A02.FR.07", "A02.FR.20", "A03.FR.07")
@BOTH
def test_a_bad_chain_is_refused_told_and_not_asked_for_again(version: str) -> None:
    rig = asked(version)
    answer = signed(rig, Taken("it ended yesterday"))
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "InvalidCertificate"
    event = rig.payloads("SecurityEventNotification")[-1]
    assert event["type"] == "InvalidChargingStationCertificate"
    assert "yesterday" in event["techInfo"]
    rig.pass_s(100_000)
    assert requests(rig) == 1
    assert not [e for e in rig.effects if isinstance(e, Reconnect)]


@req("A02.FR.26", "A03.FR.22")
@pytest.mark.parametrize("more", [{"requestId": 99}, {"requestId": -1}])
def test_an_unknown_number_is_refused(more: dict[str, int]) -> None:
    rig = asked()
    request = {"certificateChain": "a", "certificateType": STATION, **more}
    answer = rig.call("CertificateSigned", request)
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert signed(rig, Taken()) == ACCEPTED  # ours still counts


def test_a_chain_nobody_asked_for_is_refused() -> None:
    rig = station()
    answer = rig.call("CertificateSigned", {"certificateChain": "a"})
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"


def test_an_answer_that_comes_twice_is_a_replay() -> None:
    rig = asked()
    number = rig.last("SignCertificate").payload["requestId"]
    signed(rig, Taken(), requestId=number)
    request = {"certificateChain": "a chain", "certificateType": STATION}
    rig.call("CertificateSigned", {**request, "requestId": number})
    assert "AttemptedReplayAttacks" in rig.log[-1]


@pytest.mark.parametrize("use", [STATION, V2G])
def test_without_a_type_it_is_the_one_that_was_asked_for(use: str) -> None:
    """2.0.1 and 2.1 only recommend to the CSMS to say it."""
    rig = asked(use=use)
    promised = rig.call_later("CertificateSigned", {"certificateChain": "a chain"})
    (task,) = rig.works.values()
    assert task.use == use
    rig.worked(TakeSigned, Taken())
    assert rig.replied(promised) == ACCEPTED


@req("A02.FR.16", "A03.FR.16")
def test_a_chain_that_is_too_long_is_refused() -> None:
    rig = asked(device_model={"SecurityCtrlr.MaxCertificateChainSize": 100})
    request = {"certificateChain": "x" * 101, "certificateType": STATION}
    answer = rig.call("CertificateSigned", request)
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "TooLargeElement"


# Fallback to what worked.


def fail(rig: Rig, times: int) -> list[bool]:
    """Attempts in vain: which used the certificate before the renewed one."""
    used = []
    for _ in range(times):
        used.append(rig.station.connection().spare_client)
        rig.station.unreachable("", rig.now)
    return used


@req("A02.FR.28", "A03.FR.24")
def test_old_and_new_certificate_take_turns_round_by_round() -> None:
    presets = {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 2}
    rig = asked(device_model=presets)
    signed(rig, Taken())
    rig.link(False)
    assert fail(rig, 6) == [False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("spare", "settled", "event"),
    [
        pytest.param(False, Settled(renewed=True),
                     "ReconfigurationOfSecurityParameters",
                     marks=req("A02.FR.10", "A03.FR.10")),
        pytest.param(True, Settled(discarded=True),
                     "DiscardedRenewedClientCertificate",
                     marks=req("A02.FR.10", "A02.FR.29", "A03.FR.25")),
    ],
)  # fmt: skip
def test_once_a_link_stands_the_other_certificate_goes(
    spare: bool, settled: Settled, event: str
) -> None:
    presets = {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 1}
    rig = asked(device_model=presets)
    signed(rig, Taken())
    rig.link(False)
    if spare:
        fail(rig, 1)
    assert rig.station.connection().spare_client is spare
    rig.link()
    assert list(rig.works.values()) == [Settle(True, spare, False)]
    rig.worked(Settle, settled)
    assert event in rig.log[-1]
    told = [sent["type"] for sent in rig.payloads("SecurityEventNotification")]
    assert (event in told) is spare


# By date.


def look(rig: Rig, *here: Any) -> list[str]:
    """The keys that are made once the station has looked at its certificates."""
    rig.hold(*here)
    rig.run_s(2 * DAY_S / 24, step_s=60)
    return [task.use for task in rig.works.values()]


@pytest.mark.parametrize(
    ("days", "made"),
    [
        (60, []),
        pytest.param(29, [STATION], marks=req("A03.FR.02")),
        (-1, [STATION]),
    ],
)
def test_what_ends_within_a_month_is_renewed(days: float, made: list[str]) -> None:
    rig = station()
    rig.observe()
    assert look(rig, held(STATION, "2", days=days)) == made


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param("by a bad chain", marks=req("A02.FR.20")),
        "by the CSMS",
    ],
)
def test_what_has_failed_is_not_renewed_by_date(ended: str) -> None:
    rig = station()
    trigger(rig)
    csr(rig)
    answer = ACCEPTED if ended == "by a bad chain" else {"status": "Rejected"}
    rig.answer(rig.last("SignCertificate"), answer)
    if answer == ACCEPTED:
        signed(rig, Taken("it ended yesterday"))
    rig.observe()
    assert look(rig, held(STATION, "2", days=3)) == []
    trigger(rig)  # until the CSMS asks for it
    assert [task.use for task in rig.works.values()] == [STATION]


@req("A03.FR.03")
def test_its_request_is_that_of_the_csms_own_wish() -> None:
    rig = station()
    rig.observe()
    look(rig, held(STATION, "2", days=3), held(CHAIN, "3", days=3, signing=V2G20))
    for _ in range(2):
        handle, task = next(iter(rig.works.items()))
        rig.station.worked(handle, Csr(task.use, None), rig.now)
        rig.over(handle)
    rig.drain()
    rows = rig.payloads("SignCertificate")
    sent = {row["certificateType"]: row["csr"] for row in rows}
    assert sent == {STATION: STATION, V2G20: V2G20}


def test_it_is_not_renewed_twice_at_a_time_nor_by_a_wrong_clock() -> None:
    rig = asked()
    rig.observe()
    assert look(rig, held(STATION, "2", days=3)) == []
    rig = station()
    rig.now = rig.now.__class__(rig.now.mono, rig.now.utc, trusted=False)
    rig.observe()
    assert look(rig, held(STATION, "2", days=3)) == []


def test_without_profile_3_nobody_shows_it_and_nobody_renews_it() -> None:
    rig = station(security_profile=2, password="x" * 16)
    rig.observe()
    assert look(rig, held(STATION, "2", days=3)) == []


def test_a_chain_of_the_configuration_is_not_renewed_here() -> None:
    rig = station()
    rig.observe()
    assert look(rig, held(CHAIN, "3", days=3)) == []


def test_the_inventory_after_a_renewal_counts() -> None:
    rig = asked()
    request = {"certificateChain": "a chain", "certificateType": STATION}
    rig.call_later("CertificateSigned", request)
    rig.worked(TakeSigned, Taken())
    rig.worked(TakeSigned, Inventory((held(STATION), held())))
    made = get_one(rig, item("SecurityCtrlr", "CertificateEntries"))
    assert made["attributeValue"] == "2"
