"""What a grid door is given by the daemon, and what it gives: the seam of every source.

Values and types only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chargerd.clock import Now
from chargerd.model import DispatchSignal, EvseReport, Request
from chargerd.plan import PriceSeries


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it is called on the loop and never waits.

    `signal`, `request` and `prices` return False for what was refused. `save` keeps a
    JSON value over restarts, None deletes; `saved` holds what the last run kept. The
    namespace of a door is "grid.NAME".
    """

    signal: Callable[[DispatchSignal], bool]
    request: Callable[[Request], bool]
    now: Callable[[], Now]
    save: Callable[[str, str, Any], None]  # namespace, key, value
    saved: Mapping[str, Mapping[str, Any]]
    prices: Callable[[PriceSeries], bool]  # for the planner


class GridDoor(Protocol):
    """One source of dispatch: its shell.

    `run` goes on until cancelled and mends its own link; what it raises is a restart by
    the supervisor. `report` is called each tick and EVSE: it only keeps the newest.
    `status` is for people: plain JSON values, counters of what was refused by reason.
    """

    @property
    def name(self) -> str: ...
    async def run(self) -> None: ...
    def report(self, report: EvseReport) -> None: ...
    def status(self) -> dict[str, Any]: ...
