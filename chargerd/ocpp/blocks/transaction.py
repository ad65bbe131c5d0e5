"""One OCPP transaction: its record, kept through restarts, and its event messages.

Owns seqNo (continuous from 0), what was already said (idToken, remoteStartId) and the
meter values that belong into Ended. Decides nothing: `transactions.py` says when.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from chargerd.model import Session, StopReason
from chargerd.ocpp.effects import Payload

MOST_ENDED_VALUES = 60


@dataclass(slots=True)
class Transaction:
    """All of it but `values` is small: it is saved at each event."""

    id: str
    evse_id: int
    connector_id: int
    seq_no: int = -1  # of the last event
    started_utc: str = ""
    charging_state: str = ""
    mode: str = ""  # operationMode last told
    authorised: bool = False
    token: Payload | None = None  # as sent, once
    remote_start_id: int | None = None
    remote_start_told: bool = False
    charging_s: float = 0.0
    first_value: Payload | None = None  # Transaction.Begin
    last_value: Payload | None = None  # with the last event
    first_wh: float | None = None  # import register at the begin
    aged_s: float = 0.0  # of it, before this run; on disk: at `seen_utc`
    seen_utc: str = ""  # its last event
    session: dict[str, Any] = field(default_factory=dict)  # to take it up again
    limits: dict[str, float] = field(default_factory=dict)  # transactionLimit in force
    limits_told: dict[str, float] = field(default_factory=dict)
    limits_of_csms: dict[str, float] = field(default_factory=dict)
    reached: str = ""  # triggerReason of the limit that holds its energy back
    invalid: bool = False  # its token is, and energy may flow up to a limit
    refused: bool = False  # its token is invalid, and no energy may flow
    resetting: bool = False  # a Reset will interrupt it, and it goes on after that
    # Not saved:
    values: list[Payload] = field(default_factory=list)  # for Ended
    charging_mono: float | None = None  # charging since
    since_mono: float = 0.0  # of this run
    seen_reason: StopReason | None = None  # the session may be gone when we end
    stop_token: Payload | None = None
    stop_token_told: bool = False
    ending_by_limit: bool = False  # `reached` ends it, not only its energy
    resumed_state: str = ""  # chargingState it returns to after an interruption
    phases_told: int | None = None

    def saved(self, now_mono: float) -> dict[str, Any]:
        record = {k: v for k, v in asdict(self).items() if k in _SAVED}
        record["aged_s"] = self.age_s(now_mono)
        record["charging_s"] = self.charged_s(now_mono)
        return record

    @classmethod
    def restored(cls, value: Any) -> Transaction | None:
        """A saved record, None when it is not one."""
        if not isinstance(value, dict) or not _SAVED.issuperset(value):
            return None
        if not isinstance(value.get("id"), str) or "evse_id" not in value:
            return None
        return cls(**value) if "connector_id" in value else None

    def keep(self, value: Payload) -> None:
        """A value for Ended; when full every second one goes (E06.FR.13)."""
        if len(self.values) >= MOST_ENDED_VALUES:
            del self.values[::2]
        self.values.append(value)

    def charged_s(self, now_mono: float) -> float:
        since = 0.0 if self.charging_mono is None else now_mono - self.charging_mono
        return self.charging_s + since

    def age_s(self, now_mono: float) -> float:
        """Since Started, interruptions included (E16.FR.09)."""
        return self.aged_s + (now_mono - self.since_mono)

    def is_of(self, session: Session) -> bool:
        return session.id == self.session.get("id")

    def event(
        self, kind: str, trigger: str, at: str, *, offline: bool, now_mono: float
    ) -> Payload:
        """The next TransactionEvent; its seqNo is used up."""
        self.seq_no += 1
        info: Payload = {"transactionId": self.id}
        if self.charging_state:
            info["chargingState"] = self.charging_state
        charged = int(self.charged_s(now_mono))
        if charged:
            info["timeSpentCharging"] = charged
        if self.mode:
            info["operationMode"] = self.mode
        if self.remote_start_id is not None and not self.remote_start_told:
            info["remoteStartId"] = self.remote_start_id
            self.remote_start_told = True
        event: Payload = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": trigger,
            "seqNo": self.seq_no,
            "transactionInfo": info,
            "evse": {"id": self.evse_id, "connectorId": self.connector_id},
        }
        if offline:
            event["offline"] = True
        return event


_UNSAVED = {
    "values", "charging_mono", "since_mono", "seen_reason", "stop_token",
    "stop_token_told", "ending_by_limit", "resumed_state", "phases_told",
}  # fmt: skip
_SAVED = {f.name for f in fields(Transaction)} - _UNSAVED


def as_session(session: Session) -> dict[str, Any]:
    """What the heart needs to take the session up again."""
    token = session.token
    return {
        "id": session.id,
        "token": [token.value, token.kind, token.group] if token else None,
        "plugged_utc": session.plugged_utc.isoformat() if session.plugged_utc else None,
        "discharge": session.discharge_authorised,
        "authorised": session.authorised,
        "in_wh": session.energy_in_wh,
        "out_wh": session.energy_out_wh,
    }
