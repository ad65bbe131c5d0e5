"""I02, I11, I12: cost while a transaction runs.

Owns the answers to CostUpdated and ChangeTransactionTariff, and the events that are
sent for cost alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.clock import Now
from chargerd.model import StopReason, StopRequest
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.costs import Costs
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.tariffs import DISABLED, Tariffs
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.effects import Answer, Payload
from chargerd.ocpp.variable import Refused


class RunningCost(Block):
    def __init__(
        self, desk: Desk, tariffs: Tariffs, costs: Costs, transactions: Transactions
    ) -> None:
        self._desk = desk
        self._tariffs = tariffs
        self._costs = costs
        self._transactions = transactions

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ChangeTransactionTariff": self.change,
            "CostUpdated": self.cost_updated,
        }

    def on_second(self, now: Now) -> None:
        """I12.FR.02, .03."""
        for view, report, watch, tx in list(self._transactions.running()):
            self._costs.advance(view, tx, now)
            bill = self._costs.bill(view)
            if bill is not None and self._costs.due(bill, now):
                self._transactions.update(view, watch, report, "RunningCost", now)

    def cost_updated(self, request: Payload, now: Now) -> Answer:
        """CostUpdated (I02); a cost that is calculated here counts more."""
        view = self._desk.evse_of_transaction(request["transactionId"])
        if view is not None and not view.cost_is_local:
            view.running_cost = float(request["totalCost"])
        return {}

    def change(self, request: Payload, now: Now) -> Answer:
        """ChangeTransactionTariff (I11)."""
        if not self._tariffs.enabled:
            return DISABLED
        told = request["tariff"]
        tariff = self._tariffs.check(told)
        if isinstance(tariff, Refused):
            return refusal(tariff.reason, tariff.text, tariff.status)
        view = self._desk.evse_of_transaction(request["transactionId"])
        watch = self._transactions.watches[view.config.id] if view else None
        if view is None or watch is None or watch.tx is None or view.report is None:
            return {"status": "TxNotFound"}
        bill = self._costs.bill(view)
        if bill is not None and bill.told["currency"] != tariff.currency:
            return {"status": "NoCurrencyChange"}
        self._costs.change(view, watch.tx, told, tariff, now)
        self._transactions.update(view, watch, view.report, "TariffChanged", now)
        return {"status": "Accepted"}

    def refused(self, evse_id: int, now: Now) -> str:
        """The driver does not accept the tariff (I07.FR.30, .31); "" or why not."""
        view = self._desk.evses.get(evse_id)
        report = view.report if view else None
        if view is None or report is None or not view.runs:
            return f"nobody is authorised at EVSE {evse_id}"
        watch, bill = self._transactions.watches[evse_id], self._costs.bill(view)
        if bill is None and self._tariffs.chosen(view, now) is None:
            return f"no tariff is in force at EVSE {evse_id}: there is none to refuse"
        if bill is not None and bill.account is not None and bill.account.energy_wh:
            return "energy has flowed by this tariff: the driver has accepted it"
        self._costs.drop(view)
        self._tariffs.release(evse_id)
        self._desk.ask(StopRequest(evse_id, StopReason.DEAUTHORIZED))
        if watch.tx is not None:
            self._transactions.update(view, watch, report, "TariffNotAccepted", now)
        return ""
