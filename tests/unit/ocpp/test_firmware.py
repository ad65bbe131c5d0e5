"""Firmware updates: the steps in order, what they tell, and restarts (L01, L02)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import AvailabilityRequest, SessionPhase
from chargerd.ocpp.effects import Durability, OcppError
from chargerd.ocpp.jobs.address import TransferError
from chargerd.ocpp.jobs.firmware import (
    CheckFirmware,
    CheckSigner,
    InstallFirmware,
    ReadSlot,
    Reboot,
    Running,
    Signed,
    Signer,
)
from chargerd.ocpp.jobs.transfer import Download
from tests.unit.ocpp.firmware_kit import (
    BEFORE,
    SIGNED_STATUSES,
    WHERE,
    checked,
    downloaded,
    installed,
    last,
    rebooted,
    request,
    rig,
    runs,
    statuses,
    to_install,
    update,
    verified,
)
from tests.unit.ocpp.station_rig import V21, V201, Rig

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
SIGNED = pytest.mark.parametrize("signed", [True, False])
LATER = "2026-11-23T08:10:00Z"  # ten minutes after the start
ACCEPTED = {"status": "Accepted"}


def security(station: Rig) -> list[str]:
    return [p["type"] for p in station.payloads("SecurityEventNotification")]


@BOTH
@req(
    "L01.FR.01",
    "L01.FR.05",
    "L01.FR.10",
    "L01.FR.15",
    "L01.FR.20",
    "L01.FR.28",
    "L01.FR.31",
    "L01.FR.32",
)
def test_a_signed_update(version: str) -> None:
    station = rig(version)
    assert update(station, 7) == ACCEPTED
    downloaded(station)
    verified(station)
    installed(station)
    assert statuses(station) == SIGNED_STATUSES
    sent = station.payloads("FirmwareStatusNotification")
    station.answer(station.last("FirmwareStatusNotification"), {})
    station.pass_s(0.0)
    late = rebooted(station)
    late.boot()
    assert late.last("BootNotification").payload["reason"] == "FirmwareUpdate"
    late.finished(ReadSlot, Running("rootfs.1", "b2"))
    sent += late.payloads("FirmwareStatusNotification")
    assert sent[-1]["status"] == "Installed"
    assert {payload["requestId"] for payload in sent} == {7}
    assert "FirmwareUpdated" in security(late)
    again = late.restarted().boot()
    assert statuses(again) == []


@BOTH
@req(
    "L02.FR.01",
    "L02.FR.02",
    "L02.FR.06",
    "L02.FR.09",
    "L02.FR.14",
    "L02.FR.20",
    "L02.FR.21",
)
def test_an_unsigned_update_where_it_is_allowed(version: str) -> None:
    station = rig(version)
    assert update(station, 8, signed=False) == ACCEPTED
    downloaded(station)
    checked(station)
    installed(station)
    expected = ["Downloading", "Downloaded", "Installing", "InstallRebooting"]
    assert statuses(station) == expected
    station.pass_s(20.0)
    late = rebooted(station).boot()
    late.finished(ReadSlot, Running("rootfs.1", "b2"))
    assert last(late) == {"status": "Installed", "requestId": 8}


@req("L01.FR.09")
def test_unsigned_firmware_is_refused_by_default() -> None:
    station = rig(firmware={"unsigned": False})
    answer = station.call("UpdateFirmware", request(signed=False))
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert not station.works


def test_each_status_is_on_disk_with_the_record_that_says_so() -> None:
    station = rig()
    to_install(station)
    sends = [s for s in station.sent if s.action == "FirmwareStatusNotification"]
    assert {send.durability for send in sends} == {Durability.DURABLE}
    kept = [send.save.value["told"] for send in sends if send.save]
    assert kept == [SIGNED_STATUSES[: n + 1] for n in range(4)]


def test_without_an_installer_there_is_no_update() -> None:
    answer = rig(firmware={"installer": "none"}).call("UpdateFirmware", request())
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "NotEnabled"


@pytest.mark.parametrize(
    "more",
    [{"location": "gopher://x/"}, {"retrieveDateTime": "2026-13-01T00:00:00Z"},
     {"installDateTime": "2026-13-01T00:00:00Z"}],
)  # fmt: skip
def test_what_cannot_be_asked(more: dict[str, str]) -> None:
    answer = rig().call("UpdateFirmware", request(**more))
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"


@BOTH
@req("L01.FR.02", "L01.FR.21", "L01.FR.22")
def test_a_signing_certificate_that_is_not_believed(version: str) -> None:
    station = rig(version)
    answer = update(station, problem="no manufacturer root here has signed it")
    assert isinstance(answer, dict)
    assert answer["status"] == "InvalidCertificate"
    assert security(station) == ["InvalidFirmwareSigningCertificate"]
    assert not station.works
    assert statuses(station) == []


@req("L01.FR.03", "L01.FR.12")
def test_a_wrong_signature() -> None:
    station = rig()
    update(station)
    downloaded(station)
    station.finished(CheckFirmware, Signed(False))
    assert statuses(station)[-1] == "InvalidSignature"
    assert security(station) == ["InvalidFirmwareSignature"]
    assert not station.works


@req("L01.FR.29")
@pytest.mark.parametrize("why", ["bundle", "older"])
def test_firmware_that_does_not_fit(why: str) -> None:
    station = rig()
    update(station)
    downloaded(station)
    if why == "older":
        verified(station, "0.0.9")
    else:
        station.finished(CheckFirmware, OcppError("the bundle is for 'fridge'"))
    assert last(station)["status"] == "InstallVerificationFailed"
    assert not station.works


def test_an_older_version_where_it_is_allowed() -> None:
    station = rig(firmware={"older": True})
    update(station)
    downloaded(station)
    verified(station, "0.0.9")
    assert runs(station, InstallFirmware)


@SIGNED
@req("L01.FR.13", "L02.FR.07")
def test_a_download_at_its_time(signed: bool) -> None:
    station = rig()
    update(station, signed=signed, retrieveDateTime=LATER)
    assert statuses(station) == ["DownloadScheduled"]
    station.pass_s(599.0)
    assert not runs(station, Download)
    station.pass_s(1.0)
    assert runs(station, Download)
    assert statuses(station) == ["DownloadScheduled", "Downloading"]


@SIGNED
@req("L01.FR.16", "L02.FR.10")
def test_an_installation_at_its_time(signed: bool) -> None:
    station = rig()
    to_install(station, signed=signed, installDateTime=LATER)
    assert statuses(station)[-1] == "InstallScheduled"
    station.run_s(595.0, step_s=5.0)
    assert not runs(station, InstallFirmware)
    assert not [r for r in station.asked() if isinstance(r, AvailabilityRequest)]
    station.run_s(5.0, step_s=5.0)
    assert runs(station, InstallFirmware)
    assert statuses(station)[-1] == "Installing"


@SIGNED
@req("L01.FR.30", "L02.FR.19")
def test_a_download_that_fails(signed: bool) -> None:
    station = rig()
    update(station, signed=signed, retries=2, retryInterval=10)
    for _ in range(2):
        station.finished(Download, TransferError("broken off"))
        station.pass_s(9.0)
        assert not station.works
        station.pass_s(1.0)
        assert runs(station, Download)
    assert statuses(station) == ["Downloading"]
    station.finished(Download, TransferError("broken off"))
    assert statuses(station) == ["Downloading", "DownloadFailed"]
    assert last(station)["statusInfo"]["additionalInfo"] == "broken off"
    station.pass_s(100.0)
    assert not station.works


def wishes(station: Rig) -> dict[int, bool]:
    """What the heart was asked last, by EVSE."""
    return {
        r.evse_id: r.operative
        for r in station.asked()
        if isinstance(r, AvailabilityRequest)
    }


def charging(station: Rig, evse_id: int = 1) -> None:
    station.observe(SessionPhase.ENERGY, authorised=True, evse_id=evse_id)


@SIGNED
@req(
    "L01.FR.06",
    "L01.FR.07",
    "L01.FR.33",
    "L01.FR.34",
    "L02.FR.03",
    "L02.FR.04",
    "L02.FR.22",
    "L02.FR.23",
)
def test_it_waits_for_transactions(signed: bool) -> None:
    station = rig(evses=2)
    charging(station)
    to_install(station, signed=signed)
    assert statuses(station)[-1] == "InstallScheduled"
    assert wishes(station) == {1: False, 2: False}  # the free one, and any that ends
    station.run_s(3600.0, step_s=60.0)
    assert not runs(station, InstallFirmware)
    station.observe(SessionPhase.IDLE)
    station.run_s(2.0)
    assert runs(station, InstallFirmware)
    assert statuses(station)[-1] == "Installing"


def test_it_waits_for_a_driver_who_is_about_to_plug_in() -> None:
    station = rig()
    station.observe(SessionPhase.IDLE, authorised=True, kept=True)
    to_install(station)
    assert not runs(station, InstallFirmware)
    station.observe()
    station.run_s(1.5)
    assert runs(station, InstallFirmware)


@req("L01.FR.33", "L02.FR.22")
def test_no_reboot_while_somebody_charges() -> None:
    """His transaction was there before the restart, and was taken up again."""
    station = rig()
    to_install(station)
    charging(station)
    installed(station)
    station.run_s(60, step_s=5)
    assert not runs(station, Reboot)
    station.observe(SessionPhase.FINISHED)
    station.observe()
    station.run_s(20, step_s=5)
    assert runs(station, Reboot)


def test_new_sessions_may_be_allowed_meanwhile() -> None:
    name = "ChargingStation.AllowNewSessionsPendingFirmwareUpdate"
    station = rig(evses=2, device_model={name: True})
    charging(station)
    to_install(station)
    assert wishes(station) == {}
    station.observe(SessionPhase.IDLE)
    station.run_s(2.0)
    assert wishes(station) == {1: False, 2: False}  # while it is installed


@SIGNED
@req("L01.FR.24", "L02.FR.15")
@pytest.mark.parametrize("stage", ["scheduled", "downloading", "retry", "install"])
def test_a_newer_request_ends_the_update(signed: bool, stage: str) -> None:
    station = rig()
    when = {"retrieveDateTime": LATER} if stage == "scheduled" else {}
    if stage == "install":
        to_install(station, signed=signed, installDateTime=LATER)
    else:
        update(station, signed=signed, **when)
    if stage == "retry":
        station.finished(Download, TransferError("x"))
    answer = update(station, 2, signed=signed, location=f"{WHERE}.2")
    assert answer == {"status": "AcceptedCanceled"}
    (task,) = station.works.values()
    assert isinstance(task, Download)
    assert task.url == f"{WHERE}.2"
    assert last(station) == {"status": "Downloading", "requestId": 2}


@SIGNED
@req("L01.FR.27", "L02.FR.18", "B11.FR.06", "B12.FR.10")
@pytest.mark.parametrize("rebooting", [False, True])
def test_an_installation_is_not_cancelled(signed: bool, rebooting: bool) -> None:
    station = rig()
    to_install(station, signed=signed)
    if rebooting:
        installed(station)
    answer = station.call("UpdateFirmware", request(2, signed=signed))
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    asked = station.asked()
    for kind in ("Immediate", "OnIdle"):
        answer = station.call("Reset", {"type": kind})
        assert isinstance(answer, dict)
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] == "FwUpdateInProgress"
    assert station.asked() == asked


@req("L01.FR.27")
def test_an_installation_that_began_meanwhile_is_not_cancelled() -> None:
    station = rig()
    to_install(station, installDateTime=LATER)
    promised = station.call_later("UpdateFirmware", request(2))
    station.run_s(600.0, step_s=5.0)
    assert runs(station, InstallFirmware)
    station.finished(CheckSigner, Signer(""))
    answer = station.replied(promised)
    assert isinstance(answer, dict)
    assert answer["statusInfo"]["reasonCode"] == "FwUpdateInProgress"
    assert runs(station, InstallFirmware)


def test_a_refused_request_leaves_the_update_alone() -> None:
    station = rig()
    update(station)
    update(station, 2, problem="it is not valid now")
    assert runs(station, Download)
    downloaded(station)
    assert last(station) == {"status": "Downloaded", "requestId": 1}


def triggered(station: Rig) -> dict[str, Any]:
    call = {"requestedMessage": "FirmwareStatusNotification"}
    assert station.call("TriggerMessage", call) == ACCEPTED
    return last(station)


@SIGNED
@req("L01.FR.20", "L01.FR.25", "L01.FR.26", "L02.FR.14", "L02.FR.16", "L02.FR.17")
def test_triggered(signed: bool) -> None:
    station = rig()
    assert triggered(station) == {"status": "Idle"}
    update(station, 5, signed=signed)
    assert triggered(station) == {"status": "Downloading", "requestId": 5}
    downloaded(station)
    (verified if signed else checked)(station)
    installed(station)
    station.pass_s(20.0)
    late = rebooted(station).boot()
    assert triggered(late) == {"status": "InstallRebooting", "requestId": 5}
    late.finished(ReadSlot, Running("rootfs.1", "b2"))
    assert triggered(late) == {"status": "Idle"}


def test_an_installation_that_fails() -> None:
    station = rig()
    to_install(station)
    station.finished(InstallFirmware, OcppError("RAUC: no space"))
    assert last(station)["status"] == "InstallationFailed"
    assert wishes(station) == {1: True}
    assert not station.works


def test_a_system_that_does_not_boot_is_told_by_the_old_one() -> None:
    station = rig()
    to_install(station)
    installed(station)
    station.pass_s(20.0)
    late = rebooted(station).boot()
    late.finished(ReadSlot, Running("rootfs.0", "b2"))
    assert last(late)["status"] == "InstallationFailed"
    assert "FirmwareUpdated" not in security(late)


def test_a_restart_of_the_daemon_alone_is_no_boot() -> None:
    station = rig()
    to_install(station)
    installed(station)
    late = station.restarted().boot()
    late.finished(ReadSlot, BEFORE)
    assert statuses(late) == []
    assert wishes(late) == {1: False}  # nobody begins before the reboot
    late.pass_s(20.0)
    assert runs(late, Reboot)


def test_a_reboot_that_fails() -> None:
    station = rig()
    to_install(station)
    installed(station)
    station.pass_s(20.0)
    station.finished(Reboot, OcppError("access denied"))
    assert last(station)["status"] == "InstallationFailed"
    late = station.restarted().boot()
    assert late.last("BootNotification").payload["reason"] == "PowerUp"


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("scheduled", None), ("downloading", Download), ("checking", CheckFirmware),
     ("ready", CheckFirmware), ("installing", CheckFirmware)],
)  # fmt: skip
def test_a_restart_goes_on_with_the_step(stage: str, kind: type | None) -> None:
    station = rig()
    ready = {"installDateTime": LATER} if stage == "ready" else {}
    if stage in ("ready", "installing"):
        to_install(station, **ready)
    else:
        when = {"retrieveDateTime": LATER} if stage == "scheduled" else {}
        update(station, **when)
    if stage == "checking":
        downloaded(station)
    late = station.restarted(after_s=1).boot()
    late.observe()
    late.pass_s(0.0)
    assert [type(task) for task in late.works.values()] == ([kind] if kind else [])
    if stage == "scheduled":
        late.pass_s(600.0)
        assert runs(late, Download)
    assert len(set(statuses(station) + statuses(late))) == len(
        statuses(station) + statuses(late)
    )


def test_a_record_of_another_version_is_left_alone() -> None:
    saved = {"firmware": {"update": {"step": "flying"}}}
    station = Rig(rig().conf, saved).boot()
    assert update(station, signed=False) == ACCEPTED
