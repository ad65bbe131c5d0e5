"""Transactions across a restart: taken up again (E17, B13), or ended honestly.

Owns what is on disk of a transaction that ran when the daemon ended, how long that was
ago, and the setting that lets a session outlive a pulled plug (E10). The session itself
is the heart's: it is asked to take it up, and decides. A contract that is shown
meanwhile waits.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime

from chargerd.clock import Now
from chargerd.model import (
    AuthQuestion,
    EvseReport,
    KeepRequest,
    ResumeRequest,
    SessionPhase,
    Token,
)
from chargerd.ocpp.blocks import transaction_rules as rules
from chargerd.ocpp.blocks.authorization import Authorization
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView, stamp
from chargerd.ocpp.blocks.metering import fresh_meter, relabelled
from chargerd.ocpp.blocks.readings import Readings
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.transaction import Transaction
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.blocks.watch import Watch
from chargerd.ocpp.effects import Payload

ORPHAN_WAIT_S = 20.0  # for the first fresh meter value after a restart
CLOCK_WAIT_S = 60.0  # for a clock that can say how long it was away
PLUG_WAIT_S = 5.0  # for the pilot to say whether a vehicle is there
HEART_WAIT_S = 5.0  # for the session to be taken up
CONTRACT_WAIT_S = 20.0  # for both, where a contract is shown: the heart waits 45 s
SEEN_EVERY_S = 60.0  # how exactly the moment of a power loss is known
WHY = "resumption"


class Resuming(Block):
    def __init__(
        self,
        desk: Desk,
        transactions: Transactions,
        charging: SmartCharging,
        readings: Readings,
        authorization: Authorization,
        boot_reason: str,
    ) -> None:
        self._desk = desk
        self._transactions = transactions
        self._charging = charging
        self._readings = readings
        self._authorization = authorization
        self._boot_reason = boot_reason
        self._asked_mono: dict[int, float] = {}  # EVSE -> the heart was asked
        self._energy_mono: dict[int, float] = {}  # EVSE -> energy may flow again
        self._seen_mono = -math.inf
        self._keep_s: dict[int, float] = {}  # as told to the heart, by EVSE
        self._shown: dict[int, tuple[AuthQuestion, float]] = {}  # and since when
        for key, value in desk.saved.get("transaction", {}).items():
            orphan = Transaction.restored(value)
            if orphan is not None and orphan.evse_id in transactions.watches:
                transactions.watches[orphan.evse_id].orphan = orphan
            else:
                desk.save("transaction", key, None)

    # After a restart.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        watch = self._transactions.watches[view.config.id]
        if watch.orphan is not None:
            self._look(view, watch, watch.orphan, report, now)
        if view.config.id in self._shown:
            self._pass_on(watch, report, now)

    def waits(self, question: AuthQuestion, now: Now) -> bool:
        """A vehicle shows its contract anew in each talk, also in one after a power
        loss: that is no wish for another transaction, unless another contract had
        started this one. It is passed on when the old one is decided on."""
        watch = self._transactions.watches.get(question.evse_id)
        tx = watch.orphan if watch else None
        if tx is None or question.contract is None or not self._may_resume:
            return False
        value, kind, _ = tx.session.get("token") or ("", "", "")
        shown = question.token
        if kind == shown.kind and value.upper() != shown.value.upper():
            return False
        self._shown[question.evse_id] = (question, now.mono)
        return True

    def _pass_on(self, watch: Watch, report: EvseReport, now: Now) -> None:
        session = report.snapshot.session
        unplugged = session.phase is SessionPhase.IDLE
        if watch.orphan is not None and not unplugged:
            return
        question, _ = self._shown.pop(session.evse_id)
        if not unplugged and not session.authorised:
            self._authorization.ask(question, now)

    def _look(
        self,
        view: EvseView,
        watch: Watch,
        tx: Transaction,
        report: EvseReport,
        now: Now,
    ) -> None:
        evse_id, session = view.config.id, report.snapshot.session
        mine = tx.is_of(session)
        if mine and tx.resetting and evse_id not in self._asked_mono:
            return  # an EVSE's Reset: its session has not ended yet
        if watch.orphan_mono is None:
            watch.orphan_mono = now.mono
        if evse_id in self._asked_mono:
            if _taken_up(tx, report):
                self._go_on(view, watch, tx, report, now)
            elif now.mono - self._asked_mono[evse_id] >= HEART_WAIT_S:
                del self._asked_mono[evse_id]
                self._close(view, watch, tx, report, now)
            return
        if session.authorised and not mine:  # somebody else was quicker
            self._close(view, watch, tx, report, now)
            return
        if self._must_wait(evse_id, report, now.mono - watch.orphan_mono, now):
            return
        plugged = session.phase is not SessionPhase.IDLE
        if not self._in_time(tx, now):
            self._close(view, watch, tx, report, now)
        elif not plugged and self._unplugged_ends():
            self._close(view, watch, tx, report, now, unplugged=True)
        else:
            self._take_up(tx, now)

    def _must_wait(
        self, evse_id: int, report: EvseReport, waited_s: float, now: Now
    ) -> bool:
        """For the plug, the meter and the clock to say something."""
        shown = self._shown.get(evse_id)
        if shown is not None and now.mono - shown[1] >= CONTRACT_WAIT_S:
            return False
        idle = report.snapshot.session.phase is SessionPhase.IDLE
        if idle and waited_s < PLUG_WAIT_S and self._may_resume:
            return True
        if fresh_meter(report, now) is None and waited_s < ORPHAN_WAIT_S:
            return True
        return self._may_resume and not now.trusted and waited_s < CLOCK_WAIT_S

    @property
    def _may_resume(self) -> bool:
        return self._desk.model.number("TxCtrlr", "ResumptionTimeout") > 0

    def _in_time(self, tx: Transaction, now: Now) -> bool:
        """A Reset's own interruption may be of any length (B13.FR.12, .23)."""
        if not self._may_resume or not tx.session.get("id"):
            return False
        if tx.resetting:
            return True
        longest_s = self._desk.model.number("TxCtrlr", "ResumptionTimeout")
        away_s = self._away_s(tx, now)
        return now.trusted and away_s is not None and away_s <= longest_s

    def _away_s(self, tx: Transaction, now: Now) -> float | None:
        """Since it was last known to run; None = nobody can tell."""
        seen = str(self._desk.saved.get("transaction_seen", {}).get("utc", ""))
        return _since_s(max(tx.seen_utc, seen), now)

    def _unplugged_ends(self) -> bool:
        """Whether a pulled plug is the end (E17.FR.16, .17)."""
        model = self._desk.model
        points = set(model.members("TxCtrlr", "TxStopPoint"))
        waits = {"EVConnected", "PowerPathClosed", "EnergyTransfer"}
        return bool(points & waits) or model.flag("TxCtrlr", "StopTxOnEVSideDisconnect")

    def _take_up(self, tx: Transaction, now: Now) -> None:
        """Ask the heart; first of all, no energy where none may flow (E17.FR.12)."""
        self._asked_mono[tx.evse_id] = now.mono
        kept = tx.session
        wait_s = self._energy_wait_s(tx)
        self._energy_mono.pop(tx.evse_id, None)
        if wait_s > 0.0:
            self._charging.suspend(tx.evse_id, WHY, now)
            self._energy_mono[tx.evse_id] = now.mono + wait_s
        for why, holds in (("limit", bool(tx.reached)), ("token", tx.refused)):
            if holds:
                self._charging.suspend(tx.evse_id, why, now)
        token = kept.get("token")
        self._desk.ask(
            ResumeRequest(
                tx.evse_id,
                str(kept["id"]),
                Token(*token) if token else None,
                plugged_utc=_time(kept.get("plugged_utc")),
                discharge_allowed=bool(kept.get("discharge", True)),
                remote_start_id=tx.remote_start_id,
                energy_in_wh=float(kept.get("in_wh", 0.0)),
                energy_out_wh=float(kept.get("out_wh", 0.0)),
                connect_s=self._desk.connect_s(),
            )
        )

    def _energy_wait_s(self, tx: Transaction) -> float:
        """Infinity: energy may not be resumed. A part of the random range by the
        transaction's id: stations that lost power together start apart (E17.FR.18)."""
        model = self._desk.model
        if not model.flag("TxCtrlr", "AllowEnergyTransferResumption"):
            return math.inf if tx.authorised else 0.0
        if tx.charging_state != "Charging" or tx.resetting:
            return 0.0
        longest_s = model.number("TxCtrlr", "EnergyTransferResumptionRandomRange")
        digest = hashlib.sha256(tx.id.encode()).digest()
        return longest_s * int.from_bytes(digest[:4]) / 2**32

    def _go_on(
        self,
        view: EvseView,
        watch: Watch,
        tx: Transaction,
        report: EvseReport,
        now: Now,
    ) -> None:
        """TxResumed (E17.FR.14): the transaction is the EVSE's again."""
        del self._asked_mono[tx.evse_id]
        session = report.snapshot.session
        tx.aged_s += _since_s(tx.seen_utc, now) or 0.0
        tx.since_mono = now.mono
        tx.resetting = False
        if session.phase is not SessionPhase.IDLE:
            held = tx.evse_id in self._energy_mono
            flowed = tx.charging_state in ("Charging", "SuspendedEV")
            tx.resumed_state = "SuspendedEVSE" if held and flowed else tx.charging_state
        watch.orphan, watch.tx = None, tx
        watch.session = session
        watch.holding = watch.started_with = rules.points_of(session).holding()
        watch.mode = tx.mode = report.decision.mode.value
        view.transaction_id = tx.id
        view.transaction_authorised = tx.authorised
        self._readings.begin(view, report, watch, now)
        self._transactions.follow(tx, session, now)
        self._transactions.update(
            view, watch, report, "TxResumed", now, context="Interruption.End"
        )
        self._charging.transaction_started(view, tx.remote_start_id, now)

    def _close(
        self,
        view: EvseView,
        watch: Watch,
        tx: Transaction,
        report: EvseReport,
        now: Now,
        *,
        unplugged: bool = False,
    ) -> None:
        """Ended for a transaction a restart cut off, with the first fresh value."""
        trigger, stopped = rules.interrupted_reason(self._boot_reason)
        if unplugged:
            trigger, stopped = "EVCommunicationLost", "EVDisconnected"
        tx.charging_state = rules.charging_state(report.snapshot.session)
        tx.mode = ""
        fresh = None
        if fresh_meter(report, now) is not None:
            fresh = self._readings.sampled(
                "TxEndedMeasurands", view, report, "", "Transaction.End", now
            )
        begin = relabelled(
            tx.last_value, "Interruption.Begin" if fresh else "Transaction.End"
        )
        values: list[Payload | None] = [tx.first_value, begin, fresh]
        watch.orphan = None
        self._transactions.close(view, watch, tx, trigger, stopped, values, now)

    # Before one.

    def interrupt(self, now: Now, evse_id: int = 0) -> None:
        """A Reset with type ImmediateAndResume comes, of one EVSE or (0) of all: each
        transaction says so (B13.FR.04), and the end of its session is not its end."""
        for view, report, watch, tx in list(self._transactions.running()):
            if evse_id not in (0, view.config.id):
                continue
            tx.resetting = True
            self._transactions.update(
                view, watch, report, "ResetCommand", now, context="Interruption.Begin"
            )
            if evse_id:  # no restart of ours: it is taken up when its session is over
                tx.aged_s = tx.age_s(now.mono)
                tx.charging_s, tx.charging_mono = tx.charged_s(now.mono), None
                watch.orphan, watch.orphan_mono, watch.tx = tx, None, None
            else:
                watch.interrupted = True

    @property
    def available(self) -> bool:
        """Whether ImmediateAndResume may be accepted (B13.FR.01)."""
        return self._may_resume

    def on_second(self, now: Now) -> None:
        self._tell_heart()
        for evse_id, at_mono in list(self._energy_mono.items()):
            if now.mono >= at_mono:
                del self._energy_mono[evse_id]
                self._charging.unsuspend(evse_id, WHY, now)
        running = any(watch.tx for watch in self._transactions.watches.values())
        due = now.mono - self._seen_mono >= SEEN_EVERY_S
        if running and due and self._may_resume:  # E17.FR.01, .02
            self._seen_mono = now.mono
            self._desk.save("transaction_seen", "utc", stamp(now.utc))

    def _tell_heart(self) -> None:
        """What a pulled plug means for a session (E09, E10). A cable of its own waits
        as long as another may be plugged in; one in a socket is locked until the token
        comes (E10.FR.01)."""
        ends = self._desk.model.flag("TxCtrlr", "StopTxOnEVSideDisconnect")
        for evse_id, view in self._desk.evses.items():
            socket = any(c.type.startswith("s") for c in view.config.connectors)
            wait_s = math.inf if socket else self._desk.connect_s()
            wanted = None if ends else wait_s
            if wanted != self._keep_s.get(evse_id):
                self._desk.ask(KeepRequest(evse_id, wanted))
                if wanted is None:
                    del self._keep_s[evse_id]
                else:
                    self._keep_s[evse_id] = wanted


def _taken_up(tx: Transaction, report: EvseReport) -> bool:
    session = report.snapshot.session
    wanted = bool(tx.session.get("authorised"))
    return tx.is_of(session) and session.authorised == wanted


def _since_s(text: str, now: Now) -> float | None:
    """Seconds since a stamp; None: none, or one of the future."""
    at = _time(text)
    since_s = -1.0 if at is None else (now.utc - at).total_seconds()
    return since_s if since_s >= 0.0 else None


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
