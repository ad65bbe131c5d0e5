"""Restarts of single EVSEs: each waits until its session is over, then begins anew.

Owns who waits. Must never open a contactor: it asks the session to end, as anybody may,
and waits until the power path is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chargerd.evse import session
from chargerd.model import ResetRequest, SessionPhase, StopReason, StopRequest
from chargerd.scheduler.runner import Runner

_OVER = (SessionPhase.IDLE, SessionPhase.FINISHED)
_NO_CURRENT_A = 1.0


class EvseResets:
    def __init__(self) -> None:
        self._waiting: dict[int, bool] = {}  # EVSE -> end its session at once

    def ask(self, request: ResetRequest) -> None:
        sooner = self._waiting.get(request.evse_id, False)
        self._waiting[request.evse_id] = request.immediate or sooner

    def closing(self, evse_id: int) -> bool:
        """Nothing new starts here any more."""
        return evse_id in self._waiting

    def stops(self, runners: Mapping[int, Runner]) -> list[StopRequest]:
        """For sessions in the way: at once, or when no power path is closed."""
        return [
            StopRequest(evse_id, StopReason.IMMEDIATE_RESET)
            for evse_id, at_once in self._waiting.items()
            if at_once or _idles(runners[evse_id])
        ]

    def due(self, runners: Mapping[int, Runner]) -> set[int]:
        """Those whose session is over: they begin anew in this tick."""
        ready = {evse_id for evse_id in self._waiting if _ready(runners[evse_id])}
        for evse_id in ready:
            del self._waiting[evse_id]
            _begin_anew(runners[evse_id])
        return ready


def _idles(runner: Runner) -> bool:
    state = runner.state
    return state.session.phase is SessionPhase.CONNECTED or state.away


def _ready(runner: Runner) -> bool:
    over = runner.state.session.phase in _OVER and not runner.state.away
    return over and not runner.closed and abs(runner.current_a) < _NO_CURRENT_A


def _begin_anew(runner: Runner) -> None:
    """As after a start; who is plugged in begins a new session."""
    old = runner.state
    new = session.fresh(runner.evse_id, connector_id=old.session.connector_id)
    runner.state = replace(
        new,
        operative=old.operative,
        operative_wanted=old.operative_wanted,
        keep_s=old.keep_s,
    )
