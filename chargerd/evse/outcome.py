"""The session outcome record: one per plug-in, the measure of "it just worked".

Pure values (refs: ChargerHelp and NEVI count first tries, not uptime). Must never hold
a token: the record is for the operator's statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from chargerd.clock import Now
from chargerd.model import Session, SessionPhase, StopReason

_FIRST_ENERGY_WH = 1.0
_MAX_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running session has come. Seconds count from plug-in."""

    plugged_mono: float = 0.0
    authorised_s: float | None = None
    path_closed_s: float | None = None
    first_energy_s: float | None = None
    protocol: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a session. Energies in Wh at the AC meter."""

    evse_id: int
    session_id: str
    plugged_utc: datetime | None
    ended_utc: datetime
    clock_trusted: bool
    protocol: str
    authorised_s: float | None
    path_closed_s: float | None
    first_energy_s: float | None
    duration_s: float
    reason: StopReason
    energy_in_wh: float
    energy_out_wh: float
    faults: tuple[str, ...]

    @property
    def success(self) -> bool:
        """Energy flowed, and no fault ended it."""
        return self.first_energy_s is not None and not self.faults


def advance(
    progress: Progress,
    session: Session,
    protocol: str,
    faults: tuple[str, ...],
    now_mono: float,
) -> Progress:
    """Note what happened for the first time; the same object when nothing did."""
    age_s = now_mono - progress.plugged_mono
    if session.authorised and progress.authorised_s is None:
        progress = replace(progress, authorised_s=age_s)
    if session.phase is SessionPhase.ENERGY and progress.path_closed_s is None:
        progress = replace(progress, path_closed_s=age_s)
    moved_wh = session.energy_in_wh + session.energy_out_wh
    if progress.first_energy_s is None and moved_wh >= _FIRST_ENERGY_WH:
        progress = replace(progress, first_energy_s=age_s)
    if protocol and protocol != progress.protocol:
        progress = replace(progress, protocol=protocol)
    new = tuple(name for name in faults if name not in progress.faults)
    if new and len(progress.faults) < _MAX_FAULTS:
        progress = replace(progress, faults=progress.faults + new)
    return progress


def conclude(progress: Progress, session: Session, now: Now) -> Outcome:
    """The record of a session that is over."""
    return Outcome(
        evse_id=session.evse_id,
        session_id=session.id,
        plugged_utc=session.plugged_utc,
        ended_utc=now.utc,
        clock_trusted=now.trusted,
        protocol=progress.protocol,
        authorised_s=progress.authorised_s,
        path_closed_s=progress.path_closed_s,
        first_energy_s=progress.first_energy_s,
        duration_s=now.mono - progress.plugged_mono,
        reason=session.stop_reason or StopReason.EV_DISCONNECTED,
        energy_in_wh=session.energy_in_wh,
        energy_out_wh=session.energy_out_wh,
        faults=progress.faults,
    )
