"""Certificates that the CSMS lists, deletes and installs (M03 to M05), and A05."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs.certificates import (
    CHAIN,
    CSMS_ROOT,
    STATION,
    DeleteCertificate,
    Deleted,
    Installed,
    InstallRoot,
    Inventory,
    Settle,
    Settled,
)
from tests.unit.ocpp.certificate_kit import held, name
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import get_one, item, set_one

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
SECURITY = "SecurityCtrlr"
WSS = {
    "url": "wss://one/ocpp", "security_profile": 2, "password": "a password of ours",
}  # fmt: skip
ROOT = {"certificateType": CSMS_ROOT, "certificate": "a PEM"}


def hashes(serial: str = "1a") -> dict[str, str]:
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "aa" * 32,
        "issuerKeyHash": "bb" * 32,
        "serialNumber": serial,
    }


def listed(rig: Rig, *uses: str) -> Any:
    request = {"certificateType": list(uses)} if uses else {}
    return rig.replied(rig.call_later("GetInstalledCertificateIds", request))


# M03


@req("M03.FR.01", "M03.FR.02")
@BOTH
def test_none_is_not_found(version: str) -> None:
    rig = Rig(version=version).boot()
    assert listed(rig) == {"status": "NotFound"}
    rig.hold(held())
    assert listed(rig, "MORootCertificate") == {"status": "NotFound"}


@req("M03.FR.03", "M03.FR.04")
@BOTH
def test_each_that_matches_is_named(version: str) -> None:
    rig = Rig(version=version).boot()
    rig.hold(held(serial="1"), held("V2GRootCertificate", "2"), held(serial="3"))
    answer = listed(rig, CSMS_ROOT)
    assert answer["status"] == "Accepted"
    rows = answer["certificateHashDataChain"]
    assert [row["certificateHashData"] for row in rows] == [hashes("1"), hashes("3")]
    assert len(listed(rig)["certificateHashDataChain"]) == 3


@req("M03.FR.05")
def test_a_chain_is_its_leaf_with_the_cas_below_it() -> None:
    rig = Rig().boot()
    rig.hold(held(CHAIN, "7", children=(name("8"), name("9"))), held(STATION, "6"))
    (row,) = listed(rig)["certificateHashDataChain"]  # the station's own is none
    assert row == {
        "certificateType": CHAIN,
        "certificateHashData": hashes("7"),
        "childCertificateHashData": [hashes("8"), hashes("9")],
    }


def test_2_0_1_knows_no_roots_of_vehicles() -> None:
    rig = Rig(version=V201).boot()
    rig.inventory = Inventory((held("OEMRootCertificate"),))
    assert listed(rig) == {"status": "NotFound"}


def test_how_many_are_here_can_be_read() -> None:
    rig = Rig().boot()
    rig.hold(held(), held(CHAIN, "7", children=(name("8"), name("9"))))
    made = get_one(rig, item(SECURITY, "CertificateEntries"))
    assert made["attributeValue"] == "4"


# M04


@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param(Deleted("Accepted"), "Accepted",
                     marks=req("M04.FR.01", "M04.FR.02")),
        pytest.param(Deleted("NotFound"), "NotFound", marks=req("M04.FR.04")),
        pytest.param(Deleted("Failed", "no"), "Failed", marks=req("M04.FR.03")),
        pytest.param(OcppError("disk"), "Failed", marks=req("M04.FR.03")),
    ],
)  # fmt: skip
@BOTH
def test_delete(version: str, value: Any, status: str) -> None:
    rig = Rig(version=version).boot()
    promised = rig.call_later("DeleteCertificate", {"certificateHashData": hashes()})
    (task,) = rig.works.values()
    assert task == DeleteCertificate(name(), keep_csms=False)
    rig.worked(DeleteCertificate, value)
    answer = rig.replied(promised)
    assert isinstance(answer, dict)
    assert answer["status"] == status
    logged = "ReconfigurationOfSecurityParameters" in rig.log[-1]
    assert logged == (status == "Accepted")


def test_with_tls_the_last_root_of_the_csms_stays() -> None:
    rig = Rig(config(**WSS))
    rig.station.connection()
    rig.boot()
    rig.works.clear()
    rig.call_later("DeleteCertificate", {"certificateHashData": hashes()})
    (task,) = rig.works.values()
    assert task.keep_csms


# M05


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        pytest.param(Installed(), "Accepted", "", marks=req("M05.FR.01", "M05.FR.02")),
        pytest.param(Installed("no CA", "InvalidCertificate"), "Rejected",
                     "InvalidCertificate", marks=req("M05.FR.07")),
        pytest.param(Installed("64 are here", "TooManyElements"), "Rejected",
                     "TooManyElements", marks=req("M05.FR.06")),
        pytest.param(OcppError("disk"), "Failed", "InternalError",
                     marks=req("M05.FR.03")),
    ],
)  # fmt: skip
@BOTH
def test_install(version: str, value: Any, status: str, reason: str) -> None:
    rig = Rig(version=version).boot()
    promised = rig.call_later("InstallCertificate", ROOT)
    rig.worked(InstallRoot, value)
    answer = rig.replied(promised)
    assert isinstance(answer, dict)
    assert answer["status"] == status
    assert answer.get("statusInfo", {}).get("reasonCode", "") == reason
    if not isinstance(value, OcppError):
        rig.worked(InstallRoot, Inventory((held(),)))
        made = get_one(rig, item(SECURITY, "CertificateEntries"))
        assert made["attributeValue"] == "1"


def test_what_the_job_is_told() -> None:
    presets = {f"{SECURITY}.AdditionalRootCertificateCheck": True}
    rig = Rig(config(device_model=presets)).boot()
    rig.call_later("InstallCertificate", ROOT)
    (task,) = rig.works.values()
    assert task == InstallRoot(CSMS_ROOT, "a PEM", True, 64, rig.now.utc)


# The two roots of the CSMS.


def linked(**ocpp: Any) -> Rig:
    """A station that knows its CSMS; its link is down again."""
    rig = Rig(config(**{**WSS, **ocpp}))
    rig.station.connection()
    rig.boot()
    rig.hold(held())
    rig.link(False)
    return rig


def attempts(rig: Rig, *events: str) -> list[bool]:
    """Attempts that fail with these events: which of them used the old root."""
    used = []
    for event in events:
        used.append(rig.station.connection().spare_root)
        rig.station.unreachable(event, rig.now)
    return used


BAD = "InvalidCsmsCertificate"


@req("M05.FR.14")
def test_the_old_root_is_tried_when_the_new_one_does_not_fit() -> None:
    rig = linked()
    assert attempts(rig, BAD, "", BAD, "") == [False, True, True, False]


@req("M05.FR.15", "M05.FR.16")
def test_another_csms_is_tried_with_the_new_root_and_left_for_the_old() -> None:
    rig = linked(device_model={"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 2})
    rig.link()
    data = {
        "ocppVersion": "OCPP20", "ocppInterface": "Wired0", "ocppTransport": "JSON",
        "messageTimeout": 30, "ocppCsmsUrl": "wss://two", "securityProfile": 2,
    }  # fmt: skip
    rig.call("SetNetworkProfile", {"configurationSlot": 2, "connectionData": data})
    set_one(rig, item("OCPPCommCtrlr", "NetworkConfigurationPriority", "2,1"))
    rig = rig.restarted()
    assert rig.station.connection().url == "wss://two"
    assert attempts(rig, BAD, BAD) == [False, False]
    assert rig.station.connection().url == "wss://one/ocpp"
    assert rig.station.connection().spare_root


@req("M05.FR.13")
def test_a_link_with_the_new_root_lets_the_old_one_go() -> None:
    rig = linked()
    rig.works.clear()
    rig.station.connection()
    rig.link()
    assert list(rig.works.values()) == [Settle(False, False, False)]
    rig.worked(Settle, Settled(roots_gone=True))
    assert "replaced CSMS root is gone" in rig.log[-1]


def test_without_tls_there_is_nothing_to_settle() -> None:
    rig = Rig(config(url="ws://one/ocpp", security_profile=1))
    rig.station.connection()
    rig.boot()
    assert rig.works == {}


# A05: what a higher security profile needs.


def wish(rig: Rig, profile: int) -> Any:
    data = {
        "ocppVersion": "OCPP20", "ocppInterface": "Wired0", "ocppTransport": "JSON",
        "messageTimeout": 30, "ocppCsmsUrl": "wss://two", "securityProfile": profile,
    }  # fmt: skip
    rig.call("SetNetworkProfile", {"configurationSlot": 2, "connectionData": data})
    made = set_one(rig, item("OCPPCommCtrlr", "NetworkConfigurationPriority", "2"))
    return made["attributeStatus"]


@pytest.mark.parametrize(
    ("profile", "here", "status"),
    [
        pytest.param(2, (), "Rejected", marks=req("A05.FR.02")),
        pytest.param(2, (held(days=-1),), "Rejected", marks=req("A05.FR.02")),
        pytest.param(3, (held(STATION, "2"),), "Rejected", marks=req("A05.FR.02")),
        pytest.param(2, (held(),), "Accepted", marks=req("A05.FR.04")),
        pytest.param(3, (held(),), "Rejected", marks=req("A05.FR.03")),
        pytest.param(3, (held(), held(STATION, "2", days=-1)), "Rejected",
                     marks=req("A05.FR.03")),
        pytest.param(3, (held(), held(STATION, "2")), "Accepted",
                     marks=req("A05.FR.04")),
    ],
)  # fmt: skip
@BOTH
def test_upgrade_of_the_security_profile(
    version: str, profile: int, here: tuple[Any, ...], status: str
) -> None:
    one = {"url": "ws://one", "security_profile": 1, "password": "x" * 16}
    rig = Rig(config(**one), version=version).boot()
    rig.hold(*here)
    assert wish(rig, profile) == status
    assert get_one(rig, item(SECURITY, "SecurityProfile"))["attributeValue"] == "1"


@pytest.mark.parametrize(
    ("allowed", "profile", "status"),
    [
        pytest.param(True, 2, "Accepted", marks=req("A05.FR.08", "A00.FR.05")),
        pytest.param(True, 1, "Rejected", marks=req("A05.FR.09", "A00.FR.05")),
        pytest.param(False, 2, "Rejected", marks=req("A00.FR.05")),
    ],
)
def test_downgrade_of_the_security_profile(
    allowed: bool, profile: int, status: str
) -> None:
    presets = {
        f"{SECURITY}.AllowSecurityProfileDowngrade": allowed,
        "NetworkConfiguration[2].OcppCsmsUrl": "wss://two",
        "NetworkConfiguration[2].SecurityProfile": profile,
    }
    rig = Rig(config(**{**WSS, "security_profile": 3}, device_model=presets))
    rig.hold(held(), held(STATION, "2"))
    made = set_one(rig, item("OCPPCommCtrlr", "NetworkConfigurationPriority", "2"))
    assert made["attributeStatus"] == status
