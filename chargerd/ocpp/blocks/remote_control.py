"""Block F: remote start and stop, unlock.

Owns the answers of RequestStartTransaction, RequestStopTransaction and UnlockConnector.
It asks the heart; whether energy flows is the heart's decision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chargerd.clock import Now
from chargerd.model import (
    EvseReport,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
    UnlockRequest,
)
from chargerd.ocpp.blocks.authorization import Authorization
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.blocks.reservation import Reservations
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.tokens import UNCHECKED_KINDS, group_of
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.effects import Answer, Later, Payload

UNLOCK_WAIT_S = 5.0  # as long as the heart holds the lock open


@dataclass(frozen=True, slots=True)
class _Unlocking:
    promised: Later
    view: EvseView
    until_mono: float


class RemoteControl(Block):
    def __init__(
        self,
        desk: Desk,
        transactions: Transactions,
        charging: SmartCharging,
        reservations: Reservations,
        authorization: Authorization,
    ) -> None:
        self._desk = desk
        self._transactions = transactions
        self._charging = charging
        self._reservations = reservations
        self._authorization = authorization
        self._unlocking: list[_Unlocking] = []

    def routes(self) -> Mapping[str, Handler]:
        return {
            "RequestStartTransaction": self.start,
            "RequestStopTransaction": self.stop,
            "UnlockConnector": self.unlock,
        }

    def start(self, request: Payload, now: Now) -> Answer:
        """RequestStartTransaction (F01, F02)."""
        if not self._desk.accepted:
            return refusal("CSNotAccepted", "BootNotification is not accepted yet")
        evse_id = request.get("evseId")
        asked = request["idToken"]
        token = Token(asked["idToken"], asked["type"], group_of(request))
        if self._authorization.is_master_pass(token, now):
            return refusal("UnsupportedRequest", "a master pass starts none: C16.FR.03")
        if evse_id is None:
            view = self._free_evse(token)
            if view is None:
                return refusal("TxInProgress", "no EVSE is free (F01.FR.20)")
        else:
            known = self._desk.evses.get(evse_id)
            if known is None:
                return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
            view = known
        if view.blocked:
            why = f"nothing begins there; its status: {view.status} (F01.FR.23)"
            return refusal("UnsupportedRequest", why)
        if view.taken:
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
        view.asked_at = view.report
        answer: Payload = {"status": "Accepted"}
        if view.transaction_id:
            answer["transactionId"] = view.transaction_id  # F01.FR.13
        return answer

    def _ask_to_start(
        self, evse_id: int, token: Token, start_id: int, now: Now
    ) -> None:
        """Without a question where AuthorizeRemoteStart is off, and for tokens that
        nobody can be asked about (C05.FR.01). Else the heart asks, as at a reader."""
        self._desk.evses[evse_id].web_payment_until_mono = None  # C25.FR.22
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
            if not view.blocked
            and not view.taken
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

    def unlock(self, request: Payload, now: Now) -> Answer | Later:
        """UnlockConnector (F05): the answer waits for what the lock itself says."""
        view = self._desk.evses.get(request["evseId"])
        connector_id = request["connectorId"]
        if view is None or connector_id not in [c.id for c in view.config.connectors]:
            return {"status": "UnknownConnector"}
        if view.runs:
            return {"status": "OngoingAuthorizedTransaction"}
        self._desk.ask(UnlockRequest(view.config.id, connector_id))
        self._transactions.unlocking(view, now)
        if not _is_locked(view):
            return {"status": "Unlocked"}
        promised = self._desk.later("UnlockConnector")
        self._unlocking.append(_Unlocking(promised, view, now.mono + UNLOCK_WAIT_S))
        return promised

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        if self._unlocking and not _is_locked(view):
            self._unlocked({"status": "Unlocked"}, lambda one: one.view is view)

    def next_timer(self) -> float:
        return min((one.until_mono for one in self._unlocking), default=math.inf)

    def on_timer(self, now: Now) -> None:
        answer = refusal("Unspecified", "the lock stays closed", "UnlockFailed")
        self._unlocked(answer, lambda one: one.until_mono <= now.mono)

    def _unlocked(self, answer: Payload, of: Callable[[_Unlocking], bool]) -> None:
        for one in [one for one in self._unlocking if of(one)]:
            self._unlocking.remove(one)
            self._desk.reply(one.promised, answer)


def _is_locked(view: EvseView) -> bool:
    """As the lock says; one that says nothing holds nothing."""
    pilot = view.report.snapshot.telemetry.pilot if view.report else None
    return pilot is not None and bool(pilot.value.locked)
