"""Turns a record into checks, latencies and plot samples. Pure: no clock, no files."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from hil.demo.record import CURRENCY, Record, Signal
from hil.demo.report import Check, Latency, Sample, Story

RATING_W = 10_000.0
SETTLE_S = 2.0  # a step of 10 kW at the vehicle's 20 A/s takes 1.5 s
TRACKING_LIMIT = 0.02  # of rating, mean absolute, after settling
ENERGY_LIMIT = 0.01
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


def cost_check(record: Record) -> Check:
    """Energy and cost come to the central system by different fields."""
    into, out = csms_energy(record)
    cost = cost_of(record.transaction[-1]) if record.transaction else None
    price = record.price_per_kwh / 1e3
    off = float("inf") if cost is None else abs(cost - price * (into - out))
    return Check(
        "the session's cost is net energy x price",
        ("no cost was told" if cost is None else f"{cost:.4f} {CURRENCY}")
        + f", {into - out:.2f} Wh x {record.price_per_kwh:g} {CURRENCY}/kWh",
        f"{100 * ENERGY_LIMIT:.0f} % of the energy that flowed",
        off <= ENERGY_LIMIT * price * (into + out),
    )


def feed_check(record: Record) -> Check:
    """The network operator's limit holds until the session's end."""
    begin, end = record.feed_limit_mono + SETTLE_S, record.departure_mono
    powers = [
        evse_of(row)["ac_w"]
        for row in rows(record, "sample")
        if begin <= row["t_mono"] < end
    ]
    out_w = -min(powers, default=0.0)
    return Check(
        "discharge stays inside the network operator's limit",
        f"{out_w:.0f} W at most, {len(powers)} samples",
        f"{-record.feed_limit_w:.0f} W + {100 * TRACKING_LIMIT:.0f} % of rating",
        bool(powers) and out_w <= -record.feed_limit_w + TRACKING_LIMIT * RATING_W,
    )


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


def checks(record: Record) -> list[Check]:
    """The demo's promises, measured."""
    error, count = tracking(record)
    soc = soc_at(record, record.departure_mono)
    told = csms_energy(record)
    true = true_energy(record)
    moved = true[0] + true[1]
    off = (abs(told[0] - true[0]) + abs(told[1] - true[1])) / moved if moved else 1.0
    kinds = [event["payload"]["eventType"] for event in record.transaction]
    wrong = sequence_gaps(record)
    whole = kinds[:1] == ["Started"] and kinds[-1:] == ["Ended"] and not wrong
    offline = sum(bool(e["payload"].get("offline")) for e in record.transaction)
    forced = forced_at(record) < record.departure_mono
    return [
        Check(
            "power follows the setpoint (mean error after settling)",
            f"{error:.0f} W = {100 * error / RATING_W:.2f} %, {count} samples",
            f"{100 * TRACKING_LIMIT:.0f} % of rating",
            count > 0 and error <= TRACKING_LIMIT * RATING_W,
        ),
        Check(
            "energy flowed to the grid",
            f"{true[1]:.2f} Wh exported",
            "more than 0",
            true[1] > 1.0,
        ),
        Check(
            "promise: state of charge at departure",
            f"{soc:.2f} %" + (", charging was forced" if forced else ""),
            f">= {record.promise_soc_pct:g} %",
            soc >= record.promise_soc_pct - 0.05 and forced,
        ),
        Check(
            "central system and meter agree on the energy",
            f"in {told[0]:.2f}/{true[0]:.2f} Wh, out {told[1]:.2f}/{true[1]:.2f} Wh",
            f"{100 * ENERGY_LIMIT:.0f} %",
            off <= ENERGY_LIMIT,
        ),
        Check(
            "the transaction is whole, although the link dropped",
            f"{len(kinds)} events, {offline} made offline"
            + (f", {', '.join(wrong)}" if wrong else ", in order, no gap, none twice"),
            "Started ... Ended",
            whole and offline > 0,
        ),
        cost_check(record),
        feed_check(record),
    ]


def samples(record: Record) -> list[Sample]:
    """Plot rows: the rig's truth beside the daemon's decision in force."""
    times = [tick.t_mono for tick in record.ticks]
    out = []
    for row in rows(record, "sample"):
        index = bisect_right(times, row["t_mono"]) - 1
        if index < 0:
            continue
        tick, evse = record.ticks[index], evse_of(row)
        out.append(
            Sample(
                t=row["t_mono"] - record.start_mono,
                actual_w=evse["ac_w"],
                setpoint_w=tick.power_w,
                low_w=tick.low_w,
                high_w=tick.high_w,
                soc_pct=evse.get("soc_pct"),
                grid_w=row["grid"]["power_w"],
            )
        )
    return out


def whys(record: Record) -> list[tuple[float, str]]:
    """Each change of who decides or limits, in the daemon's own words."""
    out: list[tuple[float, str]] = []
    before = ("", False)
    for tick in record.ticks:
        now = (tick.source, "ocpp.der." in tick.why)
        if now != before:
            before = now
            out.append((tick.t_mono - record.start_mono, tick.why))
    return out


def vehicle(seen: Row) -> list[tuple[str, str]]:
    """The vehicle's own view at the end of the session, in words."""
    if not seen:
        return []
    into, out = seen["energy_in_wh"], seen["energy_out_wh"]
    told = [
        ("kind", str(seen["kind"])),
        ("battery", f"{seen['soc_pct']:.2f} % of {seen['capacity_wh']:g} Wh"),
        ("energy at its terminals", f"{into:.2f} Wh in, {out:.2f} Wh out"),
        ("contactor opened under load", f"{seen['opened_under_load']} times"),
    ]
    if seen["kind"] != "iso15118":
        return told
    slowest = seen["worst_response_ms"]
    loop = {name: ms for name, ms in slowest.items() if "Loop" in name}
    worst = ", ".join(f"{name} {ms:.0f} ms" for name, ms in (loop or slowest).items())
    return [
        *told,
        ("protocol", f"{seen['protocol']}, {seen['service']}, {seen['security']}"),
        ("requests", f"{seen['requests']}; slowest response: {worst}"),
        ("how its session ended", seen["why"] or "in order"),
    ]


def judge(record: Record, subtitle: str) -> Story:
    """Everything the report shows."""
    start = record.start_mono
    befores = [0.0, *(s.power_w for s in record.signals)]
    if record.signals:
        first = record.signals[0].t_mono
        befores[0] = next(
            (
                evse_of(row)["ac_w"]
                for row in rows(record, "sample")
                if row["t_mono"] >= first
            ),
            0.0,
        )
    return Story(
        title="chargerd demo",
        subtitle=subtitle,
        samples=samples(record),
        events=[(t - start, text) for t, text in record.events],
        latencies=[
            latency(record, signal, before)
            for signal, before in zip(record.signals, befores, strict=False)
        ],
        checks=checks(record),
        promise_soc_pct=record.promise_soc_pct,
        departure_t=record.departure_mono - start,
        cost=[
            (event["t_mono"] - start, cost)
            for event in record.transaction
            if (cost := cost_of(event)) is not None
        ],
        price=f"{CURRENCY}; net energy at {record.price_per_kwh:g} {CURRENCY}/kWh",
        why=whys(record),
        vehicle=vehicle(record.vehicle),
        transaction=[
            (
                event["t_mono"] - start,
                f"{event['payload']['eventType']} no. {event['payload']['seqNo']}: "
                f"{event['payload']['triggerReason']}"
                + (" (offline)" if event["payload"].get("offline") else "")
                + (
                    ""
                    if (cost := cost_of(event)) is None
                    else f", {cost:.3f} {CURRENCY}"
                ),
            )
            for event in record.transaction
        ],
    )
