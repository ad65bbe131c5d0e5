"""Priority charging (K21, K22): asked for by the CSMS, or by the driver at the station.

Owns NotifyPriorityCharging and when it begins. What it does to the power is
`composite.py`: the PriorityCharging profile stands in for the Tx profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.blocks.profile_store import ProfileStore
from chargerd.ocpp.effects import Answer, Payload


class PriorityCharging(Block):
    def __init__(
        self, desk: Desk, store: ProfileStore, refresh: Callable[[Now], None]
    ) -> None:
        self._desk = desk
        self._store = store
        self._refresh = refresh

    def routes(self) -> Mapping[str, Handler]:
        return {"UsePriorityCharging": self.use_priority}

    def use_priority(self, request: Payload, now: Now) -> Answer:
        """UsePriorityCharging (K21)."""
        view = self._desk.evse_of_transaction(request["transactionId"])
        if view is None:
            return refusal("TxNotFound")
        if not request["activate"]:
            self._switch(view, False, now)
            return {"status": "Accepted"}
        if not self._offered(view):
            return refusal("NotFound", "no PriorityCharging profile", "NoProfile")
        self._switch(view, True, now)
        return {"status": "Accepted"}

    def by_driver(self, evse_id: int, activate: bool, now: Now) -> str:
        """The driver's wish at the station (K22); what to tell them, "" = it is so."""
        view = self._desk.evses.get(evse_id)
        if view is None or not view.transaction_id:
            return f"no transaction on EVSE {evse_id}: start one first"
        if activate and not self._offered(view):
            return "the central system has set no priority charging for this EVSE"
        self._switch(view, activate, now)
        return ""

    def _offered(self, view: EvseView) -> bool:
        """A profile on EVSE 0 applies to all."""
        wanted = {"chargingProfilePurpose": "PriorityCharging"}
        places = (0, view.config.id)
        return any(i.profile.evse_id in places for i in self._store.find(wanted))

    def _switch(self, view: EvseView, on: bool, now: Now) -> None:
        if on == view.priority:
            return  # nothing new, nothing to tell
        view.priority = on
        self._refresh(now)
        told = {"transactionId": view.transaction_id, "activated": on}
        self._desk.send("NotifyPriorityCharging", told, now)
