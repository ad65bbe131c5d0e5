"""Block F: remote start and stop, unlock, and messages on demand.

Owns the answers of RequestStartTransaction, RequestStopTransaction, UnlockConnector and
TriggerMessage. It asks the heart; whether energy flows is the heart's decision.
"""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.clock import Now
from chargerd.model import StartRequest, StopReason, StopRequest, Token, UnlockRequest
from chargerd.ocpp.blocks.availability import Availability, status_of
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.blocks.provisioning import Provisioning
from chargerd.ocpp.blocks.renewal import Renewal
from chargerd.ocpp.blocks.reservation import Reservations
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.tokens import UNCHECKED_KINDS, group_of
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.effects import Answer, Durability, Payload

BLOCKED = ("Faulted", "Unavailable")


class RemoteControl(Block):
    def __init__(
        self,
        desk: Desk,
        provisioning: Provisioning,
        availability: Availability,
        transactions: Transactions,
        charging: SmartCharging,
        renewal: Renewal,
        reservations: Reservations,
    ) -> None:
        self._desk = desk
        self._provisioning = provisioning
        self._availability = availability
        self._transactions = transactions
        self._charging = charging
        self._renewal = renewal
        self._reservations = reservations

    def routes(self) -> Mapping[str, Handler]:
        return {
            "RequestStartTransaction": self.start,
            "RequestStopTransaction": self.stop,
            "TriggerMessage": self.trigger,
            "UnlockConnector": self.unlock,
        }

    def start(self, request: Payload, now: Now) -> Answer:
        """RequestStartTransaction (F01, F02)."""
        if not self._desk.accepted:
            return refusal("CSNotAccepted", "BootNotification is not accepted yet")
        evse_id = request.get("evseId")
        asked = request["idToken"]
        token = Token(asked["idToken"], asked["type"], group_of(request))
        if evse_id is None:
            view = self._free_evse(token)
            if view is None:
                return refusal("TxInProgress", "no EVSE is free (F01.FR.20)")
        else:
            known = self._desk.evses.get(evse_id)
            if known is None:
                return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
            view = known
        if view.status in BLOCKED:
            return refusal("UnsupportedRequest", f"EVSE is {view.status} (F01.FR.23)")
        if view.transaction_authorised or _authorised(view):
            return refusal("TxInProgress", "F01.FR.24")
        if self._reservations.refuses(view.config.id, token):
            return refusal("UnsupportedRequest", "reserved for somebody else")
        profile = request.get("chargingProfile")
        smart = self._desk.model.flag("SmartChargingCtrlr", "Enabled")
        if profile is not None and smart:  # F01.FR.12: ignored without smart charging
            refused = self._charging.check_start(profile, view.config.id)
            if refused is not None:
                return refusal(refused.reason, refused.text)
            self._charging.keep_for_start(
                view.config.id, request["remoteStartId"], profile, now
            )
        self._ask_to_start(view.config.id, token, request["remoteStartId"], now)
        answer: Payload = {"status": "Accepted"}
        if view.transaction_id:
            answer["transactionId"] = view.transaction_id  # F01.FR.13
        return answer

    def _ask_to_start(
        self, evse_id: int, token: Token, start_id: int, now: Now
    ) -> None:
        """Without a question where AuthorizeRemoteStart is off, and for tokens that
        nobody can be asked about (C05.FR.01). Else the heart asks, as at a reader."""
        check = self._desk.model.flag("AuthCtrlr", "AuthorizeRemoteStart")
        check = check and token.kind not in UNCHECKED_KINDS
        if not check:
            self._reservations.use(evse_id, token, now)
        self._desk.ask(
            StartRequest(
                evse_id,
                token,
                start_id,
                authorised=not check,
                connect_s=self._desk.connect_s(),
            )
        )

    def _free_evse(self, token: Token) -> EvseView | None:
        """A waiting vehicle first, then a free EVSE (F01.FR.20)."""
        free = [
            view
            for view in self._desk.evses.values()
            if view.status not in BLOCKED
            and not _authorised(view)
            and not self._reservations.refuses(view.config.id, token)
        ]
        return next((view for view in free if view.plugged), free[0] if free else None)

    def stop(self, request: Payload, now: Now) -> Answer:
        """RequestStopTransaction (F03; B02.FR.05 while not accepted)."""
        if not self._desk.accepted:
            return refusal("CSNotAccepted", "BootNotification is not accepted yet")
        view = self._desk.evse_of_transaction(request["transactionId"])
        if view is None:
            return refusal("TxNotFound")
        self._transactions.stopping(view.config.id, StopReason.REMOTE)
        self._desk.ask(StopRequest(view.config.id, StopReason.REMOTE))
        return {"status": "Accepted"}

    def unlock(self, request: Payload, now: Now) -> Answer:
        """UnlockConnector (F05). Unlocked only when the lock says so: while it does not
        yet, the unlocking is asked for and the answer is an honest UnlockFailed."""
        view = self._desk.evses.get(request["evseId"])
        connector_id = request["connectorId"]
        if view is None or connector_id not in [c.id for c in view.config.connectors]:
            return {"status": "UnknownConnector"}
        if _authorised(view):
            return {"status": "OngoingAuthorizedTransaction"}
        self._desk.ask(UnlockRequest(view.config.id, connector_id))
        self._transactions.unlocking(view, now)
        pilot = view.report.snapshot.telemetry.pilot if view.report else None
        if pilot is not None and pilot.value.locked:
            return refusal("NoError", "unlocking: ask again to see", "UnlockFailed")
        return {"status": "Unlocked"}

    def trigger(self, request: Payload, now: Now) -> Answer:
        """TriggerMessage (F06): the answer first, the message right after it."""
        evse_id = request.get("evse", {}).get("id")
        match request["requestedMessage"]:
            case "BootNotification":
                return {"status": self._provisioning.trigger_boot(now)}
            case "Heartbeat":
                self._provisioning.heartbeat(now, while_gated=True)
            case "MeterValues":
                if not self._transactions.trigger_meter_values(evse_id, now):
                    return {"status": "Rejected"}
            case "TransactionEvent":
                if not self._transactions.trigger_event(evse_id, now):
                    return {"status": "Rejected"}
            case "StatusNotification":
                if not self._statuses(request.get("evse", {}), now):
                    return {"status": "Rejected"}
            case "LogStatusNotification" | "FirmwareStatusNotification" as action:
                self._desk.send(
                    action, {"status": "Idle"}, now, Durability.NOW_OR_NEVER,
                    while_gated=True,
                )  # fmt: skip
            case message:
                return {"status": self._renewal.trigger(message, now)}
        return {"status": "Accepted"}

    def _statuses(self, at: Payload, now: Now) -> bool:
        sent = False
        for view in self._desk.evses.values():
            if view.report is None or at.get("id", view.config.id) != view.config.id:
                continue
            for connector in view.config.connectors:
                if at.get("connectorId", connector.id) == connector.id:
                    status = status_of(view, connector.id)
                    self._availability.notify(
                        view.config.id, connector.id, status, now, while_gated=True
                    )
                    sent = True
        return sent


def _authorised(view: EvseView) -> bool:
    if view.report is None:
        return False
    session = view.report.snapshot.session
    return session.authorised and session.stop_reason is None
