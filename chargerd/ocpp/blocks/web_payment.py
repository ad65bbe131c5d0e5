"""C25: payment on a web page that a QR code leads to.

Owns each EVSE's URL, the driver's wishes in it until his transaction has them, and the
time in which a payment under way keeps others out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chargerd.clock import Now
from chargerd.model import DisplayText, DriverLimits
from chargerd.ocpp.blocks.authorization import DIRECT_PAYMENT
from chargerd.ocpp.blocks.block import Block, Guard, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.effects import Answer, OcppError, Payload
from chargerd.ocpp.payment_url import filled, one_time_password, problem
from chargerd.ocpp.table.web_payment import CTRLR
from chargerd.ocpp.v2.dialect import V201
from chargerd.ocpp.variable import Refused, Variable

WISH_S = 900.0  # for the driver to pay; then his wishes are forgotten
STARTED = "payment has begun"


@dataclass(frozen=True, slots=True)
class Wish:
    limits: DriverLimits
    until_mono: float


class WebPayment(Block):
    def __init__(self, desk: Desk, transactions: Transactions) -> None:
        self._desk = desk
        self._transactions = transactions
        self._wishes: dict[int, Wish] = {}
        for name, value in desk.config.ocpp.device_model.items():
            wrong = name.endswith(".URLTemplate") and value and problem(str(value))
            if wrong:
                raise OcppError(f"ocpp.device_model: {name}: {wrong}")

    def routes(self) -> Mapping[str, Handler]:
        return {"NotifyWebPaymentStarted": self.started}

    def guards(self) -> Mapping[str, Guard]:
        return {f"{CTRLR}.URLTemplate": _bad_template}

    def started(self, request: Payload, now: Now) -> Answer:
        """NotifyWebPaymentStarted (C25.FR.22, .27): somebody pays for that EVSE."""
        view = self._desk.evses.get(request["evseId"])
        if view is not None:
            view.web_payment_until_mono = now.mono + request["timeout"]
        return {}

    def wish(self, evse_id: int, limits: DriverLimits, now: Now) -> str:
        """What the driver has typed in before he scans the code (C25.FR.03); "" or
        why that cannot be."""
        view = self._desk.evses.get(evse_id)
        if view is None or not self._url(view, now):
            return f"EVSE {evse_id} shows no code for web payment"
        self._wishes[evse_id] = Wish(limits, now.mono + WISH_S)
        return ""

    def on_second(self, now: Now) -> None:
        """The transaction that was paid for gets the limits (C25.FR.04 to .06)."""
        for view, _, _, tx in list(self._transactions.running()):
            wish = self._wishes.get(view.config.id)
            remote = tx.remote_start_id is not None
            paid = tx.token is not None and tx.token["type"] == DIRECT_PAYMENT
            if wish is not None and remote and paid:
                del self._wishes[view.config.id]
                self._transactions.set_limits(view.config.id, wish.limits, now)
        for evse_id, wish in list(self._wishes.items()):
            if now.mono >= wish.until_mono:
                del self._wishes[evse_id]

    def texts(self, evse_id: int, now: Now) -> Iterator[DisplayText]:
        """The code while nobody charges; that it was scanned (C25.FR.22)."""
        view = self._desk.evses[evse_id]
        if view.taken:
            return
        if view.web_payment_runs(now.mono):
            yield DisplayText(evse_id, "web_payment", STARTED)
            return
        url = self._url(view, now)
        if url:
            yield DisplayText(evse_id, "web_payment", url, "QRCODE")

    def _url(self, view: EvseView, now: Now) -> str:
        """ "" = no code: it is off, has no secret yet, or nobody knows the time."""
        evse_id, model = view.config.id, self._desk.model

        def told(variable: str) -> str:
            return model.text(CTRLR, variable, evse_id=evse_id)

        template, secret = told("URLTemplate"), told("SharedSecret")
        ready = told("Enabled") == "true" and not problem(template)
        if not (ready and secret and now.trusted) or self._desk.version == V201:
            return ""
        password = one_time_password(
            secret,
            now.utc.timestamp(),
            int(told("ValidityTime")),
            int(told("Length")),
        )
        values = {
            "chargingstationid": model.text("SecurityCtrlr", "Identity"),
            "roamingevseid": told("RoamingEvseId"),
            "evse": str(evse_id),
            "totp": password,
            "version": told("TOTPVersion"),
        }
        return filled(template, values, self._query(view))

    def _query(self, view: EvseView) -> dict[str, str]:
        wish = self._wishes.get(view.config.id)
        if wish is None:
            return {}
        named = {
            "maxtime": wish.limits.time_s,
            "maxenergy": wish.limits.energy_wh,
            "maxcost": wish.limits.cost,
        }
        allowed = self._desk.model.members(CTRLR, "URLParameters", view.config.id)
        return {
            name: f"{value:.2f}" if name == "maxcost" else f"{value:.0f}"
            for name, value in named.items()
            if value is not None and name in allowed
        }


def _bad_template(variable: Variable, value: str) -> Refused | None:
    wrong = problem(value) if value else ""
    return Refused("Rejected", "InvalidValue", wrong) if wrong else None
