"""The import contracts bite: a law that cannot fail is not a law."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BREACHES = [
    ("chargerd/scheduler/decide.py", "import asyncio", "law 5"),
    ("chargerd/ocpp/rpc.py", "import time", "law 5"),
    ("firmware_bridge/wire/chargebyte.py", "import socket", "law 5"),
    ("firmware_bridge/bridge.py", "import chargerd.model", "law 6"),
    ("chargerd/ocpp/client.py", "import chargerd.scheduler.decide", "law 6"),
    ("chargerd/local/api.py", "import chargerd.ocpp.client", "law 6"),
    ("hil/rig/plant.py", "import firmware_bridge.wire.infypower", "simulators"),
    ("hil/rig/plant.py", "import chargerd.vehicle.iso15118.sap", "simulators"),
    (
        "hil/ev/iso15118/car.py",
        "import chargerd.vehicle.iso15118.secc.limits",
        "simulators",
    ),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("file", "line", "law"), BREACHES)
def test_a_breach_fails_the_lint(
    tmp_path: Path, file: str, line: str, law: str
) -> None:
    for package in ("chargerd", "firmware_bridge", "hil"):
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / file
    target.write_text(target.read_text() + f"\n\n{line}\n")
    result = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert result.returncode != 0, result.stdout
    broken = [row for row in result.stdout.splitlines() if "BROKEN" in row]
    assert any(law in row for row in broken), result.stdout
