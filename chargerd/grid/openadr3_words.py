"""OpenADR 3's words: checked values out of JSON. Pure.

Facts: the OpenAPI document and the User Guide of 3.0.1 and 3.1.1, as
grid-coordination/openadr3-specification has them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from chargerd.grid.errors import GridError

Json = dict[str, Any]
# A list of 1,024 values has some 8,000. json reads without letting go of the
# interpreter, also in a thread: this is 5 ms of it.
MOST_COMMAS = 12_000
MOST_DIGITS = 32
FOREVER_S = math.inf  # "P9999Y"
_YEAR_S, _DAY_S = 31_536_000.0, 86_400.0
_FOREVER_YEARS = 1000
_DURATION = re.compile(
    r"(-?)P(?=\d|T\d)(?:(\d{1,4})Y)?(?:(\d{1,6})([DW]))?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9}(?:\.\d{1,6})?)S)?)?"
)
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NOW = re.compile(r"000[01]-01-01(T00:00:00(\.0+)?(Z|\+00:00)?)?")


class Refused(GridError):
    """What is not followed. `reason` is the counter's name."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def malformed(text: str) -> NoReturn:
    raise Refused("malformed", text)


def parse(body: bytes) -> Any:
    """JSON; "NaN" and "Infinity" are none. Raises Refused."""
    if body.count(b",") > MOST_COMMAS:
        raise Refused("size", f"an answer of over {MOST_COMMAS} values")
    try:
        return json.loads(body, parse_constant=malformed, parse_int=_whole)
    except (ValueError, RecursionError):
        raise Refused("malformed", "the answer is no JSON") from None


def _whole(digits: str) -> int:
    """Thousands of digits take long."""
    if len(digits) > MOST_DIGITS:
        malformed("a number is too long")
    return int(digits)


def identifier(values: Mapping[str, Any], key: str) -> str:
    """An objectID: it goes into paths."""
    value = values.get(key)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        malformed(f"{key} is no id")
    return value


def text(values: Mapping[str, Any], key: str, longest: int = 128) -> str:
    """ "" where it is not given."""
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        malformed(f"{key} is no text of at most {longest} characters")
    return value


def table(values: Mapping[str, Any], key: str) -> Json:
    """{} where it is not given."""
    value = values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        malformed(f"{key} is no object")
    return value


def rows(values: Mapping[str, Any], key: str, most: int) -> list[Json]:
    """[] where it is not given."""
    value = values.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        malformed(f"{key} is no list of objects")
    if len(value) > most:
        raise Refused("size", f"{key} has over {most} entries")
    return value


def listed(value: Any, most: int) -> list[Json]:
    """An answer that is a list of objects."""
    return rows({"answer": value if isinstance(value, list) else ()}, "answer", most)


def whole(values: Mapping[str, Any], key: str, default: int) -> int:
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 31:
        malformed(f"{key} is no whole number")
    return value


def number(value: Any, low: float, high: float) -> float:
    """Finite and in its range; true and false are no numbers."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not low <= value <= high:  # false for NaN
        raise Refused("range", f"a value is not in {low:g}..{high:g}")
    return float(value)


def seconds(value: Any, default: float) -> float:
    """A duration; years have 365 days, "P9999Y" is for ever. Months are refused: they
    have no length."""
    if value in (None, ""):
        return default
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1]:
        malformed("a duration is malformed")
    if int(match[2] or 0) >= _FOREVER_YEARS:
        return FOREVER_S
    unit_s = 7.0 * _DAY_S if match[4] == "W" else _DAY_S
    return (
        float(match[2] or 0) * _YEAR_S
        + float(match[3] or 0) * unit_s
        + float(match[5] or 0) * 3600.0
        + float(match[6] or 0) * 60.0
        + float(match[7] or 0)
    )


def randomness(value: Any) -> float:
    """randomizeStart: its absolute value, at most a day."""
    text = value.removeprefix("-") if isinstance(value, str) else value
    return min(_DAY_S, seconds(text, 0.0))


def start(values: Mapping[str, Any]) -> datetime | None:
    """Of an intervalPeriod; None = not given, or "0001-01-01": now, or at once after
    the interval before."""
    value = values.get("start")
    if value in (None, "") or (isinstance(value, str) and _NOW.fullmatch(value)):
        return None
    return utc(value)


def utc(value: Any) -> datetime:
    """With its offset, of this century."""
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
        moment = found.astimezone(UTC) if found.utcoffset() is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not 2020 <= moment.year < 2100:
        malformed("a time is malformed")
    return moment


def targets(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(kind, name) of each target. 3.1 has names only, 3.0 lists of names by kind."""
    found: list[tuple[str, str]] = []
    listed = values.get("targets")
    if listed is None:
        return ()
    if not isinstance(listed, list) or len(listed) > 256:
        malformed("targets is no list of at most 256")
    for one in listed:
        if isinstance(one, str):
            found.append(("", one))
            continue
        names = one.get("values") if isinstance(one, dict) else None
        if not isinstance(names, list) or len(names) > 256:
            malformed("a target is malformed")
        kind = text(one, "type")
        found += [(kind, name) for name in names if isinstance(name, str)]
    return tuple(found)


def share(text: str) -> float:
    """A number in [-1, 1) that is this VEN's and this event's own, also after a
    restart: as good as random across VENs."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:6], "big") / float(1 << 47) - 1.0
