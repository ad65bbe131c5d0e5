"""A chain of records: each line holds the hash of the one before, so that a line which
was changed, moved or taken out shows.

Pure. Who can write the file can also write a whole new chain: the newest hash has to be
noted elsewhere (the daemon logs it) to prove that nothing was rewritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
START = ""  # what the first line of a chain names as the one before


@dataclass(frozen=True, slots=True)
class Link:
    """One line of the chain."""

    number: int
    previous: str
    record: Record
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`broken` "" = every link holds; else the first one that does not, and why."""

    links: int
    first: int  # its number: > 1 when the oldest were deleted to make room
    head: str  # the newest hash
    broken: str = ""


class BadLine(ValueError):
    """A line that is no link."""


def link(number: int, previous: str, record: Record) -> tuple[str, str]:
    """The line, with its end, and its hash. Raises ValueError for what JSON cannot
    hold."""
    digest = _digest(number, previous, record)
    line = {"n": number, "previous": previous, "record": record, "hash": digest}
    return _text(line) + "\n", digest


def read(line: str) -> Link:
    """Not whether it is true; raises BadLine."""
    try:
        found = json.loads(line)
        number, record = found["n"], found["record"]
        known = Link(number, found["previous"], record, found["hash"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadLine(f"no record can be read there: {error!r:.80}") from error
    right = (
        isinstance(number, int)
        and isinstance(record, dict)
        and isinstance(known.previous, str)
        and isinstance(known.hash, str)
    )
    if not right:
        raise BadLine("no record can be read there")
    return known


def verify(lines: Iterable[tuple[str, str]], head: str = "") -> Verdict:
    """Every (place, line) in order: follow the chain. `head`: a hash noted before,
    which must be among those of the chain."""
    first, count, expected, seen = 0, 0, START, not head
    for place, line in lines:
        try:
            found = read(line)
            _follow(found, expected if count else found.previous, first + count)
        except BadLine as error:
            return Verdict(count, first, expected, f"{place}: {error}")
        if count == 0:
            first = found.number
            if first == 1 and found.previous != START:
                why = f"{place}: record 1 names another one before it"
                return Verdict(0, first, START, why)
        count += 1
        expected = found.hash
        seen = seen or found.hash == head
    if not seen:
        why = f"the hash {head} is in none of the {count} records: rewritten or cut off"
        return Verdict(count, first, expected, why)
    return Verdict(count, first, expected)


def _follow(found: Link, previous: str, number: int) -> None:
    """BadLine unless this link holds."""
    if number and found.number != number:
        raise BadLine(f"record {found.number} stands where {number} belongs")
    if found.hash != _digest(found.number, found.previous, found.record):
        raise BadLine(f"record {found.number} was changed: its hash is another one")
    if found.previous != previous:
        raise BadLine(f"record {found.number} does not follow the one before it")


def _digest(number: int, previous: str, record: Record) -> str:
    return hashlib.sha256(_text([number, previous, record]).encode()).hexdigest()


def _text(value: object) -> str:
    """One way to write it: keys in order, no blanks."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
