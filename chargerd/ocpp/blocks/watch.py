"""What is remembered of one EVSE between the heart's reports, for blocks E and J.

Owns no rule; the blocks that share it are `transactions.py` and `sampling.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd.model import Session
from chargerd.ocpp.blocks.transaction import Transaction
from chargerd.ocpp.effects import Payload

NO_POINTS: frozenset[str] = frozenset()


@dataclass(slots=True)
class Ending:
    """Ended as it will be sent, once the meter has signed or the time is over."""

    tx: Transaction
    event: Payload
    session_id: str
    until_mono: float


@dataclass(slots=True)
class Watch:
    """Of one EVSE."""

    key: tuple[object, ...] = ()
    session: Session | None = None  # at the last change of `key`
    holding: frozenset[str] = NO_POINTS
    tx: Transaction | None = None
    started_with: frozenset[str] = NO_POINTS  # points that have held in `tx`
    ending: Ending | None = None
    orphan: Transaction | None = None  # of the last run
    orphan_mono: float | None = None
    interrupted: bool = False  # a Reset comes: nothing that happens now counts
    mode: str = ""
    mode_mono: float = 0.0
    wish_mono: float = 0.0
    wish_wh: float = 0.0  # the setpoint's energy, since the daemon's start
