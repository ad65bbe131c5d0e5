"""Logs and firmware from the request to the server and the installer, by real jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chargerd.config import Config
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs import security_log
from chargerd.ocpp.jobs.build import workers
from chargerd.ocpp.jobs.firmware import TASKS, FirmwareWorker
from tests.unit.ocpp.file_servers import web_server
from tests.unit.ocpp.firmware_kit import PAST, statuses
from tests.unit.ocpp.pem_kit import Made, make
from tests.unit.ocpp.station_rig import EVSE, Rig
from tests.unit.ocpp.test_firmware_checks import FakeInstaller, signature

IMAGE = b"a new system" * 10_000


def rig(tmp_path: Path) -> Rig:
    conf = Config.model_validate(
        {
            "station": {"id": "CP1"},
            "evse": [{"id": 1, **EVSE}],
            "store": {"path": str(tmp_path / "state.db")},
            "ocpp": {
                "certificates_dir": str(tmp_path),
                "transfer": {"hosts": ["localhost"]},
                "firmware": {"installer": "rauc"},
            },
        }
    )
    station = Rig(conf).boot()
    station.observe()
    station.clear()
    return station


def carry_out(station: Rig, installer: FakeInstaller) -> None:
    """All jobs, and those that they lead to."""
    kinds: dict[type, Any] = dict(workers(station.conf))
    kinds |= dict.fromkeys(TASKS, FirmwareWorker(station.conf, installer))

    async def run(handle: int, task: Any) -> None:
        try:
            async for value in kinds[type(task)](task):
                station.station.worked(handle, value, station.now)
                station.drain()
        except OcppError as error:
            station.station.worked(handle, error, station.now)

    for _ in range(10):
        if not station.works:
            return
        for handle, task in list(station.works.items()):
            asyncio.run(run(handle, task))
            if handle in station.works:  # else it was stopped for what it said
                station.over(handle)
            station.drain()
        station.pass_s(0.0)
    raise AssertionError("the jobs never end")


def test_a_security_log_reaches_the_server(tmp_path: Path) -> None:
    station = rig(tmp_path)
    line = "2026-11-23T08:00:00.000Z StartupOfTheDevice\n"
    security_log.file_of(station.conf).write_text(line)
    with web_server() as web:
        log = {"remoteLocation": web.url("/logs/")}
        request = {"requestId": 4, "logType": "SecurityLog", "log": log}
        promised = station.call_later("GetLog", request)
        carry_out(station, FakeInstaller([]))
    answer = station.replied(promised)
    assert isinstance(answer, dict)
    assert web.files == {f"/logs/{answer['filename']}": line.encode()}
    sent = station.payloads("LogStatusNotification")
    assert [payload["status"] for payload in sent] == ["Uploading", "Uploaded"]
    assert not list((tmp_path / "outgoing").iterdir())


@pytest.mark.parametrize("forged", [False, True])
def test_firmware_reaches_the_installer_when_it_is_the_makers(
    tmp_path: Path, forged: bool
) -> None:
    station = rig(tmp_path)
    root: Made = make("Maker root", ca=True)
    folder = tmp_path / "manufacturer"
    folder.mkdir()
    (folder / "maker.pem").write_text(root.pem)
    signer, installer = make("signer", root), FakeInstaller([])
    with web_server() as web:
        web.files["/fw"] = IMAGE + (b"!" if forged else b"")
        firmware = {
            "location": web.url("/fw"),
            "retrieveDateTime": PAST,
            "signingCertificate": signer.pem,
            "signature": signature(signer, IMAGE),
        }
        request = {"requestId": 5, "firmware": firmware}
        promised = station.call_later("UpdateFirmware", request)
        carry_out(station, installer)
    assert station.replied(promised) == {"status": "Accepted"}
    if forged:
        assert statuses(station)[-1] == "InvalidSignature"
        assert installer.asked == []
        return
    assert statuses(station)[-1] == "InstallRebooting"
    station.pass_s(15.0)
    carry_out(station, installer)
    assert installer.asked == ["version", "install", "reboot"]
