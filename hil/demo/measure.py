"""What can be measured in a record: tracking, energy, cost, latency. Pure."""

from __future__ import annotations

from typing import Any

from hil.demo.record import Record, Signal
from hil.demo.report import Latency

SETTLE_S = 2.0  # a step of 10 kW at the vehicle's 20 A/s takes 1.5 s
EVSE = "1"

Row = dict[str, Any]


def rows(record: Record, kind: str) -> list[Row]:
    """The rig's trace rows of one kind ("sample", "event"), in order of time."""
    return [row for row in record.rig if row.get("kind") == kind]


def evse_of(row: Row) -> Row:
    value: Row = row["evses"][EVSE]
    return value


def windows(record: Record) -> list[tuple[Signal, float, float]]:
    """Each signal with the settled part of its rule."""
    forced_mono = forced_at(record)
    ends = [*(s.t_mono for s in record.signals[1:]), forced_mono]
    return [
        (signal, signal.t_mono + SETTLE_S, min(end, forced_mono))
        for signal, end in zip(record.signals, ends, strict=True)
    ]


def forced_at(record: Record) -> float:
    """When the promise took over from the signals (else the departure)."""
    after = record.signals[0].t_mono if record.signals else record.start_mono
    for tick in record.ticks:
        if tick.t_mono > after and tick.source.startswith("promise"):
            return tick.t_mono
    return record.departure_mono


def tracking(record: Record) -> tuple[float, int]:
    """Mean absolute error in W over all settled windows, and the samples counted."""
    errors = []
    for signal, low, high in windows(record):
        errors += [
            abs(evse_of(row)["ac_w"] - signal.power_w)
            for row in rows(record, "sample")
            if low <= row["t_mono"] < high
        ]
    return (sum(errors) / len(errors) if errors else float("inf")), len(errors)


def soc_at(record: Record, t_mono: float) -> float:
    """True state of charge at or before an instant, percent."""
    best = 0.0
    for row in rows(record, "sample"):
        if row["t_mono"] > t_mono:
            break
        soc = evse_of(row).get("soc_pct")
        best = best if soc is None else soc
    return best


def registers(event: Row) -> dict[str, float]:
    """Import and export registers in Wh from one TransactionEvent's newest sample."""
    found: dict[str, float] = {}
    for value in event["payload"].get("meterValue", []):
        for sample in value["sampledValue"]:
            measurand = sample.get("measurand", "Energy.Active.Import.Register")
            if measurand.startswith("Energy.Active.") and measurand.endswith(
                "Register"
            ):
                unit = sample.get("unitOfMeasure", {})
                scale = 10 ** unit.get("multiplier", 0)
                scale *= 1000 if unit.get("unit", "Wh") == "kWh" else 1
                if "phase" not in sample:
                    found[measurand.split(".")[2]] = sample["value"] * scale
    return found


def csms_energy(record: Record) -> tuple[float, float]:
    """(import, export) in Wh as the central system can compute it."""
    seen = [registers(event) for event in record.transaction]
    seen = [s for s in seen if {"Import", "Export"} <= s.keys()]
    if not seen:
        return 0.0, 0.0
    return (
        seen[-1]["Import"] - seen[0]["Import"],
        seen[-1]["Export"] - seen[0]["Export"],
    )


def true_energy(record: Record) -> tuple[float, float]:
    """(import, export) in Wh at the AC terminals while the transaction ran, from the
    rig's own integrals."""
    if not record.transaction:
        return 0.0, 0.0
    first, last = (record.transaction[i]["t_mono"] for i in (0, -1))
    inside = [r for r in rows(record, "sample") if first <= r["t_mono"] <= last]
    begin, end = evse_of(inside[0]), evse_of(inside[-1])
    return (
        end["import_wh"] - begin["import_wh"],
        end["export_wh"] - begin["export_wh"],
    )


def cost_of(event: Row) -> float | None:
    """What the session has cost, where a TransactionEvent tells it; no taxes here."""
    told = event["payload"].get("costDetails")
    return None if told is None else float(told["totalCost"]["total"]["exclTax"])


def latency(record: Record, signal: Signal, before_w: float) -> Latency:
    """CSMS sent -> first changed frame on the stage's wire -> 90 % of the step."""
    wire = next(
        (
            row["t_mono"]
            for row in rows(record, "event")
            if row.get("event") == "stage_setpoint"
            and str(row.get("evse")) == EVSE
            and row["t_mono"] > signal.t_mono
        ),
        None,
    )
    goal = before_w + 0.9 * (signal.power_w - before_w)
    power = None
    for row in rows(record, "sample"):
        if row["t_mono"] <= signal.t_mono:
            continue
        actual = evse_of(row)["ac_w"]
        if (actual <= goal) if signal.power_w < before_w else (actual >= goal):
            power = row["t_mono"]
            break
    return Latency(
        signal.text,
        None if wire is None else (wire - signal.t_mono) * 1e3,
        None if power is None else (power - signal.t_mono) * 1e3,
    )


def sequence_gaps(record: Record) -> list[str]:
    """What is wrong with the transaction's sequence numbers, in words."""
    numbers = [event["payload"]["seqNo"] for event in record.transaction]
    wrong = []
    if numbers != sorted(numbers):
        wrong.append("out of order")
    if len(set(numbers)) != len(numbers):
        wrong.append("doubled")
    if numbers and set(range(numbers[0], numbers[-1] + 1)) - set(numbers):
        wrong.append("gaps")
    return wrong
