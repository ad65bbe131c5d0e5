"""What the tests of firmware updates share: a request, and how far it has come."""

from __future__ import annotations

from typing import Any

from chargerd.ocpp.effects import Answer, Later, Payload
from chargerd.ocpp.jobs.firmware import (
    Candidate,
    CheckFirmware,
    CheckSigner,
    InstallEnded,
    InstallFirmware,
    Reboot,
    Running,
    Signed,
    Signer,
)
from chargerd.ocpp.jobs.transfer import Download, Downloaded
from tests.unit.ocpp.station_rig import V21, Rig, config

WHERE = "https://files.example/fw.raucb"
BEFORE = Running("rootfs.0", "b1")
PAST = "2026-11-23T07:00:00Z"
KEYS = {"signingCertificate": "-----PEM-----", "signature": "c2ln"}
SIGNED_STATUSES = ["Downloading", "Downloaded", "SignatureVerified", "Installing",
                   "InstallRebooting"]  # fmt: skip


def rig(version: str = V21, *, evses: int = 1, **more: Any) -> Rig:
    firmware = {"installer": "rauc", "unsigned": True, **more.pop("firmware", {})}
    station = Rig(config(evses=evses, firmware=firmware, **more), version=version)
    station.boot()
    for evse_id in station.station._desk.evses:
        station.observe(evse_id=evse_id)
    station.clear()
    return station


def request(number: int = 1, *, signed: bool = True, **more: Any) -> Payload:
    """`more`: fields of the firmware, and retries, retryInterval."""
    made: Payload = {"requestId": number}
    for name in ("retries", "retryInterval"):
        if name in more:
            made[name] = more.pop(name)
    firmware = {"location": WHERE, "retrieveDateTime": PAST}
    return {**made, "firmware": {**firmware, **(KEYS if signed else {}), **more}}


def update(
    station: Rig,
    number: int = 1,
    *,
    signed: bool = True,
    problem: str = "",
    **more: Any,
) -> Answer:
    """The answer; the update has begun."""
    wanted = request(number, signed=signed, **more)
    if not signed:
        answer = station.call("UpdateFirmware", wanted)
    else:
        promised = station.call_later("UpdateFirmware", wanted)
        assert isinstance(promised, Later)
        station.finished(CheckSigner, Signer(problem))
        answer = station.replied(promised)
    station.pass_s(0.0)
    return answer


def downloaded(station: Rig) -> None:
    station.finished(Download, Downloaded(100))


def verified(station: Rig, version: str = "9.0") -> None:
    station.worked(CheckFirmware, Signed(True))
    station.finished(CheckFirmware, Candidate(version, BEFORE))


def checked(station: Rig, version: str = "9.0") -> None:
    """As `verified`, without a signature."""
    station.finished(CheckFirmware, Candidate(version, BEFORE))


def installed(station: Rig) -> None:
    station.finished(InstallFirmware, InstallEnded())


def to_install(station: Rig, *, signed: bool = True, **more: Any) -> None:
    """A candidate that waits for nothing but its time and transactions."""
    update(station, signed=signed, **more)
    downloaded(station)
    (verified if signed else checked)(station)


def statuses(station: Rig) -> list[str]:
    sent = station.payloads("FirmwareStatusNotification")
    return [payload["status"] for payload in sent]


def last(station: Rig) -> Payload:
    return station.last("FirmwareStatusNotification").payload


def runs(station: Rig, kind: type) -> bool:
    return any(isinstance(task, kind) for task in station.works.values())


def rebooted(station: Rig) -> Rig:
    """The machine has restarted."""
    assert runs(station, Reboot)
    return station.restarted()
