"""The IEEE 2030.5 door and its process: words reach the heart, a death is mended."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chargerd.grid import build, ieee2030_5_door
from chargerd.grid.errors import GridError
from chargerd.grid.ieee2030_5_door import Ieee2030Door
from tests.cancel import Spoils
from tests.process import until
from tests.unit.grid.ieee2030_5_stand import FILES, URL, Stand
from tests.unit.grid.stand import Told, config, ports

SCRIPT = """
import json, sys
settings = json.loads(sys.stdin.readline())
print(json.dumps({"connected": True, "lfdi": settings["url"]}), flush=True)
print(json.dumps({"heard_s": 0.0}), flush=True)
ask = {"mode": "target_w", "params": {"watts": 1000}, "end_s": None}
print(json.dumps(ask), flush=True)
sys.stdin.readline()
print("nonsense", flush=True)
sys.stdin.read()
"""


@pytest.mark.asyncio
async def test_words_then_nonsense_then_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ieee2030_5_door, "AGAIN_S", 0.01)
    monkeypatch.setattr(ieee2030_5_door, "REPORT_S", 0.01)
    script = tmp_path / "client.py"
    script.write_text(SCRIPT)
    given, told = ports(Told(mono=100.0))
    door = Ieee2030Door(
        Stand().controls, {"url": "u"}, given, (sys.executable, str(script))
    )
    task = asyncio.create_task(door.run())
    try:

        async def again() -> bool:
            return bool(door.starts > 1 and told.signals)

        await until("a second process", again, 20.0)
        assert told.signals[0].segments[0].setpoint_w == -1000.0
        status = json.loads(json.dumps(door.status()))
        assert status["refused"]["process"] >= 1
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.asyncio
async def test_a_pipe_that_breaks_when_we_are_to_end_does_not_hide_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = (sys.executable, "-c", "import sys; sys.stdin.read()")
    door = Ieee2030Door(Stand().controls, {}, ports()[0], command)
    spoils = Spoils(BrokenPipeError())
    monkeypatch.setattr(door, "_hear", spoils)
    assert await spoils.ends(door.run())
    assert door.starts == 1


@pytest.mark.asyncio
async def test_the_real_process_says_that_files_are_missing() -> None:
    """People are told, it ends, and the door counts that."""
    given, _ = ports()
    (door,) = build.build(config(ieee2030_5=URL), given)
    task = asyncio.create_task(door.run())
    try:

        async def counted() -> bool:
            return "process" in door.status()["refused"]

        await until("the process has ended", counted, 25.0)
        assert "No such file" in door.status()["problem"]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ieee2030_5_door, "find_spec", lambda _: None)
    with pytest.raises(GridError, match=r"install chargerd\[ieee2030_5\]"):
        build.build(config(ieee2030_5=URL), ports()[0])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"url": "http://127.0.0.1", **FILES}, "https://"),
        ({"url": "https://x", "ca": "/x"}, "needs all three"),
        ({"url": "https://x", **FILES, "key": None}, "belong together"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        config(ieee2030_5=settings)
