"""`python -m hil.rig.ctl`: words to a question, the answer to text and exit status."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from hil.rig import bench, ctl


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["connector=1", "soc=60.5"], {"connector": 1, "soc": 60.5}),
        (["ev=chademo", "up=false"], {"ev": "chademo", "up": False}),
        (["token=04A2B3C4", "connectors=[1,2]"],
         {"token": "04A2B3C4", "connectors": [1, 2]}),
        (["token=12345678"], {"token": "12345678"}),  # a card, not a number
        (["token=1E5"], {"token": "1E5"}),
        (["profile=a=b"], {"profile": "a=b"}),
    ],
)  # fmt: skip
def test_words_become_values(arguments: list[str], expected: dict[str, Any]) -> None:
    assert ctl.question("do", arguments) == {"verb": "do", **expected}


@pytest.mark.parametrize("argument", ["soc", "=1", ""])
def test_what_is_no_pair_is_refused(
    argument: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl.main(["--dir", str(tmp_path), "plug_in", argument]) == 2
    assert "key=value" in capsys.readouterr().err


def test_no_rig_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["--dir", str(tmp_path), "state"]) == 1
    error = capsys.readouterr().err
    assert "no rig runs" in error
    assert str(tmp_path) in error


@pytest.mark.parametrize(
    ("answer", "status", "out", "err"),
    [
        ({"ok": True, "fits": 3}, 0, '"fits": 3', ""),
        ({"ok": False, "error": "no such car"}, 1, "", "no such car"),
    ],
)
def test_the_answer_is_printed(
    answer: dict[str, Any],
    status: int,
    out: str,
    err: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    heard: list[dict[str, Any]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "control.sock"))
        server.listen(1)

        def serve() -> None:
            link, _ = server.accept()
            with link, link.makefile("rwb") as lines:
                heard.append(json.loads(lines.readline()))
                lines.write(json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        words = ["--dir", str(tmp_path), "plug_in", "connector=2"]
        assert ctl.main(words) == status
        thread.join(5)
    assert heard == [{"verb": "plug_in", "connector": 2}]
    said = capsys.readouterr()
    assert out in said.out
    assert err in said.err


def test_the_default_folder_is_the_virtual_benchs() -> None:
    virtual = Path(bench.__file__).parents[1] / "benches" / "virtual.yaml"
    assert bench.load(virtual).dir == ctl.DIR
