"""OpenADR 2.0b's opt: whether the vehicles can give what an event wants.

Pure. Must never keep an event alive: it only says which ones to leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chargerd.clock import Now
from chargerd.grid.openadr2_dispatch import Dispatch
from chargerd.grid.openadr2_events import Event
from chargerd.model import EvseReport, SessionPhase

SOON_S = 60.0  # an event is opted out of when it begins by then and cannot be
FORBIDDEN_S = 10.0  # so long the promise stands above an event, then we opt out


class Opt:
    """Since when a vehicle's own need stands above which event."""

    def __init__(self, dispatch: Dispatch, reports: Mapping[int, EvseReport]) -> None:
        self._dispatch, self._reports = dispatch, reports
        self._since: dict[str, float] = {}

    def able(self, event: Event, now: Now) -> bool:
        """Could the vehicles give, if they are to give soon? Unknown = yes."""
        if not self._dispatch.discharges(event, now.mono + SOON_S, now):
            return True
        lowest_w = [
            report.decision.power_w - report.flexibility.up_w
            for report in self._meant(event)
            if report.flexibility is not None
        ]
        return not lowest_w or sum(lowest_w) < -1.0

    def leaves(self, events: Mapping[str, Event], now: Now) -> list[Event]:
        """Those that vehicles' own needs have stood above for a while."""
        for ident in self._since.keys() - events.keys():
            del self._since[ident]
        found = []
        for event in events.values():
            if not self._forbidden(event, now):
                self._since.pop(event.id, None)
            elif now.mono - self._since.setdefault(event.id, now.mono) >= FORBIDDEN_S:
                del self._since[event.id]
                found.append(event)
        return found

    def _forbidden(self, event: Event, now: Now) -> bool:
        if not event.followed or not self._dispatch.discharges(event, now.mono, now):
            return False
        running = [
            report
            for report in self._meant(event)
            if report.snapshot.session.phase is SessionPhase.ENERGY
        ]
        return bool(running) and all(map(_promise_won, running))

    def _meant(self, event: Event) -> Iterator[EvseReport]:
        for evse_id, report in self._reports.items():
            if not event.evse_ids or evse_id in event.evse_ids:
                yield report


def _promise_won(report: EvseReport) -> bool:
    if report.decision.power_w < 0.0:
        return False
    return any(r.stage == "promise" and r.won for r in report.decision.reasons)
