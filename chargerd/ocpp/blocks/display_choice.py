"""Which of the central system's messages a display shows now (O01, O02). Pure.

Owns priorities, states, times and the cycle. Knows neither blocks nor messages' checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from chargerd.ocpp.effects import Payload
from chargerd.ocpp.profiles import parse_time

CYCLE_S = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """A MessageInfoType. `evse_id` 0 = the main display."""

    told: Payload
    evse_id: int = 0
    start: datetime | None = None
    end: datetime | None = None

    @property
    def id(self) -> int:
        number: int = self.told["id"]
        return number

    @property
    def priority(self) -> str:
        priority: str = self.told["priority"]
        return priority

    @property
    def transaction_id(self) -> str:
        number: str = self.told.get("transactionId", "")
        return number

    def over(self, utc: datetime) -> bool:
        return self.end is not None and utc >= self.end


@dataclass(frozen=True, slots=True)
class Scene:
    """One display: what goes on there, and whose transactions run."""

    evse_id: int
    states: frozenset[str]
    transactions: frozenset[str]
    utc: datetime


def read(told: Payload) -> Message:
    """Raises OcppError for a time that is none."""
    start, end = (
        parse_time(told[name]) if name in told else None
        for name in ("startDateTime", "endDateTime")
    )
    evse_id = told.get("display", {}).get("evse", {}).get("id", 0)
    return Message(told, evse_id, start, end)


def chosen(messages: Iterable[Message], scene: Scene) -> Message | None:
    """The one that is to be seen now. Among equals each has its turn; AlwaysFront is
    one only, and hides all others (O01.FR.12 to .16)."""
    here = [m for m in messages if _belongs(m, scene)]
    for priority in ("AlwaysFront", "InFront", "NormalCycle"):
        equals = sorted((m for m in here if m.priority == priority), key=lambda m: m.id)
        if equals:
            turn = int(scene.utc.timestamp() // CYCLE_S)
            return equals[turn % len(equals)]
    return None


def _belongs(message: Message, scene: Scene) -> bool:
    """O01.FR.06, .07, .20, .23; a transaction's message is shown where it runs."""
    state: str = message.told.get("state", "")
    number = message.transaction_id
    return (
        message.evse_id == scene.evse_id
        and (message.start is None or scene.utc >= message.start)
        and not message.over(scene.utc)
        and (not state or state in scene.states)
        and (not number or number in scene.transactions)
    )
