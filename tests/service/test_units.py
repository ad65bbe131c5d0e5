"""The systemd files, judged by systemd's own tools, and against the daemon's config."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chargerd.config import Local, StoreConfig
from chargerd.vehicle.slac.__main__ import parser as slac_arguments

UNITS = Path(__file__).resolve().parents[2] / "systemd"
SERVICE = UNITS / "chargerd.service"
SLAC = UNITS / "chargerd-slac@.service"
BOTH = pytest.mark.parametrize("service", [SERVICE, SLAC], ids=lambda path: path.name)


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed here: the unit files are not checked")
    return path


def _run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        args, capture_output=True, text=True, timeout=25, check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
    )  # fmt: skip


def _service(path: Path = SERVICE) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser["Service"]


@BOTH
def test_verify_finds_no_unknown_key_and_no_bad_value(
    tmp_path: Path, service: Path
) -> None:
    analyze = _tool("systemd-analyze")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / service.name.replace("@", "@plc0")
    text = service.read_text(encoding="utf-8")
    unit.write_text(re.sub(r"/usr/bin/chargerd\S*", str(program), text))
    done = _run(analyze, "verify", "--man=no", str(unit))
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr

    unit.write_text(unit.read_text().replace("[Service]", "[Service]\nProtectAll=yes"))
    assert "ProtectAll" in _run(analyze, "verify", "--man=no", str(unit)).stderr


@BOTH
def test_exposure_is_at_most_2_5(service: Path) -> None:
    analyze = _tool("systemd-analyze")
    gate = ("security", "--offline=yes", "--no-pager", "--threshold=25")
    done = _run(analyze, *gate, str(service))
    assert done.returncode == 0, done.stdout[-200:]


def test_the_gate_bites_on_an_open_service(tmp_path: Path) -> None:
    analyze = _tool("systemd-analyze")
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    gate = ("security", "--offline=yes", "--no-pager", "--threshold=25")
    assert _run(analyze, *gate, str(bare)).returncode != 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("WatchdogSec", "10"),
        ("WatchdogSignal", "SIGABRT"),
        ("Restart", "always"),
        ("RestartPreventExitStatus", "2"),
        ("TimeoutStopSec", "30"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("MemoryDenyWriteExecute", "yes"),
        ("LimitCORE", "0"),
        ("CapabilityBoundingSet", ""),
    ],
)
def test_the_unit_keeps_what_safety_rests_on(key: str, value: str) -> None:
    assert _service()[key] == value


def test_the_default_paths_are_those_the_unit_may_write() -> None:
    service = _service()
    assert StoreConfig().path.parent == Path("/var/lib") / service["StateDirectory"]
    assert Local().socket.parent == Path("/run") / service["RuntimeDirectory"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CapabilityBoundingSet", "CAP_NET_RAW"),
        ("AmbientCapabilities", "CAP_NET_RAW"),
        ("RestrictAddressFamilies", "AF_UNIX AF_PACKET"),
        ("IPAddressDeny", "any"),
        ("NoNewPrivileges", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("Restart", "always"),
    ],
)
def test_the_slac_unit_has_the_raw_socket_and_nothing_else(
    key: str, value: str
) -> None:
    assert _service(SLAC)[key] == value


def test_the_slac_unit_takes_the_arguments_it_is_started_with() -> None:
    service = _service(SLAC)
    command = service["ExecStart"].replace("%i", "plc0").replace("$SLAC_ARGS", "")
    args = slac_arguments().parse_args(command.split()[1:])
    folder = service["RuntimeDirectory"].replace("%i", "plc0")
    assert args.socket.parent == Path("/run") / folder
    assert args.peer == [_service()["User"]]


def test_the_user_and_folders_can_be_made(tmp_path: Path) -> None:
    sysusers, tmpfiles = _tool("systemd-sysusers"), _tool("systemd-tmpfiles")
    if os.geteuid() != 0:
        pytest.skip("making users in another root needs root")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "group").write_text("root:x:0:\ndialout:x:20:\n")
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    root = f"--root={tmp_path}"
    done = _run(sysusers, root, str(UNITS / "chargerd.sysusers"))
    assert done.returncode == 0, done.stderr
    users = (etc / "passwd").read_text()
    assert re.search(r"^chargerd:", users, re.M)
    assert re.search(r"^chargerd-slac:", users, re.M)
    assert "dialout:x:20:chargerd" in (etc / "group").read_text()

    done = _run(tmpfiles, root, "--create", str(UNITS / "chargerd.tmpfiles"))
    assert done.returncode == 0, done.stderr
    assert (etc / "chargerd").stat().st_mode & 0o777 == 0o750
    for private in ("chargerd", "chargerd/certificates"):
        folder = tmp_path / "var" / "lib" / private
        assert folder.stat().st_mode & 0o777 == 0o700


def test_udev_rules_are_well_formed() -> None:
    pair = re.compile(r'^[A-Z_]+(\{\w+\})?(==|!=|\+=|:=|=)"[^"]*"$')
    lines = (UNITS / "70-chargerd.rules").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules
    for rule in rules:
        for part in rule.split(", "):
            assert pair.match(part), part
