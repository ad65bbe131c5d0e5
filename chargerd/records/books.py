"""The books of all EVSEs: settlement and battery use, as records of the chain.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from chargerd.model import EvseReport
from chargerd.records.battery import Usage
from chargerd.records.chain import Record
from chargerd.records.settle import Settlement


class Books:
    """`step` with each report gives the records that are due by it."""

    def __init__(
        self,
        evse_ids: Iterable[int],
        *,
        station: str,
        meter: dict[str, str],
        key: bytes,
    ) -> None:
        """`meter`: what is known of the EVSEs' meters. `key`: of the pseudonyms."""
        ids = tuple(evse_ids)
        self._settlements = {n: Settlement(n, station, meter) for n in ids}
        self._usages = {n: Usage(n, station, key) for n in ids}

    def step(
        self,
        report: EvseReport,
        baseline_w: float,
        *,
        sampled: bool,
        g_per_kwh: float | None = None,
    ) -> list[Record]:
        """`sampled`: once a second, which is enough for the battery. `g_per_kwh`: CO2
        of the grid now."""
        evse_id = report.snapshot.evse_id
        due = self._settlements[evse_id].step(report, baseline_w, g_per_kwh)
        return due + (self._usages[evse_id].step(report) if sampled else [])

    def close(self) -> list[Record]:
        """The daemon ends: what is open, as it stands."""
        due = [r for book in self._settlements.values() for r in book.close()]
        return due + [r for book in self._usages.values() for r in book.close()]
