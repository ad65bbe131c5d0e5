"""What the CSMS knows of transactions: sequence numbers, energy, power, state. Pure.

Reads TransactionEvent payloads (OCPP 2.0.1 and 2.1); a repeated seqNo is counted and
not booked twice. Energy follows the registers; positive power flows into the vehicle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

IMPORT = "Energy.Active.Import.Register"
EXPORT = "Energy.Active.Export.Register"
LOCATIONS = ("Outlet", "Inlet", "EV", "Cable", "Body")  # which meter to believe first
MAX_MULTIPLIER = 15
SCALE = {"kWh": 1000.0, "kW": 1000.0}

Sample = tuple[str, str, float]  # measurand, location, value in base units


def samples(meter_values: list[dict[str, Any]]) -> Iterator[Sample]:
    """Every total (no phase) of a `meterValue` list, in Wh, W, percent..."""
    for meter_value in meter_values:
        for sampled in meter_value["sampledValue"]:
            if "phase" in sampled:
                continue
            unit = sampled.get("unitOfMeasure", {})
            scale = SCALE.get(unit.get("unit", "Wh"), 1.0)
            power_of_ten = unit.get("multiplier", 0)
            if abs(power_of_ten) > MAX_MULTIPLIER:
                continue  # the schema has no bounds here; no meter says this
            value = sampled["value"] * scale * 10.0**power_of_ten
            location = sampled.get("location", "Outlet")
            yield sampled.get("measurand", IMPORT), location, value


@dataclass(slots=True)
class Reading:
    """First and last value of one measurand at one location, by seqNo."""

    first_seq: int
    first: float
    last_seq: int
    last: float

    def take(self, seq: int, value: float) -> None:
        if seq < self.first_seq:
            self.first_seq, self.first = seq, value
        if seq >= self.last_seq:
            self.last_seq, self.last = seq, value


@dataclass(slots=True)
class Transaction:
    """One transaction as the station told it."""

    transaction_id: str
    evse_id: int = 0
    seq_nos: list[int] = field(default_factory=list)  # as they came
    started: bool = False
    ended: bool = False
    stopped_reason: str = ""
    charging_state: str = ""
    operation_mode: str = ""
    offline_events: int = 0
    readings: dict[tuple[str, str], Reading] = field(default_factory=dict)

    @property
    def gaps(self) -> list[int]:
        """seqNos missing between the lowest and the highest seen."""
        seen = set(self.seq_nos)
        return [n for n in range(min(seen), max(seen)) if n not in seen] if seen else []

    @property
    def duplicates(self) -> list[int]:
        """seqNos that came more than once."""
        return sorted({n for n in self.seq_nos if self.seq_nos.count(n) > 1})

    @property
    def in_order(self) -> bool:
        return self.seq_nos == sorted(self.seq_nos)

    @property
    def complete(self) -> bool:
        """Start, end, and everything between came (part 2, 1.3.2)."""
        return self.started and self.ended and not self.gaps

    @property
    def import_wh(self) -> float:
        """Energy into the vehicle since the first register value."""
        return self._energy_wh(IMPORT)

    @property
    def export_wh(self) -> float:
        """Energy out of the vehicle since the first register value, positive."""
        return self._energy_wh(EXPORT)

    @property
    def power_w(self) -> float | None:
        """The newest power, negative = discharge; None when never reported."""
        into = self._reading("Power.Active.Import")
        out = self._reading("Power.Active.Export")
        if into is None and out is None:
            return None
        return (into.last if into else 0.0) - (out.last if out else 0.0)

    @property
    def soc_pct(self) -> float | None:
        soc = self._reading("SoC")
        return soc.last if soc else None

    def take(self, event: dict[str, Any]) -> None:
        """Book one TransactionEvent; a repeated seqNo only counts as seen."""
        seq, info = int(event["seqNo"]), event["transactionInfo"]
        repeated = seq in self.seq_nos
        self.seq_nos.append(seq)
        if repeated:
            return
        self.started = self.started or event["eventType"] == "Started"
        self.ended = self.ended or event["eventType"] == "Ended"
        self.offline_events += event.get("offline", False)
        self.evse_id = event.get("evse", {}).get("id", self.evse_id)
        self.stopped_reason = info.get("stoppedReason", self.stopped_reason)
        self.charging_state = info.get("chargingState", self.charging_state)
        self.operation_mode = info.get("operationMode", self.operation_mode)
        for measurand, location, value in samples(event.get("meterValue", [])):
            reading = self.readings.get((measurand, location))
            if reading is None:
                new = Reading(seq, value, seq, value)
                self.readings[measurand, location] = new
            else:
                reading.take(seq, value)

    def _reading(self, measurand: str) -> Reading | None:
        found = (self.readings.get((measurand, where)) for where in LOCATIONS)
        return next((reading for reading in found if reading), None)

    def _energy_wh(self, measurand: str) -> float:
        reading = self._reading(measurand)
        return reading.last - reading.first if reading else 0.0


class Ledger:
    """All transactions of one station, oldest first."""

    def __init__(self) -> None:
        self.transactions: dict[str, Transaction] = {}

    def take(self, event: dict[str, Any]) -> Transaction:
        """Book a TransactionEvent payload that the schema accepts."""
        transaction_id = event["transactionInfo"]["transactionId"]
        known = self.transactions.setdefault(
            transaction_id, Transaction(transaction_id)
        )
        known.take(event)
        return known

    def active(self, evse_id: int) -> Transaction | None:
        """The newest transaction on an EVSE that has not ended."""
        for transaction in reversed(self.transactions.values()):
            if transaction.evse_id == evse_id and not transaction.ended:
                return transaction
        return None
