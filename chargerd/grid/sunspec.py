"""The SunSpec server: one DER per EVSE, its unit number is the EVSE's id.

Pure: requests and reports in, answers and signals out. The shell is `sunspec_door.py`.
Must never follow a write from a host that is not a controller, nor half of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from chargerd.config import Evse, Station
from chargerd.config_grid import Sunspec
from chargerd.grid import sunspec_modbus as modbus
from chargerd.grid import sunspec_state as state
from chargerd.grid.errors import GridError
from chargerd.grid.sunspec_control import Control
from chargerd.grid.sunspec_modbus import Code, Refusal, Request
from chargerd.grid.sunspec_points import AT, BASE, END, Point, decode, image
from chargerd.model import DispatchSignal, EvseReport

_HEARTBEAT_WRAP = 100_000  # 715: "periodic resets to zero"


class Der:
    """One EVSE's registers."""

    def __init__(self, evse: Evse, station: Station, config: Sunspec) -> None:
        self._rated = state.rating(evse)
        self._fixed = state.fixed(evse, station)
        self._fixed["715.LocRemCtl"] = 0 if config.controllers else 1
        self.control = Control(evse.id, self._rated, config)
        self.report: EvseReport | None = None

    def read(self, address: int, count: int, now_mono: float) -> list[int]:
        """Raises Refusal."""
        if address < BASE or address + count > END:
            raise Refusal(Code.ADDRESS, "address")
        values = self._fixed | self.control.values(now_mono)
        values["715.DERHb"] = int(now_mono) % _HEARTBEAT_WRAP
        if self.report is not None:
            values |= state.live(self.report, self._rated)
        return image(values)[address - BASE : address - BASE + count]

    def write(
        self, address: int, words: tuple[int, ...], now_mono: float
    ) -> list[DispatchSignal]:
        """Whole points only. Raises Refusal."""
        asked: dict[str, int | None] = {}
        at, end = address, address + len(words)
        while at < end:
            point = AT.get(at)
            if point is None or at + point.words > end:
                raise Refusal(Code.ADDRESS, "address")
            if point.name not in self.control.writable:
                raise Refusal(Code.ADDRESS, "read only")
            asked[point.name] = _number(point, words, at - address)
            at += point.words
        try:
            return self.control.write(asked, now_mono)
        except GridError:
            raise Refusal(Code.VALUE, "range") from None


def _number(point: Point, words: tuple[int, ...], offset: int) -> int | None:
    return decode(point, list(words[offset : offset + point.words]))


class Server:
    """All EVSEs."""

    def __init__(
        self, config: Sunspec, station: Station, evses: Iterable[Evse]
    ) -> None:
        self._ders = {evse.id: Der(evse, station, config) for evse in evses}
        self.refused: Counter[str] = Counter()
        self.reads = self.writes = 0

    def report(self, report: EvseReport) -> None:
        """Keeps the newest."""
        self._ders[report.snapshot.evse_id].report = report

    def tick(self, now_mono: float) -> list[DispatchSignal]:
        """Reversions that are due."""
        return [s for der in self._ders.values() for s in der.control.tick(now_mono)]

    def serve(
        self, request: Request, now_mono: float, *, may_write: bool
    ) -> tuple[bytes, list[DispatchSignal]]:
        """One request: its answer, and what is to be followed."""
        due = self.tick(now_mono)
        try:
            words, signals = self._serve(request, now_mono, may_write=may_write)
        except Refusal as refusal:
            self.refused[refusal.reason] += 1
            return modbus.refuse(request, refusal.code), due
        return modbus.answer(request, words), due + signals

    def _serve(
        self, request: Request, now_mono: float, *, may_write: bool
    ) -> tuple[list[int], list[DispatchSignal]]:
        if request.refusal is not None:
            raise request.refusal
        der = self._ders.get(request.unit)
        if der is None:
            raise Refusal(Code.NO_UNIT, "no such unit")
        if request.words is None:
            words = der.read(request.address, request.count, now_mono)
            self.reads += 1
            return words, []
        if not may_write:
            raise Refusal(Code.FUNCTION, "unauthorised")
        signals = der.write(request.address, request.words, now_mono)
        self.writes += 1
        return [], signals

    def status(self) -> dict[str, Any]:
        """For people."""
        return {
            "reads": self.reads,
            "writes": self.writes,
            "refused": dict(self.refused),
        }
