"""Vehicles that do not say what the standard says: one table, by EVCCID or behaviour.

Owns which quirk a vehicle has; what a quirk changes stands where the value is read.
Must never loosen a safety condition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Quirk(Enum):
    """What a vehicle does differently."""

    NEGATIVE_DISCHARGE_LIMITS = "negative_discharge_limits"  # -11 kW means 11 kW


class Sign(Enum):
    """Behaviour: how a vehicle sent its discharge limits in parameter discovery."""

    NONE = "none"  # none sent, or all 0
    POSITIVE = "positive"
    NEGATIVE = "negative"
    MIXED = "mixed"  # makes no sense: no quirk, and so no discharge


@dataclass(frozen=True, slots=True)
class Row:
    """`quirk` of vehicles whose EVCCID begins with `evccid`, or that behave so."""

    quirk: Quirk
    evccid: str | None = None
    sign: Sign | None = None
    source: str = ""


QUIRKS: tuple[Row, ...] = (
    Row(
        Quirk.NEGATIVE_DISCHARGE_LIMITS,
        sign=Sign.NEGATIVE,
        source="EDF-Lab eVDriveFlow before its issue 7",
    ),
)


def sign_of(limits: Iterable[float | None]) -> Sign:
    """How these discharge limits were sent; all of one message."""
    signs = {value > 0.0 for value in limits if value}
    if not signs:
        return Sign.NONE
    if len(signs) == 2:
        return Sign.MIXED
    return Sign.POSITIVE if signs.pop() else Sign.NEGATIVE


def quirks_of(
    evccid: str, sign: Sign = Sign.NONE, table: tuple[Row, ...] = QUIRKS
) -> frozenset[Quirk]:
    """The quirks of one vehicle. EVCCIDs are compared without case and separators."""
    plain = _plain(evccid)
    found = set()
    for row in table:
        by_id = row.evccid is not None and plain.startswith(_plain(row.evccid))
        if by_id or (row.sign is not None and row.sign is sign):
            found.add(row.quirk)
    return frozenset(found)


def _plain(evccid: str) -> str:
    return "".join(letter for letter in evccid.upper() if letter.isalnum())
