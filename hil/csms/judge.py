"""The referee: every OCPP payload against the JSON schemas of the `ocpp` package. Pure
after the first load of a schema. Must never repair what it judges.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft6Validator  # type: ignore[import-untyped]

FOLDERS = {"ocpp2.0.1": "v201", "ocpp2.1": "v21"}
SENT_ONLY = {"NotifyPeriodicEventStream"}  # a SEND (2.1): one schema, no answer
# JSON schema keyword -> OCPP-J RPC error code (part 4, table of error codes)
CODES = {
    "type": "TypeConstraintViolation",
    "required": "OccurrenceConstraintViolation",
    "minItems": "OccurrenceConstraintViolation",
    "maxItems": "OccurrenceConstraintViolation",
    "additionalProperties": "FormatViolation",
}
OTHER_CODE = "PropertyConstraintViolation"


@cache
def actions(version: str) -> frozenset[str]:
    """All actions of an OCPP version by its WebSocket subprotocol name."""
    folder = resources.files("ocpp") / FOLDERS[version] / "schemas"
    names = (entry.name for entry in folder.iterdir())
    end = "Request.json"
    found = {name.removesuffix(end) for name in names if name.endswith(end)}
    return frozenset(found | (SENT_ONLY if version == "ocpp2.1" else set()))


@cache
def _validator(version: str, name: str) -> Any:
    path = resources.files("ocpp") / FOLDERS[version] / "schemas" / f"{name}.json"
    return Draft6Validator(json.loads(path.read_text(encoding="utf-8-sig")))


def check(
    version: str, action: str, payload: Any, *, answer: bool = False
) -> list[tuple[str, str]]:
    """What is wrong with a payload, as (RPC error code, text); empty = nothing."""
    if action not in actions(version):
        return [("NotImplemented", f"{action}: no action of {version}")]
    kind = "Response" if answer else "Request"
    name = action if action in SENT_ONLY else f"{action}{kind}"
    found = [
        (
            CODES.get(error.validator, OTHER_CODE),
            f"{name}{_where(error)}: {_what(error)}",
        )
        for error in _validator(version, name).iter_errors(payload)
    ]
    endless = [f"{name}{path}: not a finite number" for path in _not_finite(payload)]
    return found + [(OTHER_CODE, text) for text in endless]


def _where(error: Any) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.path)


def _what(error: Any) -> str:
    return str(error.message)[:200]


def _not_finite(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
        yield path  # NaN, infinities, and integers no float can hold
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_finite(inner, f"{path}[{index}]")
