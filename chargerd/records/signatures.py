"""Which text of a signing meter belongs to which session's record.

Pure. A record waits a little for its text; a text that belongs to no session of ours is
a record of its own. A text is never changed, nor judged here: `signature_check` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chargerd.model import EvseReport
from chargerd.records.chain import Record
from firmware_bridge.api import SignedReading

WAIT_S = 20.0  # for the text of a session that has ended

Signature = dict[str, Any]


@dataclass(slots=True)
class _Waiting:
    """An ended session's record, without its text yet."""

    record: Record
    until_mono: float


@dataclass(slots=True)
class Signatures:
    """Of one EVSE. `step` with each report, `hold` with each ended session."""

    about: Record  # station, EVSE and meter, for records of their own
    _text: str = ""  # the newest that was taken
    _running: dict[str, list[Signature]] = field(default_factory=dict)
    _waiting: _Waiting | None = None

    def step(self, report: EvseReport, session_id: str) -> list[Record]:
        """Records that are complete by this report. `session_id`: under way, "" = none;
        one that ended by this very report still counts."""
        snap, signed = report.snapshot, report.snapshot.telemetry.signed
        if signed is None and self._waiting is None:
            return []
        value = signed.value if signed is not None else SignedReading()
        due: list[Record] = []
        if value.text and value.text != self._text:
            self._text = value.text
            due += self._take(value, session_id, snap.now.utc.isoformat())
        held = self._waiting
        if held is not None:
            late = snap.now.mono >= held.until_mono
            if late or _over(value, held.record["session_id"]):
                due += self._release(value.fault or "the meter gave no text in time")
        return due

    def hold(self, record: Record, report: EvseReport) -> list[Record]:
        """An ended session: at once where its text is there or none will come."""
        signed = report.snapshot.telemetry.signed
        due = self.close()
        self.attach(record)
        if signed is None or record["consent"]["charge"] is False:
            return [*due, record]  # nothing was signed, or nothing flowed
        self._waiting = _Waiting(record, report.snapshot.now.mono + WAIT_S)
        if _over(signed.value, record["session_id"]):
            due += self._release(signed.value.fault)
        return due

    def attach(self, record: Record) -> None:
        """To an ended session, the texts that came while it ran."""
        record["meter_signatures"] = self._running.pop(record["session_id"], [])
        self._running.clear()

    def close(self) -> list[Record]:
        """What still waits, as it stands."""
        return self._release("the record could not wait for the meter's text")

    def _take(self, value: SignedReading, running: str, now: str) -> list[Record]:
        signature = {
            "format": "OCMF",
            "text": value.text,
            "public_key": value.public_key,
        }
        owner = value.session_id
        if owner and owner == running:
            self._running.setdefault(owner, []).append(signature)
            return []
        held = self._waiting
        if owner and held is not None and owner == held.record["session_id"]:
            held.record["meter_signatures"].append(signature)
            return []
        alone = {"from_utc": now, "to_utc": now, "meter_signatures": [signature]}
        return [{"kind": "transaction", **self.about, **alone}]

    def _release(self, why: str) -> list[Record]:
        held, self._waiting = self._waiting, None
        if held is None:
            return []
        if not held.record["meter_signatures"] and why:
            held.record["signature_fault"] = why
        return [held.record]


def _over(value: SignedReading, session_id: str) -> bool:
    """The meter has ended that session's transaction, with a text or without."""
    return value.session_id == session_id and value.open_id != session_id
