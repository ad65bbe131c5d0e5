"""GetCompositeSchedule (K08): the merged schedules as an answer in W or A.

Owns the conversion of `Demand`s into ChargingSchedulePeriods. Where no profile speaks,
the EVSE's rating stands: the most it can take.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from datetime import UTC, datetime

from chargerd.clock import Now
from chargerd.model import OperationMode, VehiclePlan
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal, stamp
from chargerd.ocpp.blocks.dispatch import context
from chargerd.ocpp.blocks.profile_store import ProfileStore
from chargerd.ocpp.composite import Branch, Composite, Demand, timeline
from chargerd.ocpp.effects import Answer, Payload
from chargerd.ocpp.profiles import PHASE_KEYS

MOST_PERIODS = 300
MAX_DURATION_S = 31 * 86_400
Timeline = list[tuple[float, Demand]]


def answer(desk: Desk, store: ProfileStore, request: Payload, now: Now) -> Answer:
    """The answer: Rejected for an unknown EVSE or unit (K08.FR.05, .07)."""
    evse_id = request["evseId"]
    unit = request.get("chargingRateUnit", "W")
    if evse_id and evse_id not in desk.evses:
        return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
    if unit not in desk.model.members("SmartChargingCtrlr", "RateUnit"):
        return refusal("UnsupportedRateUnit", unit)
    if not 0 <= request["duration"] <= MAX_DURATION_S:
        return refusal("ValueOutOfRange", f"duration is 0..{MAX_DURATION_S} s")
    begin = float(int(now.utc.timestamp()))
    length = request["duration"]
    profiles, dyn_mono = store.all(), store.dyn_mono

    def composite(at: int) -> Composite:
        return Composite(profiles, context(desk, at, now, dyn_mono))

    views = [desk.evses[evse_id]] if evse_id else list(desk.evses.values())
    lines = [_line(composite(v.config.id), v, begin, length, now) for v in views]
    line, whole = lines[0]
    if not evse_id:
        line, whole = _sum(lines, composite(0), desk.config.site.import_w)
    factor = 1.0 if unit == "W" else 1.0 / views[0].supply.watts(1.0)
    schedule = {
        "evseId": evse_id,
        "duration": min(length, int(whole - begin)),
        "scheduleStart": stamp(datetime.fromtimestamp(begin, UTC)),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": _periods(line, begin, factor),
    }
    return {"status": "Accepted", "schedule": schedule}


def _line(
    composite: Composite, view: EvseView, begin: float, length: int, now: Now
) -> tuple[Timeline, float]:
    """The EVSE's demands with its rating filled in; at least one entry."""
    branch: Branch = composite.whole
    if view.accepted_plan is not None:
        branch = _inside_plan(branch, view.accepted_plan, now)
    entries, end = timeline(branch, begin, begin + max(1, length), MOST_PERIODS)
    rating = view.config.charge_w
    filled = [(at_s, _rated(demand, rating)) for at_s, demand in entries]
    return filled, min(end, begin + length)


def _inside_plan(branch: Branch, plan: VehiclePlan, now: Now) -> Branch:
    """No more than the vehicle said it would take (SC.04, K15.FR.14)."""
    shift = now.utc.timestamp() - now.mono
    starts = [start_mono + shift for start_mono, _ in plan.parts]

    def at(at_s: float) -> tuple[Demand | None, float]:
        demand, until = branch(at_s)
        index = bisect_right(starts, at_s)
        later = [*starts[index : index + 1], plan.until_mono + shift]
        until = min([until, *(start for start in later if start > at_s)])
        if index == 0 or at_s >= plan.until_mono + shift:
            return demand, until
        most = max(0.0, plan.parts[index - 1][1])
        found = demand or Demand(OperationMode.CHARGING_ONLY)
        limit = most if found.limit_w is None else min(most, found.limit_w)
        return replace(found, limit_w=limit), until

    return at


def _rated(demand: Demand | None, rating_w: float) -> Demand:
    if demand is None:
        return Demand(OperationMode.CHARGING_ONLY, rating_w)
    limit = rating_w if demand.limit_w is None else min(rating_w, demand.limit_w)
    mode = demand.mode
    if mode is OperationMode.EXTERNAL_LIMITS:  # caps alone: plain charging up to them
        mode = OperationMode.CHARGING_ONLY
    if mode is demand.mode and limit == demand.limit_w:
        return demand
    return replace(demand, mode=mode, limit_w=limit)


def _sum(
    lines: list[tuple[Timeline, float]], station: Composite, import_w: float
) -> tuple[Timeline, float]:
    """The station's expected total, within its own caps (K08.FR.03)."""
    end = min(whole for _, whole in lines)
    starts = sorted({at_s for line, _ in lines for at_s, _ in line})
    end = min([end, *starts[MOST_PERIODS : MOST_PERIODS + 1]])
    result: Timeline = []
    for at_s in starts[:MOST_PERIODS]:
        now_each = [_at(line, at_s) for line, _ in lines]
        caps, _ = station.site(at_s)
        cap = import_w
        if caps is not None and caps.limit_w is not None:
            cap = min(cap, caps.limit_w)
        limit = min(cap, sum(demand.limit_w or 0.0 for demand in now_each))
        if all(demand.setpoint_w is None for demand in now_each):
            result.append((at_s, Demand(OperationMode.CHARGING_ONLY, limit)))
            continue
        expected = sum(
            demand.limit_w or 0.0 if demand.setpoint_w is None else demand.setpoint_w
            for demand in now_each
        )
        result.append(
            (
                at_s,
                Demand(
                    OperationMode.CENTRAL_SETPOINT,
                    limit,
                    setpoint_w=min(expected, limit),
                ),
            )
        )
    return result, end


def _at(line: Timeline, at_s: float) -> Demand:
    current = line[0][1]
    for start, demand in line:
        if start > at_s:
            break
        current = demand
    return current


def _by_phase(period: Payload, demand: Demand, factor: float) -> None:
    """Limits that were told apart by phase (K08.FR.09), and the fewest phases."""
    each = demand.limit_phases_w
    scale = factor * max(1, len(each))  # a current counts on each phase
    for name, power_w in zip(PHASE_KEYS["limit"], each, strict=False):
        period[name] = round(power_w * (scale if factor != 1.0 else 1.0), 1)
    if demand.phases is not None:
        period["numberPhases"] = demand.phases


def _periods(line: Timeline, begin: float, factor: float) -> list[Payload]:
    """On whole seconds, ascending: of two in one second the later counts."""
    by_start: dict[int, Payload] = {}
    for at_s, demand in line:
        start = int(-(-(at_s - begin) // 1))
        period: Payload = {"startPeriod": start}
        if demand.mode is OperationMode.IDLE:
            period["operationMode"] = demand.mode.value
        elif demand.frequency is not None:
            period["operationMode"] = demand.mode.value
            period["v2xBaseline"] = round(demand.setpoint_w or 0.0, 1)
            period["v2xFreqWattCurve"] = [
                {"frequency": hertz, "power": power}
                for hertz, power in demand.frequency.points
            ]
        elif demand.mode is OperationMode.CHARGING_ONLY:
            period["limit"] = round((demand.limit_w or 0.0) * factor, 1)
            _by_phase(period, demand, factor)
        else:
            period["operationMode"] = demand.mode.value
            powers = {
                "setpoint": demand.setpoint_w,
                "setpointReactive": demand.setpoint_var,
                "limit": demand.limit_w,
                "dischargeLimit": demand.discharge_limit_w,
            }
            for name, power in powers.items():
                if power is not None:
                    period[name] = round(power * factor, 1)
        by_start[start] = period
    return [by_start[start] for start in sorted(by_start)]
