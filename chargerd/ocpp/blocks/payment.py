"""C18 to C23: a payment terminal beside the station.

Owns each card payment from its authorisation to its settlement, on disk. The terminal's
driver is a program of its own: it reports by the local API, and fetches its orders
there (`terminal`). Holds no card data but what the central system asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from chargerd.clock import Now
from chargerd.model import (
    DriverLimits,
    EvseReport,
    PaymentDone,
    StartRequest,
    Token,
)
from chargerd.ocpp.blocks.authorization import DIRECT_PAYMENT, Authorization
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.costs import Costs
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.blocks.driver_texts import DriverTexts
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.effects import Answer, Durability, Payload
from chargerd.ocpp.table.payment import CTRLR, MERCHANT
from chargerd.ocpp.table.tariff import CTRLR as TARIFFS
from chargerd.ocpp.v2.dialect import V201

SPACE = "payment"
MOST_PAYMENTS = 50
UNTOLD_S = 600.0  # for a total that nobody has said; then nothing is to be paid
ANSWER_S = 60.0  # longer than anybody waits for the central system's leave
RELEASE, SETTLE, INCREASE = "release", "settle", "increase"


@dataclass(frozen=True, slots=True)
class Payment:
    """One card payment. `order`: what the terminal has to do now, "" = nothing."""

    psp_ref: str
    evse_id: int
    amount: float  # that is reserved on the card
    until: str  # the vehicle has to be there by then, UTC
    asked: bool = False  # the central system was to allow it
    seen: bool = False  # its session was there
    transaction_id: str = ""
    order: str = ""
    order_amount: float = 0.0
    may_grow: bool = True  # the reservation was never refused to grow


class Payments(Block):
    def __init__(
        self,
        desk: Desk,
        authorization: Authorization,
        transactions: Transactions,
        costs: Costs,
        texts: DriverTexts,
    ) -> None:
        self._desk = desk
        self._authorization = authorization
        self._transactions = transactions
        self._costs = costs
        self._texts = texts
        self._payments: dict[str, Payment] = {}
        self._vat: dict[int, Payload] = {}  # by EVSE
        self._running: dict[int, str] = {}  # transactions, as last seen
        self._untold: dict[str, float] = {}  # no total: until when it is waited for
        for key, record in desk.saved.get(SPACE, {}).items():
            payment = _restored(record)
            if payment is None:
                desk.save(SPACE, key, None)
            else:
                self._payments[key] = payment

    # The terminal.

    def authorised(
        self, evse_id: int, psp_ref: str, details: Mapping[str, str], now: Now
    ) -> str:
        """The payment service has reserved the amount on a card (C18); "" or why the
        station does not want it: then the terminal has to release it."""
        model, view = self._desk.model, self._desk.evses.get(evse_id)
        if not self._enabled:
            return f"{CTRLR}.Enabled is false, or the central system speaks 2.0.1"
        before = self._payments.get(psp_ref)
        if before and before.evse_id == evse_id and before.order != RELEASE:
            return ""  # told again: it is the same payment
        if view is None or view.taken or view.reserved or view.blocked:
            return f"EVSE {evse_id} is not free"
        if view.web_payment_runs(now.mono):
            return f"somebody is paying for EVSE {evse_id} on the web"
        full = len(self._payments) >= MOST_PAYMENTS
        if full or before or self._waiting(evse_id):
            return "another payment is not settled yet"
        wanted = model.members(CTRLR, "PaymentDetails")
        known = tuple((n, details[n]) for n in wanted if n in details)
        token = Token(psp_ref, DIRECT_PAYMENT, details=known)
        asked = model.flag(CTRLR, "AuthorizeDirectPayment")
        connect_s = self._desk.connect_s()
        wait_s = connect_s + (ANSWER_S if asked else 0.0)
        until = stamp(now.utc_at(now.mono + wait_s))
        amount = self._amount("AuthorizationAmount")
        self._keep(Payment(psp_ref, evse_id, amount, until, asked=asked))
        view.first_limits, view.first_limits_for = {"maxCost": amount}, psp_ref
        brand, recognition = (
            details.get(name, "") for name in ("PaymentBrand", "PaymentRecognition")
        )
        self._costs.paid_by(evse_id, psp_ref, (brand, recognition))
        self._desk.ask(
            StartRequest(evse_id, token, authorised=not asked, connect_s=connect_s)
        )
        return ""

    @property
    def _enabled(self) -> bool:
        return self._desk.model.flag(CTRLR, "Enabled") and self._desk.version != V201

    def _waiting(self, evse_id: int) -> bool:
        return any(
            p.evse_id == evse_id and not p.transaction_id and not p.order
            for p in self._payments.values()
        )

    def _amount(self, variable: str) -> float:
        return float(self._desk.model.text(CTRLR, variable))

    def terminal(self) -> dict[str, Any]:
        """What the terminal's driver has to know and to do (C18.FR.01, .02)."""
        model = self._desk.model
        return {
            "accept_cards": self._enabled,
            "reserve": self._amount("AuthorizationAmount"),
            "currency": model.text(TARIFFS, "Currency"),
            "merchant": {n: model.text(CTRLR, "Merchant", n) for n in MERCHANT},
            "receipt_url": model.text(CTRLR, "ReceiptServerUrl"),
            "vat": {str(evse_id): told for evse_id, told in self._vat.items()},
            "orders": [
                {
                    "psp_ref": p.psp_ref,
                    "evse": p.evse_id,
                    "order": p.order,
                    "amount": p.order_amount,
                }
                for p in self._payments.values()
                if p.order
            ],
        }

    def done(self, told: PaymentDone, now: Now) -> str:
        """The terminal has carried out an order, or could not; "" or what is wrong."""
        payment = self._payments.get(told.psp_ref)
        order = payment.order if payment else ""
        if payment is None or not order or told.order not in ("", order):
            return f"there is no such order for {told.psp_ref}"
        if order == INCREASE:
            self._grown(payment, now, good=told.status == "Settled")
            return ""
        if order == SETTLE:
            self._settled(payment, told, now)
        self._forget(payment)
        return ""

    def _grown(self, payment: Payment, now: Now, *, good: bool) -> None:
        """C23.FR.02; a refusal is final: the energy ends at the limit."""
        amount = payment.amount + (payment.order_amount if good else 0.0)
        self._keep(
            replace(payment, amount=amount, order="", order_amount=0.0, may_grow=good)
        )
        if good:
            wish = DriverLimits(cost=amount)
            self._transactions.set_limits(payment.evse_id, wish, now)

    def _settled(self, payment: Payment, told: PaymentDone, now: Now) -> None:
        """C21.FR.02, .04, C22."""
        more: Payload = {}
        by_csms = self._desk.model.flag(CTRLR, "ReceiptByCSMS")
        if told.status == "Settled" and not by_csms:
            named = {"receiptUrl": told.receipt_url, "receiptId": told.receipt_id}
            more = {name: value for name, value in named.items() if value}
        vat = self._vat.get(payment.evse_id, {})
        if vat.get("status") == "Accepted":
            more["vatNumber"] = vat["vatNumber"]
            if "company" in vat:
                more["vatCompany"] = vat["company"]
        self._notify(payment, told.status, payment.order_amount, now, more)

    def _notify(
        self,
        payment: Payment,
        status: str,
        amount: float,
        now: Now,
        more: Payload | None = None,
    ) -> None:
        payload: Payload = {
            "pspRef": payment.psp_ref,
            "status": status,
            "settlementAmount": amount,
            "settlementTime": stamp(now.utc),
            **(more or {}),
        }
        if payment.transaction_id:
            payload["transactionId"] = payment.transaction_id
        number, evse_id = payment.transaction_id, payment.evse_id

        def answered(request: Payload, answer: Answer, at: Now) -> None:
            url = answer.get("receiptUrl") if isinstance(answer, dict) else None
            if url:
                self._texts.receipt(evse_id, number, url)

        self._desk.send(
            "NotifySettlement", payload, now, Durability.DURABLE, answered=answered
        )

    def check_vat(self, evse_id: int, number: str, now: Now) -> str:
        """A VAT number for the receipt (C18.FR.08); the answer is in `terminal`."""
        if evse_id not in self._desk.evses or not number:
            return f"there is no EVSE {evse_id}, or no number"

        def answered(request: Payload, answer: Answer, at: Now) -> None:
            known = isinstance(answer, dict)
            told = answer if isinstance(answer, dict) else {}
            self._vat[evse_id] = {
                "vatNumber": number,
                "status": told["status"] if known else "Rejected",
                **({"company": told["company"]} if "company" in told else {}),
            }

        payload = {"vatNumber": number[:20], "evseId": evse_id}
        self._desk.send(
            "VatNumberValidation", payload, now, Durability.NOW_OR_NEVER,
            answered=answered,
        )  # fmt: skip
        return ""

    # What becomes of it.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """What is to be paid is on disk with the transaction's end, not a second later:
        a restart may come between."""
        evse_id = view.config.id
        if view.transaction_id == self._running.get(evse_id, ""):
            return
        self._running[evse_id] = view.transaction_id
        for payment in list(self._payments.values()):
            if payment.evse_id == evse_id and payment.transaction_id:
                self._follow(payment, now)

    def on_second(self, now: Now) -> None:
        refused = {token.value for token in self._authorization.refused}
        self._authorization.refused.clear()
        for payment in list(self._payments.values()):
            if payment.order and payment.order != INCREASE:
                continue  # the terminal's turn
            if payment.transaction_id:
                self._follow(payment, now)
            else:
                self._await(payment, now, refused=payment.psp_ref in refused)

    def _await(self, payment: Payment, now: Now, *, refused: bool) -> None:
        """Its transaction begins; else the card is released (C18.FR.07, C19)."""
        view = self._desk.evses[payment.evse_id]
        session = view.session
        mine = (
            session is not None
            and session.authorised
            and session.token is not None
            and session.token.value == payment.psp_ref
        )
        if mine and view.transaction_id:
            self._keep(replace(payment, seen=True, transaction_id=view.transaction_id))
        elif mine:
            if not payment.seen:
                self._keep(replace(payment, seen=True))
        elif refused or payment.seen or stamp(now.utc) >= payment.until:
            if view.first_limits_for == payment.psp_ref:
                view.first_limits = {}
            self._release(payment, now, tell=payment.asked and not refused)

    def _release(self, payment: Payment, now: Now, *, tell: bool) -> None:
        self._keep(replace(payment, order=RELEASE, order_amount=0.0))
        if tell:  # C19.FR.02, C20.FR.05
            self._notify(payment, "Canceled", 0.0, now)

    def _follow(self, payment: Payment, now: Now) -> None:
        view = self._desk.evses[payment.evse_id]
        if view.transaction_id == payment.transaction_id:
            self._grow(payment, view)
            return
        if payment.order or payment.transaction_id in self._unsettled():
            return  # an increase is under way; a restart may still take it up again
        total = self._texts.totals.get(payment.transaction_id)
        if total is None and self._transactions.waits(payment.transaction_id):
            return  # the central system's answer is still to come
        if total is not None and total <= 0.0:  # C20
            self._release(payment, now, tell=True)
        elif self._desk.model.flag(CTRLR, "SettlementByCSMS"):  # C21.FR.06
            self._forget(payment)
            url = self._desk.model.text(CTRLR, "ReceiptServerUrl")
            self._texts.receipt(payment.evse_id, payment.transaction_id, url)
        elif total is not None:
            self._keep(replace(payment, order=SETTLE, order_amount=round(total, 2)))
        elif now.mono >= self._untold.setdefault(payment.psp_ref, now.mono + UNTOLD_S):
            self._release(payment, now, tell=True)

    def _unsettled(self) -> set[str]:
        watches = self._transactions.watches.values()
        return {watch.orphan.id for watch in watches if watch.orphan is not None}

    def _grow(self, payment: Payment, view: EvseView) -> None:
        """C23.FR.01."""
        more = self._amount("IncrementalAuthorizationAmount")
        least = payment.amount - self._amount("IncrementalAuthorizationThreshold")
        cost = view.running_cost
        due = more > 0.0 and cost is not None and cost > least
        if due and payment.may_grow and not payment.order:
            self._keep(replace(payment, order=INCREASE, order_amount=more))

    def _keep(self, payment: Payment) -> None:
        self._payments[payment.psp_ref] = payment
        self._desk.save(SPACE, payment.psp_ref, asdict(payment))

    def _forget(self, payment: Payment) -> None:
        """And what its driver has told: the next one's receipt is not his."""
        del self._payments[payment.psp_ref]
        self._untold.pop(payment.psp_ref, None)
        self._vat.pop(payment.evse_id, None)
        self._desk.save(SPACE, payment.psp_ref, None)


def _restored(record: Any) -> Payment | None:
    try:
        payment = Payment(**record)
    except TypeError:
        return None
    return payment if isinstance(payment.amount, (int, float)) else None
