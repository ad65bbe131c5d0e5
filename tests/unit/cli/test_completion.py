"""The shell's completion knows every word of `chargerctl`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import typer

from chargerd.cli.main import app

MAIN = typer.main.get_command(app)


def completed(words: str, at: int) -> set[str]:
    """What bash is offered for word `at` of the line."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(at)}
    code = "from chargerd.cli.main import app; app(prog_name='chargerctl')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked, "_CHARGERCTL_COMPLETE": "complete_bash"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return set(done.stdout.split())


def test_every_command_is_offered() -> None:
    known = set(MAIN.commands)
    assert {"promise", "proof", "report", "records", "why", "flex"} <= known
    assert completed("chargerctl ", 1) == known


@pytest.mark.parametrize("group", ["records", "dispatch", "config", "v2g"])
def test_every_command_of_a_group_is_offered(group: str) -> None:
    known = set(MAIN.commands[group].commands)
    assert known
    assert completed(f"chargerctl {group} ", 2) == known


@pytest.mark.parametrize(
    ("words", "at", "offered"),
    [
        ("chargerctl records export --format ", 4, {"csv", "parquet"}),
        ("chargerctl records settlement --kind ", 4, {"slot", "session"}),
        ("chargerctl promise --f", 2, {"--floor"}),
    ],
)
def test_options_and_their_values_are_offered(
    words: str, at: int, offered: set[str]
) -> None:
    assert completed(words, at) == offered
