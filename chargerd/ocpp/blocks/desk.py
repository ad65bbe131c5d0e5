"""What the functional blocks share: config, device model, EVSEs, and the out-tray.

Owns the effects in order, the handles of our own CALLs and what is known about each
EVSE. Knows no OCPP use case: those are the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chargerd import faults
from chargerd.clock import Now
from chargerd.config import Config, Evse
from chargerd.faults import Severity
from chargerd.model import EvseReport, Request, Session, SessionPhase, VehiclePlan
from chargerd.ocpp.device_model import DeviceModel
from chargerd.ocpp.effects import (
    Answer,
    Ask,
    CallError,
    Durability,
    Effect,
    Later,
    Payload,
    Reply,
    Save,
    Send,
    StopWork,
    Tell,
    Work,
)
from chargerd.ocpp.jobs.security_log import LogEvent, Written
from chargerd.ocpp.profiles import Supply
from chargerd.ocpp.security_events import CRITICAL
from chargerd.ocpp.table.row import is_dc
from chargerd.ocpp.v2 import dialect
from chargerd.ocpp.variable import Variable

OnAnswer = Callable[[Payload, Answer, Now], None]
OnWorked = Callable[[Any, Now], None]  # a value the work yielded, or its OcppError

# One shape for each kind of refusal inside an Accepted/Rejected answer.


def refusal(reason: str, text: str = "", status: str = "Rejected") -> Payload:
    """An answer with `status` and a StatusInfoType; the code has at most 20 letters."""
    info: Payload = {"reasonCode": reason[:20]}
    if text:
        info["additionalInfo"] = text[:512]
    return {"status": status, "statusInfo": info}


def stamp(moment: datetime) -> str:
    """A time as OCPP writes it: UTC, milliseconds, Z (2.1 part 2, 2.1.3)."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _printable(line: str) -> str:
    """One line, whatever a peer put into it."""
    return "".join(c if c.isprintable() else "?" for c in line)


@dataclass(slots=True)
class EvseView:
    """What the station knows of one EVSE. `transaction_id` "" = none runs."""

    config: Evse
    report: EvseReport | None = None
    transaction_id: str = ""
    transaction_authorised: bool = False
    ready_mono: float | None = None  # authorised and connected since (K01.FR.42)
    priority: bool = False  # the transaction has priority charging (K21)
    status: str = ""  # the last known connector status, "" = not seen yet
    asked_at: EvseReport | None = None  # the newest one when a remote start was taken
    closed: bool = False  # no session begins: Inoperative, a reset or an update waits
    reserved: bool = False  # for somebody who has not come yet
    ended_reservation_id: int | None = None  # the next TransactionEvent tells it, once
    running_cost: float | None = None  # of the transaction, as far as known
    cost_is_local: bool = False  # by our own tariff; else what the CSMS says counts
    tariff: Payload | None = None  # of the transaction
    reserved_since_utc: datetime | None = None  # who is there now had reserved it then
    first_limits: dict[str, float] = field(default_factory=dict)  # of the next one,
    first_limits_for: str = ""  # if this token starts it
    web_payment_until_mono: float | None = None  # somebody pays: nobody else begins
    needs_due: bool = False  # the vehicle has yet to say what it needs (K15.FR.17)
    needs_told: bool = False  # NotifyEVChargingNeeds went out for this session
    accepted_plan: VehiclePlan | None = None  # the CSMS knows that it takes no more

    @property
    def is_dc(self) -> bool:
        return is_dc(self.config)

    @property
    def supply(self) -> Supply:
        return Supply(self.config.ac_voltage_v, self.config.ac_phases)

    def web_payment_runs(self, now_mono: float) -> bool:
        until = self.web_payment_until_mono
        return until is not None and now_mono < until

    @property
    def session(self) -> Session | None:
        return self.report.snapshot.session if self.report else None

    @property
    def runs(self) -> bool:
        """Somebody may charge there, and nobody has ended it."""
        session = self.session
        return bool(session and session.authorised and session.stop_reason is None)

    @property
    def faulted(self) -> bool:
        """A fault that is present keeps its power at 0 W."""
        found = self.report.snapshot.faults if self.report else ()
        return any(faults.lookup(fault.name).stops_power for fault in found)

    @property
    def blocked(self) -> bool:
        """The heart begins nothing there: Faulted, Unavailable, or soon so."""
        out = self.report is not None and not self.report.snapshot.operative
        return self.closed or self.faulted or out

    @property
    def taken(self) -> bool:
        """By somebody who may charge, whose transaction has yet to end, or whose start
        the heart has not yet answered by a report."""
        asked = self.asked_at is not None and self.asked_at is self.report
        return self.transaction_authorised or self.runs or asked

    @property
    def plugged(self) -> bool:
        session = self.session
        return session is not None and session.phase is not SessionPhase.IDLE


class Desk:
    """The shared state. Blocks call `send`, `ask` and `save`; the shell drains."""

    def __init__(self, config: Config, saved: Mapping[str, Mapping[str, Any]]) -> None:
        self.config = config
        self.saved = saved
        self.model = DeviceModel(config, saved.get("device_model", {}))
        self.evses = {evse.id: EvseView(evse) for evse in config.evse}
        self.version: str = config.ocpp.versions[0]
        self.online = False
        self.offline_since_mono: float | None = None
        self.accepted = False
        self.last_sent_mono = 0.0
        self.effects: list[Effect] = []
        self._handles = 0
        self._waiting: dict[int, tuple[str, OnAnswer]] = {}
        self._works: dict[int, OnWorked] = {}
        self._sequences: dict[str, int] = {}
        self._log_known = False

    # Out.

    def send(
        self,
        action: str,
        payload: Payload,
        now: Now,
        durability: Durability = Durability.QUEUED,
        *,
        answered: OnAnswer | None = None,
        while_gated: bool = False,
        first: bool = False,
        save: Save | None = None,
    ) -> None:
        """A CALL to the CSMS, in the dialect of the link. `answered` gets its result.

        `answered` is forgotten by a restart: what must react to the answer of a durable
        message has to go by the request, see `OcppStation.result`.
        """
        dialected = dialect.outgoing(self.version, action, payload)
        if dialected is None:
            self.effects.extend([save] if save else [])
            return
        self.last_sent_mono = now.mono
        self.effects.append(
            Send(
                action,
                dialected,
                durability,
                self._handle(action, answered),
                while_gated=while_gated,
                first=first,
                save=save,
            )
        )

    def tell(self, action: str, payload: Payload) -> None:
        """An unconfirmed message; 2.0.1 has none."""
        if self.version != dialect.V201:
            self.effects.append(Tell(action, payload))

    def _handle(self, action: str, answered: OnAnswer | None) -> int:
        """Durable messages carry a handle too, so that their answers come back."""
        if answered is None and action != "TransactionEvent":
            return 0
        self._handles += 1
        if answered is not None:
            self._waiting[self._handles] = (action, answered)
        return self._handles

    def answered(
        self, handle: int, action: str, request: Payload, answer: Answer, now: Now
    ) -> None:
        """Hand an answer to whoever waits; an unknown or foreign handle is nobody's."""
        waiting = self._waiting.get(handle)
        if waiting is not None and waiting[0] == action:
            del self._waiting[handle]
            waiting[1](request, answer, now)

    def work(self, task: object, on_value: OnWorked) -> int:
        """Start a job of `chargerd.ocpp.jobs`; the handle stops it."""
        self._handles += 1
        self._works[self._handles] = on_value
        self.effects.append(Work(self._handles, task))
        return self._handles

    def stop_work(self, handle: int) -> None:
        if self._works.pop(handle, None) is not None:
            self.effects.append(StopWork(handle))

    def worked(self, handle: int, value: Any, now: Now) -> None:
        """A job's value; one that was stopped is nobody's."""
        on_value = self._works.get(handle)
        if on_value is not None:
            on_value(value, now)

    def work_over(self, handle: int) -> None:
        self._works.pop(handle, None)

    def later(self, action: str) -> Later:
        """For a handler whose answer needs a job first; `reply` is owed."""
        self._handles += 1
        return Later(self._handles, action)

    def reply(self, promised: Later, answer: Answer) -> None:
        """The answer to that CALL, exactly once."""
        if isinstance(answer, dict):
            answer = dialect.reduced_answer(self.version, promised.action, answer)
        self.effects.append(Reply(promised.handle, answer))

    def ask(self, request: Request) -> None:
        self.effects.append(Ask(request))

    def save(self, namespace: str, key: str, value: Any) -> None:
        self.effects.append(Save(namespace, key, value))

    def keep(self, variable: Variable, value: str, attribute: str = "Actual") -> None:
        """Set a value of the device model that survives a restart."""
        variable.values[attribute] = value
        self.save("device_model", variable.key_of(attribute), value)

    def security_event(self, kind: str, now: Now, info: str = "") -> None:
        """Into the security log (A04.FR.04); a critical one goes to the CSMS too,
        delivered like transactions (A04.FR.02). `info` never holds a secret."""
        line = f"{stamp(now.utc)} {kind} {info[:255]}".rstrip()
        self.work(LogEvent(_printable(line)), self._logged)
        if kind not in CRITICAL:
            return
        payload: Payload = {"type": kind, "timestamp": stamp(now.utc)}
        if info:
            payload["techInfo"] = info[:255]
        self.send("SecurityEventNotification", payload, now, Durability.DURABLE)

    def _logged(self, value: Any, now: Now) -> None:
        """A log that is new though there was one before: somebody cleared it."""
        if not isinstance(value, Written):
            return
        if value.is_new and self.saved.get("security", {}).get("log"):
            self.security_event("SecurityLogWasCleared", now)
        if not self._log_known:
            self._log_known = True
            self.save("security", "log", True)

    def event(
        self,
        event: Payload,
        now: Now,
        durability: Durability = Durability.QUEUED,
        *,
        while_gated: bool = False,
    ) -> int:
        """A NotifyEvent that is hard-wired, of one event; returns the id it gets. Its
        time is now unless it has one."""
        event_id = self.next_number("event")
        made = {
            "eventId": event_id,
            "timestamp": stamp(now.utc),
            "eventNotificationType": "HardWiredNotification",
            "severity": Severity.INFORMATIONAL.value,
            **event,
        }
        payload = {"generatedAt": stamp(now.utc), "seqNo": 0, "eventData": [made]}
        self.send("NotifyEvent", payload, now, durability, while_gated=while_gated)
        return event_id

    def report(
        self,
        action: str,
        request_id: int,
        name: str,
        parts: Sequence[Any],
        now: Now,
        answered: OnAnswer | None = None,
    ) -> None:
        """What the CSMS has asked for, in messages of one part each; `name`: its field.
        A Pending station may be asked, too (B02)."""
        for number, part in enumerate(parts):
            payload = {
                "requestId": request_id,
                "generatedAt": stamp(now.utc),
                "seqNo": number,
                "tbc": number + 1 < len(parts),
                name: part,
            }
            self.send(action, payload, now, answered=answered, while_gated=True)

    def next_number(self, name: str) -> int:
        """0, 1, 2, ... per name, since the start."""
        number = self._sequences.get(name, 0)
        self._sequences[name] = number + 1
        return number

    # Known.

    def supply_of(self, evse_id: int) -> Supply:
        """Of the whole station (0), or an EVSE that is not here, the first one's."""
        view = self.evses.get(evse_id) or next(iter(self.evses.values()))
        return view.supply

    def evse_of_transaction(self, transaction_id: str) -> EvseView | None:
        for view in self.evses.values():
            if view.transaction_id and view.transaction_id == transaction_id:
                return view
        return None

    @property
    def disk_broken(self) -> bool:
        """What is to be kept now may not outlive a restart."""
        return any(
            fault.name == "StoreFault"
            for view in self.evses.values()
            if view.report is not None
            for fault in view.report.snapshot.faults
        )

    def may_begin(self) -> bool:
        """May a session start? Before it is accepted a station needs TxCtrlr's leave
        (B02.FR.03, B03.FR.01)."""
        return self.accepted or self.model.flag("TxCtrlr", "TxBeforeAcceptedEnabled")

    def connect_s(self) -> float:
        """How long an accepted token waits for the plug."""
        return float(self.model.number("TxCtrlr", "EVConnectionTimeOut"))

    def queue_class(self) -> Durability:
        """For messages about a state that is reported again after a reconnect."""
        if self.model.flag("OCPPCommCtrlr", "QueueAllMessages"):
            return Durability.QUEUED
        return Durability.NOW_OR_NEVER


def failed(answer: Answer) -> bool:
    """True when a CALL got an error, a timeout or no link instead of an answer."""
    return isinstance(answer, CallError)
