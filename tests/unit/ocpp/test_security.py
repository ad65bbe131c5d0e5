"""New passwords (A01), security events and their log (A04)."""

from __future__ import annotations

import asyncio
import csv
import stat
from pathlib import Path
from typing import Any

import pytest

from chargerd.config import Config, StoreConfig
from chargerd.ocpp import security_events
from chargerd.ocpp.effects import Durability, OcppError, Reconnect, Work
from chargerd.ocpp.jobs import security_log
from chargerd.ocpp.jobs.security_log import LogEvent, SecurityLog, Written
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.variable_kit import get_one, item, set_one

req = pytest.mark.req
BOTH = pytest.mark.parametrize("version", [V21, V201])
OLD, NEW = "an old password of ours", "a new password of ours"
SECURITY = "SecurityCtrlr"
PLAIN = {"url": "ws://one/ocpp", "security_profile": 1, "password": OLD}


def told(rig: Rig) -> list[str]:
    return [row["type"] for row in rig.payloads("SecurityEventNotification")]


def set_password(rig: Rig, password: str = NEW) -> str:
    made = set_one(rig, item(SECURITY, "BasicAuthPassword", password))
    status = made["attributeStatus"]
    assert isinstance(status, str)
    return status


# A01


@req("A01.FR.01", "A00.FR.205", "A00.FR.304", "A01.FR.10")
@BOTH
def test_the_station_comes_back_with_the_new_password(version: str) -> None:
    rig = Rig(config(**PLAIN), version=version).boot()
    assert rig.station.connection().password == OLD
    assert set_password(rig) == "Accepted"
    assert any(isinstance(effect, Reconnect) for effect in rig.effects)
    rig.link(False)
    assert rig.station.connection().password == NEW
    assert rig.restarted().station.connection().password == NEW


def test_the_old_password_is_used_when_the_new_one_never_works() -> None:
    presets = {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 2}
    rig = Rig(config(**PLAIN, device_model=presets)).boot()
    set_password(rig)
    rig.link(False)
    tried = []
    for _ in range(4):
        tried.append(rig.station.connection().password)
        rig.station.unreachable("FailedToAuthenticateAtCsms", rig.now)
    assert tried == [NEW, NEW, OLD, OLD]


@req("A00.FR.205", "A00.FR.304")
@pytest.mark.parametrize(
    ("password", "status"),
    [("x" * 15, "Rejected"), ("x" * 16, "Accepted"), ("ä" * 40, "Accepted"),
     ("x" * 64, "Accepted"), ("x" * 65, "Rejected")],
)  # fmt: skip
def test_how_long_a_password_may_be(password: str, status: str) -> None:
    rig = Rig(config(**PLAIN)).boot()
    assert set_password(rig, password) == status
    changed = rig.station.connection().password == password
    assert changed == (status == "Accepted")


@req("A01.FR.11", "A01.FR.12")
@pytest.mark.parametrize("component", [SECURITY, "NetworkConfiguration[2]"])
def test_the_change_is_logged_without_the_password(component: str) -> None:
    rig = Rig(config(**PLAIN)).boot()
    set_one(rig, item(component, "BasicAuthPassword", NEW))
    assert "ReconfigurationOfSecurityParameters" in rig.log[-1]
    assert "BasicAuthPassword" in rig.log[-1]
    assert "ReconfigurationOfSecurityParameters" not in told(rig)
    spoken = f"{rig.log}{[e for e in rig.effects if not hasattr(e, 'namespace')]}"
    assert NEW not in spoken
    assert OLD not in spoken


def test_the_password_cannot_be_read() -> None:
    rig = Rig(config(**PLAIN)).boot()
    made = get_one(rig, item(SECURITY, "BasicAuthPassword"))
    assert made["attributeStatus"] == "Rejected"
    assert "attributeValue" not in made


def test_with_a_certificate_a_password_needs_no_new_link() -> None:
    rig = Rig(config(url="wss://one/ocpp", security_profile=3))
    rig.station.connection()
    rig.boot()
    set_password(rig)
    assert not any(isinstance(effect, Reconnect) for effect in rig.effects)


@req("A00.FR.204", "A00.FR.303")
@pytest.mark.parametrize(
    ("identity", "status"), [("CP:1", "Rejected"), ("CP.1", "Accepted")]
)
def test_an_identity_has_no_colon(identity: str, status: str) -> None:
    """Else the CSMS could not tell the name from the password (RFC 7617)."""
    rig = Rig(config(**PLAIN)).boot()
    made = set_one(rig, item(SECURITY, "Identity", identity))
    assert made["attributeStatus"] == status


# A04


def test_the_events_are_those_of_the_appendix() -> None:
    """21 of them, 16 of which are critical (security_events.csv)."""
    assert len(security_events.EVENTS) == 21
    assert len(security_events.CRITICAL) == 16


@req("A04.FR.01", "A04.FR.02", "A04.FR.04")
@pytest.mark.parametrize("kind", sorted(security_events.EVENTS))
def test_critical_events_are_sent_all_are_logged(kind: str) -> None:
    rig = Rig().boot()
    rig.link(False)
    rig.clear()
    rig.station.security_event(kind, "what happened", rig.now)
    rig.drain()
    assert kind in told(rig) or kind not in security_events.CRITICAL
    assert set(told(rig)) <= security_events.CRITICAL
    assert any(f" {kind} what happened" in line for line in rig.log)
    assert all(send.durability is Durability.DURABLE for send in rig.sent)


@req("A00.FR.310", "A00.FR.413")
def test_a_bad_certificate_of_the_csms_is_two_events() -> None:
    rig = Rig().boot()
    rig.station.security_event("InvalidCsmsCertificate", "expired", rig.now)
    rig.drain()
    assert told(rig)[-1] == "InvalidCsmsCertificate"
    assert "CsmsFailedToAuthenticate" in rig.log[-1]


def test_a_line_is_one_line_whatever_a_peer_says() -> None:
    rig = Rig().boot()
    rig.station.security_event("InvalidMessages", "a\nb\x1b[2J" + "x" * 999, rig.now)
    rig.drain()
    assert "\n" not in rig.log[-1]
    assert "\x1b" not in rig.log[-1]
    assert len(rig.log[-1]) < 320


def test_another_firmware_than_at_the_last_start_is_told() -> None:
    rig = Rig(config(station="CP1")).boot()
    assert "FirmwareUpdated" not in told(rig)  # the first start
    again = rig.restarted().boot()
    assert "FirmwareUpdated" not in told(again)
    again.saved["security"]["firmware"] = "0.1"
    updated = again.restarted().boot()
    updated.saved["security"]["firmware"] = "0.1"
    updated.saved["boot"] = {"reason": "FirmwareUpdate"}
    assert "FirmwareUpdated" not in told(updated.restarted().boot())  # L01 tells it
    event = updated.payloads("SecurityEventNotification")[-1]
    assert event["type"] == "FirmwareUpdated"
    assert event["techInfo"].startswith("0.1 to ")


# The log's file.


def log_of(folder: Path) -> tuple[Config, SecurityLog]:
    store = StoreConfig(path=folder / "state.db")
    made = config().model_copy(update={"store": store})
    return made, SecurityLog(made)


def append(log: SecurityLog, *lines: str) -> list[Written]:
    async def run() -> list[Written]:
        return [written for line in lines async for written in log(LogEvent(line))]

    return asyncio.run(run())


@req("A04.FR.04")
def test_the_log_grows_and_only_we_may_read_it(tmp_path: Path) -> None:
    made, log = log_of(tmp_path)
    assert append(log, "one", "two") == [Written(True), Written(False)]
    assert log.file.read_text() == "one\ntwo\n"
    assert stat.S_IMODE(log.file.stat().st_mode) == 0o600
    assert security_log.files_of(made) == [log.file]


def test_the_log_rolls_over_and_never_outgrows_its_size(tmp_path: Path) -> None:
    made, log = log_of(tmp_path)
    text = "x" * 32_000
    append(log, *[f"{number} {text}" for number in range(60)])
    files = security_log.files_of(made)
    assert len(files) == 1 + security_log.OLD_FILES
    rows = list(csv.reader("".join(f.read_text() for f in files).splitlines()))
    numbers = [int(row[0].split()[0]) for row in rows]
    assert numbers == list(range(numbers[0], 60))  # in order, the newest there
    assert all(f.stat().st_size < security_log.MAX_BYTES + 33_000 for f in files)


def test_a_disk_that_refuses_is_an_error_of_ours(tmp_path: Path) -> None:
    _, log = log_of(tmp_path / "state.db")
    (tmp_path / "state.db").write_text("no folder")
    with pytest.raises(OcppError, match="security log"):
        append(log, "one")


def first_work(rig: Rig) -> int:
    (found,) = [
        e for e in rig.effects if isinstance(e, Work) and "Startup" in str(e.task)
    ]
    return found.handle


@pytest.mark.parametrize(
    ("known", "is_new", "cleared"),
    [({}, True, False), ({"log": True}, False, False), ({"log": True}, True, True)],
)
def test_a_log_that_was_cleared_is_told(
    known: dict[str, Any], is_new: bool, cleared: bool
) -> None:
    rig = Rig(saved={"security": known}).boot()
    rig.station.worked(first_work(rig), Written(is_new), rig.now)
    rig.drain()
    assert ("SecurityLogWasCleared" in told(rig)) is cleared
    assert rig.saved["security"]["log"] is True
