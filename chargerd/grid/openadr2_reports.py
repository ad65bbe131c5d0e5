"""OpenADR 2.0b telemetry: what we offer, what the VTN asked for, what is due.

Pure. Samples wait in bounded memory; a report that cannot be sent is dropped, never
queued without end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chargerd.clock import Now
from chargerd.grid.openadr2_words import (
    INVALID_ID,
    OK,
    Call,
    Json,
    Refused,
    identifier,
    objects,
    safe,
    seconds,
    texts,
)
from chargerd.grid.readings import fresh
from chargerd.grid.windows import stored_wh
from chargerd.model import EvseReport

SPECIFIER = "chargerd-telemetry"
FASTEST_S, SLOWEST_S = 1.0, 3600.0
MOST_REQUESTS, MOST_SAMPLES = 8, 2000
# rID's last word: OpenADR's report type, its measurement and unit.
OFFERED = {
    "power": ("demand", "powerReal", "RealPower", "W"),
    "stored": ("storedEnergy", "energyReal", "RealEnergy", "Wh"),
    "up": ("upRegulationCapacityAvailable", "powerReal", "RealPower", "W"),
    "down": ("downRegulationCapacityAvailable", "powerReal", "RealPower", "W"),
}
_POWER = {"hertz": 50, "voltage": 230, "ac": True}
_NEW_ID = {"new": "id"}


@dataclass(slots=True)
class _Asked:
    """One report request of the VTN."""

    id: str
    r_ids: tuple[str, ...]
    every_s: float
    back_s: float  # 0 = once
    sample_mono: float  # next
    send_mono: float
    samples: list[Json] = field(default_factory=list)


class Telemetry:
    """By resource name. Positive power = into the vehicle, as OpenADR counts load."""

    def __init__(self, resources: Mapping[str, int]) -> None:
        self._resources = resources
        self._asked: dict[str, _Asked] = {}
        self.refused: Counter[str] = Counter()
        self.sent = 0

    def offer(self, ven_id: str, now: Now) -> Call:
        """oadrRegisterReport: all that can be asked for."""
        self._asked.clear()
        descriptions = [
            _description(f"{name}.{word}", name, *OFFERED[word])
            for name in self._resources
            for word in OFFERED
        ]
        report = {
            "report_specifier_id": SPECIFIER,
            "report_name": "METADATA_TELEMETRY_USAGE",
            "report_request_id": "0",
            "created_date_time": {"utc": now.utc.isoformat()},
            "duration": {"s": SLOWEST_S},
            "report_descriptions": descriptions,
        }
        payload = {"request_id": _NEW_ID, "ven_id": ven_id, "reports": [report]}
        return Call("reports", "EiReport", "oadrRegisterReport", payload)

    def request(self, ven_id: str, body: Json, now: Now) -> Call | None:
        """oadrCreateReport, or the requests in oadrRegisteredReport."""
        raws = objects(body, "report_requests")
        code = OK
        for raw in raws[:MOST_REQUESTS]:
            try:
                self._ask(raw, now.mono)
            except Refused as refused:
                self.refused[refused.reason] += 1
                code = refused.code
        if not raws:
            return None
        return self._pending(ven_id, "oadrCreatedReport", body, code)

    def cancel(self, ven_id: str, body: Json) -> Call | None:
        """oadrCancelReport."""
        try:
            cancelled = texts(body, "cancel_reports")
        except Refused:
            return None
        for ident in cancelled:
            self._asked.pop(ident, None)
        if not cancelled:
            return None
        return self._pending(ven_id, "oadrCanceledReport", body, OK)

    def _pending(self, ven_id: str, message: str, body: Json, code: int) -> Call:
        payload = {
            "ven_id": ven_id,
            "response": {
                "response_code": code,
                "response_description": "OK" if code == OK else "ERROR",
                "request_id": safe(body.get("request_id")),
            },
            "pending_reports": [{"report_request_id": i} for i in self._asked],
        }
        return Call("answer", "EiReport", message, payload)

    def _ask(self, raw: Json, now_mono: float) -> None:
        ident = identifier(raw, "id")
        if raw.get("specifier") != SPECIFIER:
            raise Refused("report", INVALID_ID, "no such report")
        known = {f"{name}.{word}" for name in self._resources for word in OFFERED}
        r_ids = tuple(r for r in dict.fromkeys(texts(raw, "r_ids")) if r in known)
        if not r_ids:
            raise Refused("report", INVALID_ID, "no such rID")
        if ident not in self._asked and len(self._asked) >= MOST_REQUESTS:
            raise Refused("flood", INVALID_ID, f"over {MOST_REQUESTS} reports")
        back_s = seconds(raw.get("back"))
        every_s = seconds(raw.get("granularity")) or back_s or SLOWEST_S
        every_s = min(SLOWEST_S, max(FASTEST_S, every_s))
        back_s = max(back_s, every_s) if back_s else 0.0
        self._asked[ident] = _Asked(
            ident, r_ids, every_s, back_s, now_mono, now_mono + back_s
        )

    def tick(
        self, ven_id: str, reports: Mapping[int, EvseReport], now: Now
    ) -> Iterator[Call]:
        """Samples what is due; what is complete goes out."""
        for asked in list(self._asked.values()):
            if asked.sample_mono <= now.mono:
                asked.sample_mono = now.mono + asked.every_s
                asked.samples += self._sample(asked.r_ids, reports, now)
                del asked.samples[:-MOST_SAMPLES]
            if asked.send_mono <= now.mono and asked.samples:
                yield self._update(ven_id, asked, now)
                asked.samples = []
                asked.send_mono = now.mono + asked.back_s
                if not asked.back_s:
                    del self._asked[asked.id]
                self.sent += 1

    def _sample(
        self, r_ids: tuple[str, ...], reports: Mapping[int, EvseReport], now: Now
    ) -> Iterator[Json]:
        for r_id in r_ids:
            name, _, word = r_id.rpartition(".")
            value = _value(word, reports.get(self._resources[name]))
            if value is not None:
                payload = {"r_id": r_id, "value": round(value, 1)}
                stamp = {"utc": now.utc.isoformat()}
                yield {"dtstart": stamp, "report_payload": payload}

    def _update(self, ven_id: str, asked: _Asked, now: Now) -> Call:
        report = {
            "report_id": _NEW_ID,
            "report_request_id": asked.id,
            "report_specifier_id": SPECIFIER,
            "report_name": "TELEMETRY_USAGE",
            "created_date_time": {"utc": now.utc.isoformat()},
            "dtstart": asked.samples[0]["dtstart"],
            "intervals": asked.samples,
        }
        payload = {"request_id": _NEW_ID, "ven_id": ven_id, "reports": [report]}
        return Call("update", "EiReport", "oadrUpdateReport", payload)


def _value(word: str, report: EvseReport | None) -> float | None:
    """None = not known; then there is no sample."""
    if report is None:
        return None
    if word == "power":
        snapshot = report.snapshot
        meter = fresh(snapshot.telemetry.meter, snapshot.now.mono)
        return meter.power_w if meter is not None else None
    if word == "stored":
        return stored_wh(report)
    flexibility = report.flexibility
    if flexibility is None:
        return None
    return flexibility.up_w if word == "up" else flexibility.down_w


def _description(
    r_id: str, resource: str, kind: str, item: str, text: str, unit: str
) -> Json:
    measurement: Json = {"name": item, "description": text} | {
        "unit": unit,
        "scale": "none",
    }
    if item == "powerReal":
        measurement["power_attributes"] = _POWER
    return {
        "r_id": r_id,
        "report_subject": None,
        "report_data_source": {"resource_id": resource},
        "report_type": kind,
        "measurement": measurement,
        "reading_type": "Direct Read",
        "market_context": None,
        "sampling_rate": {
            "min_period": {"s": FASTEST_S},
            "max_period": {"s": SLOWEST_S},
            "on_change": False,
        },
    }
