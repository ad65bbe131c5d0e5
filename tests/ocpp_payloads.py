"""OCPP payloads made from the schemas: the smallest ones, and any (hypothesis).

Owns no test. The schemas are those of the `ocpp` package.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from hypothesis import strategies as st

FOLDERS = {"ocpp2.1": "v21", "ocpp2.0.1": "v201"}
NOON = "2026-11-23T12:00:00Z"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
PLAUSIBLE = st.sampled_from(  # what means something to a station, somewhere
    ["", "1", "0", "-1", "true", "A", "CP1", "all", "1e9", "NaN", NOON, "../../x",
     "$(reboot)", "OCPPCommCtrlr", "HeartbeatInterval", "04A1B2C3"]
)  # fmt: skip
EDGES = (0, 1, -1, 2, 3, 60, 3600, 100_000, -6000, 6000, 2**31, -(2**31))


@cache
def schema(version: str, name: str) -> dict[str, Any]:
    """`name`: "ResetRequest", "ResetResponse"."""
    file = resources.files("ocpp") / FOLDERS[version] / "schemas" / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    return found


@cache
def actions(version: str) -> tuple[str, ...]:
    """All of a version that are answered, whoever may send them."""
    folder = resources.files("ocpp") / FOLDERS[version] / "schemas"
    names = sorted(entry.name for entry in folder.iterdir())
    end = "Request.json"
    return tuple(name.removesuffix(end) for name in names if name.endswith(end))


def smallest(version: str, name: str) -> Any:
    """Only what must be there, each of its kind's first value."""
    whole = schema(version, name)
    return _smallest(whole, whole.get("definitions", {}))


def _smallest(part: dict[str, Any], named: dict[str, Any]) -> Any:
    if "$ref" in part:
        return _smallest(named[part["$ref"].rsplit("/", 1)[1]], named)
    if "enum" in part:
        return part["enum"][0]
    kind = part.get("type")
    if kind == "object":
        must = part.get("required", ())
        return {name: _smallest(part["properties"][name], named) for name in must}
    if kind == "array":
        return [_smallest(part["items"], named)] * max(1, part.get("minItems", 1))
    if kind == "string":
        return NOON if part.get("format") == "date-time" else "1"
    if kind == "boolean":
        return False
    return max(1, part.get("minimum", 1))


@cache
def payloads(version: str, name: str) -> st.SearchStrategy[Any]:
    """Any payload that the schema allows, and not too large."""
    whole = schema(version, name)
    made: dict[str, st.SearchStrategy[Any]] = {}
    return _any(whole, whole.get("definitions", {}), made)


def _any(
    part: dict[str, Any],
    named: dict[str, Any],
    made: dict[str, st.SearchStrategy[Any]],
) -> st.SearchStrategy[Any]:
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[1]
        if name not in made:
            made[name] = st.deferred(lambda: made[name + "!"])
            made[name + "!"] = _any(named[name], named, made)
        return made[name]
    if "enum" in part:
        return st.sampled_from(part["enum"])
    kind = part.get("type")
    if kind == "object":
        return _object(part, named, made)
    if kind == "array":
        low, high = part.get("minItems", 0), min(part.get("maxItems", 3), 3)
        inner = _any(part["items"], named, made)
        return st.lists(inner, min_size=low, max_size=max(low, high))
    if kind == "string":
        return _text(part)
    if kind == "boolean":
        return st.booleans()
    return _number(part) if kind else TEXT


def _object(
    part: dict[str, Any],
    named: dict[str, Any],
    made: dict[str, st.SearchStrategy[Any]],
) -> st.SearchStrategy[Any]:
    must = set(part.get("required", ()))
    fields = {
        name: _any(inner, named, made)
        for name, inner in part.get("properties", {}).items()
        if name != "customData"
    }
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in must},
        optional={name: fields[name] for name in fields if name not in must},
    )


def _text(part: dict[str, Any]) -> st.SearchStrategy[str]:
    if part.get("format") == "date-time":
        low, high = datetime(1970, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001
        times = st.datetimes(low, high, timezones=st.just(UTC))
        near = st.sampled_from([NOON, "2026-11-23T08:00:00Z", "2026-11-23T09:30:00Z"])
        return near | times.map(lambda t: t.isoformat().replace("+00:00", "Z"))
    longest = part.get("maxLength", 1_000_000)
    return (PLAUSIBLE | TEXT).map(lambda text: text[:longest])


def _number(part: dict[str, Any]) -> st.SearchStrategy[Any]:
    low, high = part.get("minimum", -1e15), part.get("maximum", 1e15)
    edges = st.sampled_from([n for n in EDGES if low <= n <= high] or [low])
    if part["type"] == "integer":
        return edges | st.integers(int(low), int(high))
    return edges | st.floats(low, high, allow_nan=False)
