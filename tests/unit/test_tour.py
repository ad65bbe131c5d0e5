"""docs/tour.md names files and functions: each must exist where it says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "docs" / "tour.md"
_FILE = re.compile(r"[\w/]+\.py")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*\(\)")


def names_in(text: str) -> list[tuple[str, str]]:
    """(file, function or "") in the order they are named, all in backticks."""
    found: list[tuple[str, str]] = []
    file = ""
    for word in re.findall(r"`([^`]+)`", text):
        if _FILE.fullmatch(word):
            file = word
            found.append((file, ""))
        elif _FUNCTION.fullmatch(word):
            found.append((file, word.removesuffix("()")))
        elif ".py" in word or "(" in word:
            raise AssertionError(f"neither a file nor a function: {word!r}")
    return found


@cache
def defined_in(file: str) -> frozenset[str]:
    """Functions as `name`, methods as `Class.name`."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    names: set[str] = {""}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return frozenset(names)


def wrong_in(text: str) -> list[str]:
    return [
        f"{file}: {name}()" if name else f"{file}: no such file"
        for file, name in names_in(text)
        if name not in defined_in(file)
    ]


def test_every_file_and_function_of_the_tour_exists() -> None:
    text = TOUR.read_text(encoding="utf-8")
    assert wrong_in(text) == []
    assert len(names_in(text)) > 60


@pytest.mark.parametrize(
    "text",
    [
        "`chargerd/nowhere.py`",
        "`chargerd/app.py` `App.vanish()`",
        "`chargerd/app.py` `run()`",  # a method without its class
        "`chargerd/app.py` and `decide()`",  # of another file
        "`App.run()`",  # of no file
    ],
)
def test_a_wrong_name_is_found(text: str) -> None:
    assert len(wrong_in(text)) == 1


@pytest.mark.parametrize("text", ["`app.py:run`", "`run(now)`", "`chargerd.app.py()x`"])
def test_a_name_that_cannot_be_checked_is_refused(text: str) -> None:
    with pytest.raises(AssertionError, match="neither"):
        names_in(text)
