"""A pack that stays (second life) starts its session by itself: nobody holds a card.

Pure. Only asks, like a person would: session.py decides. What a person or the central
system has stopped stays stopped until it is started by hand or plugged in anew.
"""

from __future__ import annotations

from chargerd.clock import Now
from chargerd.evse.session import State
from chargerd.model import Request, SessionPhase, StartRequest, StopReason, Token

TOKEN = Token("", "NoAuthorization")  # OCPP IdTokenEnumType
RETRY_S = 60.0  # after a fault, or an end that the pack itself chose
_MEANT = (
    StopReason.LOCAL,
    StopReason.REMOTE,
    StopReason.DEAUTHORIZED,
    StopReason.MASTER_PASS,
)


def start(state: State, now: Now) -> tuple[Request, ...]:
    """A request to start where one is due; the same again until it is followed."""
    session = state.session
    if session.phase is SessionPhase.FINISHED:
        rested = now.mono - state.phase_mono >= RETRY_S
        due = rested and session.stop_reason not in _MEANT
    else:
        due = session.phase is SessionPhase.CONNECTED and state.question is None
    return (StartRequest(session.evse_id, TOKEN),) if due else ()
