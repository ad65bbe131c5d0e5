"""Whose token is it, and what question has to be asked: the rules about identities.

Pure. Knows no central system: it turns a read token into a stop, a question or nothing,
and checks whether an answer belongs to the question that is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from chargerd.model import Session, SessionPhase, Token

CONTRACT_KIND = "eMAID"  # OCPP IdTokenEnumType
RUNNING = (
    SessionPhase.STARTING,
    SessionPhase.ENERGY,
    SessionPhase.SUSPENDED_EV,
    SessionPhase.SUSPENDED_EVSE,
)


class Use(Enum):
    """What a presented token means for one EVSE now."""

    STOP = "stop"  # it is the token that started the session
    ASK = "ask"  # somebody must say whether it is good
    IGNORE = "ignore"  # the session is ending


def same(a: Token | None, b: Token | None) -> bool:
    """Two readings of one identity; the kind of reader counts, letter case does not."""
    if a is None or b is None:
        return False
    return a.value.upper() == b.value.upper() and a.kind == b.kind


def may_stop(session: Session, token: Token) -> bool:
    """The same token, or one of the same group (C01.FR.03, C09.FR.03)."""
    if same(session.token, token):
        return True
    group = session.token.group if session.token else ""
    return bool(group) and group.upper() == token.group.upper()


def goes_on(started: Token | None, shown: Token) -> bool:
    """After a restart: does a vehicle that shows this go on with what `started`? Each
    new talk shows the contract, also where a card had started; a card says more."""
    if shown.kind != CONTRACT_KIND:
        return False
    other = started is not None and started.kind == CONTRACT_KIND
    return not other or same(started, shown)


def use(session: Session, token: Token) -> Use:
    """What `token` is for: stopping needs no answer when it is the same token."""
    if session.phase is SessionPhase.STOPPING:
        return Use.IGNORE
    if session.phase in RUNNING and may_stop(session, token):
        return Use.STOP
    return Use.ASK


def take(token: Token, evse_ids: Sequence[int], sessions: Mapping[int, Session]) -> int:
    """Which EVSE a token read at a shared reader is for; 0 = none of them.

    First the one it would stop, then one that waits for a token, then one with its
    vehicle still plugged, then a free one.
    """
    known = [evse_id for evse_id in evse_ids if evse_id in sessions]
    for evse_id in known:
        session = sessions[evse_id]
        if session.phase in RUNNING and may_stop(session, token):
            return evse_id
    for phase in (SessionPhase.CONNECTED, SessionPhase.FINISHED, SessionPhase.IDLE):
        for evse_id in known:
            if sessions[evse_id].phase is phase:
                return evse_id
    return known[0] if known else 0
