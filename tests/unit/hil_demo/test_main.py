"""The demo's arguments: what cannot work is said before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hil.demo import __main__ as demo


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--seconds", "5"], "45 to 3600"),
        (["--seconds", "nan"], "45 to 3600"),
        (["--out", "/proc/nowhere"], "--out /proc/nowhere: "),
    ],
)
def test_what_cannot_work_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    expected: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", *args])
    assert demo.main() == 2
    assert expected in capsys.readouterr().err


def test_without_a_clone_there_is_no_demo(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo"])
    monkeypatch.setattr(demo, "CONFIG", tmp_path / "none.toml")
    assert demo.main() == 2
    assert "in a clone" in capsys.readouterr().err
