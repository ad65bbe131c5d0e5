"""`chargerctl` where things are not as on the bench: odd texts, clocks, versions."""

from __future__ import annotations

import io
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chargerd.cli import client, show
from chargerd.cli import main as cli
from chargerd.cli.proof import _zone
from chargerd.cli.times import instant


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's zone: summer time began on 2026-03-29, ended on 2026-10-25."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "clock", "hours"),
    [
        ("2026-03-28T22:00", "07:30", 8.5),
        ("2026-10-24T22:00", "07:30", 10.5),
        ("2026-11-24T22:00", "07:30", 9.5),
        ("2026-11-24T22:00", "22:30", 0.5),
    ],
)
def test_a_departure_by_the_clock_knows_summer_time(
    now: str, clock: str, hours: float
) -> None:
    assert cli._seconds_until(clock, datetime.fromisoformat(now)) == hours * 3600.0


@pytest.mark.usefixtures("berlin")
def test_a_time_of_summer_is_one_in_winter_too() -> None:
    assert instant("2026-07-01T12:00").isoformat() == "2026-07-01T12:00:00+02:00"
    assert instant("2026-01-01T12:00").isoformat() == "2026-01-01T12:00:00+01:00"


@pytest.mark.usefixtures("berlin")
def test_a_proof_of_a_year_has_the_days_of_both_halves() -> None:
    zone = _zone(None)
    for month, hours in ((1, 1), (7, 2)):
        day = datetime(2026, month, 1, tzinfo=zone)
        assert day.utcoffset() == timedelta(hours=hours)


def answering(path: Path, answer: dict[str, Any], wait_s: float = 0.0) -> None:
    """A daemon that gives one answer, after a while."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)

    def serve() -> None:
        with server, server.accept()[0] as peer:
            peer.recv(4096)
            time.sleep(wait_s)
            peer.sendall(json.dumps(answer).encode() + b"\n")

    threading.Thread(target=serve, daemon=True).start()


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["chargerctl", *args])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_daemon_of_another_version_is_no_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a.sock"
    answering(path, {"ok": True, "evses": [{"evse_id": 1}]})
    code, _, err = run(monkeypatch, capsys, "--socket", str(path), "flex")
    assert code == 1
    assert "versions differ" in err


def test_what_comes_seldom_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`watch --interval 60`: a line each minute is no silence."""
    monkeypatch.setattr(client, "TIMEOUT_S", 0.1)
    path = tmp_path / "a.sock"
    answering(path, {"ok": True, "evses": []}, wait_s=0.3)
    answers = client.stream(path, {"verb": "watch", "interval_s": 5.0})
    assert next(answers) == {"evses": []}


def test_brackets_of_others_are_text() -> None:
    """Devices and partners write them; they are no colours of ours."""
    info = "[/dev/ttyS1] gone, [fe80::1]:502 too"
    row = {
        "name": "X", "evse_id": 1, "mrec": "", "since_utc": "2026-11-25T00:00:00",
        "gone_utc": None, "info": info, "driver_text": "", "technician_text": "",
    }  # fmt: skip
    screen = show.console()
    screen.file = io.StringIO()
    screen.width = 200
    screen.print(show.faults({"active": [row], "history": [row]}))
    assert screen.file.getvalue().count(info) == 2
