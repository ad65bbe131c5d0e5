"""The driver's promise as people see it: how it stands, when charging must begin.

Pure: a report in, plain JSON-able values out. Owns no rule: the scheduler's line is
shown, drawn straight between now and departure.
"""

from __future__ import annotations

from typing import Any

from chargerd.model import EvseReport, Promise
from chargerd.records.sample import must_soc_pct

Json = dict[str, Any]
STEPS = 12  # of the chart, from now to departure


def promised(report: EvseReport) -> Json:
    """`promise` None: there is none; `line` empty: nothing can be counted on yet."""
    snap = report.snapshot
    promise, vehicle = snap.session.promise, snap.vehicle
    told: Json = {
        "evse_id": snap.evse_id,
        "phase": snap.session.phase.value,
        "soc_pct": vehicle.soc_pct,
        "capacity_wh": vehicle.capacity_wh,
        "power_w": report.decision.power_w,
        "decided_by": report.decision.source,
        "promise": None,
        "line": [],
        "why": [
            {"source": r.source, "note": r.note, "won": r.won}
            for r in report.decision.reasons
            if r.stage == "promise" and r.note
        ][-1:],  # the strongest word comes last
    }
    if promise is None:
        return told
    now, soc_pct = snap.now, vehicle.soc_pct
    slack_s = promise.slack_s
    missing_wh = None
    if soc_pct is not None and vehicle.capacity_wh:
        missing_pct = max(0.0, promise.target_soc_pct - soc_pct)
        missing_wh = round(missing_pct / 100.0 * vehicle.capacity_wh)
    reachable = promise.reachable_soc_pct
    told["promise"] = {
        "departure_utc": now.utc_at(promise.departure_mono).isoformat("T", "seconds"),
        "departure_in_s": round(promise.departure_mono - now.mono, 1),
        "by": "vehicle" if promise.by_vehicle else "station",
        "target_soc_pct": promise.target_soc_pct,
        "floor_soc_pct": promise.floor_soc_pct,
        "reachable_soc_pct": reachable,
        "kept": None if reachable is None else reachable >= promise.target_soc_pct,
        "missing_wh": missing_wh,
        "slack_s": slack_s,
        "must_start_utc": (
            now.utc_at(now.mono + max(0.0, slack_s)).isoformat("T", "seconds")
            if slack_s is not None
            else None
        ),
        "must_soc_pct": must_soc_pct(promise, soc_pct, now.mono),
        "forced": promise.forced,
    }
    told["line"] = _line(report, promise)
    return told


def _line(report: EvseReport, promise: Promise) -> list[Json]:
    """What must be in the battery at a time, and what can be."""
    now, soc_pct = report.snapshot.now, report.snapshot.vehicle.soc_pct
    left_s = promise.departure_mono - now.mono
    if soc_pct is None or promise.slack_s is None or left_s <= 0.0:
        return []
    target_pct = promise.target_soc_pct
    needs_s = left_s - promise.slack_s
    if soc_pct >= target_pct or needs_s <= 0.0:
        return []
    rate = (target_pct - soc_pct) / needs_s
    can_pct, can_rate = target_pct, rate
    if promise.reachable_soc_pct is not None and promise.slack_s < 0.0:
        can_pct = promise.reachable_soc_pct
        can_rate = (can_pct - soc_pct) / left_s
    points = []
    for step in range(STEPS + 1):
        in_s = left_s * step / STEPS
        points.append(
            {
                "utc": now.utc_at(now.mono + in_s).isoformat("T", "seconds"),
                "in_s": round(in_s, 1),
                "must_soc_pct": round(max(0.0, target_pct - (left_s - in_s) * rate), 1),
                "can_soc_pct": round(min(can_pct, soc_pct + in_s * can_rate), 1),
            }
        )
    return points
