"""Settlement records: what the meter counted in a half hour and in a session.

Pure. Energies are differences of the meter's own registers, never sums of ours; each
record begins where the one before ended. Never holds a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from chargerd.model import EvseReport, Session
from chargerd.records.carbon import Carbon
from chargerd.records.chain import Record
from chargerd.records.sample import dispatched
from chargerd.records.signatures import Signatures
from firmware_bridge.api import MeterReading

SLOT_S = 1800
READING_MAX_AGE_S = 3.0
SLACK_S = 5.0  # a slot that misses no more is complete


@dataclass(slots=True)
class _Count:
    """From one reading of the registers on."""

    from_utc: datetime
    import_wh: float
    export_wh: float
    covered_s: float = 0.0  # with a meter that answered
    baseline_wh: float = 0.0
    dispatched_s: float = 0.0  # in which a dispatch signal shaped the power
    island_s: float = 0.0  # in which the vehicle fed the house without a grid
    carbon: Carbon = field(default_factory=Carbon)
    clock_trusted: bool = True
    sessions: dict[str, None] = field(default_factory=dict)


class Settlement:
    """Of one EVSE. `step` with each report gives the records that are due by it."""

    def __init__(self, evse_id: int, station: str, meter: dict[str, str]) -> None:
        self._about = {"station": station, "evse_id": evse_id, "meter": meter}
        self._signatures = Signatures(self._about)
        self._slot: _Count | None = None
        self._session: _Count | None = None
        self._of: Session | None = None
        self._soc: list[float] = []  # of the session: first and newest
        self._may_charge = self._may_discharge = False  # the driver's token said so
        self._last: MeterReading | None = None
        self._leapt_wh: tuple[float, float] | None = None
        self._last_mono = 0.0
        self._last_utc: datetime | None = None

    def step(
        self, report: EvseReport, baseline_w: float, g_per_kwh: float | None = None
    ) -> list[Record]:
        """`g_per_kwh`: CO2 of the grid now, None = not known."""
        now, session = report.snapshot.now, report.snapshot.session
        under_way = self._of.id if self._of is not None else session.id
        due = self._signatures.step(report, under_way)
        if self._last_utc is not None and _slot(self._last_utc) != _slot(now.utc):
            due += self._end_slot(now.utc)
        if self._jumped(report):
            due += self.close()
            self._last = None
        if self._of is not None and session.id != self._of.id:
            for record in self._end_session():
                due += self._signatures.hold(record, report)
        self._open(report)  # where the one before has ended
        self._read(report, baseline_w, g_per_kwh)
        self._open(report)  # with the first reading of all
        self._last_utc = now.utc
        if session.id:
            self._note_session(report)
        return due

    def _jumped(self, report: EvseReport) -> bool:
        """Were its registers reset? Then what was open ends, and begins anew."""
        before, self._leapt_wh = self._leapt_wh, report.snapshot.leapt_wh
        return before is not None and before != self._leapt_wh

    def close(self) -> list[Record]:
        """The daemon ends, or the meter is another one: what is open, as it stands."""
        if self._last_utc is None:
            return []
        due = self._end_slot(self._last_utc) + self._signatures.close()
        ended = self._end_session()
        for record in ended:
            self._signatures.attach(record)
        return due + ended

    def _open(self, report: EvseReport) -> None:
        """Begin what is not open, with the registers as last read."""
        last, utc = self._last, report.snapshot.now.utc
        if last is None:
            return
        if self._slot is None:
            self._slot = _Count(utc, last.import_wh, last.export_wh)
        if self._session is None and report.snapshot.session.id:
            self._session = _Count(utc, last.import_wh, last.export_wh)

    def _read(
        self, report: EvseReport, baseline_w: float, g_per_kwh: float | None
    ) -> None:
        now, meter = report.snapshot.now, report.snapshot.telemetry.meter
        fresh = meter is not None and meter.age_s(now.mono) <= READING_MAX_AGE_S
        step_s = now.mono - self._last_mono if self._last_utc is not None else 0.0
        self._last_mono = now.mono
        import_wh = export_wh = 0.0
        if meter is not None and fresh:
            if self._last is not None:
                import_wh = meter.value.import_wh - self._last.import_wh
                export_wh = meter.value.export_wh - self._last.export_wh
            self._last = meter.value
        island = report.decision.source == "island"
        followed = not island and dispatched(report)
        for count in (self._slot, self._session):
            if count is None:
                continue
            count.covered_s += step_s if fresh and step_s < READING_MAX_AGE_S else 0.0
            count.baseline_wh += baseline_w * step_s / 3600.0
            count.dispatched_s += step_s if followed else 0.0
            count.island_s += step_s if island else 0.0
            count.carbon.add(step_s, import_wh, export_wh, g_per_kwh)
            count.clock_trusted = count.clock_trusted and now.trusted

    def _note_session(self, report: EvseReport) -> None:
        session, soc = report.snapshot.session, report.snapshot.vehicle.soc_pct
        self._of = session
        self._may_charge |= session.authorised
        self._may_discharge |= session.authorised and session.discharge_authorised
        if self._slot is not None:
            self._slot.sessions[session.id] = None
        if soc is not None:
            self._soc[1:] = [soc]  # the first one stays

    def _end_slot(self, now_utc: datetime) -> list[Record]:
        count, self._slot = self._slot, None
        if count is None or self._last is None or self._last_utc is None:
            return []
        begin = _slot(count.from_utc)
        end = begin + SLOT_S
        whole = (
            count.covered_s >= SLOT_S - SLACK_S
            and _slot(self._last_utc) == begin
            and now_utc.timestamp() - end < SLACK_S
        )
        found = self._record("slot", count, self._last, self._last_utc)
        found["slot_utc"] = _iso(datetime.fromtimestamp(begin, count.from_utc.tzinfo))
        found["complete"] = whole
        found["baseline_wh"] = round(count.baseline_wh, 1)
        found["sessions"] = list(count.sessions)
        return [found]

    def _end_session(self) -> list[Record]:
        count, self._session = self._session, None
        session, self._of = self._of, None
        soc, self._soc = self._soc, []
        consent = {"charge": self._may_charge, "discharge": self._may_discharge}
        self._may_charge = self._may_discharge = False
        last, to_utc = self._last, self._last_utc
        if count is None or session is None or last is None or to_utc is None:
            return []
        found = self._record("session", count, last, to_utc)
        found["session_id"] = session.id
        found["consent"] = consent
        found["soc_begin_pct"] = soc[0] if soc else None
        found["soc_end_pct"] = soc[-1] if soc else None
        found["reason"] = session.stop_reason.value if session.stop_reason else None
        return [found]

    def _record(
        self, kind: str, count: _Count, last: MeterReading, to_utc: datetime
    ) -> Record:
        return {
            "kind": kind,
            **self._about,
            "from_utc": _iso(count.from_utc),
            "to_utc": _iso(to_utc),
            "clock_trusted": count.clock_trusted,
            "covered_s": round(count.covered_s, 1),
            "import_begin_wh": count.import_wh,
            "import_end_wh": last.import_wh,
            "export_begin_wh": count.export_wh,
            "export_end_wh": last.export_wh,
            "import_wh": round(last.import_wh - count.import_wh, 3),
            "export_wh": round(last.export_wh - count.export_wh, 3),
            "dispatched_s": round(count.dispatched_s, 1),
            "island_s": round(count.island_s, 1),
            "co2": count.carbon.told() if count.carbon.known_s > 0.0 else None,
        }


def _slot(utc: datetime) -> int:
    """Start of the half hour, in seconds."""
    return int(utc.timestamp()) // SLOT_S * SLOT_S


def _iso(utc: datetime) -> str:
    return utc.isoformat(timespec="milliseconds")
