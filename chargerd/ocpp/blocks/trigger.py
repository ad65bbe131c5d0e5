"""Use case F06: TriggerMessage.

Owns who makes which message: each block names its own (`Block.triggers`). The answer
leaves before the message (F06.FR.04): a handler's effects are drained after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler, Trigger
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.effects import Answer, Payload

CUSTOM = "CustomTrigger"


class TriggerMessages(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._triggers: dict[str, Trigger] = {}

    def routes(self) -> Mapping[str, Handler]:
        return {"TriggerMessage": self.trigger}

    def attach(self, blocks: Sequence[Block]) -> None:
        """All blocks of the station."""
        for block in blocks:
            self._triggers |= block.triggers()

    def trigger(self, request: Payload, now: Now) -> Answer:
        """TriggerMessage. An EVSE that means nothing to a message is left out of
        account (F06.FR.03); without one it is sent for each (F06.FR.11)."""
        name = request["requestedMessage"]
        if name == CUSTOM:  # F06.FR.18, .19
            name = request.get("customTrigger", "")
            if name not in self._desk.model.members(
                "CustomizationCtrlr", "CustomTriggers"
            ):
                return {"status": "NotImplemented"}
        made = self._triggers.get(name)
        if made is None:  # F06.FR.08
            return {"status": "NotImplemented"}
        return {"status": made(request.get("evse", {}), now)}
