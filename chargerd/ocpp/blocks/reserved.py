"""Which EVSEs must be kept free so that every reservation can still be kept.

Pure: reservations and EVSEs in, a set of EVSE ids out. Knows no messages and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reservation:
    """Who comes (as digests), where, and until when. `evse_id` None = any EVSE with
    a connector of `connector_type`, "" = of any type."""

    id: int
    expires: str
    token: str
    group: str = ""
    evse_id: int | None = None
    connector_type: str = ""
    since: str = ""  # when it was asked for

    def fits(self, evse_id: int, types: Iterable[str]) -> bool:
        if self.evse_id is not None and self.evse_id != evse_id:
            return False
        return not self.connector_type or self.connector_type in types

    def is_for(self, token: str, group: str) -> bool:
        """The token itself, or one of the group (H03.FR.01 to .06)."""
        return token == self.token or (bool(self.group) and group == self.group)


Evses = Mapping[int, Iterable[str]]  # id -> types of its connectors


def served(reservations: Iterable[Reservation], evses: Evses) -> int:
    """How many reservations can be kept at once, each at an EVSE of its own."""
    taken: dict[int, Reservation] = {}

    def place(wanted: Reservation, tried: set[int]) -> bool:
        for evse_id, types in evses.items():
            if evse_id in tried or not wanted.fits(evse_id, types):
                continue
            tried.add(evse_id)
            holder = taken.get(evse_id)
            if holder is None or place(holder, tried):
                taken[evse_id] = wanted
                return True
        return False

    return sum(place(wanted, set()) for wanted in reservations)


def kept_free(reservations: Iterable[Reservation], evses: Evses) -> frozenset[int]:
    """EVSEs that nobody else may take: without one of them fewer could be kept."""
    all_of_them = list(reservations)
    most = served(all_of_them, evses)
    return frozenset(
        evse_id
        for evse_id in evses
        if served(all_of_them, {n: t for n, t in evses.items() if n != evse_id}) < most
    )
