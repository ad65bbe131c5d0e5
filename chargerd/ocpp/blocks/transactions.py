"""Block E and J: transactions from the heart's reports.

Owns start, updates and end of each EVSE's transaction, the sampled and clock-aligned
meter values, and the honest end of a transaction that a restart cut off. It watches:
it never starts or stops energy but for a token the CSMS calls invalid (E05).
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chargerd.clock import Now
from chargerd.model import EvseReport, Session, StopReason, StopRequest
from chargerd.ocpp.blocks import transaction_rules as rules
from chargerd.ocpp.blocks.authorization import Authorization, id_token
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.blocks.metering import fresh_meter, meter_value
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.transaction import Transaction
from chargerd.ocpp.effects import Answer, Durability, Payload, Save
from chargerd.ocpp.variable import split

ORPHAN_WAIT_S = 20.0  # for the first fresh meter value after a restart
MODE_HOLD_S = 1.0  # a mode must hold this long before it is told
NO_POINTS: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Watch:
    """What is remembered of one EVSE between reports."""

    key: tuple[object, ...] = ()
    session: Session | None = None  # at the last change of `key`
    holding: frozenset[str] = NO_POINTS
    tx: Transaction | None = None
    started_with: frozenset[str] = NO_POINTS  # points that have held in `tx`
    orphan: Transaction | None = None  # of the last run
    orphan_mono: float | None = None
    mode: str = ""
    mode_mono: float = 0.0
    sample_mono: float = field(default=math.inf)  # the next sample is due


class Transactions(Block):
    durable = ("TransactionEvent",)

    def __init__(
        self,
        desk: Desk,
        charging: SmartCharging,
        authorization: Authorization,
        boot_reason: str,
    ) -> None:
        self._desk = desk
        self._charging = charging
        self._authorization = authorization
        self._boot_reason = boot_reason
        self._watch = {evse_id: _Watch() for evse_id in desk.evses}
        self._aligned: dict[str, float] = {}  # variable -> next grid time, POSIX
        for key, value in desk.saved.get("transaction", {}).items():
            orphan = Transaction.restored(value)
            if orphan is not None and orphan.evse_id in self._watch:
                self._watch[orphan.evse_id].orphan = orphan
            else:
                desk.save("transaction", key, None)

    # Reports.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """At 20 Hz: next to nothing unless something has changed."""
        watch = self._watch[view.config.id]
        if watch.orphan is not None and not self._close_orphan(watch, report, now):
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
        if watch.tx is None:
            return
        mode = report.decision.mode.value
        if mode != watch.mode:
            watch.mode, watch.mode_mono = mode, now.mono
        elif mode != watch.tx.mode and now.mono - watch.mode_mono >= MODE_HOLD_S:
            watch.tx.mode = mode
            self._update(view, watch, report, "OperationModeChanged", now)
        if now.mono >= watch.sample_mono:
            self._sample(view, watch, report, now)

    def _session(
        self, view: EvseView, watch: _Watch, report: EvseReport, now: Now
    ) -> None:
        session = report.snapshot.session
        before = watch.session
        other = before is not None and before.id != session.id and before.id != ""
        old = NO_POINTS if other else watch.holding
        holding = rules.points_of(session).holding()
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
        elif risen & set(self._desk.model.members("TxCtrlr", "TxStartPoint")):
            watch.started_with = holding
            self._start(view, watch, report, risen, now)
        if view.ready_mono != was_ready:
            self._charging.refresh(now)  # Relative profiles start now (K01.FR.42)

    def stopping(self, evse_id: int, reason: StopReason) -> None:
        """Somebody asked to stop; the session may end without saying why."""
        tx = self._watch[evse_id].tx
        if tx is not None:
            tx.seen_reason = reason

    def _is_over(self, watch: _Watch, holding: frozenset[str], *, other: bool) -> bool:
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
        watch: _Watch,
        report: EvseReport,
        risen: frozenset[str],
        now: Now,
    ) -> None:
        session = report.snapshot.session
        tx = Transaction(
            self._new_id(session, now), view.config.id, session.connector_id
        )
        tx.started_utc = stamp(now.utc)
        tx.mode = watch.mode = report.decision.mode.value
        watch.tx = tx
        watch.mode_mono = now.mono
        tx.sampled_mono = tx.ended_sampled_mono = now.mono
        view.transaction_id = tx.id
        self._follow_state(tx, session, now)
        names = self._measurands("TxStartedMeasurands", "")
        value = meter_value(report, names, "Transaction.Begin", now)
        tx.first_value = meter_value(
            report, self._ended_names(view, tx), "Transaction.Begin", now
        )
        trigger = rules.start_trigger(risen, session)
        self._send(view, watch, "Started", trigger, [value], now)
        self._charging.transaction_started(view, tx.remote_start_id, now)
        self._plan_sample(watch, now)

    def _new_id(self, session: Session, now: Now) -> str:
        """Unique without chance: station, session, time and a count."""
        count = self._desk.next_number("transaction")
        name = f"{self._desk.config.station.id}/{session.id}/{now.utc}/{count}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"ocpp:{name}"))

    def _changes(
        self,
        view: EvseView,
        watch: _Watch,
        report: EvseReport,
        risen: frozenset[str],
        now: Now,
    ) -> None:
        """A stop first; then at most one Updated for all that one report changed."""
        tx = watch.tx
        if tx is None:
            return
        session = report.snapshot.session
        self._note(tx, session)
        self._stop_told(view, watch, report, now)
        state = tx.charging_state
        self._follow_state(tx, session, now)
        if "Authorized" in risen:
            trigger = rules.start_trigger(risen, session)
            self._charging.transaction_started(view, tx.remote_start_id, now)
        elif "EVConnected" in risen:
            trigger = "CablePluggedIn"
        elif tx.charging_state != state:
            trigger = "ChargingStateChanged"
        else:
            return
        self._update(view, watch, report, trigger, now)

    def _stop_told(
        self, view: EvseView, watch: _Watch, report: EvseReport, now: Now
    ) -> None:
        """The event of a stop that is not Ended itself (E06, E07)."""
        tx, reason = watch.tx, report.snapshot.session.stop_reason
        known = watch.session.stop_reason if watch.session else None
        if tx is None or reason is None or known is not None:
            return
        if rules.told_before_end(reason, self._stop_points()):
            self._update(view, watch, report, rules.stop_trigger(reason), now)

    def _follow_state(self, tx: Transaction, session: Session, now: Now) -> None:
        state = rules.charging_state(session, tx.charging_state)
        if state == "Charging" and tx.charging_mono is None:
            tx.charging_mono = now.mono
        elif state != "Charging" and tx.charging_mono is not None:
            tx.charging_s = tx.charged_s(now.mono)
            tx.charging_mono = None
        tx.charging_state = state
        tx.authorised = session.authorised
        if session.remote_start_id is not None:
            tx.remote_start_id = session.remote_start_id

    def _update(
        self, view: EvseView, watch: _Watch, report: EvseReport, trigger: str, now: Now
    ) -> None:
        tx = watch.tx
        if tx is None:
            return
        names = self._measurands("TxUpdatedMeasurands", tx.mode, view.config.id)
        value = meter_value(report, names, "Other", now)
        self._send(view, watch, "Updated", trigger, [value], now)

    def _end(
        self,
        view: EvseView,
        watch: _Watch,
        report: EvseReport,
        fallen: frozenset[str],
        now: Now,
    ) -> None:
        tx = watch.tx
        if tx is None:
            return
        session = report.snapshot.session
        trigger, reason = rules.end_cause(session, tx.seen_reason, fallen)
        self._follow_state(tx, session, now)
        last = meter_value(report, self._ended_names(view, tx), "Transaction.End", now)
        values = [tx.first_value, *tx.values, last or _relabelled(tx.last_value)]
        self._send(view, watch, "Ended", trigger, values, now, reason=reason)
        watch.tx = None
        watch.sample_mono = math.inf
        view.transaction_id = ""
        view.transaction_authorised = False
        self._charging.transaction_ended(tx.id, view.config.id, now)

    def _send(
        self,
        view: EvseView,
        watch: _Watch,
        kind: str,
        trigger: str,
        values: list[Payload | None],
        now: Now,
        *,
        reason: StopReason | None = None,
        durability: Durability = Durability.DURABLE,
        while_gated: bool = False,
    ) -> None:
        """The record goes to the disk with the event: no crash can part them."""
        tx = watch.tx
        if tx is None:
            return
        event = tx.event(
            kind,
            trigger,
            stamp(now.utc),
            offline=not (self._desk.online and self._desk.accepted),
            now_mono=now.mono,
        )
        if reason is not None:
            event["transactionInfo"]["stoppedReason"] = reason.value
        if tx.stop_token is not None and not tx.stop_token_told:
            event["idToken"] = tx.stop_token  # E07.FR.02: the next event has it
            tx.stop_token_told = True
        session = view.report.snapshot.session if view.report else None
        if tx.token is None and session is not None and session.token is not None:
            tx.token = event.setdefault("idToken", id_token(session.token))
        known = [value for value in values if value is not None]
        if known:
            event["meterValue"] = known
            tx.last_value = known[-1]
        view.transaction_authorised = tx.authorised
        record = None if kind == "Ended" else tx.saved()
        self._desk.send(
            "TransactionEvent", event, now, durability, while_gated=while_gated,
            save=Save("transaction", str(view.config.id), record),
        )  # fmt: skip

    # Meter values.

    def _measurands(self, variable: str, mode: str, evse_id: int = 0) -> list[str]:
        """SampledDataCtrlr's list and, in a V2X mode, that mode's own (2.1 J02)."""
        names = self._desk.model.members("SampledDataCtrlr", variable)
        if mode in ("CentralSetpoint", "CentralFrequency"):
            extra = self._desk.model.text("V2XChargingCtrlr", variable, mode, evse_id)
            names += [name for name in split(extra) if name not in names]
        return names

    def _ended_names(self, view: EvseView, tx: Transaction) -> list[str]:
        return self._measurands("TxEndedMeasurands", tx.mode, view.config.id)

    def _updated_interval(self, tx: Transaction) -> int:
        model = self._desk.model
        if tx.mode in ("CentralSetpoint", "CentralFrequency"):
            own = model.text(
                "V2XChargingCtrlr", "TxUpdatedInterval", tx.mode, tx.evse_id
            )
            if int(own):
                return int(own)
        return model.number("SampledDataCtrlr", "TxUpdatedInterval")

    def _plan_sample(self, watch: _Watch, now: Now) -> None:
        """When the next sample is due; looked at again at least every second, as the
        CSMS may change the intervals."""
        tx = watch.tx
        if tx is None:
            return
        due = now.mono + 1.0
        every = self._updated_interval(tx)
        if every:
            due = min(due, tx.sampled_mono + every)
        watch.sample_mono = due

    def _sample(
        self, view: EvseView, watch: _Watch, report: EvseReport, now: Now
    ) -> None:
        tx = watch.tx
        if tx is None:
            return
        ended = self._desk.model.number("SampledDataCtrlr", "TxEndedInterval")
        if ended and now.mono >= tx.ended_sampled_mono + ended:
            tx.ended_sampled_mono = now.mono
            value = meter_value(
                report, self._ended_names(view, tx), "Sample.Periodic", now
            )
            if value:
                tx.keep(value)
        every = self._updated_interval(tx)
        if every and now.mono >= tx.sampled_mono + every:
            late = now.mono - tx.sampled_mono - every
            tx.sampled_mono = now.mono - (late if late < every else 0.0)
            names = self._measurands("TxUpdatedMeasurands", tx.mode, view.config.id)
            value = meter_value(report, names, "Sample.Periodic", now)
            if value:
                self._send(
                    view, watch, "Updated", "MeterValuePeriodic", [value], now,
                    durability=Durability.THINNABLE,
                )  # fmt: skip
        self._plan_sample(watch, now)

    # Clock-aligned values (J01).

    def on_second(self, now: Now) -> None:
        """Called about once a second; sends what a grid time has made due."""
        posix = now.utc.timestamp()
        for variable, names in (
            ("Interval", "Measurands"),
            ("TxEndedInterval", "TxEndedMeasurands"),
        ):
            every = self._desk.model.number("AlignedDataCtrlr", variable)
            due = self._aligned.get(variable, math.inf)
            if every and posix >= due and posix - due < every:
                at_utc = datetime.fromtimestamp(due, UTC)
                self._aligned_values(variable, names, at_utc, now)
            if every:
                midnight = posix - posix % 86_400
                steps = math.floor((posix - midnight) / every) + 1
                following = midnight + min(steps * every, 86_400)
                self._aligned[variable] = following
            else:
                self._aligned.pop(variable, None)

    def _aligned_values(
        self, variable: str, names: str, at_utc: datetime, now: Now
    ) -> None:
        measurands = self._desk.model.members("AlignedDataCtrlr", names)
        only_idle = self._desk.model.flag("AlignedDataCtrlr", "SendDuringIdle")
        for evse_id, view in self._desk.evses.items():
            if view.report is None:
                continue
            watch = self._watch[evse_id]
            value = meter_value(view.report, measurands, "Sample.Clock", now, at_utc)
            if value is None:
                continue
            if variable == "TxEndedInterval":
                if watch.tx is not None:
                    watch.tx.keep(value)
            elif watch.tx is None:
                self._meter_message(evse_id, value, now)
            elif not only_idle:
                self._send(
                    view, watch, "Updated", "MeterValueClock", [value], now,
                    durability=Durability.THINNABLE,
                )  # fmt: skip

    def _meter_message(
        self, evse_id: int, value: Payload, now: Now, *, while_gated: bool = False
    ) -> None:
        self._desk.send(
            "MeterValues",
            {"evseId": evse_id, "meterValue": [value]},
            now,
            self._desk.queue_class(),
            while_gated=while_gated,
        )

    # TriggerMessage.

    def trigger_meter_values(self, evse_id: int | None, now: Now) -> bool:
        """MeterValues of AlignedDataCtrlr.Measurands (F06.FR.06)."""
        names = self._desk.model.members("AlignedDataCtrlr", "Measurands")
        sent = False
        for view in self._chosen(evse_id):
            if view.report is None:
                continue
            value = meter_value(view.report, names, "Trigger", now)
            if value:
                self._meter_message(view.config.id, value, now, while_gated=True)
                sent = True
        return sent

    def trigger_event(self, evse_id: int | None, now: Now) -> bool:
        """TransactionEvent Updated of the running transactions (F06.FR.07)."""
        sent = False
        for view in self._chosen(evse_id):
            watch = self._watch[view.config.id]
            if watch.tx is None or view.report is None:
                continue
            names = self._measurands(
                "TxUpdatedMeasurands", watch.tx.mode, view.config.id
            )
            value = meter_value(view.report, names, "Trigger", now)
            self._send(
                view, watch, "Updated", "Trigger", [value], now, while_gated=True
            )
            sent = True
        return sent

    def _chosen(self, evse_id: int | None) -> list[EvseView]:
        if evse_id is None:
            return list(self._desk.evses.values())
        view = self._desk.evses.get(evse_id)
        return [view] if view else []

    # Answers.

    def result(self, request: Payload, answer: Answer, now: Now) -> None:
        """TransactionEvent's answer, matched by the request: it may be of the last run.

        An invalid token stops the transaction, or its energy (E05, C10.FR.05).
        """
        if not isinstance(answer, dict) or "idTokenInfo" not in answer:
            return
        info = answer["idTokenInfo"]
        token = request.get("idToken")
        if token is not None:
            self._authorization.learn(token, info, now)
        number = request["transactionInfo"]["transactionId"]
        view = self._desk.evse_of_transaction(number)
        if view is None or info["status"] == "Accepted":
            return
        tx = self._watch[view.config.id].tx
        if tx is None or (token is not None and token != tx.token):
            return
        if self._desk.model.flag("TxCtrlr", "StopTxOnInvalidId"):
            self._desk.ask(StopRequest(view.config.id, StopReason.DEAUTHORIZED))
        else:
            self._charging.suspend(view.config.id, "token", now)

    # After a restart.

    def _close_orphan(self, watch: _Watch, report: EvseReport, now: Now) -> bool:
        """Ended for the transaction a restart cut off, with the first fresh value.

        Returns False while it still waits for that value.
        """
        tx = watch.orphan
        if tx is None:
            return True
        if watch.orphan_mono is None:
            watch.orphan_mono = now.mono
        waited = now.mono - watch.orphan_mono
        if fresh_meter(report, now) is None and waited < ORPHAN_WAIT_S:
            return False
        trigger, reason = rules.interrupted_reason(self._boot_reason)
        tx.charging_state = rules.charging_state(report.snapshot.session)
        tx.mode = ""
        event = tx.event(
            "Ended",
            trigger,
            stamp(now.utc),
            offline=not (self._desk.online and self._desk.accepted),
            now_mono=now.mono,
        )
        event["transactionInfo"]["stoppedReason"] = reason
        names = self._desk.model.members("SampledDataCtrlr", "TxEndedMeasurands")
        fresh = meter_value(report, names, "Transaction.End", now)
        last = tx.last_value
        begin = _relabelled(last, "Interruption.Begin" if fresh else "Transaction.End")
        values = [value for value in (tx.first_value, begin, fresh) if value]
        if values:
            event["meterValue"] = values
        watch.orphan = None
        self._desk.send(
            "TransactionEvent", event, now, Durability.DURABLE,
            save=Save("transaction", str(tx.evse_id), None),
        )  # fmt: skip
        return True


def _relabelled(
    value: Payload | None, context: str = "Transaction.End"
) -> Payload | None:
    """The last known value, said to be what it now is; its own timestamp stays."""
    if value is None:
        return None
    samples = [{**sample, "context": context} for sample in value["sampledValue"]]
    return {**value, "sampledValue": samples}
