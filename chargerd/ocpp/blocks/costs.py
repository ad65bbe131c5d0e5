"""I12: the accounts of running transactions, and what their events say of cost.

Owns each transaction's tariff and account, on disk from event to event. The sums are
`chargerd.ocpp.cost`; when an event is due for cost alone is `running_cost.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.driver_texts import DriverTexts
from chargerd.ocpp.blocks.metering import fresh_meter
from chargerd.ocpp.blocks.tariffs import Tariffs
from chargerd.ocpp.blocks.transaction import Transaction
from chargerd.ocpp.cost import Account, Sample
from chargerd.ocpp.cost_details import (
    details,
    failure,
    kept,
    kept_period,
    restored,
    running_cost,
)
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.table.tariff import CTRLR
from chargerd.ocpp.tariff import ZERO, Tariff, parse

SPACE, TARIFF, PERIODS = "cost", "cost_tariff", "cost_period"
SAVE_EVERY_S = 300.0  # of the time that a crash may let go for free
NO_CARD = ("", "")
NO_PAYMENT = ("", NO_CARD)


@dataclass(slots=True)
class Bill:
    """Of one transaction."""

    tx_id: str
    told: Payload  # its tariff
    account: Account | None  # None: nobody here calculates
    named: bool = False  # an event has had its tariffId
    told_mono: float = -math.inf  # the last event with costDetails
    judged_mono: float = -math.inf
    saved_mono: float = -math.inf
    over: int = 0  # periods on disk that are over
    told_saved: bool = False  # the tariff, which may be large, is on disk
    resumed: bool = False  # from the disk: its clock starts with the first look


class Costs:
    def __init__(self, desk: Desk, tariffs: Tariffs, texts: DriverTexts) -> None:
        self._desk = desk
        self._tariffs = tariffs
        self._texts = texts
        self._bills: dict[int, Bill] = {}
        self._payments: dict[int, tuple[str, tuple[str, str]]] = {}
        self._refused: set[str] = set()  # transactions whose driver wants no tariff
        for key, record in desk.saved.get(SPACE, {}).items():
            bill = self._restored(key, record)
            if bill is not None:
                self._bills[int(key)] = bill

    def bill(self, view: EvseView) -> Bill | None:
        return self._bills.get(view.config.id)

    def paid_by(self, evse_id: int, token: str, card: tuple[str, str]) -> None:
        """What a payment terminal knows of the card, if its token starts the next
        transaction: for prices with paymentBrand or paymentRecognition."""
        self._payments[evse_id] = (token, card)

    # From event to event.

    def dress(self, view: EvseView, tx: Transaction, event: Payload, now: Now) -> None:
        """tariffId once, costDetails where they belong (I07.FR.32, I12.FR.01, .02)."""
        kind = event["eventType"]
        bill = self._of(view, tx, now)
        if bill is not None:
            if not bill.named:
                event["transactionInfo"]["tariffId"] = bill.told["tariffId"]
                bill.named = True
            if bill.account is not None:
                self._advance(view, tx, bill, bill.account, now)
                if kind == "Ended" or self.due(bill, now):
                    bill.told_mono = now.mono
                    event["costDetails"] = details(bill.account, final=kind == "Ended")
        if kind == "Ended":
            self._ended(view, tx, bill, event, now)
        elif bill is not None:
            self._save(view, bill, now)

    def due(self, bill: Bill, now: Now) -> bool:
        """Is it time for running cost?"""
        model = self._desk.model
        if bill.account is None or not model.flag(
            CTRLR, "Enabled", instance="RunningCost"
        ):
            return False
        return now.mono - bill.told_mono >= model.number(CTRLR, "Interval", "Cost")

    def _of(self, view: EvseView, tx: Transaction, now: Now) -> Bill | None:
        bill = self._bills.get(view.config.id)
        if bill is not None and bill.tx_id == tx.id:
            return bill
        if bill is not None:
            self._forget(view)  # of a transaction that nobody has ended
        if not tx.authorised or tx.id in self._refused or not _is_here(view, tx):
            return None
        told = self._tariffs.chosen(view, now)
        self._tariffs.keep(view.config.id)
        if told is None:
            return None
        return self._begin(view, tx, told, parse(told), now)

    def _begin(
        self,
        view: EvseView,
        tx: Transaction,
        told: Payload,
        tariff: Tariff,
        now: Now,
        *,
        fees: bool = True,
    ) -> Bill:
        account = None
        if self._desk.model.flag(CTRLR, "Enabled", instance="Cost"):
            payer, card = self._payments.pop(view.config.id, NO_PAYMENT)
            token = view.session.token if view.session else None
            if token is None or token.value != payer:
                card = NO_CARD
            account = Account(tariff, self._zone, view.is_dc, card)
            account.begin(
                _instant(now),
                _sample(view.report, now),
                charging=tx.charging_state == "Charging",
                fees=fees,
                reservation_s=_reserved_s(view.reserved_since_utc, now),
            )
        bill = Bill(tx.id, told, account, judged_mono=now.mono)
        self._bills[view.config.id] = bill
        view.tariff, view.cost_is_local = told, account is not None
        return bill

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._desk.model.text("ClockCtrlr", "TimeZone"))

    def change(
        self, view: EvseView, tx: Transaction, told: Payload, tariff: Tariff, now: Now
    ) -> None:
        """Another tariff from now on (I11.FR.07, .08); no fee a second time."""
        bill = self._of(view, tx, now)
        if bill is None:
            self._begin(view, tx, told, tariff, now, fees=False)
            return
        if bill.account is not None:
            self._advance(view, tx, bill, bill.account, now)
            bill.account.change(tariff, now.utc)
        bill.told = view.tariff = told
        bill.named = bill.told_saved = False

    def advance(self, view: EvseView, tx: Transaction, now: Now) -> None:
        """About once a second: what was spent since (I12.FR.31, .32)."""
        bill = self._of(view, tx, now)
        if bill is None or bill.account is None:
            return
        self._advance(view, tx, bill, bill.account, now)
        closed = len(bill.account.periods) - 1 > bill.over
        if closed or now.mono - bill.saved_mono >= SAVE_EVERY_S:
            self._save(view, bill, now)

    def _advance(
        self, view: EvseView, tx: Transaction, bill: Bill, account: Account, now: Now
    ) -> None:
        charging = tx.charging_state == "Charging"
        sample = _sample(view.report, now)
        if bill.resumed:
            bill.resumed = False
            account.charging = charging
            account.resume(_instant(now)[0])
            view.tariff, view.cost_is_local = bill.told, True
        account.advance(_instant(now), sample, charging=charging)
        every_s = self._desk.model.number(CTRLR, "Interval", "Tariff")
        if now.mono - bill.judged_mono >= every_s:
            bill.judged_mono = now.mono
            account.judge()
            account.advance(_instant(now), sample, charging=charging)
        view.running_cost = running_cost(account)

    # The end, and the disk.

    def _ended(
        self,
        view: EvseView,
        tx: Transaction,
        bill: Bill | None,
        event: Payload,
        now: Now,
    ) -> None:
        cost = None
        if bill is not None and bill.account is not None:
            total = event["costDetails"]["totalCost"]["total"]
            cost = total.get("inclTax", total.get("exclTax"))
            problem = failure(bill.account)
            self._tariffs.problem(
                bool(problem), now, "InternalError" if problem else ""
            )
        offline = bool(event.get("offline"))
        self._texts.ended(view.config.id, tx.id, cost, offline=offline)
        self._refused.discard(tx.id)
        if _is_here(view, tx):
            self._tariffs.release(view.config.id)
            self._payments.pop(view.config.id, None)
            view.reserved_since_utc = None
        if bill is not None:
            self._forget(view)

    def _save(self, view: EvseView, bill: Bill, now: Now) -> None:
        account, number = bill.account, view.config.id
        bill.saved_mono = now.mono
        if account is not None:
            for index in range(bill.over, len(account.periods) - 1):
                period = kept_period(account.periods[index])
                self._desk.save(PERIODS, f"{number}/{index}", period)
            bill.over = len(account.periods) - 1
        if not bill.told_saved:
            self._desk.save(TARIFF, str(number), bill.told)
            bill.told_saved = True
        record = {
            "tx": bill.tx_id,
            "named": bill.named,
            "account": kept(account) if account else None,
        }
        self._desk.save(SPACE, str(number), record)

    def drop(self, view: EvseView) -> None:
        """Its driver does not accept the tariff: no cost (I07.FR.30)."""
        self._refused.add(view.transaction_id)
        if view.config.id in self._bills:
            self._forget(view)

    def _forget(self, view: EvseView) -> None:
        bill = self._bills.pop(view.config.id)
        for space in (SPACE, TARIFF):
            self._desk.save(space, str(view.config.id), None)
        for index in range(bill.over):
            self._desk.save(PERIODS, f"{view.config.id}/{index}", None)
        view.tariff, view.cost_is_local = None, False

    def _restored(self, key: str, record: Any) -> Bill | None:
        """What the last run has left; without its transaction it is soon forgotten."""
        evse = self._desk.evses.get(int(key)) if key.isdigit() else None
        try:
            told = self._desk.saved[TARIFF][key]
            kept_account = record["account"]
            bill = Bill(
                record["tx"], told, None, record["named"], resumed=True, told_saved=True
            )
            if kept_account is not None:
                bill.over = kept_account["periods"] - 1
        except (KeyError, TypeError):
            evse = None
        if evse is None:
            self._desk.save(SPACE, key, None)
            return None
        if kept_account is not None:
            saved = self._desk.saved.get(PERIODS, {})
            over = [saved.get(f"{key}/{index}") for index in range(bill.over)]
            bill.account = restored(told, kept_account, over, self._zone)
        if bill.account is not None:
            bill.account.judge()
        return bill


def _is_here(view: EvseView, tx: Transaction) -> bool:
    """Its driver, not who came after a restart."""
    return view.session is not None and tx.is_of(view.session)


def _instant(now: Now) -> tuple[int, datetime]:
    return round(now.mono * 1000), now.utc


def _reserved_s(since: datetime | None, now: Now) -> int | None:
    return None if since is None else max(0, round((now.utc - since).total_seconds()))


def _sample(report: EvseReport | None, now: Now) -> Sample:
    """Net energy: what was discharged counts against what was charged."""
    reading = fresh_meter(report, now) if report else None
    counted = report.snapshot.counted_wh if report else None
    if reading is None or counted is None:
        return Sample()
    value = reading.value
    power_w = _decimal(value.power_w)
    current_a = sum((abs(_decimal(a)) for a in value.current_a), ZERO)
    return Sample(
        _decimal(counted[0]) - _decimal(counted[1]),
        power_w,
        -current_a if power_w < ZERO else current_a,
    )


def _decimal(value: float) -> Decimal:
    return round(Decimal(repr(float(value))), 6)
