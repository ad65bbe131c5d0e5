"""`chargerctl` against a real socket: every command, JSON, and texts that help."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console, RenderableType
from structlog.testing import capture_logs
from typer.main import get_command

from chargerd.cli import main as cli
from chargerd.cli import show
from chargerd.cli.client import CliError, socket_path
from chargerd.cli.times import instant
from chargerd.config import Local
from chargerd.local.api import LocalApi
from chargerd.local.read_model import ReadModel
from chargerd.model import (
    ActiveFault,
    DriverLimits,
    PromiseRequest,
    ResetRequest,
    StopRequest,
)
from chargerd.records.books import Books
from chargerd.records.decisions import decision
from chargerd.records.ledger import Ledger
from chargerd.records.ring import Ring
from chargerd.records.sample import sample
from tests.unit.local.test_verbs import Heart
from tests.unit.local.values import START, a_decision, a_report

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CHARGERD_SOCKET", "CHARGERD_CONFIG", "CHARGERD__LOCAL__SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    with capture_logs():
        yield


@contextmanager
def _daemon(heart: Heart, folder: Path) -> Iterator[Path]:
    """The local API in a thread of its own."""
    ports = heart.ports(evse_ids=(1, 2))
    fault = ActiveFault("GroundFailure", 1, START, "80 kOhm")
    ports.read.report(a_report(2.0, faults=(fault,)))
    path = folder / "api.sock"
    started = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        server = LocalApi(Local(socket=path), ports)
        end = asyncio.Event()
        task = asyncio.create_task(server.run())
        await server.ready.wait()
        ends.append((asyncio.get_running_loop(), end))
        started.set()
        await end.wait()
        task.cancel()
        await asyncio.wait([task])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(5)
    try:
        yield path
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(5)
    assert not thread.is_alive()


def _text(table: RenderableType) -> str:
    screen = Console(width=200, record=True, file=io.StringIO())
    screen.print(table)
    return screen.export_text()


@dataclass
class Ran:
    code: int
    out: str
    err: str


def _run(capsys: pytest.CaptureFixture[str], *args: str) -> Ran:
    old, sys.argv = sys.argv, ["chargerctl", *args]
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = old
    captured = capsys.readouterr()
    return Ran(code, captured.out, captured.err)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["status"], "GroundFailure"),
        (["why"], "ocpp.tx"),
        (["why", "--evse", "1", "--last", "3"], "setpoint"),
        (["session"], "S-1"),
        (["faults"], "technician:"),
        (["meter", "--evse", "1"], "2000.0"),
        (["config", "show"], "**********"),
        (["flex"], "flexibility"),
        (["promise"], "nothing is promised; chargerctl promise --evse 1 --soc 80"),
        (["grid"], "refused.stale"),
        (["records"], "2023-11-14 22:13:20"),
        (["why", "--at", "2026-11-23T09:00:30+00:00"], "setpoint"),
        (["why", "--at", "2026-11-22T09:00:30+00:00"], "from the disk"),
        (["dispatch", "simulate", "--evse", "1", "--power", "-5000"], "-5.00 kW"),
    ],
)
def test_reading_commands_for_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], expected: str
) -> None:
    heart = Heart()
    with _daemon(heart, tmp_path) as path:
        shown = _run(capsys, "--socket", str(path), *args)
        plain = _run(capsys, "--socket", str(path), *args, "--json")
    assert shown.code == 0, shown.err
    assert expected in shown.out
    assert "CANARY" not in shown.out + plain.out
    assert isinstance(json.loads(plain.out), dict)
    assert heart.signals == []
    assert heart.requests == []


def test_records_are_exported_with_and_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "records"
    ring = Ring(folder, keep_s=86_400.0, max_bytes=2**30)
    rows = [sample(a_report(float(s)), 0.0, None) for s in range(60)]
    ring.append(rows)
    span = ["--from", "2026-11-23T09:00:10Z", "--to", "2026-11-23T09:00:20Z"]
    heart = Heart(records={"folder": str(folder)})
    with _daemon(heart, tmp_path) as path:
        ran = _run(capsys, "--socket", str(path), "records", "export", *span)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert len(lines) == 11
    assert lines[1].startswith("2026-11-23T09:00:10.000+00:00,1,-4990,-5000,")

    out = tmp_path / "out.csv"
    args = ["records", "export", "--folder", str(folder), *span, "--out", str(out)]
    ran = _run(capsys, *args, "--json")
    assert json.loads(ran.out) == {"rows": 10, "file": str(out)}
    assert out.read_text().splitlines() == lines
    for wrong, expected in (
        ([*args[:4], "--from", "-1h", "--to", "-2h"], "--from must be before --to"),
        ([*args[:4], "--from", "noon"], "write 2026-11-25T07:30"),
        ([*args[:3], str(tmp_path / "none")], "No such file"),
    ):
        ran = _run(capsys, *wrong)
        assert ran.code in (1, 2)
        assert expected in ran.err
        assert "Traceback" not in ran.err


def _chained(folder: Path) -> str:
    """Records of two half hours, a session and its battery; the newest hash."""
    books = Books((1,), station="S", meter={"serial": "M-1"}, key=b"k")
    due = []
    for minute in range(40):
        report = a_report(minute * 60.0)
        due += books.step(report, 0.0, sampled=True)
        due += books.step(a_report(minute * 60.0 + 1.0), 0.0, sampled=True)
    ledger = Ledger(folder)
    ledger.append(due + books.close())
    return ledger.head


def test_settlement_and_battery_for_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = _chained(tmp_path)
    where = ["--folder", str(tmp_path)]
    span = [*where, "--from", "2026-11-23T09:00Z", "--to", "2026-11-23T10:00Z"]
    for command, expected, count in (
        (["settlement", *span], "not complete", 2),
        (["settlement", "--kind", "session", *span], "1 records: 0 Wh in", 1),
        (["battery", *span], "discharged_wh", 1),
        (["battery", *where, "--from", "-2m"], "no session", 0),
    ):
        shown = _run(capsys, "records", *command)
        assert shown.code == 0, shown.err
        assert expected in shown.out
        plain = _run(capsys, "records", *command, "--json")
        assert len(json.loads(plain.out)) == count
    schema = json.loads(_run(capsys, "records", "battery", "--schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    ran = _run(capsys, "records", "verify", *where, "--head", head)
    assert ran.code == 0, ran.err
    assert f"4 records, each link holds\nnewest hash {head}" in ran.out


def test_a_report_of_a_time_or_of_a_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chained(tmp_path)
    ring = Ring(tmp_path, keep_s=86_400.0, max_bytes=2**30)
    ring.append([sample(a_report(float(s)), 0.0, None) for s in range(600)])
    out = tmp_path / "out.html"
    where = ["report", "--folder", str(tmp_path), "--out", str(out)]
    span = ["--from", "2026-11-23T09:00Z", "--to", "2026-11-23T09:05Z"]
    ran = _run(capsys, *where, *span)
    assert (ran.code, ran.out) == (0, f"{out}: 300 samples\n")
    assert "<svg" in out.read_text()

    told = json.loads(_run(capsys, *where, "--session", "S-1", "--json").out)
    assert told["evses"]["1"]["samples"] == 600
    assert "Session S-1" in out.read_text()
    ran = _run(capsys, *where, "--session", "S-9")
    assert ran.code == 1
    assert "the last ones: S-1" in ran.err
    ran = _run(capsys, *where[:4], str(tmp_path / "no" / "x.html"), *span)
    assert ran.code == 1
    assert "No such file" in ran.err


def test_verify_names_the_first_broken_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chained(tmp_path)
    path = tmp_path / "00000001.jsonl"
    first, second, *others = path.read_text().splitlines(keepends=True)
    second = second.replace('"export_wh":0.0', '"export_wh":5.0')
    path.write_text("".join([first, second, *others]))
    ran = _run(capsys, "records", "verify", "--folder", str(tmp_path))
    assert ran.code == 1
    assert "BROKEN after 1 records: 00000001.jsonl:2: record 2 was changed" in ran.err
    ran = _run(capsys, "records", "verify", "--folder", str(tmp_path), "--json")
    assert json.loads(ran.out)["links"] == 1
    assert ran.code == 1


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("-45m", "2026-11-25T06:45:00+09:00"),
        ("-1.5h", "2026-11-25T06:00:00+09:00"),
        ("-1d", "2026-11-24T07:30:00+09:00"),
        ("07:30", "2026-11-25T07:30:00+09:00"),
        ("07:31", "2026-11-24T07:31:00+09:00"),
        ("2026-11-25T01:02", "2026-11-25T01:02:00+09:00"),
        ("2026-11-25T01:02Z", "2026-11-25T01:02:00+00:00"),
        ("2026-11-25", "2026-11-25T00:00:00+09:00"),
    ],
)
def test_times_as_people_write_them(written: str, wanted: str) -> None:
    now = datetime.fromisoformat("2026-11-25T07:30:00+09:00")
    assert instant(written, now).isoformat() == wanted


@pytest.mark.parametrize("command", ["status", "session", "settlement"])
def test_a_narrow_terminal_cuts_no_name_off(command: str) -> None:
    """A session's id is what `report --session` wants."""
    name = "1-20261126T061109.293307"
    evse = {"evse_id": 1, "phase": "suspended_evse", "faults": ["PromiseOutOfReach"]}
    over = {**evse, "session_id": name, "ended_utc": "2026-11-26T06:12:08.100782+00:00"}
    times = {"from_utc": over["ended_utc"], "to_utc": over["ended_utc"]}
    energy = {"import_wh": 33.0, "export_wh": 5.0, "clock_trusted": True}
    table = {
        "status": lambda: show.status({"evses": [evse]}),
        "session": lambda: show.session({"current": [], "finished": [over]}),
        "settlement": lambda: show.settlement([{**over, **times, **energy}]),
    }[command]()
    screen = Console(width=60, record=True, file=io.StringIO())
    screen.print(table)
    assert "…" not in screen.export_text()


def test_the_meters_numbers_are_short_and_the_connection_is_told() -> None:
    site = {"age_s": 0.1, "grid_w": 9984.0}
    meter = {"voltage_v": [230.01951599121094, 229.9]}
    text = _text(show.meter({"evses": [{"evse_id": 1, "meter": meter}], "site": site}))
    assert "230.02, 229.9" in text
    assert "grid connection" in text
    assert "9984.0" in text


def test_words_are_those_of_the_file_and_the_wire_not_of_python() -> None:
    values = {"a": True, "b": [False, None], "c": [], "d": None, "e": "", "f": 1.0}
    lines = _text(show.tree(values)).split("\n")
    wanted = ["a = true", "b = false, -", "c = -", "d = -", "e = -", "f = 1.0"]
    assert [line.strip() for line in lines][:6] == wanted


def test_tables_of_what_is_over_fit_a_terminal() -> None:
    stamp = "2026-11-26T10:24:14.100782+00:00"
    over = {"evse_id": 1, "session_id": "S-1", "ended_utc": stamp}
    fault = {"name": "CsmsLost", "evse_id": 0, "since_utc": stamp, "gone_utc": None}
    history = {"active": [], "history": [{**fault, "info": "silent"}]}
    session = _text(show.session({"current": [], "finished": [over]}))
    for text in (session, _text(show.faults(history))):
        assert "11-26 10:24:14" in text
    empty = _text(show.session({"current": [], "finished": []}))
    assert empty.strip() == "no session has ended yet"


def test_why_tells_the_ramp_and_what_flows() -> None:
    now = decision(a_decision(1.0, -2000.0, wanted_w=-7000.0))
    answer = {"evses": [{"evse_id": 1, "now": now, "meter_w": -1960.0, "history": []}]}
    text = _text(show.why(answer))
    assert "Commanded -2.00 kW, on its way to -7.00 kW, measured -1.96 kW" in text
    now = decision(a_decision(1.0, -7000.0))
    answer = {"evses": [{"evse_id": 1, "now": now, "meter_w": None, "history": []}]}
    assert "Commanded -7.00 kW, measured -." in _text(show.why(answer))


@pytest.mark.parametrize(
    ("station", "expected", "absent"),
    [
        ({"ocpp_connected": True, "clock_trusted": True}, "system connected", "given"),
        ({"ocpp_connected": False}, "NOT connected; clock not set", "restarted"),
        ({"ocpp_why": "HTTP 401"}, "NOT connected (HTTP 401); clock", "restarted"),
        ({"ocpp_connected": True, "ocpp_why": ""}, "system connected; clock", "NOT"),
        (
            {"restarts": {"ocpp": 0, "vehicle1": 2}},
            "vehicle1 was restarted 2",
            "ocpp was",
        ),
        (
            {"degraded": ["vehicle2"]},
            "vehicle2 keeps failing and is tried less often",
            "store",
        ),
        ({"store_fault": "disk full"}, "store: disk full", "given"),
        ({"records_fault": "disk full"}, "records: disk full", "store"),
        (
            {
                "v2g": {
                    1: {
                        "late_answers": 2,
                        "margins_ms": {"CurrentDemandReq": 21.5, "X": 900.0},
                    },
                    2: {"late_answers": 0, "margins_ms": {}},
                }
            },
            "EVSE 1: least time that an answer had left 21.5 ms (CurrentDemandReq), 2",
            "EVSE 2",
        ),
    ],
)
def test_status_says_what_is_wrong_with_the_station(
    station: dict[str, Any], expected: str, absent: str
) -> None:
    model = ReadModel((1,))
    model.report(a_report(1.0))
    text = _text(show.status({"evses": model.status(), "station": station}))
    assert expected in text
    assert absent not in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (-3.0, "0.00 kW"), (0.0, "0.00 kW"), (-5.0, "-0.01 kW"),
     (9480.0, "+9.48 kW")],
)  # fmt: skip
def test_watts_are_never_minus_nothing(value: float | None, expected: str) -> None:
    assert show.watts(value) == expected


def test_commands_ask_the_heart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heart = Heart()
    with _daemon(heart, tmp_path) as path:
        for args in (
            ["promise", "--evse", "1", "--soc", "80", "--in", "45"],
            ["promise", "--evse", "2", "--clear"],
            ["stop", "--evse", "2"],
            ["start", "04A2", "--evse", "1"],
            ["reset"],
            ["reset", "--evse", "2", "--now"],
            ["limit", "--evse", "1", "--energy", "7.5", "--minutes", "30"],
            ["refuse-tariff", "--evse", "1"],
            ["web-payment", "--evse", "1", "--energy", "20", "--minutes", "60"],
            ["dispatch", "send", "--evse", "1", "--power", "3000", "--seconds", "5"],
        ):
            ran = _run(capsys, "--socket", str(path), *args)
            assert ran.code == 0, ran.err
    assert heart.requests[0] == PromiseRequest(1, 100.0 + 2700.0, 80.0)
    assert heart.requests[1] == PromiseRequest(2, None)
    assert isinstance(heart.requests[2], StopRequest)
    assert heart.requests[4] == ResetRequest(0, immediate=False)
    assert heart.requests[5] == ResetRequest(2, immediate=True)
    assert heart.signals[0].segments[0].setpoint_w == 3000.0
    limit = DriverLimits(energy_wh=7500.0, time_s=1800.0)
    paid_for = DriverLimits(energy_wh=20_000.0, time_s=3600.0)
    assert heart.people.wanted == [(1, "limit", limit), (1, "refuse"), (1, paid_for)]


@pytest.mark.parametrize(
    ("command", "text", "key"),
    [
        ("display", "EVSE 1  tariff: 0.30 a kWh", "texts"),
        (
            "terminal",
            "reserve 40.00 EUR on each card\nEVSE 1  P1: settle 7.50",
            "orders",
        ),
    ],
)
def test_what_drivers_and_terminals_see(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    text: str,
    key: str,
) -> None:
    with _daemon(Heart(), tmp_path) as path:
        ran = _run(capsys, "--socket", str(path), command)
        assert ran.out.strip() == text
        as_json = _run(capsys, "--socket", str(path), command, "--json")
        assert key in json.loads(as_json.out)


def test_watch_prints_a_line_per_look(tmp_path: Path) -> None:
    with _daemon(Heart(), tmp_path) as path:
        child = subprocess.Popen(
            [sys.executable, "-m", "chargerd.cli.main", "--socket", str(path),
             "watch", "--interval", "0.1", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert child.stdout is not None
        lines = [json.loads(child.stdout.readline()) for _ in range(2)]
        child.terminate()
        child.stdout.close()
        child.wait(timeout=10)
    assert [len(line["evses"]) for line in lines] == [2, 2]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["stop"], "known: 1, 2"),
        (["why", "--evse", "9"], "there is no 9; known: 1, 2"),
        (["start", "04A2", "--evse", "1", "--kind", "Card"], "ISO14443"),
        (["dispatch", "simulate", "--evse", "1", "--power", "inf"], "finite"),
        (["promise", "--evse", "1", "--soc", "80"], "one of --in or --by"),
        (["promise", "--evse", "1", "--soc", "80", "--by", "7h"], "HH:MM"),
        (["promise", "--evse", "1", "--soc", "180", "--in", "5"], "equal to 100"),
        (["limit", "--evse", "1"], "--energy, --minutes, --soc or --cost"),
        (["web-payment", "--evse", "1"], "--energy, --minutes or --cost"),
        (["island"], "[site.blackout]"),
    ],
)
def test_refusals_say_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], expected: str
) -> None:
    heart = Heart()
    with _daemon(heart, tmp_path) as path:
        ran = _run(capsys, "--socket", str(path), *args)
    assert ran.code in (1, 2)
    assert expected in ran.err
    assert "Traceback" not in ran.err
    assert heart == Heart()


def test_no_daemon_says_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = _run(capsys, "--socket", str(tmp_path / "none.sock"), "status")
    assert ran.code == 1
    assert "Is the daemon running (systemctl status chargerd)?" in ran.err
    with _daemon(Heart(), tmp_path) as path:
        pass
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(dead))
    assert path != dead
    ran = _run(capsys, "--socket", str(dead), "status")
    assert "the daemon has ended" in ran.err


def test_config_show_works_from_the_file_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = Path(__file__).resolve().parents[3] / "config" / "chargerd.toml"
    ran = _run(capsys, "--config", str(shipped), "config", "show", "--json")
    assert json.loads(ran.out)["station"]["id"] == "BENCH-1"
    assert "bench-password" not in ran.out
    broken = tmp_path / "broken.toml"
    broken.write_text("[station]\nidd = 1\n")
    ran = _run(capsys, "--config", str(broken), "config", "show")
    assert ran.code == 1
    assert "did you mean 'id'?" in ran.err


def test_the_socket_is_found_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[local]\nsocket = "/from/file.sock"\n')
    assert socket_path(None, file) == Path("/from/file.sock")
    monkeypatch.setenv("CHARGERD_CONFIG", str(file))
    assert socket_path(None, None) == Path("/from/file.sock")
    monkeypatch.setenv("CHARGERD_SOCKET", "/from/env.sock")
    assert socket_path(None, file) == Path("/from/env.sock")
    assert socket_path(Path("/given.sock"), file) == Path("/given.sock")
    monkeypatch.delenv("CHARGERD_SOCKET")
    with pytest.raises(CliError, match="give --socket"):
        socket_path(None, tmp_path / "absent.toml")


def test_a_clock_time_is_always_ahead() -> None:
    for clock in ("00:00", "07:30", "23:59"):
        seconds = cli._seconds_until(clock)
        assert 0 < seconds <= 86_400 + 3_600
        then = datetime.fromtimestamp(time.time() + seconds + 0.5).astimezone()
        assert then.strftime("%H:%M") == clock


def test_the_page_names_every_command() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    page = page[: page.index("## The local socket")]

    def names(group: Any, before: str = "") -> Iterator[str]:
        for name, command in group.commands.items():
            yield f"{before}{name}"
            yield from (
                names(command, f"{name} ") if hasattr(command, "commands") else ()
            )

    found = list(names(get_command(cli.app)))
    assert "records verify" in found
    assert [name for name in found if f"`{name}" not in page] == []


def test_the_command_starts_without_the_heavy_imports() -> None:
    code = (
        "import sys; import chargerd.cli.main; "
        "heavy = {'rich.table', 'pydantic', 'structlog', 'websockets', 'asyncio', "
        "'cryptography', 'can', 'pymodbus'} & set(sys.modules); "
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
