"""GetLog: what is answered and told (N01), and the file that is made."""

from __future__ import annotations

import asyncio
import json
import os
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chargerd.config import Config
from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.jobs import samples, security_log
from chargerd.ocpp.jobs.address import TransferError
from chargerd.ocpp.jobs.logs import LogFile, LogMaker, PrepareLog
from chargerd.ocpp.jobs.transfer import Upload, Uploaded
from tests.unit.ocpp.station_rig import EVSE, V21, V201, Rig, config

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
FILE = LogFile(Path("/var/x.log"))
WHERE = "https://files.example/logs/"


def get_log(rig: Rig, number: int = 1, kind: str = "SecurityLog", **more: Any) -> Any:
    request = {
        "requestId": number,
        "logType": kind,
        "log": {"remoteLocation": WHERE},
        **more,
    }
    return rig.call_later("GetLog", request)


def rig(version: str = V21) -> Rig:
    station = Rig(config(), version=version).boot()
    station.clear()
    return station


def statuses(station: Rig) -> list[tuple[str, int]]:
    sent = station.payloads("LogStatusNotification")
    return [(p["status"], p["requestId"]) for p in sent]


@BOTH
@req("N01.FR.01", "N01.FR.02", "N01.FR.07", "N01.FR.08", "N01.FR.09", "N01.FR.13")
def test_a_log_is_sent(version: str) -> None:
    station = rig(version)
    promised = get_log(station, 7)
    assert statuses(station) == []
    station.finished(PrepareLog, FILE)
    answer = station.replied(promised)
    assert isinstance(answer, dict)
    name = answer["filename"]
    assert answer == {"status": "Accepted", "filename": name}
    assert statuses(station) == [("Uploading", 7)]
    uploads = [t for t in station.works.values() if isinstance(t, Upload)]
    assert uploads == [Upload(WHERE, FILE.file, name)]
    station.finished(Upload, Uploaded())
    assert statuses(station) == [("Uploading", 7), ("Uploaded", 7)]


def test_a_file_name_is_of_plain_letters() -> None:
    """It goes into HTTP headers and FTP commands."""
    station = Rig(config(station="Łódź/1")).boot()
    promised = get_log(station)
    station.finished(PrepareLog, FILE)
    answer = station.replied(promised)
    assert isinstance(answer, dict)
    assert answer["filename"].startswith("SecurityLog---d--1-2026")


@req("N01.FR.05")
def test_there_is_no_such_log() -> None:
    station = rig()
    promised = get_log(station)
    station.finished(PrepareLog, OcppError("there is no SecurityLog of that time"))
    answer = station.replied(promised)
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    assert "filename" not in answer
    assert statuses(station) == []
    assert not [t for t in station.works.values() if isinstance(t, Upload)]


@pytest.mark.parametrize(
    ("where", "more"),
    [
        ("gopher://x/", {}),
        ("https:///x", {}),
        ("https://x/a b", {}),
        (WHERE, {"oldestTimestamp": "2026-99-99T00:00:00Z"}),
    ],
)
def test_what_cannot_be_asked(where: str, more: Payload) -> None:
    request = {"requestId": 1, "logType": "SecurityLog"}
    answer = rig().call("GetLog", {**request, "log": {"remoteLocation": where, **more}})
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"


FAILURES = [
    (TransferError("500"), "UploadFailure"),
    (TransferError("403", "PermissionDenied"), "PermissionDenied"),
    (TransferError("400", "BadMessage"), "BadMessage"),
    (TransferError("405", "NotSupportedOperation"), "NotSupportedOperation"),
    pytest.param(
        TransferError("301", reason="RedirectNotAllowed"), "UploadFailure",
        marks=req("N01.FR.30"),
    ),
]  # fmt: skip


@BOTH
@req("N01.FR.10")
@pytest.mark.parametrize(("error", "status"), FAILURES)
def test_a_failed_upload(version: str, error: TransferError, status: str) -> None:
    station = rig(version)
    get_log(station, 3, retries=0)
    station.finished(PrepareLog, FILE)
    station.finished(Upload, error)
    assert statuses(station) == [("Uploading", 3), (status, 3)]
    info = station.last("LogStatusNotification").payload.get("statusInfo", {})
    reason = error.reason or "Unspecified"
    assert info.get("reasonCode") == (reason if version == V21 else None)
    assert station.works == {}


@req("N01.FR.10")
def test_the_failure_is_told_after_the_last_retry() -> None:
    station = rig()
    get_log(station, retries=2, retryInterval=10)
    station.finished(PrepareLog, FILE)
    for _ in range(2):
        station.finished(Upload, TransferError("500"))
        assert station.works == {}
        station.pass_s(9.0)
        assert station.works == {}
        station.pass_s(1.0)
        assert len(station.works) == 1
    assert statuses(station) == [("Uploading", 1)]
    station.finished(Upload, TransferError("500"))
    assert statuses(station)[1:] == [("UploadFailure", 1)]
    station.pass_s(100.0)
    assert station.works == {}


@BOTH
@req("N01.FR.12", "N01.FR.20")
@pytest.mark.parametrize("retrying", [False, True])
def test_a_newer_request_ends_the_upload(version: str, retrying: bool) -> None:
    station = rig(version)
    get_log(station, 1)
    station.finished(PrepareLog, FILE)
    if retrying:
        station.finished(Upload, TransferError("500"))
    promised = get_log(station, 2)
    assert not [t for t in station.works.values() if isinstance(t, Upload)]
    assert statuses(station)[-1] == ("AcceptedCanceled", 1)
    station.finished(PrepareLog, FILE)
    answer = station.replied(promised)
    assert isinstance(answer, dict)
    assert answer["status"] == "AcceptedCanceled"
    assert statuses(station)[-1] == ("Uploading", 2)


def test_a_newer_request_while_the_file_is_made() -> None:
    station = rig()
    first, second = get_log(station, 1), get_log(station, 2)
    answer = station.replied(first)
    assert isinstance(answer, dict)
    assert answer["status"] == "Rejected"
    station.finished(PrepareLog, FILE)
    assert station.replied(second)["status"] == "Accepted"
    assert statuses(station) == [("Uploading", 2)]


@req("N01.FR.13", "F06.FR.14", "F06.FR.15")
@pytest.mark.parametrize("end", [Uploaded(), TransferError("403", "PermissionDenied")])
def test_triggered(end: Any) -> None:
    station = rig()
    trigger = {"requestedMessage": "LogStatusNotification"}
    station.call("TriggerMessage", trigger)
    assert station.last("LogStatusNotification").payload == {"status": "Idle"}
    get_log(station, 9)
    station.finished(PrepareLog, FILE)
    station.clear()
    station.call("TriggerMessage", trigger)
    assert statuses(station) == [("Uploading", 9)]
    station.finished(Upload, end)
    station.call("TriggerMessage", trigger)
    assert station.last("LogStatusNotification").payload == {"status": "Idle"}
    promised = get_log(station, 10)  # nothing is left to cancel
    station.finished(PrepareLog, FILE)
    assert station.replied(promised)["status"] == "Accepted"


@req("N01.FR.04")
def test_diagnostics_have_the_device_model_without_secrets() -> None:
    station = Rig(config(password="a secret of 16 ch")).boot()
    get_log(station, kind="DiagnosticsLog")
    (task,) = station.works.values()
    values = json.loads(task.device_model)
    assert values["EVSE@1.Power#MaxSet"] == "6000"
    assert "a secret" not in task.device_model


@req("N01.FR.24")
@pytest.mark.parametrize("supported", [True, False])
def test_samples_only_where_they_are_collected(supported: bool) -> None:
    station = Rig(config(test_components=supported)).boot()
    request = {
        "requestId": 1, "logType": "DataCollectorLog", "log": {"remoteLocation": WHERE},
    }  # fmt: skip
    if supported:
        station.call_later("GetLog", request)
        (task,) = station.works.values()
        assert task.kind == "DataCollectorLog"
    else:
        assert station.call("GetLog", request)["status"] == "Rejected"


# The file.


def on_disk(tmp_path: Path, **logs: Any) -> Config:
    made = {
        "station": {"id": "CP1"},
        "evse": [{"id": 1, **EVSE}],
        "store": {"path": str(tmp_path / "state.db")},
        "ocpp": {
            "password": "a secret of 16 ch",
            "device_model": {"SecurityCtrlr.BasicAuthPassword": "another secret 16"},
            "logs": {"journal_unit": "", **logs},
        },
    }
    return Config.model_validate(made)


def prepared(conf: Config, task: PrepareLog) -> Path:
    async def run() -> LogFile:
        async for value in LogMaker(conf)(task):
            return value
        raise AssertionError

    return asyncio.run(run()).file


def at(minute: int) -> datetime:
    return datetime(2026, 11, 23, 8, minute, tzinfo=UTC)


@req("N01.FR.03")
def test_the_security_log_is_all_its_files_in_order(tmp_path: Path) -> None:
    conf = on_disk(tmp_path)
    newest = security_log.file_of(conf)
    newest.with_name("security.log.1").write_text("2026-11-23T08:01:00.000Z Old\n")
    newest.write_text("2026-11-23T08:05:00.000Z New\n2026-11-23T08:09:00.000Z Newer\n")
    file = prepared(conf, PrepareLog("SecurityLog", "a.log"))
    assert [line.split()[1] for line in file.read_text().splitlines()] == [
        "Old", "New", "Newer",
    ]  # fmt: skip
    task = PrepareLog("SecurityLog", "b.log", at(2), at(5))
    assert prepared(conf, task).read_text() == "2026-11-23T08:05:00.000Z New\n"
    assert not file.exists()  # one at a time


@req("N01.FR.24")
def test_the_samples_are_cut_by_time(tmp_path: Path) -> None:
    conf = on_disk(tmp_path)
    older, newer = samples.files(conf)
    older.write_text("time,evse\n2026-11-23T08:01:00.000Z,1\n")
    newer.write_text("time,evse\n2026-11-23T08:03:00.000Z,2\n")
    task = PrepareLog("DataCollectorLog", "a.csv", at(2))
    rows = prepared(conf, task).read_text().splitlines()
    assert rows == ["time,evse", "time,evse", "2026-11-23T08:03:00.000Z,2"]


@req("N01.FR.05")
def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OcppError, match="no SecurityLog"):
        prepared(on_disk(tmp_path), PrepareLog("SecurityLog", "a.log"))


@req("N01.FR.04")
def test_diagnostics_are_a_bundle_without_secrets(tmp_path: Path) -> None:
    extra = tmp_path / "modem.txt"
    extra.write_text("signal: good")
    conf = on_disk(tmp_path, files=[str(extra)])
    security_log.file_of(conf).write_text("2026-11-23T08:01:00.000Z X\n")
    task = PrepareLog("DiagnosticsLog", "d.zip", device_model='{"a": 1}')
    with zipfile.ZipFile(prepared(conf, task)) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert sorted(texts) == [
        "config.json", "device-model.json", "files/modem.txt", "security.log",
        "version.txt",
    ]  # fmt: skip
    assert texts["device-model.json"] == '{"a": 1}'
    assert "secret" not in texts["config.json"]


def test_a_clock_that_was_never_set_spoils_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ZIP archive knows no time before 1980."""
    old = tmp_path / "modem.txt"
    old.write_text("signal: good")
    os.utime(old, (60, 60))
    monkeypatch.setattr(time, "time", lambda: 60.0)
    conf = on_disk(tmp_path, files=[str(old)])
    with zipfile.ZipFile(prepared(conf, PrepareLog("DiagnosticsLog", "d"))) as bundle:
        assert bundle.read("files/modem.txt") == b"signal: good"
        assert bundle.read("version.txt").startswith(b"chargerd")


def test_a_bundle_has_a_size(tmp_path: Path) -> None:
    extra = tmp_path / "huge.bin"
    extra.write_bytes(b"x" * 2_000_000)
    conf = on_disk(tmp_path, files=[str(extra)], max_mib=1)
    with zipfile.ZipFile(prepared(conf, PrepareLog("DiagnosticsLog", "d"))) as bundle:
        assert "left-out.txt" in bundle.namelist()
        assert "files/huge.bin" not in bundle.namelist()


def test_a_journal_that_cannot_be_read_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    conf = on_disk(tmp_path, journal_unit="chargerd")
    with zipfile.ZipFile(prepared(conf, PrepareLog("DiagnosticsLog", "d"))) as bundle:
        assert bundle.read("journal.jsonl").startswith(b"no journal")
