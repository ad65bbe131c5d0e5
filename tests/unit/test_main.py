"""`chargerd check-config` and `run`: every mistake in words, none as a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chargerd import __main__ as cli
from chargerd import log

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "chargerd.toml"


def _file(folder: Path, *changes: tuple[str, str]) -> Path:
    text = SHIPPED.read_text(encoding="utf-8")
    text = text.replace("/tmp/chargerd-bench/state.db", str(folder / "state.db"))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "chargerd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.check_config(SHIPPED) == 0
    assert "good. Station BENCH-1, 2 EVSE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("eastron_sdm630", "eastron_sdm631", "no driver 'eastron_sdm631'; known:"),
        ("can:slcan/tmp/chargerd-bench/evse1-stage", "can:usb/x",
         "evse1.stage: address 'can:usb/x?bitrate"),
        ("can:slcan/tmp/chargerd-bench/evse2-vehicle", "can:usb/x",
         "evse2.chademo: address 'can:usb/x?bitrate"),
        ("mcu?baud=115200", "mcu?baud=fast", "baud 'fast' is not a number"),
        ("15020", "99999", "evse1.meter: address 'modbus-tcp:127.0.0.1:99999': port"),
        ('"OCPPCommCtrlr.H', '"OCPPComCtrlr.H', "near: OCPPCommCtrlr.Heartbeat"),
        ("HeartbeatInterval\" = 300", 'HeartbeatInterval" = "often"', "an integer"),
    ],
)  # fmt: skip
def test_what_no_door_can_be_built_of_is_said_by_check_and_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    expected: str,
) -> None:
    monkeypatch.setattr(log, "setup", lambda config: None)  # the tests' own stays
    path = _file(tmp_path, (old, new))
    for command in (cli.check_config, cli.run):
        with capture_logs():
            assert command(path) == 2
        said = capsys.readouterr()
        assert said.err.startswith(f"{path}: ")
        assert expected in said.err
        assert "Traceback" not in said.err


def test_a_certificate_that_is_not_there_is_said_with_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SHIPPED.with_name("ccs.toml").read_text(encoding="utf-8")
    table = (
        '[[vehicle.iso15118.certificates]]\nchain = "/no/chain.pem"\nkey = "/no/key"'
    )
    path = tmp_path / "ccs.toml"
    path.write_text(text + table, encoding="utf-8")
    assert cli.check_config(path) == 2
    assert "ccs.toml: vehicle.iso15118: /no/chain.pem" in capsys.readouterr().err


def test_mistakes_of_several_doors_are_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(
        tmp_path,
        ("chargebyte", "chargebite"),
        ('"OCPPCommCtrlr.H', '"OCPPComCtrlr.H'),
        ("evse2-mcu?baud=115200", "evse2-mcu?baud=0x10"),
    )
    assert cli.check_config(path) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 3
    for word in ("chargebite", "0x10", "OCPPComCtrlr"):
        assert word in said


def test_the_daemon_carries_no_colours_and_no_unused_doors() -> None:
    """RSS is a promise (DESIGN, numbers): what is not configured is not imported."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from chargerd.__main__ import lean; lean();"
            "import chargerd.app, structlog; structlog.dev.ConsoleRenderer();"
            "assert 'chargerd.vehicle.iso15118.exi' not in sys.modules;"
            "print(*{name.partition('.')[0] for name, m in sys.modules.items() if m})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(told.stdout.split())
    assert {"structlog", "chargerd"} <= loaded
    unwanted = (
        "OpenSSL cryptography rich typer aiomqtt paho numpy highspy openleadr pyarrow"
    )
    assert not loaded & set(unwanted.split())
