"""Turns a record into checks, latencies and plot samples. Pure: no clock, no files."""

from __future__ import annotations

from bisect import bisect_right

from hil.demo.measure import (
    SETTLE_S,
    Row,
    cost_of,
    csms_energy,
    evse_of,
    forced_at,
    latency,
    rows,
    sequence_gaps,
    soc_at,
    tracking,
    true_energy,
)
from hil.demo.record import CURRENCY, RATING_W, Record
from hil.demo.report import Check, Sample, Story

TRACKING_LIMIT = 0.02  # of rating, mean absolute, after settling
ENERGY_LIMIT = 0.01


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
    """The network operator's limit holds until the departure."""
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
