"""Q02: NotifyAllowedEnergyTransfer, the permission to discharge that comes later.

Owns that message. The heart passes it on: an ISO 15118-20 vehicle is asked to choose
its service anew, and then says what it needs (NotifyEVChargingNeeds).
"""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.clock import Now
from chargerd.model import DischargePermission
from chargerd.ocpp.blocks.authorization import BIDIRECTIONAL
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.blocks.needs_message import ISO_20
from chargerd.ocpp.effects import Answer, Payload


class EnergyTransfers(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Mapping[str, Handler]:
        return {"NotifyAllowedEnergyTransfer": self.allowed}

    def allowed(self, request: Payload, now: Now) -> Answer:
        """NotifyAllowedEnergyTransfer (Q02.FR.05, .06)."""
        view = self._desk.evse_of_transaction(request["transactionId"])
        if view is None:
            return refusal("TxNotFound")
        names = set(request["allowedEnergyTransfer"])
        here = self._desk.model.members(
            "V2XChargingCtrlr", "SupportedEnergyTransferModes", view.config.id
        )
        if names.isdisjoint(here):
            return refusal("UnsupportedParam", f"this EVSE has {', '.join(here)}")
        if not self._renegotiates(view):
            text = "the vehicle cannot choose its service anew"
            return refusal("UnsupportedRequest", text)
        allowed = not BIDIRECTIONAL.isdisjoint(names)
        self._desk.ask(DischargePermission(view.config.id, allowed))
        return {"status": "Accepted"}

    def _renegotiates(self, view: EvseView) -> bool:
        """ISO 15118-20 alone can; a protocol without services needs no new one."""
        report = view.report
        protocol = report.snapshot.vehicle.protocol if report else ""
        wanted = self._desk.model.flag("V2XChargingCtrlr", "Enabled", view.config.id)
        return wanted and protocol in (ISO_20, "chademo")
