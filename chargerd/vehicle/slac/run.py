"""One matching run: one vehicle (MAC and run id) that asks who hears it best.

Owns the averages and the run's own deadlines. Nothing of another run reaches it: every
frame is bound to MAC and run id before it comes here. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from chargerd.vehicle.slac.messages import GROUPS, StartAttenChar


@dataclass(frozen=True, slots=True)
class Times:
    """ISO 15118-3 Table A.1, in s (as pyslac `enums.py` and libslac `slac.hpp` have it;
    they agree)."""

    match_sequence_s: float = 0.4  # TT_match_sequence: to the next request
    match_mnbc_s: float = 0.6  # TT_EVSE_match_MNBC: all sounds
    match_response_s: float = 0.2  # TT_match_response
    match_session_s: float = 10.0  # TT_EVSE_match_session: measurement to MATCH.REQ
    match_join_s: float = 12.0  # TT_match_join: key given to link seen
    reports: int = 3  # ATTEN_CHAR.IND: once, and C_EV_match_retry times more
    parallel: int = 128  # C_EVSE_match_parallel is 5; more, so that a flood costs less
    sounds: int = 10  # C_EV_match_MNBC


class Step(Enum):
    """Where a run stands."""

    ASKED = "asked"  # SLAC_PARM answered
    SOUNDING = "sounding"
    REPORTED = "reported"  # ATTEN_CHAR.IND sent, not yet confirmed
    MEASURED = "measured"  # the vehicle has our result and chooses
    MATCHED = "matched"  # it chose us and has the key


@dataclass(slots=True)
class Run:
    """`due_mono`: when this step has lasted too long."""

    ev_mac: bytes
    run_id: bytes
    due_mono: float
    step: Step = Step.ASKED
    wanted: int = 10  # sounds that end the measurement
    counted: int = 0
    reports: int = 0
    _sums_db: list[int] = field(default_factory=list)  # once it sounds

    def start(self, message: StartAttenChar, now_mono: float, times: Times) -> None:
        """CM_START_ATTEN_CHAR.IND comes three times: only the first one counts. The
        vehicle names count and time; beyond ours it is not followed."""
        if self.step is not Step.ASKED:
            return
        self.step = Step.SOUNDING
        self.wanted = max(1, min(message.sounds, times.sounds))
        self._sums_db = [0] * GROUPS
        self.due_mono = now_mono + times.match_mnbc_s

    def add(self, groups_db: bytes) -> None:
        """One sound as our modem measured it."""
        if self.step is not Step.SOUNDING or self.counted >= self.wanted:
            return
        self.counted += 1
        for index, value in enumerate(groups_db):
            self._sums_db[index] += value

    @property
    def heard_all(self) -> bool:
        return self.step is Step.SOUNDING and self.counted >= self.wanted

    def groups_db(self, receive_loss_db: float) -> list[int]:
        """Average per group, less what is lost between connector and modem
        (AttnRx_EVSE), within a byte. Only valid once something was heard."""
        return [
            max(0, min(255, int(total / self.counted - receive_loss_db + 0.5)))
            for total in self._sums_db
        ]

    def average_db(self, receive_loss_db: float) -> float:
        """Over all groups: what a threshold is compared with."""
        return sum(self.groups_db(receive_loss_db)) / GROUPS
