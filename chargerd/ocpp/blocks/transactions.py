"""Block E: transactions from the heart's reports.

Owns start, updates and end of each EVSE's transaction. It watches: it stops energy only
for a token the CSMS calls invalid (E05), a limit that is reached (E16) and a stop point
that has passed. Words and values of its events are `telling.py` and `readings.py`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping

from chargerd.clock import Now
from chargerd.model import (
    DriverLimits,
    EvseReport,
    Session,
    SessionPhase,
    StopReason,
    StopRequest,
)
from chargerd.ocpp.blocks import transaction_rules as rules
from chargerd.ocpp.blocks.auth_cache import AuthCache
from chargerd.ocpp.blocks.block import Block, Handler, Trigger
from chargerd.ocpp.blocks.costs import Costs
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.blocks.driver_texts import DriverTexts
from chargerd.ocpp.blocks.limiter import Limiter, note_meter
from chargerd.ocpp.blocks.metering import relabelled
from chargerd.ocpp.blocks.readings import Readings
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.telling import Teller
from chargerd.ocpp.blocks.tokens import digest_of, id_token
from chargerd.ocpp.blocks.transaction import Transaction, as_session
from chargerd.ocpp.blocks.transaction_limits import STOPPED, capped, of_driver
from chargerd.ocpp.blocks.watch import NO_POINTS, Watch
from chargerd.ocpp.effects import Answer, CallError, Durability, Payload
from chargerd.ocpp.v2 import dialect

MODE_HOLD_S = 1.0  # a mode must hold this long before it is told


class Transactions(Block):
    durable = ("TransactionEvent",)

    def __init__(
        self,
        desk: Desk,
        charging: SmartCharging,
        cache: AuthCache,
        readings: Readings,
        costs: Costs,
        texts: DriverTexts,
    ) -> None:
        self._desk = desk
        self._charging = charging
        self._cache = cache
        self._readings = readings
        self._texts = texts
        self._teller = Teller(desk, costs)
        self._limiter = Limiter(desk, charging, self._told_state)
        self.watches = {evse_id: Watch() for evse_id in desk.evses}
        kept = desk.saved.get("transaction_count", {}).get("n")
        self._count = kept if isinstance(kept, int) else 0  # transactions ever begun

    def routes(self) -> Mapping[str, Handler]:
        return {"GetTransactionStatus": self.status}

    def running(self) -> Iterator[tuple[EvseView, EvseReport, Watch, Transaction]]:
        for evse_id, watch in self.watches.items():
            view = self._desk.evses[evse_id]
            if watch.tx is not None and view.report is not None:
                yield view, view.report, watch, watch.tx

    # Reports.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """At 20 Hz: next to nothing unless something has changed."""
        watch = self.watches[view.config.id]
        if watch.orphan is not None or watch.interrupted:
            return
        session = report.snapshot.session
        key = (
            session.phase,
            session.id,
            session.authorised,
            session.stop_reason,
            session.remote_start_id,
        )
        if key != watch.key:  # energy counts on in the session, that is no event
            watch.key = key
            self._session(view, watch, report, now)
            watch.session = session
        tx = watch.tx
        if tx is None:
            return
        mode = report.decision.mode.value
        if mode != watch.mode:
            watch.mode, watch.mode_mono = mode, now.mono
        elif mode != tx.mode and now.mono - watch.mode_mono >= MODE_HOLD_S:
            tx.mode = mode
            self.update(view, watch, report, "OperationModeChanged", now)

    def _session(
        self, view: EvseView, watch: Watch, report: EvseReport, now: Now
    ) -> None:
        session = report.snapshot.session
        before = watch.session
        other = before is not None and before.id != session.id and before.id != ""
        old = NO_POINTS if other else watch.holding
        holding = rules.points_of(session, old).holding()
        was_ready = view.ready_mono
        view.ready_mono = None
        if "PowerPathClosed" in holding:
            view.ready_mono = now.mono if was_ready is None or other else was_ready
        if watch.tx is not None and self._is_over(watch, holding, other=other):
            self._note(watch.tx, session)
            self._stop_told(view, watch, report, now)
            fallen = (watch.holding - holding) & self._stop_points()
            self._end(view, watch, report, fallen, now)
        risen = holding - old
        watch.holding = holding
        if watch.tx is not None:
            watch.started_with |= holding
            self._changes(view, watch, report, risen, now)
        elif risen & self._start_points():
            watch.started_with = holding
            self._start(view, watch, report, risen, now)
        if view.ready_mono != was_ready:
            self._charging.refresh(now)  # Relative profiles start now (K01.FR.42)

    def stopping(self, evse_id: int, reason: StopReason) -> None:
        """Somebody asked to stop; the session may end without saying why."""
        tx = self.watches[evse_id].tx
        if tx is not None:
            tx.seen_reason = reason

    def _is_over(self, watch: Watch, holding: frozenset[str], *, other: bool) -> bool:
        """A stop point that held no longer does, or nothing is left (E06)."""
        if other or not holding:
            return True
        return bool((watch.started_with - holding) & self._stop_points())

    def _stop_points(self) -> frozenset[str]:
        return frozenset(self._desk.model.members("TxCtrlr", "TxStopPoint"))

    def _note(self, tx: Transaction, session: Session) -> None:
        if session.stop_reason is not None:
            tx.seen_reason = session.stop_reason
        if session.stop_token is not None:
            tx.stop_token = id_token(session.stop_token)

    # The events.

    def _start(
        self,
        view: EvseView,
        watch: Watch,
        report: EvseReport,
        risen: frozenset[str],
        now: Now,
    ) -> None:
        self._teller.settle(view, watch, now, at_once=True)
        session = report.snapshot.session
        tx = Transaction(
            self._new_id(session, now), view.config.id, session.connector_id
        )
        tx.started_utc = stamp(now.utc)
        tx.since_mono = now.mono
        tx.mode = watch.mode = report.decision.mode.value
        watch.tx = tx
        watch.mode_mono = now.mono
        view.transaction_id = tx.id
        self.follow(tx, session, now)
        self._readings.begin(view, report, watch, now)
        first = rules.start_trigger(risen, session, self._start_points())
        context = "Transaction.Begin"
        value, tx.first_value = (
            self._readings.sampled(name, view, report, tx.mode, context, now)
            for name in ("TxStartedMeasurands", "TxEndedMeasurands")
        )
        note_meter(tx, report, now)
        self._teller.tell(view, watch, "Started", first, [value], now)
        self._charging.transaction_started(view, tx.remote_start_id, now)

    def _start_points(self) -> frozenset[str]:
        return frozenset(self._desk.model.members("TxCtrlr", "TxStartPoint"))

    def _new_id(self, session: Session, now: Now) -> str:
        """Unique without chance, also where the clock starts anew at each boot: the
        count reaches the disk with Started at the latest (E01.FR.08)."""
        self._count += 1
        count = self._count
        self._desk.save("transaction_count", "n", count)
        name = f"{self._desk.config.station.id}/{session.id}/{now.utc}/{count}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"ocpp:{name}"))

    def _changes(
        self,
        view: EvseView,
        watch: Watch,
        report: EvseReport,
        risen: frozenset[str],
        now: Now,
    ) -> None:
        """A stop first; then an Updated for each event (E03.FR.12), or one for the
        state alone."""
        tx = watch.tx
        if tx is None:
            return
        session = report.snapshot.session
        self._note(tx, session)
        self._stop_told(view, watch, report, now)
        state = tx.charging_state
        self.follow(tx, session, now)
        if "Authorized" in risen:
            self._charging.transaction_started(view, tx.remote_start_id, now)
        triggers = rules.happened(risen, session)
        if not triggers and rules.is_lost(session, watch.session):
            triggers = ["EVCommunicationLost"]
        if not triggers and tx.charging_state != state:
            triggers = ["ChargingStateChanged"]
        for trigger in triggers:
            self.update(view, watch, report, trigger, now)

    def _stop_told(
        self, view: EvseView, watch: Watch, report: EvseReport, now: Now
    ) -> None:
        """The event of a stop that is not Ended itself (E06, E07)."""
        tx, reason = watch.tx, report.snapshot.session.stop_reason
        known = watch.session.stop_reason if watch.session else None
        if tx is None or reason is None or known is not None or tx.ending_by_limit:
            return
        if rules.told_before_end(reason, self._stop_points()):
            self.update(view, watch, report, rules.stop_trigger(reason), now)

    def follow(self, tx: Transaction, session: Session, now: Now) -> None:
        """chargingState and what else of the session the events tell."""
        if session.phase not in (SessionPhase.STARTING, SessionPhase.CONNECTED):
            tx.resumed_state = ""  # it is there, or somewhere else
        state = rules.charging_state(
            session,
            tx.charging_state,
            suspended=self._charging.suspended(tx.evse_id),
            resumed=tx.resumed_state,
        )
        if state == "Charging" and tx.charging_mono is None:
            tx.charging_mono = now.mono
        elif state != "Charging" and tx.charging_mono is not None:
            tx.charging_s = tx.charged_s(now.mono)
            tx.charging_mono = None
        tx.charging_state = state
        tx.authorised = session.authorised
        tx.session = as_session(session)
        view = self._desk.evses[tx.evse_id]
        who = session.token.value if session.token and session.authorised else ""
        if view.first_limits and who == view.first_limits_for:  # C18.FR.06
            tx.limits |= capped(view.first_limits, tx.limits_of_csms)
            view.first_limits = {}
        if session.remote_start_id is not None:
            tx.remote_start_id = session.remote_start_id

    def update(
        self,
        view: EvseView,
        watch: Watch,
        report: EvseReport,
        trigger: str,
        now: Now,
        *,
        context: str = "Other",
        while_gated: bool = False,
    ) -> None:
        """Updated, with TxUpdatedMeasurands."""
        tx = watch.tx
        if tx is None:
            return
        value = self._readings.sampled(
            "TxUpdatedMeasurands", view, report, tx.mode, context, now
        )
        self._teller.tell(
            view, watch, "Updated", trigger, [value], now, while_gated=while_gated
        )

    def rate_changed(self, view: EvseView, now: Now) -> None:
        """An external limit has moved the power (K11.FR.04, K13.FR.03)."""
        self._mention(view, "ChargingRateChanged", now)

    def unlocking(self, view: EvseView, now: Now) -> None:
        """The CSMS unlocks in a transaction that nobody has authorised (F05)."""
        self._mention(view, "UnlockCommand", now)

    def _mention(self, view: EvseView, trigger: str, now: Now) -> None:
        if view.report is not None:
            watch = self.watches[view.config.id]
            self.update(view, watch, view.report, trigger, now)

    def sample(
        self, view: EvseView, watch: Watch, trigger: str, value: Payload, now: Now
    ) -> None:
        """Updated for a value of a series: the first to go when the disk is full."""
        self._teller.tell(
            view, watch, "Updated", trigger, [value], now,
            durability=Durability.THINNABLE,
        )  # fmt: skip

    def _end(
        self,
        view: EvseView,
        watch: Watch,
        report: EvseReport,
        fallen: frozenset[str],
        now: Now,
    ) -> None:
        tx = watch.tx
        if tx is None:
            return
        session = report.snapshot.session
        trigger, reason = rules.end_cause(session, tx.seen_reason, fallen)
        stopped = reason.value
        if tx.ending_by_limit:  # E16.FR.06
            trigger, stopped = tx.reached, STOPPED[tx.reached]
        if fallen and session.authorised and session.stop_reason is None:
            self._desk.ask(StopRequest(view.config.id, reason))  # E06.FR.07
        self.follow(tx, session, now)
        last = self._readings.sampled(
            "TxEndedMeasurands", view, report, tx.mode, "Transaction.End", now
        )
        values = [tx.first_value, *tx.values, last or relabelled(tx.last_value)]
        self.close(view, watch, tx, trigger, stopped, values, now)

    def close(
        self,
        view: EvseView,
        watch: Watch,
        tx: Transaction,
        trigger: str,
        stopped: str,
        values: list[Payload | None],
        now: Now,
    ) -> None:
        """Ended, and nothing of it is left but its messages."""
        self._teller.end(view, tx, trigger, stopped, values, now, watch)
        watch.tx = None
        view.transaction_id = ""
        view.transaction_authorised = False
        view.running_cost = None
        self._charging.transaction_ended(tx.id, view.config.id, now)

    # Limits.

    def on_second(self, now: Now) -> None:
        for evse_id, watch in self.watches.items():
            self._teller.settle(self._desk.evses[evse_id], watch, now)
        for view, report, watch, _ in self.running():
            self._limiter.check(view, watch, report, now)

    def set_limits(self, evse_id: int, wish: DriverLimits, now: Now) -> str:
        """The driver's limits (E16.FR.01), e.g. from a payment terminal; "" or why
        not."""
        view, watch = self._desk.evses.get(evse_id), self.watches.get(evse_id)
        if view is None or watch is None or watch.tx is None:
            return f"no transaction runs at EVSE {evse_id}"
        told = of_driver(wish)
        if not self._limiter.set(view, watch, told, now, of_csms=False):
            return "no limit that this station keeps (TxCtrlr.SupportedLimits)"
        return ""

    def _told_state(
        self, view: EvseView, watch: Watch, report: EvseReport, trigger: str, now: Now
    ) -> None:
        """Updated, with the state as it is now."""
        if watch.tx is not None:
            self.follow(watch.tx, report.snapshot.session, now)
            self.update(view, watch, report, trigger, now)

    # TriggerMessage.

    def triggers(self) -> Mapping[str, Trigger]:
        return {
            "MeterValues": self._trigger_meter_values,
            "TransactionEvent": self._trigger_event,
        }

    def _trigger_meter_values(self, at: Payload, now: Now) -> str:
        """MeterValues of AlignedDataCtrlr.Measurands (F06.FR.06)."""
        sent = False
        for view in self._chosen(at):
            if view.report is None:
                continue
            value = self._readings.triggered(view, view.report, now)
            if value:
                self._desk.send(
                    "MeterValues",
                    {"evseId": view.config.id, "meterValue": [value]},
                    now,
                    self._desk.queue_class(),
                    while_gated=True,
                )
                sent = True
        return "Accepted" if sent else "Rejected"

    def _trigger_event(self, at: Payload, now: Now) -> str:
        """TransactionEvent Updated of the running transactions (F06.FR.07)."""
        sent = False
        for view in self._chosen(at):
            watch = self.watches[view.config.id]
            if watch.tx is None or view.report is None:
                continue
            self.update(
                view, watch, view.report, "Trigger", now,
                context="Trigger", while_gated=True,
            )  # fmt: skip
            sent = True
        return "Accepted" if sent else "Rejected"

    def _chosen(self, at: Payload) -> list[EvseView]:
        return [
            view
            for view in self._desk.evses.values()
            if at.get("id", view.config.id) == view.config.id
        ]

    # Questions and answers of the CSMS.

    def status(self, request: Payload, now: Now) -> Answer:
        """GetTransactionStatus (E14)."""
        number = request.get("transactionId")
        if number is None:
            return {"messagesInQueue": any(self._teller.queued.values())}
        return {
            "ongoingIndicator": self._desk.evse_of_transaction(number) is not None,
            "messagesInQueue": self.waits(number),
        }

    def waits(self, number: str) -> bool:
        """Has the CSMS yet to hear something of that transaction?"""
        return self._teller.queued[number] > 0

    def queued(self, waiting: Counter[str]) -> None:
        """What waits on disk, by transaction: of the last run, or after thinning."""
        self._teller.queued = Counter(waiting)

    def result(self, request: Payload, answer: Answer, now: Now) -> None:
        """TransactionEvent's answer, matched by the request: it may be of the last run.

        An invalid token stops the transaction, or its energy (E05, C10.FR.05).
        """
        number = request["transactionInfo"]["transactionId"]
        self._teller.queued[number] -= 1
        if self._teller.queued[number] <= 0:
            del self._teller.queued[number]
        if isinstance(answer, CallError):
            return
        token, info = request.get("idToken"), answer.get("idTokenInfo")
        if token is not None and info is not None:
            self._cache.learn(token, info, now)
        self._texts.answered(request, answer)
        view = self._desk.evse_of_transaction(number)
        if view is None:
            return
        watch = self.watches[view.config.id]
        if "totalCost" in answer and not view.cost_is_local:
            view.running_cost = float(answer["totalCost"])
        if "transactionLimit" in answer:
            told = answer["transactionLimit"]
            self._limiter.set(view, watch, told, now, of_csms=True)
        tx = watch.tx
        if tx is None or info is None or info["status"] == "Accepted":
            return
        mine = tx.token or {}
        starters = [digest_of(t) for t in (mine, dialect.token_201(mine)) if t]
        if token is None or digest_of(token) in starters:  # C01.FR.25
            self._limiter.invalid(view, watch, now)
